//! Connections for look-ups, which are reused without a test in between.
//!
//! sqlx's pool tests each connection that returns, and by default each one that is taken. For a look-up of one
//! statement this would be two more round trips: to the server, or to the thread of an SQLite connection. So a
//! connection stays checked out of sqlx's pool between two look-ups. If it was lost meanwhile, the look-up fails, and
//! the caller asks again on a new connection.

use super::WAIT_TIMEOUT;
use sqlx::pool::PoolConnection;
use sqlx::{Database, Pool};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// How long a connection stays here without a look-up. Then it goes back to sqlx's pool, which tests it before its next
/// use, and closes it in the end.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) struct LookupPool<DB: Database> {
    pool: Pool<DB>,
    /// One permit for each connection of the pool, so that none has to be waited for.
    permits: Arc<Semaphore>,
    /// The last one was used last, and is taken first.
    idle: Mutex<VecDeque<IdleConnection<DB>>>,
}

struct IdleConnection<DB: Database> {
    connection: PoolConnection<DB>,
    opened: Instant,
    idle_since: Instant,
}

/// The place to which a taken connection returns.
pub(super) struct ConnectionSlot<DB: Database> {
    lookups: Arc<LookupPool<DB>>,
    opened: Instant,
    _permit: OwnedSemaphorePermit,
}

impl<DB: Database> LookupPool<DB> {
    /// Creates a pool that uses the connections of this one, alone.
    pub(super) fn new(pool: Pool<DB>) -> Arc<Self> {
        let permits = pool.options().get_max_connections() as usize;
        Arc::new(Self { pool, permits: Arc::new(Semaphore::new(permits)), idle: Mutex::default() })
    }

    /// Returns sqlx's pool.
    #[cfg(feature = "postgres")]
    pub(super) fn as_pool(&self) -> &Pool<DB> {
        &self.pool
    }

    /// Takes the connection that was used last, or opens one.
    ///
    /// A caller that is cancelled or fails drops the connection. With [`ConnectionSlot::put_back`] it stays open.
    pub(super) async fn take(self: &Arc<Self>) -> sqlx::Result<(PoolConnection<DB>, ConnectionSlot<DB>)> {
        let permit = self.permit().await?;
        // Bound here, so that the lock is not held while a connection is opened.
        let last_used = self.idle().pop_back();
        match last_used {
            Some(IdleConnection { connection, opened, .. }) => Ok((connection, self.slot(opened, permit))),
            None => self.open(permit).await,
        }
    }

    /// Takes a connection that was tested or opened just now: an idle one may be lost.
    #[cfg(feature = "postgres")]
    pub(super) async fn take_tested(self: &Arc<Self>) -> sqlx::Result<(PoolConnection<DB>, ConnectionSlot<DB>)> {
        let permit = self.permit().await?;
        // Makes room for a new one.
        let idle = self.idle().pop_front();
        drop(idle.map(|idle| idle.connection.detach()));
        self.open(permit).await
    }

    async fn open(
        self: &Arc<Self>,
        permit: OwnedSemaphorePermit,
    ) -> sqlx::Result<(PoolConnection<DB>, ConnectionSlot<DB>)> {
        let connection = self.pool.acquire().await?;
        Ok((connection, self.slot(Instant::now(), permit)))
    }

    async fn permit(&self) -> sqlx::Result<OwnedSemaphorePermit> {
        if let Ok(permit) = self.permits.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let permit = tokio::time::timeout(WAIT_TIMEOUT, self.permits.clone().acquire_owned()).await;
        permit.map_err(|_| sqlx::Error::PoolTimedOut)?.map_err(|_| sqlx::Error::PoolClosed)
    }

    fn slot(self: &Arc<Self>, opened: Instant, permit: OwnedSemaphorePermit) -> ConnectionSlot<DB> {
        ConnectionSlot { lookups: self.clone(), opened, _permit: permit }
    }

    /// Closes all connections after their running statements.
    pub(super) async fn close(&self) {
        // From the call on, connections that are put back are closed.
        let closing = self.pool.close();
        let idle = std::mem::take(&mut *self.idle());
        idle.into_iter().for_each(|idle| give_back(idle.connection));
        closing.await;
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<IdleConnection<DB>>> {
        // No code in here panics half-way through a change.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<DB: Database> ConnectionSlot<DB> {
    /// Keeps the connection for the next look-up.
    pub(super) fn put_back(self, connection: PoolConnection<DB>) {
        let now = Instant::now();
        let lifetime = self.lookups.pool.options().get_max_lifetime();
        let is_old = lifetime.is_some_and(|lifetime| now.duration_since(self.opened) > lifetime);
        let mut idle = self.lookups.idle();
        // Checked under the lock, which closing takes after it has marked the pool as closed.
        if is_old || self.lookups.pool.is_closed() {
            return give_back(connection);
        }
        idle.push_back(IdleConnection { connection, opened: self.opened, idle_since: now });
        if let Some(unused) = idle.pop_front_if(|idle| now.duration_since(idle.idle_since) > IDLE_TIMEOUT) {
            give_back(unused.connection);
        }
    }
}

impl<DB: Database> Drop for LookupPool<DB> {
    fn drop(&mut self) {
        // sqlx's pool takes connections back in a task; there may be no runtime any more. Dropping closes them.
        self.idle().drain(..).for_each(|idle| drop(idle.connection.detach()));
    }
}

/// Returns a connection to sqlx's pool, which closes it if it is old or the pool is closed.
fn give_back<DB: Database>(connection: PoolConnection<DB>) {
    match tokio::runtime::Handle::try_current() {
        Ok(_) => drop(connection),
        Err(_) => drop(connection.detach()),
    }
}
