//! Images to make: for each, what its layers do, from the bottom up.

use super::layer::{Item, What, bytes, dir, file, gone, link, opaque, other, symlink};
use crate::interop::trees::noise;

/// A name, and the layers.
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    pub(crate) layers: Vec<Vec<Item>>,
}

/// Every shape.
pub(crate) fn all() -> [Shape; 5] {
    [links(), implied(), hardlinks(), whiteouts(), kinds_and_metadata()]
}

/// Those that can be done to a directory: they name every directory, and have no link that leads out of it.
pub(crate) fn of_directories() -> [Shape; 3] {
    [hardlinks(), whiteouts(), kinds_and_metadata()]
}

/// What upper layers delete, with siblings before and after in the same layer.
pub(crate) fn whiteouts() -> Shape {
    let lower = vec![
        dir("etc").at(1_500_000_000, 1),
        file("etc/gone", "gone"),
        file("etc/kept", "kept"),
        file("etc/renewed", "old"),
        dir("etc/opaque").at(1_500_000_001, 2),
        file("etc/opaque/a", "a"),
        dir("etc/opaque/sub"),
        file("etc/opaque/sub/b", "b"),
        dir("tree"),
        dir("tree/x"),
        file("tree/x/y", "y"),
        dir("twice"),
        file("twice/first", "1"),
        file("top", "top"),
    ];
    let middle = vec![
        dir("etc").mode(0o750).at(1_500_000_010, 3),
        file("etc/aaa", "before"),
        gone("etc/gone"),
        file("etc/zzz", "after"),
        gone("etc/renewed"),
        file("etc/renewed", "new"),
        dir("etc/opaque").mode(0o700).at(1_500_000_011, 4),
        opaque("etc/opaque"),
        file("etc/opaque/new", "new"),
        gone("tree"),
        gone("twice/first"),
        dir("twice"),
    ];
    let upper = vec![
        gone("top"),
        gone("no-such-file"),
        dir("tree"),
        file("tree/again", "again"),
        file("twice/second", "2"),
        // The directory empties, but not what the same layer put there before.
        file("twice/third", "3"),
        opaque("twice"),
    ];
    Shape { name: "whiteouts", layers: vec![lower, middle, upper] }
}

/// One kind in the place of another, and everything an entry can have.
fn kinds_and_metadata() -> Shape {
    let lower = vec![
        dir("k"),
        dir("k/dir-to-file"),
        file("k/dir-to-file/in", "in"),
        file("k/file-to-dir", "file"),
        dir("k/real"),
        file("k/real/stays", "stays"),
        symlink("k/link-to-dir", "real"),
        symlink("k/link-to-file", "real/stays"),
        file("k/file-to-link", "file"),
        dir("k/dir-to-link"),
        file("k/dir-to-link/in", "in"),
        other("k/fifo-to-file", What::Fifo),
        file("k/file-to-fifo", "file"),
        dir("closed").mode(0o555),
        file("closed/in", "in").mode(0o444),
        dir("closed/nothing in here").mode(0o500),
    ];
    let mut upper = vec![
        file("k/dir-to-file", "now a file"),
        dir("k/file-to-dir"),
        file("k/file-to-dir/in", "in"),
        dir("k/link-to-dir").mode(0o711),
        file("k/link-to-dir/own", "own"),
        file("k/link-to-file", "own"),
        symlink("k/file-to-link", "real/stays"),
        symlink("k/dir-to-link", "real"),
        file("k/fifo-to-file", "now a file"),
        other("k/file-to-fifo", What::Fifo).mode(0o600),
        dir("closed").mode(0o555).at(1_400_000_000, 999_999_999),
        file("closed/too", "too").mode(0),
    ];
    upper.extend(metadata());
    Shape { name: "kinds", layers: vec![lower, upper] }
}

