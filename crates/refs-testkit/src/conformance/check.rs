//! Short ways to read, and to see what failed.

use bytes::Bytes;
use futures_util::TryStreamExt;
use refs_registry::{
    ByteStream, Descriptor, Error, ErrorKind, Filter, MediaType, Result, Resume, Sink, Source, Upload,
};
use refs_url::{Digest, Tag, Target};

pub(super) fn digest(content: &str) -> Digest {
    Digest::sha256(content.as_bytes())
}

pub(super) fn blob(content: &str) -> Descriptor {
    Descriptor::of(MediaType::OCI_LAYER, content.as_bytes())
}

pub(super) async fn put(sink: &dyn Sink, content: &'static str) -> Result<()> {
    sink.put_blob(&blob(content), Bytes::from_static(content.as_bytes()).into()).await.map(|_sent| ())
}

pub(super) async fn upload(sink: &dyn Sink, chunks: &[&'static str]) -> Result<Box<dyn Upload>> {
    let mut upload = sink.upload(None).await?;
    for chunk in chunks {
        upload.write(Bytes::from_static(chunk.as_bytes())).await?;
    }
    Ok(upload)
}

#[expect(clippy::expect_used, reason = "a wrong literal of the suite")]
pub(super) fn tagged(text: &str) -> Target {
    Target::Tag(Tag::parse(text).expect("a tag"))
}

pub(super) async fn bytes(stream: ByteStream) -> Result<Vec<u8>> {
    let chunks: Vec<Bytes> = stream.try_collect().await?;
    Ok(chunks.concat())
}

pub(super) async fn read(source: &dyn Source, digest: &Digest) -> Result<Vec<u8>> {
    let blob = source.blob(digest, Resume::START).await?;
    let read = bytes(blob.stream).await?;
    assert_eq!(blob.size, read.len() as u64, "a blob has the size it says to have");
    Ok(read)
}

pub(super) async fn tags(source: &dyn Source, after: Option<Tag>) -> Result<Vec<Tag>> {
    source.tags(after).try_collect().await
}

pub(super) async fn referrers(
    source: &dyn Source,
    subject: &Digest,
    artifact_type: Option<&str>,
) -> Result<Vec<Descriptor>> {
    let filter = Filter { artifact_type: artifact_type.map(MediaType::new) };
    let mut listed: Vec<Descriptor> = source.referrers(subject, filter).try_collect().await?;
    listed.sort_by(|one, other| one.digest.cmp(&other.digest));
    Ok(listed)
}

#[track_caller]
pub(super) fn fails<T>(result: Result<T>, kinds: &[ErrorKind], promise: &str) -> Option<Error> {
    match result {
        Ok(_) => panic!("{promise}: it succeeded"),
        Err(error) if kinds.contains(&error.kind()) => Some(error),
        Err(error) => panic!("{promise}: it failed with {:?}: {error}", error.kind()),
    }
}
