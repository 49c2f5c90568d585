//! How often a client may guess a password.
//!
//! An account that signed in lately from a network is judged there by the failures of just this pair: strangers elsewhere cannot
//! lock its owner out, see [`KnownPlaces`]. A wrong guess from the same network still can.
//!
//! Elsewhere failures are counted for each account at each address, for each account, and for each address. An account is the e-mail
//! address that was typed, whether there is one or not: known and unknown ones are counted alike.
//!
//! They are counted in a [`Sketch`], which forgets nobody early. For somebody to be refused because of others, all three of
//! their cells have to be full by chance: with the 5 000 failed accounts in five minutes that a machine has time to hash, that
//! is less than one in a million million.

use super::known_places::KnownPlaces;
use super::password_queue::Lane;
use crate::domain::{CellWindows, Clock, MonotonicTime, Sketch, comparable, network};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(5 * 60);
/// Failures of one account at one address, within a window that begins with the first of them.
const OF_PAIR: u32 = 5;
/// Failures of one account, or at one address.
const OF_ONE: u32 = 50;

const PAIR_BITS: u32 = 16;
const ONE_BITS: u32 = 14;
/// In bytes, before folding: an address as it is kept has at most 254.
const LONGEST: usize = 1_024;

/// Counts failures.
pub(super) struct Throttle {
    clock: Arc<dyn Clock>,
    /// Nobody outside knows it, so nobody can choose whom to share cells with.
    key: RandomState,
    tables: Mutex<[Sketch; 3]>,
    known: KnownPlaces,
}

/// A guess that was counted as a failure before it is known to be one: guesses at the same time cannot exceed the limit. Dropped, it stays counted
/// if its password is being checked; a client that hangs up while it waits has guessed nothing.
#[must_use]
pub(super) struct Reserved<'t> {
    throttle: &'t Throttle,
    lane: Lane,
    /// The account, and the network if there is one, by keyed hashes.
    account: u64,
    network: Option<u64>,
    counted: [Option<(u64, CellWindows)>; 3],
    checking: bool,
}

