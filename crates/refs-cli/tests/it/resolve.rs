//! `refs resolve`

use refs_registry::Platform;
use refs_testkit::{FakeRegistry, Image, image::push_index};
use refs_url::Digest;

use crate::support::{Machine, now, pushed, registry, small};

#[test]
fn a_platform_leads_through_an_index_to_its_image() {
    let (machine, registry) = (Machine::new(), registry());
    let [amd, arm] = ["linux/amd64", "linux/arm64"]
        .map(|name| (Platform::parse(name).unwrap(), Image::new().file("platform.txt", name)));
    let (for_arm, images) = (arm.1.manifest().unwrap().descriptor.digest, [amd, arm]);
    let index = now(push_index(&*registry.repository("o/r"), &images, &["v1"])).unwrap().descriptor.digest;
    let at = format!("{}/o/r", registry.host());

    assert_eq!(machine.prints(&format!("resolve {at}:v1")), format!("{at}@{index}\n"));
    assert_eq!(machine.prints(&format!("resolve {at}:v1 --platform linux/arm64")), format!("{at}@{for_arm}\n"));
    assert_eq!(machine.prints(&format!("cat {at}:v1 platform.txt --platform linux/arm64")), "linux/arm64");
    let pulled = machine.json(&format!("pull {at}:v1 out --platform linux/arm64"));
    assert_eq!((&pulled["digest"], &pulled["index"]), (&for_arm.to_string().into(), &index.to_string().into()));
    assert_eq!(machine.json(&format!("pull {at}@{for_arm} other"))["index"], serde_json::Value::Null);
    let words = ["linux/s390x", "linux/amd64, linux/arm64", "hint: choose one of these with `--platform`"];
    machine.fails(&format!("resolve {at}:v1 --platform linux/s390x"), 3, &words);
    machine.fails(&format!("ls {at}:v1 --platform linux/s390x"), 3, &words);
}

#[test]
fn json_has_tag_digest_type_and_size() {
    let (machine, registry) = (Machine::new(), registry());
    let printed = pushed(&machine, &registry, &small());
    let digest = printed.split_once('@').unwrap().1;
    let at = format!("{}/o/r", registry.host());
    let resolved = machine.json(&format!("resolve {at}:v1"));
    assert_eq!(resolved["reference"], format!("{at}@{digest}"));
    assert_eq!((&resolved["tag"], &resolved["digest"]), (&"v1".into(), &digest.into()));
    assert_eq!(resolved["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    assert!(resolved["size"].as_u64().unwrap() > 0, "{resolved}");
    assert_eq!(machine.json(&format!("resolve {at}@{digest}"))["tag"], serde_json::Value::Null);
}

#[test]
fn a_tag_beside_a_digest_must_still_lead_to_it() {
    let (machine, registry) = (Machine::new(), registry());
    let at = format!("{}/o/r", registry.host());
    let old = put_as(&registry, "old", &["1.0.0", "v1"]);
    let pinned = format!("{at}:1.0.0@{old}");
    for line in ["resolve AT", "resolve AT --constraint ^1", "resolve AT --platform linux/amd64"] {
        assert_eq!(machine.prints(&line.replace("AT", &pinned)), format!("{at}@{old}\n"));
    }
    registry.take_requests();
    machine.prints(&format!("resolve {pinned} --constraint ^1"));
    assert_eq!(registry.take_requests(), ["HEAD /v2/o/r/manifests/1.0.0"]);
    machine.fails(&format!("resolve {pinned} --constraint ^2"), 2, &["`^2`"]);

    let new = put_as(&registry, "new", &["1.0.0"]);
    let words = ["tag `1.0.0` of", &format!("leads to {new}"), "hint: leave out the tag to go by the digest"];
    for line in ["resolve AT", "resolve AT --constraint ^1", "resolve AT --platform linux/amd64"] {
        machine.fails(&line.replace("AT", &pinned), 11, &words);
    }
    registry.take_requests();
    // What is read is what the digest says, and nobody asks for the tag.
    machine.prints(&format!("pull {pinned} here"));
    machine.prints(&format!("cp -q {pinned} ocidir://layout:v1"));
    machine.prints(&format!("manifest {pinned}"));
    let asked = registry.take_requests();
    assert!(asked.iter().all(|request| !request.to_string().ends_with("manifests/1.0.0")), "{asked:?}");
    assert_eq!(machine.prints(&format!("resolve {at}@{old}")), format!("{at}@{old}\n"));
}

#[test]
fn a_tag_beside_a_digest_in_a_layout_is_compared_by_resolve_alone() {
    let machine = Machine::new();
    machine.write("source", &small());
    let pinned = machine.prints("push source ocidir://lay:1.0.0").trim_end().to_owned();
    let by_digest = pinned.replace(":1.0.0@", "@");
    for line in ["resolve AT", "resolve AT --constraint ^1", "resolve AT --offline"] {
        assert_eq!(machine.prints(&line.replace("AT", &pinned)), format!("{by_digest}\n"));
    }
    machine.fails(&format!("resolve {pinned} --constraint ^2"), 2, &["`^2`"]);
    machine.write("source", &small().file("new", "new"));
    let moved = machine.prints("push source ocidir://lay:1.0.0");
    let now = moved.trim_end().split_once('@').unwrap().1;
    let words = ["tag `1.0.0` of ocidir://lay", &format!("leads to {now}"), "hint: leave out the tag"];
    for line in ["resolve AT", "resolve AT --constraint ^1"] {
        machine.fails(&line.replace("AT", &pinned), 11, &words);
    }
    machine.fails(&format!("resolve {}", pinned.replace("1.0.0", "none")), 3, &["manifest `none` not found"]);

    assert!(!machine.prints(&format!("ls {pinned}")).contains("new"));
    assert_eq!(machine.prints(&format!("manifest {pinned}")), machine.prints(&format!("manifest {by_digest}")));
    let both = format!("`refs rm ocidir://lay:1.0.0` deletes the tag alone, `refs rm {by_digest}` the manifest");
    machine.fails(&format!("rm {pinned} --yes"), 2, &["names a tag and a digest", &both]);
    let copy = pinned.replace("://lay:", "://copy:");
    assert_eq!(machine.prints(&format!("cp {pinned} {copy} -q")), format!("{copy}\n"));
    assert_eq!(machine.prints("tags ocidir://copy"), "1.0.0\n");
}

/// The digest of an image of one file that says `content`, under `tags`.
fn put_as(registry: &FakeRegistry, content: &str, tags: &[&str]) -> Digest {
    let image = Image::new().file("said.txt", content.to_owned());
    now(image.push(&*registry.repository("o/r"), tags)).unwrap().descriptor.digest
}
