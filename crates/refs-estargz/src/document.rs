//! A table of contents as one JSON document, of which a part at a time is in memory.
//!
//! Single values are read by `serde_json`; what holds them together, by the grammar of [RFC 8259].
//!
//! [RFC 8259]: https://www.rfc-editor.org/rfc/rfc8259#section-2

use std::{
    io::{self, Read},
    sync::Arc,
};

use serde::{
    Deserialize,
    de::{DeserializeOwned, Error as _, IgnoredAny},
};
use serde_json::Deserializer;

use crate::{
    Error, Result,
    window::Window,
    wire::{VERSION, WireEntry},
};

/// Gives the entries of the table in `text` to `take`, one by one, up to an error of either.
///
/// # Errors
///
/// Those of `take`, [`Error::Json`], [`Error::Version`], and [`Error::TocInflate`] when the text can't be read.
pub(crate) fn entries<R: Read>(text: Window<R>, take: impl FnMut(&WireEntry<'_>) -> Result<()>) -> Result<()> {
    Document { text }.read(take)
}

struct Document<R> {
    text: Window<R>,
}

/// Whether one of the keys has been met.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Met {
    #[default]
    NotYet,
    Once,
}

impl<R: Read> Document<R> {
    fn read(mut self, mut take: impl FnMut(&WireEntry<'_>) -> Result<()>) -> Result<()> {
        let (mut version, mut entries) = (Met::NotYet, Met::NotYet);
        self.expect(b'{')?;
        let mut has_more = self.peek()? != Some(b'}');
        while has_more {
            let key = self.key()?;
            match &*key {
                "version" => {
                    self.meet(&mut version, "version")?;
                    self.version()?;
                }
                "entries" => {
                    self.meet(&mut entries, "entries")?;
                    self.list(&mut take)?;
                }
                _ => _ = self.value::<IgnoredAny>()?,
            }
            has_more = self.goes_on(b'}')?;
        }
        self.expect(b'}')?;
        if self.peek()?.is_some() {
            return Err(self.fault(serde_json::Error::custom("trailing characters")));
        }
        for (met, key) in [(version, "version"), (entries, "entries")] {
            if met == Met::NotYet {
                return Err(self.fault(serde_json::Error::missing_field(key)));
            }
        }
        Ok(())
    }

    fn meet(&self, met: &mut Met, key: &'static str) -> Result<()> {
        match std::mem::replace(met, Met::Once) {
            Met::NotYet => Ok(()),
            Met::Once => Err(self.fault(serde_json::Error::duplicate_field(key))),
        }
    }

    fn version(&mut self) -> Result<()> {
        match self.value::<u64>()? {
            VERSION => Ok(()),
            version => Err(Error::Version { version }),
        }
    }

    /// A list of entries. Go writes one that was never made as `null`.
    fn list(&mut self, take: &mut impl FnMut(&WireEntry<'_>) -> Result<()>) -> Result<()> {
        if self.peek()? == Some(b'n') {
            return self.value::<()>();
        }
        self.expect(b'[')?;
        let mut has_more = self.peek()? != Some(b']');
        while has_more {
            self.entry(take)?;
            has_more = self.goes_on(b']')?;
        }
        self.expect(b']')
    }

    fn entry(&mut self, take: &mut impl FnMut(&WireEntry<'_>) -> Result<()>) -> Result<()> {
        loop {
            match first_value::<WireEntry<'_>, R>(&self.text) {
                Ok(Some((entry, bytes))) => {
                    take(&entry)?;
                    self.text.pass(bytes);
                    return Ok(());
                }
                Ok(None) => self.text.extend().map_err(read_error)?,
                Err(error) => return Err(self.fault(error)),
            }
        }
    }

    fn value<T: DeserializeOwned>(&mut self) -> Result<T> {
        loop {
            match first_value::<T, R>(&self.text) {
                Ok(Some((value, bytes))) => {
                    self.text.pass(bytes);
                    return Ok(value);
                }
                Ok(None) => self.text.extend().map_err(read_error)?,
                Err(error) => return Err(self.fault(error)),
            }
        }
    }

    fn key(&mut self) -> Result<String> {
        if self.peek()? != Some(b'"') {
            return Err(self.fault(serde_json::Error::custom("expected a key")));
        }
        let key = self.value::<String>()?;
        self.expect(b':')?;
        Ok(key)
    }

    /// Whether another element follows, and not the `end` of the list or object.
    fn goes_on(&mut self, end: u8) -> Result<bool> {
        if self.peek()? == Some(end) {
            return Ok(false);
        }
        self.expect(b',').map(|()| true)
    }

    fn expect(&mut self, mark: u8) -> Result<()> {
        if self.peek()? == Some(mark) {
            self.text.pass(1);
            return Ok(());
        }
        let mark = char::from(mark);
        Err(self.fault(serde_json::Error::custom(format_args!("expected `{mark}`"))))
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Result<Option<u8>> {
        loop {
            let is_mark = |byte: &u8| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
            let bytes = self.text.bytes();
            let (space, mark) = match bytes.iter().position(is_mark) {
                Some(at) => (at, Some(bytes[at])),
                None => (bytes.len(), None),
            };
            self.text.pass(space);
            if mark.is_some() || self.text.is_last() {
                return Ok(mark);
            }
            self.text.extend().map_err(read_error)?;
        }
    }

    fn fault(&self, source: serde_json::Error) -> Error {
        Error::Json { offset: self.text.position(), source: Arc::new(source) }
    }
}

/// The value that comes next in `text`, and how many bytes it has; `None` when it may go on behind what is at hand.
fn first_value<'t, T: Deserialize<'t>, R: Read>(text: &'t Window<R>) -> serde_json::Result<Option<(T, usize)>> {
    let (text, is_last) = (text.bytes(), text.is_last());
    let mut values = Deserializer::from_slice(text).into_iter::<T>();
    match values.next() {
        // A number that ends where the text does may have more digits.
        Some(Ok(_)) if !is_last && values.byte_offset() == text.len() => Ok(None),
        Some(Ok(value)) => Ok(Some((value, values.byte_offset()))),
        Some(Err(error)) if !is_last && (error.is_eof() || is_at_end(&error, text)) => Ok(None),
        Some(Err(error)) => Err(error),
        None if is_last => Err(serde_json::Error::custom("expected a value")),
        None => Ok(None),
    }
}

/// Whether an error may be due to the end of the `text`: that of a number which is cut after its point is none of an end.
fn is_at_end(error: &serde_json::Error, text: &[u8]) -> bool {
    let line_start = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let lines = 1 + text[..line_start].iter().filter(|byte| **byte == b'\n').count();
    error.line() >= lines && error.column() >= text.len() - line_start
}

fn read_error(source: io::Error) -> Error {
    Error::TocInflate { source: Arc::new(source) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The names in a table, as far as it is one, read by way of windows of `portion` bytes.
    fn names(text: &[u8], portion: usize) -> Option<Vec<String>> {
        let mut names = Vec::new();
        let take = |entry: &WireEntry<'_>| {
            names.push(entry.name.to_string());
            Ok(())
        };
        entries(Window::new(text, portion), take).ok().map(|()| names)
    }

    /// The same, read by `serde_json` alone.
    fn names_by_serde(text: &[u8]) -> Option<Vec<String>> {
        #[derive(Deserialize)]
        struct Whole<'a> {
            version: u64,
            #[serde(borrow, deserialize_with = "list_or_null")]
            entries: Vec<WireEntry<'a>>,
        }
        fn list_or_null<'de, D: serde::Deserializer<'de>>(list: D) -> Result<Vec<WireEntry<'de>>, D::Error> {
            Option::deserialize(list).map(Option::unwrap_or_default)
        }
        let whole: Whole<'_> = serde_json::from_slice(text).ok()?;
        (whole.version == VERSION).then(|| whole.entries.iter().map(|entry| entry.name.to_string()).collect())
    }

    #[track_caller]
    fn check(text: &str, expected: Option<&[&str]>) {
        let expected = expected.map(|names| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(names_by_serde(text.as_bytes()), expected, "serde: {text}");
        for portion in [1, 2, 3, 7, 1000] {
            assert_eq!(names(text.as_bytes(), portion), expected, "{portion}: {text}");
        }
    }

    const TABLES: [&str; 4] = [
        r#"{"version":1,"entries":[{"name":"a","type":"reg","size":12},{"name":"d/","type":"dir"}]}"#,
        " {\n\t\"version\" : 1 ,\r\n \"entries\" : [ {\"type\":\"dir\",\"name\":\"a\"} , {\"name\":\"b\",\"type\":\"fifo\"} ] }\n",
        r#"{"entries":[{"name":"\u0061\\\"]}","type":"reg","x":[{"y":[]},1.5e3,"]"]}],"x":{"z":[null,"}"]},"version":1}"#,
        r#"{"x":12,"entries":null,"y":-0.5,"version":1}"#,
    ];

    #[test]
    fn tables() {
        check(TABLES[0], Some(&["a", "d/"]));
        check(TABLES[1], Some(&["a", "b"]));
        check(TABLES[2], Some(&["a\\\"]}"]));
        check(TABLES[3], Some(&[]));
        check(r#"{"vers\u0069on":1,"entries":[]}"#, Some(&[]));
        check(r#"{"version":1,"entries":[],"":""}"#, Some(&[]));
    }

    #[test]
    fn no_tables() {
        for text in [
            "",
            " ",
            "{",
            "{}",
            "null",
            "[]",
            r#"{"version":1,"entries":[]"#,
            r#"{"version":1,"entries":["#,
            r#"{"version":1,"entries":[]},"#,
            r#"{"version":1,"entries":[]}x"#,
            r#"{"version":1,"entries":[],}"#,
            r#"{,"version":1,"entries":[]}"#,
            r#"{"version":1 "entries":[]}"#,
            r#"{"version":1,,"entries":[]}"#,
            r#"{"version" 1,"entries":[]}"#,
            r#"{"version":,"entries":[]}"#,
            r#"{"version":12,"entries":[]}"#,
            r#"{"version":1.0,"entries":[]}"#,
            r#"{"version":01,"entries":[]}"#,
            r#"{"version":"1","entries":[]}"#,
            r#"{"version":1,"entries":{}}"#,
            r#"{"version":1,"entries":[null]}"#,
            r#"{"version":1,"entries":nul}"#,
            r#"{"version":1,"entries":[{"name":"a","type":"reg"},]}"#,
            r#"{"version":1,"entries":[{"name":"a","type":"reg"}{"name":"b","type":"reg"}]}"#,
            r#"{"version":1,"entries":[{"name":"a"}]}"#,
            r#"{"version":1,"x":1,"entries":[],"version":1}"#,
            r#"{"version":1,"entries":[],"entries":null}"#,
            r#"{version:1,"entries":[]}"#,
            r#"{1:1,"version":1,"entries":[]}"#,
            "\u{feff}{\"version\":1,\"entries\":[]}",
        ] {
            check(text, None);
        }
    }

    /// Where to change a text, how many bytes go, and what comes in their place.
    fn change() -> impl Strategy<Value = (prop::sample::Index, usize, Vec<u8>)> {
        let mark = prop::sample::select(b"{}[]:,\" \\\n01-.enx\xff".to_vec());
        let word =
            prop::sample::select(vec!["null", "true", "\"version\":1,", "\"entries\":[],", "{}", "[]", "\\ud800"]);
        let text = prop_oneof![prop::collection::vec(mark, 0..3), word.prop_map(|word| word.as_bytes().to_vec()),];
        (any::<prop::sample::Index>(), prop_oneof![Just(0), 0..3_usize, 0..60_usize], text)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn changed_tables_are_to_us_what_they_are_to_serde(
            table in prop::sample::select(&TABLES),
            changes in prop::collection::vec(change(), 0..4),
            portion in 1..40_usize,
        ) {
            let mut text = table.as_bytes().to_vec();
            for (at, removed, added) in changes {
                let start = at.index(text.len() + 1);
                text.splice(start..(start + removed).min(text.len()), added);
            }
            prop_assert_eq!(names(&text, portion), names_by_serde(&text), "{}", String::from_utf8_lossy(&text));
        }
    }
}
