//! What a tree looks like when all went well.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use super::{Ground, Unpacked, directory, file, hardlink, masked, snapshot, symlink, tree};

#[track_caller]
fn mode_becomes(given: u32, file_mode: u32, directory_mode: u32) {
    let ground = Ground::new();
    ground.unpack(&[vec![file("f", "x").mode(given), directory("d").mode(given)]]).unwrap();
    let mode = |name| ground.dest().join(name).symlink_metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("f"), mode("d")), (masked(file_mode), masked(directory_mode)), "{given:o}");
}

#[test]
fn m126_of_a_mode_only_permissions_are_kept_less_the_mask() {
    for mode in [0o644, 0o755, 0o600, 0o444, 0o555, 0o500, 0o400, 0o000, 0o777, 0o666] {
        mode_becomes(mode, mode, mode);
        mode_becomes(mode | 0o7000, mode, mode);
        mode_becomes(mode | 0o4000, mode, mode);
    }
}

#[test]
fn m126_the_caller_owns_what_is_written_and_attributes_are_dropped() {
    let ground = Ground::new();
    ground.unpack(&[vec![file("f", "x")]]).unwrap();
    let (owner, file) = (ground.path("").metadata().unwrap(), ground.dest().join("f").metadata().unwrap());
    assert_eq!(file.uid(), owner.uid());
    let mut names = [0_u8; 256];
    let length = rustix::fs::listxattr(ground.dest().join("f"), &mut names[..]).unwrap_or(0);
    assert!(!names[..length].windows(10).any(|name| name == b"capability"));
}

#[test]
fn read_only_directories_are_filled_and_then_closed() {
    let ground = Ground::new();
    let items = vec![
        directory("r").mode(0o555),
        directory("r/s").mode(0o500),
        file("r/s/f", "1").mode(0o400),
        file("r/g", "2"),
        hardlink("r/s/h", "r/g"),
        symlink("r/s/l", "../g"),
        directory("r/s/closed").mode(0),
    ];
    let unpacked = ground.unpack(&[items]).unwrap();
    assert_eq!(unpacked, Unpacked { files: 2, directories: 3, links: 2, bytes: 2 });
    assert_eq!(
        snapshot(&ground.dest()),
        tree(&[
            ("r", "555 directory"),
            ("r/g", "644 \"2\""),
            ("r/s", "500 directory"),
            ("r/s/closed", "0 directory"),
            ("r/s/f", "400 \"1\""),
            ("r/s/h", "644 \"2\""),
            ("r/s/l", "-> ../g"),
        ])
    );
    // The test's own directory could not be removed otherwise.
    for path in ["dest/r", "dest/r/s", "dest/r/s/closed"] {
        fs::set_permissions(ground.path(path), fs::Permissions::from_mode(0o700)).unwrap();
    }
}

#[test]
fn times_of_files_directories_and_links_are_kept() {
    let ground = Ground::new();
    let items = vec![
        directory("d").mtime(1),
        directory("d/e").mtime(-2),
        file("d/e/f", "x").mtime(3),
        symlink("d/l", "e").mtime(4),
        hardlink("d/h", "d/e/f").mtime(5),
        file("zero", "").mtime(0),
        file("late", "").mtime(2_000_000_000),
    ];
    ground.unpack(&[items]).unwrap();
    let mtime = |path: &str| {
        let metadata = ground.dest().join(path).symlink_metadata().unwrap();
        (metadata.mtime(), metadata.mtime_nsec())
    };
    for (path, expect) in
        [("d", 1), ("d/e", -2), ("d/e/f", 3), ("d/l", 4), ("d/h", 3), ("zero", 0), ("late", 2_000_000_000)]
    {
        assert_eq!(mtime(path), (expect, 0), "{path}");
    }
}

#[test]
fn directories_that_no_entry_names_are_made() {
    let ground = Ground::new();
    let unpacked = ground.unpack(&[vec![file("a/b/c", "x"), directory("a/b").mode(0o711)]]).unwrap();
    assert_eq!(unpacked, Unpacked { files: 1, directories: 2, links: 0, bytes: 1 });
    assert_eq!(
        snapshot(&ground.dest()),
        tree(&[("a", "755 directory"), ("a/b", "711 directory"), ("a/b/c", "644 \"x\"")])
    );
}

