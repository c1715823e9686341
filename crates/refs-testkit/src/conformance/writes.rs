//! What every sink promises.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, future::try_join_all, stream};
use refs_registry::{ErrorKind, MediaType, Mounted, Payload, Replay, Result, Sink, Upload};
use refs_store::Memory;
use refs_url::{RepoName, Target};

use super::{
    check::{blob, digest, fails, put, read, referrers, tagged, tags, upload},
    fixture::push_referrer,
};
use crate::Image;

/// Writes to the empty repository `sink`, and leaves it in no particular state.
///
/// # Errors
/// The first that no promise is about.
///
/// # Panics
/// At the first promise that is not kept.
pub async fn writes(sink: &dyn Sink) -> Result<()> {
    blobs_come_from_anywhere(sink).await?;
    blobs_come_in_pieces(sink).await?;
    wrong_bytes_leave_no_blob(sink).await?;
    what_is_given_up_leaves_no_blob(sink).await?;
    an_upload_goes_on_where_it_ended(sink).await?;
    many_put_the_same_blob(sink).await?;
    a_mount_without_a_blob_is_an_upload(sink).await?;
    a_manifest_needs_its_blobs(sink).await?;
    tags_move_and_go(sink).await?;
    referrers_come_and_go(sink).await?;
    what_is_deleted_is_gone(sink).await
}

/// Mounts from `from`, a repository named `name` beside the empty repository `sink` of the same place.
///
/// # Errors
/// The first that no promise is about.
///
/// # Panics
/// At the first promise that is not kept.
pub async fn mounts(sink: &dyn Sink, from: &dyn Sink, name: &RepoName) -> Result<()> {
    put(from, "mounted").await?;
    let digest = digest("mounted");
    match sink.mount(&digest, name).await? {
        Mounted::Mounted => {}
        Mounted::Upload(upload) => finish(upload, "mounted").await?,
    }
    assert_eq!(read(sink, &digest).await?, b"mounted");
    from.delete_blob(&digest).await?;
    assert_eq!(read(sink, &digest).await?, b"mounted", "a mounted blob outlives the one it came from");
    Ok(())
}

async fn blobs_come_from_anywhere(sink: &dyn Sink) -> Result<()> {
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
        assert_eq!(read(sink, &digest(content)).await?, content.as_bytes());
        sink.put_blob(&blob(content), Bytes::from(content).into()).await?;
    }
    Ok(())
}

