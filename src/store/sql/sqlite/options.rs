//! Options of an SQLite store.

use crate::domain::{Clock, SystemClock};
use std::fmt;
use std::sync::Arc;

/// Options of an [`SqliteStore`](super::SqliteStore).
///
/// ```
/// let options = keyward::store::SqliteOptions::default().readers(8);
/// ```
#[derive(Clone)]
pub struct SqliteOptions {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) readers: u32,
    pub(super) migrates: bool,
}

impl fmt::Debug for SqliteOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteOptions")
            .field("readers", &self.readers)
            .field("migrates", &self.migrates)
            .finish_non_exhaustive()
    }
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock), readers: 4, migrates: true }
    }
}

impl SqliteOptions {
    /// Sets the source of all times. Default [`SystemClock`]; SQLite's own time is never used.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets the maximum number of connections for look-ups, and of others that read lists and everything else; at least
    /// one of each. Default 4. Each has a thread of its own.
    #[must_use]
    pub fn readers(mut self, readers: u32) -> Self {
        self.readers = readers.max(1);
        self
    }

    /// Leaves the tables as they are when the store opens. If they lack a migration, opening fails and names it.
    #[must_use]
    pub fn without_migrations(mut self) -> Self {
        self.migrates = false;
        self
    }
}
