//! The manifest file of an artifact, `.sow-ref.yaml`: what the artifact is, and whom it is for.
//!
//! ```
//! use refs_client::ManifestFile;
//!
//! let checked = ManifestFile::parse(b"\
//! schema_version: 1.0.0
//! ref: {title: Go guide, link: go-guide}
//! content:
//!   description: How this house writes Go, from the layout of a module to the wording of an error.
//!   classifications: [{type: guidelines}]
//!   tags: [go, style]
//! ")?;
//! assert_eq!(checked.manifest.annotations()["com.sow.ref.tags"], "go,style");
//!
//! let faults = ManifestFile::parse(b"ref: {title: 5}").unwrap_err();
//! assert_eq!(faults.0[0].to_string(), "1:1: schema_version: nothing is given; it needs a version, such as `1.0.0`");
//! assert_eq!(faults.0[1].to_string(), "1:14: ref.title: found the number 5, allowed: text that is not empty");
//! # Ok::<(), refs_client::manifest_file::Faults>(())
//! ```

mod check;
mod finding;
mod name;
mod node;
mod read;
mod rules;
mod schema;
#[cfg(test)]
mod tests;

pub use check::Checked;
pub use finding::{Faults, Finding, FindingKind, Position};
pub use name::ManifestName;
pub(crate) use read::read;
pub use schema::{Classification, ClassificationType, Content, Hints, ManifestFile, Packaging, Provenance};
