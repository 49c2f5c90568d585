//! Detection of a write-ahead log of another database: a backup was copied over a database whose process had been
//! killed.
//!
//! SQLite would apply that log to the backup, and so undo the restore. Formats of the log and its index:
//! <https://sqlite.org/walformat.html>, <https://sqlite.org/fileformat2.html#walformat>.

use super::database_file::sibling;
use super::error::OpenError;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Rejects a database with the write-ahead log of another one.
///
/// SQLite writes the file only while it moves changes from the log, which the log's index (`-shm`) announces. So a file
/// that is newer than its log was copied there, unless changes were moved; then the file has the moved pages.
pub(super) fn refuse_foreign_log(path: &Path) -> Result<(), OpenError> {
    let log = sibling(path, "-wal");
    // The usual case ends here.
    if !is_newer(path, &log) {
        return Ok(());
    }
    // Unreadable files are left to SQLite.
    match is_foreign(path, &log) {
        Ok(true) if is_newer(path, &log) => Err(OpenError::ForeignLog { path: path.to_owned(), log }),
        _ => Ok(()),
    }
}

/// Returns true if the database was written after its log.
fn is_newer(path: &Path, log: &Path) -> bool {
    let changed = |path: &Path| fs::metadata(path).and_then(|file| file.modified()).ok();
    changed(path).zip(changed(log)).is_some_and(|(file, log)| file > log)
}

fn is_foreign(path: &Path, log: &Path) -> io::Result<bool> {
    let mut index = UnclosedFile::at(&sibling(path, "-shm"))?;
    let index = index.read::<136>(0)?;
    let mut log = UnclosedFile::at(log)?;
    let head = log.read::<32>(0)?;
    // The index is in the machine's byte order.
    let number = |at: usize| u32::from_ne_bytes([index[at], index[at + 1], index[at + 2], index[at + 3]]);
    let (frames, moved, about_to_be_moved) = (number(16), number(96), number(128));
    let (has_begun, is_of_log) = (index[12] == 1, index[32..40] == head[16..24]);
    if !has_begun || !is_of_log || frames == 0 || about_to_be_moved > moved {
        return Ok(false);
    }
    if moved == 0 {
        return Ok(true);
    }
    let page_size = u64::from(u32::from_be_bytes([head[8], head[9], head[10], head[11]]));
    Ok(!has_moved_pages(&mut UnclosedFile::at(path)?, &mut log, moved, page_size)?)
}

/// Returns true if the file has all moved pages: the latest version of each among the first frames of the log.
fn has_moved_pages(file: &mut UnclosedFile, log: &mut UnclosedFile, moved: u32, page_size: u64) -> io::Result<bool> {
    let (mut latest, mut pages) = (HashMap::new(), 0);
    for frame in 0..u64::from(moved) {
        let at = 32 + frame * (24 + page_size);
        let head = log.read::<8>(at)?;
        let page = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        latest.insert(page, at + 24);
        let pages_after = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        if pages_after > 0 {
            pages = pages_after;
        }
    }
    let length = usize::try_from(page_size).unwrap_or(usize::MAX).min(65536);
    let (mut in_file, mut in_log) = (vec![0; length], vec![0; length]);
    for (page, at) in latest.into_iter().filter(|(page, _)| *page <= pages) {
        log.fill(at, &mut in_log)?;
        // A file that is too short lacks the page.
        match file.fill(u64::from(page.saturating_sub(1)) * page_size, &mut in_file) {
            Ok(()) if in_file == in_log => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// A file that is never closed: this process may have it open elsewhere, and closing it would lose SQLite's locks.
struct UnclosedFile(std::mem::ManuallyDrop<File>);

impl UnclosedFile {
    fn at(path: &Path) -> io::Result<Self> {
        File::open(path).map(|file| Self(std::mem::ManuallyDrop::new(file)))
    }

    fn fill(&mut self, at: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.0.seek(SeekFrom::Start(at))?;
        self.0.read_exact(bytes)
    }

    fn read<const N: usize>(&mut self, at: u64) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(at, &mut bytes)?;
        Ok(bytes)
    }
}
