//! Freshness of cached entries: the tag clock, its eras, and the lease.
//!
//! An entry has tags, and the sequence of the last change that its snapshot contained. The tag clock holds, for
//! each of 2^16 slots, the sequence of the last change to any tag of that slot. The entry is current as long as no slot
//! of its tags has a later change than its snapshot.
//!
//! Between two changes no entry can become stale. So an entry remembers in [`LastChecked`] after which change it was
//! last found current: then one counter is compared, and neither tags nor slots are read.
//!
//! A store may be set back: an older backup is restored, or a lagging replica takes over. [`ObservedLog`] therefore
//! holds all changes that the poller, look-ups and this node's own changes have seen. If one of them is missing once
//! the log is read so far, or one number has two changes, a new era begins and everything cached is stale. While the
//! log is continuous there is no new era, not even at the start: invalidations stay, also for a look-up at a lagging
//! replica.
//!
//! The lease says that this node knows every change that is old enough to count. The poller renews it from the moment
//! at which it asked. Without a log to follow, the lease has no end.

use crate::domain::{MonotonicTime, Tag};
use crate::store::{LoggedChange, Poll};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Arc, ArcSwap, Mutex, MutexGuard, PoisonError, SLOT_BITS, watch};
use std::collections::BTreeMap;
use std::time::Duration;

const SLOTS: usize = 1 << SLOT_BITS;

/// How many change ids are remembered. If more are observed before the log is read so far, a new era begins.
const MAX_OBSERVED: usize = 4096;

/// The moment of a snapshot: the sequence of the last change that it contains.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) era: u64,
    pub(crate) seq: u64,
}

/// The change count after which an entry was last found current.
#[derive(Default)]
pub(crate) struct LastChecked(AtomicU64);

pub(crate) struct Freshness {
    era: ArcSwap<Era>,
    /// `None` if no log is followed.
    observed: Option<Mutex<ObservedLog>>,
    /// The number of invalidations. It increases *after* the slots or the era change, and before the lease is renewed
    /// and waiters are woken.
    change_count: AtomicU64,
    lease_until: AtomicU64,
    changes: watch::Sender<()>,
}

/// The changes of this era's log that the poller, look-ups and this node's own changes have seen.
#[derive(Default)]
struct ObservedLog {
    era: u64,
    /// The last change that was observed or read.
    highest: u64,
    /// The last change that was read from the log.
    read: u64,
    /// The ids of the last changes, by sequence.
    ids: BTreeMap<u64, String>,
    /// One sequence was observed with two ids, or too many changes were observed before they were read.
    inconsistent: bool,
}

impl ObservedLog {
    fn record(&mut self, seq: u64, op_id: &str) {
        self.highest = self.highest.max(seq);
        self.inconsistent |= self.ids.entry(seq).or_insert_with(|| op_id.to_owned()) != op_id;
        while self.ids.len() > MAX_OBSERVED {
            let oldest = self.ids.pop_first();
            self.inconsistent |= oldest.is_some_and(|(seq, _)| seq > self.read);
        }
    }
}

/// The state of the log when one of this node's changes got its sequence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogPosition {
    era: u64,
    highest: u64,
}

/// A span in which the store's sequences are continuous. A store that was set back starts a new one.
struct Era {
    number: u64,
    /// Snapshots older than this are stale. It rises when reading of the log starts.
    floor: AtomicU64,
    clock: Box<[AtomicU64]>,
}

impl Era {
    fn new(number: u64, floor: u64) -> Self {
        Self { number, floor: AtomicU64::new(floor), clock: (0..SLOTS).map(|_| AtomicU64::new(0)).collect() }
    }
}

impl Freshness {
    /// Creates freshness with an endless lease: no other node changes the store, or there is no log of its changes.
    pub(crate) fn without_log() -> Self {
        Self::with_lease_until(MonotonicTime::NEVER, None)
    }

    /// Creates freshness without a lease, until the poller renews it.
    pub(crate) fn with_log() -> Self {
        // Moment 0 is over: every clock starts later.
        Self::with_lease_until(MonotonicTime(0), Some(Mutex::default()))
    }

    fn with_lease_until(until: MonotonicTime, observed: Option<Mutex<ObservedLog>>) -> Self {
        Self {
            era: ArcSwap::from_pointee(Era::new(0, 0)),
            observed,
            // Above the value of a new `LastChecked`, which was never current.
            change_count: AtomicU64::new(1),
            lease_until: AtomicU64::new(until.0),
            changes: watch::channel(()).0,
        }
    }

    /// Returns the era to stamp a snapshot or a change with. Read it before taking the snapshot or starting the change.
    pub(crate) fn era(&self) -> u64 {
        self.era.load().number
    }

