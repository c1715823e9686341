//! The logins that docker and podman keep.

use std::{
    collections::HashMap,
    env,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use refs_url::{Host, RepoName};

use super::{
    Candidate, Credential, Credentials, Secret,
    docker_file::{DockerFile, Kept},
    helper::{Helper, HelperFault},
    program::Programs,
};
use crate::{
    Error, Result,
    error::{Cause, Setting},
};

/// One configuration file of docker's or podman's: its credential helpers (`credHelpers`, `credsStore`) and its `auths`.
///
/// The helper for a host is asked first, then the one for all hosts; what the `auths` have comes after. An entry there is
/// for one host, and for one port of it, exactly; one with a path (`ghcr.io/org`) is for the repositories below it, and
/// goes before one without. Docker's old keys (`https://host/v1/`) are read, and Docker Hub's by any of its names.
///
/// A file that cannot be read, or is not JSON, has no logins: a warning names it. An entry that cannot be decoded concerns
/// its own host only.
#[derive(Debug)]
pub struct DockerConfig {
    at: Option<Place>,
    programs: Programs,
    /// What helpers have given, until it is refused.
    kept: Mutex<HashMap<(Helper, Host), Credential>>,
    /// Held by the one who runs a helper: those may ask the user something.
    asking: tokio::sync::Mutex<()>,
}

/// Where a configuration is.
#[derive(Debug, Clone)]
enum Place {
    File(PathBuf),
    /// The text itself, and the name of the variable it comes from.
    Variable(String, Secret),
}

impl DockerConfig {
    /// Reads the file at `path`, when credentials are needed. A file that does not exist has none.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self::of(Some(Place::File(path.into())))
    }

    /// Takes `json` for the text of a file; `from` is named in errors.
    #[must_use]
    pub fn inline(from: impl Into<String>, json: Secret) -> Self {
        Self::of(Some(Place::Variable(from.into(), json)))
    }

    /// The file that docker itself would read: `$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`.
    #[must_use]
    pub fn from_env() -> Self {
        let folder = folder("DOCKER_CONFIG").or_else(|| Some(env::home_dir()?.join(".docker")));
        Self::of(folder.map(|folder| Place::File(folder.join("config.json"))))
    }

    /// All that docker and podman would read, the first one first: the JSON in `DOCKER_AUTH_CONFIG`, docker's own file,
    /// then podman's: `$REGISTRY_AUTH_FILE`, or in its stead `$XDG_RUNTIME_DIR/containers/auth.json` and
    /// `~/.config/containers/auth.json`.
    #[must_use]
    pub fn all_from_env() -> Vec<Self> {
        let inline = env::var("DOCKER_AUTH_CONFIG").ok().filter(|json| !json.trim().is_empty());
        let inline = inline.map(|json| Self::inline("DOCKER_AUTH_CONFIG", Secret::new(json)));
        let podman = match folder("REGISTRY_AUTH_FILE") {
            Some(file) => vec![file],
            None => {
                let config = folder("XDG_CONFIG_HOME").or_else(|| Some(env::home_dir()?.join(".config")));
                let folders = [folder("XDG_RUNTIME_DIR"), config].into_iter().flatten();
                folders.map(|folder| folder.join("containers/auth.json")).collect()
            }
        };
        inline.into_iter().chain([Self::from_env()]).chain(podman.into_iter().map(Self::at)).collect()
    }

    /// Finds and bounds the helpers as `programs` say.
    #[must_use]
    pub fn with_programs(self, programs: Programs) -> Self {
        Self { programs, ..self }
    }

    fn of(at: Option<Place>) -> Self {
        Self { at, programs: Programs::default(), kept: Mutex::default(), asking: tokio::sync::Mutex::default() }
    }

    /// Where the file is, and how its helpers are run.
    pub(super) fn file(&self) -> Option<(&Path, &Programs)> {
        match &self.at {
            Some(Place::File(path)) => Some((path, &self.programs)),
            Some(Place::Variable(..)) | None => None,
        }
    }

    async fn read(place: &Place) -> DockerFile {
        let read = match place {
            Place::Variable(_, json) => DockerFile::parse(json.reveal().as_bytes()),
            Place::File(path) => match tokio::fs::read(path).await {
                Ok(text) => DockerFile::parse(&zeroize::Zeroizing::new(text)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return DockerFile::default(),
                Err(error) => {
                    tracing::warn!("the logins in {place} are left out: {error}");
                    return DockerFile::default();
                }
            },
        };
        read.unwrap_or_else(|fault| {
            tracing::warn!("the logins in {place} are left out: {fault}");
            DockerFile::default()
        })
    }

    /// What the helper for `host` has.
    async fn helpers_candidate(&self, kept: Kept, host: &Host) -> Result<Option<Candidate>> {
        let (Kept::ByHostsOwn(helper) | Kept::ByCommon(helper)) = &kept;
        let credential = match self.ask(helper, host).await {
            Ok(credential) => credential,
            // Docker writes the name of a store into files that are then carried to machines without it.
            Err(HelperFault::Missing) if matches!(kept, Kept::ByCommon(_)) => {
                tracing::warn!("the {} is not in PATH: its logins are left out", helper.shown());
                None
            }
            Err(fault) => return Err(helper.error(fault)),
        };
        Ok(credential.map(|credential| Candidate { from: helper.shown(), credential }))
    }

    async fn ask(&self, helper: &Helper, host: &Host) -> Result<Option<Credential>, HelperFault> {
        let _asking = self.asking.lock().await;
        let key = (helper.clone(), host.clone());
        if let Some(known) = self.kept().get(&key) {
            return Ok(Some(known.clone()));
        }
        let found = helper.get(host, &self.programs).await?;
        if let Some(found) = &found {
            self.kept().insert(key, found.clone());
        }
        Ok(found)
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<(Helper, Host), Credential>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn folder(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).filter(|folder: &OsString| !folder.is_empty()).map(PathBuf::from)
}

#[async_trait]
impl Credentials for DockerConfig {
    async fn candidates(&self, host: &Host, repository: Option<&RepoName>) -> Result<Vec<Candidate>> {
        let Some(place) = &self.at else { return Ok(Vec::new()) };
        let file = Self::read(place).await;
        let mut found = Vec::new();
        if let Some(kept) = file.helper(host) {
            found.extend(self.helpers_candidate(kept, host).await?);
        }
        let mut unusable = None;
        for (key, credentials) in file.entries(host, repository) {
            let from = format!("`{key}` in {place}");
            match credentials {
                Ok(credentials) => {
                    found
                        .extend(credentials.into_iter().map(|credential| Candidate { from: from.clone(), credential }));
                }
                Err(fault) => unusable = unusable.or_else(|| Some((place.login(key), fault))),
            }
        }
        match unusable {
            Some((what, source)) if found.is_empty() => Err(Error::Settings { what, source }),
            Some((what, source)) => {
                warn_of(&what, &source);
                Ok(found)
            }
            None => Ok(found),
        }
    }

    fn refused(&self, candidate: &Candidate) {
        self.kept().retain(|_, known| *known != candidate.credential);
    }
}

fn warn_of(what: &impl fmt::Display, fault: &Cause) {
    tracing::warn!("the login {what} is left out: {fault}");
}

impl Place {
    /// The login at `key` in it.
    fn login(&self, key: &str) -> Setting {
        let key = key.to_owned();
        match self {
            Self::File(path) => Setting::LoginFile { path: path.clone(), key: Some(key) },
            Self::Variable(name, _) => Setting::LoginVariable { name: name.clone(), key },
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "`{}`", path.display()),
            Self::Variable(name, _) => write!(f, "`{name}`"),
        }
    }
}
