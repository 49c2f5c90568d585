//! A store in SQLite: one file.

mod backup;
mod clamp;
mod database_file;
mod error;
#[path = "../events.rs"]
mod events;
mod host_connection;
#[path = "../keys.rs"]
mod keys;
mod log;
#[cfg(feature = "strapi")]
pub(in crate::store) mod readonly;
#[path = "../recent.rs"]
mod recent;
#[path = "../rows.rs"]
mod rows;
mod schema;
mod stray_log;
#[cfg(any(test, feature = "testing"))]
#[path = "../test_queries.rs"]
mod test_queries;
#[path = "../transaction.rs"]
mod transaction;
#[path = "../view.rs"]
mod view;

use super::lookup_pool::LookupPool;
use super::statements::sqlite as statements;
use super::{MigrationFile, WAIT_TIMEOUT, corrupt, file_name, lists, migrator, no_epoch, unless_abandoned};
use crate::domain::{Clock, Digest, KeyCheck, OwnerId, PasswordHash, SystemClock, Timestamp, comparable};
use crate::store::{
    Following, RecentPosition, RecentTokens, Snapshot, Store, StoreError, Transaction, Use, View, WriteStore,
};
use async_trait::async_trait;
use database_file::DatabaseFile;
use error::{OpenError, query_error, write_open_error};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Sqlite, SqlitePool};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use view::{Reading, Writing};

/// How many tokens one statement looks up.
const BATCH: usize = 32;

/// Names that the files shared by both engines use.
use SqliteStore as EngineStore;
type EngineTransaction = sqlx::Transaction<'static, Sqlite>;
use sqlx::Sqlite as Engine;
use sqlx::sqlite::{SqliteArguments as Arguments, SqliteRow as Row};

/// A store in an SQLite file. Clones share their connections.
///
/// One connection writes, a few look tokens up, and a few read everything else: lists never delay a look-up, and no
/// read waits for a writer. The tables (`keyward_*`) may be in one file with those of the host.
///
/// Several processes may open one file. A gate sees changes of its own process at once. It sees changes of others, also
/// with hand-written SQL, after [`Limits::poll_every`](crate::guard::Limits::poll_every) as a rule, and after
/// [`Limits::max_staleness`](crate::guard::Limits::max_staleness) at the latest.
///
/// The file has to stay in its place while it is open. If it is deleted, moved, emptied or replaced, every request is
/// answered 503 after [`Limits::max_staleness`](crate::guard::Limits::max_staleness) at the latest, and no change is
/// acknowledged, until the file is back or the program has restarted. Stop the program before restoring a backup: see
/// [`restore`](Self::restore).
///
/// ```no_run
/// # async fn demo() -> Result<(), keyward::store::StoreError> {
/// use keyward::SqliteStore;
/// let store = SqliteStore::open("keyward.db").await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct SqliteStore {
    writer: SqlitePool,
    /// For look-ups only, which must not wait for longer queries.
    lookups: Arc<LookupPool<Sqlite>>,
    readers: SqlitePool,
    /// Two connections that read the log of changes, as an abandoned read may block one for a while.
    log: SqlitePool,
    /// The options of connections outside the pools.
    options: SqliteConnectOptions,
    database_file: Arc<DatabaseFile>,
    clock: Arc<dyn Clock>,
}

/// Options of an [`SqliteStore`].
///
/// ```
/// let options = keyward::store::SqliteOptions::default().readers(8);
/// ```
#[derive(Clone)]
pub struct SqliteOptions {
    clock: Arc<dyn Clock>,
    readers: u32,
    migrates: bool,
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}

impl fmt::Debug for SqliteOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteOptions")
            .field("readers", &self.readers)
            .field("migrates", &self.migrates)
            .finish_non_exhaustive()
    }
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock), readers: 4, migrates: true }
    }
}

impl SqliteOptions {
    /// Sets the source of all times. Default [`SystemClock`]; SQLite's own time is never used.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets the maximum number of connections for look-ups, and of others that read lists and everything else; at least
    /// one of each. Default 4. Each has a thread of its own.
    #[must_use]
    pub fn readers(mut self, readers: u32) -> Self {
        self.readers = readers.max(1);
        self
    }

