//! Whom a registry may send us to for a token, and with what.

use std::collections::BTreeSet;

use refs_url::Host;
use url::Url;

use crate::transport::Zone;

/// How far a token service is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// With the credentials for the registry.
    Full,
    /// With a question that anyone may ask.
    AnonymousOnly,
    /// Not even with that.
    Nothing,
}

/// How far `realm` is trusted by a client of `registry`. `trusted` are hosts that the user vouches for, `plain` those that
/// may be spoken to without TLS.
///
/// # Security
/// A registry names its token service itself, so that a hostile one could name any address to have passwords sent to, or
/// requests made from inside of a network.
pub(crate) fn trust(registry: &Url, realm: &Url, trusted: &BTreeSet<Host>, plain: &[String]) -> Trust {
    let are_both_on_loopback = Zone::of(registry) == Zone::Loopback && Zone::of(realm) == Zone::Loopback;
    if !is_web(realm) || is_downgrade(registry, realm) {
        Trust::Nothing
    } else if are_both_on_loopback {
        Trust::Full
    } else if gives_up_tls(registry, realm, plain) {
        Trust::Nothing
    } else if trusted.iter().any(|host| is_at(host, realm)) {
        Trust::Full
    } else if is_out_of_reach(registry, realm) {
        Trust::Nothing
    } else if is_same_owner(registry, realm) {
        Trust::Full
    } else {
        Trust::AnonymousOnly
    }
}

fn is_web(realm: &Url) -> bool {
    matches!(realm.scheme(), "http" | "https") && realm.username().is_empty() && realm.password().is_none()
}

fn is_downgrade(registry: &Url, realm: &Url) -> bool {
    registry.scheme() == "https" && realm.scheme() == "http"
}

/// Whether another host would be spoken to without TLS, and the user did not say so.
fn gives_up_tls(registry: &Url, realm: &Url, plain: &[String]) -> bool {
    let may_be_plain = || plain.iter().any(|host| host.eq_ignore_ascii_case(&authority(realm)));
    realm.scheme() == "http" && registry.host() != realm.host() && !may_be_plain()
}

/// Whether no request at all may go to another host there: to a bare address, into a private network. Where its name leads
/// is looked at when it is dialled.
fn is_out_of_reach(registry: &Url, realm: &Url) -> bool {
    registry.host() != realm.host() && (is_address(realm) || Zone::of(realm) != Zone::Public)
}

/// Whether `url` is at `host`, the port included.
pub(crate) fn is_at(host: &Host, url: &Url) -> bool {
    let bare = |name: &str| name.trim_matches(['[', ']']).to_ascii_lowercase();
    let usual = if url.scheme() == "http" { 80 } else { 443 };
    bare(host.name()) == bare(url.host_str().unwrap_or_default())
        && host.port().unwrap_or(usual) == url.port_or_known_default().unwrap_or(usual)
}

fn is_same_owner(registry: &Url, realm: &Url) -> bool {
    let (here, there) = (registry.host_str().unwrap_or_default(), realm.host_str().unwrap_or_default());
    here == there || realm.scheme() == "https" && site(here).is_some_and(|own| Some(own) == site(there))
}

fn authority(url: &Url) -> String {
    let name = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
}

fn is_address(url: &Url) -> bool {
    matches!(url.host(), Some(url::Host::Ipv4(_) | url::Host::Ipv6(_)))
}

/// The name that one owner has registered: the last two labels, or three below a suffix such as `co.uk`. `None` where
/// strangers share a name, so that only the same host is the same owner.
///
/// # Deviation
/// From the public suffix list, which is too large to carry: every second level of a country that looks like a suffix
/// counts as one, which can only make two names strangers.
fn site(host: &str) -> Option<&str> {
    let host = host.trim_end_matches('.');
    let is_shared = |suffix: &str| host.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    if host.contains(['[', ':']) || SHARED.into_iter().any(is_shared) {
        return None;
    }
    let dots: Vec<usize> = host.rmatch_indices('.').map(|(at, _)| at).collect();
    let second_level = host.get(dots.get(1).map_or(0, |at| at + 1)..*dots.first()?)?;
    let is_country = host.len() - dots.first()? == 3;
    if is_country && SECOND_LEVELS.contains(&second_level) {
        let below = dots.get(1)?;
        let start = dots.get(2).map_or(0, |at| at + 1);
        return (*below > start).then(|| &host[start..]);
    }
    Some(&host[dots.get(1).map_or(0, |at| at + 1)..])
}

