//! The state of an installation, in numbers.
//!
//! Requests whose token is cached are not counted: every core would write to one counter for nearly every request. (The
//! cache's own `stats` add two atomic writes to a hit, to a counter of its shard and to one of its entry, which for a
//! busy token is always the same.) A hit rate follows from the server's request count and the misses here.

use super::{Lane, Resolver};
use crate::domain::{MonotonicTime, Unavailable};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard, PoisonError};
use serde::{Serialize, Serializer};
use std::time::Duration;

/// The state of an installation, returned by [`Guard::health`](crate::guard::Guard::health). It contains no secret,
/// name or id.
///
/// It serialises to one flat object in camelCase, with times in milliseconds: `leaseAgeMs`. Counts start with the
/// process.
///
/// With the feature `metrics`, all numbers that are not `None` are published every second. Names are the field names
/// with `keyward_` before and the unit behind: `keyward_lease_age_seconds`, `keyward_cache_bytes`, counts as
/// `keyward_store_reads_total`. Rejections are counted in `keyward_rejections_total`, by
/// [`reason`](crate::guard::Reason::as_str). Install your recorder before you build, or it misses the descriptions. Two
/// installations in one process would write to the same names.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Health {
    /// Whether requests with a token are answered: there is a lease, the configured keys match the data, and look-ups
    /// succeed.
    ///
    /// Without a lease every request with a genuine credential is a 503; a lease can expire only if a log is followed.
    /// Look-ups count as failing if at least 3, and at least half, failed within the last 5 to 10 s: with an error, by
    /// a timeout, or without a start in time. Only look-ups of genuine secrets count, so made-up secrets change nothing
    /// here.
    pub ready: bool,
    /// How this node learns of changes by other nodes.
    pub sync_mode: SyncMode,
    /// The age of this node's knowledge of the store: the time since the last poll was sent that read the log to its
    /// end. `None` before the first such poll, or if no log is followed.
    #[serde(rename = "leaseAgeMs", serialize_with = "as_ms")]
    pub lease_age: Option<Duration>,
    /// The remaining time of the lease; zero if it is over.
    #[serde(rename = "leaseLeftMs", serialize_with = "as_ms")]
    pub lease_left: Option<Duration>,
    /// The sequence of the last change in the log, as of that poll.
    pub applied_seq: Option<u64>,
    /// The time between the last change and its arrival here, by the store's clock. `None` before the first change.
    #[serde(rename = "lagMs", serialize_with = "as_ms")]
    pub lag: Option<Duration>,
    /// The number of the era. It increases when everything cached becomes stale because the log is not continuous, as
    /// after a restored backup.
    pub era: u64,
    /// The number of cached tokens.
    pub cache_entries: u64,
    /// Their approximate size; at most [`Limits::cache_bytes`](crate::guard::Limits::cache_bytes).
    pub cache_bytes: u64,
    /// The number of digests remembered as absent.
    pub absent_entries: u64,
    /// The number of requests that the cache could not answer. Hits are not counted, as all cores would write to one
    /// counter: compute a hit rate from this and the number of requests.
    pub cache_misses: u64,
    /// The number of running look-ups: one for each digest, however many requests wait for it.
    pub lookups_in_flight: u64,
    /// The number of look-ups that wait for a permit.
    pub lookups_waiting: u64,
    /// The number of store reads for tokens. One read may answer several look-ups that waited together.
    pub store_reads: u64,
    /// The number of look-ups that the store answered with an error.
    pub lookups_failed: u64,
    /// The number of look-ups that got no permit within [`Limits::queue`](crate::guard::Limits::queue).
    pub lookups_overloaded: u64,
    /// The number of look-ups that the store did not answer within [`Limits::lookup`](crate::guard::Limits::lookup).
    pub lookups_late: u64,
    /// Whether the [warm-up](crate::Builder::warm_up) is running. A readiness route may wait for its end, so that a load
    /// balancer sends requests to a node that has cached its tokens.
    pub warming_up: bool,
    /// The number of tokens that the [warm-up](crate::Builder::warm_up) cached.
    pub warmed_tokens: u64,
    /// The number of these that were presented since: look-ups that the warm-up saved.
    pub warmed_hits: u64,
    /// The number of sign-ins and password changes answered 503 because too many others waited for their hash.
    pub sign_ins_busy: u64,
}

/// How a node learns of changes by other nodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum SyncMode {
    /// It reads the store's log of changes.
    ByLog,
    /// It reloads entries after [`Limits::max_staleness`](crate::guard::Limits::max_staleness).
    ByReadingAgain,
    /// No other node changes the store: [`Builder::store_is_exclusive`](crate::Builder::store_is_exclusive).
    Exclusive,
}

