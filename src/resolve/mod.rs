//! Resolution of digests to principals: a bounded cache, and behind it one coalesced look-up per digest.

mod accounts;
mod cache_key;
mod commits;
#[cfg(feature = "api")]
mod ends;
mod entry;
mod examine;
mod freshness;
mod health;
mod incidents;
mod keys;
mod lanes;
mod lookup;
#[cfg(feature = "metrics")]
mod metrics;
mod names;
mod poller;
mod reads;
mod tasks;
#[cfg(test)]
mod tests;
mod token_limits;
mod usage;
mod warm_up;

pub use accounts::{Accounts, AccountsError};
pub(crate) use accounts::{HostAccounts, as_answered};
pub(crate) use cache_key::{CacheKey, CacheKeys, KnownSecret};
use commits::CommitSignal;
pub(crate) use entry::Entry;
use entry::{EntryContext, has_ended};
pub(crate) use examine::Examined;
pub(crate) use freshness::{Freshness, LogPosition};
pub use health::{Health, SyncMode};
pub(crate) use incidents::{Incident, IncidentKind, Incidents};
pub(crate) use lanes::Lane;
pub(crate) use tasks::Stop;

use crate::domain::{
    Clock, Conditions, Decision, Digest, DigestHasher, InvalidCredential, LogLimit, MonotonicTime, Reason, Requirement,
    TokenId, TokenKind, TokenKinds, Unavailable, Verdict,
};
use crate::store::{Following, Record, Store};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Arc, OnceLock};
use freshness::Stamp;
use health::Counts;
use keys::Keys;
use lanes::Lanes;
use lookup::{Absent, LookupOutcome, LookupState, Lookups};
use names::Names;
use poller::Progress;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use reads::{Read, Waiting};
use std::hash::{BuildHasherDefault, RandomState};
use std::net::IpAddr;
use std::time::Duration;
use tasks::Tasks;
use token_limits::Limiters;
use usage::Usage;
use warm_up::WarmUp;

type HashDigest = BuildHasherDefault<DigestHasher>;
/// Keyed: clients choose the digests of made-up secrets of a legacy format.
type HashUnknown = RandomState;

/// Limits of the cache and of the look-ups behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of cached principals. Default 64 MiB: about 100 000 tokens.
    pub cache_bytes: u64,
    /// How many digests are remembered as absent. Default 4096.
    pub absent: usize,
    /// How long a digest is remembered as absent. Default 5 s.
    pub absent_for: Duration,
    /// How many reads of the store for look-ups run at a time. Default 16.
    ///
    /// Look-ups that wait together share a read if the [store](crate::store::Store::batch_size) reads many tokens
    /// faster than one by one.
    ///
    /// A quarter is reserved for cached tokens that have to be reloaded. Unknown secrets in Strapi's or a legacy format,
    /// which anyone can make up, get a quarter at most.
    pub lookups: usize,
    /// How long a look-up waits for a permit. Default 250 ms.
    pub queue: Duration,
    /// How long the store may take for one look-up. Default 1 s.
    pub lookup: Duration,
    /// How long a request waits in all. Default 2 s.
    pub request: Duration,
    /// After how long, at the latest, a change made past the services of this [`Keyward`](crate::Keyward) takes effect;
    /// else the answer is 503. Default 2 s.
    pub max_staleness: Duration,
    /// How often the store's log of changes is read, if it has one. Default 250 ms.
    pub poll_every: Duration,
    /// How long the store may take for one read of the log. Default 400 ms.
    ///
    /// Together with twice [`poll_every`](Self::poll_every) (one pause before the read, one after it) it must be less
    /// than [`max_staleness`](Self::max_staleness). Otherwise one slow response would be an outage.
    pub poll_deadline: Duration,
}

impl Limits {
    /// Returns limits with a [`max_staleness`](Self::max_staleness) of half a second.
    pub fn strict() -> Self {
        let (max_staleness, poll_every) = (Duration::from_millis(500), Duration::from_millis(100));
        Self { max_staleness, poll_every, poll_deadline: Duration::from_millis(200), ..Self::default() }
    }

