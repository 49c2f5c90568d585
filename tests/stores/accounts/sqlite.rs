//! On SQLite.

use super::*;
use keyward::SqliteStore;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
use std::path::Path;

type Pool = sqlx::SqlitePool;
type Tx = sqlx::Transaction<'static, sqlx::Sqlite>;

const USERS: &str =
    "CREATE TABLE app_user (id TEXT PRIMARY KEY, name TEXT NOT NULL, active BOOLEAN NOT NULL, role TEXT NOT NULL);
    INSERT INTO app_user VALUES ('ada', 'Ada', TRUE, 'editor'), ('eve', 'Eve', TRUE, 'editor')";

const TRIGGER: &str = "CREATE TRIGGER report_user AFTER UPDATE ON app_user BEGIN
        INSERT INTO keyward_account_change (account) VALUES (NEW.id);
    END;
    CREATE TRIGGER report_deleted_user AFTER DELETE ON app_user BEGIN
        INSERT INTO keyward_account_change (account) VALUES (OLD.id);
    END";

async fn pool(file: &Path) -> Pool {
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
    let options = options.journal_mode(SqliteJournalMode::Wal);
    SqlitePoolOptions::new().max_connections(4).connect_with(options).await.unwrap()
}

async fn open(file: &str) -> Scene<Pool> {
    let pool = pool(Path::new(file)).await;
    let one = SqliteStore::from_pool(pool.clone()).await.unwrap();
    let two = SqliteStore::open(file).await.unwrap();
    let node = |store| Node::on(store, |builder| builder.accounts(Users(pool.clone())));
    Scene { one: node(one), two: node(two), pool }
}

async fn scene_with_name() -> Option<(String, Scene<Pool>)> {
    // Removed by the system: the store is open for as long as the test.
    let file = tempfile::tempdir().unwrap().keep().join("app.db");
    sqlx::raw_sql(USERS).execute(&pool(&file).await).await.unwrap();
    let file = file.to_str().unwrap().to_owned();
    let scene = open(&file).await;
    Some((file, scene))
}

async fn scene() -> Option<Scene<Pool>> {
    scene_with_name().await.map(|(_, scene)| scene)
}

const COUNT_REPORTS: &str = "SELECT COUNT(*) FROM keyward_account_change";

async fn begin(pool: &Pool) -> Tx {
    pool.begin_with("BEGIN IMMEDIATE").await.unwrap()
}

tests_of_an_engine!(scene(), scene_with_name(), begin);

/// A driver writes a UUID as a BLOB, which equals no account key: the tokens of a suspended user would live on.
#[tokio::test]
async fn report_of_a_binary_key_fails_the_update() {
    let directory = tempfile::tempdir().unwrap();
    let pool = pool(&directory.path().join("app.db")).await;
    let user =
        "CREATE TABLE app_user (id BLOB PRIMARY KEY, active BOOLEAN); INSERT INTO app_user VALUES (x'c0ffee', TRUE)";
    sqlx::raw_sql(user).execute(&pool).await.unwrap();
    let store = SqliteStore::from_pool(pool.clone()).await.unwrap();
    sqlx::raw_sql(TRIGGER).execute(&pool).await.unwrap();
    for change in ["UPDATE app_user SET active = FALSE", "DELETE FROM app_user"] {
        let error = sqlx::query(change).execute(&pool).await.unwrap_err().to_string();
        assert!(error.contains("account_is_text"), "{error}");
    }
    let active: bool = sqlx::query_scalar("SELECT active FROM app_user").fetch_one(&pool).await.unwrap();
    assert!(active);
    // A number becomes the text that `AccountKey::from` makes of it.
    sqlx::query("INSERT INTO keyward_account_change (account) VALUES (7)").execute(&pool).await.unwrap();
    let account: String =
        sqlx::query_scalar("SELECT account FROM keyward_account_change").fetch_one(&pool).await.unwrap();
    assert_eq!(account, "7");
    keyward::store::Store::close(&store).await;
}
