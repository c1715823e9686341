//! `refs diff`

use std::{
    fs,
    path::{Path, PathBuf},
};

use refs_registry::MediaType;
use refs_testkit::{FakeRegistry, Image, Tree};

use crate::support::{Machine, noise, pushed, put, registry};

/// Two artifacts in a layout.
fn two() -> Machine {
    let machine = Machine::new();
    machine.write("one", &Tree::parse("644 a \"1\"\n644 b \"2\"\n644 d \"x\""));
    machine.write("two", &Tree::parse("644 a \"1\"\n644 b \"3\"\n755 c \"4\"\n777 d -> a"));
    machine.prints("push one ocidir://layout:v1");
    machine.prints("push two ocidir://layout:v2");
    machine
}

/// What is printed of two that differ.
#[track_caller]
fn differ(machine: &Machine, line: &str) -> String {
    let run = machine.run(line);
    assert_eq!((run.code, run.stderr.as_str()), (1, ""));
    run.text()
}

#[test]
fn differences_are_letters_and_paths_and_exit_code_1() {
    let machine = two();
    let run = differ(&machine, "diff ocidir://layout:v1 ocidir://layout:v2");
    assert_eq!(run, "M\tb\nA\tc\nT\td\n");
    let run = differ(&machine, "diff ocidir://layout:v2 ocidir://layout:v1 --path c");
    assert_eq!(run, "D\tc\n");
}

#[test]
fn what_is_the_same_is_silence_and_exit_code_0() {
    let machine = two();
    assert_eq!(machine.prints("diff ocidir://layout:v1 ocidir://layout:v1"), "");
    assert_eq!(machine.prints("diff ocidir://layout:v1 ocidir://layout:v2 --path a"), "");
}

#[test]
fn trouble_is_2_or_more() {
    let machine = two();
    machine.fails("diff ocidir://layout:v1 ocidir://layout:v3", 3, &["v3"]);
    machine.fails("diff ocidir://layout:v1 ocidir://layout:v2 --path nothing", 3, &["nothing"]);
    machine.fails("diff ocidir://layout:v1", 2, &["<NEW>"]);
    machine.fails("diff ocidir://layout:v1 ocidir://layout:v2 --path [", 2, &["["]);
}

#[test]
fn json_tells_what_was_and_what_is() {
    let machine = two();
    let run = differ(&machine, "diff ocidir://layout:v1 ocidir://layout:v2 --format json");
    let diff: serde_json::Value = serde_json::from_str(&run).unwrap();
    assert_eq!((&diff["schemaVersion"], &diff["old"]["access"]), (&1.into(), &"index".into()));
    let change = &diff["changes"][0];
    assert_eq!(change["path"], "b");
    assert_eq!((&change["change"], &change["aspects"][0]), (&"changed".into(), &"content".into()));
    assert_ne!(change["old"]["digest"], change["new"]["digest"]);
    assert_eq!((&diff["changes"][1]["change"], &diff["changes"][1]["new"]["mode"]), (&"added".into(), &"0755".into()));
}

#[test]
fn pull_over_an_older_version_says_what_it_had() {
    let (machine, registry) = (Machine::new(), registry());
    let old = Tree::new().file("large", noise(600 << 10)).file("small", "1");
    pushed(&machine, &registry, &old);
    machine.prints(&format!("pull {}/o/r:v1 here", registry.host()));
    machine.write("again", &old.file("small", "2"));
    machine.prints(&format!("push again {}/o/r:v1", registry.host()));
    let report = machine.json(&format!("pull {}/o/r:v1 here --force", registry.host()));
    assert_eq!(report["reusedBytes"], 600 << 10);
    assert!(report["fetchedBytes"].as_u64().unwrap() < 5_000, "{report}");
}

/// A machine whose cache has two versions, of which the second is damaged: where it is, and the registry.
fn damaged() -> (Machine, FakeRegistry, String) {
    let (machine, registry) = (Machine::new(), registry());
    let at = format!("{}/o/r", registry.host());
    for (version, content) in [("v2", "2"), ("v1", "1")] {
        pushed(&machine, &registry, &Tree::new().file("large", noise(300 << 10)).file("small", content));
        machine.prints(&format!("tag -q {at}:v1 {version}"));
    }
    machine.prints(&format!("cache fetch {at}:v1"));
    let before = layers(&machine.cache());
    machine.prints(&format!("cache fetch {at}:v2"));
    let layer = layers(&machine.cache()).into_iter().find(|layer| !before.contains(layer)).unwrap();
    damage(&layer);
    (machine, registry, at)
}

/// The blobs in `folder` that are larger than others.
fn layers(folder: &Path) -> Vec<PathBuf> {
    let blobs = fs::read_dir(folder.join("blobs/sha256")).unwrap().map(|blob| blob.unwrap().path());
    blobs.filter(|blob| blob.metadata().unwrap().len() > 100_000).collect()
}

/// Changes the table of contents of a layer.
fn damage(layer: &Path) {
    let mut bytes = fs::read(layer).unwrap();
    let at = bytes.len() - 400;
    bytes[at] ^= 1;
    fs::remove_file(layer).unwrap();
    fs::write(layer, bytes).unwrap();
}

#[test]
fn a_damaged_cache_is_fetched_again() {
    let (machine, _registry, at) = damaged();
    assert_eq!(differ(&machine, &format!("diff {at}:v1 {at}:v2")), "M\tsmall\n");
}

#[test]
fn a_damaged_cache_is_told_of_offline_and_the_hint_mends_it() {
    let (machine, _registry, at) = damaged();
    let line = format!("diff {at}:v1 {at}:v2 --offline");
    machine.fails(&line, 8, &["hint: it comes from the cache: `refs cache fetch REF`"]);
    machine.prints(&format!("cache fetch {at}:v1 {at}:v2"));
    assert_eq!(differ(&machine, &line), "M\tsmall\n");
}

#[test]
fn a_sound_layout_is_not_blamed_for_what_it_is_compared_with() {
    let (machine, registry, at) = damaged();
    machine.prints(&format!("cp -q {at}:v1 ocidir://layout:v1"));
    let line = format!("diff ocidir://layout:v1 {at}:v2");
    machine.fails(&format!("{line} --offline"), 8, &["hint: it comes from the cache: "]);
    assert_eq!(differ(&machine, &line), "M\tsmall\n");
    let junk = b"\x1f\x8b\x08\0\0\0\0\0\0\xffjunk".to_vec();
    put(&registry, &Image::new().layer(MediaType::OCI_LAYER_GZIP, junk));
    let run =
        machine.fails(&format!("diff ocidir://layout:v1 {at}:v1"), 8, &["hint: the layer is as its manifest says"]);
    assert!(!run.stderr.contains("remove it"), "{}", run.stderr);
}

#[test]
fn a_damaged_layout_is_told_beside_a_sound_cache() {
    let (machine, _registry, at) = damaged();
    machine.prints(&format!("cp -q {at}:v1 ocidir://layout:v1"));
    // What is damaged is found, and gone.
    machine.prints(&format!("ls {at}:v2"));
    machine.prints(&format!("cache fetch {at}:v2"));
    damage(&layers(&machine.path("layout"))[0]);
    for line in ["diff AT:v2 ocidir://layout:v1", "diff ocidir://layout:v1 AT:v2 --offline"] {
        let words = ["; if `layout/blobs/sha256/", "copy the artifact to ocidir://layout:v1 again"];
        machine.run(&line.replace("AT", &at)).failed(8, &words);
    }
}
