//! How often a password may be guessed.
//!
//! Failures are counted for each account at each address, for each account, and for each address. An account is the e-mail
//! address that was typed, whether there is one or not: known and unknown ones are counted alike.
//!
//! Where an account has signed in lately from a network, only its failures from there count: guesses from elsewhere, however many, do not lock
//! owners out of the places where they work. Which those are is remembered by each node for itself, in bounded memory, until it restarts.
//!
//! They are counted in a [`Sketch`], which forgets nobody early. For somebody to be refused because of others, all three of
//! their cells have to be full by chance: with the 5 000 failed accounts in five minutes that a machine has time to hash, that
//! is less than one in a million million.

use super::password::Client;
use crate::domain::{comparable, Clock, Moment, Sketch, Windows, network};
use quick_cache::sync::Cache;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(5 * 60);
/// Failures of one account at one address, within a window that begins with the first of them.
const OF_PAIR: u32 = 5;
/// Failures of one account, or at one address.
const OF_ONE: u32 = 50;

/// For how long it is remembered that an account has signed in from a network, and for how many of them.
const KNOWN_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const KNOWN: usize = 65_536;

const PAIR_BITS: u32 = 16;
const ONE_BITS: u32 = 14;

/// Counts failures.
pub(super) struct Throttle {
    clock: Arc<dyn Clock>,
    /// Nobody outside knows it, so nobody can choose whom to share cells with.
    key: RandomState,
    tables: Mutex<[Sketch; 3]>,
    /// Accounts and networks that have signed in together, by a keyed hash of both, and when they last did.
    known: Cache<u64, Moment>,
}

/// A guess that was counted as a failure before anybody knows whether it is one: guesses at the same time cannot exceed the limit.
/// Dropped, it stays counted.
#[must_use]
pub(super) struct Reserved<'t> {
    throttle: &'t Throttle,
    counted: [Option<(u64, Windows)>; 3],
    pair: u64,
    client: Client,
}

