//! Blobs on their way in.

use std::{
    num::NonZeroU64,
    ops::RangeInclusive,
    sync::Arc,
    time::{Instant, SystemTime},
};

use bytes::Bytes;
use futures_util::TryStreamExt;
use http::{
    HeaderMap, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_RANGE, LOCATION, RANGE},
};
use refs_registry::{Error, Mounted, Sink, Upload};
use refs_url::{Digest, Hasher, RepoName};

use crate::{
    Code, Refusal, Start, UploadId,
    answer::{DOCKER_CONTENT_DIGEST, DOCKER_UPLOAD_UUID, OCI_CHUNK_MIN_LENGTH, Outcome, Reply},
    body::Incoming,
    neighbours::Neighbours,
    session::{Claim, Held, Session, Sessions},
};

/// The uploads of one repository, for the time of one request.
pub(crate) struct Uploads<'a> {
    pub(crate) sessions: &'a Sessions,
    pub(crate) sink: &'a dyn Sink,
    pub(crate) neighbours: Neighbours<'a>,
    pub(crate) repository: &'a RepoName,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) chunk_bytes: Option<NonZeroU64>,
}

impl Uploads<'_> {
    pub(crate) async fn start(&self, start: Start, body: &mut Incoming) -> Outcome {
        match start {
            Start::Empty => self.begin(self.fresh().await?),
            Start::Whole(digest) => self.whole(&digest, body).await,
            Start::Mount { digest, from: Some(from) } if self.neighbours.reach.can_pull(&from) => {
                self.mount(&digest, &from).await
            }
            // Whatever is there, it is not for this client to know.
            Start::Mount { from: Some(_), .. } => self.begin(self.fresh().await?),
            Start::Mount { digest, from: None } => match self.neighbours.holder(&digest).await? {
                Some(from) => self.mount(&digest, &from).await,
                None => self.begin(self.fresh().await?),
            },
        }
    }

    pub(crate) async fn append(&self, id: UploadId, body: &mut Incoming) -> Outcome {
        let session = self.find(id).await?;
        drop(self.receive(&session, body).await?);
        Ok(self.state(StatusCode::ACCEPTED, &session))
    }

    pub(crate) async fn finish(&self, id: UploadId, digest: &Digest, body: &mut Incoming) -> Outcome {
        let session = self.find(id).await?;
        known_algorithm(digest)?;
        let mut claim = self.receive(&session, body).await?;
        let upload = self.taken(&session, &mut claim.held).await?;
        let committed = upload.commit(digest).await;
        // Not before: until its file is gone, the upload could be found once more.
        self.sessions.end(id);
        committed.map_err(|error| Refusal::of_write(&error))?;
        Ok(self.created(digest))
    }

    pub(crate) async fn progress(&self, id: UploadId) -> Outcome {
        Ok(self.state(StatusCode::NO_CONTENT, &*self.find(id).await?))
    }

    pub(crate) async fn cancel(&self, id: UploadId) -> Outcome {
        let session = self.find(id).await?;
        let mut held = session.claim().await.held;
        if let Some(Held::Left(state)) = &mut *held {
            // What is to be removed need not be hashed first.
            state.offset = 0;
        }
        let upload = self.taken(&session, &mut held).await?;
        let aborted = upload.abort().await;
        self.sessions.end(id);
        aborted.map_err(|error| Refusal::of_write(&error))?;
        Ok(Reply::new(StatusCode::NO_CONTENT))
    }

    async fn mount(&self, digest: &Digest, from: &RepoName) -> Outcome {
        match self.sink.mount(digest, from).await.map_err(|error| Refusal::of_write(&error))? {
            Mounted::Mounted => Ok(self.created(digest)),
            Mounted::Upload(upload) => self.begin(upload),
        }
    }

    /// The whole blob in the request that begins the upload
    /// ([single POST](https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#single-post)).
    async fn whole(&self, digest: &Digest, body: &mut Incoming) -> Outcome {
        known_algorithm(digest)?;
        let mut upload = self.fresh().await?;
        while let Some(chunk) = body.try_next().await? {
            upload.write(chunk).await.map_err(|error| Refusal::of_write(&error))?;
        }
        upload.commit(digest).await.map_err(|error| Refusal::of_write(&error))?;
        Ok(self.created(digest))
    }

    /// Hands `body` to the upload of `session`. When the body breaks off, or a newer request wants the upload, what came of it
    /// stays, so that the client can ask how much that was and go on.
    async fn receive<'s>(&self, session: &'s Session, body: &mut Incoming) -> Result<Claim<'s>, Refusal> {
        let mut claim = session.claim().await;
        let mut upload = self.taken(session, &mut claim.held).await?;
        let fed = self.feed(session, &mut *upload, &mut claim, body).await;
        if let Err(Broken::Store(error)) = fed {
            // Nobody can tell how much of the chunk was taken, so there is nothing to go on from. The first failure is the one
            // to report; what can't be removed now is removed when it has expired.
            drop(upload.abort().await);
            self.sessions.end(session.id);
            return Err(Refusal::of_write(&error));
        }
        *claim.held = Some(Held::Open(upload));
        match fed {
            Err(Broken::Request(refusal)) => Err(refusal),
            _ => Ok(claim),
        }
    }

    async fn feed(
        &self,
        session: &Session,
        upload: &mut dyn Upload,
        claim: &mut Claim<'_>,
        body: &mut Incoming,
    ) -> Result<(), Broken> {
        let announced = self.announced(session).map_err(Broken::Request)?;
        let mut came = 0;
        while let Some(chunk) = next_unless_overtaken(claim, body).await.map_err(Broken::Request)? {
            let bytes = chunk.len() as u64;
            came += bytes;
            if announced.is_some_and(|announced| came > announced) {
                return Err(Broken::Request(wrong_size()));
            }
            upload.write(chunk).await.map_err(Broken::Store)?;
            session.add(bytes);
            session.touch(Instant::now());
        }
        let is_short = announced.is_some_and(|announced| came < announced);
        if is_short { Err(Broken::Request(wrong_size())) } else { Ok(()) }
    }

    /// The upload that `session` held, resumed where the process before this one left it.
    async fn taken(&self, session: &Session, held: &mut Option<Held>) -> Result<Box<dyn Upload>, Refusal> {
        match held.take().ok_or_else(Refusal::no_such_upload)? {
            Held::Open(upload) => Ok(upload),
            Held::Left(state) => self.sink.upload(Some(state)).await.map_err(|error| {
                self.sessions.end(session.id);
                Refusal::of_write(&error)
            }),
        }
    }

    /// How many bytes `Content-Range` announces, when it is there; they must be the ones to come next.
    fn announced(&self, session: &Session) -> Result<Option<u64>, Refusal> {
        let Some(header) = self.headers.get(CONTENT_RANGE) else { return Ok(None) };
        let range = header.to_str().ok().and_then(content_range).ok_or_else(|| {
            Refusal::new(StatusCode::BAD_REQUEST, Code::RangeInvalid, "Content-Range is not `first-last`")
        })?;
        if *range.start() != session.received() {
            return Err(self.out_of_order(session));
        }
        let announced = range.end() - range.start() + 1;
        let length = self.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        if length.is_some_and(|length: u64| length != announced) { Err(wrong_size()) } else { Ok(Some(announced)) }
    }

    fn out_of_order(&self, session: &Session) -> Refusal {
        let message = format!("the next byte of this upload is {}", session.received());
        Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, Code::RangeInvalid, message)
            .with(LOCATION, self.location(session))
            .with(RANGE, received(session))
    }

    async fn fresh(&self) -> Result<Box<dyn Upload>, Refusal> {
        self.sink.upload(None).await.map_err(|error| Refusal::of_write(&error))
    }

    fn begin(&self, upload: Box<dyn Upload>) -> Outcome {
        let kept_as = |upload: &dyn Upload| {
            let keeps = self.sink.keeps_uploads();
            keeps.then(|| UploadId::parse(&upload.state().session)).flatten()
        };
        let session = self.sessions.begin(self.repository, upload, kept_as, Instant::now())?;
        let reply = self.state(StatusCode::ACCEPTED, &session);
        Ok(self.chunk_bytes.into_iter().fold(reply, |reply, least| reply.with(OCI_CHUNK_MIN_LENGTH, least)))
    }

    /// The session `id`, be it of this process or of one before it.
    async fn find(&self, id: UploadId) -> Result<Arc<Session>, Refusal> {
        let now = Instant::now();
        let found = self.sessions.find(self.repository, id, now);
        if found.is_ok() || !self.sink.keeps_uploads() {
            return found;
        }
        let left = async || {
            let left = self.sink.find_upload(&id.to_string()).await.map_err(|error| Refusal::of_write(&error))?;
            left.ok_or_else(Refusal::no_such_upload)
        };
        left().await?;
        // One that has expired waits there for nobody but who removes it.
        let before = SystemTime::now().checked_sub(self.sessions.idle()).unwrap_or(SystemTime::UNIX_EPOCH);
        self.sink.forget_uploads(before).await.map_err(|error| Refusal::of_write(&error))?;
        self.sessions.adopt(self.repository, id, left().await?, now)
    }

    fn state(&self, status: StatusCode, session: &Session) -> Reply {
        Reply::new(status)
            .with(LOCATION, self.location(session))
            .with(RANGE, received(session))
            .with(DOCKER_UPLOAD_UUID, session.id)
    }

    fn location(&self, session: &Session) -> String {
        format!("/v2/{}/blobs/uploads/{}", self.repository, session.id)
    }

    fn created(&self, digest: &Digest) -> Reply {
        Reply::new(StatusCode::CREATED)
            .with(LOCATION, format_args!("/v2/{}/blobs/{digest}", self.repository))
            .with(DOCKER_CONTENT_DIGEST, digest)
    }
}

