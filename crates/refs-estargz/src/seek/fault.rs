//! What is wrong with an index, or with what it is held against.

/// Why a [`seek::Index`](crate::seek::Index) is of no use, or not for this blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SeekFault {
    /// The bytes do not begin as an index does.
    #[error("it is no seek index")]
    NotIndex,
    /// It is of a version that is not known.
    #[error("it has version {version}, expected 1")]
    Version {
        /// The version found.
        version: u8,
    },
    /// Its bytes are not those that were written.
    #[error("its checksum does not hold")]
    Checksum,
    /// It is the index of another blob.
    #[error("it is of another blob")]
    OtherBlob,
    /// It, or the table of entries in it, is larger than any index may be.
    #[error("it is too large")]
    Large,
    /// A value in it can't be.
    #[error("its {0} can't be")]
    Field(&'static str),
    /// The blob does not inflate to what it says, or can't be inflated.
    #[error("what it says of the archive from byte {offset} on does not hold")]
    Span {
        /// Where the first byte is that was checked, in bytes of the archive.
        offset: u64,
    },
    /// The bytes of the blob ended before the range that was wanted.
    #[error("the blob ended before byte {offset} of the archive could be checked")]
    Short {
        /// How far it was inflated, in bytes of the archive.
        offset: u64,
    },
}

impl From<SeekFault> for crate::Error {
    fn from(fault: SeekFault) -> Self {
        Self::Seek { fault }
    }
}
