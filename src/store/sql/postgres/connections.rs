//! Connections to the server that the address leads to: pools of keyward's own, or a share of a pool of the host.
//!
//! An address may lead to another server after a failover. Older connections may still lead to the former server, and
//! show no sign of it. The reader of the log notices, and then none of them is used again.

use super::host_pool::HostPool;
use super::statements::LOOK_UP_SETTINGS;
use super::{ConnectionSlot, LookupPool, WAIT_TIMEOUT};
use arc_swap::ArcSwap;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, PgConnection, PgPool, Postgres, raw_sql};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use tokio::sync::watch;

/// How many connections write. Writers run one after another; spare connections let the next one start at once.
pub(super) const WRITERS: u32 = 4;

pub(super) struct Connections {
    address: PgConnectOptions,
    lookups: u32,
    pooler: bool,
    pools: ArcSwap<Pools>,
    /// The host's pool, if all connections but two come from there.
    pub(super) host: Option<HostPool>,
    /// An undeclared pooler in transaction mode was detected.
    shared: AtomicBool,
    /// The server that the log was read from last; 0 before.
    server: AtomicI64,
}

pub(super) struct Pools {
    /// For look-ups only, which must not wait for longer queries.
    lookups: Arc<LookupPool<Postgres>>,
    readers: PgPool,
    pub(super) writers: PgPool,
    /// The one connection that receives hints. It is never the host's: it listens for ever.
    pub(super) listeners: PgPool,
    /// Becomes true when other pools have replaced these.
    replaced: watch::Sender<bool>,
}

/// The use of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PoolKind {
    /// For one statement. An idle connection may have been lost.
    Lookups,
    /// For one statement, on a connection that works.
    TestedLookups,
    /// For a look-up in a transaction, behind a pooler.
    SharedLookups,
    Readers,
    Writers,
}

type TakenConnection = (PoolConnection<Postgres>, Option<ConnectionSlot<Postgres>>);

impl Connections {
    pub(super) fn new(address: PgConnectOptions, lookups: u32, pooler: bool, host: Option<HostPool>) -> Self {
        let pools = ArcSwap::from_pointee(Pools::new(&address, lookups, pooler, host.as_ref()));
        Self { address, lookups, pooler, pools, host, shared: AtomicBool::new(false), server: AtomicI64::new(0) }
    }

    pub(super) fn pools(&self) -> Arc<Pools> {
        self.pools.load_full()
    }

    pub(super) fn address(&self) -> &PgConnectOptions {
        &self.address
    }

    /// Returns whether sessions are used by others between our transactions: nothing may stay in a session.
    pub(super) fn keeps_no_session(&self) -> bool {
        self.pooler || self.host.is_some()
    }

    /// Opens a connection outside the pools, with this application name. The host may have changed the password in its
    /// pool.
    pub(super) async fn own(&self, name: &str) -> sqlx::Result<PgConnection> {
        let address = match &self.host {
            Some(host) => super::address::options_of(&host.pool, self.pooler),
            None => self.address.clone(),
        };
        address.application_name(name).connect().await
    }

    /// Replaces all pools, because the address leads to another server now. Pending statements on older connections
    /// fail. Connections of the host's pool that lead to the former server are closed when they are taken.
    pub(super) fn renew(&self) {
        if !self.pools().listeners.is_closed() {
            let pools = Pools::new(&self.address, self.lookups, self.pooler, self.host.as_ref());
            let old = self.pools.swap(Arc::new(pools));
            old.replaced.send_replace(true);
        }
    }

    /// Notes which server the log is read from.
    pub(super) fn note_server(&self, server: i64) {
        self.server.store(server, Ordering::Release);
    }

    /// Returns whether a connection to this server leads where the log is read. A host's connection from before a
    /// failover may still lead to the former primary.
    pub(super) fn is_present(&self, server: i64) -> bool {
        [0, server].contains(&self.server.load(Ordering::Acquire))
    }

    /// Returns true if connections may share prepared statements through a pooler; then none is used.
    pub(super) fn are_shared(&self) -> bool {
        self.shared.load(Ordering::Acquire)
    }

    pub(super) fn set_shared(&self, shared: bool) {
        self.shared.store(shared, Ordering::Release);
    }

    /// Closes all pools after their running statements. The host's pool stays open.
    pub(super) async fn close(&self) {
        let pools = self.pools();
        match &self.host {
            Some(host) => tokio::join!(host.give_back(), pools.listeners.close()).1,
            None => {
                tokio::join!(
                    pools.lookups.close(),
                    pools.readers.close(),
                    pools.writers.close(),
                    pools.listeners.close()
                );
            }
        }
    }
}

impl Pools {
    /// Takes a connection, with the slot to which it returns if that is not sqlx's pool.
    pub(super) async fn take(&self, kind: PoolKind) -> sqlx::Result<TakenConnection> {
        let pool = match kind {
            PoolKind::Lookups => return self.lookups.take().await.map(with_slot),
            PoolKind::TestedLookups => return self.lookups.take_tested().await.map(with_slot),
            PoolKind::SharedLookups => self.lookups.as_pool(),
            PoolKind::Readers => &self.readers,
            PoolKind::Writers => &self.writers,
        };
        Ok((pool.acquire().await?, None))
    }

    pub(super) fn replaced(&self) -> watch::Receiver<bool> {
        self.replaced.subscribe()
    }

    fn new(address: &PgConnectOptions, lookups: u32, pooler: bool, host: Option<&HostPool>) -> Self {
        let pool = |size: u32| PgPoolOptions::new().acquire_timeout(WAIT_TIMEOUT).max_connections(size);
        let (listeners, replaced) = (pool(1).connect_lazy_with(address.clone()), watch::Sender::new(false));
        if let Some(host) = host {
            let pool = || host.pool.clone();
            return Self { lookups: LookupPool::new(pool()), readers: pool(), writers: pool(), listeners, replaced };
        }
        let mut lookup_pool = pool(lookups);
        // Behind a pooler session settings may reach another client, so each transaction sets them.
        if !pooler {
            lookup_pool = lookup_pool.after_connect(|connection, _| {
                Box::pin(async move { raw_sql(LOOK_UP_SETTINGS).execute(connection).await.map(drop) })
            });
        }
        Self {
            lookups: LookupPool::new(lookup_pool.connect_lazy_with(address.clone())),
            // Lists may take long: fewer of them leave the server to look-ups.
            readers: pool(lookups.div_ceil(2)).connect_lazy_with(address.clone()),
            writers: pool(WRITERS).connect_lazy_with(address.clone()),
            listeners,
            replaced,
        }
    }
}

fn with_slot(taken: (PoolConnection<Postgres>, ConnectionSlot<Postgres>)) -> TakenConnection {
    (taken.0, Some(taken.1))
}
