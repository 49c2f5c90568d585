//! The database: keyward's tables and our own, in one file.

use crate::wire::BoxError;
use keyward::SqliteStore;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
use sqlx::{Arguments, Sqlite, SqlitePool, Transaction};
use std::time::Duration;

pub(crate) use keyward::SqlValue;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS article (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    document_id TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    slug TEXT,
    body TEXT,
    creator_id BIGINT, -- an owner, who may be gone
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX IF NOT EXISTS article_creator ON article (creator_id);
CREATE TABLE IF NOT EXISTS webhook (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    url TEXT NOT NULL,
    created_at BIGINT NOT NULL
);";

/// How long a request waits for a connection, and for other writers.
const PATIENCE: Duration = Duration::from_secs(5);

/// Our own connections; keyward has others. One of them writes: requests queue for it, where SQLite would let them race.
#[derive(Clone)]
pub(crate) struct Database {
    readers: SqlitePool,
    writer: SqlitePool,
}

impl Database {
    /// Opens keyward's part and ours, and makes what is missing.
    pub(crate) async fn open(file: &str) -> Result<(SqliteStore, Self), BoxError> {
        let store = SqliteStore::open(file).await?;
        let options = SqliteConnectOptions::new().filename(file).foreign_keys(true).busy_timeout(PATIENCE);
        let pool = || SqlitePoolOptions::new().acquire_timeout(PATIENCE);
        let writer =
            pool().max_connections(1).connect_with(options.clone().journal_mode(SqliteJournalMode::Wal)).await?;
        sqlx::raw_sql(TABLES).execute(&writer).await?;
        let readers = pool().max_connections(4).connect_lazy_with(options.pragma("query_only", "ON"));
        Ok((store, Self { readers, writer }))
    }

    /// Begins to read. What is read is of one moment.
    pub(crate) async fn read(&self) -> sqlx::Result<Transaction<'static, Sqlite>> {
        self.readers.begin().await
    }

    /// Begins a change. It is the only one until it ends: what it reads stays true until it has written.
    pub(crate) async fn write(&self) -> sqlx::Result<Transaction<'static, Sqlite>> {
        self.writer.begin_with("BEGIN IMMEDIATE").await
    }

    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Whether others wrote for too long, and it may go better in a moment.
pub(crate) fn is_busy(error: &sqlx::Error) -> bool {
    // 5 and 6 are SQLITE_BUSY and SQLITE_LOCKED; the bytes above say more closely which.
    let busy = |code: &str| code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6));
    match error {
        sqlx::Error::PoolTimedOut => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| busy(&code)),
        _ => false,
    }
}

/// What a filter binds, in order.
pub(crate) fn arguments(values: &[SqlValue]) -> sqlx::Result<SqliteArguments> {
    let mut arguments = SqliteArguments::default();
    for value in values {
        match value {
            SqlValue::Int(n) => arguments.add(*n),
            SqlValue::Text(text) => arguments.add(text.clone()),
            SqlValue::Bool(b) => arguments.add(*b),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}
