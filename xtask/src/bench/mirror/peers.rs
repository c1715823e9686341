//! The caches, each in front of the same registry.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use crate::error::{Error, Result};
use crate::interop::process::Server;
use crate::interop::servers::{Place, PlaceKind, free_address, refs_serving, start};
use crate::interop::tools::{Build, Tools};
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
    _server: Option<Server>,
}

impl Setting {
    /// Starts them, ours first. A peer that is not to be had is told of.
    pub(super) fn start(workspace: &Workspace) -> Result<Self> {
        let tools = Tools::gather(workspace, Build::Plain)?;
        let upstream = PlaceKind::Plain.start(&tools)?;
        let dir = tempfile::tempdir().map_err(Error::file("create", "a temporary directory"))?;
        let (server, host) = ours(&tools, dir.path(), upstream.host())?;
        let mut caches =
            vec![Cache { name: "refs serve --mirror".to_owned(), is_ours: true, host, _server: Some(server) }];
        for (name, program) in
            [("docker-registry (Debian)", &tools.docker_registry), ("distribution v3", &tools.distribution)]
        {
            match program {
                Some(program) => caches.push(pull_through(name, program, dir.path(), upstream.host())?),
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
fn pull_through(name: &str, program: &PathBuf, dir: &Path, upstream: &str) -> Result<Cache> {
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
    Ok(Cache { name: name.to_owned(), is_ours: false, host, _server: server })
}
