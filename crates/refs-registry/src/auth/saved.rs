//! Logins that are written down, where docker writes them.

use std::{
    fmt, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use refs_url::Host;
use zeroize::Zeroizing;

use super::{
    DockerConfig, Secret,
    docker_file::{self, DockerFile, Kept},
    helper::{self, Helper, HelperFault},
    json_object::JsonObject,
    program::Programs,
};
use crate::{
    Error, Result,
    error::{Doing, Setting},
};

/// Where a login was put.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Saved {
    /// In the keeping of the helper that is this program, such as `docker-credential-pass`.
    Helper(String),
    /// In this file, where whoever can read it finds the password.
    PlainText(PathBuf),
}

/// Where a login was taken from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// The helper that kept it: the name of a program.
    pub helper: Option<String>,
    /// The file that had it in plain text.
    pub file: Option<PathBuf>,
}

/// Why a file was left as it is.
#[derive(Debug, thiserror::Error)]
enum Untouched {
    #[error("there is no home directory, and no DOCKER_CONFIG, to have a file in")]
    NoFile,
    #[error("it is not JSON that docker writes, and is left as it is: {0}")]
    Json(docker_file::FileFault),
}

const AUTHS: &str = "auths";

impl DockerConfig {
    /// Writes a login for `host` down as `docker login` does: into the helper that the file names for the host, else into
    /// the file itself, which is made when there is none. All else in the file stays as it is, in its order. It is
    /// replaced in one step, readable by its owner only; a link to it stays a link.
    ///
    /// Two programs that write at the same time may lose one of the two logins, as two of docker's do.
    ///
    /// # Errors
    /// `Settings` when the helper fails, or when the file is not JSON: it is left as it is. `Io` and `Full` when it cannot be
    /// written: it is as it was.
    ///
    /// # Security
    /// Without a helper the password is on the disk in plain text ([`Saved::PlainText`]).
    pub async fn save(&self, host: &Host, username: &str, password: &Secret) -> Result<Saved> {
        let (path, programs) = self.place()?;
        let (mut object, file) = read(path)?;
        if let Some(helper) = installed(&file, host, programs) {
            let stored = helper.store(host, (username, password), programs).await;
            stored.map_err(|fault| helper.error(fault))?;
            // Docker leaves an empty entry for each host whose login a helper has; one in plain text would outlive it.
            set(&mut object, host, "{}").map_err(|fault| untouched(path, fault))?;
            write(path, &object)?;
            return Ok(Saved::Helper(helper.program()));
        }
        let pair = Zeroizing::new(format!("{username}:{}", password.reveal()));
        let entry = Zeroizing::new(format!("{{\"auth\":\"{}\"}}", BASE64_STANDARD.encode(pair.as_bytes())));
        set(&mut object, host, &entry).map_err(|fault| untouched(path, fault))?;
        write(path, &object)?;
        Ok(Saved::PlainText(path.to_owned()))
    }

    /// Takes away what the file and its helper keep for `host`. A login for a part of the host (`host/path`) stays.
    ///
    /// # Errors
    /// As [`save`](DockerConfig::save).
    pub async fn forget(&self, host: &Host) -> Result<Forgotten> {
        let (path, programs) = self.place()?;
        let (mut object, file) = read(path)?;
        let mut forgotten = Forgotten::default();
        if let Some(helper) = installed(&file, host, programs)
            && helper.erase(host, programs).await.map_err(|fault| helper.error(fault))?
        {
            forgotten.helper = Some(helper.program());
        }
        let removed = remove(&mut object, host).map_err(|fault| untouched(path, fault))?;
        if !removed.is_empty() {
            write(path, &object)?;
        }
        // An entry without a word in it only says that a helper has the login.
        if removed.iter().any(|entry| entry.split_whitespace().collect::<String>() != "{}") {
            forgotten.file = Some(path.to_owned());
        }
        Ok(forgotten)
    }

    fn place(&self) -> Result<(&Path, &Programs)> {
        self.file().ok_or_else(|| Error::Settings { what: Setting::NoLoginFile, source: Arc::new(Untouched::NoFile) })
    }
}

