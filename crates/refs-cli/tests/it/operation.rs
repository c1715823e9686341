//! `refs serve` for who runs it for others: its file, its figures, its log, its health.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
};

use crate::{
    credentials::guarded,
    serve::Served,
    support::{Machine, ended, pushed, registry, small, wait_until},
};

/// The answer to `GET path` at `host`.
fn got(host: &str, path: &str, agent: &str) -> String {
    let mut peer = TcpStream::connect(host).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: {agent}\r\nconnection: close\r\n\r\n");
    peer.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    peer.read_to_string(&mut answer).unwrap();
    answer
}

/// A server that says in JSON where it is: that of requests, that of figures.
fn started(machine: &Machine, line: &str) -> (Served, String, String) {
    let served = Served::start(machine, &format!("{line} --format json"));
    let said: serde_json::Value = serde_json::from_str(&served.host).unwrap();
    let place = |name: &str| {
        let url = said[name].as_str().unwrap_or_default().trim_start_matches("http://");
        url.trim_end_matches("/metrics").to_owned()
    };
    let (host, figures) = (place("url"), place("metrics"));
    (served, host, figures)
}

#[test]
fn figures_and_health_are_given() {
    let machine = Machine::new();
    let (_served, host, figures) = started(&machine, "--root data --metrics 127.0.0.1:0");
    assert!(got(&host, "/v2/", "x").starts_with("HTTP/1.1 200 "));
    assert!(got(&host, "/metrics", "x").starts_with("HTTP/1.1 404 "));
    let text = got(&figures, "/metrics", "x");
    assert!(text.contains("refs_requests_total{method=\"GET\",endpoint=\"ping\",status=\"200\"} 1\n"), "{text}");
    assert!(got(&host, "/healthz", "x").ends_with("\r\n\r\nok\n"));
    fs::remove_dir_all(machine.path("data")).unwrap();
    wait_until(|| got(&figures, "/healthz", "x").ends_with("\r\n\r\nthe store cannot be written\n"));
    assert!(got(&host, "/healthz", "x").starts_with("HTTP/1.1 503 "));
}

#[test]
fn each_answer_is_a_line_and_what_a_client_says_is_spelled_out() {
    let machine = Machine::new();
    let (served, host, _) = started(&machine, "--root data --access-log-file log");
    got(&host, "/v2/o/r/tags/list?token=hunter2", "a \"b\" \u{9b}31m\u{202e}");
    got(&host, "/v2/%0a%1b", "-");
    assert_eq!(served.stop(rustix::process::Signal::TERM), 143);
    let log = fs::read_to_string(machine.path("log")).unwrap();
    let lines: Vec<_> = log.lines().map(|line| line.split_once("Z 127.0.0.1:").unwrap().1).collect();
    let rest = |line: &str| line.split_once(" - GET ").unwrap().1.to_owned();
    let first = rest(lines[0]);
    assert!(first.starts_with("\"/v2/o/r/tags/list\" 404 "), "{log}");
    assert!(first.ends_with("ms - \"a \\\"b\\\" \\u009b31m\\u202e\""), "{log}");
    assert!(rest(lines[1]).starts_with("\"/v2/%0a%1b\" 404 "), "{log}");
    assert_eq!(lines.len(), 2, "{log}");
    assert!(!log.contains("hunter2"), "{log}");
}

#[test]
fn json_lines_tell_of_the_cache() {
    let (machine, upstream) = (Machine::new(), registry());
    pushed(&machine, &upstream, &small());
    let flags = format!("--root kept --mirror =http://{} --access-log json --access-log-file log", upstream.host());
    let (served, host, _) = started(&machine, &flags);
    for _ in 0..2 {
        got(&host, "/v2/o/r/manifests/v1", "x");
    }
    assert_eq!(served.stop(rustix::process::Signal::TERM), 143);
    let log = fs::read_to_string(machine.path("log")).unwrap();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = lines.iter().map(|line| (&line["schemaVersion"], &line["endpoint"], &line["cache"])).collect();
    let (one, manifest) = (1.into(), "manifest".into());
    assert_eq!(told, [(&one, &manifest, &"MISS".into()), (&one, &manifest, &"HIT".into())], "{log}");
    assert_eq!(lines[0]["upstream"], upstream.host().as_str());
    assert_eq!((&lines[0]["status"], &lines[0]["whole"]), (&200.into(), &true.into()));
}

