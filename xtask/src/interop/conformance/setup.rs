//! The set-ups of real registries that the suite runs at.

use std::path::Path;
use std::process::Command;

use refs_registry::hosts::Hosts;
use refs_url::Host;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::Bodies;
use crate::error::{Error, Result};
use crate::interop::certificates::Certificates;
use crate::interop::process::Outcome;
use crate::interop::servers::{
    Started as Served, certified, free_address, htpasswd, olareg, refs_serve, start, token_service,
};
use crate::interop::token::TokenServer;
use crate::interop::tools::Tools;

/// A registry and how it is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SetUp {
    /// Debian's docker-registry, open to all, with pages of five in its catalog.
    Plain,
    /// The same behind basic authentication.
    Htpasswd,
    /// Behind a token server.
    Token,
    /// Over TLS, where both sides show a certificate.
    MutualTls,
    /// Maintained: nothing can be written.
    ReadOnly,
    /// A cache of another docker-registry.
    PullThrough,
    Olareg,
    RefsServe,
}

/// Running servers. Their data and processes go when it is dropped.
#[derive(Debug)]
pub(super) struct Started {
    place: Served,
    /// Where content comes in that the place does not take.
    other: Option<Served>,
    certificates: Option<Certificates>,
    // After the servers: fields are dropped in this order.
    _tokens: Option<TokenServer>,
    _dir: TempDir,
}

impl SetUp {
    pub(super) const ALL: [Self; 8] = [
        Self::Plain,
        Self::Htpasswd,
        Self::Token,
        Self::MutualTls,
        Self::ReadOnly,
        Self::PullThrough,
        Self::Olareg,
        Self::RefsServe,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Htpasswd => "htpasswd",
            Self::Token => "token server",
            Self::MutualTls => "mTLS",
            Self::ReadOnly => "read-only",
            Self::PullThrough => "pull-through proxy",
            Self::Olareg => "plain",
            Self::RefsServe => "serve",
        }
    }

    /// Its program.
    pub(super) const fn program(self) -> &'static str {
        match self {
            Self::Olareg => "olareg",
            Self::RefsServe => "refs",
            _ => "docker-registry",
        }
    }

    /// Its program, and the version that this says to have.
    pub(super) fn versioned_program(self, tools: &Tools) -> String {
        let (program, word) = match self {
            Self::Olareg => (tools.olareg.as_ref(), "version"),
            Self::RefsServe => (Some(&tools.refs), "--version"),
            _ => (tools.docker_registry.as_ref(), "--version"),
        };
        // One that can't be run fails the row when it is started.
        let said = program.and_then(|program| Outcome::of(Command::new(program).arg(word)).ok()?.text().ok());
        let is_version = |word: &&str| word.trim_start_matches('v').starts_with(|first: char| first.is_ascii_digit());
        let said = said.unwrap_or_default();
        format!("{} {}", self.program(), said.split_whitespace().find(is_version).unwrap_or("of no version"))
    }

    /// The ways of sending a blob that make a difference.
    pub(super) fn bodies(self) -> &'static [Bodies] {
        match self {
            Self::Plain | Self::MutualTls | Self::Olareg | Self::RefsServe => &[Bodies::Whole, Bodies::Pieces],
            Self::Htpasswd | Self::Token => &[Bodies::Pieces],
            Self::ReadOnly | Self::PullThrough => &[Bodies::Whole],
        }
    }

    /// How many tags a list has: more than our client asks for at once, where that gives several pages.
    pub(super) fn tags(self) -> usize {
        match self {
            Self::Olareg | Self::RefsServe => 1_005,
            _ => 25,
        }
    }

    pub(super) fn start(self, tools: &Tools) -> Result<Started> {
        let dir = tempfile::tempdir().map_err(Error::file("create", "a temporary directory"))?;
        let root = dir.path();
        let data = root.join("data");
        let (mut tokens, mut certificates) = (None, None);
        let (place, other) = match self {
            Self::Olareg => (olareg(tools, root)?, None),
            Self::RefsServe => (refs_serve(tools, root)?, None),
            Self::Plain => {
                let more = json!({"catalog": {"maxentries": 5}});
                (docker_registry(tools, root, "plain", &data, more)?, None)
            }
            Self::Htpasswd => (docker_registry(tools, root, "guarded", &data, json!({"auth": htpasswd(root)?}))?, None),
            Self::Token => {
                let certificate = root.join("token.pem");
                let service = token_service(tokens.insert(TokenServer::start(&certificate)?), &certificate);
                (docker_registry(tools, root, "guarded", &data, json!({"auth": service}))?, None)
            }
            Self::MutualTls => {
                let tls = certificates.insert(Certificates::write(root)?).tls();
                (docker_registry(tools, root, "certified", &data, json!({"http": {"tls": tls}}))?, None)
            }
            Self::ReadOnly => {
                let other = docker_registry(tools, root, "written", &data, json!({}))?;
                let frozen = json!({"maintenance": {"readonly": {"enabled": true}}});
                (docker_registry(tools, root, "read-only", &data, json!({"storage": frozen}))?, Some(other))
            }
            Self::PullThrough => {
                let other = docker_registry(tools, root, "origin", &data, json!({}))?;
                let proxy = json!({"proxy": {"remoteurl": format!("http://{}", other.1)}});
                (docker_registry(tools, root, "proxy", &root.join("cache"), proxy)?, Some(other))
            }
        };
        Ok(Started { place, other, certificates, _tokens: tokens, _dir: dir })
    }
}

impl Started {
    /// `HOST:PORT`.
    pub(super) fn host(&self) -> &str {
        &self.place.1
    }

    /// What a client has to know to speak to `host`.
    pub(super) fn hosts(&self, host: &Host) -> Hosts {
        self.certificates.as_ref().map_or_else(Hosts::default, |certificates| certificates.hosts(host))
    }

    /// `HOST:PORT` of where content comes in.
    pub(super) fn other_host(&self) -> &str {
        self.other.as_ref().map_or_else(|| self.host(), |other| &other.1)
    }
}

/// docker-registry with `more` in its configuration; its parts are merged with what every one needs.
fn docker_registry(tools: &Tools, dir: &Path, name: &str, data: &Path, more: Value) -> Result<Served> {
    let program = tools.docker_registry.as_ref().ok_or(Error::MissingTool("docker-registry"))?;
    let address = free_address()?;
    let mut config = json!({
        "version": "0.1",
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": data}, "delete": {"enabled": true}},
        "http": {"addr": address.to_string()},
    });
    merge(&mut config, more);
    let (path, logs) = (dir.join(format!("{name}.yml")), dir.join(name));
    // JSON is YAML.
    crate::interop::trees::write(&path, config.to_string().as_bytes())?;
    std::fs::create_dir(&logs).map_err(Error::file("create", &logs))?;
    let (server, host) = start(Command::new(program).arg("serve").arg(path), address, &logs)?;
    let is_certified = config["http"]["tls"].is_object();
    Ok((server, if is_certified { certified(address) } else { host }))
}

fn merge(config: &mut Value, more: Value) {
    match (config, more) {
        (Value::Object(config), Value::Object(more)) => {
            for (key, value) in more {
                merge(config.entry(key).or_insert(Value::Null), value);
            }
        }
        (config, more) => *config = more,
    }
}
