//! What an error of the database means to whoever asked.

use crate::store::StoreError;
use sqlx::migrate::MigrateError;

/// SQLSTATE codes that mean something of their own to us (PostgreSQL documentation, appendix A).
mod code {
    /// Text that cannot be kept: U+0000, which PostgreSQL alone refuses.
    pub(super) const UNTRANSLATABLE: [&str; 2] = ["22021", "22P05"];
    /// Waited too long for a lock, lost a deadlock, or raced with somebody who does not take the epoch first.
    pub(super) const BUSY: [&str; 4] = ["55P03", "40P01", "40001", "57014"];
    /// A prepared statement that is no more, is there already, or no longer fits its tables: another server stands behind this
    /// connection now, or the tables were changed.
    pub(super) const STALE: [&str; 4] = ["26000", "42P05", "0A000", "08P01"];
}

/// Why a database could not be opened as a store.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error("the address of the database is none: write postgres://user:password@host:port/database")]
    Scheme,
    #[error("the address of the database cannot be read: write postgres://user:password@host:port/database")]
    Url(#[source] sqlx::Error),
    #[error("the database has migration {0}, which this version does not know: a newer version wrote it")]
    Newer(i64, #[source] MigrateError),
    #[error("the tables could not be brought up to date")]
    Migration(#[source] MigrateError),
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

/// An error of a statement.
pub(super) fn asking(error: sqlx::Error) -> StoreError {
    let breaks_a_rule = |e: &dyn sqlx::error::DatabaseError| {
        e.is_unique_violation() || e.is_foreign_key_violation() || e.is_check_violation()
    };
    match &error {
        sqlx::Error::PoolTimedOut => StoreError::Busy,
        sqlx::Error::ColumnDecode { index, source } => StoreError::Corrupt(format!("column {index}: {source}")),
        sqlx::Error::Database(e) if breaks_a_rule(&**e) || is_one_of(&error, &code::UNTRANSLATABLE) => {
            StoreError::Conflict(Box::new(error))
        }
        _ if is_one_of(&error, &code::BUSY) => StoreError::Busy,
        _ => StoreError::Unavailable(Box::new(error)),
    }
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
