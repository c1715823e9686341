//! Sends the layer of a directory: while it is being packed, or not at all when the registry has it.

use std::{
    io::{self, Write},
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use refs_estargz::Built;
use refs_registry::{Descriptor, Payload, Sent, Sink};
use refs_store::Spool;
use refs_url::Tag;
use tokio::sync::mpsc;

use crate::{
    Error, Meter, PushOptions, Result,
    pack::{Plan, write_layer},
    unchanged::seems_unchanged,
    upload::{self, JournalAt, LayerUpload, is_full, is_passing},
};

/// A layer up to this size is kept in memory, so that a registry which has it is sent nothing, and a failed upload is
/// simply sent again.
const SMALL_LAYER_BYTES: usize = 4 << 20;
const PIECE_BYTES: usize = 256 << 10;
/// So many wait while the upload takes none: one that sends 8 MiB at a time finds the next 8 packed when it is done.
const PIECES_IN_FLIGHT: usize = 32;

/// Packs `plan` and makes it a blob of `sink`, whose `tag` may lead to the same files already.
pub(crate) async fn send_layer(
    sink: &Arc<dyn Sink>,
    tag: &Tag,
    plan: &Arc<Plan>,
    meter: &Arc<Meter>,
    journal: Option<&JournalAt>,
    options: &PushOptions,
) -> Result<(Built, Sent)> {
    let (mut attempt, mut foresight) = (1, Foresight::Ask);
    loop {
        meter.expect(plan.bytes());
        let packing = Packing::start(Arc::clone(plan), Arc::clone(meter), options.pack.level);
        match packing.send(sink, tag, journal, options, foresight).await {
            Ok(sent) => return Ok(sent),
            Err(Unsent::Broken(error)) if attempt < options.stream_attempts && may_pass(&error) => {
                tracing::warn!(attempt, %error, "the upload broke; packing and sending again");
                attempt += 1;
            }
            Err(Unsent::Stale) => tracing::debug!("an earlier upload was of something else; packing and sending anew"),
            Err(Unsent::Unkept(error)) => {
                tracing::debug!(%error, "the layer can't be kept until it is known; packing and sending it");
            }
            Err(Unsent::Broken(error)) => return Err(error.into()),
            Err(Unsent::Failed(error)) => return Err(error),
        }
        foresight = Foresight::Changed;
    }
}

/// What is known of a layer before its digest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Foresight {
    /// Nothing yet; the tag may tell.
    Ask,
    /// It is to be taken for one that the registry lacks.
    Changed,
}

/// Why a layer was not sent.
enum Unsent {
    /// The stream of its bytes broke.
    Broken(refs_registry::Error),
    /// An earlier upload was gone on with that was of other bytes. It is forgotten now.
    Stale,
    /// There is no room for it on this side.
    Unkept(refs_registry::Error),
    /// Anything else. The registry's own requests have been repeated by then.
    Failed(Error),
}

