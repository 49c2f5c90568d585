//! The reference's own database, read only.

mod error;
mod foreign;
mod rows;
mod statements;

pub use foreign::NotUnderstood;
#[cfg(test)]
pub(crate) use foreign::Sealed;
pub(crate) use foreign::{Foreign, ForeignAuthority, ForeignRole, ForeignToken, ForeignUser};

use super::sql::{postgres, sqlite};
use super::{Following, PostgresOptions, Snapshot, Store, StoreError, Use};
use crate::domain::{Clock, Conditions, Digest, SystemClock, Timestamp};
use async_trait::async_trait;
use error::OpenError;
use statements::NEEDED;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// The database of a Strapi 5 that is running, or was, as a [`Store`]: its admin and content tokens are honoured here as they are
/// there, with their owners, roles, permissions and conditions. Clones share their connections.
///
/// Nothing is ever written (the connections cannot), and nobody there has to know. Build with the salt of the reference:
///
/// ```no_run
/// # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
/// use keyward::strapi::StrapiStore;
/// use keyward::authz::Conditions;
/// use keyward::token::StrapiHashKey;
/// use keyward::{HashKey, Keyward};
///
/// let store = StrapiStore::open("sqlite:/srv/cms/.tmp/data.db").await?;
/// for left in store.not_understood(&Conditions::default()).await? {
///     println!("allows nothing here: {left}");
/// }
/// let (hash_key, _) = HashKey::generate()?; // for tokens of our own, of which that database has none
/// let keyward = Keyward::builder(store)
///     .hash_key(hash_key)
///     .strapi_hash_key(StrapiHashKey::new(&std::env::var("API_TOKEN_SALT")?)?)
///     .admin("/admin")
///     .content("/api")
///     .build()?;
/// # Ok(()) }
/// ```
///
/// - **Changes** are seen after [`Limits::max_staleness`](crate::guard::Limits::max_staleness) at the latest: there is no log of them to
///   follow, so that is how long an answer is used.
/// - **Stricter** than the reference: a token whose owner is gone is a 401 (there a 500), and so is one with a permission whose
///   `properties` or `conditions` are NULL (a 500, too); what is not understood allows nothing (an empty list of fields,
///   properties such as `locales`, none of these where the subject has them, conditions that are not registered); rules are
///   exact, where the reference adds fields and conditions of several permissions up separately and shows more than the owner
///   may see.
/// - **Times** have no zone in PostgreSQL: Strapi writes those of the zone its process runs in, and they are read as UTC here. Run
///   it with `TZ=UTC`, or else its tokens end early or late here, by the difference. SQLite has milliseconds since 1970.
/// - **Look-ups** search `strapi_api_tokens` by `access_key`. The reference has no index on it; with very many tokens, make one.
#[derive(Clone)]
pub struct StrapiStore {
    database: Database,
    clock: Arc<dyn Clock>,
    notes_uses: bool,
    strangers: Arc<Strangers>,
}

#[derive(Clone)]
enum Database {
    Sqlite(Box<sqlite::readonly::Guest>),
    Postgres(postgres::readonly::Guest),
}

/// Nothing in the database tells the salt. But if nobody at all is known by it, it is probably another one.
#[derive(Default)]
struct Strangers {
    known: AtomicBool,
    unknown: AtomicU32,
}

impl Strangers {
    /// So many in a row are worth a line in the log.
    const MANY: u32 = 16;

    fn came(&self, known: bool) {
        if known {
            self.known.store(true, Ordering::Relaxed);
        } else if !self.known.load(Ordering::Relaxed) && self.unknown.fetch_add(1, Ordering::Relaxed) + 1 == Self::MANY
        {
            tracing::warn!(
                "no token was known so far, of {}: is the salt the API_TOKEN_SALT of the reference?",
                Self::MANY
            );
        }
    }
}

/// How a [`StrapiStore`] is opened.
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
        let mut shown = f.debug_struct("StrapiOptions");
        shown.field("connections", &self.connections).field("transaction_pooler", &self.pooler);
        shown.field("note_uses", &self.notes_uses).finish_non_exhaustive()
    }
}

impl Default for StrapiOptions {
    fn default() -> Self {
        Self { connections: 8, pooler: false, notes_uses: false, clock: Arc::new(SystemClock) }
    }
}

impl StrapiOptions {
    /// How many connections read, at most; at least one. Default 8: more than unknown secrets can take at a time.
    #[must_use]
    pub fn connections(mut self, connections: u32) -> Self {
        self.connections = connections.max(1);
        self
    }

    /// The address is that of a pooler in transaction mode: see
    /// [`PostgresOptions::transaction_pooler`](crate::store::PostgresOptions::transaction_pooler).
    #[must_use]
    pub fn transaction_pooler(mut self) -> Self {
        self.pooler = true;
        self
    }

