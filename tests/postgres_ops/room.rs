//! Less room than is asked for: for connections, and in the epoch's row.

use crate::support;
use crate::support::node::{BOUND, Node, by_hand, number, told};
use keyward::PostgresStore;
use keyward::admin::IssuedToken;
use keyward::store::{PostgresOptions, StoreError};
use keyward::store::{Store, Use, WriteStore};
use keyward::time::Timestamp;
use sqlx::{Connection, PgConnection, raw_sql};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const SESSIONS: &str = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() \
                        AND application_name LIKE 'keyward%'";

/// However long the tables are locked and however many ask, nobody is refused, and the server is not filled with sessions that
/// nobody waits for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn look_ups_that_find_no_room_are_503_and_go_on_when_there_is_some() {
    let Some(url) = support::database().await else { return };
    let node = Arc::new(Node::with(&url, PostgresOptions::default().connections(4)).await);
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
        assert_eq!(node.status(&cached).await, 200, "the log is read on a connection of its own");
        most = most.max(number(&url, SESSIONS).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    locked.store(false, Ordering::Relaxed);
    raw_sql("ROLLBACK").execute(&mut lock).await.unwrap();
    let unlocked = Instant::now();
    for key in &cold {
        node.until(key, 200, BOUND).await;
    }
    println!("at most {most} sessions; {} tokens looked up {:?} after the lock", cold.len(), unlocked.elapsed());
    // Four that read, as many again for each of the two seconds that the server gives them and the one that has begun, and up to six
    // that write, follow and listen. Without an end there would be four more each second.
    assert!(most <= 22, "{most} sessions");
    for asked in load {
        assert!(asked.await.unwrap() > 0);
    }
}

/// How often it was answered 503, until there is room.
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
async fn a_server_without_room_is_a_503() {
    let Some(url) = support::database().await else { return };
    let role = url.rsplit('/').next().unwrap().to_owned();
    by_hand(&url, &format!("CREATE ROLE {role} LOGIN; GRANT ALL ON SCHEMA public TO {role}")).await;
    let address = url.replacen("//keyward@", &format!("//{role}@"), 1);
    let node = Node::on(&address).await;
    let key = node.issue("ci").await;
    by_hand(&url, &format!("ALTER ROLE {role} CONNECTION LIMIT 0")).await;
    let all = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'");
    by_hand(&url, &all).await;
    for _ in 0..3 {
        assert_eq!(node.status(&key).await, 503);
    }
    let told = told(&PostgresStore::connect(&address).await.unwrap_err());
    assert!(told.contains("too many connections"), "{told}");
    by_hand(&url, &format!("ALTER ROLE {role} CONNECTION LIMIT -1")).await;
    let took = node.until(&key, 200, BOUND).await;
    println!("back {took:?} after there was room");
}

/// Somebody takes the epoch by hand and does not give it back. (One of our own that falls silent loses it: tests/postgres.rs.)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_waits_5_seconds_for_the_epoch_and_leaves_nothing_behind() {
    let Some(url) = support::database().await else { return };
    let node = Node::on(&url).await;
    let key = node.issue("ci").await;
    assert_eq!(node.status(&key).await, 200);
    let mut hand = PgConnection::connect(&url).await.unwrap();
    raw_sql("BEGIN; UPDATE keyward_epoch SET seq = seq").execute(&mut hand).await.unwrap();
    let began = Instant::now();
    let error = node.keyward.store().begin().await.map(drop).unwrap_err();
    assert!(matches!(error, StoreError::Busy), "{error:?}");
    assert!(began.elapsed() > Duration::from_secs(4) && began.elapsed() < Duration::from_secs(6));
    assert_eq!(node.status(&key).await, 200, "nobody who reads waits");
    let waiting =
        "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let began = Instant::now();
    while number(&url, waiting).await > 0 {
        assert!(began.elapsed() < Duration::from_secs(1), "it still waits on the server");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    raw_sql("ROLLBACK").execute(&mut hand).await.unwrap();
    node.keyward.tokens().revoke(key.token.id).await.unwrap();
    assert_eq!(node.status(&key).await, 401);
}

/// As many as there are connections that write: who was given up keeps none of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_that_stop_waiting_for_the_epoch_make_room_at_once() {
    let Some(url) = support::database().await else { return };
    let node = Node::on(&url).await;
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
    while number(&url, blocked).await < 4 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for writer in waiting {
        writer.abort();
        assert!(writer.await.unwrap_err().is_cancelled());
    }
    // What takes no epoch needs nothing but a connection.
    let used = [Use { token: key.token.id, at: Timestamp(7), address: None }];
    let began = Instant::now();
    node.keyward.store().note_uses(&used).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(2), "it waited {:?}", began.elapsed());
    assert!(number(&url, blocked).await > 0, "the server has not ended them yet");
    raw_sql("ROLLBACK").execute(&mut hand).await.unwrap();
    node.issue("another").await;
}

/// Somebody who brings the tables up to date, and never ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_starts_does_not_wait_for_ever_for_somebody_else_who_does() {
    let Some(url) = support::database().await else { return };
    let mut stuck = PgConnection::connect(&url).await.unwrap();
    raw_sql("BEGIN; SELECT pg_advisory_xact_lock(7738711720364864)").execute(&mut stuck).await.unwrap();
    let starting = tokio::time::timeout(Duration::from_secs(40), PostgresStore::connect(&url));
    let told = told(&starting.await.expect("it still waits").unwrap_err());
    assert!(told.contains("up to date for 30 s") && told.contains("pg_locks"), "{told}");
    raw_sql("ROLLBACK").execute(&mut stuck).await.unwrap();
    PostgresStore::connect(&url).await.unwrap().close().await;
}
