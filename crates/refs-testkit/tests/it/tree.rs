//! Trees as text.

use std::{fs, path::Path};

use refs_testkit::Tree;

const TEXT: &str = r##"755 bin/
755 bin/run "#!/bin/sh\n" @1700000000
777 link -> bin/run
644 notes.txt "a \"b\" \x00\\" @5
"##;

#[test]
fn a_tree_shows_itself_as_it_was_written() {
    assert_eq!(Tree::parse(TEXT).to_string(), TEXT);
}

#[test]
fn a_tree_on_disk_is_the_tree_written() {
    let root = tempfile::tempdir().unwrap();
    Tree::parse(TEXT).write(root.path()).unwrap();
    let expect = Tree::parse(&TEXT.replace("755 bin/\n", "755 bin/ @7\n"));
    fs::File::open(root.path().join("bin")).unwrap().set_modified(at(7)).unwrap();
    assert_eq!(Tree::read_with_times(root.path()).unwrap(), expect);
    assert_eq!(Tree::read(root.path()).unwrap().to_string().matches('@').count(), 0);
}

#[test]
fn directories_that_forbid_writing_are_written_all_the_same() {
    let root = tempfile::tempdir().unwrap();
    let tree = Tree::parse(
        r#"
        555 sealed/
        444 sealed/file "x"
        4755 setuid "y"
        "#,
    );
    tree.write(root.path()).unwrap();
    let read = Tree::read(root.path()).unwrap();
    fs::set_permissions(root.path().join("sealed"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    assert_eq!(read, tree);
}

#[test]
fn names_with_spaces_and_other_bytes_come_back() {
    let root = tempfile::tempdir().unwrap();
    let tree = Tree::parse("644 a\\x20b.txt \"x\"\n644 gr\\xc3\\xbc\\xc3\\x9fe \"\"");
    tree.write(root.path()).unwrap();
    assert_eq!(fs::read(root.path().join("a b.txt")).unwrap(), b"x");
    assert!(root.path().join("grüße").exists());
    assert_eq!(Tree::read(root.path()).unwrap(), tree);
}

#[test]
fn long_content_is_shown_by_its_digest() {
    let tree = Tree::new().file("large", vec![7; 1000]);
    assert!(tree.to_string().starts_with("644 large <1000 bytes, sha256:"));
    assert_ne!(tree, Tree::new().file("large", vec![8; 1000]));
}

#[test]
fn an_archive_has_the_files() {
    let tar = Tree::parse(TEXT).tar();
    let mut archive = tar::Archive::new(&tar[..]);
    let entries = archive.entries().unwrap().map(|entry| {
        let entry = entry.unwrap();
        let header = entry.header();
        let path = entry.path().unwrap().display().to_string();
        format!("{:o} {path} {} @{}", header.mode().unwrap(), header.size().unwrap(), header.mtime().unwrap())
    });
    let expect = ["755 bin/ 0 @0", "755 bin/run 10 @1700000000", "777 link 0 @0", "644 notes.txt 8 @5"];
    assert_eq!(entries.collect::<Vec<_>>(), expect);
}

#[test]
#[should_panic(expected = "no line of a tree: 644 file unquoted")]
fn a_line_that_shows_no_file_is_told() {
    drop(Tree::parse("644 file unquoted"));
}

#[test]
fn what_is_no_file_of_a_tree_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.path().join("socket")).unwrap();
    assert_eq!(Tree::read(root.path()).unwrap_err().kind(), std::io::ErrorKind::Unsupported);
    assert_eq!(Tree::read(Path::new("/no/such/root")).unwrap_err().kind(), std::io::ErrorKind::NotFound);
}

fn at(seconds: u64) -> std::time::SystemTime {
    std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds)
}
