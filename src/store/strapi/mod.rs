//! A read-only store over Strapi's own database.

mod data;
mod error;
mod rows;
mod statements;

#[cfg(test)]
pub(crate) use data::SealedKey;
pub use data::UnsupportedRow;
pub(crate) use data::{StrapiAuthority, StrapiData, StrapiRole, StrapiToken, StrapiUser};

use super::sql::{postgres, sqlite};
use super::{Following, PostgresOptions, Snapshot, Store, StoreError, Use};
use crate::domain::{Clock, Conditions, Digest, SystemClock, Timestamp};
use async_trait::async_trait;
use error::OpenError;
use statements::REQUIRED_COLUMNS;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// The database of a Strapi 5 as a read-only [`Store`], whether Strapi is running or not. Clones share their
/// connections.
///
/// Strapi's admin and content tokens are accepted as they are there, with their owners, roles, permissions and
/// conditions. Nothing is written (the connections cannot), and Strapi needs no configuration. Build with Strapi's hash
/// key:
///
/// ```no_run
/// # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
/// use keyward::strapi::StrapiStore;
/// use keyward::authz::Conditions;
/// use keyward::token::StrapiHashKey;
/// use keyward::HashKey;
/// use keyward::guard::Guard;
///
/// let store = StrapiStore::open("sqlite:/srv/cms/.tmp/data.db").await?;
/// for left in store.unsupported_rows(&Conditions::default()).await? {
///     println!("allows nothing here: {left}");
/// }
/// let (hash_key, _) = HashKey::generate()?; // for keyward's own tokens, of which that database has none
/// let guard = Guard::builder(store)
///     .hash_key(hash_key)
///     .strapi_hash_key(StrapiHashKey::new(&std::env::var("API_TOKEN_SALT")?)?)
///     .admin("/admin")
///     .content("/api")
///     .build()?;
/// # Ok(()) }
/// ```
///
/// - **Changes** take effect after [`Limits::max_staleness`](crate::guard::Limits::max_staleness) at the latest. There
///   is no log of changes to follow, so cached tokens are reloaded that often.
/// - **Stricter** than Strapi: a token whose owner is gone is a 401 (500 in Strapi), and so is one with a permission
///   whose `properties` or `conditions` are NULL (also a 500). Unsupported rows allow nothing: an empty list of fields,
///   properties such as `locales`, no locales where the resource has them, and conditions that are not registered.
///   Effective permissions are exact; Strapi adds up the fields and conditions of several permissions separately, and
///   shows more than the owner may see.
/// - **Times** have no zone in PostgreSQL: Strapi writes local times of its process, and they are read as UTC here. Run
///   Strapi with `TZ=UTC`, or its tokens end early or late here by the difference. SQLite has milliseconds since 1970.
/// - **Look-ups** search `strapi_api_tokens` by `access_key`. Strapi has no index on it; create one if there are very
///   many tokens.
#[derive(Clone)]
pub struct StrapiStore {
    database: Database,
    clock: Arc<dyn Clock>,
    notes_uses: bool,
    unknown_tokens: Arc<UnknownTokens>,
}

#[derive(Clone)]
enum Database {
    Sqlite(Box<sqlite::readonly::ReadOnlyDatabase>),
    Postgres(postgres::readonly::ReadOnlyDatabase),
}

/// Detection of a wrong hash key: the database does not record it, but if no token is ever found, it is probably
/// another one.
#[derive(Default)]
struct UnknownTokens {
    known: AtomicBool,
    unknown: AtomicU32,
}

impl UnknownTokens {
    /// The number of unknown tokens in a row that is worth a log line.
    const WARN_AT: u32 = 16;

    fn count(&self, known: bool) {
        if known {
            self.known.store(true, Ordering::Relaxed);
        } else if !self.known.load(Ordering::Relaxed)
            && self.unknown.fetch_add(1, Ordering::Relaxed) + 1 == Self::WARN_AT
        {
            tracing::warn!(
                "none of the first {} tokens was found: check that the hash key is Strapi's API_TOKEN_SALT",
                Self::WARN_AT
            );
        }
    }
}

/// Options of a [`StrapiStore`].
///
/// ```
/// let options = keyward::strapi::StrapiOptions::default().connections(2);
/// ```
#[derive(Clone)]
pub struct StrapiOptions {
    connections: u32,
    pooler: bool,
    notes_uses: bool,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for StrapiStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StrapiStore").finish_non_exhaustive()
    }
}

impl fmt::Debug for StrapiOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("StrapiOptions");
        debug.field("connections", &self.connections).field("transaction_pooler", &self.pooler);
        debug.field("note_uses", &self.notes_uses).finish_non_exhaustive()
    }
}

impl Default for StrapiOptions {
    fn default() -> Self {
        Self { connections: 8, pooler: false, notes_uses: false, clock: Arc::new(SystemClock) }
    }
}

impl StrapiOptions {
    /// Sets the maximum number of connections, at least one. Default 8: more than unknown secrets can occupy at a time.
    #[must_use]
    pub fn connections(mut self, connections: u32) -> Self {
        self.connections = connections.max(1);
        self
    }

    /// Declares that the address leads to a pooler in transaction mode: see
    /// [`PostgresOptions::transaction_pooler`](crate::store::PostgresOptions::transaction_pooler).
    #[must_use]
    pub fn transaction_pooler(mut self) -> Self {
        self.pooler = true;
        self
    }

    /// Writes `last_used_at`, at most once an hour for each token, like Strapi. Nothing else is written.
    #[must_use]
    pub fn note_uses(mut self) -> Self {
        self.notes_uses = true;
        self
    }

