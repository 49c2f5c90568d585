//! The warm-up: a node that starts caches the tokens that were used last, page by page, before they are presented.
//!
//! The cache finds an entry by a hash of the presented secret, which the store does not have. So a warmed entry is put
//! under its digest, without a cache key: no request finds it by its secret. Once a request's secret was verified, the
//! entry is found by the digest, and moves to the secret's key.
//!
//! A warmed entry carries the stamp of its page's snapshot. It is judged like an entry that a look-up cached.
//!
//! Look-ups come first. The warm-up takes none of their permits, reads one page at a time, and pauses between pages for
//! as long as a page took while look-ups wait. It does not stop until none waits: a page costs the store much less than
//! the look-ups that it saves.

use super::{Entry, KnownSecret, Resolver, Stamp, SyncMode};
use crate::domain::{MonotonicTime, TokenId, TokenKind};
use crate::store::{RecentTokens, Store, StoreError};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::collections::HashSet;
use std::time::Duration;

/// How long the store may take for one page. The first one includes a pass over all last uses.
const PAGE_DEADLINE: Duration = Duration::from_secs(10);

/// The state of the warm-up.
#[derive(Default)]
pub(super) struct WarmUp {
    /// The tokens that look-ups have cached meanwhile; `None` if no warm-up is running.
    looked_up: Mutex<Option<HashSet<TokenId>>>,
    warmed: AtomicU64,
    hits: AtomicU64,
}

/// The reason why a warm-up ended.
enum End {
    /// The tokens were read.
    Complete,
    /// The cache is nearly full.
    Full,
    /// The store failed, or did not answer in time.
    Failed(Option<StoreError>),
    /// The installation is gone.
    Dropped,
}

impl WarmUp {
    pub(super) fn is_running(&self) -> bool {
        self.lock().is_some()
    }

    /// Returns the number of tokens that were cached.
    pub(super) fn warmed(&self) -> u64 {
        self.warmed.load(Ordering::Relaxed)
    }

    /// Returns the number of warmed tokens that were presented.
    pub(super) fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Records that a look-up has cached this token.
    pub(super) fn record_look_up(&self, entry: &Entry) {
        if let (Some(looked_up), Some(token)) = (&mut *self.lock(), entry.principal.token()) {
            looked_up.insert(token);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<HashSet<TokenId>>> {
        // No code in here panics half-way through a change.
        self.looked_up.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Resolver {
    /// Caches the `tokens` that were used last, in the background.
    ///
    /// If entries are reloaded every [`max_staleness`](super::Limits::max_staleness), it does nothing: they would end
    /// before they are used.
    pub(crate) fn warm_up(self: &Arc<Self>, tokens: u32) {
        if tokens == 0 || self.sync_mode == SyncMode::ByReadingAgain {
            return;
        }
        *self.warm_up.lock() = Some(HashSet::new());
        let (weak, store) = (Arc::downgrade(self), self.store.clone());
        self.tasks.spawn(|mut stop| async move {
            tokio::select! {
                () = stop.requested() => {}
                () = run(weak, store, tokens) => {}
            }
        });
    }

    /// Returns the warmed entry of a verified secret after moving it to the secret's cache key.
    ///
    /// Until the keys match it returns none, like a look-up. A request that misses both while the entry moves looks it
    /// up once more.
    pub(super) fn take_warmed(&self, secret: &KnownSecret) -> Option<Arc<Entry>> {
        if self.warm_up.warmed() == 0 || !self.knows_keys() {
            return None;
        }
        let warmed = self.cache.remove_if(&secret.digest.prefix(), |entry| entry.is_warmed_for(secret));
        // The cache was its only owner.
        let entry = Arc::new(Arc::into_inner(warmed?.1)?.known_by(secret));
        self.insert(secret, &entry);
        self.warm_up.hits.fetch_add(1, Ordering::Relaxed);
        Some(entry)
    }

    /// Caches the tokens of a page, except those that a look-up has cached, and those of accounts: the host is not asked for
    /// them all at once.
    fn cache_page(self: &Arc<Self>, page: RecentTokens, era: u64, asked: MonotonicTime) {
        self.freshness.observe(era, page.seq, page.op_id.as_deref());
        let mut warmed = 0;
        for record in page.records {
            let token = &record.token;
            let looked_up = self.warm_up.lock().as_ref().is_none_or(|looked_up| looked_up.contains(&token.id));
            if looked_up || token.kind() == TokenKind::Session || record.account().is_some() {
                continue;
            }
            let stamp = Stamp { era, seq: page.seq };
            if let Some(entry) = Entry::warmed(&record, stamp, asked, self) {
                self.cache.insert(token.digest.prefix(), Arc::new(entry));
                warmed += 1;
            }
        }
        self.warm_up.warmed.fetch_add(warmed, Ordering::Relaxed);
    }

    /// Returns true if a quarter of the cache, or less, is free: the rest is for tokens that are presented.
    fn is_nearly_full(&self) -> bool {
        self.cache.weight() >= self.limits.cache_bytes / 4 * 3
    }
}

async fn run(weak: Weak<Resolver>, store: Arc<dyn Store>, tokens: u32) {
    let end = read_pages(&weak, &*store, tokens).await;
    let Some(resolver) = weak.upgrade() else { return };
    *resolver.warm_up.lock() = None;
    let tokens = resolver.warm_up.warmed();
    match end {
        End::Complete => tracing::info!(tokens, "the most recently used tokens are cached"),
        End::Full => tracing::info!(tokens, "the most recently used tokens are cached, as far as there is room"),
        End::Failed(error) => {
            let error = error.as_ref().map(|error| error as &dyn std::error::Error);
            tracing::warn!(error, tokens, "cannot read more of the most recently used tokens: the warm-up ends");
        }
        End::Dropped => {}
    }
}

/// Caches one page after the other. It holds no reference to the resolver while it waits.
async fn read_pages(weak: &Weak<Resolver>, store: &dyn Store, tokens: u32) -> End {
    if !has_first_lease(weak).await {
        return End::Dropped;
    }
    let (mut position, mut left) = (None, tokens as usize);
    loop {
        let Some(resolver) = weak.upgrade() else { return End::Dropped };
        if resolver.is_nearly_full() {
            return End::Full;
        }
        let (era, asked) = (resolver.freshness.era(), resolver.clock.moment());
        drop(resolver);
        let page = match tokio::time::timeout(PAGE_DEADLINE, store.recent_tokens(tokens, position)).await {
            Ok(Ok(page)) => page,
            Ok(Err(error)) => return End::Failed(Some(error)),
            Err(_) => return End::Failed(None),
        };
        let Some(resolver) = weak.upgrade() else { return End::Dropped };
        position = page.next;
        left = left.saturating_sub(page.records.len());
        resolver.cache_page(page, era, asked);
        if position.is_none() || left == 0 {
            return End::Complete;
        }
        let pause = resolver.clock.moment().since(asked);
        if resolver.lookups_waiting() > 0 {
            drop(resolver);
            tokio::time::sleep(pause).await;
        }
    }
}

/// Waits until the log has been read once: what was read before that may be stale. Returns false if the resolver was
/// dropped.
async fn has_first_lease(weak: &Weak<Resolver>) -> bool {
    let Some(mut changes) = weak.upgrade().map(|resolver| resolver.freshness.changes()) else { return false };
    while weak.upgrade().is_some_and(|resolver| resolver.freshness.lease_until() == MonotonicTime(0)) {
        if changes.changed().await.is_err() {
            return false;
        }
    }
    true
}
