//! What a cached entry rests on, and whether that still stands: the tag clock, its eras, and the lease.
//!
//! An entry carries its tags and the sequence of the last change that its snapshot contained. The tag clock holds, for each of
//! 2^16 slots, the sequence of the last change to any tag of that slot. The entry stands as long as no slot of its tags shows
//! a later change than its snapshot.
//!
//! Between two changes nothing can fall, so an entry remembers in its [`Standing`] that it stood after the last one: then one
//! counter is compared, and neither tags nor slots are read.
//!
//! A store may be set back: an older backup is restored, a replica that lagged takes over. What look-ups and our own changes have seen
//! of the log is therefore kept with what was read of it ([`Seen`]): if it is not there when the log is read so far, or one number has
//! two changes, everything cached belongs to an era that is over. As long as the log goes on there is no new era,
//! at the start neither: what was raised stays raised, also for a look-up at a replica that lags.
//!
//! The lease says that this node knows of every change that is old enough to count. Whoever follows the store's log renews it, by
//! when it asked. Who has nobody to follow has a lease without end.

use crate::domain::{MonotonicTime, Tag};
use crate::store::{LoggedChange, Poll};
use arc_swap::ArcSwap;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

const SLOTS: usize = 1 << 16;

/// The ids of how many changes are kept. With more that were seen before the log was read so far, it begins anew.
const KEPT: usize = 4096;

/// When a snapshot was taken, and of what.
#[derive(Clone, Debug)]
pub(crate) struct Stamp {
    pub(crate) era: u64,
    pub(crate) seq: u64,
    pub(crate) tags: Box<[Tag]>,
}

/// After which change an entry was last found standing.
#[derive(Default)]
pub(crate) struct Standing(AtomicU64);

pub(crate) struct Freshness {
    era: ArcSwap<Era>,
    /// None where no log is followed.
    seen: Option<Mutex<Seen>>,
    /// How many changes were raised. It moves *after* the slots or the era did, and before the lease and before anybody is told.
    raised: AtomicU64,
    lease_until: AtomicU64,
    changes: watch::Sender<()>,
}

/// What was seen of the log of this era: by whoever reads it, by look-ups, and by our own changes.
#[derive(Default)]
struct Seen {
    era: u64,
    /// The last change that was seen or read.
    highest: u64,
    /// The last change that was read.
    read: u64,
    /// The ids of the last changes, by their numbers.
    ids: BTreeMap<u64, String>,
    /// One number was seen with two ids, or too many were seen before they were read.
    torn: bool,
}

impl Seen {
    fn saw(&mut self, seq: u64, op_id: &str) {
        self.highest = self.highest.max(seq);
        self.torn |= self.ids.entry(seq).or_insert_with(|| op_id.to_owned()) != op_id;
        while self.ids.len() > KEPT {
            let oldest = self.ids.pop_first();
            self.torn |= oldest.is_some_and(|(seq, _)| seq > self.read);
        }
    }
}

/// What stood when a change of ours had its number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    era: u64,
    highest: u64,
}

/// A span in which the store's sequences follow one another. A store that was set back begins a new one.
struct Era {
    number: u64,
    /// What is older does not count. It rises when the log is begun to be read.
    floor: AtomicU64,
    clock: Box<[AtomicU64]>,
}

impl Era {
    fn new(number: u64, floor: u64) -> Self {
        Self { number, floor: AtomicU64::new(floor), clock: (0..SLOTS).map(|_| AtomicU64::new(0)).collect() }
    }
}

impl Freshness {
    /// With a lease without end: for a store that nobody else changes, or of which nobody says what others change.
    pub(crate) fn exclusive() -> Self {
        Self::leased_until(MonotonicTime::NEVER, None)
    }

    /// Without a lease, until somebody renews it.
    pub(crate) fn following() -> Self {
        // Moment 0 is over: every clock begins later.
        Self::leased_until(MonotonicTime(0), Some(Mutex::default()))
    }

    fn leased_until(until: MonotonicTime, seen: Option<Mutex<Seen>>) -> Self {
        Self {
            era: ArcSwap::from_pointee(Era::new(0, 0)),
            seen,
            // Above what a new `Standing` says: that it never stood.
            raised: AtomicU64::new(1),
            lease_until: AtomicU64::new(until.0),
            changes: watch::Sender::new(()),
        }
    }

