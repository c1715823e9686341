//! `--offline`: what was fetched before, and not a request.

use std::{collections::BTreeSet, fs};

use refs_registry::{Platform, spec::Document};
use refs_testkit::{FakeRegistry, Image, Tree, image};
use refs_url::Host;
use serde_json::Value;

use crate::support::{Machine, ended, noise, now, pushed, registry, small};

/// A machine that has pulled `o/r:v1`, from a registry that is gone.
fn pulled() -> (Machine, Host) {
    let (machine, registry) = (Machine::new(), registry());
    pushed(&machine, &registry, &small());
    let host = registry.host();
    machine.prints(&format!("pull {host}/o/r:v1 before"));
    registry.stop();
    (machine, host)
}

#[test]
fn all_that_only_reads_does_without_the_registry() {
    let (machine, host) = pulled();
    let at = format!("{host}/o/r:v1");
    machine.prints(&format!("pull {at} after --offline -q"));
    assert!(machine.read("after") == machine.read("before"));
    assert!(machine.prints(&format!("ls {at} --offline")).contains("guide/one.md"));
    assert_eq!(machine.prints(&format!("cat {at} guide/one.md --offline")), "one\n");
    let resolved = machine.prints(&format!("resolve {at} --offline -q"));
    assert!(resolved.starts_with(&format!("{host}/o/r@sha256:")));
    let tags = machine.run(&format!("tags {host}/o/r --offline"));
    assert_eq!((tags.code, tags.text().as_str()), (0, "v1\n"));
    assert!(tags.stderr.starts_with("hint: these are the tags that the cache knows"), "{}", tags.stderr);
    machine.prints(&format!("tags {host}/o/r --offline -q"));
    machine.json(&format!("tags {host}/o/r --offline"));
    machine.prints(&format!("ls {} --offline", resolved.trim_end()));
    machine.prints(&format!("manifest {at} --offline"));
    assert_eq!(machine.json(&format!("pull {at} again --offline"))["fetchedBytes"], 0);
}

#[test]
fn what_was_not_fetched_is_named_and_is_not_found() {
    let (machine, host) = pulled();
    let words = ["is not in the cache", &format!("{host}/o/r"), "hint: it is fetched without `--offline`"];
    machine.fails(&format!("pull {host}/o/r:v2 after --offline"), 3, &["manifest `v2`", words[0], words[1], words[2]]);
    machine.fails(&format!("ls {host}/o/other:v1 --offline"), 3, &["o/other", words[0]]);
    let tags =
        machine.fails(&format!("tags {host}/o/other --offline"), 3, &["o/other", words[0], "the registry is asked"]);
    assert!(!tags.stderr.contains("cache fetch"), "{}", tags.stderr);
    machine.fails(&format!("pull {host}/o/r:v1 after --offline --no-cache"), 2, &["--no-cache"]);
    let asks = [
        "`--offline` is for commands that only read: ls, cat, ",
        " diff, ",
        "tree, blob get and blob stat; and for referrers of a layout\n",
    ];
    for line in [
        "api GET HOST/v2/",
        "push before HOST/o/r:v3",
        "cp HOST/o/r:v1 ocidir://to:v1",
        "tag HOST/o/r:v1 v2",
        "repos HOST",
    ] {
        machine.fails(&format!("{} --offline", line.replace("HOST", host.as_str())), 2, &asks);
    }
    machine.fails(&format!("blob put {host}/o/r - --offline"), 2, &asks);
}

#[test]
fn blobs_and_differences_come_from_the_cache() {
    let (machine, registry) = (Machine::new(), registry());
    let at = format!("{}/o/r", registry.host());
    machine.write("source", &small());
    machine.prints(&format!("push source {at}:v1"));
    machine.write("source", &small().file("more", "more"));
    machine.prints(&format!("push source {at}:v2"));
    machine.prints(&format!("cache fetch {at}:v1 {at}:v2"));
    let manifest: Value = serde_json::from_str(&machine.prints(&format!("manifest {at}:v2 --raw"))).unwrap();
    let digest = manifest["layers"][0]["digest"].as_str().unwrap().to_owned();
    registry.stop();
    let run = machine.run(&format!("diff {at}:v1 {at}:v2 --offline"));
    assert_eq!((run.code, run.text().as_str(), run.stderr.as_str()), (1, "A\tmore\n", ""));
    machine.prints(&format!("blob get {at}@{digest} -o layer --offline"));
    let size = fs::metadata(machine.path("layer")).unwrap().len();
    assert_eq!(machine.prints(&format!("blob stat {at}@{digest} --offline")), format!("{digest} {size}\n"));
    let other = format!("sha256:{}", "0".repeat(64));
    for line in ["blob get", "blob stat"] {
        machine.fails(&format!("{line} {at}@{other} --offline"), 3, &["is not in the cache"]);
    }
    machine.fails(&format!("diff {at}:v1 {at}:v3 --offline"), 3, &["manifest `v3`", "is not in the cache"]);
}

