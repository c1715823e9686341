//! From arguments to a client that is ready to be called.

use std::{
    fmt,
    future::Future,
    io::Write,
    num::{NonZeroU64, NonZeroUsize},
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use refs_client::{Client, Location, PushOptions, ReadOptions, Trust};
use refs_registry::{
    Farewells, Registries, Registry, Retry, Timeouts, Warnings,
    auth::{Anonymous, Credentials},
    hosts::{ClientCertificate, HostSettings, Hosts, Origin, Scope, Set},
};
use refs_store::{DiskOptions, DiskStore};
use refs_url::Host;

use crate::{
    args::{self, Command, Format, Global},
    credentials,
    mirror_args::Mirrored,
    output::{Output, escape},
    progress,
    signals::until_stopped,
};

/// A layer is sent in pieces of so many bytes, after each of which a push can go on. Each costs a request, and is kept in
/// memory meanwhile.
const PIECE_BYTES: NonZeroU64 = NonZeroU64::new(8 << 20).unwrap();

/// One run of the program.
pub(crate) struct Session {
    global: Global,
    /// The registries that the command names.
    named: Vec<Host>,
    credentials: Arc<dyn Credentials>,
    cache: Option<DiskStore>,
    /// The bytes of a piece of what is sent; all at once when `None`.
    piece_bytes: Option<NonZeroU64>,
    client: OnceLock<Client>,
    farewells: Farewells,
}

impl Session {
    /// A run of `command`, with the credentials that were given for it, which keeps what it fetches in `cache`.
    pub(crate) fn new(global: Global, command: &Command, cache: Option<DiskStore>) -> Result<Self, credentials::Fault> {
        let credentials: Arc<dyn Credentials> = match command {
            // It asks for what was not given, and shows it to nobody else.
            Command::Login(_) => Arc::new(Anonymous),
            _ => credentials::chain(&global.identity, command.registries())?,
        };
        let named = match command {
            Command::Login(login) => vec![login.host.clone()],
            _ => command.registries(),
        };
        let piece_bytes = match command {
            // A copy knows which of its blobs are worth pieces, and that their bytes can be read again.
            Command::Cp(_) => None,
            _ => Some(PIECE_BYTES),
        };
        let (client, farewells) = (OnceLock::new(), Farewells::default());
        Ok(Self { global, named, credentials, cache, piece_bytes, client, farewells })
    }

    /// A run that reads `cache` alone: it asks no registry, and shows nobody who we are.
    pub(crate) fn offline(global: Global, cache: DiskStore) -> Self {
        let global = Global { offline: true, ..global };
        let (named, credentials, cache) = (Vec::new(), Arc::new(Anonymous), Some(cache));
        let (client, farewells) = (OnceLock::new(), Farewells::default());
        Self { global, named, credentials, cache, piece_bytes: None, client, farewells }
    }

    /// Waits until registries know of the uploads that were given up: a while, and no longer than until a signal comes.
    pub(crate) async fn part(&self) {
        const PATIENCE: Duration = Duration::from_secs(2);
        // Sessions that nobody could tell a registry of expire there.
        let _all_or_some = tokio::time::timeout(PATIENCE, until_stopped(self.farewells.said())).await;
    }

    /// Who the flags say we are.
    pub(crate) fn identity(&self) -> &args::Identity {
        &self.global.identity
    }

    /// Who we are to the registries of the command.
    pub(crate) fn credentials(&self) -> Arc<dyn Credentials> {
        self.credentials.clone()
    }

    /// The client that the arguments ask for, made at the first call.
    pub(crate) fn client(&self) -> &Client {
        self.client.get_or_init(|| {
            let client = match &self.cache {
                Some(cache) => self.uncached().with_store(Arc::new(cache.clone())),
                None => self.uncached(),
            };
            if self.global.offline { client.offline() } else { client }
        })
    }

    /// The same client, without a cache; what other runs have there is left as it is.
    pub(crate) fn uncached(&self) -> Client {
        let client = Client::new(Arc::new(self.registries(self.credentials.clone())));
        match cache_folder() {
            Some(folder) => client.sparing(&folder),
            None => client,
        }
    }

    /// The registry at `host`, to which we are who the arguments say.
    pub(crate) fn registry(&self, host: &Host) -> refs_registry::Result<Arc<Registry>> {
        self.registries(self.credentials.clone()).registry(host)
    }

    /// The registries that are mirrored, to which we are who `credentials` say. Somebody waits behind a mirror, who will ask
    /// again.
    pub(crate) fn mirrored<'a>(
        &self,
        mirrors: impl Iterator<Item = &'a Mirrored>,
        credentials: Arc<dyn Credentials>,
    ) -> Registries {
        let longest = Duration::from_secs(5);
        let retry = Retry { attempts: 3, waiting: 2 * longest, longest_hint: longest, ..Retry::default() };
        let mut hosts = self.hosts();
        for Mirrored { route, security } in mirrors {
            let security = security.map(|value| Set { value, from: Origin::Given("--mirror") });
            hosts = hosts.with(Scope::One(route.host.clone()), HostSettings { security, ..HostSettings::default() });
        }
        // It only reads.
        let timeouts = Timeouts { ping: Some(Duration::from_secs(15)), ..Timeouts::default() };
        self.registries_with(refs_registry::Options { hosts, retry, timeouts, credentials, ..Default::default() })
    }

    /// The registries that the arguments ask for, to which we are who `credentials` say.
    pub(crate) fn registries(&self, credentials: Arc<dyn Credentials>) -> Registries {
        self.registries_with(refs_registry::Options { hosts: self.hosts(), credentials, ..Default::default() })
    }

    fn registries_with(&self, mut options: refs_registry::Options) -> Registries {
        if let Some(retries) = self.global.retries {
            options.retry.attempts = retries.saturating_add(1);
        }
        Registries::new(refs_registry::Options {
            piece_bytes: self.piece_bytes,
            warnings: self.warnings(),
            farewells: self.farewells.clone(),
            ..options
        })
    }

    /// What registries warn of goes to stderr, unless only errors should.
    fn warnings(&self) -> Warnings {
        if self.global.quiet {
            return Warnings::to(|_| ());
        }
        // A warning that can't be shown is no reason to stop.
        Warnings::to(|warning| drop(writeln!(std::io::stderr(), "warning: {}", escape(&warning.to_string()))))
    }

    /// What the flags say of hosts, and then the files.
    fn hosts(&self) -> Hosts {
        let mut hosts = Hosts::from_env();
        if let Some(config) = &self.global.config {
            hosts.files.config = Some(config.clone());
        }
        let for_all = self.for_all();
        hosts = hosts.with(Scope::Every, for_all.clone());
        for host in &self.named {
            // Said for the registries of the command in particular, certificates mean TLS with loopback, too.
            let ca = for_all.ca.clone();
            hosts = hosts.with(
                Scope::One(host.clone()),
                HostSettings { ca, client: self.identify(), ..HostSettings::default() },
            );
        }
        for host in &self.global.plain_http {
            hosts = hosts.with(Scope::One(host.clone()), HostSettings::plain(Origin::Given("--plain-http")));
        }
        hosts
    }

    fn for_all(&self) -> HostSettings {
        let ca = self.global.ca.iter().map(|path| Set { value: path.clone(), from: Origin::Given("--ca") }).collect();
        let jobs = self.global.jobs.map(|jobs| Set { value: jobs.get(), from: Origin::Given("--jobs") });
        HostSettings { ca, concurrency: jobs, ..HostSettings::default() }
    }

    fn identify(&self) -> Option<Set<ClientCertificate>> {
        let (certificate, key) = self.global.client_cert.clone().zip(self.global.client_key.clone())?;
        Some(Set { value: ClientCertificate { certificate, key }, from: Origin::Given("--client-cert") })
    }

    /// How often a layer that is streamed is sent: no more often than any request.
    pub(crate) fn stream_attempts(&self) -> u32 {
        let most = PushOptions::default().stream_attempts;
        self.global.retries.map_or(most, |retries| retries.saturating_add(1).min(most))
    }

    /// What keeps what was fetched, unless the arguments say that nothing does.
    pub(crate) fn cache(&self) -> Option<&DiskStore> {
        self.cache.as_ref()
    }

    /// Whether all that is known of what is at `at` is what the cache has.
    pub(crate) const fn knows_only_cached(&self, at: &Location) -> bool {
        self.global.offline && matches!(at, Location::Registry(_))
    }

    /// Says what to do next on stderr.
    pub(crate) fn hint(&self, words: &str) {
        self.say(&format_args!("hint: {words}"));
    }

    /// Says `words` on stderr, where people are to be told: JSON there is one object, which tells of errors.
    pub(crate) fn say(&self, words: &dyn fmt::Display) {
        if !self.global.quiet && matches!(self.global.format, Format::Text) {
            // When stderr is closed, nobody can be told.
            drop(writeln!(std::io::stderr(), "{words}"));
        }
    }

    /// How much may be under way at once, where that was said.
    pub(crate) const fn jobs(&self) -> Option<NonZeroUsize> {
        self.global.jobs
    }

    pub(crate) fn format(&self) -> Format {
        self.global.format
    }

    pub(crate) fn output(&self) -> Output {
        Output::new(self.global.format)
    }

    /// Runs `work` and shows how it gets on, where that was asked for.
    pub(crate) async fn showing<T>(&self, what: &'static str, work: impl Future<Output = T>) -> T {
        let show = progress::Show::choose(&self.global);
        progress::during(show, what, self.client().meter().as_ref(), work).await
    }

    /// The same for work that `figures` tell of.
    pub(crate) async fn showing_figures<T>(
        &self,
        what: &'static str,
        figures: &impl progress::Figures,
        work: impl Future<Output = T>,
    ) -> T {
        progress::during(progress::Show::choose(&self.global), what, figures, work).await
    }
}

/// What keeps what was fetched, unless the arguments say that nothing does.
pub(crate) fn cache(global: &Global) -> Option<DiskStore> {
    let folder = if global.no_cache { None } else { cache_folder() };
    folder.map(|folder| DiskStore::new(folder, &DiskOptions::default()))
}

/// Where what was fetched is kept; `None` for a user without a home.
pub(crate) fn cache_folder() -> Option<PathBuf> {
    let named = |name| std::env::var_os(name).map(PathBuf::from);
    let absolute = |name| named(name).filter(|path| path.is_absolute());
    let refs = |caches: PathBuf| caches.join("refs");
    named("REFS_CACHE_DIR")
        .filter(|path| !path.as_os_str().is_empty())
        .or_else(|| absolute("XDG_CACHE_HOME").map(refs))
        .or_else(|| absolute("HOME").map(|home| refs(home.join(".cache"))))
}

/// What the arguments say about reading, for the paths that match `patterns`.
pub(crate) fn read_options(read: args::Read, patterns: Vec<String>) -> ReadOptions {
    let trust = if read.unverified { Trust::Unverified } else { Trust::Verified };
    ReadOptions { patterns, platform: read.platform, trust, ..ReadOptions::default() }
}
