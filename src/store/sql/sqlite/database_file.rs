//! The file of a store: its identity, whether its path still leads to it, and who may read it.
//!
//! No code here opens the file: a process that closes any descriptor of a file loses the locks that SQLite holds on it.

use super::error::OpenError;
use crate::store::StoreError;
use rustix::fs::{Access, access};
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// The identity of a file. If the file is replaced, a process that has the old one open continues to read that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Identity(u64, u64);

impl Identity {
    /// Returns the identity of the file at this path.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|file| Self::of(&file))
    }

    #[cfg(unix)]
    fn of(file: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self(file.dev(), file.ino())
    }

    /// Other systems do not allow an open file to be replaced.
    #[cfg(not(unix))]
    fn of(_: &Metadata) -> Self {
        Self(0, 0)
    }
}

/// The path of a store, and the file that was opened there.
#[derive(Debug)]
pub(super) struct DatabaseFile {
    path: PathBuf,
    file: Identity,
    /// The log was moved into the file after the file had left its path.
    folded: AtomicBool,
}

/// The smallest page of SQLite. An open database is never smaller.
const SMALLEST: u64 = 512;

impl DatabaseFile {
    /// Creates the file if it is missing, readable for its owner only, and notes its identity.
    pub(super) fn prepare(path: PathBuf) -> Result<Self, OpenError> {
        create_if_missing(&path)?;
        let file = Identity::at(&path).map_err(|error| OpenError::NotThere(path.clone(), error))?;
        Ok(Self { path, file, folded: AtomicBool::new(false) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Fails if the path no longer leads to the file that was opened: reads would be stale, and writes would be lost.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let path = || self.path.clone();
        let file = fs::metadata(&self.path).map_err(|error| OpenError::Gone(path(), error))?;
        if Identity::of(&file) != self.file {
            return Err(OpenError::Replaced(path()).into());
        }
        if file.len() < SMALLEST {
            return Err(OpenError::Truncated(path()).into());
        }
        self.folded.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Returns true once if the file has left its path and its log has to be moved into it. The log stays at the path,
    /// where SQLite would apply it to the present file.
    pub(super) fn needs_fold(&self) -> bool {
        !matches!(Identity::at(&self.path), Ok(file) if file == self.file) && !self.folded.load(Ordering::Relaxed)
    }

    pub(super) fn set_folded(&self) {
        self.folded.store(true, Ordering::Relaxed);
    }

    /// Warns if other users may read the file, which holds password hashes and sealed secrets.
    #[cfg(unix)]
    pub(super) fn warn_of_readers(&self) {
        use std::os::unix::fs::PermissionsExt;
        let Ok(file) = fs::metadata(&self.path) else { return };
        let mode = file.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            tracing::warn!(
                file = %self.path.display(),
                mode = format!("{mode:03o}"),
                "other users of this machine may open the database, which holds password hashes and sealed secrets: chmod 600"
            );
        }
    }

    #[cfg(not(unix))]
    pub(super) fn warn_of_readers(&self) {}
}

/// Creates an empty file if there is none, with mode 0600 whatever the umask is. SQLite gives its `-wal` and `-shm` the
/// same mode.
fn create_if_missing(path: &Path) -> Result<(), OpenError> {
    /// Callers wait here without an open descriptor of the file, so closing one loses no locks.
    static CREATING: Mutex<()> = Mutex::new(());
    let _creating = CREATING.lock().unwrap_or_else(PoisonError::into_inner);
    if fs::symlink_metadata(path).is_ok() {
        return Ok(());
    }
    match create(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(creation_error(path, error)),
    }
}

/// Creates a file with mode 0600.
pub(super) fn create(path: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// Explains why a file cannot be created or written.
pub(super) fn creation_error(path: &Path, error: io::Error) -> OpenError {
    match find_problem(path) {
        Some(why) => why,
        None if error.kind() == ErrorKind::StorageFull => OpenError::Full(directory(path).to_owned(), error.into()),
        None => OpenError::Create(path.to_owned(), error),
    }
}

/// Returns the file system's reason why a file cannot be opened for writing.
pub(super) fn find_problem(path: &Path) -> Option<OpenError> {
    let (file, directory) = (path.to_owned(), directory(path).to_owned());
    match fs::metadata(&directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Some(OpenError::NoDirectory(directory)),
        Err(error) if error.kind() == ErrorKind::NotADirectory => return Some(OpenError::NotADirectory(directory)),
        Ok(found) if !found.is_dir() => return Some(OpenError::NotADirectory(directory)),
        _ => {}
    }
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Some(OpenError::Directory(file)),
        Ok(_) => {
            if access(path, Access::READ_OK).is_err() {
                return Some(OpenError::Unreadable(file));
            }
            match access(path, Access::WRITE_OK) {
                Err(rustix::io::Errno::ROFS) => return Some(OpenError::ReadOnlySystem(file)),
                Err(_) => return Some(OpenError::Unwritable(file)),
                Ok(()) => {}
            }
        }
        Err(_) => {}
    }
    // SQLite keeps two more files beside it.
    match access(&directory, Access::WRITE_OK | Access::EXEC_OK) {
        Err(rustix::io::Errno::ROFS) => Some(OpenError::ReadOnlySystem(directory)),
        Err(_) => Some(OpenError::UnwritableDirectory(directory)),
        Ok(()) => None,
    }
}

/// Returns the directory of an absolute path.
pub(super) fn directory(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

/// Returns the path of a file that SQLite keeps beside this one.
pub(super) fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
