//! Migration of the tables.

use super::error::{OpenError, lock_error, migration_error, query_error};
use super::names::{self, Schema, SchemaLocation, Session, quoted};
use super::{file_name, keys, migrator, rows, statements};
use crate::store::StoreError;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{Connection, PgConnection, PgPool, query, raw_sql};
use std::collections::HashMap;
use std::sync::Arc;

pub(in crate::store::sql) const MIGRATIONS: [(i64, &str, &str); 12] = [
    (1, "tables", include_str!("../migrations/postgres/0001_tables.sql")),
    (5, "lists", include_str!("../migrations/postgres/0005_lists.sql")),
    (10, "installation", include_str!("../migrations/postgres/0010_installation.sql")),
    (20, "names", include_str!("../migrations/postgres/0020_names.sql")),
    (21, "rates", include_str!("../migrations/postgres/0021_rates.sql")),
    (30, "keys", include_str!("../migrations/postgres/0030_keys.sql")),
    (40, "name_scopes", include_str!("../migrations/postgres/0040_name_scopes.sql")),
    (50, "accounts", include_str!("../migrations/postgres/0050_accounts.sql")),
    (60, "metadata", include_str!("../migrations/postgres/0060_metadata.sql")),
    (70, "tools", include_str!("../migrations/postgres/0070_tools.sql")),
    (80, "life", include_str!("../migrations/postgres/0080_life.sql")),
    (90, "notices", include_str!("../migrations/postgres/0090_notices.sql")),
];

const NEWEST: i64 = MIGRATIONS[MIGRATIONS.len() - 1].0;

/// The statements of a look-up.
#[derive(Debug)]
pub(super) struct Lookup {
    /// Returns tokens without their ancestors.
    pub(super) without_ancestors: Arc<str>,
    /// Returns tokens with their ancestors.
    pub(super) with_ancestors: Arc<str>,
}

/// The tables of an installation, migrated.
#[derive(Debug)]
pub(super) struct Installation {
    pub(super) schema: Schema,
    pub(super) id: String,
    /// The statements of look-ups, qualified once because they run far more often than any other.
    pub(super) resolve: Lookup,
    pub(super) resolve_many: Lookup,
    /// The channel of hints, which no other installation of the database uses.
    pub(super) channel: String,
}

/// Finds the tables and runs missing migrations, all or nothing; fails if some are missing and `migrates` is false.
///
/// If none is missing, nothing is locked or written: a role that may only use the tables can start.
pub(super) async fn open(
    pool: &PgPool,
    asked: Option<&str>,
    pooler: bool,
    migrates: bool,
) -> Result<Installation, StoreError> {
    let mut transaction = pool.begin().await.map_err(query_error)?;
    let session = names::session(&mut transaction).await?;
    // The database must be able to store every text; most other encodings cannot.
    if session.encoding != "UTF8" {
        return Err(OpenError::Encoding { database: session.database, encoding: session.encoding }.into());
    }
    let place = names::choose(&mut transaction, &session, asked).await?;
    let missing = missing(&mut transaction, &place, &session).await?;
    transaction.rollback().await.map_err(query_error)?;
    let schema = match missing.is_empty() {
        true => place.into_schema(),
        false if migrates => migrate(pool, &session, asked, pooler).await?,
        false => {
            let (schema, missing) = (quoted(&place.into_schema().name), missing.join(", "));
            return Err(OpenError::Outdated { schema, missing }.into());
        }
    };

    let mut transaction = pool.begin().await.map_err(query_error)?;
    let id = query(schema.qualify(statements::INSTALLATION)).persistent(false);
    let id = id.fetch_optional(&mut *transaction).await.map_err(query_error)?.ok_or_else(super::no_epoch)?;
    let id: String = rows::get(&id, "installation")?;
    transaction.rollback().await.map_err(query_error)?;
    tracing::info!(database = session.database, schema = schema.name, installation = id, "the tables are up to date");
    let qualified = |statement| schema.qualify(statement).0.into();
    let lookup = |without, with| Lookup { without_ancestors: qualified(without), with_ancestors: qualified(with) };
    let resolve = lookup(statements::RESOLVE_ALONE, statements::RESOLVE);
    let resolve_many = lookup(statements::RESOLVE_MANY_ALONE, statements::RESOLVE_MANY);
    let channel = format!("keyward:{id}");
    Ok(Installation { schema, id, resolve, resolve_many, channel })
}

