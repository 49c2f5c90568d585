//! The sequence and the log of changes. A store without a log has neither.

use super::{ReadOnlyBackend, UNKNOWN, insert, is_valid, resolve};
use crate::domain::{Tag, Timestamp};
use crate::store::{Applied, ChangeLog, Following, LoggedChange, Poll, Record};
use futures_util::FutureExt;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

fn log(backend: &impl ReadOnlyBackend) -> Option<Box<dyn ChangeLog>> {
    match backend.store().following() {
        Following::Blind => None,
        Following::Log(log) => Some(log),
    }
}

async fn poll(log: &mut dyn ChangeLog, applied: Option<&Applied>) -> Poll {
    log.poll(applied).await.expect("the log is read")
}

/// Returns the position at the end of the log.
async fn end(log: &mut dyn ChangeLog) -> Applied {
    let poll = poll(log, None).await;
    position(poll.changes.last().expect("a log with changes reports the last one"))
}

fn position(change: &LoggedChange) -> Applied {
    Applied { seq: change.seq, op_id: change.op_id.clone() }
}

/// Reads the changes after a position, as keyward does, and checks that they are complete.
async fn read_after(log: &mut dyn ChangeLog, applied: &Applied) -> Vec<LoggedChange> {
    let (mut read, mut applied) = (Vec::new(), applied.clone());
    loop {
        let Poll { head, known, changes, .. } = poll(log, Some(&applied)).await;
        assert!(known, "the log knows a change that it has reported");
        let seqs: Vec<u64> = changes.iter().map(|change| change.seq).collect();
        let expected: Vec<u64> = (applied.seq + 1..).take(changes.len()).collect();
        assert_eq!(seqs, expected, "changes after the applied one are reported once, in order, without gaps");
        let Some(last) = changes.last() else {
            assert_eq!(applied.seq, head, "the log reports changes up to its head");
            return read;
        };
        applied = position(last);
        read.extend(changes);
    }
}

async fn seq(backend: &impl ReadOnlyBackend) -> u64 {
    resolve(backend, &UNKNOWN).await.seq
}

pub(super) async fn each_change_raises_the_sequence(backend: &impl ReadOnlyBackend) {
    if log(backend).is_none() {
        return;
    }
    let mut last = seq(backend).await;
    let mut has_risen = async |change: &str| {
        let now = seq(backend).await;
        assert!(now > last, "a change raises the sequence: {change}");
        last = now;
    };
    let digest = insert(backend, "first").await;
    has_risen("an insertion").await;
    let known = resolve(backend, &digest).await;
    assert!(known.op_id.is_some(), "a snapshot has the id of the last change");
    assert_eq!(known.seq, seq(backend).await, "known and unknown digests have one sequence");
    backend.set_expiry(&digest, known.record.expect("a token resolves").now.plus(MINUTE)).await;
    has_risen("an expiry that is set").await;
    if backend.deactivate_owner(&digest).await {
        has_risen("an owner who is deactivated").await;
    }
    backend.revoke(&digest).await;
    has_risen("a revocation").await;
}

/// A token that is read before a revocation with the sequence after it would stay valid for ever.
pub(super) async fn snapshot_is_of_one_moment(backend: &impl ReadOnlyBackend) {
    if log(backend).is_none() {
        return;
    }
    for round in 0..20 {
        let digest = insert(backend, &format!("round {round}")).await;
        let before = seq(backend).await;
        let is_revoked = AtomicBool::new(false);
        let reads = async {
            let mut snapshots = Vec::new();
            loop {
                let is_last = is_revoked.load(Ordering::Relaxed);
                let snapshot = resolve(backend, &digest).await;
                snapshots.push((snapshot.seq, snapshot.record.as_ref().is_some_and(is_valid)));
                if is_last {
                    return snapshots;
                }
                tokio::task::yield_now().await;
            }
        };
        let revocation = async {
            for _ in 0..round {
                tokio::task::yield_now().await;
            }
            backend.revoke(&digest).await;
            is_revoked.store(true, Ordering::Relaxed);
        };
        let (snapshots, ()) = tokio::join!(reads, revocation);
        for (seq, is_valid) in snapshots {
            assert_eq!(seq == before, is_valid, "token and sequence are read in one snapshot");
        }
    }
}

