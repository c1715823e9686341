//! Content to store, and short ways to put and read it.

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use refs_registry::{
    Blob, Descriptor, Error, ErrorKind, Filter, Manifest, MediaType, Part, Result, Resume, Sink, Source, Stored,
    Upload,
    spec::{ImageManifest, Index},
};
use refs_url::{Digest, Tag, Target};

pub(crate) fn digest(content: &str) -> Digest {
    Digest::sha256(content.as_bytes())
}

pub(crate) fn tag(text: &str) -> Tag {
    Tag::parse(text).unwrap()
}

pub(crate) fn tagged(text: &str) -> Target {
    Target::Tag(tag(text))
}

pub(crate) fn blob(content: &str) -> Descriptor {
    Descriptor::of(MediaType::OCI_LAYER, content.as_bytes())
}

pub(crate) async fn put(sink: &dyn Sink, content: &str) -> Result<()> {
    sink.put_blob(&blob(content), Bytes::from(content.to_owned()).into()).await.map(|_sent| ())
}

pub(crate) async fn read(source: &dyn Source, digest: &Digest) -> Result<String> {
    let Blob { size, stream } = source.blob(digest, Resume::START).await?;
    let text = text(stream).await?;
    assert_eq!(size, text.len() as u64);
    Ok(text)
}

pub(crate) async fn read_part(source: &dyn Source, digest: &Digest, range: std::ops::Range<u64>) -> Result<String> {
    let Part { range: given, stream, .. } = source.blob_part(digest, range).await?;
    let text = text(stream).await?;
    assert_eq!(given.end - given.start, text.len() as u64);
    Ok(text)
}

pub(crate) async fn text(stream: refs_registry::ByteStream) -> Result<String> {
    let chunks: Vec<Bytes> = stream.try_collect().await?;
    Ok(String::from_utf8(chunks.concat()).unwrap())
}

/// An image whose only layer is `content`.
pub(crate) fn image(content: &str) -> ImageManifest {
    ImageManifest {
        schema_version: 2,
        media_type: Some(MediaType::OCI_MANIFEST),
        artifact_type: None,
        config: Descriptor::of(MediaType::OCI_EMPTY, b"{}"),
        layers: vec![blob(content)],
        subject: None,
        annotations: Default::default(),
        extra: Default::default(),
    }
}

pub(crate) fn index(manifests: Vec<Descriptor>) -> Index {
    Index {
        schema_version: 2,
        media_type: Some(MediaType::OCI_INDEX),
        artifact_type: None,
        manifests,
        subject: None,
        annotations: Default::default(),
        extra: Default::default(),
    }
}

/// Stores the image of `content` with its blobs.
pub(crate) async fn push(sink: &dyn Sink, content: &str, tags: &[&str]) -> Result<Manifest> {
    put(sink, content).await?;
    let manifest = Manifest::image(&image(content))?;
    put_manifest(sink, &manifest, tags).await?;
    Ok(manifest)
}

/// Stores a manifest and the config that all images here share.
pub(crate) async fn put_manifest(sink: &dyn Sink, manifest: &Manifest, tags: &[&str]) -> Result<Stored> {
    put(sink, "{}").await?;
    let tags: Vec<Tag> = tags.iter().map(|text| tag(text)).collect();
    sink.put_manifest(manifest, &tags).await
}

pub(crate) async fn tags(source: &dyn Source, after: Option<&str>) -> Result<Vec<String>> {
    source.tags(after.map(tag)).map_ok(|tag| tag.to_string()).try_collect().await
}

pub(crate) async fn referrers(source: &dyn Source, subject: &Digest, kind: Option<&str>) -> Result<Vec<Descriptor>> {
    let artifact_type = kind.map(MediaType::new);
    source.referrers(subject, Filter { artifact_type }).try_collect().await
}

pub(crate) async fn upload(sink: &dyn Sink, chunks: &[&str]) -> Result<Box<dyn Upload>> {
    let mut upload = sink.upload(None).await?;
    for chunk in chunks {
        upload.write(Bytes::from((*chunk).to_owned())).await?;
    }
    Ok(upload)
}

#[track_caller]
pub(crate) fn fails<T>(result: Result<T>, kind: ErrorKind) -> Error {
    match result {
        Ok(_) => panic!("it should have failed with {kind:?}"),
        Err(error) if error.kind() == kind => error,
        Err(error) => panic!("it failed with {:?}, not {kind:?}: {error}", error.kind()),
    }
}

/// The stream of a blob read to its end, for its error.
pub(crate) async fn drain(mut stream: refs_registry::ByteStream) -> Result<()> {
    while let Some(chunk) = stream.next().await {
        chunk?;
    }
    Ok(())
}
