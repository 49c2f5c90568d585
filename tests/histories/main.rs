//! Laws over time: random histories of changes through the services, judged after each step by a model that knows nothing of
//! rules, ceilings and clamps: it asks what somebody may, action by action, field by field, row by row.

#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod actors;
mod life;
mod names;
mod race;

#[cfg(feature = "postgres")]
#[path = "../support/mod.rs"]
mod support;

use keyward::SqliteStore;
use keyward::store::SqliteOptions;
use keyward::testing::{ManualClock, World};
use std::sync::Arc;

/// A world in a database of its own; none where there is no PostgreSQL.
#[cfg(feature = "postgres")]
async fn in_postgres() -> Option<World<keyward::PostgresStore>> {
    let clock = Arc::new(ManualClock::default());
    let store = support::store_with(clock.clone()).await?;
    Some(World::on(store, clock, |b| b.store_is_exclusive()))
}

/// A world in a file, and the directory that it lives in.
async fn in_file() -> (tempfile::TempDir, World<SqliteStore>) {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    let options = SqliteOptions::default().clock(clock.clone());
    let store = SqliteStore::open_with(dir.path().join("keyward.db"), options).await.unwrap();
    (dir, World::on(store, clock, |b| b.store_is_exclusive()))
}
