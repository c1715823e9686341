//! Entries that try to get out, named by what is known of their kind.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use refs_estargz::Kind;

use super::{Budget, Existing, Ground, Item, Staging, Unpack, directory, file, hardlink, symlink, tree};
use crate::{
    Error,
    receive::{Hand, Receive},
    unpack::{links, plan::Plan},
};

/// What an error is, and which path it names.
fn said(error: &Error) -> (&'static str, &str) {
    match error {
        Error::UnsafePath { path, .. } => ("unsafe path", path),
        Error::UnsafeLink { path, .. } => ("unsafe link", path),
        Error::PathConflict { path } => ("conflict", path),
        Error::SpecialFile { path, .. } => ("special file", path),
        Error::FileTooLarge { path, .. } => ("file too large", path),
        Error::Io { .. } => ("io", ""),
        other => panic!("{other:?}"),
    }
}

/// Unpacks beside a directory that must stay as it is, and finds the destination absent.
#[track_caller]
fn refused(layers: &[Vec<Item>], expect: (&str, &str)) {
    let ground = Ground::new();
    fs::create_dir(ground.path("outside")).unwrap();
    fs::write(ground.path("outside/canary"), "alive").unwrap();
    let before = ground.snapshot();
    let error = ground.unpack(layers).unwrap_err();
    assert_eq!(said(&error), expect);
    assert_eq!(ground.snapshot(), before);
}

#[track_caller]
fn unpacks(layers: &[Vec<Item>], expect: &[(&str, &str)]) {
    let ground = Ground::new();
    ground.unpack(layers).unwrap();
    assert_eq!(super::snapshot(&ground.dest()), tree(expect));
}

#[test]
fn m105_m114_paths_that_are_not_names_below_the_root_are_refused() {
    let long = "x".repeat(256);
    let longest = ["x".repeat(255).as_str(); 17].join("/");
    let deepest = ["d"; 129].join("/");
    for path in [
        "",
        "/",
        "/abs",
        "//x",
        "..",
        "../x",
        "../../../etc/passwd",
        "a/../../x",
        "a/../x",
        "a/..",
        ".",
        "./a",
        "a/.",
        "a//b",
        "a/",
        "a\0b",
        &long,
        &longest,
        &deepest,
    ] {
        for item in [file(path, "x"), directory(path), symlink(path, "x"), hardlink(path, "x")] {
            let ground = Ground::new();
            let error = ground.unpack(&[vec![item]]).unwrap_err();
            assert_eq!(said(&error).0, "unsafe path", "{path:?}");
            assert_eq!(ground.snapshot(), tree(&[]), "{path:?}");
        }
    }
}

#[test]
fn an_unsafe_path_late_in_a_layer_leaves_nothing_of_what_came_before() {
    refused(
        &[vec![file("good", "x"), directory("d"), file("../outside/canary", "dead")]],
        ("unsafe path", "../outside/canary"),
    );
}

#[test]
fn names_that_are_only_unusual_are_taken_as_they_are() {
    unpacks(
        &[vec![
            file("naïve.md", "1"),
            file("日本.txt", "2"),
            file("..data", "3"),
            file("...", "4"),
            file(".sow-ref.yaml", "5"),
            file("C:\\Windows\\x", "6"),
            file("..\\..\\y", "7"),
            file("%2e%2e%2fz", "8"),
            file("with (space)+@=.txt", "9"),
        ]],
        &[
            ("naïve.md", "644 \"1\""),
            ("日本.txt", "644 \"2\""),
            ("..data", "644 \"3\""),
            ("...", "644 \"4\""),
            (".sow-ref.yaml", "644 \"5\""),
            ("C:\\Windows\\x", "644 \"6\""),
            ("..\\..\\y", "644 \"7\""),
            ("%2e%2e%2fz", "644 \"8\""),
            ("with (space)+@=.txt", "644 \"9\""),
        ],
    );
}

#[test]
fn m105_a_path_twice_in_a_layer_is_refused_unless_it_is_a_directory() {
    let kinds = || [file("p", "1"), directory("p"), symlink("p", "t"), hardlink("p", "t")];
    for (i, first) in kinds().into_iter().enumerate() {
        for (j, second) in kinds().into_iter().enumerate() {
            if (i, j) != (1, 1) {
                refused(&[vec![file("t", ""), first.clone(), second]], ("conflict", "p"));
            }
        }
    }
    unpacks(&[vec![directory("p").mode(0o700), directory("p").mode(0o750)]], &[("p", "750 directory")]);
}

