//! What is known of a place beforehand.

/// What a place can do. The default is all that the traits offer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// Whether anything can be written or deleted. Where not, the rest of this is about content that came another way.
    pub writes: Support,
    /// Whether manifests can be deleted, by digest.
    pub manifest_deletion: Support,
    /// Whether a tag can be deleted, and its manifest stays.
    pub tag_deletion: Support,
    /// Whether blobs can be deleted.
    pub blob_deletion: Support,
    /// Whether a manifest is refused that refers to blobs which are not there.
    pub missing_blobs_refused: Support,
    /// Whether an upload that broke off goes on where it ended.
    pub resumed_uploads: Support,
    /// Whether blobs and manifests are stored by sha512.
    pub sha512: Support,
    /// Whether the repositories are listed.
    pub catalog: Support,
    /// Where the list of referrers is.
    pub referrers: Referrers,
    /// What comes of asking for the tags after one.
    pub tags_after: Listed,
    /// What comes of mounting a blob that is in another repository.
    pub mounts: Mounts,
    /// What comes of asking for a manifest by a digest that nothing has.
    pub unknown_digest: Unknown,
    /// What becomes of manifests with the same subject that are put at the same time.
    pub writers: Writers,
}

/// Whether a place can do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Support {
    /// It can, and does.
    #[default]
    Supported,
    /// It cannot, and says so with an error of a kind to act on.
    Unsupported,
}

/// Where the list of referrers of a manifest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Referrers {
    /// The place keeps it.
    #[default]
    Api,
    /// Clients keep it, in an index under a tag.
    Tag,
}

/// What comes of asking for the tags after one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Listed {
    /// Those after it.
    #[default]
    Rest,
    /// All of them, in an order of the place's own.
    Whole,
}

/// What comes of mounting a blob that is in another repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mounts {
    /// It is mounted.
    #[default]
    Mounted,
    /// An upload begins, and the bytes have to be sent.
    Upload,
}

/// What comes of asking for a manifest by a digest that nothing has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unknown {
    /// It is not found.
    #[default]
    NotFound,
    /// The place fails: a status of 500 or more on a registry.
    Failure,
}

/// What becomes of manifests with the same subject that are put at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Writers {
    /// All of them are listed as its referrers.
    #[default]
    AllListed,
    /// Some may not be, until they are put again.
    Race,
}
