//! Stores with a seeded bug, which the checker must detect.

use crate::options::Bug;
use crate::world::now;
use async_trait::async_trait;
use keyward::store::{
    Applied, ChangeLog, Following, KeyCheck, LoggedChange, Poll, Record, Snapshot, Store, StoreError, Transaction, Use,
    View, WriteStore,
};
use keyward::store::{Digest, PasswordHash};
use keyward::time::Timestamp;
use keyward::{OwnerId, PostgresStore};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a hoarding store keeps its reads.
const HOARD: Duration = Duration::from_secs(5);

pub(crate) struct Flawed {
    inner: PostgresStore,
    bug: Option<Bug>,
    hoard: Mutex<HashMap<Digest, (Instant, Record)>>,
}

impl Flawed {
    pub(crate) fn new(inner: PostgresStore, bug: Option<Bug>) -> Self {
        Self { inner, bug, hoard: Mutex::default() }
    }

    /// Returns the former record with the present sequence.
    fn hoarded(&self, digest: &Digest, snapshot: Snapshot) -> Snapshot {
        let mut hoard = self.hoard.lock().unwrap_or_else(PoisonError::into_inner);
        hoard.retain(|_, (read, _)| now() - *read < HOARD);
        let kept = match (hoard.get(digest), &snapshot.record) {
            (Some((_, kept)), _) => Some(copy(kept)),
            (None, Some(record)) => {
                hoard.insert(*digest, (now(), copy(record)));
                Some(copy(record))
            }
            (None, None) => None,
        };
        Snapshot { record: kept, ..snapshot }
    }
}

fn copy(record: &Record) -> Record {
    Record { token: record.token.clone(), owner: record.owner.clone(), now: record.now }
}

#[async_trait]
impl Store for Flawed {
    async fn resolve(&self, digest: &Digest) -> Result<Snapshot, StoreError> {
        let snapshot = self.inner.resolve(digest).await?;
        Ok(match self.bug {
            Some(Bug::Hoarding) => self.hoarded(digest, snapshot),
            _ => snapshot,
        })
    }

    async fn note_uses(&self, uses: &[Use]) -> Result<(), StoreError> {
        self.inner.note_uses(uses).await
    }

    fn following(&self) -> Following {
        match (self.inner.following(), self.bug) {
            (Following::Log(log), Some(bug @ (Bug::Deaf | Bug::Leaseless))) => {
                Following::Log(Box::new(FlawedLog { log, bug, last: None }))
            }
            (following, _) => following,
        }
    }

    async fn key_checks(&self) -> Result<Option<Vec<KeyCheck>>, StoreError> {
        self.inner.key_checks().await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

#[async_trait]
impl WriteStore for Flawed {
    async fn sign_in_candidate(&self, email: &str) -> Result<Option<(OwnerId, PasswordHash)>, StoreError> {
        self.inner.sign_in_candidate(email).await
    }

    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        self.inner.begin().await
    }

    async fn view(&self) -> Result<Box<dyn View>, StoreError> {
        self.inner.view().await
    }
}

#[derive(Debug)]
struct FlawedLog {
    log: Box<dyn ChangeLog>,
    bug: Bug,
    /// The length of the log at a time.
    last: Option<(Timestamp, u64)>,
}

#[async_trait]
impl ChangeLog for FlawedLog {
    async fn poll(&mut self, applied: Option<&Applied>) -> Result<Poll, StoreError> {
        if matches!(self.bug, Bug::Leaseless) {
            return self.poll_anyhow(applied).await;
        }
        let poll = self.log.poll(applied).await?;
        // Reports that there were changes, as look-ups would otherwise contradict the log and start an era, but not their tags.
        let changes = poll.changes.into_iter().map(|change| match applied {
            Some(_) => LoggedChange { tags: Vec::new(), ..change },
            None => change,
        });
        Ok(Poll { changes: changes.collect(), ..poll })
    }

    async fn hint(&mut self) {
        self.log.hint().await;
    }

    async fn forget(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        self.log.forget(before).await
    }
}

impl FlawedLog {
    /// Without an answer from the store, as if nothing had changed.
    async fn poll_anyhow(&mut self, applied: Option<&Applied>) -> Result<Poll, StoreError> {
        let polled = tokio::time::timeout(Duration::from_millis(100), self.log.poll(applied)).await;
        match (polled, self.last) {
            (Ok(Ok(poll)), _) => {
                self.last = Some((poll.now, poll.head));
                Ok(poll)
            }
            (_, Some((now, head))) => Ok(Poll { now, head, known: true, changes: Vec::new() }),
            (Ok(Err(error)), None) => Err(error),
            (Err(_), None) => std::future::pending().await,
        }
    }
}
