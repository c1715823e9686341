//! What goes to stdout and what to stderr; that neither says what a terminal would obey, nor a secret.

use std::{fs::File, io::Write, net::TcpListener};

use refs_testkit::{FakeRegistry, Fault, Image, On, Tree};
use refs_url::Digest;

use crate::support::{Machine, Run, ended, noise, now, pushed, read_to, registry, small};

/// A layout with `tree` under `v1`.
fn layout(tree: &Tree) -> Machine {
    let machine = Machine::new();
    machine.write("source", tree);
    machine.prints("push source ocidir://layout:v1");
    machine
}

const PRINTERS: [&str; 9] = [
    "ls ocidir://layout:v1",
    "ls ocidir://layout:v1 -l --format json",
    "cat ocidir://layout:v1 README.md",
    "cat ocidir://layout:v1 large.bin",
    "resolve ocidir://layout:v1",
    "tags ocidir://layout",
    "push source ocidir://layout:v1",
    "pull ocidir://layout:v1 here --force",
    "demo",
];

#[test]
fn a_reader_of_stdout_that_leaves_ends_the_program_quietly() {
    let machine = layout(&small().file("large.bin", noise(1 << 20)));
    for line in PRINTERS {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let run = ended(machine.command(line).stdout(writer));
        assert_eq!((run.code, run.stderr.as_str()), (1, ""), "{line}");
    }
}

#[test]
fn a_stdout_that_is_full_is_an_error() {
    let machine = layout(&small().file("large.bin", noise(1 << 20)));
    for line in PRINTERS.into_iter().chain(["serve --listen 127.0.0.1:0 --root data"]) {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let run = ended(machine.command(line).stdout(full));
        assert_eq!(run.code, 1, "{line}");
        for word in ["cannot write ", "No space left on device"] {
            assert!(run.stderr.contains(word), "{line}: {}", run.stderr);
        }
    }
}

const HOSTILE: &str = "a\u{1b}[31mred\u{1b}]0;title\u{7}\u{202e}\u{9b}31m.txt";

/// Nothing in `text` that a terminal would obey, but for the ends of lines.
#[track_caller]
fn is_tame(text: &str) {
    let wild = |c: char| c.is_control() && c != '\n' || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    assert!(!text.contains(wild), "{text:?}");
}

#[test]
fn names_are_shown_without_what_a_terminal_would_obey() {
    let machine = layout(&Tree::new().file(HOSTILE, "xx"));
    let spelled = "a\\u{1b}[31mred\\u{1b}]0;title\\u{7}\\u{202e}\\u{9b}31m.txt";
    assert_eq!(machine.prints("ls ocidir://layout:v1"), format!("{spelled}\n"));
    is_tame(&machine.prints("ls ocidir://layout:v1 -l"));
    is_tame(&machine.fails("cat ocidir://layout:v1 aredtitle31m.txt", 3, &["no file"]).stderr);
    let limited =
        machine.fails("pull ocidir://layout:v1 here --max-file-size 0 --max-total-size 1 --max-files 0 -v", 9, &[]);
    is_tame(&limited.stderr);
}

#[test]
fn names_are_escaped_in_json_and_come_back_whole() {
    let machine = layout(&Tree::new().file(HOSTILE, "xx"));
    is_tame(&machine.prints("ls ocidir://layout:v1 --format json"));
    assert_eq!(machine.json("ls ocidir://layout:v1")["files"][0]["path"], HOSTILE);
}

#[test]
fn errors_are_json_when_results_would_be() {
    let machine = layout(&small());
    let run = machine.run("cat ocidir://layout:v1 READMY.md --format json");
    let told: serde_json::Value = serde_json::from_str(&run.stderr).unwrap();
    assert_eq!((run.code, run.text().as_str()), (3, ""));
    assert_eq!(told["schemaVersion"], 1);
    let message = "no file `READMY.md` in ocidir://layout:v1";
    assert_eq!(told["error"], serde_json::json!({ "message": message, "exit": 3, "hint": "there is `README.md`" }));
}

/// A registry that refuses each request with what `words` makes of it. It ends with the test's process.
pub(crate) fn refusing(words: impl Fn(&str) -> String + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for peer in listener.incoming() {
            let mut peer = peer.unwrap();
            let head = read_to("\r\n\r\n", &mut peer);
            let body = serde_json::json!({ "errors": [{ "code": "DENIED", "message": words(&head) }] }).to_string();
            let status =
                if head.to_lowercase().contains("authorization: ") { "403 Forbidden" } else { "401 Unauthorized" };
            let challenge =
                "www-authenticate: Basic realm=\"r\"\r\nconnection: close\r\ncontent-type: application/json";
            let length = body.len();
            let answer = format!("HTTP/1.1 {status}\r\n{challenge}\r\ncontent-length: {length}\r\n\r\n{body}");
            peer.write_all(answer.as_bytes()).unwrap();
        }
    });
    host
}

