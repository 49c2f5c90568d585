//! Stores in SQL databases.
//!
//! Each engine has its own connections, errors and schema. What is alike is written once: statements in one macro with a
//! dialect, and reading and writing in files that both engines include, each with its own driver's types. (Generics over the
//! driver would need a page of bounds for every function.)

#![allow(clippy::duplicate_mod, reason = "that is how both engines share a file")]

mod lists;
#[cfg(feature = "postgres")]
pub(super) mod postgres;
#[cfg(feature = "sqlite")]
pub(super) mod sqlite;
mod statements;

#[cfg(feature = "strapi")]
pub(super) use {
    lists::uses,
    statements::{postgres_words, sqlite_words},
};

use super::StoreError;
use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use std::fmt::Display;
use std::time::Duration;

/// How long anybody waits for a connection or for another writer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a statement says, unless it is given up first.
async fn or<T>(
    given_up: impl Future<Output = sqlx::Error>,
    statement: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    tokio::select! {
        biased;
        said = statement => said,
        error = given_up => Err(error),
    }
}

fn corrupt(column: &'static str, why: impl Display) -> StoreError {
    StoreError::Corrupt(format!("column {column}: {why}"))
}

fn no_epoch() -> StoreError {
    StoreError::Corrupt("keyward_epoch has no row".into())
}

/// Our migrations, with a record of their own, so that a host's may live in the same database.
///
/// Forward only: a migration that was released is never changed.
fn migrator(migrations: &[(i64, &'static str, &'static str)]) -> Migrator {
    let migration = |&(version, name, sql): &(i64, &'static str, &'static str)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    let mut migrator = Migrator::with_migrations(migrations.iter().map(migration).collect());
    migrator.dangerous_set_table_name("keyward_migrations");
    migrator
}