    /// The era to stamp a snapshot with, or a change; read before the snapshot is taken, or the change is begun.
    pub(crate) fn era(&self) -> u64 {
        self.era.load().number
    }

    /// Whether nothing that `stamp` rests on has changed since its snapshot.
    pub(crate) fn stands(&self, stamp: &Stamp) -> bool {
        let era = self.era.load();
        era.number == stamp.era
            && stamp.seq >= era.floor.load(Ordering::Acquire)
            && stamp.tags.iter().all(|tag| era.clock[tag.slot()].load(Ordering::Acquire) <= stamp.seq)
    }

    /// The same, for an entry that is asked often.
    ///
    /// The counter is read before the slots, and written after them. So if a change is missed while the slots are read, its count
    /// comes after the one remembered here, and the next look reads the slots again; and whoever sees a count (acquire)
    /// sees the slots of every change up to it (release).
    pub(crate) fn still_stands(&self, stamp: &Stamp, standing: &Standing) -> bool {
        let raised = self.raised.load(Ordering::Acquire);
        if standing.0.load(Ordering::Relaxed) == raised {
            return true;
        }
        let stands = self.stands(stamp);
        if stands {
            standing.0.store(raised, Ordering::Relaxed);
        }
        stands
    }

    /// Whether this node knows of every change that is old enough to count. Read it before [`stands`](Self::stands).
    pub(crate) fn leased(&self, now: MonotonicTime) -> bool {
        now.0 <= self.lease_until.load(Ordering::Acquire)
    }

    /// Until when that is so.
    pub(crate) fn lease_until(&self) -> MonotonicTime {
        MonotonicTime(self.lease_until.load(Ordering::Acquire))
    }

    /// Everything that had happened at `asked` has been raised: that is good for `span`.
    pub(crate) fn renew(&self, asked: MonotonicTime, span: Duration) {
        self.lease_until.fetch_max(asked.plus(span).0, Ordering::AcqRel);
        self.changes.send_replace(());
    }

    /// A change of the present era touched `tags`: what the log says of others.
    pub(crate) fn raise(&self, seq: u64, tags: &[Tag]) {
        Self::raise_in(&self.era.load(), seq, tags);
        self.told();
    }

    /// What stands when a change of ours has its number, and the lock on the log with it: nobody can have seen that number yet.
    /// `era`: read before the change was begun.
    pub(crate) fn begun(&self, era: u64) -> Begun {
        Begun { era, highest: self.highest() }
    }

    /// A change of ours, which had its number when this stood and is committed, touched `tags`.
    ///
    /// If another era has come since, nobody knows which of them `seq` belongs to; if it does not come after what was known when it
    /// was drawn, the store was set back. Then one more era begins: what is read from now on contains the change.
    pub(crate) fn raise_own(&self, begun: Begun, seq: u64, op_id: Option<&str>, tags: &[Tag]) {
        let era = self.era.load();
        if era.number != begun.era {
            return self.begin_era(self.highest());
        }
        if self.seen.is_some() && seq <= begun.highest {
            return self.begin_era(seq);
        }
        self.saw(begun.era, seq, op_id);
        // If it is followed by another era right now, what is read in that one contains the change as well.
        Self::raise_in(&era, seq, tags);
        self.told();
    }

    /// The last change that was seen or read.
    pub(crate) fn highest(&self) -> u64 {
        self.seen().map_or(0, |seen| seen.highest)
    }

    /// A look-up or a change of ours that was begun in this era came upon this change. Without an id nobody knows whether it is in
    /// the log, but what came before it is.
    pub(crate) fn saw(&self, era: u64, seq: u64, op_id: Option<&str>) {
        let Some(mut seen) = self.seen().filter(|seen| seen.era == era) else { return };
        match op_id {
            Some(op_id) => seen.saw(seq, op_id),
            None => seen.highest = seen.highest.max(seq.saturating_sub(1)),
        }
    }

