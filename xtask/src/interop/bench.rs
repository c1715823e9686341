//! What a scenario has at hand.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::certificates::Certificates;
use super::compare::Tree;
use super::moto::Moto;
use super::process::{Outcome, Server};
use super::servers::{Place, PlaceKind, refs_serving};
use super::tools::Tools;
use super::trees;
use crate::error::{Error, Result};

/// One place, the programs, the trees to push, and an empty directory.
#[derive(Debug)]
pub(crate) struct Bench<'a> {
    pub(crate) place: &'a Place,
    pub(crate) trees: &'a Trees,
    tools: &'a Tools,
    dir: TempDir,
}

/// The trees, on disk and read back.
#[derive(Debug)]
pub(crate) struct Trees {
    pub(crate) sample: PathBuf,
    pub(crate) sample_tree: Tree,
    pub(crate) sources: PathBuf,
    pub(crate) sources_tree: Tree,
    pub(crate) many: PathBuf,
    pub(crate) many_tree: Tree,
    _dir: TempDir,
}

impl Trees {
    /// Writes them below a temporary directory.
    pub(crate) fn write(repository: &Path) -> Result<Self> {
        let dir = tempdir()?;
        let [sample, sources, many] = ["sample", "sources", "many"].map(|name| dir.path().join(name));
        trees::sample(&sample)?;
        trees::sources(repository, &sources)?;
        trees::many(&many)?;
        let (sample_tree, sources_tree) = (Tree::read(&sample)?, Tree::read(&sources)?);
        Ok(Self { sample_tree, sources_tree, many_tree: Tree::read(&many)?, sample, sources, many, _dir: dir })
    }
}

impl<'a> Bench<'a> {
    pub(crate) fn new(tools: &'a Tools, place: &'a Place, trees: &'a Trees) -> Result<Self> {
        Ok(Self { place, trees, tools, dir: tempdir()? })
    }

    /// A path of this scenario's own; nothing is there yet.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Another place beside this one.
    pub(crate) fn start(&self, kind: PlaceKind) -> Result<Place> {
        kind.start(self.tools)
    }

    /// Our own server as the mirror that `flag` describes.
    pub(crate) fn mirror(&self, flag: &str) -> Result<Place> {
        Place::mirror(self.tools, flag)
    }

    /// Our own server with these flags more over what is in `dir`, and its `HOST:PORT`.
    pub(crate) fn serve(&self, dir: &Path, more: &[&str]) -> Result<(Server, String)> {
        std::fs::create_dir_all(dir).map_err(Error::file("create", dir))?;
        match refs_serving(self.tools, dir, more)? {
            (Some(server), host) => Ok((server, host)),
            (None, _) => Err(Error::MissingTool("refs")),
        }
    }

    /// An S3 server with one bucket.
    pub(crate) fn moto(&self) -> Result<Moto> {
        Moto::start(self.tools, self.dir.path())
    }

    /// Our own server as the mirror that `flag` describes, one of those that share a bucket.
    pub(crate) fn node(&self, moto: &Moto, name: &str, flag: &str, ttl: &str) -> Result<Place> {
        let dir = self.path(name);
        std::fs::create_dir(&dir).map_err(Error::file("create", &dir))?;
        Place::serving(&self.tools.refs, &dir, |command| {
            command.args(["--mirror", flag, "--tag-ttl", ttl]);
            moto.share(command);
        })
    }

    /// Runs our own program with the right credentials.
    pub(crate) fn refs<W: AsRef<OsStr>>(&self, words: &[W]) -> Result<Outcome> {
        self.refs_as(&self.place.credentials.right, words)
    }

    /// Runs our own program with the docker configuration in `config`.
    pub(crate) fn refs_as<W: AsRef<OsStr>>(&self, config: &Path, words: &[W]) -> Result<Outcome> {
        Outcome::of(&mut self.refs_command(config, words))
    }

    /// Our own program, not yet run, apart from the cache and the configuration of whoever runs this.
    pub(crate) fn refs_command<W: AsRef<OsStr>>(&self, config: &Path, words: &[W]) -> Command {
        let mut command = self.own(config);
        // Before the words: among them there may be a `--`.
        command.args(self.place.certificates.iter().flat_map(Certificates::flags)).args(words);
        command
    }

    /// Our own program, not yet run, without the certificate that the place asks for unless `words` have it.
    pub(crate) fn refs_uncertified<W: AsRef<OsStr>>(&self, words: &[W]) -> Command {
        let mut command = self.own(&self.place.credentials.right);
        command.args(words);
        command
    }

