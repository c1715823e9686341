//! The programs that are measured.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::row::Names;
use crate::error::{Error, Result};
use crate::interop::process::Outcome;
use crate::interop::tools::{Build, Tools, in_path};
use crate::workspace::{Workspace, cargo};

/// Builds all that can be built here, and names it for the rows. A peer that can't be had is told of, and its rows say so too.
pub(crate) fn gather(workspace: &Workspace) -> Result<(Tools, Names)> {
    let tools = Tools::gather(workspace, Build::Plain)?;
    let bin = workspace.target.join("bench/bin");
    fs::create_dir_all(&bin).map_err(Error::file("create", &bin))?;
    let peers = workspace.root.join("xtask/peers");
    let mut names = Names::default();
    names.set_path("refs", &tools.refs);
    let built = [
        ("crane", tools.crane.clone()),
        ("oras", tools.oras.clone()),
        ("umoci", tools.umoci.clone()),
        ("skopeo", tools.skopeo.clone()),
        ("go-oci", told("go-oci", go_oci(&peers.join("go-oci"), &bin))),
        (
            "oci-client",
            told("oci-client", oci_client(&peers.join("oci-client"), &workspace.target.join("bench/oci-client"))),
        ),
        ("curl", in_path("curl")),
        ("pigz", in_path("pigz")),
    ];
    if let Some((_, Some(peer))) = built.iter().find(|(name, _)| *name == "oci-client") {
        names.set_path("allocations", &peer.with_file_name("allocations"));
    }
    for (name, path) in built {
        match path {
            Some(path) => names.set_path(name, &path),
            None => println!("bench: {name} is not to be had here"),
        }
    }
    Ok((tools, names))
}

fn go_oci(module: &Path, bin: &Path) -> Result<PathBuf> {
    let program = bin.join("go-oci");
    Outcome::of(go(module)?.args(["build", "-trimpath", "-o"]).arg(&program).arg("."))?.stdout()?;
    Ok(program)
}

fn oci_client(package: &Path, target: &Path) -> Result<PathBuf> {
    let mut command = cargo();
    command.args(["build", "--quiet", "--release", "--locked", "--target-dir"]).arg(target).current_dir(package);
    Outcome::of(&mut command)?.stdout()?;
    Ok(target.join("release/oci-client-peer"))
}

fn go(module: &Path) -> Result<Command> {
    let mut command = Command::new(in_path("go").ok_or(Error::MissingTool("go"))?);
    command.current_dir(module);
    Ok(command)
}

fn told(name: &str, built: Result<PathBuf>) -> Option<PathBuf> {
    match built {
        Ok(program) => Some(program),
        Err(error) => {
            println!("bench: {name} cannot be built: {error}");
            None
        }
    }
}
