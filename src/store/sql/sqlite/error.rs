//! What an error of the database means to whoever asked.

use crate::store::StoreError;
use sqlx::migrate::MigrateError;

/// SQLite's primary result codes that mean something of their own to us (<https://sqlite.org/rescode.html>).
mod code {
    pub(super) const BUSY: i32 = 5;
    pub(super) const LOCKED: i32 = 6;
    pub(super) const IOERR: i32 = 10;
    pub(super) const NOTADB: i32 = 26;
}

/// Why a file could not be opened as a store.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error("this names no file: SQLite in memory would give each connection a database of its own (see MemoryStore)")]
    NoFile,
    #[cfg(feature = "strapi")]
    #[error("there is no such file")]
    NotThere(#[source] std::io::Error),
    #[error("the path cannot be made absolute")]
    Path(#[source] std::io::Error),
    #[error("the file could not be opened or created")]
    File(#[source] sqlx::Error),
    #[error("the file is not an SQLite database")]
    NotADatabase(#[source] sqlx::Error),
    #[error("the file has migration {0}, which this version does not know: a newer version wrote it")]
    Newer(i64, #[source] MigrateError),
    #[error("the tables could not be brought up to date")]
    Migration(#[source] MigrateError),
}

impl From<OpenError> for StoreError {
    fn from(error: OpenError) -> Self {
        Self::Unavailable(Box::new(error))
    }
}

/// An error while a store is opened.
pub(super) fn opening(error: sqlx::Error) -> StoreError {
    match (primary_code(&error), asking(error)) {
        (Some(code::NOTADB), StoreError::Unavailable(source)) => match source.downcast() {
            Ok(error) => OpenError::NotADatabase(*error).into(),
            Err(source) => StoreError::Unavailable(source),
        },
        (_, StoreError::Unavailable(source)) => match source.downcast() {
            Ok(error) => OpenError::File(*error).into(),
            Err(source) => StoreError::Unavailable(source),
        },
        (_, other) => other,
    }
}

/// An error while tables are brought up to date.
pub(super) fn migrating(error: MigrateError, newest: i64) -> StoreError {
    match error {
        MigrateError::Execute(error) => opening(error),
        MigrateError::VersionMissing(version) if version > newest => OpenError::Newer(version, error).into(),
        error => OpenError::Migration(error).into(),
    }
}

/// An error of a statement.
pub(super) fn asking(error: sqlx::Error) -> StoreError {
    let breaks_a_rule = |e: &dyn sqlx::error::DatabaseError| {
        e.is_unique_violation() || e.is_foreign_key_violation() || e.is_check_violation()
    };
    match &error {
        sqlx::Error::PoolTimedOut => StoreError::Busy,
        sqlx::Error::ColumnDecode { index, source } => StoreError::Corrupt(format!("column {index}: {source}")),
        sqlx::Error::Database(e) if breaks_a_rule(&**e) => StoreError::Conflict(Box::new(error)),
        _ => match primary_code(&error) {
            Some(code::BUSY | code::LOCKED) => StoreError::Busy,
            _ => StoreError::Unavailable(Box::new(error)),
        },
    }
}

/// Whether this error of a COMMIT leaves it open if the change happened.
///
/// SQLite says yes or no, with one exception: if it cannot write or flush its log, all of the change may be in there, and be
/// found when the file is opened the next time. Without an answer from SQLite nobody knows anything.
pub(super) fn leaves_open(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(_) => primary_code(error) == Some(code::IOERR),
        _ => true,
    }
}

/// Takes off the upper bits, which only say more about the lower ones.
fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let code = error.as_database_error()?.code()?;
    code.parse::<i32>().ok().map(|extended| extended & 0xff)
}