#[test]
fn m105_an_entry_below_a_file_is_refused() {
    refused(&[vec![file("a", ""), file("a/b", "")]], ("conflict", "a"));
    refused(&[vec![file("a/b", ""), file("a", "")]], ("conflict", "a"));
    refused(&[vec![file("t", ""), hardlink("a", "t"), directory("a/b/c")]], ("conflict", "a"));
}

#[test]
fn m106_m116_nothing_is_written_through_a_link_of_the_same_artifact() {
    refused(&[vec![symlink("x", "/tmp"), file("x/pwned", "")]], ("unsafe link", "x"));
    refused(&[vec![directory("d"), symlink("x", "d"), file("x/f", "")]], ("conflict", "x"));
    refused(&[vec![file("x/f", ""), symlink("x", "d")]], ("conflict", "x"));
    refused(&[vec![symlink("x", "d")], vec![file("x/f", "")]], ("conflict", "x"));
    refused(&[vec![symlink("x", "d"), symlink("x/y", "e")]], ("conflict", "x"));
    refused(&[vec![symlink("x", "d"), directory("x/y")]], ("conflict", "x"));
}

#[test]
fn m116_links_that_lead_out_are_refused() {
    for (path, target) in [
        ("x", "/etc/passwd"),
        ("x", "/"),
        ("x", ".."),
        ("x", "../outside"),
        ("x", "../dest/y"),
        ("x", "a/../../y"),
        ("x", ""),
        ("x", "a\0b"),
        ("d/x", "../../outside"),
        ("d/e/x", "../../../outside/canary"),
    ] {
        refused(&[vec![symlink(path, target)]], ("unsafe link", path));
    }
    refused(&[vec![symlink("x", &"a/".repeat(2048))]], ("unsafe link", "x"));
    refused(&[vec![symlink("x", &"a/".repeat(300))]], ("unsafe link", "x"));
}

#[test]
fn m116_a_link_that_leads_out_by_way_of_another_is_refused() {
    let up = || symlink("a/b/up", "../..");
    refused(&[vec![directory("a"), up(), symlink("x", "a/b/up/../outside")]], ("unsafe link", "x"));
    refused(&[vec![symlink("x", "a/b/up/../outside"), up()]], ("unsafe link", "x"));
    refused(&[vec![up()], vec![symlink("x", "a/b/up/../outside")]], ("unsafe link", "x"));
    refused(&[vec![up(), symlink("s", "a/b"), symlink("x", "s/up/../outside")]], ("unsafe link", "x"));
    refused(&[vec![up(), symlink("a/y", "b/up"), symlink("x", "a/y/../outside")]], ("unsafe link", "x"));
    refused(&[vec![symlink("d/root", ".."), symlink("d/x", "root/../outside")]], ("unsafe link", "d/x"));
}

#[test]
fn a_link_that_leads_on_from_the_end_of_others_to_too_long_a_path_is_refused() {
    let name = "x".repeat(200);
    let on = |i: usize| symlink(&format!("l{i:02}"), &format!("l{:02}/{name}", i - 1));
    let links = |count| std::iter::once(symlink("l00", &name)).chain((1..count).map(on)).collect::<Vec<_>>();
    assert!(Ground::new().unpack(&[links(20)]).is_ok());
    refused(&[links(21)], ("unsafe link", "l20"));
}

#[test]
fn links_that_stay_inside_are_kept_wherever_they_lead() {
    unpacks(
        &[vec![
            file("a/b/f", "1"),
            symlink("self", "./a/b/f"),
            symlink("a/b/l", "../b/f"),
            symlink("root", "."),
            symlink("a/b/top", "../.."),
            symlink("again", "a/b/top/a//b/"),
            symlink("nowhere", "not/there"),
            symlink("circle", "circle"),
            symlink("one", "two/x/.."),
            symlink("two", "one"),
        ]],
        &[
            ("a", "755 directory"),
            ("a/b", "755 directory"),
            ("a/b/f", "644 \"1\""),
            ("a/b/l", "-> ../b/f"),
            ("a/b/top", "-> ../.."),
            ("again", "-> a/b/top/a//b/"),
            ("circle", "-> circle"),
            ("nowhere", "-> not/there"),
            ("one", "-> two/x/.."),
            ("root", "-> ."),
            ("self", "-> ./a/b/f"),
            ("two", "-> one"),
        ],
    );
}

