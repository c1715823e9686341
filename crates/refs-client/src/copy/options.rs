//! What to copy, and how.

use std::{
    fmt,
    num::{NonZeroU64, NonZeroUsize},
    sync::Arc,
};

use refs_registry::{MediaType, Platform};

use crate::{Children, Result};

/// What to copy, and how.
#[derive(Debug, Clone)]
pub struct CopyOptions {
    /// What of an index to copy; all of it.
    pub platforms: Platforms,
    /// What to copy of what refers to the manifests; all of it.
    pub referrers: Referrers,
    /// What to do about layers that are fetched from elsewhere; they are left there.
    pub foreign: Foreign,
    /// Who says what a manifest leads to; [`manifest_digests`](crate::manifest_digests) when `None`.
    pub children: Option<ChildrenBy>,
    /// Blobs that are on their way at once; 4. Those of less than a mebibyte count half.
    pub blobs_at_once: NonZeroUsize,
    /// A longer blob is sent to a registry in pieces of so many bytes, after each of which another copy can go on with it;
    /// 64 MiB. It is sent as one by a client without a store, where nobody would know of the pieces, and to a registry that
    /// takes no pieces of that length.
    pub piece_bytes: NonZeroU64,
    /// Whether anything is written; it is.
    pub mode: Mode,
}

impl Default for CopyOptions {
    fn default() -> Self {
        const AT_ONCE: NonZeroUsize = NonZeroUsize::new(4).unwrap();
        const PIECE_BYTES: NonZeroU64 = NonZeroU64::new(64 << 20).unwrap();
        Self {
            platforms: Platforms::All,
            referrers: Referrers::All,
            foreign: Foreign::Leave,
            children: None,
            blobs_at_once: AT_ONCE,
            piece_bytes: PIECE_BYTES,
            mode: Mode::Copy,
        }
    }
}

/// What of an index to copy. For each platform the image is the one that suits it best, as a pull finds it; a platform that
/// none suits is an error before anything is written. An image that is in no index is copied as it is if it suits one of the
/// platforms, by its config or by the layout that lists it; an artifact that is no image suits them all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Platforms {
    /// The index, and all that it lists.
    #[default]
    All,
    /// The image for a platform, by itself: the tag leads to the image, and the index stays behind, with what refers to it
    /// ([`Copied::left_behind`](super::Copied::left_behind)).
    Image(Box<Platform>),
    /// The index byte for byte, under its own digest, and of the images that it lists only those for these platforms, with
    /// their attestations. Registries that want all that an index lists refuse it. Of no platform: the index alone.
    Sparse(Vec<Platform>),
    /// A new index, under a digest of its own, that lists the images for these platforms, with their attestations, and
    /// nothing else. What refers to the old one, such as its signature, is not about the new one, and stays behind
    /// ([`Copied::left_behind`](super::Copied::left_behind)).
    Rewritten(Vec<Platform>),
}

/// What to copy of what refers to the manifests that are copied, and of what refers to that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Referrers {
    /// All.
    #[default]
    All,
    /// Those of this artifact type, and what is of the same type and refers to them.
    OfType(MediaType),
    /// Nothing.
    None,
}

/// What to do about layers that are fetched from elsewhere, or are not for everyone to pass on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Foreign {
    /// They stay where they are: a destination need not have them.
    #[default]
    Leave,
    /// They are copied as all others, where the source has them.
    Copy,
}

/// Whether a copy writes anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// It does.
    #[default]
    Copy,
    /// It finds out what there would be to do, and writes nothing.
    DryRun,
}

/// A function of the caller's own that says what a manifest leads to, by its media type and its bytes.
#[derive(Clone)]
pub struct ChildrenBy(Arc<Function>);

type Function = dyn Fn(&MediaType, &[u8]) -> Result<Children> + Send + Sync;

impl ChildrenBy {
    /// Has `children` asked for every manifest. It can leave those of common types to
    /// [`manifest_digests`](crate::manifest_digests).
    #[must_use]
    pub fn new(children: impl Fn(&MediaType, &[u8]) -> Result<Children> + Send + Sync + 'static) -> Self {
        Self(Arc::new(children))
    }

    pub(super) fn of(&self, media_type: &MediaType, raw: &[u8]) -> Result<Children> {
        (self.0)(media_type, raw)
    }
}

impl fmt::Debug for ChildrenBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChildrenBy")
    }
}