    fn own(&self, config: &Path) -> Command {
        let mut command = self.command(&self.tools.refs, config);
        for name in ["REFS_CONFIG", "REFS_USERNAME", "REFS_PASSWORD", "REFS_TOKEN", "SOURCE_DATE_EPOCH"] {
            command.env_remove(name);
        }
        command
    }

    pub(crate) fn crane<W: AsRef<OsStr>>(&self, words: &[W]) -> Result<Outcome> {
        self.crane_as(&self.place.credentials.right, words)
    }

    /// Runs crane with the docker configuration in `config`.
    pub(crate) fn crane_as<W: AsRef<OsStr>>(&self, config: &Path, words: &[W]) -> Result<Outcome> {
        let program = self.tools.crane.as_ref().ok_or(Error::MissingTool("crane"))?;
        Outcome::of(self.command(program, config).args(words))
    }

    /// Runs oras in `directory`.
    pub(crate) fn oras<W: AsRef<OsStr>>(&self, directory: &Path, words: &[W]) -> Result<Outcome> {
        self.oras_as(&self.place.credentials.right, directory, words)
    }

    /// Runs oras in `directory`, with the docker configuration in `config`.
    pub(crate) fn oras_as<W: AsRef<OsStr>>(&self, config: &Path, directory: &Path, words: &[W]) -> Result<Outcome> {
        let program = self.tools.oras.as_ref().ok_or(Error::MissingTool("oras"))?;
        let mut command = self.command(program, config);
        Outcome::of(command.args(words).arg(self.oras_flag("--plain-http")).current_dir(directory))
    }

    /// Runs oras, which takes several registries and layouts: each has flags of its own.
    pub(crate) fn oras_layout<W: AsRef<OsStr>>(&self, words: &[W]) -> Result<Outcome> {
        let program = self.tools.oras.as_ref().ok_or(Error::MissingTool("oras"))?;
        Outcome::of(self.command(program, &self.place.credentials.right).args(words))
    }

    /// This flag of oras, which takes every server at localhost for one that speaks plain HTTP.
    pub(crate) fn oras_flag(&self, flag: &str) -> String {
        format!("{flag}={}", self.place.certificates.is_none())
    }

    /// Runs regctl.
    pub(crate) fn regctl<W: AsRef<OsStr>>(&self, words: &[W]) -> Result<Outcome> {
        self.regctl_as(&self.place.credentials.right, words)
    }

    /// Runs regctl with the docker configuration in `config`.
    pub(crate) fn regctl_as<W: AsRef<OsStr>>(&self, config: &Path, words: &[W]) -> Result<Outcome> {
        let program = self.tools.regctl.as_ref().ok_or(Error::MissingTool("regctl"))?;
        let host = format!("reg={},tls=disabled", self.place.host());
        let host = self.plainly(&host).into_iter().flat_map(|host| ["--host", host]);
        Outcome::of(self.command(program, config).args(host).args(words))
    }