    /// Leaves the tables as they are when the store opens. If they lack a migration, opening fails and names it.
    #[must_use]
    pub fn without_migrations(mut self) -> Self {
        self.migrates = false;
        self
    }
}

impl SqliteStore {
    /// Opens the file, or creates it (not its directory), and migrates its tables. New files get mode 0600; an existing
    /// file keeps its mode, with a warning in the log if other users may open it.
    ///
    /// # Errors
    /// Returns [`StoreError::Unavailable`] if the file cannot be opened and written, is not an SQLite database, or was
    /// written by a newer version. `:memory:` and `file:` addresses are rejected, because several connections must see
    /// the same file. A backup that was copied over a database whose write-ahead log still exists is rejected. The
    /// error's source names the file or directory, and the remedy.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_with(path, SqliteOptions::default()).await
    }

    /// Opens the file with options.
    ///
    /// # Errors
    /// Like [`open`](Self::open).
    pub async fn open_with(path: impl AsRef<Path>, options: SqliteOptions) -> Result<Self, StoreError> {
        Self::open_as(SqliteConnectOptions::new(), file(path.as_ref())?, options).await
    }

    /// Opens the file of a pool of the host, and migrates its tables.
    ///
    /// keyward opens connections of its own, with the pool's options (a key or an extension, say) and the settings that
    /// it needs: foreign keys, `synchronous = FULL`, a busy timeout of 5 s, and `query_only` for reading. So it takes
    /// nothing from the pool, and changes none of its sessions. [`close`](Self::close) leaves the pool open.
    ///
    /// The pool's own connections have to use the journal mode WAL, the locking mode `NORMAL`, and foreign keys (sqlx's
    /// default). That is checked here on one of them, and for foreign keys also by
    /// [`within`](crate::admin::Tokens::within).
    ///
    /// ```no_run
    /// # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
    /// use sqlx::SqlitePool;
    /// use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
    /// let file = SqliteConnectOptions::new().filename("app.db").journal_mode(SqliteJournalMode::Wal);
    /// let pool = SqlitePool::connect_with(file).await?;
    /// let store = keyward::SqliteStore::from_pool(pool.clone()).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Like [`open`](Self::open); also if the database is in memory or a setting is wrong. The error names the setting.
    pub async fn from_pool(pool: SqlitePool) -> Result<Self, StoreError> {
        Self::from_pool_with(pool, SqliteOptions::default()).await
    }

    /// Opens the file of a pool of the host, with options.
    ///
    /// # Errors
    /// Like [`from_pool`](Self::from_pool).
    pub async fn from_pool_with(pool: SqlitePool, options: SqliteOptions) -> Result<Self, StoreError> {
        let mut connection = pool.acquire().await.map_err(query_error)?;
        let path = host_connection::check_pool(&mut connection).await?;
        drop(connection);
        let base = (*pool.connect_options()).clone().read_only(false).immutable(false).shared_cache(false);
        Self::open_as(base, path, options).await
    }

    /// Creates or migrates the tables, with a pool of the host.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the file cannot be written, or a newer version has written the tables.
    pub async fn migrate(pool: &SqlitePool) -> Result<(), StoreError> {
        schema::migrate(pool, pool.connect_options().get_filename(), true).await
    }

    /// Returns the migrations as SQL files, in order. Run the missing ones in one transaction; each file records itself
    /// in `keyward_migrations`.
    #[must_use]
    pub fn migration_files() -> Vec<MigrationFile> {
        schema::MIGRATIONS.iter().map(MigrationFile::new).collect()
    }

    async fn open_as(base: SqliteConnectOptions, path: PathBuf, options: SqliteOptions) -> Result<Self, StoreError> {
        stray_log::refuse_foreign_log(&path)?;
        let place = Arc::new(DatabaseFile::prepare(path)?);
        let file = base
            .filename(place.path())
            .foreign_keys(true)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(WAIT_TIMEOUT)
            .disable_statement_logging();
        let writing = file.clone().journal_mode(SqliteJournalMode::Wal);
        let opened = open_writer(&writing, &place, options.migrates);
        let writer = tokio::time::timeout(4 * WAIT_TIMEOUT, opened).await.unwrap_or(Err(StoreError::Busy))?;
        place.check()?;
        place.warn_of_readers();
        let reading = |connections: u32| {
            let query_only = file.clone().pragma("query_only", "ON");
            checked_pool(&place).max_connections(connections).connect_lazy_with(query_only)
        };
        let lookups = LookupPool::new(reading(options.readers));
        let (readers, log) = (reading(options.readers), reading(2));
        Ok(Self { writer, lookups, readers, log, options: file, database_file: place, clock: options.clock })
    }

    /// Closes all connections after their running statements, for all clones, and leaves one complete file.
    ///
    /// The content of the write-ahead log (`-wal`) is moved into it; the log is removed unless another process has the
    /// file open. Nothing is lost without it: acknowledged changes are on disk, in the file and its log.
    pub async fn close(&self) {
        tokio::join!(self.lookups.close(), self.readers.close(), self.log.close());
        if self.check_location().is_ok() {
            self.fold().await;
        } else {
            self.fold_after_move().await;
        }
        self.writer.close().await;
    }

    /// Fails if the path no longer leads to the file that was opened.
    fn check_location(&self) -> Result<(), StoreError> {
        self.database_file.check()
    }

    /// Moves the write-ahead log into a file that has left its path, once. Otherwise SQLite would apply the log to the
    /// file that is there now.
    async fn fold_after_move(&self) {
        if self.database_file.needs_fold() && self.fold().await {
            self.database_file.set_folded();
        }
    }

    /// Moves the write-ahead log into the file. Returns true if the log is empty.
    async fn fold(&self) -> bool {
        let folded = match self.writer.acquire().await {
            Ok(mut connection) => sqlx::query(statements::CHECKPOINT).fetch_one(&mut *connection).await,
            // The pool was closed before.
            Err(_) => return false,
        };
        match folded.map_err(query_error).and_then(|row| rows::get::<i64>(&row, "busy")) {
            Ok(busy) => busy == 0,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "cannot empty the write-ahead log: keep it beside the database");
                false
            }
        }
    }

    /// Runs one statement that reads one row. A statement is its own snapshot, so it has no transaction.
    async fn look_up(&self, query: Query<'_, Sqlite, Arguments>) -> Result<Option<Row>, StoreError> {
        let (mut connection, slot) = self.lookups.take().await.map_err(query_error)?;
        let row = query.fetch_optional(&mut *connection).await;
        // The connection of an abandoned look-up goes to sqlx's pool instead, which waits until its thread is free.
        slot.put_back(connection);
        row.map_err(query_error)
    }

    async fn begin_reading(&self) -> Result<EngineTransaction, StoreError> {
        self.check_location()?;
        self.readers.begin().await.map_err(query_error)
    }

    async fn begin_writing(&self) -> Result<EngineTransaction, StoreError> {
        self.check_location()?;
        self.writer.begin_with(statements::BEGIN).await.map_err(query_error)
    }

    /// Returns the start of a transaction; SQLite's own time is never used. The transaction may have waited, so the
    /// file is checked again.
    fn time(&self, _: &Row) -> Result<Timestamp, StoreError> {
        self.check_location()?;
        Ok(self.clock.now())
    }

    /// Returns whether a change with an unknown commit outcome happened; `None` if that cannot be determined.
    ///
    /// A change that others can read has happened. Otherwise it may still appear when the file is opened again.
    async fn happened(&self, seq: i64, op_id: &str) -> Option<bool> {
        self.check_location().ok()?;
        let query = sqlx::query(statements::IS_CHANGE_COMMITTED).bind(seq).bind(op_id);
        let found = self.look_up(query).await.ok()??;
        (rows::get::<i64>(&found, "happened").ok()? == 1).then_some(true)
    }

    /// Returns the query unchanged: a file has one schema.
    #[expect(clippy::unnecessary_wraps, reason = "PostgreSQL's variant inserts a schema and may fail")]
    fn prepared<'q>(&self, query: Query<'q, Sqlite, Arguments>) -> Result<Query<'q, Sqlite, Arguments>, StoreError> {
        Ok(query)
    }

    /// A file always responds.
    fn wait_until_abandoned(&self, _: &EngineTransaction) -> impl Future<Output = sqlx::Error> + Send + use<> {
        std::future::pending()
    }

    /// An abandoned transaction on a file ends by itself.
    fn set_busy(&self, _: &mut EngineTransaction, _: bool) {}

    /// Other processes poll.
    fn hint(&self) {}
}

