//! `refs tag`, `refs rm`

use std::io::Write;

use refs_testkit::{FakeRegistry, Fault, Image, On, Quirks, quirks};

use crate::{
    login::at_terminal,
    support::{Machine, finished, now, pushed, put, read_to, registry, small},
};

#[test]
fn tags_are_set_in_one_request_and_no_blob_is_moved() {
    let (machine, registry) = (Machine::new(), registry());
    let digest = put(&registry, &Image::new().file("a", "a")).descriptor.digest;
    let at = format!("{}/o/r", registry.host());
    let printed = machine.prints(&format!("tag {at}:v1 v2 latest"));
    assert_eq!(printed, format!("{at}:v2@{digest}\n{at}:latest@{digest}\n"));
    assert_eq!(
        registry.take_requests(),
        ["GET /v2/o/r/manifests/v1".to_owned(), format!("PUT /v2/o/r/manifests/{digest}")]
    );
    assert_eq!(machine.prints(&format!("tags {at}")), "latest\nv1\nv2\n");
    assert_eq!(
        machine.prints(&format!("tag {at}:v1 latest v2 latest")),
        format!("{at}:latest@{digest}\n{at}:v2@{digest}\n")
    );
    let tagged = machine.json(&format!("tag {at}@{digest} v3"));
    let expect = serde_json::json!({
        "schemaVersion": 1, "reference": format!("{at}:v3@{digest}"), "tag": "v3", "digest": digest.to_string(),
    });
    assert_eq!(tagged, expect);
}

#[test]
fn tags_are_set_one_by_one_where_the_registry_takes_no_more() {
    let machine = Machine::new();
    let quirks = Quirks { tag_parameter: quirks::TagParameter::Ignored, ..Quirks::default() };
    let registry = FakeRegistry::builder().quirks(quirks).start_blocking();
    put(&registry, &Image::new());
    let at = format!("{}/o/r", registry.host());
    machine.prints(&format!("tag {at}:v1 v2 v3"));
    assert_eq!(machine.prints(&format!("tags {at}")), "v1\nv2\nv3\n");
}

#[test]
fn a_layout_takes_tags_and_loses_them() {
    let machine = Machine::new();
    machine.write("source", &small());
    let digest = machine.prints("push source ocidir://layout:v1").trim_end().split_once('@').unwrap().1.to_owned();
    assert_eq!(machine.prints("tag ocidir://layout:v1 v2"), format!("ocidir://layout:v2@{digest}\n"));
    let printed = machine.prints("rm ocidir://layout:v1 --yes");
    assert_eq!(printed, format!("deleted tag ocidir://layout:v1, which was {digest}\n"));
    assert_eq!(machine.prints("tags ocidir://layout"), "v2\n");
    for line in ["tag ocidir://none:v1 v2", "rm ocidir://none:v1 --yes"] {
        machine.fails(line, 3, &["image layout not found"]);
    }
}

#[test]
fn tags_that_cannot_be_set_are_errors() {
    let (machine, registry) = (Machine::new(), registry());
    let at = format!("{}/o/r", registry.host());
    machine.fails(&format!("tag {at}:v1 v2"), 3, &["manifest `v1` not found"]);
    machine.fails(&format!("tag {at} v2"), 2, &["names no tag and no digest", "hint: "]);
    machine.fails(&format!("tag {at}:v1"), 2, &["<TAG>"]);
    machine.fails(&format!("tag {at}:v1 -v2"), 2, &[]);
    machine.fails(&format!("tag {at}:v1 a/b"), 2, &["a/b"]);
    machine.fails("tag file://x v2", 2, &["nothing can be pushed to"]);
    put(&registry, &Image::new());
    registry.fault(On::get("/manifests/").always(), Fault::Flip { at: 20 });
    machine.fails(&format!("tag {at}:v1 v2"), 8, &["reports the digest", "for other content"]);
}

