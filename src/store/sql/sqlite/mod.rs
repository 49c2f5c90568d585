//! A store in SQLite: one file.

mod backup;
mod clamp;
mod error;
#[path = "../events.rs"]
mod events;
#[path = "../keys.rs"]
mod keys;
mod log;
mod place;
#[cfg(feature = "strapi")]
pub(in crate::store) mod readonly;
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

use super::statements::sqlite as statements;
use super::{PATIENCE, corrupt, lists, migrator, no_epoch, or};
use crate::domain::{Clock, Digest, KeyCheck, OwnerId, PasswordHash, SystemClock, Timestamp, comparable};
use crate::store::{Following, Snapshot, Store, StoreError, Transaction, Use, View, WriteStore};
use async_trait::async_trait;
use error::{OpenError, asking, opening_for_writing};
use place::Place;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Sqlite, SqlitePool};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use view::{Reading, Writing};

/// What the files that both engines include speak of.
use SqliteStore as Home;
type Held = sqlx::Transaction<'static, Sqlite>;
use sqlx::Sqlite as Engine;
use sqlx::sqlite::{SqliteArguments as Arguments, SqliteRow as Row};

/// A store in an SQLite file. Clones share their connections.
///
/// There is one connection that writes, a few that look tokens up, and a few that read everything else: lists never keep a look-up
/// waiting, and none of them waits for a writer. The tables (`keyward_*`) may live
/// beside those of the host in one file.
///
/// Several processes may open one file. A gate judges at once by what its own process changes, and by what others change, also
/// with SQL by hand, after [`Limits::poll_every`](crate::guard::Limits::poll_every) as a rule and after
/// [`Limits::max_staleness`](crate::guard::Limits::max_staleness) at the latest.
///
/// While it is open the file has to stay where it is. If it is deleted, moved away, emptied or another one is put in its place, each
/// request is answered 503 from [`Limits::max_staleness`](crate::guard::Limits::max_staleness) on at the latest, and no change is
/// acknowledged, until the file is back or the program has started again. To restore a backup, stop first: see
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
    /// For looking tokens up, and for nothing that takes longer.
    lookups: SqlitePool,
    readers: SqlitePool,
    /// For reading the log of changes: two, as a read that was given up may keep one for a while.
    log: SqlitePool,
    /// How a connection of one's own is opened.
    file: SqliteConnectOptions,
    place: Arc<Place>,
    clock: Arc<dyn Clock>,
}

/// How an [`SqliteStore`] is opened.
///
/// ```
/// let options = keyward::store::SqliteOptions::default().readers(8);
/// ```
#[derive(Clone)]
pub struct SqliteOptions {
    clock: Arc<dyn Clock>,
    readers: u32,
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}

impl fmt::Debug for SqliteOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteOptions").field("readers", &self.readers).finish_non_exhaustive()
    }
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock), readers: 4 }
    }
}

impl SqliteOptions {
    /// Where all times come from. Default [`SystemClock`]. SQLite itself is never asked for the time.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// How many connections look tokens up, and how many others read lists and everything else, at most; at least one of each.
    /// Default 4. Each has a thread of its own.
    #[must_use]
    pub fn readers(mut self, readers: u32) -> Self {
        self.readers = readers.max(1);
        self
    }
}

