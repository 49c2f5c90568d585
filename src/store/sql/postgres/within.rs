//! The transaction of a change: one of keyward's own, or a savepoint in one of the host.

use super::connection::{ManagedConnection, STATEMENT_TIMEOUT, timeout_error};
use super::error::{OpenError, query_error};
use super::{PostgresStore, rows, statements};
use crate::store::StoreError;
use futures_util::future::Either;
use sqlx::{Connection, PgConnection, Postgres, Transaction, query};
use std::ops::{Deref, DerefMut};

pub(super) enum EngineTransaction<'t> {
    Own(ManagedConnection),
    Host {
        savepoint: Transaction<'t, Postgres>,
        /// The host's setting, which it gets back.
        lock_timeout: String,
    },
}

impl<'t> EngineTransaction<'t> {
    /// Begins a part of the host's transaction. The settings that a rollback of it does not undo are put back by
    /// [`commit`](Self::commit), except those that the commit of the host's transaction depends on.
    pub(super) async fn join(store: &PostgresStore, host: &'t mut PgConnection) -> Result<Self, StoreError> {
        let join = if store.heartbeat { statements::JOIN_CONFIRMED } else { statements::JOIN };
        // In an aborted transaction this fails, and `begin` must not be called: the driver would then take the host's
        // transaction for ended. Unlike a query, it takes no snapshot.
        query("SHOW transaction_isolation").persistent(false).execute(&mut *host).await.map_err(query_error)?;
        let mut savepoint = host.begin().await.map_err(query_error)?;
        let row = query(join).persistent(false).fetch_one(&mut *savepoint).await.map_err(query_error)?;
        if !store.connections.is_present(rows::get(&row, "server")?) {
            return Err(OpenError::FormerServer.into());
        }
        Ok(Self::Host { savepoint, lock_timeout: rows::get(&row, "lock_timeout")? })
    }

    pub(super) async fn commit(self) -> sqlx::Result<()> {
        match self {
            Self::Own(connection) => connection.commit().await,
            Self::Host { mut savepoint, lock_timeout } => {
                query(statements::LEAVE).bind(lock_timeout).persistent(false).execute(&mut *savepoint).await?;
                savepoint.commit().await
            }
        }
    }

    /// Records whether a statement is running. The driver knows that of the host's connection.
    pub(super) fn set_busy(&mut self, busy: bool) {
        if let Self::Own(connection) = self {
            connection.set_busy(busy);
        }
    }

    /// Resolves when waiting for a response is given up.
    pub(super) fn wait_until_abandoned(&self) -> impl Future<Output = sqlx::Error> + Send + use<> {
        match self {
            Self::Own(connection) => Either::Left(connection.wait_until_abandoned()),
            Self::Host { .. } => Either::Right(async {
                tokio::time::sleep(STATEMENT_TIMEOUT).await;
                timeout_error()
            }),
        }
    }
}

impl Deref for EngineTransaction<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        match self {
            Self::Own(connection) => connection,
            Self::Host { savepoint, .. } => savepoint,
        }
    }
}

impl DerefMut for EngineTransaction<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        match self {
            Self::Own(connection) => connection,
            Self::Host { savepoint, .. } => savepoint,
        }
    }
}
