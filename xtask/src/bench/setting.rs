//! What the series have in common: a registry, a proxy before it, trees on disk, and artifacts of them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;
use serde_json::Value;
use tempfile::TempDir;

use super::programs;
use super::proxy::Proxy;
use super::row::{Names, Row};
use super::tree::Tree;
use crate::error::{Error, Result};
use crate::interop::process::Outcome;
use crate::interop::servers::{Place, PlaceKind};
use crate::workspace::Workspace;

/// Made once for all series. What is on disk goes with it, at the very end.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) proxy: Proxy,
    /// The size of our own program.
    pub(crate) binary_bytes: u64,
    programs: Names,
    place: Place,
    /// Another registry, to copy to.
    elsewhere: Place,
    dir: TempDir,
    made: RefCell<BTreeSet<PathBuf>>,
    runs: Cell<u32>,
}

/// How a tree is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As `refs push` does it.
    Estargz,
    /// As `tar | gzip` and `crane append` do it: an image with one layer, a plain tar.gz.
    Plain,
    /// As `oras push` does it.
    Oras,
    /// As the library jmgilman/go/oci does it, which reads only what it wrote.
    GoOci,
    /// As an index of three images that have nothing in common, each with a layer of the tree.
    Graph,
}

const GRAPH: &str = "for one in amd64 arm64 riscv64; do \
                     tar -C {tree} --transform s,^[.],$one, -c . | gzip -1 > {file}.$one && \
                     {crane} append --oci-empty-base --new_layer {file}.$one --new_tag {to}-$one && \
                     {crane} mutate {to}-$one --set-platform linux/$one -t {to}-$one || exit 1; done; \
                     {crane} index append -m {to}-amd64 -m {to}-arm64 -m {to}-riscv64 -t {to}";

/// How many files a directory holds, at any depth, and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Contents {
    pub(crate) files: usize,
    pub(crate) bytes: u64,
}

impl Setting {
    pub(crate) fn prepare(workspace: &Workspace) -> Result<Self> {
        let (tools, mut programs) = programs::gather(workspace)?;
        let place = PlaceKind::Plain.start(&tools)?;
        let elsewhere = PlaceKind::Plain.start(&tools)?;
        let proxy = Proxy::start(place.host())?;
        programs.set("unlimited", "--max-file-size 0 --max-total-size 0 --max-files 0");
        programs.set("cold", if takes_no_cache(&tools.refs) { "--no-cache" } else { "" });
        programs.set("insecure", "--insecure-policy --src-tls-verify=false --dest-tls-verify=false");
        let dir = tempfile::tempdir().map_err(Error::file("create", "a temporary directory"))?;
        let binary_bytes = fs::metadata(&tools.refs).map_err(Error::file("stat", &tools.refs))?.len();
        Ok(Self { proxy, binary_bytes, programs, place, elsewhere, dir, made: RefCell::default(), runs: Cell::new(0) })
    }

    /// `HOST:PORT` of the registry itself.
    pub(crate) fn host(&self) -> &str {
        self.place.host()
    }

    /// `HOST:PORT` of the registry that is copied to.
    pub(crate) fn elsewhere(&self) -> &str {
        self.elsewhere.host()
    }

    /// A path below the temporary directory; nothing is there yet.
    pub(crate) fn fresh(&self, what: &str) -> PathBuf {
        self.runs.set(self.runs.get() + 1);
        self.dir.path().join(format!("{:04}-{what}", self.runs.get()))
    }

    /// `tree`, written when it is asked for the first time.
    pub(crate) fn tree(&self, tree: Tree) -> Result<PathBuf> {
        let path = self.dir.path().join("trees").join(tree.name());
        if self.made.borrow_mut().insert(path.clone()) {
            println!("\nbench: writing the tree {}", tree.name());
            tree.write(&path)?;
        }
        Ok(path)
    }

    /// The names that every row of a series over `tree` may use, with what they need published first.
    pub(crate) fn names(&self, tree: Option<Tree>, rows: &[Row]) -> Result<Names> {
        let mut names = self.programs.clone();
        let Some(tree) = tree else { return Ok(names) };
        let path = self.tree(tree)?;
        names.set_path("tree", &path);
        names.set_path("trees", &self.dir.path().join("trees"));
        names.set("name", tree.name());
        for (form, at, blob) in [
            (Form::Estargz, "estargz", "estargz-blob"),
            (Form::Plain, "plain", "plain-blob"),
            (Form::Oras, "oras-form", "oras-blob"),
            (Form::GoOci, "go-oci-form", "go-oci-blob"),
            (Form::Graph, "graph", "graph-blob"),
        ] {
            if rows.iter().any(|row| row.uses(at) || row.uses(blob)) {
                let repository = self.published(tree, form, &names)?;
                names.set(at, format!("{{host}}/{repository}:v1"));
                if rows.iter().any(|row| row.uses(blob)) {
                    names.set(blob, format!("http://{{host}}/v2/{repository}/blobs/{}", self.layer(&repository)?));
                }
            }
        }
        Ok(names)
    }

