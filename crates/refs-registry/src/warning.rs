//! What registries say to their users besides their answers
//! ([warnings](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#warnings)).

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use http::{HeaderMap, header};
use refs_url::Host;

use crate::error::Detail;

/// Words of a registry for its users, such as that it will close. Nothing may be done because of them but to show them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The registry.
    pub host: Host,
    /// Its words. Control characters are escaped, and what exceeds 512 characters is left out.
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} says: {}", self.host, self.text)
    }
}

/// Who is told what registries warn of; by default the log is, at its level for warnings. Each warning of a registry is told
/// once, however often it is given.
#[derive(Clone)]
pub struct Warnings(Arc<dyn Fn(&Warning) + Send + Sync>);

impl Warnings {
    /// Has `tell` called for each warning, in place of the log. It is called while an answer waits, so it should be short.
    #[must_use]
    pub fn to(tell: impl Fn(&Warning) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }
}

impl Default for Warnings {
    fn default() -> Self {
        Self::to(|warning| tracing::warn!("{warning}"))
    }
}

impl fmt::Debug for Warnings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Warnings")
    }
}

/// A registry is not listened to for ever.
const MAX_WARNINGS: usize = 32;
/// The spec allows no registry more in one answer.
const MAX_BYTES: usize = 4096;

/// What one registry has warned of so far.
#[derive(Debug, Default)]
pub(crate) struct Warned(Mutex<BTreeSet<String>>);

impl Warned {
    /// Tells what `headers` warn of, unless it has been told before.
    pub(crate) fn take(&self, host: &Host, headers: &HeaderMap, listener: &Warnings) {
        for text in texts(headers) {
            let is_new = {
                let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                known.len() < MAX_WARNINGS && known.insert(text.clone())
            };
            if is_new {
                (listener.0)(&Warning { host: host.clone(), text });
            }
        }
    }
}

/// The texts of all warnings in `headers`, ready to be shown.
fn texts(headers: &HeaderMap) -> Vec<String> {
    let mut left = MAX_BYTES;
    let mut texts = Vec::new();
    for value in headers.get_all(header::WARNING) {
        let bytes = value.as_bytes();
        let Some(rest) = left.checked_sub(bytes.len()) else { break };
        left = rest;
        texts.extend(warnings(&String::from_utf8_lossy(bytes)));
    }
    texts.iter().filter_map(|text| Detail::new(text).words().map(str::to_owned)).collect()
}

/// The texts of the warnings in one header: those with the code 299, and without the quotes and what is escaped in them
/// ([RFC 7234, section 5.5](https://www.rfc-editor.org/rfc/rfc7234#section-5.5)). What is malformed ends the header.
fn warnings(mut value: &str) -> Vec<String> {
    let mut texts = Vec::new();
    loop {
        value = value.trim_start_matches([' ', '\t', ',']);
        let Some((code, after)) = value.split_once(' ') else { return texts };
        let Some((_agent, after)) = after.split_once(' ') else { return texts };
        let Some((text, after)) = quoted(after.trim_start()) else { return texts };
        if code == "299" {
            texts.push(text);
        }
        // A date may follow, which no registry should send.
        value = match quoted(after.trim_start()) {
            Some((_date, rest)) => rest,
            None => after,
        };
        if !value.trim_start().starts_with(',') {
            return texts;
        }
    }
}

/// The text of the quoted string that `value` begins with, and what follows it.
fn quoted(value: &str) -> Option<(String, &str)> {
    let inner = value.strip_prefix('"')?;
    let mut text = String::new();
    let mut chars = inner.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((text, &inner[at + 1..])),
            '\\' => text.push(chars.next()?.1),
            _ => text.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(values: &[&str], expect: &[&str]) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::WARNING, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        assert_eq!(texts(&headers), expect, "{values:?}");
    }

    #[test]
    fn warnings_are_read_from_all_headers() {
        check(&[], &[]);
        check(&[r#"299 - "moves soon""#], &["moves soon"]);
        check(&[r#"299 - "a", 299 - "b, c" , 299 host:1 "d""#, r#"299 - "e""#], &["a", "b, c", "d", "e"]);
        check(
            &[r#"299 - "say \"no\" to C:\\" "Sun, 06 Nov 1994 08:49:37 GMT", 299 - "b""#],
            &[r#"say "no" to C:\"#, "b"],
        );
        check(&[r#"110 - "stale", 299 - "b""#], &["b"]);
        check(&[r#"299 - "naïve""#], &["naïve"]);
    }

    #[test]
    fn what_is_no_warning_is_none() {
        for junk in
            ["", "299", "299 -", "299 - text", r#"299 - "open"#, r#"299 - "\"#, r#"299 - """#, ",,,", r#""299 - x""#]
        {
            check(&[junk], &[]);
        }
        check(&[r#"299 - "a" junk, 299 - "b""#], &["a"]);
    }

    #[test]
    fn m173_what_a_terminal_would_obey_is_escaped_and_what_is_endless_cut() {
        check(&["299 - \"a\tb\""], &["a\\tb"]);
        check(&["299 - \"\u{9b}31m\""], &["\\u{9b}31m"]);
        check(&[&format!("299 - \"{}\"", "x".repeat(1000))], &[&"x".repeat(512)]);
        let long = format!("299 - \"{}\"", "x".repeat(4000));
        check(&[&long, &long, r#"299 - "b""#], &[&"x".repeat(512)]);
    }

    proptest! {
        #[test]
        fn any_header_is_read_or_not(value in any::<String>()) {
            warnings(&value);
        }

        #[test]
        fn what_is_written_is_read(text in "[ -~]{1,60}") {
            let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
            prop_assert_eq!(warnings(&format!("110 - \"x\", 299 - \"{quoted}\"")), [text]);
        }
    }
}
