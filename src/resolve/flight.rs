//! Single flight: however many ask for a digest, one look-up runs, in a task of its own that no caller can cancel.

use super::entry::Entry;
use super::freshness::Stamp;
use super::{HashDigest, Lane, Resolved, Resolver};
use crate::domain::{Digest, Unavailable};
use dashmap::DashMap;
use dashmap::mapref::entry::Entry as Place;
use std::sync::Arc;
use tokio::sync::watch;

type Outcome = Result<LookupOutcome, Unavailable>;
pub(super) type Flights = DashMap<Digest, watch::Receiver<Option<Outcome>>, HashDigest>;

/// What a look-up found. Whoever receives it has to ask whether it still stands.
#[derive(Clone)]
pub(super) enum LookupOutcome {
    Found(Arc<Entry>),
    Absent(Stamp),
}

impl LookupOutcome {
    pub(super) fn stamp(&self) -> &Stamp {
        match self {
            Self::Found(entry) => &entry.stamp,
            Self::Absent(stamp) => stamp,
        }
    }
}

impl From<LookupOutcome> for Resolved {
    fn from(landed: LookupOutcome) -> Self {
        match landed {
            LookupOutcome::Found(entry) => Self::Found(entry),
            LookupOutcome::Absent(_) => Self::Absent { read: true },
        }
    }
}

/// What somebody finds who wants to know of a digest.
pub(super) enum LookupState {
    /// A look-up that has landed since they looked last: its answer is in the cache.
    Late(Resolved),
    /// A look-up that is under way.
    Aboard(watch::Receiver<Option<Outcome>>),
}

impl Resolver {
    /// Joins the look-up that is under way, or starts one.
    ///
    /// Nobody joins the look-up of somebody over their budget but others who are: it may wait long, or in vain.
    pub(super) fn board(self: &Arc<Self>, digest: Digest, asked: Lane) -> LookupState {
        let lane = self.lane(&digest, asked);
        if lane.is_aside() {
            let joined = self.flights.get(&digest).map(|flight| flight.clone());
            if let Some(flight) = joined {
                return LookupState::Aboard(flight);
            }
        }
        match self.flights_in(lane).entry(digest) {
            Place::Occupied(flight) => LookupState::Aboard(flight.get().clone()),
            Place::Vacant(place) => {
                // A look-up leaves its answer before it leaves its place. Who found neither has to look again, or it would be
                // asked for twice.
                if let Some(known) = self.known(&digest, self.clock.moment()) {
                    return LookupState::Late(known);
                }
                let (sender, outcome) = watch::channel(None);
                // Made before the task is: a task that is never run frees it too.
                let taken = Taken(self.clone(), digest, lane);
                drop(place.insert(outcome.clone()));
                tokio::spawn(taken.fly(sender));
                LookupState::Aboard(outcome)
            }
        }
    }

    fn flights_in(&self, lane: Lane) -> &Flights {
        if lane.is_aside() { &self.aside } else { &self.flights }
    }

    /// Waits for a look-up to land.
    pub(super) async fn land(mut outcome: watch::Receiver<Option<Outcome>>) -> Outcome {
        match outcome.wait_for(Option::is_some).await {
            Ok(landed) => landed.clone().unwrap_or(Err(Unavailable::Store)),
            // The look-up's task panicked.
            Err(_) => Err(Unavailable::Store),
        }
    }
}

/// A digest's place among the flights. It is freed when this is dropped, also if the look-up panics or is never run.
struct Taken(Arc<Resolver>, Digest, Lane);

impl Taken {
    async fn fly(self, sender: watch::Sender<Option<Outcome>>) {
        let outcome = self.0.look_up(self.1, self.2).await;
        self.0.counts.landed(self.2, outcome.as_ref().err(), self.0.clock.moment());
        // From here on, whoever comes finds the cache or starts anew; whoever is here already gets this outcome.
        drop(self);
        sender.send_replace(Some(outcome));
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.flights_in(self.2).remove(&self.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Conditions, SystemClock};
    use crate::resolve::Limits;
    use crate::store::{Snapshot, Store, StoreError, Use};
    use async_trait::async_trait;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[derive(Default)]
    struct Empty(AtomicU64);

    #[async_trait]
    impl Store for Empty {
        async fn resolve(&self, _: &Digest) -> Result<Snapshot, StoreError> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Ok(Snapshot { seq: 0, op_id: None, record: None })
        }

        fn following(&self) -> crate::store::Following {
            crate::store::Following::Blind
        }

        async fn note_uses(&self, _: &[Use]) -> Result<(), StoreError> {
            Ok(())
        }

        async fn key_checks(&self) -> Result<Option<Vec<crate::store::KeyCheck>>, StoreError> {
            Ok(None)
        }

        async fn close(&self) {}
    }

    /// I13: a look-up whose task is never run, because its runtime ends, leaves no place taken.
    #[test]
    fn a_look_up_that_never_runs_frees_its_place() {
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let store = Arc::new(Empty::default());
        let limits = Limits::default();
        let resolver = Resolver::start(store.clone(), Arc::new(SystemClock), Conditions::default(), limits, true);
        let digest = Digest::Native([7; 27]);
        let ended = runtime();
        ended.block_on(async { drop(resolver.board(digest, Lane::Unknown)) });
        drop(ended);
        assert_eq!(store.0.load(Ordering::SeqCst), 0);
        assert!(matches!(runtime().block_on(resolver.ask(digest, Lane::Unknown)), Ok(Resolved::Absent { .. })));
    }

    /// I12: between looking into the cache and boarding, a look-up may have landed.
    #[tokio::test]
    async fn who_comes_just_after_the_landing_asks_no_second_time() {
        let store = Arc::new(Empty::default());
        let limits = Limits::default();
        let resolver = Resolver::start(store.clone(), Arc::new(SystemClock), Conditions::default(), limits, true);
        let digest = Digest::Native([7; 27]);
        for _ in 0..3 {
            assert!(matches!(resolver.clone().ask(digest, Lane::Unknown).await, Ok(Resolved::Absent { .. })));
        }
        assert_eq!(store.0.load(Ordering::SeqCst), 1);
    }
}
