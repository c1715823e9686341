//! Hosts, and what their text tells.

use refs_url::{Host, Tag};

#[track_caller]
fn check(host: &str, name: &str, port: Option<u16>) {
    let Ok(parsed) = Host::parse(host) else { panic!("`{host}` is not parsed") };
    assert_eq!((parsed.name(), parsed.port(), parsed.as_str()), (name, port, host));
}

#[test]
fn a_host_is_a_name_and_maybe_a_port() {
    check("ghcr.io", "ghcr.io", None);
    check("Acme.Dev:1", "Acme.Dev", Some(1));
    check("team", "team", None);
    check("127.0.0.1:65535", "127.0.0.1", Some(65535));
    check("[::1]", "::1", None);
    check("[2001:db8::]:5000", "2001:db8::", Some(5000));
}

#[track_caller]
fn check_loopback(host: &str, expect: bool) {
    assert_eq!(Host::parse(host).map(|host| host.is_loopback()), Ok(expect), "`{host}`");
}

#[test]
fn loopback_is_localhost_and_the_loopback_addresses() {
    for host in ["localhost", "localhost:5000", "127.0.0.1", "127.1.2.3:80", "[::1]", "[0:0::1]:5000"] {
        check_loopback(host, true);
    }
    for host in ["localhost.example", "x.localhost", "127.0.0.1.example", "128.0.0.1", "[::2]", "10.0.0.1", "[::]"] {
        check_loopback(host, false);
    }
}

#[track_caller]
fn check_docker_hub(host: &str, expect: bool) {
    assert_eq!(Host::parse(host).map(|host| host.is_docker_hub()), Ok(expect), "`{host}`");
}

#[test]
fn docker_hub_goes_by_four_names() {
    for host in ["docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com", "DOCKER.IO"] {
        check_docker_hub(host, true);
    }
    for host in ["docker.io:443", "hub.docker.com", "xdocker.io", "docker.io.example"] {
        check_docker_hub(host, false);
    }
}

#[test]
fn latest_is_a_tag() {
    assert_eq!(Tag::parse("latest"), Ok(Tag::latest()));
}
