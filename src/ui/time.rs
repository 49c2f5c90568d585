//! Times, as people say them.

use crate::domain::Timestamp;
use std::fmt;
use std::time::Duration;

/// A time, shown by how far off it is; exactly where the pointer rests.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConditionClause {
    at: Timestamp,
    now: Timestamp,
}

impl ConditionClause {
    pub(super) fn of(at: Timestamp, now: Timestamp) -> Self {
        Self { at, now }
    }

    /// Of what has happened: by a clock that is ahead of ours, it was just now.
    pub(super) fn past(at: Timestamp, now: Timestamp) -> Self {
        Self { at, now: now.max(at) }
    }
}

/// As markup: nothing in it is anybody's text.
impl fmt::Display for ConditionClause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (past, ahead) = (self.now.since(self.at), self.at.since(self.now));
        write!(f, "<time datetime=\"{at}\" title=\"{at}\">", at = self.at)?;
        match (past.as_secs(), ahead.as_secs()) {
            (0, 0) => f.write_str("just now")?,
            (0, _) => write!(f, "in {}", Span(whole_days(ahead)))?,
            _ => write!(f, "{} ago", Span(past))?,
        }
        f.write_str("</time>")
    }
}

impl askama::filters::HtmlSafe for ConditionClause {}

/// What was just made for 90 days ends in 90 days, and not in 89.
fn whole_days(ahead: Duration) -> Duration {
    const HOUR: Duration = Duration::from_secs(60 * 60);
    if ahead < 48 * HOUR { ahead } else { ahead + HOUR }
}

/// How long: in the largest unit of which there is more than one, or one.
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
                // 90 days are no "2 months".
                seconds >= *unit && (*name != "month" || seconds >= 4 * unit)
            })
            .unwrap_or((1, "second"));
        let many = seconds / unit;
        write!(f, "{many} {name}{}", if many == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_by_how_far_off_they_are() {
        let now = Timestamp(1_767_225_600_000);
        let said = |seconds: i64| {
            let text = ConditionClause::of(Timestamp(now.0 + seconds * 1000), now).to_string();
            text.split_once('>').unwrap().1.trim_end_matches("</time>").to_owned()
        };
        assert_eq!(said(0), "just now");
        assert_eq!(said(-59), "59 seconds ago");
        assert_eq!(said(-60), "1 minute ago");
        assert_eq!(said(90 * 86_400), "in 90 days");
        assert_eq!((said(90 * 86_400 - 1), said(90 * 86_400 - 7_200)), ("in 90 days".into(), "in 89 days".into()));
        assert_eq!(said(48 * 3_600 - 1), "in 1 day");
        assert_eq!(said(-200 * 86_400), "6 months ago");
        assert_eq!(said(800 * 86_400), "in 2 years");
        assert!(ConditionClause::of(now, now).to_string().contains("title=\"2026-01-01T00:00:00.000Z\""));
    }
}
