//! A pool's connection that is never given back in an unknown state.
//!
//! A pool would wait for a statement that was given up, on a server that may be stopped or gone, and nobody could have the
//! connection's place meanwhile. So a connection is closed at once if it is dropped in the middle of something.

use super::error::{asking, is_stale};
use super::{PATIENCE, statements};
use crate::store::StoreError;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{PgConnection, PgPool, Postgres, raw_sql};
use std::io::ErrorKind;
use std::ops::{Deref, DerefMut};

pub(super) struct Held {
    /// There until it is dropped.
    connection: Option<PoolConnection<Postgres>>,
    /// A statement is under way.
    busy: bool,
    /// A transaction is open.
    open: bool,
}

impl Held {
    async fn take(pool: &PgPool) -> Result<Self, StoreError> {
        let connection = pool.acquire().await.map_err(asking)?;
        Ok(Self { connection: Some(connection), busy: false, open: false })
    }

    /// Begins a transaction by this statement.
    pub(super) async fn begin(pool: &PgPool, statement: &'static str) -> Result<Self, StoreError> {
        let mut held = Self::take(pool).await?;
        held.busy = true;
        raw_sql(statement).execute(&mut *held).await.map_err(asking)?;
        (held.busy, held.open) = (false, true);
        Ok(held)
    }

    pub(super) async fn commit(mut self) -> sqlx::Result<()> {
        self.busy = true;
        // It may wait for replicas, or for a server that is gone.
        let done = tokio::time::timeout(PATIENCE, raw_sql("COMMIT").execute(&mut *self)).await;
        let done = done.unwrap_or_else(|_| Err(sqlx::Error::Io(ErrorKind::TimedOut.into())));
        if done.is_ok() {
            (self.busy, self.open) = (false, false);
        }
        done.map(drop)
    }

    /// Whether a statement is under way.
    pub(super) fn set_busy(&mut self, busy: bool) {
        self.busy = busy;
    }

    /// Runs one statement by itself, which reads. Behind a pooler it has a transaction around it: else its parts could reach
    /// different servers.
    ///
    /// Once more if the connection remembered a statement that is no more, or was lost while nobody used it.
    pub(super) async fn read<'q>(
        pool: &PgPool,
        pooler: bool,
        ask: impl Fn() -> Query<'q, Postgres, PgArguments>,
    ) -> Result<Option<PgRow>, StoreError> {
        match Self::read_once(pool, pooler, ask()).await? {
            Ok(row) => Ok(row),
            Err(error) if is_stale(&error) || matches!(error, sqlx::Error::Io(_)) => {
                Self::read_once(pool, pooler, ask()).await?.map_err(asking)
            }
            Err(error) => Err(asking(error)),
        }
    }

    async fn read_once(
        pool: &PgPool,
        pooler: bool,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<sqlx::Result<Option<PgRow>>, StoreError> {
        let mut held = match pooler {
            true => Self::begin(pool, statements::BEGIN_LOOK_UP).await?,
            false => Self::take(pool).await?,
        };
        held.busy = true;
        // One that fails takes its connection along, and with it what that remembers.
        let row = query.persistent(!pooler).fetch_optional(&mut *held).await;
        if row.is_ok() {
            held.busy = false;
        }
        Ok(row)
    }
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
