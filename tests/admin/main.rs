//! Administration: services, the management API and the settings pages, on every store.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[cfg(feature = "full")]
mod api;
mod escalation;
#[cfg(feature = "full")]
mod explain;
#[cfg(feature = "sqlite")]
mod histories;
#[cfg(feature = "full")]
mod host_document;
mod leaks;
#[cfg(feature = "full")]
mod life;
#[cfg(feature = "full")]
mod lists;
#[cfg(feature = "full")]
mod metadata;
#[cfg(feature = "full")]
mod mounts;
#[cfg(feature = "full")]
mod notices;
#[cfg(feature = "full")]
mod openapi;
#[cfg(feature = "sqlite")]
mod people;
#[cfg(feature = "full")]
mod presented;
#[cfg(feature = "full")]
mod renames;
#[cfg(feature = "sqlite")]
mod services;
#[cfg(feature = "full")]
mod strapi_clients;
#[cfg(feature = "sqlite")]
mod tokens;
#[cfg(feature = "full")]
mod ui;

/// Connects a store with this clock to a database of its own. `None` if this machine has no PostgreSQL.
#[cfg(all(feature = "postgres", feature = "sqlite"))]
async fn connect_store_with(clock: std::sync::Arc<dyn keyward::time::Clock>) -> Option<keyward::PostgresStore> {
    let url = keyward_test_support::postgres::create_database().await?;
    let options = keyward::store::PostgresOptions::default().clock(clock);
    Some(keyward::PostgresStore::connect_with(&url, options).await.unwrap())
}
