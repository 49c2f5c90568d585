//! Migrations apart from opening a store, by a role of their own.

use crate::node::{Node, error_chain, execute};
use keyward::PostgresStore;
use keyward::store::PostgresOptions;
use keyward_test_support::postgres;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, Row};

const MIGRATED: &str = "migrated";

fn options() -> PostgresOptions {
    PostgresOptions::default().schema("keyward").without_migrations()
}

/// Creates a database with a role that owns the schema, and one that may only use the tables. Returns their addresses.
async fn roles() -> Option<(String, String, String)> {
    let url = postgres::create_database().await?;
    let database = url.rsplit('/').next().unwrap().to_owned();
    let (owner, service) = (format!("owner_{database}"), format!("service_{database}"));
    execute(
        &url,
        &format!(
            "CREATE ROLE {owner} LOGIN; CREATE ROLE {service} LOGIN; CREATE SCHEMA keyward AUTHORIZATION {owner}; \
             GRANT USAGE ON SCHEMA keyward TO {service}; REVOKE CREATE ON SCHEMA public FROM PUBLIC; \
             ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA keyward \
             GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {service}"
        ),
    )
    .await;
    let of = |role: &str| url.replacen("//keyward@", &format!("//{role}@"), 1);
    Some((url.clone(), of(&owner), of(&service)))
}

async fn rejection(url: &str) -> String {
    error_chain(&PostgresStore::connect_with(url, options()).await.unwrap_err())
}

/// Returns tables, columns, indexes, constraints, triggers and functions of the schema, as text.
async fn describe(url: &str) -> String {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let query = "SELECT string_agg(x, E'\\n' ORDER BY x) FROM ( \
        SELECT format('%s.%s %s %s %s', table_name, column_name, data_type, is_nullable, column_default) AS x \
        FROM information_schema.columns WHERE table_schema = 'keyward' \
        UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'keyward' \
        UNION ALL SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = CAST('keyward' AS regnamespace) \
        UNION ALL SELECT pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid \
        WHERE c.relnamespace = CAST('keyward' AS regnamespace) AND NOT t.tgisinternal \
        UNION ALL SELECT format('%s %s %s', pg_get_functiondef(oid), proacl IS NULL, prosecdef) FROM pg_proc \
        WHERE pronamespace = CAST('keyward' AS regnamespace) \
        UNION ALL SELECT format('%s %s %s', version, description, checksum) FROM keyward.keyward_migrations) y";
    sqlx::query(AssertSqlSafe(query)).fetch_one(&mut connection).await.unwrap().get::<String, _>(0)
}

async fn run_files(url: &str, which: std::ops::RangeInclusive<usize>) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    sqlx::raw_sql("SET LOCAL search_path = keyward, pg_temp").execute(&mut *transaction).await.unwrap();
    for file in &PostgresStore::migration_files()[which] {
        sqlx::raw_sql(file.sql).execute(&mut *transaction).await.unwrap_or_else(|e| panic!("{}: {e}", file.name));
    }
    transaction.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_start_without_the_right_to_create() {
    let Some((url, owner, service)) = roles().await else { return };
    let message = rejection(&service).await;
    assert!(message.contains("0001_tables.sql") && message.contains("PostgresStore::migrate()"), "{message}");
    let pool = PgPool::connect(&owner).await.unwrap();
    PostgresStore::migrate(&pool, &PostgresOptions::default().schema("keyward")).await.unwrap();
    PostgresStore::migrate(&pool, &PostgresOptions::default().schema("keyward")).await.unwrap();
    let node = Node::connect_with(&service, options()).await;
    let key = node.issue(MIGRATED).await;
    assert_eq!(node.status(&key).await, 200);
    node.keyward.tokens().revoke(key.token.id).await.unwrap();
    assert_eq!(node.status(&key).await, 401);
    // The tables are as the files make them.
    let made = describe(&url).await;
    let Some((url, owner, service)) = roles().await else { return };
    run_files(&owner, 0..=10).await;
    pretty_eq(&made, &describe(&url).await);
    let node = Node::connect_with(&service, options()).await;
    let key = node.issue(MIGRATED).await;
    assert_eq!(node.status(&key).await, 200);
}

fn pretty_eq(one: &str, other: &str) {
    for (one, other) in one.lines().zip(other.lines()) {
        assert_eq!(one, other);
    }
    assert_eq!(one.len(), other.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_and_newer_tables_are_named() {
    let Some((url, owner, service)) = roles().await else { return };
    run_files(&owner, 0..=10).await;
    let older = "DROP TABLE keyward.keyward_key; DELETE FROM keyward.keyward_migrations WHERE version = 30";
    execute(&url, older).await;
    let message = rejection(&service).await;
    assert!(message.contains("Missing: 0030_keys.sql") && !message.contains("0021_rates"), "{message}");
    let pool = PgPool::connect(&service).await.unwrap();
    let message =
        error_chain(&PostgresStore::migrate(&pool, &PostgresOptions::default().schema("keyward")).await.unwrap_err());
    assert!(message.contains("as their owner"), "{message}");
    run_files(&owner, 5..=5).await;
    PostgresStore::connect_with(&service, options()).await.unwrap().close().await;

    let newer = "INSERT INTO keyward.keyward_migrations SELECT 9000, 'later', now(), TRUE, '', 0";
    execute(&url, newer).await;
    for options in [options(), PostgresOptions::default().schema("keyward")] {
        let message = error_chain(&PostgresStore::connect_with(&service, options).await.unwrap_err());
        assert!(message.contains("migration 9000"), "{message}");
    }
}

/// Triggers that look for the tables elsewhere would log no change by hand.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_run_with_another_search_path_are_noticed() {
    let Some((_, owner, service)) = roles().await else { return };
    let mut connection = PgConnection::connect(&owner).await.unwrap();
    sqlx::raw_sql("SET search_path = keyward, public").execute(&mut connection).await.unwrap();
    for file in PostgresStore::migration_files() {
        sqlx::raw_sql(file.sql).execute(&mut connection).await.unwrap();
    }
    let message = rejection(&service).await;
    assert!(message.contains("search_path") && message.contains("\"keyward\", pg_temp"), "{message}");
    PostgresStore::migrate(&PgPool::connect(&owner).await.unwrap(), &PostgresOptions::default().schema("keyward"))
        .await
        .unwrap();
    PostgresStore::connect_with(&service, options()).await.unwrap().close().await;
}