#[test]
fn what_is_on_the_disk_is_read_without_a_registry_and_what_only_a_registry_tells_is_not_found() {
    let (machine, host) = pulled();
    machine.write("source", &small());
    machine.prints("push source ocidir://layout:v1");
    for (command, tag) in [("tree", ":v1"), ("referrers", ":v1"), ("tags", ""), ("ls", ":v1"), ("manifest", ":v1")] {
        let line = format!("{command} ocidir://layout{tag}");
        assert_eq!(machine.prints(&format!("{line} --offline")), machine.prints(&line));
        machine.fails(&format!("{command} {host}/o/other{tag} --offline"), 3, &["is not in the cache", "hint: "]);
    }
    let run = machine.fails(&format!("referrers {host}/o/r:v1 --offline"), 3, &["referrers of", "is not in the cache"]);
    assert!(run.stderr.contains("hint: without `--offline` the registry is asked\n"), "{}", run.stderr);
}

#[test]
fn a_tree_is_drawn_of_what_is_kept() {
    let (machine, host) = pulled();
    let run = machine.run(&format!("tree {host}/o/r:v1 --offline"));
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    assert!(run.stderr.starts_with("hint: the cache does not keep what refers to it; "), "{}", run.stderr);
    assert!(run.text().contains("config sha256:") && run.text().contains("layer sha256:"), "{}", run.text());
    assert_eq!(run.code, 0);
}

#[test]
fn a_version_is_chosen_among_those_that_the_cache_knows_and_that_is_said() {
    let (machine, registry) = (Machine::new(), FakeRegistry::builder().start_blocking());
    let at = format!("{}/o/r", registry.host());
    for tag in ["1.0.0", "v1.10.0", "latest"] {
        now(Image::new().file("version", tag).push(&*registry.repository("o/r"), &[tag])).unwrap();
    }
    let hint =
        "hint: only the tags that the cache knows were looked at; without `--offline` the registry is asked for all\n";
    machine.prints(&format!("pull {at}:latest latest"));
    machine.fails(&format!("resolve {at} --constraint ^1.2 --offline"), 3, &["none of the 1 tags", hint]);
    machine.prints(&format!("pull {at}:1.0.0 old"));
    let words = ["no tag of", "the highest are 1.0.0", hint];
    machine.fails(&format!("resolve {at} --constraint ^1.2 --offline"), 3, &words);
    assert_eq!(machine.json(&format!("resolve {at} --constraint ^1 --offline"))["tag"], "1.0.0");
    machine.prints("push latest ocidir://layout:1.0.0");
    let run = machine.fails("resolve ocidir://layout --constraint ^2 --offline", 3, &["no tag of"]);
    assert!(!run.stderr.contains("the cache"), "{}", run.stderr);
}

#[test]
fn what_was_resolved_and_then_pulled_by_what_that_printed_is_known_by_its_tag() {
    let (machine, registry) = (Machine::new(), registry());
    pushed(&machine, &registry, &small());
    let repository = format!("{}/o/r", registry.host());
    machine.prints(&format!("tag {repository}:v1 1.0.0"));
    let resolved = machine.prints(&format!("resolve {repository} --constraint ^1"));
    machine.prints(&format!("pull {} before", resolved.trim_end()));
    registry.stop();
    assert_eq!(machine.prints(&format!("resolve {repository} --constraint ^1 --offline -q")), resolved);
    machine.prints(&format!("pull {repository}:1.0.0 after --offline -q"));
    assert!(machine.read("after") == machine.read("before"));
}

#[test]
fn after_all_is_pruned_nothing_is_known_of_a_tag() {
    let (machine, host) = pulled();
    machine.prints("cache prune --all --dry-run");
    machine.prints(&format!("resolve {host}/o/r:v1 --offline -q"));
    machine.prints("cache prune --all");
    machine.fails(&format!("resolve {host}/o/r:v1 --offline"), 3, &["manifest `v1`", "is not in the cache"]);
}

