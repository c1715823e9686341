//! Tags that are versions: which there are, and which is the best.
//!
//! A version is a tag that [Semantic Versioning] takes, `1.2.3` or `1.2.3-rc.1`, with a `v` in front if it likes. As a tag
//! can't have a `+`, build metadata follows a `_`: `1.2.3_build.7`, which is how Helm writes them. A date such as
//! `20240101` or `2024.01.15`, an abbreviated commit and a moving tag such as `1.2` are not versions; the last are when
//! [`Partial::Completed`] is asked for. But `2024.10.15`, whose numbers begin with no zero, is a version as good as any other.
//!
//! A [`Constraint`] says which versions will do. Nothing here fetches tags.
//!
//! [Semantic Versioning]: https://semver.org/spec/v2.0.0.html

mod choice;
mod comparator;
mod constraint;
mod left_out;
mod parse;
mod tagged;

pub use choice::{ChoiceError, ChoiceOptions, Partial, Prereleases, best_tag, matching_tags, semver_tags};
pub use constraint::Constraint;
pub use left_out::LeftOut;
