//! Blobs: read whole or in part, removed.

use std::ops::Range;

use futures_util::TryStreamExt;
use http::{
    HeaderMap, StatusCode,
    header::{ACCEPT_RANGES, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE},
};
use refs_registry::{Blob, ErrorKind, Resume, Sink, error::Wanted};
use refs_url::Digest;

use crate::{
    Refusal,
    answer::{DOCKER_CONTENT_DIGEST, Outcome, Reply},
    body,
    conditions::{failed, is_known, is_other},
    range::Wants,
    reading::Reading,
};

pub(crate) async fn head(source: Reading<'_>, digest: &Digest, headers: &HeaderMap) -> Outcome {
    let size = stat(source, digest).await?;
    if is_other(headers, digest) {
        return Err(failed());
    }
    if is_known(headers, IF_NONE_MATCH, digest) {
        return Ok(described(StatusCode::NOT_MODIFIED, digest));
    }
    Ok(described(StatusCode::OK, digest).with_length(size))
}

pub(crate) async fn read(source: Reading<'_>, digest: &Digest, headers: &HeaderMap) -> Outcome {
    if is_other(headers, digest) {
        stat(source, digest).await?;
        return Err(failed());
    }
    if is_known(headers, IF_NONE_MATCH, digest) {
        stat(source, digest).await?;
        return Ok(described(StatusCode::NOT_MODIFIED, digest));
    }
    let Some(range) = headers.get(RANGE).and_then(|value| value.to_str().ok()) else {
        return whole(source, digest).await;
    };
    // With another validator the client holds the beginning of something else, and needs it all.
    if headers.contains_key(IF_RANGE) && !is_known(headers, IF_RANGE, digest) {
        return whole(source, digest).await;
    }
    ranged(source, digest, range).await
}

/// The part that the header `range` means. A size may be a word of earlier that is wrong: before anything is refused for it,
/// it is asked for anew.
async fn ranged(source: Reading<'_>, digest: &Digest, range: &str) -> Outcome {
    let size = stat(source, digest).await?;
    let (size, wants) = match Wants::parse(range, size) {
        Wants::Nothing if source.distrust().await => {
            let size = stat(source, digest).await?;
            (size, Wants::parse(range, size))
        }
        wants => (size, wants),
    };
    match wants {
        Wants::Whole => whole(source, digest).await,
        Wants::Part(wanted) if wanted == (0..size) => all(source, digest, size).await,
        Wants::Part(wanted) => part(source, digest, wanted, range).await,
        Wants::Nothing => Err(Refusal::range_not_in(size)),
    }
}

pub(crate) async fn delete(sink: &dyn Sink, digest: &Digest) -> Outcome {
    sink.delete_blob(digest).await.map_err(|error| Refusal::of_write(&error))?;
    Ok(Reply::new(StatusCode::ACCEPTED))
}

async fn whole(source: Reading<'_>, digest: &Digest) -> Outcome {
    let blob = opened(source, digest).await?;
    Ok(described(StatusCode::OK, digest).with_body(blob.size, body::outgoing(blob.stream, blob.size)))
}

/// All `size` bytes as the part that they are asked for as: unlike another part, these can be verified.
async fn all(source: Reading<'_>, digest: &Digest, size: u64) -> Outcome {
    let Blob { size: found, stream, .. } = opened(source, digest).await?;
    let reply = if found == size {
        described(StatusCode::PARTIAL_CONTENT, digest)
            .with(CONTENT_RANGE, format_args!("bytes 0-{}/{size}", size.saturating_sub(1)))
    } else {
        described(StatusCode::OK, digest)
    };
    Ok(reply.with_body(found, body::outgoing(stream, found)))
}

async fn opened(source: Reading<'_>, digest: &Digest) -> Result<Blob, Refusal> {
    let mut blob = source.blob(digest, Resume::START).await.map_err(|error| source.refused(&error))?;
    if blob.size == 0 {
        // There is no last byte to hold back until the verdict.
        let ended = (&mut blob.stream).try_for_each(|_empty| async { Ok(()) }).await;
        ended.map_err(|error| source.refused(&error))?;
    }
    Ok(blob)
}

/// The part `wanted`, which is what `header` means of a blob as large as this one is said to be.
async fn part(source: Reading<'_>, digest: &Digest, wanted: Range<u64>, header: &str) -> Outcome {
    let part = match source.blob_part(digest, wanted.clone()).await {
        // What comes with bytes is the size: by that it may mean another part, such as the last bytes.
        Ok(part) => match Wants::parse(header, part.total) {
            Wants::Part(meant) if meant != wanted => source.blob_part(digest, meant).await,
            _ => Ok(part),
        },
        failed => failed,
    };
    let part = match part {
        Ok(part) => part,
        Err(error) if error.kind() == ErrorKind::Unsupported => return whole(source, digest).await,
        Err(error) => {
            source.distrust().await;
            return Err(source.refused(&error));
        }
    };
    let Range { start, end } = part.range;
    let reply = described(StatusCode::PARTIAL_CONTENT, digest)
        .with(CONTENT_RANGE, format_args!("bytes {start}-{}/{}", end.saturating_sub(1), part.total));
    let size = end.saturating_sub(start);
    Ok(reply.with_body(size, body::outgoing(part.stream, size)))
}

async fn stat(source: Reading<'_>, digest: &Digest) -> Result<u64, Refusal> {
    let size = source.stat_blob(digest).await.map_err(|error| source.refused(&error))?;
    size.ok_or_else(|| Refusal::not_found(&Wanted::Blob(digest.clone())))
}

fn described(status: StatusCode, digest: &Digest) -> Reply {
    Reply::new(status)
        .with(CONTENT_TYPE, "application/octet-stream")
        .with(DOCKER_CONTENT_DIGEST, digest)
        .with(ETAG, format_args!("\"{digest}\""))
        .with(ACCEPT_RANGES, "bytes")
}
