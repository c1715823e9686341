//! What is counted and measured.

use std::{
    fmt,
    sync::{Arc, atomic::AtomicU64},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use refs_registry::ErrorKind;
use refs_url::Host;

use crate::{Answered, End, Load, Observer};

/// From a hot manifest to a large blob over a slow line, in seconds.
const SECONDS: [f64; 15] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0];

/// The figures of a server, as an [`Observer`] of it. A clone is of the same figures.
///
/// No label has a name of a repository, a tag, a user or an address: there are as many series as there are endpoints,
/// methods, statuses and upstreams, whatever clients ask for.
#[derive(Clone)]
pub struct Metrics(Arc<Families>);

struct Families {
    registry: Registry,
    requests: Family<Request, Counter>,
    broken: Family<At, Counter>,
    received: Counter,
    sent: Counter,
    first_byte: Family<At, Histogram, fn() -> Histogram>,
    whole: Family<At, Histogram, fn() -> Histogram>,
    mirrored: Family<Mirrored, Counter>,
    asked: Family<Asked, Counter>,
    failed: Family<Failed, Counter>,
    under_way: Gauge<u64, AtomicU64>,
    connections: Gauge<u64, AtomicU64>,
    uploads: Gauge<u64, AtomicU64>,
    store: Gauge<u64, AtomicU64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: &'static str,
    endpoint: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct At {
    endpoint: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Mirrored {
    upstream: String,
    result: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    upstream: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failed {
    upstream: String,
    kind: &'static str,
}

impl Metrics {
    /// Figures that are all zero.
    #[must_use]
    pub fn new() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(SECONDS);
        let mut families = Families {
            registry: Registry::with_prefix("refs"),
            requests: Family::default(),
            broken: Family::default(),
            received: Counter::default(),
            sent: Counter::default(),
            first_byte: Family::new_with_constructor(histogram),
            whole: Family::new_with_constructor(histogram),
            mirrored: Family::default(),
            asked: Family::default(),
            failed: Family::default(),
            under_way: Gauge::default(),
            connections: Gauge::default(),
            uploads: Gauge::default(),
            store: Gauge::default(),
        };
        families.register_answers();
        families.register_rest();
        Self(Arc::new(families))
    }

    /// Notes how many bytes the store holds.
    pub fn set_store_bytes(&self, bytes: u64) {
        self.0.store.set(bytes);
    }

    /// All figures in the format of OpenMetrics, with those of `load`.
    ///
    /// # Errors
    /// Never, as long as there is memory.
    pub fn text(&self, load: &Load) -> Result<String, fmt::Error> {
        let families = &*self.0;
        families.under_way.set(load.requests as u64);
        families.connections.set(load.connections as u64);
        families.uploads.set(load.uploads as u64);
        let mut text = String::new();
        encode(&mut text, &families.registry)?;
        Ok(text)
    }
}

impl Families {
    fn register_answers(&mut self) {
        let registry = &mut self.registry;
        registry.register("requests", "Answers that ended, by method, endpoint and status", self.requests.clone());
        registry.register("broken_answers", "Answers that broke off before their end", self.broken.clone());
        registry.register_with_unit("received", "Bytes of the bodies of requests", Unit::Bytes, self.received.clone());
        registry.register_with_unit("sent", "Bytes of the bodies of answers", Unit::Bytes, self.sent.clone());
        let help = "From the head of a request to the first byte of the answer's body";
        registry.register_with_unit("first_byte", help, Unit::Seconds, self.first_byte.clone());
        let help = "From the head of a request to the end of its answer";
        registry.register_with_unit("answer", help, Unit::Seconds, self.whole.clone());
    }

    fn register_rest(&mut self) {
        let registry = &mut self.registry;
        let help = "Answers of the mirror by where they came from: hit, miss, stale, partial";
        registry.register("mirror_answers", help, self.mirrored.clone());
        registry.register("upstream_questions", "What upstreams were asked for", self.asked.clone());
        registry.register("upstream_errors", "Questions to upstreams that failed, by kind", self.failed.clone());
        registry.register("requests_under_way", "Requests whose answer has not left", self.under_way.clone());
        registry.register("connections", "Connections that are open", self.connections.clone());
        registry.register("uploads", "Uploads that have begun and not ended", self.uploads.clone());
        let help = "Bytes of the files in the store when they were last counted";
        registry.register_with_unit("store", help, Unit::Bytes, self.store.clone());
    }
}

impl Observer for Metrics {
    fn answered(&self, answered: &Answered) {
        let families = &*self.0;
        let endpoint = answered.endpoint.to_string();
        let request = Request { method: method(answered), endpoint: endpoint.clone(), status: answered.status };
        families.requests.get_or_create(&request).inc();
        let at = At { endpoint };
        if answered.end == End::Broken {
            families.broken.get_or_create(&at).inc();
        }
        families.received.inc_by(answered.received);
        families.sent.inc_by(answered.bytes);
        families.first_byte.get_or_create(&at).observe(answered.first_byte.as_secs_f64());
        families.whole.get_or_create(&at).observe(answered.whole.as_secs_f64());
        if let (Some(upstream), Some(found)) = (&answered.upstream, answered.cache) {
            let result = found.to_string().to_ascii_lowercase();
            families.mirrored.get_or_create(&Mirrored { upstream: upstream.to_string(), result }).inc();
        }
    }

    fn asked(&self, upstream: &Host, error: Option<ErrorKind>) {
        let upstream = upstream.to_string();
        self.0.asked.get_or_create(&Asked { upstream: upstream.clone() }).inc();
        if let Some(kind) = error.map(kind) {
            self.0.failed.get_or_create(&Failed { upstream, kind }).inc();
        }
    }
}

/// The methods that there are: a client may send any word as one.
fn method(answered: &Answered) -> &'static str {
    const KNOWN: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
    KNOWN.into_iter().find(|known| answered.method == *known).unwrap_or("other")
}

const fn kind(error: ErrorKind) -> &'static str {
    match error {
        ErrorKind::NotFound => "not_found",
        ErrorKind::Unauthorized => "unauthorized",
        ErrorKind::Denied => "denied",
        ErrorKind::RateLimited => "rate_limited",
        ErrorKind::Unreachable => "unreachable",
        ErrorKind::Timeout => "timeout",
        ErrorKind::Digest | ErrorKind::Size => "damaged",
        ErrorKind::Protocol | ErrorKind::Unsupported => "protocol",
        _ => "other",
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
