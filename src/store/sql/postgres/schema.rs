//! Our tables, brought up to date.

use super::error::{asking, locking, migrating};
use super::{keys, migrator, rows, statements};
use crate::store::StoreError;
use sqlx::{PgConnection, PgPool, raw_sql};

const MIGRATIONS: [(i64, &str, &str); 2] = [
    (1, "tables", include_str!("../migrations/postgres/0001_tables.sql")),
    (20, "names", include_str!("../migrations/postgres/0020_names.sql")),
];

const NEWEST: i64 = MIGRATIONS[MIGRATIONS.len() - 1].0;

/// Runs what is missing, all or nothing. Nodes that start at the same time wait for one another, up to 30 s.
pub(super) async fn bring_up_to_date(pool: &PgPool, pooler: bool) -> Result<(), StoreError> {
    let mut transaction = pool.begin().await.map_err(asking)?;
    raw_sql(statements::LOCK_MIGRATIONS).execute(&mut *transaction).await.map_err(locking)?;
    if pooler && is_up_to_date(&mut transaction).await? {
        return transaction.rollback().await.map_err(asking);
    }
    let mut run = migrator(&MIGRATIONS);
    // Its lock would be the session's, which a pooler does not keep.
    run.set_locking(false);
    let ran = run.run_direct(None, &mut *transaction, false).await.map_err(|error| migrating(error, NEWEST));
    let ran = match ran {
        Ok(()) => keys::fill(&mut transaction).await,
        Err(error) => Err(error),
    };
    if pooler {
        // It names the statements that it prepares, and would leave them to whoever gets this session next.
        let end = if ran.is_ok() { "DEALLOCATE ALL" } else { "ROLLBACK; DEALLOCATE ALL" };
        raw_sql(end).execute(&mut *transaction).await.map_err(asking)?;
    }
    ran?;
    transaction.commit().await.map_err(asking)
}

/// Whether there is nothing to run.
async fn is_up_to_date(connection: &mut PgConnection) -> Result<bool, StoreError> {
    let migrated = raw_sql(statements::MIGRATED).fetch_one(&mut *connection).await.map_err(asking)?;
    if !rows::get::<bool>(&migrated, "migrated")? {
        return Ok(false);
    }
    let newest = raw_sql(statements::NEWEST_MIGRATION).fetch_one(connection).await.map_err(asking)?;
    Ok(rows::get::<Option<i64>>(&newest, "version")? == Some(NEWEST))
}
