//! Schemas: the tables are in one schema, and no session's search path leads to another.

use crate::node::{BOUND, Node, error_chain, execute, query_number};
use keyward::PostgresStore;
use keyward::store::{Digest, PostgresOptions};
use keyward::store::{Store, WriteStore, contract};
use keyward_test_support::postgres;
use keyward_test_support::postgres::{find_programs, unprivileged};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Returns an address whose sessions have this search path.
fn with_path(url: &str, path: &str) -> String {
    format!("{url}?options[search_path]={path}")
}

fn in_schema(name: &str) -> PostgresOptions {
    PostgresOptions::default().schema(name)
}

async fn rejection(url: &str, options: PostgresOptions) -> String {
    error_chain(&PostgresStore::connect_with(url, options).await.unwrap_err())
}

/// Every statement of the contract qualifies its tables; otherwise it would not find them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_contract_holds_with_any_search_path() {
    if postgres::shared_server().is_none() {
        return;
    }
    contract::run(async || {
        let url = postgres::create_database().await.unwrap();
        execute(&url, "CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.keyward_token (id TEXT)").await;
        let options = in_schema("the \"odd\" keyward_schema");
        PostgresStore::connect_with(&with_path(&url, "elsewhere"), options).await.unwrap()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_by_hand_apply_from_any_session() {
    let Some(url) = postgres::create_database().await else { return };
    execute(&url, "CREATE SCHEMA auth").await;
    let node = Node::connect(&with_path(&url, "auth")).await;
    let key = node.issue("ci").await;
    assert_eq!(query_number(&url, "SELECT COUNT(*) FROM auth.keyward_token").await, 1, "where the search path leads");
    for (session, state, status) in [
        ("", "blocked", 401),
        ("SET search_path = ''; ", "active", 200),
        ("CREATE TEMP TABLE keyward_epoch (id INT, seq INT, op_id TEXT); ", "blocked", 401),
        ("SET search_path = nowhere; ", "active", 200),
    ] {
        execute(&url, &format!("{session}UPDATE auth.keyward_owner SET state = '{state}'")).await;
        node.wait_for_status(&key, status, BOUND).await;
    }
    execute(&url, "DELETE FROM auth.keyward_grant").await;
    node.wait_for_status(&key, 403, BOUND).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_installations_in_one_database_are_separate() {
    let Some(url) = postgres::create_database().await else { return };
    let (a, b) = (Node::connect_with(&url, in_schema("a")).await, Node::connect_with(&url, in_schema("b")).await);
    let (of_a, of_b) = (a.issue("ci").await, b.issue("ci").await);
    assert_eq!((a.status(&of_a).await, b.status(&of_b).await), (200, 200));
    assert_eq!((a.status(&of_b).await, b.status(&of_a).await), (401, 401));
    let log_of_b = query_number(&url, "SELECT COUNT(*) FROM b.keyward_change").await;
    execute(&url, "SET search_path = b; UPDATE a.keyward_token SET expires_at = 1").await;
    a.wait_for_status(&of_a, 401, BOUND).await;
    assert_eq!(
        query_number(&url, "SELECT COUNT(*) FROM b.keyward_change").await,
        log_of_b,
        "it is in the log of a alone"
    );
    assert_eq!(b.status(&of_b).await, 200);
    a.keyward.tokens().revoke(of_a.token.id).await.unwrap();
    assert_eq!(b.status(&of_b).await, 200);
    let ids = "SELECT COUNT(DISTINCT installation) FROM (SELECT installation FROM a.keyward_epoch UNION ALL \
               SELECT installation FROM b.keyward_epoch) x";
    assert_eq!(query_number(&url, ids).await, 2);
}

/// Runs one of PostgreSQL's programs and returns its output.
fn run(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut command = unprivileged(&find_programs().unwrap().join(program));
    command.args(arguments).current_dir("/");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_vec());
    let writer = std::thread::spawn(move || _ = stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dump_is_restored_whole_or_in_two_parts() {
    let Some(url) = postgres::create_database().await else { return };
    let node = Node::connect_with(&url, in_schema("auth")).await;
    let key = node.issue("ci").await;
    for parts in [&[""][..], &["--schema-only", "--data-only"]] {
        let restored = postgres::create_database().await.unwrap();
        for part in parts {
            let part: Vec<&str> = part.split_whitespace().collect();
            let dump = run("pg_dump", &[&["--format=custom", &url][..], &part].concat(), b"");
            run("pg_restore", &[&["--exit-on-error", "-d", &restored][..], &part].concat(), &dump);
        }
        let after = Node::connect_with(&restored, in_schema("auth")).await;
        assert_eq!(after.status(&key).await, 200, "{parts:?}");
        let id = "SELECT installation FROM auth.keyward_epoch";
        assert_eq!(text(&url, id).await, text(&restored, id).await, "a copy is the same installation");
        execute(&restored, "UPDATE auth.keyward_owner SET state = 'blocked'").await;
        after.wait_for_status(&key, 401, BOUND).await;
    }
}

async fn text(url: &str, query: &str) -> String {
    use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query(AssertSqlSafe(query.to_owned())).fetch_one(&mut connection).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schema_created_later_is_not_used() {
    let Some(url) = postgres::create_database().await else { return };
    let one = Node::connect(&url).await;
    let key = one.issue("ci").await;
    // A schema with the name of the role comes first in the default search path.
    execute(&url, "CREATE SCHEMA keyward").await;
    let two = Node::connect(&url).await;
    let cold = one.issue("cold").await;
    for node in [&one, &two] {
        assert_eq!((node.status(&key).await, node.status(&cold).await), (200, 200));
    }
    assert_eq!(query_number(&url, "SELECT COUNT(*) FROM pg_tables WHERE schemaname = 'keyward'").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn empty_tables_beside_used_ones_fail_startup() {
    let Some(url) = postgres::create_database().await else { return };
    let one = Node::connect(&url).await;
    let key = one.issue("ci").await;
    PostgresStore::connect_with(&url, in_schema("keyward")).await.unwrap().close().await;
    let message = rejection(&url, PostgresOptions::default()).await;
    assert!(message.contains("\"keyward\" (empty)") && message.contains("\"public\" (in use)"), "{message}");
    assert!(message.contains("PostgresOptions::schema()"), "{message}");
    let two = Node::connect_with(&url, in_schema("public")).await;
    assert_eq!((one.status(&key).await, two.status(&key).await), (200, 200));
    execute(&url, "DROP SCHEMA keyward CASCADE").await;
    PostgresStore::connect(&url).await.unwrap().close().await;
}

/// A token that is missing in replaced tables is not known to be invalid.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_installation_in_the_same_tables_is_503() {
    let Some(url) = postgres::create_database().await else { return };
    let node = Node::connect(&url).await;
    let (key, cold) = (node.issue("ci").await, node.issue("cold").await);
    node.wait_for_status(&key, 200, BOUND).await;
    execute(&url, "ALTER SCHEMA public RENAME TO ours; CREATE SCHEMA public").await;
    let other = PostgresStore::connect_with(&url, in_schema("public")).await.unwrap();
    let began = Instant::now();
    while began.elapsed() < 2 * BOUND {
        assert_eq!(node.status(&cold).await, 503);
        let cached = node.status(&key).await;
        assert!(cached == 503 || cached == 200 && began.elapsed() < BOUND, "{cached} after {:?}", began.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let message = error_chain(&node.keyward.store().resolve(&Digest::Native([1; 27])).await.unwrap_err());
    assert!(message.contains("another installation"), "{message}");
    assert!(node.keyward.store().begin().await.is_err() && node.keyward.store().view().await.is_err());
    assert!(node.keyward.tokens().revoke(key.token.id).await.is_err());
    other.close().await;
    // The same without any tables.
    execute(&url, "TRUNCATE public.keyward_epoch").await;
    assert_eq!(node.status(&cold).await, 503);
    execute(&url, "DROP SCHEMA public CASCADE").await;
    assert_eq!(node.status(&cold).await, 503);
    execute(&url, "ALTER SCHEMA ours RENAME TO public").await;
    node.wait_for_status(&key, 200, 2 * BOUND).await;
    node.wait_for_status(&cold, 200, BOUND).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_by_hand_apply_again_at_the_next_startup_after_a_schema_rename() {
    let Some(url) = postgres::create_database().await else { return };
    let before = Node::connect_with(&url, in_schema("old")).await;
    let key = before.issue("ci").await;
    before.keyward.flush().await;
    execute(&url, "ALTER SCHEMA old RENAME TO new").await;
    let after = Node::connect_with(&url, in_schema("new")).await;
    assert_eq!(after.status(&key).await, 200);
    execute(&url, "UPDATE new.keyward_owner SET state = 'blocked'").await;
    after.wait_for_status(&key, 401, BOUND).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn role_with_one_table_changes_that_table_only() {
    let Some(url) = postgres::create_database().await else { return };
    let node = Node::connect(&url).await;
    let key = node.issue("ci").await;
    assert_eq!(node.status(&key).await, 200);
    let role = url.rsplit('/').next().unwrap().to_owned();
    execute(
        &url,
        &format!(
            "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA public TO {role}; \
             GRANT SELECT, UPDATE ON keyward_owner TO {role}; GRANT SELECT, DELETE ON keyward_grant TO {role}"
        ),
    )
    .await;
    let as_role = url.replacen("//keyward@", &format!("//{role}@"), 1);
    for (statement, status) in [
        ("UPDATE keyward_owner SET state = 'blocked'", 401),
        ("UPDATE public.keyward_owner SET state = 'active'", 200),
        ("DELETE FROM keyward_grant", 403),
    ] {
        execute(&as_role, statement).await;
        node.wait_for_status(&key, status, BOUND).await;
    }
    assert_eq!(query_number(&url, "SELECT COUNT(*) FROM keyward_grant_field").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_of_the_previous_release_are_migrated_in_place() {
    let Some(url) = postgres::create_database().await else { return };
    let one = Node::connect_with(&url, in_schema("auth")).await;
    let key = one.issue("ci").await;
    one.keyward.flush().await;
    execute(
        &url,
        "SET search_path = auth; ALTER TABLE keyward_epoch DROP COLUMN installation; \
         ALTER FUNCTION keyward_log_by_hand() SECURITY INVOKER RESET search_path; \
         ALTER FUNCTION keyward_drop_grant_fields() SECURITY INVOKER RESET search_path; \
         DELETE FROM keyward_migrations WHERE version = 10",
    )
    .await;
    let two = Node::connect(&with_path(&url, "auth,public")).await;
    assert_eq!(two.status(&key).await, 200);
    execute(&url, "UPDATE auth.keyward_owner SET state = 'blocked'").await;
    two.wait_for_status(&key, 401, BOUND).await;
}
