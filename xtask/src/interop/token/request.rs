//! What a client asks a token server.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The head of a request is at most this long.
const HEAD_BYTES: u64 = 16 << 10;

/// The head of an HTTP request; a token request has no body that counts.
#[derive(Debug)]
pub(crate) struct Request {
    query: String,
    authorization: Option<String>,
}

/// `repository:NAME:pull,push`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) actions: Vec<String>,
}

impl Request {
    pub(crate) fn read(stream: impl Read) -> io::Result<Self> {
        let mut lines = BufReader::new(stream.take(HEAD_BYTES)).lines();
        let first = lines.next().transpose()?.unwrap_or_default();
        let target = first.split(' ').nth(1).unwrap_or_default();
        let query = target.split_once('?').map_or("", |(_, query)| query).to_owned();
        let mut authorization = None;
        for line in lines {
            let line = line?;
            match line.split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("authorization") => {
                    authorization = Some(value.trim().to_owned());
                }
                Some(_) => {}
                None => break,
            }
        }
        Ok(Self { query, authorization })
    }

    /// The user and password it came with.
    pub(crate) fn basic(&self) -> Option<(String, String)> {
        let encoded = self.authorization.as_ref()?.strip_prefix("Basic ")?;
        let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
        let (user, password) = decoded.split_once(':')?;
        Some((user.to_owned(), password.to_owned()))
    }

    /// Every scope asked for: `scope` may come several times, and one may hold several with spaces between.
    pub(crate) fn scopes(&self) -> Vec<Scope> {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        let values = pairs.filter(|(key, _)| *key == "scope").map(|(_, value)| percent_decoded(value));
        values.flat_map(|value| value.split(' ').filter_map(Scope::parse).collect::<Vec<_>>()).collect()
    }
}

impl Scope {
    fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        let (name, actions) = rest.rsplit_once(':')?;
        let actions = actions.split(',').map(str::to_owned).collect();
        Some(Self { kind: kind.to_owned(), name: name.to_owned(), actions })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.kind, self.name, self.actions.join(","))
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = (first == b'%').then(|| std::str::from_utf8(after.get(..2)?).ok()).flatten();
        let decoded = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(decoded.unwrap_or(if first == b'+' { b' ' } else { first }));
        rest = if decoded.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_scopes(query: &str, expected: &[&str]) {
        let head = format!("GET /token{query} HTTP/1.1\r\nHost: a\r\n\r\n");
        let scopes = Request::read(head.as_bytes()).unwrap().scopes();
        assert_eq!(scopes.iter().map(Scope::to_string).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn scopes_come_from_every_parameter() {
        check_scopes("", &[]);
        check_scopes("?service=a&scope=repository:a/b:pull", &["repository:a/b:pull"]);
        check_scopes("?scope=repository%3Aa%2Fb%3Apull%2cpush", &["repository:a/b:pull,push"]);
        check_scopes("?scope=repository:a:pull&scope=repository:b:push", &["repository:a:pull", "repository:b:push"]);
        check_scopes("?scope=repository:a:pull+repository:b:pull", &["repository:a:pull", "repository:b:pull"]);
        check_scopes("?scope=nothing&scope=%", &[]);
    }

    #[test]
    fn the_password_may_hold_a_colon() {
        let encoded = STANDARD.encode("me:a:b");
        let head = format!("GET / HTTP/1.1\r\nauthorization: Basic {encoded}\r\n\r\n");
        let basic = Request::read(head.as_bytes()).unwrap().basic();
        assert_eq!(basic, Some(("me".to_owned(), "a:b".to_owned())));
    }

    #[test]
    fn other_authorization_is_none() {
        let head = "GET / HTTP/1.1\r\nAuthorization: Bearer abc\r\n\r\n";
        assert_eq!(Request::read(head.as_bytes()).unwrap().basic(), None);
    }
}