#[test]
fn what_came_as_a_delta_is_whole_once_it_was_fetched() {
    let (machine, registry) = (Machine::new(), registry());
    let at = format!("{}/o/r:v1", registry.host());
    for (version, changed) in [("one", 0), ("two", 100 << 10)] {
        machine.write("source", &small().file("changed", noise(changed)).file("large", noise(400 << 10)));
        machine.prints(&format!("push source {at}"));
        machine.prints(&format!("pull {at} {version}"));
    }
    machine.prints(&format!("ls {at} --offline"));
    let words = ["is not in the cache", "hint: it is fetched without `--offline`", "or over an older version does not"];
    machine.fails(&format!("pull {at} three --offline"), 3, &words);
    machine.prints(&format!("cache fetch {at}"));
    machine.prints(&format!("pull {at} three --offline -q"));
    assert!(machine.read("three") == machine.read("two"));
}

#[test]
fn a_registry_that_is_there_is_asked_for_nothing() {
    let (machine, registry) = (Machine::new(), FakeRegistry::builder().start_blocking());
    now(Image::new().file("a", "one").push(&*registry.repository("o/r"), &["v1"])).unwrap();
    let at = format!("{}/o/r:v1", registry.host());
    for line in ["pull", "ls", "inspect", "resolve", "manifest"] {
        machine.fails(&format!("{line} {at} --offline"), 3, &["is not in the cache"]);
    }
    machine.fails(&format!("unpack {at} root --offline"), 3, &["is not in the cache"]);
    assert_eq!(registry.requests().len(), 0);
}

#[test]
fn one_damaged_layer_is_told_by_its_digest_and_all_that_is_whole_stays() {
    let (machine, registry) = (Machine::new(), registry());
    let base = Tree::new().file("base", noise(200 << 10));
    let image = |own: &str| Image::new().tree(&base).tree(&Tree::new().file(own, noise(300 << 10)));
    let push = |own: &str| now(image(own).push(&*registry.repository("o/r"), &[own])).unwrap();
    let [one, two] = ["one", "two"].map(|own| format!("{}/o/r:{own}", registry.host()));
    let Document::Image(manifest) = push("one").parse().unwrap() else { panic!("an image") };
    push("two");
    let damaged = &manifest.layers[1].digest;
    machine.prints(&format!("cache fetch {one} {two}"));
    registry.stop();

    let blobs = machine.cache().join("blobs/sha256");
    let names = || fs::read_dir(&blobs).unwrap().map(|blob| blob.unwrap().file_name()).collect::<BTreeSet<_>>();
    let (path, mut rest) = (blobs.join(damaged.encoded()), names());
    assert!(rest.remove(path.file_name().unwrap()));
    let mut bytes = fs::read(&path).unwrap();
    bytes[100_000..100_004].copy_from_slice(b"harm");
    for line in ["ls AT", "cat AT one", "cat AT base", "pull AT here", "unpack AT root", "ls AT"] {
        fs::remove_file(&path).ok();
        fs::write(&path, &bytes).unwrap();
        let line = format!("{} --offline", line.replace("AT", &one));
        machine.run(&line).failed(8, &[damaged.as_ref(), "hint: it comes from the cache: `refs cache fetch REF`"]);
        assert_eq!(names(), rest, "{line}");
        assert!(machine.cache().join("quarantine").join(format!("sha256-{}", damaged.encoded())).exists());
        assert_eq!(machine.prints(&format!("tags ocidir://{}", machine.cache().display())).trim_end(), two);
        assert_eq!(machine.prints(&format!("ls {two} --offline")), "base\ntwo\n");
    }
}

#[test]
fn what_was_damaged_is_told_of_until_all_of_it_was_fetched_anew() {
    let (machine, registry) = (Machine::new(), registry());
    pushed(&machine, &registry, &small().file("large", noise(400 << 10)));
    let at = format!("{}/o/r:v1", registry.host());
    machine.prints(&format!("pull {at} before"));
    let blobs = fs::read_dir(machine.cache().join("blobs/sha256")).unwrap().map(|blob| blob.unwrap().path());
    let layer = blobs.max_by_key(|blob| blob.metadata().unwrap().len()).unwrap();
    let mut bytes = fs::read(&layer).unwrap();
    bytes[100_000..100_004].copy_from_slice(b"harm");
    fs::remove_file(&layer).unwrap();
    fs::write(&layer, bytes).unwrap();

    machine.fails(&format!("pull {at} after --offline"), 8, &["hint: it comes from the cache: `refs cache fetch REF`"]);
    let aside = machine.cache().join("quarantine").join(format!("sha256-{}", layer.file_name().unwrap().display()));
    let words = format!("is not in the cache: what it had was damaged, and was moved to `{}`\n", aside.display());
    let hint = "hint: `refs cache fetch REF` fetches it anew, and keeps all of it";
    machine.fails(&format!("pull {at} after --offline"), 3, &[&words, hint]);
    // It brings that file alone.
    machine.prints(&format!("pull {at} some --path guide/one.md"));
    machine.fails(&format!("pull {at} after --offline"), 3, &[&words, hint]);
    machine.prints(&format!("cache fetch {at}"));
    machine.prints(&format!("pull {at} after --offline -q"));
    assert!(machine.read("after") == machine.read("before"));
}

