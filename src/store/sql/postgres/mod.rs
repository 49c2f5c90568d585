//! A store in PostgreSQL: one database, many nodes.

mod address;
mod clamp;
mod connection;
mod connections;
mod error;
#[path = "../events.rs"]
mod events;
#[path = "../keys.rs"]
mod keys;
mod listen;
mod log;
mod names;
mod options;
mod parameters;
mod probe;
#[cfg(feature = "strapi")]
pub(in crate::store) mod readonly;
#[path = "../rows.rs"]
mod rows;
mod schema;
#[cfg(any(test, feature = "testing"))]
#[path = "../test_queries.rs"]
mod test_queries;
#[path = "../transaction.rs"]
mod transaction;
#[path = "../view.rs"]
mod view;

use super::statements::postgres as statements;
use super::{PATIENCE, corrupt, lists, migrator, no_epoch, or};
use crate::domain::{Clock, Digest, KeyCheck, OwnerId, PasswordHash, Timestamp, comparable};
use crate::store::{Following, Snapshot, Store, StoreError, Transaction, Use, View, WriteStore};
use address::Address;
use async_trait::async_trait;
use connections::{Connections, Side};
use error::{OpenError, asking};
use schema::Installation;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Execute, query, query_with};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use view::{Reading, Writing};

pub use options::PostgresOptions;

/// What the files that both engines include speak of.
use PostgresStore as Home;
use connection::Held;
use sqlx::Postgres as Engine;
use sqlx::postgres::{PgArguments as Arguments, PgRow as Row};

/// By what name the server knows our connections.
const NAME: &str = "keyward";