/// What kept a body from getting to its end.
enum Broken {
    /// The request is at fault: the upload is what it was.
    Request(Refusal),
    /// The store is.
    Store(Error),
}

/// What comes next of `body`, which may be nothing for long.
async fn next_unless_overtaken(claim: &mut Claim<'_>, body: &mut Incoming) -> Result<Option<Bytes>, Refusal> {
    tokio::select! {
        biased;
        () = claim.is_lost() => {
            let message = "a newer request goes on with this upload";
            Err(Refusal::new(StatusCode::CONFLICT, Code::BlobUploadInvalid, message))
        }
        next = body.try_next() => next,
    }
}

/// Refuses what could not be verified in the end, before the bytes have come.
fn known_algorithm(digest: &Digest) -> Result<(), Refusal> {
    Hasher::for_digest(digest).map(drop).ok_or_else(|| Refusal::unknown_algorithm(digest))
}

/// The bytes of a session as a range with an inclusive end, which can't tell none from one: both are `0-0`.
fn received(session: &Session) -> String {
    format!("0-{}", session.received().saturating_sub(1))
}

/// `first-last`, without a unit as the spec has it.
fn content_range(header: &str) -> Option<RangeInclusive<u64>> {
    let (first, last) = header.split_once('-')?;
    let number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    // The whole range of `u64` has more bytes than it can count.
    let (first, last) = (number(first)?, number(last).filter(|last| *last < u64::MAX)?);
    (first <= last).then_some(first..=last)
}

fn wrong_size() -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, Code::SizeInvalid, "the body is not as long as announced")
}