    /// Returns true if no change after the snapshot touched one of these tags.
    pub(crate) fn is_current(&self, stamp: Stamp, tags: impl IntoIterator<Item = Tag>) -> bool {
        let era = self.era.load();
        era.number == stamp.era
            && stamp.seq >= era.floor.load(Ordering::Acquire)
            && tags.into_iter().all(|tag| era.clock[tag.slot(SLOT_BITS)].load(Ordering::Acquire) <= stamp.seq)
    }

    /// Like [`is_current`](Self::is_current), for an entry that is checked often.
    ///
    /// The counter is read before the slots and written after them. A change that is missed while the slots are read
    /// has a later count than the one remembered here, so the next check reads the slots again. A thread that sees a
    /// count (acquire) sees the slots of every change up to it (release).
    #[inline]
    pub(crate) fn is_still_current<T: IntoIterator<Item = Tag>>(
        &self,
        stamp: Stamp,
        tags: impl FnOnce() -> T,
        last_checked: &LastChecked,
    ) -> bool {
        let change_count = self.change_count.load(Ordering::Acquire);
        last_checked.0.load(Ordering::Relaxed) == change_count
            || self.check_again(stamp, tags, last_checked, change_count)
    }

    /// Reads the slots of the tags, and remembers in which change count they were read if the entry is current.
    #[inline(never)]
    fn check_again<T: IntoIterator<Item = Tag>>(
        &self,
        stamp: Stamp,
        tags: impl FnOnce() -> T,
        last_checked: &LastChecked,
        change_count: u64,
    ) -> bool {
        let is_current = self.is_current(stamp, tags());
        if is_current {
            last_checked.0.store(change_count, Ordering::Relaxed);
        }
        is_current
    }

    /// Returns true if this node knows every change that is old enough to count. Call it before
    /// [`is_current`](Self::is_current).
    pub(crate) fn has_lease(&self, now: MonotonicTime) -> bool {
        now.0 <= self.lease_until.load(Ordering::Acquire)
    }

    /// Returns the end of the lease.
    pub(crate) fn lease_until(&self) -> MonotonicTime {
        MonotonicTime(self.lease_until.load(Ordering::Acquire))
    }

    /// Renews the lease: every change before `asked` has been applied, which holds for `span`.
    pub(crate) fn renew(&self, asked: MonotonicTime, span: Duration) {
        self.lease_until.fetch_max(asked.plus(span).0, Ordering::AcqRel);
        self.changes.send_replace(());
    }

    /// Invalidates the tags of a change of the present era, as read from the log.
    pub(crate) fn invalidate(&self, seq: u64, tags: &[Tag]) {
        Self::invalidate_in(&self.era.load(), seq, tags);
        self.notify();
    }

    /// Returns the log's state while one of this node's changes has its sequence and holds the log's lock: no other
    /// reader can have observed that sequence yet. `era` was read before the change started.
    pub(crate) fn position(&self, era: u64) -> LogPosition {
        LogPosition { era, highest: self.highest() }
    }

    /// Invalidates the tags of a committed change of this node, which got its sequence at `position`.
    ///
    /// If the era has changed since, the era of `seq` is unknown. If `seq` does not come after the changes known at
    /// `position`, the store was set back. In both cases another era begins: everything read from then on contains the
    /// change.
    pub(crate) fn invalidate_own(&self, position: LogPosition, seq: u64, op_id: Option<&str>, tags: &[Tag]) {
        let era = self.era.load();
        if era.number != position.era {
            return self.begin_era(self.highest());
        }
        if self.observed.is_some() && seq <= position.highest {
            return self.begin_era(seq);
        }
        self.observe(position.era, seq, op_id);
        // If another era begins right now, everything read in it contains the change as well.
        Self::invalidate_in(&era, seq, tags);
        self.notify();
    }

    /// Returns the last change that was observed or read.
    pub(crate) fn highest(&self) -> u64 {
        self.observed().map_or(0, |observed| observed.highest)
    }

    /// Records a change that a look-up or a change of this node observed, if it started in this era.
    ///
    /// Without an id the change may be missing from the log, but its predecessors are in it.
    pub(crate) fn observe(&self, era: u64, seq: u64, op_id: Option<&str>) {
        let Some(mut observed) = self.observed().filter(|observed| observed.era == era) else { return };
        match op_id {
            Some(op_id) => observed.record(seq, op_id),
            None => observed.highest = observed.highest.max(seq.saturating_sub(1)),
        }
    }

    /// Returns true if a poll fits the observed changes: `highest` before it was sent, and the ids since.
    pub(crate) fn agrees(&self, highest: u64, poll: &Poll) -> bool {
        let Some(observed) = self.observed() else { return true };
        let known = |seq: u64, op_id: &str| observed.ids.get(&seq).is_none_or(|id| id == op_id);
        !observed.inconsistent
            && poll.head >= highest
            && poll.changes.iter().all(|change| known(change.seq, &change.op_id))
    }

