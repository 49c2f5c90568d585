//! Stores that break one rule each. The contract finds every one.

use super::store::AppStore;
use super::{Application, guard, memory};
use async_trait::async_trait;
use keyward::admin::OwnerState;
use keyward::store::{
    Applied, ChangeLog, Digest, Following, KeyCheck, Poll, Record, Snapshot, Store, StoreError, Use, contract,
};
use keyward::time::Timestamp;
use keyward::token::{TokenAuthority, TokenId};
use sqlx::SqlitePool;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// A broken rule, and what the contract says about it.
const MISTAKES: [(Mistake, &str); 31] = [
    (Mistake::AnotherName, "a digest resolves to its token"),
    (Mistake::AnotherDigest, "the digest that was looked up"),
    (Mistake::OneId, "each token has an id of its own"),
    (Mistake::AllOfTheOwner, "a token may do nothing else"),
    (Mistake::NoGrants, "a token may do what it was issued for"),
    (Mistake::SecondsNotMilliseconds, "times are milliseconds"),
    (Mistake::UnknownIsAnError, "an unknown digest is not an error"),
    (Mistake::NoExpiry, "the expiry of a token is read"),
    (Mistake::ExpiryInSeconds, "the expiry of a token is read in milliseconds"),
    (Mistake::KeepsTokens, "a revoked token does not resolve"),
    (Mistake::OwnersAlwaysActive, "a token of a deactivated owner"),
    (Mistake::BatchBackwards, "in the order of its digests"),
    (Mistake::BatchWithoutUnknown, "each digest has a snapshot"),
    (Mistake::UseIsAChange, "a use is not a change"),
    (Mistake::SequenceStays, "a change raises the sequence"),
    (Mistake::NoInsertions, "a change raises the sequence: an insertion"),
    (Mistake::NoOwners, "a change raises the sequence: an owner who is deactivated"),
    (Mistake::NoRevocations, "a change raises the sequence: a revocation"),
    (Mistake::NoChangeId, "a snapshot has the id of the last change"),
    (Mistake::TwoSnapshots, "token and sequence are read in one snapshot"),
    (Mistake::FirstPollReportsAll, "the first poll reports the last change only"),
    (Mistake::OtherChangeIds, "log and snapshot name one change"),
    (Mistake::AppliedAgain, "reported once"),
    (Mistake::NewestFirst, "in order, without gaps"),
    (Mistake::SkipsAChange, "in order, without gaps"),
    (Mistake::NoTags, "an insertion has the tag of the token"),
    (Mistake::TagsOfTokensOnly, "an owner who is deactivated has the owner's tag"),
    (Mistake::HeadOfThePart, "the head is the last change, also if a poll does not report it"),
    (Mistake::EverythingIsKnown, "a change that the log does not have is not known"),
    (Mistake::ForgetsAll, "a log with changes reports the last one"),
    (Mistake::DroppedPollLosesChanges, "the log reports changes up to its head"),
];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mistake {
    AnotherName,
    AnotherDigest,
    OneId,
    AllOfTheOwner,
    NoGrants,
    SecondsNotMilliseconds,
    UnknownIsAnError,
    NoExpiry,
    ExpiryInSeconds,
    KeepsTokens,
    OwnersAlwaysActive,
    BatchBackwards,
    BatchWithoutUnknown,
    UseIsAChange,
    SequenceStays,
    NoInsertions,
    NoOwners,
    NoRevocations,
    NoChangeId,
    TwoSnapshots,
    FirstPollReportsAll,
    OtherChangeIds,
    AppliedAgain,
    NewestFirst,
    SkipsAChange,
    NoTags,
    TagsOfTokensOnly,
    HeadOfThePart,
    EverythingIsKnown,
    ForgetsAll,
    DroppedPollLosesChanges,
}

