//! A store in PostgreSQL: one database for many nodes.

mod address;
mod clamp;
mod connection;
mod connections;
mod error;
#[path = "../events.rs"]
mod events;
mod host_pool;
#[path = "../keys.rs"]
mod keys;
mod listen;
mod log;
mod names;
#[path = "../notices.rs"]
mod notices;
mod opening;
mod options;
mod parameters;
mod probe;
#[cfg(feature = "strapi")]
pub(in crate::store) mod readonly;
#[path = "../recent.rs"]
mod recent;
#[path = "../rows.rs"]
mod rows;
mod schema;
#[path = "../selection.rs"]
mod selection;
#[cfg(any(test, feature = "testing"))]
#[path = "../test_queries.rs"]
mod test_queries;
#[path = "../transaction.rs"]
mod transaction;
#[path = "../view.rs"]
mod view;
mod within;

use super::lookup_pool::{ConnectionSlot, LookupPool};
use super::statements::postgres as statements;
use super::{MigrationFile, WAIT_TIMEOUT, corrupt, file_name, lists, migrator, no_epoch, unless_abandoned};
use crate::domain::{Clock, Digest, KeyCheck, OwnerId, PasswordHash, Timestamp, comparable};
use crate::store::host_transaction::HostConnection;
use crate::store::{
    Following, HostTransaction, RecentPosition, RecentTokens, Snapshot, Store, StoreError, Transaction, Use, View,
    WriteStore,
};
use async_trait::async_trait;
use connection::ManagedConnection;
use connections::{Connections, PoolKind};
use error::{OpenError, query_error};
use schema::Installation;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Execute, PgConnection, query, query_with};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use view::{Reading, Writing};

#[cfg(all(test, feature = "postgres", feature = "sqlite"))]
pub(super) use schema::MIGRATIONS;

pub use options::PostgresOptions;

/// Names that the files shared by both engines use.
use PostgresStore as EngineStore;
use sqlx::Postgres as Engine;
use sqlx::postgres::{PgArguments as Arguments, PgRow as Row};
use within::EngineTransaction;

/// How many tokens one statement looks up. Most of the server's time for one token is the start of the statement.
const BATCH: usize = 32;

/// The application name of our connections.
const NAME: &str = "keyward";