/// A store in a PostgreSQL database (14 or later), shared by any number of nodes. Clones share their connections.
///
/// What one node changes, every other node judges by within milliseconds as a rule, and within
/// [`Limits::max_staleness`](crate::guard::Limits::max_staleness) at the latest, or it answers 503. So does what is changed with SQL by
/// hand: triggers log it.
///
/// The tables (`keyward_*`) are in one schema, which is found when the store is connected: the one that
/// [`PostgresOptions::schema`] names; else the one of the session's `search_path` that has them; else, in a new database, the first of
/// those in which the role may make them. From then on every statement names it, and so do the triggers: no `search_path`, of
/// whichever session, makes a node or a change by hand reach other tables.
///
/// An installation has an id, made with its tables. A node that meets the tables of another one where its own were answers 503.
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
/// With `sslmode=verify-full` every connection is encrypted, and the server has to show a certificate for the host that the address
/// names, of an authority of this machine or one in the file `sslrootcert` (which adds to those of this machine; for libpq it takes
/// their place). `verify-ca` leaves out the host's name: whoever has any certificate of these authorities will do. `require` encrypts
/// and asks nobody for anything, with `sslrootcert` too. Without `sslmode` it is `prefer`: encrypted if the server offers it, and
/// whoever is in between can answer that it does not.
///
/// # Poolers
///
/// A pooler in transaction mode has to be named: [`PostgresOptions::transaction_pooler`]. One in session mode is as good as none.
///
/// # Failover
///
/// The address is one host, a name or a virtual address that leads to the primary, whichever that is; an address with several hosts
/// is refused. It is looked up for each new connection. What reads the log of changes notices when another server answers: then all
/// connections are made anew, and a node goes on without a restart, as a rule within a second after the address leads to
/// the new primary. (While nobody answers none is made anew: each is replaced when it turns out to be lost, and those that live go on
/// when the same server does.) Until then cached tokens pass for as long as the lease lasts; after that, and for tokens that are not cached,
/// the answer is 503, never 401. A replica in recovery is no primary: the store is not opened there, and reading the log
/// there renews no lease.
///
/// What is promised depends on how the replicas follow:
///
/// - **Synchronous** replication with [`PostgresOptions::synchronous_heartbeat`]: the bound holds through a failover, and what was
///   acknowledged is there afterwards, provided that only a replica takes over that confirmed all (a quorum in
///   `synchronous_standby_names` which the failover respects), and nobody cancels waits for replicas (`pg_cancel_backend`). An old primary that lives on confirms nothing, so it renews no lease and
///   acknowledges no change. A change that it was asked for is an error after some seconds, of which nobody can tell whether it
///   happened; its tokens are 503 until somebody can.
/// - Synchronous replication *without* the heartbeat: what was acknowledged is there, but a node that still reaches the old primary
///   goes on judging by that, for as long as it can.
/// - **Asynchronous** replication: what the replica had not received is lost, revocations too, acknowledged or not. No node can know of
///   them, so no bound can be promised. Nodes that reach the new primary notice that its log is another one (it ends earlier,
///   or says something else under the same number), and begin a new era: nothing that they had cached survives, and they judge
///   by what the new primary says. A backup that is restored is the same.
///
/// Not promised either way: that requests for a change which were under way succeed. They end with an error, within seconds.
#[derive(Clone)]
pub struct PostgresStore {
    connections: Arc<Connections>,
    installation: Arc<Installation>,
    pooler: bool,
    heartbeat: bool,
    /// A hint is on its way, and will do for what happens meanwhile.
    hinting: Arc<AtomicBool>,
    clock: Option<Arc<dyn Clock>>,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Connects to the database, and brings our tables up to date. A server that is just starting is waited for, up to 5 s. Which
    /// parameters an address can have is said at [`sqlx::postgres::PgConnectOptions`].
    ///
    /// # Errors
    /// If the address cannot be read or reached, has a parameter that is not known, is that of a replica or of a pooler that was not named, encryption or certificate are
    /// not what it asks for, or a newer version has written the tables. The error's source says which, and what to check.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::connect_with(url, PostgresOptions::default()).await
    }

    /// The same with options.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_with(url: &str, options: PostgresOptions) -> Result<Self, StoreError> {
        let address = address::read(url, &options)?;
        let place = address.place.clone();
        let connections = reach(address, &options).await?;
        let PostgresOptions { pooler, heartbeat, clock, schema, .. } = options;
        let opened = schema::open(&connections.pools().writers, schema.as_deref(), pooler).await;
        let installation = Arc::new(opened.map_err(|error| OpenError::at(&place, error))?);
        Ok(Self { connections, installation, pooler, heartbeat, hinting: Arc::default(), clock })
    }

    /// The schema that holds the tables, as it is called: no quotes.
    #[must_use]
    pub fn schema(&self) -> &str {
        &self.installation.schema.name
    }

    /// Closes all connections, after what they are at, for all clones. Nothing is lost without it.
    pub async fn close(&self) {
        self.connections.close().await;
    }

    /// Rows say themselves which installation's they are.
    #[expect(clippy::unnecessary_wraps, clippy::unused_self, reason = "a file may have been replaced")]
    fn in_place(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn begin_reading(&self) -> Result<Held, StoreError> {
        Held::begin(&self.connections, Side::Reading, statements::BEGIN_READING).await
    }

    async fn begin_writing(&self) -> Result<Held, StoreError> {
        let begin = if self.heartbeat { statements::BEGIN_CONFIRMED } else { statements::BEGIN };
        Held::begin(&self.connections, Side::Writing, begin).await
    }

    /// A statement, ready to run: with the schema before each table, and prepared for more than once unless a pooler gives the next
    /// transaction another session.
    fn prepared<'q>(
        &self,
        mut query: Query<'q, Engine, Arguments>,
    ) -> Result<Query<'q, Engine, Arguments>, StoreError> {
        let arguments = query.take_arguments().map_err(|error| asking(sqlx::Error::Encode(error)))?;
        let text = self.installation.schema.qualify(query.sql().as_str());
        Ok(query_with(text, arguments.unwrap_or_default()).persistent(!self.pooler))
    }

    /// Refuses a row of another installation's: what is not found there says nothing about the tokens of this one.
    fn recognise(&self, row: &Row) -> Result<(), StoreError> {
        match rows::get::<String>(row, "installation")? == self.installation.id {
            true => Ok(()),
            false => Err(OpenError::OtherInstallation.into()),
        }
    }

    /// Reads which installation this is, before a statement that does not say so itself.
    async fn recognise_tables(&self, held: &mut Held) -> Result<(), StoreError> {
        let look = self.prepared(query(statements::INSTALLATION))?;
        let given_up = held.given_up();
        let row = or(given_up, look.fetch_optional(&mut **held)).await.map_err(asking)?;
        self.recognise(&row.ok_or_else(no_epoch)?)
    }

    /// Ends when an answer is not waited for any more.
    fn given_up(&self, held: &Held) -> impl Future<Output = sqlx::Error> + Send + use<> {
        held.given_up()
    }

    fn set_busy(&self, held: &mut Held, busy: bool) {
        held.set_busy(busy);
    }

    /// The time at which this row of the epoch was read, which has to be this installation's.
    fn time(&self, row: &Row) -> Result<Timestamp, StoreError> {
        self.recognise(row)?;
        match &self.clock {
            Some(clock) => Ok(clock.now()),
            None => rows::get(row, "now").map(Timestamp),
        }
    }

    /// Whether a change happened of which the COMMIT did not say; `None` if nobody can tell.
    ///
    /// It had the epoch's row. Whoever gets that row now knows that it has ended, one way or the other; and whoever then commits
    /// knows that what was found is confirmed by the replicas that have to, which a commit that was cut off while it waited for
    /// them does not say.
    async fn happened(&self, seq: i64, op_id: &str) -> Option<bool> {
        let looked = async {
            let mut held = self.begin_writing().await.ok()?;
            held.set_busy(true);
            let wait = self.prepared(query(statements::AFTER_WRITERS)).ok()?;
            let look = self.prepared(query(statements::CHANGE_HAPPENED).bind(seq).bind(op_id)).ok()?;
            let given_up = held.given_up();
            let looked = async {
                let epoch = wait.fetch_one(&mut *held).await?;
                Ok((epoch, look.fetch_one(&mut *held).await?))
            };
            let (epoch, row) = or(given_up, looked).await.ok()?;
            self.recognise(&epoch).ok()?;
            held.set_busy(false);
            let happened = rows::get::<i64>(&row, "happened").ok()? == 1;
            held.commit().await.ok()?;
            Some(happened)
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
            let told = Held::read(&store.connections, false, || query(statements::HINT));
            _ = tokio::time::timeout(PATIENCE, told).await;
        });
    }
}

