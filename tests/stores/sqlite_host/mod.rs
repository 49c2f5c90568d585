//! A file that the host and keyward share.

use keyward::SqliteStore;
use keyward::store::{SqliteOptions, StoreError, WriteStore, contract};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteLockingMode, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, Row, SqlitePool};
use std::error::Error;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

fn file(dir: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(dir.join("app.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
}

async fn pool(options: SqliteConnectOptions) -> SqlitePool {
    SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap()
}

fn source(error: &StoreError) -> String {
    error.source().map(ToString::to_string).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_contract_holds_in_a_file_of_the_host() {
    let (dir, next) = (TempDir::new().unwrap(), AtomicU32::new(0));
    contract::run(async || {
        let file = file(dir.path()).filename(dir.path().join(format!("{}.db", next.fetch_add(1, Ordering::Relaxed))));
        SqliteStore::from_pool(pool(file).await).await.unwrap()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keyward_takes_nothing_from_the_pool_and_changes_no_setting() {
    let dir = TempDir::new().unwrap();
    let pool = pool(file(dir.path())).await;
    sqlx::raw_sql("CREATE TABLE note (id INTEGER PRIMARY KEY)").execute(&pool).await.unwrap();
    let settings = "SELECT group_concat(v) FROM (SELECT foreign_keys AS v FROM pragma_foreign_keys UNION ALL \
                    SELECT synchronous FROM pragma_synchronous UNION ALL SELECT timeout FROM pragma_busy_timeout UNION ALL \
                    SELECT query_only FROM pragma_query_only)";
    let before: String = sqlx::query(settings).fetch_one(&pool).await.unwrap().get(0);
    let store = SqliteStore::from_pool(pool.clone()).await.unwrap();
    // The pool's only connection is in use, and reads meanwhile.
    let mut held = pool.acquire().await.unwrap();
    sqlx::query("SELECT COUNT(*) FROM note").fetch_one(&mut *held).await.unwrap();
    drop(store.view().await.unwrap());
    store.begin().await.unwrap().commit(&[]).await.unwrap();
    let after: String = sqlx::query(settings).fetch_one(&mut *held).await.unwrap().get(0);
    assert_eq!(before, after);
    store.close().await;
    sqlx::query("SELECT COUNT(*) FROM note").fetch_one(&mut *held).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_settings_are_named() {
    let dir = TempDir::new().unwrap();
    for (options, setting) in [
        (file(dir.path()).foreign_keys(false), "foreign_keys(true)"),
        (file(dir.path()).journal_mode(SqliteJournalMode::Delete), "journal_mode(SqliteJournalMode::Wal)"),
        (file(dir.path()).locking_mode(SqliteLockingMode::Exclusive), "locking_mode(SqliteLockingMode::Normal)"),
        (SqliteConnectOptions::new().in_memory(true), "in memory"),
    ] {
        let pool = pool(options).await;
        let error = SqliteStore::from_pool(pool.clone()).await.unwrap_err();
        assert!(source(&error).contains(setting), "{setting}: {}", source(&error));
        pool.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_make_the_tables_that_the_program_makes() {
    let (one, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let options = SqliteOptions::default().without_migrations();
    let (by_program, by_files) = (pool(file(one.path())).await, pool(file(other.path())).await);
    let error = SqliteStore::from_pool_with(by_files.clone(), options.clone()).await.unwrap_err();
    assert!(source(&error).contains("0001_tables.sql"), "{}", source(&error));
    SqliteStore::migrate(&by_program).await.unwrap();
    let mut transaction = by_files.begin().await.unwrap();
    for file in SqliteStore::migration_files() {
        sqlx::raw_sql(file.sql).execute(&mut *transaction).await.unwrap_or_else(|e| panic!("{}: {e}", file.name));
    }
    transaction.commit().await.unwrap();
    let schema = "SELECT group_concat(sql, ';') FROM (SELECT sql FROM sqlite_master WHERE name <> 'keyward_migrations' \
                  AND sql IS NOT NULL ORDER BY name)";
    let mut schemas = Vec::new();
    for pool in [by_program, by_files] {
        schemas.push(sqlx::query(schema).fetch_one(&pool).await.unwrap().get::<String, _>(0));
        SqliteStore::from_pool_with(pool.clone(), options.clone()).await.unwrap().close().await;
        let older = "DELETE FROM keyward_migrations WHERE version = 30";
        sqlx::raw_sql(AssertSqlSafe(older)).execute(&pool).await.unwrap();
        let error = SqliteStore::from_pool_with(pool, options.clone()).await.unwrap_err();
        assert!(source(&error).contains("Missing: 0030_keys.sql."), "{}", source(&error));
    }
    assert_eq!(schemas[0], schemas[1]);
}
