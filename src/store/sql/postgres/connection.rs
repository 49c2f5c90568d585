//! A pooled connection that never returns to the pool in an unknown state.
//!
//! A pool would wait for an abandoned statement, on a server that may have stopped, and its place would be blocked
//! meanwhile. So a connection that is dropped during a statement is closed at once.

use super::error::{OpenError, is_lost, is_stale, query_error};
use super::{ConnectionSlot, Connections, PoolKind, WAIT_TIMEOUT, rows, statements, unless_abandoned};
use crate::store::StoreError;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, PgConnection, Postgres, raw_sql};
use std::io::ErrorKind;
use std::ops::{Deref, DerefMut};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};

/// How long a statement may run without a response: the server may be gone without notice. A change of a million tokens
/// takes half a minute. The server ends a writer's statement after the same time, so that an abandoned statement does
/// not keep the epoch.
pub(super) const STATEMENT_TIMEOUT: Duration = Duration::from_secs(120);

pub(super) struct ManagedConnection {
    /// `None` only while it is dropped.
    connection: Option<PoolConnection<Postgres>>,
    /// Where the connection of a look-up returns to; others return to sqlx's pool.
    slot: Option<ConnectionSlot<Postgres>>,
    /// Becomes true when the address leads to another server than the connection does.
    replaced: watch::Receiver<bool>,
    /// A statement is running.
    busy: bool,
    /// A transaction is open.
    open: bool,
    /// The place in the host's pool, kept until the connection is back there.
    place: Option<OwnedSemaphorePermit>,
}

impl ManagedConnection {
    async fn take(connections: &Connections, kind: PoolKind) -> Result<Self, StoreError> {
        loop {
            if connections.are_shared() {
                return Err(OpenError::Pooler.into());
            }
            let place = match &connections.host {
                Some(host) => Some(host.take_place(kind).await?),
                None => None,
            };
            let pools = connections.pools();
            let replaced = pools.replaced();
            let (connection, slot) = tokio::select! {
                // The host's pool may have a longer limit than ours.
                taken = tokio::time::timeout(WAIT_TIMEOUT, pools.take(kind)) => {
                    taken.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(query_error)?
                }
                () = wait_until_replaced(replaced.clone()) => continue,
            };
            return Ok(Self { connection: Some(connection), slot, replaced, busy: false, open: false, place });
        }
    }

    /// Takes a connection and starts a transaction with this statement.
    pub(super) async fn begin(
        connections: &Connections,
        kind: PoolKind,
        statement: &'static str,
    ) -> Result<Self, StoreError> {
        let Some(host) = &connections.host else {
            let mut connection = Self::take(connections, kind).await?;
            connection.busy = true;
            let abandoned = connection.wait_until_abandoned();
            unless_abandoned(abandoned, raw_sql(statement).execute(&mut *connection)).await.map_err(query_error)?;
            (connection.busy, connection.open) = (false, true);
            return Ok(connection);
        };
        for _ in 0..=host.size() {
            let mut connection = Self::take(connections, kind).await?;
            connection.busy = true;
            let abandoned = connection.wait_until_abandoned();
            let begin = AssertSqlSafe(format!("{statement}; {}", statements::SERVER));
            let rows = unless_abandoned(abandoned, raw_sql(begin).fetch_all(&mut *connection)).await;
            let server = rows.map_err(query_error)?.pop().ok_or(sqlx::Error::RowNotFound).map_err(query_error)?;
            if connections.is_present(rows::get(&server, "server")?) {
                (connection.busy, connection.open) = (false, true);
                return Ok(connection);
            }
            // Busy connections are closed when they are dropped: the pool opens another one.
        }
        Err(OpenError::FormerServer.into())
    }

    pub(super) async fn commit(mut self) -> sqlx::Result<()> {
        self.busy = true;
        let abandoned = self.wait_until_abandoned();
        // A commit may wait for replicas, and for ever.
        let done =
            tokio::time::timeout(WAIT_TIMEOUT, unless_abandoned(abandoned, raw_sql("COMMIT").execute(&mut *self)))
                .await;
        let done = done.unwrap_or_else(|_| Err(timeout_error()));
        if done.is_ok() {
            (self.busy, self.open) = (false, false);
        }
        done.map(drop)
    }