/// A store in a PostgreSQL database (13 or later), shared by any number of nodes. Clones share their connections.
///
/// A change by one node reaches the others within milliseconds as a rule, and within
/// [`Limits::max_staleness`](crate::guard::Limits::max_staleness) at the latest; otherwise they answer 503. The same
/// holds for changes with hand-written SQL, which triggers log.
///
/// The tables (`keyward_*`) are in one schema, chosen when the store connects:
///
/// 1. the schema of [`PostgresOptions::schema`], if it is set;
/// 2. else the schema of the session's `search_path` that has the tables;
/// 3. else, in a new database, the first schema of the `search_path` in which the role may create them.
///
/// From then on every statement and trigger names the schema, so no `search_path` leads a node or a hand-written change
/// to other tables.
///
/// An installation has an id, created with its tables. A node answers 503 if its tables are replaced by those of
/// another installation.
///
/// ```no_run
/// # async fn demo() -> Result<(), keyward::store::StoreError> {
/// use keyward::PostgresStore;
/// let store = PostgresStore::connect("postgres://keyward@db.example.test/keyward?sslmode=verify-full").await?;
/// # Ok(()) }
/// ```
///
/// # Encryption
///
/// With `sslmode=verify-full` every connection is encrypted, and the server must have a certificate for the host of the
/// address. The certificate's authority must be one of this machine or in the file `sslrootcert`, which adds to this
/// machine's authorities (libpq replaces them). `verify-ca` does not check the host name: any certificate of these
/// authorities is accepted. `require` encrypts without checking a certificate, also with `sslrootcert`. Without
/// `sslmode` it is `prefer`: encrypted if the server offers it, which an attacker in between can suppress.
///
/// # Poolers
///
/// Declare a pooler in transaction mode with [`PostgresOptions::transaction_pooler`]. A pooler in session mode needs no
/// setting.
///
/// # Failover
///
/// The address has one host: a name or a virtual address that leads to the present primary. Several hosts are rejected.
/// The name is resolved for each new connection.
///
/// The reader of the log notices when another server answers. Then all connections are replaced, and a node continues
/// without a restart, as a rule within a second after the address leads to the new primary. (While no server answers,
/// connections are replaced only when they turn out to be lost.) Until then cached tokens are admitted as long as the
/// lease lasts; after that, and for tokens that are not cached, the answer is 503, never 401. A replica in recovery is
/// not accepted as a primary: the store does not open there, and reading its log renews no lease.
///
/// The guarantees depend on replication:
///
/// - **Synchronous** replication with [`PostgresOptions::synchronous_heartbeat`]: the staleness bound holds through a
///   failover, and acknowledged changes survive. Only a replica that confirmed everything may take over (a quorum in
///   `synchronous_standby_names` that the failover respects), and waits for replicas must not be cancelled
///   (`pg_cancel_backend`). A former primary that still runs confirms nothing, so it renews no lease and acknowledges
///   no change. A change that was sent to it fails after some seconds with an unknown outcome; its tokens are answered
///   503 until the outcome is known.
/// - Synchronous replication *without* the heartbeat: acknowledged changes survive, but a node that still reaches the
///   former primary keeps deciding by its data.
/// - **Asynchronous** replication: changes that the replica had not received are lost, also acknowledged ones, and
///   revocations. No node can know of them, so there is no bound. Nodes that reach the new primary notice that its log
///   differs (it ends earlier, or has another change under the same number), and begin a new era: everything cached is
///   dropped, and they decide by the new primary's data. Restoring a backup has the same effect.
///
/// In no case do running changes survive a failover: they end with an error, within seconds.
#[derive(Clone)]
pub struct PostgresStore {
    connections: Arc<Connections>,
    installation: Arc<Installation>,
    pooler: bool,
    heartbeat: bool,
    /// A hint is scheduled, and will cover changes until it is sent.
    hinting: Arc<AtomicBool>,
    clock: Option<Arc<dyn Clock>>,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Returns the name of the schema that holds the tables, without quotes.
    #[must_use]
    pub fn schema(&self) -> &str {
        &self.installation.schema.name
    }

    /// Closes all connections after their running statements, for all clones. Nothing is lost without it.
    pub async fn close(&self) {
        self.connections.close().await;
    }

