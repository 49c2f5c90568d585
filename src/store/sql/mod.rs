//! Stores in SQL databases.
//!
//! Each engine has its own connections, errors and schema. Statements are written once, in a macro with a dialect. Code
//! that runs statements is in files that both engines include with `#[path]`, each with its own driver's types:
//! generics over the driver would need a page of bounds for every function.

#![allow(clippy::duplicate_mod, reason = "both engines include the same files")]

mod lists;
mod lookup_pool;
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

/// How long a caller waits for a connection or for another writer.
const WAIT_TIMEOUT: Duration = Duration::from_secs(5);

/// Returns the statement's result, unless the caller gives up waiting for it.
async fn unless_abandoned<T>(
    abandoned: impl Future<Output = sqlx::Error>,
    statement: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    tokio::select! {
        biased;
        result = statement => result,
        error = abandoned => Err(error),
    }
}

fn corrupt(column: &'static str, why: impl Display) -> StoreError {
    StoreError::Corrupt(format!("column {column}: {why}"))
}

fn no_epoch() -> StoreError {
    StoreError::Corrupt("keyward_epoch has no row".into())
}

/// A migration as an SQL file.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct MigrationFile {
    /// The file's name, such as `0001_tables.sql`. Names sort in the order of the migrations.
    pub name: String,
    /// The statements, which also record the migration in `keyward_migrations`.
    pub sql: &'static str,
}

impl MigrationFile {
    fn new(migration: &(i64, &'static str, &'static str)) -> Self {
        Self { name: file_name(migration), sql: migration.2 }
    }
}

/// Begins the part of a migration's file that records it. The program runs and records the part before by itself.
const RECORD: &str = "\n-- Records this migration.";

/// Returns the name of a migration's file.
fn file_name(&(version, name, _): &(i64, &'static str, &'static str)) -> String {
    format!("{version:04}_{name}.sql")
}

/// Returns our migrations, recorded in a table of their own, so that a host's migrations may use the same database.
///
/// Forward only: a released migration is never changed.
fn migrator(migrations: &[(i64, &'static str, &'static str)]) -> Migrator {
    let migration = |&(version, name, sql): &(i64, &'static str, &'static str)| {
        let sql = sql.split_once(RECORD).map_or(sql, |(sql, _)| sql);
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    let mut migrator = Migrator::with_migrations(migrations.iter().map(migration).collect());
    migrator.dangerous_set_table_name("keyward_migrations");
    migrator
}

#[cfg(all(test, feature = "postgres", feature = "sqlite"))]
mod tests {
    use super::*;

    #[test]
    fn each_migration_file_records_itself() {
        for migrations in [&postgres::MIGRATIONS[..], &sqlite::MIGRATIONS[..]] {
            for (file, run) in migrations.iter().zip(migrator(migrations).iter()) {
                let (version, name, sql) = file;
                let record = sql.split_once(RECORD).map_or("", |(_, record)| record);
                let (file, checksum) = (file_name(file), hex::encode(&*run.checksum));
                assert!(
                    record.contains(&format!("{version}, '{name}', TRUE")),
                    "{file} has no record, as the others have"
                );
                assert!(record.contains(&checksum), "{file}: the checksum of the part before is {checksum}");
            }
        }
    }
}
