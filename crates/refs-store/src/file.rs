//! Files, off the threads that run async code.

use std::{
    fs::{File, OpenOptions},
    io,
    ops::Range,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

use bytes::Bytes;
use refs_registry::{Error, Result, Resume, Verify, error::Doing};
use refs_url::Digest;
#[cfg(target_os = "linux")]
use rustix::io::{ReadWriteFlags, preadv2};
use rustix::{fs::OFlags, io::Errno};
use tokio::task::JoinError;

use crate::pieces;

/// Runs `work`, which waits for the disk at `path`, on a thread that may wait.
pub(crate) async fn blocking<T, F>(path: &Path, work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T> + Send + 'static,
{
    joined(path, tokio::task::spawn_blocking(work)).await
}

/// What came of work on a thread, which waited for the disk at `path`.
pub(crate) async fn joined<T, J>(path: &Path, thread: J) -> Result<T>
where
    J: Future<Output = std::result::Result<Result<T>, JoinError>>,
{
    match thread.await {
        Ok(result) => result,
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(shut_down) => Err(Error::io(Doing::Read, path, io::Error::other(shut_down))),
        },
    }
}

/// Why work on a thread that was not waited for did not come to its end.
#[derive(Debug, thiserror::Error)]
#[error("this process stops working")]
pub(crate) struct Stopped;

/// Whether it is only that this process stops working, which says nothing about the disk.
pub(crate) fn is_shut_down(error: &Error) -> bool {
    let source = if let Error::Io { source, .. } = error { source.get_ref() } else { None };
    source.is_some_and(|source| source.is::<JoinError>() || source.is::<Stopped>())
}

/// Options that open the file that has its name itself: a link is an error, and a pipe is not waited for.
pub(crate) fn itself(options: &mut OpenOptions) -> &mut OpenOptions {
    options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32)
}

/// Opens the file that has its name itself: a link is not followed, and a pipe without a writer is not waited for.
/// `None` when there is no such file.
pub(crate) fn open_file(options: &mut OpenOptions, path: &Path) -> Result<Option<(File, u64)>> {
    let file = match itself(options).open(path) {
        Ok(file) => file,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::LOOP) => {
            return Err(corrupt(path, "it is a symbolic link"));
        }
        Err(error) => return Err(Error::io(Doing::Read, path, error)),
    };
    let metadata = file.metadata().map_err(|error| Error::io(Doing::Read, path, error))?;
    if !metadata.is_file() {
        return Err(corrupt(path, "it is not a file"));
    }
    Ok(Some((file, metadata.len())))
}

/// Makes sure that the file at `path` is not evicted as long as `file` is open. Where there are no such locks, who reads it
/// reads on.
pub(crate) fn hold(file: &File, path: &Path) {
    if let Err(error) = file.try_lock_shared() {
        tracing::trace!(path = %path.display(), %error, "it may be evicted while it is read");
    }
}

/// That a file of `size` bytes may be the content: what a power cut leaves of one is often nothing, which who asks for its size,
/// or for a part, would not find out.
///
/// # Errors
/// `Digest`.
pub(crate) fn unless_emptied(digest: &Digest, size: u64) -> Result<()> {
    match size {
        0 => Verify::new(digest, 0, Resume::START)?.finish(),
        _ => Ok(()),
    }
}

/// A name that no file system takes is one that no file has; and below a file there is nothing.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | InvalidFilename | NotADirectory)
}

pub(crate) fn corrupt(path: &Path, fault: impl Into<String>) -> Error {
    Error::Corrupt { path: path.to_owned(), fault: fault.into() }
}

/// The first bytes of `range` of `file`, whose name is `path`, one piece at most; a file that ends within them is corrupt.
pub(crate) fn read_chunk(file: &File, path: &Path, range: &Range<u64>) -> Result<Bytes> {
    let wanted = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
    pieces::filled(wanted, |chunk| {
        let mut filled = 0;
        while filled < chunk.len() {
            match file.read_at(&mut chunk[filled..], range.start + filled as u64) {
                Ok(0) => return Err(corrupt(path, format!("it ends before byte {}", range.end))),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io(Doing::Read, path, error)),
            }
        }
        Ok(())
    })
}

/// The first bytes of `range` of `file`, one piece at most, as far as the system has them in memory: nothing waits for the
/// disk. `None` where it has none, or does not say.
#[cfg(target_os = "linux")]
pub(crate) fn read_at_hand(file: &File, range: &Range<u64>) -> Option<Bytes> {
    let wanted = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
    let mut filled = 0;
    let piece = pieces::filled(wanted, |piece| {
        let pieces = &mut [io::IoSliceMut::new(piece)];
        filled = preadv2(file, pieces, range.start, ReadWriteFlags::NOWAIT)?;
        Ok::<_, Errno>(())
    });
    piece.ok().filter(|_| filled > 0).map(|piece| piece.slice(..filled))
}

/// Nothing: this system does not say what it has in memory.
#[cfg(not(target_os = "linux"))]
pub(crate) fn read_at_hand(_file: &File, _range: &Range<u64>) -> Option<Bytes> {
    None
}

/// Feeds the bytes `range` of `file` to `take`, chunk by chunk, as long as it takes them.
pub(crate) fn each_chunk<F>(file: &File, path: &Path, range: Range<u64>, mut take: F) -> Result<()>
where
    F: FnMut(&[u8]) -> Result<()>,
{
    let mut rest = range;
    while !rest.is_empty() {
        let chunk = read_chunk(file, path, &rest)?;
        take(&chunk)?;
        rest.start += chunk.len() as u64;
    }
    Ok(())
}
