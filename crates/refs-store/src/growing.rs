//! Content that is read while it comes in.

use std::{fs::File, path::Path, sync::Arc};

use bytes::Bytes;
use refs_registry::Result;
use refs_url::{Digest, Hasher};
use tokio::sync::watch;

use crate::{
    file::{blocking, each_chunk, hold},
    reading::read_piece,
};

/// What has come of the bytes of a [`Fill`](crate::Fill) so far, for readers who do not wait for the rest. Nothing vouches
/// for it before all has come. A clone is of the same fill.
#[derive(Debug, Clone)]
pub struct Growing(watch::Receiver<Grown>);

/// Tells readers that more has come. When it is dropped, nothing more will.
#[derive(Debug)]
pub(crate) struct Grows(watch::Sender<Grown>);

#[derive(Debug, Clone, Default)]
struct Grown {
    file: Option<(Arc<File>, Arc<Path>)>,
    bytes: u64,
}

impl Grown {
    fn reaches_beyond(&self, offset: u64) -> bool {
        self.file.is_some() && self.bytes > offset
    }
}

/// Content of which nothing has come yet.
pub(crate) fn growing() -> (Grows, Growing) {
    let (sender, receiver) = watch::channel(Grown::default());
    (Grows(sender), Growing(receiver))
}

impl Grows {
    /// So many bytes are in `file`, whose name is `path`. Whoever has it open keeps nobody from writing.
    pub(crate) fn begin(&self, file: File, path: &Path, bytes: u64) {
        self.0.send_replace(Grown { file: Some((Arc::new(file), path.into())), bytes });
    }

    /// The file has a name that it may lose: as long as there are readers, it does not.
    pub(crate) fn hold(&self) {
        if let Some((file, path)) = &self.0.borrow().file {
            hold(file, path);
        }
    }

    /// So many bytes are there by now.
    pub(crate) fn note(&self, bytes: u64) {
        self.0.send_modify(|grown| grown.bytes = bytes);
    }
}

impl Growing {
    /// Whether nothing more will come.
    pub(crate) fn has_ended(&self) -> bool {
        self.0.has_changed().is_err()
    }

    /// The next bytes from `start` on, once there are any; `None` when nothing more will come.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) async fn piece(&mut self, start: u64) -> Result<Option<Bytes>> {
        loop {
            let Grown { file, bytes } = self.0.borrow_and_update().clone();
            if let Some((file, path)) = file
                && start < bytes
            {
                return read_piece(file, path, start..bytes).await.map(Some);
            }
            let has_ended = self.0.changed().await.is_err();
            if has_ended && !self.0.borrow().reaches_beyond(start) {
                return Ok(None);
            }
        }
    }

    /// A hasher like that of `digest` which has taken in the first `end` bytes, all of which have come. `None` when there is
    /// no such.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) async fn hashed(&self, digest: &Digest, end: u64) -> Result<Option<Hasher>> {
        let Some(mut hasher) = Hasher::for_digest(digest) else { return Ok(None) };
        let Some((file, path)) = self.0.borrow().file.clone() else { return Ok((end == 0).then_some(hasher)) };
        let place = Arc::clone(&path);
        blocking(&place, move || {
            each_chunk(&file, &path, 0..end, |chunk| {
                hasher.update(chunk);
                Ok(())
            })?;
            Ok(Some(hasher))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[tokio::test]
    async fn what_comes_is_read_as_it_comes_and_no_further() -> Result<()> {
        let (file, (grows, mut growing)) = (tempfile::tempfile().unwrap(), growing());
        file.write_all_at(b"hello world", 0).unwrap();
        grows.begin(file, Path::new("file"), 5);
        assert_eq!(growing.piece(0).await?.unwrap(), "hello");
        let mut late = growing.clone();
        let (piece, ()) = tokio::join!(growing.piece(5), async { grows.note(11) });
        assert_eq!(piece?.unwrap(), " world");
        assert!(!growing.has_ended());
        drop(grows);
        assert_eq!(late.piece(0).await?.unwrap(), "hello world");
        assert_eq!((growing.piece(11).await?, growing.has_ended()), (None, true));
        let hashed = growing.hashed(&Digest::sha256(b""), 5).await?.unwrap();
        assert_eq!(hashed.finish(), Digest::sha256(b"hello"));
        Ok(())
    }
}
