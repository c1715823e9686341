//! The registry's host.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use crate::error::{Fault, ParseErrorKind};

/// The host of a registry, with its port when there is one: `ghcr.io`, `localhost:5000`, `[::1]:5000`.
///
/// A domain name, an IPv4 address, or an IPv6 address in brackets (without a zone, without a dotted tail). The text is
/// kept as given, capitals included: some load balancers are registered under names that have them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(pub(crate) Arc<str>);

checked_text!(Host, check, "`InvalidHost` or `InvalidPort`, at the first byte that is wrong.");

impl Host {
    /// The most bytes a host may have, port and brackets included.
    pub const MAX_LEN: usize = 255;

    /// The domain name or address alone: no port, and no brackets around an IPv6 address.
    pub fn name(&self) -> &str {
        split(&self.0).0
    }

    /// The port, when the text names one.
    pub fn port(&self) -> Option<u16> {
        split(&self.0).1.and_then(|port| port.parse().ok())
    }

    /// Whether this is `localhost` in any case, an address in 127.0.0.0/8, or `::1`.
    ///
    /// # Security
    ///
    /// The name decides, nothing is resolved: another name may well lead to this machine.
    pub fn is_loopback(&self) -> bool {
        let name = self.name();
        name.eq_ignore_ascii_case("localhost")
            || name.parse().is_ok_and(|ip: Ipv4Addr| ip.is_loopback())
            || name.parse().is_ok_and(|ip: Ipv6Addr| ip.is_loopback())
    }

    /// Whether this is one of the names of Docker Hub, whose registry answers at `registry-1.docker.io` and whose
    /// credentials are filed under `https://index.docker.io/v1/`. A host with a port never is.
    pub fn is_docker_hub(&self) -> bool {
        DOCKER_HUB.iter().any(|name| self.0.eq_ignore_ascii_case(name))
    }
}

const DOCKER_HUB: [&str; 4] = ["docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"];

/// Name without brackets, and port, of a host that has been checked.
fn split(host: &str) -> (&str, Option<&str>) {
    if let Some((address, rest)) = host.strip_prefix('[').and_then(|text| text.split_once(']')) {
        return (address, rest.strip_prefix(':'));
    }
    match host.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (host, None),
    }
}

/// Checks `host = ( domain / "[" ipv6 "]" ) [ ":" port ]`.
pub(crate) fn check(host: &str) -> Result<(), Fault> {
    let name_end = if host.starts_with('[') { check_ipv6(host)? } else { check_domain(host)? };
    if let Some(port) = host[name_end..].strip_prefix(':') {
        check_port(port).map_err(|fault| fault.after(name_end + 1))?;
    }
    if host.len() > Host::MAX_LEN {
        return Err(Fault::new(ParseErrorKind::InvalidHost, Host::MAX_LEN));
    }
    Ok(())
}

/// Checks a host that may not have a port.
pub(crate) fn check_without_port(host: &str) -> Result<(), Fault> {
    check(host)?;
    match split(host) {
        (_, Some(port)) => Err(Fault::new(ParseErrorKind::InvalidPort, host.len() - port.len())),
        _ => Ok(()),
    }
}

/// Checks labels up to a `:` or the end, and says where that is.
fn check_domain(host: &str) -> Result<usize, Fault> {
    let mut before = b'.';
    for (offset, byte) in host.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => {}
            b'-' if before != b'.' => {}
            b'.' | b':' if before != b'.' && before != b'-' => {}
            _ => return Err(Fault::new(ParseErrorKind::InvalidHost, offset)),
        }
        if byte == b':' {
            return Ok(offset);
        }
        before = byte;
    }
    match before {
        b'.' | b'-' => Err(Fault::new(ParseErrorKind::InvalidHost, host.len())),
        _ => Ok(host.len()),
    }
}

/// Checks an address in brackets, and says where the closing one ends.
fn check_ipv6(host: &str) -> Result<usize, Fault> {
    let invalid = |offset| Err(Fault::new(ParseErrorKind::InvalidHost, offset));
    let address = &host[1..];
    let Some(len) = address.bytes().position(|byte| !(byte.is_ascii_hexdigit() || byte == b':')) else {
        return invalid(host.len());
    };
    let end = len + 2;
    if !address[len..].starts_with(']') {
        return invalid(len + 1);
    }
    if address[..len].parse::<Ipv6Addr>().is_err() {
        return invalid(1);
    }
    match host.as_bytes().get(end) {
        None | Some(b':') => Ok(end),
        Some(_) => invalid(end),
    }
}

fn check_port(port: &str) -> Result<(), Fault> {
    let invalid = |offset| Err(Fault::new(ParseErrorKind::InvalidPort, offset));
    if let Some(offset) = port.bytes().position(|byte| !byte.is_ascii_digit()) {
        return invalid(offset);
    }
    // A leading zero covers port 0 too.
    if port.starts_with('0') || port.parse::<u16>().is_err() {
        return invalid(0);
    }
    Ok(())
}