fn metadata() -> Vec<Item> {
    let long = "n".repeat(240);
    let deep = format!("m/{}/{}", "d".repeat(200), "e".repeat(180));
    vec![
        dir("m"),
        file("m/setuid", "setuid").mode(0o4755),
        file("m/setgid", "setgid").mode(0o2755),
        dir("m/tmp").mode(0o1777),
        dir("m/shared").mode(0o2775).owner(0, 50),
        file("m/sticky", "sticky").mode(0o1644),
        file("m/owned", "owned").owner(1000, 1000),
        file("m/setuid-owned", "owned").owner(1000, 0).mode(0o6755),
        dir("m/home").owner(1000, 100).mode(0o700),
        symlink("m/link-owned", "owned").owner(1000, 1000),
        file("m/epoch", "epoch").at(0, 0),
        file("m/nanoseconds", "nanoseconds").at(1_234_567_890, 123_456_789),
        symlink("m/link-dated", "nowhere").at(1_234_567_891, 987_654_321),
        dir("m/dated").at(1_234_567_892, 1),
        file("m/late", "2100").at(4_102_444_800, 5),
        other("m/null", What::Char(1, 3)).mode(0o666),
        other("m/disk", What::Block(7, 0)).mode(0o660).owner(0, 6),
        other("m/pipe", What::Fifo).mode(0o622).owner(1000, 1000),
        file("m/attributes", "attributes").attribute("user.note", b"a note").attribute("user.bytes", b"\x00\xff\n="),
        dir("m/attributed").attribute("user.note", b""),
        file("m/empty", ""),
        bytes("m/large", noise(3 << 20)),
        bytes("m/zeros", vec![0; 1 << 20]),
        dir("m/nothing"),
        file(&format!("m/{long}"), "a name of 240 bytes"),
        dir(&format!("m/{}", "d".repeat(200))),
        dir(&deep),
        file(&format!("{deep}/file"), "a path of 380 bytes"),
        symlink("m/far", &"t".repeat(200)),
        file("m/gr\u{f6}\u{df}e \u{65e5}\u{672c}\u{8a9e}", "not ASCII"),
        file("m/combining-e\u{301}", "not composed"),
        file("m/with \"quotes\", a \\ and a\nline end", "odd"),
        file("-m", "not an option"),
        file(".hidden", "hidden"),
    ]
}

/// Names of lower layers' inodes, and names that go while others stay.
fn hardlinks() -> Shape {
    let lower = vec![
        dir("h"),
        file("h/one", "one").mode(0o640).at(1_300_000_000, 7),
        link("h/two", "h/one"),
        file("h/kept", "kept"),
        link("h/kept-too", "h/kept"),
        link("h/kept-three", "h/kept"),
        symlink("h/sym", "one").at(1_300_000_001, 8),
        link("h/sym-too", "h/sym"),
        file("h/first-goes", "stays"),
        link("h/second-stays", "h/first-goes"),
    ];
    let upper = vec![
        link("h/three", "h/one"),
        link("h/sym-three", "h/sym"),
        // One name gets an inode of its own; the others keep theirs.
        file("h/kept-too", "own"),
        gone("h/first-goes"),
        file("h/new", "new"),
        link("h/newer", "h/new"),
    ];
    let top = vec![gone("h/one"), link("h/four", "h/two"), link("h/kept", "h/new")];
    Shape { name: "hardlinks", layers: vec![lower, upper, top] }
}

/// Entries beneath a lower layer's links, which lead inside the root wherever they point.
fn links() -> Shape {
    let lower = vec![
        dir("usr"),
        dir("usr/lib").at(1_450_000_000, 1),
        file("usr/lib/old", "old"),
        file("usr/lib/goes", "goes"),
        dir("etc"),
        symlink("lib", "usr/lib"),
        symlink("absolute", "/usr/lib"),
        symlink("up", "../../../etc"),
        symlink("chain", "lib"),
        symlink("usr/back", "../chain"),
    ];
    let upper = vec![
        file("lib/relative", "relative"),
        file("absolute/absolute", "absolute"),
        file("up/clamped", "clamped"),
        file("chain/chained", "chained"),
        file("usr/back/backward", "backward"),
        gone("lib/goes"),
        dir("absolute/made"),
        symlink("lib/link", "relative"),
        link("lib/hard", "usr/lib/old"),
        link("hard", "absolute/old"),
    ];
    let top = vec![file("absolute/old", "new"), dir("etc"), symlink("dangling", "/no/such/place")];
    Shape { name: "links", layers: vec![lower, upper, top] }
}

/// Directories that only the paths of others speak of.
fn implied() -> Shape {
    let lower = vec![file("a/b/c", "c"), file("x/y", "y"), symlink("dangling", "not/there")];
    let upper = vec![file("a/b/d", "d"), gone("x/y"), dir("a/b/e"), file("dangling/file", "in a new place")];
    Shape { name: "implied", layers: vec![lower, upper] }
}
