//! The destination is complete, or as it was.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt, fs::symlink as link},
    path::Path,
};

use super::{Existing, Ground, Limits, Staging, directory, file, fill, snapshot, tree};
use crate::{Error, Result, error::DestinationFault};

const BOTH: [Existing; 2] = [Existing::Refuse, Existing::Replace];

fn put(path: &Path, existing: Existing) -> Result<()> {
    let staging = Staging::beside(path, existing)?;
    fill(&staging, &[vec![file("new", "2")]], Limits::default())?;
    staging.publish()
}

#[track_caller]
fn check_fault(ground: &Ground, name: &str, existing: Existing, expect: DestinationFault) {
    let before = ground.snapshot();
    match put(&ground.path(name), existing) {
        Err(Error::Destination { fault, .. }) => assert_eq!(fault, expect),
        other => panic!("{other:?}"),
    }
    assert_eq!(ground.snapshot(), before);
}

#[track_caller]
fn check_new(path: &Path) {
    assert_eq!(snapshot(path), tree(&[("new", "644 \"2\"")]));
}

#[test]
fn m136_an_absent_or_empty_destination_is_filled() {
    for existing in BOTH {
        let ground = Ground::new();
        put(&ground.path("some/parents/dest"), existing).unwrap();
        check_new(&ground.path("some/parents/dest"));

        fs::create_dir(ground.path("empty")).unwrap();
        put(&ground.path("empty/"), existing).unwrap();
        check_new(&ground.path("empty"));
        assert_eq!(fs::read_dir(ground.path("")).unwrap().count(), 2);
    }
}

#[test]
fn an_empty_destination_keeps_its_mode() {
    let ground = Ground::new();
    fs::create_dir(ground.path("private")).unwrap();
    fs::set_permissions(ground.path("private"), fs::Permissions::from_mode(0o700)).unwrap();
    put(&ground.path("private"), Existing::Refuse).unwrap();
    assert_eq!(fs::metadata(ground.path("private")).unwrap().permissions().mode() & 0o7777, 0o700);
}

#[test]
fn a_file_on_the_way_is_in_the_way() {
    let ground = Ground::new();
    fs::write(ground.path("file"), "1").unwrap();
    check_fault(&ground, "file/dest", Existing::Refuse, DestinationFault::NotDirectory);
}

#[test]
fn parents_that_were_missing_are_missing_again_after_a_failure() {
    let ground = Ground::new();
    fs::create_dir(ground.path("there")).unwrap();
    let before = ground.snapshot();
    drop(Staging::beside(&ground.path("there/some/parents/dest"), Existing::Refuse).unwrap());
    assert_eq!(ground.snapshot(), before);
}

#[test]
fn m136_what_is_in_the_way_is_refused_and_stays() {
    let ground = Ground::new();
    fs::create_dir(ground.path("full")).unwrap();
    fs::write(ground.path("full/old"), "1").unwrap();
    fs::write(ground.path("file"), "1").unwrap();
    link("nowhere", ground.path("dangling")).unwrap();
    link("file", ground.path("to-file")).unwrap();
    link("full", ground.path("to-full")).unwrap();
    check_fault(&ground, "full", Existing::Refuse, DestinationFault::NotEmpty);
    check_fault(&ground, "to-full", Existing::Refuse, DestinationFault::NotEmpty);
    for existing in BOTH {
        check_fault(&ground, "file", existing, DestinationFault::NotDirectory);
        check_fault(&ground, "to-file", existing, DestinationFault::NotDirectory);
        check_fault(&ground, "dangling", existing, DestinationFault::NotDirectory);
        check_fault(&ground, "full/..", existing, DestinationFault::NoName);
    }
    for path in [".", "..", "/", ""] {
        let fault = Staging::beside(Path::new(path), Existing::Replace).unwrap_err();
        assert!(matches!(fault, Error::Destination { fault: DestinationFault::NoName, .. }), "{path}");
    }
}

#[test]
fn m136_a_link_to_the_destination_is_followed_once_and_kept() {
    let ground = Ground::new();
    fs::create_dir_all(ground.path("real/place")).unwrap();
    link("real/place", ground.path("dest")).unwrap();
    put(&ground.path("dest/"), Existing::Refuse).unwrap();
    check_new(&ground.path("real/place"));
    assert_eq!(fs::read_link(ground.path("dest")).unwrap(), Path::new("real/place"));

    let staging = Staging::beside(&ground.path("dest"), Existing::Replace).unwrap();
    fs::remove_file(ground.path("dest")).unwrap();
    fs::create_dir(ground.path("elsewhere")).unwrap();
    link("elsewhere", ground.path("dest")).unwrap();
    staging.publish().unwrap();
    assert_eq!(snapshot(&ground.path("elsewhere")), tree(&[]));
    assert_eq!(snapshot(&ground.path("real/place")), tree(&[]));
}

#[test]
fn m136_a_directory_is_replaced_whole_when_asked() {
    let ground = Ground::new();
    fs::create_dir_all(ground.path("dest/old/closed")).unwrap();
    fs::write(ground.path("dest/old/closed/f"), "1").unwrap();
    fs::write(ground.path("keep"), "1").unwrap();
    link("../../keep", ground.path("dest/old/link")).unwrap();
    for path in ["dest/old/closed", "dest/old"] {
        fs::set_permissions(ground.path(path), fs::Permissions::from_mode(0o100)).unwrap();
    }
    put(&ground.dest(), Existing::Replace).unwrap();
    check_new(&ground.dest());
    assert_eq!(fs::read_dir(ground.path("")).unwrap().count(), 2);
    assert_eq!(fs::read_to_string(ground.path("keep")).unwrap(), "1");
}

