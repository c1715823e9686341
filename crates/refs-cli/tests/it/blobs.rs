//! `refs blob get`, `put` and `stat`

use std::{
    fs::{self, File},
    io::Write,
    process::Stdio,
};

use refs_testkit::{Close, Fault, Image, On};
use refs_url::Digest;

use crate::support::{Machine, Run, ended, finished, noise, put, registry};

fn piped(machine: &Machine, line: &str, input: &[u8]) -> Run {
    let mut child =
        machine.command(line).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    finished(child)
}

#[test]
fn what_is_put_is_there_and_comes_back() {
    let (machine, registry) = (Machine::new(), registry());
    let (at, content) = (format!("{}/o/r", registry.host()), noise(300_000));
    let digest = Digest::sha256(&content);
    fs::write(machine.path("file"), &content).unwrap();
    assert_eq!(machine.prints(&format!("blob put {at} file")), format!("{digest} 300000\n"));
    assert_eq!(machine.prints(&format!("blob stat {at}@{digest}")), format!("{digest} 300000\n"));
    assert_eq!(machine.run(&format!("blob get {at}@{digest}")).stdout, content);
    let printed = machine.prints(&format!("blob get {at}@{digest} -o deep/copy"));
    assert_eq!(printed, format!("{digest} 300000\n"));
    assert_eq!(fs::read(machine.path("deep/copy")).unwrap(), content);
}

#[test]
fn what_is_there_is_not_sent_again() {
    let (machine, registry) = (Machine::new(), registry());
    let at = format!("{}/o/r", registry.host());
    fs::write(machine.path("file"), "content").unwrap();
    assert_eq!(machine.json(&format!("blob put {at} file"))["uploaded"], true);
    registry.take_requests();
    let again = machine.json(&format!("blob put {at} file"));
    let digest = Digest::sha256(b"content");
    let expect = serde_json::json!({
        "schemaVersion": 1, "reference": format!("{at}@{digest}"), "digest": digest.to_string(), "size": 7, "uploaded": false,
    });
    assert_eq!(again, expect);
    assert_eq!(registry.take_requests(), [format!("HEAD /v2/o/r/blobs/{digest}")]);
    let run = piped(&machine, &format!("blob put {at} - --format json"), b"content");
    assert!(run.printed().contains(r#""uploaded":false"#));
}

#[test]
fn stdin_is_put_as_it_comes() {
    let (machine, registry) = (Machine::new(), registry());
    let (at, content) = (format!("{}/o/r", registry.host()), noise(9 << 20));
    let digest = Digest::sha256(&content);
    let line = format!("blob put {at} -");
    assert_eq!(piped(&machine, &line, &content).printed(), format!("{digest} {}\n", content.len()));
    assert_eq!(machine.prints(&format!("blob stat {at}@{digest}")), format!("{digest} {}\n", content.len()));
    let empty = Digest::sha256(b"");
    assert_eq!(piped(&machine, &line, b"").printed(), format!("{empty} 0\n"));
    assert_eq!(machine.prints(&format!("blob stat {at}@{empty}")), format!("{empty} 0\n"));
}

#[test]
fn a_digest_behind_the_repository_is_what_is_put_or_nothing_is() {
    let (machine, registry) = (Machine::new(), registry());
    let (at, other) = (format!("{}/o/r", registry.host()), Digest::sha256(b"other"));
    fs::write(machine.path("file"), "content").unwrap();
    machine.fails(&format!("blob put {at}@{other} file"), 8, &["does not match its digest"]);
    piped(&machine, &format!("blob put {at}@{other} -"), b"content").failed(8, &["does not match its digest"]);
    machine.fails(&format!("blob stat {at}@{}", Digest::sha256(b"content")), 3, &["not found"]);
    let sha512 = format!("sha512:{}", "0".repeat(128));
    piped(&machine, &format!("blob put {at}@{sha512} -"), b"content").failed(10, &["the algorithm of digest"]);
}

#[test]
fn a_blob_that_comes_damaged_leaves_no_file_and_the_one_that_was_there() {
    let (machine, registry) = (Machine::new(), registry());
    let content = noise(300_000);
    put(&registry, &Image::new().file("a", content.clone()));
    let at = format!("{}/o/r@{}", registry.host(), Digest::sha256(&content));
    fs::write(machine.path("old"), "old").unwrap();
    for (fault, code) in [(Fault::Flip { at: 250_000 }, 8), (Fault::Cut { after: 9, close: Close::Fin }, 7)] {
        registry.fault(On::get("/blobs/").always(), fault);
        for file in ["new", "old", "deep/new"] {
            machine.fails(&format!("--no-cache blob get {at} -o {file}"), code, &[]);
        }
        let run = machine.run(&format!("--no-cache blob get {at}"));
        assert_eq!(run.code, code, "{}", run.stderr);
        registry.clear_faults();
    }
    assert_eq!(fs::read(machine.path("old")).unwrap(), b"old");
    machine.prints(&format!("blob get {at} -o old"));
    assert_eq!(fs::read(machine.path("old")).unwrap(), content);
}

#[test]
fn what_names_no_blob_or_no_file_is_an_error() {
    let (machine, registry) = (Machine::new(), registry());
    let at = format!("{}/o/r", registry.host());
    let digest = Digest::sha256(b"nothing");
    for line in ["blob get AT:v1", "blob stat AT", "blob get AT -o file", "blob stat file://x"] {
        machine.fails(&line.replace("AT", &at), 2, &["names no digest", "hint: "]);
    }
    for line in ["blob get AT", "blob get AT -o file", "blob stat AT"] {
        let words = [&*format!("blob `{digest}` not found in {at}")];
        machine.fails(&line.replace("AT", &format!("{at}@{digest}")), 3, &words);
    }
    machine.fails(&format!("blob put {at} missing"), 1, &["cannot read `missing`"]);
    machine.fails(&format!("blob put {at} ."), 1, &["cannot read `.`"]);
    fs::write(machine.path("file"), "content").unwrap();
    machine.fails("blob put file://x file", 2, &["nothing can be pushed to"]);
    assert_eq!(machine.run("blob").code, 2);
    put(&registry, &Image::new().file("a", "a"));
    fs::create_dir(machine.path("folder")).unwrap();
    let a = Digest::sha256(b"a");
    machine.fails(&format!("blob get {at}@{a} -o folder"), 11, &["`folder`"]);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let run = ended(machine.command(&format!("blob get {at}@{a}")).stdout(full));
    assert!(run.code == 1 && run.stderr.contains("cannot write to stdout"), "{}", run.stderr);
}

#[test]
fn a_layout_takes_blobs_and_gives_them() {
    let machine = Machine::new();
    fs::write(machine.path("file"), "content").unwrap();
    let digest = Digest::sha256(b"content");
    assert_eq!(machine.prints("blob put ocidir://layout file"), format!("{digest} 7\n"));
    assert_eq!(machine.prints(&format!("blob get ocidir://layout@{digest}")), "content");
    let other = Digest::sha256(b"other");
    machine.fails(&format!("blob stat ocidir://layout@{other}"), 3, &["not found in ocidir://layout"]);
}
