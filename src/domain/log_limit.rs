//! A rate limit for log lines that clients can cause.

use super::clock::{Clock, MonotonicTime, SystemClock};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const INTERVAL: Duration = Duration::from_secs(60);

/// Allows one log line a minute, and counts the events since the last one.
///
/// It is used for every line that a client without a valid credential can cause: a flood of requests must not become a
/// flood of lines. Each call site has its own limit, often in a `static`.
pub(crate) struct LogLimit(Mutex<State>);

struct State {
    next: MonotonicTime,
    count: u64,
}

impl LogLimit {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(State { next: MonotonicTime(0), count: 0 }))
    }

    /// Counts an event. Returns the number of events since the last line if a line may be written now.
    pub(crate) fn count(&self, now: MonotonicTime) -> Option<u64> {
        // No code in here panics half-way through a change.
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.count += 1;
        if now < state.next {
            return None;
        }
        state.next = now.plus(INTERVAL);
        Some(std::mem::take(&mut state.count))
    }

    /// Counts a line like [`count`](Self::count), by the system's clock.
    pub(crate) fn count_now(&self) -> Option<u64> {
        self.count(SystemClock.moment())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_minute_has_the_count_of_all_events() {
        let limit = LogLimit::new();
        let at = |ms: u64| MonotonicTime(5_000_000_000 + ms * 1_000_000);
        let lines: Vec<u64> = (0..120_000).filter_map(|ms| limit.count(at(ms))).collect();
        assert_eq!(lines, [1, 60_000]);
        assert_eq!(limit.count(at(120_000)), Some(60_000));
        assert_eq!(limit.count(at(500_000)), Some(1));
    }
}
