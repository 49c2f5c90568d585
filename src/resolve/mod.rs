//! From a digest to a principal: a bounded cache, and behind it one look-up for all who ask for the same.

mod entry;
mod flight;
mod freshness;
mod health;
mod keys;
mod lanes;
#[cfg(feature = "metrics")]
mod metrics;
mod names;
mod poller;
mod tasks;
#[cfg(test)]
mod tests;
mod usage;

pub(crate) use entry::Entry;
pub(crate) use freshness::{Begun, Freshness};
pub use health::{Health, SyncMode};
pub(crate) use lanes::Lane;
pub(crate) use tasks::Stop;

use crate::domain::{
    Clock, Conditions, Decision, Digest, DigestHasher, InvalidCredential, LogLimit, MonotonicTime, Reason, Requirement,
    Tag, Unavailable, Verdict,
};
use crate::store::{Following, Record, Store};
use flight::{Flights, LookupOutcome, LookupState};
use freshness::Stamp;
use health::Counts;
use keys::Keys;
use lanes::Lanes;
use names::Names;
use poller::Progress;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::hash::BuildHasherDefault;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tasks::Tasks;
use usage::Usage;

type HashDigest = BuildHasherDefault<DigestHasher>;

/// The bounds of the cache and of the look-ups behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of cached principals. Default 64 MiB: about 100 000 tokens.
    pub cache_bytes: u64,
    /// How many digests are remembered as absent. Default 4096.
    pub absent: usize,
    /// For how long. Default 5 s.
    pub absent_for: Duration,
    /// How many look-ups run at a time. A quarter of them is kept for tokens that are in the cache and have to be read again;
    /// unknown secrets of the reference, which anybody can make up, have a quarter at most. Default 16.
    pub lookups: usize,
    /// How long a look-up waits for its turn. Default 250 ms.
    pub queue: Duration,
    /// How long the store has for one look-up. Default 1 s.
    pub lookup: Duration,
    /// How long a request waits in all. Default 2 s.
    pub request: Duration,
    /// What somebody else changes, past the services of this [`Keyward`](crate::Keyward), counts that much later at the latest,
    /// or the answer is 503. Default 2 s.
    pub max_staleness: Duration,
    /// How often the store's log of changes is read, if it has one. Default 250 ms.
    pub poll_every: Duration,
    /// How long the store has for that. Default 400 ms. Together with twice [`poll_every`](Self::poll_every) (there is a pause
    /// before it and one after it) less than [`max_staleness`](Self::max_staleness), or one slow answer would be an outage.
    pub poll_deadline: Duration,
}

impl Limits {
    /// With a [`max_staleness`](Self::max_staleness) of half a second.
    pub fn strict() -> Self {
        let (max_staleness, poll_every) = (Duration::from_millis(500), Duration::from_millis(100));
        Self { max_staleness, poll_every, poll_deadline: Duration::from_millis(200), ..Self::default() }
    }

    /// Whether one poll that fails leaves time for another one before the lease is over. There is a pause before each.
    pub(crate) fn leave_time(&self) -> bool {
        let until_another = self.poll_every.saturating_mul(2).saturating_add(self.poll_deadline);
        !self.poll_every.is_zero() && until_another < self.max_staleness
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cache_bytes: 64 << 20,
            absent: 4096,
            absent_for: Duration::from_secs(5),
            lookups: 16,
            queue: Duration::from_millis(250),
            lookup: Duration::from_secs(1),
            request: Duration::from_secs(2),
            max_staleness: Duration::from_secs(2),
            poll_every: Duration::from_millis(250),
            poll_deadline: Duration::from_millis(400),
        }
    }
}

pub(crate) struct Resolver {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) freshness: Freshness,
    pub(crate) progress: Progress,
    pub(crate) tasks: Tasks,
    keys: Keys,
    store: Arc<dyn Store>,
    conditions: Arc<Conditions>,
    names: Names,
    usage: Usage,
    limits: Limits,
    sync_mode: SyncMode,
    counts: Counts,
    look_up_lines: LogLimit,
    /// For how long an answer of the store is used: for ever, where the lease sees to it.
    reload_after: Duration,
    /// By the digests' prefixes: a whole digest is in the entry, and is compared there. Two tokens of one prefix, which nobody
    /// will live to see, would take turns.
    cache: Cache<u64, Arc<Entry>, Weigh, HashDigest>,
    absent: Cache<Digest, Absent, quick_cache::UnitWeighter, HashDigest>,
    flights: Flights,
    /// The look-ups of those who are over their budget.
    aside: Flights,
    lanes: Lanes,
}

/// What is known of a digest.
#[derive(Clone)]
pub(crate) enum Resolved {
    Found(Arc<Entry>),
    /// Whether the store was read for whoever asked.
    Absent {
        read: bool,
    },
}

