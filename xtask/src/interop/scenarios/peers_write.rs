//! What other programs push, we read.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::round_trip::pulls;
use crate::error::{Error, Result};
use crate::interop::bench::{Bench, require_equal};
use crate::interop::compare::{Closely, Tree};
use crate::interop::process::Outcome;
use crate::interop::trees;

pub(super) fn crane_tar(bench: &Bench<'_>) -> Result<()> {
    crane_append(bench, "crane-tar", &["--format=gnu", "-cf"])
}

pub(super) fn crane_tar_gzip(bench: &Bench<'_>) -> Result<()> {
    crane_append(bench, "crane-tar-gzip", &["--format=pax", "-czf"])
}

fn crane_append(bench: &Bench<'_>, tag: &str, how: &[&str]) -> Result<()> {
    let archive = archived(&bench.trees.sample, bench.path("layer"), how)?;
    let reference = bench.place.reference("interop/peers", tag);
    let words = ["append", "--oci-empty-base", "-f", &archive.to_string_lossy(), "-t", &reference];
    bench.crane(&words)?.stdout()?;
    pulls(bench, &reference, &bench.trees.sample_tree, Closely::Times)
}

/// A later layer adds to an earlier one and replaces files of it.
pub(super) fn crane_layers(bench: &Bench<'_>) -> Result<()> {
    let expected = bench.path("expected");
    trees::write(&expected.join("a/stays"), b"lower")?;
    trees::write(&expected.join("a/changes"), b"upper")?;
    trees::write(&expected.join("a/comes"), b"upper")?;
    let lower = [("a/stays", "lower"), ("a/changes", "lower")];
    let upper = [("a/changes", "upper"), ("a/comes", "upper")];
    let reference = crane_two_layers(bench, "crane-layers", &lower, &upper)?;
    pulls(bench, &reference, &Tree::read(&expected)?, Closely::Content)
}

/// A later layer deletes files of an earlier one.
pub(super) fn crane_whiteout(bench: &Bench<'_>) -> Result<()> {
    let expected = bench.path("expected");
    trees::write(&expected.join("a/stays"), b"lower")?;
    let lower = [("a/goes", "lower"), ("a/stays", "lower")];
    let reference = crane_two_layers(bench, "crane-whiteout", &lower, &[("a/.wh.goes", "")])?;
    require_equal("ls", "a/\na/stays", &bench.refs(&["ls", &reference])?.text()?)?;
    pulls(bench, &reference, &Tree::read(&expected)?, Closely::Content)
}

fn crane_two_layers(bench: &Bench<'_>, tag: &str, lower: &[(&str, &str)], upper: &[(&str, &str)]) -> Result<String> {
    let reference = bench.place.reference("interop/peers", tag);
    let mut words = vec!["append".to_owned(), "-t".to_owned(), reference.clone()];
    for (name, files) in [("lower", lower), ("upper", upper)] {
        let directory = bench.path(name);
        files.iter().try_for_each(|(path, text)| trees::write(&directory.join(path), text.as_bytes()))?;
        let archive = archived(&directory, bench.path(&format!("{name}.tar")), &["-cf"])?;
        words.extend(["-f".to_owned(), archive.to_string_lossy().into_owned()]);
    }
    bench.crane(&words)?.stdout()?;
    Ok(reference)
}

/// One blob a file, named by its title; modes and times are not kept.
pub(super) fn oras_files(bench: &Bench<'_>) -> Result<()> {
    let directory = bench.path("files");
    trees::write(&directory.join("one.txt"), b"one\n")?;
    trees::write(&directory.join("two.json"), b"{}\n")?;
    trees::write(&directory.join("below/three.bin"), &[0; 70_000])?;
    let reference = bench.place.reference("interop/peers", "oras-files");
    let files = ["one.txt:text/plain", "two.json:application/json", "below/three.bin"];
    bench.oras(&directory, &[&["push", &reference], &files[..]].concat())?.stdout()?;
    pulls(bench, &reference, &Tree::read(&directory)?, Closely::Content)
}

/// oras packs a directory as tar+gzip and marks it for unpacking.
pub(super) fn oras_directory(bench: &Bench<'_>) -> Result<()> {
    let directory = bench.path("files");
    trees::write(&directory.join("site/index.html"), b"<p>\n")?;
    trees::write(&directory.join("site/css/a.css"), b"p {}\n")?;
    trees::write(&directory.join("notes.txt"), b"notes\n")?;
    let reference = bench.place.reference("interop/peers", "oras-directory");
    bench.oras(&directory, &["push", &reference, "site", "notes.txt"])?.stdout()?;
    pulls(bench, &reference, &Tree::read(&directory)?, Closely::Content)
}

/// A layer as some builders write it: an uncompressed tar, with nothing but its media type to say so.
pub(super) fn oras_untitled(bench: &Bench<'_>) -> Result<()> {
    let archive = archived(&bench.trees.sample, bench.path("layer.tar"), &["--format=pax", "-cf"])?;
    let empty = bench.path("empty.json");
    trees::write(&empty, b"{}")?;
    let layer = pushed_blob(bench, &archive, "application/vnd.oci.image.layer.v1.tar")?;
    let config = pushed_blob(bench, &empty, "application/vnd.oci.empty.v1+json")?;
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media_type, "artifactType": "application/vnd.example.tree",
        "config": config, "layers": [layer],
    });
    let path = bench.path("manifest.json");
    trees::write(&path, manifest.to_string().as_bytes())?;
    let reference = bench.place.reference("interop/peers", "untitled");
    bench.oras(Path::new("/"), &["manifest", "push", &reference, &path.to_string_lossy()])?.stdout()?;
    pulls(bench, &reference, &bench.trees.sample_tree, Closely::Times)
}

/// Pushes a file as a blob and gives its descriptor.
fn pushed_blob(bench: &Bench<'_>, file: &Path, media_type: &str) -> Result<Value> {
    let repository = bench.place.repository("interop/peers");
    let words = ["blob", "push", &repository, &file.to_string_lossy(), "--descriptor", "--media-type", media_type];
    let descriptor = bench.oras(Path::new("/"), &words)?.stdout()?;
    serde_json::from_slice(&descriptor).map_err(|source| Error::Json { from: "oras blob push", source })
}

/// Packs `directory` with the system's tar.
fn archived(directory: &Path, archive: PathBuf, how: &[&str]) -> Result<PathBuf> {
    let mut tar = Command::new("tar");
    tar.args(["--owner=0", "--group=0", "--sort=name", "-C"]).arg(directory).args(how).arg(&archive).arg(".");
    Outcome::of(&mut tar)?.stdout()?;
    Ok(archive)
}
