//! How a server behaves.

use std::{num::NonZeroU64, sync::Arc, time::Duration};

use refs_url::Host;

use crate::{Access, Observer, Probe};

/// How a [`Server`](crate::Server) behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// The host that the resolver is asked for, `localhost` by default.
    ///
    /// A server has the repositories of one host. The `Host` header of a request is the client's claim, and picks nothing.
    pub host: Host,
    /// The most entries of a page of tags or of repositories. 1,000 by default.
    pub page: usize,
    /// The most uploads under way at a time. 1,000 by default.
    pub uploads: usize,
    /// How long an upload that nobody goes on with is kept, also after a restart. An hour by default.
    pub upload_idle: Duration,
    /// How many repositories are looked through for a blob that a client wants to mount without saying from where, of those
    /// that it may read. None by default: the answer tells whoever may push anywhere whether one of them has the blob.
    pub mount_search: usize,
    /// How many bytes a chunk should have at least that is not an upload's last, as clients are told
    /// (`OCI-Chunk-Min-Length`). Nothing is said by default. Shorter ones are taken.
    pub chunk_bytes: Option<NonZeroU64>,
    /// How long the body of a request may be silent. A minute by default.
    pub body_idle: Duration,
    /// Who may come in, and what for. Everyone, and for everything, by default.
    pub access: Option<Access>,
    /// The most requests under way at a time, each until the last byte of its answer has left; further ones are answered with
    /// 503, `TOOMANYREQUESTS` and `Retry-After`. 1,024 by default.
    pub requests: usize,
    /// The most of them of one client, by its address ([`Peer`](crate::Peer); of IPv6 its `/64`); further ones are answered
    /// with 429. As many as of all by default: behind a proxy, all clients have one address.
    pub requests_each: usize,
    /// What tries out for `/healthz` whether the store can be written. Nothing by default: it is taken for granted.
    pub probe: Option<Arc<dyn Probe>>,
    /// Who is told of each answer. Nobody by default.
    pub observers: Vec<Arc<dyn Observer>>,
}

impl Default for Options {
    #[expect(clippy::expect_used, reason = "the text is a constant")]
    fn default() -> Self {
        Self {
            host: Host::parse("localhost").expect("`localhost` is a host"),
            page: 1000,
            uploads: 1000,
            upload_idle: Duration::from_secs(60 * 60),
            mount_search: 0,
            chunk_bytes: None,
            body_idle: Duration::from_secs(60),
            access: None,
            requests: 1024,
            requests_each: usize::MAX,
            probe: None,
            observers: Vec::new(),
        }
    }
}
