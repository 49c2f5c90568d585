//! Times relative to now, and durations, in words.

use crate::domain::Timestamp;
use std::fmt;
use std::time::Duration;

/// A time, shown as its distance from now, with the exact time as a tooltip.
#[derive(Clone, Copy, Debug)]
pub(super) struct RelativeTime {
    at: Timestamp,
    now: Timestamp,
}

impl RelativeTime {
    pub(super) fn new(at: Timestamp, now: Timestamp) -> Self {
        Self { at, now }
    }

    /// Returns a time in the past. If the clock that took it is ahead, it is shown as "just now".
    pub(super) fn past(at: Timestamp, now: Timestamp) -> Self {
        Self { at, now: now.max(at) }
    }
}

/// Formats as HTML, which is safe: it contains no text of users.
impl fmt::Display for RelativeTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (past, ahead) = (self.now.since(self.at), self.at.since(self.now));
        write!(f, "<time datetime=\"{at}\" title=\"{at}\">", at = self.at)?;
        match (past.as_secs(), ahead.as_secs()) {
            (0, 0) => f.write_str("just now")?,
            (0, _) => write!(f, "in {}", Span(round_days(ahead)))?,
            _ => write!(f, "{} ago", Span(past))?,
        }
        f.write_str("</time>")
    }
}

impl askama::filters::HtmlSafe for RelativeTime {}

/// Rounds up by an hour: a token that was just created for 90 days expires "in 90 days", not in 89.
fn round_days(ahead: Duration) -> Duration {
    const HOUR: Duration = Duration::from_secs(60 * 60);
    if ahead < 48 * HOUR { ahead } else { ahead + HOUR }
}

/// A duration, shown in the largest unit that fits.
pub(super) struct Span(pub(super) Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 6] = [
            (31_557_600, "year"),
            (2_629_800, "month"),
            (86_400, "day"),
            (3_600, "hour"),
            (60, "minute"),
            (1, "second"),
        ];
        let seconds = self.0.as_secs();
        let (unit, name) = UNITS
            .into_iter()
            .find(|(unit, name)| {
                // 90 days are shown as such, not as "2 months".
                seconds >= *unit && (*name != "month" || seconds >= 4 * unit)
            })
            .unwrap_or((1, "second"));
        let count = seconds / unit;
        write!(f, "{count} {name}{}", if count == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_relative_to_now() {
        let now = Timestamp(1_767_225_600_000);
        let text = |seconds: i64| {
            let html = RelativeTime::new(Timestamp(now.0 + seconds * 1000), now).to_string();
            html.split_once('>').unwrap().1.trim_end_matches("</time>").to_owned()
        };
        assert_eq!(text(0), "just now");
        assert_eq!(text(-59), "59 seconds ago");
        assert_eq!(text(-60), "1 minute ago");
        assert_eq!(text(90 * 86_400), "in 90 days");
        assert_eq!((text(90 * 86_400 - 1), text(90 * 86_400 - 7_200)), ("in 90 days".into(), "in 89 days".into()));
        assert_eq!(text(48 * 3_600 - 1), "in 1 day");
        assert_eq!(text(-200 * 86_400), "6 months ago");
        assert_eq!(text(800 * 86_400), "in 2 years");
        assert!(RelativeTime::new(now, now).to_string().contains("title=\"2026-01-01T00:00:00.000Z\""));
    }
}
