//! A registry on loopback, for tests.

use std::{
    fmt,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use refs_registry::{Sink, Writable};
use refs_server::{Options, Server};
use refs_store::Memories;
use refs_url::{Host, RepoName};
use tokio::{
    net::TcpListener,
    runtime::{self, Runtime},
};

use crate::{
    Fault, On, Quirks, Seen,
    access::{Access, Account, Anonymous, Scheme},
    crowd::Crowd,
    deviations::Deviations,
    faults::Faults,
    listener::{Role, Shared, listen},
    log::Log,
};

/// A real registry on a port of its own: sockets, HTTP, refs-server, and repositories in memory.
///
/// It runs on threads of its own, so that a test may block, and ends when it is dropped. A panic of its code fails the
/// test that owns it, at the latest when it is dropped.
pub struct FakeRegistry {
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

/// How a [`FakeRegistry`] is to be.
#[derive(Debug, Default)]
pub struct Builder {
    scheme: Scheme,
    anonymous: Anonymous,
    token_seconds: Option<u64>,
    quirks: Quirks,
    page: Option<usize>,
    cdn: Cdn,
    store: Option<Arc<dyn Writable>>,
    at_once: Option<usize>,
}

#[derive(Debug, Default, PartialEq)]
enum Cdn {
    #[default]
    Absent,
    Serves,
}

impl FakeRegistry {
    /// A registry that anyone may read and write, without quirks.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// A registry to be described first.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Where it listens, such as `127.0.0.1:40123`.
    #[must_use]
    pub fn host(&self) -> Host {
        self.shared.host.clone()
    }

    /// Where blobs are redirected to, if they are.
    #[must_use]
    pub fn cdn_host(&self) -> Option<Host> {
        self.shared.cdn.clone()
    }

    /// `path` as a URL of this registry.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.shared.host)
    }

    /// The repository `name` beneath the server, without HTTP in between and without a trace in the log.
    ///
    /// # Panics
    /// When `name` is not a repository's name, or the store has no such repository.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a wrong literal in a test")]
    pub fn repository(&self, name: &str) -> Arc<dyn Sink> {
        let name = RepoName::parse(name).expect("the name of a repository");
        self.shared.store.sink(&Options::default().host, &name).expect("a repository of the store")
    }

    /// The requests so far, in the order in which they came.
    #[must_use]
    pub fn requests(&self) -> Vec<Seen> {
        self.shared.log.seen()
    }

    /// The requests since the last call, which are then forgotten.
    pub fn take_requests(&self) -> Vec<Seen> {
        self.shared.log.take()
    }

    /// Lets `fault` happen to the requests that `on` describes. Of several that match, the one added first happens.
    pub fn fault(&self, on: On, fault: Fault) {
        self.shared.faults.add(on, fault);
    }

    /// Forgets the faults that have not happened yet.
    pub fn clear_faults(&self) {
        self.shared.faults.clear();
    }

    /// Makes every token that was given out worthless.
    pub fn expire_tokens(&self) {
        self.shared.access.expire_tokens();
    }

    /// Makes every redirect that was given out worthless.
    pub fn expire_redirects(&self) {
        self.shared.signature.fetch_add(1, Ordering::AcqRel);
    }

    /// Stops at once: connections break, and the port refuses new ones.
    ///
    /// # Panics
    /// When the registry's own code has panicked.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for FakeRegistry {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        let panic = self.shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(words) = panic.filter(|_| !std::thread::panicking()) {
            panic!("the fake registry panicked: {words}");
        }
    }
}

impl fmt::Debug for FakeRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeRegistry").field("host", &self.shared.host).finish_non_exhaustive()
    }
}

impl Builder {
    /// Demands a bearer token, which its own token service (`/token`, by `GET`) gives to this account.
    #[must_use]
    pub fn token_auth(self, user: &str, password: &str) -> Self {
        Self { scheme: Scheme::Bearer(Account::new(user, password)), ..self }
    }

