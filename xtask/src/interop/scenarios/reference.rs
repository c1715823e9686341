//! What we write, the reference implementation of eStargz verifies, and the system's tar lists.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;

use refs_estargz::{Kind, NewEntry, WriteOptions, Writer};
use ring::digest::{SHA256, digest};
use serde_json::Value;

use super::peers_read::{ESTARGZ_OWN, extracted, json};
use crate::error::{Error, Result};
use crate::interop::bench::{Bench, require_equal};
use crate::interop::compare::Closely;
use crate::interop::process::Outcome;

const TOC_DIGEST: &str = "containerd.io/snapshot/stargz/toc.digest";

/// The layer of a push, as it lies in an image layout.
pub(super) fn pushed(bench: &Bench<'_>) -> Result<()> {
    for tree in [&bench.trees.sample, &bench.trees.many] {
        let layout = bench.path(&tree.file_name().unwrap_or_default().to_string_lossy());
        let digest = bench.push(tree, &format!("ocidir://{}:v1", layout.display()))?;
        let manifest = fs::read(blob(&layout, &digest)).map_err(Error::file("read", &layout))?;
        let layer = &json("the manifest", &manifest)?["layers"][0];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let listed = listed(bench, &blob(&layout, &text(&layer["digest"])), &text(&layer["annotations"][TOC_DIGEST]))?;
        let tree = if *tree == bench.trees.sample { &bench.trees.sample_tree } else { &bench.trees.many_tree };
        let paths = tree.paths().into_iter().collect::<Vec<_>>().join("\n");
        require_equal("paths", &paths, &listed.keys().cloned().collect::<Vec<_>>().join("\n"))?;
        for (path, bytes) in tree.files() {
            let path = path.to_string_lossy();
            require_equal(&path, &sum(bytes), listed[&*path]["digest"].as_str().unwrap_or_default())?;
        }
        let found = extracted(&blob(&layout, &text(&layer["digest"])), &layout.join("extracted"))?;
        tree.require(&found, Closely::Times, "the layer as tar extracts it")?;
    }
    Ok(())
}

/// Layers of one of everything that can be written, with chunks of several sizes.
pub(super) fn written(bench: &Bench<'_>) -> Result<()> {
    let items = items();
    for (number, items) in [&items[..], &[]].into_iter().enumerate() {
        for chunk_bytes in [1, 4, 100, 100_000, 1 << 20] {
            for (level, threads) in [(0, 1), (6, 3), (9, 1)] {
                let threads = NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN);
                let options = WriteOptions { level, chunk_bytes, threads };
                let blob = bench.path(&format!("{number}-{chunk_bytes}-{level}.tar.gz"));
                check(bench, items, &options, &blob)?;
            }
        }
    }
    Ok(())
}

/// An entry, its content, and how tar lists it.
type Item = (NewEntry, Vec<u8>, String);

fn items() -> Vec<Item> {
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(120));
    let noise = |bytes: u32| (0..bytes).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let to = |target: &str| target.to_owned();
    let item = |path: &str, kind: Kind, listed: &str| {
        let mode = if kind == Kind::Directory { 0o755 } else { 0o644 };
        (NewEntry { path: to(path), kind, mode, mtime: 1_700_000_000 }, Vec::new(), to(listed))
    };
    let file = |path: &str, content: Vec<u8>| {
        let (entry, _, listed) = item(path, Kind::File { size: content.len() as u64 }, &format!("- {path}"));
        (entry, content, listed)
    };
    vec![
        item("bin", Kind::Directory, "d bin/"),
        file("bin/run", b"#!/bin/sh\n".to_vec()),
        file("empty", Vec::new()),
        file("fits", b"four".to_vec()),
        item("hardlink", Kind::Hardlink { target: to("bin/run") }, "h hardlink link to bin/run"),
        item("symlink", Kind::Symlink { target: to("../../x") }, "l symlink -> ../../x"),
        item("far", Kind::Symlink { target: "t".repeat(200) }, &format!("l far -> {}", "t".repeat(200))),
        item("char", Kind::CharDevice { major: 111, minor: 222 }, "c char"),
        item("block", Kind::BlockDevice { major: 123, minor: 456 }, "b block"),
        item("pipe", Kind::Fifo, "p pipe"),
        file("gr\u{f6}\u{df}e", b"a name that is not ASCII".to_vec()),
        item(&"d".repeat(120), Kind::Directory, &format!("d {}/", "d".repeat(120))),
        file(&long, b"a long name".to_vec()),
        file("noise", noise(1_000)),
        file("zeros", vec![0; 700]),
        (NewEntry { mode: 0o7755, ..file("sticky", Vec::new()).0 }, Vec::new(), to("- sticky")),
        (NewEntry { mtime: 0, ..file("undated", Vec::new()).0 }, Vec::new(), to("- undated")),
    ]
}

