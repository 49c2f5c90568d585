//! Mapping of database errors to store errors.

use super::names::{SchemaLocation, Session, quoted};
use crate::store::StoreError;
use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use std::io::ErrorKind;

/// SQLSTATE codes with a specific meaning (PostgreSQL documentation, appendix A).
mod code {
    /// Another change came first: a unique key is taken, a referenced row is gone, or rows exclude one another.
    pub(super) const CONFLICT: [&str; 3] = ["23505", "23503", "23P01"];
    /// The class of data exceptions: a value that cannot be stored, such as U+0000 or a number that is too large.
    pub(super) const DATA: &str = "22";
    /// A lock timeout, a deadlock, or a race with a transaction that does not take the epoch first.
    pub(super) const BUSY: [&str; 4] = ["55P03", "40P01", "40001", "57014"];
    /// A prepared statement is missing, exists already, or no longer fits its tables: the connection leads to another
    /// server, or the tables were changed.
    pub(super) const STALE: [&str; 4] = ["26000", "42P05", "0A000", "08P01"];
    /// The server ended the session: it shuts down, it starts again after a crash, or the session was idle for too long.
    pub(super) const ENDED: [&str; 4] = ["57P01", "57P02", "57P03", "57P05"];
    pub(super) const FORBIDDEN: &str = "42501";
    /// A missing table, column, function or schema.
    pub(super) const MISSING: [&str; 4] = ["42P01", "42703", "42883", "3F000"];
    pub(super) const READ_ONLY: &str = "25006";
    /// The server rejects the user or the password.
    pub(super) const LOGIN: [&str; 2] = ["28P01", "28000"];
    pub(super) const NO_DATABASE: &str = "3D000";
    pub(super) const FULL: &str = "53300";
}

