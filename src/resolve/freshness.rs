//! What a cached entry rests on, and whether that still stands: the tag clock, its eras, and the lease.
//!
//! An entry carries its tags and the sequence of the last change that its snapshot contained. The tag clock holds, for each of
//! 2^16 slots, the sequence of the last change to any tag of that slot. The entry stands as long as no slot of its tags shows
//! a later change than its snapshot.
//!
//! Between two changes nothing can fall, so an entry remembers in its [`Standing`] that it stood after the last one: then one
//! counter is compared, and neither tags nor slots are read.
//!
//! The lease says that this node knows of every change that is old enough to count. Whoever follows the store's log renews it, by
//! when it asked. Who has nobody to follow has a lease without end.

use crate::domain::{Moment, Tag};
use arc_swap::ArcSwap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

const SLOTS: usize = 1 << 16;

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
    /// How many changes were raised. It moves *after* the slots or the era did, and before the lease and before anybody is told.
    raised: AtomicU64,
    lease_until: AtomicU64,
    changes: watch::Sender<()>,
}

/// A span in which the store's sequences follow one another. A store that was set back begins a new one.
struct Era {
    number: u64,
    floor: u64,
    clock: Box<[AtomicU64]>,
}

impl Era {
    fn new(number: u64, floor: u64) -> Self {
        Self { number, floor, clock: (0..SLOTS).map(|_| AtomicU64::new(0)).collect() }
    }
}

impl Freshness {
    /// With a lease without end: for a store that nobody else changes, or of which nobody says what others change.
    pub(crate) fn exclusive() -> Self {
        Self::leased_until(Moment::NEVER)
    }

    /// Without a lease, until somebody renews it.
    pub(crate) fn following() -> Self {
        // Moment 0 is over: every clock begins later.
        Self::leased_until(Moment(0))
    }

    fn leased_until(until: Moment) -> Self {
        Self {
            era: ArcSwap::from_pointee(Era::new(0, 0)),
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
            && stamp.seq >= era.floor
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
    pub(crate) fn leased(&self, now: Moment) -> bool {
        now.0 <= self.lease_until.load(Ordering::Acquire)
    }

    /// Until when that is so.
    pub(crate) fn lease_until(&self) -> Moment {
        Moment(self.lease_until.load(Ordering::Acquire))
    }

    /// Everything that had happened at `asked` has been raised: that is good for `span`.
    pub(crate) fn renew(&self, asked: Moment, span: Duration) {
        self.lease_until.fetch_max(asked.plus(span).0, Ordering::AcqRel);
        self.changes.send_replace(());
    }

    /// A change of the present era touched `tags`: what the log says of others.
    pub(crate) fn raise(&self, seq: u64, tags: &[Tag]) {
        Self::raise_in(&self.era.load(), seq, tags);
        self.told();
    }

    /// A change of ours, which was begun in era `begun` and is committed, touched `tags`.
    ///
    /// If another era has come since, nobody knows which of them `seq` belongs to, and so one more begins: what is read from now on
    /// contains the change.
    pub(crate) fn raise_own(&self, begun: u64, seq: u64, tags: &[Tag]) {
        let era = self.era.load();
        if era.number == begun {
            // If it is followed by another right now, what is read in that one contains the change as well.
            Self::raise_in(&era, seq, tags);
            self.told();
        } else {
            self.begin_era(era.floor);
        }
    }

    fn raise_in(era: &Era, seq: u64, tags: &[Tag]) {
        for tag in tags {
            era.clock[tag.slot()].fetch_max(seq, Ordering::AcqRel);
        }
    }

    /// Nothing that was read before counts any more, and nothing that is older than `floor`.
    pub(crate) fn begin_era(&self, floor: u64) {
        self.era.rcu(|era| Era::new(era.number + 1, floor));
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
        f.raise_own(1, 6, &[tag]);
        assert!(!f.stands(&in_era(5)) && f.stands(&in_era(6)));
        // A change that was begun before the store was set back: its sequence says nothing now.
        f.raise_own(0, 1001, &[tag]);
        assert!(!f.stands(&in_era(6)));
        assert!(f.stands(&Stamp { era: 2, ..stamp(7, &[tag]) }));
    }

    #[test]
    fn a_lease_is_good_from_when_it_was_asked_for() {
        let (f, span) = (Freshness::following(), Duration::from_nanos(10));
        assert!(!f.leased(Moment(1)));
        f.renew(Moment(100), span);
        assert!(f.leased(Moment(110)) && !f.leased(Moment(111)));
        f.renew(Moment(90), span);
        assert!(f.leased(Moment(110)), "an older poll takes nothing away");
        assert!(Freshness::exclusive().leased(Moment(u64::MAX)));
    }

    #[test]
    fn tags_of_different_things_differ() {
        let tags = [Tag::ALL, Tag::owner(OwnerId(1)), Tag::role(RoleId(1)), Tag::owner(OwnerId(2))];
        for (i, a) in tags.iter().enumerate() {
            assert!(tags[i + 1..].iter().all(|b| a != b && a.slot() != b.slot()));
        }
    }
}
