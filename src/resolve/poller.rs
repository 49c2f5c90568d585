//! Following the store's log of changes: what others change reaches this node by it, and by nothing else.
//!
//! A poll is stamped when it is *sent*. What it brings is raised on the tag clock first, and then the lease is renewed by that
//! stamp: so at any moment within the lease, every change that is older than the lease's span is on the clock. A poll that did
//! not reach the end of the log, or came back too late, or not at all, renews nothing.

use super::{Freshness, Limits, Resolver, Stop};
use crate::domain::{Clock, MonotonicTime, Timestamp};
use crate::store::{Applied, BATCH, ChangeLog, LoggedChange, Poll, StoreError};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// For how long changes are kept in the log: a reader that was away for longer begins anew.
const KEEP: Duration = Duration::from_secs(60 * 60);
/// How often older ones are removed.
const FORGET_EVERY: Duration = Duration::from_secs(10 * 60);

/// What following the log has come to.
#[derive(Debug)]
pub(crate) struct Progress {
    /// The sequence of the last change that was applied.
    applied: AtomicU64,
    /// How long after it happened the last change was applied, by the store's time, in milliseconds; before that, below zero.
    lag_ms: AtomicI64,
}

impl Default for Progress {
    fn default() -> Self {
        Self { applied: AtomicU64::new(0), lag_ms: AtomicI64::new(-1) }
    }
}

impl Progress {
    pub(super) fn applied(&self) -> u64 {
        self.applied.load(Ordering::Relaxed)
    }

    /// `None` before a change was applied.
    pub(super) fn lag(&self) -> Option<Duration> {
        u64::try_from(self.lag_ms.load(Ordering::Relaxed)).ok().map(Duration::from_millis)
    }
}

/// Follows the log for as long as the resolver lives.
pub(super) fn follow(home: &Arc<Resolver>, log: Box<dyn ChangeLog>) {
    let (limits, clock) = (home.limits, home.clock.clone());
    home.tasks.spawn(|stop| run(Arc::downgrade(home), log, limits, clock, stop));
}

async fn run(home: Weak<Resolver>, mut log: Box<dyn ChangeLog>, limits: Limits, clock: Arc<dyn Clock>, mut stop: Stop) {
    let mut reader = Reader::default();
    let mut forgetting = Forgetting { last: clock.moment(), more: false };
    let mut failing = false;
    loop {
        let Some(resolver) = home.upgrade() else { return };
        let highest = resolver.freshness.highest();
        drop(resolver);
        let asked = clock.moment();
        let polled = tokio::select! {
            () = stop.told() => return,
            polled = tokio::time::timeout(limits.poll_deadline, log.poll(reader.applied.as_ref())) => polled,
        };
        let Some(resolver) = home.upgrade() else { return };
        let progress = &resolver.progress;
        let mut old = None;
        match polled {
            Ok(Ok(poll)) => {
                failing = false;
                let (now, head) = (poll.now, poll.head);
                let caught_up = reader.apply(poll, highest, &resolver.freshness, progress);
                if caught_up {
                    // First: whoever sees a lease sees how far it goes.
                    progress.applied.store(head, Ordering::Relaxed);
                    resolver.freshness.renew(asked, limits.max_staleness);
                } else {
                    continue;
                }
                old = forgetting.is_due(clock.moment()).then_some(now);
            }
            error => {
                if !failing {
                    let error = error.map_or(None, Result::err);
                    let error = error.as_ref().map(|e: &StoreError| e as &dyn std::error::Error);
                    tracing::warn!(error, "the log of changes cannot be read: the lease runs out");
                }
                failing = true;
            }
        }
        drop(resolver);
        // In the pause, and no longer: the next poll waits for nothing.
        let meanwhile = async {
            if let Some(now) = old {
                forgetting.forget(&mut *log, now).await;
            }
            log.hint().await;
        };
        tokio::select! {
            () = stop.told() => return,
            () = tokio::time::sleep(limits.poll_every) => {}
            () = meanwhile, if !failing => {}
        }
    }
}

/// Removes old changes, so many after each poll.
struct Forgetting {
    last: MonotonicTime,
    /// There were more of them.
    more: bool,
}

impl Forgetting {
    fn is_due(&mut self, now: MonotonicTime) -> bool {
        if std::mem::take(&mut self.more) {
            return true;
        }
        let due = now.since(self.last) >= FORGET_EVERY;
        if due {
            self.last = now;
        }
        due
    }

    async fn forget(&mut self, log: &mut dyn ChangeLog, now: Timestamp) {
        let before = Timestamp(now.0.saturating_sub(i64::try_from(KEEP.as_millis()).unwrap_or(i64::MAX)));
        match log.forget(before).await {
            Ok(removed) => self.more = removed >= BATCH,
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "old changes are still there");
            }
        }
    }
}

/// How far the log has been read.
#[derive(Default)]
pub(super) struct Reader {
    applied: Option<Applied>,
}

