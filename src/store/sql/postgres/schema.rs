//! Migration of the tables.

use super::error::{OpenError, lock_error, migration_error, query_error};
use super::names::{self, Schema, SchemaLocation, Session, quoted};
use super::{keys, migrator, rows, statements};
use crate::store::StoreError;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{PgConnection, PgPool, query, raw_sql};
use std::sync::Arc;

const MIGRATIONS: [(i64, &str, &str); 7] = [
    (1, "tables", include_str!("../migrations/postgres/0001_tables.sql")),
    (5, "lists", include_str!("../migrations/postgres/0005_lists.sql")),
    (10, "installation", include_str!("../migrations/postgres/0010_installation.sql")),
    (20, "names", include_str!("../migrations/postgres/0020_names.sql")),
    (21, "rates", include_str!("../migrations/postgres/0021_rates.sql")),
    (30, "keys", include_str!("../migrations/postgres/0030_keys.sql")),
    (40, "name scopes", include_str!("../migrations/postgres/0040_name_scopes.sql")),
];

const NEWEST: i64 = MIGRATIONS[MIGRATIONS.len() - 1].0;

/// The tables of an installation, migrated.
#[derive(Debug)]
pub(super) struct Installation {
    pub(super) schema: Schema,
    pub(super) id: String,
    /// The statements of look-ups, qualified once because they run far more often than any other.
    pub(super) resolve: Arc<str>,
    pub(super) resolve_many: Arc<str>,
}

/// Finds the tables and runs missing migrations, all or nothing.
///
/// If none is missing, nothing is locked or written: a role that may only use the tables can start.
pub(super) async fn open(pool: &PgPool, asked: Option<&str>, pooler: bool) -> Result<Installation, StoreError> {
    let mut transaction = pool.begin().await.map_err(query_error)?;
    let session = names::session(&mut transaction).await?;
    // The database must be able to store every text; most other encodings cannot.
    if session.encoding != "UTF8" {
        return Err(OpenError::Encoding { database: session.database, encoding: session.encoding }.into());
    }
    let place = names::choose(&mut transaction, &session, asked).await?;
    let done = is_migrated(&mut transaction, &place, &session).await?;
    transaction.rollback().await.map_err(query_error)?;
    let schema = match (done, place) {
        (true, SchemaLocation::Existing { schema, .. }) => schema,
        _ => migrate(pool, &session, asked, pooler).await?,
    };

    let mut transaction = pool.begin().await.map_err(query_error)?;
    let id = query(schema.qualify(statements::INSTALLATION)).persistent(false);
    let id = id.fetch_optional(&mut *transaction).await.map_err(query_error)?.ok_or_else(super::no_epoch)?;
    let id: String = rows::get(&id, "installation")?;
    transaction.rollback().await.map_err(query_error)?;
    tracing::info!(database = session.database, schema = schema.name, installation = id, "the tables are up to date");
    let [resolve, resolve_many] =
        [statements::RESOLVE, statements::RESOLVE_MANY].map(|statement| schema.qualify(statement).0.into());
    Ok(Installation { schema, id, resolve, resolve_many })
}

