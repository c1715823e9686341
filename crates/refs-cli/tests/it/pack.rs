//! `refs pack`, and what reads its files.

use std::fs;

use refs_testkit::Tree;

use crate::support::{Machine, noise, small};

fn packed() -> Machine {
    let machine = Machine::new();
    machine.write("source", &small());
    machine.prints("pack source docs.tgz");
    machine
}

fn text(machine: &Machine, name: &str) -> String {
    fs::read_to_string(machine.path(name)).unwrap()
}

#[test]
fn a_packed_file_is_listed_read_and_pulled() {
    let machine = packed();
    assert_eq!(machine.prints("ls file://docs.tgz --path *.md"), "README.md\n");
    assert_eq!(machine.prints("cat file://docs.tgz guide/one.md"), text(&machine, "source/guide/one.md"));
    machine.prints("pull file://docs.tgz out");
    let times = Tree::read_with_times(&machine.path("out")).unwrap();
    assert_eq!(times, small());
    machine.prints("pull file://docs.tgz part --path guide/one.md");
    assert_eq!(text(&machine, "part/guide/one.md"), text(&machine, "source/guide/one.md"));
}

#[test]
fn nothing_is_packed_into_the_cache() {
    let machine = packed();
    let file = machine.cache().join("index.json").display().to_string();
    for with in ["", " --force", " --force --no-cache"] {
        machine.fails(&format!("pack source {file}{with}"), 11, &["is where the cache is"]);
    }
    assert!(!machine.cache().exists());
}

#[test]
fn a_packed_file_is_the_layer_that_a_push_makes() {
    let machine = packed();
    let packed = machine.json("pack source again.tgz");
    let pushed = machine.json("push source ocidir://layout:v1");
    assert_eq!(packed["digest"], pushed["layer"]["digest"]);
    assert_eq!(packed["size"], pushed["layer"]["size"]);
    assert_eq!(packed["entries"], pushed["entries"]);
    assert_eq!(packed["size"].as_u64(), Some(fs::metadata(machine.path("docs.tgz")).unwrap().len()));
    assert_eq!(packed["file"], "again.tgz");
}

#[test]
fn what_is_at_the_file_stays_unless_forced() {
    let machine = packed();
    let before = fs::read(machine.path("docs.tgz")).unwrap();
    machine.write("source", &Tree::parse("644 new \"new\""));
    let words = [
        "the destination `docs.tgz` exists already",
        "\nhint: name another destination, or replace this one with `--force`",
    ];
    machine.fails("pack source docs.tgz", 11, &words);
    assert_eq!(fs::read(machine.path("docs.tgz")).unwrap(), before);
    machine.prints("pack source docs.tgz --force");
    assert_eq!(machine.prints("cat file://docs.tgz new"), "new");
    machine.fails("pack source source --force", 11, &["`source` is not a file"]);
    assert_eq!(machine.names(), ["docs.tgz", "source"]);
}

#[test]
fn a_file_in_the_directory_is_refused() {
    let machine = packed();
    for file in ["source/docs.tgz", "source/guide/docs.tgz", "./source/new/docs.tgz"] {
        let hint = "\nhint: name a file outside of it";
        machine.fails(&format!("pack source {file}"), 11, &["is in the directory that is to be packed", hint]);
    }
    machine.fails("pack . docs.tgz --force", 11, &["is in the directory that is to be packed"]);
    std::os::unix::fs::symlink("source/docs.tgz", machine.path("link")).unwrap();
    fs::write(machine.path("source/docs.tgz"), "").unwrap();
    machine.fails("pack source link --force", 11, &["is in the directory that is to be packed"]);
}

#[test]
fn bad_sources_leave_nothing() {
    let machine = Machine::new();
    machine.fails("pack source a/b/docs.tgz", 2, &["`source` cannot be packed: it does not exist"]);
    machine.write("source", &small());
    fs::remove_file(machine.path("source/.sow-ref.yaml")).unwrap();
    machine.fails("pack source a/b/docs.tgz --require-manifest", 3, &["no manifest file `.sow-ref.yaml` in source"]);
    std::os::unix::fs::symlink("../../etc/passwd", machine.path("source/leak")).unwrap();
    machine.fails("pack source docs.tgz", 9, &["`source/leak` cannot be packed"]);
    machine.prints("pack source a/b/docs.tgz --exclude leak");
    assert!(!machine.prints("ls file://a/b/docs.tgz").contains("leak"));
}

#[test]
fn a_link_to_a_file_is_followed() {
    let machine = packed();
    std::os::unix::fs::symlink("docs.tgz", machine.path("latest.tgz")).unwrap();
    machine.prints("pack source latest.tgz --force --exclude guide/");
    assert!(fs::symlink_metadata(machine.path("latest.tgz")).unwrap().is_symlink());
    assert!(!machine.prints("ls file://docs.tgz").contains("guide"));
}

#[test]
fn what_no_longer_is_an_archive_is_corrupt() {
    let machine = Machine::new();
    machine.write("source", &Tree::default().file("noise", noise(1 << 20)));
    machine.prints("pack source docs.tgz");
    let whole = fs::read(machine.path("docs.tgz")).unwrap();
    fs::write(machine.path("docs.tgz"), &whole[..whole.len() / 2]).unwrap();
    machine.fails("pull file://docs.tgz out", 8, &["is corrupt", "it ends in the middle of an entry"]);
    machine.fails("ls file://docs.tgz", 8, &["is corrupt"]);
    fs::write(machine.path("docs.tgz"), &whole[..20]).unwrap();
    machine.fails("ls file://docs.tgz", 8, &["is corrupt"]);
    machine.fails("ls file://no.tgz", 3, &["no.tgz"]);
}
