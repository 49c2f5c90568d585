//! Errors of opening a Strapi database.

use crate::store::StoreError;

/// Why a database cannot be read as Strapi's.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error("invalid database address: write sqlite:FILE or postgres://user:password@host/database")]
    Address,
    #[error(
        "none of Strapi's tables is there: check that it is the right database, and for PostgreSQL the right search_path"
    )]
    NoTables,
    #[error("the tables are those of Strapi 4: start Strapi 5.54 on this database once, which brings them up to date")]
    Older,
    #[error("there is no table {0}: the schema is not that of Strapi 5.54. Start that version on this database once")]
    Table(&'static str),
    #[error(
        "the table {0} has no column {1}: the schema is not that of Strapi 5.54. Start that version on this database once"
    )]
    Column(&'static str, &'static str),
    #[error(
        "the tables cannot be read: check that the role may SELECT from them, and that the schema is that of Strapi 5.54"
    )]
    Unreadable(#[source] StoreError),
}

impl From<OpenError> for StoreError {
    fn from(error: OpenError) -> Self {
        Self::Unavailable(Box::new(error))
    }
}

/// Maps an error of the first query.
pub(super) fn first_query(error: StoreError) -> StoreError {
    match error {
        busy @ StoreError::Busy => busy,
        error => OpenError::Unreadable(error).into(),
    }
}
