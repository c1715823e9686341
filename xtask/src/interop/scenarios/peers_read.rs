//! What we push, other programs accept and read.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::round_trip::pushed;
use crate::error::{Error, Result};
use crate::interop::bench::{Bench, digest_of, require_equal};
use crate::interop::compare::{Closely, Tree};
use crate::interop::process::Outcome;

/// What estargz adds to a layer are files like others to those who do not know it.
pub(super) const ESTARGZ_OWN: [&str; 2] = ["stargz.index.json", ".no.prefetch.landmark"];

pub(super) fn crane_validate(bench: &Bench<'_>) -> Result<()> {
    bench.crane(&["validate", "--remote", &pushed(bench)?])?.stdout().map(drop)
}

pub(super) fn crane_manifest(bench: &Bench<'_>) -> Result<()> {
    let reference = bench.place.reference("interop/manifest", "v1");
    let tree = bench.trees.sample.to_string_lossy();
    let more = ["--annotation", "com.example.answer=42", "--artifact-type", "application/vnd.example.tree"];
    let pushed = bench.refs(&[&["push", &tree, &reference], &more[..]].concat())?.text()?;
    require_equal("crane digest", &digest_of(&pushed)?, &bench.crane(&["digest", &reference])?.text()?)?;
    let manifest = json("crane manifest", &bench.crane(&["manifest", &reference])?.stdout()?)?;
    let rows = [
        ("/mediaType", "application/vnd.oci.image.manifest.v1+json"),
        ("/artifactType", "application/vnd.example.tree"),
        ("/annotations/com.example.answer", "42"),
    ];
    let text = |pointer: &str| manifest.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    rows.iter().try_for_each(|(pointer, expected)| require_equal(pointer, expected, text(pointer)))
}

pub(super) fn crane_export(bench: &Bench<'_>) -> Result<()> {
    let reference = pushed(bench)?;
    let archive = bench.path("export.tar");
    bench.crane(&["export", &reference, &archive.to_string_lossy()])?.stdout()?;
    let found = extracted(&archive, &bench.path("exported"))?;
    bench.trees.sample_tree.require(&found, Closely::Times, "crane export")
}

pub(super) fn oras_layer(bench: &Bench<'_>) -> Result<()> {
    let reference = pushed(bench)?;
    let directory = Path::new("/");
    let manifest = json("oras manifest fetch", &bench.oras(directory, &["manifest", "fetch", &reference])?.stdout()?)?;
    let digest = manifest["layers"][0]["digest"].as_str().unwrap_or_default();
    let archive = bench.path("layer.tar.gz");
    let blob = format!("{}@{digest}", bench.place.repository("interop/sample"));
    bench.oras(directory, &["blob", "fetch", &blob, "--output", &archive.to_string_lossy()])?.stdout()?;
    let found = extracted(&archive, &bench.path("layer"))?;
    bench.trees.sample_tree.require(&found, Closely::Times, "the layer as oras fetches it")
}

pub(super) fn oras_pull(bench: &Bench<'_>) -> Result<()> {
    let reference = pushed(bench)?;
    let directory = bench.path("oras");
    fs::create_dir(&directory).map_err(Error::file("create", &directory))?;
    bench.oras(&directory, &["pull", &reference])?.stdout()?;
    let found = Tree::read(&directory)?.without(&ESTARGZ_OWN);
    bench.trees.sample_tree.require(&found, Closely::Modes, "oras pull")?;
    bench.oras(&directory, &["discover", "--format", "json", &reference])?.stdout().map(drop)
}

/// Unpacks with the system's tar, which knows nothing of estargz.
pub(super) fn extracted(archive: &Path, directory: &Path) -> Result<Tree> {
    fs::create_dir(directory).map_err(Error::file("create", directory))?;
    let mut tar = Command::new("tar");
    tar.arg("-xpf").arg(archive).arg("-C").arg(directory);
    Outcome::of(&mut tar)?.stdout()?;
    Ok(Tree::read(directory)?.without(&ESTARGZ_OWN))
}

pub(super) fn json(from: &'static str, bytes: &[u8]) -> Result<Value> {
    serde_json::from_slice(bytes).map_err(|source| Error::Json { from, source })
}
