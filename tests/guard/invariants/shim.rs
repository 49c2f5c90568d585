//! A store that counts, fails and waits as a test tells it to.

use crate::invariants::uncertain_commit::{Fate, UncertainCommit};
use async_trait::async_trait;
use keyward::store::{Digest, Tag};
use keyward::store::{
    NameScope, NewToken, RecentPosition, RecentTokens, Snapshot, Store, StoreError, Transaction, Use, View, WriteStore,
};
use keyward::token::{TokenAuthority, TokenId};
use keyward::{HashKey, MemoryStore};
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
    /// The outcome of the next commit.
    unsure: Mutex<Option<Fate>>,
    /// Changes each snapshot.
    tampering: Mutex<Option<Tampering>>,
    /// If set, each read takes its snapshot, reports it, and waits for a permit.
    paused: Mutex<Option<mpsc::UnboundedSender<()>>>,
    /// The same for last uses, before they are written.
    notes_paused: Mutex<Option<mpsc::UnboundedSender<()>>>,
    /// The same for pages of recently used tokens, after they were read.
    pages_paused: Mutex<Option<mpsc::UnboundedSender<()>>>,
    pages_failing: AtomicBool,
    permits: Semaphore,
    page_permits: Semaphore,
}

type Tampering = Arc<dyn Fn(&mut Snapshot) + Send + Sync>;

impl Shim {
    pub fn new(inner: MemoryStore) -> Self {
        let state = State {
            reads: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            hanging: AtomicBool::new(false),
            unsure: Mutex::new(None),
            tampering: Mutex::new(None),
            paused: Mutex::new(None),
            notes_paused: Mutex::new(None),
            pages_paused: Mutex::new(None),
            pages_failing: AtomicBool::new(false),
            permits: Semaphore::new(0),
            page_permits: Semaphore::new(0),
        };
        Self { inner, state: Arc::new(state) }
    }

    /// Returns the number of reads.
    pub fn reads(&self) -> u64 {
        self.state.reads.load(Ordering::SeqCst)
    }

    /// Makes every later call fail, or none.
    pub fn fail(&self, failing: bool) {
        self.state.failing.store(failing, Ordering::SeqCst);
    }

    /// Makes every later read hang, or none.
    pub fn hang(&self, hanging: bool) {
        self.state.hanging.store(hanging, Ordering::SeqCst);
    }

    /// Makes the outcome of the next commit unknown. The commit happens, or not.
    pub fn lose_sight(&self, happens: bool) {
        *self.state.unsure.lock().unwrap() = Some(Fate::Unknown { happens });
    }

    /// Acknowledges the next commit and makes every later call fail.
    #[cfg(feature = "full")]
    pub fn fail_after_commit(&self) {
        let shim = self.clone();
        *self.state.unsure.lock().unwrap() = Some(Fate::Last(Box::new(move || shim.fail(true))));
    }

    /// Applies this to each later snapshot before it is returned.
    pub fn tamper(&self, how: impl Fn(&mut Snapshot) + Send + Sync + 'static) {
        *self.state.tampering.lock().unwrap() = Some(Arc::new(how));
    }

    /// Stops each later write of last uses before it happens, and reports it on this channel.
    pub fn pause_notes(&self) -> mpsc::UnboundedReceiver<()> {
        let (sender, receiver) = mpsc::unbounded_channel();
        *self.state.notes_paused.lock().unwrap() = Some(sender);
        receiver
    }

    /// Stops each later read after its snapshot was taken, and reports it on this channel.
    pub fn pause(&self) -> mpsc::UnboundedReceiver<()> {
        let (sender, receiver) = mpsc::unbounded_channel();
        *self.state.paused.lock().unwrap() = Some(sender);
        receiver
    }

    /// Stops each later page of recently used tokens after it was read, and reports it on this channel.
    pub fn pause_pages(&self) -> mpsc::UnboundedReceiver<()> {
        let (sender, receiver) = mpsc::unbounded_channel();
        *self.state.pages_paused.lock().unwrap() = Some(sender);
        receiver
    }