#[async_trait]
impl Store for SqliteStore {
    async fn resolve(&self, digest: &Digest) -> Result<Snapshot, StoreError> {
        // Read before the statement, close to the caller's own start and never earlier: a remaining life is never
        // overstated, however long the statement takes.
        let now = self.clock.now();
        self.check_location()?;
        let query = sqlx::query(statements::RESOLVE).bind(digest.to_hex());
        rows::snapshot(&self.look_up(query).await?.ok_or_else(no_epoch)?, now)
    }

    async fn resolve_many(&self, digests: &[Digest]) -> Result<Vec<Result<Snapshot, StoreError>>, StoreError> {
        // As for one token.
        let now = self.clock.now();
        self.check_location()?;
        let list = lists::texts(&digests.iter().map(Digest::to_hex).collect::<Vec<_>>());
        let (mut connection, slot) = self.lookups.take().await.map_err(query_error)?;
        let rows = sqlx::query(statements::RESOLVE_MANY).bind(list).fetch_all(&mut *connection).await;
        slot.put_back(connection);
        rows::snapshots(&rows.map_err(query_error)?, digests.len(), |_| Ok(now))
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
        self.check_location()?;
        let query = sqlx::query(statements::NOTE_USES).bind(lists::uses(uses));
        query.execute(&self.writer).await.map(drop).map_err(query_error)
    }
}

