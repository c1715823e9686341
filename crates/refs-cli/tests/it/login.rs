//! `refs login` and `refs logout`

use std::{
    fs::{self, File},
    io::{Read, Write},
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Stdio},
};

use refs_testkit::FakeRegistry;
use rustix::{
    fs::OFlags,
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};
use serde_json::Value;

use crate::{
    credentials::{guarded, program, run},
    support::{Machine, Run, finished, read_to, registry, small},
};

/// Logs in as `user`, and out of the program comes no secret.
fn login(machine: &Machine, registry: &FakeRegistry, more: &str, password: &str) -> Run {
    let line = format!("login {} -u user --password-stdin {more}", registry.host());
    run(machine, &line, &[], password)
}

fn saved(machine: &Machine) -> Value {
    serde_json::from_str(&fs::read_to_string(machine.docker_config()).unwrap()).unwrap()
}

#[test]
fn a_login_is_checked_saved_and_used_and_a_logout_ends_it() {
    let (machine, registry) = (Machine::new(), guarded());
    let (host, resolve) = (registry.host(), format!("resolve {}/o/r:v1", registry.host()));
    machine.run(&resolve).failed(4, &["none were given"]);
    let run = login(&machine, &registry, "", "hunter2\n");
    assert_eq!((run.code, run.text()), (0, format!("logged in to {host} as user\n")));
    assert!(run.stderr.contains("warning: the password is in plain text in"), "{}", run.stderr);
    assert_eq!(saved(&machine)["auths"][host.as_str()]["auth"], "dXNlcjpodW50ZXIy");
    assert_eq!(fs::metadata(machine.docker_config()).unwrap().permissions().mode() & 0o777, 0o600);
    machine.prints(&resolve);
    assert_eq!(machine.prints(&format!("logout {host}")), format!("logged out of {host}\n"));
    assert_eq!(machine.prints(&format!("logout {host}")), format!("there was no login for {host}\n"));
    machine.run(&resolve).failed(4, &["none were given"]);
}

#[test]
fn m145_what_one_login_has_fetched_is_not_given_without_it() {
    let (machine, registry) = (Machine::new(), guarded());
    let at = format!("{}/o/r:v1", registry.host());
    login(&machine, &registry, "", "hunter2\n");
    machine.write("source", &small());
    machine.prints(&format!("push source {at}"));
    machine.prints(&format!("pull {at} mine"));
    machine.prints(&format!("logout {}", registry.host()));
    for line in ["pull AT theirs", "ls AT", "cat AT README.md", "unpack AT theirs"] {
        machine.run(&line.replace("AT", &at)).failed(4, &["none were given"]);
    }
    assert_eq!(machine.names(), ["mine", "source"]);
}

#[test]
fn a_wrong_password_is_not_saved() {
    for builder in
        [FakeRegistry::builder().token_auth("user", "hunter2"), FakeRegistry::builder().basic_auth("user", "hunter2")]
    {
        let (machine, registry) = (Machine::new(), builder.start_blocking());
        let words = ["refused the credentials", "(tried: the password given for `user`)"];
        login(&machine, &registry, "", "wrong").failed(4, &words);
        assert!(!machine.docker_config().exists());
        assert_eq!(login(&machine, &registry, "-q", "hunter2").printed().lines().count(), 1);
        let before = fs::read(machine.docker_config()).unwrap();
        login(&machine, &registry, "", "wrong").failed(4, &words);
        assert_eq!(fs::read(machine.docker_config()).unwrap(), before);
    }
}

#[test]
fn a_registry_that_cannot_be_asked_saves_nothing() {
    let machine = Machine::new();
    let line = "login 127.0.0.1:1 -u user --password-stdin";
    run(&machine, line, &[], "hunter2").failed(7, &["cannot reach 127.0.0.1:1"]);
    assert!(!machine.docker_config().exists());
}

#[test]
fn a_host_that_is_no_registry_is_told() {
    let (machine, registry) = (Machine::new(), registry());
    let fault = refs_testkit::Fault::Status { status: 404, headers: Vec::new() };
    registry.fault(refs_testkit::On::any("/v2/").always(), fault);
    let words = format!("`{}` does not answer as a registry", registry.host());
    let run = login(&machine, &registry, "", "hunter2").failed(3, &[&words, "hint: check the name of the host"]);
    assert!(!run.stderr.contains("private"), "{}", run.stderr);
}

#[test]
fn a_registry_that_asks_nobody_is_told_of() {
    let (machine, registry) = (Machine::new(), registry());
    let run = login(&machine, &registry, "", "hunter2");
    assert_eq!(run.code, 0);
    assert!(run.stderr.contains("the password was not checked"), "{}", run.stderr);
}

#[test]
fn json_says_where_the_login_is() {
    let (machine, registry) = (Machine::new(), guarded());
    let object = |run: Run| serde_json::from_str::<Value>(&run.text()).unwrap();
    let host = registry.host();
    let file = machine.docker_config().display().to_string();
    let expect = serde_json::json!({
        "schemaVersion": 1, "host": host.as_str(), "username": "user", "verified": true, "savedIn": file, "plainText": true,
    });
    assert_eq!(object(login(&machine, &registry, "--format json", "hunter2")), expect);
    let line = format!("logout {host}");
    let expect = |from: &[&str]| {
        serde_json::json!({
            "schemaVersion": 1, "host": host.as_str(), "removed": !from.is_empty(), "removedFrom": from,
        })
    };
    assert_eq!(machine.json(&line), expect(&[&file]));
    assert_eq!(machine.json(&line), expect(&[]));
}

