//! Opening a store: by a path or by a pool of the host, and migrating the tables.

use super::LookupPool;
use super::database_file::DatabaseFile;
use super::error::{query_error, write_open_error};
use super::{MigrationFile, SqliteOptions, SqliteStore, WAIT_TIMEOUT, file, host_connection, pool, schema, stray_log};
use crate::store::StoreError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqlitePool};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

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
    /// [`within`](crate::admin::Tokens::within). A pool of one connection is a warning in the log: `Accounts::account` could not
    /// answer by it during a transaction that issues a token.
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
        if pool.options().get_max_connections() == 1 {
            tracing::warn!(
                "the host's pool has one connection: a transaction that issues a token holds it, and Accounts::account, if it takes the \
                 pool too, waits for it in vain: SqlitePoolOptions::max_connections(2) or more"
            );
        }
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
        let writer = open_writer(&writing, &place, options.migrates).await?;
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
/// some connect just as another switches its journal, and SQLite does not wait for that by itself. A migration has no time
/// limit. A process that waits for the migration of another one gives up after `4 * WAIT_TIMEOUT`.
async fn open_writer(
    file: &SqliteConnectOptions,
    place: &DatabaseFile,
    migrates: bool,
) -> Result<SqlitePool, StoreError> {
    let began = Instant::now();
    loop {
        let writer = pool().max_connections(1).connect_with(file.clone()).await;
        let opened = match writer.map_err(|error| write_open_error(place.path(), error)) {
            Ok(writer) => schema::migrate(&writer, place.path(), migrates).await.map(|()| writer),
            Err(error) => Err(error),
        };
        match opened {
            Err(StoreError::Busy) if began.elapsed() < 4 * WAIT_TIMEOUT => {
                tokio::time::sleep(Duration::from_millis(20)).await
            }
            done => return done,
        }
    }
}