/// Returns what the tables lack, by the names of the migrations. Fails if this role may not read them, or if they have
/// a migration of a newer release.
async fn missing(
    connection: &mut PgConnection,
    place: &SchemaLocation,
    session: &Session,
) -> Result<Vec<String>, StoreError> {
    let SchemaLocation::Existing { schema, .. } = place else {
        return Ok(MIGRATIONS.iter().map(file_name).collect());
    };
    let rights = query(statements::MISSING_RIGHTS).bind(&schema.name).persistent(false);
    let rights = rights.fetch_one(&mut *connection).await.map_err(query_error)?;
    let names = || (quoted(&session.role), quoted(&schema.name));
    if let Some(tables) = rows::maybe::<String>(&rights, "unread")? {
        let (role, schema) = names();
        return Err(OpenError::Denied { tables, role, schema }.into());
    }
    let migrated = query(schema.qualify(statements::APPLIED_MIGRATIONS)).persistent(false);
    let mut applied = HashMap::new();
    for row in &migrated.fetch_all(&mut *connection).await.map_err(query_error)? {
        let (version, checksum): (i64, Vec<u8>) = (rows::get(row, "version")?, rows::get(row, "checksum")?);
        if version > NEWEST {
            return Err(migration_error(MigrateError::VersionMissing(version), NEWEST));
        }
        applied.insert(version, checksum);
    }
    let ours: Migrator = migrator(&MIGRATIONS);
    let is_applied = |version: i64| {
        ours.iter().any(|m| m.version == version && applied.get(&version).is_some_and(|c| **c == *m.checksum))
    };
    let mut missing: Vec<String> = MIGRATIONS.iter().filter(|m| !is_applied(m.0)).map(file_name).collect();
    let misdirected = query(statements::MISDIRECTED_FUNCTIONS).bind(&schema.name).persistent(false);
    let misdirected = misdirected.fetch_one(connection).await.map_err(query_error)?;
    if missing.is_empty() && rows::get::<i64>(&misdirected, "n")? > 0 {
        missing
            .push(format!("the search_path of keyward's functions, which has to be {}, pg_temp", quoted(&schema.name)));
    }
    if missing.is_empty()
        && let Some(tables) = rows::maybe::<String>(&rights, "unwritten")?
    {
        let (role, schema) = names();
        tracing::warn!(
            tables,
            "the role may not write to every table, so changes will fail: GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN \
             SCHEMA {schema} TO {role}"
        );
    }
    Ok(missing)
}

/// Runs missing migrations. Nodes that start at the same time wait for one another, up to 30 s.
async fn migrate(pool: &PgPool, session: &Session, asked: Option<&str>, pooler: bool) -> Result<Schema, StoreError> {
    // The migrator prepares statements, which shall not stay in a session of the host.
    let mut connection = pool.acquire().await.map_err(query_error)?.detach();
    let mut transaction = connection.begin_with(statements::BEGIN_MIGRATION).await.map_err(query_error)?;
    raw_sql(statements::MIGRATION_SETTINGS).execute(&mut *transaction).await.map_err(query_error)?;
    let place = lock(&mut transaction, session, asked).await?;
    if missing(&mut transaction, &place, session).await?.is_empty() {
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
    _ = connection.close().await;
    Ok(place.into_schema())
}

/// Locks the schema against other nodes that migrate it. Installations in other schemas do not wait.
async fn lock(
    connection: &mut PgConnection,
    session: &Session,
    asked: Option<&str>,
) -> Result<SchemaLocation, StoreError> {
    let mut place = names::choose(&mut *connection, session, asked).await?;
    loop {
        let lock = query(statements::LOCK_MIGRATIONS).bind(&place.schema().name).persistent(false);
        lock.execute(&mut *connection).await.map_err(lock_error)?;
        // Another node may have created or migrated the tables meanwhile.
        let now = names::choose(&mut *connection, session, asked).await?;
        if now.schema() == place.schema() {
            return Ok(now);
        }
        place = now;
    }
}

async fn run(connection: &mut PgConnection, place: &SchemaLocation, role: &str) -> Result<(), StoreError> {
    let schema = place.schema();
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
