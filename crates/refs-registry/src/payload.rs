//! What an upload sends: bytes that can be read again, or a stream that can't.

use std::{
    fmt::{self, Debug},
    fs::File,
    io,
    path::PathBuf,
    sync::Arc,
};

use bytes::Bytes;
use futures_util::StreamExt;
use refs_url::Digest;

use crate::{ByteStream, Error, Result, Resume, Source, error::Doing, trail::Shared};

/// A body for an upload.
pub enum Payload {
    /// Bytes that can be read again, so that a new token, a redirect or a cut connection costs a retry and not the upload.
    Again(Replay),
    /// A stream that can be read a single time, such as standard input.
    Once(ByteStream),
}

/// Bytes that can be read as often as needed, from any offset on, and are the same each time. An upload that reads others
/// than before ends with the error `Digest`, and leaves nothing behind.
#[derive(Debug, Clone)]
pub enum Replay {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A file.
    File(PathBuf),
    /// A file that is held open, and needs no name.
    Held(Arc<File>),
    /// A blob of another place.
    Blob(Arc<dyn Source>, Digest),
}

impl Payload {
    /// The bytes, from the first one on.
    ///
    /// # Errors
    /// As [`Replay::open`].
    pub async fn open(self) -> Result<ByteStream> {
        match self {
            Self::Once(stream) => Ok(stream),
            Self::Again(replay) => replay.open(0).await,
        }
    }
}

impl Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Again(replay) => f.debug_tuple("Again").field(replay).finish(),
            Self::Once(_) => f.write_str("Once"),
        }
    }
}

impl From<Replay> for Payload {
    fn from(replay: Replay) -> Self {
        Self::Again(replay)
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self::Again(Replay::Bytes(bytes))
    }
}

impl Replay {
    /// The bytes from `offset` on; none when `offset` is beyond the end.
    ///
    /// # Errors
    /// `Io` for a file, the source's own for a blob.
    pub async fn open(&self, offset: u64) -> Result<ByteStream> {
        match self {
            Self::Bytes(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                let rest = bytes.slice(start..);
                Ok(futures_util::stream::iter([Ok(rest)]).boxed())
            }
            Self::File(path) => file_stream(path.clone(), offset).await,
            Self::Held(file) => Ok(held_stream(Arc::clone(file), offset)),
            Self::Blob(source, digest) if offset == 0 => Ok(source.blob(digest, Resume::START).await?.stream),
            Self::Blob(source, digest) => {
                let size = source.stat_blob(digest).await?.unwrap_or(offset);
                Ok(source.blob_part(digest, offset.min(size)..size).await?.stream)
            }
        }
    }

    /// All bytes from where `shared` stands on, for a sender who checks them by that. What verifies them on their way here
    /// does so by the same.
    pub(crate) async fn open_sharing(&self, shared: &Shared) -> Result<ByteStream> {
        let from = shared.resume();
        match self {
            Self::Blob(source, digest) => Ok(source.blob(digest, from).await?.stream),
            _ => self.open(from.offset()).await,
        }
    }
}

const CHUNK_BYTES: usize = 256 * 1024;

/// Reads at offsets, so that no reader moves another one's place in the file.
fn held_stream(file: Arc<File>, offset: u64) -> ByteStream {
    let chunks = futures_util::stream::try_unfold((file, offset), |(file, at)| async move {
        let reading = tokio::task::spawn_blocking(move || {
            let mut chunk = vec![0; CHUNK_BYTES];
            let read = loop {
                match read_at(&file, &mut chunk, at) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    other => break other,
                }
            };
            read.map(|read| {
                chunk.truncate(read);
                (Bytes::from(chunk), file)
            })
        });
        let read = reading.await.unwrap_or_else(|ended| Err(io::Error::other(ended)));
        let (chunk, file) = read.map_err(|source| Error::io(Doing::Read, "a file without a name", source))?;
        let end = at + chunk.len() as u64;
        Ok((!chunk.is_empty()).then_some((chunk, (file, end))))
    });
    chunks.boxed()
}

#[cfg(not(windows))]
fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, at)
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, at)
}

async fn file_stream(path: PathBuf, offset: u64) -> Result<ByteStream> {
    use tokio::io::{AsyncReadExt, AsyncSeekExt};
    let failed = |path: &PathBuf, source| Error::io(Doing::Read, path, source);
    let mut file = tokio::fs::File::open(&path).await.map_err(|source| failed(&path, source))?;
    file.seek(io::SeekFrom::Start(offset)).await.map_err(|source| failed(&path, source))?;
    let chunks = futures_util::stream::try_unfold((file, path), move |(mut file, path)| async move {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        let read = (&mut file).take(CHUNK_BYTES as u64).read_to_end(&mut chunk).await;
        match read.map_err(|source| failed(&path, source))? {
            0 => Ok(None),
            _ => Ok(Some((Bytes::from(chunk), (file, path)))),
        }
    });
    Ok(chunks.boxed())
}