#[test]
fn m136_a_file_system_that_cannot_swap_replaces_in_two_steps() {
    let ground = Ground::new();
    fs::create_dir(ground.dest()).unwrap();
    fs::write(ground.dest().join("old"), "1").unwrap();
    let staging = Staging::beside(&ground.dest(), Existing::Replace).unwrap();
    fill(&staging, &[vec![file("new", "2")]], Limits::default()).unwrap();
    staging.replace_in_two_steps().unwrap();
    drop(staging);
    check_new(&ground.dest());
    assert_eq!(fs::read_dir(ground.path("")).unwrap().count(), 1);
}

#[test]
fn until_it_is_published_a_tree_is_in_nobodys_way() {
    let ground = Ground::new();
    fs::create_dir(ground.dest()).unwrap();
    fs::write(ground.dest().join("old"), "1").unwrap();
    let staging = Staging::beside(&ground.dest(), Existing::Replace).unwrap();
    fill(&staging, &[vec![file("new", "2")]], Limits::default()).unwrap();
    assert_eq!(snapshot(&ground.dest()), tree(&[("old", "666 \"1\"")]));
    let scratch = scratch_of(&ground).pop().unwrap();
    assert_eq!(ground.path(&scratch).metadata().unwrap().permissions().mode() & 0o7777, 0o700);
    staging.publish().unwrap();
    check_new(&ground.dest());
}

#[test]
fn a_dropped_tree_is_removed_with_its_closed_directories() {
    let ground = Ground::new();
    let staging = Staging::beside(&ground.dest(), Existing::Refuse).unwrap();
    let items =
        vec![directory("d").mode(0o500), directory("d/e").mode(0), file("d/f", "").mode(0), directory("x").mode(0o300)];
    fill(&staging, &[items], Limits::default()).unwrap();
    drop(staging);
    assert_eq!(ground.snapshot(), tree(&[]));
}

#[test]
fn what_was_put_at_the_destination_meanwhile_stays() {
    for existing in BOTH {
        let ground = Ground::new();
        let staging = Staging::beside(&ground.dest(), existing).unwrap();
        fs::write(ground.dest(), "theirs").unwrap();
        let error = staging.publish().unwrap_err();
        assert!(matches!(error, Error::Destination { fault: DestinationFault::Taken, .. }));
        assert_eq!(ground.snapshot(), tree(&[("dest", "666 \"theirs\"")]));
    }
    let ground = Ground::new();
    let staging = Staging::beside(&ground.dest(), Existing::Refuse).unwrap();
    put(&ground.dest(), Existing::Refuse).unwrap();
    let error = staging.publish().unwrap_err();
    assert!(matches!(error, Error::Destination { fault: DestinationFault::Taken, .. }));
    check_new(&ground.dest());
}

fn scratch_of(ground: &Ground) -> Vec<String> {
    ground.snapshot().into_keys().filter(|path| path.starts_with(".dest.refs-") && !path.contains('/')).collect()
}

#[test]
fn what_a_dead_process_left_is_removed_and_what_a_live_one_uses_is_not() {
    let ground = Ground::new();
    let others =
        [".dest.refs-", ".dest.refs-0123456789abcdeg", ".dest.refs-0123456789abcdef0", ".other.refs-0123456789abcdef"];
    for name in others.into_iter().chain([".dest.refs-0123456789abcdef", ".dest.refs-1123456789abcdef"]) {
        fs::create_dir_all(ground.path(name).join("tree/d")).unwrap();
    }
    fs::write(ground.path(".dest.refs-0123456789abcdef/lock"), "").unwrap();
    link("../..", ground.path(".dest.refs-0123456789abcdef/tree/link")).unwrap();
    fs::set_permissions(ground.path(".dest.refs-0123456789abcdef/tree"), fs::Permissions::from_mode(0o500)).unwrap();
    link(".other.refs-0123456789abcdef", ground.path(".dest.refs-2123456789abcdef")).unwrap();

    let live = Staging::beside(&ground.dest(), Existing::Refuse).unwrap();
    let second = Staging::beside(&ground.dest(), Existing::Refuse).unwrap();
    assert_eq!(scratch_of(&ground).len(), 2 + 4);
    for name in others {
        assert!(ground.path(name).join("tree/d").is_dir(), "{name}");
    }
    drop(second);
    live.publish().unwrap();
    assert!(ground.dest().is_dir());
    assert_eq!(scratch_of(&ground).len(), 4);
}

#[test]
fn many_trees_for_one_destination_never_take_each_other_for_dead() {
    let ground = Ground::new();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..25 {
                    put(&ground.dest(), Existing::Replace).unwrap();
                }
            });
        }
    });
    check_new(&ground.dest());
    assert_eq!(scratch_of(&ground), Vec::<String>::new());
}

#[test]
fn a_destination_may_have_any_name() {
    let ground = Ground::new();
    for name in [&b"x"[..], &[b'n'; 255], "é".repeat(127).as_bytes(), b"not \xff unicode", b"-", b".refs-"] {
        let path = ground.directory.path().join(OsStr::from_bytes(name));
        put(&path, Existing::Refuse).unwrap();
        check_new(&path);
    }
}
