#![doc = include_str!("../README.md")]

#[macro_use]
mod text;

mod detect;
mod digest;
mod error;
#[cfg(all(feature = "semver", any(test, feature = "fuzzing")))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "hash")]
mod hasher;
mod hint;
mod host;
mod name;
mod parts;
mod reference;
mod target;
#[cfg(feature = "semver")]
pub mod version;

pub use detect::{Detector, has_explicit_tag, is_oci_ref};
pub use digest::{Algorithm, Digest};
pub use error::{ParseError, ParseErrorKind, redacted};
#[cfg(feature = "hash")]
pub use hasher::Hasher;
pub use host::Host;
pub use name::{RepoName, Tag};
pub use parts::Parts;
pub use reference::Reference;
pub use target::Target;
