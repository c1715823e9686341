//! What a registry demands in `WWW-Authenticate`
//! ([RFC 9110, 11.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1)), as tolerantly as real ones need it.

use http::{HeaderMap, header};

use super::Scopes;

/// What a registry wants to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Demand {
    /// Name and password, at the registry itself.
    Basic,
    /// A token of its token service.
    Bearer { realm: String, service: Option<String>, scopes: Scopes },
}

impl Demand {
    /// The best demand in all of the headers: a token before a password, as that shows less; `None` when there is none
    /// that we can meet.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let values = headers.get_all(header::WWW_AUTHENTICATE);
        let challenges: Vec<_> =
            values.iter().flat_map(|value| parse(&String::from_utf8_lossy(value.as_bytes()))).collect();
        let basic = || challenges.iter().any(|challenge| challenge.scheme == "basic").then_some(Self::Basic);
        challenges.iter().find_map(Challenge::bearer).or_else(basic)
    }
}

/// One scheme with its parameters, the names in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Challenge {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    fn bearer(&self) -> Option<Demand> {
        if self.scheme != "bearer" {
            return None;
        }
        let realm = self.parameter("realm").filter(|realm| !realm.is_empty())?.to_owned();
        let service = self.parameter("service").filter(|service| !service.is_empty()).map(str::to_owned);
        let scopes = self.parameter("scope").map(Scopes::parse).unwrap_or_default();
        Some(Demand::Bearer { realm, service, scopes })
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Reads all challenges of one header. What makes no sense is left out.
fn parse(header: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    let mut rest = skip_separators(header);
    while !rest.is_empty() {
        let (word, after) = split_where(rest, |c| !is_word(c));
        if word.is_empty() {
            // A character that begins nothing.
            rest = skip_separators(rest.get(rest.chars().next().map_or(1, char::len_utf8)..).unwrap_or_default());
            continue;
        }
        match after.trim_start().strip_prefix('=') {
            Some(value) => {
                let (value, after) = take_value(value.trim_start());
                if let Some(challenge) = challenges.last_mut() {
                    challenge.parameters.push((word.to_ascii_lowercase(), value));
                }
                rest = skip_separators(after);
            }
            None => {
                add_word(&mut challenges, word);
                rest = skip_separators(after);
            }
        }
    }
    challenges
}

/// A word without a value begins a challenge, unless it is what a comma has cut off an unquoted `scope`.
fn add_word(challenges: &mut Vec<Challenge>, word: &str) {
    let last = challenges.last_mut().and_then(|challenge| challenge.parameters.last_mut());
    match last {
        Some((name, scope)) if name == "scope" && matches!(word, "pull" | "push" | "delete" | "*") => {
            scope.push(',');
            scope.push_str(word);
        }
        _ => challenges.push(Challenge { scheme: word.to_ascii_lowercase(), parameters: Vec::new() }),
    }
}

/// A quoted string, its end implied by the header's when the quote is missing, or a word up to a comma or a space.
fn take_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (word, rest) = split_where(text, |c| c == ',' || c.is_ascii_whitespace());
        return (word.trim_end_matches('"').to_owned(), rest);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            c => value.push(c),
        }
    }
    (value, "")
}

fn split_where(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

fn skip_separators(text: &str) -> &str {
    text.trim_start_matches(|c: char| c == ',' || c.is_ascii_whitespace())
}

const fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(c, '-' | '_' | '.' | '~' | '+' | '/' | '*' | '!' | '#' | '$' | '%' | '&' | '^' | '|')
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn demand(values: &[&str]) -> Option<Demand> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_str(value).unwrap());
        }
        Demand::of(&headers)
    }

    #[track_caller]
    fn check(values: &[&str], realm: &str, service: &str, scopes: &str) {
        let expect = Demand::Bearer {
            realm: realm.to_owned(),
            service: Some(service.to_owned()).filter(|service| !service.is_empty()),
            scopes: Scopes::parse(scopes),
        };
        assert_eq!(demand(values), Some(expect), "{values:?}");
    }

    #[test]
    fn m041_the_token_service_is_found_in_odd_challenges() {
        let (realm, service, scope) = ("https://auth.test/token", "r.test", "repository:a/b:pull,push");
        let plain = r#"Bearer realm="https://auth.test/token",service="r.test",scope="repository:a/b:pull,push""#;
        check(&[plain], realm, service, scope);
        check(
            &[&plain.replace("Bearer", "bEARER").replace("realm", "Realm").replace("\",", "\" ,\t ")],
            realm,
            service,
            "repository:a/b:pull,push",
        );
        check(&["Basic realm=\"x\"", plain], realm, service, scope);
        check(&[&format!("Negotiate abc==, Basic realm=\"a, b\", {plain}")], realm, service, scope);
        check(&[&format!("{plain}, Basic realm=\"y\"")], realm, service, scope);
        check(
            &["Bearer realm=https://auth.test/token,service=r.test,scope=repository:a/b:pull,push"],
            realm,
            service,
            scope,
        );
        check(&[r#"Bearer realm = "https://auth.test/token" , service = "r.test""#], realm, service, "");
        check(&[r#"Bearer realm="https://auth.test/token",service="",scope="""#], realm, "", "");
        check(&[r#"Bearer realm="https://auth.test/to\ken",service="r.test"#], realm, service, "");
        check(
            &[
                r#"Bearer realm="https://auth.test/token",service="r.test",scope="repository:c/d:pull repository:a/b:pull,push",error="insufficient_scope""#,
            ],
            realm,
            service,
            "repository:c/d:pull repository:a/b:pull,push",
        );
    }

    #[test]
    fn passwords_are_shown_only_where_no_token_will_do() {
        assert_eq!(demand(&["Basic"]), Some(Demand::Basic));
        assert_eq!(demand(&["NTLM, basic realm=\"x\""]), Some(Demand::Basic));
        assert_eq!(demand(&["Bearer service=\"x\", Basic realm=\"y\""]), Some(Demand::Basic));
        assert_eq!(demand(&["Negotiate"]), None);
        assert_eq!(demand(&["realm=\"x\""]), None);
        assert_eq!(demand(&[]), None);
    }

    proptest! {
        #[test]
        fn any_header_parses(text in any::<String>()) {
            parse(&text);
        }

        #[test]
        fn what_is_written_is_read(realm in "[a-z0-9:/.,= ]{1,30}", service in "[a-z.,\\\\\" ]{1,20}") {
            let quote = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
            let header = format!("Digest a=b, Bearer realm=\"{}\", service=\"{}\"", quote(&realm), quote(&service));
            let read = parse(&header).iter().find_map(Challenge::bearer);
            prop_assert_eq!(read, Some(Demand::Bearer { realm, service: Some(service), scopes: Scopes::default() }));
        }
    }
}
