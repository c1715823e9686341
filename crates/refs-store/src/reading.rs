//! Bytes of files as streams: read and hashed off the threads that run async code, a piece ahead of whoever takes them. What
//! need not be hashed and is in memory, as a file is that was read lately, is read where it is wanted: that takes less time
//! than to have a thread do it.

use std::{fs::File, ops::Range, path::Path, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use refs_registry::{ByteStream, Result, Verify};
use tokio::task::JoinHandle;

use crate::{
    file::{blocking, joined, read_at_hand, read_chunk},
    pieces,
};

/// What is done when the bytes have passed.
pub(crate) type Passed = Box<dyn FnOnce(&File) + Send>;

/// The bytes `range` of `file`, whose name is `path`; a file that ends within them is corrupt.
pub(crate) fn read_range(file: Arc<File>, path: Arc<Path>, range: Range<u64>) -> ByteStream {
    Reading::new(file, path, range, None).stream()
}

/// The bytes `range` of `file`, which end with an error unless they pass `verify`.
pub(crate) fn read_verified(file: Arc<File>, path: Arc<Path>, range: Range<u64>, verify: Verify) -> ByteStream {
    Reading::new(file, path, range, Some((verify, Box::new(|_| {})))).stream()
}

/// The first bytes of `range` of `file`, one piece at most.
pub(crate) async fn read_piece(file: Arc<File>, path: Arc<Path>, range: Range<u64>) -> Result<Bytes> {
    let place = Arc::clone(&path);
    blocking(&place, move || read_chunk(&file, &path, &range)).await
}

/// Bytes of a file that are about to be read.
pub(crate) struct Reading {
    file: Arc<File>,
    path: Arc<Path>,
    rest: Range<u64>,
    check: Option<(Verify, Passed)>,
}

/// What has begun to be read, by a thread that may wait for the disk.
pub(crate) struct Begun(State);

impl Begun {
    /// All of the bytes.
    pub(crate) fn stream(self) -> ByteStream {
        let pieces = stream::try_unfold(self.0, |state| async move {
            let (coming, path) = match state {
                State::Begin(mut reading) => match reading.at_hand() {
                    Some(piece) => return Ok(Some((piece, reading.state()))),
                    None => reading.begin(),
                },
                State::Read(piece, ended) => return Ok(Some((piece, State::Ended(ended)))),
                State::Coming(coming, path) => (coming, path),
                State::Ended(ended) => return ended.map(|()| None),
            };
            let (piece, next) = joined(&path, coming).await?;
            let state = match next {
                Next::More(reading) => {
                    let (coming, path) = reading.begin();
                    State::Coming(coming, path)
                }
                Next::Nothing(ended) => State::Ended(ended),
            };
            Ok(Some((piece, state)))
        });
        pieces.boxed()
    }
}

/// What follows a piece.
enum Next {
    More(Box<Reading>),
    Nothing(Result<()>),
}

enum State {
    Begin(Box<Reading>),
    /// All of it, and the verdict.
    Read(Bytes, Result<()>),
    Coming(JoinHandle<Result<(Bytes, Next)>>, Arc<Path>),
    Ended(Result<()>),
}

impl Reading {
    /// The bytes `range` of `file`, whose name is `path`, which have to pass a check, if there is one.
    pub(crate) fn new(file: Arc<File>, path: Arc<Path>, range: Range<u64>, check: Option<(Verify, Passed)>) -> Self {
        Self { file, path, rest: range, check }
    }

    /// Reads it here and now, if it is so short that no reader holds less at a time.
    pub(crate) fn begun(self) -> Begun {
        let is_short = self.rest.end - self.rest.start <= pieces::LEAST_BYTES as u64;
        if self.rest.is_empty() || !is_short {
            return Begun(self.state());
        }
        Begun(match Box::new(self).step() {
            Ok((piece, Next::Nothing(ended))) => State::Read(piece, ended),
            // A piece has all that is so short.
            Ok((_, Next::More(reading))) => State::Begin(reading),
            Err(error) => State::Ended(Err(error)),
        })
    }

    fn stream(self) -> ByteStream {
        Begun(self.state()).stream()
    }

    fn state(self) -> State {
        if self.rest.is_empty() { State::Ended(self.end()) } else { State::Begin(Box::new(self)) }
    }

    /// The next bytes, if they are in memory and nobody hashes them.
    fn at_hand(&mut self) -> Option<Bytes> {
        if self.check.is_some() {
            return None;
        }
        let piece = read_at_hand(&self.file, &self.rest)?;
        self.rest.start += piece.len() as u64;
        Some(piece)
    }

    fn begin(self: Box<Self>) -> (JoinHandle<Result<(Bytes, Next)>>, Arc<Path>) {
        let path = Arc::clone(&self.path);
        (tokio::task::spawn_blocking(move || self.step()), path)
    }

    /// Reads a piece, and with the last one comes to the verdict.
    fn step(mut self: Box<Self>) -> Result<(Bytes, Next)> {
        let piece = read_chunk(&self.file, &self.path, &self.rest)?;
        self.rest.start += piece.len() as u64;
        if let Some((verify, _)) = &mut self.check {
            verify.update(&piece)?;
        }
        let next = if self.rest.is_empty() { Next::Nothing(self.end()) } else { Next::More(self) };
        Ok((piece, next))
    }

    fn end(self) -> Result<()> {
        let Some((verify, passed)) = self.check else { return Ok(()) };
        verify.finish()?;
        passed(&self.file);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::fs::FileExt,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use futures_util::TryStreamExt;
    use refs_registry::{ErrorKind, Resume};
    use refs_url::Digest;

    use super::*;

    /// Reads a file of `bytes` as the content that `digest` names, and gives how often it passed.
    async fn read(bytes: &[u8], size: usize, digest: &Digest) -> Result<usize, ErrorKind> {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(bytes, 0).unwrap();
        let times = Arc::new(AtomicUsize::new(0));
        let (counted, size) = (Arc::clone(&times), size as u64);
        let passed = Box::new(move |_: &File| {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let verify = Verify::new(digest, size, Resume::START).unwrap();
        let path: Arc<Path> = Path::new("file").into();
        let stream = Reading::new(file.into(), path, 0..size, Some((verify, passed))).begun().stream();
        let pieces: Vec<Bytes> = stream.try_collect().await.map_err(|error| error.kind())?;
        assert_eq!(pieces.concat(), bytes);
        Ok(times.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn what_passes_is_told_of_once_and_what_does_not_is_an_error() {
        let large = vec![7; 1_000_000];
        for bytes in [&b""[..], b"a", &large] {
            assert_eq!(read(bytes, bytes.len(), &Digest::sha256(bytes)).await, Ok(1));
            assert_eq!(read(bytes, bytes.len(), &Digest::sha256(b"other")).await, Err(ErrorKind::Digest));
            assert_eq!(read(bytes, bytes.len() + 1, &Digest::sha256(bytes)).await, Err(ErrorKind::Corrupt));
        }
    }
    #[tokio::test]
    async fn what_is_not_hashed_comes_as_it_is_and_as_far_as_it_goes() {
        let large: Vec<u8> = (0..1_000_000_u32).map(|number| number as u8).collect();
        let file = Arc::new(tempfile::tempfile().unwrap());
        file.write_all_at(&large, 0).unwrap();
        let read = async |range| {
            let stream = read_range(Arc::clone(&file), Path::new("file").into(), range);
            stream.try_collect::<Vec<Bytes>>().await.map(|pieces| pieces.concat()).map_err(|error| error.kind())
        };
        for range in [0..0, 0..1, 0..1_000_000, 999_999..1_000_000, 300_000..900_001] {
            let expected = &large[range.start as usize..range.end as usize];
            assert!(read(range.clone()).await.unwrap() == expected, "{range:?}");
        }
        assert_eq!(read(999_990..1_000_001).await, Err(ErrorKind::Corrupt));
    }
}
