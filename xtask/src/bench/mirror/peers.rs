//! The caches, each in front of the same registry.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use crate::error::{Error, Result};
use crate::interop::process::Server;
use crate::interop::servers::{Place, PlaceKind, free_address, refs_serving, start};
use crate::interop::tools::{Build, Tools, zot as zot_of};
use crate::interop::trees::write;
use crate::workspace::Workspace;

/// The registry and the caches in front of it.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) caches: Vec<Cache>,
    pub(super) upstream: Place,
    tools: Tools,
    // The servers before their directory: fields are dropped in this order.
    dir: TempDir,
}

/// A running read-through cache.
#[derive(Debug)]
pub(super) struct Cache {
    pub(super) name: String,
    pub(super) is_ours: bool,
    pub(super) host: String,
    pub(super) fetches: Fetches,
    _server: Option<Server>,
}

/// What a cache fetches when it is asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fetches {
    Blobs,
    /// The images whose manifests it is asked for, with all their blobs.
    Images,
}

impl Setting {
    /// Starts them, ours first. A peer that is not to be had is told of.
    pub(super) fn start(workspace: &Workspace) -> Result<Self> {
        let tools = Tools::gather(workspace, Build::Plain)?;
        let upstream = PlaceKind::Plain.start(&tools)?;
        let dir = tempfile::tempdir().map_err(Error::file("create", "a temporary directory"))?;
        let (server, host) = ours(&tools, dir.path(), upstream.host())?;
        let name = "refs serve --mirror".to_owned();
        let mut caches = vec![Cache { name, is_ours: true, host, fetches: Fetches::Blobs, _server: Some(server) }];
        type Start = fn(&str, &Path, &Path, &str) -> Result<Cache>;
        let rows: [(_, _, Start); 3] = [
            ("docker-registry (Debian)", tools.docker_registry.clone(), pull_through),
            ("distribution v3", tools.distribution.clone(), pull_through),
            ("zot 1.4.3", zot_of(workspace)?, zot),
        ];
        for (name, program, start) in rows {
            match program {
                Some(program) => caches.push(start(name, &program, dir.path(), upstream.host())?),
                None => println!("bench: {name} is not to be had here"),
            }
        }
        Ok(Self { caches, upstream, tools, dir })
    }

    /// An empty directory.
    pub(super) fn fresh(&self, name: &str) -> Result<PathBuf> {
        let path = self.dir.path().join(name);
        fs::create_dir(&path).map_err(Error::file("create", &path))?;
        Ok(path)
    }

    /// Our server as a mirror of the registry, by itself, over what it has kept in `dir`.
    pub(super) fn ours(&self, dir: &Path) -> Result<(Server, String)> {
        ours(&self.tools, dir, self.upstream.host())
    }
}

fn ours(tools: &Tools, dir: &Path, upstream: &str) -> Result<(Server, String)> {
    match refs_serving(tools, dir, &["--mirror", &format!("=http://{upstream}")])? {
        (Some(server), host) => Ok((server, host)),
        (None, _) => Err(Error::MissingTool("refs")),
    }
}

/// CNCF distribution, in whatever version, as a cache of `upstream`.
fn pull_through(name: &str, program: &Path, dir: &Path, upstream: &str) -> Result<Cache> {
    let dir = dir.join(name);
    fs::create_dir(&dir).map_err(Error::file("create", &dir))?;
    let address = free_address()?;
    let config = json!({
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": true}},
        "storage": {"filesystem": {"rootdirectory": dir.join("cache")}, "cache": {"blobdescriptor": "inmemory"}},
        "http": {"addr": address.to_string()},
        "proxy": {"remoteurl": format!("http://{upstream}")},
    });
    let path = dir.join("cache.yml");
    // JSON is YAML.
    write(&path, config.to_string().as_bytes())?;
    let (server, host) = start(Command::new(program).arg("serve").arg(path), address, &dir)?;
    Ok(Cache { name: name.to_owned(), is_ours: false, host, fetches: Fetches::Blobs, _server: server })
}

/// zot, which fetches images from `upstream` on demand. What it does by itself beside that is off.
fn zot(name: &str, program: &Path, dir: &Path, upstream: &str) -> Result<Cache> {
    let dir = dir.join(name);
    fs::create_dir(&dir).map_err(Error::file("create", &dir))?;
    let address = free_address()?;
    let registry = json!({"urls": [format!("http://{upstream}")], "onDemand": true, "tlsVerify": false});
    let config = json!({
        "distSpecVersion": "1.0.1",
        "storage": {"rootDirectory": dir.join("cache"), "dedupe": false, "gc": false},
        "http": {"address": address.ip().to_string(), "port": address.port().to_string()},
        "log": {"level": "error"},
        "extensions": {"sync": {"enable": true, "registries": [registry]}},
    });
    let path = dir.join("cache.json");
    write(&path, config.to_string().as_bytes())?;
    let (server, host) = start(Command::new(program).arg("serve").arg(path), address, &dir)?;
    Ok(Cache { name: name.to_owned(), is_ours: false, host, fetches: Fetches::Images, _server: server })
}
