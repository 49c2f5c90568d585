//! `keyward backup` and `keyward restore`.

use crate::context::Context;
use crate::database::Database;
use crate::failure::Failure;
use clap::Args;
use keyward::SqliteStore;
use serde::Serialize;
use std::path::{Path, PathBuf};

const NO_FILE: &str = "--database: only SQLite files are copied: use pg_dump and pg_restore";

#[derive(Args)]
pub(crate) struct Backup {
    /// The new file.
    file: PathBuf,
}

#[derive(Args)]
pub(crate) struct Restore {
    /// The backup. Revocations since it was made are undone: repeat them.
    file: PathBuf,
}

/// The files of a copy.
#[derive(Serialize)]
struct CopyShape {
    from: String,
    to: String,
}

impl CopyShape {
    fn new(from: &Path, to: &Path) -> Self {
        Self { from: from.display().to_string(), to: to.display().to_string() }
    }
}

impl Backup {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let Database::File(file) = context.database()? else { return Err(Failure::usage(NO_FILE)) };
        if self.file.exists() {
            return Err(Failure::failed(format!("FILE: {} is there already: name a new file", self.file.display())));
        }
        SqliteStore::backup_file(&file, &self.file).await?;
        let lines = |shape: &CopyShape| format!("{} is a copy of {}", shape.to, shape.from);
        context.out.print(&CopyShape::new(&file, &self.file), lines, |_| None)
    }
}

impl Restore {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let Database::File(file) = context.database()? else { return Err(Failure::usage(NO_FILE)) };
        SqliteStore::restore(&self.file, &file).await?;
        let lines = |shape: &CopyShape| {
            let CopyShape { from, to } = shape;
            format!("{to} is restored from {from}; the earlier database is kept as {to}.before-restore")
        };
        context.out.print(&CopyShape::new(&self.file, &file), lines, |_| None)
    }
}
