//! The `Range` header of a request for a blob.

use std::ops::Range;

/// Which bytes to answer with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wants {
    /// All of them.
    Whole,
    /// These.
    Part(Range<u64>),
    /// None that exist.
    Nothing,
}

impl Wants {
    /// What `header` asks for of a blob of `size` bytes.
    ///
    /// Several ranges, another unit, and what is no range are answered with the whole, as
    /// [RFC 9110, 14.2](https://www.rfc-editor.org/rfc/rfc9110#section-14.2) allows. A range that ends before it begins is
    /// none that exists, which the same section allows too: the conformance suite takes the whole for a server without ranges.
    pub(crate) fn parse(header: &str, size: u64) -> Self {
        Self::read(header, size).unwrap_or(Self::Whole)
    }

    fn read(header: &str, size: u64) -> Option<Self> {
        let (unit, set) = header.split_once('=')?;
        if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
            return None;
        }
        let (first, last) = set.trim().split_once('-')?;
        let range = match (first, last) {
            ("", suffix) => size.saturating_sub(number(suffix)?)..size,
            (first, "") => number(first)?..size,
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                first..last.saturating_add(1).min(size)
            }
        };
        Some(if range.start < range.end { Self::Part(range) } else { Self::Nothing })
    }
}

/// Digits only: `parse` alone would take a sign. A number too large to hold is larger than any blob.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "the rows read better without a reference")]
    fn check(header: &str, expect: Wants) {
        assert_eq!(Wants::parse(header, 11), expect, "{header}");
    }

    #[test]
    fn a_single_range_is_cut_to_the_blob() {
        check("bytes=1-4", Wants::Part(1..5));
        check("bytes=3-", Wants::Part(3..11));
        check("bytes=-4", Wants::Part(7..11));
        check("bytes=-99", Wants::Part(0..11));
        check("bytes=0-0", Wants::Part(0..1));
        check("Bytes = 5-99", Wants::Part(5..11));
        check("bytes=0-18446744073709551615", Wants::Part(0..11));
        check("bytes=0-99999999999999999999999", Wants::Part(0..11));
    }

    #[test]
    fn a_range_outside_the_blob_is_nothing() {
        check("bytes=11-", Wants::Nothing);
        check("bytes=20-30", Wants::Nothing);
        check("bytes=-0", Wants::Nothing);
        check("bytes=5-1", Wants::Nothing);
        check("bytes=99999999999999999999999-", Wants::Nothing);
        assert_eq!(Wants::parse("bytes=0-", 0), Wants::Nothing);
    }

    #[test]
    fn what_is_no_single_range_of_bytes_means_the_whole() {
        for header in ["", "bytes", "bytes=", "bytes=-", "bytes=1-2,4-5", "lines=1-2", "bytes=+1-2", "bytes=a-b"] {
            check(header, Wants::Whole);
        }
    }

    proptest! {
        #[test]
        fn a_part_is_never_empty_nor_beyond_the_blob(header in "(bytes)?=?[0-9]{0,21}-?[0-9]{0,21},?", size: u64) {
            if let Wants::Part(range) = Wants::parse(&header, size) {
                prop_assert!(range.start < range.end && range.end <= size);
            }
        }
    }
}