    /// Starts reading the log here: earlier changes are not reported, so older snapshots are stale.
    ///
    /// If another era begins right now, everything read in it is younger.
    pub(crate) fn raise_floor(&self, floor: u64) {
        self.era.load().floor.fetch_max(floor, Ordering::AcqRel);
        self.notify();
    }

    /// Records that the log of this era was read up to the last of these changes.
    ///
    /// A later look-up may still observe another change under one of their sequences.
    pub(crate) fn record_read(&self, changes: &[LoggedChange]) {
        let Some(mut observed) = self.observed() else { return };
        for change in changes {
            observed.read = change.seq;
            observed.record(change.seq, &change.op_id);
        }
    }

    fn observed(&self) -> Option<MutexGuard<'_, ObservedLog>> {
        // No code in here panics half-way through a change.
        self.observed.as_ref().map(|observed| observed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn invalidate_in(era: &Era, seq: u64, tags: &[Tag]) {
        for tag in tags {
            era.clock[tag.slot(SLOT_BITS)].fetch_max(seq, Ordering::AcqRel);
        }
    }

    /// Begins an era: everything read before is stale, and so is everything older than `floor`.
    pub(crate) fn begin_era(&self, floor: u64) {
        match self.observed() {
            // The lock serialises concurrent callers.
            Some(mut observed) => {
                let number = self.era() + 1;
                self.era.store(Arc::new(Era::new(number, floor)));
                *observed = ObservedLog { era: number, highest: floor, read: floor, ..ObservedLog::default() };
            }
            None => drop(self.era.rcu(|era| Era::new(era.number + 1, floor))),
        }
        self.notify();
    }

    fn notify(&self) {
        self.change_count.fetch_add(1, Ordering::AcqRel);
        self.changes.send_replace(());
    }

    /// Returns a receiver that wakes on every change and renewal.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{OwnerId, RoleId};

    /// A snapshot with the tags of what was read.
    #[derive(Clone)]
    struct Read(Stamp, Vec<Tag>);

    fn read(seq: u64, tags: &[Tag]) -> Read {
        read_in(0, seq, tags)
    }

    fn read_in(era: u64, seq: u64, tags: &[Tag]) -> Read {
        Read(Stamp { era, seq }, tags.to_vec())
    }

    fn is_current(f: &Freshness, Read(stamp, tags): &Read) -> bool {
        f.is_current(*stamp, tags.iter().copied())
    }

    fn is_still_current(f: &Freshness, Read(stamp, tags): &Read, last_checked: &LastChecked) -> bool {
        f.is_still_current(*stamp, || tags.iter().copied(), last_checked)
    }

    #[test]
    fn a_later_change_to_any_tag_makes_a_stamp_stale() {
        let f = Freshness::without_log();
        let (owner, role) = (Tag::owner(OwnerId(1)), Tag::role(RoleId(2)));
        let s = read(5, &[Tag::ALL, owner, role]);
        assert!(is_current(&f, &s));
        f.invalidate(5, &[owner]);
        assert!(is_current(&f, &s), "the snapshot contains that change");
        f.invalidate(6, &[Tag::role(RoleId(3))]);
        assert!(is_current(&f, &s), "another role");
        f.invalidate(7, &[role]);
        assert!(!is_current(&f, &s));
        assert!(is_current(&f, &read(7, &[role])));
        f.invalidate(6, &[role]);
        assert!(is_current(&f, &read(7, &[role])), "the clock only rises");
        f.invalidate(8, &[Tag::ALL]);
        assert!(!is_current(&f, &read(7, &[Tag::ALL, role])));
    }

    #[test]
    fn a_current_entry_is_checked_again_after_every_change() {
        let f = Freshness::without_log();
        let (mine, other) = (Tag::role(RoleId(2)), Tag::role(RoleId(3)));
        let (s, last_checked) = (read(5, &[Tag::ALL, mine]), LastChecked::default());
        assert!(is_still_current(&f, &s, &last_checked) && is_still_current(&f, &s, &last_checked));
        f.invalidate(6, &[other]);
        assert!(is_still_current(&f, &s, &last_checked));
        f.invalidate(7, &[mine]);
        assert!(!is_still_current(&f, &s, &last_checked) && !is_still_current(&f, &s, &last_checked));
        assert!(!is_still_current(&f, &read(6, &[mine]), &LastChecked::default()), "a new entry is checked first");
    }

    #[test]
    fn an_acknowledged_change_is_seen_by_overlapping_checks() {
        let f = Freshness::without_log();
        let tag = Tag::owner(OwnerId(1));
        for seq in 1..=500 {
            let (s, last_checked) = (read(seq - 1, &[tag]), LastChecked::default());
            let acknowledged = std::sync::atomic::AtomicBool::new(false);
            std::thread::scope(|threads| {
                for _ in 0..2 {
                    threads.spawn(|| {
                        while !acknowledged.load(Ordering::Acquire) {
                            is_still_current(&f, &s, &last_checked);
                        }
                        assert!(!is_still_current(&f, &s, &last_checked), "change {seq}");
                    });
                }
                assert!(is_still_current(&f, &s, &last_checked));
                f.invalidate(seq, &[tag]);
                acknowledged.store(true, Ordering::Release);
            });
        }
    }

    #[test]
    fn an_era_makes_earlier_reads_stale() {
        let f = Freshness::without_log();
        let tag = Tag::owner(OwnerId(1));
        let (s, last_checked) = (read(1000, &[tag]), LastChecked::default());
        assert!(is_still_current(&f, &s, &last_checked));
        f.begin_era(5);
        assert!(!is_still_current(&f, &s, &last_checked) && !is_current(&f, &s));
        let in_era = |seq| read_in(1, seq, &[tag]);
        assert!(!is_current(&f, &in_era(4)), "read from a lagging store");
        assert!(is_current(&f, &in_era(5)));
        f.invalidate_own(LogPosition { era: 1, highest: 0 }, 6, None, &[tag]);
        assert!(!is_current(&f, &in_era(5)) && is_current(&f, &in_era(6)));
        // A change that started before the store was set back: its sequence has no meaning now.
        f.invalidate_own(LogPosition { era: 0, highest: 0 }, 1001, None, &[tag]);
        assert!(!is_current(&f, &in_era(6)));
        assert!(is_current(&f, &read_in(2, 7, &[tag])));
    }

    /// Ids are remembered until the log has been read so far. With too many, agreement cannot be checked any more.
    #[test]
    fn observed_changes_beyond_the_bound_must_have_been_read() {
        let many = MAX_OBSERVED as u64 + 1;
        let poll = |head| Poll { now: crate::domain::Timestamp(0), head, known: true, changes: Vec::new() };
        let change =
            |seq: u64| LoggedChange { seq, op_id: seq.to_string(), at: crate::domain::Timestamp(0), tags: Vec::new() };
        let see = |f: &Freshness, seqs: std::ops::RangeInclusive<u64>| {
            seqs.for_each(|seq| f.observe(0, seq, Some(&seq.to_string())));
        };
        // The log was read up to the change before the oldest remembered one, or not quite.
        for (read, agrees) in [(0, false), (1, false), (2, true), (3, true), (many, true)] {
            let f = Freshness::with_log();
            f.record_read(&(1..=read).map(change).collect::<Vec<_>>());
            see(&f, 1..=many + 1);
            assert_eq!(f.agrees(0, &poll(many + 1)), agrees, "read up to {read}");
            // A contradiction lasts until a new era.
            f.record_read(&[change(many + 1)]);
            see(&f, many + 2..=many + 3);
            assert_eq!(f.agrees(0, &poll(many + 3)), agrees, "read up to {read}, later");
        }
        let f = Freshness::with_log();
        see(&f, 1..=many - 1);
        assert!(f.agrees(0, &poll(many)), "as many as are remembered");
        let f = Freshness::with_log();
        f.begin_era(2);
        (1..=many + 1).for_each(|seq| f.observe(1, seq, Some(&seq.to_string())));
        assert!(f.agrees(0, &poll(many + 1)), "a new era counts earlier changes as read");
    }

    #[test]
    fn a_lease_starts_when_it_was_asked_for() {
        let (f, span) = (Freshness::with_log(), Duration::from_nanos(10));
        assert!(!f.has_lease(MonotonicTime(1)));
        f.renew(MonotonicTime(100), span);
        assert!(f.has_lease(MonotonicTime(110)) && !f.has_lease(MonotonicTime(111)));
        f.renew(MonotonicTime(90), span);
        assert!(f.has_lease(MonotonicTime(110)), "an older poll does not shorten the lease");
        assert!(Freshness::without_log().has_lease(MonotonicTime(u64::MAX)));
    }

    #[test]
    fn tags_of_different_things_differ() {
        let tags = [Tag::ALL, Tag::owner(OwnerId(1)), Tag::role(RoleId(1)), Tag::owner(OwnerId(2))];
        for (i, a) in tags.iter().enumerate() {
            assert!(tags[i + 1..].iter().all(|b| a != b && a.slot(SLOT_BITS) != b.slot(SLOT_BITS)));
        }
    }
}
