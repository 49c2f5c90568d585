//! Options of a PostgreSQL store.

use crate::domain::Clock;
use std::fmt;
use std::sync::Arc;

/// Options of a [`PostgresStore`](super::PostgresStore).
///
/// ```
/// let options = keyward::store::PostgresOptions::default().connections(16);
/// ```
///
/// Timeouts are fixed. A look-up gives up after [`Limits::lookup`](crate::guard::Limits::lookup), including the wait
/// for a connection, and the answer is 503. The services give up after 5 s. The server ends a look-up or a read of the
/// log after 2 s, an idle view after 30 s, a writer that waits for another after 5 s, and an idle writer's transaction
/// after 4 s. So a node that crashes leaves nothing behind that others wait for.
///
/// One statement of a change may take 120 s, here and on the server, whatever the role's `statement_timeout` is. A
/// longer one fails and changes nothing. The longest removes grants from the tokens of a role: half a minute for a
/// million tokens.
#[derive(Clone)]
pub struct PostgresOptions {
    pub(super) connections: u32,
    pub(super) pooler: bool,
    pub(super) heartbeat: bool,
    pub(super) clock: Option<Arc<dyn Clock>>,
    pub(super) schema: Option<String>,
    pub(super) migrates: bool,
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("PostgresOptions");
        debug.field("connections", &self.connections).field("transaction_pooler", &self.pooler);
        debug.field("schema", &self.schema).field("synchronous_heartbeat", &self.heartbeat);
        debug.field("migrates", &self.migrates).finish_non_exhaustive()
    }
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self { connections: 8, pooler: false, heartbeat: false, clock: None, schema: None, migrates: true }
    }
}

impl PostgresOptions {
    /// Sets the maximum number of connections for look-ups, at least one. Default 8.
    ///
    /// Half as many others read lists and everything else, so that no list delays a look-up. Up to 4 write, one reads
    /// the log of changes, and one receives hints. Two check the server for a moment at the start and when the reader
    /// of the log reconnects. With the default a node uses up to 20 of the server's `max_connections`.
    ///
    /// Of a pool of the host it is an upper bound: see [`from_pool`](super::PostgresStore::from_pool).
    #[must_use]
    pub fn connections(mut self, connections: u32) -> Self {
        self.connections = connections.max(1);
        self
    }

    /// Declares that the address leads to a pooler in transaction mode, such as PgBouncer with `pool_mode =
    /// transaction`.
    ///
    /// Then no statement stays prepared beyond its transaction, and there are no hints: nodes see changes of other
    /// nodes every [`Limits::poll_every`](crate::guard::Limits::poll_every). The staleness bound and the recovery after
    /// a restart of the pooler are as without.
    ///
    /// Without this setting, one connection could run a statement that another one prepared. So an address that leads
    /// to such a pooler is rejected when the store connects. If it leads to one only later, the next new connection of
    /// the log's reader detects that; then the store is not used any more, and nodes answer 503 when their lease is
    /// over. `pool_mode = session` needs no setting; with `statement` nothing works.
    #[must_use]
    pub fn transaction_pooler(mut self) -> Self {
        self.pooler = true;
        self
    }

    /// Makes each read of the log first commit a heartbeat that synchronous replicas have to confirm.
    ///
    /// This keeps the staleness bound through a failover: a former primary that does not know of the failover cannot
    /// confirm its heartbeats, so its nodes answer 503 when their lease is over. See
    /// [`PostgresStore`](super::PostgresStore#failover).
    ///
    /// It needs `synchronous_standby_names` with a quorum that the failover respects: only a replica that confirmed may
    /// take over. If that setting is empty (some tools empty it while the last replica is gone, and then let none take
    /// over), heartbeats prove nothing; a warning is logged.
    ///
    /// On a server that may be a former primary, a wait for replicas must not be cancelled (`pg_cancel_backend`):
    /// PostgreSQL then reports an unconfirmed commit as a success, with a warning. Ending a session
    /// (`pg_terminate_backend`) is harmless. `synchronous_commit` is `on` for heartbeats and changes if the role's
    /// setting is `off` or `local`.
    #[must_use]
    pub fn synchronous_heartbeat(mut self) -> Self {
        self.heartbeat = true;
        self
    }

    /// Sets the schema that holds the tables, by its exact name without quotes. It is created if it is missing and the
    /// role may create it.
    ///
    /// Without this setting the store uses the schema of the `search_path` that has tables of keyward, and refuses to
    /// start if several have. In a new database it creates them in the first schema where it may.
    ///
    /// ```
    /// let options = keyward::store::PostgresOptions::default().schema("keyward");
    /// ```
    #[must_use]
    pub fn schema(mut self, name: impl Into<String>) -> Self {
        self.schema = Some(name.into());
        self
    }

    /// Leaves the tables as they are when the store opens. If they lack a migration, opening fails and names it.
    ///
    /// For nodes whose role may not change tables. Run [`PostgresStore::migrate`](super::PostgresStore::migrate) or the
    /// files of [`migration_files`](super::PostgresStore::migration_files) before, with another role.
    #[must_use]
    pub fn without_migrations(mut self) -> Self {
        self.migrates = false;
        self
    }

    /// Sets the source of all times, for tests. Default: the database, so that nodes with different clocks agree.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }
}
