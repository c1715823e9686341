//! A source that answers late what is only told.

use std::ops::Range;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use refs_client::copy::{LeftBehind, Platforms};
use refs_registry::{Blob, Filter, Part, Resolver, Writable};
use refs_store::Memory;
use refs_url::{Host, RepoName, Tag};

use super::*;

/// Tells what refers to `index` when the destination has its tag, and nothing if it never has.
#[derive(Debug)]
struct Late {
    source: Memory,
    destination: Memory,
    index: Digest,
}

impl Late {
    async fn wait(&self) {
        for _ in 0..100_000 {
            if self.destination.resolve(&"v1".parse().unwrap()).await.is_ok() {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("the copy waits for what is only told");
    }
}

#[async_trait]
impl Source for Late {
    async fn resolve(&self, target: &Target) -> refs_registry::Result<Descriptor> {
        self.source.resolve(target).await
    }

    async fn manifest(&self, target: &Target) -> refs_registry::Result<Manifest> {
        self.source.manifest(target).await
    }

    async fn blob(&self, digest: &Digest, from: Resume) -> refs_registry::Result<Blob> {
        self.source.blob(digest, from).await
    }

    async fn blob_part(&self, digest: &Digest, range: Range<u64>) -> refs_registry::Result<Part> {
        self.source.blob_part(digest, range).await
    }

    async fn stat_blob(&self, digest: &Digest) -> refs_registry::Result<Option<u64>> {
        self.source.stat_blob(digest).await
    }

    fn tags(&self, after: Option<Tag>) -> BoxStream<'_, refs_registry::Result<Tag>> {
        self.source.tags(after)
    }

    fn referrers(&self, subject: &Digest, filter: Filter) -> BoxStream<'_, refs_registry::Result<Descriptor>> {
        let listed = self.source.referrers(subject, filter);
        if *subject != self.index {
            return listed;
        }
        stream::once(self.wait()).flat_map(|()| stream::empty()).chain(listed).boxed()
    }
}

/// `late` to read, and its destination to write.
#[derive(Debug)]
struct Two(Arc<Late>);

impl Resolver for Two {
    fn source(&self, _: &Host, _: &RepoName) -> refs_registry::Result<Arc<dyn Source>> {
        Ok(self.0.clone())
    }

    fn repositories(&self, _: &Host) -> BoxStream<'_, refs_registry::Result<RepoName>> {
        stream::empty().boxed()
    }
}

impl Writable for Two {
    fn sink(&self, _: &Host, _: &RepoName) -> refs_registry::Result<Arc<dyn Sink>> {
        Ok(Arc::new(self.0.destination.clone()))
    }
}

#[tokio::test]
async fn what_stays_behind_holds_up_nothing() {
    let (source, destination) = (Memory::new(), Memory::new());
    let index = graph(&source).await.descriptor.digest;
    let client = Client::new(Arc::new(Two(Arc::new(Late { source, destination, index: index.clone() }))));
    let platforms = Platforms::Image(Box::new(platform("linux/amd64")));
    let options = CopyOptions { platforms, ..CopyOptions::default() };
    let copied = client.copy(&at("one.example/o/r:v1"), &at("two.example/o/r:v1"), &options).await.unwrap();
    assert_eq!((copied.referrers, copied.left_behind), (1, Some(LeftBehind { index, referrers: 1 })));
}
