//! The queue for hashing passwords.
//!
//! A few hashes run at a time. A client holds a place while it waits and while its hash runs. Each of the two lanes has its own
//! places, so that strangers cannot take those of known clients:
//!
//! | lane | clients | places per running hash | limit |
//! | --- | --- | --- | --- |
//! | known | an account at a network where it signed in recently; a signed-in person | 17 | 5 per account |
//! | | a client that sets a new password with a session or an invitation | | half of the places |
//! | stranger | all others, and known clients without a place in their lane | 17 | a quarter of the places per network |
//!
//! Only one stranger at a time waits for a running hash to end, behind all known clients that wait already. So a known client waits
//! for one stranger at most, and neither lane starves the other.

use super::ServiceError;
use crate::domain::{Clock, LogLimit};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The number of clients that may wait for each running hash, in each lane.
const QUEUE: usize = 16;
/// The longest wait for a hash.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most places of an account: as many as it has guesses at an address.
const OF_ACCOUNT: usize = 5;

/// The lane in which a client waits. Accounts and networks are keyed hashes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lane {
    Known { account: u64, network: Option<u64> },
    NewPassword,
    Stranger(Option<u64>),
}

pub(super) struct PasswordQueue {
    clock: Arc<dyn Clock>,
    /// The number of places of each lane.
    size: usize,
    places: Arc<Mutex<Places>>,
    next_stranger: Semaphore,
    running: Arc<Semaphore>,
    busy: AtomicU64,
    lines: LogLimit,
}

#[derive(Default)]
struct Places {
    known: usize,
    strangers: usize,
    /// The places of each key. A key without a place has no entry.
    by_key: HashMap<Key, usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Account(u64),
    NewPassword,
    Network(u64),
    NoNetwork,
}

/// A place in a lane, until it is dropped.
#[must_use]
pub(super) struct Place {
    places: Arc<Mutex<Places>>,
    key: Key,
}

/// The permission to hash now. It belongs to the work, not to the client: a client that disconnects frees no place before its hash
/// ends.
#[must_use]
pub(super) struct Turn {
    // Fields are dropped in order: the place is free before the next hash may run.
    _place: Place,
    _permit: OwnedSemaphorePermit,
}

impl PasswordQueue {
    /// Creates a queue for `at_once` running hashes.
    pub(super) fn new(at_once: usize, clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            size: at_once * (1 + QUEUE),
            places: Arc::default(),
            next_stranger: Semaphore::new(1),
            running: Arc::new(Semaphore::new(at_once)),
            busy: AtomicU64::new(0),
            lines: LogLimit::new(),
        }
    }

    /// Takes a place, if there is one.
    ///
    /// # Errors
    /// [`Busy`](ServiceError::Busy) if there is none.
    pub(super) fn place(&self, lane: Lane) -> Result<Place, ServiceError> {
        let mut places = lock(&self.places);
        let key = match lane {
            Lane::Known { account, network } => self
                .key_with_place(&places, Key::Account(account), OF_ACCOUNT)
                .or_else(|| self.key_with_place(&places, stranger(network), self.size / 4)),
            Lane::NewPassword => self
                .key_with_place(&places, Key::NewPassword, self.size / 2)
                .or_else(|| self.key_with_place(&places, Key::NoNetwork, self.size)),
            Lane::Stranger(network) => self.key_with_place(&places, stranger(network), self.size / 4),
        };
        let Some(key) = key else {
            drop(places);
            return Err(self.reject_busy());
        };
        *places.lane(key) += 1;
        *places.by_key.entry(key).or_default() += 1;
        Ok(Place { places: self.places.clone(), key })
    }

    /// Returns this key, if its lane has a free place and it has fewer than `most`.
    fn key_with_place(&self, places: &Places, key: Key, most: usize) -> Option<Key> {
        // Clients without an address share one key, so the limit of a network does not apply.
        let most = if key == Key::NoNetwork { self.size } else { most };
        let all = if key.is_known() { places.known } else { places.strangers };
        let taken = places.by_key.get(&key).copied().unwrap_or_default();
        (all < self.size && taken < most).then_some(key)
    }

    /// Waits until the hash of the client with this place may run.
    ///
    /// # Errors
    /// [`Busy`](ServiceError::Busy) if that takes too long.
    pub(super) async fn turn(&self, place: Place) -> Result<Turn, ServiceError> {
        let turn = async {
            let next = if place.key.is_known() { None } else { Some(self.next_stranger.acquire().await) };
            let permit = self.running.clone().acquire_owned().await;
            drop(next);
            permit
        };
        match tokio::time::timeout(PATIENCE, turn).await {
            Ok(Ok(permit)) => Ok(Turn { _place: place, _permit: permit }),
            _ => Err(self.reject_busy()),
        }
    }

    /// Counts a client that is answered 503, and returns [`ServiceError::Busy`]. The log has one line for many of them.
    pub(super) fn reject_busy(&self) -> ServiceError {
        self.busy.fetch_add(1, Ordering::Relaxed);
        #[cfg(feature = "metrics")]
        metrics::counter!("keyward_sign_ins_busy_total").increment(1);
        if let Some(count) = self.lines.count(self.clock.moment()) {
            tracing::warn!(count, "too many sign-ins at once: answered 503");
        }
        ServiceError::Busy
    }

    /// Returns the number of clients that were answered [`ServiceError::Busy`].
    pub(super) fn busy_count(&self) -> u64 {
        self.busy.load(Ordering::Relaxed)
    }
}

