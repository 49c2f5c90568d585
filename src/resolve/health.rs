//! How an installation is doing, in numbers.
//!
//! Requests whose token is cached are not counted. They are nearly all, and share nothing but what they read; a counter would be
//! the one place in memory that every core writes to for each of them. (The cache's own `stats` add two atomic writes to a
//! hit: one to a counter of its shard, one to a counter of its entry, which for a busy token is always the same.)
//! Whoever wants a rate of hits has the number of requests from their server, and the misses from here.

use super::{Lane, Resolver};
use crate::domain::{MonotonicTime, Unavailable};
use serde::{Serialize, Serializer};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How an installation is doing, as [`Keyward::health`](crate::guard::Guard::health) says it. There is no secret in it, nor anybody's
/// name or id.
///
/// Serialised it is one flat object in camelCase, with times in milliseconds: `leaseAgeMs`. Counts begin with the process.
///
/// With the feature `metrics`, numbers are published every second under the name of their field, with `keyward_` before it and
/// the unit after it: `keyward_lease_age_seconds`, `keyward_cache_bytes`, counts as `keyward_store_reads_total`. What is `None`
/// is not. Refusals are counted in `keyward_refusals_total`, by [`reason`](crate::guard::Reason::as_str). Install your recorder before you
/// build, or it misses the descriptions. Two installations in one process would write to the same names.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Health {
    /// Whether requests with a token are answered: there is a lease, the keys of the configuration fit the data, and look-ups are
    /// answered.
    ///
    /// Without a lease every request with a genuine credential is a 503; it can run out only where a log is followed. Look-ups are
    /// not answered while, in the last 5 to 10 s, at least 3 failed, came late or found no turn, and those were half of all or more.
    /// Only look-ups of genuine secrets count: made-up secrets change nothing here.
    pub ready: bool,
    /// How this node learns of what others change.
    pub sync_mode: SyncMode,
    /// How old what this node knows of the store may be: the time since the last poll was sent that read the log to its end.
    /// `None` before the first, or where no log is followed.
    #[serde(rename = "leaseAgeMs", serialize_with = "as_ms")]
    pub lease_age: Option<Duration>,
    /// How much longer that is good; zero when it is over.
    #[serde(rename = "leaseLeftMs", serialize_with = "as_ms")]
    pub lease_left: Option<Duration>,
    /// The sequence of the last change in the log, as of that poll.
    pub applied_seq: Option<u64>,
    /// How long after it was made the last change arrived, by the store's time. `None` before there was one.
    #[serde(rename = "lagMs", serialize_with = "as_ms")]
    pub lag: Option<Duration>,
    /// The number of the era. It rises when nothing that is cached counts any more: when the log does not go on from where it
    /// was read, as after a restored backup.
    pub era: u64,
    /// How many tokens are cached.
    pub cache_entries: u64,
    /// Their size, roughly; at most [`Limits::cache_bytes`](crate::guard::Limits::cache_bytes).
    pub cache_bytes: u64,
    /// How many digests are remembered as absent.
    pub absent_entries: u64,
    /// How often the cache had no answer for a request. How often it had is not counted, as all cores would write to one place:
    /// a rate of hits is to be had from this and the number of requests.
    pub cache_misses: u64,
    /// How many look-ups are under way: one for each digest, however many ask.
    pub lookups_in_flight: u64,
    /// How many of them wait for their turn.
    pub lookups_waiting: u64,
    /// How often the store was asked for a token.
    pub store_reads: u64,
    /// How many look-ups the store answered with an error.
    pub lookups_failed: u64,
    /// How many were given up before their turn: after [`Limits::queue`](crate::guard::Limits::queue).
    pub lookups_overloaded: u64,
    /// How many the store did not answer within [`Limits::lookup`](crate::guard::Limits::lookup).
    pub lookups_late: u64,
    /// How many sign-ins, and changes of a password, were answered 503 because too many others waited for their hash.
    pub sign_ins_busy: u64,
}

/// How a node learns of what others change in the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum SyncMode {
    /// By the store's log of changes.
    ByLog,
    /// Not at all: what was read is read again after [`Limits::max_staleness`](crate::guard::Limits::max_staleness).
    ByReadingAgain,
    /// There are no others: [`Builder::store_is_exclusive`](crate::Builder::store_is_exclusive).
    Exclusive,
}

