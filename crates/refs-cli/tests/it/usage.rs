//! Command lines that cannot be read.

use std::fs::{self, File};

use serde_json::Value;

use crate::support::{Machine, ended, small};

/// What stands for a value that can't be one.
const SECRET: &str = "hunter2";

#[test]
fn a_password_in_a_command_line_is_never_shown() {
    let machine = Machine::new();
    let at = format!("user:{SECRET}@127.0.0.1:5055/a:b");
    for line in [
        format!("ls {at}"),
        format!("resolve oci://{at}"),
        format!("cat https://{at} README.md"),
        format!("tags localhost:1/o/r {at}"),
        at.clone(),
        format!("tags --{at}"),
        format!("login {at}"),
        format!("ls localhost:1/a:b --plain-http {at}"),
        format!("push . localhost:1/a:b --tag {at}"),
        format!("push . localhost:1/a:b --annotation {at}"),
        format!("ls localhost:1/a:b --platform {at}"),
        format!("ls user:{SECRET}@ghcr.io"),
        format!("ls user:{SECRET}@app"),
        format!("ls oci:{at}"),
        format!("unpack docker-daemon:{at} root"),
        format!("ls a.b/c:d {at}"),
        format!("ls {SECRET}==@127.0.0.1:5055/a:b"),
        format!("ls a={SECRET}@h.test/x:v1"),
        format!("ls user:{SECRET}=https://x@h.test/x:v1"),
        format!("ls a.b/c:d {SECRET}==@h.test/x:v1"),
        format!("ls localhost:1/a:b --platform=token={SECRET}@x/y"),
        format!("serve --mirror hub=https://{at}"),
        format!("serve --mirror hub=https://{SECRET}@x.test"),
        format!("serve --mirror hub=https://u:{SECRET}/{SECRET}@x.test"),
        format!("serve --mirror hub={SECRET}@x.test"),
        format!("serve --mirror hub=//u:{SECRET}@x.test"),
        format!("serve --mirror hub=https:/u:{SECRET}@x.test"),
        format!("serve --mirror {SECRET}==@x.test"),
        format!("serve --mirror=hub=https://u@x.test/{SECRET}@y"),
    ] {
        for format in ["text", "json"] {
            let run = machine.run(&format!("--format {format} {line}"));
            assert_eq!((run.code, run.text().as_str()), (2, ""), "{line}");
            assert!(!run.stderr.contains(SECRET), "{line}: {}", run.stderr);
        }
    }
    let shown = "invalid value '***@127.0.0.1:5055/a:b' for '<REF>'";
    machine.fails(&format!("ls {at}"), 2, &[shown, "\nhint: leave out what stands before the `@`"]);
    for line in ["serve --mirror hub=https://user:hunter2@x.test", "serve --mirror=hub=https://user:hunter2@x.test"] {
        let words = ["invalid value 'hub=https://***@x.test'", "a URL has no login: that of a mirror is"];
        let run = machine.fails(line, 2, &words);
        assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
    }
}

#[test]
fn what_is_no_password_is_shown() {
    machine_says("push . localhost:1/a:b --tag b@d", &["'b@d'", "of `b@d`"]);
}

#[track_caller]
fn machine_says(line: &str, words: &[&str]) {
    Machine::new().fails(line, 2, words);
}

#[test]
fn a_hint_comes_before_the_way_to_the_help() {
    machine_says(
        "ls ubuntu",
        &["\n\nhint: put the registry's host first; on Docker Hub this is `docker://ubuntu`\n\nFor more"],
    );
}

#[test]
fn a_constraint_is_sent_to_the_command_that_takes_it() {
    for line in ["pull a.b/c --constraint ^1", "ls a.b/c --constraint=^1"] {
        let run =
            Machine::new().fails(line, 2, &["unexpected argument '--constraint'", "hint: `refs resolve REPO --con"]);
        assert!(!run.stderr.contains("tip:"), "{}", run.stderr);
    }
}

#[test]
fn a_digest_of_another_length_is_told_how_long_it_is() {
    let words =
        ["wrong number of digits", "hint: a sha256 digest has 64 digits, and can't be abbreviated; this one has 4"];
    for place in ["a.b/c", "a.b/c:v1", "docker://ubuntu", "ocidir://layout"] {
        machine_says(&format!("pull {place}@sha256:abcd"), &words);
    }
    machine_says(
        &format!("pull a.b/c@sha512:{}", "0".repeat(129)),
        &["hint: a sha512 digest has 128 digits; this one has 129"],
    );
}

#[test]
fn the_message_in_json_is_one_line_without_usage() {
    let machine = Machine::new();
    for (line, message, hint) in [
        ("ls", "the following required arguments were not provided: <REF>", None),
        ("ls a.b/c:d --color x", "invalid value 'x' for '--color <WHEN>' [possible values: auto, always, never]", None),
        ("ls a.b/c:d --tre", "unexpected argument '--tre' found", Some("a similar argument exists: '--tree'")),
        (
            "login https://ghcr.io",
            "invalid value 'https://ghcr.io' for '<HOST>': registry port is not a number from 1 to 65535 at byte 6 of `https://ghcr.io`",
            Some("give only the host: `ghcr.io`"),
        ),
    ] {
        let run = machine.run(&format!("{line} --format json"));
        let told: Value = serde_json::from_str(&run.stderr).unwrap();
        let expect = match hint {
            Some(hint) => serde_json::json!({ "message": message, "exit": 2, "hint": hint }),
            None => serde_json::json!({ "message": message, "exit": 2 }),
        };
        assert_eq!(told["error"], expect);
    }
}