fn stranger(network: Option<u64>) -> Key {
    network.map_or(Key::NoNetwork, Key::Network)
}

fn lock(places: &Mutex<Places>) -> MutexGuard<'_, Places> {
    // Poisoning is ignored: no code panics while it changes the counts.
    places.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Key {
    fn is_known(self) -> bool {
        matches!(self, Self::Account(_) | Self::NewPassword)
    }
}

impl Places {
    fn lane(&mut self, key: Key) -> &mut usize {
        if key.is_known() { &mut self.known } else { &mut self.strangers }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = lock(&self.places);
        let lane = places.lane(self.key);
        *lane = lane.saturating_sub(1);
        if let Some(taken) = places.by_key.get_mut(&self.key) {
            *taken = taken.saturating_sub(1);
            if *taken == 0 {
                places.by_key.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SystemClock;
    use futures_util::FutureExt;

    fn queue(at_once: usize) -> PasswordQueue {
        PasswordQueue::new(at_once, Arc::new(SystemClock))
    }

    fn fill(queue: &PasswordQueue, lanes: impl IntoIterator<Item = Lane>) -> Vec<Place> {
        lanes.into_iter().map_while(|lane| queue.place(lane).ok()).collect()
    }

    fn known(account: u64) -> Lane {
        Lane::Known { account, network: Some(1) }
    }

    #[test]
    fn strangers_fill_the_places_of_their_own_lane_only() {
        let queue = queue(2);
        let strangers = fill(&queue, (0..64).map(|network| Lane::Stranger(Some(network))));
        assert_eq!(strangers.len(), 34);
        assert!(matches!(queue.place(Lane::Stranger(Some(99))), Err(ServiceError::Busy)));
        let others = fill(&queue, (0..64).map(known));
        assert_eq!(others.len(), 34, "the other lane is free");
        drop((strangers, others));
        assert!(lock(&queue.places).by_key.is_empty(), "a freed place leaves no entry");
        assert_eq!(fill(&queue, (0..64).map(|_| Lane::Stranger(None))).len(), 34);
    }

    #[test]
    fn network_has_a_quarter_of_the_strangers_places() {
        let queue = queue(2);
        let flood = fill(&queue, (0..64).map(|_| Lane::Stranger(Some(7))));
        assert_eq!(flood.len(), 8);
        assert!(queue.place(Lane::Stranger(Some(8))).is_ok());
        assert_eq!(queue.busy_count(), 1);
    }

    #[test]
    fn account_has_few_known_places_and_then_waits_with_strangers() {
        let queue = queue(2);
        let one = fill(&queue, (0..64).map(|_| known(1)));
        assert_eq!(one.iter().filter(|place| place.key.is_known()).count(), OF_ACCOUNT);
        assert_eq!(one.len(), OF_ACCOUNT + 8, "as a stranger at its network");
        assert!(queue.place(known(2)).is_ok_and(|place| place.key.is_known()));
        let set = fill(&queue, (0..17).map(|_| Lane::NewPassword));
        assert!(set.iter().all(|place| place.key.is_known()));
        assert!(queue.place(Lane::NewPassword).is_ok_and(|place| !place.key.is_known()));
        assert!(
            queue.place(known(2)).is_ok_and(|place| place.key.is_known()),
            "new passwords leave places to known accounts"
        );
    }

    #[tokio::test]
    async fn known_client_waits_for_one_stranger_at_most() {
        let queue = queue(1);
        let running = queue.turn(queue.place(Lane::Stranger(Some(0))).unwrap()).await.unwrap();
        let mut strangers: Vec<_> =
            (1..=10).map(|n| Box::pin(queue.turn(queue.place(Lane::Stranger(Some(n))).unwrap()))).collect();
        strangers.iter_mut().for_each(|turn| assert!(turn.now_or_never().is_none()));
        let mut known: Vec<_> = (0..3).map(|n| Box::pin(queue.turn(queue.place(known(n)).unwrap()))).collect();
        known.iter_mut().for_each(|turn| assert!(turn.now_or_never().is_none()));
        drop(running);
        let first = strangers.remove(0).now_or_never().expect("queued before").unwrap();
        assert!(strangers[0].as_mut().now_or_never().is_none(), "one at a time");
        drop(first);
        for turn in known {
            assert!(strangers[0].as_mut().now_or_never().is_none());
            drop(turn.now_or_never().expect("before the next stranger").unwrap());
        }
        for turn in strangers {
            drop(turn.now_or_never().expect("after the known clients").unwrap());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn wait_ends_with_busy() {
        let queue = queue(1);
        let held = queue.turn(queue.place(known(1)).unwrap()).await.unwrap();
        for lane in [known(2), Lane::NewPassword, Lane::Stranger(None)] {
            assert!(matches!(queue.turn(queue.place(lane).unwrap()).await, Err(ServiceError::Busy)));
        }
        assert_eq!(queue.busy_count(), 3);
        drop(held);
        assert!(queue.turn(queue.place(Lane::Stranger(None)).unwrap()).await.is_ok());
    }
}