impl Throttle {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let table = |limit, bits| Sketch::new(limit, WINDOW, bits);
        let tables = [table(OF_PAIR, PAIR_BITS), table(OF_ONE, ONE_BITS), table(OF_ONE, ONE_BITS)];
        Self { clock, key: RandomState::new(), tables: Mutex::new(tables), known: KnownPlaces::default() }
    }

    /// Counts a guess at the password of `account` by a client that wants to sign in from `address`, or says how long to wait.
    pub(super) fn reserve(&self, account: &str, address: Option<IpAddr>) -> Result<Reserved<'_>, Duration> {
        let (account, network) = (self.account(account), address.map(|address| self.network(address)));
        let pair = Some(self.key.hash_one((0_u8, account, network)));
        let known = network.is_some_and(|network| self.known.contains(account, network, self.clock.moment()));
        if known {
            return self.count(account, network, Lane::Known { account, network }, [pair, None, None]);
        }
        let one = Some(self.key.hash_one((1_u8, account)));
        // Without an address there is no network to count at.
        let other = network.map(|network| self.key.hash_one((2_u8, network)));
        self.count(account, network, Lane::Stranger(network), [pair, one, other])
    }

    /// The same for a person whose session was let in: guesses by strangers do not count against them. Guesses by sessions of the
    /// account do, wherever they are used, so that a stolen one guesses no more often than a stranger.
    pub(super) fn reserve_in_session(&self, account: &str, address: Option<IpAddr>) -> Result<Reserved<'_>, Duration> {
        let (account, network) = (self.account(account), address.map(|address| self.network(address)));
        let pair = Some(self.key.hash_one((0_u8, account, network)));
        let one = Some(self.key.hash_one((3_u8, account)));
        self.count(account, network, Lane::Known { account, network }, [pair, one, None])
    }

    /// Remembers that the owner of `account` signed in from `address` at this moment.
    pub(super) fn remember(&self, account: &str, address: IpAddr, at: MonotonicTime) {
        self.known.insert(self.account(account), self.network(address), at);
    }

    fn count(
        &self,
        account: u64,
        network: Option<u64>,
        lane: Lane,
        keys: [Option<u64>; 3],
    ) -> Result<Reserved<'_>, Duration> {
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
        Ok(Reserved { throttle: self, lane, account, network, counted, checking: false })
    }

    /// A number for an account, which tells nothing about its name.
    pub(super) fn account(&self, email: &str) -> u64 {
        // No address is longer: what is typed instead is not worth folding.
        match email.trim() {
            long if long.len() > LONGEST => self.key.hash_one("longer than any address"),
            email => self.key.hash_one(comparable(email)),
        }
    }

    fn network(&self, address: IpAddr) -> u64 {
        self.key.hash_one((4_u8, network(address)))
    }

    fn lock(&self) -> MutexGuard<'_, [Sketch; 3]> {
        // Nothing in here panics half-way through a change.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reserved<'_> {
    /// The lane in which the password is checked.
    pub(super) fn lane(&self) -> Lane {
        self.lane
    }

    /// The password is about to be checked: from now on it counts.
    pub(super) fn checks(&mut self) {
        self.checking = true;
    }

    /// It was no guess: it is taken back.
    pub(super) fn give_back(mut self) {
        self.take_back();
    }

    fn take_back(&mut self) {
        let mut tables = self.throttle.lock();
        let counted = std::mem::take(&mut self.counted);
        for (table, (key, since)) in tables.iter_mut().zip(counted).filter_map(|(t, c)| Some((t, c?))) {
            table.subtract(key, &since, 1);
        }
    }

    /// It was right: it is taken back, and earlier failures of this account at this address are forgotten. Those of the account and
    /// of the address stay: else a client with an account of its own could go on for ever with those of others. From now on the
    /// account is known at this address.
    pub(super) fn succeeded(self) {
        if let Some(network) = self.network {
            self.throttle.known.insert(self.account, network, self.throttle.clock.moment());
        }
        if let Some((key, since)) = self.counted[0] {
            let mut tables = self.throttle.lock();
            let all = tables[0].count(key, self.throttle.clock.moment());
            // The one that `give_back` takes stays.
            tables[0].subtract(key, &since, all.saturating_sub(1));
        }
        self.give_back();
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if !self.checking {
            self.take_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{MonotonicTime, Timestamp};
    use std::sync::atomic::{AtomicU64, Ordering};

    #[derive(Default)]
    struct Hand(AtomicU64);

    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            Timestamp(0)
        }
        fn moment(&self) -> MonotonicTime {
            MonotonicTime(self.0.load(Ordering::SeqCst))
        }
    }

    fn throttle() -> (Throttle, Arc<Hand>) {
        let clock = Arc::new(Hand::default());
        (Throttle::new(clock.clone()), clock)
    }

    fn ip(n: u32) -> Option<IpAddr> {
        Some(std::net::Ipv4Addr::from_bits(0x0A00_0000 + n).into())
    }

    fn fail(throttle: &Throttle, account: &str, address: Option<IpAddr>) -> bool {
        throttle.reserve(account, address).map(|mut reserved| reserved.checks()).is_ok()
    }

    #[test]
    fn five_failures_of_an_account_at_an_address() {
        let (throttle, clock) = throttle();
        assert!((0..5).all(|_| fail(&throttle, "ada@x", ip(1))));
        assert_eq!(throttle.reserve(" ADA@x ", ip(1)).err(), Some(WINDOW));
        assert!(fail(&throttle, "ada@x", ip(2)) && fail(&throttle, "bob@x", ip(1)), "others may");
        clock.0.store(299_000_000_000, Ordering::SeqCst);
        assert_eq!(throttle.reserve("ada@x", ip(1)).err(), Some(Duration::from_secs(1)));
        clock.0.store(300_000_000_000, Ordering::SeqCst);
        assert!(fail(&throttle, "ada@x", ip(1)));
    }

    #[test]
    fn fifty_failures_of_an_account_or_at_an_address() {
        let (throttle, _) = throttle();
        assert!((0..50).all(|n| fail(&throttle, "ada@x", ip(n))));
        assert!(!fail(&throttle, "ada@x", ip(99)) && fail(&throttle, "bob@x", ip(99)));
        let (throttle, _) = self::throttle();
        let v6 = |n: u16| Some(IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, n, 1]));
        assert!((0..50).all(|n| fail(&throttle, &format!("{n}@x"), v6(n))));
        assert!(!fail(&throttle, "ada@x", v6(99)) && fail(&throttle, "ada@x", ip(1)));
        assert!((0..60).all(|n| fail(&throttle, &format!("none{n}@x"), None)), "no address is no address");
    }

    #[test]
    fn a_success_forgets_its_pair_and_nothing_else() {
        let (throttle, _) = throttle();
        for n in 0..12 {
            assert!((0..4).all(|_| fail(&throttle, "ada@x", ip(n))));
            throttle.reserve("ada@x", ip(n)).ok().unwrap().succeeded();
            assert!((0..4).all(|_| fail(&throttle, "ada@x", ip(n))), "of the pair");
        }
        assert!((0..2).all(|_| fail(&throttle, "ada@x", ip(20))));
        assert!(!fail(&throttle, "ada@x", ip(21)), "the account remembers");
    }

    #[test]
    fn guesses_elsewhere_lock_out_no_owner_from_a_known_place() {
        let (throttle, clock) = throttle();
        throttle.reserve("ada@x", ip(1)).ok().unwrap().succeeded();
        for n in 10..20 {
            assert!((0..5).all(|_| fail(&throttle, "ada@x", ip(n))));
        }
        assert!(!fail(&throttle, "ada@x", ip(2)), "a place where she was never");
        throttle.reserve("ada@x", ip(1)).ok().unwrap().succeeded();
        // Nor those at others' accounts from the same network.
        assert!((0..50).all(|n| fail(&throttle, &format!("{n}@x"), ip(1))));
        assert!(!fail(&throttle, "bob@x", ip(1)));
        assert!((0..5).all(|_| fail(&throttle, "ada@x", ip(1))));
        assert!(!fail(&throttle, "ada@x", ip(1)), "her own there do");
        clock.0.store(31 * 24 * 60 * 60 * 1_000_000_000, Ordering::SeqCst);
        assert_eq!(throttle.reserve("ada@x", ip(1)).ok().unwrap().lane, stranger(&throttle, 1), "not for ever");
    }

    fn stranger(throttle: &Throttle, n: u32) -> Lane {
        Lane::Stranger(ip(n).map(|address| throttle.network(address)))
    }

    #[test]
    fn only_a_success_makes_a_place_known() {
        let (throttle, _) = throttle();
        assert!((0..4).all(|_| fail(&throttle, "ada@x", ip(1))));
        throttle.reserve("ada@x", ip(1)).ok().unwrap().give_back();
        throttle.reserve("eve@x", ip(1)).ok().unwrap().succeeded();
        throttle.reserve("ada@x", ip(2)).ok().unwrap().succeeded();
        throttle.reserve("ada@x", None).ok().unwrap().succeeded();
        let lane = |account, address| throttle.reserve(account, address).ok().unwrap().lane();
        assert_eq!(lane("ada@x", ip(1)), stranger(&throttle, 1), "another account's success opens its own lane only");
        assert_eq!(lane("ada@x", None), Lane::Stranger(None), "no address is no place");
        let known = Lane::Known { account: throttle.account("ada@x"), network: ip(2).map(|a| throttle.network(a)) };
        assert_eq!(lane(" ADA@x", ip(2)), known);
    }

    #[test]
    fn a_session_guesses_no_more_often_than_a_stranger() {
        let (throttle, _) = throttle();
        assert!((0..50).all(|n| fail(&throttle, "ada@x", ip(n))));
        let guess = |n| throttle.reserve_in_session("ada@x", ip(n)).map(|mut reserved| reserved.checks()).is_ok();
        assert!((0..4).all(|_| guess(100)), "guesses of strangers do not count");
        assert!(guess(100) && !guess(100), "five at an address");
        assert!((101..146).all(guess));
        assert!(!guess(147), "fifty in all");
    }

    #[test]
    fn what_was_no_guess_is_given_back() {
        let (throttle, _) = throttle();
        for _ in 0..200 {
            throttle.reserve("ada@x", ip(1)).ok().unwrap().give_back();
        }
        let held: Vec<_> = (0..5).map(|_| throttle.reserve("ada@x", ip(1)).ok().unwrap()).collect();
        assert!(!fail(&throttle, "ada@x", ip(1)), "those at the same time count");
        held.into_iter().for_each(Reserved::give_back);
        assert!(fail(&throttle, "ada@x", ip(1)));
    }

    #[test]
    fn made_up_accounts_flush_nobody() {
        let (throttle, _) = throttle();
        assert!((0..5).all(|_| fail(&throttle, "ada@x", ip(0))));
        for n in 0..20_000 {
            fail(&throttle, &format!("{n}@x"), ip(n));
        }
        assert!(!fail(&throttle, "ada@x", ip(0)));
        assert!(fail(&throttle, "new@x", ip(1 << 20)), "and refuse nobody either");
    }

    #[test]
    fn a_client_that_hangs_up_before_its_turn_has_guessed_nothing() {
        let (throttle, _) = throttle();
        for n in 0..1_000 {
            drop(throttle.reserve("ada@x", ip(n)).ok().unwrap());
        }
        assert!((0..5).all(|_| fail(&throttle, "ada@x", ip(1))) && !fail(&throttle, "ada@x", ip(1)));
    }

    #[test]
    fn a_long_text_is_no_account_and_is_not_folded() {
        let (throttle, _) = throttle();
        let long = |first: char| format!("{first}{}@x", "\u{fdfa}".repeat(5_000));
        assert_eq!(throttle.account(&long('a')), throttle.account(&long('b')));
        assert_ne!(throttle.account("a@x"), throttle.account("b@x"));
    }
}
