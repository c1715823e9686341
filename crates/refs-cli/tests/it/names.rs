//! `ocidir://PATH:HOST/REPO:TAG`: what a layout, such as the cache, lists by whole references.

use std::fs;

use refs_testkit::{FakeRegistry, Image};

use crate::support::{Machine, now, put, registry, small};

/// A machine whose cache has two images of one tag; what is before their names; and their names.
fn place() -> (Machine, FakeRegistry, String, [String; 2]) {
    let (machine, registry) = (Machine::new(), registry());
    let names = ["o/r", "o/s"].map(|name| {
        now(Image::new().tree(&small()).annotate("of", name).push(&*registry.repository(name), &["v1"])).unwrap();
        format!("{}/{name}", registry.host())
    });
    for name in &names {
        machine.prints(&format!("cache fetch {name}:v1"));
    }
    registry.take_requests();
    let cache = format!("ocidir://{}", machine.cache().display());
    (machine, registry, cache, names)
}

#[test]
fn every_command_that_reads_takes_a_name_in_the_cache() {
    let (machine, registry, cache, [name, _]) = place();
    let at = format!("{cache}:{name}:v1");
    let digest = machine.json(&format!("resolve {at}"))["digest"].as_str().unwrap().to_owned();
    for command in ["manifest", "inspect", "ls"] {
        assert_eq!(machine.json(&format!("{command} {at}"))["digest"], *digest, "{command}");
    }
    assert!(machine.prints(&format!("tree {at}")).contains(&digest));
    assert_eq!(machine.prints(&format!("referrers {at}")), "");
    let by_digest = format!("{cache}:{name}@{digest}");
    assert_eq!(machine.prints(&format!("blob get {by_digest}")), machine.prints(&format!("manifest {at} --raw")));
    machine.prints(&format!("blob stat {by_digest}"));
    machine.prints(&format!("cat {at} README.md"));
    machine.prints(&format!("pull {at} here"));
    assert!(registry.take_requests().is_empty());

    let other = format!("{cache}:{name}:v9");
    let words =
        [format!("manifest `v9` not found in {cache}:{name}"), format!("hint: `refs tags {cache}:{name}` lists")];
    for command in ["manifest", "referrers", "tree", "ls", "resolve", "inspect"] {
        machine.fails(&format!("{command} {other}"), 3, &[&words[0], &words[1]]);
    }
}

#[test]
fn the_tags_of_a_cache_are_names_that_can_be_asked_for() {
    let (machine, _registry, cache, [one, other]) = place();
    let printed = machine.prints(&format!("tags {cache}"));
    assert_eq!(printed, format!("{one}:v1\n{other}:v1\n"));
    for name in printed.lines() {
        machine.prints(&format!("ls {cache}:{name}"));
    }
    assert_eq!(machine.prints(&format!("tags {cache} --limit 1")), format!("{one}:v1\n"));
    assert_eq!(machine.json(&format!("tags {cache} --limit 1"))["tag"], format!("{one}:v1"));
    assert_eq!(machine.prints(&format!("tags {cache}:{one}")), "v1\n");
    let words = ["the list of tags not found in", "hint: `refs tags ocidir://PATH`"];
    machine.fails(&format!("tags {cache}:ghcr.io/o/none"), 3, &words);
}

#[test]
fn what_is_pushed_by_a_name_into_a_layout_is_listed_so() {
    let machine = Machine::new();
    machine.write("source", &small());
    machine.prints("push source ocidir://lay:v1");
    let at = "ocidir://lay:ghcr.io/o/r";
    let printed = machine.prints(&format!("push source {at}:v7 --tag v8"));
    let digest = printed.trim_end().strip_prefix(&format!("{at}:v7@")).unwrap();
    assert_eq!(machine.prints("tags ocidir://lay"), "ghcr.io/o/r:v7\nghcr.io/o/r:v8\nv1\n");
    assert_eq!(machine.prints(&format!("tag {at}:v7 v9")), format!("{at}:v9@{digest}\n"));
    machine.prints(&format!("rm {at}:v7 --yes"));
    assert_eq!(machine.prints(&format!("tags {at}")), "v8\nv9\n");
    machine.prints(&format!("cp ocidir://lay:v1 {at}:v10 -q"));
    machine.prints(&format!("ls {at}:v10"));
    let mut beside: Vec<_> = fs::read_dir(machine.path(".")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    beside.retain(|name| name.to_string_lossy().starts_with("lay"));
    assert_eq!(beside, ["lay"]);

    machine.prints("push source ocidir://none:ghcr.io/o/r:v7");
    assert_eq!(machine.prints("tags ocidir://none"), "ghcr.io/o/r:v7\n");
}

#[test]
fn a_tag_that_only_others_in_the_layout_have_is_told_by_where_it_is() {
    let machine = Machine::new();
    for name in ["o/r", "o/s"] {
        machine.write("source", &small().file("name", name));
        machine.prints(&format!("push source ocidir://lay:ghcr.io/{name}:v1"));
    }
    let hint = "hint: name the one that is meant: `ocidir://lay:ghcr.io/o/r:v1`, `ocidir://lay:ghcr.io/o/s:v1`\n";
    for at in ["ocidir://lay:v1", "ocidir://lay:ghcr.io/o/none:v1"] {
        let words = [&format!("`{at}` is not there, but others with its tag are"), "manifest `v1` not found in", hint];
        machine.fails(&format!("rm {at} --yes"), 3, &words);
    }
    let run = machine.fails("rm ocidir://lay:v9 --yes", 3, &["manifest `v9` not found", "hint: `refs tags ocidir://"]);
    assert!(!run.stderr.contains("others"), "{}", run.stderr);
    assert_eq!(machine.prints("tags ocidir://lay"), "ghcr.io/o/r:v1\nghcr.io/o/s:v1\n");
}

#[test]
fn the_cache_in_use_is_never_a_destination() {
    let (machine, registry) = (Machine::new(), registry());
    put(&registry, &Image::new().tree(&small()));
    let (at, cache) = (format!("{}/o/r:v1", registry.host()), machine.cache());
    let is_safe = |command: &str| {
        let around = cache.parent().unwrap().to_owned();
        let roundabout = around.join("none/..").join(cache.file_name().unwrap());
        for destination in [cache.clone(), cache.join("blobs"), cache.join("new/deep"), around, roundabout] {
            let line = format!("{command} {at} {} --force", destination.display());
            machine.fails(&line, 11, &["is where the cache is"]);
        }
    };
    is_safe("pull");
    assert!(registry.take_requests().is_empty());
    machine.prints(&format!("cache fetch {at}"));
    is_safe("pull");
    is_safe("unpack");
    // Other runs use it, whatever this one does.
    machine.fails(&format!("pull {at} {} --force --no-cache", cache.display()), 11, &["is where the cache is"]);
    machine.prints(&format!("ls ocidir://{}:{at}", cache.display()));
}
