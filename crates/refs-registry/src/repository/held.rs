//! What an upload sends, and what for.

use std::ops::Range;

use bytes::Bytes;
use refs_url::Digest;

use super::pieces::Reach;

use crate::{
    Descriptor, Replay, Result,
    transport::{Body, FaultSlot, Proof},
};

/// The bytes that can be sent, as often as needed.
#[derive(Debug)]
pub(super) enum Held<'a> {
    /// A whole blob.
    Blob { replay: &'a Replay, size: u64, proof: Proof, fault: FaultSlot },
    /// What the caller has given since the registry's last word.
    Bytes { start: u64, bytes: Bytes },
}

impl<'a> Held<'a> {
    pub(super) fn blob(blob: &Descriptor, replay: &'a Replay) -> Result<Self> {
        let proof = Proof::new(&blob.digest, blob.size)?;
        Ok(Self::Blob { replay, size: blob.size, proof, fault: FaultSlot::default() })
    }

    /// The rest of a blob, whose beginning somebody else has sent; all of it, should the registry have lost that.
    pub(super) fn rest(blob: &Descriptor, replay: &'a Replay) -> Self {
        let proof = Proof::of_rest(&blob.digest, blob.size);
        Self::Blob { replay, size: blob.size, proof, fault: FaultSlot::default() }
    }

    /// Whether all that was sent in the last session was checked here.
    pub(super) fn is_checked(&self) -> bool {
        match self {
            Self::Blob { proof, .. } => proof.is_of_all(),
            Self::Bytes { .. } => true,
        }
    }

    pub(super) const fn start(&self) -> u64 {
        match self {
            Self::Blob { .. } => 0,
            Self::Bytes { start, .. } => *start,
        }
    }

    pub(super) const fn end(&self) -> u64 {
        match self {
            Self::Blob { size, .. } => *size,
            Self::Bytes { start, bytes } => *start + bytes.len() as u64,
        }
    }

    pub(super) fn body(&self, range: Range<u64>) -> Body {
        match self {
            Self::Blob { replay, proof, fault, .. } => {
                Body::Part { replay: (*replay).clone(), range, proof: proof.clone(), fault: fault.clone() }
            }
            Self::Bytes { start, bytes } => {
                let at =
                    |offset: u64| usize::try_from(offset.saturating_sub(*start)).unwrap_or(usize::MAX).min(bytes.len());
                Body::Bytes(bytes.slice(at(range.start)..at(range.end)))
            }
        }
    }
}

/// What an upload is to come to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Goal<'a> {
    /// What is held is acknowledged, but for less than a piece.
    SoFar,
    /// What is held ends the blob with this digest.
    Blob(&'a Digest),
}

impl Goal<'_> {
    pub(super) const fn reach(self) -> Reach {
        match self {
            Self::SoFar => Reach::SoFar,
            Self::Blob(_) => Reach::ToTheEnd,
        }
    }
}
