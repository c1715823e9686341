//! What is set for hosts, by flags and in files.

use std::fs;

use refs_testkit::{
    FakeRegistry,
    tls::{Authority, Identity, Life, TlsFront},
};

use crate::support::{Machine, pushed, registry, small};

/// A registry behind TLS that asks for certificates of the authority.
fn secured(registry: &FakeRegistry, authority: &Authority) -> TlsFront {
    TlsFront::start(&registry.host(), authority.issue(&["localhost"], Life::Current).server(Some(authority)))
}

/// Puts the certificate of `authority`, and one that it has issued to us, beside the program.
fn certificates(machine: &Machine, authority: &Authority) {
    let us = authority.issue(&["us"], Life::Current);
    fs::write(machine.path("ca.pem"), authority.pem()).unwrap();
    fs::write(machine.path("us.pem"), us.certificate).unwrap();
    fs::write(machine.path("us.key"), us.key).unwrap();
}

#[test]
fn flags_say_whom_to_trust_and_who_we_are() {
    let (machine, registry, authority) = (Machine::new(), registry(), Authority::new("test"));
    pushed(&machine, &registry, &small());
    certificates(&machine, &authority);
    let front = secured(&registry, &authority);
    let line = format!("resolve {}/o/r:v1", front.host());
    let flags = "--ca ca.pem --client-cert us.pem --client-key us.key";
    machine.prints(&format!("{line} {flags}"));
    machine.fails(&format!("{line} --ca ca.pem"), 7, &["CertificateRequired"]);
    machine.fails(&format!("{line} --ca ca.pem --client-cert us.pem"), 2, &["--client-key <FILE>"]);
    machine.fails(&format!("{line} --ca none.pem"), 2, &["cannot use the certificates in `none.pem`"]);
}

#[test]
fn hints_tell_what_tls_on_this_machine_lacks() {
    let (machine, registry) = (Machine::new(), registry());
    pushed(&machine, &registry, &small());
    let check = |identity: &Identity, flags: &str, words: &str| {
        let front = TlsFront::start(&registry.host(), identity.server(None));
        fs::write(machine.path("own.pem"), &identity.certificate).unwrap();
        machine.fails(&format!("resolve {}/o/r:v1 {flags}", front.host()), 7, &[words]);
    };
    check(
        &Identity::self_signed("localhost"),
        "",
        "; a host on this machine is spoken to by TLS if `--ca FILE` is given",
    );
    let words = "is made with `openssl req -x509 -addext basicConstraints=critical,CA:FALSE`";
    check(&Identity::self_signed_authority("localhost"), "--ca own.pem", words);
}

#[test]
fn our_own_file_says_it_for_a_host_and_its_faults_have_lines() {
    let (machine, registry, authority) = (Machine::new(), registry(), Authority::new("test"));
    pushed(&machine, &registry, &small());
    certificates(&machine, &authority);
    let front = secured(&registry, &authority);
    let line = format!("resolve {}/o/r:v1", front.host());
    let beneath = |name| machine.path(name).display().to_string();
    let (ca, certificate, key) = (beneath("ca.pem"), beneath("us.pem"), beneath("us.key"));
    let host = front.host();
    let settings = format!("[hosts.'{host}']\nca = '{ca}'\nclient-cert = '{certificate}'\nclient-key = '{key}'\n");
    machine.configure(&settings);
    machine.prints(&line);
    let config = machine.configure(&format!("[hosts.'{host}']\nca_files = '{ca}'\n"));
    let words = format!("cannot use `{}:6`: there is no setting `ca_files`", config.display());
    machine.fails(&line, 2, &[&words]);
    fs::write(machine.path("other.toml"), settings).unwrap();
    machine.prints(&format!("{line} --config other.toml"));
    machine.fails(&format!("{line} --config none.toml"), 2, &["cannot use `none.toml`"]);
}

#[test]
fn a_command_that_takes_too_long_is_given_up() {
    let (machine, listener) = (Machine::new(), std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let line = format!("resolve {}/o/r:v1 --timeout 50ms", listener.local_addr().unwrap());
    let words = ["the command did not end within 0.05 s", "hint: allow more with `--timeout TIME`"];
    machine.fails(&line, 7, &words);
    machine.fails(&line.replace("50ms", "5"), 2, &["expected a time, such as 90s"]);
}
