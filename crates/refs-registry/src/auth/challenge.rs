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
    Bearer {
        realm: String,
        service: Option<String>,
        /// What the token has to allow, as the registry spells it.
        scope: String,
        /// Whether the token that was shown is good, and for too little.
        /// ([RFC 6750, 3.1](https://www.rfc-editor.org/rfc/rfc6750#section-3.1))
        shown: Judgement,
    },
}

/// What a demand says of the token that the request carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// Nothing, or that it is no good.
    Refused,
    /// It is good, and allows too little: `insufficient_scope`.
    TooNarrow,
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

    /// What a token has to allow.
    pub(crate) fn scopes(&self) -> Scopes {
        match self {
            Self::Basic => Scopes::default(),
            Self::Bearer { scope, .. } => Scopes::parse(scope),
        }
    }

    /// Whether the same is shown for both, or is asked of the same token service.
    pub(crate) fn is_met_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Basic, Self::Basic) => true,
            (Self::Bearer { realm, service, .. }, Self::Bearer { realm: other_realm, service: other_service, .. }) => {
                (realm, service) == (other_realm, other_service)
            }
            _ => false,
        }
    }

    /// Whether the token that was shown is good, and allows too little.
    pub(crate) const fn is_for_more(&self) -> bool {
        matches!(self, Self::Bearer { shown: Judgement::TooNarrow, .. })
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
        let scope = self.parameter("scope").unwrap_or_default().to_owned();
        let is_narrow = self.parameter("error").is_some_and(|error| error.eq_ignore_ascii_case("insufficient_scope"));
        let shown = if is_narrow { Judgement::TooNarrow } else { Judgement::Refused };
        Some(Demand::Bearer { realm, service, scope, shown })
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
        rest = if word.is_empty() {
            // A character that begins nothing.
            rest.get(rest.chars().next().map_or(1, char::len_utf8)..).unwrap_or_default()
        } else if let Some(value) = after.trim_start().strip_prefix('=') {
            let (value, after) = take_value(value.trim_start());
            if let Some(challenge) = challenges.last_mut() {
                challenge.parameters.push((word.to_ascii_lowercase(), value));
            }
            after
        } else {
            begin(&mut challenges, word, after)
        };
        rest = skip_separators(rest);
    }
    challenges
}

/// Takes in a word without a value, and gives the rest. It begins a challenge, unless it is what a comma has cut off an
/// unquoted `scope`.
fn begin<'a>(challenges: &mut Vec<Challenge>, word: &str, after: &'a str) -> &'a str {
    let last = challenges.last_mut().and_then(|challenge| challenge.parameters.last_mut());
    match last {
        Some((name, scope)) if name == "scope" && matches!(word, "pull" | "push" | "delete" | "*") => {
            scope.push(',');
            scope.push_str(word);
            after
        }
        _ => {
            challenges.push(Challenge { scheme: word.to_ascii_lowercase(), parameters: Vec::new() });
            skip_token68(after)
        }
    }
}