#[test]
fn a_chain_of_links_of_any_length_is_followed() {
    let mut plan = Plan::default();
    for i in 0..50_000 {
        plan.add(&symlink(&format!("l{i}"), &format!("l{}", i + 1)).entry).unwrap();
    }
    plan.add(&symlink("l50000", "d/e/up").entry).unwrap();
    plan.add(&symlink("d/e/up", "../..").entry).unwrap();
    links::check(&plan).unwrap();
    plan.add(&symlink("z", "l0/../outside").entry).unwrap();
    assert_eq!(said(&links::check(&plan).unwrap_err()), ("unsafe link", "z"));
}

#[test]
fn m118_a_file_takes_the_place_of_a_link_of_an_earlier_layer() {
    unpacks(
        &[vec![file("t", "old"), symlink("x", "t")], vec![file("x", "new")]],
        &[("t", "644 \"old\""), ("x", "644 \"new\"")],
    );
}

#[test]
fn m118_a_file_takes_the_place_of_one_of_two_names_and_leaves_the_other() {
    unpacks(
        &[vec![file("a", "old"), hardlink("b", "a")], vec![file("a", "new")]],
        &[("a", "644 \"new\""), ("b", "644 \"old\"")],
    );
    unpacks(
        &[vec![file("a", "old"), hardlink("b", "a")], vec![file("b", "new")]],
        &[("a", "644 \"old\""), ("b", "644 \"new\"")],
    );
}

#[test]
fn m119_a_directory_takes_the_place_of_a_link_and_the_target_keeps_its_mode() {
    unpacks(
        &[vec![directory("t").mode(0o700), symlink("x", "t")], vec![directory("x").mode(0o755)]],
        &[("t", "700 directory"), ("x", "755 directory")],
    );
    refused(&[vec![symlink("x", "t"), directory("x").mode(0o777)]], ("conflict", "x"));
}

#[test]
fn m121_names_of_what_is_no_file_of_the_artifact_are_refused() {
    for target in
        ["/etc/passwd", "../outside/canary", "a/../../outside/canary", "", ".", "missing", "d", "s", "s/f", "h"]
    {
        let items = vec![directory("d"), file("d/f", ""), symlink("s", "d"), hardlink("h", target)];
        refused(&[items], ("unsafe link", "h"));
    }
    refused(&[vec![hardlink("a", "b"), hardlink("b", "a")]], ("unsafe link", "a"));
    refused(&[vec![symlink("s", "f"), file("f", "")], vec![hardlink("h", "s")]], ("unsafe link", "h"));
}

#[test]
fn m125_devices_and_pipes_are_refused() {
    for kind in [Kind::Fifo, Kind::CharDevice { major: 1, minor: 3 }, Kind::BlockDevice { major: 8, minor: 0 }] {
        refused(&[vec![file("f", ""), Item::new("p", kind, 0o666)]], ("special file", "p"));
    }
}

#[test]
fn m170_no_room_is_made_for_a_claimed_size() {
    use std::os::unix::fs::MetadataExt;

    let mut item = file("f", "x");
    item.entry.kind = Kind::File { size: u64::MAX };
    refused(&[vec![item.clone()]], ("file too large", "f"));

    let ground = Ground::new();
    let unlimited = super::Limits { file_bytes: 0, total_bytes: 0, entries: 0 };
    let staging = Staging::beside(&ground.dest(), Existing::Refuse).unwrap();
    let mut unpack = Unpack::new(staging.root(), &Arc::new(Budget::new(unlimited)));
    unpack.entry(&item.entry).unwrap();
    unpack.hand().piece(&item.entry, 0, b"x").unwrap();
    let sizes: Vec<_> = walk(&ground.path("")).into_iter().map(|file| file.metadata().unwrap()).collect();
    assert_eq!(sizes.iter().map(|file| (file.len(), file.blocks() <= 64)).collect::<Vec<_>>(), [(1, true)]);
    assert!(matches!(unpack.finish(), Err(Error::Worker)), "a file whose bytes have not come is not complete");
}

/// The file `f`, wherever it is below `folder`.
fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => walk(&path),
            false => Vec::from_iter(path.ends_with("f").then_some(path)),
        })
        .collect()
}