pub(super) async fn first_poll_reports_the_last_change_only(backend: &impl ReadOnlyBackend) {
    let Some(mut log) = log(backend) else { return };
    let empty = poll(&mut *log, None).await;
    assert!(empty.known && empty.changes.is_empty(), "a log without changes has none to report");
    assert_eq!(empty.head, seq(backend).await, "the head of the log is the sequence of a snapshot");
    for name in ["first", "second"] {
        insert(backend, name).await;
    }
    let Poll { now, head, known, changes } = poll(&mut *log, None).await;
    let last = resolve(backend, &UNKNOWN).await;
    assert!(known, "a poll that names no change is known");
    assert_eq!(head, last.seq, "the head of the log is the sequence of a snapshot");
    let [change] = &changes[..] else { panic!("the first poll reports the last change only: {changes:?}") };
    assert_eq!((change.seq, Some(&change.op_id)), (last.seq, last.op_id.as_ref()), "log and snapshot name one change");
    assert!(now.0.abs_diff(change.at.0) < MINUTE.as_millis() as u64, "times are milliseconds since 1970 by one clock");
}

pub(super) async fn changes_are_reported_once_in_order(backend: &impl ReadOnlyBackend) {
    let Some(mut log) = log(backend) else { return };
    insert(backend, "before").await;
    let start = end(&mut *log).await;
    assert!(read_after(&mut *log, &start).await.is_empty(), "the applied change is not reported again");
    // The changes of each snapshot.
    let mut seen = Vec::new();
    let mut see = async || {
        let snapshot = resolve(backend, &UNKNOWN).await;
        seen.push((snapshot.seq, snapshot.op_id.expect("a snapshot has the id of the last change")));
    };
    let digest = insert(backend, "first").await;
    see().await;
    insert(backend, "second").await;
    see().await;
    backend.set_expiry(&digest, Timestamp(1)).await;
    see().await;
    backend.revoke(&digest).await;
    see().await;
    let read = read_after(&mut *log, &start).await;
    let ids: HashSet<&str> = read.iter().map(|change| change.op_id.as_str()).collect();
    assert_eq!(ids.len(), read.len(), "each change has an id of its own");
    for (seq, op_id) in seen {
        let change = read.iter().find(|change| change.seq == seq);
        assert_eq!(change.map(|change| &change.op_id), Some(&op_id), "log and snapshot name one change");
    }
    // A position between is as good as one at the end.
    for at in [0, read.len() / 2, read.len() - 1] {
        let rest = read_after(&mut *log, &position(&read[at])).await;
        let ids = |changes: &[LoggedChange]| changes.iter().map(|change| change.op_id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&rest), ids(&read[at + 1..]), "the same changes are reported after any of them");
    }
}

/// Returns true if one of the changes makes a principal with one of these tags stale.
fn concern(changes: &[LoggedChange], tags: &[Tag]) -> bool {
    changes.iter().flat_map(|change| &change.tags).any(|tag| tags.contains(tag))
}

/// Returns the tags of a cached token.
fn tags_of(record: &Record) -> Vec<Tag> {
    let mut tags = vec![Tag::ALL, Tag::token(&record.token.digest)];
    if let Some((owner, _)) = &record.owner {
        tags.push(Tag::owner(owner.id));
        tags.extend(owner.roles.iter().map(|role| Tag::role(*role)));
    }
    tags
}

