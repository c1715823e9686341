//! The places that scenarios push to: real registries, our own, and a directory.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::certificates::Certificates;
use super::process::{Server, free_port};
use super::token::{ISSUER, PASSWORD, SERVICE, TokenServer, USER};
use super::tools::Tools;
use super::trees::write;
use crate::error::{Error, Result};

/// bcrypt of [`PASSWORD`], cost 5.
const HTPASSWD: &str = "interop:$2a$05$wAT.BuH0blhXJAj/Uaat/uYLj6Sn4ILYMW7Bu89qxiLIBAG7AdVfy\n";

/// A running server, or a directory. Its data and processes go when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    /// `HOST:PORT`, or `ocidir://DIR`.
    base: String,
    /// The directories for `DOCKER_CONFIG`.
    pub(crate) credentials: Credentials,
    pub(crate) tokens: Option<TokenServer>,
    /// Where they are asked for.
    pub(crate) certificates: Option<Certificates>,
    // The server before its directory: fields are dropped in this order.
    _server: Option<Server>,
    dir: TempDir,
}

/// The kinds of place, each with what it is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlaceKind {
    /// Debian's docker-registry, open to all.
    Plain,
    /// docker-registry behind basic authentication.
    Htpasswd,
    /// docker-registry behind a token server.
    Token,
    /// docker-registry that speaks TLS, with who has a certificate.
    MutualTls,
    /// olareg: the referrers API.
    Olareg,
    /// Our own server.
    RefsServe,
    /// Our own server over TLS, which asks for a password with each request.
    RefsBasic,
    /// The same, which gives tokens for it.
    RefsBearer,
    /// An OCI image layout on disk, without any server.
    Ocidir,
}

/// Directories that hold a docker configuration each.
#[derive(Debug)]
pub(crate) struct Credentials {
    pub(crate) right: PathBuf,
    pub(crate) wrong: PathBuf,
    pub(crate) none: PathBuf,
}

impl PlaceKind {
    pub(crate) const ALL: [Self; 9] = [
        Self::Plain,
        Self::Htpasswd,
        Self::Token,
        Self::MutualTls,
        Self::Olareg,
        Self::RefsServe,
        Self::RefsBasic,
        Self::RefsBearer,
        Self::Ocidir,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "docker-registry",
            Self::Htpasswd => "docker-registry-htpasswd",
            Self::Token => "docker-registry-token",
            Self::MutualTls => "docker-registry-mtls",
            Self::Olareg => "olareg",
            Self::RefsServe => "refs-serve",
            Self::RefsBasic => "refs-serve-basic",
            Self::RefsBearer => "refs-serve-bearer",
            Self::Ocidir => "ocidir",
        }
    }

    /// Whether other programs can come: without a certificate of their own, which crane has no flags for.
    pub(crate) fn is_open_to_peers(self) -> bool {
        !matches!(self, Self::MutualTls | Self::Ocidir)
    }

    pub(crate) fn asks_for_credentials(self) -> bool {
        matches!(self, Self::Htpasswd | Self::Token) || self.own_auth().is_some()
    }

    pub(crate) fn is_our_own(self) -> bool {
        self == Self::RefsServe || self.own_auth().is_some()
    }

    /// The `--auth` of our own server that asks for credentials.
    fn own_auth(self) -> Option<&'static str> {
        match self {
            Self::RefsBasic => Some("basic"),
            Self::RefsBearer => Some("bearer"),
            _ => None,
        }
    }

    /// Starts it on a free port with an empty directory.
    pub(crate) fn start(self, tools: &Tools) -> Result<Place> {
        let dir = tempfile::tempdir().map_err(Error::file("create", "a temporary directory"))?;
        let tokens = match self {
            Self::Token => Some(TokenServer::start(&dir.path().join("token.pem"))?),
            _ => None,
        };
        let certificates = match self {
            Self::MutualTls | Self::RefsBasic | Self::RefsBearer => Some(Certificates::write(dir.path())?),
            _ => None,
        };
        let (server, base) = match self {
            Self::Plain | Self::Htpasswd | Self::Token | Self::MutualTls => {
                docker_registry(tools, dir.path(), &self.auth(tokens.as_ref(), &dir)?, certificates.as_ref())?
            }
            Self::Olareg => olareg(tools, dir.path())?,
            Self::RefsServe => refs_serve(tools, dir.path())?,
            Self::RefsBasic | Self::RefsBearer => {
                refs_guarded(tools, dir.path(), self.own_auth(), certificates.as_ref())?
            }
            Self::Ocidir => (None, format!("ocidir://{}", dir.path().join("layouts").display())),
        };
        let credentials = Credentials::write(&dir.path().join("credentials"), &base)?;
        Ok(Place { base, credentials, tokens, certificates, _server: server, dir })
    }

    /// The `auth` part of docker-registry's configuration, as JSON, which YAML includes.
    fn auth(self, tokens: Option<&TokenServer>, dir: &TempDir) -> Result<String> {
        if let Some(tokens) = tokens {
            let service = token_service(tokens, &dir.path().join("token.pem"));
            return Ok(format!("auth: {service}\n"));
        }
        if self != Self::Htpasswd {
            return Ok(String::new());
        }
        Ok(format!("auth: {}\n", htpasswd(dir.path())?))
    }
}