/// Returns true if no migration is missing. Fails if this role may not read the tables.
async fn is_migrated(
    connection: &mut PgConnection,
    place: &SchemaLocation,
    session: &Session,
) -> Result<bool, StoreError> {
    let SchemaLocation::Existing { schema, .. } = place else { return Ok(false) };
    let missing = query(statements::MISSING_RIGHTS).bind(&schema.name).persistent(false);
    let missing = missing.fetch_one(&mut *connection).await.map_err(query_error)?;
    let names = || (quoted(&session.role), quoted(&schema.name));
    if let Some(tables) = rows::maybe::<String>(&missing, "unread")? {
        let (role, schema) = names();
        return Err(OpenError::Denied { tables, role, schema }.into());
    }
    let migrated = query(schema.qualify(statements::APPLIED_MIGRATIONS)).persistent(false);
    let rows = migrated.fetch_all(&mut *connection).await.map_err(query_error)?;
    let ours: Migrator = migrator(&MIGRATIONS);
    let mut known = ours.iter();
    for row in &rows {
        let (version, checksum): (i64, Vec<u8>) = (rows::get(row, "version")?, rows::get(row, "checksum")?);
        if version > NEWEST {
            return Err(migration_error(MigrateError::VersionMissing(version), NEWEST));
        }
        if !known.next().is_some_and(|m| m.version == version && *m.checksum == *checksum) {
            return Ok(false);
        }
    }
    let misdirected = query(statements::MISDIRECTED_FUNCTIONS).bind(&schema.name).persistent(false);
    let misdirected = misdirected.fetch_one(connection).await.map_err(query_error)?;
    if known.next().is_some() || rows::get::<i64>(&misdirected, "n")? > 0 {
        return Ok(false);
    }
    if let Some(tables) = rows::maybe::<String>(&missing, "unwritten")? {
        let (role, schema) = names();
        tracing::warn!(
            tables,
            "the role may not write to every table, so changes will fail: GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN \
             SCHEMA {schema} TO {role}"
        );
    }
    Ok(true)
}

/// Runs missing migrations. Nodes that start at the same time wait for one another, up to 30 s.
async fn migrate(pool: &PgPool, session: &Session, asked: Option<&str>, pooler: bool) -> Result<Schema, StoreError> {
    let mut transaction = pool.begin().await.map_err(query_error)?;
    raw_sql(statements::LOCK_MIGRATIONS).execute(&mut *transaction).await.map_err(lock_error)?;
    // Another node may have finished meanwhile.
    let place = names::choose(&mut transaction, session, asked).await?;
    if is_migrated(&mut transaction, &place, session).await? {
        transaction.rollback().await.map_err(query_error)?;
    } else {
        let ran = run(&mut transaction, &place, &session.role).await;
        if pooler {
            // The migrator prepares named statements, which would stay for the next user of this session.
            let end = if ran.is_ok() { "DEALLOCATE ALL" } else { "ROLLBACK; DEALLOCATE ALL" };
            raw_sql(end).execute(&mut *transaction).await.map_err(query_error)?;
        }
        ran.map_err(|error| OpenError::with_missing_right(error, &place, session))?;
        transaction.commit().await.map_err(query_error)?;
    }
    match place {
        SchemaLocation::Existing { schema, .. } | SchemaLocation::New { schema, .. } => Ok(schema),
    }
}

async fn run(connection: &mut PgConnection, place: &SchemaLocation, role: &str) -> Result<(), StoreError> {
    let (SchemaLocation::Existing { schema, .. } | SchemaLocation::New { schema, .. }) = place;
    if let SchemaLocation::New { exists: false, .. } = place {
        let create = sqlx::AssertSqlSafe(format!("CREATE SCHEMA {}", quoted(&schema.name)));
        raw_sql(create).execute(&mut *connection).await.map_err(query_error)?;
    }
    let home = query(statements::SET_SEARCH_PATH).bind(&schema.name).persistent(false);
    home.execute(&mut *connection).await.map_err(query_error)?;
    // In a schema that the role may not use, names would mean temporary tables.
    let home =
        query(statements::CURRENT_SCHEMA).persistent(false).fetch_one(&mut *connection).await.map_err(query_error)?;
    if rows::maybe::<String>(&home, "home")?.as_ref() != Some(&schema.name) {
        let (role, schema) = (quoted(role), quoted(&schema.name));
        return Err(OpenError::CreateTables { role, schema, source: None }.into());
    }
    let mut run = migrator(&MIGRATIONS);
    // The migrator's lock belongs to the session, which a pooler does not keep.
    run.set_locking(false);
    run.run_direct(None, &mut *connection, false).await.map_err(|error| migration_error(error, NEWEST))?;
    keys::fill(&mut *connection).await?;
    // The schema may have been renamed.
    for statement in statements::PIN_SEARCH_PATH {
        raw_sql(statement).execute(&mut *connection).await.map_err(query_error)?;
    }
    Ok(())
}
