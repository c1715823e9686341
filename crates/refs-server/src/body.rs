//! Bodies on their way in and out.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use http::StatusCode;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use refs_registry::ByteStream;

use crate::{
    Code, Refusal,
    answer::{Body, BoxError},
    watch::Notes,
};

/// The body of a request. It ends after its first error.
pub(crate) type Incoming = BoxStream<'static, Result<Bytes, Refusal>>;

/// `body` as a stream that fails when no byte came for `idle`, and counts in `notes` what came.
pub(crate) fn incoming<B>(body: B, idle: Duration, notes: Arc<Notes>) -> Incoming
where
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let chunks = futures_util::stream::try_unfold(Box::pin(body), move |mut body| async move {
        loop {
            match tokio::time::timeout(idle, body.frame()).await {
                Err(_) => return Err(broken(StatusCode::REQUEST_TIMEOUT, "the body stopped coming")),
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => {
                    tracing::debug!(error = %error.into(), "the body of a request broke off");
                    return Err(broken(StatusCode::BAD_REQUEST, "the body broke off"));
                }
                // Trailers carry nothing that this API knows.
                Ok(Some(Ok(frame))) => {
                    if let Ok(chunk) = frame.into_data() {
                        return Ok(Some((chunk, body)));
                    }
                }
            }
        }
    });
    let counted = chunks.inspect_ok(move |chunk: &Bytes| {
        notes.received.fetch_add(chunk.len() as u64, Ordering::Relaxed);
    });
    counted.boxed()
}

/// Reads what is left of the body of a refused request, if that is little and comes soon.
///
/// A connection that is closed while its client still sends is reset, and the reset may overtake the answer.
pub(crate) async fn drain(mut body: Incoming) {
    const MOST: usize = 256 * 1024;
    const PATIENCE: Duration = Duration::from_secs(1);
    let read = async {
        let mut seen = 0;
        while let Ok(Some(chunk)) = body.try_next().await {
            seen += chunk.len();
            if seen > MOST {
                break;
            }
        }
    };
    // Whoever is slower gets the answer by luck.
    drop(tokio::time::timeout(PATIENCE, read).await);
}

/// The whole of `body`, at most `limit` bytes.
pub(crate) async fn collect(body: &mut Incoming, limit: u64) -> Result<Bytes, Refusal> {
    let mut collected = Vec::new();
    let mut seen = 0;
    while let Some(chunk) = body.try_next().await? {
        seen += chunk.len() as u64;
        if seen <= limit {
            collected.extend_from_slice(&chunk);
        } else if seen > 4 * limit {
            // Up to here the rest was read and dropped, for the reason that `drain` gives.
            break;
        }
    }
    if seen > limit { Err(Refusal::too_large(limit)) } else { Ok(collected.into()) }
}

/// The bytes of `stream`, `size` of them, as a body whose last piece leaves only when the stream has ended without an error.
///
/// A stream's verdict on its bytes comes after the last of them. Sent at once, they would complete the body before the
/// verdict; held back, a bad verdict leaves it short, and the connection ends in a way that no client takes for success.
/// What comes before the last piece is not held back.
pub(crate) fn outgoing(stream: ByteStream, size: u64) -> Body {
    let chunks = futures_util::stream::try_unfold(Some((stream, size)), |state| async move {
        let Some((mut stream, left)) = state else { return Ok(None) };
        let Some(chunk) = next_piece(&mut stream).await? else { return Ok(None) };
        let rest = left.saturating_sub(chunk.len() as u64);
        if rest > 0 {
            return Ok(Some((chunk, Some((stream, rest)))));
        }
        match next_piece(&mut stream).await? {
            None => Ok(Some((chunk, None))),
            // It is something else than it was said to be, so that nobody may have all of it.
            Some(_) => Ok(None),
        }
    });
    let frames = chunks.map_ok(Frame::data).map_err(|error: refs_registry::Error| {
        tracing::warn!(%error, "a body is broken off");
        BoxError::from(error)
    });
    BodyExt::boxed_unsync(StreamBody::new(frames))
}

/// Empty pieces are passed over: one in place of the last real one would keep nothing back.
async fn next_piece(stream: &mut ByteStream) -> refs_registry::Result<Option<Bytes>> {
    loop {
        match stream.try_next().await? {
            Some(chunk) if chunk.is_empty() => {}
            next => return Ok(next),
        }
    }
}

fn broken(status: StatusCode, message: &'static str) -> Refusal {
    Refusal::new(status, Code::BlobUploadInvalid, message)
}

#[cfg(test)]
mod tests {
    use refs_registry::Error;

    use super::*;

    /// What is sent of a body of 4 bytes that comes as these pieces, and how it ends.
    #[track_caller]
    fn check(pieces: &[Option<&'static str>], expected: &str, is_ended_well: bool) {
        let piece = |piece: &Option<&'static str>| {
            piece.map(Bytes::from).ok_or_else(|| Error::NotCached {
                wanted: refs_registry::error::Wanted::Upload,
                of: None,
                lost: None,
            })
        };
        let stream = futures_util::stream::iter(pieces.iter().map(piece).collect::<Vec<_>>()).boxed();
        let frames = futures_util::stream::unfold(outgoing(stream, 4), |mut body| async move {
            body.frame().await.map(|frame| (frame, body))
        });
        let frames: Vec<_> = futures_util::FutureExt::now_or_never(frames.collect()).unwrap();
        let ended_well = frames.iter().all(Result::is_ok);
        let data = frames.into_iter().filter_map(|frame| frame.ok()?.into_data().ok());
        let sent = data.map(|data| String::from_utf8(data.to_vec()).unwrap()).collect::<Vec<_>>().join("|");
        assert_eq!((sent.as_str(), ended_well), (expected, is_ended_well), "{pieces:?}");
    }

    #[test]
    fn only_the_last_piece_waits_for_the_verdict() {
        check(&[Some("ab"), Some("cd")], "ab|cd", true);
        check(&[Some("abcd")], "abcd", true);
        check(&[Some(""), Some("ab"), Some(""), Some("cd"), Some("")], "ab|cd", true);
        check(&[Some("ab"), None], "ab", false);
        check(&[Some("ab"), Some("cd"), None], "ab", false);
        check(&[Some("abcd"), Some(""), None], "", false);
        check(&[Some("ab"), Some("cde")], "ab|cde", true);
        check(&[Some("ab"), Some("cd"), Some("e")], "ab", true);
        check(&[Some("ab")], "ab", true);
    }
}
