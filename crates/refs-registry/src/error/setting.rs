//! What was set, or given for one request, and can't be used.

use std::{fmt, path::PathBuf};

/// What was set, or given for one request, and can't be used: where somebody has to look. Why is the cause of the
/// [`Settings`](super::Error::Settings) error that has this.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Setting {
    /// A file of settings, or a folder of such.
    File {
        /// The file.
        path: PathBuf,
        /// Where in it, from 1, if that is known.
        line: Option<usize>,
    },
    /// A file of certificates to trust.
    Certificates(PathBuf),
    /// The certificate that a client shows.
    ClientCertificate(PathBuf),
    /// The key of the certificate that a client shows.
    ClientKey(PathBuf),
    /// A proxy, by its URL without a password.
    Proxy(String),
    /// The name of a host.
    Host(String),
    /// A file where docker or podman keep logins.
    LoginFile {
        /// The file.
        path: PathBuf,
        /// Which of its logins, unless it is all of it.
        key: Option<String>,
    },
    /// A login in a variable that has the text of such a file.
    LoginVariable {
        /// The variable's name.
        name: String,
        /// Which of its logins.
        key: String,
    },
    /// The program that keeps logins, by its name.
    LoginHelper(String),
    /// That there is a file to keep a login in.
    NoLoginFile,
    /// A name and a password, or a token, as a header.
    Credential,
    /// A header of the caller's own, by its name.
    Header(String),
    /// The path of a request of the caller's own.
    RequestPath,
    /// The state of an upload, which the caller kept.
    UploadSession,
    /// What the client is made of, in words.
    Client(&'static str),
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line: Some(line) } => write!(f, "`{}:{line}`", path.display()),
            Self::File { path, line: None } | Self::LoginFile { path, key: None } => write!(f, "`{}`", path.display()),
            Self::Certificates(file) => write!(f, "the certificates in `{}`", file.display()),
            Self::ClientCertificate(file) => write!(f, "the client certificate `{}`", file.display()),
            Self::ClientKey(file) => write!(f, "the key `{}` of a client certificate", file.display()),
            Self::Proxy(url) => write!(f, "the proxy {url}"),
            Self::Host(name) => write!(f, "the host `{name}`"),
            Self::LoginFile { path, key: Some(key) } => write!(f, "`{key}` in `{}`", path.display()),
            Self::LoginVariable { name, key } => write!(f, "`{key}` in `{name}`"),
            Self::LoginHelper(program) => write!(f, "credential helper `{}`", program.escape_default()),
            Self::NoLoginFile => f.write_str("the configuration for a login"),
            Self::Credential => f.write_str("the credential as a header"),
            Self::Header(name) => write!(f, "the header `{}`", name.escape_debug()),
            Self::RequestPath => f.write_str("the path of a request"),
            Self::UploadSession => f.write_str("the upload session"),
            Self::Client(part) => f.write_str(part),
        }
    }
}
