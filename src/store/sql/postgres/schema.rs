//! Our tables, brought up to date.

use super::error::{OpenError, asking, migrating};
use super::{migrator, rows, statements};
use crate::store::StoreError;
use sqlx::{PgPool, query};

const MIGRATIONS: [(i64, &str, &str); 1] = [(1, "tables", include_str!("../migrations/postgres/0001_tables.sql"))];

const NEWEST: i64 = MIGRATIONS[MIGRATIONS.len() - 1].0;

/// Runs what is missing, all or nothing. Nodes that start at the same time wait for one another.
pub(super) async fn bring_up_to_date(pool: &PgPool) -> Result<(), StoreError> {
    let mut transaction = pool.begin().await.map_err(asking)?;
    // What is there already is no news.
    query("SET LOCAL client_min_messages = warning").execute(&mut *transaction).await.map_err(asking)?;
    let replica = query("SELECT pg_is_in_recovery() AS replica").fetch_one(&mut *transaction).await.map_err(asking)?;
    if rows::get::<bool>(&replica, "replica")? {
        return Err(OpenError::Replica.into());
    }
    query(statements::LOCK_MIGRATIONS).execute(&mut *transaction).await.map_err(asking)?;
    let mut run = migrator(&MIGRATIONS);
    // Its lock would be the session's, which a pooler does not keep.
    run.set_locking(false);
    run.run_direct(None, &mut *transaction, false).await.map_err(|error| migrating(error, NEWEST))?;
    transaction.commit().await.map_err(asking)
}