async fn blobs_come_in_pieces(sink: &dyn Sink) -> Result<()> {
    let rows: [&[&'static str]; 4] = [&["one ", "two ", "three"], &["1"], &["", "a", ""], &[]];
    for pieces in rows {
        let content = pieces.concat();
        let upload = upload(sink, pieces).await?;
        upload.commit(&digest(&content)).await?;
        assert_eq!(read(sink, &digest(&content)).await?, content.as_bytes());
    }
    Ok(())
}

async fn wrong_bytes_leave_no_blob(sink: &dyn Sink) -> Result<()> {
    for wrong in ["other", "conten", "contents", ""] {
        let put = sink.put_blob(&blob("content"), Bytes::from(wrong).into()).await;
        fails(put, &[ErrorKind::Digest, ErrorKind::Size], "a blob of other bytes is refused");
        assert_eq!(sink.stat_blob(&digest("content")).await?, None, "refused bytes leave no blob");
    }
    let upload = upload(sink, &["conten"]).await?;
    fails(upload.commit(&digest("content")).await, &[ErrorKind::Digest], "the end of an upload checks the digest");
    assert_eq!(sink.stat_blob(&digest("content")).await?, None, "refused bytes leave no blob");
    assert_eq!(sink.stat_blob(&digest("conten")).await?, None, "refused bytes leave no other blob either");
    Ok(())
}

async fn what_is_given_up_leaves_no_blob(sink: &dyn Sink) -> Result<()> {
    upload(sink, &["given up"]).await?.abort().await?;
    drop(upload(sink, &["given up"]).await?);
    assert_eq!(sink.stat_blob(&digest("given up")).await?, None);
    Ok(())
}

async fn an_upload_goes_on_where_it_ended(sink: &dyn Sink) -> Result<()> {
    let first = upload(sink, &["begun, "]).await?;
    let state = first.state();
    drop(first);
    let mut second = sink.upload(Some(state.clone())).await?;
    let rest = &"begun, and ended"[usize::try_from(state.offset).unwrap_or(usize::MAX)..];
    second.write(Bytes::from_static(rest.as_bytes())).await?;
    second.commit(&digest("begun, and ended")).await?;
    assert_eq!(read(sink, &digest("begun, and ended")).await?, b"begun, and ended");
    fails(sink.upload(Some(state)).await.map(drop), &[ErrorKind::NotFound], "an upload that has ended is not resumed");
    Ok(())
}

async fn many_put_the_same_blob(sink: &dyn Sink) -> Result<()> {
    try_join_all((0..8).map(|_| put(sink, "put by many"))).await?;
    let uploads = (0..8)
        .map(|_| async { upload(sink, &["uploaded ", "by many"]).await?.commit(&digest("uploaded by many")).await });
    try_join_all(uploads).await?;
    assert_eq!(read(sink, &digest("put by many")).await?, b"put by many");
    assert_eq!(read(sink, &digest("uploaded by many")).await?, b"uploaded by many");
    Ok(())
}

#[expect(clippy::expect_used, reason = "the name is a literal")]
async fn a_mount_without_a_blob_is_an_upload(sink: &dyn Sink) -> Result<()> {
    let nowhere = RepoName::parse("no/such/repository").expect("a name");
    let digest = digest("not to be mounted");
    match sink.mount(&digest, &nowhere).await? {
        Mounted::Mounted => panic!("a blob that is nowhere was mounted"),
        Mounted::Upload(upload) => finish(upload, "not to be mounted").await?,
    }
    assert_eq!(read(sink, &digest).await?, b"not to be mounted");
    Ok(())
}

async fn a_manifest_needs_its_blobs(sink: &dyn Sink) -> Result<()> {
    let manifest = Image::new().layer(MediaType::OCI_LAYER, "nobody has put this").manifest()?;
    put(sink, "{}").await?;
    let stored = sink.put_manifest(&manifest, &[]).await;
    fails(stored, &[ErrorKind::NotFound, ErrorKind::Protocol], "a manifest without its blobs is refused");
    let target = Target::Digest(manifest.descriptor.digest);
    fails(sink.resolve(&target).await, &[ErrorKind::NotFound], "a refused manifest is not there");
    Ok(())
}

async fn tags_move_and_go(sink: &dyn Sink) -> Result<()> {
    let old = Image::new().file("old", "old").push(sink, &["moves", "stays"]).await?;
    let new = Image::new().file("new", "new").push(sink, &["moves"]).await?;
    let stored = sink.put_manifest(&new, &[]).await?;
    assert_eq!((stored.digest, stored.subject), (new.descriptor.digest.clone(), None), "storing twice is no error");
    assert_eq!(sink.manifest(&tagged("moves")).await?, new);
    assert_eq!(sink.manifest(&tagged("stays")).await?, old);
    assert_eq!(sink.manifest(&Target::Digest(old.descriptor.digest.clone())).await?, old);
    sink.delete_manifest(&tagged("stays")).await?;
    fails(sink.resolve(&tagged("stays")).await, &[ErrorKind::NotFound], "a deleted tag is gone");
    assert_eq!(sink.manifest(&Target::Digest(old.descriptor.digest.clone())).await?, old, "its manifest stays");
    assert_eq!(tags(sink, None).await?, ["moves"]);
    Ok(())
}

async fn referrers_come_and_go(sink: &dyn Sink) -> Result<()> {
    let subject = Image::new().file("subject", "subject").push(sink, &["subject"]).await?.descriptor;
    let (first, second) = ("application/first", "application/second");
    let one = push_referrer(sink, &subject, first).await?;
    let other = push_referrer(sink, &subject, second).await?;
    assert_eq!(referrers(sink, &subject.digest, None).await?.len(), 2);
    assert_eq!(referrers(sink, &subject.digest, Some(first)).await?, std::slice::from_ref(&one));
    sink.delete_manifest(&Target::Digest(one.digest)).await?;
    assert_eq!(referrers(sink, &subject.digest, None).await?, [other]);
    Ok(())
}

async fn what_is_deleted_is_gone(sink: &dyn Sink) -> Result<()> {
    let not_found = &[ErrorKind::NotFound];
    let image = Image::new().file("deleted", "deleted").push(sink, &["deleted", "deleted-too"]).await?;
    let by_digest = Target::Digest(image.descriptor.digest);
    sink.delete_manifest(&by_digest).await?;
    for target in [tagged("deleted"), tagged("deleted-too"), by_digest] {
        fails(sink.resolve(&target).await, not_found, "a deleted manifest is gone with its tags");
        fails(sink.delete_manifest(&target).await, not_found, "what is gone can't be deleted");
    }
    sink.delete_blob(&digest("deleted")).await?;
    assert_eq!(sink.stat_blob(&digest("deleted")).await?, None);
    fails(sink.delete_blob(&digest("deleted")).await, not_found, "what is gone can't be deleted");
    Ok(())
}

async fn finish(mut upload: Box<dyn Upload>, content: &'static str) -> Result<()> {
    upload.write(Bytes::from_static(content.as_bytes())).await?;
    upload.commit(&digest(content)).await
}