/// A registry that answers each request with `head` and `body`. It ends with the test's process.
fn answering(head: &'static str, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for peer in listener.incoming() {
            let mut peer = peer.unwrap();
            read_to("\r\n\r\n", &mut peer);
            let length = body.len();
            let answer =
                format!("HTTP/1.1 200 OK\r\nconnection: close\r\n{head}\r\ncontent-length: {length}\r\n\r\n{body}");
            peer.write_all(answer.as_bytes()).unwrap();
        }
    });
    host
}

#[test]
fn what_a_registry_warns_of_is_on_stderr_once() {
    let warning = "warning: 299 - \"moves \\\"soon\\\"\", 299 - \"moves \\\"soon\\\"\"";
    let (machine, host) = (Machine::new(), answering(warning, r#"{"tags":["v1"]}"#));
    let run = machine.run(&format!("tags {host}/o/r"));
    assert_eq!((run.code, run.text().as_str()), (0, "v1\n"));
    assert_eq!(run.stderr, format!("warning: {host} says: moves \"soon\"\n"));
    assert_eq!(machine.prints(&format!("tags {host}/o/r --quiet")), "v1\n");
}

fn login(machine: &Machine, host: &str) {
    let login = serde_json::json!({ "username": "user", "password": "hunter-secret" });
    std::fs::write(machine.docker_config(), serde_json::json!({ "auths": { (host): login } }).to_string()).unwrap();
}

#[test]
fn what_a_registry_says_is_shown_without_what_a_terminal_would_obey() {
    let machine = Machine::new();
    let host = refusing(|_| format!("go away {HOSTILE}"));
    login(&machine, &host);
    for format in ["text", "json"] {
        let run = machine.run(&format!("ls {host}/o/r:v1 -vv --format {format}"));
        assert_eq!(run.code, 5);
        assert!(run.stderr.contains("go away"), "{}", run.stderr);
        is_tame(&run.stderr);
    }
}

/// `user:hunter-secret` and `user:password`, as they go over the wire.
const SECRETS: [&str; 5] = ["hunter-secret", "dXNlcjpodW50ZXItc2VjcmV0", "dXNlcjpwYXNzd29yZA", "token-", "password"];

#[track_caller]
fn is_discreet(run: &Run) {
    for secret in SECRETS {
        assert!(!run.stderr.contains(secret) && !run.text().contains(secret), "{secret} in {}", run.stderr);
    }
}

#[test]
fn a_registry_that_echoes_the_authorization_does_not_make_it_known() {
    let machine = Machine::new();
    let host = refusing(|head| format!("you sent {head}"));
    login(&machine, &host);
    for verbosity in ["", "-v", "-vv", "--format json"] {
        let run = machine.run(&format!("ls {host}/o/r:v1 {verbosity}"));
        assert_eq!(run.code, 5, "{}", run.stderr);
        assert!(run.stderr.contains("you sent"), "{}", run.stderr);
        is_discreet(&run);
    }
}

#[test]
fn m172_no_secret_is_logged_at_any_level() {
    for builder in
        [FakeRegistry::builder().token_auth("user", "password"), FakeRegistry::builder().basic_auth("user", "password")]
    {
        let (machine, registry) = (Machine::new(), builder.redirect_blobs().start_blocking());
        machine.login(&registry, "user", "password");
        machine.write("source", &small());
        for line in
            ["push source AT:v1", "ls AT:v1", "cat AT:v1 README.md", "pull AT:v1 here --force", "tags AT", "ls AT:v9"]
        {
            let line = line.replace("AT", &format!("{}/o/r", registry.host()));
            let loud = machine.run(&format!("{line} -vv"));
            let traced = ended(machine.command(&line).env("REFS_LOG", "trace"));
            for run in [loud, traced] {
                assert!(run.stderr.contains("` status="), "{}", run.stderr);
                is_discreet(&run);
            }
        }
    }
}

#[test]
fn requests_are_shown_on_stderr_when_asked_for() {
    let (machine, registry) = (Machine::new(), registry());
    pushed(&machine, &registry, &small());
    let line = format!("resolve {}/o/r:v1", registry.host());
    let printed = machine.prints(&line);
    let run = machine.run(&format!("{line} -v"));
    assert_eq!(run.text(), printed);
    assert!(run.stderr.contains("/v2/o/r/manifests/v1"), "{}", run.stderr);
    is_tame(&run.stderr);
}

#[test]
fn each_attempt_is_shown_with_its_status_and_why_there_is_another_and_without_a_signature() {
    let machine = Machine::new();
    let registry = FakeRegistry::builder().token_auth("user", "password").redirect_blobs().start_blocking();
    machine.login(&registry, "user", "password");
    let (host, content) = (registry.host(), Digest::sha256(b"content"));
    now(Image::new().file("a", "content").push(&*registry.repository("o/r"), &["v1"])).unwrap();
    registry.fault(On::get("/blobs/").skip(1), Fault::Status { status: 502, headers: Vec::new() });
    let run = machine.run(&format!("blob get {host}/o/r@{content} -v --retries 1"));
    assert_eq!((run.code, run.text().as_str()), (0, "content"));
    let blob = format!("`GET http://{host}/v2/o/r/blobs/{content}`");
    let cdn = registry.requests().into_iter().find(|seen| Some(&seen.host) == registry.cdn_host().as_ref()).unwrap();
    assert!(!cdn.query.is_empty() && !run.stderr.contains(&cdn.query), "{}", run.stderr);
    let shown: Vec<_> = run.stderr.lines().collect();
    let mut lines = shown.iter();
    for (request, fact) in [
        (&*blob, "status=401 ms="),
        (&*format!("`GET http://{host}/token`"), "status=200 ms="),
        (&*blob, "status=502 ms="),
        ("trying again after a wait", "was answered with 502"),
        (&*blob, "status=307 ms="),
        (&*format!("`GET http://{}{}`", cdn.host, cdn.path), "status=200 ms="),
    ] {
        let is_so = |line: &&&str| line.contains(request) && line.contains(fact);
        assert!(lines.any(|line| is_so(&line)), "{request} {fact}: {}", run.stderr);
    }
    is_discreet(&run);
}

#[test]
fn colours_are_for_terminals_unless_they_are_asked_for() {
    let (machine, registry) = (Machine::new(), registry());
    pushed(&machine, &registry, &small());
    let line = format!("resolve {}/o/r:v1 -v", registry.host());
    assert!(machine.run(&format!("{line} --color always")).stderr.contains("\u{1b}["));
    is_tame(&machine.run(&format!("{line} --color never")).stderr);
    is_tame(&ended(machine.command(&line).env("NO_COLOR", "1")).stderr);
}

#[test]
fn progress_does_not_change_what_is_printed() {
    let (machine, registry) = (Machine::new(), registry());
    pushed(&machine, &registry, &small());
    let line = format!("pull {}/o/r:v1 here --force --no-cache", registry.host());
    let printed = machine.prints(&line);
    for kind in ["auto", "bar", "plain", "none"] {
        assert_eq!(machine.run(&format!("{line} --progress {kind}")).text(), printed);
    }
    assert_eq!(machine.prints(&format!("{line} --progress none --quiet")), printed);
}

#[test]
fn quiet_silences_warnings_and_not_errors() {
    let (machine, registry) = (Machine::new(), registry());
    machine.login(&registry, "user", "password");
    machine.fails(&format!("ls {}/o/r:v1 -q", registry.host()), 3, &["not found"]);
    machine.fails("ls localhost:1/o/r:v1 -q -v", 2, &["--quiet"]);
    registry.fault(On::get("/manifests/"), Fault::Status { status: 503, headers: Vec::new() });
    now(Image::new().file("a", "a").push(&*registry.repository("o/r"), &["v1"])).unwrap();
    assert_eq!(machine.prints(&format!("ls {}/o/r:v1 -q --retries 1", registry.host())), "a\n");
}

#[test]
fn help_and_version_are_results() {
    let machine = Machine::new();
    assert_eq!(machine.prints("--version"), format!("refs {}\n", env!("CARGO_PKG_VERSION")));
    for command in ["push", "ls", "cat", "pull", "resolve", "tags", "serve", "demo"] {
        assert!(machine.prints("--help").contains(&format!("  {command} ")));
        assert!(machine.prints(&format!("{command} --help")).contains(&format!("Usage: refs {command}")));
    }
}

#[test]
fn a_usage_error_is_json_for_those_who_asked_for_it() {
    let machine = Machine::new();
    for line in ["ls ubuntu --format json", "--format=json push", "ls --format json --no-such-option x"] {
        let run = machine.run(line);
        let told: serde_json::Value = serde_json::from_str(&run.stderr).unwrap();
        assert_eq!((run.code, &told["schemaVersion"], &told["error"]["exit"]), (2, &1.into(), &2.into()), "{told}");
        assert!(!told["error"]["message"].as_str().unwrap().starts_with("error:"), "{told}");
    }
    let run = machine.run("ls ubuntu --format json");
    assert!(run.stderr.contains("\"hint\":\"put the registry's host first"), "{}", run.stderr);
}
