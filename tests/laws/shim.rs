//! A store that counts, fails and waits where a test tells it to.

use async_trait::async_trait;
use keyward::store::{Snapshot, Store, StoreError, Transaction, Use, WriteStore};
use keyward::{Digest, MemoryStore};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::{Semaphore, mpsc};

#[derive(Clone)]
pub struct Shim {
    pub inner: MemoryStore,
    state: Arc<State>,
}

struct State {
    reads: AtomicU64,
    failing: AtomicBool,
    hanging: AtomicBool,
    /// When set: each read takes its snapshot, says so, and waits for a permit.
    paused: Mutex<Option<mpsc::UnboundedSender<()>>>,
    permits: Semaphore,
}

impl Shim {
    pub fn new(inner: MemoryStore) -> Self {
        let state = State {
            reads: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            hanging: AtomicBool::new(false),
            paused: Mutex::new(None),
            permits: Semaphore::new(0),
        };
        Self { inner, state: Arc::new(state) }
    }

    /// How often it was read.
    pub fn reads(&self) -> u64 {
        self.state.reads.load(Ordering::SeqCst)
    }

    /// From now on every call fails, or none.
    pub fn fail(&self, failing: bool) {
        self.state.failing.store(failing, Ordering::SeqCst);
    }

    /// From now on no read comes back, or all do.
    pub fn hang(&self, hanging: bool) {
        self.state.hanging.store(hanging, Ordering::SeqCst);
    }

    /// From now on each read stops between its snapshot and its answer, and says so on this channel.
    pub fn pause(&self) -> mpsc::UnboundedReceiver<()> {
        let (sender, receiver) = mpsc::unbounded_channel();
        *self.state.paused.lock().unwrap() = Some(sender);
        receiver
    }

    /// Lets one stopped read go on.
    pub fn resume(&self) {
        self.state.permits.add_permits(1);
    }

    /// Stops stopping reads.
    pub fn flow(&self) {
        *self.state.paused.lock().unwrap() = None;
    }

    fn check(&self) -> Result<(), StoreError> {
        match self.state.failing.load(Ordering::SeqCst) {
            true => Err(StoreError::Unavailable("the shim was told to fail".into())),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl Store for Shim {
    async fn resolve(&self, digest: &Digest) -> Result<Snapshot, StoreError> {
        self.state.reads.fetch_add(1, Ordering::SeqCst);
        self.check()?;
        if self.state.hanging.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let snapshot = self.inner.resolve(digest).await;
        let paused = self.state.paused.lock().unwrap().clone();
        if let Some(paused) = paused {
            paused.send(()).unwrap();
            self.state.permits.acquire().await.unwrap().forget();
        }
        snapshot
    }

    async fn note_uses(&self, uses: &[Use]) -> Result<(), StoreError> {
        self.check()?;
        self.inner.note_uses(uses).await
    }
}

#[async_trait]
impl WriteStore for Shim {
    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        self.check()?;
        self.inner.begin().await
    }
}

/// A world on a shim.
pub fn world(
    settings: impl FnOnce(keyward::Builder<Shim>) -> keyward::Builder<Shim>,
) -> (keyward::testing::World<Shim>, Shim) {
    let clock = Arc::new(keyward::testing::ManualClock::default());
    let shim = Shim::new(MemoryStore::with_clock(clock.clone()));
    (keyward::testing::World::on(shim.clone(), clock, |b| settings(b.store_is_exclusive())), shim)
}
