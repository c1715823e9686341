//! What uploads into layouts leave, and for how long.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use refs_registry::{ErrorKind, Result, Sink};

use crate::{
    content::{digest, fails, push, read, upload},
    layout::{files_in, layout},
};

#[tokio::test]
async fn an_upload_leaves_a_file_only_to_be_resumed() -> Result<()> {
    let (layout, folder) = layout().await?;
    let ingest = folder.path().join("ingest");
    drop(upload(&layout, &["one"]).await?);
    upload(&layout, &["one"]).await?.abort().await?;
    fails(upload(&layout, &["one"]).await?.commit(&digest("two")).await, ErrorKind::Digest);
    let committed = upload(&layout, &["one"]).await?;
    committed.state();
    committed.commit(&digest("one")).await?;
    let refused = upload(&layout, &["one"]).await?;
    refused.state();
    fails(refused.commit(&digest("two")).await, ErrorKind::Digest);
    assert!(files_in(&ingest).is_empty());

    let kept = upload(&layout, &["one"]).await?;
    let state = kept.state();
    fails(layout.upload(Some(state.clone())).await.map(drop), ErrorKind::Busy);
    drop(kept);
    assert_eq!(files_in(&ingest), [state.session]);
    Ok(())
}

#[tokio::test]
async fn an_upload_is_found_by_its_session_until_it_is_forgotten() -> Result<()> {
    let (layout, folder) = layout().await?;
    let kept = upload(&layout, &["one ", "two"]).await?;
    let state = kept.state();
    assert_eq!(layout.find_upload(&state.session).await?, Some(state.clone()));
    drop(kept);
    // As a write that was cut off would leave it.
    let path = folder.path().join("ingest").join(&state.session);
    fs::File::options().write(true).open(&path).unwrap().set_len(6).unwrap();
    let found = layout.find_upload(&state.session).await?.unwrap();
    assert_eq!(found.offset, 6);
    let mut resumed = layout.upload(Some(found)).await?;
    resumed.write(Bytes::from("o")).await?;
    let [past, future] = [SystemTime::UNIX_EPOCH, SystemTime::now() + Duration::from_secs(3600)];
    assert_eq!(layout.forget_uploads(future).await?, 0, "it is under way");
    drop(resumed);
    assert_eq!((layout.forget_uploads(past).await?, layout.forget_uploads(future).await?), (0, 1));
    assert_eq!(layout.find_upload(&state.session).await?, None);
    for session in ["", "..", "../index.json", "index.json"] {
        assert_eq!(layout.find_upload(session).await?, None, "{session}");
    }
    Ok(())
}

#[tokio::test]
async fn leftovers_of_a_crash_are_harmless_and_reclaimed() -> Result<()> {
    let (layout, folder) = layout().await?;
    let ingest = folder.path().join("ingest");
    fs::write(ingest.join("upload-aaaaaaaaaaaaaaaaaaaaaaaa"), "half").unwrap();
    fs::write(ingest.join("other"), "").unwrap();
    push(&layout, "one", &["v1"]).await?;
    let live = upload(&layout, &["two"]).await?;
    let [past, future] = [SystemTime::UNIX_EPOCH, SystemTime::now() + Duration::from_secs(3600)];
    assert_eq!(layout.reclaim(past).await?, 0);
    assert_eq!(layout.reclaim(future).await?, 2);
    live.commit(&digest("two")).await?;
    assert_eq!(read(&layout, &digest("two")).await?, "two");
    assert!(files_in(&ingest).is_empty());
    Ok(())
}
