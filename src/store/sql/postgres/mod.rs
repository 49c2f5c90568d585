//! A store in PostgreSQL: one database, many nodes.

mod clamp;
mod error;
#[path = "../events.rs"]
mod events;
mod held;
mod log;
#[path = "../rows.rs"]
mod rows;
mod schema;
#[path = "../transaction.rs"]
mod transaction;
#[path = "../view.rs"]
mod view;

use super::statements::postgres as statements;
use super::{PATIENCE, corrupt, lists, migrator, no_epoch};
use crate::domain::{AuditEvent, Clock, Digest, Timestamp, TokenId};
use crate::store::{Following, Snapshot, Store, StoreError, Transaction, Use, View, WriteStore};
use async_trait::async_trait;
use error::{OpenError, asking};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, PgPool, query, raw_sql};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use view::{Reading, Writing};

/// What the files that both engines include speak of.
use PostgresStore as Home;
use held::Held;
use sqlx::Postgres as Engine;
use sqlx::postgres::{PgArguments as Arguments, PgRow as Row};

/// How many connections change things. They follow one another anyway; more than one, so that the next one is ready.
const WRITERS: u32 = 4;

/// A store in a PostgreSQL database (14 or later), shared by any number of nodes. Clones share their connections.
///
/// What one node changes, every other node judges by within milliseconds as a rule, and within
/// [`Limits::max_staleness`](crate::Limits::max_staleness) at the latest, or it answers 503. So does what is changed with SQL by
/// hand: triggers log it.
///
/// The tables (`keyward_*`) are made where the address's `search_path` says, beside those of the host if you like.
///
/// ```no_run
/// # async fn demo() -> Result<(), keyward::StoreError> {
/// use keyward::PostgresStore;
/// let store = PostgresStore::connect("postgres://keyward@db.example.test/keyward?sslmode=verify-full").await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct PostgresStore {
    pool: PgPool,
    writers: PgPool,
    /// The one connection on which hints come.
    listeners: PgPool,
    /// How a connection of one's own is made.
    address: PgConnectOptions,
    pooler: bool,
    heartbeat: bool,
    /// A hint is on its way, and will do for what happens meanwhile.
    hinting: Arc<AtomicBool>,
    clock: Option<Arc<dyn Clock>>,
}

/// How a [`PostgresStore`] is connected.
///
/// ```
/// let options = keyward::PostgresOptions::default().connections(16);
/// ```
#[derive(Clone)]
pub struct PostgresOptions {
    connections: u32,
    pooler: bool,
    heartbeat: bool,
    clock: Option<Arc<dyn Clock>>,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("PostgresOptions");
        shown.field("connections", &self.connections).field("transaction_pooler", &self.pooler);
        shown.field("synchronous_heartbeat", &self.heartbeat).finish_non_exhaustive()
    }
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self { connections: 8, pooler: false, heartbeat: false, clock: None }
    }
}

impl PostgresOptions {
    /// How many connections read, at most; at least one. Default 8. Besides, up to 4 write, one reads the log of changes, and one
    /// waits for hints.
    #[must_use]
    pub fn connections(mut self, connections: u32) -> Self {
        self.connections = connections.max(1);
        self
    }

    /// The address is that of a pooler that gives each transaction any connection, such as PgBouncer with
    /// `pool_mode = transaction`. No statement is prepared then for longer than its transaction, and there are no hints:
    /// changes of other nodes are seen every [`Limits::poll_every`](crate::Limits::poll_every).
    #[must_use]
    pub fn transaction_pooler(mut self) -> Self {
        self.pooler = true;
        self
    }

    /// Each reading of the log of changes first commits something, which synchronous replicas have to confirm. With failover this is
    /// what keeps the promise: an old primary that does not know yet that it is none any more cannot confirm its own. It needs
    /// `synchronous_standby_names` with a quorum that the failover respects; with asynchronous replicas it proves nothing.
    #[must_use]
    pub fn synchronous_heartbeat(mut self) -> Self {
        self.heartbeat = true;
        self
    }

    /// Where all times come from, for tests. Default: the database, so that nodes whose clocks differ agree.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }
}

