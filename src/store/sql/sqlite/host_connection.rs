//! The requirements of keyward on the host's connections to a file.

use super::database_file::{DatabaseFile, Identity};
use super::error::{OpenError, query_error};
use super::{rows, statements};
use crate::store::StoreError;
use sqlx::{SqliteConnection, query, raw_sql};
use std::path::{Path, PathBuf};

/// Checks the settings of a connection of the host's pool, and returns the path of its file.
pub(super) async fn check_pool(connection: &mut SqliteConnection) -> Result<PathBuf, StoreError> {
    let path = main_file(connection).await?;
    check_foreign_keys(connection, &path).await?;
    let file = || path.clone();
    let mode = text(connection, statements::JOURNAL_MODE).await?;
    if mode != "wal" {
        return Err(OpenError::JournalMode { path: file(), mode }.into());
    }
    if text(connection, statements::LOCKING_MODE).await? != "normal" {
        return Err(OpenError::LockingMode(file()).into());
    }
    Ok(path)
}

/// Checks a connection in whose transaction a change of this store shall be made.
pub(super) async fn check_transaction(
    connection: &mut SqliteConnection,
    database_file: &DatabaseFile,
) -> Result<(), StoreError> {
    let path = main_file(connection).await?;
    database_file.check()?;
    if !matches!((Identity::at(&path), Identity::at(database_file.path())), (Ok(one), Ok(other)) if one == other) {
        return Err(OpenError::OtherFile { path, store: database_file.path().to_owned() }.into());
    }
    check_foreign_keys(connection, &path).await?;
    // SQLite may have ended the transaction by itself, for example on a full disk, and then a change would be committed
    // at once.
    match raw_sql("BEGIN").execute(&mut *connection).await {
        Err(sqlx::Error::Database(_)) => Ok(()),
        Err(error) => Err(query_error(error)),
        Ok(_) => {
            raw_sql("ROLLBACK").execute(connection).await.map_err(query_error)?;
            Err(OpenError::NoTransaction(path).into())
        }
    }
}

/// Without foreign keys, a deleted token would leave its grants behind.
async fn check_foreign_keys(connection: &mut SqliteConnection, path: &Path) -> Result<(), StoreError> {
    let row = query(statements::FOREIGN_KEYS).fetch_one(connection).await.map_err(query_error)?;
    match rows::get::<i64>(&row, "foreign_keys")? {
        1 => Ok(()),
        _ => Err(OpenError::ForeignKeys(path.to_owned()).into()),
    }
}

async fn main_file(connection: &mut SqliteConnection) -> Result<PathBuf, StoreError> {
    let file = text(connection, statements::MAIN_FILE).await?;
    if file.is_empty() { Err(OpenError::InMemory.into()) } else { Ok(file.into()) }
}

async fn text(connection: &mut SqliteConnection, statement: &'static str) -> Result<String, StoreError> {
    let row = query(statement).fetch_one(connection).await.map_err(query_error)?;
    rows::get(&row, "value")
}
