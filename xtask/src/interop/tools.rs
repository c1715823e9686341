//! The programs that interoperation runs: our own, the servers, the peers.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::process::Outcome;
use crate::error::{Error, Result};
use crate::workspace::{Workspace, cargo};

/// Where each program is; `None` is not to be had on this machine.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) refs: PathBuf,
    pub(crate) docker_registry: Option<PathBuf>,
    /// The version of docker-registry after Debian's.
    pub(crate) distribution: Option<PathBuf>,
    pub(crate) olareg: Option<PathBuf>,
    pub(crate) crane: Option<PathBuf>,
    pub(crate) oras: Option<PathBuf>,
    pub(crate) regctl: Option<PathBuf>,
    pub(crate) umoci: Option<PathBuf>,
    pub(crate) skopeo: Option<PathBuf>,
    pub(crate) buildah: Option<PathBuf>,
    pub(crate) zsh: Option<PathBuf>,
    pub(crate) fish: Option<PathBuf>,
    /// The suite of the distribution spec.
    pub(crate) conformance: Option<PathBuf>,
    /// Checks a layer with the reference implementation of eStargz.
    pub(crate) verify: Option<PathBuf>,
    /// Makes a layer with it.
    pub(crate) convert: Option<PathBuf>,
    /// Takes the power from a file system.
    pub(crate) shutdown: Option<PathBuf>,
    /// Speaks S3.
    pub(crate) moto: Option<PathBuf>,
}

/// How our own program is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// Beside the tests, with buckets: where those have run it is there, and nothing is compiled twice.
    Tested,
    /// As whoever installs it with buckets has it.
    WithBuckets,
    /// As most have it.
    Plain,
}

impl Tools {
    /// Builds `refs`, and the Go tools into `target/interop/bin`; a second run finds them there.
    pub(crate) fn gather(workspace: &Workspace, build: Build) -> Result<Self> {
        let bin = workspace.target.join("interop/bin");
        install_peers(&workspace.root.join("xtask/peers"), &bin)?;
        let built = |name: &str| Some(bin.join(name)).filter(|path| path.exists());
        Ok(Self {
            refs: build.run(workspace)?,
            docker_registry: in_path("docker-registry"),
            distribution: built("registry"),
            olareg: built("olareg"),
            crane: built("crane"),
            oras: built("oras"),
            regctl: built("regctl"),
            umoci: built("umoci"),
            skopeo: in_path("skopeo"),
            buildah: in_path("buildah"),
            zsh: in_path("zsh"),
            fish: in_path("fish"),
            conformance: built("conformance"),
            verify: built("verify"),
            convert: built("convert"),
            shutdown: built("shutdown"),
            moto: install_moto(&workspace.target.join("interop/moto"))?,
        })
    }
}

impl Build {
    /// Builds it, and tells where it is.
    fn run(self, workspace: &Workspace) -> Result<PathBuf> {
        println!("interop: building refs");
        let (words, place): (&[&str], &str) = match self {
            Self::Tested => (&["test", "--no-run", "--workspace", "--features", "refs-cli/bucket"], "debug"),
            Self::WithBuckets => (&["build", "--release", "--package", "refs-cli", "--features", "bucket"], "release"),
            Self::Plain => (&["build", "--release", "--package", "refs-cli"], "release"),
        };
        Outcome::of(cargo().args(words).arg("--quiet").current_dir(&workspace.root))?.stdout()?;
        Ok(workspace.target.join(place).join(format!("refs{}", env::consts::EXE_SUFFIX)))
    }
}

/// Without Go this does nothing: the tools stay missing, and each use of one says so.
fn install_peers(module: &Path, bin: &Path) -> Result<()> {
    let Some(go) = in_path("go") else { return Ok(()) };
    println!(
        "interop: building crane, oras, regctl, olareg, umoci, distribution, a reader and a writer of estargz, and the spec's suite"
    );
    fs::create_dir_all(bin).map_err(Error::file("create", bin))?;
    // Go's own cache makes a second build of the same versions a matter of a second.
    let [umoci, estargz, regclient, suite, distribution] =
        ["umoci", "estargz", "regclient", "conformance", "distribution"].map(|name| module.join(name));
    let rows: [(&[&str], &Path); 6] = [
        (&["tool", "./shutdown"], module),
        (&["tool"], &umoci),
        (&["./verify", "./convert"], &estargz),
        (&["tool"], &regclient),
        (&["tool"], &suite),
        (&["tool"], &distribution),
    ];
    for (packages, module) in rows {
        let mut go = Command::new(&go);
        go.args(["install", "-trimpath"]).args(packages).env("GOBIN", bin).current_dir(module);
        Outcome::of(&mut go)?.stdout()?;
    }
    Ok(())
}

/// zot, built in its own module, whose `go.sum` says what it is made of; `None` without Go. Later versions have other module
/// paths, which Go's module proxy refuses.
pub(crate) fn zot(workspace: &Workspace) -> Result<Option<PathBuf>> {
    const PINNED: &str = "github.com/project-zot/zot@v1.4.3";
    const SUM: &str = "h1:/6btePyKpR2R1FwGa8WhqtviB10Ox5Yw+rsYVmenhFI=";
    let program = workspace.target.join("interop/bin/zot");
    let Some(go) = in_path("go").filter(|_| !program.exists()) else {
        return Ok(Some(program).filter(|program| program.exists()));
    };
    println!("interop: building {PINNED}");
    let download = Outcome::of(Command::new(&go).args(["mod", "download", "-json", PINNED]))?.stdout()?;
    let module: Module =
        serde_json::from_slice(&download).map_err(|source| Error::Json { from: "go mod download", source })?;
    if module.sum != SUM {
        return Err(Error::Unexpected { what: PINNED.to_owned(), expected: SUM.to_owned(), found: module.sum });
    }
    let mut build = Command::new(&go);
    build.args(["build", "-trimpath", "-tags", "sync,containers_image_openpgp", "-o"]).arg(&program).arg("./cmd/zot");
    Outcome::of(build.current_dir(module.dir))?.stdout()?;
    Ok(Some(program))
}

/// A module of Go's, unpacked.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Module {
    dir: PathBuf,
    sum: String,
}

/// Installs moto from PyPI into a place of its own; a second run finds it there. Without Python this does nothing.
fn install_moto(place: &Path) -> Result<Option<PathBuf>> {
    const PINNED: &str = "moto[server]==5.2.5";
    let program = place.join("bin/moto_server");
    let Some(python) = in_path("python3").filter(|_| !program.exists()) else {
        return Ok(Some(program).filter(|program| program.exists()));
    };
    println!("interop: installing {PINNED}");
    Outcome::of(Command::new(python).args(["-m", "venv"]).arg(place))?.stdout()?;
    Outcome::of(Command::new(place.join("bin/pip")).args(["install", "--quiet", PINNED]))?.stdout()?;
    Ok(Some(program))
}

/// Where `name` is among the directories of `PATH`.
pub(crate) fn in_path(name: &str) -> Option<PathBuf> {
    let directories = env::var_os("PATH")?;
    env::split_paths(&directories).map(|directory| directory.join(name)).find(|path| path.is_file())
}
