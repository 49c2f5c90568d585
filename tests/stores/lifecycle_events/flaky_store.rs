//! A store that counts its views, fails, and holds transactions as a test tells it to.

use async_trait::async_trait;
use keyward::MemoryStore;
use keyward::store::{
    Digest, Following, HostTransaction, KeyCheck, PasswordHash, Snapshot, Store, StoreError, Transaction, Use, View,
    WriteStore,
};
use keyward::token::OwnerId;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;

#[derive(Clone)]
pub struct FlakyStore {
    inner: MemoryStore,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    views: AtomicU64,
    failures: AtomicU64,
    /// The transactions that begin before one is held, and the channels that tell of it and release it.
    held: Mutex<Option<Held>>,
}

struct Held {
    after: u32,
    reached: oneshot::Sender<()>,
    released: oneshot::Receiver<()>,
}

impl FlakyStore {
    pub fn new(inner: MemoryStore) -> Self {
        Self { inner, state: Arc::default() }
    }

    /// Returns how many views were opened.
    pub fn views(&self) -> u64 {
        self.state.views.load(Ordering::SeqCst)
    }

    /// Fails the next views, this many.
    pub fn fail_next(&self, count: u64) {
        self.state.failures.store(count, Ordering::SeqCst);
    }

    /// Holds the transaction after this many. Returns what tells that it is reached, and what releases it.
    pub fn hold_transaction(&self, after: u32) -> (oneshot::Receiver<()>, oneshot::Sender<()>) {
        let ((reached, is_reached), (release, released)) = (oneshot::channel(), oneshot::channel());
        *self.state.held.lock().unwrap() = Some(Held { after, reached, released });
        (is_reached, release)
    }
}

#[async_trait]
impl Store for FlakyStore {
    async fn resolve(&self, digest: &Digest) -> Result<Snapshot, StoreError> {
        self.inner.resolve(digest).await
    }

    async fn note_uses(&self, uses: &[Use]) -> Result<(), StoreError> {
        self.inner.note_uses(uses).await
    }

    fn following(&self) -> Following {
        self.inner.following()
    }

    async fn key_checks(&self) -> Result<Option<Vec<KeyCheck>>, StoreError> {
        Store::key_checks(&self.inner).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

#[async_trait]
impl WriteStore for FlakyStore {
    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        let held = {
            let mut held = self.state.held.lock().unwrap();
            match held.take() {
                Some(Held { after: 0, reached, released }) => Some((reached, released)),
                Some(waits) => {
                    *held = Some(Held { after: waits.after - 1, ..waits });
                    None
                }
                None => None,
            }
        };
        if let Some((reached, released)) = held {
            _ = reached.send(());
            _ = released.await;
        }
        self.inner.begin().await
    }

    async fn begin_within<'t>(&'t self, host: HostTransaction<'t>) -> Result<Box<dyn Transaction + 't>, StoreError> {
        self.inner.begin_within(host).await
    }

    async fn view(&self) -> Result<Box<dyn View>, StoreError> {
        self.state.views.fetch_add(1, Ordering::SeqCst);
        let failures = &self.state.failures;
        if failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Err(StoreError::Unavailable("it is told to fail".into()));
        }
        self.inner.view().await
    }

    async fn sign_in_candidate(&self, email: &str) -> Result<Option<(OwnerId, PasswordHash)>, StoreError> {
        self.inner.sign_in_candidate(email).await
    }
}
