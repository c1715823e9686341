//! Many processes, one cache.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::thread;

use refs_testkit::invariants::check_layout;

use super::peers_read::json;
use crate::error::{Error, Result};
use crate::interop::bench::{Bench, require_equal};
use crate::interop::images;
use crate::interop::rootfs::Rootfs;

const PROCESSES: usize = 20;

/// Images that have layers in common are unpacked by many at once: each blob crosses the wire once, and the cache is an image
/// layout of them all.
pub(super) fn unpack(bench: &Bench<'_>) -> Result<()> {
    let references = images::overlapping(bench)?;
    let before = bench.place.blobs_sent()?.len();
    let trees = unpacked_at_once(bench, &references)?;
    for (number, tree) in trees.iter().enumerate().skip(references.len()) {
        trees[number % references.len()].require(tree, "an image that was unpacked several times")?;
    }
    let mut times = BTreeMap::<String, usize>::new();
    bench.place.blobs_sent()?.drain(before..).for_each(|digest| *times.entry(digest).or_default() += 1);
    let often: Vec<String> =
        times.iter().filter(|(_, times)| **times > 1).map(|(digest, n)| format!("{digest} {n}")).collect();
    require_equal("what was sent more than once", "", &often.join(", "))?;
    require_all(bench, &references)
}

/// What each process unpacked; they take the images in turn.
fn unpacked_at_once(bench: &Bench<'_>, references: &[String]) -> Result<Vec<Rootfs>> {
    let start = std::time::SystemTime::now();
    let unpack = |number: usize| {
        let dest: PathBuf = bench.path(&format!("unpacked-{number}"));
        let reference = &references[number % references.len()];
        bench.refs(&[OsStr::new("unpack"), reference.as_ref(), dest.as_os_str()])?.stdout()?;
        Ok(Rootfs::read(&dest)?.undated_since(start))
    };
    thread::scope(|scope| {
        let all: Vec<_> = (0..PROCESSES).map(|number| scope.spawn(move || unpack(number))).collect();
        all.into_iter().map(|one| one.join().unwrap_or(Err(Error::Usage("a thread ended early")))).collect()
    })
}

/// The cache lists every image, and nothing in it is torn or left over.
fn require_all(bench: &Bench<'_>, references: &[String]) -> Result<()> {
    let cache = bench.path("cache");
    let flaws = check_layout(&cache).map_err(Error::file("check", &cache))?;
    let flaws: Vec<String> = flaws.iter().map(ToString::to_string).collect();
    require_equal("flaws of the cache", "", &flaws.join("; "))?;
    let index = fs::read(cache.join("index.json")).map_err(Error::file("read", &cache))?;
    let index = json("index.json", &index)?;
    let listed = index["manifests"].as_array().into_iter().flatten();
    let listed: BTreeSet<&str> = listed.filter_map(|entry| entry["digest"].as_str()).collect();
    references.iter().try_for_each(|reference| {
        let digest = bench.crane(&["digest", reference])?.text()?;
        require_equal(&format!("whether the cache lists {reference}"), "true", &listed.contains(&*digest).to_string())
    })
}
