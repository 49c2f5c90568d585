//! The networks from which accounts signed in lately.
//!
//! Only a success adds to this memory: made-up accounts and wrong passwords never do. An account holds a few networks, so that
//! one account cannot push out the places of others.

use crate::domain::MonotonicTime;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a place is remembered after the last success there.
pub(super) const KNOWN_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How many networks an account has. One more takes the place of the oldest.
const NETWORKS: usize = 16;
/// How many accounts are remembered, which is 3 MB at most. One more takes the place of the one that was silent the longest.
const ACCOUNTS: usize = 10_000;

/// The networks from which accounts signed in lately, by keyed hashes of both.
#[derive(Default)]
pub(super) struct KnownPlaces(Mutex<HashMap<u64, Vec<Place>>>);

struct Place {
    network: u64,
    last: MonotonicTime,
}

impl KnownPlaces {
    /// Returns whether this account signed in from this network lately.
    pub(super) fn contains(&self, account: u64, network: u64, now: MonotonicTime) -> bool {
        let accounts = self.lock();
        accounts.get(&account).is_some_and(|places| places.iter().any(|p| p.network == network && p.lasts(now)))
    }

    /// Remembers a success at `last`.
    pub(super) fn insert(&self, account: u64, network: u64, last: MonotonicTime) {
        let mut accounts = self.lock();
        if accounts.len() >= ACCOUNTS && !accounts.contains_key(&account) {
            let latest = |places: &Vec<Place>| places.iter().map(|p| p.last).max();
            let oldest = accounts.iter().min_by_key(|(_, places)| latest(places)).map(|(account, _)| *account);
            oldest.map(|oldest| accounts.remove(&oldest));
        }
        let places = accounts.entry(account).or_default();
        if let Some(place) = places.iter_mut().find(|place| place.network == network) {
            place.last = place.last.max(last);
            return;
        }
        if places.len() >= NETWORKS {
            let oldest = (0..places.len()).min_by_key(|at| places[*at].last);
            oldest.map(|oldest| places.swap_remove(oldest));
        }
        places.push(Place { network, last });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Vec<Place>>> {
        // Nothing in here panics half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    fn lasts(&self, now: MonotonicTime) -> bool {
        now < self.last.plus(KNOWN_FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 60 * 60 * 1_000_000_000;

    #[test]
    fn a_place_is_known_for_thirty_days_after_the_last_success() {
        let known = KnownPlaces::default();
        known.insert(1, 7, MonotonicTime(0));
        assert!(known.contains(1, 7, MonotonicTime(30 * DAY - 1)) && !known.contains(1, 7, MonotonicTime(30 * DAY)));
        assert!(
            !known.contains(1, 8, MonotonicTime(0)) && !known.contains(2, 7, MonotonicTime(0)),
            "of this account and network only"
        );
        known.insert(1, 7, MonotonicTime(20 * DAY));
        known.insert(1, 7, MonotonicTime(10 * DAY));
        assert!(known.contains(1, 7, MonotonicTime(50 * DAY - 1)), "the latest counts");
    }

    #[test]
    fn an_account_with_many_networks_forgets_its_own_oldest() {
        let known = KnownPlaces::default();
        known.insert(2, 0, MonotonicTime(0));
        for network in 0..100_000 {
            known.insert(1, network, MonotonicTime(network + 1));
        }
        let now = MonotonicTime(200_000);
        assert!((99_984..100_000).all(|network| known.contains(1, network, now)));
        assert!(!known.contains(1, 99_983, now) && known.contains(2, 0, now), "those of others stay");
        assert_eq!(known.lock().values().map(Vec::capacity).max(), Some(NETWORKS));
    }

    #[test]
    fn memory_is_bounded_with_any_number_of_accounts() {
        let known = KnownPlaces::default();
        for account in 0..12_000 {
            known.insert(account, 0, MonotonicTime(account));
        }
        assert_eq!(known.lock().len(), ACCOUNTS);
        let now = MonotonicTime(12_000);
        assert!(!known.contains(1_999, 0, now) && (2_000..12_000).all(|account| known.contains(account, 0, now)));
    }
}
