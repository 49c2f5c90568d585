//! The database: keyward's tables and our own, in one file.

use crate::wire::BoxError;
use keyward::SqliteStore;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
use sqlx::{Arguments, Sqlite, SqlitePool, Transaction};

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

/// Opens both, and makes what is missing. The pool is ours; keyward has connections of its own.
pub(crate) async fn open(file: &str) -> Result<(SqliteStore, SqlitePool), BoxError> {
    let store = SqliteStore::open(file).await?;
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
    let pool = SqlitePoolOptions::new()
        .max_connections(4)
        .connect_with(options.journal_mode(SqliteJournalMode::Wal).foreign_keys(true))
        .await?;
    sqlx::raw_sql(TABLES).execute(&pool).await?;
    Ok((store, pool))
}

/// Begins a change. It is the only one until it ends: what it reads stays true until it has written.
pub(crate) async fn write(pool: &SqlitePool) -> sqlx::Result<Transaction<'static, Sqlite>> {
    pool.begin_with("BEGIN IMMEDIATE").await
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
