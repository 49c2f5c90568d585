//! Migration of the tables.

use super::error::{OpenError, migration_error, query_error, write_open_error};
use super::{WAIT_TIMEOUT, file_name, keys, migrator, rows, statements};
use crate::store::StoreError;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{SqliteConnection, SqlitePool, query};
use std::collections::HashMap;
use std::path::Path;

pub(in crate::store::sql) const MIGRATIONS: [(i64, &str, &str); 11] = [
    (1, "tables", include_str!("../migrations/sqlite/0001_tables.sql")),
    (5, "lists", include_str!("../migrations/sqlite/0005_lists.sql")),
    (20, "names", include_str!("../migrations/sqlite/0020_names.sql")),
    (21, "rates", include_str!("../migrations/sqlite/0021_rates.sql")),
    (30, "keys", include_str!("../migrations/sqlite/0030_keys.sql")),
    (40, "name_scopes", include_str!("../migrations/sqlite/0040_name_scopes.sql")),
    (50, "accounts", include_str!("../migrations/sqlite/0050_accounts.sql")),
    (60, "metadata", include_str!("../migrations/sqlite/0060_metadata.sql")),
    (70, "tools", include_str!("../migrations/sqlite/0070_tools.sql")),
    (80, "life", include_str!("../migrations/sqlite/0080_life.sql")),
    (90, "notices", include_str!("../migrations/sqlite/0090_notices.sql")),
];

const NEWEST: i64 = MIGRATIONS[MIGRATIONS.len() - 1].0;

/// Runs missing migrations, all or nothing; fails if some are missing and `migrates` is false. Processes that open the
/// file at the same time wait. If none is missing, nothing is written, so a node also starts on a full disk.
pub(super) async fn migrate(writer: &SqlitePool, path: &Path, migrates: bool) -> Result<(), StoreError> {
    let open_error = |error| write_open_error(path, error);
    let looking = async {
        let mut connection = writer.acquire().await.map_err(open_error)?;
        missing(&mut connection, path).await
    };
    let missing = tokio::time::timeout(4 * WAIT_TIMEOUT, looking).await.unwrap_or(Err(StoreError::Busy))?;
    if missing.is_empty() {
        return Ok(());
    }
    if !migrates {
        return Err(OpenError::Outdated { path: path.to_owned(), missing: missing.join(", ") }.into());
    }
    let mut transaction = writer.begin_with(statements::BEGIN).await.map_err(open_error)?;
    // Not `run`: the compiler cannot prove that its future is `Send` (sqlx has this method for the same reason).
    let run = migrator(&MIGRATIONS);
    run.run_direct(None, &mut *transaction, false).await.map_err(|error| migration_error(path, error, NEWEST))?;
    keys::fill(&mut transaction).await?;
    transaction.commit().await.map_err(open_error)?;
    // A migration may have written every row: else the first writer copies them into the file. If a reader is in the way,
    // that writer still does.
    _ = query(statements::CHECKPOINT).execute(writer).await;
    Ok(())
}

/// Returns what the tables lack, by the names of the migrations. Fails if they have a migration of a newer release.
async fn missing(connection: &mut SqliteConnection, path: &Path) -> Result<Vec<String>, StoreError> {
    let open_error = |error| write_open_error(path, error);
    let there = query(statements::HAS_MIGRATIONS).fetch_one(&mut *connection).await.map_err(open_error)?;
    if rows::get::<i64>(&there, "n")? == 0 {
        return Ok(MIGRATIONS.iter().map(file_name).collect());
    }
    let mut applied = HashMap::new();
    for row in query(statements::APPLIED_MIGRATIONS).fetch_all(&mut *connection).await.map_err(open_error)? {
        let (version, checksum): (i64, Vec<u8>) = (rows::get(&row, "version")?, rows::get(&row, "checksum")?);
        if version > NEWEST {
            return Err(migration_error(path, MigrateError::VersionMissing(version), NEWEST));
        }
        applied.insert(version, checksum);
    }
    let ours: Migrator = migrator(&MIGRATIONS);
    let missing = ours.iter().filter(|m| applied.get(&m.version).is_none_or(|checksum| **checksum != *m.checksum));
    let versions: Vec<i64> = missing.map(|m| m.version).collect();
    let mut missing: Vec<String> = MIGRATIONS.iter().filter(|m| versions.contains(&m.0)).map(file_name).collect();
    if missing.is_empty() {
        let keys = query(statements::COUNT_ROWS_WITHOUT_KEYS).fetch_one(connection).await.map_err(query_error)?;
        if rows::get::<i64>(&keys, "n")? > 0 {
            missing.push("the comparison keys of names".to_owned());
        }
    }
    Ok(missing)
}