    /// Rows carry the id of their installation.
    #[expect(
        clippy::unnecessary_wraps,
        clippy::unused_self,
        reason = "the same signature as for SQLite, whose file may be replaced"
    )]
    fn check_location(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn begin_reading(&self) -> Result<EngineTransaction<'static>, StoreError> {
        let begin = statements::BEGIN_READING;
        ManagedConnection::begin(&self.connections, PoolKind::Readers, begin).await.map(EngineTransaction::Own)
    }

    async fn begin_writing(&self) -> Result<EngineTransaction<'static>, StoreError> {
        let begin = if self.heartbeat { statements::BEGIN_CONFIRMED } else { statements::BEGIN };
        ManagedConnection::begin(&self.connections, PoolKind::Writers, begin).await.map(EngineTransaction::Own)
    }

    async fn join<'t>(&self, host: &'t mut PgConnection) -> Result<EngineTransaction<'t>, StoreError> {
        EngineTransaction::join(self, host).await
    }

    /// Ends a part of a transaction of the host.
    async fn leave(&self, part: EngineTransaction<'_>) -> sqlx::Result<()> {
        part.commit().await
    }

    /// Looks tokens up by the parameter of one of the prepared statements.
    async fn look_up(&self, statement: &Arc<str>, parameter: &str) -> Result<Vec<Row>, StoreError> {
        let ask = || query(AssertSqlSafe(statement.clone())).bind(parameter);
        ManagedConnection::read(&self.connections, ask).await
    }

    /// Prepares a query: with the schema before each table, and as a persistent statement unless a pooler may change
    /// the session.
    fn prepared<'q>(
        &self,
        mut query: Query<'q, Engine, Arguments>,
    ) -> Result<Query<'q, Engine, Arguments>, StoreError> {
        let arguments = query.take_arguments().map_err(|error| query_error(sqlx::Error::Encode(error)))?;
        let text = self.installation.schema.qualify(query.sql().as_str());
        Ok(query_with(text, arguments.unwrap_or_default()).persistent(!self.connections.keeps_no_session()))
    }

    /// Rejects a row of another installation: a token that is missing there may exist in this one.
    fn check_row(&self, row: &Row) -> Result<(), StoreError> {
        match rows::get::<String>(row, "installation")? == self.installation.id {
            true => Ok(()),
            false => Err(OpenError::OtherInstallation.into()),
        }
    }

    /// Checks the installation before a statement that does not return its id.
    async fn check_installation(&self, connection: &mut ManagedConnection) -> Result<(), StoreError> {
        let query = self.prepared(query(statements::INSTALLATION))?;
        let abandoned = connection.wait_until_abandoned();
        let row = unless_abandoned(abandoned, query.fetch_optional(&mut **connection)).await.map_err(query_error)?;
        self.check_row(&row.ok_or_else(no_epoch)?)
    }

    /// Resolves when waiting for a response is given up.
    fn wait_until_abandoned(
        &self,
        connection: &EngineTransaction<'_>,
    ) -> impl Future<Output = sqlx::Error> + Send + use<> {
        connection.wait_until_abandoned()
    }

    fn set_busy(&self, connection: &mut EngineTransaction<'_>, busy: bool) {
        connection.set_busy(busy);
    }

    /// Returns the time at which this row of the epoch was read; rejects a row of another installation.
    fn time(&self, row: &Row) -> Result<Timestamp, StoreError> {
        self.check_row(row)?;
        match &self.clock {
            Some(clock) => Ok(clock.now()),
            None => rows::get(row, "now").map(Timestamp),
        }
    }

    /// Returns whether a change with an unknown commit outcome happened; `None` if that cannot be determined.
    ///
    /// The change locked the epoch's row. Getting that row now proves that it has ended. Committing after that proves
    /// that the replicas have confirmed the result, which a commit that was cut off while waiting for them does not.
    async fn happened(&self, seq: i64, op_id: &str) -> Option<bool> {
        let result = async {
            let mut connection = self.begin_writing().await.ok()?;
            connection.set_busy(true);
            let wait = self.prepared(query(statements::WAIT_FOR_WRITER)).ok()?;
            let query = self.prepared(query(statements::IS_CHANGE_COMMITTED).bind(seq).bind(op_id)).ok()?;
            let abandoned = connection.wait_until_abandoned();
            let result = async {
                let epoch = wait.fetch_one(&mut *connection).await?;
                Ok((epoch, query.fetch_one(&mut *connection).await?))
            };
            let (epoch, row) = unless_abandoned(abandoned, result).await.ok()?;
            self.check_row(&epoch).ok()?;
            connection.set_busy(false);
            let happened = rows::get::<i64>(&row, "happened").ok()? == 1;
            connection.commit().await.ok()?;
            Some(happened)
        };
        tokio::time::timeout(WAIT_TIMEOUT, result).await.ok().flatten()
    }

    /// Tells other nodes to read the log now. It is sent after the commit and separately: within the transaction it
    /// would queue all commits of the server behind one lock, and a full queue would fail them.
    fn hint(&self) {
        if self.pooler || self.hinting.swap(true, Ordering::AcqRel) {
            return;
        }
        let store = self.clone();
        tokio::spawn(async move {
            store.hinting.store(false, Ordering::Release);
            // It may fail: hints only save time.
            _ = tokio::time::timeout(WAIT_TIMEOUT, store.send_hint()).await;
        });
    }

    async fn send_hint(&self) -> Result<(), StoreError> {
        let send = || query(statements::SEND_HINT).bind(&self.installation.channel);
        if !self.connections.keeps_no_session() {
            return ManagedConnection::read(&self.connections, send).await.map(drop);
        }
        let begin = statements::BEGIN_LOOK_UP;
        let mut connection = ManagedConnection::begin(&self.connections, PoolKind::SharedLookups, begin).await?;
        connection.set_busy(true);
        send().persistent(false).execute(&mut *connection).await.map_err(query_error)?;
        connection.set_busy(false);
        connection.commit().await.map_err(query_error)
    }
}

/// Returns whether the row is of a token with ancestors, which the statement has left out.
fn has_parent(row: &Row) -> Result<bool, StoreError> {
    rows::get(row, "has_parent")
}

