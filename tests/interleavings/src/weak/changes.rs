//! One thread makes a change while others check a cached entry.

mod freshness {
    include!(concat!(env!("OUT_DIR"), "/src/weak/freshness.rs"));
}
mod sync;

use super::{breaks, explore};
use crate::domain::{MonotonicTime, OwnerId, Tag};
use freshness::{Freshness, LastChecked, Stamp};
use loom::sync::Mutex;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use std::sync::Arc;
use std::time::Duration;

const SPAN: Duration = Duration::from_nanos(10);

fn tag() -> Tag {
    Tag::owner(OwnerId(1))
}

/// A cached entry, read at change 1.
struct Cached {
    freshness: Freshness,
    stamp: Stamp,
    last_checked: LastChecked,
}

impl Cached {
    fn new(freshness: Freshness) -> Arc<Self> {
        let stamp = Stamp { era: 0, seq: 1 };
        Arc::new(Self { freshness, stamp, last_checked: LastChecked::default() })
    }

    fn is_current(&self) -> bool {
        self.freshness.is_still_current(self.stamp, || [tag()], &self.last_checked)
    }
}

/// next-request: an entry from before a change is stale once the change is acknowledged.
fn entry_is_stale_once_the_change_is_acknowledged() {
    let cached = Cached::new(Freshness::without_log());
    let acknowledged = Arc::new(AtomicBool::new(false));
    let writer = thread::spawn({
        let (cached, acknowledged) = (cached.clone(), acknowledged.clone());
        move || {
            cached.freshness.invalidate(2, &[tag()]);
            acknowledged.store(true, Ordering::Release);
        }
    });
    let other_cached = cached.clone();
    let other = thread::spawn(move || other_cached.is_current());
    cached.is_current();
    let acknowledged = acknowledged.load(Ordering::Acquire);
    assert!(!acknowledged || !cached.is_current());
    writer.join().unwrap();
    other.join().unwrap();
    assert!(!cached.is_current());
}

/// bounded-staleness: a thread that has the lease has every change that the lease covers. `apply` is the effect of a
/// poll.
fn lease_implies(apply: fn(&Freshness)) {
    let cached = Cached::new(Freshness::with_log());
    let poller = thread::spawn({
        let cached = cached.clone();
        move || {
            apply(&cached.freshness);
            cached.freshness.renew(MonotonicTime(10), SPAN);
        }
    });
    cached.is_current();
    if cached.freshness.has_lease(MonotonicTime(15)) {
        assert!(!cached.is_current());
    }
    poller.join().unwrap();
    assert!(!cached.is_current());
}

fn lease_implies_the_changes() {
    lease_implies(|freshness| freshness.invalidate(2, &[tag()]));
}

fn lease_implies_the_floor() {
    lease_implies(|freshness| freshness.raise_floor(2));
}

fn lease_implies_the_era() {
    lease_implies(|freshness| freshness.begin_era(1));
}

/// next-request, while the poller notices that the store was set back from change 9 to 5: an entry from before an own
/// change is stale once that change is invalidated.
fn own_change_counts_while_an_era_begins() {
    let freshness = Arc::new(Freshness::with_log());
    freshness.observe(0, 9, Some("the lost change"));
    let store = Arc::new(Mutex::new(5));
    let poller = thread::spawn({
        let freshness = freshness.clone();
        move || freshness.begin_era(5)
    });
    let writer = thread::spawn({
        let (freshness, store) = (freshness.clone(), store.clone());
        move || {
            let era = freshness.era();
            let mut head = store.lock().unwrap();
            let position = freshness.position(era);
            *head = 6;
            drop(head);
            freshness.invalidate_own(position, 6, Some("own change"), &[tag()]);
        }
    });
    let era = freshness.era();
    let seq = *store.lock().unwrap();
    poller.join().unwrap();
    writer.join().unwrap();
    let stamp = Stamp { era, seq };
    assert!(seq == 6 || !freshness.is_current(stamp, [tag()]), "read at {seq} in era {era}");
}

#[test]
fn acknowledged_change_makes_entries_stale() {
    explore(entry_is_stale_once_the_change_is_acknowledged);
    breaks("change count precedes the slots", entry_is_stale_once_the_change_is_acknowledged);
    breaks("change count is loaded after the slots", entry_is_stale_once_the_change_is_acknowledged);
    breaks("change count is incremented with relaxed ordering", entry_is_stale_once_the_change_is_acknowledged);
    breaks("change count is loaded with relaxed ordering", entry_is_stale_once_the_change_is_acknowledged);
}

#[test]
fn lease_covers_the_changes_of_its_poll() {
    explore(lease_implies_the_changes);
    breaks("lease is stored with relaxed ordering", lease_implies_the_changes);
    breaks("lease is loaded with relaxed ordering", lease_implies_the_changes);
    breaks("change count precedes the slots", lease_implies_the_changes);
}

#[test]
fn lease_covers_the_floor_of_its_poll() {
    explore(lease_implies_the_floor);
    breaks("change count precedes the floor", lease_implies_the_floor);
    breaks("lease is loaded with relaxed ordering", lease_implies_the_floor);
}

#[test]
fn lease_covers_the_era_of_its_poll() {
    explore(lease_implies_the_era);
    breaks("change count precedes the era", lease_implies_the_era);
    breaks("lease is stored with relaxed ordering", lease_implies_the_era);
}

#[test]
fn own_change_in_a_new_era_makes_entries_stale() {
    explore(own_change_counts_while_an_era_begins);
    breaks("own change of another era is ignored", own_change_counts_while_an_era_begins);
}
