//! The per-address limit on invalid credentials that cost a store read.
//!
//! A secret that passes the offline check costs a store read before it is rejected. So does a secret in Strapi's or a
//! legacy format, which have no offline check. The budget limits the effect of a flood of such secrets, and keeps two promises:
//!
//! **A valid token is never rejected because of the budget.** Only the store can tell a valid token that is not cached
//! from an invalid one. So look-ups for an address over its budget go on, and only invalid credentials get 429 instead
//! of 401. A cached token never consults the budget, and a token that was found is cached from then on.
//!
//! **A flood takes no turns from other addresses.** Look-ups for an address over its budget wait in a lane of their own
//! (`resolve::lanes`): one at a time for a network, an eighth of the turns for all such networks, in order of arrival.
//! Look-ups for other addresses and for known tokens never wait behind them. If a flood fills the queue of its own
//! address, a valid token that is new there may get no turn in time. The response is then 503 with `Retry-After`, as
//! for every request that gets no turn.
//!
//! A 429 *before* the look-up would break the first promise. A look-up in the ordinary lane, and 429 after it, would
//! break the second.
//!
//! A failure counts if the request caused or awaited a look-up that found no token. Secrets that fail the offline
//! check, or that are cached as absent, cost no read and do not count. But *all* invalid credentials of an address over
//! its budget get 429: otherwise the status would tell a revoked secret from a made-up one (invariant rejected-alike).
//! The lane is chosen when a request arrives. So if many requests arrive at once, more than the budget may use the
//! ordinary lane, at most for the time of one wait.
//!
//! Counters are cells of a sketch of 3 MiB with keyed hashes. A client cannot choose the addresses that share its
//! cells. No counter is forgotten early to make room. An address over its budget is not counted further, so a network
//! adds at most its budget to three cells. A client with very many networks can fill the cells of other addresses:
//! these lose the ordinary lane for tokens that they have not used yet, and get 429 for 401.

use super::rejection::RETRY_LATER;
use crate::domain::{MonotonicTime, Sketch, network};
use crate::resolve::Lane;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The number of rejections with a store read that an address may cause, within a window of time that begins with the
/// first.
///
/// Past it, the address gets 429 with `Retry-After` instead of 401 for invalid credentials, and its look-ups wait
/// behind those of other addresses. Valid tokens are admitted as before. There is no budget by default. IPv6 is counted
/// by /64.
///
/// The address is the peer's, or the one that [trusted proxies](crate::Builder::trusted_proxies) name. Behind a proxy
/// that is not trusted, all clients are one address. Without the peer's address nothing is counted:
/// [`GateService::into_make_service`](crate::guard::GateService::into_make_service) makes axum provide it.
///
/// ```
/// # tokio_test::block_on(async {
/// use keyward::guard::FailureBudget;
/// use keyward::{HashKey, Keyward, MemoryStore};
/// use std::time::Duration;
/// let (hash_key, _) = HashKey::generate()?;
/// let keyward = Keyward::builder(MemoryStore::default())
///     .hash_key(hash_key)
///     .admin("/admin")
///     .failure_budget(FailureBudget::new(30, Duration::from_secs(180)))
///     .build()?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FailureBudget {
    failures: u32,
    window: Duration,
}

impl FailureBudget {
    /// Allows this number of failures within this window.
    pub fn new(failures: u32, window: Duration) -> Self {
        Self { failures, window }
    }
}

/// The failures of all addresses.
pub(super) struct Budget {
    /// Secret, so that clients cannot choose cells.
    key: RandomState,
    sketch: Mutex<Sketch>,
}

impl Budget {
    pub(super) fn new(budget: FailureBudget) -> Self {
        // The failure after the last allowed one spends the budget.
        let sketch = Sketch::new(budget.failures.saturating_add(1), budget.window, 16);
        Self { key: RandomState::new(), sketch: Mutex::new(sketch) }
    }

    /// Returns the lane in which look-ups for this address wait.
    pub(super) fn lane(&self, address: IpAddr, now: MonotonicTime) -> Lane {
        let key = self.key_of(address);
        // The sketch uses the lower bits.
        self.lock().wait(key, now).map_or(Lane::Unknown, |_| Lane::OverBudget(key >> 48))
    }

    /// Counts a failure of this address.
    pub(super) fn count(&self, address: IpAddr, now: MonotonicTime) {
        let (key, mut sketch) = (self.key_of(address), self.lock());
        if sketch.wait(key, now).is_none() {
            sketch.add(key, now);
        }
    }

    /// Returns the time until the address has a budget again, if it is spent.
    pub(super) fn spent(&self, address: IpAddr, now: MonotonicTime) -> Option<Duration> {
        self.lock().wait(self.key_of(address), now).map(|wait| wait.max(RETRY_LATER))
    }

    fn key_of(&self, address: IpAddr) -> u64 {
        self.key.hash_one(network(address))
    }

    fn lock(&self) -> MutexGuard<'_, Sketch> {
        // No change can panic half-way.
        self.sketch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(180);

    fn budget() -> Budget {
        Budget::new(FailureBudget::new(30, WINDOW))
    }

    fn v4(n: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(0x0A00_0000 + n).into()
    }

    #[test]
    fn the_failure_after_the_budget_spends_it_until_the_window_ends() {
        let budget = budget();
        let at = |seconds| MonotonicTime(0).plus(Duration::from_secs(seconds));
        (0..30).for_each(|_| budget.count(v4(1), at(10)));
        assert_eq!((budget.spent(v4(1), at(10)), budget.lane(v4(1), at(10))), (None, Lane::Unknown));
        budget.count(v4(1), at(100));
        assert_eq!(
            budget.spent(v4(1), at(100)),
            Some(Duration::from_secs(90)),
            "the window begins with the first failure"
        );
        assert!(matches!(budget.lane(v4(1), at(189)), Lane::OverBudget(_)));
        assert_eq!(budget.spent(v4(2), at(100)), None);
        assert_eq!(budget.spent(v4(1), at(190)), None);
    }

    #[test]
    fn ipv6_is_counted_by_network_and_mapped_ipv4_as_ipv4() {
        let budget = budget();
        let v6 = |net: u16, host: u16| IpAddr::from([0x2001, 0xdb8, 0, net, 0, 0, 0, host]);
        (0..31).for_each(|host| budget.count(v6(1, host), MonotonicTime(0)));
        assert!(
            budget.spent(v6(1, 99), MonotonicTime(0)).is_some() && budget.spent(v6(2, 0), MonotonicTime(0)).is_none()
        );
        let mapped = |n: u32| IpAddr::from(std::net::Ipv4Addr::from_bits(0x0A00_0000 + n).to_ipv6_mapped());
        (0..31).for_each(|_| budget.count(mapped(7), MonotonicTime(0)));
        assert!(budget.spent(v4(7), MonotonicTime(0)).is_some() && budget.spent(mapped(8), MonotonicTime(0)).is_none());
    }

    #[test]
    fn other_addresses_neither_reset_a_counter_nor_share_it() {
        let budget = budget();
        (0..10_000).for_each(|_| budget.count(v4(0), MonotonicTime(0)));
        for n in 1..1_000 {
            (0..31).for_each(|_| budget.count(v4(n), MonotonicTime(0)));
        }
        assert!(budget.spent(v4(0), MonotonicTime(0)).is_some());
        let charged = (1_000..11_000).filter(|n| budget.spent(v4(*n), MonotonicTime(0)).is_some()).count();
        assert!(charged <= 1, "{charged} of 10 000 are charged for other addresses");
    }
}
