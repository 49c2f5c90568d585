//! Following the store's log of changes, through which changes by other nodes reach this node.
//!
//! The moment at which a poll is *sent* counts. Its changes are applied to the tag clock first, and then the lease is
//! renewed from that moment. So within the lease, every change older than the lease's span is on the clock. A poll that
//! did not reach the end of the log, or came back too late or not at all, renews nothing.

use super::{Freshness, Limits, Resolver, Stop};
use crate::domain::{Clock, MonotonicTime, Timestamp};
use crate::store::{Applied, BATCH, ChangeLog, LoggedChange, Poll, StoreError};
use crate::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use crate::sync::{Arc, Weak};
use std::time::Duration;

/// How long changes are kept in the log: a reader that was away for longer begins a new era.
const RETENTION: Duration = Duration::from_secs(60 * 60);
/// How often older changes are removed.
const CLEANUP_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// The progress of following the log.
#[derive(Debug)]
pub(crate) struct Progress {
    /// The sequence of the last change that was applied.
    applied: AtomicU64,
    /// The time between the last change and its application, by the store's clock, in milliseconds; negative before the
    /// first change.
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

    /// Returns `None` before a change was applied.
    pub(super) fn lag(&self) -> Option<Duration> {
        u64::try_from(self.lag_ms.load(Ordering::Relaxed)).ok().map(Duration::from_millis)
    }
}

/// Follows the log until the resolver is dropped.
pub(super) fn follow(weak: &Arc<Resolver>, log: Box<dyn ChangeLog>) {
    let (limits, clock) = (weak.limits, weak.clock.clone());
    weak.tasks.spawn(|stop| run(Arc::downgrade(weak), log, limits, clock, stop));
}

async fn run(weak: Weak<Resolver>, mut log: Box<dyn ChangeLog>, limits: Limits, clock: Arc<dyn Clock>, mut stop: Stop) {
    let mut reader = Reader::default();
    let mut cleanup = LogCleanup { last: clock.moment(), more: false };
    let mut failing = false;
    loop {
        let Some(resolver) = weak.upgrade() else { return };
        let highest = resolver.freshness.highest();
        drop(resolver);
        let asked = clock.moment();
        let polled = tokio::select! {
            () = stop.requested() => return,
            polled = tokio::time::timeout(limits.poll_deadline, log.poll(reader.applied.as_ref())) => polled,
        };
        let Some(resolver) = weak.upgrade() else { return };
        let progress = &resolver.progress;
        let mut old = None;
        match polled {
            Ok(Ok(poll)) => {
                failing = false;
                let (now, head) = (poll.now, poll.head);
                let caught_up = reader.apply(poll, highest, &resolver.freshness, progress);
                if caught_up {
                    // Before the lease, so that a reader who sees the lease sees the progress too.
                    let is_new = progress.applied.swap(head, Ordering::Relaxed) != head;
                    resolver.freshness.renew(asked, limits.max_staleness);
                    if is_new {
                        resolver.commits.raise();
                    }
                } else {
                    continue;
                }
                old = cleanup.is_due(clock.moment()).then_some(now);
            }
            error => {
                if !failing {
                    let error = error.map_or(None, Result::err);
                    let error = error.as_ref().map(|e: &StoreError| e as &dyn std::error::Error);
                    tracing::warn!(error, "cannot read the log of changes: the lease expires");
                }
                failing = true;
            }
        }
        drop(resolver);
        // Within the pause only: the next poll does not wait.
        let meanwhile = async {
            if let Some(now) = old {
                cleanup.run(&mut *log, now).await;
            }
            log.hint().await;
        };
        tokio::select! {
            () = stop.requested() => return,
            () = tokio::time::sleep(limits.poll_every) => {}
            () = meanwhile, if !failing => {}
        }
    }
}

/// Removal of old changes, one batch after each poll.
struct LogCleanup {
    last: MonotonicTime,
    /// More of them are left.
    more: bool,
}

impl LogCleanup {
    fn is_due(&mut self, now: MonotonicTime) -> bool {
        if std::mem::take(&mut self.more) {
            return true;
        }
        let due = now.since(self.last) >= CLEANUP_INTERVAL;
        if due {
            self.last = now;
        }
        due
    }

    async fn run(&mut self, log: &mut dyn ChangeLog, now: Timestamp) {
        let before = Timestamp(now.0.saturating_sub(i64::try_from(RETENTION.as_millis()).unwrap_or(i64::MAX)));
        match log.forget(before).await {
            Ok(removed) => self.more = removed >= BATCH,
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "cannot remove old changes yet");
            }
        }
    }
}

/// The position up to which the log has been read.
#[derive(Default)]
pub(super) struct Reader {
    applied: Option<Applied>,
}