const SECOND_LEVELS: [&str; 16] =
    ["ac", "asn", "co", "com", "edu", "gen", "go", "gob", "gouv", "gov", "mil", "ne", "net", "nom", "or", "org"];

/// Names below which anyone can have a host.
const SHARED: [&str; 30] = [
    "amazonaws.com",
    "amazonaws.com.cn",
    "appspot.com",
    "azure.com",
    "azurecr.io",
    "azurewebsites.net",
    "cloudfront.net",
    "cloudfunctions.net",
    "digitaloceanspaces.com",
    "duckdns.org",
    "fly.dev",
    "github.io",
    "gitlab.io",
    "googleapis.com",
    "herokuapp.com",
    "jfrog.io",
    "netlify.app",
    "ngrok-free.app",
    "ngrok.app",
    "ngrok.io",
    "nip.io",
    "onrender.com",
    "pages.dev",
    "run.app",
    "scw.cloud",
    "trycloudflare.com",
    "vercel.app",
    "web.app",
    "windows.net",
    "workers.dev",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(registry: &str, realm: &str, expect: Trust) {
        let vouched = ["SSO.vouched.test:443", "10.9.9.9:8443", "plain.test:80"];
        let trusted = vouched.into_iter().map(|host| Host::parse(host).unwrap()).collect();
        let (registry, realm) = (Url::parse(registry).unwrap(), Url::parse(realm).unwrap());
        assert_eq!(trust(&registry, &realm, &trusted, &["plain.test:80".into()]), expect, "{registry} -> {realm}");
    }

    #[test]
    fn m034_m035_m036_m037_credentials_stay_on_the_registrys_site() {
        use Trust::{AnonymousOnly, Full, Nothing};
        check("https://registry-1.docker.io/", "https://auth.docker.io/token", Full);
        check("https://ghcr.io/", "https://ghcr.io/token", Full);
        check("https://registry.gitlab.com/", "https://gitlab.com/jwt/auth", Full);
        check("https://r.test:5000/", "https://r.test:5001/token", Full);
        check("https://r.test/", "https://sso.vouched.test/token", Full);
        check("https://r.test/", "https://sso.vouched.test:444/token", AnonymousOnly);
        check("https://r.test/", "http://sso.vouched.test/token", Nothing);
        check("https://r.test/", "https://10.9.9.9:8443/token", Full);
        check("https://r.test/", "https://10.9.9.9/token", Nothing);
        check("https://r.test/", "http://plain.test/token", Nothing);
        check("https://r.test/", "https://evil.example/token", AnonymousOnly);
        check("https://r.test/", "https://r.test.evil.example/token", AnonymousOnly);
        check("https://r.test/", "https://xr.test/token", AnonymousOnly);
        check("https://r.co.uk/", "https://evil.co.uk/token", AnonymousOnly);
        check("https://r.shop.co.uk/", "https://auth.shop.co.uk/token", Full);
        check("https://a.azurecr.io/", "https://b.azurecr.io/token", AnonymousOnly);
        check("https://a.azurecr.io/", "https://a.azurecr.io/token", Full);
        check("https://docker.elastic.co/", "https://docker-auth.elastic.co/auth", Full);
        check("https://r.test/", "http://r.test/token", Nothing);
        check("https://r.test/", "https://10.0.0.1/token", Nothing);
        check("https://r.test/", "https://127.0.0.1/token", Nothing);
        check("https://r.test/", "https://localhost/token", Nothing);
        check("https://r.test/", "https://[::1]/token", Nothing);
        check("https://r.test/", "https://0x7f000001/token", Nothing);
        check("https://r.test/", "https://8.8.8.8/token", Nothing);
        check("https://r.test/", "https://u:p@auth.r.test/token", Nothing);
        check("https://r.test/", "file:///etc/passwd", Nothing);
        check("http://plain.test/", "http://other.test/token", Nothing);
        check("http://plain.test/", "http://plain.test:8080/token", Full);
        check("http://127.0.0.1:5000/", "http://127.0.0.1:5001/token", Full);
        check("http://localhost:5000/", "http://[::1]:5001/token", Full);
        check("http://127.0.0.1:5000/", "http://169.254.169.254/token", Nothing);
        check("http://10.0.0.1/", "http://10.0.0.1:81/token", Full);
        check("http://10.0.0.1/", "http://10.0.0.2/token", Nothing);
    }
}