#[test]
fn hints_fit_what_was_meant() {
    let machine = Machine::new();
    machine.write("source", &small());
    machine.prints("push source ocidir://layout:v1");
    fs::write(machine.path("docs.tgz"), "").unwrap();
    for (line, hint) in [
        ("ls ./docs.tgz", "a file on the disk is `file://./docs.tgz`"),
        ("ls docs.tgz", "a file on the disk is `file://docs.tgz`"),
        ("ls ./layout", "an image layout on the disk is `ocidir://./layout`"),
        ("ls layout:v1", "an image layout on the disk is `ocidir://layout:v1`"),
        ("ls https://ghcr.io/o/r:v1", "leave out the scheme; for plain HTTP there is `--plain-http HOST`"),
        ("ls oci:layout:v1", "an image layout on the disk is `ocidir://layout:v1`"),
        ("ls ocidir:layout:v1", "an image layout on the disk is `ocidir://layout:v1`"),
        ("ls ocidir:/cache", "an image layout on the disk is `ocidir:///cache`"),
        ("ls oci-layout://layout:v1", "an image layout on the disk is `ocidir://layout:v1`"),
        (
            "tags 127.0.0.1:5712",
            "`refs repos 127.0.0.1:5712` lists its repositories; name one of them as in `127.0.0.1:5712/app`",
        ),
        ("tags ghcr.io", "`refs repos ghcr.io` lists its repositories; name one of them as in `ghcr.io/app`"),
        ("tags debian:12", "put the registry's host first; on Docker Hub this is `docker://debian:12`"),
        ("ls oci-archive:a.tar", "unpack it with tar: the directory is an image layout, `ocidir://DIR:TAG`"),
        (
            "unpack docker-daemon:ubuntu:24.04 root",
            "`skopeo copy docker-daemon:ubuntu:24.04 oci:DIR:TAG` makes an image layout of it, which is `ocidir://DIR:TAG`",
        ),
        ("ls a.b/c:d guide/", "paths are chosen by `--path`, as in `refs ls REF --path 'guide/**'`"),
        ("pull a.b/c:d to guide", "paths are chosen by `--path`, as in `refs pull REF DEST --path 'guide/**'`"),
        ("inspect a.b/c:d guide", "one file is printed by `refs cat REF PATH`"),
        ("cat a.b/c:d one two", "one file is printed at a time; several come by `refs pull REF DEST --path GLOB`"),
        (
            "unpack a.b/c:d to etc",
            "all of an image is unpacked; `refs pull REF DEST --path GLOB` takes some of its files",
        ),
        ("cp a.b/c:d ghcr.io", "`refs repos ghcr.io` lists its repositories; name one of them as in `ghcr.io/app`"),
        ("cp a.b/c:d docs.tgz", "an image layout on the disk is `ocidir://docs.tgz`"),
        ("cp a.b/c:d /absent/x:v1", "an image layout on the disk is `ocidir:///absent/x:v1`"),
        ("cp a.b/c:d docker://./layout:v1", "an image layout on the disk is `ocidir://./layout:v1`"),
        ("cp docker:///absent/x a.b/c:d", "an image layout on the disk is `ocidir:///absent/x`"),
        ("cp docs.tgz a.b/c:d", "a file on the disk is `file://docs.tgz`"),
        (
            "cp a.b/c:d e.f/g:h --platform linux/amd64,arm64",
            "give the flag once for each platform: `--platform linux/amd64 --platform linux/arm64`",
        ),
        (
            "cp a.b/c:d e.f/g:h --platform amd46,arm64",
            "give the flag once for each platform: `--platform linux/amd64 --platform linux/arm64`",
        ),
        ("login https://ghcr.io", "give only the host: `ghcr.io`"),
        ("login ghcr.io/o/r", "give only the host: `ghcr.io`"),
        ("logout http://localhost:5000/", "give only the host: `localhost:5000`"),
    ] {
        machine.fails(line, 2, &[&format!("\nhint: {hint}\n")]);
    }
    let run = machine.fails("ls :", 2, &["registry"]);
    assert!(!run.stderr.contains("docker://"), "{}", run.stderr);
}

#[test]
fn help_that_cannot_be_written_is_an_error() {
    let machine = Machine::new();
    for line in ["--help", "--version", "ls --help"] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let run = ended(machine.command(line).stdout(full));
        let told = "error: cannot write to stdout: No space left on device (os error 28)\n\nhint: make space and run it again\n";
        assert_eq!((run.code, run.stderr.as_str()), (1, told));
    }
}
