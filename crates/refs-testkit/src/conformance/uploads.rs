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

/// Goes on with an upload that nothing was sent to, and with what the place has acknowledged of one. What is on its way when
/// an upload is dropped may arrive or not, so that nothing is asked about it.
pub(super) async fn an_upload_goes_on_where_it_ended(sink: &dyn Sink, can: &Capabilities) -> Outcome {
    const BEGINNING: &str = "begun, ";
    const REST: &str = "and ended";
    let whole = [BEGINNING, REST].concat();
    let begun = sink.upload(None).await?.state();
    let upload = sink.upload(Some(begun.clone())).await;
    if can.resumed_uploads == Support::Unsupported {
        return fails("an upload that broke off", upload.map(drop), &[ErrorKind::NotFound]);
    }
    let mut upload = upload?;
    upload.write(Bytes::from_static(BEGINNING.as_bytes())).await?;
    let state = upload.state();
    if state.offset > 0 {
        drop(upload);
        upload = sink.upload(Some(state.clone())).await?;
        same("how far an upload has come", &upload.state().offset, &state.offset)?;
        let lost = usize::try_from(state.offset).ok().and_then(|offset| BEGINNING.get(offset..)).unwrap_or_default();
        upload.write(Bytes::from_static(lost.as_bytes())).await?;
    }
    upload.write(Bytes::from_static(REST.as_bytes())).await?;
    upload.commit(&digest(&whole)).await?;
    holds_blob(sink, &whole).await?;
    fails("an upload that has ended", sink.upload(Some(state)).await.map(drop), &[ErrorKind::NotFound])
}
