//! Copies of a database, made while it is used, and put back while it is not.

use super::error::{OpenError, asking, is_busy, opening};
use super::place::{because, beside, create, directory};
use super::stray_log::refuse_foreign_log;
use super::{PATIENCE, SqliteStore, file, rows, statements};
use crate::store::StoreError;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection, query};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;
use uuid::Uuid;

impl SqliteStore {
    /// Copies the database, as it is at this moment, into a file that is not there yet, for its owner alone (mode 0600). Readers and
    /// writers go on meanwhile. The copy is one file, whole and on disk when this returns; a copy that fails leaves nothing.
    ///
    /// The copy together with the hash keys or the encryption keys opens the tokens: keep them apart.
    ///
    /// ```no_run
    /// # async fn demo(store: keyward::SqliteStore) -> Result<(), keyward::store::StoreError> {
    /// store.backup("/backups/keyward-2030-01-31.db").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// If the file is there already, or cannot be written. The error's source names it, and what to do.
    pub async fn backup(&self, to: impl AsRef<Path>) -> Result<(), StoreError> {
        let to = file(to.as_ref())?;
        if fs::symlink_metadata(&to).is_ok() {
            return Err(OpenError::Exists(to).into());
        }
        self.in_place()?;
        let mut from = self.file.connect().await.map_err(|error| opening(self.place.path(), error))?;
        let copied = copy(&mut from, &to).await;
        from.close().await.map_err(asking)?;
        let copy = copied?;
        // Read from a file that had left its place, it may be of any time.
        self.in_place()?;
        copy.put(&to).map_err(|error| because(&to, error))?;
        Ok(())
    }

