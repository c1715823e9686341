//! Uploads of bytes as they come
//! ([pushing blobs](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-blobs)).

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use refs_url::{Digest, Hasher};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use super::{
    Repository,
    held::{Goal, Held},
    pieces::{Seen, Step, lesson},
    sending::Sending,
    session::Session,
};
use crate::{
    Error, Result, Upload, UploadState,
    error::{Fault, Setting, Wanted},
    transport::{Answer, Body, Failure},
};

/// Chunks that may wait for the connection to take them.
const QUEUE: usize = 4;

impl Repository {
    /// Begins an upload of the blob `digest`, where that is known already.
    pub(super) async fn begin_upload(&self, digest: Option<&Digest>) -> Result<Box<dyn Upload>> {
        let mut budget = self.remote.budget();
        let session = loop {
            match Session::begin(self, digest).await {
                Ok(session) => break session,
                Err(failure) => self.remote.pause(failure, &mut budget).await?,
            }
        };
        Ok(Box::new(Uploading::new(self, session, digest)))
    }

    pub(super) async fn resume_upload(&self, state: &UploadState) -> Result<Box<dyn Upload>> {
        let session = Session::resume(self, state).await?;
        let upload = Uploading::new(self, session, None);
        // What came before did not go through here.
        Ok(Box::new(Uploading { hasher: None, ..upload }))
    }
}

/// An upload of bytes as they come.
#[derive(Debug)]
pub(super) struct Uploading {
    repository: Repository,
    sending: Sending,
    /// Of all bytes since the session's beginning; `None` when not all of them went through here.
    hasher: Option<Hasher>,
    flow: Flow,
}

/// How the bytes are sent.
#[derive(Debug)]
enum Flow {
    /// In one request, as they come; `None` before the first of them.
    Stream(Option<Patch>),
    /// In pieces, each kept until the registry has it.
    Pieces(BytesMut),
}

impl Uploading {
    pub(super) fn new(repository: &Repository, session: Session, digest: Option<&Digest>) -> Self {
        let mut sending = Sending::new(repository, session);
        let flow = match sending.stream_by() {
            None => Flow::Stream(None),
            Some(_) => Flow::Pieces(BytesMut::new()),
        };
        let hasher = digest.map_or_else(|| Some(Hasher::sha256()), Hasher::for_digest);
        Self { repository: repository.clone(), sending, hasher, flow }
    }

    /// Sends `buffer` as far as the `goal` asks, and keeps what was not.
    async fn send(&mut self, buffer: Bytes, goal: Goal<'_>) -> Result<Bytes> {
        let start = self.sending.session().offset();
        let held = Held::Bytes { start, bytes: buffer.clone() };
        self.sending.drive(&held, goal).await?;
        let sent = usize::try_from(self.sending.session().offset().saturating_sub(start)).unwrap_or(usize::MAX);
        Ok(buffer.slice(sent.min(buffer.len())..))
    }

    /// Keeps `chunk`, and sends what has become enough for a piece.
    async fn keep(&mut self, mut buffer: BytesMut, chunk: Bytes) -> Result<()> {
        buffer.extend_from_slice(&chunk);
        let is_enough = |piece| buffer.len() as u64 >= piece;
        if self.sending.limits().of_stream().is_some_and(is_enough) {
            let rest = self.send(buffer.split().freeze(), Goal::SoFar).await?;
            buffer.extend_from_slice(&rest);
        }
        if self.sending.limits().of_stream().is_none() {
            // The registry has turned out to take no pieces.
            self.flow = Flow::Stream(None);
            return self.feed(buffer.freeze()).await;
        }
        self.flow = Flow::Pieces(buffer);
        Ok(())
    }

    async fn feed(&mut self, chunk: Bytes) -> Result<()> {
        if chunk.is_empty() {
            return Ok(());
        }
        let patch = match &mut self.flow {
            Flow::Stream(Some(patch)) => patch,
            flow => {
                *flow = Flow::Stream(Some(Patch::begin(&self.repository, self.sending.session())));
                match flow {
                    Flow::Stream(Some(patch)) => patch,
                    _ => return Ok(()),
                }
            }
        };
        let len = chunk.len() as u64;
        let is_taken = tokio::select! {
            biased;
            taken = patch.feed.send(Ok(chunk)) => taken.is_ok(),
            // The connection may hold on to the body of a request that was given up, for as long as it stalls.
            _ = &mut patch.over => false,
        };
        if is_taken {
            patch.fed += len;
            return Ok(());
        }
        // The registry has stopped taking the body: its answer says why.
        match self.finish_patch().await? {
            Some(answer) => Err(answer.protocol(Fault::EarlyAnswer)),
            None => Ok(()),
        }
    }

