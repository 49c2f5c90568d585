//! Backups: copies of a database while it is used, and restoring them while it is not.

use super::database_file::{create, creation_error, directory, sibling};
use super::error::{OpenError, is_busy, open_error, query_error};
use super::stray_log::refuse_foreign_log;
use super::{SqliteStore, WAIT_TIMEOUT, file, rows, statements};
use crate::store::StoreError;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection, query};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;
use uuid::Uuid;

impl SqliteStore {
    /// Copies the database at this moment into a new file with mode 0600. Readers and writers continue meanwhile.
    ///
    /// The copy is one complete file, on disk when this returns; a failed copy leaves nothing. Together with the hash
    /// keys or the encryption keys it gives access to the tokens: store them separately.
    ///
    /// ```no_run
    /// # async fn demo(store: keyward::SqliteStore) -> Result<(), keyward::store::StoreError> {
    /// store.backup("/backups/keyward-2030-01-31.db").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Returns [`StoreError::Unavailable`] if the file exists already, or cannot be written. The error's source names
    /// the file and the remedy.
    pub async fn backup(&self, to: impl AsRef<Path>) -> Result<(), StoreError> {
        let to = file(to.as_ref())?;
        if fs::symlink_metadata(&to).is_ok() {
            return Err(OpenError::Exists(to).into());
        }
        self.check_location()?;
        let mut from = self.options.connect().await.map_err(|error| open_error(self.database_file.path(), error))?;
        let copied = copy(&mut from, &to).await;
        from.close().await.map_err(query_error)?;
        let copy = copied?;
        // A file that was replaced meanwhile may have been read at any time.
        self.check_location()?;
        copy.put(&to).map_err(|error| creation_error(&to, error))?;
        Ok(())
    }

