//! Seconds since 1970 to and from the times of RFC 3339.

/// The first second of year 0 and the last of year 9999: all that RFC 3339 can say.
pub(crate) const WRITABLE: std::ops::RangeInclusive<i64> = -62_167_219_200..=253_402_300_799;

const DAY: i64 = 86_400;

/// The time `seconds` after 1970 in UTC; within [`WRITABLE`].
pub(crate) fn format(seconds: i64) -> String {
    let (year, month, day) = date(seconds.div_euclid(DAY));
    let second = seconds.rem_euclid(DAY);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The whole seconds of a time since 1970; a fraction is cut off.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let (date, rest) = (text.get(..10)?, text.get(10..)?);
    let (year, month, day) = (number(date, 0, 4)?, number(date, 5, 2)?, number(date, 8, 2)?);
    let (clock, rest) = (rest.get(..9)?, rest.get(9..)?);
    let (hour, minute, second) = (number(clock, 1, 2)?, number(clock, 4, 2)?, number(clock, 7, 2)?);
    let marks = [date.get(4..5)?, date.get(7..8)?, clock.get(..1)?, clock.get(3..4)?, clock.get(6..7)?];
    let in_range = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 60;
    if marks != ["-", "-", "T", ":", ":"] || !in_range {
        return None;
    }
    let utc = days(year, month, day) * DAY + hour * 3600 + minute * 60 + second;
    Some(utc - offset(after_fraction(rest)?)?)
}

/// What follows a fraction of a second, if there is one.
fn after_fraction(rest: &str) -> Option<&str> {
    let Some(digits) = rest.strip_prefix('.') else { return Some(rest) };
    let zone = digits.trim_start_matches(|c: char| c.is_ascii_digit());
    (zone.len() < digits.len()).then_some(zone)
}

/// How many seconds a zone is ahead of UTC.
fn offset(zone: &str) -> Option<i64> {
    let sign = match zone.get(..1)? {
        "Z" if zone.len() == 1 => return Some(0),
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let (hours, minutes) = (number(zone, 1, 2)?, number(zone, 4, 2)?);
    let well_formed = zone.len() == 6 && zone.get(3..4)? == ":" && hours < 24 && minutes < 60;
    well_formed.then_some(sign * (hours * 3600 + minutes * 60))
}

fn number(text: &str, start: usize, len: usize) -> Option<i64> {
    let digits = text.get(start..start + len)?;
    digits.bytes().try_fold(0, |value, digit| digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0')))
}

/// Days since 1970 of a date. The year is counted from March, so that the leap day is its last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Year, month and day, from days since 1970.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let (day, month) = (day_of_year - (153 * from_march + 2) / 5 + 1, (from_march + 2) % 12 + 1);
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_times() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1969-12-31T23:59:59Z", -1),
            ("2000-02-29T12:00:00Z", 951_825_600),
            ("2026-11-20T00:00:00Z", 1_795_132_800),
            ("0000-01-01T00:00:00Z", *WRITABLE.start()),
            ("9999-12-31T23:59:59Z", *WRITABLE.end()),
        ] {
            assert_eq!(parse(text), Some(seconds), "{text}");
            assert_eq!(format(seconds), text);
        }
        assert_eq!(parse("1970-01-01T01:00:00.999+01:00"), Some(0));
        assert_eq!(parse("1969-12-31T23:30:00-00:30"), Some(0));
    }

    #[test]
    fn other_texts_are_no_times() {
        for text in ["", "1970-01-01", "1970-01-01T00:00:00", "1970-13-01T00:00:00Z", "+970-01-01T00:00:00Z"] {
            assert_eq!(parse(text), None, "{text}");
        }
        for text in
            ["1970-01-01T00:00:00.Z", "1970-01-01T00:00:00Zz", "1970-01-01T00:00:00+1:00", "1970-01-01t00:00:00Z"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn writable_seconds_come_back(seconds in WRITABLE) {
            prop_assert_eq!(parse(&format(seconds)), Some(seconds));
        }

        #[test]
        fn any_text_is_parsed_without_panic(text in "\\PC{0,40}") {
            let _ = parse(&text);
        }
    }
}