    /// Returns true if a failed poll leaves time for another one before the lease expires. There is a pause before
    /// each.
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
    pub(crate) commits: CommitSignal,
    pub(crate) tasks: Tasks,
    keys: Keys,
    store: Arc<dyn Store>,
    conditions: Arc<Conditions>,
    names: Names,
    pub(crate) usage: Usage,
    pub(crate) incidents: Incidents,
    limiters: Limiters,
    limits: Limits,
    sync_mode: SyncMode,
    counts: Counts,
    lookup_log_limit: LogLimit,
    /// How long a result of the store is used: without end if the lease bounds its age.
    reload_after: Duration,
    cache_keys: CacheKeys,
    /// Keyed by one half of the cache key, or of the digest if the entry is warmed; the entry has all of it, which is
    /// compared. Two tokens with one half would replace each other, which only costs look-ups.
    cache: Cache<u64, Arc<Entry>, Weigh, HashDigest>,
    absent: Cache<Digest, Absent, quick_cache::UnitWeighter, HashUnknown>,
    lookups: Lookups,
    /// Look-ups of callers over their budget.
    over_budget_lookups: Lookups,
    lanes: Lanes,
    waiting: Waiting,
    warm_up: WarmUp,
    accounts: HostAccounts,
    entry_context: OnceLock<Arc<EntryContext>>,
    keeps_names: AtomicBool,
}

/// The result of a look-up, or of a cache check.
#[derive(Clone)]
pub(crate) enum Resolved {
    Found(Arc<Entry>),
    Absent {
        /// Whether the store was read for this caller.
        read: bool,
        /// The token of which this was a secret, if it was replaced.
        replaced: Option<(TokenId, TokenKind)>,
    },
}

/// A cached token that opens the group of a request.
pub(crate) enum Hit {
    /// The request is admitted.
    Admitted(Arc<Entry>),
    /// The request has to meet limits of the token.
    Limited(Arc<Entry>),
}

#[derive(Clone)]
struct Weigh;

impl Weighter<u64, Arc<Entry>> for Weigh {
    fn weight(&self, _: &u64, entry: &Arc<Entry>) -> u64 {
        entry.weight()
    }
}

