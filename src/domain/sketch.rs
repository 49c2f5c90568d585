//! Rate counters for anonymous clients in bounded memory (a count-min sketch).
//!
//! Memory is bounded *without eviction*: an attacker could make up clients until its own counter, or the victim's, is
//! evicted. Instead each counter is three cells, chosen by a keyed hash, in a table of fixed size. The count is the
//! least of the three. Other clients can only *add* to a cell.

use super::clock::MonotonicTime;
use std::net::IpAddr;
use std::time::Duration;

const ROWS: usize = 3;

/// Counters for keys, each within a window of time that starts with its first count.
///
/// A key is a hash under a secret of the process, so that clients cannot choose whose cells they share.
pub(crate) struct Sketch {
    limit: u32,
    window: Duration,
    cells: [Box<[Cell]>; ROWS],
}

/// The window starts of the cells of one count.
pub(crate) type CellWindows = [MonotonicTime; ROWS];

#[derive(Clone, Copy)]
struct Cell {
    since: MonotonicTime,
    count: u32,
}

impl Sketch {
    /// Creates rows of 2^`bits` cells, at most 2^16: each row takes 16 bits of a key, which leaves the upper 16.
    pub(crate) fn new(limit: u32, window: Duration, bits: u32) -> Self {
        let empty = Cell { since: MonotonicTime(0), count: 0 };
        let row = || vec![empty; 1 << bits.min(16)].into_boxed_slice();
        Self { limit, window, cells: std::array::from_fn(|_| row()) }
    }

    /// Returns the cells of a key: one in each row, by another part of the hash.
    fn of(&mut self, key: u64) -> impl Iterator<Item = &mut Cell> {
        self.cells.iter_mut().enumerate().map(move |(row, cells)| {
            let at = (key >> (16 * row)) as usize & (cells.len() - 1);
            &mut cells[at]
        })
    }

    pub(crate) fn count(&mut self, key: u64, now: MonotonicTime) -> u32 {
        let window = self.window;
        self.of(key).map(|cell| cell.count(now, window)).min().unwrap_or(0)
    }

    /// Returns how long until the count is below the limit; `None` if it is.
    pub(crate) fn wait(&mut self, key: u64, now: MonotonicTime) -> Option<Duration> {
        let (limit, window) = (self.limit, self.window);
        if self.count(key, now) < limit {
            return None;
        }
        self.of(key).map(|cell| cell.since.plus(window).since(now)).min()
    }

    /// Adds one, and returns the windows it was counted in.
    pub(crate) fn add(&mut self, key: u64, now: MonotonicTime) -> CellWindows {
        let (mut windows, lasts) = ([now; ROWS], self.window);
        for (cell, window) in self.of(key).zip(&mut windows) {
            let count = cell.count(now, lasts);
            if count == 0 {
                cell.since = now;
            }
            (cell.count, *window) = (count.saturating_add(1), cell.since);
        }
        windows
    }

    /// Takes back `count`, from cells whose window has not changed.
    #[cfg(feature = "people")]
    pub(crate) fn subtract(&mut self, key: u64, windows: &CellWindows, count: u32) {
        for cell in self.of(key).zip(windows).filter(|(cell, window)| cell.since == **window).map(|(cell, _)| cell) {
            cell.count = cell.count.saturating_sub(count);
        }
    }
}

impl Cell {
    fn count(&self, now: MonotonicTime, window: Duration) -> u32 {
        if now < self.since.plus(window) { self.count } else { 0 }
    }
}

/// Maps an address to its network: an IPv6 client controls all 2^64 addresses of its /64.
pub(crate) fn network(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits() >> 64 << 64,
    }
}
