//! Exhausted connections, and contention for the epoch's row.

use crate::node::{BOUND, Node, error_chain, execute, query_number};
use keyward::PostgresStore;
use keyward::admin::IssuedToken;
use keyward::store::{PostgresOptions, StoreError};
use keyward::store::{Store, Use, WriteStore};
use keyward::time::Timestamp;
use keyward_test_support::postgres;
use sqlx::{Connection, PgConnection, raw_sql};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const SESSIONS: &str = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() \
                        AND application_name LIKE 'keyward%'";

/// During any lock of the tables, no valid token is rejected with 401, and abandoned sessions do not pile up on the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn look_ups_without_a_connection_are_503_until_one_is_free() {
    let Some(url) = postgres::create_database().await else { return };
    let node = Arc::new(Node::connect_with(&url, PostgresOptions::default().connections(4)).await);
    let cached = node.issue("cached").await;
    let mut cold = Vec::new();
    for i in 0..32 {
        cold.push(Arc::new(node.issue(&format!("cold{i}")).await));
    }
    assert_eq!(node.status(&cached).await, 200);

    let mut lock = PgConnection::connect(&url).await.unwrap();
    raw_sql("BEGIN; LOCK TABLE keyward_token IN ACCESS EXCLUSIVE MODE").execute(&mut lock).await.unwrap();
    let locked = Arc::new(AtomicBool::new(true));
    let load: Vec<_> = cold.iter().map(|key| tokio::spawn(ask(node.clone(), key.clone(), locked.clone()))).collect();
    let (began, mut most) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(6) {
        assert_eq!(node.status(&cached).await, 200, "the poller has its own connection");
        most = most.max(query_number(&url, SESSIONS).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    locked.store(false, Ordering::Relaxed);
    raw_sql("ROLLBACK").execute(&mut lock).await.unwrap();
    let unlocked = Instant::now();
    for key in &cold {
        node.wait_for_status(key, 200, BOUND).await;
    }
    println!("at most {most} sessions; {} tokens looked up {:?} after the lock", cold.len(), unlocked.elapsed());
    // Four readers, again four for each of the two seconds that the server gives them and the one that has begun, and up to six that
    // write, poll and listen. Without a limit there would be four more each second.
    assert!(most <= 22, "{most} sessions");
    for asked in load {
        assert!(asked.await.unwrap() > 0);
    }
}

/// Returns how often a request was 503 until a connection was free.
async fn ask(node: Arc<Node>, key: Arc<IssuedToken>, locked: Arc<AtomicBool>) -> u64 {
    for unavailable in 0.. {
        match node.status(&key).await {
            503 => {}
            200 if !locked.load(Ordering::Relaxed) => return unavailable,
            other => panic!("{other} for a valid token"),
        }
    }
    unreachable!()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_without_free_connections_is_503() {
    let Some(url) = postgres::create_database().await else { return };
    let role = url.rsplit('/').next().unwrap().to_owned();
    execute(&url, &format!("CREATE ROLE {role} LOGIN; GRANT ALL ON SCHEMA public TO {role}")).await;
    let address = url.replacen("//keyward@", &format!("//{role}@"), 1);
    let node = Node::connect(&address).await;
    let key = node.issue("ci").await;
    execute(&url, &format!("ALTER ROLE {role} CONNECTION LIMIT 0")).await;
    let all = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'");
    execute(&url, &all).await;
    for _ in 0..3 {
        assert_eq!(node.status(&key).await, 503);
    }
    let message = error_chain(&PostgresStore::connect(&address).await.unwrap_err());
    assert!(message.contains("too many connections"), "{message}");
    execute(&url, &format!("ALTER ROLE {role} CONNECTION LIMIT -1")).await;
    let took = node.wait_for_status(&key, 200, BOUND).await;
    println!("back {took:?} after there was room");
}

/// Another session locks the epoch by hand and keeps it. (`tests/stores/postgres.rs` covers a silent writer of keyward.)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writer_waits_5_seconds_for_the_epoch_and_leaves_no_lock() {
    let Some(url) = postgres::create_database().await else { return };
    let node = Node::connect(&url).await;
    let key = node.issue("ci").await;
    assert_eq!(node.status(&key).await, 200);
    let mut hand = PgConnection::connect(&url).await.unwrap();
    raw_sql("BEGIN; UPDATE keyward_epoch SET seq = seq").execute(&mut hand).await.unwrap();
    let began = Instant::now();
    let error = node.keyward.store().begin().await.map(drop).unwrap_err();
    assert!(matches!(error, StoreError::Busy), "{error:?}");
    assert!(began.elapsed() > Duration::from_secs(4) && began.elapsed() < Duration::from_secs(6));
    assert_eq!(node.status(&key).await, 200, "readers do not wait");
    let waiting =
        "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let began = Instant::now();
    while query_number(&url, waiting).await > 0 {
        assert!(began.elapsed() < Duration::from_secs(1), "the writer still waits on the server");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    raw_sql("ROLLBACK").execute(&mut hand).await.unwrap();
    node.keyward.tokens().revoke(key.token.id).await.unwrap();
    assert_eq!(node.status(&key).await, 401);
}

/// As many writers as there are connections for them: cancelled ones keep none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_writers_free_their_connections() {
    let Some(url) = postgres::create_database().await else { return };
    let node = Node::connect(&url).await;
    let key = node.issue("ci").await;
    let mut hand = PgConnection::connect(&url).await.unwrap();
    raw_sql("BEGIN; UPDATE keyward_epoch SET seq = seq").execute(&mut hand).await.unwrap();
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let store = node.keyward.store().clone();
        waiting.push(tokio::spawn(async move { store.begin().await.map(drop) }));
    }
    let blocked =
        "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while query_number(&url, blocked).await < 4 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for writer in waiting {
        writer.abort();
        assert!(writer.await.unwrap_err().is_cancelled());
    }
    // A change without the epoch needs only a connection.
    let used = [Use { token: key.token.id, digest: key.token.digest, at: Timestamp(7), address: None, tool: None }];
    let began = Instant::now();
    node.keyward.store().note_uses(&used).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(2), "it waited {:?}", began.elapsed());
    assert!(query_number(&url, blocked).await > 0, "the server has not ended them");
    raw_sql("ROLLBACK").execute(&mut hand).await.unwrap();
    node.issue("another").await;
}

/// Another start that migrates the tables and never ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn startup_does_not_wait_forever_for_another_startup() {
    let Some(url) = postgres::create_database().await else { return };
    let mut stuck = PgConnection::connect(&url).await.unwrap();
    raw_sql("BEGIN; SELECT pg_advisory_xact_lock(7738711, hashtext('public'))").execute(&mut stuck).await.unwrap();
    let starting = tokio::time::timeout(Duration::from_secs(40), PostgresStore::connect(&url));
    let message = error_chain(&starting.await.expect("the start still waits").unwrap_err());
    assert!(message.contains("up to date for 30 s") && message.contains("pg_locks"), "{message}");
    raw_sql("ROLLBACK").execute(&mut stuck).await.unwrap();
    PostgresStore::connect(&url).await.unwrap().close().await;
}
