//! A store in memory that takes as long as one over the network, and counts who was looked up, and how many at a time.

use async_trait::async_trait;
use keyward::MemoryStore;
use keyward::store::Digest;
use keyward::store::{Following, Snapshot, Store, StoreError, Transaction, Use, View, WriteStore};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long it takes to answer.
const ANSWER: Duration = Duration::from_millis(1);

#[derive(Clone, Default)]
pub(crate) struct Counting {
    inner: MemoryStore,
    seen: Arc<Seen>,
}

/// What it was asked since the start.
#[derive(Default)]
pub(crate) struct Seen {
    /// Tokens that there are.
    pub(crate) valid: AtomicU64,
    /// Tokens of our format that there are not.
    pub(crate) absent: AtomicU64,
    /// The same of the reference's format.
    pub(crate) reference: AtomicU64,
    now: AtomicU64,
    now_reference: AtomicU64,
    /// How many were asked for at a time.
    pub(crate) most: AtomicU64,
    /// Of the reference's format.
    pub(crate) most_reference: AtomicU64,
}

impl Counting {
    pub(crate) fn seen(&self) -> &Seen {
        &self.seen
    }
}

impl Seen {
    fn asks(&self, digest: &Digest) -> Asking<'_> {
        let reference = matches!(digest, Digest::Strapi(_));
        for (applies, now, most) in
            [(true, &self.now, &self.most), (reference, &self.now_reference, &self.most_reference)]
        {
            if applies {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            }
        }
        Asking { seen: self, reference }
    }
}

/// A look-up that is under way, until it is dropped.
struct Asking<'s> {
    seen: &'s Seen,
    reference: bool,
}

impl Asking<'_> {
    fn found(&self, found: bool) {
        let count = match (found, self.reference) {
            (true, _) => &self.seen.valid,
            (false, false) => &self.seen.absent,
            (false, true) => &self.seen.reference,
        };
        count.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.seen.now.fetch_sub(1, Ordering::SeqCst);
        if self.reference {
            self.seen.now_reference.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

#[async_trait]
impl Store for Counting {
    async fn resolve(&self, digest: &Digest) -> Result<Snapshot, StoreError> {
        let asking = self.seen.asks(digest);
        let snapshot = self.inner.resolve(digest).await?;
        asking.found(snapshot.record.is_some());
        tokio::time::sleep(ANSWER).await;
        Ok(snapshot)
    }

    async fn note_uses(&self, uses: &[Use]) -> Result<(), StoreError> {
        self.inner.note_uses(uses).await
    }

    fn following(&self) -> Following {
        Following::Blind
    }

    async fn key_checks(&self) -> Result<Option<Vec<keyward::store::KeyCheck>>, StoreError> {
        Ok(None)
    }

    async fn close(&self) {}
}

#[async_trait]
impl WriteStore for Counting {
    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        self.inner.begin().await
    }

    async fn view(&self) -> Result<Box<dyn View>, StoreError> {
        self.inner.view().await
    }

    async fn sign_in_candidate(
        &self,
        email: &str,
    ) -> Result<Option<(keyward::OwnerId, keyward::store::PasswordHash)>, StoreError> {
        self.inner.sign_in_candidate(email).await
    }
}
