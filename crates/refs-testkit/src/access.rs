//! Who may do what: basic and bearer authentication, and the token service.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, header};
use refs_server::{Call, Start, Write};
use url::form_urlencoded;

pub(crate) const SERVICE: &str = "fake-registry";

/// What a registry demands, and the tokens it has given out.
#[derive(Debug)]
pub(crate) struct Access {
    scheme: Scheme,
    anonymous: Anonymous,
    /// Seconds that a token says to live. It lives until the test ends it.
    token_seconds: u64,
    tokens: Mutex<BTreeMap<String, Grants>>,
    issued: AtomicU64,
}

/// How a client says who it is.
#[derive(Debug, Default, Clone)]
pub(crate) enum Scheme {
    #[default]
    Open,
    Basic(Account),
    Bearer(Account),
}

/// What someone without an account may do.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(crate) enum Anonymous {
    #[default]
    Nothing,
    Pull,
}

/// The one account of a registry.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    authorization: String,
}

/// Pairs of a resource (`repository:o/r`) and an action (`pull`).
pub(crate) type Grants = BTreeSet<(String, String)>;

/// The answer to a request that may not be.
#[derive(Debug, PartialEq)]
pub(crate) struct Challenge(pub(crate) String);

impl Account {
    pub(crate) fn new(user: &str, password: &str) -> Self {
        Self { authorization: format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))) }
    }

    fn is(&self, headers: &HeaderMap) -> bool {
        authorization(headers) == Some(&self.authorization)
    }
}

impl Access {
    pub(crate) fn new(scheme: Scheme, anonymous: Anonymous, token_seconds: u64) -> Self {
        Self { scheme, anonymous, token_seconds, tokens: Mutex::default(), issued: AtomicU64::default() }
    }

    /// Whether the sender of `headers` may make `call`; else how to become someone who may.
    pub(crate) fn check(&self, call: &Call, headers: &HeaderMap, realm: &str) -> Result<(), Challenge> {
        let needed = needed(call);
        let is_pull = !needed.is_empty() && needed.iter().all(|(_, action)| action == "pull");
        match &self.scheme {
            Scheme::Open => Ok(()),
            Scheme::Basic(account) if account.is(headers) => Ok(()),
            Scheme::Basic(_) if is_pull && self.anonymous == Anonymous::Pull && authorization(headers).is_none() => {
                Ok(())
            }
            Scheme::Basic(_) => Err(Challenge("Basic realm=\"fake registry\"".to_owned())),
            Scheme::Bearer(_) => {
                let token = authorization(headers).and_then(|value| value.strip_prefix("Bearer "));
                let tokens = self.tokens();
                let held = token.and_then(|token| tokens.get(token));
                match held {
                    Some(held) if needed.is_subset(held) => Ok(()),
                    Some(_) => Err(challenge(realm, &needed, ",error=\"insufficient_scope\"")),
                    None if token.is_some() => Err(challenge(realm, &needed, ",error=\"invalid_token\"")),
                    None => Err(challenge(realm, &needed, "")),
                }
            }
        }
    }

    /// The JSON of a new token for the scopes in `query`, if the sender of `headers` may have one.
    pub(crate) fn token(&self, query: &str, headers: &HeaderMap) -> Option<serde_json::Value> {
        let Scheme::Bearer(account) = &self.scheme else { return None };
        let scopes = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == "scope");
        let mut grants: Grants =
            scopes.flat_map(|(_, scopes)| scopes.split(' ').flat_map(parse).collect::<Vec<_>>()).collect();
        match (authorization(headers), self.anonymous) {
            (Some(_), _) if account.is(headers) => {}
            (None, Anonymous::Pull) => grants.retain(|(_, action)| action == "pull"),
            _ => return None,
        }
        let token = format!("token-{}", self.issued.fetch_add(1, Ordering::Relaxed));
        self.tokens().insert(token.clone(), grants);
        Some(serde_json::json!({ "token": token, "expires_in": self.token_seconds }))
    }

    /// Makes all tokens worthless.
    pub(crate) fn expire_tokens(&self) {
        self.tokens().clear();
    }

    fn tokens(&self) -> MutexGuard<'_, BTreeMap<String, Grants>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn needed(call: &Call) -> Grants {
    let grants = |name: &str, actions: &[&str]| -> Grants {
        actions.iter().map(|action| (format!("repository:{name}"), (*action).to_owned())).collect()
    };
    match call {
        Call::Ping => Grants::new(),
        Call::Catalog(_) => Grants::from([("registry:catalog".to_owned(), "*".to_owned())]),
        Call::Read(name, _) => grants(name.as_str(), &["pull"]),
        Call::Write(name, Write::DeleteManifest(_) | Write::DeleteBlob(_)) => grants(name.as_str(), &["delete"]),
        Call::Write(name, Write::Upload(Start::Mount { from: Some(from), .. })) => {
            &grants(name.as_str(), &["pull", "push"]) | &grants(from.as_str(), &["pull"])
        }
        Call::Write(name, _) => grants(name.as_str(), &["pull", "push"]),
    }
}

fn challenge(realm: &str, needed: &Grants, error: &str) -> Challenge {
    let mut scopes = BTreeMap::<_, Vec<_>>::new();
    for (resource, action) in needed {
        scopes.entry(resource.as_str()).or_default().push(action.as_str());
    }
    let scopes: Vec<_> = scopes.into_iter().map(|(name, actions)| format!("{name}:{}", actions.join(","))).collect();
    let scope = if scopes.is_empty() { String::new() } else { format!(",scope=\"{}\"", scopes.join(" ")) };
    Challenge(format!("Bearer realm=\"{realm}\",service=\"{SERVICE}\"{scope}{error}"))
}

/// `repository:o/r:pull,push` as its grants; none when it is no scope.
fn parse(scope: &str) -> Vec<(String, String)> {
    let Some((resource, actions)) = scope.rsplit_once(':') else { return Vec::new() };
    actions.split(',').map(|action| (resource.to_owned(), action.to_owned())).collect()
}

fn authorization(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()
}