#[test]
fn a_helper_keeps_the_login_when_docker_has_one() {
    let (machine, registry) = (Machine::new(), guarded());
    let kept = machine.path("kept").to_string_lossy().into_owned();
    let script = r#"case $1 in
        store) cat > KEPT;;
        get) [ -e KEPT ] && cat KEPT && exit; echo credentials not found in native keychain; exit 1;;
        erase) rm KEPT;;
        esac"#;
    program(&machine, "docker-credential-x", &script.replace("KEPT", &kept));
    fs::write(machine.docker_config(), r#"{"credsStore":"x"}"#).unwrap();
    let path = format!("{}:/bin:/usr/bin", machine.path("bin").display());
    let host = registry.host();
    let run = |line: &str, stdin: &str| run(&machine, line, &[("PATH", &path)], stdin).printed();
    run(&format!("login {host} -u user --password-stdin"), "hunter2");
    assert!(fs::read_to_string(&kept).unwrap().contains("hunter2"));
    assert_eq!(saved(&machine)["auths"][host.as_str()], serde_json::json!({}));
    run(&format!("resolve {host}/o/r:v1"), "");
    assert_eq!(run(&format!("logout {host}"), ""), format!("logged out of {host}\n"));
    assert!(!machine.path("kept").exists());
}

#[test]
fn a_file_that_is_not_understood_is_left_alone() {
    let (machine, registry) = (Machine::new(), guarded());
    fs::write(machine.docker_config(), "{\"auths\":").unwrap();
    let words = ["is not JSON that docker writes"];
    login(&machine, &registry, "", "hunter2").failed(2, &words);
    machine.run(&format!("logout {}", registry.host())).failed(2, &words);
    assert_eq!(fs::read_to_string(machine.docker_config()).unwrap(), "{\"auths\":");
}

#[test]
fn a_login_needs_a_name_and_a_password() {
    let (machine, registry) = (Machine::new(), guarded());
    let line = format!("login {}", registry.host());
    run(&machine, &format!("{line} --password-stdin"), &[], "hunter2").failed(2, &["no user name"]);
    run(&machine, &format!("{line} -u user"), &[], "").failed(2, &["no password", "hint: add `--password-stdin`"]);
    let nothing = ["no user name and no password are given", "hint: give both with `--username NAME --password-stdin`"];
    run(&machine, &line, &[], "").failed(2, &nothing);
    run(&machine, &line, &[("REFS_TOKEN", "hunter2")], "").failed(2, &["not a token", "hint: "]);
    assert_eq!(registry.requests(), [""; 0]);
    let both = [("REFS_USERNAME", "user"), ("REFS_PASSWORD", "hunter2")];
    assert_eq!(run(&machine, &line, &both, "").code, 0);
}

#[test]
fn on_a_terminal_the_password_is_asked_for_and_not_seen() {
    let (machine, registry) = (Machine::new(), guarded());
    let (mut child, mut terminal) = at_terminal(&machine, &format!("login {}", registry.host()));
    let mut stderr = child.stderr.take().unwrap();
    read_to("user name: ", &mut stderr);
    terminal.write_all(b"user\n").unwrap();
    read_to("password: ", &mut stderr);
    terminal.write_all(b"hunter2\n").unwrap();
    read_to("\n", &mut stderr);
    std::io::copy(&mut stderr, &mut std::io::sink()).unwrap();
    let run = finished(child);
    assert_eq!((run.code, run.text()), (0, format!("logged in to {} as user\n", registry.host())));
    // The terminal shows again what is typed.
    terminal.write_all(b"seen\n").unwrap();
    let shown = read_to("seen", &mut terminal);
    assert!(shown.contains("user") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_terminal_is_put_back_when_the_question_is_interrupted() {
    let (machine, registry) = (Machine::new(), guarded());
    let (mut child, mut terminal) = at_terminal(&machine, &format!("login {} -u user", registry.host()));
    let mut stderr = child.stderr.take().unwrap();
    read_to("password: ", &mut stderr);
    let process = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
    std::io::copy(&mut stderr, &mut std::io::sink()).unwrap();
    assert_eq!(finished(child).code, 130);
    terminal.write_all(b"seen\n").unwrap();
    assert!(read_to("seen", &mut terminal).ends_with("seen"));
    assert!(!machine.docker_config().exists());
}

/// The program at a terminal, and the terminal as its user sees it. The far end stays open, so that what was shown can be
/// read when the program has gone.
pub(crate) fn at_terminal(machine: &Machine, line: &str) -> (Child, Terminal) {
    started_at_terminal(&mut machine.command(line))
}

/// The same with any `command`.
pub(crate) fn started_at_terminal(command: &mut Command) -> (Child, Terminal) {
    let user = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&user).unwrap();
    unlockpt(&user).unwrap();
    let name = ptsname(&user, Vec::new()).unwrap();
    let open = || rustix::fs::open(&*name, OFlags::RDWR | OFlags::NOCTTY, rustix::fs::Mode::empty()).unwrap();
    command.stdin(open()).stdout(Stdio::piped()).stderr(Stdio::piped());
    (command.spawn().unwrap(), Terminal { user: File::from(user), _far: File::from(open()) })
}

pub(crate) struct Terminal {
    user: File,
    _far: File,
}

impl Read for Terminal {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        self.user.read(into)
    }
}

impl Write for Terminal {
    fn write(&mut self, from: &[u8]) -> std::io::Result<usize> {
        self.user.write(from)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.user.flush()
    }
}
