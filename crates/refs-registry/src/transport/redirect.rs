//! Where a request may be sent on to.

use std::sync::Arc;

use http::{Method, StatusCode};
use url::{Origin, Url};

use super::{
    call::{Call, Follow},
    heard::Heard,
    zone::Zone,
};
use crate::error::Fault;

/// More hops than any registry needs.
pub(crate) const MAX_HOPS: u32 = 10;

/// What redirects of one registry's requests are measured by.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    /// The registry.
    pub(crate) from: Url,
    /// The hosts, with their ports, that may be spoken to without TLS.
    pub(crate) plain: Vec<String>,
    /// What is told of each answer of the registry itself, also of one that sends on to another host.
    pub(crate) heard: Arc<Heard>,
}

/// Whether a status asks to go elsewhere, for a request that can.
pub(crate) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

impl Bounds {
    /// Says why `call` must not go on from `here` to `to`, if so. `home` is where the registry is; where the name in `to`
    /// leads is looked at when it is dialled.
    pub(crate) fn check(call: &Call, status: StatusCode, here: &Url, to: &Url, home: Zone) -> Result<(), Fault> {
        let leaves = here.origin() != to.origin();
        let reads = matches!(call.method, Method::GET | Method::HEAD);
        let reason = if !matches!(to.scheme(), "http" | "https") {
            "it is no HTTP"
        } else if !to.username().is_empty() || to.password().is_some() {
            "it carries credentials of its own"
        } else if here.scheme() == "https" && to.scheme() == "http" {
            "it gives up TLS"
        } else if !reads && (leaves || !matches!(status.as_u16(), 307 | 308) || !call.body.is_replayable()) {
            "a body is not sent anywhere else"
        } else if leaves && call.follow == Follow::SameOrigin {
            "it leaves the registry"
        } else if is_closer(home, to) {
            "it leads into a private network"
        } else {
            return Ok(());
        };
        Err(Fault::UnsafeRedirect { to: shown(to), reason })
    }
}

/// As much of the URL in an answer as a message may have: its origin; of one that has none, such as `file:///…`, what comes
/// before the query, which may hold a signature.
pub(crate) fn shown(url: &Url) -> String {
    match url.origin() {
        origin @ Origin::Tuple(..) => origin.ascii_serialization(),
        Origin::Opaque(_) if url.has_authority() => {
            format!("{}://{}", url.scheme(), beginning(url.path(), url.host_str()))
        }
        Origin::Opaque(_) => format!("{}:{}", url.scheme(), beginning(url.path(), None)),
    }
}

/// A host and a path, cut off where they are long: a registry can make them as long as a header may be.
fn beginning(path: &str, host: Option<&str>) -> String {
    host.unwrap_or_default().chars().chain(path.chars()).take(128).collect()
}

/// Whether `to` is an address that a host outside of its network could not reach, and `home` is outside.
fn is_closer(home: Zone, to: &Url) -> bool {
    !home.reaches(Zone::of(to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Wanted;

    #[track_caller]
    fn check(from: &str, to: &str, expect: &str) {
        let (from, to) = (Url::parse(from).unwrap(), Url::parse(to).unwrap());
        let call = Call::new(Method::GET, from.clone(), Wanted::Tags);
        let said = match Bounds::check(&call, StatusCode::TEMPORARY_REDIRECT, &from, &to, Zone::of(&from)) {
            Err(Fault::UnsafeRedirect { reason, .. }) => reason,
            _ => "",
        };
        assert_eq!(said, expect, "{from} -> {to}");
    }

    #[test]
    fn of_a_url_nothing_secret_is_shown() {
        for (url, expect) in [
            ("https://u:p@r.test:444/x?sig=1", "https://r.test:444"),
            ("file:///etc/passwd", "file:///etc/passwd"),
            ("x://u:p@host/path?sig=1#part", "x://host/path"),
            ("data:,text", "data:,text"),
        ] {
            assert_eq!(shown(&Url::parse(url).unwrap()), expect);
        }
        assert_eq!(shown(&Url::parse(&format!("data:,{}", "a".repeat(1000))).unwrap()).len(), 5 + 128);
    }

    #[test]
    fn redirects_lose_neither_tls_nor_the_public_network() {
        let (registry, private) = ("https://r.test/v2/", "it leads into a private network");
        check(registry, "https://cdn.test/x?sig=1", "");
        check(registry, "https://r.test:444/x", "");
        check(registry, "http://r.test/x", "it gives up TLS");
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
