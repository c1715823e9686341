//! The server: from a request to its answer.

use std::{
    fmt,
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use futures_util::StreamExt;
use http::{
    HeaderMap, Request, Response, StatusCode,
    header::{ALLOW, EXPECT},
    request,
};
use refs_registry::{Resolver, Writable};
use refs_url::{Host, RepoName};

use crate::{
    Body, BoxError, Call, Code, Endpoint, Health, Load, Mirror, Options, Page, Peer, Probe, Read, Refusal, Write,
    access::{Gate, Reach, TOKEN_PATH, Wanted},
    answer::{self, Outcome, Reply},
    blobs,
    body::{self, Incoming},
    call,
    health::{self, Tried},
    listing,
    load::Connections,
    manifests::{self, Changes},
    neighbours::Neighbours,
    observer::Observers,
    places::Places,
    reading::{Behind, Reading},
    referrers,
    session::Sessions,
    turns::Turns,
    uploads::Uploads,
    watch::{Notes, Watch},
};

/// The server side of the distribution spec, over repositories that live anywhere. Clones share their uploads.
///
/// What it gives away is what its [`Resolver`] gives; what it can change is decided by which of the two constructors
/// made it. Who asks, and whether they may, is decided by [`Options::access`].
#[derive(Clone)]
pub struct Server(Arc<Inner>);

struct Inner {
    host: Host,
    reads: Reads,
    writes: Option<Arc<dyn Writable>>,
    sessions: Sessions,
    upload_idle: Duration,
    page: usize,
    mount_search: usize,
    chunk_bytes: Option<NonZeroU64>,
    body_idle: Duration,
    gate: Option<Gate>,
    observers: Observers,
    places: Arc<Places>,
    connections: Connections,
    draining: AtomicBool,
    probe: Option<Arc<dyn Probe>>,
    tried: Tried,
    turns: Turns,
}

/// Where repositories come from.
#[derive(Debug)]
enum Reads {
    Resolver(Arc<dyn Resolver>),
    Mirror(Mirror),
}

impl Server {
    /// A server that gives what `resolver` has. Whatever would change it is answered with 405 and `UNSUPPORTED`.
    #[must_use]
    pub fn new(resolver: Arc<dyn Resolver>, options: &Options) -> Self {
        Self::over(Reads::Resolver(resolver), None, options)
    }

    /// A server that takes pushes, too.
    #[must_use]
    pub fn writable(writable: Arc<dyn Writable>, options: &Options) -> Self {
        Self::over(Reads::Resolver(Arc::clone(&writable) as Arc<dyn Resolver>), Some(writable), options)
    }

    /// A server that gives what the upstreams of `mirror` have, and says in `X-Cache` where it came from: `HIT`, `MISS`,
    /// `STALE` (with `Warning: 110`) or `PARTIAL`. Names lead to upstreams by their prefix, or by the `ns` of the query,
    /// which names an upstream's host. What would change something is answered with 405, and lists of repositories with 404.
    #[must_use]
    pub fn mirror(mirror: Mirror, options: &Options) -> Self {
        Self::over(Reads::Mirror(mirror), None, options)
    }

    fn over(reads: Reads, writes: Option<Arc<dyn Writable>>, options: &Options) -> Self {
        let sessions = Sessions::new(options.uploads, options.upload_idle);
        let Options { host, page, upload_idle, mount_search, chunk_bytes, body_idle, access, probe, .. } =
            options.clone();
        Self(Arc::new(Inner {
            host,
            reads,
            writes,
            sessions,
            upload_idle,
            page,
            mount_search,
            chunk_bytes,
            body_idle,
            gate: access.map(Gate::new),
            observers: Observers::new(&options.observers),
            places: Places::new(options.requests, options.requests_each),
            connections: Connections::default(),
            draining: AtomicBool::new(false),
            probe,
            tried: Tried::default(),
            turns: Turns::default(),
        }))
    }

    /// The answer to `request`.
    ///
    /// Bodies pass piece by piece in both directions. The body of the answer fails when what was read turns out not to
    /// be what it had to be; the connection must then be closed without ending the body, as hyper does.
    ///
    /// A write that has begun goes on to its end when this future is dropped, so that a client that leaves can't stop
    /// a store halfway; a request's body that breaks off ends it.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (head, body) = request.into_parts();
        if head.uri.path() == health::PATH {
            return self.health().await.answer(&head.method);
        }
        let mut watch = Watch::new(&self.0.observers, &head);
        let notes = watch.notes();
        let body = body::incoming(body, self.0.body_idle, Arc::clone(&notes));
        let outcome = match self.0.places.enter(Peer::of(&head).map(|peer| peer.ip())) {
            Ok(place) => {
                watch.hold(place);
                self.outcome(&head, body, &notes).await
            }
            Err(refusal) => {
                leave(body, &head.headers).await;
                Err(refusal)
            }
        };
        watch.over(&head, answer::finish(outcome))
    }

    /// Answers `request` with `refusal` without looking at it further. Observers are told of it as of any other.
    pub(crate) async fn refuse<B>(&self, request: Request<B>, refusal: Refusal) -> Response<Body>
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (head, body) = request.into_parts();
        let watch = Watch::new(&self.0.observers, &head);
        leave(body::incoming(body, self.0.body_idle, watch.notes()), &head.headers).await;
        watch.over(&head, answer::finish(Err(refusal)))
    }

    /// Whether requests should be sent here, as `/healthz` tells whoever asks.
    pub async fn health(&self) -> Health {
        if self.0.draining.load(Ordering::Relaxed) {
            return Health::Draining;
        }
        match &self.0.probe {
            Some(probe) if !self.0.tried.is_writable(&**probe).await => Health::Unwritable,
            _ => Health::Good,
        }
    }

    /// Has `/healthz` say from now on that no more requests should be sent here. They are answered still.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    /// What is under way.
    #[must_use]
    pub fn load(&self) -> Load {
        let Inner { places, connections, sessions, .. } = &*self.0;
        Load { requests: places.count(), connections: connections.count(), uploads: sessions.count() }
    }

    pub(crate) fn connections(&self) -> &Connections {
        &self.0.connections
    }

    /// Forgets the uploads that nobody has gone on with, as of `now`.
    ///
    /// It happens with every new upload, too; calling it now and then frees what they hold while nobody uploads. Of those
    /// that their place keeps, the bytes stay until [`reclaim_uploads`](Self::reclaim_uploads).
    pub fn expire_uploads(&self, now: Instant) {
        self.0.sessions.expire(now);
    }

    /// Removes what uploads have left in the repositories that nobody has gone on with, as of `now`, be they of this server
    /// or of one that was there before it. A failure in one repository is traced, and does not stop the rest.
    ///
    /// It looks into every repository: now and then is often enough.
    pub async fn reclaim_uploads(&self, now: SystemTime) {
        let inner = &*self.0;
        let Some(writes) = &inner.writes else { return };
        let before = now.checked_sub(inner.upload_idle).unwrap_or(SystemTime::UNIX_EPOCH);
        let mut names = writes.repositories(&inner.host);
        while let Some(name) = names.next().await {
            let forgotten = async { writes.sink(&inner.host, &name?)?.forget_uploads(before).await };
            if let Err(error) = forgotten.await {
                tracing::warn!(%error, "uploads that have expired could not be removed");
            }
        }
    }

    /// Has the store of a mirror let go what it holds beyond its bound: what had to go while it was read stays until somebody
    /// looks again, which something that comes into the store does, too.
    pub async fn make_room(&self) {
        if let Reads::Mirror(mirror) = &self.0.reads {
            mirror.make_room().await;
        }
    }

    async fn outcome(&self, head: &request::Parts, mut body: Incoming, notes: &Notes) -> Outcome {
        if let Some(gate) = &self.0.gate
            && head.uri.path() == TOKEN_PATH
        {
            let given = gate.give_token(head, &mut body, notes).await;
            if given.is_err() {
                leave(body, &head.headers).await;
            }
            return given;
        }
        let (call, reach) = match self.admitted(head, notes).await {
            Ok(admitted) => admitted,
            Err(refusal) => {
                leave(body, &head.headers).await;
                return Err(refusal);
            }
        };
        match call {
            Call::Ping => Ok(Reply::new(StatusCode::OK).with_json(&serde_json::json!({}))),
            Call::Catalog(page) => self.catalog(&page, &reach).await,
            Call::Read(name, read) => self.read(&name, read, head, notes).await,
            Call::Write(name, write) => self.spawn_write(name, write, reach, head.headers.clone(), body).await,
        }
    }

    /// What `head` asks for, if it may; and what else its sender may see.
    async fn admitted(&self, head: &request::Parts, notes: &Notes) -> Result<(Call, Reach), Refusal> {
        let query = head.uri.query().unwrap_or_default();
        let parsed = Call::parse(&head.method, head.uri.path(), query);
        notes.endpoint.get_or_init(|| Endpoint::of(&parsed));
        let call = parsed?;
        let Some(gate) = &self.0.gate else { return Ok((call, Reach::All)) };
        let known_as = match (&call, &self.0.reads) {
            (Call::Read(name, _), Reads::Mirror(mirror)) => mirror.known_as(call::namespace(query)?.as_ref(), name)?,
            _ => None,
        };
        let reach = gate.admit(Wanted::of(&call, known_as.as_ref()), head, notes).await?;
        Ok((call, reach))
    }

    /// The write as a task of its own, which nobody can drop halfway.
    async fn spawn_write(
        &self,
        name: RepoName,
        write: Write,
        reach: Reach,
        headers: HeaderMap,
        mut body: Incoming,
    ) -> Outcome {
        let server = self.clone();
        let write = tokio::spawn(async move {
            let outcome = server.write(name, write, &reach, &headers, &mut body).await;
            if outcome.is_err() {
                leave(body, &headers).await;
            }
            outcome
        });
        write.await.unwrap_or_else(|ended| match ended.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(stopping()),
        })
    }

    async fn catalog(&self, page: &Page, reach: &Reach) -> Outcome {
        match &self.0.reads {
            Reads::Resolver(resolver) => listing::catalog(&**resolver, &self.0.host, reach, page, self.0.page).await,
            // Nobody could tell which of them may be reached here.
            Reads::Mirror(_) => Err(Refusal::no_such_page()),
        }
    }

    async fn read(&self, name: &RepoName, read: Read, head: &request::Parts, notes: &Notes) -> Outcome {
        let headers = &head.headers;
        match &self.0.reads {
            Reads::Resolver(resolver) => {
                let source = resolver.source(&self.0.host, name).map_err(|error| Refusal::of_read(&error))?;
                self.read_from(Reading::new(&*source, Behind::Store), name, &read, headers).await
            }
            Reads::Mirror(mirror) => {
                let host = call::namespace(head.uri.query().unwrap_or_default())?;
                let source = mirror.open(host.as_ref(), name, &self.0.observers)?;
                notes.upstream.get_or_init(|| source.host().clone());
                let read_from = self.read_from(Reading::new(&source, Behind::Upstream), name, &read, headers);
                let reply = source.unless_crowded(self.0.places.most_of_one(), read_from).await?;
                Ok(source.labelled(reply, &read, notes))
            }
        }
    }

    async fn read_from(&self, source: Reading<'_>, name: &RepoName, read: &Read, headers: &HeaderMap) -> Outcome {
        match read {
            Read::Manifest(target) => manifests::read(source, target, headers).await,
            Read::ManifestHead(target) => manifests::head(source, target, headers).await,
            Read::Blob(digest) => blobs::read(source, digest, headers).await,
            Read::BlobHead(digest) => blobs::head(source, digest, headers).await,
            Read::Tags(page) => listing::tags(source, name, page, self.0.page).await,
            Read::Referrers(subject, filter) => referrers::list(source, subject, filter.clone()).await,
        }
    }

    async fn write(
        &self,
        name: RepoName,
        write: Write,
        reach: &Reach,
        headers: &HeaderMap,
        body: &mut Incoming,
    ) -> Outcome {
        let only_reads = || Refusal::unsupported("this server only reads").with(ALLOW, "GET, HEAD");
        let writes = self.0.writes.as_ref().ok_or_else(only_reads)?;
        let sink = writes.sink(&self.0.host, &name).map_err(|error| Refusal::of_write(&error))?;
        let inner = &*self.0;
        let neighbours = Neighbours { resolver: &**writes, host: &inner.host, most: inner.mount_search, reach };
        let Inner { sessions, chunk_bytes, turns, .. } = inner;
        let uploads =
            Uploads { sessions, sink: &*sink, neighbours, repository: &name, headers, chunk_bytes: *chunk_bytes };
        let manifests = Changes { turns, sink: &*sink, repository: &name, headers };
        match write {
            Write::Manifest { target, tags } => manifests.put(&target, tags, body).await,
            Write::DeleteManifest(target) => manifests.delete(&target).await,
            Write::DeleteBlob(digest) => blobs::delete(&*sink, &digest).await,
            Write::Upload(start) => uploads.start(start, body).await,
            Write::Append(id) => uploads.append(id, body).await,
            Write::Finish(id, digest) => uploads.finish(id, &digest, body).await,
            Write::Progress(id) => uploads.progress(id).await,
            Write::Cancel(id) => uploads.cancel(id).await,
        }
    }
}

/// Leaves the body of a refused request behind.
async fn leave(body: Incoming, headers: &HeaderMap) {
    // A client that asks first sends no body after a refusal.
    if !headers.contains_key(EXPECT) {
        body::drain(body).await;
    }
}

fn stopping() -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unknown, "this server is stopping")
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.0;
        f.debug_struct("Server").field("host", &inner.host).field("reads", &inner.reads).finish_non_exhaustive()
    }
}
