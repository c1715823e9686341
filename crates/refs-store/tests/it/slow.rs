//! A registry that a test has in its hands.

use std::{
    ops::Range,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use refs_registry::{Blob, Descriptor, Error, Filter, Manifest, Part, Result, Resume, Source, error::Wanted};
use refs_store::{Cached, Fetches, Store};
use refs_testkit::until;
use refs_url::{Digest, Tag, Target};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use crate::{content::digest, store::origin};

/// A registry whose parts come when a test says so.
#[derive(Debug)]
pub(crate) struct Slow {
    total: Mutex<u64>,
    asked: Mutex<Vec<Range<u64>>>,
    /// What requests are answered with, one after the other.
    answers: Mutex<UnboundedSender<Result<()>>>,
    admitted: tokio::sync::Mutex<UnboundedReceiver<Result<()>>>,
    feeds: Mutex<Vec<UnboundedSender<Result<Bytes>>>>,
}

impl Slow {
    pub(crate) fn of(total: u64) -> Arc<Self> {
        let (answers, admitted) = mpsc::unbounded_channel();
        let (answers, admitted) = (Mutex::new(answers), tokio::sync::Mutex::new(admitted));
        Arc::new(Self { total: Mutex::new(total), asked: Mutex::default(), answers, admitted, feeds: Mutex::default() })
    }

    /// Lets the next request be answered.
    pub(crate) fn admit(&self) {
        self.answer(Ok(()));
    }

    pub(crate) fn answer(&self, answer: Result<()>) {
        self.answers.lock().unwrap().send(answer).unwrap();
    }

    /// Sends to the reader of the latest request.
    pub(crate) fn feed(&self, piece: &str) {
        let latest = self.feeds.lock().unwrap().len() - 1;
        self.feed_to(latest, piece);
    }

    pub(crate) fn feed_to(&self, request: usize, piece: &str) {
        drop(self.feeds.lock().unwrap()[request].send(Ok(Bytes::from(piece.to_owned()))));
    }

    pub(crate) fn cut(&self) {
        drop(self.feeds.lock().unwrap().last().unwrap().send(Err(down())));
    }

    /// Tells of another size from now on.
    pub(crate) fn resize(&self, total: u64) {
        *self.total.lock().unwrap() = total;
    }

    /// Waits until so many requests were answered.
    pub(crate) async fn answered(&self, requests: usize) {
        until(async || self.feeds.lock().unwrap().len() >= requests).await;
    }

    /// The ranges that it was asked for.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|range| format!("{range:?}")).collect()
    }

    /// The repository `o/r`, as each of those opens it who share `fetches`.
    pub(crate) fn cached(self: &Arc<Self>, store: &Arc<dyn Store>, fetches: &Fetches) -> Cached {
        Cached::new(Arc::clone(self) as _, origin("a.io", "o/r"), Arc::clone(store)).sharing(fetches)
    }
}

pub(crate) fn down() -> Error {
    Error::NotFound { wanted: Wanted::Blob(digest("down")), at: "the origin".into(), code: None }
}

#[async_trait]
impl Source for Slow {
    async fn resolve(&self, _: &Target) -> Result<Descriptor> {
        Err(down())
    }
    async fn manifest(&self, _: &Target) -> Result<Manifest> {
        Err(down())
    }
    async fn blob(&self, _: &Digest, _: Resume) -> Result<Blob> {
        Err(down())
    }
    async fn blob_part(&self, _: &Digest, range: Range<u64>) -> Result<Part> {
        self.asked.lock().unwrap().push(range.clone());
        self.admitted.lock().await.recv().await.unwrap()?;
        let (feed, fed) = mpsc::unbounded_channel();
        self.feeds.lock().unwrap().push(feed);
        let stream = stream::unfold(fed, |mut fed| async { Some((fed.recv().await?, fed)) }).boxed();
        // It ends with its last byte, as those of registries do.
        let left = range.end - range.start;
        let stream = stream::try_unfold((stream, left), |(mut stream, left)| async move {
            if left == 0 {
                return Ok(None);
            }
            let piece: Option<Bytes> = stream.next().await.transpose()?;
            Ok(piece.map(|piece| (piece.clone(), (stream, left - piece.len() as u64))))
        });
        Ok(Part { range, total: *self.total.lock().unwrap(), stream: stream.boxed() })
    }
    async fn stat_blob(&self, _: &Digest) -> Result<Option<u64>> {
        Ok(Some(*self.total.lock().unwrap()))
    }
    fn tags(&self, _: Option<Tag>) -> BoxStream<'_, Result<Tag>> {
        stream::empty().boxed()
    }
    fn referrers(&self, _: &Digest, _: Filter) -> BoxStream<'_, Result<Descriptor>> {
        stream::empty().boxed()
    }
}
