//! What a task fails with.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

/// The result of a task or a part of one.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a task failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    Usage(&'static str),
    #[error("step `{step}` failed")]
    Step { step: String, hint: &'static str },
    #[error("{count} violations of the layers")]
    Layers { count: usize },
    #[error("no scenario has `{only}` in its name; there are:\n  {}", .names.join("\n  "))]
    NoScenario { only: String, names: Vec<String> },
    #[error("{count} scenarios failed")]
    Interop { count: usize },
    #[error("{count} measurements of refs failed")]
    Bench { count: usize },
    #[error("cannot run `{line}`")]
    Spawn { line: String, source: io::Error },
    #[error("`{line}` ended with {status}\n{output}")]
    Command { line: String, status: ExitStatus, output: String },
    #[error("cannot {doing} {path}")]
    File { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot read what `{from}` printed")]
    Json { from: &'static str, source: serde_json::Error },
    #[error("{name} did not start; it said: {log}")]
    NotStarted { name: String, log: String },
    #[error("`{0}` is not installed")]
    MissingTool(&'static str),
    #[error("this needs the rights of root: {0}")]
    NotRoot(&'static str),
    #[error("{at}")]
    At { at: String, source: Box<Self> },
    #[error("{what}: expected {expected}, found {found}")]
    Unexpected { what: String, expected: String, found: String },
    #[error("cannot write a layer with {options:?}")]
    Written { options: refs_estargz::WriteOptions, source: refs_estargz::Error },
    #[error("the token server's key or certificate")]
    Certificate(#[source] rcgen::Error),
    #[error("the token server's signature: {0}")]
    Signature(String),
}

impl Error {
    /// What to do about it, where that is known.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Step { hint, .. } => Some(hint),
            Self::NoScenario { .. } => {
                Some("some run with `--long` only; a name may have its place in front: `ocidir: list`")
            }
            Self::MissingTool("docker-registry") => Some("apt-get install docker-registry"),
            Self::MissingTool("strace") => Some("apt-get install strace"),
            Self::MissingTool("skopeo" | "buildah") => Some("apt-get install skopeo buildah"),
            Self::MissingTool("nightly Rust") => Some("rustup toolchain install nightly"),
            Self::MissingTool("cargo-fuzz") => Some("cargo install cargo-fuzz --locked"),
            Self::MissingTool("moto_server") => Some("apt-get install python3-venv; moto comes from PyPI"),
            Self::MissingTool("c++") => Some("apt-get install g++; libFuzzer is built with it"),
            Self::MissingTool(_) => Some("install Go; the Go tools are built from xtask/peers"),
            _ => None,
        }
    }

    /// For `map_err` at a call of `std::fs`.
    pub(crate) fn file(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { doing, path, source }
    }
}
