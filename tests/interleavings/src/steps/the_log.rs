//! One of many nodes: others change the store, and its poller follows.

use super::log::{DIGEST, Log};
use super::{breaks, explore};
use crate::authz::Conditions;
use crate::clock::ManualClock;
use crate::guard::{Limits, Unavailable};
use crate::resolve::{Lane, Resolved, Resolver};
use crate::time::{Clock, MonotonicTime};
use shuttle::sync::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// A node that follows a log in which there is the token.
struct Node {
    log: Log,
    clock: Arc<ManualClock>,
    resolver: Arc<Resolver>,
}

impl Node {
    fn new() -> Arc<Self> {
        let (log, clock) = (Log::default(), Arc::new(ManualClock::default()));
        log.change("somebody else's", false);
        log.change("the token's", true);
        let limits = Limits { cache_bytes: 1 << 13, ..Limits::default() };
        let resolver = Resolver::start(Arc::new(log.clone()), clock.clone(), Conditions::default(), limits, false);
        Arc::new(Self { log, clock, resolver })
    }

    /// Whether a request with the token that came at `now` is admitted, as the gate asks.
    async fn admits(&self, now: MonotonicTime) -> Result<bool, Unavailable> {
        let resolved = match self.resolver.known(&DIGEST, now) {
            Some(known) => known,
            None => self.resolver.clone().ask(DIGEST, Lane::Unknown).await?,
        };
        Ok(matches!(resolved, Resolved::Found(_)))
    }
}

/// I4: nobody is admitted who comes later than the bound after somebody else's revoke.
async fn a_revoke_by_somebody_else() {
    let node = Node::new();
    assert!(node.admits(node.clock.moment()).await.unwrap());
    let revoked = Arc::new(Mutex::new(None));
    let bound = Limits::default().max_staleness;
    let others = tokio::spawn({
        let (node, revoked) = (node.clone(), revoked.clone());
        async move {
            node.log.change("a revoke", false);
            *revoked.lock().unwrap() = Some(node.clock.moment());
            node.clock.advance(bound + Duration::from_nanos(1));
        }
    });
    for _ in 0..6 {
        let now = node.clock.moment();
        // Without a lease, which is over when time has passed so quickly: 503.
        let admitted = node.admits(now).await.unwrap_or(false);
        let late = revoked.lock().unwrap().is_some_and(|at: MonotonicTime| now.since(at) > bound);
        assert!(!(late && admitted));
    }
    others.await.unwrap();
}

/// A look-up reads what is lost by a restored backup, and lands after the node has noticed.
async fn a_restored_backup() {
    let node = Node::new();
    until(|| node.resolver.health().applied_seq == Some(2)).await;
    let asks = tokio::spawn({
        let node = node.clone();
        async move { node.admits(node.clock.moment()).await }
    });
    until(|| node.log.snapshots() == 1).await;
    node.log.set_back(1);
    until(|| node.resolver.health().era > 0).await;
    let _ = asks.await.unwrap();
    assert!(!node.admits(node.clock.moment()).await.unwrap());
}

async fn until(it_is_so: impl Fn() -> bool) {
    while !it_is_so() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn revokes_by_others() {
    explore(a_revoke_by_somebody_else);
    breaks("the lease before the tags", a_revoke_by_somebody_else);
    breaks("the lease from the answer", a_revoke_by_somebody_else);
}

#[test]
fn backups_are_restored() {
    explore(a_restored_backup);
    breaks("the era is read after the snapshot", a_restored_backup);
}
