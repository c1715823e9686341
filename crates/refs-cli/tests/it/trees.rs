//! `refs tree`

use refs_registry::{Descriptor, MediaType, Platform};
use refs_testkit::{FakeRegistry, Image, image};
use refs_url::Digest;
use serde_json::Value;

use crate::support::{Machine, now, registry, small};

const SIGNATURE: &str = "application/vnd.example.signature";

/// An index of two images, which share their config and a layer; the second is signed, and the signature, too.
struct Signed {
    index: Descriptor,
    images: [Descriptor; 2],
    signatures: [Descriptor; 2],
}

fn signed(registry: &FakeRegistry) -> Signed {
    let repository = registry.repository("o/r");
    let [amd, arm] = ["linux/amd64", "linux/arm64"].map(|name| {
        let image = Image::new().file("base.txt", "base").file("own.txt", name);
        (Platform::parse(name).unwrap(), image)
    });
    let images = [&amd.1, &arm.1].map(|image| image.manifest().unwrap().descriptor);
    let index = now(image::push_index(&*repository, &[amd, arm], &["v1"])).unwrap().descriptor;
    let sign = |subject: &Descriptor| {
        let image = Image::new().artifact_type(SIGNATURE).subject(subject);
        now(image.push(&*repository, &[])).unwrap().descriptor
    };
    let first = sign(&images[1]);
    let second = sign(&first);
    Signed { index, images, signatures: [first, second] }
}

#[test]
fn a_tree_has_manifests_configs_layers_and_referrers_each_digest_once() {
    let (machine, registry) = (Machine::new(), registry());
    let Signed { index, images: [amd, arm], signatures: [first, second] } = signed(&registry);
    let at = format!("{}/o/r:v1", registry.host());
    let (image, layer) = (MediaType::OCI_MANIFEST, MediaType::OCI_LAYER);
    let config = format!("config {} application/vnd.oci.empty.v1+json 2 B", Digest::sha256(b"{}"));
    let blob = |name: &str, bytes: &str| {
        format!("layer {} {layer} {} B `{name}`", Digest::sha256(bytes.as_bytes()), bytes.len())
    };
    let expect = format!(
        "{at}\n\
         └── index {} {} {} B\n    \
             ├── linux/amd64 {} {image} {} B\n    \
             │   ├── {config}\n    \
             │   ├── {}\n    \
             │   └── {}\n    \
             └── linux/arm64 {} {image} {} B\n        \
                 ├── {config} (shown above)\n        \
                 ├── {} (shown above)\n        \
                 ├── {}\n        \
                 └── referrer {} {SIGNATURE} {} B\n            \
                     ├── {config} (shown above)\n            \
                     └── referrer {} {SIGNATURE} {} B\n                \
                         └── {config} (shown above)\n",
        index.digest,
        MediaType::OCI_INDEX,
        index.size,
        amd.digest,
        amd.size,
        blob("base.txt", "base"),
        blob("own.txt", "linux/amd64"),
        arm.digest,
        arm.size,
        blob("base.txt", "base"),
        blob("own.txt", "linux/arm64"),
        first.digest,
        first.size,
        second.digest,
        second.size,
    );
    assert_eq!(machine.prints(&format!("tree --no-cache {at}")), expect);
    // Each of the five manifests, and what refers to it.
    assert_eq!(registry.take_requests().len(), 10);
}

#[test]
fn json_is_nested() {
    let (machine, registry) = (Machine::new(), registry());
    let Signed { index, images, signatures } = signed(&registry);
    let tree = machine.json(&format!("tree {}/o/r:v1", registry.host()));
    assert_eq!(tree["reference"], format!("{}/o/r:v1", registry.host()));
    assert_eq!((&tree["role"], &tree["digest"]), (&"root".into(), &index.digest.to_string().into()));
    let arm = &tree["children"][1];
    assert_eq!((&arm["platform"], &arm["digest"]), (&"linux/arm64".into(), &images[1].digest.to_string().into()));
    let roles: Vec<_> =
        arm["children"].as_array().unwrap().iter().map(|child| child["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["config", "layer", "layer", "referrer"]);
    assert_eq!(arm["children"][0]["beneath"], "repeated");
    let signature = &arm["children"][3];
    assert_eq!(signature["artifactType"], SIGNATURE);
    assert_eq!((&signature["beneath"], &signature["children"][0]["size"]), (&"known".into(), &2.into()));
    assert_eq!(signature["children"][1]["digest"], signatures[1].digest.to_string());
    assert_eq!(signature["children"][1]["annotations"], Value::Null);
}

#[test]
fn a_manifest_that_is_not_there_is_told_of_in_the_tree() {
    let (machine, registry) = (Machine::new(), registry());
    let Signed { images, .. } = signed(&registry);
    let repository = registry.repository("o/r");
    now(repository.delete_manifest(&images[0].digest.clone().into())).unwrap();
    let printed = machine.prints(&format!("tree {}/o/r:v1", registry.host()));
    let absent = format!(
        "├── linux/amd64 {} {} {} B (not in the repository)\n",
        images[0].digest,
        MediaType::OCI_MANIFEST,
        images[0].size
    );
    assert!(printed.contains(&absent), "{printed}");
}

#[test]
fn m173_names_in_a_tree_are_spelled_out() {
    let (machine, registry) = (Machine::new(), registry());
    let image = Image::new().artifact_type("a/b\u{1b}[31m").file("x\u{202e}y\n", "x");
    now(image.push(&*registry.repository("o/r"), &["v1"])).unwrap();
    let printed = machine.prints(&format!("tree {}/o/r:v1", registry.host()));
    assert!(printed.contains("`x\\u{202e}y\\u{a}`"), "{printed}");
    assert!(!printed.contains(['\u{1b}', '\u{202e}']), "{printed}");
}

#[test]
fn a_layout_has_a_tree_and_nothing_has_none() {
    let machine = Machine::new();
    machine.write("source", &small());
    let digest = machine.prints("push source ocidir://layout:v1").trim_end().split_once('@').unwrap().1.to_owned();
    let printed = machine.prints("tree ocidir://layout:v1");
    assert!(printed.starts_with(&format!("ocidir://layout:v1\n└── manifest {digest} ")), "{printed}");
    assert_eq!(printed.lines().count(), 4);
    machine.fails("tree ocidir://layout:v2", 3, &["manifest `v2` not found"]);
    machine.fails("tree ocidir://layout", 2, &["names no tag and no digest"]);
    machine.fails("tree file://x", 2, &["has no tags"]);
}