    /// Ends the one request, if there is one, and takes note of its answer.
    async fn finish_patch(&mut self) -> Result<Option<Answer>> {
        let Flow::Stream(patch) = &mut self.flow else { return Ok(None) };
        let Some(patch) = patch.take() else { return Ok(None) };
        let fed = patch.fed;
        let answer = match patch.finish().await {
            Ok(answer) => answer,
            Err(failure) => {
                self.learn(&failure.error, fed);
                self.sending.session_mut().doubt();
                return Err(failure.error);
            }
        };
        let start = self.sending.session().offset();
        self.sending.session_mut().acknowledged(&answer, &(start..start + fed)).map_err(|failure| failure.error)?;
        if self.sending.session().offset() < start + fed {
            return Err(answer.protocol(Fault::EarlyAnswer));
        }
        Ok(Some(answer))
    }

    /// So that the next stream is sent in pieces that the registry takes.
    fn learn(&self, error: &Error, fed: u64) {
        let Error::Refused { status, detail, .. } = error else { return };
        if let Some(lesson) = lesson(*status, detail.words(), &Step::Patch, fed, Seen::First) {
            self.repository.remote.learn(|quirks| lesson.note(quirks));
        }
    }

    async fn finish(&mut self, digest: &Digest) -> Result<()> {
        self.finish_patch().await?;
        let hasher = self.hasher.take();
        let is_alike = |actual: &Digest| actual.algorithm() == digest.algorithm();
        if let Some(actual) = hasher.map(Hasher::finish).filter(|actual| is_alike(actual) && actual != digest) {
            return Err(Error::Digest { wanted: Wanted::Blob(digest.clone()), actual });
        }
        let rest = match &mut self.flow {
            Flow::Stream(_) => Bytes::new(),
            Flow::Pieces(buffer) => buffer.split().freeze(),
        };
        self.send(rest, Goal::Blob(digest)).await.map(drop)
    }
}

/// A `PATCH` whose body is being written.
#[derive(Debug)]
struct Patch {
    feed: mpsc::Sender<Result<Bytes>>,
    answer: JoinHandle<Result<Answer, Failure>>,
    /// Resolves when the answer is there.
    over: oneshot::Receiver<()>,
    fed: u64,
}

impl Drop for Patch {
    fn drop(&mut self) {
        self.answer.abort();
    }
}

impl Patch {
    fn begin(repository: &Repository, session: &Session) -> Self {
        let (feed, queue) = mpsc::channel(QUEUE);
        let body = stream::unfold(queue, |mut queue| async { queue.recv().await.map(|chunk| (chunk, queue)) });
        let call = session.patch(Body::once(body.boxed()));
        let remote = repository.remote.clone();
        let (ends, over) = oneshot::channel();
        let answer = tokio::spawn(async move {
            let _ends = ends;
            remote.once(&call).await
        });
        Self { feed, answer, over, fed: 0 }
    }

    /// The registry's answer, once nothing more is fed.
    async fn finish(mut self) -> Result<Answer, Failure> {
        let (closed, _) = mpsc::channel(1);
        drop(std::mem::replace(&mut self.feed, closed));
        match (&mut self.answer).await {
            Ok(answer) => answer,
            Err(lost) => {
                let source = std::sync::Arc::new(lost);
                Err(Failure::last(Error::Settings { what: Setting::Client("the runtime"), source }))
            }
        }
    }
}

#[async_trait]
impl Upload for Uploading {
    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&chunk);
        }
        match &mut self.flow {
            Flow::Stream(_) => self.feed(chunk).await,
            Flow::Pieces(buffer) => {
                let buffer = std::mem::take(buffer);
                self.keep(buffer, chunk).await
            }
        }
    }

    fn state(&self) -> UploadState {
        self.sending.session().state()
    }

    async fn commit(mut self: Box<Self>, digest: &Digest) -> Result<()> {
        let finished = self.finish(digest).await;
        if let Err(error) = &finished {
            self.sending.cancel_after(error).await;
        }
        finished
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        self.flow = Flow::Stream(None);
        self.sending.session_mut().cancel().await
    }
}