#[async_trait]
impl WriteStore for SqliteStore {
    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        let writing = Writing::begin(self.clone());
        match tokio::time::timeout(WAIT_TIMEOUT, writing).await {
            Ok(writing) => Ok(Box::new(writing?)),
            Err(_) => Err(StoreError::Busy),
        }
    }

    async fn view(&self) -> Result<Box<dyn View>, StoreError> {
        match tokio::time::timeout(WAIT_TIMEOUT, Reading::begin(self.clone())).await {
            Ok(reading) => Ok(Box::new(reading?)),
            Err(_) => Err(StoreError::Busy),
        }
    }

    async fn sign_in_candidate(&self, email: &str) -> Result<Option<(OwnerId, PasswordHash)>, StoreError> {
        self.check_location()?;
        let query = sqlx::query(statements::SIGN_IN_CANDIDATE).bind(comparable(email));
        rows::candidate(&self.look_up(query).await?.ok_or_else(no_epoch)?)
    }
}

/// Returns pool options without tests and renewals: reads from a file cannot go stale like a network connection.
///
/// SQLite can end a transaction without the driver's knowledge, for example on a full disk. The driver would then treat
/// it as open for ever, and the next transaction as a savepoint, which keeps its snapshot when it ends. Such
/// connections are not reused.
fn pool() -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .acquire_timeout(WAIT_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
}

/// Returns pool options whose new connections must lead to the file that was opened first.
fn checked_pool(place: &Arc<DatabaseFile>) -> SqlitePoolOptions {
    let place = place.clone();
    pool().after_connect(move |_, _| {
        let checked = place.check().map_err(|error| sqlx::Error::Configuration(Box::new(error)));
        Box::pin(async move { checked })
    })
}

/// Opens the file for writing and migrates the tables. Retries while it is busy: if several processes create one file,
/// some connect just as another switches its journal, and SQLite does not wait for that by itself.
async fn open_writer(
    file: &SqliteConnectOptions,
    place: &DatabaseFile,
    migrates: bool,
) -> Result<SqlitePool, StoreError> {
    loop {
        let writer = pool().max_connections(1).connect_with(file.clone()).await;
        let opened = match writer.map_err(|error| write_open_error(place.path(), error)) {
            Ok(writer) => schema::migrate(&writer, place.path(), migrates).await.map(|()| writer),
            Err(error) => Err(error),
        };
        match opened {
            Err(StoreError::Busy) => tokio::time::sleep(Duration::from_millis(20)).await,
            done => return done,
        }
    }
}

