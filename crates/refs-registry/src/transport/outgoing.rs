//! Bodies on their way out.

use std::{
    fmt,
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use futures_util::StreamExt;
use refs_url::Digest;

use super::call::FaultSlot;
use crate::{ByteStream, Error, Replay, Result, Resume, Verify, error::Wanted, trail::Shared};

/// What has been found of a blob that is sent in parts, some of them more than once. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Proof {
    course: Arc<Mutex<Course>>,
    digest: Digest,
    size: u64,
}

/// How far the sending has come that began last.
struct Course {
    /// Its check, which goes on from that of the one before; `None` while it goes on with what was sent by somebody else, who
    /// has left the state of no hasher: then the place that has all of it is who finds out what it is.
    found: Option<Shared>,
    /// What it has left of its stream, for the part that comes next.
    rest: Option<Rest>,
}

/// A stream that was read up to the end of a part, and a little further.
struct Rest {
    at: u64,
    ahead: Bytes,
    stream: ByteStream,
}

impl fmt::Debug for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest = self.rest.as_ref().map(|rest| rest.at);
        f.debug_struct("Course").field("found", &self.found).field("rest", &rest).finish()
    }
}

impl Course {
    fn begin(found: Option<Shared>) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self { found, rest: None }))
    }
}

impl Proof {
    pub(crate) fn new(digest: &Digest, size: u64) -> Result<Self> {
        let found = Shared::new(Verify::new(digest, size, Resume::START)?);
        Ok(Self { course: Course::begin(Some(found)), digest: digest.clone(), size })
    }

    /// That of the rest of a blob, whose beginning was sent by somebody else. Who begins anew sends all of it, and is checked.
    pub(crate) fn of_rest(digest: &Digest, size: u64) -> Self {
        Self { course: Course::begin(None), digest: digest.clone(), size }
    }

    /// Whether what was sent last goes back to the first byte.
    pub(crate) fn is_of_all(&self) -> bool {
        self.lock().found.is_some()
    }

    /// The check for who sends from `start` on, and what an earlier sending has left of its stream there. Where there is none
    /// the check begins at the byte to read from: at `start`, or before it where the bytes between are to be hashed again.
    fn from(&self, start: u64) -> Result<(Option<Shared>, Option<Rest>)> {
        let mut course = self.lock();
        let has_seen = |found: &Shared| found.has_seen(start);
        let rest = course.rest.take().filter(|rest| rest.at == start && course.found.as_ref().is_none_or(has_seen));
        if rest.is_none() {
            // Who begins anew sends all of it again, whatever was sent before.
            course.found = match start {
                0 => Some(Shared::new(Verify::new(&self.digest, self.size, Resume::START)?)),
                _ => course.found.as_ref().map(|found| found.again(start)),
            };
        }
        Ok((course.found.clone(), rest))
    }

    /// Takes in `chunk`, which begins at `at`, as far as it is new. At the end of the blob it says whether all were right.
    fn take_in(&self, found: Option<&Shared>, at: u64, chunk: &[u8]) -> Result<()> {
        let end = at + chunk.len() as u64;
        let Some(found) = found else {
            return if end > self.size { Err(self.of_size(end)) } else { Ok(()) };
        };
        found.take_in(at, chunk)?;
        if end >= self.size { found.verdict() } else { Ok(()) }
    }

    /// What is wrong when there are `actual` bytes.
    fn of_size(&self, actual: u64) -> Error {
        Error::Size { wanted: Wanted::Blob(self.digest.clone()), expected: self.size, actual }
    }

    fn lock(&self) -> MutexGuard<'_, Course> {
        self.course.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bytes `range` of the blob that `proof` is about, from `replay`, which is read once for parts that follow each other.
/// Its last bytes are held back until all have been found right: what was sent before and is still there, too, as what is
/// read again has to be the same. An error is left in `fault`, too.
pub(crate) async fn checked(replay: &Replay, range: Range<u64>, proof: Proof, fault: FaultSlot) -> Result<ByteStream> {
    let (found, left) = proof.from(range.start)?;
    let Rest { at, ahead, mut stream } = match left {
        Some(rest) => rest,
        None => open(replay, range.start, found.as_ref()).await?,
    };
    if proof.size == 0 {
        // No step below reads of an empty blob, which may have been given bytes all the same.
        proof.take_in(found.as_ref(), 0, &stream.next().await.transpose()?.unwrap_or_default())?;
    }
    let outgoing = Outgoing { stream, ahead, at, range, proof, found };
    let chunks = futures_util::stream::try_unfold(outgoing, move |mut outgoing| {
        let fault = fault.clone();
        async move {
            let chunk = outgoing.next().await.inspect_err(|error: &Error| fault.set(error.clone()))?;
            Ok(chunk.map(|chunk| (chunk, outgoing)))
        }
    });
    Ok(chunks.boxed())
}

/// The bytes of `replay` for who sends from `start` on, whose check is `found`.
async fn open(replay: &Replay, start: u64, found: Option<&Shared>) -> Result<Rest> {
    let (at, stream) = match found {
        Some(found) => (found.resume().offset(), replay.open_sharing(found).await?),
        None => (start, replay.open(start).await?),
    };
    Ok(Rest { at, ahead: Bytes::new(), stream })
}

/// A part of a blob that is being sent.
struct Outgoing {
    stream: ByteStream,
    /// What was read of it and not looked at.
    ahead: Bytes,
    /// The byte to be read next.
    at: u64,
    range: Range<u64>,
    proof: Proof,
    found: Option<Shared>,
}

impl Outgoing {
    /// The next bytes to send; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        while self.at < self.range.end {
            let Some(mut chunk) = self.read().await? else { return Err(self.proof.of_size(self.at)) };
            if self.range.end < self.proof.size {
                let room = usize::try_from(self.range.end - self.at).unwrap_or(usize::MAX);
                self.ahead = chunk.split_off(room.min(chunk.len()));
            }
            self.proof.take_in(self.found.as_ref(), self.at, &chunk)?;
            let unsent = usize::try_from(self.range.start.saturating_sub(self.at)).unwrap_or(usize::MAX);
            self.at += chunk.len() as u64;
            if self.at == self.range.end {
                self.leave();
            }
            let chunk = chunk.slice(unsent.min(chunk.len())..);
            if !chunk.is_empty() {
                return Ok(Some(chunk));
            }
        }
        Ok(None)
    }

    async fn read(&mut self) -> Result<Option<Bytes>> {
        let ahead = std::mem::take(&mut self.ahead);
        if ahead.is_empty() { self.stream.next().await.transpose() } else { Ok(Some(ahead)) }
    }

    /// Leaves the stream to the part that comes next, if one does.
    fn leave(&mut self) {
        if self.at < self.proof.size {
            let stream = std::mem::replace(&mut self.stream, futures_util::stream::empty().boxed());
            self.proof.lock().rest = Some(Rest { at: self.at, ahead: std::mem::take(&mut self.ahead), stream });
        }
    }
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
