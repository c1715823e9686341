//! Bodies on their way out.

use std::{
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use futures_util::StreamExt;
use refs_url::Digest;

use super::call::FaultSlot;
use crate::{ByteStream, Error, Replay, Result, Resume, Verify, error::Wanted, verify::Shared};

/// What has been found of a blob that is sent in parts, some of them more than once. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Proof {
    /// Of the sending that began at the first byte last.
    found: Arc<Mutex<Shared>>,
    digest: Digest,
    size: u64,
}

impl Proof {
    pub(crate) fn new(digest: &Digest, size: u64) -> Result<Self> {
        let found = Arc::new(Mutex::new(Shared::new(Verify::new(digest, size, Resume::START)?)));
        Ok(Self { found, digest: digest.clone(), size })
    }

    /// What is known to who sends from `start` on: nothing, of all of it.
    fn known(&self, start: u64) -> Result<Shared> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if start == 0 {
            *found = Shared::new(Verify::new(&self.digest, self.size, Resume::START)?);
        }
        Ok(found.clone())
    }

    /// Takes in `chunk`, which begins at `at`, as far as it is new. At the end of the blob it says whether all were right.
    fn take_in(&self, found: &Shared, at: u64, chunk: &[u8]) -> Result<()> {
        found.take_in(at, chunk)?;
        if at + chunk.len() as u64 >= self.size { found.verdict() } else { Ok(()) }
    }

    /// What is wrong when there is nothing from `at` on.
    fn short(&self, at: u64) -> Error {
        Error::Size { wanted: Wanted::Blob(self.digest.clone()), expected: self.size, actual: at }
    }
}

/// The bytes `range` of the blob that `proof` is about, from `replay`. Its last bytes are held back until all have been found
/// right. What is read once more, as a connection broke, is not hashed once more: should a source give other bytes then, only
/// the other side's own check of the digest can tell. An error is left in `fault`, too.
pub(crate) async fn checked(replay: &Replay, range: Range<u64>, proof: Proof, fault: FaultSlot) -> Result<ByteStream> {
    let found = proof.known(range.start)?;
    let mut stream = if range == (0..proof.size) {
        replay.open_sharing(&found).await?
    } else {
        // What a source reads beyond `range` is read again for the next part, and would count as known by then.
        replay.open(range.start).await?
    };
    if proof.size == 0 {
        // No step below reads of an empty blob, which may have been given bytes all the same.
        proof.take_in(&found, 0, &stream.next().await.transpose()?.unwrap_or_default())?;
    }
    let chunks = futures_util::stream::try_unfold((stream, range.start), move |(mut stream, at)| {
        let (proof, found, fault) = (proof.clone(), found.clone(), fault.clone());
        async move {
            if at >= range.end {
                return Ok(None);
            }
            let step = async {
                let Some(mut chunk) = stream.next().await.transpose()? else { return Err(proof.short(at)) };
                if range.end < proof.size {
                    chunk.truncate(usize::try_from(range.end - at).unwrap_or(usize::MAX));
                }
                proof.take_in(&found, at, &chunk)?;
                let end = at + chunk.len() as u64;
                Ok(Some((chunk, (stream, end))))
            };
            step.await.inspect_err(|error: &Error| fault.set(error.clone()))
        }
    });
    Ok(chunks.boxed())
}

/// Tells a connection that has stalled from a producer that takes its time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pulse(Arc<PulseState>);

#[derive(Debug, Default)]
struct PulseState {
    beats: AtomicU64,
    is_producing: AtomicBool,
}

impl Pulse {
    /// How often the connection has asked for more.
    pub(crate) fn beats(&self) -> u64 {
        self.0.beats.load(Ordering::Relaxed)
    }

    /// Whether it is the producer that is waited for.
    pub(crate) fn is_producing(&self) -> bool {
        self.0.is_producing.load(Ordering::Relaxed)
    }

    /// `stream`, with its steps counted.
    pub(crate) fn watch(&self, stream: ByteStream) -> ByteStream {
        let pulse = self.clone();
        futures_util::stream::unfold(stream, move |mut stream| {
            let state = pulse.0.clone();
            async move {
                state.beats.fetch_add(1, Ordering::Relaxed);
                state.is_producing.store(true, Ordering::Relaxed);
                let chunk = stream.next().await;
                state.is_producing.store(false, Ordering::Relaxed);
                chunk.map(|chunk| (chunk, stream))
            }
        })
        .boxed()
    }
}