/// Returns the absolute path of the file, so that SQLite sees neither a URI nor a reserved word in it.
fn file(path: &Path) -> Result<PathBuf, OpenError> {
    let bytes = path.as_os_str().as_encoded_bytes();
    if bytes.is_empty() || bytes == b":memory:" || bytes.starts_with(b"file:") {
        return Err(OpenError::NoFile);
    }
    std::path::absolute(path).map_err(OpenError::Path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Permission;
    use crate::store::NewRole;

    async fn open_store() -> (tempfile::TempDir, SqliteStore) {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(dir.path().join("keyward.db")).await.unwrap();
        (dir, store)
    }

    fn role(name: &str) -> NewRole {
        let permissions = (0..2000).map(|n| Permission::new(format!("an action with a long name, number {n}")));
        NewRole { name: name.into(), description: String::new(), permissions: permissions.collect() }
    }

    /// SQLite may end a transaction by itself when the disk is full; the driver would then treat it as open for ever.
    #[tokio::test]
    async fn a_full_disk_fails_one_change_and_keeps_the_connection_usable() {
        let (_dir, store) = open_store().await;
        sqlx::query("PRAGMA max_page_count = 1").execute(&store.writer).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        assert!(matches!(tx.insert_role(role("too much")).await, Err(StoreError::Unavailable(_))));
        assert!(tx.commit(&[]).await.is_err());

        sqlx::query("PRAGMA max_page_count = 4294967294").execute(&store.writer).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        assert_eq!(tx.seq(), 1, "nothing of the failed change is left");
        assert!(tx.role_with_name("too much").await.unwrap().is_none());
        tx.insert_role(role("fits")).await.unwrap();
        tx.commit(&[]).await.unwrap();
    }

    #[tokio::test]
    async fn a_transaction_that_sqlite_ended_is_not_reused() {
        let (_dir, store) = open_store().await;
        let mut tx = store.begin().await.unwrap();
        tx.insert_role(NewRole { permissions: vec![], ..role("lost") }).await.unwrap();
        drop(tx);
        let mut transaction = store.writer.begin_with(statements::BEGIN).await.unwrap();
        sqlx::query("ROLLBACK").execute(&mut *transaction).await.unwrap();
        drop(transaction);
        store.begin().await.unwrap().commit(&[]).await.unwrap();
    }

    #[tokio::test]
    async fn a_dropped_view_returns_its_connection_without_a_snapshot() {
        let dir = tempfile::tempdir().unwrap();
        let options = SqliteOptions::default().readers(1);
        let store = SqliteStore::open_with(dir.path().join("keyward.db"), options).await.unwrap();
        for seq in 0..5 {
            drop(store.view().await.unwrap());
            let mut transaction = store.readers.begin().await.unwrap();
            sqlx::query("ROLLBACK").execute(&mut *transaction).await.unwrap();
            drop(transaction);
            assert_eq!(store.resolve(&Digest::Native([0; 27])).await.unwrap().seq, seq, "reads see the latest change");
            let view = store.view().await.unwrap();
            store.begin().await.unwrap().commit(&[]).await.unwrap();
            drop(view);
        }
    }

    #[tokio::test]
    async fn clamping_scans_no_table() {
        let (_dir, store) = open_store().await;
        for statement in [statements::MARK_OF_MEMBERS, statements::MARK_OF_OWNER] {
            let plan = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
            let rows = sqlx::query(plan).bind(1).bind(1).fetch_all(&store.writer).await.unwrap();
            let steps: Vec<String> = rows.iter().map(|row| rows::get(row, "detail").unwrap()).collect();
            // The result of the first step is scanned once, by the second.
            assert!(!steps.iter().any(|step| step.starts_with("SCAN") && step != "SCAN d"), "{steps:#?}");
        }
    }

    #[tokio::test]
    async fn a_rate_limit_uses_an_index_of_the_audit_log() {
        let (_dir, store) = open_store().await;
        let plan = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", statements::NTH_LATEST_EVENT));
        let rows = sqlx::query(plan).fetch_all(&store.writer).await.unwrap();
        let steps: Vec<String> = rows.iter().map(|row| rows::get(row, "detail").unwrap()).collect();
        assert!(
            steps[0].contains("USING INDEX keyward_audit_doer (doer_kind=? AND doer_id=? AND what=? AND at>?)"),
            "{steps:#?}"
        );
    }

    #[tokio::test]
    async fn a_page_by_name_uses_an_index() {
        let (_dir, store) = open_store().await;
        for (statement, index) in [
            (statements::TOKENS_BY_NAME_ASCENDING, "keyward_token_listed"),
            (statements::TOKENS_BY_NAME_DESCENDING, "keyward_token_listed"),
            (statements::TOKENS_OF_OWNER_BY_NAME_ASCENDING, "keyward_token_owner"),
            (statements::TOKENS_OF_OWNER_BY_NAME_DESCENDING, "keyward_token_owner"),
        ] {
            let plan = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
            let rows = sqlx::query(plan).fetch_all(&store.readers).await.unwrap();
            let steps: Vec<String> = rows.iter().map(|row| rows::get(row, "detail").unwrap()).collect();
            assert!(steps.iter().any(|step| step.contains(&format!("SEARCH t USING INDEX {index}"))), "{steps:#?}");
            // The page itself is sorted once more; rows beyond it are not.
            let sorts = steps.iter().filter(|step| *step == "USE TEMP B-TREE FOR ORDER BY").count();
            assert!(sorts <= 1 && !steps.iter().any(|step| step.starts_with("SCAN t")), "{steps:#?}");
        }
        for statement in [statements::COUNT_TOKENS, statements::COUNT_TOKENS_OF_OWNER] {
            let plan = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
            let rows = sqlx::query(plan).fetch_all(&store.readers).await.unwrap();
            let step: String = rows::get(&rows[0], "detail").unwrap();
            assert!(step.contains("USING COVERING INDEX"), "{step}");
        }
    }

    #[tokio::test]
    async fn filters_are_evaluated_once_per_list() {
        let (_dir, store) = open_store().await;
        for statement in [statements::COUNT_OWNERS, statements::COUNT_MATCHING_TOKENS] {
            let plan = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
            let rows = sqlx::query(plan).fetch_all(&store.readers).await.unwrap();
            let steps: Vec<String> = rows.iter().map(|row| rows::get(row, "detail").unwrap()).collect();
            assert!(!steps.iter().any(|step| step.starts_with("CORRELATED")), "{steps:#?}");
        }
        // One event, and the events below one, are found by their ids.
        for statement in [statements::EVENTS_DESCENDING, statements::EVENTS_ASCENDING] {
            let plan = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
            let rows = sqlx::query(plan).fetch_all(&store.readers).await.unwrap();
            let step: String = rows::get(&rows[0], "detail").unwrap();
            assert!(step.contains("USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"), "{step}");
        }
    }

    #[tokio::test]
    async fn a_lookup_scans_no_table() {
        let (_dir, store) = open_store().await;
        for (statement, step) in [
            (statements::RESOLVE, "SEARCH t USING INDEX"),
            (statements::RESOLVE_MANY, "SEARCH t USING INDEX"),
            (statements::SIGN_IN_CANDIDATE, "SEARCH o USING INDEX"),
        ] {
            let plan = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
            let rows = sqlx::query(plan).bind("[]").fetch_all(&store.readers).await.unwrap();
            let steps: Vec<String> = rows.iter().map(|row| rows::get(row, "detail").unwrap()).collect();
            // The list of digests is no table.
            let scans_table = |step: &&String| step.starts_with("SCAN") && !step.starts_with("SCAN e VIRTUAL TABLE");
            assert_eq!(steps.iter().find(scans_table), None, "{steps:#?}");
            assert!(steps.iter().any(|found| found.contains(step)), "{steps:#?}");
        }
    }

    #[tokio::test]
    async fn sign_in_does_not_wait_for_lists() {
        let dir = tempfile::tempdir().unwrap();
        let options = SqliteOptions::default().readers(1);
        let store = SqliteStore::open_with(dir.path().join("keyward.db"), options).await.unwrap();
        let _list = store.view().await.unwrap();
        assert_eq!(store.sign_in_candidate("ada@example.test").await.unwrap(), None);
    }
}
