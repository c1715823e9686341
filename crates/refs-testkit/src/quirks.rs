//! How real registries differ from the spec.

/// Deviations of a fake registry. The default is none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Quirks {
    /// What becomes of the `Range` of a request for a blob.
    pub ranges: Ranges,
    /// What becomes of `n` and `last` of a list.
    pub pages: Pages,
    /// Whether referrers can be listed, and are recorded.
    pub referrers: Referrers,
    /// Whether answers have `Docker-Content-Digest`.
    pub digest_header: DigestHeader,
    /// How a `PATCH` of an upload is answered.
    pub patch: Patch,
    /// Whether a `HEAD` is answered.
    pub head: Head,
    /// Whether a blob can come in the request that begins its upload.
    pub single_post: SinglePost,
    /// Whether blobs are mounted.
    pub mount: Mount,
    /// The form of the `Location` of an upload.
    pub location: Location,
    /// Whether tags can be deleted.
    pub tag_deletion: TagDeletion,
    /// Whether a manifest can come with tags beside the one in its path.
    pub tag_parameter: TagParameter,
}

/// What becomes of the `Range` of a request for a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ranges {
    /// It is answered with 206.
    #[default]
    Honoured,
    /// It is ignored: 200, and the whole blob.
    Ignored,
}

/// What becomes of `n` and `last` of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pages {
    /// They are honoured.
    #[default]
    Honoured,
    /// They are ignored: every list is whole.
    Ignored,
    /// A page has at most so many entries, whatever `n` says.
    AtMost(usize),
}

/// Whether referrers can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Referrers {
    /// They are listed.
    #[default]
    Listed,
    /// They are unknown: 404, and no `OCI-Subject`.
    Missing,
    /// The request is sent elsewhere: 303 to a page for people.
    Elsewhere,
}

/// Whether answers have `Docker-Content-Digest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DigestHeader {
    /// All have it.
    #[default]
    Always,
    /// `GET` of a manifest has none.
    OnHead,
    /// None has it.
    Never,
}

/// How a `PATCH` of an upload is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Patch {
    /// 202, and the range received so far.
    #[default]
    Accepted,
    /// 201, and a range that stays at the first chunk's.
    StuckRange,
    /// 204.
    NoContent,
    /// 416, when it has a `Content-Range` and more than so many bytes; a stream of any length is taken.
    AtMost(u64),
}

/// Whether a `HEAD` is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Head {
    /// As `GET`, without the body.
    #[default]
    Served,
    /// 405.
    Missing,
}

/// Whether a blob can come in the request that begins its upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SinglePost {
    /// 201.
    #[default]
    Taken,
    /// 202: a session begins, and the body is not looked at.
    Session,
}

/// Whether blobs are mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mount {
    /// 201, when the blob is there.
    #[default]
    Mounted,
    /// 202: a session begins.
    Session,
    /// 404.
    Missing,
    /// 201, and nothing has happened.
    Claimed,
}

/// The form of the `Location` of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Location {
    /// A path.
    #[default]
    Relative,
    /// A URL with a query, without which the session is unknown.
    AbsoluteWithState,
}

/// Whether tags can be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TagDeletion {
    /// 202.
    #[default]
    Allowed,
    /// 405; manifests can be deleted by digest.
    Unsupported,
}

/// Whether a manifest can come with tags beside the one in its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TagParameter {
    /// They are set, and named in the answer.
    #[default]
    Taken,
    /// Nobody looks at them.
    Ignored,
}

impl Quirks {
    /// Amazon's registry: `PATCH` answers 201 with a range that stays at the first chunk
    /// (<https://github.com/aws/containers-roadmap/issues/2831>), and `GET` of a manifest has no digest header.
    #[must_use]
    pub fn ecr() -> Self {
        Self { patch: Patch::StuckRange, digest_header: DigestHeader::OnHead, ..Self::default() }
    }

    /// GitHub's registry: chunks of at most 4 MiB, pages of at most 100, and referrers that lead to a web page
    /// (<https://github.com/artifacthub/hub/issues/4785>).
    #[must_use]
    pub fn ghcr() -> Self {
        Self {
            patch: Patch::AtMost(4 * 1024 * 1024),
            pages: Pages::AtMost(100),
            referrers: Referrers::Elsewhere,
            ..Self::default()
        }
    }

    /// Google's registry: no chunks at all.
    #[must_use]
    pub fn gar() -> Self {
        Self { patch: Patch::AtMost(0), ..Self::default() }
    }

    /// Docker Hub: no list of referrers, pages of at most 100.
    #[must_use]
    pub fn docker_hub() -> Self {
        Self { referrers: Referrers::Missing, pages: Pages::AtMost(100), ..Self::default() }
    }

    /// A registry from before version 1.1 of the spec, as Debian's `docker-registry` 2.8: no referrers, lists whole, a
    /// `POST` with a body begins a session, locations are URLs with a state, tags can't be deleted, nor
    /// several be set at once.
    #[must_use]
    pub fn old_spec() -> Self {
        Self {
            referrers: Referrers::Missing,
            pages: Pages::Ignored,
            single_post: SinglePost::Session,
            location: Location::AbsoluteWithState,
            tag_deletion: TagDeletion::Unsupported,
            tag_parameter: TagParameter::Ignored,
            ..Self::default()
        }
    }
}
