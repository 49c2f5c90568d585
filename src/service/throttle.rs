//! How often somebody may guess a password.
//!
//! Failures are counted for each account at each address, for each account, and for each address. An account is the e-mail
//! address that was typed, whether there is one or not: known and unknown ones are counted alike.
//!
//! Memory is bounded *without eviction*, as there is no cheap way to choose whom to forget: an attacker would make up accounts until
//! the victim's counter is the one that goes. Instead each counter is three cells, chosen by a keyed hash, in a table of fixed
//! size, and counts what the least of the three says (a count-min sketch). Strangers can only ever *add* to a cell. For somebody
//! to be refused because of others, all three cells have to be full by chance: with the 5 000 failed accounts in
//! five minutes that a machine has time to hash, that is less than one in a million million.

use crate::domain::{Clock, Moment};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(5 * 60);
/// Failures of one account at one address, within a window that begins with the first of them.
const OF_PAIR: u32 = 5;
/// Failures of one account, or at one address.
const OF_ONE: u32 = 50;

const ROWS: usize = 3;
const PAIR_CELLS: usize = 1 << 16;
const ONE_CELLS: usize = 1 << 14;

/// Counts failures.
pub(super) struct Throttle {
    clock: Arc<dyn Clock>,
    /// Nobody outside knows it, so nobody can choose whom to share cells with.
    key: RandomState,
    tables: Mutex<[Table; 3]>,
}

/// A guess that was counted as a failure before anybody knows whether it is one: guesses at the same time cannot exceed the limit.
/// Dropped, it stays counted.
#[must_use]
pub(super) struct Reserved<'t> {
    throttle: &'t Throttle,
    counted: [Option<(u64, [Moment; ROWS])>; 3],
}

struct Table {
    limit: u32,
    cells: [Box<[Cell]>; ROWS],
}

#[derive(Clone, Copy)]
struct Cell {
    since: Moment,
    count: u32,
}

impl Throttle {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let tables = [Table::new(OF_PAIR, PAIR_CELLS), Table::new(OF_ONE, ONE_CELLS), Table::new(OF_ONE, ONE_CELLS)];
        Self { clock, key: RandomState::new(), tables: Mutex::new(tables) }
    }

    /// Counts a guess at the password of `account` from `address`, or says how long to wait.
    pub(super) fn reserve(&self, account: &str, address: Option<IpAddr>) -> Result<Reserved<'_>, Duration> {
        let now = self.clock.moment();
        let (account, network) = (self.account(account), address.map(network));
        let keys = [
            Some(self.key.hash_one((0_u8, account, network))),
            Some(self.key.hash_one((1_u8, account))),
            // Nobody is everywhere: without an address there is none to count at.
            network.map(|network| self.key.hash_one((2_u8, network))),
        ];
        let mut tables = self.lock();
        let each = || keys.iter().enumerate().filter_map(|(i, key)| key.map(|key| (i, key)));
        if let Some(wait) = each().filter_map(|(i, key)| tables[i].wait(key, now)).max() {
            return Err(wait);
        }
        let mut counted = [None; 3];
        for (i, key) in each() {
            counted[i] = Some((key, tables[i].add(key, now)));
        }
        Ok(Reserved { throttle: self, counted })
    }

    /// A number for an account, which tells nothing about its name.
    pub(super) fn account(&self, email: &str) -> u64 {
        self.key.hash_one(email.trim().to_lowercase())
    }

    fn lock(&self) -> MutexGuard<'_, [Table; 3]> {
        // Nothing in here panics half-way through a change.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reserved<'_> {
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
        if let Some((key, since)) = self.counted[0] {
            let mut tables = self.throttle.lock();
            let all = tables[0].count(key, self.throttle.clock.moment());
            // The one that `give_back` takes stays.
            tables[0].subtract(key, &since, all.saturating_sub(1));
        }
        self.give_back();
    }
}

impl Table {
    fn new(limit: u32, cells: usize) -> Self {
        let empty = Cell { since: Moment(0), count: 0 };
        Self { limit, cells: std::array::from_fn(|_| vec![empty; cells].into_boxed_slice()) }
    }

    /// The cells of a key: one in each row, by another part of the hash.
    fn of(&mut self, key: u64) -> impl Iterator<Item = &mut Cell> {
        self.cells.iter_mut().enumerate().map(move |(row, cells)| {
            let at = (key >> (16 * row)) as usize & (cells.len() - 1);
            &mut cells[at]
        })
    }

    fn count(&mut self, key: u64, now: Moment) -> u32 {
        self.of(key).map(|cell| cell.count(now)).min().unwrap_or(0)
    }

    /// How long until there is room again, if there is none.
    fn wait(&mut self, key: u64, now: Moment) -> Option<Duration> {
        let limit = self.limit;
        if self.count(key, now) < limit {
            return None;
        }
        self.of(key).map(|cell| cell.since.plus(WINDOW).since(now)).min()
    }

    /// Counts one more, and answers with the windows it was counted in.
    fn add(&mut self, key: u64, now: Moment) -> [Moment; ROWS] {
        let mut windows = [now; ROWS];
        for (cell, window) in self.of(key).zip(&mut windows) {
            let count = cell.count(now);
            if count == 0 {
                cell.since = now;
            }
            (cell.count, *window) = (count.saturating_add(1), cell.since);
        }
        windows
    }

    /// Takes back as many, from cells whose window is still the same.
    fn subtract(&mut self, key: u64, windows: &[Moment; ROWS], count: u32) {
        for cell in self.of(key).zip(windows).filter(|(cell, window)| cell.since == **window).map(|(cell, _)| cell) {
            cell.count = cell.count.saturating_sub(count);
        }
    }
}

impl Cell {
    fn count(&self, now: Moment) -> u32 {
        if now < self.since.plus(WINDOW) { self.count } else { 0 }
    }
}

/// Whose address it is: whoever has one of IPv6 has the 2^64 of its network.
fn network(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits() >> 64 << 64,
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
}
