//! `refs serve --mirror`

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
};

use refs_testkit::{
    Fault, Image, On,
    raw::{RawPeer, Speech},
};
use refs_url::Digest;

use crate::{
    credentials::guarded,
    serve::Served,
    support::{Machine, pushed, put, read_to, registry, small},
};

#[test]
fn what_was_read_through_a_mirror_is_given_when_its_upstream_is_gone() {
    let (machine, upstream) = (Machine::new(), registry());
    pushed(&machine, &upstream, &small());
    let served = Served::start(&machine, &format!("--root kept --mirror hub=http://{} --tag-ttl 1ms", upstream.host()));
    let at = format!("{}/hub/o/r:v1", served.host);
    machine.prints(&format!("pull --no-cache {at} first"));
    upstream.stop();
    machine.prints(&format!("pull --no-cache {at} second"));
    assert_eq!(machine.read("first"), machine.read("second"));
    machine.run(&format!("resolve {}/hub/o/r:never", served.host)).failed(7, &["502"]);
}

#[test]
fn a_mirror_asks_for_a_tag_again_when_it_was_told_to() {
    let (machine, upstream) = (Machine::new(), registry());
    pushed(&machine, &upstream, &small());
    for (ttl, expect) in [("1h", 1), ("1ms", 2)] {
        let flags = format!("--root {ttl} --mirror =http://{} --tag-ttl {ttl}", upstream.host());
        let served = Served::start(&machine, &flags);
        upstream.take_requests();
        for _ in 0..2 {
            machine.prints(&format!("ls --no-cache {}/o/r:v1", served.host));
        }
        let of_tag = upstream.requests().iter().filter(|request| request.path.ends_with("/v1")).count();
        assert_eq!(of_tag, expect, "{ttl}: {:?}", upstream.requests());
    }
}

#[test]
fn a_mirror_is_who_the_user_is_and_its_clients_need_not_be() {
    let (machine, upstream) = (Machine::new(), guarded());
    machine.login(&upstream, "user", "hunter2");
    let served = Served::start(&machine, &format!("--root kept --mirror hub=http://{}", upstream.host()));
    let other = Machine::new();
    other.prints(&format!("resolve {}/hub/o/r:v1", served.host));
    other.run(&format!("resolve {}/o/r:v1", upstream.host())).failed(4, &[]);
}

/// A registry that answers `named:hunter2` with `refusal`, `user:other` with a manifest, and asks everyone else who they are.
fn refusing(refusal: &'static str) -> RawPeer {
    const MANIFEST: &str = r#"{"schemaVersion":2,"manifests":[]}"#;
    const KIND: &str = "application/vnd.oci.image.index.v1+json";
    RawPeer::start(move |head| {
        let (status, kind, body) = if head.contains(OTHER) {
            ("200 OK", KIND, MANIFEST)
        } else if head.contains(NAMED) {
            (refusal, "application/json", "{}")
        } else {
            ("401 Unauthorized", "application/json", "{}")
        };
        let length = body.len();
        let body = if head.starts_with("HEAD ") { "" } else { body };
        Speech::of([format!(
            "HTTP/1.1 {status}\r\nwww-authenticate: Basic realm=\"x\"\r\ncontent-type: {kind}\r\n\
             content-length: {length}\r\nconnection: close\r\n\r\n{body}",
        )])
    })
}

/// `named:hunter2` and `user:other`, as headers have them.
const NAMED: &str = "bmFtZWQ6aHVudGVyMg==";
const OTHER: &str = "dXNlcjpvdGhlcg==";

#[test]
fn a_mirror_with_a_login_of_its_own_is_nobody_else_when_that_is_refused() {
    for refusal in ["401 Unauthorized", "403 Forbidden"] {
        let (machine, upstream) = (Machine::new(), refusing(refusal));
        let auths = serde_json::json!({ "auths": { (upstream.host().as_str()): { "auth": OTHER } } });
        fs::write(machine.docker_config(), auths.to_string()).unwrap();
        let mirror = format!("[[mirror]]\ndefault = true\nurl = 'http://{}'\n", upstream.host());
        let login = "username = 'named'\npassword = 'hunter2'\n";
        fs::write(machine.path("own.toml"), format!("{mirror}{login}")).unwrap();
        fs::write(machine.path("none.toml"), mirror).unwrap();
        let serve = |name| Served::start(&machine, &format!("--server-config {name}.toml --root {name}"));
        let (other, mut served) = (Machine::new(), serve("own"));
        other.run(&format!("resolve {}/o/r:v1", served.host)).failed(5, &["denies"]);
        let told = read_to("\n", served.stderr());
        assert!(told.contains("the server's file") && !told.contains("hunter2"), "{refusal}: {told}");
        let heads = upstream.heads();
        assert!(heads.iter().any(|head| head.contains(NAMED)), "{heads:?}");
        assert!(!heads.iter().any(|head| head.contains(OTHER)), "{refusal}: {heads:?}");
        // Where no login is named, the user's own counts.
        served = serve("none");
        other.prints(&format!("resolve {}/o/r:v1", served.host));
    }
}

