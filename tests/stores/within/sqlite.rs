//! On SQLite.

use super::*;
use keyward::SqliteStore;
use keyward::admin::{Actor, RoleUpdate, ServiceError};
use keyward::store::StoreError;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
use std::error::Error;
use std::path::Path;

type Pool = sqlx::SqlitePool;
type Tx = sqlx::Transaction<'static, sqlx::Sqlite>;

fn file(directory: &Path) -> SqliteConnectOptions {
    let file = SqliteConnectOptions::new().filename(directory.join("app.db"));
    file.create_if_missing(true).journal_mode(SqliteJournalMode::Wal)
}

async fn scene() -> Option<Scene<Pool>> {
    // Removed by the system: the store is open for as long as the test.
    let directory = tempfile::tempdir().unwrap().keep();
    let pool = SqlitePoolOptions::new().max_connections(4).connect_with(file(&directory)).await.unwrap();
    sqlx::raw_sql("CREATE TABLE note (text TEXT)").execute(&pool).await.unwrap();
    let one = SqliteStore::from_pool(pool.clone()).await.unwrap();
    let two = SqliteStore::open(directory.join("app.db")).await.unwrap();
    Some(Scene::new(pool, Node::on(one), Node::on(two)).await)
}

async fn begin(pool: &Pool) -> Tx {
    pool.begin_with("BEGIN IMMEDIATE").await.unwrap()
}

tests_of_an_engine!(scene(), begin);

fn source(error: ServiceError) -> String {
    error.source().map(ToString::to_string).unwrap_or_default()
}

/// The call waits for the transaction that it is made in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_inside_a_transaction_says_what_to_use() {
    let s = scene().await.unwrap();
    let mut tx = begin(&s.pool).await;
    note(&mut tx, "one").await;
    let issued = s.one.keyward.tokens().issue_admin(new("deploy", s.owner)).await;
    let Err(error @ ServiceError::Store(StoreError::Busy)) = issued else { panic!("{issued:?}") };
    assert!(error.to_string().contains("use Tokens::within or AccountReports::within"), "{error}");
    tx.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deferred_transaction_that_has_read_an_older_state_is_rejected_at_once() {
    let s = scene().await.unwrap();
    let mut tx = s.pool.begin().await.unwrap();
    sqlx::query("SELECT COUNT(*) FROM note").fetch_one(&mut *tx).await.unwrap();
    s.two.keyward.roles().create(NewRole::new("Other")).await.unwrap();
    let began = Instant::now();
    let issued = s.one.keyward.tokens().within(&mut tx).issue_admin(new("deploy", s.owner)).await;
    let Err(error @ ServiceError::Store(StoreError::DeferredTransaction)) = issued else { panic!("{issued:?}") };
    assert!(error.to_string().ends_with("begin it with BEGIN IMMEDIATE"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(1));
}

/// The client gets a 503 without a reason: the host learns it from the log.
#[tokio::test]
async fn transaction_on_another_file_is_logged_once_in_a_while() {
    let s = scene().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let other = Pool::connect_with(file(directory.path())).await.unwrap();
    let (log, _guard) = keyward_test_support::log::capture();
    for _ in 0..3 {
        let mut tx = begin(&other).await;
        let failed = s.one.keyward.tokens().within(&mut tx).revoke(TokenId(1)).await;
        assert_eq!(failed.unwrap_err().status(), 503);
    }
    assert_eq!(log.lines_with("no change could be made within a transaction of the host"), 1, "{}", log.text());
    assert_eq!(log.lines_with("begin it on the store's file"), 1, "{}", log.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connection_that_does_not_fit_is_named() {
    let s = scene().await.unwrap();
    let tokens = s.one.keyward.tokens();
    // Another file.
    let directory = tempfile::tempdir().unwrap();
    let other = Pool::connect_with(file(directory.path())).await.unwrap();
    SqliteStore::migrate(&other).await.unwrap();
    let mut tx = begin(&other).await;
    let error = source(tokens.within(&mut tx).revoke(TokenId(1)).await.unwrap_err());
    assert!(error.contains("begin it on the store's file"), "{error}");
    // Without foreign keys.
    let options = (*s.pool.connect_options()).clone().foreign_keys(false);
    let mut tx = begin(&Pool::connect_with(options).await.unwrap()).await;
    let error = source(tokens.within(&mut tx).revoke(TokenId(1)).await.unwrap_err());
    assert!(error.contains("foreign_keys(true)"), "{error}");
    drop(tx);
    // SQLite has ended the transaction, and the driver does not know.
    let mut tx = begin(&s.pool).await;
    sqlx::raw_sql("ROLLBACK").execute(&mut *tx).await.unwrap();
    let before = rows(&s.pool).await;
    let error = source(tokens.within(&mut tx).issue_admin(new("deploy", s.owner)).await.unwrap_err());
    assert!(error.contains("has ended already"), "{error}");
    drop(tx);
    assert_eq!(rows(&s.pool).await, before);
}
