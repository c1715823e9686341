//! What is set for those who come in.

use std::{sync::Arc, time::Duration};

use refs_registry::{Clock, SystemClock};
use url::Url;

use super::{Htpasswd, Key, Rights};

/// Who may come in, how they say who they are, and what they may do.
#[derive(Debug, Clone)]
pub struct Access {
    /// The users.
    pub users: Htpasswd,
    /// How a client says who it is.
    pub scheme: Scheme,
    /// What they may do. Users may do everything, and others nothing, unless set.
    pub rights: Rights,
    /// What clients are told that they come into. `refs` by default.
    pub name: String,
    /// The time that passwords and tokens are measured by. The system's by default.
    pub clock: Arc<dyn Clock>,
}

/// How a client says who it is.
#[derive(Debug, Clone)]
pub enum Scheme {
    /// By its password, with each request.
    Basic,
    /// By a token, which it gets for its password at `/token` of this server
    /// ([token authentication](https://distribution.github.io/distribution/spec/auth/token/)).
    Bearer(TokenOptions),
}

/// How tokens are made.
#[derive(Debug, Clone)]
pub struct TokenOptions {
    /// What signs them. Servers with the same key and the same [name](Access::name) take each other's.
    pub key: Key,
    /// Where clients get them: `/token`, as they reach it. `None` for where the request says that it was sent to, by the
    /// scheme that it has come by: right unless something stands between, such as a proxy that ends TLS.
    pub realm: Option<Url>,
    /// How long they count. 5 minutes unless set.
    pub lifetime: Duration,
}

impl Access {
    /// Everything for `users`, and nothing for others.
    #[must_use]
    pub fn new(users: Htpasswd, scheme: Scheme) -> Self {
        Self { users, scheme, rights: Rights::default(), name: "refs".to_owned(), clock: Arc::new(SystemClock) }
    }
}

impl TokenOptions {
    /// Tokens that `key` signs.
    #[must_use]
    pub fn new(key: Key) -> Self {
        Self { key, realm: None, lifetime: Duration::from_secs(5 * 60) }
    }
}
