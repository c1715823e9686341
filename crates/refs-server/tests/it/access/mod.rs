//! Who may come in, and what for.

mod bearer;
mod passwords;
pub(crate) mod rig;
mod secrets;
mod told;
