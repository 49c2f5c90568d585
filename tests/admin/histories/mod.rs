//! Random histories of changes through the services, checked after each step by a model that uses no effective permissions, ceilings or
//! clamps: it evaluates each action, field and row.

mod actors;
#[cfg(feature = "full")]
mod life;
mod lifecycle;
mod names;
mod race;

use keyward::SqliteStore;
use keyward::store::SqliteOptions;
use keyward::testing::{ManualClock, World};
use std::sync::Arc;

/// Returns a world in its own database; `None` if this machine has no PostgreSQL.
#[cfg(feature = "postgres")]
async fn in_postgres() -> Option<World<keyward::PostgresStore>> {
    let clock = Arc::new(ManualClock::default());
    let store = crate::connect_store_with(clock.clone()).await?;
    Some(World::on(store, clock, |b| b.store_is_exclusive()))
}

/// Returns a world in a file, and the directory of the file.
async fn in_file() -> (tempfile::TempDir, World<SqliteStore>) {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    let options = SqliteOptions::default().clock(clock.clone());
    let store = SqliteStore::open_with(dir.path().join("keyward.db"), options).await.unwrap();
    (dir, World::on(store, clock, |b| b.store_is_exclusive()))
}
