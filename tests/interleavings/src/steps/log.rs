//! A store with one token and a log of changes.

use crate::store::{Applied, ChangeLog, Following, LoggedChange, Poll, Record, Snapshot, Use};
use crate::store::{Digest, Store, StoreError, Tag};
use crate::time::Timestamp;
use crate::token::{ContentAccess, Token, TokenAuthority, TokenId, TokenLimits};
use async_trait::async_trait;
use shuttle::sync::Mutex;
use shuttle::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

pub(super) const DIGEST: Digest = Digest::Native([7; 27]);

/// The changes, each with whether the token exists after it.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    changes: Arc<Mutex<Vec<(LoggedChange, bool)>>>,
    snapshots: Arc<AtomicUsize>,
}

impl Log {
    /// Appends a change by another node. The token `exists` after it, or not.
    pub(super) fn change(&self, id: &str, exists: bool) {
        let mut changes = self.changes.lock().unwrap();
        let seq = changes.len() as u64 + 1;
        let change = LoggedChange { seq, op_id: id.to_owned(), at: Timestamp(0), tags: vec![Tag::token(&DIGEST)] };
        changes.push((change, exists));
    }

    /// Restores a backup with this number of changes.
    pub(super) fn set_back(&self, kept: usize) {
        self.changes.lock().unwrap().truncate(kept);
    }

    /// Returns the number of look-ups that have read a snapshot.
    pub(super) fn snapshots(&self) -> usize {
        self.snapshots.load(Ordering::SeqCst)
    }

    fn snapshot(&self) -> Snapshot {
        let changes = self.changes.lock().unwrap();
        let last = changes.last();
        let record =
            last.is_some_and(|(_, exists)| *exists).then(|| Record { token: token(), owner: None, now: Timestamp(0) });
        let (seq, op_id) = last.map_or((0, None), |(change, _)| (change.seq, Some(change.op_id.clone())));
        Snapshot { seq, op_id, record }
    }

    fn read_after(&self, applied: Option<&Applied>) -> Poll {
        let changes = self.changes.lock().unwrap();
        let changes = || changes.iter().map(|(change, _)| change);
        let head = changes().last().map_or(0, |change| change.seq);
        let known = applied.is_none_or(|a| changes().any(|change| change.seq == a.seq && change.op_id == a.op_id));
        let changes = match applied {
            Some(applied) => changes().filter(|change| change.seq > applied.seq).cloned().collect(),
            None => changes().last().cloned().into_iter().collect(),
        };
        Poll { now: Timestamp(0), head, known, changes }
    }
}

fn token() -> Token {
    Token {
        id: TokenId(1),
        name: "the token".into(),
        description: String::new(),
        metadata: None,
        digest: DIGEST,
        hint: "last".into(),
        lifespan: None,
        expires_at: None,
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
        last_used_at: None,
        last_used_tool: None,
        limits: TokenLimits::none(),
        secret_used: None,
        previous: None,
        ancestors: Vec::new(),
        parent_secret: None,
        authority: TokenAuthority::Content { access: ContentAccess::ReadOnly },
    }
}

#[async_trait]
impl Store for Log {
    async fn resolve(&self, _: &Digest) -> Result<Snapshot, StoreError> {
        tokio::task::yield_now().await;
        let snapshot = self.snapshot();
        self.snapshots.fetch_add(1, Ordering::SeqCst);
        // The poller may finish a whole round before the look-up returns.
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        Ok(snapshot)
    }

    async fn note_uses(&self, _: &[Use]) -> Result<(), StoreError> {
        Ok(())
    }

    fn following(&self) -> Following {
        Following::Log(Box::new(self.clone()))
    }

    async fn key_checks(&self) -> Result<Option<Vec<crate::store::KeyCheck>>, StoreError> {
        Ok(None)
    }

    async fn close(&self) {}
}

#[async_trait]
impl ChangeLog for Log {
    async fn poll(&mut self, applied: Option<&Applied>) -> Result<Poll, StoreError> {
        tokio::task::yield_now().await;
        let poll = self.read_after(applied);
        tokio::task::yield_now().await;
        Ok(poll)
    }

    async fn hint(&mut self) {
        std::future::pending().await
    }

    async fn forget(&mut self, _: Timestamp) -> Result<u64, StoreError> {
        Ok(0)
    }
}
