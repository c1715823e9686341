//! What single values must look like.

/// `MAJOR.MINOR.PATCH` of digits only, and the major version is the one that this library knows.
pub(super) fn is_schema_version(text: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<&str> = text.split('.').collect();
    parts.len() == 3 && parts.iter().all(|part| is_number(part)) && parts[0] == "1"
}

/// `^[a-z0-9][a-z0-9-]*[a-z0-9]$`
pub(super) fn is_link(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let (Some(&first), Some(&last)) = (text.as_bytes().first(), text.as_bytes().last()) else { return false };
    text.len() > 1 && is_word(first) && is_word(last) && text.bytes().all(|byte| is_word(byte) || byte == b'-')
}

/// A date and time by [RFC 3339, section 5.6](https://www.rfc-editor.org/rfc/rfc3339#section-5.6).
pub(super) fn is_date_time(text: &str) -> bool {
    date_time(text.as_bytes()).is_some()
}

fn date_time(text: &[u8]) -> Option<()> {
    let (year, rest) = number(text, 4)?;
    let (month, rest) = number(rest.strip_prefix(b"-")?, 2)?;
    let (day, rest) = number(rest.strip_prefix(b"-")?, 2)?;
    let rest = rest.strip_prefix(b"T").or_else(|| rest.strip_prefix(b"t"))?;
    let (hour, rest) = number(rest, 2)?;
    let (minute, rest) = number(rest.strip_prefix(b":")?, 2)?;
    let (second, rest) = number(rest.strip_prefix(b":")?, 2)?;
    let zone = match rest.strip_prefix(b".") {
        Some(fraction) => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            (digits > 0).then(|| &fraction[digits..])?
        }
        None => rest,
    };
    // A minute may end in a leap second.
    let fits = (1..=12).contains(&month) && (1..=days(year, month)).contains(&day);
    (fits && hour < 24 && minute < 60 && second <= 60 && is_zone(zone)).then_some(())
}

fn is_zone(zone: &[u8]) -> bool {
    let Some(offset) = zone.strip_prefix(b"+").or_else(|| zone.strip_prefix(b"-")) else {
        return matches!(zone, b"Z" | b"z");
    };
    let parts = number(offset, 2).and_then(|(hour, rest)| Some((hour, number(rest.strip_prefix(b":")?, 2)?)));
    matches!(parts, Some((hour, (minute, []))) if hour < 24 && minute < 60)
}

fn number(text: &[u8], digits: usize) -> Option<(u32, &[u8])> {
    let (head, rest) = text.split_at_checked(digits)?;
    let value =
        head.iter().try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + u32::from(byte - b'0')))?;
    Some((value, rest))
}

fn days(year: u32, month: u32) -> u32 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rule: fn(&str) -> bool, fits: &[&str], unfit: &[&str]) {
        for text in fits {
            assert!(rule(text), "{text}");
        }
        for text in unfit {
            assert!(!rule(text), "{text}");
        }
    }

    #[test]
    fn schema_versions_are_three_numbers_of_which_the_first_is_one() {
        let unfit = ["", "1", "1.0", "1.0.0.0", "1.0.0-rc", "v1.0.0", "1..0", "1.0.x", "2.0.0", "+1.0.0", "1.0. 0"];
        check(is_schema_version, &["1.0.0", "1.22.333"], &unfit);
    }

    #[test]
    fn links_are_words_with_hyphens_inside() {
        let unfit = ["", "a", "-ab", "ab-", "a_b", "A-b", "a b", "naïve", "a/b", "--"];
        check(is_link, &["ab", "a1", "go-guide", "a--b", "0-9"], &unfit);
    }

    #[test]
    fn times_are_those_of_rfc_3339() {
        let fits = [
            "2024-02-29T23:59:60Z",
            "2024-01-31t00:00:00z",
            "2024-01-01T00:00:00.123456+05:30",
            "2000-02-29T00:00:00-00:00",
        ];
        let unfit = [
            "",
            "2024-01-01",
            "2024-01-01 00:00:00Z",
            "2024-01-01T00:00:00",
            "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00:00+0530",
            "2024-01-01T00:00:00+05:30x",
            "2023-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2024-13-01T00:00:00Z",
            "2024-00-01T00:00:00Z",
            "2024-04-31T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:60:00Z",
            "20é4-01-01T00:00:00Z",
        ];
        check(is_date_time, &fits, &unfit);
    }
}