    /// Copies a database as [`backup`](Self::backup) does, from outside of the process that uses it, if one does. The tables are copied as
    /// they are, also those of another version.
    ///
    /// # Errors
    /// As [`backup`](Self::backup), and if there is no database of keyward at this path.
    pub async fn backup_file(path: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<(), StoreError> {
        let (path, to) = (file(path.as_ref())?, file(to.as_ref())?);
        if fs::symlink_metadata(&to).is_ok() {
            return Err(OpenError::Exists(to).into());
        }
        fs::metadata(&path).map_err(|error| OpenError::NotThere(path.clone(), error))?;
        refuse_foreign_log(&path)?;
        let options = SqliteConnectOptions::new().filename(&path).busy_timeout(PATIENCE).disable_statement_logging();
        let mut from = options.connect().await.map_err(|error| opening(&path, error))?;
        let copied = match is_ours(&mut from, &path).await {
            Ok(()) => copy(&mut from, &to).await,
            Err(error) => Err(error),
        };
        from.close().await.map_err(asking)?;
        copied?.put(&to).map_err(|error| because(&to, error).into())
    }

    /// Puts a backup in the place of a database that no process has open, or where there is none. The write-ahead log of the database that
    /// was there goes with it: nothing of it finds its way into the restored one. That database is kept beside it, as
    /// `FILE.before-restore`.
    ///
    /// Revocations and changes since the backup are undone. Repeat them before the server takes requests:
    /// see [backups](crate::guide::operating#backups).
    ///
    /// # Errors
    /// If the backup is none, or the database is open in a process, or cannot be replaced. Then it is as it was.
    pub async fn restore(backup: impl AsRef<Path>, path: impl AsRef<Path>) -> Result<(), StoreError> {
        let (backup, path) = (file(backup.as_ref())?, file(path.as_ref())?);
        let mut from = open(&backup).await?;
        let copied = match is_ours(&mut from, &backup).await {
            Ok(()) => {
                let there = fs::symlink_metadata(&path).is_ok();
                let alone = if there { alone(&path).await } else { Ok(()) };
                match alone {
                    Ok(()) => copy(&mut from, &path).await,
                    Err(error) => Err(error),
                }
            }
            Err(error) => Err(error),
        };
        from.close().await.map_err(asking)?;
        let copy = copied?;
        let replaced = || -> io::Result<()> {
            keep(&path)?;
            for suffix in ["-wal", "-shm", "-journal"] {
                absent(fs::remove_file(beside(&path, suffix)))?;
            }
            copy.put(&path)
        };
        replaced().map_err(|error| because(&path, error).into())
    }
}

/// A file that is not at its place yet. It goes with this value.
struct Copy(PathBuf);

impl Copy {
    /// Puts it there, for good.
    fn put(&self, at: &Path) -> io::Result<()> {
        File::open(&self.0)?.sync_all()?;
        fs::rename(&self.0, at)?;
        // Not every system lets a directory be opened: then the name is as safe as it makes it.
        File::open(directory(at)).and_then(|directory| directory.sync_all()).or(Ok(()))
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // Gone already where it was put.
        let _ = fs::remove_file(&self.0);
    }
}

/// Copies a database into a new file beside this path.
async fn copy(from: &mut SqliteConnection, beside_this: &Path) -> Result<Copy, StoreError> {
    let part = beside(beside_this, &format!(".{}.part", Uuid::new_v4().simple()));
    create(&part).map_err(|error| because(&part, error))?;
    let copy = Copy(part);
    let Some(name) = copy.0.to_str() else {
        let why = io::Error::new(ErrorKind::InvalidInput, "the path is no text");
        return Err(OpenError::Write(copy.0.clone(), why).into());
    };
    match query(statements::COPY).bind(name).execute(from).await {
        Ok(_) => Ok(copy),
        Err(error) => Err(opening(&copy.0, error)),
    }
}

/// Opens a backup. One without a log beside it may be where nothing can be written.
async fn open(backup: &Path) -> Result<SqliteConnection, StoreError> {
    fs::metadata(backup).map_err(|error| OpenError::NotThere(backup.to_owned(), error))?;
    let logged = fs::metadata(beside(backup, "-wal")).is_ok_and(|log| log.len() > 0);
    let options = SqliteConnectOptions::new().filename(backup).disable_statement_logging();
    let options = if logged { options } else { options.read_only(true).immutable(true) };
    options.connect().await.map_err(|error| opening(backup, error))
}

/// Refuses a database that is none of keyward's.
async fn is_ours(from: &mut SqliteConnection, backup: &Path) -> Result<(), StoreError> {
    let migrations = query(statements::HAS_MIGRATIONS).fetch_one(&mut *from).await;
    let migrations = migrations.map_err(|error| opening(backup, error))?;
    if rows::get::<i64>(&migrations, "n")? == 0 {
        return Err(OpenError::NoBackup(backup.to_owned()).into());
    }
    let epoch = query(statements::LOOK).fetch_optional(from).await.map_err(|error| opening(backup, error))?;
    epoch.map(drop).ok_or_else(|| OpenError::NoBackup(backup.to_owned()).into())
}

/// Refuses a database that a process has open; else moves what its log holds into it. One that is damaged may be replaced as it is.
async fn alone(path: &Path) -> Result<(), StoreError> {
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(Duration::ZERO).disable_statement_logging();
    let in_use = || Err(OpenError::InUse(path.to_owned()).into());
    let mut connection = match options.connect().await {
        Ok(connection) => connection,
        Err(error) if is_busy(&error) => return in_use(),
        Err(_) => return Ok(()),
    };
    let folded = query(statements::FOLD_FOR_GOOD).fetch_one(&mut connection).await;
    let in_the_way = match &folded {
        Ok(row) => rows::get::<String>(row, "journal_mode")? == "wal",
        Err(error) => is_busy(error),
    };
    drop(folded);
    connection.close().await.or_else(|error| if in_the_way { Err(asking(error)) } else { Ok(()) })?;
    if in_the_way { in_use() } else { Ok(()) }
}

/// Keeps what is at this path under another name too, until the next restore.
fn keep(path: &Path) -> io::Result<()> {
    let kept = beside(path, ".before-restore");
    absent(fs::remove_file(&kept))?;
    match fs::hard_link(path, &kept) {
        // Not every file system can give a file two names. No process has it open.
        Err(error) if error.kind() != ErrorKind::NotFound => fs::copy(path, &kept).map(drop),
        linked => absent(linked),
    }
}

/// Done, if there was nothing to do.
fn absent(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
