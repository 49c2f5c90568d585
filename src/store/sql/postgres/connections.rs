//! Connections to the server that the address leads to.
//!
//! An address may lead to another server one day: the replica that took over. Connections that were made before may still lead to the
//! old one, and nothing on them says so. The reader of the log notices; then none of them is used again.

use super::PATIENCE;
use super::statements::LOOK_UPS_END;
use arc_swap::ArcSwap;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, PgConnection, PgPool, raw_sql};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch;

/// How many connections change things. They follow one another anyway; more than one, so that the next one is ready.
const WRITERS: u32 = 4;

pub(super) struct Connections {
    address: PgConnectOptions,
    lookups: u32,
    pooler: bool,
    pools: ArcSwap<Pools>,
    /// A pooler that nobody spoke of is in between.
    shared: AtomicBool,
}

pub(super) struct Pools {
    /// For looking tokens up, and for nothing that takes longer.
    lookups: PgPool,
    readers: PgPool,
    pub(super) writers: PgPool,
    /// The one connection on which hints come.
    pub(super) listeners: PgPool,
    /// Others have taken their place.
    replaced: watch::Sender<bool>,
}

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    LookingUp,
    Reading,
    Writing,
}

impl Connections {
    pub(super) fn new(address: PgConnectOptions, lookups: u32, pooler: bool) -> Self {
        let pools = ArcSwap::from_pointee(Pools::new(&address, lookups, pooler));
        Self { address, lookups, pooler, pools, shared: AtomicBool::new(false) }
    }

    pub(super) fn pools(&self) -> Arc<Pools> {
        self.pools.load_full()
    }

    pub(super) fn address(&self) -> &PgConnectOptions {
        &self.address
    }

    /// A connection of one's own, which the server knows by this name.
    pub(super) async fn own(&self, name: &str) -> sqlx::Result<PgConnection> {
        self.address.clone().application_name(name).connect().await
    }

    /// The address leads to another server now. Nobody gets an older connection any more, and who waits for an answer on one is told.
    pub(super) fn renew(&self) {
        if !self.pools().readers.is_closed() {
            let old = self.pools.swap(Arc::new(Pools::new(&self.address, self.lookups, self.pooler)));
            old.replaced.send_replace(true);
        }
    }

    /// Whether what one connection prepares another one may run: then none is used.
    pub(super) fn are_shared(&self) -> bool {
        self.shared.load(Ordering::Acquire)
    }

    pub(super) fn set_shared(&self, shared: bool) {
        self.shared.store(shared, Ordering::Release);
    }

    /// Closes all, after what they are at.
    pub(super) async fn close(&self) {
        let pools = self.pools();
        tokio::join!(pools.lookups.close(), pools.readers.close(), pools.writers.close(), pools.listeners.close());
    }
}

impl Pools {
    pub(super) fn of(&self, side: Side) -> &PgPool {
        match side {
            Side::LookingUp => &self.lookups,
            Side::Reading => &self.readers,
            Side::Writing => &self.writers,
        }
    }

    pub(super) fn replaced(&self) -> watch::Receiver<bool> {
        self.replaced.subscribe()
    }

    fn new(address: &PgConnectOptions, lookups: u32, pooler: bool) -> Self {
        let pool = |size: u32| PgPoolOptions::new().acquire_timeout(PATIENCE).max_connections(size);
        let mut looking_up = pool(lookups);
        // Behind a pooler what is said of a session may hold for somebody else's: each transaction says it anew.
        if !pooler {
            looking_up = looking_up.after_connect(|connection, _| {
                Box::pin(async move { raw_sql(LOOK_UPS_END).execute(connection).await.map(drop) })
            });
        }
        Self {
            lookups: looking_up.connect_lazy_with(address.clone()),
            // Lists may take long: fewer at a time leave the server to look-ups.
            readers: pool(lookups.div_ceil(2)).connect_lazy_with(address.clone()),
            writers: pool(WRITERS).connect_lazy_with(address.clone()),
            listeners: pool(1).connect_lazy_with(address.clone()),
            replaced: watch::Sender::new(false),
        }
    }
}