    /// The repository that holds `tree` in this form, under the tag `v1`.
    fn published(&self, tree: Tree, form: Form, names: &Names) -> Result<String> {
        let repository = format!("trees/{}-{}", tree.name(), format!("{form:?}").to_lowercase());
        if !self.made.borrow_mut().insert(PathBuf::from(&repository)) {
            return Ok(repository);
        }
        println!("bench: publishing {repository}");
        let line = match form {
            Form::Estargz => "{refs} push {tree} {to}",
            // With OCI's media types: umoci reads no others.
            Form::Plain => {
                "tar -C {tree} -c . | gzip -6 > {file} && \
                 {crane} append --oci-empty-base --new_layer {file} --new_tag {to}"
            }
            Form::GoOci => "{go-oci} push {tree} {to}",
            Form::Graph => GRAPH,
            Form::Oras => "cd {trees} && {oras} push --plain-http {to} {name}",
        };
        let mut names = names.clone();
        names.set_path("file", &self.fresh("layer.tar.gz"));
        names.set("to", format!("{}/{repository}:v1", self.host()));
        let mut command = Row { name: "publishing", line }.command(&names)?;
        Outcome::of(self.surroundings(&mut command, &self.fresh("cache")))?.stdout()?;
        Ok(repository)
    }

    /// The digest of the first layer of what is published in `repository`.
    fn layer(&self, repository: &str) -> Result<String> {
        let accept = "Accept: application/vnd.oci.image.manifest.v1+json, \
                      application/vnd.docker.distribution.manifest.v2+json";
        let url = format!("http://{}/v2/{repository}/manifests/v1", self.host());
        let text = Outcome::of(Command::new("curl").args(["-sSf", "-H", accept, &url]))?.stdout()?;
        let manifest: Value =
            serde_json::from_slice(&text).map_err(|source| Error::Json { from: "the registry", source })?;
        let digest = manifest["layers"][0]["digest"].as_str().map(str::to_owned);
        digest.ok_or_else(|| Error::Unexpected {
            what: format!("the manifest in {repository}"),
            expected: "a layer".to_owned(),
            found: manifest.to_string(),
        })
    }

    /// Takes away what whoever runs this has set up for themselves, and gives `command` this cache.
    pub(crate) fn surroundings<'a>(&self, command: &'a mut Command, cache: &Path) -> &'a mut Command {
        let home = self.dir.path().join("home");
        for name in ["REFS_CONFIG", "REFS_USERNAME", "REFS_PASSWORD", "REFS_TOKEN", "REFS_LOG", "SOURCE_DATE_EPOCH"] {
            command.env_remove(name);
        }
        for name in ["DOCKER_AUTH_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "GITHUB_TOKEN", "GH_TOKEN"] {
            command.env_remove(name);
        }
        command
            .env("DOCKER_CONFIG", &self.place.credentials.none)
            .env("HOME", &home)
            .env("XDG_CONFIG_HOME", home.join("config"))
            .env("XDG_CACHE_HOME", home.join("cache"))
            .env("REFS_CACHE_DIR", cache)
    }
}

impl Contents {
    /// What is below `directory`.
    pub(crate) fn below(directory: &Path) -> Result<Self> {
        let mut contents = Self::default();
        visit(directory, &mut |_, bytes| {
            contents.files += 1;
            contents.bytes += bytes;
            Ok(())
        })?;
        Ok(contents)
    }
}

/// Takes the bytes of large files away, not the files: the disk may not hold every round's, and files that are deleted slow
/// down those that are made next.
pub(crate) fn empty_large_files(directory: &Path) -> Result<()> {
    const LARGE: u64 = 16 << 10;
    visit(directory, &mut |path, bytes| match bytes {
        LARGE.. => {
            let file = fs::OpenOptions::new().write(true).open(path);
            file.and_then(|file| file.set_len(0)).map_err(Error::file("empty", path))
        }
        _ => Ok(()),
    })
}

fn visit(directory: &Path, file: &mut dyn FnMut(&Path, u64) -> Result<()>) -> Result<()> {
    if !directory.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(directory).map_err(Error::file("list", directory))? {
        let path = entry.map_err(Error::file("list", directory))?.path();
        let about = path.symlink_metadata().map_err(Error::file("stat", &path))?;
        if about.is_dir() {
            visit(&path, file)?;
        } else {
            file(&path, about.len())?;
        }
    }
    Ok(())
}

/// Whether this build has a cache that can be left alone.
fn takes_no_cache(refs: &Path) -> bool {
    let help = Outcome::of(Command::new(refs).args(["pull", "--help"])).and_then(Outcome::text);
    help.is_ok_and(|help| help.contains("--no-cache"))
}
