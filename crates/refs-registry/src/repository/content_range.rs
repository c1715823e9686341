//! `Content-Range` ([RFC 9110, 14.4](https://www.rfc-editor.org/rfc/rfc9110#section-14.4)).

use std::{fmt, ops::Range};

/// The part of a whole that an answer holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContentRange {
    pub(crate) range: Range<u64>,
    pub(crate) total: u64,
}

impl ContentRange {
    /// Reads `bytes 0-499/1234`; `None` for anything else, an unknown total among it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (unit, rest) = text.split_at_checked(5)?;
        let rest = rest.strip_prefix([' ', '\t', '=']).filter(|_| unit.eq_ignore_ascii_case("bytes"))?;
        let (range, total) = rest.trim_start().split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (first, last, total) = (digits(first)?, digits(last)?, digits(total)?);
        (first <= last && last < total).then(|| Self { range: first..last + 1, total })
    }
}

impl fmt::Display for ContentRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bytes {}-{}/{}", self.range.start, self.range.end - 1, self.total)
    }
}

/// A number without a sign, which the standard parser would allow.
fn digits(text: &str) -> Option<u64> {
    let text = text.trim();
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, expect: Option<(Range<u64>, u64)>) {
        let expect = expect.map(|(range, total)| ContentRange { range, total });
        assert_eq!(ContentRange::parse(text), expect, "{text}");
    }

    #[test]
    fn ranges_are_read_or_refused() {
        check("bytes 0-499/1234", Some((0..500, 1234)));
        check("Bytes  7-7/8 ", Some((7..8, 8)));
        check("bytes=0-0/1", Some((0..1, 1)));
        for wrong in [
            "",
            "bytes",
            "bytes */1234",
            "bytes 0-499/*",
            "bytes 5-4/10",
            "bytes 0-10/10",
            "bytes -1-4/10",
            "bytes +1-4/10",
            "items 0-1/2",
            "bytes 0-18446744073709551615/18446744073709551616",
            "0-1/2",
            "bytes 0-1",
            "b\u{fc}tes 0-1/2",
        ] {
            check(wrong, None);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            ContentRange::parse(&text);
        }

        #[test]
        fn what_is_written_is_read(first in 0..u64::MAX / 2, len in 1..u64::MAX / 4, rest in 0..u64::MAX / 4) {
            let range = ContentRange { range: first..first + len, total: first + len + rest };
            prop_assert_eq!(ContentRange::parse(&range.to_string()), Some(range));
        }
    }
}