    /// Sets the source of time for SQLite, for tests. PostgreSQL's own time is used there.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }
}

impl StrapiStore {
    /// Opens `sqlite:FILE` or `postgres://USER:PASSWORD@HOST/DATABASE`, and checks that it is Strapi's database.
    ///
    /// For PostgreSQL, a role that may only `SELECT` is enough. The tables are those of its `search_path`.
    ///
    /// # Errors
    /// Returns [`StoreError::Unavailable`] if the address is invalid or unreachable, the file is missing or not a
    /// database, or a table or column is missing. The error's source names the problem and the remedy.
    pub async fn open(address: &str) -> Result<Self, StoreError> {
        Self::open_with(address, StrapiOptions::default()).await
    }

    /// Opens the database with options.
    ///
    /// # Errors
    /// Like [`open`](Self::open).
    pub async fn open_with(address: &str, options: StrapiOptions) -> Result<Self, StoreError> {
        let StrapiOptions { connections, pooler, notes_uses, clock } = options;
        let database = match address.strip_prefix("sqlite:") {
            Some(file) => {
                Database::Sqlite(Box::new(sqlite::readonly::ReadOnlyDatabase::open(file.as_ref(), connections).await?))
            }
            None if address.starts_with("postgres") => {
                let options = PostgresOptions::default().connections(connections);
                let options = if pooler { options.transaction_pooler() } else { options };
                Database::Postgres(postgres::readonly::ReadOnlyDatabase::connect(address, &options).await?)
            }
            None => return Err(OpenError::Address.into()),
        };
        let store = Self { database, clock, notes_uses, unknown_tokens: Arc::default() };
        store.check_schema().await?;
        Ok(store)
    }

    /// Closes all connections, for all clones.
    pub async fn close(&self) {
        match &self.database {
            Database::Sqlite(database) => database.close().await,
            Database::Postgres(database) => database.close().await,
        }
    }

    /// Returns the rows that are not supported with these conditions, and so allow nothing here.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the database cannot be read.
    pub async fn unsupported_rows(&self, conditions: &Conditions) -> Result<Vec<UnsupportedRow>, StoreError> {
        Ok(self.read_all().await?.into_unsupported_rows(conditions))
    }

    /// Returns everything that can be imported.
    pub(crate) async fn read_all(&self) -> Result<StrapiData, StoreError> {
        let text = match &self.database {
            Database::Sqlite(database) => database.text(statements::sqlite::SELECT_ALL, None).await?,
            Database::Postgres(database) => database.text(statements::postgres::SELECT_ALL, None).await?,
        };
        Ok(rows::parse::<rows::AllRows>(&text)?.into_data())
    }

    /// Checks that this is a Strapi database that can be read.
    async fn check_schema(&self) -> Result<(), StoreError> {
        let text = match &self.database {
            Database::Sqlite(database) => database.text(statements::sqlite::COLUMNS, None).await?,
            Database::Postgres(database) => database.text(statements::postgres::COLUMNS, None).await?,
        };
        let columns: HashSet<String> = rows::parse(&text)?;
        let has = |table: &str| columns.iter().any(|c| c.split('.').next() == Some(table));
        // Tables that were renamed in version 5.
        if has("admin_permissions_role_links") {
            return Err(OpenError::Older.into());
        }
        if !REQUIRED_COLUMNS.iter().any(|(table, _)| has(table)) {
            return Err(OpenError::NoTables.into());
        }
        for (table, required) in REQUIRED_COLUMNS {
            if !has(table) {
                return Err(OpenError::Table(table).into());
            }
            if let Some(column) = required.iter().find(|column| !columns.contains(&format!("{table}.{column}"))) {
                return Err(OpenError::Column(table, column).into());
            }
        }
        // Unreadable tables and columns of another type are reported now, not on the first request.
        self.find(&Digest::Strapi([0; 64])).await.map(drop).map_err(error::first_query)
    }

    async fn find(&self, digest: &Digest) -> Result<rows::FoundTokens, StoreError> {
        let hex = digest.to_hex();
        let text = match &self.database {
            Database::Sqlite(database) => database.text(statements::sqlite::RESOLVE, Some(&hex)).await?,
            Database::Postgres(database) => database.text(statements::postgres::RESOLVE, Some(&hex)).await?,
        };
        rows::parse(&text)
    }
}

#[async_trait]
impl Store for StrapiStore {
    async fn resolve(&self, digest: &Digest) -> Result<Snapshot, StoreError> {
        // Read before the statement, so that the remaining life of a token is never overstated.
        let before = self.clock.now();
        // Strapi's database has no tokens of keyward.
        let record = match digest {
            Digest::Native(_) | Digest::Legacy(_) => None,
            Digest::Strapi(_) => {
                let found = self.find(digest).await?;
                let now = if found.now == 0 { before } else { Timestamp(found.now) };
                self.unknown_tokens.count(found.any());
                found.record(digest, now)
            }
        };
        Ok(Snapshot { seq: 0, op_id: None, record })
    }

    async fn note_uses(&self, uses: &[Use]) -> Result<(), StoreError> {
        if !self.notes_uses || uses.is_empty() {
            return Ok(());
        }
        let uses = super::sql::uses(uses);
        match &self.database {
            Database::Sqlite(database) => database.write(statements::sqlite::NOTE_USES, &uses).await,
            Database::Postgres(database) => database.write(statements::postgres::NOTE_USES, &uses).await,
        }
    }

    fn following(&self) -> Following {
        Following::Blind
    }

    async fn key_checks(&self) -> Result<Option<Vec<crate::store::KeyCheck>>, StoreError> {
        Ok(None)
    }

    async fn close(&self) {}
}