impl Reader {
    /// Raises what a poll brought. Whether this node then knows all that the poll could know. `highest`: the last change that
    /// anybody here had seen before it was sent.
    pub(super) fn apply(&mut self, poll: Poll, highest: u64, freshness: &Freshness, progress: &Progress) -> bool {
        let goes_on = self.applied.as_ref().is_none_or(|applied| {
            let follows = poll.changes.iter().zip(applied.seq + 1..).all(|(change, seq)| change.seq == seq);
            poll.known && poll.head >= applied.seq && follows
        });
        let goes_on = goes_on && freshness.agrees(highest, &poll);
        let Poll { now, head, changes, .. } = poll;
        if !goes_on {
            // The store was set back, or we were away for too long. Where it stands now is asked anew.
            let applied = self.applied.as_ref().map(|applied| applied.seq);
            tracing::warn!(applied, head, "the log of changes does not go on from here: a new era");
            freshness.begin_era(head);
            *self = Self::default();
            return false;
        }
        if let Some(applied) = &self.applied {
            for change in &changes {
                freshness.raise(change.seq, &change.tags);
                progress.lag_ms.store(now.0.saturating_sub(change.at.0).max(0), Ordering::Relaxed);
            }
            freshness.read(&changes);
            let reached = changes.last().map_or(applied.seq, |last| last.seq);
            self.apply_last(changes);
            return reached >= head;
        }
        // What was changed before the first poll is not told. What is older is not let in.
        freshness.raise_floor(head);
        freshness.read(&changes);
        self.apply_last(changes);
        true
    }