#[test]
fn a_tag_is_deleted_alone_and_a_digest_with_its_manifest() {
    let (machine, registry) = (Machine::new(), registry());
    let digest = put(&registry, &Image::new()).descriptor.digest;
    let at = format!("{}/o/r", registry.host());
    machine.prints(&format!("tag {at}:v1 v2"));
    assert_eq!(machine.prints(&format!("rm {at}:v1 -y")), format!("deleted tag {at}:v1, which was {digest}\n"));
    assert_eq!(machine.prints(&format!("tags {at}")), "v2\n");
    let deleted = machine.json(&format!("rm {at}@{digest} --yes"));
    assert_eq!((&deleted["deleted"], &deleted["digest"]), (&"manifest".into(), &digest.to_string().into()));
    assert_eq!(machine.prints(&format!("tags {at}")), "");
    machine.fails(&format!("rm {at}:v2 --yes"), 3, &["manifest `v2` not found"]);
    machine.fails(&format!("rm {at}@{digest} --yes"), 3, &["not found"]);
}

#[test]
fn a_referrer_that_is_deleted_is_listed_no_more() {
    let machine = Machine::new();
    let quirks = Quirks { referrers: quirks::Referrers::Missing, ..Quirks::default() };
    let registry = FakeRegistry::builder().quirks(quirks).start_blocking();
    let subject = pushed(&machine, &registry, &small());
    let at = format!("{}/o/r", registry.host());
    machine.write("source", &small().file("note", "note"));
    let note = machine.prints(&format!("push source {at}:note --subject {subject}"));
    let note = note.trim_end().split_once('@').unwrap().1.to_owned();
    assert!(machine.prints(&format!("referrers {at}:v1")).starts_with(&note));
    machine.prints(&format!("rm {at}@{note} --yes"));
    assert_eq!(machine.prints(&format!("referrers {at}:v1")), "");
}

#[test]
fn nothing_is_deleted_that_nobody_can_be_asked_about_or_that_is_not_one_thing() {
    let (machine, registry) = (Machine::new(), registry());
    let digest = put(&registry, &Image::new()).descriptor.digest;
    let at = format!("{}/o/r", registry.host());
    let words = [&*format!("the tag {at}:v1"), "stdin is not a terminal", "hint: `--yes`"];
    machine.fails(&format!("rm {at}:v1"), 2, &words);
    machine.fails(&format!("rm {at}@{digest}"), 2, &["with all its tags"]);
    let both = format!("`refs rm {at}:v1` deletes the tag alone, `refs rm {at}@{digest}` the manifest");
    machine.fails(&format!("rm {at}:v1@{digest} --yes"), 2, &[&both]);
    machine.fails(&format!("rm {at} --yes"), 2, &["names no tag and no digest"]);
    machine.fails("rm docker://ubuntu --yes", 2, &["names no tag and no digest"]);
    assert!(registry.requests().iter().all(|seen| seen.method != "DELETE"));
}

#[test]
fn a_registry_that_keeps_its_tags_is_told_of() {
    let machine = Machine::new();
    let quirks = Quirks { tag_deletion: quirks::TagDeletion::Unsupported, ..Quirks::default() };
    let registry = FakeRegistry::builder().quirks(quirks).start_blocking();
    let digest = put(&registry, &Image::new()).descriptor.digest;
    let at = format!("{}/o/r", registry.host());
    let hint = format!("hint: `refs rm {at}@{digest}` deletes the manifest instead");
    machine.fails(&format!("rm {at}:v1 --yes"), 10, &["the registry keeps the tag", &hint]);
    machine.prints(&format!("rm {at}@{digest} --yes"));
    now(Image::new().push(&*registry.repository("o/r"), &["v1"])).unwrap();
    registry.fault(On::any("/manifests/sha256").skip(1).always(), Fault::Status { status: 405, headers: Vec::new() });
    machine.fails(&format!("rm {at}@{digest} --yes"), 10, &["not supported", "hint: "]);
}

#[test]
fn on_a_terminal_the_answer_decides() {
    let (machine, registry) = (Machine::new(), registry());
    put(&registry, &Image::new());
    let at = format!("{}/o/r", registry.host());
    for (answer, code) in [("\n", 1), ("no\n", 1), ("yes\n", 0)] {
        let (mut child, mut terminal) = at_terminal(&machine, &format!("rm {at}:v1"));
        let mut stderr = child.stderr.take().unwrap();
        assert_eq!(read_to("[y/N] ", &mut stderr), format!("delete the tag {at}:v1? [y/N] "));
        terminal.write_all(answer.as_bytes()).unwrap();
        std::io::copy(&mut stderr, &mut std::io::sink()).unwrap();
        assert_eq!(finished(child).code, code, "{answer}");
    }
    assert_eq!(machine.prints(&format!("tags {at}")), "");
}
