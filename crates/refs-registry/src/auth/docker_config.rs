//! Docker's configuration file.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use refs_url::{Host, RepoName};
use serde::Deserialize;

use super::{Candidate, Credential, Credentials, Secret};
use crate::{
    Error, Result,
    error::{Cause, Doing},
};

/// The logins in the `auths` of a `config.json`, as `docker login` writes it.
///
/// An entry is for one host, and for one port of it, exactly; one with a path (`ghcr.io/org`) is for the repositories
/// below it, and goes before one without. Docker's old keys (`https://host/v1/`) are read, and Docker Hub's by any of
/// its names. An entry that cannot be decoded concerns its own host only.
#[derive(Debug, Clone)]
pub struct DockerConfig {
    path: Option<PathBuf>,
}

impl DockerConfig {
    /// Reads the file at `path`, when credentials are needed. A file that does not exist has none.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: Some(path.into()) }
    }

    /// The file that docker itself would read: `$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`.
    #[must_use]
    pub fn from_env() -> Self {
        let folder = match env::var_os("DOCKER_CONFIG").filter(|folder| !folder.is_empty()) {
            Some(folder) => Some(PathBuf::from(folder)),
            None => env::home_dir().map(|home| home.join(".docker")),
        };
        Self { path: folder.map(|folder| folder.join("config.json")) }
    }
}

#[derive(Debug, Default, Deserialize)]
struct File {
    #[serde(default)]
    auths: BTreeMap<String, Login>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Login {
    auth: Option<Text>,
    username: Option<String>,
    password: Option<Text>,
    identitytoken: Option<Text>,
    registrytoken: Option<Text>,
}

/// A secret as the file has it.
#[derive(Debug, Deserialize)]
#[serde(from = "String")]
struct Text(Secret);

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Secret::new(text))
    }
}

#[async_trait]
impl Credentials for DockerConfig {
    async fn candidates(&self, host: &Host, repository: Option<&RepoName>) -> Result<Vec<Candidate>> {
        let Some(path) = &self.path else { return Ok(Vec::new()) };
        let text = match tokio::fs::read(path).await {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io(Doing::Read, path, error)),
        };
        let file: File =
            serde_json::from_slice(&text).map_err(|error| unusable(path, Arc::new(FileFault::of(&error))))?;
        let mut found: Vec<(usize, &String, &Login)> = file
            .auths
            .iter()
            .filter_map(|(key, login)| Some((Key::parse(key).matches(host, repository)?, key, login)))
            .collect();
        found.sort_by_key(|(depth, ..)| std::cmp::Reverse(*depth));
        let mut candidates = Vec::new();
        for (_, key, login) in found {
            let credential = login.credential().map_err(|cause| unusable(path, cause))?;
            let from = format!("`{key}` in `{}`", path.display());
            candidates.extend(credential.map(|credential| Candidate { from, credential }));
        }
        Ok(candidates)
    }
}

fn unusable(path: &Path, source: Cause) -> Error {
    Error::Settings { what: format!("the credentials in `{}`", path.display()), source }
}

/// The name of an entry: a host, and the beginning of repositories' names.
#[derive(Debug, PartialEq, Eq)]
struct Key<'a> {
    host: &'a str,
    path: &'a str,
}

impl<'a> Key<'a> {
    fn parse(key: &'a str) -> Self {
        let scheme = ["https://", "http://"].iter().find_map(|scheme| Some((scheme, key.strip_prefix(scheme)?)));
        let (scheme, rest) = scheme.map_or((None, key), |(scheme, rest)| (Some(scheme), rest));
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = path.trim_matches('/');
        // Docker's first API is in the name of old entries, and is no repository's.
        let path = if matches!(path, "v1" | "v2") { "" } else { path };
        let default_port = if scheme == Some(&"http://") { ":80" } else { ":443" };
        let host = scheme.and_then(|_| host.strip_suffix(default_port)).unwrap_or(host);
        Self { host, path }
    }

    /// How long the part of a repository's name is that this key names; `None` when it is for something else.
    fn matches(&self, host: &Host, repository: Option<&RepoName>) -> Option<usize> {
        let is_hub = |name: &str| Host::parse(name).is_ok_and(|host| host.is_docker_hub());
        let is_same = host.as_str().eq_ignore_ascii_case(self.host) || host.is_docker_hub() && is_hub(self.host);
        if !is_same {
            return None;
        }
        if self.path.is_empty() {
            return Some(0);
        }
        let rest = repository?.as_str().strip_prefix(self.path)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(self.path.len())
    }
}

/// A file that is not what docker writes. Where, and not what: the parser's own words quote the values it stumbles over,
/// and those are passwords here.
#[derive(Debug, thiserror::Error)]
#[error("line {line}, column {column} is not what docker writes there")]
struct FileFault {
    line: usize,
    column: usize,
}

impl FileFault {
    fn of(error: &serde_json::Error) -> Self {
        Self { line: error.line(), column: error.column() }
    }
}

/// An entry that holds nothing that can be shown.
#[derive(Debug, thiserror::Error)]
enum LoginFault {
    #[error("the field `auth` is not base64")]
    Base64(#[source] base64::DecodeError),
    #[error("the field `auth` is not text")]
    Text(#[source] std::str::Utf8Error),
    #[error("the field `auth` is not a name and a password with a colon between them")]
    Pair,
}

impl Login {
    /// What the entry says; `None` when it says nothing, as those that only mark a helper's.
    fn credential(&self) -> Result<Option<Credential>, Cause> {
        let filled = |text: &Option<Text>| text.as_ref().map(|text| text.0.clone()).filter(|t| !t.reveal().is_empty());
        if let Some(token) = filled(&self.registrytoken) {
            return Ok(Some(Credential::Bearer(token)));
        }
        // Azure's command line writes a name of zeros beside the refresh token: the token is what counts.
        if let Some(token) = filled(&self.identitytoken) {
            return Ok(Some(Credential::Identity(token)));
        }
        if let Some(auth) = filled(&self.auth) {
            return decode(&auth).map(Some).map_err(|fault| Arc::new(fault) as Cause);
        }
        let username = self.username.clone().filter(|username| !username.is_empty());
        Ok(username.zip(filled(&self.password)).map(|(username, password)| Credential::Basic { username, password }))
    }
}

fn decode(auth: &Secret) -> Result<Credential, LoginFault> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let engine = GeneralPurpose::new(&STANDARD, LENIENT);
    let pair = zeroize::Zeroizing::new(engine.decode(auth.reveal().trim()).map_err(LoginFault::Base64)?);
    let pair = std::str::from_utf8(&pair).map_err(LoginFault::Text)?;
    let (username, password) = pair.split_once(':').ok_or(LoginFault::Pair)?;
    // Some old versions of docker pad the pair with zero bytes.
    let password = Secret::new(password.trim_end_matches('\0'));
    Ok(Credential::Basic { username: username.to_owned(), password })
}
