//! The rate limit on password guesses.
//!
//! Where an account signed in recently, only its failures at that network count: strangers elsewhere cannot lock the owner out, see
//! [`KnownNetworks`]. Wrong guesses from the same network can.
//!
//! Elsewhere failures count for each account at each network, for each account, and for each network. The account is the e-mail address
//! that was typed, whether it exists or not.
//!
//! Failures are counted in a [`Sketch`], which drops no count early. A client is rejected because of others only if all three of
//! its cells are full by chance. A machine has time to hash about 5 000 guesses in five minutes; then that probability is below
//! 10^-12.

use super::known_networks::KnownNetworks;
use super::password_queue::Lane;
use crate::domain::{CellWindows, Clock, MonotonicTime, Sketch, comparable, network};
use crate::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(5 * 60);
/// The most failures of an account at a network, within a window that begins with the first of them.
const OF_PAIR: u32 = 5;
/// The most failures of an account, or at a network.
const OF_ONE: u32 = 50;

const PAIR_BITS: u32 = 16;
const ONE_BITS: u32 = 14;
/// The most bytes of input whose comparable form is computed: a stored e-mail address has at most 254.
const LONGEST: usize = 1_024;

/// The rate limit on password guesses.
pub(super) struct Throttle {
    clock: Arc<dyn Clock>,
    /// Secret, so that no client can choose the accounts that it shares cells with.
    key: RandomState,
    tables: Mutex<[Sketch; 3]>,
    known: KnownNetworks,
}

/// A guess. It counts as a failure before its outcome is known, so that simultaneous guesses cannot exceed the limit.
///
/// If it is dropped, it stays counted once its password is being checked; a client that disconnects earlier has guessed nothing.
#[must_use]
pub(super) struct Guess<'t> {
    throttle: &'t Throttle,
    lane: Lane,
    /// The account, and the network if the address is known, as keyed hashes.
    account: u64,
    network: Option<u64>,
    counted: [Option<(u64, CellWindows)>; 3],
    is_checking: bool,
}

impl Throttle {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let table = |limit, bits| Sketch::new(limit, WINDOW, bits);
        let tables = [table(OF_PAIR, PAIR_BITS), table(OF_ONE, ONE_BITS), table(OF_ONE, ONE_BITS)];
        Self { clock, key: RandomState::new(), tables: Mutex::new(tables), known: KnownNetworks::default() }
    }

    /// Counts a guess at the password of `account` by a client at `address`.
    ///
    /// # Errors
    /// The time to wait, if a limit is exceeded.
    pub(super) fn reserve(&self, account: &str, address: Option<IpAddr>) -> Result<Guess<'_>, Duration> {
        let (account, network) = (self.account(account), address.map(|address| self.network(address)));
        let pair = Some(self.key.hash_one((0_u8, account, network)));
        let known = network.is_some_and(|network| self.known.contains(account, network, self.clock.moment()));
        if known {
            return self.count(account, network, Lane::Known { account, network }, [pair, None, None]);
        }
        let one = Some(self.key.hash_one((1_u8, account)));
        // Without an address no network is counted.
        let of_network = network.map(|network| self.key.hash_one((2_u8, network)));
        self.count(account, network, Lane::Stranger(network), [pair, one, of_network])
    }

    /// Counts a guess by a session of the account. Guesses by strangers do not count against it. Guesses by sessions do, at any network,
    /// so that a stolen session guesses no more often than a stranger.
    ///
    /// # Errors
    /// The time to wait, if a limit is exceeded.
    pub(super) fn reserve_in_session(&self, account: &str, address: Option<IpAddr>) -> Result<Guess<'_>, Duration> {
        let (account, network) = (self.account(account), address.map(|address| self.network(address)));
        let pair = Some(self.key.hash_one((0_u8, account, network)));
        let one = Some(self.key.hash_one((3_u8, account)));
        self.count(account, network, Lane::Known { account, network }, [pair, one, None])
    }

    /// Notes that the owner of `account` signed in from `address` at this moment.
    pub(super) fn remember(&self, account: &str, address: IpAddr, at: MonotonicTime) {
        self.known.insert(self.account(account), self.network(address), at);
    }

    fn count(
        &self,
        account: u64,
        network: Option<u64>,
        lane: Lane,
        keys: [Option<u64>; 3],
    ) -> Result<Guess<'_>, Duration> {
        let now = self.clock.moment();
        let mut tables = self.lock();
        let each = || keys.iter().enumerate().filter_map(|(i, key)| key.map(|key| (i, key)));
        if let Some(wait) = each().filter_map(|(i, key)| tables[i].wait(key, now)).max() {
            return Err(wait);
        }
        let mut counted = [None; 3];
        for (i, key) in each() {
            counted[i] = Some((key, tables[i].add(key, now)));
        }
        Ok(Guess { throttle: self, lane, account, network, counted, is_checking: false })
    }

    /// Returns the keyed hash of an account.
    pub(super) fn account(&self, email: &str) -> u64 {
        // No e-mail address is longer: its comparable form is not worth the time.
        match email.trim() {
            long if long.len() > LONGEST => self.key.hash_one("longer than any address"),
            email => self.key.hash_one(comparable(email)),
        }
    }

    fn network(&self, address: IpAddr) -> u64 {
        self.key.hash_one((4_u8, network(address)))
    }

    fn lock(&self) -> MutexGuard<'_, [Sketch; 3]> {
        // Poisoning is ignored: no code panics while it changes the value.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guess<'_> {
    /// Returns the lane in which the password is checked.
    pub(super) fn lane(&self) -> Lane {
        self.lane
    }

    /// Notes that the password is being checked: from now on the guess counts even if it is dropped.
    pub(super) fn begin_check(&mut self) {
        self.is_checking = true;
    }

    /// Uncounts the guess, as the password was not checked.
    pub(super) fn refund(mut self) {
        self.uncount();
    }

    fn uncount(&mut self) {
        let mut tables = self.throttle.lock();
        let counted = std::mem::take(&mut self.counted);
        for (table, (key, since)) in tables.iter_mut().zip(counted).filter_map(|(t, c)| Some((t, c?))) {
            table.subtract(key, &since, 1);
        }
    }

    /// Uncounts the guess, and earlier failures of this account at this network; the password was right. From now on the account is known
    /// at this network.
    ///
    /// The failures of the account and of the network stay: a client could sign in to an account of its own to reset them.
    pub(super) fn succeed(self) {
        if let Some(network) = self.network {
            self.throttle.known.insert(self.account, network, self.throttle.clock.moment());
        }
        if let Some((key, since)) = self.counted[0] {
            let mut tables = self.throttle.lock();
            let all = tables[0].count(key, self.throttle.clock.moment());
            // One stays, which `refund` uncounts.
            tables[0].subtract(key, &since, all.saturating_sub(1));
        }
        self.refund();
    }
}

