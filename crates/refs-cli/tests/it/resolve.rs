//! `refs resolve`

use refs_registry::Platform;
use refs_testkit::{Image, image::push_index};

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
