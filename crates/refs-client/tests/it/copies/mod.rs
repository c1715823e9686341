//! Copies: what arrives, what is asked for it, and what is left behind when it fails.

mod faults;
mod graphs;
mod late;
mod layouts;
mod limits;
mod options;
mod requests;
mod resumed;

use std::{collections::BTreeMap, sync::Arc};

use futures_util::TryStreamExt;
use refs_client::{
    Client, Copied, CopyOptions, Error, Existing, Location, Portion, PullOptions, ReadOptions, Side, manifest_digests,
};
use refs_registry::{Descriptor, Manifest, MediaType, Platform, Resume, Sink, Source};
use refs_store::Memories;
use refs_testkit::{FakeRegistry, Image, image};
use refs_url::{Digest, Target};

use crate::setup::{anonymous, at, noise};

/// What an artifact consists of, and what refers to it: the bytes by their digests.
type Content = BTreeMap<Digest, Vec<u8>>;

fn platform(name: &str) -> Platform {
    Platform::parse(name).unwrap()
}

/// An image whose first layer others have, too.
fn image_of(seed: u64) -> Image {
    Image::new()
        .layer(MediaType::OCI_LAYER_GZIP, noise(300_000, 1))
        .layer(MediaType::OCI_LAYER_GZIP, noise(20_000, 100 + seed))
        .annotate("seed", &seed.to_string())
}

/// An index of three platforms and of another index, as `v1`; about it a signature with a signature of its own, and about
/// its first image an SBOM.
async fn graph(sink: &dyn Sink) -> Manifest {
    let mut listed = Vec::new();
    for (name, seed) in [("linux/amd64", 1), ("linux/arm64", 2), ("windows/amd64", 3)] {
        let pushed = image_of(seed).push(sink, &[]).await.unwrap().descriptor;
        listed.push(Descriptor { platform: Some(platform(name)), ..pushed });
    }
    let nested = image::push_index(sink, &[(platform("linux/riscv64"), image_of(4))], &[]).await.unwrap();
    listed.push(nested.descriptor);
    let first = listed[0].clone();
    let index = image::index(listed).unwrap();
    sink.put_manifest(&index, &["v1".parse().unwrap()]).await.unwrap();
    let about = |kind: &str, subject: &Descriptor| {
        Image::new().artifact_type(kind).file(kind, format!("{kind} {}", subject.digest)).subject(subject)
    };
    let signature = about("text/x-signature", &index.descriptor).push(sink, &[]).await.unwrap();
    about("text/x-signature", &signature.descriptor).push(sink, &[]).await.unwrap();
    about("text/x-sbom", &first).push(sink, &[]).await.unwrap();
    index
}

/// All that is at and about `digest`.
async fn content(source: &dyn Source, digest: &Digest) -> Content {
    let (mut content, mut unread) = (Content::new(), vec![digest.clone()]);
    while let Some(digest) = unread.pop() {
        let manifest = source.manifest(&Target::Digest(digest.clone())).await.unwrap();
        let children = manifest_digests(&manifest.descriptor.media_type, &manifest.raw).unwrap();
        for blob in children.blobs {
            let read = source.blob(&blob.digest, Resume::START).await.unwrap();
            let bytes: Vec<_> = read.stream.try_collect().await.unwrap();
            content.insert(blob.digest, bytes.concat());
        }
        let about: Vec<Descriptor> = source.referrers(&digest, Default::default()).try_collect().await.unwrap();
        let below = children.manifests.into_iter().chain(about).map(|manifest| manifest.digest);
        unread.extend(below.filter(|below| !content.contains_key(below)));
        content.insert(digest, manifest.raw.to_vec());
    }
    content
}

/// What `reference` leads to, in the repository beneath `registry`.
async fn tagged(registry: &FakeRegistry, name: &str, tag: &str) -> Option<Digest> {
    let found = registry.repository(name).resolve(&tag.parse().unwrap()).await;
    found.ok().map(|found| found.digest)
}

/// `name` in `registry`.
fn place(registry: &FakeRegistry, name: &str) -> Location {
    at(&format!("{}/{name}", registry.host()))
}

/// Two registries that anybody may use, the first with [`graph`] as `o/from:v1`.
async fn pair() -> (FakeRegistry, FakeRegistry, Manifest) {
    let (from, to) = (FakeRegistry::start().await, FakeRegistry::start().await);
    let index = graph(&*from.repository("o/from")).await;
    (from, to, index)
}

async fn copy(client: &Client, from: &Location, to: &Location) -> Copied {
    client.copy(from, to, &CopyOptions::default()).await.unwrap()
}

/// The side that failed, and how.
#[track_caller]
fn side(error: &Error) -> (Side, refs_registry::ErrorKind) {
    match error {
        Error::Copy { side, source, .. } => (*side, source.kind()),
        other => panic!("no failure of a side: {other:?}"),
    }
}