    /// Records whether a statement is running.
    pub(super) fn set_busy(&mut self, busy: bool) {
        self.busy = busy;
    }

    /// Resolves when waiting for a response is given up.
    pub(super) fn wait_until_abandoned(&self) -> impl Future<Output = sqlx::Error> + Send + use<> {
        let replaced = self.replaced.clone();
        async move {
            _ = tokio::time::timeout(STATEMENT_TIMEOUT, wait_until_replaced(replaced)).await;
            timeout_error()
        }
    }

    /// Runs one statement that reads: one round trip, as the statement is prepared and is its own snapshot. Behind a
    /// pooler it gets a transaction: otherwise its parts could reach different servers. In the host's pool it gets one
    /// too, which carries its settings.
    ///
    /// It is retried once, on another connection, if a prepared statement is gone, or the connection was lost or leads
    /// to another server than the address.
    pub(super) async fn read<'q>(
        connections: &Connections,
        ask: impl Fn() -> Query<'q, Postgres, PgArguments>,
    ) -> Result<Vec<PgRow>, StoreError> {
        match Self::read_once(connections, PoolKind::Lookups, ask()).await? {
            Ok(rows) => Ok(rows),
            Err(error) if is_stale(&error) || is_lost(&error) => {
                Self::read_once(connections, PoolKind::TestedLookups, ask()).await?.map_err(query_error)
            }
            Err(error) => Err(query_error(error)),
        }
    }

    async fn read_once(
        connections: &Connections,
        kind: PoolKind,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<sqlx::Result<Vec<PgRow>>, StoreError> {
        let shared = connections.keeps_no_session();
        let mut connection = match shared {
            true => Self::begin(connections, PoolKind::SharedLookups, statements::BEGIN_LOOK_UP).await?,
            false => Self::take(connections, kind).await?,
        };
        connection.busy = true;
        let abandoned = connection.wait_until_abandoned();
        // A failed statement closes its connection, and with it the prepared statements.
        let rows = unless_abandoned(abandoned, query.persistent(!shared).fetch_all(&mut *connection)).await;
        if rows.is_ok() {
            connection.busy = false;
        }
        Ok(rows)
    }
}

async fn wait_until_replaced(mut replaced: watch::Receiver<bool>) {
    _ = replaced.wait_for(|replaced| *replaced).await;
}

pub(super) fn timeout_error() -> sqlx::Error {
    sqlx::Error::Io(ErrorKind::TimedOut.into())
}

impl Deref for ManagedConnection {
    type Target = PgConnection;

    #[expect(clippy::expect_used, reason = "only drop takes the connection")]
    fn deref(&self) -> &PgConnection {
        self.connection.as_ref().expect("not dropped yet")
    }
}

impl DerefMut for ManagedConnection {
    #[expect(clippy::expect_used, reason = "only drop takes the connection")]
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection.as_mut().expect("not dropped yet")
    }
}

impl Drop for ManagedConnection {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        let place = self.place.take();
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) if self.open && !self.busy => {
                runtime.spawn(async move {
                    let back = raw_sql("ROLLBACK").execute(&mut *connection);
                    if !matches!(tokio::time::timeout(WAIT_TIMEOUT, back).await, Ok(Ok(_))) {
                        drop(connection.detach());
                    } else {
                        drop(connection);
                    }
                    drop(place);
                });
            }
            Ok(_) if !self.open && !self.busy => match self.slot.take() {
                Some(slot) => slot.put_back(connection),
                None => drop(connection),
            },
            // Without a runtime no message can be sent to the server; dropping the connection closes it.
            _ => drop(connection.detach()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_and_server_limit_a_writers_statement_alike() {
        let setting = format!("SET LOCAL statement_timeout = '{}s'; ", STATEMENT_TIMEOUT.as_secs());
        for begin in [statements::BEGIN, statements::BEGIN_CONFIRMED] {
            assert!(begin.contains(&setting), "{begin}");
        }
    }
}
