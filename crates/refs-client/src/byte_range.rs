//! Which bytes of a file.

use std::{ops::Range, str::FromStr};

use crate::{Error, Result};

/// A range of the bytes of a file, in the forms that HTTP has for one
/// ([RFC 9110, section 14.1.1](https://www.rfc-editor.org/rfc/rfc9110#section-14.1.1)): `0-99`, `100-` and `-100`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteRange {
    /// From the first to the last, both included; to the end of the file where it has fewer.
    Between {
        /// The offset of the first byte.
        first: u64,
        /// The offset of the last byte, which is not before the first.
        last: u64,
    },
    /// All from this offset on.
    From(u64),
    /// The last so many; all where the file has fewer.
    Last(u64),
}

impl ByteRange {
    /// All bytes.
    pub const ALL: Self = Self::From(0);

    /// The range in the file `path` of `size` bytes.
    ///
    /// # Errors
    /// `RangeOutside` when it begins after the end.
    pub(crate) fn within(self, path: &str, size: u64) -> Result<Range<u64>> {
        let (start, end) = match self {
            Self::Between { first, last } => (first, last.saturating_add(1).min(size)),
            Self::From(start) => (start, size),
            Self::Last(bytes) => (size.saturating_sub(bytes), size),
        };
        if start > size {
            return Err(Error::RangeOutside { path: path.to_owned(), start, size });
        }
        Ok(start..end.max(start))
    }
}

impl FromStr for ByteRange {
    type Err = Error;

    /// Reads `A-B`, `A-` or `-N`.
    ///
    /// # Errors
    /// `InvalidRange`.
    fn from_str(text: &str) -> Result<Self> {
        parse(text).ok_or_else(|| Error::InvalidRange { input: text.to_owned() })
    }
}

fn parse(text: &str) -> Option<ByteRange> {
    let (first, last) = text.split_once('-')?;
    match (first, last) {
        ("", last) => number(last).map(ByteRange::Last),
        (first, "") => number(first).map(ByteRange::From),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(ByteRange::Between { first, last })
        }
    }
}

/// A number in digits alone.
fn number(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 10;

    #[track_caller]
    fn check(text: &str, expected: Range<u64>) {
        assert_eq!(text.parse::<ByteRange>().unwrap().within("f", SIZE).unwrap(), expected, "{text}");
    }

    #[test]
    fn ranges_are_those_of_http() {
        check("0-0", 0..1);
        check("0-9", 0..10);
        check("2-4", 2..5);
        check("2-100", 2..10);
        check("3-18446744073709551615", 3..10);
        check("0-", 0..10);
        check("9-", 9..10);
        check("10-", 10..10);
        check("10-20", 10..10);
        check("-1", 9..10);
        check("-10", 0..10);
        check("-11", 0..10);
        check("-0", 10..10);
    }

    #[test]
    fn what_begins_after_the_end_is_refused() {
        let error = "11-20".parse::<ByteRange>().unwrap().within("f", SIZE).unwrap_err();
        assert_eq!(error.to_string(), "`f` has 10 bytes, and the range begins at byte 11");
    }

    #[track_caller]
    fn check_bad(text: &str) {
        let error = text.parse::<ByteRange>().unwrap_err();
        assert!(matches!(&error, Error::InvalidRange { input } if input == text), "{text}: {error:?}");
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in
            ["", "-", "1", "a-b", "2-1", "+1-2", "1-+2", "--1", "1-2-3", "0-1,3-4", " 0-1", "18446744073709551616-"]
        {
            check_bad(text);
        }
    }
}