impl SqliteStore {
    /// Opens the file, or creates it (not its directory), and brings our tables up to date. What it creates is for its owner alone
    /// (mode 0600); a file that is there keeps its mode, with a warning in the log if others may open it.
    ///
    /// # Errors
    /// If it cannot be opened and written, is not an SQLite database, or was written by a newer version; also for `:memory:`
    /// and `file:` addresses, since several connections have to see one and the same file. A backup that was copied over a database
    /// whose write-ahead log is still there is refused. The error's source names the file or directory, and what to do.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_with(path, SqliteOptions::default()).await
    }

    /// The same with options.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_with(path: impl AsRef<Path>, options: SqliteOptions) -> Result<Self, StoreError> {
        let path = file(path.as_ref())?;
        stray_log::refuse_foreign_log(&path)?;
        let place = Arc::new(Place::prepare(path)?);
        let file = SqliteConnectOptions::new()
            .filename(place.path())
            .foreign_keys(true)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(PATIENCE)
            .disable_statement_logging();
        let writing = file.clone().journal_mode(SqliteJournalMode::Wal);
        let opened = open_writer(&writing, &place);
        let writer = tokio::time::timeout(4 * PATIENCE, opened).await.unwrap_or(Err(StoreError::Busy))?;
        place.check()?;
        place.warn_of_readers();
        let reading = |connections: u32| {
            let query_only = file.clone().pragma("query_only", "ON");
            watched(&place).max_connections(connections).connect_lazy_with(query_only)
        };
        let (lookups, readers, log) = (reading(options.readers), reading(options.readers), reading(2));
        Ok(Self { writer, lookups, readers, log, file, place, clock: options.clock })
    }

    /// Closes all connections, after what they are at, for all clones, and leaves one whole file: what the write-ahead log (`-wal`) holds
    /// is in it, and unless another process has it open too, the log is gone.
    ///
    /// Nothing is lost without it: what was acknowledged is on disk, in the file and its log.
    pub async fn close(&self) {
        tokio::join!(self.lookups.close(), self.readers.close(), self.log.close());
        if self.in_place().is_ok() {
            self.fold().await;
        } else {
            self.leave().await;
        }
        self.writer.close().await;
    }

    /// Whether the path still leads to the file that was opened.
    fn in_place(&self) -> Result<(), StoreError> {
        self.place.check()
    }

    /// Takes the write-ahead log along, once, where the file has left its path: whichever file is there now would be given it.
    async fn leave(&self) {
        if self.place.is_to_be_folded() && self.fold().await {
            self.place.folded();
        }
    }

    /// Moves what the write-ahead log holds into the file, and says whether nothing is left in it.
    async fn fold(&self) -> bool {
        let folded = match self.writer.acquire().await {
            Ok(mut connection) => sqlx::query(statements::FOLD).fetch_one(&mut *connection).await,
            // Closed before.
            Err(_) => return false,
        };
        match folded.map_err(asking).and_then(|row| rows::get::<i64>(&row, "busy")) {
            Ok(busy) => busy == 0,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the write-ahead log is still needed beside the database");
                false
            }
        }
    }

    async fn begin_reading(&self) -> Result<Held, StoreError> {
        self.in_place()?;
        self.readers.begin().await.map_err(asking)
    }

    async fn begin_writing(&self) -> Result<Held, StoreError> {
        self.in_place()?;
        self.writer.begin_with(statements::BEGIN).await.map_err(asking)
    }

    /// When a transaction has begun. SQLite itself is never asked for the time. The transaction may have waited, so whether the file is
    /// still in its place is asked again.
    fn time(&self, _: &Row) -> Result<Timestamp, StoreError> {
        self.in_place()?;
        Ok(self.clock.now())
    }

    /// Whether a change happened of which the COMMIT did not say; `None` if nobody can tell.
    ///
    /// What others can read has happened. What they cannot read may still turn up when the file is opened again.
    async fn happened(&self, seq: i64, op_id: &str) -> Option<bool> {
        self.in_place().ok()?;
        let found =
            sqlx::query(statements::CHANGE_HAPPENED).bind(seq).bind(op_id).fetch_one(&self.lookups).await.ok()?;
        (rows::get::<i64>(&found, "happened").ok()? == 1).then_some(true)
    }

    /// A statement, ready to run: a file has one schema, so it stays as it is written.
    #[expect(clippy::unnecessary_wraps, reason = "PostgreSQL's has the name of a schema written into it")]
    fn prepared<'q>(&self, query: Query<'q, Sqlite, Arguments>) -> Result<Query<'q, Sqlite, Arguments>, StoreError> {
        Ok(query)
    }

    /// A file answers.
    fn given_up(&self, _: &Held) -> impl Future<Output = sqlx::Error> + Send + use<> {
        std::future::pending()
    }

    /// A file's transaction that is given up ends by itself.
    fn set_busy(&self, _: &mut Held, _: bool) {}

    /// Others find out by themselves.
    fn hint(&self) {}
}

