use refs_estargz::{Kind, NewEntry, WriteOptions};

use crate::{
    support::{Item, build_hot, dir, file, gunzip, hardlink, open, other, symlink, wait},
    threads::threads,
};

/// The bytes of a layer are part of what this crate promises: a registry, a cache and a signature know it by its digest.
/// When this fails, the same tree no longer gives the same layer as it did with the release before.
#[test]
fn bytes_of_a_layer_are_those_of_every_release() {
    let text: String = (0..20_000).map(|line| format!("line {line} of a file\n")).collect();
    let (mut script, content) = file("bin/run", "#!/bin/sh\n");
    script.mode = 0o755;
    let items = [
        dir("bin"),
        (script, content),
        dir("empty"),
        hardlink("link", "bin/run"),
        symlink("symlink", "bin/run"),
        file("text", &text),
        file("größe", "non-ASCII"),
        file(&format!("{}/{}", "d".repeat(120), "f".repeat(120)), "long"),
        (NewEntry { mtime: -1, ..other("pipe", Kind::Fifo).0 }, Vec::new()),
        file("zero", ""),
    ];
    for count in [1, 2, 8] {
        check_golden(&items, &WriteOptions { chunk_bytes: 100_000, ..threads(count) });
    }
}

#[track_caller]
fn check_golden(items: &[Item], options: &WriteOptions) {
    let (blob, built) = build_hot(items, &[file("README.md", "# Read me first\n")], options).unwrap();
    assert_eq!(built.toc_digest.as_str(), "sha256:9d90ee8f382262e7a72072fa727a64517cd4c7717c6b75da27d10e5a1bd8403e");
    assert_eq!(built.diff_id.as_str(), "sha256:50f59cd2d710b54bd1c57a2862396aebada92b563d5a5597184690c2a84861f1");
    assert_eq!(built.digest.as_str(), "sha256:ff010bc49f720dc717a65c90184e7996f414265ba5a595cc0bf9839be0757d7f");
    assert_eq!((blob.len(), built.tail_bytes), (53_065, 1073));
}

/// The table of contents of this layer is longer than what is deflated of it at a time.
#[test]
fn bytes_of_a_long_table_are_those_of_every_release() {
    let items: Vec<Item> = (0..9_000).map(|n| file(&format!("{:02}/a-rather-long-name-{n}", n / 100), "x")).collect();
    for count in [1, 3] {
        let (blob, built) = build_hot(&items, &[], &threads(count)).unwrap();
        assert_eq!(
            built.toc_digest.as_str(),
            "sha256:f1837724ac2c6cdb6aa9b59b0031f59dd31fd0f90a41cf504774ae5edf207650"
        );
        assert_eq!(built.digest.as_str(), "sha256:e247213f0e9117595dadd01f368034acf4f1dcc85bae6bd1d8b0c8814281d8a3");
        assert_eq!(gunzip(&blob).len() as u64, built.uncompressed_size);
        let archive = open(&blob, &built).unwrap();
        assert_eq!(archive.toc().len(), items.len());
        assert_eq!(wait(archive.read_file("89/a-rather-long-name-8999")).unwrap(), b"x");
    }
}