/// How long an outcome of a look-up counts at least. At most it is twice that.
const LATELY: Duration = Duration::from_secs(5);
/// How many look-ups have to end badly before they say anything.
const FEW: u32 = 3;

/// How look-ups ended in the last 5 to 10 s, in two parts.
#[derive(Default)]
struct Lately {
    /// Which part of time it is, by [`LATELY`].
    part: u64,
    now: Ended,
    before: Ended,
}

#[derive(Clone, Copy, Default)]
struct Ended {
    well: u32,
    badly: u32,
}

impl Lately {
    /// Forgets what is too long ago.
    fn turn(&mut self, now: MonotonicTime) {
        let part = now.since(MonotonicTime(0)).as_secs() / LATELY.as_secs();
        match part.saturating_sub(self.part) {
            0 => return,
            1 => self.before = self.now,
            _ => self.before = Ended::default(),
        }
        (self.part, self.now) = (part, Ended::default());
    }

    fn ended(&mut self, well: bool, now: MonotonicTime) {
        self.turn(now);
        let count = if well { &mut self.now.well } else { &mut self.now.badly };
        *count = count.saturating_add(1);
    }

    fn is_well(&mut self, now: MonotonicTime) -> bool {
        self.turn(now);
        let badly = self.now.badly.saturating_add(self.before.badly);
        badly < FEW || badly < self.now.well.saturating_add(self.before.well)
    }
}

/// What is counted on the way to the store.
#[derive(Default)]
pub(super) struct Counts {
    lately: Mutex<Lately>,
    misses: AtomicU64,
    reads: AtomicU64,
    failed: AtomicU64,
    overloaded: AtomicU64,
    late: AtomicU64,
}

impl Counts {
    /// Somebody found nothing in the cache.
    pub(super) fn missed(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    /// The store is asked.
    pub(super) fn read(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    /// A look-up in this lane is over.
    pub(super) fn landed(&self, lane: Lane, error: Option<&Unavailable>, now: MonotonicTime) {
        if matches!(lane, Lane::Known | Lane::Unknown) && !matches!(error, Some(Unavailable::Stale | Unavailable::Keys))
        {
            self.lately().ended(error.is_none(), now);
        }
        let count = match error {
            None | Some(Unavailable::Stale | Unavailable::Keys) => return,
            Some(Unavailable::Store) => &self.failed,
            Some(Unavailable::Overloaded) => &self.overloaded,
            Some(Unavailable::Deadline) => &self.late,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    fn lately(&self) -> MutexGuard<'_, Lately> {
        // Nothing in here panics half-way through a change.
        self.lately.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Resolver {
    pub(crate) fn health(&self) -> Health {
        // Before the clock, which is then not behind the poll that the lease is from.
        let until = self.freshness.lease_until();
        let now = self.clock.moment();
        let leased = self.sync_mode == SyncMode::ByLog && until != MonotonicTime(0);
        let left = until.since(now);
        // A lease is reckoned from when its poll was sent.
        let sent = MonotonicTime(until.0.saturating_sub(MonotonicTime(0).plus(self.limits.max_staleness).0));
        let in_flight = (self.flights.len() + self.aside.len()) as u64;
        let running = self.lanes.running() as u64;
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Health {
            ready: self.freshness.leased(now) && !self.keys.differ() && self.counts.lately().is_well(now),
            sync_mode: self.sync_mode,
            lease_age: leased.then(|| now.since(sent)),
            lease_left: leased.then_some(left),
            applied_seq: leased.then(|| self.progress.applied()),
            lag: self.progress.lag(),
            era: self.freshness.era(),
            cache_entries: self.cache.len() as u64,
            cache_bytes: self.cache.weight(),
            absent_entries: self.absent.len() as u64,
            cache_misses: count(&self.counts.misses),
            lookups_in_flight: in_flight,
            lookups_waiting: in_flight.saturating_sub(running),
            store_reads: count(&self.counts.reads),
            lookups_failed: count(&self.counts.failed),
            lookups_overloaded: count(&self.counts.overloaded),
            lookups_late: count(&self.counts.late),
            // Added by the handle, which knows the services.
            sign_ins_busy: 0,
        }
    }
}

fn as_ms<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)).serialize(serializer)
}
