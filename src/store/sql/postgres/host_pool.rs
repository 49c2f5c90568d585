//! A pool that belongs to the host: keyward takes a share of its connections, and leaves no setting in a session.

use super::connections::{PoolKind, WRITERS};
use super::error::OpenError;
use crate::store::StoreError;
use sqlx::PgPool;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The fewest connections of a pool that is shared: one for each use of keyward's, and one for the host.
const SMALLEST: u32 = 4;

/// How many connections of the host's pool each use may take at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Share {
    lookups: u32,
    readers: u32,
    writers: u32,
}

impl Share {
    /// Returns the share of a pool: half of its connections, at least three, and no more than keyward's own pools have.
    pub(super) fn of(pool: u32, lookups: u32) -> Result<Self, OpenError> {
        if pool < SMALLEST {
            return Err(OpenError::SmallPool { connections: pool, least: SMALLEST });
        }
        let half = (pool / 2).max(3);
        let writers = (half / 4).clamp(1, WRITERS);
        let readers = (half / 4).clamp(1, lookups.div_ceil(2));
        Ok(Self { lookups: (half - readers - writers).min(lookups), readers, writers })
    }
}

/// The host's pool, with the places that keyward may take in it.
pub(super) struct HostPool {
    pub(super) pool: PgPool,
    share: Share,
    lookups: Arc<Semaphore>,
    readers: Arc<Semaphore>,
    writers: Arc<Semaphore>,
}

impl HostPool {
    pub(super) fn new(pool: PgPool, share: Share) -> Self {
        let places = |n: u32| Arc::new(Semaphore::new(n as usize));
        let (lookups, readers, writers) = (places(share.lookups), places(share.readers), places(share.writers));
        Self { pool, share, lookups, readers, writers }
    }

    /// Waits for a place. It is given back when the permit is dropped.
    ///
    /// # Errors
    /// Fails after [`give_back`](Self::give_back).
    pub(super) async fn take_place(&self, kind: PoolKind) -> Result<OwnedSemaphorePermit, StoreError> {
        let places = match kind {
            PoolKind::Lookups | PoolKind::TestedLookups | PoolKind::SharedLookups => &self.lookups,
            PoolKind::Readers => &self.readers,
            PoolKind::Writers => &self.writers,
        };
        places.clone().acquire_owned().await.map_err(|_| StoreError::Unavailable(sqlx::Error::PoolClosed.into()))
    }

    /// Waits until all connections are back, and takes none any more.
    pub(super) async fn give_back(&self) {
        let all = |places: &Arc<Semaphore>, n: u32| {
            let places = places.clone();
            async move {
                // Kept until it is closed, so that a waiter gets no place. An error says that it was closed before.
                let _all = places.acquire_many(n).await;
                places.close();
            }
        };
        let Share { lookups, readers, writers } = self.share;
        tokio::join!(all(&self.lookups, lookups), all(&self.readers, readers), all(&self.writers, writers));
    }

    /// Returns how many connections may lead to a former server.
    pub(super) fn size(&self) -> u32 {
        self.pool.options().get_max_connections()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_keeps_half_of_its_pool() {
        for connections in 4..200 {
            let Share { lookups, readers, writers } = Share::of(connections, 8).unwrap();
            assert!(lookups >= 1 && readers >= 1 && writers >= 1, "{connections}: each use has a place");
            assert!(lookups + readers + writers <= (connections / 2).max(3), "{connections}");
            assert!(lookups <= 8 && readers <= 4 && writers <= 4, "{connections}: no more than in own pools");
        }
        assert!(Share::of(3, 8).is_err());
        assert_eq!(Share::of(10, 1).unwrap(), Share { lookups: 1, readers: 1, writers: 1 });
    }
}
