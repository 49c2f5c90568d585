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
#[path = "../notices.rs"]
mod notices;
mod opening;
mod options;
#[cfg(feature = "strapi")]
pub(in crate::store) mod readonly;
#[path = "../recent.rs"]
mod recent;
#[path = "../rows.rs"]
mod rows;
mod schema;
#[path = "../selection.rs"]
mod selection;
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
use crate::domain::{Clock, Digest, KeyCheck, OwnerId, PasswordHash, Timestamp, comparable};
use crate::store::host_transaction::HostConnection;
use crate::store::{
    Following, HostTransaction, RecentPosition, RecentTokens, Snapshot, Store, StoreError, Transaction, Use, View,
    WriteStore,
};
use async_trait::async_trait;
use database_file::DatabaseFile;
use error::{OpenError, query_error};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{Connection, Sqlite, SqliteConnection, SqlitePool};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use view::{Reading, Writing};

#[cfg(all(test, feature = "postgres", feature = "sqlite"))]
pub(super) use schema::MIGRATIONS;

pub use options::SqliteOptions;

/// How many tokens one statement looks up.
const BATCH: usize = 32;

/// Names that the files shared by both engines use.
use SqliteStore as EngineStore;
type EngineTransaction<'t> = sqlx::Transaction<'t, Sqlite>;
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

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}

