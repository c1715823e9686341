//! Connections that many answers share, as HTTP/2's do: what is not read of one takes room from all.

use std::{ops::Range, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use refs_client::Client;
use refs_registry::{Blob, Descriptor, Filter, Manifest, Part, Resolver, Result, Resume, Sink, Source, Writable};
use refs_store::Memories;
use refs_testkit::Tree;
use refs_url::{Digest, Host, RepoName, Tag, Target};
use tokio::sync::{Semaphore, mpsc};

use crate::setup::{IN_MEMORY, at, noise, pull, pull_of, pushed};

/// So many bytes may be on their way to whoever asked, in all answers together.
const WINDOW_BYTES: usize = 512 << 10;
const FRAME_BYTES: usize = 16 << 10;

/// Repositories whose parts of blobs come over one connection.
#[derive(Debug, Clone)]
struct Shared<T> {
    inner: T,
    window: Arc<Semaphore>,
}

impl Resolver for Shared<Memories> {
    fn source(&self, host: &Host, repository: &RepoName) -> Result<Arc<dyn Source>> {
        let inner = self.inner.source(host, repository)?;
        Ok(Arc::new(Shared { inner, window: Arc::clone(&self.window) }))
    }

    fn repositories(&self, host: &Host) -> BoxStream<'_, Result<RepoName>> {
        self.inner.repositories(host)
    }
}

impl Writable for Shared<Memories> {
    fn sink(&self, host: &Host, repository: &RepoName) -> Result<Arc<dyn Sink>> {
        self.inner.sink(host, repository)
    }
}

#[async_trait]
impl Source for Shared<Arc<dyn Source>> {
    async fn resolve(&self, target: &Target) -> Result<Descriptor> {
        self.inner.resolve(target).await
    }

    async fn manifest(&self, target: &Target) -> Result<Manifest> {
        self.inner.manifest(target).await
    }

    async fn blob(&self, digest: &Digest, from: Resume) -> Result<Blob> {
        self.inner.blob(digest, from).await
    }

    /// The other side sends whenever there is room, to whatever answer comes next; room is made by reading.
    async fn blob_part(&self, digest: &Digest, range: Range<u64>) -> Result<Part> {
        // As on a network, others ask before the first is answered.
        tokio::task::yield_now().await;
        let Part { range, total, mut stream } = self.inner.blob_part(digest, range).await?;
        let (sender, receiver) = mpsc::unbounded_channel();
        let window = Arc::clone(&self.window);
        tokio::spawn(async move {
            while let Some(chunk) = stream.next().await {
                let mut chunk = chunk.unwrap();
                while !chunk.is_empty() {
                    let frame = chunk.split_to(FRAME_BYTES.min(chunk.len()));
                    let room = Arc::clone(&window).acquire_many_owned(frame.len() as u32).await.unwrap();
                    if sender.send((frame, room)).is_err() {
                        return;
                    }
                }
            }
        });
        let stream = stream::unfold(receiver, |mut receiver| async {
            let (frame, _room) = receiver.recv().await?;
            Some((Ok(frame), receiver))
        });
        Ok(Part { range, total, stream: stream.boxed() })
    }

    async fn stat_blob(&self, digest: &Digest) -> Result<Option<u64>> {
        self.inner.stat_blob(digest).await
    }

    fn tags(&self, after: Option<Tag>) -> BoxStream<'_, Result<Tag>> {
        self.inner.tags(after)
    }

    fn referrers(&self, subject: &Digest, filter: Filter) -> BoxStream<'_, Result<Descriptor>> {
        self.inner.referrers(subject, filter)
    }
}

#[tokio::test]
async fn parts_that_share_a_connection_do_not_starve_each_other() {
    let tree = Tree::new().file("big/1", noise(10 << 20, 1)).file("other", noise(12 << 20, 2));
    let (inner, _, _) = pushed(&tree).await;
    let window = Arc::new(Semaphore::new(WINDOW_BYTES));
    let client = Client::new(Arc::new(Shared { inner, window }));
    let (location, options) = (at(IN_MEMORY), pull_of(&["big"]));
    let pulled = tokio::time::timeout(Duration::from_secs(60), pull(&client, &location, &options));
    let (_, report) = pulled.await.expect("some answer is waited for that has no room").unwrap();
    assert_eq!(report.files, 1);
    assert!(report.fetched_bytes < 11 << 20, "{report:?}");
}
