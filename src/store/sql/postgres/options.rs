//! How a store is connected.

use crate::domain::Clock;
use std::fmt;
use std::sync::Arc;

/// How a [`PostgresStore`](super::PostgresStore) is connected.
///
/// ```
/// let options = keyward::store::PostgresOptions::default().connections(16);
/// ```
///
/// How long somebody waits is not said here. A look-up gives up after [`Limits::lookup`](crate::guard::Limits::lookup), which includes the
/// wait for a connection, and the answer is 503; the services give up after 5 s. On the server a look-up or a reading of the log ends
/// after 2 s, a view that fell silent after 30 s, a writer that waits for another after 5 s, and a writer that fell silent loses
/// its transaction after 4 s: whatever becomes of a node, it leaves nothing behind that others wait for.
///
/// One statement of a change may take 120 s, here and on the server, whatever the role's `statement_timeout` is; what takes longer fails
/// and changes nothing. The longest is the one that takes away what the tokens of a role may no longer have: half a minute for a million
/// tokens.
#[derive(Clone)]
pub struct PostgresOptions {
    pub(super) connections: u32,
    pub(super) pooler: bool,
    pub(super) heartbeat: bool,
    pub(super) clock: Option<Arc<dyn Clock>>,
    pub(super) schema: Option<String>,
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("PostgresOptions");
        shown.field("connections", &self.connections).field("transaction_pooler", &self.pooler);
        shown.field("schema", &self.schema).field("synchronous_heartbeat", &self.heartbeat).finish_non_exhaustive()
    }
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self { connections: 8, pooler: false, heartbeat: false, clock: None, schema: None }
    }
}

impl PostgresOptions {
    /// How many connections look tokens up, at most; at least one. Default 8. Half as many others read lists and everything else, so
    /// that no list keeps a look-up waiting. Besides, up to 4 write, one reads the log of changes, and one
    /// waits for hints; and two look who answers, for a moment, at the start and when the reader of the log has to connect anew. With
    /// the default a node has up to 20 connections of the server's `max_connections`.
    #[must_use]
    pub fn connections(mut self, connections: u32) -> Self {
        self.connections = connections.max(1);
        self
    }

    /// The address is that of a pooler that gives each transaction any connection, such as PgBouncer with
    /// `pool_mode = transaction`. No statement is prepared then for longer than its transaction, and there are no hints:
    /// changes of other nodes are seen every [`Limits::poll_every`](crate::guard::Limits::poll_every). All else is as without: the bound, and
    /// that nodes go on by themselves when the pooler was restarted.
    ///
    /// Behind such a pooler without this, one connection could run what another one prepared. So an address that leads to one is
    /// refused when the store is connected. If it leads to one only later, that is noticed when the log of changes is next read on
    /// a new connection; from then on the store is not asked, and nodes answer 503 when their lease is over. With
    /// `pool_mode = session` this is not needed; with `statement` nothing works.
    #[must_use]
    pub fn transaction_pooler(mut self) -> Self {
        self.pooler = true;
        self
    }

    /// Each reading of the log of changes first commits something, which synchronous replicas have to confirm. With failover this is
    /// what keeps the promise: an old primary that does not know yet that it is none any more cannot confirm its own, so its nodes
    /// answer 503 when their lease is over. See [`PostgresStore`](super::PostgresStore#failover).
    ///
    /// It needs `synchronous_standby_names` with a quorum that the failover respects: only a replica that confirmed may take over.
    /// Where that setting is empty (some tools empty it while the last replica is gone, and then let none take over) nobody has to
    /// confirm, and nothing is proven; a warning says so. And nobody may cancel a wait for replicas (`pg_cancel_backend`) on a server
    /// that may be an old primary: PostgreSQL then ends the wait with a warning of its own, and reports a commit that nobody has
    /// confirmed as a success. To end a session (`pg_terminate_backend`) does no harm. `synchronous_commit` is `on` for heartbeats and changes, if the role's
    /// setting is `off` or `local`.
    #[must_use]
    pub fn synchronous_heartbeat(mut self) -> Self {
        self.heartbeat = true;
        self
    }

    /// The schema that holds the tables, as it is called (no quotes; case counts). It is created if it is not there and the role may
    /// create it.
    ///
    /// Without this the store is opened in the schema of the `search_path` that has tables of keyward, and refuses to start if several
    /// have. In a new database it makes them in the first one where it may.
    ///
    /// ```
    /// let options = keyward::store::PostgresOptions::default().schema("keyward");
    /// ```
    #[must_use]
    pub fn schema(mut self, name: impl Into<String>) -> Self {
        self.schema = Some(name.into());
        self
    }

    /// Where all times come from, for tests. Default: the database, so that nodes whose clocks differ agree.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }
}
