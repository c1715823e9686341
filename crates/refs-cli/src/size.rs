//! Numbers of bytes on the command line.

/// What a unit is worth in bytes, as `dd` and `ls` have it: a lone letter is of 1024, as with `iB`, and `B` behind it makes
/// it of 1000.
const UNITS: [(&str, u64); 14] = [
    ("", 1),
    ("b", 1),
    ("k", 1 << 10),
    ("kib", 1 << 10),
    ("kb", 1_000),
    ("m", 1 << 20),
    ("mib", 1 << 20),
    ("mb", 1_000_000),
    ("g", 1 << 30),
    ("gib", 1 << 30),
    ("gb", 1_000_000_000),
    ("t", 1 << 40),
    ("tib", 1 << 40),
    ("tb", 1_000_000_000_000),
];

/// Reads a number of bytes: digits, with a fraction if there is a unit behind it that has such. What is left of a byte is
/// dropped.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    read(text).map_err(|fault| {
        let reason = match fault {
            Fault::Words => "",
            Fault::Overflow => "it is more than can be counted: ",
        };
        format!("{reason}expected a number of bytes, such as 1048576, 500M, 1.5GiB or, of 1000 each, 20MB")
    })
}

/// Why a text is no size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Words,
    Overflow,
}

fn read(text: &str) -> Result<u64, Fault> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()));
    let unit = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or(Fault::Words)?.1;
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) if unit > 1 && is_digits(fraction) => (whole, fraction),
        Some(_) => return Err(Fault::Words),
        None => (number, ""),
    };
    if !is_digits(whole) {
        return Err(Fault::Words);
    }
    let whole: u64 = whole.parse().map_err(|_too_large| Fault::Overflow)?;
    let bytes = whole.checked_mul(unit).ok_or(Fault::Overflow)?;
    bytes.checked_add(part_of(unit, fraction)).ok_or(Fault::Overflow)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// So much of `unit` as the digits behind the point say. More than eighteen of them are less than a byte.
fn part_of(unit: u64, fraction: &str) -> u64 {
    let digits = fraction.bytes().take(18).map(|digit| u128::from(digit - b'0'));
    let (part, scale) = digits.fold((0, 1), |(part, scale), digit| (part * 10 + digit, scale * 10));
    u64::try_from(u128::from(unit) * part / scale).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<u64, Fault>) {
        assert_eq!(read(text), expected, "{text}");
    }

    #[test]
    fn numbers_may_have_units() {
        check("0", Ok(0));
        check("1048576", Ok(1 << 20));
        check("10B", Ok(10));
        check("1K", Ok(1024));
        check("1k", Ok(1024));
        check("1KiB", Ok(1024));
        check("1kB", Ok(1000));
        check("500M", Ok(500 << 20));
        check("1MB", Ok(1_000_000));
        check("1MiB", Ok(1 << 20));
        check("2g", Ok(2 << 30));
        check("1TB", Ok(1_000_000_000_000));
        check("18446744073709551615", Ok(u64::MAX));
        check("16777215T", Ok(16_777_215 << 40));
    }

    #[test]
    fn units_may_have_fractions() {
        check("1.5G", Ok(3 << 29));
        check("0.5KB", Ok(500));
        check("1.0M", Ok(1 << 20));
        check("0.0001K", Ok(0));
        check("1.333333333333333333333333333333K", Ok(1365));
    }

    #[test]
    fn what_is_no_size_is_told_apart() {
        for text in [
            "", "M", "-1", "-1G", "+1", "1.5", "1.5B", "1.", "1.M", ".5M", "1.2.3M", "1 M", " 1", "1X", "1Mi", "1e3",
            "½M", "many",
        ] {
            check(text, Err(Fault::Words));
        }
        for text in ["18446744073709551616", "16777216T", "18446744073.8GB", "99999999999999999999M"] {
            check(text, Err(Fault::Overflow));
        }
        check("18446744073.7GB", Ok(18_446_744_073_700_000_000));
    }

    #[test]
    fn error_says_what_is_expected() {
        let expected = "expected a number of bytes, such as 1048576, 500M, 1.5GiB or, of 1000 each, 20MB";
        assert_eq!(parse("x"), Err(expected.to_owned()));
        assert_eq!(parse("16777216T"), Err(format!("it is more than can be counted: {expected}")));
    }
}
