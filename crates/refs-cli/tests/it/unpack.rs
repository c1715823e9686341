//! `refs unpack`

use std::{fs, os::unix::fs::PermissionsExt};

use refs_registry::MediaType;
use refs_testkit::{Image, Tree, image::gzip};
use refs_url::Digest;

use crate::{
    hostile::tar_entry,
    support::{Machine, put, registry},
};

const LOW: &str = "755 etc/\n644 etc/a \"low\"\n644 etc/b \"b\"\n4755 su \"su\"\n777 sh -> /bin/busybox\n";
const HIGH: &str = "644 etc/.wh.b \"\"\n644 etc/a \"high\"\n";

fn image() -> Image {
    Image::new().tree(&Tree::parse(LOW)).tree(&Tree::parse(HIGH))
}

#[test]
fn the_root_is_what_all_layers_show() {
    let (machine, registry) = (Machine::new(), registry());
    let manifest = put(&registry, &image());
    let (host, expected) = (registry.host(), "755 etc/\n644 etc/a \"high\"\n777 sh -> /bin/busybox\n4755 su \"su\"\n");
    let said = machine.prints(&format!("unpack {host}/o/r:v1 rootfs"));
    assert!(said.starts_with("rootfs: 2 files, 1 directory, 1 link, "), "{said}");
    assert_eq!(machine.read("rootfs"), Tree::parse(expected));

    machine.fails(&format!("unpack {host}/o/r:v1 rootfs"), 11, &["is not empty"]);
    let unpacked = machine.json(&format!("unpack {host}/o/r:v1 rootfs --force"));
    assert_eq!(unpacked["digest"], manifest.descriptor.digest.to_string());
    assert_eq!(
        (&unpacked["files"], &unpacked["placeholders"], &unpacked["writtenBytes"]),
        (&2.into(), &0.into(), &6.into())
    );
    assert_eq!((machine.read("rootfs"), machine.names()), (Tree::parse(expected), vec!["rootfs".to_owned()]));
}

#[test]
fn an_empty_directory_keeps_its_mode_unless_the_image_has_one_for_its_root() {
    let (machine, registry) = (Machine::new(), registry());
    let mode = |name: &str| fs::metadata(machine.path(name)).unwrap().permissions().mode() & 0o7777;
    let at = format!("{}/o/r:v1", registry.host());
    for (top, expected) in [(Vec::new(), [0o700, 0o755]), (tar_entry("./", b'5', "", b""), [0o644, 0o644])] {
        let layer = [top, vec![0; 1024]].concat();
        let image = Image::new().diff_id(Digest::sha256(&layer)).layer(MediaType::OCI_LAYER_GZIP, gzip(&layer));
        put(&registry, &image);
        fs::create_dir(machine.path("there")).unwrap();
        fs::set_permissions(machine.path("there"), fs::Permissions::from_mode(0o700)).unwrap();
        for name in ["there", "new"] {
            machine.prints(&format!("unpack {at} {name}"));
        }
        assert_eq!([mode("there"), mode("new")], expected);
        ["there", "new"].iter().for_each(|name| fs::remove_dir_all(machine.path(name)).unwrap());
    }
}

#[test]
fn limits_and_what_is_no_image_are_told_by_their_codes() {
    let (machine, registry) = (Machine::new(), registry());
    put(&registry, &image());
    let host = registry.host();
    let many = (0..129).fold(Image::new(), |image, at| image.tree(&Tree::new().file(&format!("f{at}"), "")));
    put(&registry, &many);
    for line in ["unpack AT rootfs", "pull AT rootfs", "ls AT"] {
        machine.fails(&line.replace("AT", &format!("{host}/o/r:v1")), 9, &["is one of more than 128 layers"]);
    }
    put(&registry, &image());
    for (limit, words) in [
        ("--max-file-size 3", "--max-file-size"),
        ("--max-total-size 8", "--max-total-size"),
        ("--max-files 6", "--max-files"),
    ] {
        machine.fails(&format!("unpack {host}/o/r:v1 rootfs {limit}"), 9, &[words]);
    }
    put(&registry, &image().layer(MediaType::OCI_LAYER_GZIP, gzip(&[0; 1024])));
    machine.fails(&format!("unpack {host}/o/r:v1 rootfs"), 8, &["diff_ids"]);
    put(&registry, &Image::new().file("a.txt", "a"));
    machine.fails(&format!("unpack {host}/o/r:v1 rootfs"), 10, &["refs pull"]);
}
