//! Our tables, brought up to date. They have a record of migrations of their own, so that a host's may live in the same file.

use super::error::{asking, migrating};
use super::statements;
use crate::store::StoreError;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{SqlSafeStr, SqlitePool};

/// Forward only: a migration that was released is never changed.
const MIGRATIONS: [(i64, &str, &str); 1] = [(1, "tables", include_str!("migrations/sqlite/0001_tables.sql"))];

const NEWEST: i64 = MIGRATIONS[MIGRATIONS.len() - 1].0;

/// Runs what is missing, all or nothing. Who opens the file at the same time waits for that.
pub(super) async fn bring_up_to_date(writer: &SqlitePool) -> Result<(), StoreError> {
    let migration = |(version, name, sql): (i64, &'static str, &'static str)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    let mut migrator = Migrator::with_migrations(MIGRATIONS.map(migration).into());
    migrator.dangerous_set_table_name("keyward_migrations");
    let mut transaction = writer.begin_with(statements::BEGIN).await.map_err(asking)?;
    // Not `run`: the compiler cannot tell that its future may move between threads (sqlx has this one for the same reason).
    migrator.run_direct(None, &mut *transaction, false).await.map_err(|error| migrating(error, NEWEST))?;
    transaction.commit().await.map_err(asking)
}
