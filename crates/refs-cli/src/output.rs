//! What goes to stdout: results, as text or JSON, with nothing in them that a terminal would obey.

use std::{
    borrow::Cow,
    fmt,
    io::{self, BufWriter, StdoutLock, Write},
};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use crate::args::Format;

/// The version of the JSON that is printed; it changes when a field changes its meaning or goes.
const SCHEMA_VERSION: u32 = 1;

/// Stdout, buffered.
pub(crate) struct Output {
    out: BufWriter<StdoutLock<'static>>,
    format: Format,
}

#[derive(Serialize)]
struct Versioned<'a, T> {
    #[serde(rename = "schemaVersion")]
    schema_version: u32,
    #[serde(flatten)]
    object: &'a T,
}

impl Output {
    pub(crate) fn new(format: Format) -> Self {
        Self { out: BufWriter::with_capacity(64 * 1024, io::stdout().lock()), format }
    }

    /// Prints a result: `object` as JSON, or its text form and a newline.
    pub(crate) fn result(&mut self, object: &(impl Serialize + fmt::Display)) -> io::Result<()> {
        match self.format {
            Format::Text => self.line(object),
            Format::Json => self.object(object),
        }
    }

    /// Prints a line of text.
    pub(crate) fn line(&mut self, line: &impl fmt::Display) -> io::Result<()> {
        writeln!(self.out, "{line}")
    }

    /// Prints bytes as they are. What a registry had a hand in goes so to a file or a program, never to a terminal.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    /// Prints an object as JSON, on one line.
    pub(crate) fn object(&mut self, object: &impl Serialize) -> io::Result<()> {
        to_json(&mut self.out, &Versioned { schema_version: SCHEMA_VERSION, object })
    }

    /// Sends what is buffered. Dropping an output without it would lose the error of a full disk.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Writes `object` and a newline, spelling out in its strings what [`escape`] does in text.
pub(crate) fn to_json(mut out: impl Write, object: &impl Serialize) -> io::Result<()> {
    object.serialize(&mut Serializer::with_formatter(&mut out, Tame))?;
    out.write_all(b"\n")
}

/// JSON that may be shown on a terminal: it has to escape a few control characters only, and this escapes all.
struct Tame;

impl Formatter for Tame {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        writer.write_all(escape_json(fragment).as_bytes())
    }
}

/// The inside of a JSON string for a terminal: the same string, with what [`escape`] spells out spelled out as JSON does.
pub(crate) fn escape_json(fragment: &str) -> Cow<'_, str> {
    if !fragment.contains(is_unsafe) {
        return Cow::Borrowed(fragment);
    }
    // All of them are of the basic plane.
    let spelled =
        fragment.chars().map(|c| if is_unsafe(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() });
    Cow::Owned(spelled.collect())
}

/// A number of bytes, for people.
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        indicatif::HumanBytes(self.0).fmt(f)
    }
}

/// `text` for a terminal: control characters, and those that reorder what is beside them, are spelled out.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let spelled = text.chars().map(|c| if is_unsafe(c) { c.escape_unicode().to_string() } else { c.to_string() });
    Cow::Owned(spelled.collect())
}

/// A path for a terminal, so that no two paths look alike: a backslash is doubled, too.
pub(crate) fn escape_path(path: &str) -> Cow<'_, str> {
    if path.contains('\\') { Cow::Owned(escape(&path.replace('\\', "\\\\")).into_owned()) } else { escape(path) }
}

fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::{escape, escape_path};

    #[test]
    fn m173_what_a_terminal_would_obey_is_spelled_out() {
        assert_eq!(escape("naïve 日本.txt"), "naïve 日本.txt");
        assert_eq!(escape("a\x1b[31mb\nc"), "a\\u{1b}[31mb\\u{a}c");
        assert_eq!(escape("gpj.\u{202e}exe"), "gpj.\\u{202e}exe");
        assert_eq!(escape("1\u{61c}2"), "1\\u{61c}2");
    }

    #[test]
    fn no_two_paths_look_alike() {
        assert_eq!(escape_path("a\nb"), "a\\u{a}b");
        assert_eq!(escape_path("a\\u{a}b"), "a\\\\u{a}b");
        assert_eq!(escape_path("a/b"), "a/b");
    }
}
