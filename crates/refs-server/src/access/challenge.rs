//! How to come in: `WWW-Authenticate` ([RFC 9110, 11.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1)).

use std::fmt::{self, Write};

use http::{StatusCode, header::HOST, request};
use refs_registry::hosts::Security;
use refs_url::Host;
use url::Url;

use super::{Access, Scheme, TokenOptions, service};
use crate::{Code, Refusal};

/// Why the token that came is not enough ([RFC 6750, 3.1](https://www.rfc-editor.org/rfc/rfc6750#section-3.1)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// There was none.
    Absent,
    InvalidToken,
    InsufficientScope,
}

/// The demand that an answer to `head` makes: for a password, or for a token that allows `scope`.
///
/// # Errors
/// 400 where nobody can tell how the client reaches the token service.
pub(super) fn challenge(access: &Access, head: &request::Parts, scope: &str, fault: Fault) -> Result<String, Refusal> {
    let tokens = match &access.scheme {
        Scheme::Basic => return Ok(basic(access)),
        Scheme::Bearer(tokens) => tokens,
    };
    let mut demand = format!("Bearer realm={},service={}", Quoted(&realm(tokens, head)?), Quoted(&access.name));
    let error = match fault {
        Fault::Absent => "",
        Fault::InvalidToken => "invalid_token",
        Fault::InsufficientScope => "insufficient_scope",
    };
    for (name, value) in [("scope", scope), ("error", error)] {
        if !value.is_empty() {
            demand.push_str(&format!(",{name}={}", Quoted(value)));
        }
    }
    Ok(demand)
}

/// The demand for a password.
pub(super) fn basic(access: &Access) -> String {
    format!("Basic realm={}", Quoted(&access.name))
}

/// Where the client gets a token. What it says of the host is used for nothing but to tell it the same, and only if it is
/// one.
fn realm(tokens: &TokenOptions, head: &request::Parts) -> Result<String, Refusal> {
    if let Some(realm) = &tokens.realm {
        return Ok(realm.to_string());
    }
    let mut hosts = head.headers.get_all(HOST).iter();
    let named = match (head.uri.authority(), hosts.next(), hosts.next()) {
        (Some(authority), ..) => Some(authority.as_str()),
        (None, Some(host), None) => host.to_str().ok(),
        _ => None,
    };
    let host = named.and_then(|host| Host::parse(host).ok()).ok_or_else(no_host)?;
    let scheme = match head.extensions.get() {
        Some(Security::Tls) => "https",
        _ => "http",
    };
    let realm = format!("{scheme}://{host}{}", service::PATH);
    Url::parse(&realm).map(|_| realm).ok().ok_or_else(no_host)
}

fn no_host() -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, Code::Unsupported, "the request does not name the host it is sent to")
}

/// Text as a quoted string.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                // No header can have them.
                c if c.is_control() || !c.is_ascii() => f.write_char('?')?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::access::{Htpasswd, Key};

    fn bearer(realm: Option<&str>) -> Access {
        let tokens = TokenOptions::new(Key::new(&[1; 32]).unwrap());
        let realm = realm.map(|realm| Url::parse(realm).unwrap());
        Access::new(Htpasswd::default(), Scheme::Bearer(TokenOptions { realm, ..tokens }))
    }

    #[track_caller]
    fn check(access: &Access, security: Security, uri: &str, hosts: &[&str], expect: Option<&str>) {
        let mut request = Request::get(uri).extension(security);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let demand = challenge(access, &head, "", Fault::Absent).ok();
        let expect = expect.map(|realm| format!("Bearer realm=\"{realm}\",service=\"refs\""));
        assert_eq!(demand, expect, "{uri} {hosts:?}");
    }

    #[test]
    fn the_realm_is_where_the_client_is() {
        use Security::{Plain, Tls};
        let found = bearer(None);
        check(&found, Plain, "/v2/", &["r.test:5000"], Some("http://r.test:5000/token"));
        check(&found, Tls, "/v2/", &["r.test"], Some("https://r.test/token"));
        check(&found, Tls, "/v2/", &["[::1]:443"], Some("https://[::1]:443/token"));
        check(&found, Tls, "https://r.test/v2/", &[], Some("https://r.test/token"));
        check(&found, Tls, "https://r.test/v2/", &["evil.test"], Some("https://r.test/token"));
        for hosts in [&[][..], &["r.test", "r.test"], &["r.test/x"], &["u@r.test"], &["r.test\",x=\""], &["r.test, y"]]
        {
            check(&found, Plain, "/v2/", hosts, None);
        }
        let set = bearer(Some("https://front.test/auth/token"));
        check(&set, Plain, "/v2/", &["evil.test"], Some("https://front.test/auth/token"));
        check(&set, Plain, "/v2/", &[], Some("https://front.test/auth/token"));
    }

    #[test]
    fn names_are_quoted() {
        let access = Access { name: "a \"b\\\n".to_owned(), ..bearer(None) };
        assert_eq!(basic(&access), r#"Basic realm="a \"b\\?""#);
    }
}
