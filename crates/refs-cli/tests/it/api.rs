//! `refs api`

use std::fs::{self, File};

use refs_testkit::{FakeRegistry, Fault, Image, On};
use refs_url::Digest;
use serde_json::json;

use crate::{
    credentials::{guarded, run},
    support::{Machine, now, put, registry},
};

#[test]
fn an_answer_comes_as_it_is() {
    let (machine, registry) = (Machine::new(), registry());
    let manifest = put(&registry, &Image::new());
    let host = registry.host();
    assert_eq!(machine.prints(&format!("api GET {host}/v2/o/r/tags/list?n=1")), r#"{"name":"o/r","tags":["v1"]}"#);
    assert_eq!(registry.take_requests()[0].query, "n=1");
    assert_eq!(machine.run(&format!("api get {host}/v2/o/r/manifests/v1")).stdout, manifest.raw);
    let head = machine.prints(&format!("api -i HEAD {host}/v2/o/r/manifests/v1"));
    assert!(head.starts_with("HTTP 200\n") && head.ends_with("\n\n"), "{head}");
    assert!(head.contains(&format!("docker-content-digest: {}\n", manifest.descriptor.digest)), "{head}");
    let shown = machine.json(&format!("api GET {host}/v2/o/r/tags/list"));
    assert_eq!((&shown["status"], &shown["body"]["tags"]), (&200.into(), &json!(["v1"])));
    assert!(shown["headers"].as_array().unwrap().contains(&json!(["content-type", "application/json"])), "{shown}");
}

#[test]
fn what_is_sent_arrives() {
    let (machine, registry) = (Machine::new(), registry());
    let (host, manifest) = (registry.host(), Image::new().manifest().unwrap());
    put(&registry, &Image::new());
    fs::write(machine.path("manifest.json"), &manifest.raw).unwrap();
    let put = format!("api PUT {host}/v2/o/r/manifests/v2 --input");
    let mut command = machine.command(&format!("{put} manifest.json"));
    let kind = format!("Content-Type: {}", manifest.descriptor.media_type);
    crate::support::ended(command.args(["-H", &kind])).printed();
    assert_eq!(
        machine.prints(&format!("resolve {host}/o/r:v2")),
        format!("{host}/o/r@{}\n", manifest.descriptor.digest)
    );
    let mut command = machine.command(&format!("{put} -"));
    command.stdin(File::open(machine.path("manifest.json")).unwrap());
    crate::support::ended(command.args(["-H", &kind])).printed();
    machine.prints(&format!("api DELETE {host}/v2/o/r/manifests/v2"));
    assert_eq!(machine.prints(&format!("tags {host}/o/r")), "v1\n");
    let begun = machine.prints(&format!("api POST {host}/v2/o/r/blobs/uploads/ -i"));
    assert!(begun.starts_with("HTTP 202\n") && begun.contains("location: "), "{begun}");
}

#[test]
fn a_status_that_is_no_success_is_an_error_beside_the_body() {
    let (machine, registry) = (Machine::new(), registry());
    let host = registry.host();
    let run = machine.run(&format!("api GET {host}/v2/o/r/manifests/v1"));
    assert_eq!(run.code, 3);
    assert!(run.text().contains("MANIFEST_UNKNOWN"), "{}", run.text());
    let expect = format!("error: `GET http://{host}/v2/o/r/manifests/v1` was answered with 404\n");
    assert_eq!(run.stderr, expect);
    for (status, code) in [(400, 1), (403, 5), (405, 10), (409, 11), (429, 6), (500, 7), (503, 7)] {
        registry.fault(On::get("/v2/x"), Fault::Status { status, headers: Vec::new() });
        let run = machine.run(&format!("api GET {host}/v2/x"));
        assert_eq!(run.code, code, "{status}: {}", run.stderr);
    }
    let run = machine.run(&format!("api GET {host}/nothing --format json"));
    assert!(run.code == 3 && run.text().starts_with(r#"{"schemaVersion":1,"status":404,"#), "{}", run.text());
    assert!(run.stderr.contains(r#""exit":3"#), "{}", run.stderr);
}

#[test]
fn what_begins_something_is_sent_once_and_what_reads_again() {
    let (machine, registry) = (Machine::new(), registry());
    let host = registry.host();
    let broken = || Fault::Status { status: 502, headers: Vec::new() };
    registry.fault(On::any("/uploads/").always(), broken());
    machine.fails(&format!("api POST {host}/v2/o/r/blobs/uploads/ --retries 1"), 7, &["502"]);
    assert_eq!(registry.take_requests().len(), 1);
    registry.fault(On::get("/v2/_catalog"), broken());
    machine.prints(&format!("api GET {host}/v2/_catalog --retries 1"));
    assert_eq!(registry.take_requests().len(), 2);
}

#[test]
fn credentials_are_shown_and_a_token_is_asked_for_what_the_method_needs() {
    let (machine, registry) = (Machine::new(), guarded());
    now(Image::new().push(&*registry.repository("o/r"), &["v1"])).unwrap();
    machine.login(&registry, "user", "hunter2");
    let host = registry.host();
    machine.prints(&format!("api GET {host}/v2/o/r/tags/list"));
    machine.prints(&format!("api DELETE {host}/v2/o/r/manifests/v1"));
    let token = registry.requests().into_iter().rev().find(|seen| seen.path == "/token").unwrap();
    assert!(token.query.contains("delete"), "{}", token.query);
    machine.login(&registry, "user", "wrong");
    run(&machine, &format!("api GET {host}/v2/"), &[], "").failed(4, &["refused the credentials", "tried: "]);
}

#[test]
fn credentials_go_no_further_than_the_registry() {
    let machine = Machine::new();
    let registry = FakeRegistry::builder().token_auth("user", "hunter2").redirect_blobs().start_blocking();
    let digest = Digest::sha256(b"content");
    now(Image::new().file("a", "content").push(&*registry.repository("o/r"), &["v1"])).unwrap();
    machine.login(&registry, "user", "hunter2");
    assert_eq!(machine.prints(&format!("api GET {}/v2/o/r/blobs/{digest}", registry.host())), "content");
    let elsewhere: Vec<_> =
        registry.requests().into_iter().filter(|seen| Some(&seen.host) == registry.cdn_host().as_ref()).collect();
    assert!(elsewhere.len() == 1 && !elsewhere[0].had_authorization, "{elsewhere:?}");
    // Two slashes begin a path here, and no host.
    machine.run(&format!("api GET {}//{}/x", registry.host(), "example.invalid"));
    assert!(registry.requests().iter().any(|seen| seen.path == "//example.invalid/x"));
}

#[test]
fn command_lines_that_make_no_request_are_errors() {
    let (machine, registry) = (Machine::new(), registry());
    let host = registry.host();
    machine.fails(&format!("api TRACE {host}/v2/"), 2, &["expected GET, HEAD, POST"]);
    for target in ["https://r.test/v2/", "r.test", "/v2/", "nohost/v2/", "user:hunter2@r.test/v2/"] {
        let run = machine.fails(&format!("api GET {target}"), 2, &["expected HOST/PATH"]);
        assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
    }
    machine.fails(&format!("api GET {host}/v2/ --input x"), 2, &["has no body", "hint: "]);
    machine.fails(&format!("api PUT {host}/v2/ --input missing"), 1, &["cannot read `missing`"]);
    machine.fails(&format!("api GET {host}/v2/ -H nonsense"), 2, &["expected NAME: VALUE"]);
    for name in ["Authorization", "host", "Content-Length", "cookie"] {
        let run =
            machine.fails(&format!("api GET {host}/v2/ -H {name}:hunter2"), 2, &[name, "sets it itself", "hint: "]);
        assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
    }
    assert_eq!(registry.requests(), [""; 0]);
}