#[test]
fn a_log_without_a_file_goes_to_stderr() {
    let machine = Machine::new();
    let (mut served, host, _) = started(&machine, "--root data --access-log text");
    got(&host, "/v2/", "x");
    let mut line = [0; 30];
    served.stderr().read_exact(&mut line).unwrap();
    assert!(line.starts_with(b"20"), "{}", String::from_utf8_lossy(&line));
}

#[test]
fn a_file_says_what_is_served_and_flags_beat_it() {
    let (machine, upstream) = (Machine::new(), guarded());
    let text = format!(
        "listen = '127.0.0.1:1'\nroot = 'kept'\naccess-log = 'text'\naccess-log-file = 'log'\n[limits]\nrequests = 50\n\
         [[mirror]]\nprefix = 'hub'\nurl = 'http://{}'\nusername = 'user'\npassword = '${{env:UPSTREAM}}'\n",
        upstream.host(),
    );
    fs::write(machine.path("server.toml"), text).unwrap();
    machine.fails("serve --server-config server.toml", 2, &["server.toml:11:12`: the variable `UPSTREAM` is not set"]);
    let served = Served::start_with(&machine, "--server-config server.toml", &[("UPSTREAM", "hunter2")]);
    machine.prints(&format!("resolve {}/hub/o/r:v1", served.host));
    assert_eq!(served.stop(rustix::process::Signal::TERM), 143);
    assert!(machine.path("kept").is_dir());
    let log = fs::read_to_string(machine.path("log")).unwrap();
    assert!(log.contains("\"/v2/hub/o/r/manifests/v1\" 200 ") && !log.contains("hunter2"), "{log}");
}

/// An htpasswd file with one user, whose password nobody knows.
const USERS: &str = "ci:$2y$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2\n";

#[test]
fn a_grant_for_nobody_is_refused_with_its_line() {
    let machine = Machine::new();
    fs::write(machine.path("users"), USERS).unwrap();
    let grant = |user: &str| format!("[[auth.grant]]\nuser = '{user}'\nactions = ['pull']\n");
    let text = format!("[auth]\nhtpasswd = 'users'\n{}{}", grant("ci"), grant("cl"));
    fs::write(machine.path("server.toml"), text).unwrap();
    let words = ["`server.toml:7:8`: there is no user `cl` in `users`"];
    machine.fails("serve --listen 127.0.0.1:0 --root kept --server-config server.toml", 2, &words);
    fs::write(machine.path("users"), "").unwrap();
    let run = machine.run("serve --listen 127.0.0.1:0 --root kept --server-config server.toml");
    assert!(run.stderr.starts_with("warning: `users` names no user: nobody can log in\nerror: "), "{}", run.stderr);
}

#[test]
fn a_mirror_whose_root_holds_other_things_is_refused_with_what_to_do() {
    let machine = Machine::new();
    machine.write("source", &small());
    machine.prints("push source ocidir://kept:v1");
    let words = ["not marked as a cache of refs", "\nhint: ", "`--root` names another folder\n"];
    machine.fails("serve --listen 127.0.0.1:0 --root kept --mirror =x.test", 1, &words);
}

