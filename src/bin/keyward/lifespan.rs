//! Spans and points of time, as people write them.

use humantime::{parse_duration, parse_rfc3339_weak};
use keyward::admin::Lifespan;
use keyward::time::Timestamp;
use std::time::UNIX_EPOCH;

/// Parses a lifespan: `90d`, `12h`, `1h 30m`, or `unlimited`.
pub(crate) fn parse_lifespan(text: &str) -> Result<Lifespan, String> {
    if text == "unlimited" {
        return Ok(Lifespan::Unlimited);
    }
    let span = parse_duration(text).map_err(|error| format!("{error}: write for example 90d, 12h or unlimited"))?;
    Ok(Lifespan::Of(span))
}

/// Parses a point of time in UTC: `2030-01-31`, `2030-01-31T09:30:00Z`.
pub(crate) fn parse_time(text: &str) -> Result<Timestamp, String> {
    let full = if text.len() == "2030-01-31".len() { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let at = parse_rfc3339_weak(&full)
        .map_err(|error| format!("{error}: write a date such as 2030-01-31, or a time such as 2030-01-31T09:30:00Z"))?;
    let since = at.duration_since(UNIX_EPOCH).map_err(|_| "a time before 1970".to_owned())?;
    Ok(Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
}

/// Writes a point of time to the second.
pub(crate) fn to_second(at: Timestamp) -> String {
    let text = at.to_string();
    text.split_once('.').map_or(text.clone(), |(seconds, _)| format!("{seconds}Z"))
}

/// Writes a point of time to the second, or a word for none.
pub(crate) fn to_second_or(at: Option<Timestamp>, none: &str) -> String {
    at.map_or_else(|| none.to_owned(), to_second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn spans_and_times_parse() {
        assert_eq!(parse_lifespan("90d"), Ok(Lifespan::days(90)));
        assert_eq!(parse_lifespan("1h 30m"), Ok(Lifespan::Of(Duration::from_secs(5_400))));
        assert_eq!(parse_lifespan("unlimited"), Ok(Lifespan::Unlimited));
        for wrong in ["", "90", "-1d", "soon", "99999999999999999999d"] {
            assert!(parse_lifespan(wrong).is_err(), "{wrong}");
        }
        for (text, iso) in [
            ("2030-01-31", "2030-01-31T00:00:00Z"),
            ("2030-01-31T09:30:00Z", "2030-01-31T09:30:00Z"),
            ("2030-01-31 09:30:00", "2030-01-31T09:30:00Z"),
            ("2030-01-31T09:30:00.123Z", "2030-01-31T09:30:00Z"),
        ] {
            assert_eq!(parse_time(text).map(to_second).as_deref(), Ok(iso), "{text}");
        }
        for wrong in ["", "2030-13-01", "2030-1-1", "tomorrow", "1969-12-31"] {
            assert!(parse_time(wrong).is_err(), "{wrong}");
        }
    }
}