/// Why a database could not be opened as a store.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error("invalid database address: write postgres://user:password@host:port/database")]
    Scheme,
    // The parser's own error may quote the invalid part, which may belong to the password.
    #[error(
        "cannot parse the database address: write postgres://user:password@host:port/database, with %40 for @, %3A for :, \
         %2F for /, %3F for ?, %23 for # and %25 for % in the user name and the password"
    )]
    Url,
    #[error("cannot open the store at {place}")]
    At {
        place: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("nothing listens at the host and port: check both, and that the server runs and listens there")]
    Closed(#[source] sqlx::Error),
    #[error("cannot reach the host: check its name, the port, and the network in between")]
    Unreachable(#[source] sqlx::Error),
    #[error("the server rejects this login: check the user name, the password and the server's pg_hba.conf")]
    Login(#[source] sqlx::Error),
    #[error("no such database: correct its name, or create it with ENCODING 'UTF8'")]
    NoDatabase(#[source] sqlx::Error),
    #[error("no free connection on the server: raise max_connections or the role's limit, or use fewer connections")]
    Full(#[source] sqlx::Error),
    #[error("the role lacks a right: grant what the operating guide lists")]
    Forbidden(#[source] sqlx::Error),
    #[error("missing table or schema: restore it, and restart the node if it was moved or renamed")]
    Missing(#[source] sqlx::Error),
    #[error("the session is read-only: check default_transaction_read_only of the role and the database")]
    ReadOnly(#[source] sqlx::Error),
    #[error(
        "the database {database} has the encoding {encoding}, which cannot store every text: create one with CREATE DATABASE .. \
         ENCODING 'UTF8' TEMPLATE template0, and move the data there with pg_dump and pg_restore"
    )]
    Encoding { database: String, encoding: String },
    #[error(
        "several schemas of the search path have tables of keyward: {0}: choose one with PostgresOptions::schema(), or drop the tables \
         that are not used"
    )]
    Schemas(String),
    #[error(
        "the role {role} may not use the schema {schema}, where the tables are: GRANT USAGE ON SCHEMA {schema} TO {role}"
    )]
    Usage { role: String, schema: String },
    #[error(
        "the role {role} may create tables in no schema of its search path ({path}): GRANT USAGE, CREATE ON one of them TO {role}, or \
         choose a schema with PostgresOptions::schema()"
    )]
    NoSchema { role: String, path: String },
    #[error(
        "the role {role} may not read {tables} in the schema {schema}: GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA \
         {schema} TO {role}"
    )]
    Denied { tables: String, role: String, schema: String },
    #[error(
        "the role {role} may not create the schema {schema}: CREATE SCHEMA {schema} AUTHORIZATION {role}, or GRANT CREATE ON DATABASE \
         {database} TO {role}"
    )]
    CreateSchema {
        role: String,
        schema: String,
        database: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error(
        "the role {role} may not create tables in the schema {schema}: GRANT USAGE, CREATE ON SCHEMA {schema} TO {role}, or start once \
         with a role that may"
    )]
    CreateTables {
        role: String,
        schema: String,
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    #[error(
        "the tables in the schema {schema} need a migration, which the role {role} may not run: start once as their owner \
         {owner}, or GRANT {owner} TO {role}"
    )]
    Migrate {
        role: String,
        schema: String,
        owner: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error(
        "the tables belong to another installation than at the start: if that is intended, restart the node; else check where the \\
         address leads"
    )]
    OtherInstallation,
    #[error("unknown parameter in the database address{}: leave it out, or correct its name", parameter_name(.0))]
    Parameter(Option<String>),
    #[error(
        "the database has migration {version}, which this version does not know (its last one is {newest}): use the newer version that \
         wrote it"
    )]
    Newer { version: i64, newest: i64, source: MigrateError },
    #[error(
        "the tables in the schema {schema} are older than this version, which does not migrate them as it is configured. Missing: {missing}. \
         Call PostgresStore::migrate(), or run these files of PostgresStore::migration_files(), with the role that owns the tables"
    )]
    Outdated { schema: String, missing: String },
    #[error(
        "the pool has {connections} connections, of which keyward would take too many: PgPoolOptions::max_connections({least}) or more"
    )]
    SmallPool { connections: u32, least: u32 },
    #[error("connections of the host's pool lead to another server than the log of changes is read from")]
    FormerServer,
    #[error("cannot migrate the tables")]
    Migration(#[source] MigrateError),
    #[error(
        "another session has been bringing the tables up to date for 30 s: if no node is starting, end the session that holds the advisory \
         lock (pg_locks)"
    )]
    Migrating(#[source] sqlx::Error),
    #[error("the server is a replica in recovery: give the address of the primary")]
    Replica,
    #[error("the address has several hosts: give one that leads to the present primary")]
    Hosts,
    #[error("no response from the address within 5 s: check that a PostgreSQL server runs there")]
    Silent,
    #[error("the address leads to a pooler in transaction mode: declare it with PostgresOptions::transaction_pooler()")]
    Pooler,
    #[error(
        "the connection cannot be encrypted as sslmode asks: check the server's settings ssl and pg_hba.conf, the host and port, and \
         the files that the address names"
    )]
    Encryption(#[source] sqlx::Error),
    #[error(
        "the server's certificate is not accepted: its authority has to be in the file sslrootcert or one of this machine's, and \
         with sslmode=verify-full it has to be for the host that the address names"
    )]
    Certificate(#[source] sqlx::Error),
    #[error(
        "a file that the address names (sslrootcert, sslcert or sslkey) is not there or cannot be read: check its path and permissions"
    )]
    CertificateFile(#[source] sqlx::Error),
}

/// Formats a parameter's name for an error.
fn parameter_name(name: &Option<String>) -> String {
    name.as_ref().map_or_else(String::new, |name| format!(" ({})", name.escape_debug()))
}

impl OpenError {
    /// Adds to an error of creating or migrating tables which right is missing.
    pub(super) fn with_missing_right(error: StoreError, place: &SchemaLocation, session: &Session) -> StoreError {
        let StoreError::Unavailable(source) = error else { return error };
        if !matches!(source.downcast_ref(), Some(Self::Forbidden(_))) {
            return StoreError::Unavailable(source);
        }
        let role = quoted(&session.role);
        match place {
            SchemaLocation::New { schema, exists: false } => {
                let (schema, database) = (quoted(&schema.name), quoted(&session.database));
                Self::CreateSchema { role, schema, database, source }
            }
            SchemaLocation::New { schema, .. } => {
                Self::CreateTables { role, schema: quoted(&schema.name), source: Some(source) }
            }
            SchemaLocation::Existing { schema, owner } => {
                Self::Migrate { role, schema: quoted(&schema.name), owner: quoted(owner), source }
            }
        }
        .into()
    }

    /// Adds the address to an error of opening a store.
    pub(super) fn with_address(place: &str, error: StoreError) -> StoreError {
        let place = place.to_owned();
        match error {
            StoreError::Unavailable(source) => Self::At { place, source }.into(),
            error => Self::At { place, source: error.into() }.into(),
        }
    }
}

