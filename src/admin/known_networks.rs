//! The networks at which accounts signed in recently.
//!
//! Only a successful sign-in adds a network: made-up accounts and wrong passwords never do. An account has a few networks, so that
//! one account cannot evict those of others.

use crate::domain::MonotonicTime;
use crate::sync::{Mutex, MutexGuard, PoisonError};
use std::collections::HashMap;
use std::time::Duration;

/// How long a network is known after the last sign-in there.
pub(super) const KNOWN_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The most networks of an account. One more evicts the oldest.
const NETWORKS: usize = 16;
/// The most accounts, in 3 MB at most. One more evicts the one whose last sign-in is the oldest.
const ACCOUNTS: usize = 10_000;

/// The networks at which accounts signed in recently, by keyed hashes of both.
#[derive(Default)]
pub(super) struct KnownNetworks(Mutex<HashMap<u64, Vec<KnownNetwork>>>);

struct KnownNetwork {
    network: u64,
    last: MonotonicTime,
}

impl KnownNetworks {
    /// Returns whether this account recently signed in at this network.
    pub(super) fn contains(&self, account: u64, network: u64, now: MonotonicTime) -> bool {
        let accounts = self.lock();
        accounts.get(&account).is_some_and(|known| known.iter().any(|k| k.network == network && k.is_valid(now)))
    }

    /// Notes a sign-in at `last`.
    pub(super) fn insert(&self, account: u64, network: u64, last: MonotonicTime) {
        let mut accounts = self.lock();
        if accounts.len() >= ACCOUNTS && !accounts.contains_key(&account) {
            let latest = |known: &Vec<KnownNetwork>| known.iter().map(|k| k.last).max();
            let oldest = accounts.iter().min_by_key(|(_, known)| latest(known)).map(|(account, _)| *account);
            oldest.map(|oldest| accounts.remove(&oldest));
        }
        let networks = accounts.entry(account).or_default();
        if let Some(known) = networks.iter_mut().find(|known| known.network == network) {
            known.last = known.last.max(last);
            return;
        }
        if networks.len() >= NETWORKS {
            let oldest = (0..networks.len()).min_by_key(|at| networks[*at].last);
            oldest.map(|oldest| networks.swap_remove(oldest));
        }
        networks.push(KnownNetwork { network, last });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Vec<KnownNetwork>>> {
        // Poisoning is ignored: no code panics while it changes the value.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KnownNetwork {
    fn is_valid(&self, now: MonotonicTime) -> bool {
        now < self.last.plus(KNOWN_FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 60 * 60 * 1_000_000_000;

    #[test]
    fn network_is_known_for_thirty_days_after_the_last_sign_in() {
        let known = KnownNetworks::default();
        known.insert(1, 7, MonotonicTime(0));
        assert!(known.contains(1, 7, MonotonicTime(30 * DAY - 1)) && !known.contains(1, 7, MonotonicTime(30 * DAY)));
        assert!(
            !known.contains(1, 8, MonotonicTime(0)) && !known.contains(2, 7, MonotonicTime(0)),
            "of this account and network only"
        );
        known.insert(1, 7, MonotonicTime(20 * DAY));
        known.insert(1, 7, MonotonicTime(10 * DAY));
        assert!(known.contains(1, 7, MonotonicTime(50 * DAY - 1)), "the latest sign-in counts");
    }

    #[test]
    fn account_with_many_networks_evicts_its_own_oldest() {
        let known = KnownNetworks::default();
        known.insert(2, 0, MonotonicTime(0));
        for network in 0..100_000 {
            known.insert(1, network, MonotonicTime(network + 1));
        }
        let now = MonotonicTime(200_000);
        assert!((99_984..100_000).all(|network| known.contains(1, network, now)));
        assert!(!known.contains(1, 99_983, now) && known.contains(2, 0, now), "networks of others stay");
        assert_eq!(known.lock().values().map(Vec::capacity).max(), Some(NETWORKS));
    }

    #[test]
    fn memory_is_bounded_for_any_number_of_accounts() {
        let known = KnownNetworks::default();
        for account in 0..12_000 {
            known.insert(account, 0, MonotonicTime(account));
        }
        assert_eq!(known.lock().len(), ACCOUNTS);
        let now = MonotonicTime(12_000);
        assert!(!known.contains(1_999, 0, now) && (2_000..12_000).all(|account| known.contains(account, 0, now)));
    }
}