    /// `word`, which lets a program speak plain HTTP, where the place does.
    pub(crate) fn plainly<'w>(&self, word: &'w str) -> Option<&'w str> {
        self.place.certificates.is_none().then_some(word)
    }

    /// Runs umoci.
    pub(crate) fn umoci<W: AsRef<OsStr>>(&self, words: &[W]) -> Result<Outcome> {
        let program = self.tools.umoci.as_ref().ok_or(Error::MissingTool("umoci"))?;
        Outcome::of(self.command(program, &self.place.credentials.right).args(words))
    }

    /// Runs skopeo.
    pub(crate) fn skopeo<W: AsRef<OsStr>>(&self, words: &[W]) -> Result<Outcome> {
        self.skopeo_as(&self.place.credentials.right, words)
    }

    /// Runs skopeo with the docker configuration in `config`.
    pub(crate) fn skopeo_as<W: AsRef<OsStr>>(&self, config: &Path, words: &[W]) -> Result<Outcome> {
        let program = self.tools.skopeo.as_ref().ok_or(Error::MissingTool("skopeo"))?;
        Outcome::of(self.command(program, config).args(words))
    }

    /// Runs buildah with a storage of this scenario's own, in plain directories: no file system is mounted.
    pub(crate) fn buildah<W: AsRef<OsStr>>(&self, words: &[W]) -> Result<Outcome> {
        let program = self.tools.buildah.as_ref().ok_or(Error::MissingTool("buildah"))?;
        let mut command = self.command(program, &self.place.credentials.right);
        command.args(["--storage-driver", "vfs", "--root"]).arg(self.path("storage"));
        command.arg("--runroot").arg(self.path("storage-run"));
        Outcome::of(command.args(words))
    }

    /// Runs zsh in `directory`, where our own program is `refs`.
    pub(crate) fn zsh<W: AsRef<OsStr>>(&self, directory: &Path, words: &[W]) -> Result<Outcome> {
        self.shell(self.tools.zsh.as_ref().ok_or(Error::MissingTool("zsh"))?, directory, words)
    }

    /// The same of fish.
    pub(crate) fn fish<W: AsRef<OsStr>>(&self, directory: &Path, words: &[W]) -> Result<Outcome> {
        self.shell(self.tools.fish.as_ref().ok_or(Error::MissingTool("fish"))?, directory, words)
    }

    fn shell<W: AsRef<OsStr>>(&self, shell: &Path, directory: &Path, words: &[W]) -> Result<Outcome> {
        let mut command = self.command(shell, &self.place.credentials.right);
        let own = self.tools.refs.parent().map(Path::to_owned);
        let others = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths(own.into_iter().chain(env::split_paths(&others)));
        let path = path.map_err(|error| Error::file("put into PATH", &self.tools.refs)(io::Error::other(error)))?;
        // A disk that is busy with what others do takes its time.
        command.env("PATH", path).env("TERM", "vt100").env("REFS_COMPLETE_TIMEOUT", "60s");
        Outcome::of(command.args(words).current_dir(directory))
    }

    /// Makes a layer of an archive with the reference implementation of eStargz, and gives the digest of its table of
    /// contents.
    pub(crate) fn convert(&self, archive: &Path, blob: &Path) -> Result<String> {
        let program = self.tools.convert.as_ref().ok_or(Error::MissingTool("convert"))?;
        Outcome::of(Command::new(program).arg(archive).arg(blob))?.text()
    }

    /// Takes the power from the ext4 at `path`.
    pub(crate) fn shut_down(&self, path: &Path) -> Result<()> {
        let program = self.tools.shutdown.as_ref().ok_or(Error::MissingTool("shutdown"))?;
        Outcome::of(Command::new(program).arg(path))?.stdout().map(drop)
    }

    /// Checks the layer in `blob` with the reference implementation of eStargz, and gives what it lists.
    pub(crate) fn verify(&self, blob: &Path, toc_digest: &str) -> Result<Vec<u8>> {
        let program = self.tools.verify.as_ref().ok_or(Error::MissingTool("verify"))?;
        Outcome::of(Command::new(program).arg(blob).arg(toc_digest))?.stdout()
    }

    /// Pushes `directory` and gives the digest that it got.
    pub(crate) fn push(&self, directory: &Path, reference: &str) -> Result<String> {
        let line = self.refs(&[OsStr::new("push"), directory.as_os_str(), reference.as_ref()])?.text()?;
        digest_of(&line)
    }

    /// Pulls `reference` with these words more, and reads what came.
    pub(crate) fn pull(&self, reference: &str, more: &[&str]) -> Result<Tree> {
        let destination = self.path("pulled");
        let words = [OsStr::new("pull"), reference.as_ref(), destination.as_os_str()];
        let words: Vec<&OsStr> = words.into_iter().chain(more.iter().map(OsStr::new)).collect();
        self.refs(&words)?.stdout()?;
        Tree::read(&destination)
    }

    fn command(&self, program: &Path, config: &Path) -> Command {
        let mut command = Command::new(program);
        let home = self.path("home");
        command.env("DOCKER_CONFIG", config).env("HOME", &home).env("XDG_CONFIG_HOME", home.join("config"));
        command.env("REFS_CACHE_DIR", self.path("cache"));
        // Programs in Go have no flag for it in common.
        command.envs(self.place.certificates.iter().map(|certificates| ("SSL_CERT_FILE", certificates.authority())));
        for name in ["DOCKER_AUTH_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "GITHUB_TOKEN", "GH_TOKEN"] {
            command.env_remove(name);
        }
        command
    }
}

/// The digest at the end of `HOST/REPO:TAG@DIGEST`.
pub(crate) fn digest_of(reference: &str) -> Result<String> {
    let digest = reference.rsplit_once('@').map(|(_, digest)| digest.to_owned());
    digest.filter(|digest| digest.starts_with("sha256:")).ok_or_else(|| Error::Unexpected {
        what: "what `refs` printed".to_owned(),
        expected: "a reference that ends with its digest".to_owned(),
        found: reference.to_owned(),
    })
}

/// Requires that two texts are the same.
pub(crate) fn require_equal(what: &str, expected: &str, found: &str) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(Error::Unexpected { what: what.to_owned(), expected: expected.to_owned(), found: found.to_owned() })
}

fn tempdir() -> Result<TempDir> {
    tempfile::tempdir().map_err(Error::file("create", "a temporary directory"))
}
