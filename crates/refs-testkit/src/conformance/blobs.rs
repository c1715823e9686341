//! Blobs that are stored whole.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, future::try_join_all, stream};
use refs_registry::{ErrorKind, Payload, Replay, Sent, Sink};
use refs_store::Memory;

use super::{
    check::{blob, digest, holds_blob, put, upload},
    report::{Outcome, fails, same},
};

pub(super) async fn blobs_come_from_anywhere(sink: &dyn Sink) -> Outcome {
    let other = Memory::new();
    put(&other, "from another place").await?;
    let replay = Replay::Blob(Arc::new(other), digest("from another place"));
    let chunks = ["from ", "", "a stream"].map(|chunk| Ok(Bytes::from(chunk)));
    let rows: [(&str, Payload); 4] = [
        ("from memory", Bytes::from("from memory").into()),
        ("from another place", replay.into()),
        ("from a stream", Payload::Once(stream::iter(chunks).boxed())),
        ("", Bytes::new().into()),
    ];
    for (content, payload) in rows {
        sink.put_blob(&blob(content), payload).await?;
        holds_blob(sink, content).await?;
    }
    Ok(())
}

pub(super) async fn a_blob_that_is_there_is_not_sent_again(sink: &dyn Sink) -> Outcome {
    for content in ["put twice", ""] {
        put(sink, content).await?;
        let sent = sink.put_blob(&blob(content), Bytes::from(content).into()).await?;
        same("a blob that is put twice", &sent, &Sent::Present)?;
    }
    Ok(())
}

pub(super) async fn wrong_bytes_leave_no_blob(sink: &dyn Sink) -> Outcome {
    for wrong in ["other", "conten", "contents", ""] {
        let put = sink.put_blob(&blob("content"), Bytes::from(wrong).into()).await;
        fails("a blob of other bytes", put, &[ErrorKind::Digest, ErrorKind::Size])?;
        same("what refused bytes left", &sink.stat_blob(&digest("content")).await?, &None)?;
    }
    let upload = upload(sink, &["conten"]).await?;
    fails("an upload that ends with another digest", upload.commit(&digest("content")).await, &[ErrorKind::Digest])?;
    same("what a refused upload left", &sink.stat_blob(&digest("content")).await?, &None)?;
    same("what it left by its own digest", &sink.stat_blob(&digest("conten")).await?, &None)
}

pub(super) async fn many_put_the_same_blob(sink: &dyn Sink) -> Outcome {
    try_join_all((0..8).map(|_| put(sink, "put by many"))).await?;
    let uploads = (0..8)
        .map(|_| async { upload(sink, &["uploaded ", "by many"]).await?.commit(&digest("uploaded by many")).await });
    try_join_all(uploads).await?;
    holds_blob(sink, "put by many").await?;
    holds_blob(sink, "uploaded by many").await
}
