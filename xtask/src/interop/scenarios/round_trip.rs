//! What `refs` pushes, `refs` gives back.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::interop::bench::{Bench, digest_of, require_equal};
use crate::interop::compare::{Closely, Tree};
use crate::interop::trees;

pub(super) fn push(bench: &Bench<'_>) -> Result<()> {
    let reference = bench.place.reference("interop/push", "v1");
    let digest = bench.push(&bench.trees.sample, &reference)?;
    let resolved = bench.refs(&["resolve", &reference])?.text()?;
    require_equal("resolve", &digest, &digest_of(&resolved)?)?;
    let again = bench.push(&bench.trees.sample, &bench.place.reference("interop/push", "v2"))?;
    require_equal("the digest of the same tree, pushed again", &digest, &again)?;
    let tags = bench.refs(&["tags", &bench.place.repository("interop/push")])?.text()?;
    let tags: BTreeSet<&str> = tags.lines().collect();
    require_equal("tags", "v1 v2", &Vec::from_iter(tags).join(" "))
}

pub(super) fn list(bench: &Bench<'_>) -> Result<()> {
    let reference = pushed(bench)?;
    require_equal_paths("ls", &bench.trees.sample_tree.paths(), &listed(bench, &reference, &[])?)?;
    let expected = bench.trees.sample_tree.paths().into_iter().filter(|path| path.ends_with(".md")).collect();
    require_equal_paths("ls --path", &expected, &listed(bench, &reference, &["--path", "**/*.md"])?)
}

pub(super) fn cat(bench: &Bench<'_>) -> Result<()> {
    let reference = pushed(bench)?;
    for (path, expected) in bench.trees.sample_tree.files() {
        let path = path.to_string_lossy();
        let found = bench.refs(&["cat", &reference, "--", &path])?.stdout()?;
        if found != expected {
            let (expected, found) = (format!("{} bytes", expected.len()), format!("{} other bytes", found.len()));
            return Err(Error::Unexpected { what: format!("cat {path}"), expected, found });
        }
    }
    Ok(())
}

pub(super) fn pull(bench: &Bench<'_>) -> Result<()> {
    let reference = pushed(bench)?;
    bench.trees.sample_tree.require(&bench.pull(&reference, &[])?, Closely::Times, "pull")
}

pub(super) fn pull_by_glob(bench: &Bench<'_>) -> Result<()> {
    let reference = pushed(bench)?;
    let found = bench.pull(&reference, &["--path", "docs/deep/**", "--path", "unicode/*.txt"])?;
    let wanted = |path: &Path| {
        path == Path::new(".sow-ref.yaml")
            || path.starts_with("docs/deep/er")
            || path.starts_with("unicode") && path.extension().is_some_and(|e| e == "txt")
    };
    let expected = bench.trees.sample_tree.only(wanted);
    expected.require(&found, Closely::Modes, "pull --path")
}

pub(super) fn force(bench: &Bench<'_>) -> Result<()> {
    let reference = pushed(bench)?;
    trees::write(&bench.path("pulled/old"), b"goes away")?;
    let found = bench.pull(&reference, &["--force"])?;
    bench.trees.sample_tree.require(&found, Closely::Times, "pull --force")
}

pub(super) fn sources(bench: &Bench<'_>) -> Result<()> {
    let reference = bench.place.reference("interop/sources", "v1");
    bench.push(&bench.trees.sources, &reference)?;
    bench.trees.sources_tree.require(&bench.pull(&reference, &[])?, Closely::Times, "pull")
}

pub(super) fn options(bench: &Bench<'_>) -> Result<()> {
    let directory = bench.path("tree");
    trees::write(&directory.join("keep/a.txt"), b"a")?;
    trees::write(&directory.join("drop/b.log"), b"b")?;
    let reference = bench.place.reference("interop/options", "v1");
    let words =
        ["push", &directory.to_string_lossy(), &reference, "--tag", "v2", "--exclude", "*.log", "--reproducible"];
    let words = [&words[..], &["--annotation", "com.example.answer=42"]].concat();
    let first = digest_of(&bench.refs(&words)?.text()?)?;

    trees::set_time(&directory.join("keep/a.txt"), 1_000_000)?;
    let second = digest_of(&bench.refs(&words)?.text()?)?;
    require_equal("the digest after only a time has changed", &first, &second)?;

    let found = bench.pull(&bench.place.reference("interop/options", "v2"), &[])?;
    let paths = found.paths();
    if !paths.contains("keep/a.txt") || paths.contains("drop/b.log") {
        let found = format!("{paths:?}");
        return Err(Error::Unexpected { what: "--exclude".to_owned(), expected: "keep/a.txt only".to_owned(), found });
    }
    Ok(())
}

pub(super) fn many(bench: &Bench<'_>) -> Result<()> {
    let reference = bench.place.reference("interop/many", "v1");
    bench.push(&bench.trees.many, &reference)?;
    require_equal_paths("ls", &bench.trees.many_tree.paths(), &listed(bench, &reference, &[])?)?;
    bench.trees.many_tree.require(&bench.pull(&reference, &[])?, Closely::Times, "pull")
}

/// The sample tree, pushed.
pub(super) fn pushed(bench: &Bench<'_>) -> Result<String> {
    let reference = bench.place.reference("interop/sample", "v1");
    bench.push(&bench.trees.sample, &reference)?;
    Ok(reference)
}

/// Lists and pulls `reference`, and requires `expected`. What a layer does not name as a directory need not be listed as one.
pub(super) fn pulls(bench: &Bench<'_>, reference: &str, expected: &Tree, closely: Closely) -> Result<()> {
    let directories: BTreeSet<String> = expected.paths().difference(&expected.leaves()).cloned().collect();
    let listed = listed(bench, reference, &[])?.difference(&directories).cloned().collect();
    require_equal_paths("ls", &expected.leaves(), &listed)?;
    expected.require(&bench.pull(reference, &[])?, closely, "pull")
}

/// The paths in the JSON that `refs ls` prints.
fn listed(bench: &Bench<'_>, reference: &str, more: &[&str]) -> Result<BTreeSet<String>> {
    let words = [&["ls", "--format", "json", reference], more].concat();
    let json = bench.refs(&words)?.stdout()?;
    let listing: Value = serde_json::from_slice(&json).map_err(|source| Error::Json { from: "refs ls", source })?;
    let files = listing["files"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(files.iter().filter_map(|file| file["path"].as_str()).map(str::to_owned).collect())
}

fn require_equal_paths(what: &str, expected: &BTreeSet<String>, found: &BTreeSet<String>) -> Result<()> {
    let missing: Vec<&String> = expected.difference(found).take(5).collect();
    let surplus: Vec<&String> = found.difference(expected).take(5).collect();
    if missing.is_empty() && surplus.is_empty() {
        return Ok(());
    }
    let found = format!("{}; missing {missing:?}; surplus {surplus:?}", found.len());
    Err(Error::Unexpected { what: what.to_owned(), expected: format!("{} paths", expected.len()), found })
}