    /// Copies a database like [`backup`](Self::backup), from outside of a process that may use it. Tables of another
    /// version are copied unchanged.
    ///
    /// # Errors
    /// Like [`backup`](Self::backup); also if there is no keyward database at this path.
    pub async fn backup_file(path: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<(), StoreError> {
        let (path, to) = (file(path.as_ref())?, file(to.as_ref())?);
        if fs::symlink_metadata(&to).is_ok() {
            return Err(OpenError::Exists(to).into());
        }
        fs::metadata(&path).map_err(|error| OpenError::NotThere(path.clone(), error))?;
        refuse_foreign_log(&path)?;
        let options =
            SqliteConnectOptions::new().filename(&path).busy_timeout(WAIT_TIMEOUT).disable_statement_logging();
        let mut from = options.connect().await.map_err(|error| open_error(&path, error))?;
        let copied = match check_tables(&mut from, &path).await {
            Ok(()) => copy(&mut from, &to).await,
            Err(error) => Err(error),
        };
        from.close().await.map_err(query_error)?;
        copied?.put(&to).map_err(|error| creation_error(&to, error).into())
    }

    /// Replaces a database that no process has open with a backup, or creates it.
    ///
    /// The former database's write-ahead log is removed, so that none of it gets into the restored one. The former
    /// database is kept beside it as `FILE.before-restore`.
    ///
    /// Revocations and changes since the backup are undone. Repeat them before the server takes requests: see
    /// [backups](crate::guide::operating#backups).
    ///
    /// # Errors
    /// Returns [`StoreError::Unavailable`] if the backup is invalid, the database is open in a process, or it cannot be
    /// replaced. Then it is unchanged.
    pub async fn restore(backup: impl AsRef<Path>, path: impl AsRef<Path>) -> Result<(), StoreError> {
        let (backup, path) = (file(backup.as_ref())?, file(path.as_ref())?);
        let mut from = open(&backup).await?;
        let copied = match check_tables(&mut from, &backup).await {
            Ok(()) => {
                let exists = fs::symlink_metadata(&path).is_ok();
                let unused = if exists { ensure_unused(&path).await } else { Ok(()) };
                match unused {
                    Ok(()) => copy(&mut from, &path).await,
                    Err(error) => Err(error),
                }
            }
            Err(error) => Err(error),
        };
        from.close().await.map_err(query_error)?;
        let copy = copied?;
        let replaced = || -> io::Result<()> {
            keep_previous(&path)?;
            for suffix in ["-wal", "-shm", "-journal"] {
                ignore_missing(fs::remove_file(sibling(&path, suffix)))?;
            }
            copy.put(&path)
        };
        replaced().map_err(|error| creation_error(&path, error).into())
    }
}

/// A copy that is not at its final path yet. It is removed on drop.
struct PartialCopy(PathBuf);

impl PartialCopy {
    /// Moves the copy to its final path, durably.
    fn put(&self, at: &Path) -> io::Result<()> {
        File::open(&self.0)?.sync_all()?;
        fs::rename(&self.0, at)?;
        // Not every system can open a directory: then the rename is as durable as the system makes it.
        File::open(directory(at)).and_then(|directory| directory.sync_all()).or(Ok(()))
    }
}

impl Drop for PartialCopy {
    fn drop(&mut self) {
        // After `put` the file is gone from here.
        let _ = fs::remove_file(&self.0);
    }
}

/// Copies a database into a new file beside this path.
async fn copy(from: &mut SqliteConnection, beside_this: &Path) -> Result<PartialCopy, StoreError> {
    let part = sibling(beside_this, &format!(".{}.part", Uuid::new_v4().simple()));
    create(&part).map_err(|error| creation_error(&part, error))?;
    let copy = PartialCopy(part);
    let Some(name) = copy.0.to_str() else {
        let why = io::Error::new(ErrorKind::InvalidInput, "the path is not UTF-8");
        return Err(OpenError::Write(copy.0.clone(), why).into());
    };
    match query(statements::VACUUM_INTO).bind(name).execute(from).await {
        Ok(_) => Ok(copy),
        Err(error) => Err(open_error(&copy.0, error)),
    }
}

/// Opens a backup. Without a log beside it, it may be on a read-only file system.
async fn open(backup: &Path) -> Result<SqliteConnection, StoreError> {
    fs::metadata(backup).map_err(|error| OpenError::NotThere(backup.to_owned(), error))?;
    let logged = fs::metadata(sibling(backup, "-wal")).is_ok_and(|log| log.len() > 0);
    let options = SqliteConnectOptions::new().filename(backup).disable_statement_logging();
    let options = if logged { options } else { options.read_only(true).immutable(true) };
    options.connect().await.map_err(|error| open_error(backup, error))
}

/// Rejects a database without keyward's tables.
async fn check_tables(from: &mut SqliteConnection, backup: &Path) -> Result<(), StoreError> {
    let migrations = query(statements::HAS_MIGRATIONS).fetch_one(&mut *from).await;
    let migrations = migrations.map_err(|error| open_error(backup, error))?;
    if rows::get::<i64>(&migrations, "n")? == 0 {
        return Err(OpenError::NoBackup(backup.to_owned()).into());
    }
    let epoch = query(statements::READ_EPOCH).fetch_optional(from).await.map_err(|error| open_error(backup, error))?;
    epoch.map(drop).ok_or_else(|| OpenError::NoBackup(backup.to_owned()).into())
}

/// Rejects a database that a process has open; else moves its log into the file. A damaged database may be replaced as
/// it is.
async fn ensure_unused(path: &Path) -> Result<(), StoreError> {
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(Duration::ZERO).disable_statement_logging();
    let in_use = || Err(OpenError::InUse(path.to_owned()).into());
    let mut connection = match options.connect().await {
        Ok(connection) => connection,
        Err(error) if is_busy(&error) => return in_use(),
        Err(_) => return Ok(()),
    };
    let mode = query(statements::LEAVE_WAL_MODE).fetch_one(&mut connection).await;
    let in_the_way = match &mode {
        Ok(row) => rows::get::<String>(row, "journal_mode")? == "wal",
        Err(error) => is_busy(error),
    };
    drop(mode);
    connection.close().await.or_else(|error| if in_the_way { Err(query_error(error)) } else { Ok(()) })?;
    if in_the_way { in_use() } else { Ok(()) }
}

/// Keeps the file at this path under a second name, until the next restore.
fn keep_previous(path: &Path) -> io::Result<()> {
    let kept = sibling(path, ".before-restore");
    ignore_missing(fs::remove_file(&kept))?;
    match fs::hard_link(path, &kept) {
        // Not every file system supports hard links. No process has the file open.
        Err(error) if error.kind() != ErrorKind::NotFound => fs::copy(path, &kept).map(drop),
        linked => ignore_missing(linked),
    }
}

/// Ignores an error about a missing file.
fn ignore_missing(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
