//! Migration of the tables.

use super::error::{migration_error, query_error, write_open_error};
use super::{keys, migrator, rows, statements};
use crate::store::StoreError;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{SqliteConnection, SqlitePool, query};
use std::path::Path;

const MIGRATIONS: [(i64, &str, &str); 6] = [
    (1, "tables", include_str!("../migrations/sqlite/0001_tables.sql")),
    (5, "lists", include_str!("../migrations/sqlite/0005_lists.sql")),
    (20, "names", include_str!("../migrations/sqlite/0020_names.sql")),
    (21, "rates", include_str!("../migrations/sqlite/0021_rates.sql")),
    (30, "keys", include_str!("../migrations/sqlite/0030_keys.sql")),
    (40, "name scopes", include_str!("../migrations/sqlite/0040_name_scopes.sql")),
];

const NEWEST: i64 = MIGRATIONS[MIGRATIONS.len() - 1].0;

/// Runs missing migrations, all or nothing. Processes that open the file at the same time wait. If none is missing,
/// nothing is written, so a node also starts on a full disk.
pub(super) async fn migrate(writer: &SqlitePool, path: &Path) -> Result<(), StoreError> {
    let open_error = |error| write_open_error(path, error);
    let mut connection = writer.acquire().await.map_err(open_error)?;
    if is_migrated(&mut connection, path).await? {
        return Ok(());
    }
    drop(connection);
    let mut transaction = writer.begin_with(statements::BEGIN).await.map_err(open_error)?;
    // Not `run`: the compiler cannot prove that its future is `Send` (sqlx has this method for the same reason).
    let run = migrator(&MIGRATIONS);
    run.run_direct(None, &mut *transaction, false).await.map_err(|error| migration_error(path, error, NEWEST))?;
    keys::fill(&mut transaction).await?;
    transaction.commit().await.map_err(open_error)
}

/// Returns true if no migration is missing.
async fn is_migrated(connection: &mut SqliteConnection, path: &Path) -> Result<bool, StoreError> {
    let open_error = |error| write_open_error(path, error);
    let there = query(statements::HAS_MIGRATIONS).fetch_one(&mut *connection).await.map_err(open_error)?;
    if rows::get::<i64>(&there, "n")? == 0 {
        return Ok(false);
    }
    let ours: Migrator = migrator(&MIGRATIONS);
    let mut known = ours.iter();
    for row in query(statements::APPLIED_MIGRATIONS).fetch_all(&mut *connection).await.map_err(open_error)? {
        let (version, checksum): (i64, Vec<u8>) = (rows::get(&row, "version")?, rows::get(&row, "checksum")?);
        if version > NEWEST {
            return Err(migration_error(path, MigrateError::VersionMissing(version), NEWEST));
        }
        if !known.next().is_some_and(|m| m.version == version && *m.checksum == *checksum) {
            return Ok(false);
        }
    }
    if known.next().is_some() {
        return Ok(false);
    }
    let missing = query(statements::COUNT_ROWS_WITHOUT_KEYS).fetch_one(connection).await.map_err(query_error)?;
    Ok(rows::get::<i64>(&missing, "n")? == 0)
}
