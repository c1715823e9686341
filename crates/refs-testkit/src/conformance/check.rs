//! Short ways to read and write.

use bytes::Bytes;
use futures_util::TryStreamExt;
use refs_registry::{
    ByteStream, Descriptor, Error, Filter, Manifest, MediaType, Mounted, Result, Resume, Sink, Source, Upload,
};
use refs_url::{Digest, Tag, Target};

use super::report::{Broken, same};

pub(super) fn digest(content: &str) -> Digest {
    Digest::sha256(content.as_bytes())
}

pub(super) fn blob(content: &str) -> Descriptor {
    Descriptor::of(MediaType::OCI_LAYER, content.as_bytes())
}

pub(super) fn by_digest(manifest: &Manifest) -> Target {
    Target::Digest(manifest.descriptor.digest.clone())
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

/// Sends `content` where it was to be mounted, if it was not; says whether it was.
pub(super) async fn finish(mounted: Mounted, content: &'static str) -> Result<WasMounted> {
    let Mounted::Upload(mut upload) = mounted else { return Ok(WasMounted::Mounted) };
    upload.write(Bytes::from_static(content.as_bytes())).await?;
    upload.commit(&digest(content)).await?;
    Ok(WasMounted::Sent)
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum WasMounted {
    Mounted,
    Sent,
}

#[expect(clippy::expect_used, reason = "a wrong literal of the suite")]
pub(super) fn tag(text: &str) -> Tag {
    Tag::parse(text).expect("a tag")
}

pub(super) fn tagged(text: &str) -> Target {
    Target::Tag(tag(text))
}

pub(super) async fn bytes(stream: ByteStream) -> Result<Vec<u8>> {
    let chunks: Vec<Bytes> = stream.try_collect().await?;
    Ok(chunks.concat())
}

pub(super) async fn read(source: &dyn Source, digest: &Digest) -> Result<Vec<u8>, Broken> {
    let blob = source.blob(digest, Resume::START).await?;
    let read = bytes(blob.stream).await?;
    same("the size that a blob says to have", &blob.size, &(read.len() as u64))?;
    Ok(read)
}

/// Requires that the blob can be read.
pub(super) async fn holds_blob(source: &dyn Source, content: &str) -> Result<(), Broken> {
    let read = read(source, &digest(content)).await?;
    same("a blob that was stored", &String::from_utf8_lossy(&read).as_ref(), &content)
}

pub(super) async fn tags(source: &dyn Source, after: Option<Tag>) -> Result<Vec<Tag>> {
    source.tags(after).try_collect().await
}

pub(super) async fn referrers(source: &dyn Source, subject: &Digest, kind: Option<&str>) -> Result<Vec<Descriptor>> {
    let filter = Filter { artifact_type: kind.map(MediaType::new) };
    let mut listed: Vec<Descriptor> = source.referrers(subject, filter).try_collect().await?;
    listed.sort_by(|one, other| one.digest.cmp(&other.digest));
    Ok(listed)
}

/// The result without what succeeded, so that results of different things can stand in one list.
pub(super) fn only_error<T>(result: Result<T>) -> Result<(), Error> {
    result.map(drop)
}
