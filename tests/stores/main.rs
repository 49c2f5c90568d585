//! The stores: their common contract, and what each engine adds to it: files, servers, replicas, and a database of Strapi.

#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]
#![allow(clippy::disallowed_methods, reason = "it waits for real processes")]

#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod accounts;
#[cfg(feature = "full")]
mod lifecycle_events;
#[cfg(feature = "postgres")]
mod node;
#[cfg(feature = "postgres")]
mod outage;
#[cfg(feature = "sqlite")]
mod own_store;
#[cfg(feature = "sqlite")]
mod own_users;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "postgres")]
mod postgres_ops;
#[cfg(feature = "sqlite")]
mod read_only;
#[cfg(feature = "postgres")]
mod rotation;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "sqlite")]
mod sqlite_host;
mod store_contract;
#[cfg(feature = "strapi")]
mod strapi;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod within;

/// Connects a store to a database of its own. `None` if this machine has no PostgreSQL.
#[cfg(feature = "postgres")]
async fn connect_store(options: keyward::store::PostgresOptions) -> Option<keyward::PostgresStore> {
    let url = keyward_test_support::postgres::create_database().await?;
    Some(keyward::PostgresStore::connect_with(&url, options).await.unwrap())
}
