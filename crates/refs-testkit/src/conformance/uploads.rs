//! Blobs that come piece by piece, and uploads that break off.

use bytes::Bytes;
use refs_registry::{ErrorKind, Sink};

use super::{
    Capabilities, Support,
    check::{digest, holds_blob, upload},
    report::{Outcome, fails, same},
};

pub(super) async fn blobs_come_in_pieces(sink: &dyn Sink) -> Outcome {
    let rows: [&[&'static str]; 4] = [&["one ", "two ", "three"], &["1"], &["", "a", ""], &[]];
    for pieces in rows {
        let content = pieces.concat();
        upload(sink, pieces).await?.commit(&digest(&content)).await?;
        holds_blob(sink, &content).await?;
    }
    Ok(())
}

pub(super) async fn an_upload_that_is_given_up_leaves_nothing(sink: &dyn Sink) -> Outcome {
    upload(sink, &["given up"]).await?.abort().await?;
    drop(upload(sink, &["given up"]).await?);
    same("a blob that was given up", &sink.stat_blob(&digest("given up")).await?, &None)?;
    let upload = upload(sink, &["given up, too"]).await?;
    let state = upload.state();
    upload.abort().await?;
    fails("an upload that was given up", sink.upload(Some(state)).await.map(drop), &[ErrorKind::NotFound])
}

pub(super) async fn an_upload_goes_on_where_it_ended(sink: &dyn Sink, can: &Capabilities) -> Outcome {
    const WHOLE: &str = "begun, and ended";
    let first = upload(sink, &["begun, "]).await?;
    let state = first.state();
    drop(first);
    let second = sink.upload(Some(state.clone())).await;
    if can.resumed_uploads == Support::Unsupported {
        return fails("an upload that broke off", second.map(drop), &[ErrorKind::NotFound]);
    }
    let mut second = second?;
    // The place may have more than it had acknowledged, and says so when it is asked.
    let known = usize::try_from(second.state().offset).unwrap_or(usize::MAX);
    let rest = WHOLE.get(known..).unwrap_or_default();
    second.write(Bytes::from_static(rest.as_bytes())).await?;
    second.commit(&digest(WHOLE)).await?;
    holds_blob(sink, WHOLE).await?;
    fails("an upload that has ended", sink.upload(Some(state)).await.map(drop), &[ErrorKind::NotFound])
}
