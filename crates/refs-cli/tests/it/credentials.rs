//! Where credentials come from, as the program finds them.

use std::{fs, io::Write, process::Stdio};

use refs_testkit::{FakeRegistry, Image};

use crate::support::{Machine, Run, ended, finished, put};

const SECRET: &str = "hunter2";

/// A registry for `user`, with the tag `o/r:v1`.
pub(crate) fn guarded() -> FakeRegistry {
    let registry = FakeRegistry::builder().token_auth("user", SECRET).start_blocking();
    put(&registry, &Image::new());
    registry
}

/// Runs the program with these variables and this on stdin. No secret may show.
pub(crate) fn run(machine: &Machine, line: &str, variables: &[(&str, &str)], stdin: &str) -> Run {
    let mut command = machine.command(line);
    command.envs(variables.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that fails before it reads has closed its stdin.
    drop(child.stdin.take().unwrap().write_all(stdin.as_bytes()));
    let run = finished(child);
    assert!(!run.stderr.contains(SECRET) && !run.text().contains(SECRET), "{run:?}");
    run
}

/// A program on the machine that is this shell script.
pub(crate) fn program(machine: &Machine, name: &str, script: &str) {
    let path = machine.path("bin").join(name);
    fs::create_dir_all(machine.path("bin")).unwrap();
    // Another program writes it: a file that is open for writing here, or in a child that another test starts, can't be run.
    let mut shell = std::process::Command::new("/bin/sh");
    shell.args(["-c", "cat > \"$0\" && chmod +x \"$0\""]).arg(path).stdin(Stdio::piped());
    let mut shell = shell.spawn().unwrap();
    write!(shell.stdin.take().unwrap(), "#!/bin/sh\n{script}\n").unwrap();
    assert!(shell.wait().unwrap().success());
}

#[test]
fn a_login_is_given_in_variables_and_flags() {
    let (machine, registry) = (Machine::new(), guarded());
    let resolve = |flags: &str, variables: &[(&str, &str)], stdin: &str| {
        let line = format!("resolve {}/o/r:v1 {flags}", registry.host());
        assert!(run(&machine, &line, variables, stdin).printed().contains("@sha256:"), "{flags} {variables:?}");
    };
    let (name, password) = (("REFS_USERNAME", "user"), ("REFS_PASSWORD", SECRET));
    resolve("", &[name, password], "");
    resolve("--username user", &[password], "");
    resolve("--username user", &[("REFS_USERNAME", "x"), password], "");
    resolve("--password-stdin", &[name], "hunter2\n");
    resolve("-u user --password-stdin", &[("REFS_PASSWORD", "x"), ("REFS_TOKEN", "x")], "hunter2");
}

#[test]
fn a_token_is_given_in_a_variable_or_on_stdin() {
    let machine = Machine::new();
    let registry = FakeRegistry::builder().token_auth("user", SECRET).start_blocking();
    let line = format!("resolve {}/o/r:v1", registry.host());
    for (flags, variables, from) in
        [("", &[("REFS_TOKEN", SECRET)][..], "`REFS_TOKEN`"), ("--token-stdin", &[], "`--token-stdin`")]
    {
        let run = run(&machine, &format!("{line} {flags}"), variables, "hunter2\n");
        run.failed(4, &[&format!("(tried: {from})"), "hint: check the password"]);
    }
}

#[test]
fn a_token_that_the_registry_cannot_be_shown_is_named() {
    let machine = Machine::new();
    let registry = FakeRegistry::builder().basic_auth("user", SECRET).start_blocking();
    let line = format!("ls {}/o/r:v1", registry.host());
    let words = ["(tried: `REFS_TOKEN`, a token, and it asks for a user name and a password)"];
    run(&machine, &line, &[("REFS_TOKEN", SECRET)], "").failed(4, &words);
    run(&machine, &line, &[], "").failed(4, &["(none were given)", "hint: log in with"]);
}

#[test]
fn half_a_login_is_an_error_of_usage_before_any_request() {
    let (machine, registry) = (Machine::new(), guarded());
    let check = |flags: &str, variables: &[(&str, &str)], stdin: &str, words: &[&str]| {
        let line = format!("resolve {}/o/r:v1 {flags}", registry.host());
        run(&machine, &line, variables, stdin).failed(2, words);
    };
    check("", &[("REFS_PASSWORD", SECRET)], "", &["no user name", "hint: add `--username NAME`"]);
    check("", &[("REFS_USERNAME", "user")], "", &["no password", "hint: add `--password-stdin`"]);
    check("--username user", &[], "", &["no password"]);
    check("--password-stdin", &[], "hunter2", &["no user name"]);
    check("-u user --password-stdin", &[], "\n", &["nothing on stdin"]);
    check("-u user --password-stdin", &[], &"x".repeat(70_000), &["more than 65536 bytes"]);
    check("--token-stdin -u user", &[], "hunter2", &["a token is given, and a user name", "hint: "]);
    check("--token-stdin --password-stdin", &[], "hunter2", &["a token is given"]);
    assert_eq!(registry.requests(), [""; 0]);
    run(&machine, "resolve ocidir://x:v1 -u user", &[], "").failed(2, &["this command asks none"]);
}

#[test]
fn a_login_that_is_refused_makes_way_for_the_one_that_is_kept() {
    let (machine, registry) = (Machine::new(), guarded());
    let wrong = [("REFS_USERNAME", "user"), ("REFS_PASSWORD", "wrong")];
    let line = format!("resolve {}/o/r:v1", registry.host());
    let refused = "(tried: `REFS_USERNAME` and `REFS_PASSWORD`)";
    run(&machine, &line, &wrong, "").failed(4, &[refused]);
    machine.login(&registry, "user", SECRET);
    let told = run(&machine, &line, &wrong, "");
    assert_eq!(told.code, 0);
    assert!(told.stderr.contains("refused") && told.stderr.contains("`REFS_USERNAME`"), "{}", told.stderr);
}

#[test]
fn what_is_tried_is_named_in_the_order_in_which_it_is_tried() {
    let (machine, registry) = (Machine::new(), guarded());
    machine.login(&registry, "user", "stale");
    let auth =
        |password| format!(r#"{{"auths":{{"{}":{{"username":"user","password":"{password}"}}}}}}"#, registry.host());
    let podman = machine.path("podman.json");
    fs::write(&podman, auth("older")).unwrap();
    let podman = podman.to_string_lossy().into_owned();
    let wrong = [("REFS_USERNAME", "user"), ("REFS_PASSWORD", "wrong"), ("REGISTRY_AUTH_FILE", podman.as_str())];
    let run = run(&machine, &format!("resolve {}/o/r:v1", registry.host()), &wrong, "").failed(4, &["tried: "]);
    let places = ["`REFS_USERNAME`", "docker/config.json", "podman.json"].map(|name| run.stderr.rfind(name).unwrap());
    assert!(places.is_sorted(), "{}", run.stderr);
}

#[test]
fn the_token_for_github_is_shown_to_no_other_registry() {
    let (machine, registry) = (Machine::new(), guarded());
    let line = format!("resolve {}/o/r:v1", registry.host());
    for variable in ["GITHUB_TOKEN", "GH_TOKEN"] {
        run(&machine, &line, &[(variable, SECRET)], "").failed(4, &["none were given"]);
    }
}

#[test]
fn the_files_of_docker_and_podman_are_read() {
    let (machine, registry) = (Machine::new(), guarded());
    let line = format!("resolve {}/o/r:v1", registry.host());
    let config = format!(r#"{{"auths":{{"{}/o":{{"auth":"dXNlcjpodW50ZXIy"}}}}}}"#, registry.host());
    run(&machine, &line, &[("DOCKER_AUTH_CONFIG", &config)], "").printed();
    for (variable, file) in [
        ("REGISTRY_AUTH_FILE", "given.json"),
        ("XDG_RUNTIME_DIR", "run/containers/auth.json"),
        ("XDG_CONFIG_HOME", "config/containers/auth.json"),
        ("HOME", "home/.config/containers/auth.json"),
    ] {
        let path = machine.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &config).unwrap();
        let value = path.to_string_lossy().replace("/containers/auth.json", "").replace("/.config", "");
        run(&machine, &line, &[(variable, &value)], "").printed();
    }
    run(&machine, &line, &[], "").failed(4, &["none were given", "hint: log in with `refs login"]);
}

#[test]
fn a_file_that_cannot_be_read_is_named_in_a_warning() {
    let (machine, registry) = (Machine::new(), guarded());
    fs::write(machine.docker_config(), "{\"auths\":\"hunter2\"}").unwrap();
    let run = run(&machine, &format!("resolve {}/o/r:v1", registry.host()), &[], "");
    assert_eq!(run.code, 4);
    let warning = format!("warning: the logins in `{}` are left out", machine.docker_config().display());
    assert!(run.stderr.contains(&warning), "{}", run.stderr);
}

#[test]
fn a_credential_helper_is_asked() {
    let (machine, registry) = (Machine::new(), guarded());
    program(&machine, "docker-credential-x", r#"echo noise >&2; echo '{"Username":"user","Secret":"hunter2"}'"#);
    let path = machine.path("bin").to_string_lossy().into_owned();
    let line = format!("resolve {}/o/r:v1", registry.host());
    for config in [r#"{"credsStore":"x"}"#.to_owned(), format!(r#"{{"credHelpers":{{"{}":"x"}}}}"#, registry.host())] {
        fs::write(machine.docker_config(), config).unwrap();
        run(&machine, &line, &[("PATH", &path)], "").printed();
    }
    let missing = run(&machine, &line, &[], "");
    missing.failed(2, &["credential helper `docker-credential-x`: it is not in PATH"]);
}

#[test]
fn secrets_are_in_no_log() {
    let (machine, registry) = (Machine::new(), guarded());
    let variables = [("REFS_USERNAME", "user"), ("REFS_PASSWORD", SECRET)];
    let run = run(&machine, &format!("-vv resolve {}/o/r:v1", registry.host()), &variables, "");
    assert_eq!(run.code, 0);
    assert!(!run.stderr.is_empty() && !run.stderr.contains("dXNlcjpodW50ZXIy"), "{}", run.stderr);
}

#[test]
fn variables_are_nothing_to_a_command_without_a_registry() {
    let machine = Machine::new();
    let mut command = machine.command("resolve ocidir://nothing:v1");
    assert_eq!(ended(command.env("REFS_PASSWORD", SECRET)).code, 3);
}