impl From<Error> for Unsent {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<refs_registry::Error> for Unsent {
    fn from(error: refs_registry::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<upload::Unsent> for Unsent {
    fn from(unsent: upload::Unsent) -> Self {
        match unsent {
            upload::Unsent::Broken(error) => Self::Broken(error),
            upload::Unsent::Stale => Self::Stale,
        }
    }
}

/// Whether sending the layer again may help.
const fn may_pass(error: &refs_registry::Error) -> bool {
    // What was too long for one request goes in pieces when it is sent again.
    let is_too_long = matches!(error, refs_registry::Error::Refused { status: 413, .. });
    is_too_long || is_passing(error.kind()) && !is_full(error)
}

/// A layer being packed on threads of its own, piece by piece.
struct Packing {
    plan: Arc<Plan>,
    meter: Arc<Meter>,
    /// The first pieces, as far as they were taken.
    head: Vec<Bytes>,
    pieces: mpsc::Receiver<Bytes>,
    done: tokio::task::JoinHandle<Result<Built>>,
}

impl Packing {
    fn start(plan: Arc<Plan>, meter: Arc<Meter>, level: u32) -> Self {
        let (sender, pieces) = mpsc::channel(PIECES_IN_FLIGHT);
        let out = PieceWriter { sender, piece: BytesMut::with_capacity(PIECE_BYTES) };
        let (packed, packing) = (Arc::clone(&plan), Arc::clone(&meter));
        let done = tokio::task::spawn_blocking(move || write_layer(&packed, out, &packing, level));
        Self { plan, meter, head: Vec::new(), pieces, done }
    }

    async fn send(
        mut self,
        sink: &Arc<dyn Sink>,
        tag: &Tag,
        journal: Option<&JournalAt>,
        options: &PushOptions,
        foresight: Foresight,
    ) -> Result<(Built, Sent), Unsent> {
        if self.is_small().await {
            let head = self.head.concat();
            return self.put(sink.as_ref(), Payload::from(Bytes::from(head)), options).await;
        }
        if foresight == Foresight::Ask && seems_unchanged(Arc::clone(sink) as _, tag, &self.plan).await {
            self.keep(sink.as_ref(), options).await
        } else {
            self.stream(sink.as_ref(), journal).await
        }
    }

    /// Takes the first pieces; whether these are all.
    async fn is_small(&mut self) -> bool {
        let mut bytes = 0;
        while let Some(piece) = self.pieces.recv().await {
            bytes += piece.len();
            self.head.push(piece);
            if bytes > SMALL_LAYER_BYTES {
                return false;
            }
        }
        true
    }

    /// Sends what was kept, once its digest is known, to a registry that lacks it.
    async fn put(self, sink: &dyn Sink, kept: Payload, options: &PushOptions) -> Result<(Built, Sent), Unsent> {
        let meter = Arc::clone(&self.meter);
        let built = self.built().await?;
        let descriptor = Descriptor::new(options.layer_type.clone(), built.digest.clone(), built.size);
        let sent = sink.put_blob(&descriptor, kept).await?;
        if sent == Sent::Present {
            meter.add_skipped(built.size);
        }
        Ok((built, sent))
    }

    /// Keeps all pieces on disk.
    async fn keep(mut self, sink: &dyn Sink, options: &PushOptions) -> Result<(Built, Sent), Unsent> {
        let mut spool = Spool::create().await.map_err(Unsent::Unkept)?;
        for piece in std::mem::take(&mut self.head) {
            spool.write(piece).await.map_err(Unsent::Unkept)?;
        }
        while let Some(piece) = self.pieces.recv().await {
            spool.write(piece).await.map_err(Unsent::Unkept)?;
        }
        self.put(sink, Payload::Again(spool.replay()), options).await
    }

    /// Sends all pieces as they come.
    async fn stream(mut self, sink: &dyn Sink, journal: Option<&JournalAt>) -> Result<(Built, Sent), Unsent> {
        let mut upload = LayerUpload::open(sink, journal).await?;
        if let Err(unsent) = self.feed(&mut upload).await {
            return abandon(upload, unsent.into()).await;
        }
        let built = match self.built().await {
            Ok(built) => built,
            Err(error) => return abandon(upload, error.into()).await,
        };
        let present = match sink.stat_blob(&built.digest).await {
            Ok(size) => size == Some(built.size),
            Err(error) => return abandon(upload, error.into()).await,
        };
        if present {
            upload.abort().await;
            return Ok((built, Sent::Present));
        }
        upload.commit(&built.digest).await?;
        Ok((built, Sent::Uploaded))
    }

    async fn feed(&mut self, upload: &mut LayerUpload) -> Result<(), upload::Unsent> {
        for piece in std::mem::take(&mut self.head) {
            upload.write(piece).await?;
        }
        while let Some(piece) = self.pieces.recv().await {
            upload.write(piece).await?;
        }
        Ok(())
    }

    async fn built(self) -> Result<Built> {
        self.done.await.map_err(|_panicked| Error::Worker)?
    }
}

/// Gives the upload up, unless it may be gone on with.
async fn abandon<T>(upload: LayerUpload, unsent: Unsent) -> Result<T, Unsent> {
    let is_passing = match &unsent {
        Unsent::Broken(error) | Unsent::Failed(Error::Registry(error)) => is_passing(error.kind()),
        _ => false,
    };
    if is_passing {
        upload.leave().await;
    } else {
        upload.abort().await;
    }
    Err(unsent)
}

/// Hands over what is written in pieces, waiting while too many are on their way.
struct PieceWriter {
    sender: mpsc::Sender<Bytes>,
    piece: BytesMut,
}

impl Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE_BYTES - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.piece.len() == PIECE_BYTES {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, BytesMut::with_capacity(PIECE_BYTES)).freeze();
        // The other end is gone when the upload broke; its error is the one that is told.
        self.sender.blocking_send(piece).map_err(|_gone| io::ErrorKind::BrokenPipe.into())
    }
}

#[cfg(test)]
mod tests {
    use refs_estargz::Error as PackError;

    use super::*;
    use crate::{Mtime, pack::Rules};

    #[tokio::test]
    async fn pieces_have_one_size_but_for_the_last() {
        let (sender, mut pieces) = mpsc::channel(PIECES_IN_FLIGHT);
        let written: Vec<u8> = (0..2 * PIECE_BYTES + 10).map(|i| i as u8).collect();
        let expected = written.clone();
        let writing = tokio::task::spawn_blocking(move || {
            let mut writer = PieceWriter { sender, piece: BytesMut::new() };
            writer.write_all(&written[..100]).and_then(|()| writer.write_all(&written[100..])).unwrap();
            writer.flush().unwrap();
            writer.flush().unwrap();
        });
        let mut sizes = Vec::new();
        let mut received = Vec::new();
        while let Some(piece) = pieces.recv().await {
            sizes.push(piece.len());
            received.extend_from_slice(&piece);
        }
        writing.await.unwrap();
        assert_eq!(sizes, [PIECE_BYTES, PIECE_BYTES, 10]);
        assert!(received == expected);
    }

    #[tokio::test]
    async fn packing_ends_when_nobody_takes_the_pieces() {
        let root = tempfile::tempdir().unwrap();
        let large = std::fs::File::create(root.path().join("zeroes")).unwrap();
        large.set_len((1 + PIECES_IN_FLIGHT * PIECE_BYTES) as u64).unwrap();
        let plan = Arc::new(Plan::walk(root.path(), &Rules::default(), Mtime::Keep).unwrap());
        let Packing { pieces, done, .. } = Packing::start(plan, Arc::default(), 0);
        drop(pieces);
        let error = done.await.unwrap().unwrap_err();
        let Error::Pack { source: PackError::Write { source }, .. } = error else { panic!("{error:?}") };
        assert_eq!(source.kind(), io::ErrorKind::BrokenPipe);
    }
}
