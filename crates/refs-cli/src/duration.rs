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

/// The same, and days before all else: `30d`, `1d12h`.
pub(crate) fn parse_age(text: &str) -> Result<Duration, String> {
    const DAY_SECONDS: u64 = 24 * 60 * 60;
    let words = || "expected a time, such as 30d, 12h or 1d12h".to_owned();
    let Some((days, rest)) = text.split_once('d') else { return parse(text).map_err(|_of_other_words| words()) };
    let is_number = !days.is_empty() && days.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = days.parse::<u64>().ok().filter(|_| is_number).and_then(|days| days.checked_mul(DAY_SECONDS));
    let rest = if rest.is_empty() { Ok(Duration::ZERO) } else { parse(rest) };
    let age = seconds.zip(rest.ok()).and_then(|(seconds, rest)| Duration::from_secs(seconds).checked_add(rest));
    age.filter(|age| !age.is_zero()).ok_or_else(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect_ms: Option<u64>) {
        assert_eq!(parse(text).ok(), expect_ms.map(Duration::from_millis), "{text}");
    }

    #[track_caller]
    fn check_age(text: &str, expect_seconds: Option<u64>) {
        assert_eq!(parse_age(text).ok(), expect_seconds.map(Duration::from_secs), "{text}");
    }

    #[test]
    fn ages_may_have_days() {
        check_age("30d", Some(2_592_000));
        check_age("1d12h", Some(129_600));
        check_age("90m", Some(5_400));
        for text in ["", "d", "0d", "+1d", "1h1d", "1d1d", "1d ", "18446744073709551615d"] {
            check_age(text, None);
        }
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
