//! What a layer is known by once it is written.

use refs_url::Digest;

use crate::{TAIL_ANNOTATION, TOC_DIGEST_ANNOTATION, UNCOMPRESSED_SIZE_ANNOTATION};

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The digest of the blob.
    pub digest: Digest,
    /// How many bytes the blob has.
    pub size: u64,
    /// The digest of the tar archive in it, for the image's configuration.
    pub diff_id: Digest,
    /// The digest of the table of contents, for [`TOC_DIGEST_ANNOTATION`].
    pub toc_digest: Digest,
    /// How many bytes the tar archive has, for [`UNCOMPRESSED_SIZE_ANNOTATION`].
    pub uncompressed_size: u64,
    /// How many bytes at the end hold hot files, table and footer, for [`TAIL_ANNOTATION`].
    pub tail_bytes: u64,
    /// How many entries were appended.
    pub entries: u64,
}

impl Built {
    /// The annotations to put on the layer's descriptor, so that readers can verify the table of contents and find it at
    /// once.
    pub fn annotations(&self) -> [(&'static str, String); 3] {
        [
            (TOC_DIGEST_ANNOTATION, self.toc_digest.to_string()),
            (UNCOMPRESSED_SIZE_ANNOTATION, self.uncompressed_size.to_string()),
            (TAIL_ANNOTATION, self.tail_bytes.to_string()),
        ]
    }
}
