//! What every command says when it cannot do its work, and the code it exits with.

use std::fs;

use refs_testkit::{Close, FakeRegistry, Fault, On};

use crate::{
    output::refusing,
    support::{CLOSED, Machine, ended, noise, pushed, registry, small},
};

/// A line of each command that reads the tag `tag` of the repository `at`.
fn readers(at: &str, tag: &str) -> Vec<String> {
    let mut lines = vec![
        format!("ls {at}:{tag}"),
        format!("cat {at}:{tag} README.md"),
        format!("pull {at}:{tag} here"),
        format!("pull {at}:{tag} here --path guide/**"),
    ];
    lines.push(format!("resolve {at}:{tag}"));
    lines
}

/// A line of each command that speaks to a registry.
fn all(at: &str) -> Vec<String> {
    let mut lines = readers(at, "v1");
    lines.extend([format!("tags {at}"), format!("push source {at}:v1")]);
    lines
}

/// All `lines` fail with `code` and an error that has each of `words`, on a machine that `prepare` has seen.
#[track_caller]
fn check(machine: &Machine, lines: &[String], code: i32, words: &[&str]) {
    for line in lines {
        machine.fails(line, code, words);
    }
}

fn with_source() -> Machine {
    let machine = Machine::new();
    machine.write("source", &small());
    machine
}

