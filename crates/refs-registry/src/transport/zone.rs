//! How far into a network an address is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// How far an address can be reached from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Zone {
    Public,
    Private,
    LinkLocal,
    Loopback,
    /// No host has such an address: unspecified, multicast, broadcast.
    Nowhere,
}

impl Zone {
    /// Where `url` is by its looks. A name other than `localhost` counts as public.
    pub(crate) fn of(url: &Url) -> Self {
        match url.host() {
            Some(Host::Domain(name)) if is_localhost(name) => Self::Loopback,
            Some(Host::Domain(_)) => Self::Public,
            Some(Host::Ipv4(ip)) => Self::of_ip(IpAddr::V4(ip)),
            Some(Host::Ipv6(ip)) => Self::of_ip(IpAddr::V6(ip)),
            None => Self::Nowhere,
        }
    }

    /// Where a name with these addresses is: as far out as any of them. So a name that leads out and in, as a rebinding one
    /// does, gains nothing. `None` when it leads nowhere.
    pub(crate) fn of_all(ips: impl Iterator<Item = IpAddr>) -> Option<Self> {
        ips.map(Self::of_ip).filter(|zone| *zone != Self::Nowhere).min()
    }

    /// Whether a registry here may have its clients speak to a host `there`.
    pub(crate) fn reaches(self, there: Self) -> bool {
        there == Self::Public || there == self && there != Self::Nowhere
    }

    pub(crate) fn of_ip(ip: IpAddr) -> Self {
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
        let site_local = ip.segments()[0] & 0xffc0 == 0xfec0;
        if ip.is_loopback() {
            Self::Loopback
        } else if ip.is_unique_local() || site_local {
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

/// The IPv4 address that an IPv6 one stands for: mapped, compatible, behind the well-known NAT64 prefix, or 6to4.
fn embedded_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match ip.segments() {
        // `::` and `::1` are no IPv4 addresses.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(address: &str, expect: Zone) {
        assert_eq!(Zone::of_ip(address.parse().unwrap()), expect, "{address}");
    }

    #[test]
    fn m035_addresses_are_known_in_all_their_forms() {
        use Zone::{LinkLocal, Loopback, Nowhere, Private, Public};
        for address in ["8.8.8.8", "172.32.0.1", "2606:4700::1111", "64:ff9b::808:808", "2002:808:808::1"] {
            check(address, Public);
        }
        for address in ["10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd00::1", "fec0::1", "::ffff:10.0.0.1"]
        {
            check(address, Private);
        }
        for address in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1"] {
            check(address, Loopback);
        }
        for address in ["169.254.169.254", "fe80::1", "2002:a9fe:a9fe::"] {
            check(address, LinkLocal);
        }
        for address in ["0.0.0.0", "0.1.2.3", "224.0.0.1", "255.255.255.255", "::", "ff02::1"] {
            check(address, Nowhere);
        }
    }
}
