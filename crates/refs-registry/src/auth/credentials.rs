//! Where credentials come from.

use std::{fmt::Debug, sync::Arc};

use async_trait::async_trait;
use refs_url::{Host, RepoName};

use super::{DockerConfig, GitHub, Secret};
use crate::Result;

/// A source of credentials: a file, a helper program, the command line.
#[async_trait]
pub trait Credentials: Debug + Send + Sync {
    /// What may be shown to `host`, for `repository` where one is asked for; the best first. They are tried in order
    /// until one is accepted.
    ///
    /// # Errors
    /// `Settings` when what the source has for `host` can't be used. A source without a word on `host` gives an empty
    /// list.
    async fn candidates(&self, host: &Host, repository: Option<&RepoName>) -> Result<Vec<Candidate>>;

    /// The sources that this one is made of, if it is. Each is asked only when all that those before it have was refused,
    /// so that no helper runs, and no file is complained of, that nobody needs.
    fn parts(&self) -> &[Arc<dyn Credentials>] {
        &[]
    }

    /// Takes in that `candidate`, one of this source's, was refused, so that it isn't given from memory again.
    fn refused(&self, candidate: &Candidate) {
        let _ = candidate;
    }
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

/// The name that Azure's registries give to the one who shows a refresh token as a password
/// ([Azure/acr#98](https://github.com/Azure/acr/issues/98)).
const AZURE_TOKEN_USER: &str = "00000000-0000-0000-0000-000000000000";

impl Credential {
    /// The refresh token in it, under whichever name it comes.
    pub(super) fn refresh_token(&self) -> Option<&Secret> {
        match self {
            Self::Identity(token) => Some(token),
            Self::Basic { username, password } if username == AZURE_TOKEN_USER => Some(password),
            _ => None,
        }
    }
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

    /// Who the environment says we are: GitHub's login for GitHub's registries ([`GitHub`]), what docker and podman keep
    /// ([`DockerConfig::all_from_env`]), then nobody.
    #[must_use]
    pub fn from_env() -> Self {
        let mut sources: Vec<Arc<dyn Credentials>> = vec![Arc::new(GitHub::from_env())];
        sources.extend(DockerConfig::all_from_env().into_iter().map(|config| Arc::new(config) as Arc<dyn Credentials>));
        sources.push(Arc::new(Anonymous));
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

    fn parts(&self) -> &[Arc<dyn Credentials>] {
        &self.0
    }

    fn refused(&self, candidate: &Candidate) {
        self.0.iter().for_each(|source| source.refused(candidate));
    }
}
