//! A transaction of the host, in which a store makes a change.

use std::fmt;

/// An open transaction of the host on the store's database, made from `&mut sqlx::Transaction`.
///
/// See [`Tokens::within`](crate::admin::Tokens::within).
pub struct HostTransaction<'t>(pub(super) HostConnection<'t>);

/// The connection of the host's transaction.
pub(super) enum HostConnection<'t> {
    #[cfg(feature = "postgres")]
    Postgres(&'t mut sqlx::PgConnection),
    #[cfg(feature = "sqlite")]
    Sqlite(&'t mut sqlx::SqliteConnection),
}

impl fmt::Debug for HostTransaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostTransaction").finish_non_exhaustive()
    }
}

#[cfg(feature = "postgres")]
impl<'t> From<&'t mut sqlx::Transaction<'_, sqlx::Postgres>> for HostTransaction<'t> {
    fn from(transaction: &'t mut sqlx::Transaction<'_, sqlx::Postgres>) -> Self {
        Self(HostConnection::Postgres(transaction))
    }
}

#[cfg(feature = "sqlite")]
impl<'t> From<&'t mut sqlx::Transaction<'_, sqlx::Sqlite>> for HostTransaction<'t> {
    fn from(transaction: &'t mut sqlx::Transaction<'_, sqlx::Sqlite>) -> Self {
        Self(HostConnection::Sqlite(transaction))
    }
}
