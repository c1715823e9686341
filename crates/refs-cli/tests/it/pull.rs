//! `refs pull`

use std::fs;

use refs_testkit::{FakeRegistry, Image, Quirks, Tree, quirks::Ranges};

use crate::support::{MANIFEST, Machine, pushed, put, registry, small};

fn small_layout() -> Machine {
    let machine = Machine::new();
    machine.write("source", &small());
    machine.prints("push source ocidir://layout:v1");
    fs::remove_dir_all(machine.path("source")).unwrap();
    machine
}

fn whole() -> Tree {
    let tree = tempfile::tempdir().unwrap();
    small().write(tree.path()).unwrap();
    Tree::read(tree.path()).unwrap()
}

#[test]
fn the_destination_is_called_as_the_repository_unless_it_is_named() {
    let (machine, registry) = (Machine::new(), registry());
    pushed(&machine, &registry, &small());
    let said = machine.prints(&format!("pull {}/o/r:v1", registry.host()));
    assert!(said.starts_with("r: 5 files, "), "{said}");
    assert_eq!((machine.names(), machine.read("r")), (vec!["r".to_owned()], whole()));
}

#[test]
fn json_tells_what_was_written() {
    let machine = small_layout();
    let pulled = machine.json("pull ocidir://layout:v1 here");
    assert_eq!((&pulled["destination"], &pulled["files"]), (&"here".into(), &5.into()));
    assert_eq!((&pulled["directories"], &pulled["links"]), (&2.into(), &0.into()));
    assert_eq!(pulled["writtenBytes"], 238);
    assert!(pulled["fetchedBytes"].as_u64().unwrap() > 0, "{pulled}");
    assert_eq!(pulled["digest"], machine.json("resolve ocidir://layout:v1")["digest"]);
}

#[test]
fn a_layout_is_never_its_own_destination() {
    let machine = small_layout();
    machine.write("around/other", &small());
    fs::rename(machine.path("layout"), machine.path("around/layout")).unwrap();
    let words = ["is where the layout is that is pulled from"];
    for destination in
        ["around/layout", "around", "around/layout/blobs", "around/layout/new/deep", "./around/../around/layout/"]
    {
        machine.fails(&format!("pull ocidir://around/layout:v1 {destination} --force"), 11, &words);
    }
    machine.fails("pull ocidir://around/layout:v1 --force", 2, &["name a destination", "this is on the disk"]);
    assert_eq!(machine.prints("tags ocidir://around/layout"), "v1\n");
}

#[test]
fn a_pattern_may_be_the_plain_path_of_a_directory() {
    let machine = small_layout();
    let (plain, slash) = (machine.prints("ls ocidir://layout:v1 --path guide"), "ls ocidir://layout:v1 --path guide/");
    assert!(plain.lines().count() > 1, "{plain}");
    assert_eq!(plain, machine.prints(slash));
}

#[test]
fn an_empty_directory_is_as_good_as_none() {
    let machine = small_layout();
    fs::create_dir(machine.path("here")).unwrap();
    machine.prints("pull ocidir://layout:v1 here");
    assert_eq!(machine.read("here"), whole());
    assert_eq!(machine.names(), ["here", "layout"]);
}

#[test]
fn a_destination_with_something_in_it_is_replaced_when_forced_only() {
    let machine = small_layout();
    let old = Tree::parse("644 old.txt \"old\"");
    machine.write("here", &old);
    let hint = "\nhint: name another destination, or replace this one with `--force`, which deletes all that is in it, \
                files of your own as well; an older pull is replaced in no other way";
    machine.fails("pull ocidir://layout:v1 here", 11, &["the destination `here` is not empty", hint]);
    assert_eq!(machine.read("here"), old);
    machine.prints("pull ocidir://layout:v1 here --force");
    assert_eq!(machine.read("here"), whole());
    assert_eq!(machine.names(), ["here", "layout"]);
    machine.fails("pull ocidir://layout:v1 here", 11, &["the destination `here` is not empty", hint]);
}

