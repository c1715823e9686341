//! Who may come in, and what for.
//!
//! `htpasswd` has the users, `rights` what they may do. `shown` is what a request says of its sender, `passwords` and `token`
//! whether that is so. `gate` asks them all, once for each request; `service` gives the tokens out, `challenge` tells where.

mod challenge;
mod gate;
mod htpasswd;
mod key;
mod options;
mod passwords;
mod rights;
mod service;
mod shown;
mod token;

pub(crate) use gate::{Gate, Reach, Wanted};
pub use htpasswd::{Htpasswd, HtpasswdError, HtpasswdFault};
pub use key::{Key, ShortKey};
pub use options::{Access, Scheme, TokenOptions};
pub use rights::{Actions, Anonymous, Grant, Rights, UnknownAction};
pub(crate) use service::PATH as TOKEN_PATH;
