//! `refs ls`

use refs_testkit::{FakeRegistry, Image, Tree};

use crate::support::{Machine, pushed, put, registry, small};

const ALL: &str = ".sow-ref.yaml\nREADME.md\nbin/\nbin/run\nguide/\nguide/one.md\nguide/two.md\n";

#[test]
fn a_listing_costs_two_requests_after_the_token() {
    let (machine, registry) = (Machine::new(), FakeRegistry::builder().token_auth("user", "password").start_blocking());
    machine.login(&registry, "user", "password");
    pushed(&machine, &registry, &small());
    assert_eq!(machine.prints(&format!("ls {}/o/r:v1", registry.host())), ALL);
    let requests = registry.requests();
    let answered: Vec<_> = requests.iter().filter(|seen| seen.path != "/token" && seen.status != 401).collect();
    let [manifest, tail] = answered[..] else { panic!("{requests:?}") };
    assert_eq!((manifest.to_string(), manifest.status), ("GET /v2/o/r/manifests/v1".to_owned(), 200));
    assert_eq!((tail.status, tail.range.is_some()), (206, true));
}

#[test]
fn patterns_choose_paths() {
    let machine = Machine::new();
    machine.write("source", &small());
    machine.prints("push source ocidir://layout:v1");
    let check = |patterns: &str, expect: &str| {
        assert_eq!(machine.prints(&format!("ls ocidir://layout:v1 {patterns}")), expect);
    };
    check("--path *.md", "README.md\n");
    check("--path **/*.md", "README.md\nguide/one.md\nguide/two.md\n");
    check("--path guide/", "guide/\nguide/one.md\nguide/two.md\n");
    check("--path /bin/run --path ./README.md", "README.md\nbin/run\n");
}

#[test]
fn a_long_listing_has_type_mode_size_and_time() {
    let machine = Machine::new();
    machine.write("source", &small());
    machine.prints("push source ocidir://layout:v1");
    let long = machine.prints("ls ocidir://layout:v1 -l --path bin/** --path gui*");
    assert_eq!(long, "file 0755 10 2023-11-14T22:13:24Z bin/run\ndirectory 0755  0 2023-11-14T22:13:25Z guide/\n");
}

#[test]
fn json_has_all_that_is_known_of_a_file() {
    let machine = Machine::new();
    machine.write("source", &small());
    std::os::unix::fs::symlink("bin/run", machine.path("source/link")).unwrap();
    let pushed = machine.json("push source ocidir://layout:v1");
    let listed = machine.json("ls ocidir://layout:v1 --path bin/run --path link");
    assert_eq!(listed["digest"], pushed["digest"]);
    let digest = refs_url::Digest::sha256(b"#!/bin/sh\n").to_string();
    let run = serde_json::json!({
        "path": "bin/run", "type": "file", "size": 10, "mode": "0755", "mtime": 1_700_000_004, "digest": digest,
    });
    assert_eq!(listed["files"][0], run);
    assert_eq!((&listed["files"][1]["type"], &listed["files"][1]["link"]), (&"symlink".into(), &"bin/run".into()));
}

#[test]
fn layers_that_others_pushed_are_listed() {
    let (machine, registry) = (Machine::new(), registry());
    put(&registry, &Image::new().tree(&small()));
    assert_eq!(machine.prints(&format!("ls {}/o/r:v1", registry.host())), ALL);
    put(&registry, &Image::new().file("a.txt", "a").folder("docs", &Tree::parse("755 docs/\n644 docs/one.md \"one\"")));
    let listed = machine.prints(&format!("ls {}/o/r:v1 --path *.txt --path **/one.md", registry.host()));
    assert_eq!(listed, "a.txt\ndocs/one.md\n");
}

#[test]
fn names_that_differ_look_different() {
    let machine = Machine::new();
    machine.write("source", &Tree::new().file("a\nb", "").file("a\\u{a}b", ""));
    machine.prints("push source ocidir://layout:v1");
    assert_eq!(machine.prints("ls ocidir://layout:v1"), "a\\u{a}b\na\\\\u{a}b\n");
    assert_eq!(machine.prints("ls ocidir://layout:v1 --tree"), "├── a\\u{a}b\n└── a\\\\u{a}b\n");
}

#[test]
fn a_tree_shows_what_is_in_what() {
    let machine = Machine::new();
    machine.write("source", &small());
    std::os::unix::fs::symlink("../README.md", machine.path("source/guide/readme")).unwrap();
    machine.prints("push source ocidir://layout:v1");
    let tree = "├── .sow-ref.yaml
├── README.md
├── bin/
│   └── run
└── guide/
    ├── one.md
    ├── readme -> ../README.md
    └── two.md
";
    assert_eq!(machine.prints("ls ocidir://layout:v1 --tree"), tree);
    // The directory that no path of the choice names is drawn all the same.
    assert_eq!(machine.prints("ls ocidir://layout:v1 --tree --path **/run"), "└── bin/\n    └── run\n");
}
