//! Times on the command line.

use std::time::Duration;

/// The units, the largest first, in milliseconds.
const UNITS: [(&str, u64); 6] =
    [("w", 7 * 24 * 3_600_000), ("d", 24 * 3_600_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// How long something may take: `90s`, `1h30m`.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    read(text).map_err(|fault| fault.told("90s, 5m or 1h30m"))
}

/// The same, and `0s` for no time at all, which means something there.
pub(crate) fn parse_or_none(text: &str) -> Result<Duration, String> {
    match read(text) {
        Err(Fault::Zero) => Ok(Duration::ZERO),
        read => read.map_err(|fault| fault.told("90s, 5m or 1h30m")),
    }
}

/// How old something is: `30d`, `1w`, `1d12h`.
pub(crate) fn parse_age(text: &str) -> Result<Duration, String> {
    read(text).map_err(|fault| fault.told("30d, 12h or 1d12h"))
}

/// Why a text is no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Words,
    Unit,
    Zero,
    Overflow,
}

impl Fault {
    fn told(self, examples: &str) -> String {
        let reason = match self {
            Self::Words => "",
            Self::Unit => "a unit is missing: ",
            Self::Zero => "it is no time at all: ",
            Self::Overflow => "it is too long: ",
        };
        format!("{reason}expected a time, such as {examples}; the units are w, d, h, m, s and ms, the largest first")
    }
}

/// Numbers, each with its unit, and each of a smaller one than that before it.
fn read(text: &str) -> Result<Duration, Fault> {
    let (mut rest, mut units, mut sum) = (text, UNITS.iter(), 0_u64);
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).ok_or(Fault::Unit)?);
        let (unit, after) = after.split_at(after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len()));
        let (_, ms) = units.find(|(name, _)| *name == unit).ok_or(Fault::Words)?;
        if number.is_empty() {
            return Err(Fault::Words);
        }
        let number: u64 = number.parse().map_err(|_too_large| Fault::Overflow)?;
        sum = number.checked_mul(*ms).and_then(|part| sum.checked_add(part)).ok_or(Fault::Overflow)?;
        rest = after;
    }
    match sum {
        _ if text.is_empty() => Err(Fault::Words),
        0 => Err(Fault::Zero),
        ms => Ok(Duration::from_millis(ms)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<u64, Fault>) {
        assert_eq!(read(text), expected.map(Duration::from_millis), "{text}");
    }

    #[test]
    fn numbers_have_units() {
        check("90s", Ok(90_000));
        check("1500ms", Ok(1_500));
        check("5m", Ok(300_000));
        check("2h30m", Ok(9_000_000));
        check("1h0m1ms", Ok(3_600_001));
        check("30d", Ok(2_592_000_000));
        check("1d12h", Ok(129_600_000));
        check("1w", Ok(604_800_000));
        check("1w2d3h4m5s6ms", Ok(788_645_006));
        check("307445734561825ms", Ok(307_445_734_561_825));
    }

    #[test]
    fn what_is_no_time_is_told_apart() {
        for text in [
            "", "s", "-1s", "+1s", "1.5h", "1 s", " 1s", "1s ", "1S", "1y", "1min", "1h1d", "1d1d", "1s2h", "1sx", "½h",
        ] {
            check(text, Err(Fault::Words));
        }
        ["5", "0", "1s2", "1h30"].iter().for_each(|text| check(text, Err(Fault::Unit)));
        ["0s", "0d", "0h0m"].iter().for_each(|text| check(text, Err(Fault::Zero)));
        for text in ["99999999999999999999s", "18446744073709551615h", "30500568905w", "30500568904w7d"] {
            check(text, Err(Fault::Overflow));
        }
    }

    #[test]
    fn error_says_what_is_expected() {
        let check = |told: Result<Duration, String>, reason: &str, examples: &str| {
            let units = "the units are w, d, h, m, s and ms, the largest first";
            assert_eq!(told, Err(format!("{reason}expected a time, such as {examples}; {units}")));
        };
        check(parse("5"), "a unit is missing: ", "90s, 5m or 1h30m");
        assert_eq!(parse_or_none("0s"), Ok(Duration::ZERO));
        check(parse_or_none("5"), "a unit is missing: ", "90s, 5m or 1h30m");
        check(parse("0s"), "it is no time at all: ", "90s, 5m or 1h30m");
        check(parse_age("x"), "", "30d, 12h or 1d12h");
        check(parse_age("1000000000000w"), "it is too long: ", "30d, 12h or 1d12h");
    }
}
