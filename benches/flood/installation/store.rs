//! A memory store with the latency of a network. It counts look-ups and how many run at a time.

use async_trait::async_trait;
use keyward::MemoryStore;
use keyward::store::Digest;
use keyward::store::{Following, Snapshot, Store, StoreError, Transaction, Use, View, WriteStore};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The latency of a look-up.
const LATENCY: Duration = Duration::from_millis(1);

#[derive(Clone, Default)]
pub(crate) struct SlowStore {
    inner: MemoryStore,
    counts: Arc<Counts>,
}

/// The counts since the start.
#[derive(Default)]
pub(crate) struct Counts {
    /// Look-ups of existing tokens.
    pub(crate) valid: AtomicU64,
    /// Look-ups of absent tokens of keyward's format.
    pub(crate) absent: AtomicU64,
    /// The same for Strapi's format.
    pub(crate) strapi: AtomicU64,
    running: AtomicU64,
    running_strapi: AtomicU64,
    /// The highest number of concurrent look-ups.
    pub(crate) most: AtomicU64,
    /// The same for Strapi's format.
    pub(crate) most_strapi: AtomicU64,
}

impl SlowStore {
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }
}

impl Counts {
    fn start(&self, digest: &Digest) -> Lookup<'_> {
        let strapi = matches!(digest, Digest::Strapi(_));
        for (applies, running, most) in
            [(true, &self.running, &self.most), (strapi, &self.running_strapi, &self.most_strapi)]
        {
            if applies {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            }
        }
        Lookup { counts: self, strapi }
    }
}

/// A running look-up. It ends when this is dropped.
struct Lookup<'c> {
    counts: &'c Counts,
    strapi: bool,
}

impl Lookup<'_> {
    fn count(&self, exists: bool) {
        let count = match (exists, self.strapi) {
            (true, _) => &self.counts.valid,
            (false, false) => &self.counts.absent,
            (false, true) => &self.counts.strapi,
        };
        count.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Lookup<'_> {
    fn drop(&mut self) {
        self.counts.running.fetch_sub(1, Ordering::SeqCst);
        if self.strapi {
            self.counts.running_strapi.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

#[async_trait]
impl Store for SlowStore {
    async fn resolve(&self, digest: &Digest) -> Result<Snapshot, StoreError> {
        let lookup = self.counts.start(digest);
        let snapshot = self.inner.resolve(digest).await?;
        lookup.count(snapshot.record.is_some());
        tokio::time::sleep(LATENCY).await;
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
impl WriteStore for SlowStore {
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
