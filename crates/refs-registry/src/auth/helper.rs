//! Docker's credential helpers: programs named `docker-credential-NAME` that keep passwords
//! ([protocol](https://github.com/docker/docker-credential-helpers#development)).

use std::{path::PathBuf, sync::Arc};

use refs_url::Host;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    Credential, Secret,
    docker_file::Text,
    program::{Programs, Said, Unusable},
};
use crate::{
    Error, Result,
    error::{Detail, Setting},
};

/// A credential helper, by the NAME in `docker-credential-NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Helper {
    name: String,
}

/// Why a helper could not be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum HelperFault {
    /// Its name would lead elsewhere than to a program of that name.
    #[error("`{0}` is not the name of a helper")]
    Name(String),
    /// It is not installed, or not where programs are looked for.
    #[error("it is not in PATH")]
    Missing,
    /// It was run, and to no use.
    #[error(transparent)]
    Unusable(Unusable),
    /// It says that it failed.
    #[error("it failed{0}")]
    Failed(Detail),
    /// Its answer is not a credential.
    #[error("its answer is not a user name and a secret")]
    Answer,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    secret: Option<Text>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Login<'a> {
    #[serde(rename = "ServerURL")]
    server: &'a str,
    username: &'a str,
    secret: &'a str,
}

/// The name that stands for a refresh token in the place of a user's.
const TOKEN_USER: &str = "<token>";

/// How helpers say that they keep nothing for a server.
const NOT_FOUND: [&str; 3] = ["credentials not found", "no credentials server url", "no credentials username"];

impl Helper {
    pub(super) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }

    /// The helper in the words of errors.
    pub(super) fn shown(&self) -> String {
        self.setting().to_string()
    }

    fn setting(&self) -> Setting {
        Setting::LoginHelper(self.program())
    }

    /// The name of the program.
    pub(super) fn program(&self) -> String {
        format!("docker-credential-{}", self.name)
    }

    /// What the helper keeps for `host`; `None` when it keeps nothing.
    pub(super) async fn get(&self, host: &Host, programs: &Programs) -> Result<Option<Credential>, HelperFault> {
        for server in servers(host) {
            let said = self.run("get", server.as_bytes(), programs).await?;
            if !said.succeeded && is_not_found(&said) {
                continue;
            }
            let answer = succeeded(said, "")?;
            let answer: Answer = serde_json::from_slice(&answer).ok().ok_or(HelperFault::Answer)?;
            if let Some(Text(secret)) = answer.secret.filter(|secret| !secret.is_empty()) {
                return Ok(Some(credential(answer.username, secret)));
            }
        }
        Ok(None)
    }

    /// Has the helper keep a password for `host`.
    pub(super) async fn store(
        &self,
        host: &Host,
        (username, password): (&str, &Secret),
        programs: &Programs,
    ) -> Result<(), HelperFault> {
        let login = Login { server: &key(host), username, secret: password.reveal() };
        let input = Zeroizing::new(serde_json::to_vec(&login).ok().ok_or(HelperFault::Answer)?);
        let said = self.run("store", &input, programs).await?;
        succeeded(said, password.reveal()).map(drop)
    }

    /// Has the helper forget what it keeps for `host`; whether there was something.
    pub(super) async fn erase(&self, host: &Host, programs: &Programs) -> Result<bool, HelperFault> {
        let mut erased = false;
        // Helpers differ in what they say of a server they do not know: some fail, some do nothing.
        for server in servers(host) {
            let known = self.run("get", server.as_bytes(), programs).await?;
            if !known.succeeded {
                continue;
            }
            let said = self.run("erase", server.as_bytes(), programs).await?;
            if !said.succeeded && is_not_found(&said) {
                continue;
            }
            succeeded(said, "")?;
            erased = true;
        }
        Ok(erased)
    }

    /// The error that `fault` comes to.
    pub(super) fn error(&self, fault: HelperFault) -> Error {
        Error::Settings { what: self.setting(), source: Arc::new(fault) }
    }

    /// The program.
    pub(super) fn find(&self, programs: &Programs) -> Result<PathBuf, HelperFault> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if self.name.is_empty() || !self.name.chars().all(is_plain) {
            return Err(HelperFault::Name(self.name.escape_default().to_string()));
        }
        programs.find(&self.program()).ok_or(HelperFault::Missing)
    }

    async fn run(&self, verb: &str, input: &[u8], programs: &Programs) -> Result<Said, HelperFault> {
        let program = self.find(programs)?;
        programs.run(&program, &[verb], input).await.map_err(HelperFault::Unusable)
    }
}

/// The name under which docker files the credentials for `host`.
pub(super) fn key(host: &Host) -> String {
    if host.is_docker_hub() { "https://index.docker.io/v1/".to_owned() } else { host.to_string() }
}

/// The names under which a helper may keep the credentials for `host`, docker's own first.
fn servers(host: &Host) -> Vec<String> {
    let second = if host.is_docker_hub() { "docker.io".to_owned() } else { format!("https://{host}") };
    vec![key(host), second]
}

fn credential(username: String, secret: Secret) -> Credential {
    match username.as_str() {
        TOKEN_USER => Credential::Identity(secret),
        _ => Credential::Basic { username, password: secret },
    }
}

fn is_not_found(said: &Said) -> bool {
    let words = [&said.stdout, &said.stderr].map(|words| String::from_utf8_lossy(words).to_lowercase());
    NOT_FOUND.iter().any(|text| words.iter().any(|words| words.contains(text)))
}

/// The stdout of a helper that succeeded. Of one that failed, what it says on stdout, which is where helpers tell it, or
/// else on stderr, without `secret`.
fn succeeded(said: Said, secret: &str) -> Result<Zeroizing<Vec<u8>>, HelperFault> {
    if said.succeeded {
        return Ok(said.stdout);
    }
    let told = [&said.stdout, &said.stderr].into_iter().find(|words| !words.trim_ascii().is_empty());
    let detail = told.map(|words| Detail::new(&String::from_utf8_lossy(words).replace(char::is_control, " ")));
    Err(HelperFault::Failed(detail.unwrap_or_default().without(secret)))
}