#[async_trait]
impl Store for PostgresStore {
    async fn resolve(&self, digest: &Digest) -> Result<Snapshot, StoreError> {
        let hex = digest.to_hex();
        let mut row =
            self.look_up(&self.installation.resolve.without_ancestors, &hex).await?.pop().ok_or_else(no_epoch)?;
        if has_parent(&row)? {
            row = self.look_up(&self.installation.resolve.with_ancestors, &hex).await?.pop().ok_or_else(no_epoch)?;
        }
        // The database's time during the query is not before the caller's request, so a remaining life is never
        // overstated.
        rows::snapshot(&row, self.time(&row)?)
    }

    async fn resolve_many(&self, digests: &[Digest]) -> Result<Vec<Result<Snapshot, StoreError>>, StoreError> {
        let list = lists::texts(&digests.iter().map(Digest::to_hex).collect::<Vec<_>>());
        let mut rows = self.look_up(&self.installation.resolve_many.without_ancestors, &list).await?;
        let parents = rows.iter().map(has_parent).collect::<Result<Vec<_>, _>>()?;
        if parents.contains(&true) {
            rows = self.look_up(&self.installation.resolve_many.with_ancestors, &list).await?;
        }
        rows::snapshots(&rows, digests.len(), |row| self.time(row))
    }

    fn batch_size(&self) -> usize {
        BATCH
    }

    fn following(&self) -> Following {
        Following::Log(Box::new(log::Log::new(self)))
    }

    async fn key_checks(&self) -> Result<Option<Vec<KeyCheck>>, StoreError> {
        self.view().await?.key_checks().await.map(Some)
    }

    async fn recent_tokens(&self, tokens: u32, position: Option<RecentPosition>) -> Result<RecentTokens, StoreError> {
        Reading::begin(self.clone()).await?.recent_tokens(tokens, position).await
    }

    async fn close(&self) {
        self.close().await;
    }

    async fn note_uses(&self, uses: &[Use]) -> Result<(), StoreError> {
        if uses.is_empty() {
            return Ok(());
        }
        let uses = lists::uses(uses);
        let mut connection =
            ManagedConnection::begin(&self.connections, PoolKind::Writers, statements::BEGIN_UNCONFIRMED).await?;
        connection.set_busy(true);
        self.check_installation(&mut connection).await?;
        for statement in [statements::NOTE_PREVIOUS_USES, statements::NOTE_USES] {
            let note = self.prepared(query(statement).bind(&uses))?;
            let abandoned = connection.wait_until_abandoned();
            unless_abandoned(abandoned, note.execute(&mut *connection)).await.map_err(query_error)?;
        }
        connection.set_busy(false);
        connection.commit().await.map_err(query_error)
    }
}

#[async_trait]
impl WriteStore for PostgresStore {
    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        match tokio::time::timeout(WAIT_TIMEOUT, Writing::begin(self.clone())).await {
            Ok(writing) => Ok(Box::new(writing?)),
            Err(_) => Err(StoreError::Busy),
        }
    }

    async fn begin_within<'t>(&'t self, host: HostTransaction<'t>) -> Result<Box<dyn Transaction + 't>, StoreError> {
        match host.0 {
            HostConnection::Postgres(host) => Ok(Box::new(Writing::join(self.clone(), host).await?)),
            #[cfg(feature = "sqlite")]
            HostConnection::Sqlite(_) => Err(StoreError::Invalid("the transaction is not one of PostgreSQL".into())),
        }
    }

    fn announce(&self) {
        // Hints are sent by a task. Without a runtime, other nodes read the log in their own time.
        if tokio::runtime::Handle::try_current().is_ok() {
            self.hint();
        }
    }

    async fn view(&self) -> Result<Box<dyn View>, StoreError> {
        match tokio::time::timeout(WAIT_TIMEOUT, Reading::begin(self.clone())).await {
            Ok(reading) => Ok(Box::new(reading?)),
            Err(_) => Err(StoreError::Busy),
        }
    }

    async fn sign_in_candidate(&self, email: &str) -> Result<Option<(OwnerId, PasswordHash)>, StoreError> {
        let key = comparable(email);
        let ask = || query(self.installation.schema.qualify(statements::SIGN_IN_CANDIDATE)).bind(&key);
        let row = ManagedConnection::read(&self.connections, ask).await?.pop().ok_or_else(no_epoch)?;
        self.check_row(&row)?;
        rows::candidate(&row)
    }
}
