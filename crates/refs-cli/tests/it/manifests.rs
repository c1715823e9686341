//! `refs manifest`

use refs_registry::{MediaType, Platform};
use refs_testkit::{Fault, Image, On, image::push_index};
use refs_url::Digest;
use serde_json::Value;

use crate::support::{Machine, now, put, registry, small};

#[test]
fn a_manifest_is_laid_out_or_as_it_is() {
    let (machine, registry) = (Machine::new(), registry());
    let manifest = put(&registry, &Image::new().file("a.txt", "a"));
    let at = format!("{}/o/r", registry.host());
    let printed = machine.prints(&format!("manifest {at}:v1"));
    assert!(printed.starts_with("{\n  \"schemaVersion\": 2,\n  \"mediaType\": "), "{printed}");
    let (shown, stored): (Value, Value) =
        (serde_json::from_str(&printed).unwrap(), serde_json::from_slice(&manifest.raw).unwrap());
    assert_eq!(shown, stored);
    for target in [":v1".to_owned(), format!("@{}", manifest.descriptor.digest)] {
        assert_eq!(machine.run(&format!("manifest {at}{target} --raw --format json")).stdout, manifest.raw);
    }
}

#[test]
fn json_has_the_manifest_and_what_describes_it() {
    let (machine, registry) = (Machine::new(), registry());
    let descriptor = put(&registry, &Image::new().file("a.txt", "a")).descriptor;
    let at = format!("{}/o/r", registry.host());
    let shown = machine.json(&format!("manifest {at}:v1"));
    assert_eq!(shown["reference"], format!("{at}@{}", descriptor.digest));
    assert_eq!((&shown["digest"], &shown["size"]), (&descriptor.digest.to_string().into(), &descriptor.size.into()));
    assert_eq!(shown["mediaType"], MediaType::OCI_MANIFEST.as_str());
    assert_eq!(shown["manifest"]["layers"][0]["digest"], Digest::sha256(b"a").to_string());
}

#[test]
fn m173_a_manifest_is_shown_without_what_a_terminal_would_obey() {
    let (machine, registry) = (Machine::new(), registry());
    put(&registry, &Image::new().annotate("note", "a\u{202e}b\u{9b}31m"));
    let at = format!("{}/o/r", registry.host());
    let printed = machine.prints(&format!("manifest {at}:v1"));
    assert!(printed.contains(r#""note": "a\u202eb\u009b31m""#), "{printed}");
}

#[test]
fn a_manifest_that_is_not_there_or_not_what_was_asked_for_is_an_error() {
    let (machine, registry) = (Machine::new(), registry());
    let at = format!("{}/o/r", registry.host());
    machine.fails(&format!("manifest {at}:v1"), 3, &["manifest `v1` not found"]);
    machine.fails(&format!("manifest {at}"), 2, &["names no tag and no digest"]);
    machine.fails("manifest file://x", 2, &["names no tag and no digest"]);
    let digest = put(&registry, &Image::new()).descriptor.digest;
    registry.fault(On::get("/manifests/").always(), Fault::Flip { at: 20 });
    for more in ["", " --raw"] {
        machine.fails(&format!("manifest {at}@{digest}{more}"), 8, &["does not match its digest"]);
    }
}

#[test]
fn a_layout_shows_its_manifests() {
    let machine = Machine::new();
    machine.write("source", &small());
    let digest = machine.prints("push source ocidir://layout:v1").trim_end().split_once('@').unwrap().1.to_owned();
    assert_eq!(
        machine.prints("manifest ocidir://layout:v1 --raw"),
        machine.prints(&format!("manifest ocidir://layout@{digest} --raw"))
    );
}

#[test]
fn manifest_of_an_image_in_an_index_is_found_by_its_platform() {
    let (machine, registry) = (Machine::new(), registry());
    let image = |text: &str| Image::new().file("a.txt", text.to_owned());
    let images = ["linux/386", "linux/arm/v6"].map(|name| (Platform::parse(name).unwrap(), image(name)));
    let index = now(push_index(&*registry.repository("o/r"), &images, &["v1"])).unwrap();
    let at = format!("{}/o/r", registry.host());
    assert_eq!(machine.run(&format!("manifest {at}:v1 --raw")).stdout, index.raw);
    let arm = image("linux/arm/v6").manifest().unwrap();
    assert_eq!(machine.run(&format!("manifest {at}:v1 --raw --platform linux/arm64")).stdout, arm.raw);
    let shown = machine.json(&format!("manifest {at}:v1 --platform linux/arm/v6"));
    assert_eq!(shown["reference"], format!("{at}@{}", arm.descriptor.digest));
    let words = ["no image for platform linux/riscv64", "it has linux/386, linux/arm/v6"];
    machine.fails(&format!("manifest {at}:v1 --platform linux/riscv64"), 3, &words);
}