fn status(registry: &FakeRegistry, status: u16, headers: Vec<(&'static str, String)>) {
    registry.fault(On::any("/v2/").always(), Fault::Status { status, headers });
}

#[test]
fn a_host_that_does_not_answer_is_unreachable() {
    let words = [&format!("cannot reach {CLOSED}: "), "refused", "\nhint: check that a registry listens on"];
    check(&with_source(), &all(&format!("{CLOSED}/o/r")), 7, &words);
}

#[test]
fn a_connection_that_is_closed_without_an_answer_is_told_from_none() {
    for close in [Close::Fin, Close::Reset] {
        let registry = registry();
        let cut = Fault::CutRequest { after: 1000, close };
        let words = [
            &format!("cannot reach {}: ", registry.host()),
            &*format!("\nhint: {} gave no answer that can be read: run it again", registry.host()),
        ];
        let machine = Machine::new();
        machine.write("source", &small().file("large.bin", noise(300_000)));
        registry.fault(On::any("/uploads/").always(), cut);
        machine.fails(&format!("push source {}/o/r:v1", registry.host()), 7, &words);
        registry.fault(On::any("/v2/").always(), Fault::Drop(close));
        check(&machine, &readers(&format!("{}/o/r", registry.host()), "v1"), 7, &words);
    }
}

#[test]
fn a_server_that_fails_is_unreachable() {
    let registry = registry();
    status(&registry, 500, Vec::new());
    check(
        &with_source(),
        &all(&format!("{}/o/r", registry.host())),
        7,
        &[registry.host().as_str(), "500", "\nhint: the registry has a problem: try again later"],
    );
}

#[test]
fn a_registry_that_takes_no_uploads_is_told() {
    let registry = registry();
    registry.fault(On::any("/blobs/uploads/").always(), Fault::Status { status: 501, headers: Vec::new() });
    let words = format!("uploads are not supported by {}/o/r", registry.host());
    with_source().fails(&format!("push source {}/o/r:v1", registry.host()), 10, &[&words]);
}

#[test]
fn plain_http_is_spoken_with_the_host_that_it_is_asked_for_and_no_other() {
    let (machine, registry) = (Machine::new(), registry());
    pushed(&machine, &registry, &small());
    // An address that leads to loopback and is not known to.
    let host = registry.host().as_str().replace("127.0.0.1", "0.0.0.0");
    let line = format!("resolve {host}/o/r:v1");
    let words = [
        &format!("cannot reach {host}: "),
        &*format!("\nhint: what listens there does not speak TLS; where that is right, there is `--plain-http {host}`"),
    ];
    for flag in ["", "--plain-http 0.0.0.0", "--plain-http 0.0.0.0:1", "--plain-http registry.example"] {
        machine.fails(&format!("{line} {flag}"), 7, &words);
    }
    assert_eq!(registry.requests(), [""; 0]);
    assert!(machine.prints(&format!("{line} --plain-http {host}")).starts_with(&format!("{host}/o/r@sha256:")));
}

#[test]
fn a_repository_that_is_not_there_is_not_found() {
    let registry = registry();
    let at = format!("{}/o/none", registry.host());
    let mut lines = readers(&at, "v1");
    lines.push(format!("tags {at}"));
    check(&Machine::new(), &lines, 3, &["not found in", "o/none", "\nhint: "]);
}

#[test]
fn a_tag_that_is_not_there_is_not_found() {
    let (machine, registry) = (Machine::new(), registry());
    pushed(&machine, &registry, &small());
    let at = format!("{}/o/r", registry.host());
    let words =
        [&format!("manifest `v9` not found in {at}"), &*format!("\nhint: `refs tags {at}` lists what is there")];
    check(&machine, &readers(&at, "v9"), 3, &words);
}

#[test]
fn a_tag_that_is_not_in_a_layout_is_not_found() {
    let machine = with_source();
    machine.prints("push source ocidir://layout:v1");
    let words =
        ["manifest `v9` not found in ocidir://layout", "\nhint: `refs tags ocidir://layout` lists what is there\n"];
    check(&machine, &readers("ocidir://layout", "v9"), 3, &words);
}

#[test]
fn a_layout_that_is_none_is_not_found() {
    let machine = with_source();
    for at in ["ocidir://none", "ocidir://source", "ocidir://source/README.md"] {
        let mut lines = readers(at, "v1");
        lines.push(format!("tags {at}"));
        check(&machine, &lines, 3, &[&format!("image layout not found in {at}"), "\nhint: "]);
    }
}

#[test]
fn patterns_that_match_nothing_are_not_found() {
    let (machine, registry) = (Machine::new(), registry());
    pushed(&machine, &registry, &small());
    let at = format!("{}/o/r:v1", registry.host());
    let lines = ["ls", "pull"].map(|command| format!("{command} {at} --path *.rs --path src/"));
    check(
        &machine,
        &lines,
        3,
        &[&format!("nothing in {at} matches `*.rs`, `src/`"), "\nhint: `refs ls` shows the paths"],
    );
}

#[test]
fn a_path_that_is_not_there_is_not_found() {
    let (machine, registry) = (Machine::new(), registry());
    pushed(&machine, &registry, &small());
    let at = format!("{}/o/r:v1", registry.host());
    machine.fails(
        &format!("cat {at} readme.md"),
        3,
        &[&format!("no file `readme.md` in {at}"), "\nhint: there is `README.md`\n"],
    );
}

#[test]
fn credentials_that_are_refused_are_named() {
    for builder in
        [FakeRegistry::builder().token_auth("user", "right"), FakeRegistry::builder().basic_auth("user", "right")]
    {
        let (machine, registry) = (with_source(), builder.start_blocking());
        let host = registry.host();
        machine.login(&registry, "user", "wrong-secret");
        let from = format!("`{host}` in `{}`", machine.docker_config().display());
        let words = [
            &format!("{host} refused the credentials"),
            &from,
            &format!("\nhint: check the password, and log in with `refs login {host}`"),
        ];
        for line in all(&format!("{host}/o/r")) {
            let run = machine.fails(&line, 4, &words.map(String::as_str));
            assert!(!run.stderr.contains("wrong-secret"), "{}", run.stderr);
        }
        fs::remove_file(machine.docker_config()).unwrap();
        check(&machine, &all(&format!("{host}/o/r")), 4, &["refused the credentials", "\nhint: log in with"]);
    }
}

#[test]
fn credentials_that_cannot_be_read_are_an_error_of_usage() {
    let (machine, registry) = (with_source(), FakeRegistry::builder().basic_auth("user", "right").start_blocking());
    let entry = format!("{{\"auths\":{{\"{}\":{{\"auth\":\"!!!\"}}}}}}", registry.host());
    fs::write(machine.docker_config(), entry).unwrap();
    let words = ["cannot use `", "docker/config.json`: the field `auth` is not base64", "\nhint: correct the file"];
    check(&machine, &all(&format!("{}/o/r", registry.host())), 2, &words);

    let entry = fs::read_to_string(machine.docker_config()).unwrap();
    fs::remove_file(machine.docker_config()).unwrap();
    let mut command = machine.command(&format!("resolve {}/o/r:v1", registry.host()));
    let words =
        ["` in `DOCKER_AUTH_CONFIG`: the field `auth` is not base64", "\nhint: correct what the variable holds\n"];
    ended(command.env("DOCKER_AUTH_CONFIG", entry)).failed(2, &words);
}

#[test]
fn access_that_is_denied_is_told_from_a_login_that_is_missing() {
    let registry = registry();
    status(&registry, 403, Vec::new());
    let words = [&format!("{} denies `", registry.host()), "\nhint: ", "ask its owner for access"];
    check(&with_source(), &all(&format!("{}/o/r", registry.host())), 5, &words);
    let machine = with_source();
    let line = format!("ls {}/o/r:v1", registry.host());
    let login = format!("without credentials: log in with `refs login {}`", registry.host());
    machine.fails(&line, 5, &[&login]);

    let host = refusing(|_asked| "no".to_owned());
    // `user:right`, as base64.
    let auth = "dXNlcjpyaWdodA==";
    fs::write(machine.docker_config(), format!("{{\"auths\":{{\"{host}\":{{\"auth\":\"{auth}\"}}}}}}")).unwrap();
    let words = format!("hint: the credentials for {host} do not allow this: ask its owner for access");
    machine.fails(&format!("ls {host}/o/r:v1"), 5, &[&words]);
}

#[test]
fn a_registry_that_wants_a_long_wait_is_not_waited_for() {
    let (machine, registry) = (with_source(), registry());
    status(&registry, 429, vec![("retry-after", "3600".to_owned())]);
    let lines = all(&format!("{}/o/r", registry.host())).into_iter().map(|line| format!("{line} --retries 4"));
    let words = [&format!("{} limits the rate of requests and asks to wait 3600 s", registry.host()), "\nhint: wait"];
    check(&machine, &lines.collect::<Vec<_>>(), 6, &words);
    assert_eq!(registry.requests().len(), 7);
}

#[test]
fn a_registry_that_is_down_for_a_while_is_unreachable_and_says_how_long() {
    let (machine, registry) = (with_source(), registry());
    status(&registry, 503, vec![("retry-after", "3600".to_owned())]);
    let words =
        ["was answered with 503, asking to wait 3600 s", "\nhint: the registry has a problem: try again in 3600 s"];
    check(&machine, &all(&format!("{}/o/r", registry.host())), 7, &words);
}

#[test]
fn a_failure_that_passes_is_tried_again_as_often_as_asked() {
    let (machine, registry) = (Machine::new(), registry());
    pushed(&machine, &registry, &small());
    let once = || registry.fault(On::get("/manifests/"), Fault::Status { status: 503, headers: Vec::new() });
    once();
    machine.fails(&format!("ls {}/o/r:v1", registry.host()), 7, &["503"]);
    once();
    machine.prints(&format!("ls {}/o/r:v1 --retries 1", registry.host()));
}

#[test]
fn a_short_name_never_leads_to_docker_hub() {
    let lines = readers("ubuntu", "v1");
    check(&with_source(), &lines, 2, &["registry is missing in `ubuntu:v1`", "\nhint: ", "docker://ubuntu:v1"]);
    let others = ["tags ubuntu", "push source ubuntu"].map(str::to_owned);
    check(&with_source(), &others, 2, &["registry is missing in `ubuntu`", "\nhint: ", "docker://ubuntu"]);
}

#[test]
fn a_reference_that_is_none_is_an_error_of_usage() {
    let machine = with_source();
    for (at, word) in [
        ("localhost:1/A/b", "lower case"),
        ("localhost:1/a/b:", "tag"),
        ("localhost:1/a/b@sha256:1", "digest"),
        ("ocidir://", "has no path after its scheme"),
    ] {
        check(
            &machine,
            &["ls", "resolve", "pull", "tags", "push source"].map(|command| format!("{command} {at}")),
            2,
            &[word],
        );
    }
    machine.fails("cat localhost:1/A/b README.md", 2, &["lower case"]);
}

#[test]
fn a_reference_without_a_tag_is_not_guessed() {
    let lines = ["ls AT", "cat AT README.md", "pull AT here", "resolve AT", "push source AT"];
    for at in ["localhost:1/o/r", "ocidir://layout"] {
        let lines = lines.map(|line| line.replace("AT", at));
        check(
            &with_source(),
            &lines,
            2,
            &["names no tag and no digest", &format!("\nhint: add a tag, such as `{at}:latest`")],
        );
    }
}

#[test]
fn a_push_to_a_digest_is_an_error_of_usage() {
    let at = format!("localhost:1/o/r:v1@sha256:{}", "a".repeat(64));
    let words = ["only a tag can be pushed to", "\nhint: push to a tag; the digest is printed"];
    with_source().fails(&format!("push source {at}"), 2, &words);
}

#[test]
fn a_pattern_that_is_none_is_an_error_before_any_request() {
    let (machine, registry) = (Machine::new(), registry());
    let lines = ["ls", "pull"].map(|command| format!("{command} {}/o/r:v1 --path [z-a]", registry.host()));
    check(&machine, &lines, 2, &["`[z-a]` is not a valid glob", "\nhint: "]);
    assert_eq!(registry.requests(), [""; 0]);
}

#[test]
fn a_value_that_is_none_is_an_error_of_usage() {
    let machine = with_source();
    let line = |flag: &str| format!("push source localhost:1/o/r:v1 {flag}");
    machine.fails(&line("--annotation novalue"), 2, &["novalue", "expected KEY=VALUE"]);
    machine.fails(&line("--artifact-type text"), 2, &["`text`".trim_matches('`'), "expected a media type"]);
    machine.fails(&line("--exclude [z-a]"), 2, &["the exclusion `[z-a]` is not a valid pattern"]);
    machine.fails(&line("--tag -x"), 2, &["-x"]);
    machine.fails(&line("--tag a/b"), 2, &["a/b"]);
    machine.fails(&line("--level 10"), 2, &["'10'", "expected a number from 0 to 9"]);
    machine.fails(&line("--retries x"), 2, &["'x' for '--retries <N>'", "expected a whole number, such as 20"]);
    machine.fails(&line("--jobs 0"), 2, &["'0' for '--jobs <N>'", "expected a whole number from 1 on"]);
    machine.fails(&line("--timeout -5s"), 2, &["'-5s' for '--timeout <TIME>'", "expected a time, such as 90s"]);
    machine.fails(&line("--timeout 0s"), 2, &["'0s'", "it is no time at all"]);
    machine.fails("ls localhost:1/o/r:v1 --platform x86", 2, &["x86", "expected OS/ARCHITECTURE", "linux/arm/v7"]);
    machine.fails("pull localhost:1/o/r:v1 --max-files -1", 2, &["'-1' for '--max-files <N>'", "a whole number"]);
    machine.fails("tags localhost:1/o/r --limit many", 2, &["'many' for '--limit <N>'", "a whole number"]);
    machine.fails("demo now", 2, &["now"]);
    machine.fails("frob", 2, &["frob"]);
    machine.fails("ls", 2, &["<REF>"]);
}
