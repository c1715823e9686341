//! Where a request may be sent on to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::{Method, StatusCode};
use url::{Host, Url};

use super::call::{Call, Follow};
use crate::error::Fault;

/// More hops than any registry needs.
pub(crate) const MAX_HOPS: u32 = 10;

/// What redirects of one registry's requests are measured by.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    /// Where the first request went.
    pub(crate) from: Url,
    /// The hosts, with their ports, that may be spoken to without TLS.
    pub(crate) plain: Vec<String>,
}

/// Whether a status asks to go elsewhere, for a request that can.
pub(crate) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

impl Bounds {
    /// Says why `call` must not go on from `here` to `to`, if so.
    pub(crate) fn check(&self, call: &Call, status: StatusCode, here: &Url, to: &Url) -> Result<(), Fault> {
        let leaves = here.origin() != to.origin();
        let reads = matches!(call.method, Method::GET | Method::HEAD);
        let reason = if !matches!(to.scheme(), "http" | "https") {
            "it is no HTTP"
        } else if !to.username().is_empty() || to.password().is_some() {
            "it carries credentials of its own"
        } else if here.scheme() == "https" && to.scheme() == "http" && !self.is_plain(to) {
            "it gives up TLS"
        } else if !reads && (leaves || !matches!(status.as_u16(), 307 | 308) || !call.body.is_replayable()) {
            "a body is not sent anywhere else"
        } else if leaves && call.follow == Follow::SameOrigin {
            "it leaves the registry"
        } else if is_closer(&self.from, to) {
            "it leads into a private network"
        } else {
            return Ok(());
        };
        Err(Fault::UnsafeRedirect { to: to.origin().ascii_serialization(), reason })
    }

    fn is_plain(&self, to: &Url) -> bool {
        let (name, port) = (to.host_str().unwrap_or_default(), to.port());
        let with_port = port.map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
        self.plain.iter().any(|host| host.eq_ignore_ascii_case(&with_port))
    }
}

/// Whether `to` is an address that a host outside of its network could not reach, and `from` is outside.
fn is_closer(from: &Url, to: &Url) -> bool {
    let zone = Zone::of(to);
    zone != Zone::Public && zone != Zone::of(from)
}

/// How far an address can be reached from. A name other than `localhost` counts as public: it is not resolved here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zone {
    Public,
    Private,
    LinkLocal,
    Loopback,
    /// No host has such an address: unspecified, multicast, broadcast.
    Nowhere,
}

impl Zone {
    pub(crate) fn of(url: &Url) -> Self {
        match url.host() {
            Some(Host::Domain(name)) if is_localhost(name) => Self::Loopback,
            Some(Host::Domain(_)) => Self::Public,
            Some(Host::Ipv4(ip)) => Self::of_ip(IpAddr::V4(ip)),
            Some(Host::Ipv6(ip)) => Self::of_ip(IpAddr::V6(ip)),
            None => Self::Nowhere,
        }
    }

    fn of_ip(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self::of_v4(ip),
            IpAddr::V6(ip) => match embedded_v4(ip) {
                Some(ip) => Self::of_v4(ip),
                None => Self::of_v6(ip),
            },
        }
    }

    fn of_v4(ip: Ipv4Addr) -> Self {
        let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
        if ip.is_loopback() {
            Self::Loopback
        } else if ip.is_private() || shared {
            Self::Private
        } else if ip.is_link_local() {
            Self::LinkLocal
        } else if ip.octets()[0] == 0 || ip.is_multicast() || ip.octets()[0] >= 240 {
            Self::Nowhere
        } else {
            Self::Public
        }
    }

    fn of_v6(ip: Ipv6Addr) -> Self {
        if ip.is_loopback() {
            Self::Loopback
        } else if ip.is_unique_local() {
            Self::Private
        } else if ip.is_unicast_link_local() {
            Self::LinkLocal
        } else if ip.is_unspecified() || ip.is_multicast() {
            Self::Nowhere
        } else {
            Self::Public
        }
    }
}

/// The IPv4 address that an IPv6 one stands for: mapped, or behind the well-known NAT64 prefix.
fn embedded_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, high, low] = ip.segments();
    let [h1, h2] = high.to_be_bytes();
    let [l1, l2] = low.to_be_bytes();
    let nat64 = [a, b, c, d, e, f] == [0x64, 0xff9b, 0, 0, 0, 0];
    ip.to_ipv4_mapped().or_else(|| nat64.then(|| Ipv4Addr::new(h1, h2, l1, l2)))
}

fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Wanted;

    #[track_caller]
    fn check(from: &str, to: &str, expect: &str) {
        let (from, to) = (Url::parse(from).unwrap(), Url::parse(to).unwrap());
        let bounds = Bounds { from: from.clone(), plain: vec!["plain.test:5000".to_owned()] };
        let call = Call::new(Method::GET, from.clone(), Wanted::Tags);
        let said = match bounds.check(&call, StatusCode::TEMPORARY_REDIRECT, &from, &to) {
            Err(Fault::UnsafeRedirect { reason, .. }) => reason,
            _ => "",
        };
        assert_eq!(said, expect, "{from} -> {to}");
    }

    #[test]
    fn redirects_lose_neither_tls_nor_the_public_network() {
        let (registry, private) = ("https://r.test/v2/", "it leads into a private network");
        check(registry, "https://cdn.test/x?sig=1", "");
        check(registry, "https://r.test:444/x", "");
        check(registry, "http://r.test/x", "it gives up TLS");
        check(registry, "http://plain.test:5000/x", "");
        check(registry, "http://plain.test:5001/x", "it gives up TLS");
        check(registry, "ftp://r.test/x", "it is no HTTP");
        check(registry, "file:///etc/passwd", "it is no HTTP");
        check(registry, "https://u:p@cdn.test/", "it carries credentials of its own");
        for address in ["169.254.169.254", "[::1]", "0.0.0.0", "2130706433", "10.0.0.1", "localhost", "x.localhost."] {
            check("http://r.test/v2/", &format!("http://{address}/"), private);
        }
        for address in ["[::ffff:10.0.0.1]", "[64:ff9b::7f00:1]", "[fe80::1]", "[fd00::1]", "100.64.0.1", "224.0.0.1"] {
            check(registry, &format!("https://{address}/"), private);
        }
        check("http://127.0.0.1:5000/", "http://127.0.0.1:6000/", "");
        check("http://localhost:5000/", "http://[::1]:6000/", "");
        check("http://127.0.0.1:5000/", "http://169.254.169.254/", private);
        check("http://10.0.0.1/", "http://10.0.0.2/", "");
        check("http://10.0.0.1/", "http://127.0.0.1/", private);
    }
}