/// What follows the bare credential that some schemes have in the place of parameters, which would read as a scheme
/// of its own: `Negotiate YII==`.
fn skip_token68(after: &str) -> &str {
    let (bare, rest) = split_where(after.trim_start(), |c| !is_word(c));
    let rest = rest.trim_start_matches('=').trim_start();
    let is_apart = after.starts_with(|c: char| c.is_ascii_whitespace());
    if is_apart && !bare.is_empty() && (rest.is_empty() || rest.starts_with(',')) { rest } else { after }
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
            scope: scopes.to_owned(),
            shown: Judgement::Refused,
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
        check(&[r#"Bearer scope="",realm="https://auth.test/token",service="""#], realm, "", "");
        check(&[r#"Bearer realm="https://auth.test/token" service="r.test""#], realm, service, "");
        check(
            &[r#"Bearer realm="https://auth.test/token",service="a, Basic realm=\"b\"""#],
            realm,
            "a, Basic realm=\"b\"",
            "",
        );
        check(
            &[r#"Bearer realm="https://auth.test/token",realm="https://evil.test",service="r.test""#],
            realm,
            service,
            "",
        );
        check(&["Negotiate YII/+=", "NTLM TlRM", plain], realm, service, scope);
        check(&[&format!("Negotiate bearer , {plain}")], realm, service, scope);
        check(&["Bearer realm=\"\"", plain], realm, service, scope);
    }

    #[test]
    fn a_token_that_is_good_for_too_little_is_told_from_one_that_is_no_good() {
        let demand = |error: &str| {
            demand(&[&format!(
                r#"Bearer realm="https://r.test",scope="repository:c/d:pull repository:a/b:pull,push",error="{error}""#
            )])
            .unwrap()
        };
        assert!(demand("insufficient_scope").is_for_more());
        assert!(!demand("invalid_token").is_for_more());
        assert_eq!(demand("insufficient_scope").scopes().to_string(), "repository:a/b:pull,push repository:c/d:pull");
    }

    #[test]
    fn passwords_are_shown_only_where_no_token_will_do() {
        assert_eq!(demand(&["Basic"]), Some(Demand::Basic));
        assert_eq!(demand(&["NTLM, basic realm=\"x\""]), Some(Demand::Basic));
        assert_eq!(demand(&["Bearer service=\"x\", Basic realm=\"y\""]), Some(Demand::Basic));
        assert_eq!(demand(&["Negotiate"]), None);
        assert_eq!(demand(&["Negotiate Basic"]), None);
        assert_eq!(demand(&["Negotiate, Basic"]), Some(Demand::Basic));
        assert_eq!(demand(&["realm=\"x\""]), None);
        assert_eq!(demand(&[]), None);
    }

    proptest! {
        #[test]
        fn any_header_parses(text in any::<String>()) {
            parse(&text);
        }

        #[test]
        fn what_is_written_is_read(
            challenges in prop::collection::vec(challenge(), 0..5),
            joint in prop::sample::select(vec![",", ", ", " ,\t", ",,"]),
            cut in 0..5_usize,
        ) {
            // Some in one header, the others in a second one: that makes no difference.
            let (one, two) = challenges.split_at(cut.min(challenges.len()));
            let written = [one, two].map(|some| some.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>().join(joint));
            let read: Vec<Challenge> = written.iter().flat_map(|header| parse(header)).collect();
            let expect: Vec<Challenge> = challenges.into_iter().map(|(_, challenge)| challenge).collect();
            prop_assert_eq!(read, expect);
        }
    }

    /// A challenge as it may be written, and what it says.
    fn challenge() -> impl Strategy<Value = (String, Challenge)> {
        let scheme = prop::sample::select(vec!["Bearer", "basic", "DIGEST", "Negotiate"]);
        let bare = "[A-Za-z0-9+/]{1,12}={0,2}";
        let written = prop_oneof![
            bare.prop_map(|bare| (format!(" {bare}"), Vec::new())),
            prop::collection::vec(parameter(), 0..4).prop_map(|parameters| {
                let (text, read): (Vec<_>, Vec<_>) = parameters.into_iter().unzip();
                (if text.is_empty() { String::new() } else { format!(" {}", text.join(" ,\t")) }, read)
            }),
        ];
        (scheme, written).prop_map(|(scheme, (text, parameters))| {
            (format!("{scheme}{text}"), Challenge { scheme: scheme.to_ascii_lowercase(), parameters })
        })
    }

    fn parameter() -> impl Strategy<Value = (String, (String, String))> {
        let name = prop::sample::select(vec!["realm", "Service", "SCOPE", "error", "x-y"]);
        let equals = prop::sample::select(vec!["=", " = ", "=\t"]);
        (name, equals, "[a-z0-9:/.,=\\\\\" \t]{0,20}").prop_map(|(name, equals, value)| {
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
            (format!("{name}{equals}\"{quoted}\""), (name.to_ascii_lowercase(), value))
        })
    }
}
