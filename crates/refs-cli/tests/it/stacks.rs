//! Images of several layers: the files are those that a container would see.

use refs_testkit::{FakeRegistry, Image, Tree};

use crate::support::{Machine, put, registry};

/// An image whose upper layer deletes, replaces and adds.
fn image() -> (FakeRegistry, String) {
    let lower = Tree::parse(
        "755 usr/\n755 usr/lib/\n644 usr/lib/a \"1\"\n644 usr/lib/b \"1\"\n777 lib -> usr/lib\n644 gone \"1\"",
    );
    let upper = Tree::parse("644 .wh.gone \"\"\n644 usr/lib/.wh.a \"\"\n644 usr/lib/b \"2\"\n644 usr/lib/c \"3\"");
    let registry = registry();
    put(&registry, &Image::new().tree(&lower).tree(&upper));
    let at = format!("{}/o/r:v1", registry.host());
    (registry, at)
}

#[test]
fn what_a_layer_deletes_is_neither_listed_nor_read_nor_written() {
    let (machine, (_registry, at)) = (Machine::new(), image());
    for cache in ["", "--no-cache "] {
        assert_eq!(machine.prints(&format!("ls {cache}{at}")), "lib\nusr/\nusr/lib/\nusr/lib/b\nusr/lib/c\n");
        assert_eq!(machine.prints(&format!("cat {cache}{at} lib/b")), "2");
        machine.fails(&format!("cat {cache}{at} gone"), 3, &["no file `gone`"]);
        machine.run(&format!("pull --force {cache}{at} here")).printed();
        let expected = "777 lib -> usr/lib\n755 usr/\n755 usr/lib/\n644 usr/lib/b \"2\"\n644 usr/lib/c \"3\"";
        assert_eq!(machine.read("here"), Tree::parse(expected));
    }
}
