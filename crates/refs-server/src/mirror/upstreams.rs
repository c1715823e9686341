//! The registries that a mirror reads, and where a name leads among them.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::StatusCode;
use refs_registry::{Clock, Resolver, Source, SystemClock};
use refs_store::{Cached, CachedOptions, Fetches, Freshness, Origin, Store};
use refs_url::{Host, RepoName};
use tokio::sync::Notify;

use super::{
    Mirrored, Trail, asked::Asked, crowd::Crowd, heads::Heads, hearing::Hearing, refused::Refused, silence::Silence,
    sizes::Sizes,
};
use crate::{
    Code, Refusal, Route, RouteError,
    observer::Observers,
    route::{Destination, Routes},
};

/// Registries that are read through one [`Store`]: what one of them gave is kept, and given again.
///
/// What is asked for by digest can't change, so that it is asked of an upstream once, and given as long as the store keeps
/// it, whether the upstream is up or down. What a tag leads to is believed for a while ([`TagOptions`]), then asked for by a
/// request that moves no manifest.
///
/// A clone is of the same mirror.
///
/// # Security
/// It reaches its upstreams and nothing else, whatever a client asks for. What a client says of itself reaches no upstream,
/// and what an upstream asks of the mirror (challenges, tokens, redirects) reaches no client. The upstreams see the mirror's
/// credentials, not those of who asks it: whoever reaches a mirror reads all that these can read.
///
/// Content that one repository has brought in is given for another one only after the upstream has said that this one has it,
/// too.
///
/// A whole blob is given in full only when its digest holds. A part of one can't be hashed: it is given as the upstream gave
/// it, and so it is out of the store, after a restart as well, until the whole blob has come and was verified. Whoever reads
/// parts has to verify them, as readers of estargz do chunk by chunk.
#[derive(Debug, Clone)]
pub struct Mirror(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    routes: Routes,
    /// In the order of the routes.
    behind: Vec<Behind>,
    store: Arc<dyn Store>,
    fetches: Fetches,
    refused: Arc<Refused>,
    sizes: Arc<Sizes>,
    heads: Arc<Heads>,
    clock: Arc<dyn Clock>,
}

/// What is behind a route.
#[derive(Debug)]
struct Behind {
    registry: Arc<dyn Resolver>,
    tags: TagOptions,
    silence: Arc<Silence>,
    size_silence: Arc<Silence>,
    hearing: Arc<Hearing>,
    crowd: Arc<Crowd>,
}

/// A registry that a [`Mirror`] reads.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// How names lead to it.
    pub route: Route,
    /// What reads it, with the mirror's credentials for it: [`Registries`](refs_registry::Registries), mostly.
    pub registry: Arc<dyn Resolver>,
    /// How far what is known of its tags is believed.
    pub tags: TagOptions,
}

/// How far a mirror believes what it knows of tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TagOptions {
    /// When the upstream is asked again. Within 5 minutes it is not, unless set.
    pub freshness: Freshness,
    /// How long ago the upstream may have said what a tag leads to for that to be given while the upstream is out of reach,
    /// fails, wants fewer requests, or a page for a browser is answered in its place. 24 hours by default; zero for never.
    pub stale: Duration,
    /// How long the upstream is waited for where a tag may be given as it was last known. If it has said nothing by then, that
    /// is given, and what it still says is kept for the next. 5 seconds by default; zero for not at all. After 5 seconds it is
    /// no longer waited for where too many wait for the upstream already.
    pub patience: Duration,
    /// How long a tag is not asked for again that the upstream does not have, or that was given as it was last known because
    /// the upstream could not be asked; how long none is asked for that may be given so, when the upstream was silent; and how
    /// long nothing is asked for at all, when the upstream said nothing to anybody for 30 seconds. 10 seconds by default.
    pub pause: Duration,
}

/// How a [`Mirror`] is to be.
#[derive(Debug, Clone)]
pub struct MirrorOptions {
    /// What ages are measured by; the system's clock unless set.
    pub clock: Arc<dyn Clock>,
}

impl Default for TagOptions {
    fn default() -> Self {
        Self {
            freshness: Freshness::Within(Duration::from_secs(5 * 60)),
            stale: Duration::from_secs(24 * 60 * 60),
            patience: Duration::from_secs(5),
            pause: Duration::from_secs(10),
        }
    }
}

impl Default for MirrorOptions {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock) }
    }
}

