//! Where credentials come from.

use std::{fmt::Debug, sync::Arc};

use async_trait::async_trait;
use refs_url::{Host, RepoName};

use super::Secret;
use crate::Result;

/// A source of credentials: a file, a helper program, the command line.
#[async_trait]
pub trait Credentials: Debug + Send + Sync {
    /// What may be shown to `host`, for `repository` where one is asked for; the best first. They are tried in order
    /// until one is accepted.
    ///
    /// # Errors
    /// `Settings` when the source can't be read. A source without a word on `host` gives an empty list.
    async fn candidates(&self, host: &Host, repository: Option<&RepoName>) -> Result<Vec<Candidate>>;
}

/// Something to try, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The source in words, for the error that says what was tried: ``docker's `config.json` ``.
    pub from: String,
    /// What to show.
    pub credential: Credential,
}

/// What to show to a registry or its token service.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Credential {
    /// Nothing: what everyone may read.
    Anonymous,
    /// A user's name and password.
    Basic {
        /// The name.
        username: String,
        /// The password.
        password: Secret,
    },
    /// A token that the registry itself takes.
    Bearer(Secret),
    /// A refresh token that the token service takes, docker's `identitytoken`.
    Identity(Secret),
}

/// Only what everyone may read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Anonymous;

#[async_trait]
impl Credentials for Anonymous {
    async fn candidates(&self, _: &Host, _: Option<&RepoName>) -> Result<Vec<Candidate>> {
        Ok(vec![Candidate { from: "anonymous".to_owned(), credential: Credential::Anonymous }])
    }
}

/// One given credential for one host. No other host ever sees it.
#[derive(Debug, Clone)]
pub struct Static {
    host: Host,
    candidate: Candidate,
}

impl Static {
    /// `credential` for `host`; `from` is named in errors.
    #[must_use]
    pub fn new(host: Host, from: impl Into<String>, credential: Credential) -> Self {
        Self { host, candidate: Candidate { from: from.into(), credential } }
    }
}

#[async_trait]
impl Credentials for Static {
    async fn candidates(&self, host: &Host, _: Option<&RepoName>) -> Result<Vec<Candidate>> {
        let is_same =
            host.as_str().eq_ignore_ascii_case(self.host.as_str()) || host.is_docker_hub() && self.host.is_docker_hub();
        Ok(if is_same { vec![self.candidate.clone()] } else { Vec::new() })
    }
}

/// Several sources, asked in order.
#[derive(Debug, Clone, Default)]
pub struct Chain(Vec<Arc<dyn Credentials>>);

impl Chain {
    /// Asks `sources`, the first one first.
    #[must_use]
    pub fn new(sources: Vec<Arc<dyn Credentials>>) -> Self {
        Self(sources)
    }
}

#[async_trait]
impl Credentials for Chain {
    async fn candidates(&self, host: &Host, repository: Option<&RepoName>) -> Result<Vec<Candidate>> {
        let mut all: Vec<Candidate> = Vec::new();
        for source in &self.0 {
            for candidate in source.candidates(host, repository).await? {
                // The same password from two files is one attempt: each failed one brings a lock-out nearer.
                if all.iter().all(|known| known.credential != candidate.credential) {
                    all.push(candidate);
                }
            }
        }
        Ok(all)
    }
}