impl PostgresStore {
    /// Connects to the database, and brings our tables up to date. Which address parameters there are, for TLS above all
    /// (`sslmode=verify-full`, `sslrootcert`), is said at [`sqlx::postgres::PgConnectOptions`]; without `sslmode` the
    /// connection is encrypted only if the server offers it, and nobody checks who the server is.
    ///
    /// # Errors
    /// If the address cannot be read or reached, is that of a replica, or a newer version has written the tables.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::connect_with(url, PostgresOptions::default()).await
    }

    /// The same with options.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_with(url: &str, options: PostgresOptions) -> Result<Self, StoreError> {
        if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
            return Err(OpenError::Scheme.into());
        }
        let mut address: PgConnectOptions = url.parse().map_err(OpenError::Url)?;
        address = address.application_name("keyward").disable_statement_logging();
        if options.pooler {
            address = address.statement_cache_capacity(0);
        }
        let pool = |size: u32| PgPoolOptions::new().acquire_timeout(PATIENCE).max_connections(size);
        let mut readers = pool(options.connections);
        if !options.pooler {
            readers = readers.after_connect(|connection, _| {
                Box::pin(async { raw_sql(statements::NEVER_COMPILE).execute(connection).await.map(drop) })
            });
        }
        let store = Self {
            pool: readers.connect_lazy_with(address.clone()),
            writers: pool(WRITERS).connect_lazy_with(address.clone()),
            listeners: pool(1).connect_lazy_with(address.clone()),
            address,
            pooler: options.pooler,
            heartbeat: options.heartbeat,
            hinting: Arc::default(),
            clock: options.clock,
        };
        schema::bring_up_to_date(&store.writers).await?;
        Ok(store)
    }

    /// Closes all connections, after what they are at, for all clones. Nothing is lost without it.
    pub async fn close(&self) {
        self.pool.close().await;
        self.writers.close().await;
        self.listeners.close().await;
    }

    /// The audit events so far, oldest first.
    ///
    /// # Errors
    /// If they cannot be read.
    pub async fn audit_events(&self) -> Result<Vec<AuditEvent>, StoreError> {
        let rows = query(statements::AUDIT_EVENTS).fetch_all(&self.pool).await.map_err(asking)?;
        rows.iter().map(rows::audit_event).collect()
    }

    /// When a token was last used, and from where, as far as that was written.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn last_use(&self, id: TokenId) -> Result<Option<(Timestamp, Option<IpAddr>)>, StoreError> {
        let row = query(statements::LAST_USE).bind(id.0).fetch_optional(&self.pool).await.map_err(asking)?;
        row.as_ref().map(rows::last_use).transpose()
    }

    async fn begin_reading(&self) -> Result<Held, StoreError> {
        Held::begin(&self.pool, statements::BEGIN_READING).await
    }

    async fn begin_writing(&self) -> Result<Held, StoreError> {
        Held::begin(&self.writers, statements::BEGIN).await
    }

    fn set_busy(&self, held: &mut Held, busy: bool) {
        held.set_busy(busy);
    }

    fn time(&self, row: &Row) -> Result<Timestamp, StoreError> {
        match &self.clock {
            Some(clock) => Ok(clock.now()),
            None => rows::get(row, "now").map(Timestamp),
        }
    }

    /// Whether a change happened of which the COMMIT did not say; `None` if nobody can tell.
    ///
    /// It had the epoch's row. Whoever gets that row now knows that it has ended, one way or the other.
    async fn happened(&self, seq: i64, op_id: &str) -> Option<bool> {
        let looked = async {
            let mut held = Held::begin(&self.writers, statements::BEGIN).await.ok()?;
            held.set_busy(true);
            query(statements::AFTER_WRITERS).execute(&mut *held).await.ok()?;
            let row = query(statements::CHANGE_HAPPENED).bind(seq).bind(op_id).fetch_one(&mut *held).await.ok()?;
            held.set_busy(false);
            rows::get::<i64>(&row, "happened").ok().map(|n| n == 1)
        };
        tokio::time::timeout(PATIENCE, looked).await.ok().flatten()
    }

    /// Tells other nodes to look now. After the commit and apart from it: in the transaction it would queue all commits of the
    /// server behind one lock, and a full queue would fail them.
    fn hint(&self) {
        if self.pooler || self.hinting.swap(true, Ordering::AcqRel) {
            return;
        }
        let store = self.clone();
        tokio::spawn(async move {
            store.hinting.store(false, Ordering::Release);
            // It may fail: nobody relies on it.
            let told = Held::read(&store.pool, false, || query(statements::HINT));
            _ = tokio::time::timeout(PATIENCE, told).await;
        });
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn resolve(&self, digest: &Digest) -> Result<Snapshot, StoreError> {
        let hex = digest.to_hex();
        let row = Held::read(&self.pool, self.pooler, || query(statements::RESOLVE).bind(&hex)).await?;
        let row = row.ok_or_else(no_epoch)?;
        // The database's time while it ran, which is not before the caller asked: what is left is never overstated.
        rows::snapshot(&row, self.time(&row)?)
    }

    fn following(&self) -> Following {
        Following::Log(Box::new(log::Log::new(self)))
    }

    async fn note_uses(&self, uses: &[Use]) -> Result<(), StoreError> {
        if uses.is_empty() {
            return Ok(());
        }
        let uses = lists::uses(uses);
        let mut held = Held::begin(&self.writers, "BEGIN; SET LOCAL lock_timeout = '5s'").await?;
        held.set_busy(true);
        query(statements::NOTE_USES).bind(uses).execute(&mut *held).await.map_err(asking)?;
        held.commit().await.map_err(asking)
    }
}

#[async_trait]
impl WriteStore for PostgresStore {
    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        match tokio::time::timeout(PATIENCE, Writing::begin(self.clone())).await {
            Ok(writing) => Ok(Box::new(writing?)),
            Err(_) => Err(StoreError::Busy),
        }
    }

    async fn view(&self) -> Result<Box<dyn View>, StoreError> {
        match tokio::time::timeout(PATIENCE, Reading::begin(self.clone())).await {
            Ok(reading) => Ok(Box::new(reading?)),
            Err(_) => Err(StoreError::Busy),
        }
    }
}
