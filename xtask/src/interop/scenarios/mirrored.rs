//! What a registry has, programs read through our mirror of it, while it runs and after.

use std::fs;

use super::peers_read::extracted;
use super::round_trip::pushed;
use crate::error::{Error, Result};
use crate::interop::bench::{Bench, require_equal};
use crate::interop::compare::Closely;

/// crane, skopeo, oras, regctl and ours; then again, when the registry need not be asked for anything but the tag.
pub(super) fn peers_pull(bench: &Bench<'_>) -> Result<()> {
    let reference = pushed(bench)?;
    let (host, name) = split(&reference)?;
    let mirror = bench.mirror(&format!("hub=http://{host}"))?;
    let mirrored = format!("{}/hub/{name}", mirror.host());
    require_equal("crane digest", &bench.crane(&["digest", &reference])?.text()?, &digest(bench, &mirrored)?)?;
    let before = bench.place.blobs_sent()?.len();
    for round in ["first", "second"] {
        read(bench, &mirrored, round)?;
    }
    let mut sent = bench.place.blobs_sent()?.split_off(before);
    let count = sent.len();
    sent.sort();
    sent.dedup();
    require_equal("blobs that the registry sent more than once", "0", &(count - sent.len()).to_string())
}

fn read(bench: &Bench<'_>, mirrored: &str, round: &str) -> Result<()> {
    bench.crane(&["validate", "--remote", mirrored])?.stdout()?;
    let archive = bench.path(&format!("{round}.tar"));
    bench.crane(&["export", mirrored, &archive.to_string_lossy()])?.stdout()?;
    let found = extracted(&archive, &bench.path(&format!("{round}-exported")))?;
    bench.trees.sample_tree.require(&found, Closely::Times, "crane export")?;

    let copied = format!("dir:{}", bench.path(&format!("{round}-skopeo")).display());
    let words = ["--insecure-policy", "copy", "--src-tls-verify=false", &format!("docker://{mirrored}"), &copied];
    bench.skopeo(&words)?.stdout()?;

    let directory = bench.path(&format!("{round}-oras"));
    fs::create_dir(&directory).map_err(Error::file("create", &directory))?;
    bench.oras(&directory, &["pull", mirrored])?.stdout()?;
    bench.oras(&directory, &["discover", "--format", "json", mirrored])?.stdout()?;

    let regctl = format!("ocidir://{}:v1", bench.path(&format!("{round}-regctl")).display());
    let (host, _) = split(mirrored)?;
    bench.regctl(&["--host", &format!("reg={host},tls=disabled"), "image", "copy", mirrored, &regctl])?.stdout()?;

    let refs = bench.path(&format!("{round}-refs"));
    bench.refs(&["pull", "--no-cache", mirrored, &refs.to_string_lossy()])?.stdout().map(drop)
}

fn digest(bench: &Bench<'_>, reference: &str) -> Result<String> {
    bench.crane(&["digest", reference])?.text()
}

/// `HOST/NAME:TAG` as its host and the rest.
fn split(reference: &str) -> Result<(&str, &str)> {
    reference.split_once('/').ok_or_else(|| Error::Unexpected {
        what: "where we pushed to".to_owned(),
        expected: "HOST/NAME:TAG".to_owned(),
        found: reference.to_owned(),
    })
}
