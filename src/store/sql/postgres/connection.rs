//! A pool's connection that is never given back in an unknown state.
//!
//! A pool would wait for a statement that was given up, on a server that may be stopped or gone, and nobody could have the
//! connection's place meanwhile. So a connection is closed at once if it is dropped in the middle of something.

use super::error::{OpenError, asking, is_stale};
use super::{Connections, PATIENCE, Side, or, statements};
use crate::store::StoreError;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres, raw_sql};
use std::io::ErrorKind;
use std::ops::{Deref, DerefMut};
use std::time::Duration;
use tokio::sync::watch;

/// How long a server may say nothing while a statement runs: it may be gone without a word. A change of a million tokens takes half
/// a minute. The server itself ends a writer's statement then: what nobody waits for any more must not keep the epoch.
const SILENCE: Duration = Duration::from_secs(120);

pub(super) struct Held {
    /// There until it is dropped.
    connection: Option<PoolConnection<Postgres>>,
    /// The address leads to another server than the connection does.
    replaced: watch::Receiver<bool>,
    /// A statement is under way.
    busy: bool,
    /// A transaction is open.
    open: bool,
}

impl Held {
    async fn take(connections: &Connections, side: Side) -> Result<Self, StoreError> {
        loop {
            if connections.are_shared() {
                return Err(OpenError::Pooler.into());
            }
            let pools = connections.pools();
            let replaced = pools.replaced();
            let connection = tokio::select! {
                connection = pools.of(side).acquire() => connection.map_err(asking)?,
                () = until(replaced.clone()) => continue,
            };
            return Ok(Self { connection: Some(connection), replaced, busy: false, open: false });
        }
    }

    /// Begins a transaction by this statement.
    pub(super) async fn begin(
        connections: &Connections,
        side: Side,
        statement: &'static str,
    ) -> Result<Self, StoreError> {
        let mut held = Self::take(connections, side).await?;
        held.busy = true;
        let given_up = held.given_up();
        or(given_up, raw_sql(statement).execute(&mut *held)).await.map_err(asking)?;
        (held.busy, held.open) = (false, true);
        Ok(held)
    }

    pub(super) async fn commit(mut self) -> sqlx::Result<()> {
        self.busy = true;
        let given_up = self.given_up();
        // It may wait for replicas, and for ever.
        let done = tokio::time::timeout(PATIENCE, or(given_up, raw_sql("COMMIT").execute(&mut *self))).await;
        let done = done.unwrap_or_else(|_| Err(silent()));
        if done.is_ok() {
            (self.busy, self.open) = (false, false);
        }
        done.map(drop)
    }

    /// Whether a statement is under way.
    pub(super) fn set_busy(&mut self, busy: bool) {
        self.busy = busy;
    }

    /// Ends when an answer is not waited for any more.
    pub(super) fn given_up(&self) -> impl Future<Output = sqlx::Error> + Send + use<> {
        let replaced = self.replaced.clone();
        async move {
            _ = tokio::time::timeout(SILENCE, until(replaced)).await;
            silent()
        }
    }

    /// Runs one statement by itself, which reads. Behind a pooler it has a transaction around it: else its parts could reach
    /// different servers.
    ///
    /// Once more if the connection remembered a statement that is no more, was lost, or leads to another server than the address.
    pub(super) async fn read<'q>(
        connections: &Connections,
        pooler: bool,
        ask: impl Fn() -> Query<'q, Postgres, PgArguments>,
    ) -> Result<Option<PgRow>, StoreError> {
        match Self::read_once(connections, pooler, ask()).await? {
            Ok(row) => Ok(row),
            Err(error) if is_stale(&error) || matches!(error, sqlx::Error::Io(_)) => {
                Self::read_once(connections, pooler, ask()).await?.map_err(asking)
            }
            Err(error) => Err(asking(error)),
        }
    }

    async fn read_once(
        connections: &Connections,
        pooler: bool,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<sqlx::Result<Option<PgRow>>, StoreError> {
        let mut held = match pooler {
            true => Self::begin(connections, Side::LookingUp, statements::BEGIN_LOOK_UP).await?,
            false => Self::take(connections, Side::LookingUp).await?,
        };
        held.busy = true;
        let given_up = held.given_up();
        // One that fails takes its connection along, and with it what that remembers.
        let row = or(given_up, query.persistent(!pooler).fetch_optional(&mut *held)).await;
        if row.is_ok() {
            held.busy = false;
        }
        Ok(row)
    }
}

async fn until(mut replaced: watch::Receiver<bool>) {
    _ = replaced.wait_for(|replaced| *replaced).await;
}

fn silent() -> sqlx::Error {
    sqlx::Error::Io(ErrorKind::TimedOut.into())
}

impl Deref for Held {
    type Target = PgConnection;

    #[expect(clippy::expect_used, reason = "it is taken out in drop only")]
    fn deref(&self) -> &PgConnection {
        self.connection.as_ref().expect("not dropped yet")
    }
}

impl DerefMut for Held {
    #[expect(clippy::expect_used, reason = "it is taken out in drop only")]
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection.as_mut().expect("not dropped yet")
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) if self.open && !self.busy => {
                runtime.spawn(async move {
                    let back = raw_sql("ROLLBACK").execute(&mut *connection);
                    if !matches!(tokio::time::timeout(PATIENCE, back).await, Ok(Ok(_))) {
                        drop(connection.detach());
                    }
                });
            }
            Ok(_) if !self.open && !self.busy => drop(connection),
            // Without a runtime nothing can be said to the server, and to drop it is to close it.
            _ => drop(connection.detach()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_waits_for_a_writers_statement_as_long_as_we_do() {
        let said = format!("SET LOCAL statement_timeout = '{}s'; ", SILENCE.as_secs());
        for begin in [statements::BEGIN, statements::BEGIN_CONFIRMED] {
            assert!(begin.contains(&said), "{begin}");
        }
    }
}
