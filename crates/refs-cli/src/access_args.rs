//! Who may come to `refs serve`, and how they are spoken to: flags, and what they mean.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use refs_server::{
    Access, Actions, Anonymous, Grant, Htpasswd, HtpasswdError, Key, Rights, Scheme, ShortKey, Tls, TlsError,
    TokenOptions,
};
use serde::Deserialize;
use url::Url;

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Who may come in")]
pub(crate) struct Entry {
    /// The users and the bcrypt hashes of their passwords, as `htpasswd -B` writes them; nobody else may push, nor pull
    #[arg(long, value_name = "FILE")]
    pub(crate) htpasswd: Option<PathBuf>,
    /// How users say who they are [default: basic]
    #[arg(long, value_enum, value_name = "HOW", requires = "htpasswd")]
    pub(crate) auth: Option<Auth>,
    /// Let everyone pull
    #[arg(long, requires = "htpasswd")]
    pub(crate) anonymous_pull: bool,
    /// At least 32 random bytes that sign tokens, so that servers with the same file take each other's [default: a key of its
    /// own until it ends]
    #[arg(long, value_name = "FILE", requires = "auth")]
    pub(crate) token_key: Option<PathBuf>,
    /// Where clients find /token of this server, when a proxy stands before it [default: where the request was sent to]
    #[arg(long, value_name = "URL", value_parser = token_url, requires = "auth")]
    pub(crate) token_url: Option<Url>,
    /// The certificate of the server, and those that vouch for it, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The key of the certificate, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// What single users may do, which the file alone can say
    #[arg(skip)]
    pub(crate) grants: Vec<Grant>,
    /// Where the file says whom each of them is for
    #[arg(skip)]
    pub(crate) granted_at: Vec<String>,
    /// Where it names the files that it does
    #[arg(skip)]
    pub(crate) named_at: Box<NamedAt>,
}

/// Where in the server's file each of these files is named.
#[derive(Debug, Default)]
pub(crate) struct NamedAt {
    pub(crate) htpasswd: Option<String>,
    pub(crate) token_key: Option<String>,
    pub(crate) tls_cert: Option<String>,
    pub(crate) tls_key: Option<String>,
}

/// How users say who they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Auth {
    /// By the password, with each request
    #[default]
    Basic,
    /// By a token, which they get for the password
    Bearer,
}

