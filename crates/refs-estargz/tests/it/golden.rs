use refs_estargz::{Kind, NewEntry, WriteOptions};

use crate::{
    support::{Item, build_hot, dir, file, hardlink, other, symlink},
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
