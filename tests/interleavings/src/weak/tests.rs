//! One thread changes, others ask, in every order, and with every value that their loads may answer with.

use super::freshness::{Freshness, LastChecked, Stamp};
use super::{breaks, holds};
use crate::domain::{MonotonicTime, OwnerId, Tag};
use loom::sync::Mutex;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use std::sync::Arc;
use std::time::Duration;

const SPAN: Duration = Duration::from_nanos(10);

fn tag() -> Tag {
    Tag::owner(OwnerId(1))
}

/// Something that is cached, read at change 1.
struct Cached {
    freshness: Freshness,
    stamp: Stamp,
    last_checked: LastChecked,
}

impl Cached {
    fn with(freshness: Freshness) -> Arc<Self> {
        let stamp = Stamp { era: 0, seq: 1, tags: [tag()].into() };
        Arc::new(Self { freshness, stamp, last_checked: LastChecked::default() })
    }

    fn counts(&self) -> bool {
        self.freshness.is_still_current(&self.stamp, &self.last_checked)
    }
}

/// I3: from its acknowledgement on, nobody sees what was before a change.
fn an_acknowledged_change_is_seen() {
    let cached = Cached::with(Freshness::without_log());
    let acknowledged = Arc::new(AtomicBool::new(false));
    let (writes, acknowledges) = (cached.clone(), acknowledged.clone());
    let writer = thread::spawn(move || {
        writes.freshness.invalidate(2, &[tag()]);
        acknowledges.store(true, Ordering::Release);
    });
    let asks = cached.clone();
    let other = thread::spawn(move || asks.counts());
    cached.counts();
    let seen = acknowledged.load(Ordering::Acquire);
    assert!(!seen || !cached.counts());
    writer.join().unwrap();
    other.join().unwrap();
    assert!(!cached.counts());
}

/// I4: whoever sees a lease sees everything that it is good for. `happens`: what a poll brings.
fn whoever_sees_the_lease_sees(happens: fn(&Freshness)) {
    let cached = Cached::with(Freshness::with_log());
    let polls = cached.clone();
    let poller = thread::spawn(move || {
        happens(&polls.freshness);
        polls.freshness.renew(MonotonicTime(10), SPAN);
    });
    cached.counts();
    if cached.freshness.has_lease(MonotonicTime(15)) {
        assert!(!cached.counts());
    }
    poller.join().unwrap();
    assert!(!cached.counts());
}

fn a_change_before_its_lease() {
    whoever_sees_the_lease_sees(|freshness| freshness.invalidate(2, &[tag()]));
}

fn the_floor_before_its_lease() {
    whoever_sees_the_lease_sees(|freshness| freshness.raise_floor(2));
}

fn an_era_before_its_lease() {
    whoever_sees_the_lease_sees(|freshness| freshness.begin_era(1));
}

/// I3, while the poller notices that the store was set back, from change 9 to 5: what was read before a change of ours does not
/// count once that is raised.
fn an_own_change_while_an_era_begins() {
    let freshness = Arc::new(Freshness::with_log());
    freshness.observe(0, 9, Some("the ninth that was lost"));
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
            freshness.invalidate_own(position, 6, Some("ours"), &[tag()]);
        }
    });
    let era = freshness.era();
    let seq = *store.lock().unwrap();
    poller.join().unwrap();
    writer.join().unwrap();
    let stamp = Stamp { era, seq, tags: [tag()].into() };
    assert!(seq == 6 || !freshness.is_current(&stamp), "read at {seq} in era {era}");
}

#[test]
fn changes_are_seen_once_acknowledged() {
    holds(an_acknowledged_change_is_seen);
    breaks("the count before the slots", an_acknowledged_change_is_seen);
    breaks("the count is read after the slots", an_acknowledged_change_is_seen);
    breaks("the count is published relaxed", an_acknowledged_change_is_seen);
    breaks("the count is read relaxed", an_acknowledged_change_is_seen);
}

#[test]
fn changes_are_seen_before_their_lease() {
    holds(a_change_before_its_lease);
    breaks("the lease is published relaxed", a_change_before_its_lease);
    breaks("the lease is read relaxed", a_change_before_its_lease);
    breaks("the count before the slots", a_change_before_its_lease);
}

#[test]
fn the_floor_is_seen_before_its_lease() {
    holds(the_floor_before_its_lease);
    breaks("the count before the floor", the_floor_before_its_lease);
    breaks("the lease is read relaxed", the_floor_before_its_lease);
}

#[test]
fn an_era_is_seen_before_its_lease() {
    holds(an_era_before_its_lease);
    breaks("the count before the era", an_era_before_its_lease);
    breaks("the lease is published relaxed", an_era_before_its_lease);
}

#[test]
fn an_own_change_and_an_era() {
    holds(an_own_change_while_an_era_begins);
    breaks("an own change of another era is dropped", an_own_change_while_an_era_begins);
}