    /// Demands this account with every request.
    #[must_use]
    pub fn basic_auth(self, user: &str, password: &str) -> Self {
        Self { scheme: Scheme::Basic(Account::new(user, password)), ..self }
    }

    /// Lets those without an account pull: with a token that anyone gets, or without credentials.
    #[must_use]
    pub fn anonymous_pull(self) -> Self {
        Self { anonymous: Anonymous::Pull, ..self }
    }

    /// How long a token says that it lives; 300 s unless set. It lives until [`FakeRegistry::expire_tokens`].
    #[must_use]
    pub fn token_seconds(self, seconds: u64) -> Self {
        Self { token_seconds: Some(seconds), ..self }
    }

    /// Redirects those who get a blob to another host, with a signature in the query. That host refuses any request with an
    /// `Authorization` header.
    #[must_use]
    pub fn redirect_blobs(self) -> Self {
        Self { cdn: Cdn::Serves, ..self }
    }

    /// Deviates from the spec.
    #[must_use]
    pub fn quirks(self, quirks: Quirks) -> Self {
        Self { quirks, ..self }
    }

    /// Serves the repositories that `store` has of `localhost`, in place of empty ones in memory.
    #[must_use]
    pub fn store(self, store: Arc<dyn Writable>) -> Self {
        Self { store: Some(store), ..self }
    }

    /// Gives at most so many entries on a page of a list; 1,000 unless set.
    #[must_use]
    pub fn page(self, entries: usize) -> Self {
        Self { page: Some(entries), ..self }
    }

    /// Answers so many requests at once, and any more with 429 and `Retry-After: 1`. Answers then take their time, counted in
    /// turns of the scheduler.
    #[must_use]
    pub fn at_once(self, requests: usize) -> Self {
        Self { at_once: Some(requests), ..self }
    }

    /// Starts it.
    ///
    /// # Panics
    /// When the machine has no port or thread left.
    #[expect(clippy::expect_used, reason = "the thread sends, or panics itself")]
    pub async fn start(self) -> FakeRegistry {
        let (sender, started) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || sender.send(self.start_blocking()));
        started.await.expect("the registry starts")
    }

    /// Starts it from a test that is not async.
    ///
    /// # Panics
    /// As [`start`](Builder::start); and within an async runtime, where `start` is the one to call.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test without a port or a thread can only fail")]
    pub fn start_blocking(self) -> FakeRegistry {
        let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let (listener, host) = runtime.block_on(bind());
        let cdn = (self.cdn == Cdn::Serves).then(|| runtime.block_on(bind()));
        let shared = Arc::new(self.shared(host, cdn.as_ref().map(|(_, host)| host.clone())));
        runtime.spawn(listen(listener, Arc::clone(&shared), Role::Registry));
        if let Some((listener, _)) = cdn {
            runtime.spawn(listen(listener, Arc::clone(&shared), Role::Cdn));
        }
        FakeRegistry { shared, runtime: Some(runtime) }
    }

    fn shared(self, host: Host, cdn: Option<Host>) -> Shared {
        const TOKEN_SECONDS: u64 = 300;
        let store = self.store.unwrap_or_else(|| Arc::new(Memories::new()));
        let defaults = Options::default();
        let page = match self.quirks.pages {
            crate::quirks::Pages::Ignored => usize::MAX - 1,
            _ => self.page.unwrap_or(defaults.page),
        };
        let access = Access::new(self.scheme, self.anonymous, self.token_seconds.unwrap_or(TOKEN_SECONDS));
        Shared {
            host,
            cdn,
            server: Server::writable(Arc::clone(&store), &Options { page, ..defaults }),
            store,
            access,
            deviations: Deviations::new(self.quirks),
            faults: Faults::default(),
            crowd: self.at_once.map(Crowd::new),
            log: Log::default(),
            signature: AtomicU64::default(),
            panic: std::sync::Mutex::default(),
        }
    }
}

#[expect(clippy::expect_used, reason = "a test without a port can only fail")]
async fn bind() -> (TcpListener, Host) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("a bound socket has an address");
    (listener, Host::parse(&address.to_string()).expect("an address is a host"))
}
