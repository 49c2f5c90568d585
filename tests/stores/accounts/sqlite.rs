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
