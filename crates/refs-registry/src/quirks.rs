//! Where registries do otherwise than the spec says: what is known of a host beforehand, and what shows on the way.

use refs_url::Host;

/// How one registry has to be spoken to. What is known of its host comes first, then what its owner's settings say, and
/// what it answers teaches the rest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quirks {
    /// How an upload may be cut into requests.
    pub pieces: Pieces,
    /// The longest body, in bytes, that one request of an upload may have; `None` while none was refused.
    pub longest_body: Option<u64>,
    /// The request that a whole blob is sent in.
    pub whole_by: WholeBy,
    /// What the registry makes of a request for a part of a blob.
    pub ranges: Ranges,
    /// Where the list of referrers is.
    pub referrers: ReferrersAt,
    /// Whether blobs are mounted from other repositories.
    pub mounts: Mounts,
    /// How many entries of a list may be asked for at once; `None` to ask for no number.
    pub page: Page,
    /// How a manifest gets several tags.
    pub tagging: Tagging,
}

/// How an upload may be cut into requests (`PATCH` with `Content-Range`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pieces {
    /// Pieces of any length.
    #[default]
    Any,
    /// Pieces of at most so many bytes: GHCR takes 4 MiB.
    AtMost(u64),
    /// None: the whole body goes in one request. Google's registries are so.
    Never,
}

/// The request that a whole blob is sent in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WholeBy {
    /// The `PUT` that ends its session.
    #[default]
    Put,
    /// A `PATCH` before that: old Artifactory does not know a session before there has been one.
    Patch,
}

/// What a registry makes of a `Range`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ranges {
    /// It has not been asked yet.
    #[default]
    Unknown,
    /// It gives the part.
    Honoured,
    /// It gives the whole.
    Ignored,
}

/// Where the list of referrers of a manifest is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReferrersAt {
    /// It has not been asked yet.
    #[default]
    Unknown,
    /// The registry keeps it.
    Api,
    /// Clients keep it, in an index under a tag.
    Tag,
}

/// Whether a registry mounts blobs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mounts {
    /// As the spec says.
    #[default]
    Allowed,
    /// Not worth asking.
    Never,
}

/// How a manifest gets several tags.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tagging {
    /// With the manifest, in one request (`?tag=`).
    #[default]
    AtOnce,
    /// Each in a request of its own.
    OneByOne,
}

/// How many entries of a list to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Page {
    /// So many.
    Of(u32),
    /// As many as the registry likes.
    Unasked,
}

impl Default for Page {
    /// More is an error at ECR, and most registries give fewer whatever is asked.
    fn default() -> Self {
        Self::Of(1_000)
    }
}

pub(crate) const MIB: u64 = 1 << 20;

/// Limits for bodies below this many bytes are not believed: a blob would become a flood of requests.
pub(crate) const LEAST_PIECE: u64 = 4 * 1024;

impl Quirks {
    /// What is known of `host` by its name. Nothing that may change for the better is: a registry that learns to keep lists
    /// of referrers must not be taken for one that does not.
    #[must_use]
    pub fn of_host(host: &Host) -> Self {
        let name = host.name().to_ascii_lowercase();
        let ends = |suffix: &str| name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        if ends("ghcr.io") {
            return Self { pieces: Pieces::AtMost(4 * MIB), ..Self::default() };
        }
        if ends("pkg.dev") || ends("gcr.io") {
            return Self { pieces: Pieces::Never, ..Self::default() };
        }
        if ends("quay.io") {
            return Self { page: Page::Of(100), ..Self::default() };
        }
        Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(host: &str, expect: Quirks) {
        assert_eq!(Quirks::of_host(&Host::parse(host).unwrap()), expect, "{host}");
    }

    #[test]
    fn hosts_are_known_by_their_names() {
        let ghcr = || Quirks { pieces: Pieces::AtMost(4 * MIB), ..Quirks::default() };
        check("ghcr.io", ghcr());
        check("GHCR.io:443", ghcr());
        check("evilghcr.io", Quirks::default());
        check("europe-docker.pkg.dev", Quirks { pieces: Pieces::Never, ..Quirks::default() });
        check("gcr.io", Quirks { pieces: Pieces::Never, ..Quirks::default() });
        check("quay.io", Quirks { page: Page::Of(100), ..Quirks::default() });
        check("docker.io", Quirks::default());
        check("localhost:5000", Quirks::default());
    }
}