#[async_trait]
impl Store for SqliteStore {
    async fn resolve(&self, digest: &Digest) -> Result<Snapshot, StoreError> {
        // Before the statement, as near as can be to where the caller starts to count what is left, and never earlier than
        // that: what is left is never overstated, however long the statement takes.
        let now = self.clock.now();
        self.in_place()?;
        let query = sqlx::query(statements::RESOLVE).bind(digest.to_hex());
        let row = query.fetch_optional(&self.lookups).await.map_err(asking)?;
        rows::snapshot(&row.ok_or_else(no_epoch)?, now)
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
        self.in_place()?;
        let query = sqlx::query(statements::NOTE_USES).bind(lists::uses(uses));
        query.execute(&self.writer).await.map(drop).map_err(asking)
    }
}

#[async_trait]
impl WriteStore for SqliteStore {
    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        let writing = Writing::begin(self.clone());
        match tokio::time::timeout(PATIENCE, writing).await {
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
        self.in_place()?;
        let query = sqlx::query(statements::SIGN_IN_CANDIDATE).bind(comparable(email));
        let row = query.fetch_optional(&self.lookups).await.map_err(asking)?;
        rows::candidate(&row.ok_or_else(no_epoch)?)
    }
}

/// Reading from a file cannot go stale like a network connection, so nothing is tested or renewed.
///
/// But SQLite can end a transaction behind the driver's back (on a full disk, say), which would take it for open for ever. The
/// next one would be a savepoint to the driver, which leaves what it read fixed when it ends.
fn pool() -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .acquire_timeout(PATIENCE)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
}

/// The same for connections that are opened later: to the file that was opened first, whichever is in its place then.
fn watched(place: &Arc<Place>) -> SqlitePoolOptions {
    let place = place.clone();
    pool().after_connect(move |_, _| {
        let checked = place.check().map_err(|error| sqlx::Error::Configuration(Box::new(error)));
        Box::pin(async move { checked })
    })
}

/// Opens the file for writing and brings the tables up to date. Tries again while it is busy: of many who create one file, some
/// come just as another switches its journal, and SQLite does not wait for that by itself.
async fn open_writer(file: &SqliteConnectOptions, place: &Place) -> Result<SqlitePool, StoreError> {
    loop {
        let writer = pool().max_connections(1).connect_with(file.clone()).await;
        let opened = match writer.map_err(|error| opening_for_writing(place.path(), error)) {
            Ok(writer) => schema::bring_up_to_date(&writer, place.path()).await.map(|()| writer),
            Err(error) => Err(error),
        };
        match opened {
            Err(StoreError::Busy) => tokio::time::sleep(Duration::from_millis(20)).await,
            done => return done,
        }
    }
}