#[tokio::test]
async fn contract_finds_each_mistake() {
    let mut missed = Vec::new();
    for (mistake, rule) in MISTAKES {
        let run = tokio::spawn(contract::read_only(async move || {
            let db = memory().await;
            let inner = AppStore::create(db.clone()).await.unwrap();
            let unlogged = match mistake {
                Mistake::NoInsertions => "DROP TRIGGER key_inserted",
                Mistake::NoOwners => "DROP TRIGGER person_updated",
                Mistake::NoRevocations => "DROP TRIGGER key_deleted",
                _ => "",
            };
            sqlx::raw_sql(unlogged).execute(&db).await.unwrap();
            let guard = guard(&inner);
            let store = Mistaken { inner, db: db.clone(), mistake, seen: Mutex::default() };
            Application { db, store, guard }
        }));
        let message = match run.await {
            Ok(()) => "nothing".to_owned(),
            Err(error) => {
                let panic = error.into_panic();
                let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
                text.unwrap_or_else(|| panic.downcast_ref::<String>().unwrap().clone())
            }
        };
        if !message.contains(rule) {
            missed.push(format!("{mistake:?}: the contract says {message}"));
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

/// The guide's store with one mistake.
struct Mistaken {
    inner: AppStore,
    db: SqlitePool,
    mistake: Mistake,
    /// Digests of tokens that were found.
    seen: Mutex<Vec<(Digest, Record)>>,
}

impl Mistaken {
    fn makes(&self, mistake: Mistake) -> bool {
        self.mistake == mistake
    }

    fn spoil(&self, record: &mut Record) {
        let Record { token, owner, now } = record;
        match self.mistake {
            Mistake::AnotherName => token.name = "first".into(),
            Mistake::AnotherDigest => token.digest = Digest::Native([1; 27]),
            Mistake::OneId => token.id = TokenId(1),
            Mistake::SecondsNotMilliseconds => now.0 /= 1000,
            Mistake::NoExpiry => token.expires_at = None,
            Mistake::ExpiryInSeconds => token.expires_at = token.expires_at.map(|at| Timestamp(at.0 / 1000)),
            _ => {}
        }
        if let TokenAuthority::Admin { grants, .. } = &mut token.authority {
            match self.mistake {
                Mistake::AllOfTheOwner => *grants = ["articles.read", "articles.write"].map(keyward::Grant::new).into(),
                Mistake::NoGrants => grants.clear(),
                _ => {}
            }
        }
        if let (Some((owner, _)), Mistake::OwnersAlwaysActive) = (owner, self.mistake) {
            owner.state = OwnerState::Active;
        }
    }
}

#[async_trait]
impl Store for Mistaken {
    async fn resolve(&self, digest: &Digest) -> Result<Snapshot, StoreError> {
        let mut snapshot = self.inner.resolve(digest).await?;
        if let Some(record) = &mut snapshot.record {
            self.spoil(record);
        }
        match self.mistake {
            Mistake::UnknownIsAnError if snapshot.record.is_none() => {
                return Err(StoreError::Corrupt("no such token".into()));
            }
            Mistake::KeepsTokens => {
                let mut seen = self.seen.lock().unwrap();
                match (snapshot.record.take(), seen.iter().find(|(kept, _)| kept == digest)) {
                    (Some(record), _) => {
                        seen.push((*digest, copy(&record)));
                        snapshot.record = Some(record);
                    }
                    (None, Some((_, kept))) => snapshot.record = Some(copy(kept)),
                    (None, None) => {}
                }
            }
            Mistake::SequenceStays => snapshot.seq = snapshot.seq.min(1),
            Mistake::NoChangeId => snapshot.op_id = None,
            Mistake::OtherChangeIds => snapshot.op_id = snapshot.op_id.map(|id| format!("{id} of another log")),
            Mistake::TwoSnapshots => {
                // The revocation comes in between.
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                let later = self.inner.resolve(digest).await?;
                (snapshot.seq, snapshot.op_id) = (later.seq, later.op_id);
            }
            _ => {}
        }
        Ok(snapshot)
    }

    async fn resolve_many(&self, digests: &[Digest]) -> Result<Vec<Result<Snapshot, StoreError>>, StoreError> {
        let mut snapshots = Vec::new();
        for digest in digests {
            snapshots.push(self.resolve(digest).await);
        }
        if self.makes(Mistake::BatchBackwards) {
            snapshots.reverse();
        }
        if self.makes(Mistake::BatchWithoutUnknown) {
            snapshots.retain(|found| found.as_ref().is_ok_and(|snapshot| snapshot.record.is_some()));
        }
        Ok(snapshots)
    }

    async fn note_uses(&self, uses: &[Use]) -> Result<(), StoreError> {
        if self.makes(Mistake::UseIsAChange) {
            sqlx::query("INSERT INTO key_change (digest) VALUES ('')").execute(&self.db).await.unwrap();
        }
        self.inner.note_uses(uses).await
    }

    fn following(&self) -> Following {
        let Following::Log(log) = self.inner.following() else { unreachable!() };
        Following::Log(Box::new(MistakenLog {
            inner: log,
            db: self.db.clone(),
            mistake: self.mistake,
            lost: AtomicBool::new(false),
        }))
    }

    async fn key_checks(&self) -> Result<Option<Vec<KeyCheck>>, StoreError> {
        self.inner.key_checks().await
    }

    async fn close(&self) {}
}

fn copy(Record { token, owner, now }: &Record) -> Record {
    Record { token: token.clone(), owner: owner.clone(), now: *now }
}

#[derive(Debug)]
struct MistakenLog {
    inner: Box<dyn ChangeLog>,
    db: SqlitePool,
    mistake: Mistake,
    /// Whether a poll has begun that was not completed.
    lost: AtomicBool,
}

#[async_trait]
impl ChangeLog for MistakenLog {
    async fn poll(&mut self, applied: Option<&Applied>) -> Result<Poll, StoreError> {
        let first = Applied { seq: 1, op_id: String::new() };
        let asked = match self.mistake {
            Mistake::FirstPollReportsAll => applied.or(Some(&first)),
            _ => applied,
        };
        let was_dropped = self.lost.swap(true, Ordering::Relaxed);
        let mut poll = self.inner.poll(asked).await?;
        self.lost.store(false, Ordering::Relaxed);
        match (self.mistake, applied) {
            (Mistake::FirstPollReportsAll, None) => poll.known = true,
            (Mistake::AppliedAgain, Some(applied)) => {
                if let Some(again) = self.inner.poll(None).await?.changes.pop().filter(|c| c.seq == applied.seq) {
                    poll.changes.insert(0, again);
                }
            }
            (Mistake::NewestFirst, Some(_)) => poll.changes.reverse(),
            (Mistake::SkipsAChange, Some(_)) if poll.changes.len() > 1 => drop(poll.changes.remove(0)),
            (Mistake::NoTags, _) => poll.changes.iter_mut().for_each(|change| change.tags.clear()),
            (Mistake::TagsOfTokensOnly, _) => {
                // Owners have the upper bits 01.
                poll.changes.iter_mut().for_each(|change| change.tags.retain(|tag| tag.0 >> 62 != 1));
            }
            (Mistake::HeadOfThePart, Some(applied)) => {
                poll.head = poll.changes.last().map_or(applied.seq, |last| last.seq);
            }
            (Mistake::EverythingIsKnown, _) => poll.known = true,
            (Mistake::DroppedPollLosesChanges, Some(_)) if was_dropped && !poll.changes.is_empty() => {
                drop(poll.changes.remove(0));
            }
            _ => {}
        }
        Ok(poll)
    }

    async fn hint(&mut self) {
        self.inner.hint().await;
    }

    async fn forget(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        if self.mistake == Mistake::ForgetsAll {
            sqlx::query("DELETE FROM key_change WHERE at < ?1").bind(before.0).execute(&self.db).await.unwrap();
        }
        self.inner.forget(before).await
    }
}
