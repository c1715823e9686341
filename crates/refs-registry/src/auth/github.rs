//! GitHub's own login, for GitHub's registries.

use std::{env, time::Duration};

use async_trait::async_trait;
use refs_url::{Host, RepoName};
use tokio::sync::OnceCell;

use super::{Candidate, Credential, Credentials, Secret, program::Programs};
use crate::Result;

/// The token in `GITHUB_TOKEN` or `GH_TOKEN`, else the one that GitHub's command line keeps (`gh auth token`), for
/// GitHub's registries and no others.
///
/// `gh` is run at most once, and only when it is installed.
#[derive(Debug)]
pub struct GitHub {
    /// The name of the variable, and the token in it.
    given: Option<(String, Secret)>,
    programs: Programs,
    kept: OnceCell<Option<Secret>>,
}

/// GitHub's registries.
const HOSTS: [&str; 2] = ["ghcr.io", "docker.pkg.github.com"];

/// GitHub takes any name beside a token; this one says what follows.
const USER: &str = "x-access-token";

impl GitHub {
    /// The login of the environment. `gh` may take 5 s.
    #[must_use]
    pub fn from_env() -> Self {
        let variable = |name: &str| Some((name.to_owned(), env::var(name).ok().filter(|token| !token.is_empty())?));
        let given = variable("GITHUB_TOKEN").or_else(|| variable("GH_TOKEN"));
        let given = given.map(|(name, token)| (name, Secret::new(token)));
        Self { given, ..Self::from_gh(Programs { timeout: Duration::from_secs(5), ..Programs::default() }) }
    }

    /// What the `gh` that is found by `programs` keeps.
    #[must_use]
    pub fn from_gh(programs: Programs) -> Self {
        Self { given: None, programs, kept: OnceCell::new() }
    }

    async fn ask_gh(&self) -> Option<Secret> {
        let gh = self.programs.find("gh")?;
        match self.programs.run(&gh, &["auth", "token"], b"").await {
            Ok(said) if said.succeeded => {
                let token = std::str::from_utf8(&said.stdout).ok()?.trim();
                (!token.is_empty() && token.chars().all(|c| c.is_ascii_graphic())).then(|| Secret::new(token))
            }
            // Nobody is logged in.
            Ok(_) => None,
            Err(fault) => {
                tracing::warn!("`gh auth token` was of no use: {fault}");
                None
            }
        }
    }
}

#[async_trait]
impl Credentials for GitHub {
    async fn candidates(&self, host: &Host, _: Option<&RepoName>) -> Result<Vec<Candidate>> {
        if !HOSTS.iter().any(|known| host.as_str().eq_ignore_ascii_case(known)) {
            return Ok(Vec::new());
        }
        let found = match &self.given {
            Some((name, token)) => Some((format!("`{name}`"), token.clone())),
            None => {
                let kept = self.kept.get_or_init(|| self.ask_gh()).await.clone();
                kept.map(|token| ("`gh auth token`".to_owned(), token))
            }
        };
        let candidate = |(from, password)| Candidate {
            from,
            credential: Credential::Basic { username: USER.to_owned(), password },
        };
        Ok(found.map(candidate).into_iter().collect())
    }
}