/// The file that all connections are to open. Absolute, so that SQLite sees neither an address nor a word of its own in it.
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

    async fn opened() -> (tempfile::TempDir, SqliteStore) {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(dir.path().join("keyward.db")).await.unwrap();
        (dir, store)
    }

    fn role(name: &str) -> NewRole {
        let permissions = (0..2000).map(|n| Permission::new(format!("an action with a long name, number {n}")));
        NewRole { name: name.into(), description: String::new(), permissions: permissions.collect() }
    }

    /// SQLite may end a transaction by itself when the disk is full; the driver would then take it for open for ever.
    #[tokio::test]
    async fn a_full_disk_fails_one_change_and_spoils_no_connection() {
        let (_dir, store) = opened().await;
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
    async fn a_transaction_that_ended_behind_the_drivers_back_is_replaced() {
        let (_dir, store) = opened().await;
        let mut tx = store.begin().await.unwrap();
        tx.insert_role(NewRole { permissions: vec![], ..role("lost") }).await.unwrap();
        drop(tx);
        let mut transaction = store.writer.begin_with(statements::BEGIN).await.unwrap();
        sqlx::query("ROLLBACK").execute(&mut *transaction).await.unwrap();
        drop(transaction);
        store.begin().await.unwrap().commit(&[]).await.unwrap();
    }

    #[tokio::test]
    async fn a_dropped_view_gives_its_connection_back_and_holds_no_moment() {
        let dir = tempfile::tempdir().unwrap();
        let options = SqliteOptions::default().readers(1);
        let store = SqliteStore::open_with(dir.path().join("keyward.db"), options).await.unwrap();
        for seq in 0..5 {
            drop(store.view().await.unwrap());
            let mut transaction = store.readers.begin().await.unwrap();
            sqlx::query("ROLLBACK").execute(&mut *transaction).await.unwrap();
            drop(transaction);
            let mut transaction = store.lookups.begin().await.unwrap();
            sqlx::query("ROLLBACK").execute(&mut *transaction).await.unwrap();
            drop(transaction);
            assert_eq!(store.resolve(&Digest::Native([0; 27])).await.unwrap().seq, seq, "reads are of the present");
            let view = store.view().await.unwrap();
            store.begin().await.unwrap().commit(&[]).await.unwrap();
            drop(view);
        }
    }

    #[tokio::test]
    async fn clamping_reads_no_table_from_end_to_end() {
        let (_dir, store) = opened().await;
        for statement in [statements::MARK_OF_MEMBERS, statements::MARK_OF_OWNER] {
            let plan = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
            let rows = sqlx::query(plan).bind(1).bind(1).fetch_all(&store.writer).await.unwrap();
            let steps: Vec<String> = rows.iter().map(|row| rows::get(row, "detail").unwrap()).collect();
            // What the first step has found is read once, by the second.
            assert!(!steps.iter().any(|step| step.starts_with("SCAN") && step != "SCAN d"), "{steps:#?}");
        }
    }

    #[tokio::test]
    async fn a_rate_is_judged_without_reading_the_audit_log() {
        let (_dir, store) = opened().await;
        let plan = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", statements::NTH_LATEST_EVENT));
        let rows = sqlx::query(plan).fetch_all(&store.writer).await.unwrap();
        let steps: Vec<String> = rows.iter().map(|row| rows::get(row, "detail").unwrap()).collect();
        assert!(
            steps[0].contains("USING INDEX keyward_audit_doer (doer_kind=? AND doer_id=? AND what=? AND at>?)"),
            "{steps:#?}"
        );
    }

    #[tokio::test]
    async fn a_page_by_name_is_read_in_the_order_of_an_index() {
        let (_dir, store) = opened().await;
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
            // The page itself is sorted once more; what is not on it is not.
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
    async fn filters_are_read_once_for_a_list_and_not_for_each_row() {
        let (_dir, store) = opened().await;
        for statement in [statements::COUNT_OWNERS, statements::COUNT_FOUND_TOKENS] {
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
    async fn a_look_up_reads_no_table_from_end_to_end() {
        let (_dir, store) = opened().await;
        for (statement, step) in
            [(statements::RESOLVE, "SEARCH t USING INDEX"), (statements::SIGN_IN_CANDIDATE, "SEARCH o USING INDEX")]
        {
            let plan = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
            let rows = sqlx::query(plan).bind("00").fetch_all(&store.readers).await.unwrap();
            let steps: Vec<String> = rows.iter().map(|row| rows::get(row, "detail").unwrap()).collect();
            assert!(!steps.iter().any(|step| step.starts_with("SCAN")), "{steps:#?}");
            assert!(steps.iter().any(|found| found.contains(step)), "{steps:#?}");
        }
    }

    #[tokio::test]
    async fn sign_in_needs_no_reader() {
        let dir = tempfile::tempdir().unwrap();
        let options = SqliteOptions::default().readers(1);
        let store = SqliteStore::open_with(dir.path().join("keyward.db"), options).await.unwrap();
        let _list = store.view().await.unwrap();
        assert_eq!(store.sign_in_candidate("ada@example.test").await.unwrap(), None);
    }
}
