//! Parsing of times in query parameters and imports.

use super::Timestamp;

/// Parses ISO 8601 in UTC (`2026-01-31`, `2026-01-31T09:30Z`, `2026-01-31T09:30:00.000Z`), or milliseconds since 1970.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    if !text.is_empty() && text.len() <= 15 && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok().map(Timestamp);
    }
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, time.strip_suffix('Z')?),
        None => (text, "00:00"),
    };
    let mut parts = date.split('-');
    let (year, month, day) = (number(parts.next()?, 4)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let (time, millis) = match time.split_once('.') {
        Some((time, fraction)) => (time, number(fraction, 3)?),
        None => (time, 0),
    };
    let mut clock = time.split(':');
    let (hour, minute) = (number(clock.next()?, 2)?, number(clock.next()?, 2)?);
    let second = clock.next().map_or(Some(0), |s| number(s, 2))?;
    if parts.next().is_some() || clock.next().is_some() || !(hour < 24 && minute < 60 && second < 60) {
        return None;
    }
    let days = days(year, month, day)?;
    Some(Timestamp((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000 + millis))
}

fn number(text: &str, digits: usize) -> Option<i64> {
    let plain = text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

/// Returns the days since 1970; `None` for an invalid date. Years start in March, so that the leap day comes last.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    let (from_march, year) = if month > 2 { (month - 3, year) } else { (month + 9, year - 1) };
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    Some(365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + of_year - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formatted_times_parse() {
        for at in [0, 951_782_400_000, 1_767_225_600_007, 4_107_542_399_999, 253_402_300_799_999, -1] {
            assert_eq!(parse(&Timestamp(at).to_string()), Some(Timestamp(at)));
        }
        for (text, ms) in [("1970-01-02", 86_400_000), ("1970-01-01T00:01Z", 60_000), ("86400000", 86_400_000)] {
            assert_eq!(parse(text), Some(Timestamp(ms)), "{text}");
        }
    }

    /// Counts more than four centuries day by day: parsing and formatting agree with the calendar.
    #[test]
    fn consecutive_dates_are_one_day_apart() {
        let (mut day, mut at) = ((1896, 1, 1), -27_028 * 86_400_000);
        while day.0 <= 2404 {
            let (year, month, date) = day;
            let text = format!("{year:04}-{month:02}-{date:02}");
            assert_eq!(parse(&text), Some(Timestamp(at)));
            assert_eq!(Timestamp(at).to_string(), format!("{text}T00:00:00.000Z"));
            let leap = year % 400 == 0 || (year % 4 == 0 && year % 100 != 0);
            let length = [31, 28 + u8::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1];
            day = match (month, date == length) {
                (_, false) => (year, month, date + 1),
                (12, true) => (year + 1, 1, 1),
                (_, true) => {
                    assert_eq!(parse(&format!("{year:04}-{month:02}-{:02}", length + 1)), None);
                    (year, month + 1, 1)
                }
            };
            at += 86_400_000;
        }
    }

    #[test]
    fn invalid_times_are_rejected() {
        for wrong in [
            "",
            "x",
            "2026-1",
            "2026-1-1",
            "2026-13-01",
            "2026-00-10",
            "2026-02-29",
            "2026-04-31",
            "2026-01-00",
            "2026-01-01T",
            "2026-01-01TZ",
            "2026-01-01T24:00Z",
            "2026-01-01T00:60Z",
            "2026-01-01T00:00:60Z",
            "2026-01-01T00:00",
            "2026-01-01T00:00:00.1Z",
            "2026-01-01-01",
            "+026-01-01",
            "-1",
            "9999999999999999",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
