//! `refs diff`

use refs_testkit::Tree;

use crate::support::{Machine, noise, pushed, registry};

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