/// Why nobody can be let in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EntryError {
    #[error("cannot read `{}`", .path.display())]
    Unread { path: PathBuf, source: io::Error },
    #[error("`{at}`: cannot read the {what} in `{}`", .path.display())]
    UnreadThere { at: String, what: &'static str, path: PathBuf, source: io::Error },
    #[error("`{}` is no htpasswd file", .path.display())]
    Users { path: PathBuf, source: HtpasswdError },
    #[error("`{at}`: there is no user `{user}` in `{}`", .users.display())]
    Stranger { at: String, user: String, users: PathBuf },
    #[error("`{}` is no key for tokens", .path.display())]
    Key { path: PathBuf, source: ShortKey },
    #[error("no key for tokens could be made")]
    NoKey(#[source] io::Error),
    #[error("cannot speak TLS with `{}` and `{}`", .certificate.display(), .key.display())]
    Tls { certificate: PathBuf, key: PathBuf, source: TlsError },
}

impl Entry {
    /// What is said here, and where nothing is, what `file` says.
    pub(crate) fn over(self, file: Self) -> Self {
        let mut named_at = file.named_at;
        named_at.htpasswd.take_if(|_| self.htpasswd.is_some());
        named_at.token_key.take_if(|_| self.token_key.is_some());
        // A key is of its own certificate.
        let own = self.tls_cert.is_some();
        let (tls_cert, tls_key) = if own {
            (named_at.tls_cert, named_at.tls_key) = (None, None);
            (self.tls_cert, self.tls_key)
        } else {
            (file.tls_cert, file.tls_key)
        };
        Self {
            named_at,
            htpasswd: self.htpasswd.or(file.htpasswd),
            auth: self.auth.or(file.auth),
            anonymous_pull: self.anonymous_pull || file.anonymous_pull,
            token_key: self.token_key.or(file.token_key),
            token_url: self.token_url.or(file.token_url),
            tls_cert,
            tls_key,
            grants: file.grants,
            granted_at: file.granted_at,
        }
    }

    /// Where the file grants more than to read.
    pub(crate) fn writers(&self) -> impl Iterator<Item = &str> {
        let writes =
            |grant: &Grant| [Actions::PUSH, Actions::DELETE].iter().any(|action| grant.actions.contains(*action));
        self.granted_at.iter().zip(&self.grants).filter(move |(_, grant)| writes(grant)).map(|(at, _)| &**at)
    }

    /// Who may come in; everyone, where no users are named. Users may do everything, unless there are grants: then those
    /// count alone.
    ///
    /// # Errors
    /// Files that can't be read, or say something else; a grant for nobody, as of a name that is misspelt.
    pub(crate) fn access(&self) -> Result<Option<Access>, EntryError> {
        let Some(path) = &self.htpasswd else { return Ok(None) };
        let users = Htpasswd::parse(&String::from_utf8_lossy(&read(path, "users", self.named_at.htpasswd.as_ref())?));
        let users = users.map_err(|source| EntryError::Users { path: path.clone(), source })?;
        if users.is_empty() {
            tracing::warn!("`{}` names no user: nobody can log in", path.display());
        }
        for (grant, at) in self.grants.iter().zip(&self.granted_at) {
            if !users.has(&grant.user) {
                return Err(EntryError::Stranger { at: at.clone(), user: grant.user.clone(), users: path.clone() });
            }
        }
        let scheme = match self.auth.unwrap_or_default() {
            Auth::Basic => Scheme::Basic,
            Auth::Bearer => {
                Scheme::Bearer(TokenOptions { realm: self.token_url.clone(), ..TokenOptions::new(self.key()?) })
            }
        };
        let anonymous = if self.anonymous_pull { Anonymous::Pull } else { Anonymous::Nothing };
        let grants = self.grants.clone();
        let rights = Rights { anonymous, users: if grants.is_empty() { Actions::ALL } else { Actions::NONE }, grants };
        Ok(Some(Access { rights, ..Access::new(users, scheme) }))
    }

    /// How to speak TLS; in the clear, where no certificate is named.
    ///
    /// # Errors
    /// Files that can't be read, or say something else.
    pub(crate) fn tls(&self) -> Result<Option<Tls>, EntryError> {
        let (Some(certificate), Some(key)) = (&self.tls_cert, &self.tls_key) else { return Ok(None) };
        let at = &self.named_at;
        let chain = read(certificate, "certificate", at.tls_cert.as_ref())?;
        let tls = refs_server::tls(&chain, &read(key, "key", at.tls_key.as_ref())?);
        tls.map(Some).map_err(|source| EntryError::Tls { certificate: certificate.clone(), key: key.clone(), source })
    }

    /// What is missing to be reached by strangers.
    pub(crate) fn exposed(&self) -> Option<&'static str> {
        match (&self.htpasswd, &self.tls_cert) {
            (Some(_), Some(_)) => None,
            (None, Some(_)) => Some("everyone who reaches it may come in: there is no `--htpasswd`"),
            (Some(_), None) => {
                Some("passwords come in the clear, unless a proxy before it speaks TLS: there is no `--tls-cert`")
            }
            (None, None) => {
                Some("everyone who reaches it may come in, in the clear: there is no `--htpasswd`, and no `--tls-cert`")
            }
        }
    }

    fn key(&self) -> Result<Key, EntryError> {
        match &self.token_key {
            None => Key::random().map_err(EntryError::NoKey),
            Some(path) => {
                let bytes = read(path, "key for tokens", self.named_at.token_key.as_ref())?;
                Key::new(&bytes).map_err(|source| EntryError::Key { path: path.clone(), source })
            }
        }
    }
}

/// All of a file, `what` it has, and where it is named, if that is in the server's file.
fn read(path: &Path, what: &'static str, at: Option<&String>) -> Result<Vec<u8>, EntryError> {
    let path = path.to_owned();
    fs::read(&path).map_err(|source| match at.cloned() {
        Some(at) => EntryError::UnreadThere { at, what, path, source },
        None => EntryError::Unread { path, source },
    })
}

/// Reads the URL of a token service.
pub(crate) fn token_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or_else(|| "expected the URL of /token, such as https://registry.example/token".to_owned())
}