    /// Lets one stopped page continue.
    pub fn resume_page(&self) {
        self.state.page_permits.add_permits(1);
    }

    /// Makes every later page of recently used tokens fail.
    pub fn fail_pages(&self) {
        self.state.pages_failing.store(true, Ordering::SeqCst);
    }

    /// Lets one stopped call continue.
    pub fn resume(&self) {
        self.state.permits.add_permits(1);
    }

    /// Lets all calls continue and stops no more.
    pub fn flow(&self) {
        *self.state.paused.lock().unwrap() = None;
        *self.state.notes_paused.lock().unwrap() = None;
    }

    async fn stop(&self, at: &Mutex<Option<mpsc::UnboundedSender<()>>>) {
        let paused = at.lock().unwrap().clone();
        if let Some(paused) = paused {
            paused.send(()).unwrap();
            self.state.permits.acquire().await.unwrap().forget();
        }
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
        let mut snapshot = self.inner.resolve(digest).await?;
        let tampering = self.state.tampering.lock().unwrap().clone();
        if let Some(tamper) = tampering {
            tamper(&mut snapshot);
        }
        self.stop(&self.state.paused).await;
        Ok(snapshot)
    }

    fn following(&self) -> keyward::store::Following {
        keyward::store::Following::Blind
    }

    async fn note_uses(&self, uses: &[Use]) -> Result<(), StoreError> {
        self.check()?;
        self.stop(&self.state.notes_paused).await;
        self.inner.note_uses(uses).await
    }

    async fn recent_tokens(&self, tokens: u32, at: Option<RecentPosition>) -> Result<RecentTokens, StoreError> {
        if self.state.pages_failing.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("the shim was told to fail".into()));
        }
        let page = self.inner.recent_tokens(tokens, at).await?;
        let paused = self.state.pages_paused.lock().unwrap().clone();
        if let Some(paused) = paused {
            paused.send(()).unwrap();
            self.state.page_permits.acquire().await.unwrap().forget();
        }
        Ok(page)
    }

    async fn key_checks(&self) -> Result<Option<Vec<keyward::store::KeyCheck>>, StoreError> {
        Ok(None)
    }

    async fn close(&self) {}
}

#[async_trait]
impl WriteStore for Shim {
    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        self.check()?;
        let tx = self.inner.begin().await?;
        let unsure = self.state.unsure.lock().unwrap().take();
        Ok(match unsure {
            Some(fate) => Box::new(UncertainCommit { tx, fate }),
            None => tx,
        })
    }

    async fn view(&self) -> Result<Box<dyn View>, StoreError> {
        self.check()?;
        self.inner.view().await
    }

    async fn sign_in_candidate(
        &self,
        email: &str,
    ) -> Result<Option<(keyward::OwnerId, keyward::store::PasswordHash)>, StoreError> {
        self.check()?;
        self.inner.sign_in_candidate(email).await
    }
}

/// Puts a token into a store past the services: the gate is not notified.
pub async fn insert(store: &impl WriteStore, digest: Digest, authority: TokenAuthority) -> TokenId {
    let mut tx = store.begin().await.unwrap();
    let new = NewToken {
        name: format!("token {}", tx.seq()),
        scope: NameScope::Installation,
        description: String::new(),
        metadata: None,
        digest,
        hash_key: HashKey::parse(keyward::testing::HASH_KEY).unwrap().id().clone(),
        hint: String::new(),
        lifespan: None,
        authority,
        limits: keyward::token::TokenLimits::none(),
        parent: None,
    };
    let id = tx.insert_token(new).await.unwrap();
    tx.commit(&[Tag::token(&digest)]).await.unwrap();
    id
}

/// Returns a world on a shim.
pub fn world(settings: impl FnOnce(keyward::Builder) -> keyward::Builder) -> (keyward::testing::World<Shim>, Shim) {
    let clock = Arc::new(keyward::testing::ManualClock::default());
    let shim = Shim::new(MemoryStore::with_clock(clock.clone()));
    (keyward::testing::World::on(shim.clone(), clock, |b| settings(b.store_is_exclusive())), shim)
}
