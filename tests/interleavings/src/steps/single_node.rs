//! One node with an exclusive store: requests and changes go through the same node.

use super::{breaks, explore};
use crate::admin::Lifespan;
use crate::clock::{ManualClock, SeededEntropy};
use crate::guard::{Limits, Unavailable};
use crate::hands::Hands;
use crate::resolve::Resolver;
use crate::store::{Store, Use, WriteStore};
use crate::time::Timestamp;
use crate::token::{ContentAccess, Token};
use crate::{HashKey, Keyward, MemoryStore, NewContentToken};
use shuttle::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

/// An installation with one token.
struct Installation {
    keyward: Keyward,
    token: Token,
}

impl Installation {
    async fn new() -> Arc<Self> {
        let clock = Arc::new(ManualClock::default());
        let keyward = Self::start(MemoryStore::with_clock(clock.clone()), clock, 0);
        let new = NewContentToken::new("the token", ContentAccess::ReadOnly).lifespan(Lifespan::Unlimited);
        let token = keyward.tokens().issue_content(new).await.unwrap().token;
        Arc::new(Self { keyward, token })
    }

    fn start(store: impl WriteStore, clock: Arc<ManualClock>, warm_up: u32) -> Keyward {
        let hash_key = HashKey::parse("Vd3kQ9sLx0Zt7BpY2mHc8RfJ5wNgA1uE").unwrap();
        let limits = Limits { cache_bytes: 1 << 13, ..Limits::default() };
        let builder = Keyward::builder(store).hash_key(hash_key).clock(clock).limits(limits).warm_up(warm_up);
        builder.entropy(Arc::new(SeededEntropy::new(7))).store_is_exclusive().content("/api").build().unwrap()
    }

    /// Creates an installation that has just started, after its token was used, and warms up.
    async fn warming_up() -> Arc<Self> {
        let before = Self::new().await;
        let store = before.keyward.store().clone();
        let used =
            Use { token: before.token.id, digest: before.token.digest, at: Timestamp(1), address: None, tool: None };
        store.note_uses(&[used]).await.unwrap();
        let keyward = Self::start(store, Arc::new(ManualClock::default()), 1);
        Arc::new(Self { keyward, token: before.token.clone() })
    }

    /// Creates an installation that has cached its token.
    async fn with_cached_token() -> Arc<Self> {
        let installation = Self::new().await;
        assert!(installation.admits().await.unwrap());
        installation
    }

    fn resolver(&self) -> &Arc<Resolver> {
        &self.keyward.admin_state().resolver
    }

    /// Returns whether a request with the token is admitted, by the same look-up as in the gate.
    async fn admits(&self) -> Result<bool, Unavailable> {
        let resolver = self.resolver();
        super::admits(resolver, self.token.digest, resolver.clock.moment()).await
    }

    async fn revoke(&self) {
        self.keyward.tokens().revoke(self.token.id).await.unwrap();
    }
}

/// single-flight: concurrent requests with an uncached token share one look-up, and a request that is cancelled does
/// not cancel it for the others.
async fn concurrent_requests_share_one_look_up() {
    let installation = Installation::new().await;
    let request = || {
        let installation = installation.clone();
        tokio::spawn(async move {
            let _hands = Hands::of_this_task();
            installation.admits().await
        })
    };
    let (cancelled, others) = (request(), [request(), request()]);
    cancelled.abort();
    for other in others {
        assert!(other.await.unwrap().unwrap());
    }
    assert_eq!(installation.keyward.health().store_reads, 1);
}

/// next-request: after the response to a revocation no request is admitted, also if a look-up was running or was
/// joined.
async fn no_request_is_admitted_after_a_revocation(installation: Arc<Installation>) {
    let revoked = Arc::new(AtomicBool::new(false));
    let request = || {
        let (installation, revoked) = (installation.clone(), revoked.clone());
        tokio::spawn(async move {
            for _ in 0..2 {
                let after_revocation = revoked.load(Ordering::SeqCst);
                let admitted = installation.admits().await.unwrap();
                assert!(!(after_revocation && admitted));
            }
        })
    };
    let others = [request(), request()];
    installation.revoke().await;
    revoked.store(true, Ordering::SeqCst);
    assert!(!installation.admits().await.unwrap());
    for other in others {
        other.await.unwrap();
    }
    assert!(!installation.admits().await.unwrap());
}

async fn revocation_during_a_look_up() {
    no_request_is_admitted_after_a_revocation(Installation::new().await).await;
}

async fn revocation_of_a_cached_token() {
    no_request_is_admitted_after_a_revocation(Installation::with_cached_token().await).await;
}

async fn revocation_during_a_warm_up() {
    no_request_is_admitted_after_a_revocation(Installation::warming_up().await).await;
}

/// next-request: a committed change is invalidated also if its client disconnects, at whichever step.
async fn revocation_with_a_disconnected_client() {
    let installation = Installation::with_cached_token().await;
    let client = tokio::spawn({
        let installation = installation.clone();
        async move { installation.revoke().await }
    });
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
    client.abort();
    // The store's lock is free once no change is between its start and its commit.
    drop(installation.keyward.store().begin().await.unwrap());
    let committed = installation.keyward.store().resolve(&installation.token.digest).await.unwrap().record.is_none();
    let mut attempts = 1_000;
    while committed && installation.admits().await.unwrap() {
        attempts -= 1;
        assert!(attempts > 0, "the change is committed, and the node still admits the token");
        tokio::task::yield_now().await;
    }
}

#[test]
fn look_up_is_shared_and_outlives_a_cancelled_request() {
    explore(concurrent_requests_share_one_look_up);
    breaks("cache is not checked again before a look-up", concurrent_requests_share_one_look_up);
    breaks("slot is freed before the result is cached", concurrent_requests_share_one_look_up);
    breaks("look-up ends with the task that started it", concurrent_requests_share_one_look_up);
}

#[test]
fn token_revoked_during_a_look_up_is_rejected() {
    explore(revocation_during_a_look_up);
    breaks("look-up result is used unchecked", revocation_during_a_look_up);
    breaks("cached entry is used unchecked", revocation_during_a_look_up);
    breaks("known secret is admitted unchecked", revocation_during_a_look_up);
    breaks("change is acknowledged before it is invalidated", revocation_during_a_look_up);
}

#[test]
fn warmed_token_is_rejected_after_its_revocation() {
    explore(revocation_during_a_warm_up);
    breaks("warmed entry is never stale", revocation_during_a_warm_up);
    breaks("cached entry is used unchecked", revocation_during_a_warm_up);
}

#[test]
fn cached_token_is_rejected_after_its_revocation() {
    explore(revocation_of_a_cached_token);
    breaks("cached entry is used unchecked", revocation_of_a_cached_token);
    breaks("known secret is admitted unchecked", revocation_of_a_cached_token);
    breaks("change is acknowledged before it is invalidated", revocation_of_a_cached_token);
}

#[test]
fn revocation_counts_although_its_client_disconnected() {
    explore(revocation_with_a_disconnected_client);
    breaks("change ends with its caller", revocation_with_a_disconnected_client);
}
