//! Times on the command line.

use std::time::Duration;

/// A number and its unit, or several, the largest unit first: `90s`, `1h30m`.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let words = || "expected a time, such as 90s, 5m or 1h30m".to_owned();
    let (mut rest, mut sum) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(words)?;
        let (number, after) = rest.split_at(digits);
        let units = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(units);
        let ms = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(words()),
        };
        let ms = number.parse::<u64>().ok().and_then(|number| number.checked_mul(ms)).ok_or_else(words)?;
        sum = sum.checked_add(Duration::from_millis(ms)).ok_or_else(words)?;
        rest = after;
    }
    if sum.is_zero() { Err(words()) } else { Ok(sum) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect_ms: Option<u64>) {
        assert_eq!(parse(text).ok(), expect_ms.map(Duration::from_millis), "{text}");
    }

    #[test]
    fn times_have_units() {
        check("90s", Some(90_000));
        check("1h30m", Some(5_400_000));
        check("1500ms", Some(1_500));
        for text in ["", "5", "s", "0s", "1.5s", "-1s", "1d", "1s2", "99999999999999999999s", "18446744073709551615h"] {
            check(text, None);
        }
    }
}