impl From<OpenError> for StoreError {
    fn from(error: OpenError) -> Self {
        Self::Unavailable(Box::new(error))
    }
}

/// Maps an error of a migration.
pub(super) fn migration_error(error: MigrateError, newest: i64) -> StoreError {
    match error {
        MigrateError::Execute(error) => query_error(error),
        MigrateError::VersionMissing(version) if version > newest => {
            OpenError::Newer { version, newest, source: error }.into()
        }
        error => OpenError::Migration(error).into(),
    }
}

/// Maps an error of waiting for the migration lock.
pub(super) fn lock_error(error: sqlx::Error) -> StoreError {
    match is_one_of(&error, &code::BUSY) {
        true => OpenError::Migrating(error).into(),
        false => query_error(error),
    }
}

/// Maps an error of a statement. Only what another change can cause is a conflict.
pub(super) fn query_error(error: sqlx::Error) -> StoreError {
    let code = error.as_database_error().and_then(|e| e.code().map(std::borrow::Cow::into_owned));
    match (&error, code.as_deref()) {
        (sqlx::Error::PoolTimedOut, _) => StoreError::Busy,
        (sqlx::Error::ColumnDecode { index, source }, _) => StoreError::Corrupt(format!("column {index}: {source}")),
        (_, Some(code)) if code::CONFLICT.contains(&code) => StoreError::Conflict(Box::new(error)),
        (_, Some(code)) if code::BUSY.contains(&code) => StoreError::Busy,
        (_, Some(code)) if code.starts_with(code::DATA) => StoreError::Invalid(Box::new(error)),
        (_, Some(code::FORBIDDEN)) => OpenError::Forbidden(error).into(),
        (_, Some(code::READ_ONLY)) => OpenError::ReadOnly(error).into(),
        (_, Some(code)) if code::MISSING.contains(&code) => OpenError::Missing(error).into(),
        _ => StoreError::Unavailable(Box::new(error)),
    }
}

/// Maps an error of the first connection.
pub(super) fn connection_error(error: sqlx::Error, address: &PgConnectOptions) -> StoreError {
    let checked = matches!(address.get_ssl_mode(), PgSslMode::VerifyCa | PgSslMode::VerifyFull);
    let code = error.as_database_error().and_then(|e| e.code().map(std::borrow::Cow::into_owned));
    let open = match (&error, code.as_deref()) {
        (sqlx::Error::Tls(_), _) => OpenError::Encryption(error),
        // The TLS library rejected the certificate.
        (sqlx::Error::Io(why), _) if checked && why.kind() == ErrorKind::InvalidData => OpenError::Certificate(error),
        // A server never causes this kind of error.
        (sqlx::Error::Io(why), _) if address.get_socket().is_none() && is_file_error(why.kind()) => {
            OpenError::CertificateFile(error)
        }
        (sqlx::Error::Io(why), _) if why.kind() == ErrorKind::ConnectionRefused => OpenError::Closed(error),
        (sqlx::Error::Io(_), _) => OpenError::Unreachable(error),
        (_, Some(code)) if code::LOGIN.contains(&code) => OpenError::Login(error),
        (_, Some(code::NO_DATABASE)) => OpenError::NoDatabase(error),
        (_, Some(code::FULL)) => OpenError::Full(error),
        _ => return query_error(error),
    };
    open.into()
}

fn is_file_error(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::IsADirectory)
}

/// Returns true if this error of a COMMIT leaves the outcome unknown.
///
/// A deferred constraint or a conflict with another transaction means that nothing happened. Any other error may come
/// after the commit: the connection broke, or the session was ended before the response.
pub(super) fn leaves_open(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|e| e.code().map(std::borrow::Cow::into_owned));
    !code.is_some_and(|code| code.starts_with("23") || code.starts_with("40"))
}

/// Returns true if the connection's prepared statements are invalid, so that new ones may work.
pub(super) fn is_stale(error: &sqlx::Error) -> bool {
    is_one_of(error, &code::STALE)
}

/// Returns true if the connection was lost, so that another one may work.
pub(super) fn is_lost(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(_)) || is_one_of(error, &code::ENDED)
}

fn is_one_of(error: &sqlx::Error, codes: &[&str]) -> bool {
    error.as_database_error().and_then(|e| e.code()).is_some_and(|code| codes.contains(&&*code))
}