    /// Whether a poll fits what was seen: `highest` before it was sent, and the ids since.
    pub(crate) fn agrees(&self, highest: u64, poll: &Poll) -> bool {
        let Some(seen) = self.seen() else { return true };
        let known = |seq: u64, op_id: &str| seen.ids.get(&seq).is_none_or(|seen| seen == op_id);
        !seen.torn && poll.head >= highest && poll.changes.iter().all(|change| known(change.seq, &change.op_id))
    }

    /// The log is read from here on: nobody tells what was changed before, so what is older does not count. If another era begins
    /// right now, what is read in that one is younger.
    pub(crate) fn raise_floor(&self, floor: u64) {
        self.era.load().floor.fetch_max(floor, Ordering::AcqRel);
        self.told();
    }

    /// The log of this era was read up to the last of these. A look-up may land later that has seen another change under one of
    /// their numbers.
    pub(crate) fn read(&self, changes: &[LoggedChange]) {
        let Some(mut seen) = self.seen() else { return };
        for change in changes {
            seen.read = change.seq;
            seen.saw(change.seq, &change.op_id);
        }
    }

    fn seen(&self) -> Option<MutexGuard<'_, Seen>> {
        // Nothing in here panics half-way through a change.
        self.seen.as_ref().map(|seen| seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn raise_in(era: &Era, seq: u64, tags: &[Tag]) {
        for tag in tags {
            era.clock[tag.slot()].fetch_max(seq, Ordering::AcqRel);
        }
    }

    /// Nothing that was read before counts any more, and nothing that is older than `floor`.
    pub(crate) fn begin_era(&self, floor: u64) {
        match self.seen() {
            // Whoever begins one waits for whoever else does.
            Some(mut seen) => {
                let number = self.era() + 1;
                self.era.store(Arc::new(Era::new(number, floor)));
                *seen = Seen { era: number, highest: floor, read: floor, ..Seen::default() };
            }
            None => drop(self.era.rcu(|era| Era::new(era.number + 1, floor))),
        }
        self.told();
    }

    fn told(&self) {
        self.raised.fetch_add(1, Ordering::AcqRel);
        self.changes.send_replace(());
    }

    /// Wakes when something has changed.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{OwnerId, RoleId};

    fn stamp(seq: u64, tags: &[Tag]) -> Stamp {
        Stamp { era: 0, seq, tags: tags.into() }
    }

    #[test]
    fn a_later_change_to_any_tag_ends_it() {
        let f = Freshness::exclusive();
        let (owner, role) = (Tag::owner(OwnerId(1)), Tag::role(RoleId(2)));
        let s = stamp(5, &[Tag::ALL, owner, role]);
        assert!(f.stands(&s));
        f.raise(5, &[owner]);
        assert!(f.stands(&s), "its snapshot had that change");
        f.raise(6, &[Tag::role(RoleId(3))]);
        assert!(f.stands(&s), "another role");
        f.raise(7, &[role]);
        assert!(!f.stands(&s));
        assert!(f.stands(&stamp(7, &[role])));
        f.raise(6, &[role]);
        assert!(f.stands(&stamp(7, &[role])), "the clock only rises");
        f.raise(8, &[Tag::ALL]);
        assert!(!f.stands(&stamp(7, &[Tag::ALL, role])));
    }

    #[test]
    fn what_stood_is_asked_again_after_every_change() {
        let f = Freshness::exclusive();
        let (mine, other) = (Tag::role(RoleId(2)), Tag::role(RoleId(3)));
        let (s, standing) = (stamp(5, &[Tag::ALL, mine]), Standing::default());
        assert!(f.still_stands(&s, &standing) && f.still_stands(&s, &standing));
        f.raise(6, &[other]);
        assert!(f.still_stands(&s, &standing));
        f.raise(7, &[mine]);
        assert!(!f.still_stands(&s, &standing) && !f.still_stands(&s, &standing));
        assert!(!f.still_stands(&stamp(6, &[mine]), &Standing::default()), "a new entry has to show it first");
    }

    #[test]
    fn an_acknowledged_change_is_seen_however_many_looks_overlap_it() {
        let f = Freshness::exclusive();
        let tag = Tag::owner(OwnerId(1));
        for seq in 1..=500 {
            let (s, standing) = (stamp(seq - 1, &[tag]), Standing::default());
            let acknowledged = std::sync::atomic::AtomicBool::new(false);
            std::thread::scope(|threads| {
                for _ in 0..2 {
                    threads.spawn(|| {
                        while !acknowledged.load(Ordering::Acquire) {
                            f.still_stands(&s, &standing);
                        }
                        assert!(!f.still_stands(&s, &standing), "change {seq}");
                    });
                }
                assert!(f.still_stands(&s, &standing));
                f.raise(seq, &[tag]);
                acknowledged.store(true, Ordering::Release);
            });
        }
    }

    #[test]
    fn an_era_ends_what_was_read_before() {
        let f = Freshness::exclusive();
        let tag = Tag::owner(OwnerId(1));
        let (s, standing) = (stamp(1000, &[tag]), Standing::default());
        assert!(f.still_stands(&s, &standing));
        f.begin_era(5);
        assert!(!f.still_stands(&s, &standing) && !f.stands(&s));
        let in_era = |seq| Stamp { era: 1, ..stamp(seq, &[tag]) };
        assert!(!f.stands(&in_era(4)), "read from a store that is behind");
        assert!(f.stands(&in_era(5)));
        f.raise_own(Begun { era: 1, highest: 0 }, 6, None, &[tag]);
        assert!(!f.stands(&in_era(5)) && f.stands(&in_era(6)));
        // A change that was begun before the store was set back: its sequence says nothing now.
        f.raise_own(Begun { era: 0, highest: 0 }, 1001, None, &[tag]);
        assert!(!f.stands(&in_era(6)));
        assert!(f.stands(&Stamp { era: 2, ..stamp(7, &[tag]) }));
    }

    /// Ids are kept until the log has been read so far. With too many of them nobody can tell any more whether it agrees.
    #[test]
    fn more_that_was_seen_than_is_kept_has_to_have_been_read() {
        let many = KEPT as u64 + 1;
        let poll = |head| Poll { now: crate::domain::Timestamp(0), head, known: true, changes: Vec::new() };
        let change =
            |seq: u64| LoggedChange { seq, op_id: seq.to_string(), at: crate::domain::Timestamp(0), tags: Vec::new() };
        let see = |f: &Freshness, seqs: std::ops::RangeInclusive<u64>| {
            seqs.for_each(|seq| f.saw(0, seq, Some(&seq.to_string())));
        };
        // The log was read up to the change before the oldest that is kept, or not quite.
        for (read, agrees) in [(0, false), (1, false), (2, true), (3, true), (many, true)] {
            let f = Freshness::following();
            f.read(&(1..=read).map(change).collect::<Vec<_>>());
            see(&f, 1..=many + 1);
            assert_eq!(f.agrees(0, &poll(many + 1)), agrees, "read up to {read}");
            // What did not fit stays so until a new era.
            f.read(&[change(many + 1)]);
            see(&f, many + 2..=many + 3);
            assert_eq!(f.agrees(0, &poll(many + 3)), agrees, "read up to {read}, later");
        }
        let f = Freshness::following();
        see(&f, 1..=many - 1);
        assert!(f.agrees(0, &poll(many)), "as many as are kept");
        let f = Freshness::following();
        f.begin_era(2);
        (1..=many + 1).for_each(|seq| f.saw(1, seq, Some(&seq.to_string())));
        assert!(f.agrees(0, &poll(many + 1)), "where an era begins, what came before is read");
    }

    #[test]
    fn a_lease_is_good_from_when_it_was_asked_for() {
        let (f, span) = (Freshness::following(), Duration::from_nanos(10));
        assert!(!f.leased(MonotonicTime(1)));
        f.renew(MonotonicTime(100), span);
        assert!(f.leased(MonotonicTime(110)) && !f.leased(MonotonicTime(111)));
        f.renew(MonotonicTime(90), span);
        assert!(f.leased(MonotonicTime(110)), "an older poll takes nothing away");
        assert!(Freshness::exclusive().leased(MonotonicTime(u64::MAX)));
    }

    #[test]
    fn tags_of_different_things_differ() {
        let tags = [Tag::ALL, Tag::owner(OwnerId(1)), Tag::role(RoleId(1)), Tag::owner(OwnerId(2))];
        for (i, a) in tags.iter().enumerate() {
            assert!(tags[i + 1..].iter().all(|b| a != b && a.slot() != b.slot()));
        }
    }
}