#[derive(Clone)]
struct Absent {
    stamp: Stamp,
    until: MonotonicTime,
}

#[derive(Clone)]
struct Weigh;

impl Weighter<u64, Arc<Entry>> for Weigh {
    fn weight(&self, _: &u64, entry: &Arc<Entry>) -> u64 {
        entry.weight()
    }
}

impl Resolver {
    /// Begins to follow the store's log, if it has one, unless nobody but us changes it.
    pub(crate) fn start(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        conditions: Conditions,
        limits: Limits,
        exclusive: bool,
    ) -> Arc<Self> {
        let following = if exclusive { Following::Blind } else { store.following() };
        let sync_mode = match &following {
            Following::Log(_) => SyncMode::ByLog,
            Following::Blind if exclusive => SyncMode::Exclusive,
            Following::Blind => SyncMode::ByReadingAgain,
        };
        let resolver = Arc::new(Self::new(store, clock, conditions, limits, sync_mode));
        if let Following::Log(log) = following {
            poller::follow(&resolver, log);
        }
        resolver
    }

    fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        conditions: Conditions,
        limits: Limits,
        sync_mode: SyncMode,
    ) -> Self {
        let (freshness, reload_after) = match sync_mode {
            SyncMode::ByLog => (Freshness::following(), Duration::MAX),
            SyncMode::ByReadingAgain => (Freshness::exclusive(), limits.max_staleness),
            SyncMode::Exclusive => (Freshness::exclusive(), Duration::MAX),
        };
        let expected = usize::try_from(limits.cache_bytes / 512).unwrap_or(usize::MAX).clamp(16, 1 << 20);
        Self {
            clock,
            freshness,
            progress: Progress::default(),
            tasks: Tasks::default(),
            keys: Keys::default(),
            reload_after,
            store,
            conditions: Arc::new(conditions),
            names: Names::default(),
            usage: Usage::default(),
            limits,
            sync_mode,
            counts: Counts::default(),
            look_up_lines: LogLimit::new(),
            cache: Cache::with(expected, limits.cache_bytes, Weigh, HashDigest::default(), Default::default()),
            absent: Cache::with(
                limits.absent.max(16),
                limits.absent.max(16) as u64,
                quick_cache::UnitWeighter,
                HashDigest::default(),
                Default::default(),
            ),
            flights: Flights::default(),
            aside: Flights::default(),
            lanes: Lanes::new(limits.lookups),
        }
    }

    /// Whether a request with this token, read just now, would be admitted and meet these requirements: the gate's own judgement, for a
    /// change that is about to commit.
    pub(crate) fn admits(
        self: &Arc<Self>,
        record: &Record,
        required: &[(Requirement, Decision)],
    ) -> Result<(), Reason> {
        let now = self.clock.moment();
        // It is judged here and now, and never kept.
        let stamp = Stamp { era: 0, seq: 0, tags: Box::default() };
        let entry = Entry::of(record, stamp, now, self).ok_or(Reason::Invalid(InvalidCredential::Unknown))?;
        entry.judge(now)?;
        let met = |(r, then): &(Requirement, Decision)| {
            let now = entry.principal.decide(r, &entry.conditions);
            now.verdict() != Verdict::Refused && now.covers(then)
        };
        if required.iter().all(met) { Ok(()) } else { Err(Reason::Forbidden) }
    }

    pub(crate) fn conditions(&self) -> &Arc<Conditions> {
        &self.conditions
    }

    /// What is known without asking the store; `None` if that is nothing, or nothing that still stands.
    pub(crate) fn known(&self, digest: &Digest, now: MonotonicTime) -> Option<Resolved> {
        if !self.freshness.leased(now) {
            return None;
        }
        if let Some(entry) = self.cache.get(&digest.prefix()).filter(|entry| entry.is_of(digest)) {
            return (now < entry.reload && entry.stands(&self.freshness)).then_some(Resolved::Found(entry));
        }
        let absent = self.absent.get(digest)?;
        (now < absent.until && self.freshness.stands(&absent.stamp)).then_some(Resolved::Absent { read: false })
    }

    /// Asks the store, together with everybody who asks for the same digest, until the answer still stands when it is here.
    pub(crate) async fn ask(self: Arc<Self>, digest: Digest, lane: Lane) -> Result<Resolved, Unavailable> {
        self.counts.missed();
        let until_it_stands = async {
            self.fitting_keys().await?;
            let mut pause = Duration::ZERO;
            loop {
                // Without a lease no answer counts. The poller finds out when the store answers again; look-ups would only pile up before
                // it, and all be there then.
                if !self.freshness.leased(self.clock.moment()) {
                    self.first_lease().await?;
                }
                let landed = match self.board(digest, lane) {
                    LookupState::Late(known) => return Ok(known),
                    LookupState::Aboard(flight) => Self::land(flight).await?,
                };
                if !self.freshness.leased(self.clock.moment()) {
                    continue;
                }
                if self.freshness.stands(landed.stamp()) {
                    return Ok(landed.into());
                }
                // Overtaken by a change: once is chance, more often is a store that is behind, which asking does not hasten.
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
                pause = (pause * 2).clamp(Duration::from_millis(5), Duration::from_millis(100));
            }
        };
        tokio::time::timeout(self.limits.request, until_it_stands).await.unwrap_or(Err(Unavailable::Deadline))
    }

    /// Waits for the first lease: at the start there is none until the log has been read once. One that is over is not waited for.
    async fn first_lease(&self) -> Result<(), Unavailable> {
        let mut changes = self.freshness.changes();
        while self.freshness.lease_until() == MonotonicTime(0) {
            changes.changed().await.map_err(|_| Unavailable::Stale)?;
        }
        if self.freshness.leased(self.clock.moment()) { Ok(()) } else { Err(Unavailable::Stale) }
    }

    /// The lane of a look-up: whoever asks, a token that is in the cache is known.
    fn lane(&self, digest: &Digest, asked: Lane) -> Lane {
        let known = self.cache.peek(&digest.prefix()).is_some_and(|entry| entry.is_of(digest));
        match (known, asked, digest) {
            (true, ..) => Lane::Known,
            (_, Lane::Unknown, Digest::Strapi(_)) => Lane::Doubtful,
            (_, asked, _) => asked,
        }
    }

    /// Reads the store once and keeps what it says, unless something newer is there already.
    async fn look_up(self: &Arc<Self>, digest: Digest, lane: Lane) -> Result<LookupOutcome, Unavailable> {
        let turn = tokio::time::timeout(self.limits.queue, self.lanes.turn(lane));
        let _turn = turn.await.map_err(|_| Unavailable::Overloaded)?;
        self.counts.read();
        let (era, asked) = (self.freshness.era(), self.clock.moment());
        let snapshot = match tokio::time::timeout(self.limits.lookup, self.store.resolve(&digest)).await {
            Ok(Ok(snapshot)) => snapshot,
            Ok(Err(error)) => {
                // Made-up secrets of Strapi's format get this far.
                if let Some(count) = self.look_up_lines.count(self.clock.moment()) {
                    tracing::warn!(error = &error as &dyn std::error::Error, count, "look-up failed");
                }
                return Err(Unavailable::Store);
            }
            Err(_) => return Err(Unavailable::Deadline),
        };
        self.freshness.saw(era, snapshot.seq, snapshot.op_id.as_deref());
        let stamp = |tags| Stamp { era, seq: snapshot.seq, tags };
        let entry = snapshot.record.as_ref().and_then(|r| Entry::of(r, stamp(r.tags()), asked, self));
        Ok(match entry.map(Arc::new) {
            Some(entry) => {
                self.keep(&digest, &entry);
                LookupOutcome::Found(entry)
            }
            None => {
                // An owner who is gone does not come back (no id is used again), so the token's own tag is enough.
                let stamp = stamp([Tag::ALL, Tag::token(&digest)].into());
                let until = asked.plus(self.limits.absent_for.min(self.reload_after));
                self.absent.insert(digest, Absent { stamp: stamp.clone(), until });
                // What the cache may still hold has ended, and would be looked at first.
                self.cache.remove(&digest.prefix());
                LookupOutcome::Absent(stamp)
            }
        })
    }

    fn keep(&self, digest: &Digest, entry: &Arc<Entry>) {
        let (key, stamp) = (digest.prefix(), &entry.stamp);
        let newer = |kept: Arc<Entry>| kept.is_of(digest) && kept.stamp.era == stamp.era && kept.stamp.seq > stamp.seq;
        if !self.cache.peek(&key).is_some_and(newer) {
            self.cache.insert(key, entry.clone());
        }
    }

    pub(crate) fn note_use(&self, entry: &Entry, now: MonotonicTime, address: impl FnOnce() -> Option<IpAddr>) {
        self.usage.note(entry, now, &*self.clock, address);
    }

    /// Writes uses behind for as long as the resolver lives.
    pub(crate) fn write_uses_behind(self: &Arc<Self>) {
        let home = Arc::downgrade(self);
        self.tasks.spawn(|mut stop| async move {
            let mut ticks = tokio::time::interval(usage::WRITE_EVERY);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = stop.told() => return,
                    _ = ticks.tick() => {}
                }
                let Some(resolver) = home.upgrade() else { return };
                resolver.write_uses().await;
            }
        });
    }

    pub(crate) async fn write_uses(&self) {
        self.usage.write(&*self.store).await;
    }
}