#[test]
fn a_file_at_the_destination_stays() {
    let machine = small_layout();
    fs::write(machine.path("here"), "mine").unwrap();
    for flag in ["", "--force"] {
        let run = machine.fails(
            &format!("pull ocidir://layout:v1 here {flag}"),
            11,
            &["`here` is not a directory", "\nhint: "],
        );
        assert!(!run.stderr.contains("--force"), "{}", run.stderr);
    }
    assert_eq!(fs::read(machine.path("here")).unwrap(), b"mine");
}

#[test]
fn a_forced_pull_that_fails_leaves_the_old_files() {
    let machine = small_layout();
    let old = Tree::parse("644 old.txt \"old\"");
    machine.write("here", &old);
    machine.fails("pull ocidir://layout:v1 here --force --max-files 2", 9, &["there are more than 2 files"]);
    assert_eq!(machine.read("here"), old);
}

#[test]
fn a_link_at_the_destination_is_followed() {
    let machine = small_layout();
    fs::create_dir(machine.path("real")).unwrap();
    std::os::unix::fs::symlink("real", machine.path("here")).unwrap();
    machine.prints("pull ocidir://layout:v1 here");
    assert_eq!(machine.read("real"), whole());
    assert!(fs::symlink_metadata(machine.path("here")).unwrap().is_symlink());
}

#[test]
fn a_file_of_the_limit_passes_and_one_byte_more_does_not() {
    let machine = small_layout();
    let at = "ocidir://layout:v1";
    let words = [
        "`.sow-ref.yaml` has 212 bytes, more than the limit of 211",
        "\nhint: allow more with `--max-file-size BYTES`",
    ];
    machine.fails(&format!("pull {at} here --max-file-size 211"), 9, &words);
    machine.prints(&format!("pull {at} here --max-file-size 212"));
    let words = ["the files have more than 237 bytes together", "\nhint: allow more with `--max-total-size BYTES`"];
    machine.fails(&format!("pull {at} there --max-total-size 237"), 9, &words);
    machine.prints(&format!("pull {at} there --max-total-size 238"));
    let words = ["there are more than 6 files, directories and links", "\nhint: allow more with `--max-files N`"];
    machine.fails(&format!("pull {at} everywhere --max-files 6"), 9, &words);
    machine.prints(&format!("pull {at} everywhere --max-files 7"));
    machine.prints(&format!("pull {at} nowhere --max-files 0 --max-total-size 0 --max-file-size 0"));
}

#[test]
fn limits_in_bytes_may_have_units() {
    let machine = small_layout();
    let pull = "pull ocidir://layout:v1 here --force --max-file-size";
    for size in ["1K", "1KiB", "1M", "2MiB", "1G", "16GiB", "1KB", "1.5M", "212", "0"] {
        machine.prints(&format!("{pull} {size}"));
    }
    for size in ["K", "1.5", "-1", "-1G", "99999999999G"] {
        let words = [&*format!("invalid value '{size}' for '--max-file-size <BYTES>'"), "such as 1048576, 500M"];
        machine.run(&format!("{pull} {size}")).failed(2, &words);
    }
}

#[test]
fn a_pull_tells_of_all_that_it_wrote() {
    let machine = small_layout();
    let printed = machine.prints("pull ocidir://layout:v1 here");
    assert!(printed.starts_with("here: 5 files, 2 directories, "), "{printed}");
    machine.write("source", &Tree::parse("644 a \"a\"\n777 b -> a"));
    machine.prints("push source ocidir://layout:v2");
    let printed = machine.prints("pull ocidir://layout:v2 there");
    assert!(printed.starts_with("there: 1 file, 1 link, "), "{printed}");
}