#[test]
fn the_longest_and_deepest_paths_are_written() {
    let ground = Ground::new();
    let long = "é".repeat(127) + "x";
    let deep = ["d"; 128].join("/");
    let both = [long.as_str(); 16].join("/");
    assert_eq!((long.len(), both.len()), (255, 4095));
    let unpacked =
        ground.unpack(&[vec![file(&long[..], ""), file(&deep, ""), file(&format!("q/{}", &both[256..]), "")]]);
    assert_eq!(unpacked.unwrap().files, 3);
}

#[test]
fn empty_files_directories_and_artifacts_are_written() {
    let ground = Ground::new();
    ground.unpack(&[vec![file("e", ""), directory("empty1/nested"), directory("empty2")]]).unwrap();
    assert_eq!(
        snapshot(&ground.dest()),
        tree(&[
            ("e", "644 \"\""),
            ("empty1", "755 directory"),
            ("empty1/nested", "755 directory"),
            ("empty2", "755 directory"),
        ])
    );
    let nothing = Ground::new();
    nothing.unpack(&[]).unwrap();
    assert_eq!(nothing.snapshot(), tree(&[("dest", "777 directory")]));
}

#[test]
fn a_further_name_may_come_before_its_file_and_lead_over_others() {
    let ground = Ground::new();
    let items = vec![hardlink("a", "b"), hardlink("b", "z/f"), file("z/f", "x")];
    assert_eq!(ground.unpack(&[items]).unwrap().links, 2);
    let inode = |path: &str| ground.dest().join(path).metadata().unwrap().ino();
    assert_eq!((inode("a"), inode("b")), (inode("z/f"), inode("z/f")));
}

#[test]
fn a_later_layer_replaces_whatever_an_earlier_one_has() {
    let ground = Ground::new();
    let first = vec![
        directory("d").mode(0o500),
        file("d/a", "1"),
        directory("d/e"),
        symlink("d/e/l", "../a"),
        file("f", "1"),
        file("kept/old", "1"),
        file("d-", "1"),
        file("d0", "1"),
    ];
    let second = vec![
        file("d", "2"),
        directory("f").mode(0o711),
        file("f/g", "2"),
        file("kept/new", "2"),
        file("kept/old", "2"),
    ];
    ground.unpack(&[first, second]).unwrap();
    assert_eq!(
        snapshot(&ground.dest()),
        tree(&[
            ("d", "644 \"2\""),
            ("d-", "644 \"1\""),
            ("d0", "644 \"1\""),
            ("f", "711 directory"),
            ("f/g", "644 \"2\""),
            ("kept", "755 directory"),
            ("kept/new", "644 \"2\""),
            ("kept/old", "644 \"2\""),
        ])
    );
}

#[test]
fn a_directory_that_a_layer_has_something_in_is_not_replaced_by_the_same_layer() {
    let ground = Ground::new();
    let error = ground.unpack(&[vec![directory("d/e")], vec![file("d/e/f", ""), file("d", "")]]).unwrap_err();
    assert!(matches!(error, crate::Error::PathConflict { path } if path == "d"));
}

#[test]
fn a_path_replaced_twice_is_written_into_the_newest_directory() {
    let ground = Ground::new();
    let layers = [vec![file("d/a", "1")], vec![file("d", "2")], vec![file("d/b", "3")]];
    let error = ground.unpack(&layers).unwrap_err();
    assert!(matches!(error, crate::Error::PathConflict { path } if path == "d"));
    let layers = [vec![file("d/a", "1")], vec![file("d", "2")], vec![directory("d"), file("d/b", "3")]];
    ground.unpack(&layers).unwrap();
    assert_eq!(snapshot(&ground.dest()), tree(&[("d", "755 directory"), ("d/b", "644 \"3\"")]));
}
