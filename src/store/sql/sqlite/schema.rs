//! Our tables, brought up to date.

use super::error::{asking, migrating};
use super::{keys, migrator, statements};
use crate::store::StoreError;
use sqlx::SqlitePool;

const MIGRATIONS: [(i64, &str, &str); 4] = [
    (1, "tables", include_str!("../migrations/sqlite/0001_tables.sql")),
    (5, "lists", include_str!("../migrations/sqlite/0005_lists.sql")),
    (20, "names", include_str!("../migrations/sqlite/0020_names.sql")),
    (21, "rates", include_str!("../migrations/sqlite/0021_rates.sql")),
];

const NEWEST: i64 = MIGRATIONS[MIGRATIONS.len() - 1].0;

/// Runs what is missing, all or nothing. Who opens the file at the same time waits for that.
pub(super) async fn bring_up_to_date(writer: &SqlitePool) -> Result<(), StoreError> {
    let mut transaction = writer.begin_with(statements::BEGIN).await.map_err(asking)?;
    // Not `run`: the compiler cannot tell that its future may move between threads (sqlx has this one for the same reason).
    let run = migrator(&MIGRATIONS);
    run.run_direct(None, &mut *transaction, false).await.map_err(|error| migrating(error, NEWEST))?;
    keys::fill(&mut transaction).await?;
    transaction.commit().await.map_err(asking)
}
