//! Failover to a replica, and a server that is behind.

use crate::node::{BOUND, Node, error_chain, execute, query_number};
use crate::postgres_ops::proxy::{Older, Proxy};
use keyward::PostgresStore;
use keyward::admin::{IssuedToken, OwnerState};
use keyward::store::PostgresOptions;
use keyward::store::{NewRole, WriteStore};
use keyward_test_support::postgres;
use keyward_test_support::postgres::Server;
use keyward_test_support::process::{send_signal, wait_until};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A primary and its replica.
struct Pair {
    primary: Server,
    replica: Server,
}

impl Pair {
    fn start() -> Option<Self> {
        postgres::shared_server()?;
        let primary = Server::start(&[]).unwrap();
        let replica = primary.replica(&[]).unwrap();
        Some(Self { primary, replica })
    }

    /// The primary commits nothing that the replica has not confirmed.
    async fn synchronous() -> Option<Self> {
        let pair = Self::start()?;
        execute(pair.primary.url(), "ALTER SYSTEM SET synchronous_standby_names = '*'").await;
        execute(pair.primary.url(), "SELECT pg_reload_conf()").await;
        let confirming = "SELECT COUNT(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
        while query_number(pair.primary.url(), confirming).await == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Some(pair)
    }

    async fn caught_up(&self) {
        let behind = "SELECT COUNT(*) FROM pg_stat_replication WHERE replay_lsn = pg_current_wal_lsn()";
        while query_number(self.primary.url(), behind).await == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn promote(replica: &Server) {
    execute(replica.url(), "SELECT pg_promote()").await;
}

fn heartbeat() -> PostgresOptions {
    PostgresOptions::default().synchronous_heartbeat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replica_is_rejected_and_renews_no_lease() {
    let Some(pair) = Pair::start() else { return };
    let message = error_chain(&PostgresStore::connect(pair.replica.url()).await.unwrap_err());
    assert!(message.contains("replica in recovery") && message.contains("primary"), "{message}");

    let proxy = Proxy::to(pair.primary.url()).await;
    let node = Node::connect(&proxy.url(pair.primary.url())).await;
    let key = node.issue("ci").await;
    assert_eq!(node.status(&key).await, 200);
    pair.caught_up().await;
    proxy.lead_to(pair.replica.url(), Older::End);
    let led = Instant::now();
    node.wait_for_status(&key, 503, 2 * BOUND).await;
    assert!(led.elapsed() > BOUND / 2, "cached tokens are accepted until the lease ends");
    while led.elapsed() < 2 * BOUND {
        assert_eq!(node.status(&key).await, 503);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(node.keyward.tokens().revoke(key.token.id).await.is_err());
    proxy.lead_to(pair.primary.url(), Older::End);
    let took = node.wait_for_status(&key, 200, BOUND).await;
    println!("back {took:?} after the address led to the primary again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn former_primary_is_503_after_failover() {
    let Some(pair) = Pair::synchronous().await else { return };
    // Even if the role's setting does not ask for it.
    execute(pair.primary.url(), "ALTER ROLE keyward SET synchronous_commit = off").await;
    let node = Node::connect_with(pair.primary.url(), heartbeat()).await;
    let unaware = Node::connect(pair.primary.url()).await;
    let (key, other) = (node.issue("ci").await, node.issue("other").await);
    assert_eq!((node.status(&key).await, unaware.status(&key).await), (200, 200));
    promote(&pair.replica).await;
    let promoted = Instant::now();
    // A commit that no replica confirms is not acknowledged.
    let revoke = node.keyward.tokens();
    let revoke = tokio::spawn(async move { revoke.revoke(other.token.id).await });
    // Not even if its session is ended while it waits. Then it is in the log of this server only.
    let waiting = "FROM pg_stat_activity WHERE query = 'COMMIT' AND wait_event = 'SyncRep'";
    while query_number(pair.primary.url(), &format!("SELECT COUNT(*) {waiting}")).await == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    execute(pair.primary.url(), &format!("SELECT pg_terminate_backend(pid) {waiting}")).await;
    node.wait_for_status(&key, 503, 2 * BOUND).await;
    let passed = promoted.elapsed();
    assert!(passed <= BOUND + Duration::from_millis(100), "accepted for {passed:?}");
    while promoted.elapsed() < 3 * BOUND {
        assert_eq!(node.status(&key).await, 503);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let revoked = revoke.await.unwrap().unwrap_err();
    assert!(error_chain(&revoked).contains("outcome of the commit is unknown"), "{}", error_chain(&revoked));
    assert_eq!(unaware.status(&key).await, 200, "without the heartbeat the token is still accepted");
    let waiting = "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name LIKE 'keyward log%'";
    let waiting = query_number(pair.primary.url(), waiting).await;
    assert!(waiting <= 3, "abandoned readers end, but {waiting} are left");
    let revoked = "SELECT COUNT(*) FROM keyward_audit WHERE what = 'token-revoked'";
    assert_eq!(query_number(pair.replica.url(), revoked).await, 0);
}

/// The primary dies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failover_from_a_dead_primary() {
    fail_over(Older::End, Node::connect_with).await;
}

/// The primary becomes unreachable without closing its connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failover_from_a_silent_primary() {
    fail_over(Older::FallSilent, Node::connect_with).await;
}

/// The primary keeps running and does not know that it was replaced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failover_from_a_running_primary() {
    fail_over(Older::Stay, Node::connect_with).await;
}

/// Connections to the former primary are in the host's pool, which keyward cannot replace.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failover_in_a_pool_of_the_host() {
    fail_over(Older::Stay, async |url, options| Node::in_pool(&node_pool(url), options).await).await;
}

fn node_pool(url: &str) -> sqlx::PgPool {
    sqlx::postgres::PgPoolOptions::new().max_connections(12).connect_lazy(url).unwrap()
}

async fn fail_over(older: Older, connect: impl AsyncFn(&str, PostgresOptions) -> Node) {
    let Some(pair) = Pair::synchronous().await else { return };
    let proxy = Proxy::to(pair.primary.url()).await;
    let url = proxy.url(pair.primary.url());
    let (one, two) = (connect(&url, heartbeat()).await, connect(&url, heartbeat()).await);
    let (one, two) = (Arc::new(one), Arc::new(two));
    let mut keys = Vec::new();
    for i in 0..8 {
        keys.push(one.issue(&format!("ci{i}")).await);
    }
    let (revoked, acknowledged) = (keys.pop().unwrap(), keys.pop().unwrap());
    let mut cold = Vec::new();
    for i in 0..40 {
        cold.push(one.issue(&format!("cold{i}")).await);
    }
    let (keys, cold): (Arc<[_]>, Arc<[_]>) = (keys.into(), cold.into());
    one.keyward.tokens().revoke(revoked.token.id).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let load = |node: &Arc<Node>, keys: &Arc<[_]>, pause| {
        tokio::spawn(ask(node.clone(), keys.clone(), Duration::from_millis(pause), stop.clone()))
    };
    let load = [load(&one, &keys, 2), load(&two, &keys, 2), load(&one, &cold, 50), load(&two, &cold, 50)];
    tokio::time::sleep(Duration::from_millis(300)).await;
    // The last commit of the primary, known only to the replica that confirmed it.
    two.keyward.tokens().revoke(acknowledged.token.id).await.unwrap();

    match older {
        Older::End => send_signal(pair.primary.pid().unwrap(), "QUIT"),
        // Neither server can be reached until the address leads to the new one.
        Older::FallSilent => proxy.lead_nowhere(),
        Older::Stay => {}
    }
    promote(&pair.replica).await;
    tokio::time::sleep(BOUND / 4).await;
    proxy.lead_to(pair.replica.url(), older);
    let led = Instant::now();
    for node in [&one, &two] {
        node.wait_for_status(&keys[0], 200, BOUND).await;
    }
    // The load uses cached tokens, which proves nothing: use a new token.
    let (here, there) = (until_it_can(&one, "one").await, until_it_can(&two, "two").await);
    let took = led.elapsed();
    println!("{older:?}: both nodes answer and change things {took:?} after the address led to the new primary");
    assert!(took < BOUND, "{older:?}: {took:?}");
    two.wait_for_status(&here, 200, BOUND).await;
    one.wait_for_status(&there, 200, BOUND).await;
    for node in [&one, &two] {
        assert_eq!((node.status(&revoked).await, node.status(&acknowledged).await), (401, 401));
        node.wait_until_ready().await;
    }
    one.keyward.tokens().revoke(there.token.id).await.unwrap();
    two.wait_for_status(&there, 401, BOUND).await;
    stop.store(true, Ordering::Relaxed);
    for load in load {
        let (allowed, unavailable) = load.await.unwrap();
        println!("{older:?}: {allowed} let in, {unavailable} answered 503");
        assert!(allowed > 0);
    }
}

/// Queries that wait for the old primary fail when the address leads to the new one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_to_a_silent_primary_end() {
    let Some(pair) = Pair::start() else { return };
    let proxy = Proxy::to(pair.primary.url()).await;
    let node = Node::connect(&proxy.url(pair.primary.url())).await;
    node.issue("ci").await;
    pair.caught_up().await;
    assert!(wait_until(BOUND, || node.keyward.health().ready), "the node is connected to the old primary");
    let store = node.keyward.store();
    let (mut change, mut row, mut rows) =
        (store.begin().await.unwrap(), store.view().await.unwrap(), store.view().await.unwrap());
    proxy.lead_nowhere();
    let asked = tokio::spawn(async move {
        tokio::join!(change.insert_role(NewRole::new("new")), row.role_with_name("new"), rows.roles())
    });
    promote(&pair.replica).await;
    proxy.lead_to(pair.replica.url(), Older::FallSilent);
    let (change, row, rows) = tokio::time::timeout(3 * BOUND, asked).await.expect("the queries still wait").unwrap();
    assert!(change.is_err() && row.is_err() && rows.is_err());
}

/// Sends requests with valid tokens all the time: each is 200, or 503 during the failover.
async fn ask(node: Arc<Node>, keys: Arc<[IssuedToken]>, pause: Duration, stop: Arc<AtomicBool>) -> (u64, u64) {
    let (mut allowed, mut unavailable) = (0, 0);
    for key in keys.iter().cycle() {
        match node.status(key).await {
            200 => allowed += 1,
            503 => unavailable += 1,
            other => panic!("{other} for a valid token"),
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
        tokio::time::sleep(pause).await;
    }
    (allowed, unavailable)
}

/// Issues a token as soon as that succeeds.
async fn until_it_can(node: &Node, name: &str) -> IssuedToken {
    for i in 0.. {
        let issued = node.try_issue(&format!("{name}{i}")).await;
        if let Ok(issued) = issued {
            return issued;
        }
    }
    unreachable!()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_that_is_behind_starts_an_era() {
    let Some(pair) = Pair::start() else { return };
    let proxy = Proxy::to(pair.primary.url()).await;
    let node = Node::connect(&proxy.url(pair.primary.url())).await;
    let (kept, revoked) = (node.issue("kept").await, node.issue("revoked").await);
    pair.caught_up().await;
    // From here on the servers diverge, as with an older backup or a lagging replica that took over.
    let behind = pair.replica;
    let ahead = pair.primary.replica(&[]).unwrap();
    for copy in [&behind, &ahead] {
        promote(copy).await;
    }
    let lost = node.issue("lost").await;
    node.keyward.tokens().revoke(revoked.token.id).await.unwrap();
    assert_eq!((node.status(&kept).await, node.status(&revoked).await, node.status(&lost).await), (200, 401, 200));
    let head = query_number(pair.primary.url(), "SELECT seq FROM keyward_epoch").await.cast_unsigned();
    assert!(wait_until(BOUND, || node.keyward.health().applied_seq == Some(head)));
    let era = node.keyward.health().era;
    proxy.lead_to(behind.url(), Older::End);
    // Its log ends before the changes that this node has applied.
    node.wait_for_status(&lost, 401, BOUND).await;
    assert!(node.keyward.health().era > era);
    assert_eq!((node.status(&kept).await, node.status(&revoked).await), (200, 200), "as the backup says");

    // The log of the other server is longer and has other changes under the same numbers.
    let here = node.issue("here").await;
    assert_eq!(node.status(&here).await, 200);
    let elsewhere = Node::connect(ahead.url()).await;
    for i in 0..10 {
        elsewhere.issue(&format!("elsewhere{i}")).await;
    }
    let owner = kept.token.owner().unwrap();
    elsewhere.keyward.owners().set_state(owner, OwnerState::Deactivated).await.unwrap();
    let (before, era) = (node.keyward.health().applied_seq.unwrap(), node.keyward.health().era);
    proxy.lead_to(ahead.url(), Older::End);
    node.wait_for_status(&kept, 401, BOUND).await;
    assert!(wait_until(BOUND, || node.keyward.health().applied_seq > Some(before)));
    assert!(node.keyward.health().era > era);
    assert_eq!(node.status(&here).await, 401);
}
