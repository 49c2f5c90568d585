//! The position of the queue and its dead letters, in files.

use keyward::admin::Cursor;
use serde_json::Value;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;

/// The files of a queue. Two senders must not share them.
#[derive(Debug)]
pub(crate) struct Files {
    cursor: PathBuf,
    dead_letters: PathBuf,
}

impl Files {
    pub(crate) fn new(cursor: impl Into<PathBuf>, dead_letters: impl Into<PathBuf>) -> Self {
        Self { cursor: cursor.into(), dead_letters: dead_letters.into() }
    }

    /// Returns the stored position; the start, if none was stored yet.
    pub(crate) fn cursor(&self) -> io::Result<Cursor> {
        match fs::read_to_string(&self.cursor) {
            Ok(text) => text.trim_end().parse().map_err(|error| io::Error::new(ErrorKind::InvalidData, error)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Cursor::start()),
            Err(error) => Err(error),
        }
    }

    /// Stores the position: after a crash the file has the old one or the new one.
    pub(crate) fn store_cursor(&self, cursor: Cursor) -> io::Result<()> {
        let new = self.cursor.with_extension("new");
        let mut file = File::create(&new)?;
        writeln!(file, "{cursor}")?;
        file.sync_all()?;
        fs::rename(new, &self.cursor)
    }

    /// Keeps a message that could not be delivered, as a line of JSON.
    pub(crate) fn add_dead_letter(&self, letter: &Value) -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.dead_letters)?;
        file.write_all(format!("{letter}\n").as_bytes())?;
        file.sync_all()
    }
}