    /// Writes `last_used_at` after all, at most once an hour for each token, as the reference does. Nothing else is written.
    #[must_use]
    pub fn note_uses(mut self) -> Self {
        self.notes_uses = true;
        self
    }

    /// Where the time comes from on SQLite, for tests. PostgreSQL is asked itself.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }
}

impl StrapiStore {
    /// Opens `sqlite:FILE` or `postgres://USER:PASSWORD@HOST/DATABASE`, and looks whether it is the reference's.
    ///
    /// For PostgreSQL a role that may only `SELECT` is enough. The tables are those of its `search_path`.
    ///
    /// # Errors
    /// If the address cannot be read or reached, the file is not there or no database, or a table or column is missing; the
    /// error's source says which, and what to check.
    pub async fn open(address: &str) -> Result<Self, StoreError> {
        Self::open_with(address, StrapiOptions::default()).await
    }

    /// The same with options.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_with(address: &str, options: StrapiOptions) -> Result<Self, StoreError> {
        let StrapiOptions { connections, pooler, notes_uses, clock } = options;
        let database = match address.strip_prefix("sqlite:") {
            Some(file) => Database::Sqlite(Box::new(sqlite::readonly::Guest::open(file.as_ref(), connections).await?)),
            None if address.starts_with("postgres") => {
                let options = PostgresOptions::default().connections(connections);
                let options = if pooler { options.transaction_pooler() } else { options };
                Database::Postgres(postgres::readonly::Guest::connect(address, &options).await?)
            }
            None => return Err(OpenError::Address.into()),
        };
        let store = Self { database, clock, notes_uses, strangers: Arc::default() };
        store.look().await?;
        Ok(store)
    }

    /// Closes all connections, for all clones.
    pub async fn close(&self) {
        match &self.database {
            Database::Sqlite(guest) => guest.close().await,
            Database::Postgres(guest) => guest.close().await,
        }
    }

    /// What of the database is not understood, with these conditions, and so allows nothing here.
    ///
    /// # Errors
    /// If the store cannot be asked.
    pub async fn not_understood(&self, conditions: &Conditions) -> Result<Vec<NotUnderstood>, StoreError> {
        Ok(self.everything().await?.into_not_understood(conditions))
    }

    /// All that can be taken over.
    pub(crate) async fn everything(&self) -> Result<Foreign, StoreError> {
        let text = match &self.database {
            Database::Sqlite(guest) => guest.text(statements::sqlite::EVERYTHING, None).await?,
            Database::Postgres(guest) => guest.text(statements::postgres::EVERYTHING, None).await?,
        };
        Ok(rows::parse::<rows::Everything>(&text)?.foreign())
    }

    /// Whether this is a database that can be read.
    async fn look(&self) -> Result<(), StoreError> {
        let text = match &self.database {
            Database::Sqlite(guest) => guest.text(statements::sqlite::COLUMNS, None).await?,
            Database::Postgres(guest) => guest.text(statements::postgres::COLUMNS, None).await?,
        };
        let columns: HashSet<String> = rows::parse(&text)?;
        let has = |table: &str| columns.iter().any(|c| c.split('.').next() == Some(table));
        // What was renamed with version 5.
        if has("admin_permissions_role_links") {
            return Err(OpenError::Older.into());
        }
        if !NEEDED.iter().any(|(table, _)| has(table)) {
            return Err(OpenError::NoTables.into());
        }
        for (table, needed) in NEEDED {
            if !has(table) {
                return Err(OpenError::Table(table).into());
            }
            if let Some(column) = needed.iter().find(|column| !columns.contains(&format!("{table}.{column}"))) {
                return Err(OpenError::Column(table, column).into());
            }
        }
        // What may not be read, or is of another type, is said now and not when somebody comes.
        self.found(&Digest::Strapi([0; 64])).await.map(drop).map_err(error::first_question)
    }

    async fn found(&self, digest: &Digest) -> Result<rows::Found, StoreError> {
        let hex = digest.to_hex();
        let text = match &self.database {
            Database::Sqlite(guest) => guest.text(statements::sqlite::RESOLVE, Some(&hex)).await?,
            Database::Postgres(guest) => guest.text(statements::postgres::RESOLVE, Some(&hex)).await?,
        };
        rows::parse(&text)
    }
}

#[async_trait]
impl Store for StrapiStore {
    async fn resolve(&self, digest: &Digest) -> Result<Snapshot, StoreError> {
        // Before the statement, so that what is left of a token is never overstated.
        let before = self.clock.now();
        // The database has none of our own.
        let record = match digest {
            Digest::Native(_) => None,
            Digest::Strapi(_) => {
                let found = self.found(digest).await?;
                let now = if found.now == 0 { before } else { Timestamp(found.now) };
                self.strangers.came(found.any());
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
            Database::Sqlite(guest) => guest.write(statements::sqlite::NOTE_USES, &uses).await,
            Database::Postgres(guest) => guest.write(statements::postgres::NOTE_USES, &uses).await,
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
