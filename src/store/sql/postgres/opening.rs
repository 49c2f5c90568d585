//! Opening a store: by an address or in a pool of the host, and migrating the tables.

use super::address::{self, Address};
use super::connections::Connections;
use super::error::OpenError;
use super::host_pool::{HostPool, Share};
use super::{MigrationFile, PostgresOptions, PostgresStore, WAIT_TIMEOUT, probe, schema};
use crate::store::StoreError;
use sqlx::PgPool;
use std::sync::Arc;

impl PostgresStore {
    /// Connects to the database and migrates its tables. Waits up to 5 s for a server that is starting. See
    /// [`sqlx::postgres::PgConnectOptions`] for the parameters of an address.
    ///
    /// # Errors
    /// Returns [`StoreError::Unavailable`] if the address is invalid, unreachable, has an unknown parameter, or leads
    /// to a replica or an undeclared pooler; if encryption or the certificate is not as required; or if a newer version
    /// has written the tables. The error's source names the problem and the remedy.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::connect_with(url, PostgresOptions::default()).await
    }

    /// Connects with options.
    ///
    /// # Errors
    /// Like [`connect`](Self::connect).
    pub async fn connect_with(url: &str, options: PostgresOptions) -> Result<Self, StoreError> {
        let address = address::read(url, &options)?;
        let place = address.place.clone();
        let connections = connect(address, &options, None).await?;
        Self::open(connections, options, &place).await
    }

    /// Opens a store in a pool of the host, and migrates its tables.
    ///
    /// keyward takes at most half of the pool's connections at a time (three of a pool with four or five, which is the
    /// least), and at most as many as [`connect`](Self::connect) would open. It waits up to 5 s for one. Two
    /// connections are its own, opened with the pool's options: one reads the log of changes, one receives hints.
    ///
    /// No session keeps anything of keyward: its transactions set isolation, access, timeouts and the rest for
    /// themselves, with `SET LOCAL`, whatever the role, the database and the pool set. Statements name their schema. So
    /// `search_path`, time zone and the defaults of the session do not matter. The database has to be UTF8. The pool's
    /// hooks (`after_connect`) do not run on the two own connections. After a failover, connections to the former
    /// primary are closed when keyward meets them. [`close`](Self::close) leaves the pool open.
    ///
    /// ```no_run
    /// # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
    /// let pool = sqlx::PgPool::connect("postgres://app@db.example.test/app").await?;
    /// let store = keyward::PostgresStore::from_pool(pool.clone()).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Like [`connect`](Self::connect); also if the pool is closed or has fewer than four connections.
    pub async fn from_pool(pool: PgPool) -> Result<Self, StoreError> {
        Self::from_pool_with(pool, PostgresOptions::default()).await
    }

    /// Opens a store in a pool of the host, with options.
    ///
    /// # Errors
    /// Like [`from_pool`](Self::from_pool).
    pub async fn from_pool_with(pool: PgPool, options: PostgresOptions) -> Result<Self, StoreError> {
        let address = address::of_pool(&pool, &options);
        let place = address.place.clone();
        let share = Share::of(pool.options().get_max_connections(), options.connections);
        let share = share.map_err(|error| OpenError::with_address(&place, error.into()))?;
        let connections = connect(address, &options, Some(HostPool::new(pool, share))).await?;
        Self::open(connections, options, &place).await
    }

    /// Creates or migrates the tables, with a pool of a role that may. Nodes then need no right to `CREATE`.
    ///
    /// It does nothing if the tables are up to date. Of the options only
    /// [`schema`](PostgresOptions::schema) and [`transaction_pooler`](PostgresOptions::transaction_pooler) matter.
    ///
    /// ```no_run
    /// # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
    /// use keyward::PostgresStore;
    /// use keyward::store::PostgresOptions;
    /// let pool = sqlx::PgPool::connect("postgres://kw_migrate@db.example.test/app").await?;
    /// PostgresStore::migrate(&pool, &PostgresOptions::default().schema("keyward")).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Returns [`StoreError::Unavailable`] if a right is missing, or a newer version has written the tables. The source
    /// names the problem and the remedy.
    pub async fn migrate(pool: &PgPool, options: &PostgresOptions) -> Result<(), StoreError> {
        schema::open(pool, options.schema.as_deref(), options.pooler, true).await.map(drop)
    }

    /// Returns the migrations as SQL files, in order, for teams that run them with other tools.
    ///
    /// Run the missing ones in one transaction whose `search_path` is the schema and `pg_temp`, as the role that shall
    /// own the tables: `psql -1 -c 'SET search_path = keyward, pg_temp' -f 0001_tables.sql -f ..`. Each file records
    /// itself in `keyward_migrations`.
    #[must_use]
    pub fn migration_files() -> Vec<MigrationFile> {
        schema::MIGRATIONS.iter().map(MigrationFile::new).collect()
    }

    async fn open(connections: Arc<Connections>, options: PostgresOptions, place: &str) -> Result<Self, StoreError> {
        let PostgresOptions { pooler, heartbeat, clock, schema, migrates, .. } = options;
        let opened = schema::open(&connections.pools().writers, schema.as_deref(), pooler, migrates).await;
        let installation = Arc::new(opened.map_err(|error| OpenError::with_address(place, error))?);
        Ok(Self { connections, installation, pooler, heartbeat, hinting: Arc::default(), clock })
    }
}

/// Connects and checks the server.
pub(super) async fn connect(
    address: Address,
    options: &PostgresOptions,
    host: Option<HostPool>,
) -> Result<Arc<Connections>, StoreError> {
    let Address { options: address, place } = address;
    let connections = Arc::new(Connections::new(address, options.connections, options.pooler, host));
    let result = tokio::time::timeout(2 * WAIT_TIMEOUT, probe::check_server(&connections, options.pooler)).await;
    let result = result.unwrap_or_else(|_| Err(OpenError::Silent.into()));
    result.map_err(|error| OpenError::with_address(&place, error))?;
    Ok(connections)
}