fn check(bench: &Bench<'_>, items: &[Item], options: &WriteOptions, blob: &Path) -> Result<()> {
    let toc_digest =
        write(items, options, blob).map_err(|source| Error::Written { options: options.clone(), source })?;
    let listed = listed(bench, blob, &toc_digest)?;
    for (entry, content, _) in items {
        let found = &listed.get(&entry.path).unwrap_or(&Value::Null);
        let is_file = matches!(entry.kind, Kind::File { .. });
        let expected = if is_file { format!("{} {}", entry.mode, sum(content)) } else { entry.mode.to_string() };
        let found = match &found["digest"] {
            Value::String(digest) if is_file => format!("{} {digest}", found["mode"]),
            _ => found["mode"].to_string(),
        };
        let what = format!("`{}` with {options:?}", entry.path);
        // A hard link is listed as its file.
        require_equal(&what, &expected, &found)?;
    }
    require_equal("the number of entries", &items.len().to_string(), &listed.len().to_string())?;
    let expected: Vec<&str> = items.iter().map(|(_, _, listed)| listed.as_str()).collect();
    require_equal("what tar lists", &expected.join("\n"), &tar_lists(blob)?.join("\n"))
}

/// Writes a layer, the last two entries as those that are wanted first, and gives the digest of its table of contents.
fn write(items: &[Item], options: &WriteOptions, blob: &Path) -> refs_estargz::Result<String> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, options)?;
    for (number, (entry, content, _)) in items.iter().enumerate() {
        if number + 2 == items.len() {
            writer.begin_hot();
        }
        writer.append(entry, &mut content.as_slice())?;
    }
    let built = writer.finish()?;
    fs::write(blob, bytes).map_err(|source| refs_estargz::Error::Write { source: source.into() })?;
    Ok(built.toc_digest.to_string())
}

/// The entries that the reference finds, once it has verified each chunk, by path.
fn listed(bench: &Bench<'_>, blob: &Path, toc_digest: &str) -> Result<BTreeMap<String, Value>> {
    let listed = json("the reference", &bench.verify(blob, toc_digest)?)?;
    let entries = listed.as_array().cloned().unwrap_or_default();
    Ok(entries.into_iter().map(|entry| (entry["path"].as_str().unwrap_or_default().to_owned(), entry)).collect())
}

/// The entries that GNU tar lists, each with the letter of its kind, without what estargz adds.
fn tar_lists(blob: &Path) -> Result<Vec<String>> {
    let mut tar = Command::new("tar");
    tar.args(["--list", "--verbose", "--gzip", "--quoting-style=literal", "--full-time", "--file"]).arg(blob);
    let lines = Outcome::of(tar.env("LC_ALL", "C.UTF-8"))?.text()?;
    let shown = |line: &str| {
        // Mode, owner, size, date, time; a device has no size but two numbers, which are one word.
        let mut words = line.split_ascii_whitespace();
        let kind = words.next()?.chars().next()?;
        let name = words.skip(4).collect::<Vec<_>>().join(" ");
        (!ESTARGZ_OWN.contains(&&*name)).then(|| format!("{kind} {name}"))
    };
    Ok(lines.lines().filter_map(shown).collect())
}

/// Where an image layout has a blob.
fn blob(layout: &Path, digest: &str) -> PathBuf {
    layout.join("blobs").join(digest.replace(':', "/"))
}

fn sum(bytes: &[u8]) -> String {
    let hex: String = digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}