impl Drop for Guess<'_> {
    fn drop(&mut self) {
        if !self.is_checking {
            self.uncount();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{MonotonicTime, Timestamp};
    use std::sync::atomic::{AtomicU64, Ordering};

    #[derive(Default)]
    struct ManualClock(AtomicU64);

    impl Clock for ManualClock {
        fn now(&self) -> Timestamp {
            Timestamp(0)
        }
        fn moment(&self) -> MonotonicTime {
            MonotonicTime(self.0.load(Ordering::SeqCst))
        }
    }

    fn throttle() -> (Throttle, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::default());
        (Throttle::new(clock.clone()), clock)
    }

    fn ip(n: u32) -> Option<IpAddr> {
        Some(std::net::Ipv4Addr::from_bits(0x0A00_0000 + n).into())
    }

    fn fail(throttle: &Throttle, account: &str, address: Option<IpAddr>) -> bool {
        throttle.reserve(account, address).map(|mut reserved| reserved.begin_check()).is_ok()
    }

    #[test]
    fn account_has_five_failures_at_a_network() {
        let (throttle, clock) = throttle();
        assert!((0..5).all(|_| fail(&throttle, "ada@x", ip(1))));
        assert_eq!(throttle.reserve(" ADA@x ", ip(1)).err(), Some(WINDOW));
        assert!(fail(&throttle, "ada@x", ip(2)) && fail(&throttle, "bob@x", ip(1)), "others are not limited");
        clock.0.store(299_000_000_000, Ordering::SeqCst);
        assert_eq!(throttle.reserve("ada@x", ip(1)).err(), Some(Duration::from_secs(1)));
        clock.0.store(300_000_000_000, Ordering::SeqCst);
        assert!(fail(&throttle, "ada@x", ip(1)));
    }

    #[test]
    fn account_and_network_have_fifty_failures_each() {
        let (throttle, _) = throttle();
        assert!((0..50).all(|n| fail(&throttle, "ada@x", ip(n))));
        assert!(!fail(&throttle, "ada@x", ip(99)) && fail(&throttle, "bob@x", ip(99)));
        let (throttle, _) = self::throttle();
        let v6 = |n: u16| Some(IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, n, 1]));
        assert!((0..50).all(|n| fail(&throttle, &format!("{n}@x"), v6(n))));
        assert!(!fail(&throttle, "ada@x", v6(99)) && fail(&throttle, "ada@x", ip(1)));
        assert!(
            (0..60).all(|n| fail(&throttle, &format!("none{n}@x"), None)),
            "guesses without an address have no network"
        );
    }

    #[test]
    fn success_clears_the_failures_of_its_pair_only() {
        let (throttle, _) = throttle();
        for n in 0..12 {
            assert!((0..4).all(|_| fail(&throttle, "ada@x", ip(n))));
            throttle.reserve("ada@x", ip(n)).ok().unwrap().succeed();
            assert!((0..4).all(|_| fail(&throttle, "ada@x", ip(n))), "the pair starts anew");
        }
        assert!((0..2).all(|_| fail(&throttle, "ada@x", ip(20))));
        assert!(!fail(&throttle, "ada@x", ip(21)), "failures of the account stay");
    }

    #[test]
    fn guesses_elsewhere_lock_no_owner_out_at_a_known_network() {
        let (throttle, clock) = throttle();
        throttle.reserve("ada@x", ip(1)).ok().unwrap().succeed();
        for n in 10..20 {
            assert!((0..5).all(|_| fail(&throttle, "ada@x", ip(n))));
        }
        assert!(!fail(&throttle, "ada@x", ip(2)), "an unknown network");
        throttle.reserve("ada@x", ip(1)).ok().unwrap().succeed();
        // Failures of other accounts at the same network do not count either.
        assert!((0..50).all(|n| fail(&throttle, &format!("{n}@x"), ip(1))));
        assert!(!fail(&throttle, "bob@x", ip(1)));
        assert!((0..5).all(|_| fail(&throttle, "ada@x", ip(1))));
        assert!(!fail(&throttle, "ada@x", ip(1)), "its own failures there count");
        clock.0.store(31 * 24 * 60 * 60 * 1_000_000_000, Ordering::SeqCst);
        assert_eq!(
            throttle.reserve("ada@x", ip(1)).ok().unwrap().lane,
            stranger(&throttle, 1),
            "a network is known for 30 days"
        );
    }

    fn stranger(throttle: &Throttle, n: u32) -> Lane {
        Lane::Stranger(ip(n).map(|address| throttle.network(address)))
    }

    #[test]
    fn only_a_success_makes_a_network_known() {
        let (throttle, _) = throttle();
        assert!((0..4).all(|_| fail(&throttle, "ada@x", ip(1))));
        throttle.reserve("ada@x", ip(1)).ok().unwrap().refund();
        throttle.reserve("eve@x", ip(1)).ok().unwrap().succeed();
        throttle.reserve("ada@x", ip(2)).ok().unwrap().succeed();
        throttle.reserve("ada@x", None).ok().unwrap().succeed();
        let lane = |account, address| throttle.reserve(account, address).ok().unwrap().lane();
        assert_eq!(lane("ada@x", ip(1)), stranger(&throttle, 1), "a success counts for its own account only");
        assert_eq!(lane("ada@x", None), Lane::Stranger(None), "no address makes no network known");
        let known = Lane::Known { account: throttle.account("ada@x"), network: ip(2).map(|a| throttle.network(a)) };
        assert_eq!(lane(" ADA@x", ip(2)), known);
    }

    #[test]
    fn session_guesses_no_more_often_than_a_stranger() {
        let (throttle, _) = throttle();
        assert!((0..50).all(|n| fail(&throttle, "ada@x", ip(n))));
        let guess = |n| throttle.reserve_in_session("ada@x", ip(n)).map(|mut reserved| reserved.begin_check()).is_ok();
        assert!((0..4).all(|_| guess(100)), "guesses of strangers do not count");
        assert!(guess(100) && !guess(100), "five at a network");
        assert!((101..146).all(guess));
        assert!(!guess(147), "fifty in all");
    }

    #[test]
    fn refunded_guesses_do_not_count() {
        let (throttle, _) = throttle();
        for _ in 0..200 {
            throttle.reserve("ada@x", ip(1)).ok().unwrap().refund();
        }
        let held: Vec<_> = (0..5).map(|_| throttle.reserve("ada@x", ip(1)).ok().unwrap()).collect();
        assert!(!fail(&throttle, "ada@x", ip(1)), "simultaneous guesses count");
        held.into_iter().for_each(Guess::refund);
        assert!(fail(&throttle, "ada@x", ip(1)));
    }

    #[test]
    fn made_up_accounts_evict_no_counts() {
        let (throttle, _) = throttle();
        assert!((0..5).all(|_| fail(&throttle, "ada@x", ip(0))));
        for n in 0..20_000 {
            fail(&throttle, &format!("{n}@x"), ip(n));
        }
        assert!(!fail(&throttle, "ada@x", ip(0)));
        assert!(fail(&throttle, "new@x", ip(1 << 20)), "they do not reject others");
    }

    #[test]
    fn client_that_hangs_up_before_its_turn_is_not_counted() {
        let (throttle, _) = throttle();
        for n in 0..1_000 {
            drop(throttle.reserve("ada@x", ip(n)).ok().unwrap());
        }
        assert!((0..5).all(|_| fail(&throttle, "ada@x", ip(1))) && !fail(&throttle, "ada@x", ip(1)));
    }

    #[test]
    fn long_texts_share_one_account() {
        let (throttle, _) = throttle();
        let long = |first: char| format!("{first}{}@x", "\u{fdfa}".repeat(5_000));
        assert_eq!(throttle.account(&long('a')), throttle.account(&long('b')));
        assert_ne!(throttle.account("a@x"), throttle.account("b@x"));
    }
}
