//! `refs serve` with users and TLS.

use std::fs;

use refs_testkit::tls::{Authority, Life};

use crate::{
    credentials::run,
    serve::Served,
    support::{Machine, small},
};

/// `correct horse`, by libxcrypt.
const HTPASSWD: &str = "user:$2y$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2\n";

/// A machine with the files that the flags name, and a tree to push.
fn machine() -> Machine {
    let (machine, authority) = (Machine::new(), Authority::new("the test's"));
    let identity = authority.issue(&["127.0.0.1"], Life::Current);
    for (name, text) in [
        ("users", HTPASSWD),
        ("ca.pem", authority.pem()),
        ("server.pem", &identity.certificate),
        ("server.key", &identity.key),
        ("short", "not much"),
        ("wrong", "# users\nuser:plain\n"),
    ] {
        fs::write(machine.path(name), text).unwrap();
    }
    machine.write("source", &small());
    machine
}

/// Pushes and pulls with a login, and does not without one.
fn check(flags: &str, ours: &str) {
    let machine = machine();
    let served = Served::start(&machine, &format!("--root data --htpasswd users {flags}"));
    let at = format!("{}/o/r:v1 {ours}", served.host);
    machine.run(&format!("push source {at}")).failed(4, &[]);
    let login = format!("login {} -u user --password-stdin {ours}", served.host);
    assert_eq!(run(&machine, &login, &[], "wrong\n").code, 4, "{flags}");
    let logged_in = run(&machine, &login, &[], "correct horse\n");
    assert_eq!(logged_in.code, 0, "{flags}: {}", logged_in.stderr);
    machine.prints(&format!("push source {at}"));
    machine.prints(&format!("logout {}", served.host));
    let is_open = flags.contains("--anonymous-pull");
    let pulled = machine.run(&format!("pull --no-cache {at} pulled"));
    assert_eq!(pulled.code, if is_open { 0 } else { 4 }, "{flags}: {}", pulled.stderr);
    machine.run(&format!("push source {at}")).failed(4, &[]);
}

#[test]
fn a_login_opens_the_server_and_a_logout_closes_it() {
    const TLS: &str = "--tls-cert server.pem --tls-key server.key";
    check("", "");
    check("--auth bearer", "");
    check("--auth basic --anonymous-pull", "");
    check(&format!("--auth bearer --anonymous-pull {TLS}"), "--ca ca.pem");
    check(TLS, "--ca ca.pem");
}

#[test]
fn the_file_says_who_may_do_what() {
    let machine = machine();
    let file = "root = 'data'\n[tls]\ncert = 'server.pem'\nkey = 'server.key'\n\
                [auth]\nhtpasswd = 'users'\nmode = 'bearer'\n\
                [[auth.grant]]\nuser = 'user'\nprefix = 'team'\nactions = ['pull', 'push']\n";
    fs::write(machine.path("server.toml"), file).unwrap();
    let served = Served::start(&machine, "--server-config server.toml");
    let login = format!("login {} -u user --password-stdin --ca ca.pem", served.host);
    assert_eq!(run(&machine, &login, &[], "correct horse\n").code, 0);
    machine.prints(&format!("push source {}/team/app:v1 --ca ca.pem", served.host));
    machine.run(&format!("push source {}/teams/app:v1 --ca ca.pem", served.host)).failed(5, &[]);
    machine.prints(&format!("logout {}", served.host));
    machine.run(&format!("resolve {}/team/app:v1 --ca ca.pem", served.host)).failed(4, &[]);
}

#[test]
fn files_that_say_something_else_are_refused_at_once() {
    let machine = machine();
    for (flags, words) in [
        ("--htpasswd absent", &["cannot read `absent`"][..]),
        ("--htpasswd wrong", &["`wrong` is no htpasswd file", "line 2", "htpasswd -B"]),
        ("--htpasswd users --auth bearer --token-key short", &["`short` is no key for tokens", "32 bytes"]),
        ("--tls-cert server.key --tls-key server.key", &["cannot speak TLS with `server.key` and `server.key`"]),
    ] {
        machine.fails(&format!("serve --listen 127.0.0.1:0 --root data {flags}"), 2, words);
    }
    for flags in ["--auth bearer", "--anonymous-pull", "--tls-cert server.pem", "--htpasswd users --token-key users"] {
        machine.fails(&format!("serve --listen 127.0.0.1:0 --root data {flags}"), 2, &[]);
    }
}