/// The helper that `file` names for `host`. One for every host that is not installed counts for nothing, as it does when
/// logins are read.
fn installed(file: &DockerFile, host: &Host, programs: &Programs) -> Option<Helper> {
    match file.helper(host)? {
        Kept::ByHostsOwn(helper) => Some(helper),
        Kept::ByCommon(helper) => {
            let is_missing = matches!(helper.find(programs), Err(HelperFault::Missing));
            if is_missing {
                tracing::warn!("the {} is not in PATH: it is left out", helper.shown());
            }
            (!is_missing).then_some(helper)
        }
    }
}

fn read(path: &Path) -> Result<(JsonObject, DockerFile)> {
    let text = match fs::read(path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Zeroizing::default(),
        Err(error) => return Err(Error::io(Doing::Read, path, error)),
    };
    if text.trim_ascii().is_empty() {
        return Ok((JsonObject::default(), DockerFile::default()));
    }
    let file = DockerFile::parse(&text).map_err(|fault| untouched(path, fault))?;
    let object = JsonObject::parse(&text).map_err(|error| untouched(path, docker_file::FileFault::of(&error)))?;
    Ok((object, file))
}

fn untouched(path: &Path, fault: docker_file::FileFault) -> Error {
    let what = Setting::LoginFile { path: path.to_owned(), key: None };
    Error::Settings { what, source: Arc::new(Untouched::Json(fault)) }
}

/// Makes `entry` the login for `host`, in the place of every other one that names the host alone.
fn set(object: &mut JsonObject, host: &Host, entry: &str) -> Result<(), docker_file::FileFault> {
    change(object, |auths| {
        let own = helper::key(host);
        auths.retain(|key| key == own || !docker_file::is_for(key, host));
        auths.set(&own, entry)
    })
}

/// Removes the logins for `host`, and gives them.
fn remove(object: &mut JsonObject, host: &Host) -> Result<Vec<Zeroizing<String>>, docker_file::FileFault> {
    let mut removed = Vec::new();
    if object.value(AUTHS).is_some() {
        change(object, |auths| {
            removed = auths.retain(|key| !docker_file::is_for(key, host));
            Ok(())
        })?;
    }
    Ok(removed)
}

fn change(
    object: &mut JsonObject,
    change: impl FnOnce(&mut JsonObject) -> serde_json::Result<()>,
) -> Result<(), docker_file::FileFault> {
    let changed = || {
        let mut auths = match object.value(AUTHS) {
            Some(text) => JsonObject::parse(text.as_bytes())?,
            None => JsonObject::default(),
        };
        change(&mut auths)?;
        object.set(AUTHS, &auths.to_text(1))
    };
    changed().map_err(|error| docker_file::FileFault::of(&error))
}

/// Replaces the file, or the one that it is a link to.
fn write(path: &Path, object: &JsonObject) -> Result<()> {
    let target = followed(path).map_err(|error| Error::io(Doing::Read, path, error))?;
    let io = |doing| {
        let target = target.clone();
        move |error: io::Error| Error::io(doing, target, error)
    };
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    create(folder).map_err(|error| Error::io(Doing::Create, folder, error))?;
    let text = object.to_text(0);
    // Readable by its owner only, from the start.
    let mut file = tempfile::Builder::new().prefix(".config.json.").tempfile_in(folder).map_err(io(Doing::Create))?;
    file.write_all(text.as_bytes()).and_then(|()| file.write_all(b"\n")).map_err(io(Doing::Write))?;
    file.as_file().sync_all().map_err(io(Doing::Sync))?;
    file.persist(&target).map_err(|error| Error::io(Doing::Rename, &target, error.error))?;
    Ok(())
}

#[cfg(unix)]
fn create(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn create(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

/// The file that `path` stands for, through links, whether it exists or not.
fn followed(path: &Path) -> io::Result<PathBuf> {
    const MAX_LINKS: u32 = 40;
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or_else(|| Path::new("")).join(target),
            // Not a link, or nothing yet.
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::NotFound) => {
                return Ok(path);
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("too many links"))
}

impl fmt::Display for Saved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Helper(helper) => write!(f, "credential helper `{helper}`"),
            Self::PlainText(path) => write!(f, "`{}`", path.display()),
        }
    }
}
