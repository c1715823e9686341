//! Bodies on their way out.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use futures_util::StreamExt;
use refs_url::Digest;

use super::call::FaultSlot;
use crate::{ByteStream, Error, Replay, Result, Resume, Verify};

/// The blob `digest` of `size` bytes from `replay`. The last bytes are held back until all have been found right, so that
/// the other side never has the whole of a wrong blob. An error is left in `fault`, too.
pub(crate) async fn checked(replay: &Replay, digest: &Digest, size: u64, fault: FaultSlot) -> Result<ByteStream> {
    let verify = Verify::new(digest, size, Resume::START)?;
    let stream = replay.open(0).await?;
    let chunks = futures_util::stream::try_unfold((stream, Some(verify)), move |(mut stream, verify)| {
        let fault = fault.clone();
        async move {
            let Some(mut verify) = verify else { return Ok(None) };
            let step = async {
                let Some(chunk) = stream.next().await.transpose()? else {
                    return verify.finish().map(|()| None);
                };
                verify.update(&chunk)?;
                let rest = if verify.seen() < size {
                    Some(verify)
                } else {
                    verify.finish()?;
                    None
                };
                Ok(Some((chunk, (stream, rest))))
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