impl SqliteStore {
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
        // The connection of an abandoned or failed look-up goes to sqlx's pool instead, which waits until its thread is
        // free, and tests it.
        if row.is_ok() {
            slot.put_back(connection);
        }
        row.map_err(query_error)
    }

    async fn begin_reading(&self) -> Result<EngineTransaction<'static>, StoreError> {
        self.check_location()?;
        self.readers.begin().await.map_err(query_error)
    }

    async fn begin_writing(&self) -> Result<EngineTransaction<'static>, StoreError> {
        self.check_location()?;
        self.writer.begin_with(statements::BEGIN).await.map_err(query_error)
    }

    async fn join<'t>(&self, host: &'t mut SqliteConnection) -> Result<EngineTransaction<'t>, StoreError> {
        host_connection::check_transaction(host, &self.database_file).await?;
        host.begin().await.map_err(query_error)
    }

    /// Ends a part of a transaction of the host.
    async fn leave(&self, part: EngineTransaction<'_>) -> sqlx::Result<()> {
        part.commit().await
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
    fn wait_until_abandoned(&self, _: &EngineTransaction<'_>) -> impl Future<Output = sqlx::Error> + Send + use<> {
        std::future::pending()
    }

    /// An abandoned transaction on a file ends by itself.
    fn set_busy(&self, _: &mut EngineTransaction<'_>, _: bool) {}

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
        if rows.is_ok() {
            slot.put_back(connection);
        }
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
        let uses = lists::uses(uses);
        for statement in [statements::NOTE_PREVIOUS_USES, statements::NOTE_USES] {
            sqlx::query(statement).bind(&uses).execute(&self.writer).await.map_err(query_error)?;
        }
        Ok(())
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

    async fn begin_within<'t>(&'t self, host: HostTransaction<'t>) -> Result<Box<dyn Transaction + 't>, StoreError> {
        match host.0 {
            HostConnection::Sqlite(host) => match Writing::join(self.clone(), host).await {
                Ok(writing) => Ok(Box::new(writing)),
                // After `BEGIN IMMEDIATE` the transaction has the lock of writers.
                Err(StoreError::Busy) => Err(StoreError::DeferredTransaction),
                Err(error) => Err(error),
            },
            #[cfg(feature = "postgres")]
            HostConnection::Postgres(_) => Err(StoreError::Invalid("the transaction is not one of SQLite".into())),
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
        // As after an analysis: fewer grants than the planner assumes of a table that it does not know.
        for statement in [
            "ANALYZE",
            "INSERT INTO sqlite_stat1 VALUES ('keyward_grant', 'sqlite_autoindex_keyward_grant_1', '1000 3 1')",
            "ANALYZE sqlite_schema",
        ] {
            sqlx::query(statement).execute(&store.writer).await.unwrap();
        }
        // Scanned once: the result of the first step, and the marked grants.
        for (statement, scanned) in [
            (statements::MARK_OF_MEMBERS, "d"),
            (statements::MARK_OF_OWNER, "d"),
            (statements::AUDIT_MARKED, "c"),
            (statements::DELETE_MARKED, ""),
            (statements::GRANTS_OF_OWNER, ""),
        ] {
            let plan = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
            let rows = sqlx::query(plan).bind(1).bind(1).fetch_all(&store.writer).await.unwrap();
            let steps: Vec<String> = rows.iter().map(|row| rows::get(row, "detail").unwrap()).collect();
            let is_table = |step: &&String| step.starts_with("SCAN") && **step != format!("SCAN {scanned}");
            assert_eq!(steps.iter().find(is_table), None, "{steps:#?}");
        }
        let plan = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", statements::MARK_LISTED));
        let rows = sqlx::query(plan).bind("[]").fetch_all(&store.writer).await.unwrap();
        let steps: Vec<String> = rows.iter().map(|row| rows::get(row, "detail").unwrap()).collect();
        let search = "SEARCH h USING INDEX sqlite_autoindex_keyward_grant_1 (token_id=?)";
        assert!(steps.iter().any(|step| step == search), "{steps:#?}");
    }

    #[tokio::test]
    async fn each_batch_of_rows_without_keys_is_read_alone() {
        let (_dir, store) = open_store().await;
        for ([batch, taken, set], table, index) in [
            (statements::KEYS_OF_ROLES, "keyward_role", "keyward_role_comparable"),
            (statements::KEYS_OF_TOKENS, "keyward_token", "keyward_token_name_in_scope"),
        ] {
            let by_id = format!("SEARCH {table} USING INTEGER PRIMARY KEY");
            for (statement, step) in [(batch, &by_id), (taken, &format!("{index} (name_key=?)")), (set, &by_id)] {
                let plan = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
                let rows = sqlx::query(plan).bind("[]").fetch_all(&store.writer).await.unwrap();
                let steps: Vec<String> = rows.iter().map(|row| rows::get(row, "detail").unwrap()).collect();
                let sorts = steps.iter().any(|step| step.contains("TEMP B-TREE"));
                assert!(!sorts && steps.iter().any(|found| found.contains(step)), "{statement}: {steps:#?}");
            }
        }
    }

    /// Thousands of uses are written at a time: the list must not be searched for each of them.
    #[tokio::test]
    async fn uses_are_read_from_their_list_once() {
        let (_dir, store) = open_store().await;
        for statement in [statements::NOTE_USES, statements::NOTE_PREVIOUS_USES] {
            let plan = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
            let rows = sqlx::query(plan).bind("[]").fetch_all(&store.writer).await.unwrap();
            let steps: Vec<String> = rows.iter().map(|row| rows::get(row, "detail").unwrap()).collect();
            let reads = steps.iter().filter(|step| step.contains("VIRTUAL TABLE")).count();
            let searched = steps.iter().any(|step| step.contains("LEFT-JOIN"));
            assert!(reads == 1 && !searched, "{steps:#?}");
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
            (statements::RESOLVE, "SEARCH d USING COVERING INDEX"),
            (statements::RESOLVE_MANY, "SEARCH d USING COVERING INDEX"),
            (statements::SIGN_IN_CANDIDATE, "SEARCH o USING INDEX"),
        ] {
            let plan = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
            let rows = sqlx::query(plan).bind("[]").fetch_all(&store.readers).await.unwrap();
            let steps: Vec<String> = rows.iter().map(|row| rows::get(row, "detail").unwrap()).collect();
            // The list of digests and the line of ancestors are no tables.
            let no_tables = ["SCAN e VIRTUAL TABLE", "SCAN l", "SCAN CONSTANT ROW"];
            let scans_table =
                |step: &&String| step.starts_with("SCAN") && !no_tables.iter().any(|no| step.starts_with(no));
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
