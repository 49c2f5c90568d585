//! Clocks and points in time.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// A point on the wall clock: milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Returns the point later by `by`. Saturates instead of overflowing.
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Returns the time since `earlier`; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// Formats as ISO 8601 in UTC with milliseconds, like Strapi: `2026-01-31T09:30:00.000Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAY: i64 = 24 * 60 * 60 * 1000;
        let (day, ms) = (self.0.div_euclid(DAY), self.0.rem_euclid(DAY));
        // Years start in March, in eras of 400, so that the leap day is the last of a year.
        let day = day + 719_468;
        let (era, of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let from_march = (5 * of_year + 2) / 153;
        let date = of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = year + era * 400 + i64::from(month <= 2);
        let (h, m, s, ms) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000);
        write!(f, "{year:04}-{month:02}-{date:02}T{h:02}:{m:02}:{s:02}.{ms:03}Z")
    }
}

/// A point on a clock that only rises: nanoseconds since a start that is fixed for the process.
///
/// Expiry and freshness of cached tokens use this clock, so that setting the wall clock moves none of their deadlines.
/// (When a token is loaded, its remaining life is computed with the store's clock.)
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MonotonicTime(pub u64);

impl MonotonicTime {
    /// A moment that never comes.
    pub const NEVER: MonotonicTime = MonotonicTime(u64::MAX);

    /// Returns the moment later by `by`. Saturates at [`MonotonicTime::NEVER`].
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// Returns the time since `earlier`; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A source of time. Tests pass their own (`testing::ManualClock`).
pub trait Clock: Send + Sync + 'static {
    /// Returns the wall-clock time.
    fn now(&self) -> Timestamp;
    /// Returns the time of the rising clock, which must keep running while the machine is suspended.
    fn moment(&self) -> MonotonicTime;
}

/// The system's clocks: the wall clock, and on Linux `CLOCK_BOOTTIME`, which runs through suspend.
///
/// On other systems the rising clock is [`std::time::Instant`], which may stop during suspend: cached tokens then live
/// longer by that time.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the system clock")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Timestamp(since.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX)))
    }

    #[cfg(target_os = "linux")]
    fn moment(&self) -> MonotonicTime {
        let t = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        // Both parts of CLOCK_BOOTTIME are never negative, and 2^64 ns are 584 years.
        MonotonicTime((t.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(t.tv_nsec as u64))
    }

    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the system clock")]
    fn moment(&self) -> MonotonicTime {
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        let start = *START.get_or_init(std::time::Instant::now);
        MonotonicTime(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Timestamp(i64::MAX).plus(Duration::MAX), Timestamp(i64::MAX));
        assert_eq!(Timestamp(5).since(Timestamp(9)), Duration::ZERO);
        assert_eq!(MonotonicTime(1).plus(Duration::MAX), MonotonicTime::NEVER);
        assert_eq!(MonotonicTime(1).since(MonotonicTime(3)), Duration::ZERO);
    }

    #[test]
    fn timestamps_format_as_iso_8601() {
        for (at, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_767_225_600_007, "2026-01-01T00:00:00.007Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(Timestamp(at).to_string(), text);
        }
    }

    #[test]
    fn the_system_clock_rises() {
        let (a, b) = (SystemClock.moment(), SystemClock.moment());
        assert!(a <= b && SystemClock.now().0 > 1_600_000_000_000);
    }
}
