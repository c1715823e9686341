//! The workspace as `cargo metadata` describes it.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::error::{Error, Result};

/// The packages, which of them are ours, and the resolved graph between all.
#[derive(Debug, Deserialize)]
pub(crate) struct Workspace {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
    resolve: Resolve,
    #[serde(rename = "workspace_root")]
    pub(crate) root: PathBuf,
    #[serde(rename = "target_directory", default)]
    pub(crate) target: PathBuf,
}

/// One package, as its manifest declares it.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) readme: Option<String>,
    pub(crate) rust_version: Option<String>,
    pub(crate) manifest_path: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
    #[serde(default)]
    pub(crate) features: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    targets: Vec<CargoTarget>,
}

/// One line of a package's dependencies.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) kind: Option<Special>,
    #[serde(default)]
    pub(crate) optional: bool,
}

/// The kinds of dependency that are not normal ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Special {
    Dev,
    Build,
}

#[derive(Debug, Deserialize)]
struct CargoTarget {
    kind: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
    #[serde(default)]
    features: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<EdgeKind>,
}

#[derive(Debug, Deserialize)]
struct EdgeKind {
    kind: Option<Special>,
}

impl Workspace {
    /// Asks cargo. The lock file is taken as it is: an outdated one is an error.
    pub(crate) fn load() -> Result<Self> {
        let line = "cargo metadata --locked --format-version 1";
        let output = cargo()
            .args(["metadata", "--locked", "--format-version", "1"])
            .output()
            .map_err(|source| Error::Spawn { line: line.to_owned(), source })?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(Error::Command { line: line.to_owned(), status: output.status, output: text });
        }
        Self::parse(&output.stdout)
    }

    pub(crate) fn parse(json: &[u8]) -> Result<Self> {
        serde_json::from_slice(json).map_err(|source| Error::Json { from: "cargo metadata", source })
    }

    /// Our own packages.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.workspace_members.contains(&package.id))
    }

    pub(crate) fn member(&self, name: &str) -> Option<&Package> {
        self.members().find(|package| package.name == name)
    }

    /// Every package that `from` pulls in for its users, without itself: all but what only tests need.
    /// The features are those of the whole workspace, so the answer can be too large, never too small.
    pub(crate) fn tree(&self, from: &Package) -> Vec<&Package> {
        let mut seen = BTreeSet::from([from.id.as_str()]);
        let mut open = vec![from.id.as_str()];
        while let Some(id) = open.pop() {
            let edges = self.resolve.nodes.iter().filter(|node| node.id == id).flat_map(|node| &node.deps);
            for edge in edges.filter(|edge| edge.reaches_users()) {
                if seen.insert(&edge.pkg) {
                    open.push(&edge.pkg);
                }
            }
        }
        seen.remove(from.id.as_str());
        self.packages.iter().filter(|package| seen.contains(package.id.as_str())).collect()
    }

    /// The features that the workspace's build enables in each version of the package `name`.
    pub(crate) fn enabled_features<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let ids: Vec<&str> = self.packages.iter().filter(|p| p.name == name).map(|p| p.id.as_str()).collect();
        let nodes = self.resolve.nodes.iter().filter(move |node| ids.contains(&node.id.as_str()));
        nodes.flat_map(|node| node.features.iter().map(String::as_str))
    }
}

impl Package {
    pub(crate) fn is_library(&self) -> bool {
        self.targets.iter().any(|target| target.kind.iter().any(|kind| kind == "lib"))
    }

    /// The directory of the package.
    pub(crate) fn dir(&self) -> &Path {
        self.manifest_path.parent().unwrap_or_else(|| Path::new("."))
    }
}

impl Edge {
    fn reaches_users(&self) -> bool {
        self.dep_kinds.iter().any(|edge| edge.kind != Some(Special::Dev))
    }
}

/// The cargo that runs this task, without what `cargo run` tells this task of itself: build scripts that look at it,
/// ring's for one, would be run again, and all that depends on them built again, whenever a shell and a task take turns.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let ours = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_NAME", "CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE"];
    for (name, _) in env::vars_os() {
        if ours.iter().any(|start| name.to_string_lossy().starts_with(start)) {
            command.env_remove(name);
        }
    }
    command
}
