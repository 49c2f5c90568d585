//! Coalesced look-ups: concurrent requests for one digest share one look-up, in a task that no caller can cancel.

use super::entry::Entry;
use super::freshness::{Freshness, Stamp};
use super::{HashUnknown, KnownSecret, Lane, Resolved, Resolver};
use crate::domain::{Digest, MonotonicTime, OwnerId, Reason, Tag, TokenId, TokenKind, Unavailable};
use crate::sync::{Arc, DashMap, watch};
use dashmap::mapref::entry::Entry as Slot;

type Outcome = Result<LookupOutcome, Unavailable>;
pub(super) type Lookups = DashMap<Digest, watch::Receiver<Option<Outcome>>, HashUnknown>;

/// The result of one store read. The receiver has to check that it is still current.
#[derive(Clone)]
pub(super) enum LookupOutcome {
    Found(Arc<Entry>),
    Absent(Absent),
}

/// The absence of a token, or of the account that it belongs to.
#[derive(Clone, Copy)]
pub(super) struct Absent {
    pub(super) stamp: Stamp,
    /// The owner of the token, if there is a token. Its account may return.
    pub(super) owner: Option<OwnerId>,
    /// From then on the store must be read again.
    pub(super) until: MonotonicTime,
    /// The token of which this was a secret, if it was replaced.
    pub(super) replaced: Option<(TokenId, TokenKind)>,
    /// Why no session was opened for the account with this digest.
    pub(super) rejected: Option<Reason>,
}

impl LookupOutcome {
    /// Returns true if the result counts for a request that began at this time: it was not too old by then, and no
    /// change since the read touched the token with this digest, its owner or their roles.
    ///
    /// A request may have joined the look-up long after its read.
    pub(super) fn is_current(&self, digest: &Digest, begun: MonotonicTime, freshness: &Freshness) -> bool {
        match self {
            Self::Found(entry) => begun <= entry.reload && freshness.is_current(entry.stamp, entry.tags()),
            Self::Absent(absent) => begun <= absent.until && absent.is_current(digest, freshness),
        }
    }
}

impl Absent {
    /// Returns true if no change since the read touched the token with this digest, or its owner.
    pub(super) fn is_current(&self, digest: &Digest, freshness: &Freshness) -> bool {
        let tags = [Some(Tag::ALL), Some(Tag::token(digest)), self.owner.map(Tag::owner)];
        freshness.is_current(self.stamp, tags.into_iter().flatten())
    }
}

impl From<LookupOutcome> for Resolved {
    fn from(outcome: LookupOutcome) -> Self {
        match outcome {
            LookupOutcome::Found(entry) => Self::Found(entry),
            LookupOutcome::Absent(absent) => Self::Absent { read: true, replaced: absent.replaced },
        }
    }
}

/// The state of the look-up for a digest.
pub(super) enum LookupState {
    /// A look-up finished after the caller's last check: its result is in the cache.
    Finished(Resolved),
    /// A look-up is running.
    Running(watch::Receiver<Option<Outcome>>),
}

impl Resolver {
    /// Joins the running look-up for this digest, or starts one.
    ///
    /// Only callers over their budget join the look-up of a caller over its budget: it may wait long, or in vain.
    pub(super) fn join_or_start(self: &Arc<Self>, secret: KnownSecret, asked: Lane) -> LookupState {
        let digest = secret.digest;
        let lane = self.lane(&secret, asked);
        if lane.is_over_budget() {
            let joined = self.lookups.get(&digest).map(|lookup| lookup.clone());
            if let Some(lookup) = joined {
                return LookupState::Running(lookup);
            }
        }
        match self.lookups_in(lane).entry(digest) {
            Slot::Occupied(lookup) => LookupState::Running(lookup.get().clone()),
            Slot::Vacant(vacant) => {
                // A look-up stores its result before it frees its slot. A caller that found neither checks the cache
                // again, or the store would be read twice.
                if let Some(known) = self.known(&secret, self.clock.moment()) {
                    return LookupState::Finished(known);
                }
                let (sender, outcome) = watch::channel(None);
                // Created before the task, so that a task that never runs frees the slot too.
                let slot = LookupSlot { resolver: self.clone(), secret, lane };
                drop(vacant.insert(outcome.clone()));
                tokio::spawn(slot.run(sender));
                LookupState::Running(outcome)
            }
        }
    }

    fn lookups_in(&self, lane: Lane) -> &Lookups {
        if lane.is_over_budget() { &self.over_budget_lookups } else { &self.lookups }
    }

    /// Waits for the result of a look-up.
    pub(super) async fn await_outcome(mut outcome: watch::Receiver<Option<Outcome>>) -> Outcome {
        match outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Err(Unavailable::Store)),
            // The look-up's task panicked.
            Err(_) => Err(Unavailable::Store),
        }
    }
}

/// The slot of a digest in the table of running look-ups.
///
/// Dropping it frees the slot, also if the look-up panics or never runs.
struct LookupSlot {
    resolver: Arc<Resolver>,
    secret: KnownSecret,
    lane: Lane,
}

impl LookupSlot {
    async fn run(self, sender: watch::Sender<Option<Outcome>>) {
        let outcome = self.resolver.look_up(self.secret, self.lane).await;
        self.resolver.counts.record_outcome(self.lane, outcome.as_ref().err(), self.resolver.clock.moment());
        // From here on new callers find the cache or start a look-up; callers that already wait get this result.
        drop(self);
        sender.send_replace(Some(outcome));
    }
}