pub(super) async fn changes_have_the_tags_of_stale_principals(backend: &impl ReadOnlyBackend) {
    let Some(mut log) = log(backend) else { return };
    insert(backend, "before").await;
    let mut applied = end(&mut *log).await;
    let mut changes = async || {
        let changes = read_after(&mut *log, &applied).await;
        applied = position(changes.last().expect("each change is in the log"));
        changes
    };
    let digest = insert(backend, "first").await;
    let absent = [Tag::ALL, Tag::token(&digest)];
    assert!(concern(&changes().await, &absent), "an insertion has the tag of the token: it may be cached as absent");
    let record = resolve(backend, &digest).await.record.expect("a token resolves");
    let cached = tags_of(&record);
    backend.set_expiry(&digest, record.now.plus(MINUTE)).await;
    assert!(concern(&changes().await, &cached), "an expiry that is set has a tag of the token or its owner");
    if backend.deactivate_owner(&digest).await {
        assert!(concern(&changes().await, &cached), "an owner who is deactivated has the owner's tag");
    }
    backend.revoke(&digest).await;
    assert!(concern(&changes().await, &cached), "a revocation has a tag of the token or its owner");
}

pub(super) async fn thousands_of_changes_are_reported_in_parts(backend: &impl ReadOnlyBackend) {
    let Some(mut log) = log(backend) else { return };
    let digest = insert(backend, "first").await;
    let start = end(&mut *log).await;
    for n in 0..1100 {
        backend.set_expiry(&digest, Timestamp(2_000_000_000_000 + n)).await;
    }
    let head = poll(&mut *log, Some(&start)).await.head;
    assert_eq!(head, seq(backend).await, "the head is the last change, also if a poll does not report it");
    let read = read_after(&mut *log, &start).await;
    assert_eq!(read.len() as u64, head - start.seq, "no change is left out");
}

/// A restored backup has fewer changes, or others under the same sequences.
pub(super) async fn lost_changes_are_unknown(backend: &impl ReadOnlyBackend) {
    let Some(mut log) = log(backend) else { return };
    for name in ["first", "second", "third"] {
        insert(backend, name).await;
    }
    let Applied { seq, op_id } = end(&mut *log).await;
    let elsewhere = || "an id of another history".to_owned();
    for lost in [
        Applied { seq, op_id: elsewhere() },
        Applied { seq: seq - 1, op_id: elsewhere() },
        Applied { seq: seq - 1, op_id: op_id.clone() },
        Applied { seq: seq + 1, op_id: elsewhere() },
        Applied { seq: seq + 1, op_id },
    ] {
        let poll = poll(&mut *log, Some(&lost)).await;
        assert!(!poll.known, "a change that the log does not have is not known");
        assert_eq!(poll.head, seq, "the head is the last change of the log");
    }
}

pub(super) async fn forgetting_keeps_the_last_change(backend: &impl ReadOnlyBackend) {
    let Some(mut log) = log(backend) else { return };
    insert(backend, "first").await;
    let first = end(&mut *log).await;
    for name in ["second", "third"] {
        insert(backend, name).await;
    }
    let last = end(&mut *log).await;
    let now = poll(&mut *log, None).await.now;
    let forgotten = log.forget(Timestamp(now.0 - 1000 * 3600)).await.expect("old changes are deleted");
    assert_eq!(forgotten, 0, "changes after the time are kept");
    read_after(&mut *log, &first).await;
    log.forget(now.plus(MINUTE)).await.expect("old changes are deleted");
    assert_eq!(end(&mut *log).await, last, "the last change is kept");
    assert_eq!(seq(backend).await, last.seq, "the sequence stays when changes are deleted");
    if poll(&mut *log, Some(&first)).await.known {
        read_after(&mut *log, &first).await;
    }
    insert(backend, "fourth").await;
    let read = read_after(&mut *log, &last).await;
    assert!(!read.is_empty(), "the sequence goes on when changes are deleted");
}

pub(super) async fn dropped_poll_spoils_nothing(backend: &impl ReadOnlyBackend) {
    let Some(mut log) = log(backend) else { return };
    insert(backend, "first").await;
    let start = end(&mut *log).await;
    insert(backend, "second").await;
    for _ in 0..3 {
        drop(log.poll(Some(&start)).now_or_never());
        _ = log.hint().now_or_never();
        let read = read_after(&mut *log, &start).await;
        assert!(!read.is_empty(), "a poll reports what a dropped one would have reported");
    }
}