#[test]
fn settings_of_an_upstream_that_cannot_be_read_stop_a_mirror_at_its_start() {
    let machine = Machine::new();
    for (config, set) in
        [("hosts", "ca = 7"), ("ca", "ca = 'no.pem'"), ("client", "client-cert = 'no'\nclient-key = 'no'")]
    {
        fs::write(machine.path(&format!("{config}.toml")), format!("[hosts.\"x.test\"]\n{set}\n")).unwrap();
    }
    for (config, word) in [
        ("none.toml", "`none.toml`: there is no such file"),
        ("hosts.toml", "`hosts.toml:2`: `ca` has to be a path"),
        ("ca.toml", "cannot use the certificates in `no.pem`"),
        ("client.toml", "cannot use the client certificate `no`"),
    ] {
        let mut command = machine.command("serve --listen 127.0.0.1:0 --root kept --mirror =x.test");
        let run = ended(command.env("REFS_CONFIG", config));
        assert!(run.stderr.starts_with("error: ") && run.stderr.contains(word), "{}", run.stderr);
        assert_eq!((run.code, run.text().as_str()), (2, ""));
    }
}

#[test]
fn where_figures_are_given_is_told_beneath_where_it_listens() {
    let machine = Machine::new();
    let mut served = Served::start(&machine, "--root data --metrics 127.0.0.1:0");
    let line = served.line();
    let figures = line.strip_prefix("http://").and_then(|line| line.strip_suffix("/metrics\n")).unwrap();
    assert!(got(figures, "/metrics", "x").starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_file_that_is_wrong_is_refused_with_its_line() {
    let machine = Machine::new();
    let check = |text: &str, words: &[&str]| {
        fs::write(machine.path("server.toml"), text).unwrap();
        machine.fails("serve --listen 127.0.0.1:0 --server-config server.toml", 2, words);
    };
    check("rooot = 'x'\n", &["`server.toml:1:1`: unknown field `rooot`"]);
    check("[tls]\ncert = 'c'\n", &["`server.toml:1:1`: missing field `key`"]);
    let tls = "[tls]\ncert = 'none'\nkey = 'key'\n";
    check(tls, &["`server.toml:2:8`: cannot read the certificate in `none`"]);
    check("[tls]\ncert = 'server.toml'\nkey = 'key'\n", &["`server.toml:3:7`: cannot read the key in `key`"]);
    let auth = "[auth]\nhtpasswd = 'none'\n";
    check(auth, &["`server.toml:2:12`: cannot read the users in `none`"]);
    let bearer = "[auth]\nhtpasswd = 'users'\nmode = 'bearer'\ntoken-key = 'none'\n";
    fs::write(machine.path("users"), USERS).unwrap();
    check(bearer, &["`server.toml:4:13`: cannot read the key for tokens in `none`"]);
    check("[[mirror]]\nurl = 'x.test'\n", &["`server.toml:1:1`: a mirror needs a `prefix`"]);
    let grant = "[auth]\nhtpasswd = 'users'\n[[auth.grant]]\nuser = 'ci'\nactions = ['pull', 'push']\n";
    let grant_at_mirror = format!("{grant}[[mirror]]\nprefix = 'a'\nurl = 'x.test'\n");
    check(&grant_at_mirror, &["`server.toml:4:8`: a mirror is only read, and has no use for a grant of `push`"]);
    check("store-size = '1GiB'\n", &["`store-size` bounds what a mirror keeps, and there is no mirror"]);
    if cfg!(feature = "bucket") {
        check("[bucket]\nurl = 's3://name/prefix'\n", &["a bucket is what mirrors share by, and there is no mirror"]);
    }
    let mirror = |url: &str| format!("[[mirror]]\nprefix = 'a'\nurl = '{url}'\n");
    let twice = format!("{}{}", mirror("x.test"), mirror("y.test"));
    check(&twice, &["`server.toml:4:1`: the names of `a=y.test` lead to `a=x.test` already"]);
    machine.fails("serve --server-config none.toml", 2, &["cannot read `none.toml`"]);
    machine.fails("serve --tag-ttl 5m", 2, &["--mirror", "--server-config"]);
    machine.fails("serve --listen 127.0.0.1:0 --root ../data --access-log-file no/log", 1, &["access log", "no/log"]);
}
