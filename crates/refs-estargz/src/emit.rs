//! Takes members in order and knows where each starts.

use std::{io::Write, sync::Arc};

use refs_url::{Digest, Hasher};

use crate::{Error, Result};

/// Writes members to the blob, and computes the digests of the blob and of the archive in it.
#[derive(Debug)]
pub(crate) struct Emitter<W> {
    output: W,
    blob: Hasher,
    blob_bytes: u64,
    tar: Hasher,
    tar_bytes: u64,
}

/// What was emitted.
#[derive(Debug)]
pub(crate) struct Emitted {
    pub(crate) digest: Digest,
    pub(crate) bytes: u64,
    pub(crate) tar_digest: Digest,
    pub(crate) tar_bytes: u64,
}

impl<W: Write> Emitter<W> {
    pub(crate) fn new(output: W) -> Self {
        Self { output, blob: Hasher::sha256(), blob_bytes: 0, tar: Hasher::sha256(), tar_bytes: 0 }
    }

    /// Where the next member starts in the blob.
    pub(crate) fn offset(&self) -> u64 {
        self.blob_bytes
    }

    /// Writes a member that holds `raw`, a part of the archive.
    pub(crate) fn emit(&mut self, raw: &[u8], member: &[u8]) -> Result<()> {
        self.tar.update(raw);
        self.tar_bytes += raw.len() as u64;
        self.blob.update(member);
        self.blob_bytes += member.len() as u64;
        self.output.write_all(member).map_err(write_error)
    }

    pub(crate) fn finish(mut self) -> Result<Emitted> {
        self.output.flush().map_err(write_error)?;
        Ok(Emitted {
            digest: self.blob.finish(),
            bytes: self.blob_bytes,
            tar_digest: self.tar.finish(),
            tar_bytes: self.tar_bytes,
        })
    }
}

/// The error of an output, or of an encoder, that takes no more.
pub(crate) fn write_error(source: std::io::Error) -> Error {
    Error::Write { source: Arc::new(source) }
}
