//! `refs serve`

use std::{
    fs::File,
    io::Write,
    net::TcpStream,
    process::{Child, ChildStderr, Stdio},
    time::{Duration, SystemTime},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Machine, finished, pushed, read_to, registry, small, wait_until};

/// A server that runs until it is dropped.
pub(crate) struct Served {
    child: Option<Child>,
    /// Where it listens.
    pub(crate) host: String,
}

impl Served {
    /// Starts `refs serve` on a free port with `line` as further arguments, and waits until it listens.
    pub(crate) fn start(machine: &Machine, line: &str) -> Self {
        Self::start_with(machine, line, &[])
    }

    /// The same, with `variables` in its environment.
    pub(crate) fn start_with(machine: &Machine, line: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = machine.command(&format!("serve --listen 127.0.0.1:0 {line}"));
        command.envs(variables.iter().copied());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let url = read_to("\n", child.stdout.as_mut().unwrap());
        let url = url.trim_end();
        let host = url.trim_start_matches("http://").trim_start_matches("https://").to_owned();
        Self { child: Some(child), host }
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> String {
        read_to("\n", self.child.as_mut().unwrap().stdout.as_mut().unwrap())
    }

    /// What it says on stderr.
    pub(crate) fn stderr(&mut self) -> &mut ChildStderr {
        self.child.as_mut().unwrap().stderr.as_mut().unwrap()
    }

    /// Stops it with `signal`, and gives its exit code.
    pub(crate) fn stop(mut self, signal: Signal) -> i32 {
        let child = self.child.take().unwrap();
        kill_process(Pid::from_child(&child), signal).unwrap();
        finished(child).code
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

#[test]
fn a_root_that_cannot_be_one_is_refused_at_once() {
    let machine = Machine::new();
    std::fs::write(machine.path("file"), "").unwrap();
    machine.fails("serve --listen localhost:0 --root file", 1, &["cannot keep repositories in `file`"]);
}

#[test]
fn nothing_is_pushed_to_where_a_cache_is() {
    let (machine, registry) = (Machine::new(), registry());
    pushed(&machine, &registry, &small());
    machine.prints(&format!("resolve {}/o/r:v1", registry.host()));
    std::os::unix::fs::symlink(machine.cache(), machine.path("link")).unwrap();
    std::os::unix::fs::symlink(machine.cache().join("blobs"), machine.path("inner")).unwrap();
    let cache = machine.cache().display().to_string();
    for root in [&cache, "link", "inner/new", &format!("{cache}/beneath"), "none/../../cache"] {
        let words =
            [&*format!("cannot keep repositories in `{root}`: a cache is there"), "hint: name another directory"];
        machine.fails(&format!("serve --listen localhost:0 --root {root}"), 1, &words);
    }
    assert!(!machine.cache().join("beneath").exists() && !machine.path("none").exists());
    drop(Served::start(&machine, &format!("--root {cache}/../beside")));
}

#[test]
fn what_was_pushed_outlives_the_server() {
    let machine = Machine::new();
    machine.write("source", &small());
    let served = Served::start(&machine, "--root data");
    let printed = machine.prints(&format!("push source {}/o/r:v1", served.host));
    assert_eq!(served.stop(Signal::TERM), 143);
    let served = Served::start(&machine, "--root data");
    let digest = printed.trim_end().split_once('@').unwrap().1;
    let resolved = machine.prints(&format!("resolve {}/o/r:v1", served.host));
    assert_eq!(resolved, format!("{}/o/r@{digest}\n", served.host));
    assert_eq!(served.stop(Signal::INT), 130);
}

#[test]
fn json_says_where_the_server_listens_and_what_it_serves() {
    let machine = Machine::new();
    let served = Served::start(&machine, "--root data --format json");
    let said: serde_json::Value = serde_json::from_str(&served.host).unwrap();
    assert_eq!((&said["schemaVersion"], &said["root"]), (&1.into(), &"data".into()));
    assert!(said["url"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{said}");
}

#[test]
fn repositories_are_in_the_data_directory_unless_told_otherwise() {
    let machine = Machine::new();
    machine.write("source", &small());
    let served = Served::start(&machine, "");
    machine.prints(&format!("push source {}/o/r:v1", served.host));
    let layout = machine.path("../home/.local/share/refs/registry/o/r/_layout");
    assert_eq!(machine.prints(&format!("tags ocidir://{}", layout.display())), "v1\n");
}

#[test]
fn a_request_under_way_is_finished_before_the_server_ends() {
    let machine = Machine::new();
    let mut served = Served::start(&machine, "--root data");
    let mut peer = TcpStream::connect(&served.host).unwrap();
    let host = served.host.clone();
    peer.write_all(
        format!("POST /v2/o/r/blobs/uploads/ HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\n\r\n").as_bytes(),
    )
    .unwrap();
    let begun = read_to("\r\n\r\n", &mut peer);
    let session = begun.lines().find_map(|line| line.strip_prefix("location: ")).unwrap().trim_end();
    // The server asks for the body once it has read the head: from then on the request is under way.
    let upload =
        format!("PATCH {session} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 10\r\nexpect: 100-continue\r\n\r\n");
    peer.write_all(upload.as_bytes()).unwrap();
    assert!(read_to("\r\n\r\n", &mut peer).starts_with("HTTP/1.1 100 "));
    peer.write_all(b"01234").unwrap();

    let child = served.child.take().unwrap();
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    wait_until(|| TcpStream::connect(&host).is_err());
    peer.write_all(b"56789").unwrap();
    let answer = read_to("\r\n\r\n", &mut peer);
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    drop(peer);
    let run = finished(child);
    assert_eq!((run.code, run.stderr.as_str()), (143, ""));
}

/// Sends a request of these lines to `host`, and gives the head of the answer.
fn asked(host: &str, lines: &str, body: &str) -> String {
    let mut peer = TcpStream::connect(host).unwrap();
    let length = body.len();
    let request = format!("{lines} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {length}\r\n\r\n{body}");
    peer.write_all(request.as_bytes()).unwrap();
    read_to("\r\n\r\n", &mut peer)
}

/// Begins an upload at `served`, and gives its path.
fn begun(served: &Served) -> String {
    let begun = asked(&served.host, "POST /v2/o/r/blobs/uploads/", "");
    begun.lines().find_map(|line| line.strip_prefix("location: ")).unwrap().trim_end().to_owned()
}

#[test]
fn an_upload_goes_on_after_the_server_was_killed() {
    let machine = Machine::new();
    let served = Served::start(&machine, "--root data");
    let (session, host) = (begun(&served), served.host.clone());
    let mut peer = TcpStream::connect(&host).unwrap();
    let upload = format!("PATCH {session} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 10\r\n\r\n01234");
    peer.write_all(upload.as_bytes()).unwrap();
    wait_until(|| asked(&host, &format!("GET {session}"), "").contains("range: 0-4\r\n"));
    served.stop(Signal::KILL);

    let served = Served::start(&machine, "--root data");
    let progress = asked(&served.host, &format!("GET {session}"), "");
    assert!(progress.starts_with("HTTP/1.1 204 ") && progress.contains("range: 0-4\r\n"), "{progress}");
    let digest = refs_url::Digest::sha256(b"0123456789");
    let done = asked(&served.host, &format!("PUT {session}?digest={digest}"), "56789");
    assert!(done.starts_with("HTTP/1.1 201 "), "{done}");
}

#[test]
fn uploads_that_expired_while_no_server_ran_are_removed_when_one_starts() {
    let machine = Machine::new();
    let served = Served::start(&machine, "--root data");
    let sessions = [begun(&served), begun(&served)];
    served.stop(Signal::KILL);
    let [expired, live] =
        sessions.map(|session| machine.path("data/o/r/_layout/ingest").join(session.rsplit_once('/').unwrap().1));
    let two_hours = Duration::from_secs(2 * 60 * 60);
    File::options().write(true).open(&expired).unwrap().set_modified(SystemTime::now() - two_hours).unwrap();
    let _served = Served::start(&machine, "--root data");
    wait_until(|| !expired.exists());
    assert!(live.exists());
}

#[test]
fn a_port_in_use_is_an_error_that_names_it() {
    let machine = Machine::new();
    let served = Served::start(&machine, "--root data");
    let fails = |flags: &str, hint: &str| {
        let words = ["cannot listen on", &served.host, "in use", "\nhint: stop what listens there, or take", hint];
        drop(machine.fails(&format!("serve {flags} --root other"), 1, &words));
    };
    fails(&format!("--listen {}", served.host), "with `--listen 127.0.0.1:0`\n");
    fails(&format!("--listen 127.0.0.1:0 --metrics {}", served.host), "with `--metrics 127.0.0.1:0`\n");
    for (text, key) in [("", "listen"), ("listen = '127.0.0.1:0'\n", "metrics")] {
        let column = key.len() + 4;
        let line = 1 + text.lines().count();
        std::fs::write(machine.path("server.toml"), format!("{text}{key} = '{}'\n", served.host)).unwrap();
        let hint = format!("with `{key} = \"127.0.0.1:0\"` at `server.toml:{line}:{column}`\n");
        fails("--server-config server.toml", &hint);
    }
}

#[test]
fn an_address_that_is_none_is_an_error_of_usage() {
    let machine = Machine::new();
    for flag in ["--listen", "--metrics"] {
        for address in ["here", "http://127.0.0.1:0", "127.0.0.1:+0", "::1:0"] {
            let words = [&*format!("invalid value '{address}' for '{flag} <ADDRESS>': expected an address and a port")];
            machine.fails(&format!("serve --root data {flag} {address}"), 2, &words);
        }
    }
    machine.fails("serve --root", 2, &["--root"]);
}
