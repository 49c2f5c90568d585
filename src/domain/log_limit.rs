//! Log lines that clients can cause: one a minute, with a count of the others.

use super::clock::{Clock, Moment, SystemClock};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(60);

/// Lets one log line a minute pass, and counts those that it stands for.
pub(crate) struct LogLimit(Mutex<Counted>);

struct Counted {
    since: Option<Moment>,
    count: u64,
}

impl Default for LogLimit {
    fn default() -> Self {
        Self::new()
    }
}

impl LogLimit {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Counted { since: None, count: 0 }))
    }

    /// How many there were since the last line, this one among them, if it is time for another line.
    pub(crate) fn admit(&self) -> Option<u64> {
        self.admit_at(SystemClock.moment())
    }

    fn admit_at(&self, now: Moment) -> Option<u64> {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted.count += 1;
        if counted.since.is_some_and(|since| now.since(since) < EVERY) {
            return None;
        }
        counted.since = Some(now);
        Some(std::mem::take(&mut counted.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_minute_counts_the_others() {
        let limit = LogLimit::new();
        let at = |seconds: u64| Moment(seconds * 1_000_000_000);
        assert_eq!(limit.admit_at(at(5)), Some(1));
        assert!((0..10_000).all(|_| limit.admit_at(at(6)).is_none()));
        assert_eq!(limit.admit_at(at(64)), None);
        assert_eq!(limit.admit_at(at(65)), Some(10_002));
    }
}
