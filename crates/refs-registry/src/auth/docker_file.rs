//! What docker's and podman's configuration files say of logins.

use std::{collections::BTreeMap, sync::Arc};

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use refs_url::{Host, RepoName};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Credential, Secret, helper::Helper};
use crate::error::Cause;

/// A file, as far as it is about logins.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DockerFile {
    #[serde(default)]
    auths: BTreeMap<String, Box<RawValue>>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

/// The helper that keeps a host's credentials.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// By a helper for this host.
    ByHostsOwn(Helper),
    /// By the helper for every host.
    ByCommon(Helper),
}

/// An entry of `auths`, and its name.
pub(super) type Entry<'a> = (&'a str, Result<Vec<Credential>, Cause>);

impl DockerFile {
    /// Reads the file.
    ///
    /// # Errors
    /// Where the JSON is not what docker writes. An entry that is not concerns its own host only.
    pub(super) fn parse(text: &[u8]) -> Result<Self, FileFault> {
        serde_json::from_slice(text).map_err(|error| FileFault::of(&error))
    }

    /// The helper for `host`, if there is one.
    pub(super) fn helper(&self, host: &Host) -> Option<Kept> {
        let own = self.cred_helpers.iter().find(|(key, _)| Key::parse(key).matches(host, None).is_some());
        if let Some((_, name)) = own.filter(|(_, name)| !name.is_empty()) {
            return Some(Kept::ByHostsOwn(Helper::new(name)));
        }
        let common = self.creds_store.as_ref().filter(|name| !name.is_empty());
        common.map(|name| Kept::ByCommon(Helper::new(name)))
    }

    /// The entries for `repository` of `host`, those for the deepest path first.
    pub(super) fn entries(&self, host: &Host, repository: Option<&RepoName>) -> Vec<Entry<'_>> {
        let matching = self.auths.iter().filter_map(|(key, login)| {
            let depth = Key::parse(key).matches(host, repository)?;
            Some((depth, key.as_str(), login))
        });
        let mut found: Vec<_> = matching.collect();
        found.sort_by_key(|(depth, ..)| std::cmp::Reverse(*depth));
        found.into_iter().map(|(_, key, login)| (key, read(login))).collect()
    }
}

fn read(login: &RawValue) -> Result<Vec<Credential>, Cause> {
    let login: Login = serde_json::from_str(login.get()).ok().ok_or_else(|| Arc::new(LoginFault::Fields) as Cause)?;
    login.credentials()
}

/// Whether an entry of this name is the login for the host itself.
pub(super) fn is_for(key: &str, host: &Host) -> bool {
    Key::parse(key).matches(host, None).is_some()
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

/// A secret as a file or a program has it.
#[derive(Debug, Deserialize)]
#[serde(from = "String")]
pub(super) struct Text(pub(super) Secret);

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Secret::new(text))
    }
}

impl Text {
    pub(super) fn is_empty(&self) -> bool {
        self.0.reveal().is_empty()
    }
}

impl Login {
    /// What the entry says; nothing when it only marks that a helper has it.
    fn credentials(self) -> Result<Vec<Credential>, Cause> {
        let filled = |text: Option<Text>| text.filter(|text| !text.is_empty()).map(|Text(secret)| secret);
        if let Some(token) = filled(self.registrytoken) {
            return Ok(vec![Credential::Bearer(token)]);
        }
        let pair = match filled(self.auth) {
            Some(auth) => decode(&auth).map(Some),
            None => Ok(self.username.filter(|name| !name.is_empty()).zip(filled(self.password))),
        };
        // Azure's command line writes a name of zeros and no password beside the refresh token: the token is what counts,
        // and no fault of what is beside it matters.
        let Some(token) = filled(self.identitytoken) else {
            let pair = pair.map_err(|fault| Arc::new(fault) as Cause)?;
            return Ok(pair.map(basic).into_iter().collect());
        };
        let beside = pair.ok().flatten().filter(|(_, password)| !password.reveal().is_empty());
        Ok(std::iter::once(Credential::Identity(token)).chain(beside.map(basic)).collect())
    }
}

fn basic((username, password): (String, Secret)) -> Credential {
    Credential::Basic { username, password }
}

fn decode(auth: &Secret) -> Result<(String, Secret), LoginFault> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let engine = GeneralPurpose::new(&STANDARD, LENIENT);
    let pair = zeroize::Zeroizing::new(engine.decode(auth.reveal().trim()).map_err(LoginFault::Base64)?);
    let pair = std::str::from_utf8(&pair).map_err(LoginFault::Text)?;
    let (username, password) = pair.split_once(':').ok_or(LoginFault::Pair)?;
    // Some old versions of docker pad the pair with zero bytes.
    let password = Secret::new(password.trim_end_matches('\0'));
    Ok((username.to_owned(), password))
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
pub(super) struct FileFault {
    line: usize,
    column: usize,
}

impl FileFault {
    pub(super) fn of(error: &serde_json::Error) -> Self {
        Self { line: error.line(), column: error.column() }
    }
}

/// An entry that holds nothing that can be shown.
#[derive(Debug, thiserror::Error)]
enum LoginFault {
    #[error("it does not have the fields that docker writes")]
    Fields,
    #[error("the field `auth` is not base64")]
    Base64(#[source] base64::DecodeError),
    #[error("the field `auth` is not text")]
    Text(#[source] std::str::Utf8Error),
    #[error("the field `auth` is not a name and a password with a colon between them")]
    Pair,
}