impl Reader {
    /// Applies the changes of a poll. Returns true if this node then knows everything that the poll could report.
    ///
    /// `highest` is the last change that this node had observed before it sent the poll.
    pub(super) fn apply(&mut self, poll: Poll, highest: u64, freshness: &Freshness, progress: &Progress) -> bool {
        let is_continuous = self.applied.as_ref().is_none_or(|applied| {
            let follows = poll.changes.iter().zip(applied.seq + 1..).all(|(change, seq)| change.seq == seq);
            poll.known && poll.head >= applied.seq && follows
        });
        let is_continuous = is_continuous && freshness.agrees(highest, &poll);
        let Poll { now, head, changes, .. } = poll;
        if !is_continuous {
            // The store was set back, or this node was away for too long. The next poll asks for the present position.
            let applied = self.applied.as_ref().map(|applied| applied.seq);
            tracing::warn!(applied, head, "the log of changes is not continuous: a new era begins");
            freshness.begin_era(head);
            *self = Self::default();
            return false;
        }
        if let Some(applied) = &self.applied {
            for change in &changes {
                freshness.invalidate(change.seq, &change.tags);
                progress.lag_ms.store(now.0.saturating_sub(change.at.0).max(0), Ordering::Relaxed);
            }
            freshness.record_read(&changes);
            let reached = changes.last().map_or(applied.seq, |last| last.seq);
            self.apply_last(changes);
            return reached >= head;
        }
        // Changes before the first poll are not reported, so older snapshots are stale.
        freshness.raise_floor(head);
        freshness.record_read(&changes);
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
        /// Applies a poll when nothing was observed before.
        fn apply_first(&mut self, poll: Poll, freshness: &Freshness, progress: &Progress) -> bool {
            self.apply(poll, 0, freshness, progress)
        }
    }

    fn change(seq: u64, of: i64) -> LoggedChange {
        LoggedChange { seq, op_id: format!("op {seq}"), at: Timestamp(0), tags: vec![Tag::owner(OwnerId(of))] }
    }

    fn poll(head: u64, known: bool, changes: Vec<LoggedChange>) -> Poll {
        Poll { now: Timestamp(7), head, known, changes }
    }

    fn read_at(freshness: &Freshness, seq: u64, of: i64) -> (Stamp, Tag) {
        (Stamp { era: freshness.era(), seq }, Tag::owner(OwnerId(of)))
    }

    fn is_current(freshness: &Freshness, &(stamp, tag): &(Stamp, Tag)) -> bool {
        freshness.is_current(stamp, [tag])
    }

    #[test]
    fn changes_in_the_log_make_dependent_stamps_stale() {
        let (freshness, progress, mut reader) = (Freshness::with_log(), Progress::default(), Reader::default());
        assert!(reader.apply_first(poll(5, true, vec![change(5, 1)]), &freshness, &progress));
        let (mine, other) = (read_at(&freshness, 5, 1), read_at(&freshness, 5, 2));
        assert!(
            is_current(&freshness, &mine) && !is_current(&freshness, &read_at(&freshness, 4, 1)),
            "the first poll sets the floor"
        );
        assert!(
            !reader.apply_first(poll(8, true, vec![change(6, 3), change(7, 1)]), &freshness, &progress),
            "not at the end of the log"
        );
        assert!(!is_current(&freshness, &mine) && is_current(&freshness, &other));
        assert!(reader.apply_first(poll(8, true, vec![change(8, 2)]), &freshness, &progress));
        assert!(!is_current(&freshness, &other));
        assert!(reader.apply_first(poll(8, true, vec![]), &freshness, &progress));
        assert_eq!(reader.applied.map(|a| a.seq), Some(8));
    }

    #[test]
    fn a_log_that_is_not_continuous_begins_an_era() {
        for diverged in [
            poll(4, true, vec![]),
            poll(9, false, vec![change(6, 1)]),
            poll(9, true, vec![change(7, 1), change(8, 1), change(9, 1)]),
        ] {
            let (freshness, progress, mut reader) = (Freshness::with_log(), Progress::default(), Reader::default());
            assert!(reader.apply_first(poll(5, true, vec![change(5, 1)]), &freshness, &progress));
            let before = read_at(&freshness, 5, 2);
            assert!(!reader.apply_first(diverged, &freshness, &progress), "an inconsistent poll renews nothing");
            // If the store went back further meanwhile, one more era begins.
            while !reader.apply(poll(4, true, vec![change(4, 1)]), freshness.highest(), &freshness, &progress) {}
            assert!(!is_current(&freshness, &before) && is_current(&freshness, &read_at(&freshness, 4, 2)));
        }
    }

    /// The first poll was sent before a change of this node and comes back after it. A look-up at a replica has yet to
    /// see the change.
    #[test]
    fn an_invalidation_before_the_first_poll_stays() {
        let (freshness, progress, mut reader) = (Freshness::with_log(), Progress::default(), Reader::default());
        let position = freshness.position(freshness.era());
        freshness.invalidate_own(position, 6, Some("op 6"), &[Tag::owner(OwnerId(1))]);
        assert!(reader.apply_first(poll(5, true, vec![change(5, 9)]), &freshness, &progress));
        assert!(
            !is_current(&freshness, &read_at(&freshness, 5, 1)) && is_current(&freshness, &read_at(&freshness, 6, 1))
        );
        assert!(is_current(&freshness, &read_at(&freshness, 5, 2)), "that owner did not change");
    }