impl Mirror {
    /// A mirror of `upstreams` that keeps in `store` what they give.
    ///
    /// # Errors
    /// When two of them claim the same names.
    pub fn new(upstreams: Vec<Upstream>, store: Arc<dyn Store>, options: &MirrorOptions) -> Result<Self, RouteError> {
        let routes = Routes::new(upstreams.iter().map(|upstream| upstream.route.clone()).collect())?;
        let behind = upstreams.into_iter().map(Behind::from).collect();
        let MirrorOptions { clock } = options.clone();
        Ok(Self(Arc::new(Inner {
            routes,
            behind,
            store,
            fetches: Fetches::default(),
            refused: Arc::default(),
            sizes: Arc::default(),
            heads: Arc::default(),
            clock,
        })))
    }

    /// See [`Store::make_room`].
    pub(crate) async fn make_room(&self) {
        if let Err(error) = self.0.store.make_room().await {
            tracing::warn!(%error, "there is no room made in the store of the mirror");
        }
    }

    /// What the repository is called here that is `name` of an upstream's `host`; `None` where that is its name already, as
    /// no host was named.
    pub(crate) fn known_as(&self, host: Option<&Host>, name: &RepoName) -> Result<Option<RepoName>, Refusal> {
        let Some(host) = host else { return Ok(None) };
        let found = self.0.routes.by_host(host, name).ok_or_else(no_such_upstream)?;
        self.0.routes.name_here(&found).map(Some).ok_or_else(no_such_upstream)
    }

    /// The repository that is called `name` here, for one request; or there, when the request names an upstream's host.
    pub(crate) fn open(
        &self,
        host: Option<&Host>,
        name: &RepoName,
        observers: &Observers,
    ) -> Result<Mirrored, Refusal> {
        let inner = &*self.0;
        let found = match host {
            Some(host) => inner.routes.by_host(host, name),
            None => inner.routes.by_prefix(name),
        };
        let Destination { route, repository } = found.ok_or_else(no_such_upstream)?;
        let host = inner.routes.host(route);
        let behind = &inner.behind[route];
        let source = behind.registry.source(host, &repository).map_err(|error| Refusal::of_read(&error))?;
        let origin = Origin { wire: behind.registry.wire(host), host: host.clone(), repository };
        Ok(inner.mirrored(source, origin, behind, observers.clone()))
    }
}

impl Inner {
    fn mirrored(&self, source: Arc<dyn Source>, origin: Origin, behind: &Behind, observers: Observers) -> Mirrored {
        let Behind { tags, silence, size_silence, hearing, crowd, .. } = behind;
        let (trail, clock) = (Arc::<Trail>::default(), Arc::clone(&self.clock));
        let asked = Asked {
            source,
            origin: origin.clone(),
            trail: Arc::clone(&trail),
            store: Arc::clone(&self.store),
            refused: Arc::clone(&self.refused),
            sizes: Arc::clone(&self.sizes),
            heads: Arc::clone(&self.heads),
            silence: Arc::clone(silence),
            hearing: Arc::clone(hearing),
            pause: tags.pause,
            clock: Arc::clone(&clock),
            observers,
        };
        // As long as the store takes: whoever goes on with a download asks for all the rest.
        let max_part_bytes = u64::MAX;
        let options = CachedOptions { freshness: tags.freshness, clock: Arc::clone(&clock), max_part_bytes };
        let store = Arc::clone(&self.store);
        let cached = Cached::with_options(Arc::new(asked), origin.clone(), Arc::clone(&store), &options);
        Mirrored {
            cached: Arc::new(cached.sharing(&self.fetches)),
            kept: Cached::offline(origin.clone(), store),
            origin,
            fetches: self.fetches.clone(),
            refused: Arc::clone(&self.refused),
            sizes: Arc::clone(&self.sizes),
            sized: OnceLock::new(),
            tags: *tags,
            silence: Arc::clone(silence),
            size_silence: Arc::clone(size_silence),
            crowd: Arc::clone(crowd),
            called_off: Notify::new(),
            clock,
            trail,
            record: OnceLock::new(),
        }
    }
}

impl From<Upstream> for Behind {
    fn from(Upstream { registry, tags, .. }: Upstream) -> Self {
        let silence = || Arc::new(Silence::new(tags.pause));
        Self {
            registry,
            tags,
            silence: silence(),
            size_silence: silence(),
            hearing: Arc::new(Hearing::new(tags.pause)),
            crowd: Arc::default(),
        }
    }
}

fn no_such_upstream() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, Code::NameUnknown, "no upstream of this mirror has such a repository")
}