impl Drop for LookupSlot {
    fn drop(&mut self) {
        self.resolver.lookups_in(self.lane).remove(&self.secret.digest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Conditions, OsEntropy, SystemClock};
    use crate::resolve::tests::TestClock;
    use crate::resolve::{CacheKeys, HostAccounts, Limits};
    use crate::store::{Snapshot, Store, StoreError, Use};
    use async_trait::async_trait;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;
    use tokio::sync::Semaphore;

    /// An empty store: the number of reads, and permits to answer them.
    #[derive(Default)]
    struct Empty(AtomicU64, Option<Semaphore>);

    #[async_trait]
    impl Store for Empty {
        async fn resolve(&self, _: &Digest) -> Result<Snapshot, StoreError> {
            self.0.fetch_add(1, Ordering::SeqCst);
            if let Some(permits) = &self.1 {
                permits.acquire().await.unwrap().forget();
            }
            Ok(Snapshot { seq: 0, op_id: None, record: None })
        }

        fn following(&self) -> crate::store::Following {
            crate::store::Following::Blind
        }

        async fn key_checks(&self) -> Result<Option<Vec<crate::store::KeyCheck>>, StoreError> {
            Ok(None)
        }

        async fn close(&self) {}

        async fn note_uses(&self, _: &[Use]) -> Result<(), StoreError> {
            Ok(())
        }
    }

    /// own-failure-is-503: the runtime ends before the task runs, and the slot is freed.
    #[test]
    fn a_lookup_whose_task_never_runs_frees_its_slot() {
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let store = Arc::new(Empty::default());
        let (limits, keys) = (Limits::default(), CacheKeys::draw(&OsEntropy).unwrap());
        let resolver = Resolver::start(
            store.clone(),
            Arc::new(SystemClock),
            Conditions::default(),
            limits,
            keys,
            HostAccounts::none(),
            true,
        );
        let secret = KnownSecret::uncached(Digest::Native([7; 27]));
        let ended = runtime();
        ended.block_on(async { drop(resolver.join_or_start(secret, Lane::Unknown)) });
        drop(ended);
        assert_eq!(store.0.load(Ordering::SeqCst), 0);
        assert!(matches!(runtime().block_on(resolver.ask(secret, Lane::Unknown)), Ok(Resolved::Absent { .. })));
    }

    /// single-flight: a look-up may finish between the cache check and the join.
    #[tokio::test]
    async fn a_request_after_a_finished_lookup_does_not_read_the_store_again() {
        let store = Arc::new(Empty::default());
        let (limits, keys) = (Limits::default(), CacheKeys::draw(&OsEntropy).unwrap());
        let resolver = Resolver::start(
            store.clone(),
            Arc::new(SystemClock),
            Conditions::default(),
            limits,
            keys,
            HostAccounts::none(),
            true,
        );
        let secret = KnownSecret::uncached(Digest::Native([7; 27]));
        for _ in 0..3 {
            assert!(matches!(resolver.clone().ask(secret, Lane::Unknown).await, Ok(Resolved::Absent { .. })));
        }
        assert_eq!(store.0.load(Ordering::SeqCst), 1);
    }

    /// bounded-staleness: a look-up that takes long is joined by a request that begins after its answer's deadline.
    #[tokio::test]
    async fn a_request_uses_no_result_that_was_too_old_when_it_began() {
        let store = Arc::new(Empty(AtomicU64::new(0), Some(Semaphore::new(0))));
        let (limits, keys) = (Limits::default(), CacheKeys::draw(&OsEntropy).unwrap());
        let (clock, accounts) = (Arc::new(TestClock::default()), HostAccounts::none());
        let resolver =
            Resolver::start(store.clone(), clock.clone(), Conditions::default(), limits, keys, accounts, false);
        let secret = KnownSecret::uncached(Digest::Native([7; 27]));
        let ask = || {
            let resolver = resolver.clone();
            async move { resolver.ask(secret, Lane::Unknown).await.map(drop) }
        };
        let (early, late) = (ask(), ask());
        let late_begins = async {
            while store.0.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
            clock.advance(limits.max_staleness + Duration::from_nanos(1));
            let late = std::pin::pin!(late);
            let permits = async {
                tokio::task::yield_now().await;
                store.1.as_ref().unwrap().add_permits(2);
            };
            tokio::join!(late, permits).0
        };
        assert!(matches!(tokio::join!(early, late_begins), (Ok(()), Ok(()))));
        assert_eq!(store.0.load(Ordering::SeqCst), 2, "the late request has the store read again");
    }

    #[test]
    fn the_absence_of_an_account_ends_with_a_change_of_its_owner() {
        let (freshness, digest, until) = (Freshness::without_log(), Digest::Native([7; 27]), MonotonicTime(10));
        let stamp = Stamp { era: freshness.era(), seq: 1 };
        let absent = |owner| LookupOutcome::Absent(Absent { stamp, owner, until, replaced: None, rejected: None });
        let is_current = |owner, begun| absent(owner).is_current(&digest, MonotonicTime(begun), &freshness);
        assert!(is_current(Some(OwnerId(1)), 10) && !is_current(Some(OwnerId(1)), 11));
        freshness.invalidate(2, &[Tag::owner(OwnerId(1))]);
        assert!(!is_current(Some(OwnerId(1)), 10));
        assert!(is_current(Some(OwnerId(2)), 10) && is_current(None, 10));
    }
}