#[test]
fn limits_hold_for_layers_that_are_read_as_streams() {
    let (machine, registry) = (Machine::new(), registry());
    put(&registry, &Image::new().tree(&small()));
    let at = format!("{}/o/r:v1", registry.host());
    machine.fails(&format!("pull {at} here --max-file-size 211"), 9, &["`.sow-ref.yaml` has 212 bytes"]);
    machine.fails(&format!("pull {at} here --max-total-size 237"), 9, &["the files have more than 237 bytes together"]);
    machine.fails(&format!("pull {at} here --max-files 6"), 9, &["there are more than 6 files"]);
    machine.prints(&format!("pull {at} here --max-file-size 212 --max-total-size 238 --max-files 7"));
    assert_eq!(machine.read("here"), whole());
}

#[test]
fn a_registry_without_ranges_is_read_all_the_same() {
    let quirks = Quirks { ranges: Ranges::Ignored, ..Quirks::default() };
    let (machine, registry) = (Machine::new(), FakeRegistry::builder().quirks(quirks).start_blocking());
    pushed(&machine, &registry, &small());
    let read = |line: &str| {
        let run = machine.run(&line.replace("AT", &format!("--no-cache {}/o/r:v1", registry.host())));
        assert_eq!(run.code, 0);
        assert!(run.stderr.starts_with("warning: the registry gives no parts of blobs"), "{}", run.stderr);
        run.text()
    };
    assert!(read("ls AT").ends_with("guide/one.md\nguide/two.md\n"));
    assert_eq!(read("cat AT guide/one.md"), "one\n");
    read("pull AT part --path bin/**");
    let part = "755 bin/\n755 bin/run \"#!/bin/sh\\n\"";
    assert_eq!(machine.read("part"), Tree::parse(part).file(".sow-ref.yaml", MANIFEST));
    machine.prints(&format!("pull {}/o/r:v1 here", registry.host()));
    assert_eq!(machine.read("here"), whole());
}

/// Nothing is at `here`, nor on its way there.
#[track_caller]
fn nothing_came(machine: &Machine) {
    let names = fs::read_dir(machine.path("")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let left: Vec<String> = names.filter(|name| name.contains("here")).collect();
    assert_eq!(left, [""; 0]);
}

#[test]
fn a_file_of_a_hundred_mebibytes_passes_and_one_byte_more_does_not() {
    let machine = Machine::new();
    fs::create_dir(machine.path("source")).unwrap();
    let file = fs::File::create(machine.path("source/zeroes")).unwrap();
    let push = |bytes: u64| {
        file.set_len(bytes).unwrap();
        assert_eq!(machine.run("push source ocidir://layout:v1 --level 1").code, 0);
    };
    push((100 << 20) + 1);
    let words = ["`zeroes` has 104857601 bytes, more than the limit of 104857600 for a file"];
    machine.fails("pull ocidir://layout:v1 here --path zeroes", 9, &words);
    nothing_came(&machine);
    machine.fails("pull ocidir://layout:v1 here", 9, &words);
    nothing_came(&machine);
    push(100 << 20);
    machine.prints("pull ocidir://layout:v1 here");
    assert_eq!(fs::metadata(machine.path("here/zeroes")).unwrap().len(), 100 << 20);
}

#[test]
fn ten_thousand_entries_pass_and_one_more_does_not() {
    let machine = Machine::new();
    machine.write("source", &(0..10_000).fold(Tree::new(), |tree, i| tree.file(&format!("{i:05}"), "")));
    machine.prints("push source ocidir://layout:v1");
    machine.prints("pull ocidir://layout:v1 all");
    fs::write(machine.path("source/more"), "").unwrap();
    assert_eq!(machine.run("push source ocidir://layout:v1").code, 0);
    let words = ["there are more than 10000 files, directories and links"];
    machine.fails("pull ocidir://layout:v1 here", 9, &words);
    nothing_came(&machine);
    machine.fails("pull ocidir://layout:v1 here --path *", 9, &words);
    nothing_came(&machine);
    machine.prints("pull ocidir://layout:v1 here --path 0000*");
    assert_eq!(fs::read_dir(machine.path("here")).unwrap().count(), 10);
}