    fn apply_last(&mut self, changes: Vec<LoggedChange>) {
        if let Some(last) = changes.into_iter().next_back() {
            self.applied = Some(Applied { seq: last.seq, op_id: last.op_id });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{OwnerId, Tag};
    use crate::resolve::freshness::Stamp;

    impl Reader {
        /// Where nobody had seen anything.
        fn apply_unseen(&mut self, poll: Poll, freshness: &Freshness, progress: &Progress) -> bool {
            self.apply(poll, 0, freshness, progress)
        }
    }

    fn change(seq: u64, of: i64) -> LoggedChange {
        LoggedChange { seq, op_id: format!("op {seq}"), at: Timestamp(0), tags: vec![Tag::owner(OwnerId(of))] }
    }

    fn poll(head: u64, known: bool, changes: Vec<LoggedChange>) -> Poll {
        Poll { now: Timestamp(7), head, known, changes }
    }

    fn read_at(freshness: &Freshness, seq: u64, of: i64) -> Stamp {
        Stamp { era: freshness.era(), seq, tags: [Tag::owner(OwnerId(of))].into() }
    }

    #[test]
    fn what_the_log_says_ends_what_rests_on_it() {
        let (freshness, progress, mut reader) = (Freshness::following(), Progress::default(), Reader::default());
        assert!(reader.apply_unseen(poll(5, true, vec![change(5, 1)]), &freshness, &progress));
        let (mine, other) = (read_at(&freshness, 5, 1), read_at(&freshness, 5, 2));
        assert!(
            freshness.stands(&mine) && !freshness.stands(&read_at(&freshness, 4, 1)),
            "the first poll sets the floor"
        );
        assert!(
            !reader.apply_unseen(poll(8, true, vec![change(6, 3), change(7, 1)]), &freshness, &progress),
            "not at the end"
        );
        assert!(!freshness.stands(&mine) && freshness.stands(&other));
        assert!(reader.apply_unseen(poll(8, true, vec![change(8, 2)]), &freshness, &progress));
        assert!(!freshness.stands(&other));
        assert!(reader.apply_unseen(poll(8, true, vec![]), &freshness, &progress));
        assert_eq!(reader.applied.map(|a| a.seq), Some(8));
    }

    #[test]
    fn a_log_that_does_not_go_on_begins_an_era() {
        for diverged in [
            poll(4, true, vec![]),
            poll(9, false, vec![change(6, 1)]),
            poll(9, true, vec![change(7, 1), change(8, 1), change(9, 1)]),
        ] {
            let (freshness, progress, mut reader) = (Freshness::following(), Progress::default(), Reader::default());
            assert!(reader.apply_unseen(poll(5, true, vec![change(5, 1)]), &freshness, &progress));
            let before = read_at(&freshness, 5, 2);
            assert!(!reader.apply_unseen(diverged, &freshness, &progress), "it renews nothing");
            // Where the store went further back meanwhile, it takes one more.
            while !reader.apply(poll(4, true, vec![change(4, 1)]), freshness.highest(), &freshness, &progress) {}
            assert!(!freshness.stands(&before) && freshness.stands(&read_at(&freshness, 4, 2)));
        }
    }

    /// The first poll was sent before a change of ours, and comes back after it. A look-up at a replica has yet to see the change.
    #[test]
    fn what_was_raised_before_the_first_poll_stays_raised() {
        let (freshness, progress, mut reader) = (Freshness::following(), Progress::default(), Reader::default());
        let begun = freshness.begun(freshness.era());
        freshness.raise_own(begun, 6, Some("op 6"), &[Tag::owner(OwnerId(1))]);
        assert!(reader.apply_unseen(poll(5, true, vec![change(5, 9)]), &freshness, &progress));
        assert!(!freshness.stands(&read_at(&freshness, 5, 1)) && freshness.stands(&read_at(&freshness, 6, 1)));
        assert!(freshness.stands(&read_at(&freshness, 5, 2)), "nobody changed that");
    }

    /// The same where a look-up before the first poll saw what was lost by then.
    #[test]
    fn the_first_poll_too_has_to_fit_what_was_seen() {
        for (poll, highest) in [(poll(5, true, vec![change(5, 1)]), 6), (poll(6, true, vec![change(6, 1)]), 0)] {
            let (freshness, progress, mut reader) = (Freshness::following(), Progress::default(), Reader::default());
            let read = read_at(&freshness, 6, 2);
            freshness.saw(freshness.era(), 6, Some("the sixth that was lost"));
            assert!(!reader.apply(poll, highest, &freshness, &progress), "it renews nothing");
            assert!(!freshness.stands(&read));
        }
    }

    /// A look-up saw change 6 before the log was read so far; then the store was set back to 5.
    #[test]
    fn what_was_seen_ahead_of_the_log_has_to_be_in_it() {
        for after in [
            (poll(5, true, vec![]), 6),
            // Somebody else's sixth change. It was seen while the poll was under way, so the head says nothing.
            (poll(6, true, vec![change(6, 9)]), 5),
        ] {
            let (freshness, progress, mut reader) = (Freshness::following(), Progress::default(), Reader::default());
            assert!(reader.apply_unseen(poll(5, true, vec![change(5, 1)]), &freshness, &progress));
            let read = read_at(&freshness, 6, 2);
            freshness.saw(freshness.era(), 6, Some("the sixth that was lost"));
            assert!(freshness.stands(&read));
            let (poll, highest) = after;
            assert!(!reader.apply(poll, highest, &freshness, &progress), "it renews nothing");
            assert!(!freshness.stands(&read));
        }
    }

    #[test]
    fn what_was_seen_and_then_read_is_forgotten() {
        let (freshness, progress, mut reader) = (Freshness::following(), Progress::default(), Reader::default());
        assert!(reader.apply_unseen(poll(5, true, vec![change(5, 1)]), &freshness, &progress));
        let read = read_at(&freshness, 6, 2);
        freshness.saw(freshness.era(), 6, Some("op 6"));
        // A poll that was sent before the look-up saw it.
        assert!(reader.apply(poll(5, true, vec![]), 5, &freshness, &progress));
        assert!(reader.apply(poll(6, true, vec![change(6, 9)]), 6, &freshness, &progress));
        assert!(freshness.stands(&read) && freshness.highest() == 6);
    }

    /// A look-up was answered by the server that was replaced, and lands when the log of the new one was read beyond it.
    #[test]
    fn what_lands_after_the_log_was_read_has_to_be_in_it() {
        let (freshness, progress, mut reader) = (Freshness::following(), Progress::default(), Reader::default());
        assert!(reader.apply_unseen(poll(5, true, vec![change(5, 1)]), &freshness, &progress));
        let era = freshness.era();
        assert!(reader.apply(poll(7, true, vec![change(6, 2), change(7, 3)]), 5, &freshness, &progress));
        let read = Stamp { era, ..read_at(&freshness, 6, 2) };
        freshness.saw(era, 6, Some("another sixth"));
        assert!(freshness.stands(&read), "until the next poll");
        assert!(!reader.apply(poll(7, true, vec![]), freshness.highest(), &freshness, &progress), "it renews nothing");
        assert!(!freshness.stands(&read));
    }

    /// The same in an era that has just begun: its beginning says how far the log goes, and not which changes those are.
    #[test]
    fn what_lands_before_the_log_is_read_anew_has_to_be_in_it() {
        let (freshness, progress, mut reader) = (Freshness::following(), Progress::default(), Reader::default());
        freshness.begin_era(6);
        let read = read_at(&freshness, 6, 2);
        freshness.saw(freshness.era(), 6, Some("another sixth"));
        assert!(!reader.apply(poll(6, true, vec![change(6, 1)]), 6, &freshness, &progress), "it renews nothing");
        assert!(!freshness.stands(&read));
    }

    /// A change of ours gets a number that somebody has seen already: the store was set back, and no poll has noticed yet.
    #[test]
    fn an_own_change_with_an_old_number_begins_an_era() {
        let (freshness, progress, mut reader) = (Freshness::following(), Progress::default(), Reader::default());
        assert!(reader.apply_unseen(poll(5, true, vec![change(5, 1)]), &freshness, &progress));
        let (read, tag) = (read_at(&freshness, 5, 2), Tag::owner(OwnerId(2)));
        let begun = freshness.begun(freshness.era());
        freshness.raise_own(begun, 5, Some("another fifth"), &[tag]);
        assert!(!freshness.stands(&read), "it was read before the change, whatever its number says");
        assert!(freshness.stands(&read_at(&freshness, 5, 2)), "and this after it");
    }
}
