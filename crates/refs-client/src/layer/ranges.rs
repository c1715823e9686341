//! The one place where a blob is read by ranges.

use std::{ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use refs_estargz::{
    Archive, Error as EstargzError, Expected, OpenOptions, RangeRead, ReadError, TAIL_ANNOTATION, TocPosition,
    ZSTD_TOC_POSITION_ANNOTATION,
};
use refs_registry::{ByteStream, Descriptor, Error as RegistryError, ErrorKind, Source, error::Wanted};
use refs_url::Digest;

use crate::{Error, Result};

/// The blob of a layer, by ranges.
#[derive(Debug, Clone)]
pub(crate) struct Ranges {
    source: Arc<dyn Source>,
    digest: Digest,
    size: u64,
}

#[async_trait]
impl RangeRead for Ranges {
    type Error = RegistryError;

    fn blob_bytes(&self) -> u64 {
        self.size
    }

    async fn read(&self, range: Range<u64>) -> refs_registry::Result<Bytes> {
        let expected = range.end - range.start;
        let mut stream = self.stream(range).await?;
        let mut bytes = BytesMut::new();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk?;
            if chunk.len() as u64 == expected {
                return Ok(chunk);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.freeze())
    }
}

/// A layer whose table of contents is known.
pub(crate) type Indexed = Archive<Ranges>;

impl Ranges {
    pub(crate) fn new(source: Arc<dyn Source>, layer: &Descriptor) -> Self {
        Self { source, digest: layer.digest.clone(), size: layer.size }
    }

    /// The bytes of `range` as they come: exactly as many, or an error.
    ///
    /// # Errors
    /// Those of the source, before or while the bytes come; `Size` for another number of them, or of those of the blob.
    pub(crate) async fn stream(&self, range: Range<u64>) -> refs_registry::Result<ByteStream> {
        let part = match self.source.blob_part(&self.digest, range.clone()).await {
            // That there is no such part may be the fault of a size that is none of the blob's.
            Err(error @ (RegistryError::Refused { status: 416, .. } | RegistryError::Protocol { .. })) => {
                let total = self.source.stat_blob(&self.digest).await.ok().flatten();
                return Err(total.map_or(Ok(()), |total| self.check(total)).err().unwrap_or(error));
            }
            part => part?,
        };
        self.check(part.total)?;
        let exact = Exact { digest: self.digest.clone(), expected: range.end - range.start, actual: 0 };
        let stream = futures_util::stream::try_unfold((part.stream, exact), |(mut stream, mut exact)| async move {
            match stream.next().await.transpose()? {
                Some(chunk) => exact.take(&chunk).map(|()| Some((chunk, (stream, exact)))),
                None => exact.finish().map(|()| None),
            }
        });
        Ok(stream.boxed())
    }

    /// Whether the blob has as many bytes as its descriptor says.
    fn check(&self, actual: u64) -> refs_registry::Result<()> {
        if actual == self.size {
            return Ok(());
        }
        Err(RegistryError::Size { wanted: Wanted::Blob(self.digest.clone()), expected: self.size, actual })
    }

    /// Reads the table of contents of `layer`. `None` when the layer has to be read as a stream: the registry gives no
    /// ranges, the table is not in the blob, or nothing is expected of it and it is no eStargz.
    ///
    /// # Errors
    /// `Estargz`, and those of the source.
    pub(crate) async fn open(self, layer: &Descriptor, expected: Expected<'_>) -> Result<Option<Indexed>> {
        let annotation = |key| layer.annotations.get(key).map(String::as_str);
        let tail_bytes = annotation(TAIL_ANNOTATION).and_then(|bytes| bytes.parse().ok());
        // Beside another digest than its own, a position says nothing.
        let toc_position = match expected {
            Expected::Compressed(_) => annotation(ZSTD_TOC_POSITION_ANNOTATION).and_then(TocPosition::parse),
            Expected::Digest(_) | Expected::Unverified => None,
        };
        let options = OpenOptions { tail_bytes, toc_position, ..OpenOptions::default() };
        match Archive::open(self, expected, &options).await {
            Ok(archive) => Ok(Some(archive)),
            Err(ReadError::Read { source, .. }) if source.kind() == ErrorKind::Unsupported => {
                tracing::warn!("the registry gives no parts of blobs: all of layer {} is read", layer.digest);
                Ok(None)
            }
            Err(ReadError::Layer(EstargzError::ExternalToc)) => Ok(None),
            Err(ReadError::Layer(EstargzError::NotEstargz)) if matches!(expected, Expected::Unverified) => Ok(None),
            Err(error) => Err(read_error(&layer.digest, error)),
        }
    }
}

/// The registry's failure as it is, anything else as one of the layer.
pub(crate) fn read_error(layer: &Digest, error: ReadError<RegistryError>) -> Error {
    match error {
        ReadError::Read { source, .. } => source.into(),
        ReadError::Layer(source) => Error::Estargz { layer: layer.clone(), source },
        // No other length than the one asked for comes out of `Ranges`.
        _ => Error::Worker,
    }
}

/// Counts the bytes of a part.
struct Exact {
    digest: Digest,
    expected: u64,
    actual: u64,
}

impl Exact {
    fn take(&mut self, chunk: &[u8]) -> refs_registry::Result<()> {
        self.actual += chunk.len() as u64;
        if self.actual > self.expected { Err(self.wrong_size()) } else { Ok(()) }
    }

    fn finish(&self) -> refs_registry::Result<()> {
        if self.actual < self.expected { Err(self.wrong_size()) } else { Ok(()) }
    }

    fn wrong_size(&self) -> RegistryError {
        let (expected, actual) = (self.expected, self.actual);
        RegistryError::Size { wanted: Wanted::BlobPart(self.digest.clone()), expected, actual }
    }
}
