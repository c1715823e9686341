//! How registries are spoken to.

use std::{collections::BTreeSet, num::NonZeroU64, sync::Arc, time::Duration};

use refs_url::Host;

use crate::{
    Farewells, Warnings,
    auth::{Chain, Credentials},
    hosts::Hosts,
    transport::{Clock, Dns, SystemClock, SystemDns},
};

/// How [`Registries`](crate::Registries) speak to hosts.
#[derive(Debug, Clone)]
pub struct Options {
    /// What is set for single hosts: plain HTTP, certificates, proxies, mirrors. By default nothing, and no file is read;
    /// [`Hosts::from_env`] reads what the user and the system have.
    pub hosts: Hosts,
    /// Where passwords and tokens come from. By default [`Chain::from_env`].
    pub credentials: Arc<dyn Credentials>,
    /// Token services that may see the credentials of any registry, besides those on a registry's own site. They may be in
    /// a private network, too, where registries outside lead to no other host.
    pub trusted_realms: BTreeSet<Host>,
    /// How failures are repeated.
    pub retry: Retry,
    /// How long silence is borne.
    pub timeouts: Timeouts,
    /// How many bytes of an upload to send in one request; `None` to send all of them in one where the registry takes that.
    /// Pieces cost requests, and make an upload one that can go on after a cut: a stream is sent in pieces of this size that
    /// are kept in memory until the registry has them, and [`Upload::state`](crate::Upload::state) advances with each. What
    /// a registry asks for, more or less, comes first.
    pub piece_bytes: Option<NonZeroU64>,
    /// The `User-Agent` of every request.
    pub user_agent: String,
    /// What turns names into addresses, where no proxy does.
    pub dns: Arc<dyn Dns>,
    /// Whether the proxies of the system are used, where [`hosts`](Self::hosts) says nothing of them.
    pub proxies: Proxies,
    /// Who is told what registries warn of.
    pub warnings: Warnings,
    /// What registries are told when nobody waits for it any more, for whoever ends before that.
    pub farewells: Farewells,
    /// The clock that all waiting is done by.
    pub clock: Arc<dyn Clock>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            hosts: Hosts::default(),
            credentials: Arc::new(Chain::from_env()),
            trusted_realms: BTreeSet::new(),
            retry: Retry::default(),
            timeouts: Timeouts::default(),
            piece_bytes: None,
            user_agent: concat!("refs/", env!("CARGO_PKG_VERSION")).to_owned(),
            dns: Arc::new(SystemDns),
            proxies: Proxies::default(),
            warnings: Warnings::default(),
            farewells: Farewells::default(),
            clock: Arc::new(SystemClock),
        }
    }
}

/// Whether requests go through the proxies of the system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Proxies {
    /// As the system is set: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`. Hosts on loopback are spoken to
    /// without.
    #[default]
    OfSystem,
    /// Those that are set for a host alone, whatever the environment says.
    Ignored,
}

/// How often, and after which waits, one operation is tried. This is the only layer that repeats anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// The most attempts, the first one included.
    pub attempts: u32,
    /// The most time spent waiting between the attempts of an operation.
    pub waiting: Duration,
    /// The bound of the first wait, which doubles with each attempt; the wait itself is drawn from zero to the bound.
    pub first_wait: Duration,
    /// The bound that doubling stops at.
    pub longest_wait: Duration,
    /// The longest `Retry-After` that is obeyed. A registry that asks for more is not waited for.
    pub longest_hint: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 5,
            waiting: Duration::from_secs(120),
            first_wait: Duration::from_millis(250),
            longest_wait: Duration::from_secs(10),
            longest_hint: Duration::from_secs(60),
        }
    }
}

/// How long silence is borne. There is no bound on a whole operation: large blobs take their time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection to be made.
    pub connect: Duration,
    /// From the end of a request to the head of its answer.
    ///
    /// What times out takes its connection with it: by HTTP/1 the connection is closed, and by HTTP/2 it is left, so that
    /// every later request goes over another, while what others have under way on it goes on there. So it is with what is given
    /// up after 10 seconds or more, for whatever reason.
    pub headers: Duration,
    /// Between two pieces of a body. A connection is left as for `headers`, and so is that of a body which is too slow.
    pub idle: Duration,
    /// How long nothing may come over a connection by HTTP/2 before it is asked whether it lives, so that a dead one is found
    /// before a request times out; it is left for another when nothing comes for two thirds of that again. `None`, which is
    /// the default, for never: what is being sent goes before the question, and on a slow link may take longer than anybody
    /// waits. For those who only read.
    pub ping: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            headers: Duration::from_secs(60),
            idle: Duration::from_secs(30),
            ping: None,
        }
    }
}