impl Place {
    /// Starts our own server as the mirror that `flag` describes, which is not written to.
    pub(crate) fn mirror(tools: &Tools, flag: &str) -> Result<Self> {
        let dir = tempfile::tempdir().map_err(Error::file("create", "a temporary directory"))?;
        let (server, base) = refs_serving(tools, dir.path(), &["--mirror", flag])?;
        let credentials = Credentials::write(&dir.path().join("credentials"), &base)?;
        Ok(Self { base, credentials, tokens: None, certificates: None, _server: server, dir })
    }

    /// Starts our own server, `program`, with its data in `data` and the words that `more` adds.
    pub(crate) fn serving(program: &Path, data: &Path, more: impl FnOnce(&mut Command)) -> Result<Self> {
        let dir = tempfile::tempdir().map_err(Error::file("create", "a temporary directory"))?;
        let (server, base) = served_by(program, dir.path(), data, more)?;
        let credentials = Credentials::write(&dir.path().join("credentials"), &base)?;
        Ok(Self { base, credentials, tokens: None, certificates: None, _server: server, dir })
    }

    /// `REPO:TAG` here, as `refs` and the peers take it.
    pub(crate) fn reference(&self, repository: &str, tag: &str) -> String {
        format!("{}/{repository}:{tag}", self.base)
    }

    /// `HOST:PORT`, where this is a registry.
    pub(crate) fn host(&self) -> &str {
        &self.base
    }

    /// The digest of each blob that docker-registry was asked to send, in that order, by its log.
    pub(crate) fn blobs_sent(&self) -> Result<Vec<String>> {
        let log = self.dir.path().join("server.log");
        let log = fs::read_to_string(&log).map_err(Error::file("read", log))?;
        Ok(log.lines().filter_map(blob_sent).map(str::to_owned).collect())
    }

    /// A repository here.
    pub(crate) fn repository(&self, repository: &str) -> String {
        format!("{}/{repository}", self.base)
    }
}

impl Credentials {
    fn write(dir: &Path, host: &str) -> Result<Self> {
        let config = |name: &str, auths: Value| {
            let path = dir.join(name);
            write(&path.join("config.json"), json!({ "auths": auths }).to_string().as_bytes()).map(|()| path)
        };
        let login = |password: &str| json!({ host: {"auth": STANDARD.encode(format!("{USER}:{password}"))} });
        Ok(Self {
            right: config("right", login(PASSWORD))?,
            wrong: config("wrong", login("battery staple"))?,
            none: config("none", json!({}))?,
        })
    }
}

/// The `auth` of docker-registry that asks for [`PASSWORD`].
pub(super) fn htpasswd(dir: &Path) -> Result<Value> {
    Ok(json!({"htpasswd": {"realm": "interop", "path": passwords(dir)?}}))
}

/// A file with the one user.
fn passwords(dir: &Path) -> Result<PathBuf> {
    let passwords = dir.join("htpasswd");
    write(&passwords, HTPASSWD.as_bytes()).map(|()| passwords)
}

/// The `auth` of docker-registry that trusts `tokens`, whose certificate is in a file.
pub(super) fn token_service(tokens: &TokenServer, certificate: &Path) -> Value {
    json!({"token": {
        "realm": tokens.realm(), "service": SERVICE, "issuer": ISSUER, "rootcertbundle": certificate,
    }})
}

