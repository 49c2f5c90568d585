//! One of several nodes: other nodes change the store, and the poller of this one reads the log.

use super::log::{DIGEST, Log};
use super::{breaks, explore};
use crate::authz::Conditions;
use crate::clock::ManualClock;
use crate::guard::{Limits, Unavailable};
use crate::resolve::{HostAccounts, Resolver};
use crate::time::{Clock, MonotonicTime};
use shuttle::sync::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// A node and the log that it reads, which contains the token.
struct Node {
    log: Log,
    clock: Arc<ManualClock>,
    resolver: Arc<Resolver>,
}

impl Node {
    fn new() -> Arc<Self> {
        let (log, clock) = (Log::default(), Arc::new(ManualClock::default()));
        log.change("unrelated change", false);
        log.change("issue of the token", true);
        let limits = Limits { cache_bytes: 1 << 13, ..Limits::default() };
        let resolver = Resolver::start(
            Arc::new(log.clone()),
            clock.clone(),
            Conditions::default(),
            limits,
            super::cache_keys(),
            HostAccounts::new(None, None, limits.lookup, limits.max_staleness, clock.clone()),
            false,
        );
        Arc::new(Self { log, clock, resolver })
    }

    /// Returns whether a request with the token at the time `now` is admitted, by the same look-up as in the gate.
    async fn admits(&self, now: MonotonicTime) -> Result<bool, Unavailable> {
        super::admits(&self.resolver, DIGEST, now).await
    }
}

/// bounded-staleness: a request is not admitted if it starts later than the bound after a revocation on another node.
async fn revocation_on_another_node() {
    let node = Node::new();
    assert!(node.admits(node.clock.moment()).await.unwrap());
    let revoked = Arc::new(Mutex::new(None));
    let bound = Limits::default().max_staleness;
    let other_node = tokio::spawn({
        let (node, revoked) = (node.clone(), revoked.clone());
        async move {
            node.log.change("revocation", false);
            *revoked.lock().unwrap() = Some(node.clock.moment());
            node.clock.advance(bound + Duration::from_nanos(1));
        }
    });
    for _ in 0..6 {
        let now = node.clock.moment();
        // Without a lease the response is 503: it expires when the other task advances the clock.
        let admitted = node.admits(now).await.unwrap_or(false);
        let late = revoked.lock().unwrap().is_some_and(|at: MonotonicTime| now.since(at) > bound);
        assert!(!(late && admitted));
    }
    other_node.await.unwrap();
}

/// A look-up reads a row that a restored backup no longer has, and returns after the node has noticed the restore.
async fn backup_restored_during_a_look_up() {
    let node = Node::new();
    wait_until(|| node.resolver.health().applied_seq == Some(2)).await;
    let request = tokio::spawn({
        let node = node.clone();
        async move { node.admits(node.clock.moment()).await }
    });
    wait_until(|| node.log.snapshots() == 1).await;
    node.log.set_back(1);
    wait_until(|| node.resolver.health().era > 0).await;
    let _ = request.await.unwrap();
    assert!(!node.admits(node.clock.moment()).await.unwrap());
}

async fn wait_until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn revocation_on_another_node_counts_within_the_bound() {
    explore(revocation_on_another_node);
    breaks("lease precedes the tags", revocation_on_another_node);
    breaks("lease starts at the response of the poll", revocation_on_another_node);
}

#[test]
fn row_lost_by_a_restored_backup_is_not_cached() {
    explore(backup_restored_during_a_look_up);
    breaks("era is loaded after the snapshot", backup_restored_during_a_look_up);
}
