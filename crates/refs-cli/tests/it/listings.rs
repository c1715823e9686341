//! `refs repos`, `refs referrers`

use refs_registry::{Descriptor, Manifest};
use refs_testkit::{FakeRegistry, Fault, Image, On, Quirks, quirks};

use crate::support::{Machine, now, put, registry};

fn three_repositories() -> FakeRegistry {
    let registry = FakeRegistry::builder().page(2).start_blocking();
    for name in ["a", "b/c", "d"] {
        now(Image::new().push(&*registry.repository(name), &["v1"])).unwrap();
    }
    registry
}

#[test]
fn repositories_of_all_pages_are_listed_ready_to_be_used() {
    let (machine, registry) = (Machine::new(), three_repositories());
    let host = registry.host();
    assert_eq!(machine.prints(&format!("repos {host}")), format!("{host}/a\n{host}/b/c\n{host}/d\n"));
    assert_eq!(registry.take_requests().len(), 2);
    let lines = machine.json_lines(&format!("repos {host}"));
    assert_eq!(lines[1]["repository"], format!("{host}/b/c"));
}

#[test]
fn a_limit_asks_for_no_page_of_repositories_that_is_not_needed() {
    let (machine, registry) = (Machine::new(), three_repositories());
    let host = registry.host();
    assert_eq!(machine.prints(&format!("repos {host} --limit 2")), format!("{host}/a\n{host}/b/c\n"));
    assert_eq!(registry.requests().len(), 1);
}

#[test]
fn what_is_no_host_or_does_not_tell_is_an_error() {
    let (machine, registry) = (Machine::new(), registry());
    let host = registry.host();
    machine.fails(&format!("repos {host}/o/r"), 2, &["hint: ", &format!("`{host}`")]);
    registry.fault(On::get("/v2/_catalog").always(), Fault::Status { status: 405, headers: Vec::new() });
    machine.fails(&format!("repos {host}"), 10, &["the list of repositories is not supported"]);
    registry.clear_faults();
    registry.fault(On::get("/v2/_catalog").always(), Fault::Status { status: 404, headers: Vec::new() });
    let words = ["the list of repositories not found", "hint: this registry gives no list of its repositories"];
    machine.fails(&format!("repos {host}"), 3, &words);
}

/// A registry with an artifact, and a signature and a list of parts that refer to it.
fn signed(registry: &FakeRegistry) -> (Manifest, Descriptor, Descriptor) {
    let subject = put(registry, &Image::new().file("a.txt", "a"));
    let [signature, parts] = ["application/vnd.example.signature", "application/spdx+json"].map(|kind| {
        let image = Image::new().artifact_type(kind).annotate("by", "a\u{1b}[31mb").subject(&subject.descriptor);
        now(image.push(&*registry.repository("o/r"), &[])).unwrap().descriptor
    });
    (subject, signature, parts)
}

#[test]
fn referrers_are_listed_by_tag_and_by_digest() {
    let (machine, registry) = (Machine::new(), registry());
    let (subject, signature, parts) = signed(&registry);
    let at = format!("{}/o/r", registry.host());
    for target in [":v1".to_owned(), format!("@{}", subject.descriptor.digest)] {
        let printed = machine.prints(&format!("referrers {at}{target}"));
        let mut lines: Vec<_> = printed.lines().collect();
        lines.sort_unstable();
        let mut expect = [
            format!("{} application/vnd.example.signature", signature.digest),
            format!("{} application/spdx+json", parts.digest),
        ];
        expect.sort_unstable();
        assert_eq!(lines, expect);
    }
    let only = machine.json(&format!("referrers {at}:v1 --artifact-type application/spdx+json"));
    assert_eq!(only["reference"], format!("{at}@{}", parts.digest));
    assert_eq!((&only["digest"], &only["size"]), (&parts.digest.to_string().into(), &parts.size.into()));
    assert_eq!(only["artifactType"], "application/spdx+json");
    assert_eq!(only["annotations"]["by"], "a\u{1b}[31mb");
    assert_eq!(machine.prints(&format!("referrers {at}:v1 --limit 1")).lines().count(), 1);
    assert_eq!(machine.prints(&format!("referrers {at}@{}", parts.digest)), "");
}

#[test]
fn referrers_are_found_where_the_registry_lists_none() {
    let machine = Machine::new();
    let quirks = Quirks { referrers: quirks::Referrers::Missing, ..Quirks::default() };
    let registry = FakeRegistry::builder().quirks(quirks).start_blocking();
    let at = format!("{}/o/r", registry.host());
    machine.write("source", &crate::support::small());
    machine.prints(&format!("push source {at}:v1"));
    let printed = machine.prints(&format!("push source {at}:v2 --subject {at}:v1 --artifact-type text/x-note"));
    let digest = printed.trim_end().split_once('@').unwrap().1.to_owned();
    assert_eq!(machine.prints(&format!("referrers {at}:v1")), format!("{digest} text/x-note\n"));
}

#[test]
fn referrers_of_nothing_are_an_error() {
    let (machine, registry) = (Machine::new(), registry());
    let at = format!("{}/o/r", registry.host());
    machine.fails(&format!("referrers {at}:v1"), 3, &["manifest `v1` not found"]);
    machine.fails(&format!("referrers {at}"), 2, &["names no tag and no digest"]);
    machine.fails(&format!("referrers {at}:v1 --artifact-type nonsense"), 2, &["expected a media type"]);
    machine.fails("referrers file://x", 2, &["which has no tags"]);
}
