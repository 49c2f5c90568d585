//! PostgreSQL beyond the store contract: several nodes, changes by hand, killed sessions and poolers. `outage.rs` stops the server.

use crate::node::{BOUND, Node, error_chain, execute, query_number};
use keyward::admin::OwnerState;
use keyward::store::{Digest, PostgresOptions, StoreError};
use keyward::store::{Following, NewRole, Store, WriteStore, contract};
use keyward::time::Timestamp;
use keyward::{NewOwner, PostgresStore, RoleId};
use keyward_test_support::{log, postgres};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn change_on_one_node_applies_on_another() {
    let Some(url) = postgres::create_database().await else { return };
    let (one, two) = (Node::connect(&url).await, Node::connect(&url).await);
    let key = one.issue("ci").await;
    assert_eq!((one.status(&key).await, two.status(&key).await), (200, 200));
    let owner = key.token.owner().unwrap();
    one.keyward.owners().create(NewOwner::new("root@example.test").roles([RoleId::SUPER_ADMIN])).await.unwrap();
    for state in [OwnerState::Deactivated, OwnerState::Active] {
        one.keyward.owners().set_state(owner, state).await.unwrap();
        let status = if state == OwnerState::Active { 200 } else { 401 };
        assert_eq!(one.status(&key).await, status, "immediately on the node of the change");
        let took = two.wait_for_status(&key, status, BOUND).await;
        println!("{state:?} on the other node after {took:?}");
    }
    one.keyward.tokens().revoke(key.token.id).await.unwrap();
    assert_eq!(one.status(&key).await, 401);
    two.wait_for_status(&key, 401, BOUND).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn change_by_hand_written_sql_applies() {
    let Some(url) = postgres::create_database().await else { return };
    let node = Node::connect(&url).await;
    let key = node.issue("ci").await;
    let seq = async || query_number(&url, "SELECT seq FROM keyward_epoch").await;
    for (statement, status) in [
        ("UPDATE keyward_owner SET state = 'blocked'", 401),
        ("UPDATE keyward_owner SET state = 'active'", 200),
        ("DELETE FROM keyward_grant", 403),
        ("DELETE FROM keyward_token", 401),
    ] {
        let before = seq().await;
        execute(&url, statement).await;
        node.wait_for_status(&key, status, BOUND).await;
        assert!(seq().await > before, "{statement} is in the log");
    }
    // A service call is one change, independently of the number of rows.
    let before = seq().await;
    node.issue("other").await;
    assert_eq!(seq().await, before + 2, "one change for the owner and one for the token");
    let (epoch, rows) = (seq().await, query_number(&url, "SELECT COUNT(*) FROM keyward_change").await);
    assert_eq!(epoch, rows, "no gaps");
}

/// The connections of the poller, the listener and the pools are closed, and none is opened again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_closes_every_connection() {
    const SESSIONS: &str = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() \
                            AND pid <> pg_backend_pid() AND application_name LIKE 'keyward%'";
    const LISTENERS: &str =
        "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    let Some(url) = postgres::create_database().await else { return };
    let node = Node::connect(&url).await;
    node.keyward.set_up().await.unwrap();
    let key = node.issue("ci").await;
    assert_eq!(node.status(&key).await, 200);
    let began = Instant::now();
    while query_number(&url, LISTENERS).await == 0 {
        assert!(began.elapsed() < 5 * BOUND, "the listener is connected");
    }
    assert!(query_number(&url, SESSIONS).await > 2);
    node.keyward.shutdown().await;
    // The server ends a session a moment after its connection is closed.
    let began = Instant::now();
    while query_number(&url, SESSIONS).await > 0 {
        assert!(began.elapsed() < BOUND, "{} sessions are left", query_number(&url, SESSIONS).await);
    }
    node.wait_for_status(&key, 503, 2 * BOUND).await;
    assert!(node.keyward.tokens().revoke(key.token.id).await.is_err());
    assert_eq!(query_number(&url, SESSIONS).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_sessions_are_replaced() {
    let Some(url) = postgres::create_database().await else { return };
    let node = Node::connect(&url).await;
    let key = node.issue("ci").await;
    for _ in 0..5 {
        execute(
            &url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
        let digest = Digest::Native([1; 27]);
        assert!(node.keyward.store().resolve(&digest).await.unwrap().record.is_none(), "a look-up is retried once");
        node.wait_for_status(&key, 200, BOUND).await;
    }
    node.issue("another").await;
}

/// A commit without a response did not happen if the next holder of the epoch does not find it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interrupted_commit_is_settled() {
    let Some(url) = postgres::create_database().await else { return };
    let store = PostgresStore::connect(&url).await.unwrap();
    execute(
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
    while query_number(&url, committing).await == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    execute(
        &url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'COMMIT' AND state = 'active' \
         AND datname = current_database()",
    )
    .await;
    let error = commit.await.unwrap().unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "known to have failed: {error:?}");
    execute(&url, "DROP TRIGGER slow ON keyward_change").await;
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.seq(), 1);
    assert!(tx.role_with_name("cut off").await.unwrap().is_none());
    tx.commit(&[]).await.unwrap();
}

#[tokio::test]
async fn silent_writer_does_not_block_others_forever() {
    let Some(url) = postgres::create_database().await else { return };
    let store = PostgresStore::connect(&url).await.unwrap();
    let silent = store.begin().await.unwrap();
    // The server ends the silent session before the next writer times out.
    store.begin().await.unwrap().commit(&[]).await.unwrap();
    assert!(silent.commit(&[]).await.is_err());
}

/// The role's own timeout does not apply: it may be too short for a change of many tokens.
#[tokio::test]
async fn statement_of_a_cancelled_writer_ends_on_the_server() {
    let Some(url) = postgres::create_database().await else { return };
    let store = PostgresStore::connect(&url).await.unwrap();
    store.close().await;
    execute(
        &url,
        "CREATE TABLE ends (after TEXT); \
         CREATE FUNCTION ends() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN INSERT INTO ends SELECT current_setting(''statement_timeout''); PERFORM pg_sleep(1.2); RETURN NULL; END'; \
         CREATE TRIGGER ends AFTER INSERT ON keyward_role FOR EACH STATEMENT EXECUTE FUNCTION ends()",
    )
    .await;
    let store = PostgresStore::connect(&format!("{url}?options[statement_timeout]=1s")).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    tx.insert_role(NewRole::new("slow")).await.unwrap();
    tx.commit(&[]).await.unwrap();
    let ends = query_number(&url, "SELECT COUNT(*) FROM ends WHERE after = '2min'").await;
    assert_eq!(ends, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_contract_holds_in_transaction_pooler_mode() {
    if postgres::shared_server().is_none() {
        return;
    }
    contract::run(async || crate::connect_store(PostgresOptions::default().transaction_pooler()).await.unwrap()).await;
}

#[tokio::test]
async fn failure_to_open_names_the_cause() {
    let Some(url) = postgres::create_database().await else { return };
    let connect_error = async |url: &str| error_chain(&PostgresStore::connect(url).await.unwrap_err());
    for address in ["mysql://x", "", "host=x", "postgres://x:port/y"] {
        let message = connect_error(address).await;
        assert!(message.contains("write postgres://"), "{address}: {message}");
    }
    let hosts = connect_error("postgres://keyward@one.example.test,two.example.test/keyward").await;
    assert!(hosts.contains("several hosts"), "{hosts}");
    PostgresStore::connect(&url).await.unwrap().close().await;
    execute(
        &url,
        "INSERT INTO keyward_migrations (version, description, success, checksum, execution_time) \
         VALUES (99, 'later', TRUE, '', 0)",
    )
    .await;
    let message = connect_error(&url).await;
    assert!(message.contains("migration 99") && message.contains("newer version"), "{message}");
}

#[tokio::test]
async fn unsupported_address_options_are_rejected_and_not_shown() {
    let (log, _guard) = log::capture();
    for (address, named) in [
        ("postgres://u:x@127.0.0.1:1/d?sslpassword=hunter2", "(sslpassword)"),
        ("postgres://u:x@127.0.0.1:1/d?sslmode=require&connect_timeout=hunter2", "(connect_timeout)"),
        ("postgres://u:x?hunter2=x@127.0.0.1:1/d", "unknown parameter in the database address:"),
    ] {
        let error = PostgresStore::connect(address).await.unwrap_err();
        let (message, shown) = (error_chain(&error), format!("{error:?}"));
        assert!(message.contains(named) && message.contains("leave it out"), "{message}");
        assert!(![message, shown].iter().any(|text| text.contains("hunter2")), "{error:?}");
    }
    assert!(!log.text().contains("hunter2"), "{}", log.text());
}

#[tokio::test]
async fn old_changes_are_removed_in_batches() {
    let Some(url) = postgres::create_database().await else { return };
    let store = PostgresStore::connect(&url).await.unwrap();
    // The first 2 400 changes are old, and so is the last one.
    execute(
        &url,
        "UPDATE keyward_epoch SET seq = 2501, op_id = NULL; INSERT INTO keyward_change (seq, op_id, at, tags) \
         SELECT n, n, CASE WHEN n <= 2400 OR n = 2501 THEN 7 ELSE 8 END, '[]' FROM generate_series(1, 2501) n",
    )
    .await;
    let Following::Log(mut log) = store.following() else { unreachable!() };
    let first = async || query_number(&url, "SELECT MIN(seq) FROM keyward_change").await;
    for (gone, left) in [(1000, 1001), (1000, 2001), (400, 2401), (0, 2401)] {
        assert_eq!(log.forget(Timestamp(8)).await.unwrap(), gone);
        assert_eq!(first().await, left);
    }
    assert_eq!(log.forget(Timestamp(9)).await.unwrap(), 100);
    assert_eq!(first().await, 2501, "the last change is kept");
}

#[tokio::test]
async fn value_postgres_cannot_store_is_not_a_conflict() {
    let Some(store) = crate::connect_store(PostgresOptions::default()).await else { return };
    let mut tx = store.begin().await.unwrap();
    assert!(matches!(tx.insert_role(NewRole::new("a\0b")).await, Err(StoreError::Invalid(_))));
    drop(tx);
    let mut tx = store.begin().await.unwrap();
    let permission = keyward::Permission::new("a\0b");
    assert!(matches!(tx.insert_role(NewRole::new("r").permissions([permission])).await, Err(StoreError::Invalid(_))));
}

/// Migrates a database from before names were compared in normalized form.
#[tokio::test]
async fn migration_adds_comparable_names() {
    let Some(url) = postgres::create_database().await else { return };
    let store = PostgresStore::connect(&url).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let one = tx.insert_role(NewRole::new("Editor")).await.unwrap();
    let other = tx.insert_role(NewRole::new("other")).await.unwrap();
    let owner = tx.insert_owner(NewOwner::new("a@x")).await.unwrap();
    tx.commit(&[]).await.unwrap();
    store.close().await;
    execute(
        &url,
        "DROP INDEX keyward_role_comparable; ALTER TABLE keyward_role DROP COLUMN name_key; \
         DROP INDEX keyward_token_name_in_scope; ALTER TABLE keyward_token DROP COLUMN name_scope; \
         ALTER TABLE keyward_token DROP COLUMN name_key; \
         CREATE UNIQUE INDEX keyward_token_name ON keyward_token (name) WHERE kind <> 'session'; \
         UPDATE keyward_role SET name = 'EDITOR' WHERE name = 'other'; \
         UPDATE keyward_owner SET email = 'Cafe\u{301}@x', email_key = 'cafe\u{301}@x'; \
         DELETE FROM keyward_migrations WHERE version IN (20, 40)",
    )
    .await;
    let before = query_number(&url, "SELECT seq FROM keyward_epoch").await;
    for _ in 0..2 {
        let store = PostgresStore::connect(&url).await.unwrap();
        assert_eq!(query_number(&url, "SELECT seq FROM keyward_epoch").await, before, "no change of what is judged by");
        let mut view = store.view().await.unwrap();
        assert_eq!(view.role_with_name("editor").await.unwrap(), Some(one), "the older role has the name");
        assert_eq!(view.role(other).await.unwrap().unwrap().name, "EDITOR", "the other role keeps its spelling");
        assert_eq!(view.owner_with_email("CAFÉ@X").await.unwrap(), Some(owner));
        drop(view);
        store.close().await;
    }
}