impl Resolver {
    /// Returns true if only this handle changes the store: its changes are never read from there.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(crate) fn is_exclusive(&self) -> bool {
        self.sync_mode == SyncMode::Exclusive
    }

    /// Creates a resolver and starts to follow the store's log, if it has one and `exclusive` is not set.
    pub(crate) fn start(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        conditions: Conditions,
        limits: Limits,
        cache_keys: CacheKeys,
        accounts: HostAccounts,
        exclusive: bool,
    ) -> Arc<Self> {
        let following = if exclusive { Following::Blind } else { store.following() };
        let sync_mode = match &following {
            Following::Log(_) => SyncMode::ByLog,
            Following::Blind if exclusive => SyncMode::Exclusive,
            Following::Blind => SyncMode::ByReadingAgain,
        };
        let resolver = Arc::new(Self::new(store, clock, conditions, limits, cache_keys, accounts, sync_mode));
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
        cache_keys: CacheKeys,
        accounts: HostAccounts,
        sync_mode: SyncMode,
    ) -> Self {
        let (freshness, reload_after) = match sync_mode {
            SyncMode::ByLog => (Freshness::with_log(), Duration::MAX),
            SyncMode::ByReadingAgain => (Freshness::without_log(), limits.max_staleness),
            SyncMode::Exclusive => (Freshness::without_log(), Duration::MAX),
        };
        let expected = usize::try_from(limits.cache_bytes / 512).unwrap_or(usize::MAX).clamp(16, 1 << 20);
        Self {
            clock,
            freshness,
            progress: Progress::default(),
            commits: CommitSignal::default(),
            tasks: Tasks::default(),
            keys: Keys::default(),
            reload_after,
            store,
            conditions: Arc::new(conditions),
            names: Names::default(),
            usage: Usage::default(),
            incidents: Incidents::default(),
            limiters: Limiters::default(),
            limits,
            sync_mode,
            counts: Counts::default(),
            lookup_log_limit: LogLimit::new(),
            cache_keys,
            cache: Cache::with(expected, limits.cache_bytes, Weigh, HashDigest::default(), Default::default()),
            absent: Cache::with(
                limits.absent.max(16),
                limits.absent.max(16) as u64,
                quick_cache::UnitWeighter,
                HashUnknown::default(),
                Default::default(),
            ),
            lookups: Lookups::default(),
            over_budget_lookups: Lookups::default(),
            lanes: Lanes::new(limits.lookups),
            waiting: Waiting::default(),
            warm_up: WarmUp::default(),
            accounts,
            entry_context: OnceLock::new(),
            keeps_names: AtomicBool::new(false),
        }
    }

    /// Keeps the names of tokens and owners with cached principals.
    pub(crate) fn keep_names(&self) {
        self.keeps_names.store(true, Ordering::Relaxed);
    }

    fn keeps_names(&self) -> bool {
        self.keeps_names.load(Ordering::Relaxed)
    }

    fn entry_context(self: &Arc<Self>) -> Arc<EntryContext> {
        let context = || EntryContext::new(self.conditions.clone(), Arc::downgrade(self));
        self.entry_context.get_or_init(context).clone()
    }

    /// Returns after how long a change by others takes effect at the latest.
    pub(crate) fn max_staleness(&self) -> Duration {
        self.limits.max_staleness
    }

    /// Returns how long a request waits in all.
    pub(crate) fn request_deadline(&self) -> Duration {
        self.limits.request
    }

    /// Returns the accounts of the host.
    pub(crate) fn accounts(&self) -> &HostAccounts {
        &self.accounts
    }

    /// Checks that a request of this client with this token, read just now, would be admitted and meet these requirements.
    ///
    /// This is the gate's own check, for a change that is about to commit.
    pub(crate) fn admits(
        self: &Arc<Self>,
        record: &Record,
        digest: &Digest,
        client: Option<IpAddr>,
        required: &[(Requirement, Decision)],
    ) -> Result<(), Reason> {
        let now = self.clock.moment();
        // The entry is judged here and never cached.
        let stamp = Stamp { era: 0, seq: 0 };
        let secret = KnownSecret::uncached(*digest);
        let entry = Entry::of(record, secret, stamp, now, self).ok_or(Reason::Invalid(InvalidCredential::Unknown))?;
        entry.judge(now)?;
        entry.admit_address(client)?;
        let is_met = |(r, then): &(Requirement, Decision)| {
            let now = entry.principal.decide(r, entry.conditions());
            now.verdict() != Verdict::Denied && now.covers(then)
        };
        if required.iter().all(is_met) { Ok(()) } else { Err(Reason::Forbidden) }
    }

    pub(crate) fn conditions(&self) -> &Arc<Conditions> {
        &self.conditions
    }

    /// Returns the cache key of a presented secret.
    pub(crate) fn cache_key(&self, secret: &[u8]) -> CacheKey {
        self.cache_keys.of(secret)
    }

    /// Returns the cached token of a presented secret if it opens a group of these kinds now.
    ///
    /// It never rejects: without such a token, the secret has to be verified.
    pub(crate) fn find_hit(&self, key: CacheKey, kinds: TokenKinds, now: MonotonicTime) -> Option<Hit> {
        if !self.freshness.has_lease(now) {
            return None;
        }
        let entry = self.cache.get(&key.bucket)?;
        let limited = !entry.is_admissible(kinds, now);
        if !entry.is_known_by(key)
            || limited && !entry.needs_only_limits(kinds, now)
            || !entry.is_current(&self.freshness)
        {
            return None;
        }
        Some(if limited { Hit::Limited(entry) } else { Hit::Admitted(entry) })
    }

    /// Returns the cached result for a verified secret; `None` if there is none that is current.
    pub(crate) fn known(&self, secret: &KnownSecret, now: MonotonicTime) -> Option<Resolved> {
        if !self.freshness.has_lease(now) {
            return None;
        }
        let cached = self.cache.get(&secret.cache_key.bucket).filter(|entry| entry.is_of(secret));
        if let Some(entry) = cached.or_else(|| self.take_warmed(secret)) {
            return (now < entry.reload && entry.is_current(&self.freshness)).then_some(Resolved::Found(entry));
        }
        let absent = self.absent.get(&secret.digest)?;
        (now < absent.until && absent.is_current(&secret.digest, &self.freshness))
            .then_some(Resolved::Absent { read: false, replaced: absent.replaced })
    }

    /// Remembers why no session was opened for an account that the host has signed in, as long as its absence.
    pub(crate) fn remember_rejection(&self, secret: &KnownSecret, reason: Reason) {
        if let Some(absent) = self.absent.get(&secret.digest) {
            let believed = self.clock.moment().plus(self.limits.max_staleness);
            let until = absent.until.min(believed);
            self.absent.insert(secret.digest, Absent { rejected: Some(reason), until, ..absent });
        }
    }

    /// Returns why no session was opened for an account, if that is current.
    pub(crate) fn rejection(&self, secret: &KnownSecret, now: MonotonicTime) -> Option<Reason> {
        let absent = self.absent.get(&secret.digest).filter(|_| self.freshness.has_lease(now))?;
        absent.rejected.filter(|_| now < absent.until && absent.is_current(&secret.digest, &self.freshness))
    }

    /// Looks the secret up in the store, sharing the look-up with concurrent callers, until the result is current on
    /// arrival, and was read late enough for this caller.
    pub(crate) async fn ask(self: Arc<Self>, secret: KnownSecret, lane: Lane) -> Result<Resolved, Unavailable> {
        self.counts.record_miss();
        let begun = self.clock.moment();
        let until_current = async {
            self.fitting_keys().await?;
            let mut pause = Duration::ZERO;
            loop {
                // Without a lease no result counts. The poller notices when the store answers again; look-ups before
                // that would only pile up.
                if !self.freshness.has_lease(self.clock.moment()) {
                    self.await_first_lease().await?;
                }
                let outcome = match self.join_or_start(secret, lane) {
                    LookupState::Finished(known) => return Ok(known),
                    LookupState::Running(lookup) => Self::await_outcome(lookup).await?,
                };
                if !self.freshness.has_lease(self.clock.moment()) {
                    continue;
                }
                if outcome.is_current(&secret.digest, begun, &self.freshness) {
                    return Ok(outcome.into());
                }
                // Overtaken by a change: once is chance; more often the store lags, and asking does not speed it up.
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
                pause = (pause * 2).clamp(Duration::from_millis(5), Duration::from_millis(100));
            }
        };
        tokio::time::timeout(self.limits.request, until_current).await.unwrap_or(Err(Unavailable::Deadline))
    }

    /// Waits for the first lease, which the first read of the log grants. Does not wait for the renewal of an expired
    /// lease.
    async fn await_first_lease(&self) -> Result<(), Unavailable> {
        let mut changes = self.freshness.changes();
        while self.freshness.lease_until() == MonotonicTime(0) {
            changes.changed().await.map_err(|_| Unavailable::Stale)?;
        }
        if self.freshness.has_lease(self.clock.moment()) { Ok(()) } else { Err(Unavailable::Stale) }
    }

    /// Returns the lane of a look-up: a token that is in the cache is known, from any client.
    fn lane(&self, secret: &KnownSecret, asked: Lane) -> Lane {
        let known = self.cache.peek(&secret.cache_key.bucket).is_some_and(|entry| entry.is_of(secret));
        match (known, asked, secret.digest) {
            (true, ..) => Lane::Known,
            (_, Lane::Unknown, Digest::Strapi(_) | Digest::Legacy(_)) => Lane::Doubtful,
            (_, asked, _) => asked,
        }
    }

    /// Reads the store and caches the result, unless the cache has a newer one.
    async fn look_up(self: &Arc<Self>, secret: KnownSecret, lane: Lane) -> Result<LookupOutcome, Unavailable> {
        let digest = secret.digest;
        let Read { era, asked, mut snapshot } = self.read(digest, lane).await?;
        if let Some(record) = &mut snapshot.record {
            // Without a permit of the store's: a slow host delays its own accounts alone. It has a log of its own.
            self.accounts.complete_record(record).await.map_err(|_| Unavailable::Store)?;
        }
        self.freshness.observe(era, snapshot.seq, snapshot.op_id.as_deref());
        let stamp = Stamp { era, seq: snapshot.seq };
        let entry = snapshot.record.as_ref().and_then(|r| Entry::of(r, secret, stamp, asked, self));
        Ok(match entry.map(Arc::new) {
            Some(entry) => {
                self.insert(&secret, &entry);
                self.warm_up.record_look_up(&entry);
                LookupOutcome::Found(entry)
            }
            None => {
                // The token of a missing account is there again once the host has it again, which it need not report.
                let owner = snapshot.record.as_ref().and_then(|record| record.token.owner());
                let believed = if owner.is_some() { self.limits.max_staleness } else { Duration::MAX };
                let until = asked.plus(self.limits.absent_for.min(self.reload_after).min(believed));
                let replaced = snapshot.record.as_ref().filter(|record| has_ended(record, &digest));
                let replaced = replaced.map(|record| (record.token.id, record.token.kind()));
                let absent = Absent { stamp, owner, until, rejected: None, replaced };
                self.absent.insert(digest, absent);
                // The cached entry has ended, and would be found first.
                self.cache.remove(&secret.cache_key.bucket);
                LookupOutcome::Absent(absent)
            }
        })
    }

    fn insert(&self, secret: &KnownSecret, entry: &Arc<Entry>) {
        let (key, stamp) = (secret.cache_key.bucket, &entry.stamp);
        let newer = |kept: Arc<Entry>| kept.is_of(secret) && kept.stamp.era == stamp.era && kept.stamp.seq > stamp.seq;
        if !self.cache.peek(&key).is_some_and(newer) {
            self.cache.insert(key, entry.clone());
        }
    }

    pub(crate) fn note_use(&self, entry: &Entry, now: MonotonicTime, address: impl FnOnce() -> Option<IpAddr>) {
        self.usage.note(entry, now, &*self.clock, address);
    }

    /// Writes token uses in the background until the resolver is dropped.
    pub(crate) fn write_uses_behind(self: &Arc<Self>) {
        let weak = Arc::downgrade(self);
        self.tasks.spawn(|mut stop| async move {
            let mut ticks = tokio::time::interval(usage::WRITE_EVERY);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = stop.requested() => return,
                    _ = ticks.tick() => {}
                }
                let Some(resolver) = weak.upgrade() else { return };
                resolver.write_uses().await;
            }
        });
    }

    pub(crate) async fn write_uses(&self) {
        self.usage.write(&*self.store).await;
        self.incidents.write().await;
    }
}