/// The digest in a line of an access log like `… "GET /v2/REPOSITORY/blobs/DIGEST HTTP/1.1" 200 …`.
fn blob_sent(line: &str) -> Option<&str> {
    let (_, request) = line.split_once("\"GET /v2/")?;
    let (_, rest) = request.split_once("/blobs/")?;
    rest.split_once(" HTTP/").map(|(digest, _)| digest)
}

pub(crate) type Started = (Option<Server>, String);

fn docker_registry(tools: &Tools, dir: &Path, auth: &str, certificates: Option<&Certificates>) -> Result<Started> {
    let program = tools.docker_registry.as_ref().ok_or(Error::MissingTool("docker-registry"))?;
    let address = free_address()?;
    let storage = json!({"filesystem": {"rootdirectory": dir.join("registry")}, "delete": {"enabled": true}});
    let http = json!({"addr": address.to_string(), "tls": certificates.map(Certificates::tls)});
    let config = format!("version: 0.1\nlog: {{level: warn}}\nstorage: {storage}\nhttp: {http}\n{auth}");
    let path = dir.join("registry.yml");
    write(&path, config.as_bytes())?;
    let (server, host) = start(Command::new(program).arg("serve").arg(path), address, dir)?;
    Ok((server, certificates.map_or(host, |_| certified(address))))
}

pub(super) fn olareg(tools: &Tools, dir: &Path) -> Result<Started> {
    let program = tools.olareg.as_ref().ok_or(Error::MissingTool("olareg"))?;
    let address = free_address()?;
    let data = dir.join("registry");
    fs::create_dir(&data).map_err(Error::file("create", &data))?;
    let mut command = Command::new(program);
    command.args(["serve", "--addr", "127.0.0.1", "--port", &address.port().to_string(), "--api-delete", "--dir"]);
    start(command.arg(data), address, dir)
}

pub(super) fn refs_serve(tools: &Tools, dir: &Path) -> Result<Started> {
    refs_serving(tools, dir, &[])
}

/// Our own server with these flags more; its repositories are in `dir`.
pub(crate) fn refs_serving(tools: &Tools, dir: &Path, more: &[&str]) -> Result<Started> {
    served_by(&tools.refs, dir, &dir.join("registry"), |command| {
        command.args(more);
    })
}

/// Our own server over TLS, which asks for [`PASSWORD`].
fn refs_guarded(tools: &Tools, dir: &Path, auth: Option<&str>, certificates: Option<&Certificates>) -> Result<Started> {
    let passwords = passwords(dir)?;
    served_by(&tools.refs, dir, &dir.join("registry"), |command| {
        command.arg("--htpasswd").arg(passwords);
        command.args(auth.iter().flat_map(|auth| ["--auth", auth]));
        command.args(certificates.iter().flat_map(|certificates| certificates.of_server()));
    })
}

fn served_by(program: &Path, dir: &Path, data: &Path, more: impl FnOnce(&mut Command)) -> Result<Started> {
    let mut command = Command::new(program);
    command.args(["serve", "--listen", "127.0.0.1:0", "--root"]).arg(data);
    more(&mut command);
    let (server, line) = Server::start_and_read_line("refs-serve", &mut command, dir)?;
    let host = listening(&line).ok_or_else(|| Error::Unexpected {
        what: "the first line of `refs serve`".to_owned(),
        expected: "http://127.0.0.1:PORT".to_owned(),
        found: line.clone(),
    })?;
    Ok((Some(server), host))
}

/// `HOST:PORT` at the end of the first line of `refs serve`, with the name that its certificate is for.
fn listening(line: &str) -> Option<String> {
    let (scheme, address) = line.rsplit_once(' ').map_or(line, |(_, url)| url).split_once("://")?;
    let address = address.trim_end_matches('/');
    if scheme == "https" { address.parse().ok().map(certified) } else { Some(address.to_owned()) }
}

pub(crate) fn start(command: &mut Command, address: SocketAddr, dir: &Path) -> Result<Started> {
    let mut server = Server::start("server", command, dir)?;
    server.wait_for(address)?;
    Ok((Some(server), address.to_string()))
}

/// The name that the certificate of the server at `address` is for.
pub(super) fn certified(address: SocketAddr) -> String {
    format!("localhost:{}", address.port())
}

pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?)))
}
