//! What an error of the database means to whoever asked.

use super::names::{Place, Session, quoted};
use crate::store::StoreError;
use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use std::io::ErrorKind;

/// SQLSTATE codes that have a meaning of their own here (PostgreSQL documentation, appendix A).
mod code {
    /// Another change came first: a unique key is taken, a row that is referred to is gone, or rows exclude one another.
    pub(super) const CONFLICT: [&str; 3] = ["23505", "23503", "23P01"];
    /// The class of data exceptions: a value that cannot be kept, such as U+0000, or a number that is too large.
    pub(super) const DATA: &str = "22";
    /// Waited too long for a lock, lost a deadlock, or raced with a transaction that does not take the epoch first.
    pub(super) const BUSY: [&str; 4] = ["55P03", "40P01", "40001", "57014"];
    /// A prepared statement that is no more, is there already, or no longer fits its tables: another server stands behind this
    /// connection now, or the tables were changed.
    pub(super) const STALE: [&str; 4] = ["26000", "42P05", "0A000", "08P01"];
    pub(super) const FORBIDDEN: &str = "42501";
    /// A table, column, function or schema that is not there.
    pub(super) const MISSING: [&str; 4] = ["42P01", "42703", "42883", "3F000"];
    pub(super) const READ_ONLY: &str = "25006";
    /// The server does not accept the user or the password.
    pub(super) const LOGIN: [&str; 2] = ["28P01", "28000"];
    pub(super) const NO_DATABASE: &str = "3D000";
    pub(super) const FULL: &str = "53300";
}