/// Connects, and looks who is there.
async fn reach(address: Address, options: &PostgresOptions) -> Result<Arc<Connections>, StoreError> {
    let Address { options: address, place } = address;
    let connections = Arc::new(Connections::new(address, options.connections, options.pooler));
    let looked = tokio::time::timeout(2 * PATIENCE, probe::look(&connections, options.pooler)).await;
    let looked = looked.unwrap_or_else(|_| Err(OpenError::Silent.into()));
    looked.map_err(|error| OpenError::at(&place, error))?;
    Ok(connections)
}

#[async_trait]
impl Store for PostgresStore {
    async fn resolve(&self, digest: &Digest) -> Result<Snapshot, StoreError> {
        let hex = digest.to_hex();
        let ask = || query(AssertSqlSafe(self.installation.resolve.clone())).bind(&hex);
        let row = Held::read(&self.connections, self.pooler, ask).await?;
        let row = row.ok_or_else(no_epoch)?;
        // The database's time while it ran, which is not before the caller asked: what is left is never overstated.
        rows::snapshot(&row, self.time(&row)?)
    }

    fn following(&self) -> Following {
        Following::Log(Box::new(log::Log::new(self)))
    }

    async fn key_checks(&self) -> Result<Option<Vec<KeyCheck>>, StoreError> {
        self.view().await?.key_checks().await.map(Some)
    }

    async fn close(&self) {
        self.close().await;
    }

    async fn note_uses(&self, uses: &[Use]) -> Result<(), StoreError> {
        if uses.is_empty() {
            return Ok(());
        }
        let uses = lists::uses(uses);
        let mut held = Held::begin(&self.connections, Side::Writing, statements::BEGIN_ASIDE).await?;
        held.set_busy(true);
        self.recognise_tables(&mut held).await?;
        let note = self.prepared(query(statements::NOTE_USES).bind(uses))?;
        let given_up = held.given_up();
        or(given_up, note.execute(&mut *held)).await.map_err(asking)?;
        held.set_busy(false);
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

    async fn sign_in_candidate(&self, email: &str) -> Result<Option<(OwnerId, PasswordHash)>, StoreError> {
        let key = comparable(email);
        let ask = || query(self.installation.schema.qualify(statements::SIGN_IN_CANDIDATE)).bind(&key);
        let row = Held::read(&self.connections, self.pooler, ask).await?;
        let row = row.ok_or_else(no_epoch)?;
        self.recognise(&row)?;
        rows::candidate(&row)
    }
}