    /// A look-up before the first poll observed a change that was lost by then.
    #[test]
    fn the_first_poll_must_contain_observed_changes() {
        for (poll, highest) in [(poll(5, true, vec![change(5, 1)]), 6), (poll(6, true, vec![change(6, 1)]), 0)] {
            let (freshness, progress, mut reader) = (Freshness::with_log(), Progress::default(), Reader::default());
            let read = read_at(&freshness, 6, 2);
            freshness.observe(freshness.era(), 6, Some("the sixth that was lost"));
            assert!(!reader.apply(poll, highest, &freshness, &progress), "an inconsistent poll renews nothing");
            assert!(!is_current(&freshness, &read));
        }
    }

    /// A look-up observed change 6 before the log was read so far; then the store was set back to 5.
    #[test]
    fn changes_observed_ahead_of_the_log_must_be_in_it() {
        for after in [
            (poll(5, true, vec![]), 6),
            // Another node's sixth change. It was observed while the poll ran, so the head says nothing.
            (poll(6, true, vec![change(6, 9)]), 5),
        ] {
            let (freshness, progress, mut reader) = (Freshness::with_log(), Progress::default(), Reader::default());
            assert!(reader.apply_first(poll(5, true, vec![change(5, 1)]), &freshness, &progress));
            let read = read_at(&freshness, 6, 2);
            freshness.observe(freshness.era(), 6, Some("the sixth that was lost"));
            assert!(is_current(&freshness, &read));
            let (poll, highest) = after;
            assert!(!reader.apply(poll, highest, &freshness, &progress), "an inconsistent poll renews nothing");
            assert!(!is_current(&freshness, &read));
        }
    }

    #[test]
    fn an_observed_change_that_is_read_later_keeps_the_era() {
        let (freshness, progress, mut reader) = (Freshness::with_log(), Progress::default(), Reader::default());
        assert!(reader.apply_first(poll(5, true, vec![change(5, 1)]), &freshness, &progress));
        let read = read_at(&freshness, 6, 2);
        freshness.observe(freshness.era(), 6, Some("op 6"));
        // The poll was sent before the look-up observed it.
        assert!(reader.apply(poll(5, true, vec![]), 5, &freshness, &progress));
        assert!(reader.apply(poll(6, true, vec![change(6, 9)]), 6, &freshness, &progress));
        assert!(is_current(&freshness, &read) && freshness.highest() == 6);
    }

    /// A look-up was answered by the replaced server, and returns after the log of the new one was read beyond it.
    #[test]
    fn a_change_observed_after_the_log_was_read_must_be_in_it() {
        let (freshness, progress, mut reader) = (Freshness::with_log(), Progress::default(), Reader::default());
        assert!(reader.apply_first(poll(5, true, vec![change(5, 1)]), &freshness, &progress));
        let era = freshness.era();
        assert!(reader.apply(poll(7, true, vec![change(6, 2), change(7, 3)]), 5, &freshness, &progress));
        let read = (Stamp { era, seq: 6 }, Tag::owner(OwnerId(2)));
        freshness.observe(era, 6, Some("another sixth"));
        assert!(is_current(&freshness, &read), "current until the next poll");
        assert!(
            !reader.apply(poll(7, true, vec![]), freshness.highest(), &freshness, &progress),
            "an inconsistent poll renews nothing"
        );
        assert!(!is_current(&freshness, &read));
    }

    /// The same in an era that has just position: its floor says how far the log goes, not which changes it holds.
    #[test]
    fn a_change_observed_before_the_log_is_read_anew_must_be_in_it() {
        let (freshness, progress, mut reader) = (Freshness::with_log(), Progress::default(), Reader::default());
        freshness.begin_era(6);
        let read = read_at(&freshness, 6, 2);
        freshness.observe(freshness.era(), 6, Some("another sixth"));
        assert!(
            !reader.apply(poll(6, true, vec![change(6, 1)]), 6, &freshness, &progress),
            "an inconsistent poll renews nothing"
        );
        assert!(!is_current(&freshness, &read));
    }

    /// A change of this node gets a sequence that was observed already: the store was set back, and no poll has noticed
    /// yet.
    #[test]
    fn an_own_change_with_an_old_sequence_begins_an_era() {
        let (freshness, progress, mut reader) = (Freshness::with_log(), Progress::default(), Reader::default());
        assert!(reader.apply_first(poll(5, true, vec![change(5, 1)]), &freshness, &progress));
        let (read, tag) = (read_at(&freshness, 5, 2), Tag::owner(OwnerId(2)));
        let position = freshness.position(freshness.era());
        freshness.invalidate_own(position, 5, Some("another fifth"), &[tag]);
        assert!(!is_current(&freshness, &read), "a read before the change is stale, whatever its sequence");
        assert!(is_current(&freshness, &read_at(&freshness, 5, 2)), "a read after the change is current");
    }
}