/// Why a database could not be opened as a store.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error("the address of the database is none: write postgres://user:password@host:port/database")]
    Scheme,
    // The parser's own error may quote what it could not read, which may be a part of the password.
    #[error(
        "the address of the database cannot be read: write postgres://user:password@host:port/database, with %40 for @, %3A for :, \
         %2F for /, %3F for ?, %23 for # and %25 for % in the user name and the password"
    )]
    Url,
    #[error("no store at {place}")]
    At {
        place: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("nothing listens at the host and port: check both, and that the server runs and listens there")]
    Closed(#[source] sqlx::Error),
    #[error("the host cannot be reached: check its name, the port, and what is between here and there")]
    Unreachable(#[source] sqlx::Error),
    #[error("the server does not let this user in: check the user name, the password and the server's pg_hba.conf")]
    Login(#[source] sqlx::Error),
    #[error("there is no such database: correct its name, or create it with ENCODING 'UTF8'")]
    NoDatabase(#[source] sqlx::Error),
    #[error(
        "the server has no connection to spare: raise max_connections or the role's limit, or use fewer connections"
    )]
    Full(#[source] sqlx::Error),
    #[error("the role lacks a right: grant what the operating guide lists")]
    Forbidden(#[source] sqlx::Error),
    #[error("a table or a schema is not there: restore it, and restart the node if it was moved or renamed")]
    Missing(#[source] sqlx::Error),
    #[error("the session is read-only: check default_transaction_read_only of the role and the database")]
    ReadOnly(#[source] sqlx::Error),
    #[error(
        "the database {database} has the encoding {encoding}, which cannot hold every text: create one with CREATE DATABASE .. \
         ENCODING 'UTF8' TEMPLATE template0, and move the data there with pg_dump and pg_restore"
    )]
    Encoding { database: String, encoding: String },
    #[error(
        "several schemas of the search path have tables of keyward: {0}: choose one with PostgresOptions::schema(), or drop the tables \
         that are not meant"
    )]
    Schemas(String),
    #[error(
        "the role {role} may not use the schema {schema}, where the tables are: GRANT USAGE ON SCHEMA {schema} TO {role}"
    )]
    Usage { role: String, schema: String },
    #[error(
        "the role {role} may make tables in no schema of its search path ({path}): GRANT USAGE, CREATE ON one of them TO {role}, or \
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
        "the role {role} may not make tables in the schema {schema}: GRANT USAGE, CREATE ON SCHEMA {schema} TO {role}, or start once \
         with a role that may"
    )]
    CreateTables {
        role: String,
        schema: String,
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    #[error(
        "the tables in the schema {schema} have to be brought up to date, which the role {role} may not do: start once as their owner \
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
        "the tables are those of another installation than at the start: if that is meant, restart the node; else check where the \
         address leads"
    )]
    OtherInstallation,
    #[error("the address has a parameter that is not known here{}: leave it out, or correct its name", named(.0))]
    Parameter(Option<String>),
    #[error("the database has migration {0}, which this version does not know: a newer version wrote it")]
    Newer(i64, #[source] MigrateError),
    #[error("the tables could not be brought up to date")]
    Migration(#[source] MigrateError),
    #[error(
        "somebody else has been bringing the tables up to date for 30 s: if no node is starting, end the session that holds the advisory \
         lock (pg_locks)"
    )]
    Migrating(#[source] sqlx::Error),
    #[error("the server is a replica in recovery: give the address of the primary")]
    Replica,
    #[error("the address names several hosts: give one that leads to the primary, whichever that is")]
    Hosts,
    #[error("nobody answers at the address within 5 s: is it a PostgreSQL server, and does it run?")]
    Silent,
    #[error("the address is that of a pooler in transaction mode: say so with PostgresOptions::transaction_pooler()")]
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
    #[error("a file that the address names (sslrootcert, sslcert or sslkey) is not there or cannot be read")]
    CertificateFile(#[source] sqlx::Error),
}

/// A parameter's name, in an error.
fn named(name: &Option<String>) -> String {
    name.as_ref().map_or_else(String::new, |name| format!(" ({})", name.escape_debug()))
}

impl OpenError {
    /// An error while tables are made or brought up to date: for want of a right, it says which.
    pub(super) fn of_rights(error: StoreError, place: &Place, session: &Session) -> StoreError {
        let StoreError::Unavailable(source) = error else { return error };
        if !matches!(source.downcast_ref(), Some(Self::Forbidden(_))) {
            return StoreError::Unavailable(source);
        }
        let role = quoted(&session.role);
        match place {
            Place::Empty { schema, exists: false } => {
                let (schema, database) = (quoted(&schema.name), quoted(&session.database));
                Self::CreateSchema { role, schema, database, source }
            }
            Place::Empty { schema, .. } => {
                Self::CreateTables { role, schema: quoted(&schema.name), source: Some(source) }
            }
            Place::There { schema, owner } => {
                Self::Migrate { role, schema: quoted(&schema.name), owner: quoted(owner), source }
            }
        }
        .into()
    }

    /// An error of opening a store, with the place that was to be opened.
    pub(super) fn at(place: &str, error: StoreError) -> StoreError {
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

/// An error while tables are brought up to date.
pub(super) fn migrating(error: MigrateError, newest: i64) -> StoreError {
    match error {
        MigrateError::Execute(error) => asking(error),
        MigrateError::VersionMissing(version) if version > newest => OpenError::Newer(version, error).into(),
        error => OpenError::Migration(error).into(),
    }
}

/// An error of waiting for one's turn to bring them up to date.
pub(super) fn locking(error: sqlx::Error) -> StoreError {
    match is_one_of(&error, &code::BUSY) {
        true => OpenError::Migrating(error).into(),
        false => asking(error),
    }
}

/// An error of a statement. A conflict is what another change can cause; all else that does not pass is named for what it is.
pub(super) fn asking(error: sqlx::Error) -> StoreError {
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

/// An error of connecting for the first time.
pub(super) fn connecting(error: sqlx::Error, address: &PgConnectOptions) -> StoreError {
    let checked = matches!(address.get_ssl_mode(), PgSslMode::VerifyCa | PgSslMode::VerifyFull);
    let code = error.as_database_error().and_then(|e| e.code().map(std::borrow::Cow::into_owned));
    let open = match (&error, code.as_deref()) {
        (sqlx::Error::Tls(_), _) => OpenError::Encryption(error),
        // What the library for TLS does not accept.
        (sqlx::Error::Io(why), _) if checked && why.kind() == ErrorKind::InvalidData => OpenError::Certificate(error),
        // No server answers so.
        (sqlx::Error::Io(why), _) if address.get_socket().is_none() && is_of_a_file(why.kind()) => {
            OpenError::CertificateFile(error)
        }
        (sqlx::Error::Io(why), _) if why.kind() == ErrorKind::ConnectionRefused => OpenError::Closed(error),
        (sqlx::Error::Io(_), _) => OpenError::Unreachable(error),
        (_, Some(code)) if code::LOGIN.contains(&code) => OpenError::Login(error),
        (_, Some(code::NO_DATABASE)) => OpenError::NoDatabase(error),
        (_, Some(code::FULL)) => OpenError::Full(error),
        _ => return asking(error),
    };
    open.into()
}

fn is_of_a_file(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::IsADirectory)
}

/// Whether this error of a COMMIT leaves it open if the change happened.
///
/// A rule that is checked at the end, or a conflict with another transaction, means no. All else may come after the deed: the
/// connection broke, or somebody ended the session between the commit and its answer.
pub(super) fn leaves_open(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|e| e.code().map(std::borrow::Cow::into_owned));
    !code.is_some_and(|code| code.starts_with("23") || code.starts_with("40"))
}

/// Whether the connection's prepared statements are of no use any more, so that new ones may do.
pub(super) fn is_stale(error: &sqlx::Error) -> bool {
    is_one_of(error, &code::STALE)
}

fn is_one_of(error: &sqlx::Error, codes: &[&str]) -> bool {
    error.as_database_error().and_then(|e| e.code()).is_some_and(|code| codes.contains(&&*code))
}