#[test]
fn nothing_is_pushed_to_a_mirror() {
    let (machine, upstream) = (Machine::new(), registry());
    machine.write("source", &small());
    let served = Served::start(&machine, &format!("--root kept --mirror hub=http://{}", upstream.host()));
    machine.run(&format!("push source {}/hub/o/r:v1", served.host)).failed(
        10,
        &["not supported by", ": UNSUPPORTED: this server only reads", "hint: it may be a server that only reads"],
    );
    assert!(upstream.requests().iter().all(|request| request.method == "GET" || request.method == "HEAD"));
}

#[test]
fn json_says_what_is_mirrored() {
    let machine = Machine::new();
    let served = Served::start(&machine, "--root kept --mirror hub=https://docker.io --format json");
    let said: serde_json::Value = serde_json::from_str(&served.host).unwrap();
    assert_eq!(said["mirrors"], serde_json::json!(["hub=https://docker.io"]));
}

#[test]
fn what_can_not_be_mirrored_is_refused_before_anything_is_served() {
    let machine = Machine::new();
    let fails = |line: &str, code, words: &[&str]| {
        drop(machine.fails(&format!("serve --listen localhost:0 {line}"), code, words))
    };
    fails("--mirror hub=ftp://x.test", 2, &["PREFIX=URL"]);
    fails(
        "--mirror hub=https://x.test --mirror hub=https://y.test --root ../kept",
        2,
        &["two upstreams have the prefix `hub`"],
    );
    fails("--tag-ttl 5m", 2, &["--mirror"]);
    fails("--store-size 40GiB", 2, &["--mirror"]);
    fails("--mirror hub=https://x.test --store-size 40X", 2, &["expected a number of bytes"]);
    // Other tests are given their ports elsewhere, and may be given the same one there.
    let free = TcpListener::bind("127.0.0.2:0").unwrap().local_addr().unwrap();
    let itself = format!("serve --listen {free} --mirror =http://localhost:{}", free.port());
    machine.fails(&itself, 2, &["would ask itself"]);
    fs::create_dir(machine.path("taken")).unwrap();
    fs::write(machine.path("taken/file"), "").unwrap();
    fails("--mirror hub=https://x.test --root taken", 1, &["taken"]);
}

#[test]
fn a_mirror_keeps_no_more_than_it_was_told_to() {
    let (machine, upstream) = (Machine::new(), registry());
    let [kept, passed] = [1_000, 200_000].map(|bytes| vec![b'x'; bytes]);
    put(&upstream, &Image::new().file("kept", kept.clone()).file("passed", passed.clone()));
    let flags = format!("--root kept --store-size 100K --mirror =http://{}", upstream.host());
    let served = Served::start(&machine, &flags);
    for (bytes, is_kept) in [(kept, true), (passed, false)] {
        let digest = Digest::sha256(&bytes);
        machine.prints(&format!("blob get --no-cache {}/o/r@{digest} --output got", served.host));
        assert!(fs::read(machine.path("got")).unwrap() == bytes);
        fs::remove_file(machine.path("got")).unwrap();
        assert_eq!(machine.path("kept/blobs/sha256").join(digest.encoded()).exists(), is_kept, "{} bytes", bytes.len());
    }
}

#[test]
fn a_mirror_that_is_killed_while_it_fetches_shows_no_half_of_anything() {
    let (machine, upstream) = (Machine::new(), registry());
    let bytes: Vec<u8> = (0..2_000_000_u32).map(|n| (n / 7) as u8).collect();
    let digest = Digest::sha256(&bytes);
    put(&upstream, &Image::new().file("file", bytes.clone()));
    let flags = format!("--root kept --mirror =http://{}", upstream.host());
    upstream.fault(On::get("/blobs/"), Fault::Stall { after: 1_500_000 });
    let served = Served::start(&machine, &flags);
    let mut stream = TcpStream::connect(&served.host).unwrap();
    write!(stream, "GET /v2/o/r/blobs/{digest} HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    // The body comes while the upstream has not given all of it.
    read_to("\r\n\r\n", &mut stream);
    stream.read_exact(&mut vec![0; 1_000_000]).unwrap();
    drop(served);
    assert!(!machine.path("kept/blobs/sha256").join(digest.encoded()).exists());
    let served = Served::start(&machine, &flags);
    machine.prints(&format!("blob get --no-cache {}/o/r@{digest} --output got", served.host));
    assert!(fs::read(machine.path("got")).unwrap() == bytes);
}
