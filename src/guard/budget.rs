//! How much failing an address is allowed.
//!
//! A secret that passes the offline check, or is of the reference's format, which has none, costs a read of the store to be
//! refused. The budget makes a flood of these the flood's own problem, and keeps two promises:
//!
//! **A valid token is never refused because of it.** Only the store can tell a valid token that is not in the cache from one that
//! is nobody's. So an address over its budget is not turned away: its look-ups go on, and only what turns out to be invalid is
//! answered 429 instead of 401. A token in the cache does not come near the budget at all, and one that was found is in the cache
//! from then on.
//!
//! **The flood takes no turns from others.** From then on look-ups for that address wait aside (`resolve::lanes`): of one network
//! one at a time, of all such networks an eighth of the turns, first come, first served. An address within its budget, or a token that
//! is known, never waits behind them. Where the flood fills the queue of its own address, a valid token that is new there may find no turn
//! in time: that is 503 with `Retry-After`, as for everybody who finds none, for it says nothing of the token.
//!
//! To answer 429 *before* the look-up would break the first promise; to look up in the ordinary lane and answer 429 after it, the
//! second.
//!
//! What counts is a look-up that this request caused or waited for and that found nobody. What the offline check refuses costs
//! nothing and counts nothing, neither does what is remembered as absent. But *all* invalid credentials of an address over its
//! budget are answered 429, also those: else the status would tell a secret that was revoked from one that was made up (law I9). A
//! request is sent aside if the budget was spent when it came, so of many at once more than the budget may be on their way:
//! at most for the time that one waits for a turn.
//!
//! Counters are cells of a sketch, 3 MiB for all, with keyed hashes: nobody can choose whom to share cells with, none is ever
//! forgotten early to make room, and an address over its budget counts no further, so that one network adds its budget to three cells
//! and no more. Whoever has very many networks can fill cells of others; what these lose is an ordinary lane for tokens they
//! have not used yet, and 401 for 429.

use super::rejection::RETRY_LATER;
use crate::domain::{MonotonicTime, Sketch, network};
use crate::resolve::Lane;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many refusals an address may cause that cost a read of the store, within a window of time that begins with the first.
///
/// Past it, its invalid credentials are answered 429 with `Retry-After` instead of 401, and its look-ups wait behind those of everybody
/// else. Valid tokens are let in as before. Off unless you say so; IPv6 is counted by /64.
///
/// The address is the peer's, or the one that [trusted proxies](crate::Builder::trusted_proxies) name. Behind a proxy that is not
/// trusted, everybody is one address. Where the server does not say who the peer is, nothing is counted:
/// [`GateService::into_make_service`](crate::guard::GateService::into_make_service) makes axum say it.
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
    /// So many failures within so much time.
    pub fn new(failures: u32, window: Duration) -> Self {
        Self { failures, window }
    }
}

/// Counts failures of addresses.
pub(super) struct Budget {
    /// Nobody outside knows it.
    key: RandomState,
    sketch: Mutex<Sketch>,
}

impl Budget {
    pub(super) fn new(budget: FailureBudget) -> Self {
        // The one after the last that is allowed spends it.
        let sketch = Sketch::new(budget.failures.saturating_add(1), budget.window, 16);
        Self { key: RandomState::new(), sketch: Mutex::new(sketch) }
    }

    /// Where look-ups for this address wait.
    pub(super) fn lane(&self, address: IpAddr, now: MonotonicTime) -> Lane {
        let key = self.key_of(address);
        // The sketch uses the other bits.
        self.lock().wait(key, now).map_or(Lane::Unknown, |_| Lane::OverBudget(key >> 48))
    }

    /// Counts a failure.
    pub(super) fn count(&self, address: IpAddr, now: MonotonicTime) {
        let (key, mut sketch) = (self.key_of(address), self.lock());
        if sketch.wait(key, now).is_none() {
            sketch.add(key, now);
        }
    }

    /// How long until there is a budget again, if it is spent.
    pub(super) fn spent(&self, address: IpAddr, now: MonotonicTime) -> Option<Duration> {
        self.lock().wait(self.key_of(address), now).map(|wait| wait.max(RETRY_LATER))
    }

    fn key_of(&self, address: IpAddr) -> u64 {
        self.key.hash_one(network(address))
    }

    fn lock(&self) -> MutexGuard<'_, Sketch> {
        // Nothing in here panics half-way through a change.
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
    fn thirty_are_allowed_and_the_next_spends_it_until_the_window_ends() {
        let budget = budget();
        let at = |seconds| MonotonicTime(0).plus(Duration::from_secs(seconds));
        (0..30).for_each(|_| budget.count(v4(1), at(10)));
        assert_eq!((budget.spent(v4(1), at(10)), budget.lane(v4(1), at(10))), (None, Lane::Unknown));
        budget.count(v4(1), at(100));
        assert_eq!(budget.spent(v4(1), at(100)), Some(Duration::from_secs(90)), "the window began with the first");
        assert!(matches!(budget.lane(v4(1), at(189)), Lane::OverBudget(_)));
        assert_eq!(budget.spent(v4(2), at(100)), None);
        assert_eq!(budget.spent(v4(1), at(190)), None);
    }

    #[test]
    fn a_network_of_ipv6_is_one_address_and_mapped_ipv4_is_ipv4() {
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
    fn others_neither_reset_a_counter_nor_are_charged_for_it() {
        let budget = budget();
        (0..10_000).for_each(|_| budget.count(v4(0), MonotonicTime(0)));
        for n in 1..1_000 {
            (0..31).for_each(|_| budget.count(v4(n), MonotonicTime(0)));
        }
        assert!(budget.spent(v4(0), MonotonicTime(0)).is_some());
        let charged = (1_000..11_000).filter(|n| budget.spent(v4(*n), MonotonicTime(0)).is_some()).count();
        assert!(charged <= 1, "{charged} of 10 000 would be one in a thousand");
    }
}