#[test]
fn a_damaged_layout_is_not_blamed_on_the_cache() {
    let machine = Machine::new();
    machine.write("source", &small().file("large", noise(300 << 10)));
    machine.prints("push source ocidir://layout:v1");
    let blobs = fs::read_dir(machine.path("layout/blobs/sha256")).unwrap().map(|blob| blob.unwrap().path());
    let layer = blobs.max_by_key(|blob| blob.metadata().unwrap().len()).unwrap();
    let mut bytes = fs::read(&layer).unwrap();
    bytes[100_000..100_004].copy_from_slice(b"harm");
    fs::remove_file(&layer).unwrap();
    fs::write(&layer, bytes).unwrap();
    let run = machine.fails("pull ocidir://layout:v1 here --offline", 8, &["hint: "]);
    assert!(!run.stderr.contains("the cache"), "{}", run.stderr);
}

#[test]
fn without_a_cache_the_hint_says_that_there_is_none() {
    let machine = Machine::new();
    let hint = format!("hint: there is no cache at `{}` yet: ", machine.cache().display());
    for line in ["ls localhost:1/o/r:v1", "tags localhost:1/o/r", "cat localhost:1/o/r:v1 a"] {
        let words = ["is not in the cache", &hint, "`REFS_CACHE_DIR` names another folder"];
        let run = machine.fails(&format!("{line} --offline"), 3, &words);
        assert!(!run.stderr.contains("cache fetch"), "{}", run.stderr);
    }
    let mut homeless = machine.command("ls localhost:1/o/r:v1 --offline");
    homeless.env_remove("REFS_CACHE_DIR").env_remove("HOME");
    ended(&mut homeless).failed(3, &["is not in the cache", "hint: there is no cache, as there is no home"]);
}

#[test]
fn what_the_cache_has_of_a_registry_that_is_down_is_told_of() {
    let (machine, host) = pulled();
    machine.prints("push before ocidir://layout:v1");
    let words = ["hint: check that a registry listens on ", "; what the cache has of it is read with `--offline`\n"];
    for line in ["ls AT:v1", "cat AT:v1 guide/one.md", "pull AT:v1 after", "resolve AT:v1", "tags AT", "manifest AT:v1"]
    {
        machine.fails(&line.replace("AT", &format!("{host}/o/r")), 7, &words);
    }
    machine.fails(&format!("diff {host}/o/r:v1 ocidir://layout:v1"), 7, &words);
    for line in [
        "ls HOST/o/other:v1",
        "tags HOST/o/other",
        "push before HOST/o/r:v1",
        "cp HOST/o/r:v1 HOST/o/to:v1",
        "referrers HOST/o/r:v1",
    ] {
        let run = machine.fails(&line.replace("HOST", host.as_str()), 7, &[words[0]]);
        assert!(!run.stderr.contains("--offline"), "{}", run.stderr);
    }
}

#[test]
fn what_is_kept_for_another_platform_is_fetched_for_the_one_that_was_asked_for() {
    let (machine, registry) = (Machine::new(), registry());
    let images = ["linux/amd64", "linux/arm64"].map(|name| {
        let image = Image::new().tree(&Tree::new().file("name", name.to_owned()));
        (Platform::parse(name).unwrap(), image)
    });
    now(image::push_index(&*registry.repository("o/r"), &images, &["v1"])).unwrap();
    let at = format!("{}/o/r:v1", registry.host());
    machine.prints(&format!("cache fetch {at} --platform linux/amd64"));
    let fetch = format!("cache fetch {at} --platform linux/arm64");
    for line in ["pull AT here", "resolve AT", "ls AT"] {
        let line = format!("{} --platform linux/arm64 --offline", line.replace("AT", &at));
        machine.fails(&line, 3, &[&format!("`refs {fetch}` keeps all of an image")]);
    }
    machine.prints(&fetch);
    machine.prints(&format!("ls {at} --platform linux/arm64 --offline"));
}