/// The minimum time for which an outcome counts; the maximum is twice that.
const INTERVAL: Duration = Duration::from_secs(5);
/// The number of failures below which look-ups count as healthy.
const MIN_FAILURES: u32 = 3;

/// Outcomes of look-ups in the last 5 to 10 s, in two intervals.
#[derive(Default)]
struct RecentOutcomes {
    /// The number of the present interval since the clock's start.
    interval: u64,
    now: OutcomeCounts,
    before: OutcomeCounts,
}

#[derive(Clone, Copy, Default)]
struct OutcomeCounts {
    succeeded: u32,
    failures: u32,
}

impl RecentOutcomes {
    /// Drops outcomes that are too old.
    fn rotate(&mut self, now: MonotonicTime) {
        let interval = now.since(MonotonicTime(0)).as_secs() / INTERVAL.as_secs();
        match interval.saturating_sub(self.interval) {
            0 => return,
            1 => self.before = self.now,
            _ => self.before = OutcomeCounts::default(),
        }
        (self.interval, self.now) = (interval, OutcomeCounts::default());
    }

    fn record(&mut self, succeeded: bool, now: MonotonicTime) {
        self.rotate(now);
        let count = if succeeded { &mut self.now.succeeded } else { &mut self.now.failures };
        *count = count.saturating_add(1);
    }

    fn is_healthy(&mut self, now: MonotonicTime) -> bool {
        self.rotate(now);
        let failures = self.now.failures.saturating_add(self.before.failures);
        failures < MIN_FAILURES || failures < self.now.succeeded.saturating_add(self.before.succeeded)
    }
}

/// Counters of look-ups.
#[derive(Default)]
pub(super) struct Counts {
    recent: Mutex<RecentOutcomes>,
    misses: AtomicU64,
    reads: AtomicU64,
    failed: AtomicU64,
    overloaded: AtomicU64,
    late: AtomicU64,
}

impl Counts {
    /// Counts a request that the cache could not answer.
    pub(super) fn record_miss(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a store read.
    pub(super) fn record_read(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the end of a look-up in this lane.
    pub(super) fn record_outcome(&self, lane: Lane, error: Option<&Unavailable>, now: MonotonicTime) {
        if matches!(lane, Lane::Known | Lane::Unknown) && !matches!(error, Some(Unavailable::Stale | Unavailable::Keys))
        {
            self.recent().record(error.is_none(), now);
        }
        let count = match error {
            None | Some(Unavailable::Stale | Unavailable::Keys) => return,
            Some(Unavailable::Store) => &self.failed,
            Some(Unavailable::Overloaded) => &self.overloaded,
            Some(Unavailable::Deadline) => &self.late,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    fn recent(&self) -> MutexGuard<'_, RecentOutcomes> {
        // No code in here panics half-way through a change.
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Resolver {
    fn lookups_in_flight(&self) -> u64 {
        (self.lookups.len() + self.over_budget_lookups.len()) as u64
    }

    /// Returns the number of look-ups that wait for a permit.
    pub(super) fn lookups_waiting(&self) -> u64 {
        let running = (self.lanes.running() + self.waiting.riders()) as u64;
        self.lookups_in_flight().saturating_sub(running)
    }

    pub(crate) fn health(&self) -> Health {
        // Read before the clock, so that the clock is not behind the poll that renewed the lease.
        let until = self.freshness.lease_until();
        let now = self.clock.moment();
        let has_lease = self.sync_mode == SyncMode::ByLog && until != MonotonicTime(0);
        let left = until.since(now);
        // A lease starts when its poll was sent.
        let sent = MonotonicTime(until.0.saturating_sub(MonotonicTime(0).plus(self.limits.max_staleness).0));
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Health {
            ready: self.freshness.has_lease(now) && !self.keys.mismatch() && self.counts.recent().is_healthy(now),
            sync_mode: self.sync_mode,
            lease_age: has_lease.then(|| now.since(sent)),
            lease_left: has_lease.then_some(left),
            applied_seq: has_lease.then(|| self.progress.applied()),
            lag: self.progress.lag(),
            era: self.freshness.era(),
            cache_entries: self.cache.len() as u64,
            cache_bytes: self.cache.weight(),
            absent_entries: self.absent.len() as u64,
            cache_misses: count(&self.counts.misses),
            lookups_in_flight: self.lookups_in_flight(),
            lookups_waiting: self.lookups_waiting(),
            store_reads: count(&self.counts.reads),
            lookups_failed: count(&self.counts.failed),
            lookups_overloaded: count(&self.counts.overloaded),
            lookups_late: count(&self.counts.late),
            warming_up: self.warm_up.is_running(),
            warmed_tokens: self.warm_up.warmed(),
            warmed_hits: self.warm_up.hits(),
            // Set by the handle, which has the services.
            sign_ins_busy: 0,
        }
    }
}

fn as_ms<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)).serialize(serializer)
}
