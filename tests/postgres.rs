//! What goes beyond the contract on PostgreSQL: nodes, changes by hand, and a server whose sessions are killed or which is behind a
//! pooler. `outage.rs` stops it.

#![cfg(all(feature = "postgres", feature = "testing"))]
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod support;

use keyward::store::{NewRole, Store, WriteStore, contract};
use keyward::{Digest, NewOwner, OwnerState, PostgresOptions, PostgresStore, RoleId, StoreError};
use std::time::Duration;
use support::node::{BOUND, Node, by_hand, number, told};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_changes_another_judges_by() {
    let Some(url) = support::database().await else { return };
    let (one, two) = (Node::on(&url).await, Node::on(&url).await);
    let key = one.issue("ci").await;
    assert_eq!((one.status(&key).await, two.status(&key).await), (200, 200));
    let owner = key.token.owner().unwrap();
    one.keyward.owners().create(NewOwner::new("root@example.test").roles([RoleId::SUPER_ADMIN])).await.unwrap();
    for state in [OwnerState::Deactivated, OwnerState::Active] {
        one.keyward.owners().set_state(owner, state).await.unwrap();
        let status = if state == OwnerState::Active { 200 } else { 401 };
        assert_eq!(one.status(&key).await, status, "at once where it was changed");
        let took = two.until(&key, status, BOUND).await;
        println!("{state:?} on the other node after {took:?}");
    }
    one.keyward.tokens().revoke(key.token.id).await.unwrap();
    assert_eq!(one.status(&key).await, 401);
    two.until(&key, 401, BOUND).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_changed_by_hand_counts_too() {
    let Some(url) = support::database().await else { return };
    let node = Node::on(&url).await;
    let key = node.issue("ci").await;
    let seq = async || number(&url, "SELECT seq FROM keyward_epoch").await;
    for (statement, status) in [
        ("UPDATE keyward_owner SET state = 'blocked'", 401),
        ("UPDATE keyward_owner SET state = 'active'", 200),
        ("DELETE FROM keyward_grant", 403),
        ("DELETE FROM keyward_token", 401),
    ] {
        let before = seq().await;
        by_hand(&url, statement).await;
        node.until(&key, status, BOUND).await;
        assert!(seq().await > before, "{statement} is in the log");
    }
    // What a service does is one change, however many rows it touches.
    let before = seq().await;
    node.issue("other").await;
    assert_eq!(seq().await, before + 2, "an owner, and a token");
    let (epoch, rows) = (seq().await, number(&url, "SELECT COUNT(*) FROM keyward_change").await);
    assert_eq!(epoch, rows, "no gap");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_sessions_are_replaced() {
    let Some(url) = support::database().await else { return };
    let node = Node::on(&url).await;
    let key = node.issue("ci").await;
    for _ in 0..5 {
        by_hand(
            &url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
        let digest = Digest::Native([1; 27]);
        assert!(node.keyward.store().resolve(&digest).await.unwrap().record.is_none(), "a look-up tries once more");
        node.until(&key, 200, BOUND).await;
    }
    node.issue("another").await;
}

/// A commit whose answer never came did not happen, if whoever gets the epoch next does not find it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_was_cut_off_is_settled() {
    let Some(url) = support::database().await else { return };
    let store = PostgresStore::connect(&url).await.unwrap();
    by_hand(
        &url,
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(30); RETURN NULL; END'; \
         CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON keyward_change DEFERRABLE INITIALLY DEFERRED \
         FOR EACH ROW EXECUTE FUNCTION slow()",
    )
    .await;
    let mut tx = store.begin().await.unwrap();
    tx.insert_role(NewRole::new("cut off")).await.unwrap();
    let commit = tokio::spawn(async move { tx.commit(&[]).await });
    let committing = "SELECT COUNT(*) FROM pg_stat_activity WHERE query = 'COMMIT' AND state = 'active' \
                      AND datname = current_database()";
    while number(&url, committing).await == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    by_hand(
        &url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'COMMIT' AND state = 'active' \
         AND datname = current_database()",
    )
    .await;
    let error = commit.await.unwrap().unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "known not to have happened: {error:?}");
    by_hand(&url, "DROP TRIGGER slow ON keyward_change").await;
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.seq(), 1);
    assert!(tx.role_named("cut off").await.unwrap().is_none());
    tx.commit(&[]).await.unwrap();
}

#[tokio::test]
async fn a_writer_that_falls_silent_is_not_waited_for_for_ever() {
    let Some(url) = support::database().await else { return };
    let store = PostgresStore::connect(&url).await.unwrap();
    let silent = store.begin().await.unwrap();
    // The server ends the session that fell silent before the next one is tired of waiting.
    store.begin().await.unwrap().commit(&[]).await.unwrap();
    assert!(silent.commit(&[]).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_transaction_pooler_the_contract_holds() {
    if support::server().is_none() {
        return;
    }
    contract::run(async || support::store(PostgresOptions::default().transaction_pooler()).await.unwrap()).await;
}

#[tokio::test]
async fn what_cannot_be_opened_says_why() {
    let Some(url) = support::database().await else { return };
    let told = async |url: &str| told(&PostgresStore::connect(url).await.unwrap_err());
    for address in ["mysql://x", "", "host=x", "postgres://x:port/y"] {
        let told = told(address).await;
        assert!(told.contains("write postgres://"), "{address}: {told}");
    }
    let hosts = told("postgres://keyward@one.example.test,two.example.test/keyward").await;
    assert!(hosts.contains("several hosts"), "{hosts}");
    PostgresStore::connect(&url).await.unwrap().close().await;
    by_hand(
        &url,
        "INSERT INTO keyward_migrations (version, description, success, checksum, execution_time) \
         VALUES (99, 'later', TRUE, '', 0)",
    )
    .await;
    let told = told(&url).await;
    assert!(told.contains("migration 99") && told.contains("newer version"), "{told}");
}

#[tokio::test]
async fn what_postgres_cannot_keep_is_a_conflict() {
    let Some(store) = support::store(PostgresOptions::default()).await else { return };
    let mut tx = store.begin().await.unwrap();
    assert!(matches!(tx.insert_role(NewRole::new("a\0b")).await, Err(StoreError::Conflict(_))));
    drop(tx);
    let mut tx = store.begin().await.unwrap();
    let permission = keyward::Permission::new("a\0b");
    assert!(matches!(tx.insert_role(NewRole::new("r").permissions([permission])).await, Err(StoreError::Conflict(_))));
}
