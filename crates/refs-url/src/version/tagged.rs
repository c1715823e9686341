//! A tag read as a version.

use std::cmp::Ordering;

use semver::{BuildMetadata, Version};

use super::Partial;
use crate::Tag;

/// A tag, and the version that it names.
///
/// The order is total, and the same for whoever sorts: by version; of two that differ in build metadata alone, by that; then
/// what is written without a `v` is higher; then by bytes, so that `1.2.0` is higher than `1.2` when both mean the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tagged<'a> {
    pub(super) version: Version,
    pub(super) tag: &'a Tag,
}

/// Numbers without dots that are longer are dates and abbreviated commits.
const MAX_LONE_DIGITS: usize = 4;

impl<'a> Tagged<'a> {
    /// `None` for a tag that is no version.
    pub(super) fn parse(tag: &'a Tag, partial: Partial) -> Option<Self> {
        let text = tag.as_str();
        let text = text.strip_prefix('v').unwrap_or(text);
        let (text, build) = match text.split_once('_') {
            Some((_, "")) => return None,
            Some((text, build)) => (text, BuildMetadata::new(build).ok()?),
            None => (text, BuildMetadata::EMPTY),
        };
        let version = match partial {
            Partial::Ignored => Version::parse(text).ok()?,
            Partial::Completed => Version::parse(&completed(text)?).ok()?,
        };
        Some(Self { version: Version { build, ..version }, tag })
    }
}

impl Ord for Tagged<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let has_v = |tagged: &Self| tagged.tag.as_str().starts_with('v');
        let versions = self.version.cmp(&other.version);
        versions.then_with(|| has_v(other).cmp(&has_v(self))).then_with(|| self.tag.cmp(other.tag))
    }
}

impl PartialOrd for Tagged<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// `text` with zeros for the numbers that it leaves out, unless it is a date or a commit.
fn completed(text: &str) -> Option<String> {
    let (numbers, prerelease) = text.split_at(text.find('-').unwrap_or(text.len()));
    let zeros = match numbers.split('.').count() {
        1 if numbers.len() > MAX_LONE_DIGITS => return None,
        1 => ".0.0",
        2 => ".0",
        _ => "",
    };
    Some(format!("{numbers}{zeros}{prerelease}"))
}
