//! Mapping of database errors to store errors.

use super::database_file::find_problem;
use crate::store::StoreError;
use sqlx::migrate::MigrateError;
use std::io;
use std::path::{Path, PathBuf};

/// SQLite's primary result codes with a specific meaning (<https://sqlite.org/rescode.html>).
mod code {
    pub(super) const BUSY: i32 = 5;
    pub(super) const LOCKED: i32 = 6;
    pub(super) const IOERR: i32 = 10;
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const FULL: i32 = 13;
    pub(super) const NOTADB: i32 = 26;
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a file cannot be used as a store: the problem, the file or directory, and the remedy.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error(
        "the path names no file: for a store in memory use MemoryStore (SQLite in memory has a database for each connection)"
    )]
    NoFile,
    #[error("there is no such file: {}", .0.display())]
    NotThere(PathBuf, #[source] io::Error),
    #[error("cannot make the path absolute")]
    Path(#[source] io::Error),
    #[error("the directory {} does not exist: create it, or name another one", .0.display())]
    NoDirectory(PathBuf),
    #[error("{} is not a directory: name a path in a directory", .0.display())]
    NotADirectory(PathBuf),
    #[error("{} is a directory: name a file in it", .0.display())]
    Directory(PathBuf),
    #[error("no right to read {}: change its owner to the user that runs this (chown, chmod 600)", .0.display())]
    Unreadable(PathBuf),
    #[error("no right to write {}: change its owner to the user that runs this (chown, chmod 600)", .0.display())]
    Unwritable(PathBuf),
    #[error("no right to write in {}, where SQLite keeps two files beside the database: change the directory's owner to the user that runs this", .0.display())]
    UnwritableDirectory(PathBuf),
    #[error("{} is on a read-only file system: mount it for writing, or choose another place", .0.display())]
    ReadOnlySystem(PathBuf),
    #[error("no space left for {}: free space on its file system", .0.display())]
    Full(PathBuf, #[source] Cause),
    #[error("cannot create {}", .0.display())]
    Create(PathBuf, #[source] io::Error),
    #[error("cannot open or create {}", .0.display())]
    File(PathBuf, #[source] sqlx::Error),
    #[error("{} is not an SQLite database: name another file", .0.display())]
    NotADatabase(PathBuf, #[source] sqlx::Error),
    #[error("{} is damaged: restore a backup", .0.display())]
    Damaged(PathBuf, #[source] sqlx::Error),
    #[error(
        "{} has migration {version}, which this version does not know (its last one is {newest}): use the newer version that wrote it",
        .path.display()
    )]
    Newer { path: PathBuf, version: i64, newest: i64, source: MigrateError },
    #[error(
        "the tables in {} are older than this version, which does not migrate them as it is configured. Missing: {missing}. Call \
         SqliteStore::migrate(), or run these files of SqliteStore::migration_files()",
        .path.display()
    )]
    Outdated { path: PathBuf, missing: String },
    #[error("the pool's database is in memory: keyward has connections of its own, and needs a file")]
    InMemory,
    #[error(
        "the connections of the host to {} do not enforce foreign keys, so a deleted token would leave its grants behind: \
         SqliteConnectOptions::foreign_keys(true)",
        .0.display()
    )]
    ForeignKeys(PathBuf),
    #[error(
        "{} has the journal mode {mode}, in which a writer keeps look-ups waiting: SqliteConnectOptions::journal_mode(SqliteJournalMode::Wal)",
        .path.display()
    )]
    JournalMode { path: PathBuf, mode: String },
    #[error(
        "the host's connection locks {} for itself alone: SqliteConnectOptions::locking_mode(SqliteLockingMode::Normal)",
        .0.display()
    )]
    LockingMode(PathBuf),
    #[error("the host's transaction on {} has ended already: SQLite rolled it back", .0.display())]
    NoTransaction(PathBuf),
    #[error("the transaction is on {}, and keyward's tables are in {}: begin it on the store's file", .path.display(), .store.display())]
    OtherFile { path: PathBuf, store: PathBuf },
    #[error("cannot migrate the tables in {}", .0.display())]
    Migration(PathBuf, #[source] MigrateError),
    #[error(
        "{} was copied over another database, whose write-ahead log {} is still there and would undo that: remove this log and the file \
         ending in -shm. Where nothing was copied, `touch` the log instead",
        .path.display(), .log.display()
    )]
    ForeignLog { path: PathBuf, log: PathBuf },
    #[error("{} is no longer there, but was not closed: put it back, or stop, restore a backup and start again", .0.display())]
    Gone(PathBuf, #[source] io::Error),
    #[error("{} is another file than the one that was opened: restart to use it", .0.display())]
    Replaced(PathBuf),
    #[error("{} was emptied while it was open: stop, restore a backup and start again", .0.display())]
    Truncated(PathBuf),
    #[error("{} is there already: name a new file", .0.display())]
    Exists(PathBuf),
    #[error("{} is open in another process: stop that first", .0.display())]
    InUse(PathBuf),
    #[error("{} has no tables of keyward: name a backup", .0.display())]
    NoBackup(PathBuf),
    #[error("cannot write {}", .0.display())]
    Write(PathBuf, #[source] io::Error),
}

impl From<OpenError> for StoreError {
    fn from(error: OpenError) -> Self {
        Self::Unavailable(Box::new(error))
    }
}

/// Maps an error of opening a file for reading.
pub(super) fn open_error(path: &Path, error: sqlx::Error) -> StoreError {
    let (path, code) = (path.to_owned(), primary_code(&error));
    let error = match (code, query_error(error)) {
        (_, StoreError::Unavailable(source)) => source,
        (_, other) => return other,
    };
    match error.downcast::<sqlx::Error>() {
        Ok(error) => match code {
            Some(code::NOTADB) => OpenError::NotADatabase(path, *error),
            Some(code::CORRUPT) => OpenError::Damaged(path, *error),
            Some(code::FULL) => OpenError::Full(path, error),
            _ => OpenError::File(path, *error),
        }
        .into(),
        Err(error) => StoreError::Unavailable(error),
    }
}

/// Maps an error of opening a file for writing; the file system explains more than SQLite does.
pub(super) fn write_open_error(path: &Path, error: sqlx::Error) -> StoreError {
    match open_error(path, error) {
        StoreError::Unavailable(error) => match (error.downcast_ref(), find_problem(path)) {
            (Some(OpenError::File(..)), Some(why)) => why.into(),
            _ => StoreError::Unavailable(error),
        },
        other => other,
    }
}

/// Maps an error of a migration.
pub(super) fn migration_error(path: &Path, error: MigrateError, newest: i64) -> StoreError {
    match error {
        MigrateError::Execute(error) => write_open_error(path, error),
        MigrateError::VersionMissing(version) if version > newest => {
            OpenError::Newer { path: path.to_owned(), version, newest, source: error }.into()
        }
        error => OpenError::Migration(path.to_owned(), error).into(),
    }
}

/// Maps an error of a statement.
pub(super) fn query_error(error: sqlx::Error) -> StoreError {
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

/// Returns true if this error of a COMMIT leaves the outcome unknown.
///
/// SQLite reports a definite result with one exception: if it cannot write or flush its log, the whole change may be in
/// there, and be found when the file is opened the next time. Without a response from SQLite the outcome is unknown.
pub(super) fn leaves_open(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(_) => primary_code(error) == Some(code::IOERR),
        _ => true,
    }
}

/// Removes the upper bits, which only refine the lower ones.
fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let code = error.as_database_error()?.code()?;
    code.parse::<i32>().ok().map(|extended| extended & 0xff)
}

/// Returns true if another connection has locked the file.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    matches!(primary_code(error), Some(code::BUSY | code::LOCKED))
}