impl Throttle {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let table = |limit, bits| Sketch::new(limit, WINDOW, bits);
        let tables = [table(OF_PAIR, PAIR_BITS), table(OF_ONE, ONE_BITS), table(OF_ONE, ONE_BITS)];
        Self { clock, key: RandomState::new(), tables: Mutex::new(tables), known: Cache::new(KNOWN) }
    }

    /// Counts a guess at the password of `account` from `address`, or says how long to wait.
    pub(super) fn reserve(&self, account: &str, address: Option<IpAddr>) -> Result<Reserved<'_>, Duration> {
        let (pair, network) = self.pair(account, address);
        let now = self.clock.moment();
        let since = self.known.get(&pair);
        let client = match since {
            Some(since) if now.since(since) < KNOWN_FOR => Client::Known,
            _ => Client::Stranger(network),
        };
        self.reserve_as(client, account, address)
    }

    /// Remembers that this account has signed in from there.
    pub(super) fn remember(&self, account: &str, address: Option<IpAddr>) {
        self.known.insert(self.pair(account, address).0, self.clock.moment());
    }

    /// The same for a person who is signed in, and proves their password once more.
    pub(super) fn reserve_known(&self, account: &str, address: Option<IpAddr>) -> Result<Reserved<'_>, Duration> {
        self.reserve_as(Client::Known, account, address)
    }

    fn reserve_as(&self, client: Client, account: &str, address: Option<IpAddr>) -> Result<Reserved<'_>, Duration> {
        let now = self.clock.moment();
        let (pair, network) = self.pair(account, address);
        let account = self.account(account);
        let keys = [
            Some(pair),
            Some(self.key.hash_one((1_u8, account))),
            // Nobody is everywhere: without an address there is none to count at.
            network.map(|network| self.key.hash_one((2_u8, network))),
        ];
        let mut tables = self.lock();
        let each = || keys.iter().enumerate().filter_map(|(i, key)| key.map(|key| (i, key)));
        // What others do at the account, or from the address, locks no known client out.
        let judged = if client == Client::Known { 1 } else { keys.len() };
        if let Some(wait) = each().take(judged).filter_map(|(i, key)| tables[i].wait(key, now)).max() {
            return Err(wait);
        }
        let mut counted = [None; 3];
        for (i, key) in each() {
            counted[i] = Some((key, tables[i].add(key, now)));
        }
        Ok(Reserved { throttle: self, counted, pair, client })
    }

    /// A number for an account at a network, and the network.
    fn pair(&self, account: &str, address: Option<IpAddr>) -> (u64, Option<u128>) {
        let network = address.map(network);
        (self.key.hash_one((0_u8, self.account(account), network)), network)
    }

    /// A number for an account, which tells nothing about its name.
    pub(super) fn account(&self, email: &str) -> u64 {
        self.key.hash_one(comparable(email))
    }

    fn lock(&self) -> MutexGuard<'_, [Sketch; 3]> {
        // Nothing in here panics half-way through a change.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reserved<'_> {
    /// In which queue it waits for its turn.
    pub(super) fn client(&self) -> Client {
        self.client
    }

    /// It was no guess: it is taken back.
    pub(super) fn give_back(self) {
        let mut tables = self.throttle.lock();
        for (table, (key, since)) in tables.iter_mut().zip(self.counted).filter_map(|(t, c)| Some((t, c?))) {
            table.subtract(key, &since, 1);
        }
    }

    /// It was right: it is taken back, and earlier failures of this account at this address are forgotten. Those of the account and
    /// of the address stay: else whoever has an account of their own could go on for ever with those of others.
    pub(super) fn succeeded(self) {
        self.throttle.known.insert(self.pair, self.throttle.clock.moment());
        if let Some((key, since)) = self.counted[0] {
            let mut tables = self.throttle.lock();
            let all = tables[0].count(key, self.throttle.clock.moment());
            // The one that `give_back` takes stays.
            tables[0].subtract(key, &since, all.saturating_sub(1));
        }
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[derive(Default)]
    struct Hand(AtomicU64);

    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            Timestamp(0)
        }
        fn moment(&self) -> Moment {
            Moment(self.0.load(Ordering::SeqCst))
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
        throttle.reserve(account, address).is_ok()
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
        for _ in 0..12 {
            assert!((0..4).all(|_| fail(&throttle, "ada@x", ip(1))));
            throttle.reserve("ada@x", ip(1)).ok().unwrap().succeeded();
        }
        assert!((0..2).all(|_| fail(&throttle, "ada@x", ip(1))));
        assert!(!fail(&throttle, "ada@x", ip(2)), "the account remembers");
        assert!(fail(&throttle, "ada@x", ip(1)), "and the place where they signed in is open");
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
            let _ = throttle.reserve(&format!("{n}@x"), ip(n));
        }
        assert!(!fail(&throttle, "ada@x", ip(0)));
        assert!(fail(&throttle, "new@x", ip(1 << 20)), "and refuse nobody either");
    }

    #[test]
    fn guesses_from_elsewhere_lock_no_account_out_of_where_it_signed_in() {
        let (throttle, clock) = throttle();
        throttle.reserve("ada@x", ip(1)).ok().unwrap().succeeded();
        assert!((2..52).all(|n| fail(&throttle, "ada@x", ip(n))));
        assert!(!fail(&throttle, "ada@x", ip(60)), "a place where they never were");
        let known = throttle.reserve("ada@x", ip(1)).ok().unwrap();
        assert_eq!(known.client(), Client::Known);
        known.succeeded();
        assert!(throttle.reserve_known("ada@x", ip(60)).is_ok(), "signed in");
        // There too it is five, and no more.
        assert!((0..5).all(|_| fail(&throttle, "ada@x", ip(1))) && !fail(&throttle, "ada@x", ip(1)));
        clock.0.store(nanos(KNOWN_FOR + WINDOW), Ordering::SeqCst);
        assert_eq!(throttle.reserve("ada@x", ip(1)).ok().unwrap().client(), Client::Stranger(ip(1).map(network)));
    }

    #[test]
    fn an_account_opens_only_its_own_place() {
        let (throttle, _) = throttle();
        throttle.reserve("eve@x", ip(1)).ok().unwrap().succeeded();
        let at = |account, address| throttle.reserve(account, address).ok().unwrap().client();
        assert_eq!(at("ada@x", ip(1)), Client::Stranger(ip(1).map(network)));
        assert_eq!(at("eve@x", ip(2)), Client::Stranger(ip(2).map(network)));
        assert_eq!(at(" EVE@x", ip(1)), Client::Known);
    }

    #[test]
    fn places_are_remembered_in_bounded_memory() {
        let (throttle, _) = throttle();
        for n in 0..(2 * KNOWN as u32) {
            throttle.reserve(&format!("{n}@x"), ip(n)).ok().unwrap().succeeded();
        }
        assert!(throttle.known.len() <= KNOWN);
    }

    fn nanos(duration: Duration) -> u64 {
        u64::try_from(duration.as_nanos()).unwrap()
    }
}
