//! The log of changes, as every node reads it.

use super::error::asking;
use super::held::read_on;
use super::{PostgresStore, no_epoch, rows, statements};
use crate::domain::Timestamp;
use crate::store::{Applied, ChangeLog, Poll, StoreError};
use async_trait::async_trait;
use sqlx::postgres::PgListener;
use sqlx::{ConnectOptions, PgConnection, query};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// How long nobody listens after a connection that listened was lost.
const LISTEN_AGAIN: Duration = Duration::from_secs(5);

pub(super) struct Log {
    store: PostgresStore,
    /// Gone while a poll is under way: one that is given up takes its connection along.
    connection: Option<PgConnection>,
    hinted: Arc<Notify>,
    listening: Option<AbortHandle>,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if let Some(listening) = &self.listening {
            listening.abort();
        }
    }
}

impl Log {
    pub(super) fn new(store: &PostgresStore) -> Self {
        Self { store: store.clone(), connection: None, hinted: Arc::default(), listening: None }
    }

    /// Listens in a task of its own, so that whoever waits for a hint can stop waiting at any time.
    fn listen(&mut self) {
        // Behind a pooler the session that listens may be anybody's a moment later.
        if self.listening.is_some() || self.store.pooler {
            return;
        }
        let (store, hinted) = (self.store.clone(), Arc::downgrade(&self.hinted));
        let task = tokio::spawn(async move {
            loop {
                if let Ok(mut listener) = PgListener::connect_with(&store.listeners).await
                    && listener.listen("keyward").await.is_ok()
                {
                    while listener.recv().await.is_ok() {
                        let Some(hinted) = hinted.upgrade() else { return };
                        hinted.notify_one();
                    }
                }
                tokio::time::sleep(LISTEN_AGAIN).await;
            }
        });
        self.listening = Some(task.abort_handle());
    }
}

#[async_trait]
impl ChangeLog for Log {
    async fn poll(&mut self, applied: Option<&Applied>) -> Result<Poll, StoreError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.store.address.connect().await.map_err(asking)?,
        };
        let pooler = self.store.pooler;
        if self.store.heartbeat {
            read_on(&mut connection, pooler, query(statements::HEARTBEAT)).await.map_err(asking)?;
        }
        let (seq, op_id) = (applied.map(|a| a.seq.cast_signed()), applied.map(|a| a.op_id.clone()));
        let poll = query(statements::POLL).bind(seq).bind(op_id);
        let row = read_on(&mut connection, pooler, poll).await.map_err(asking)?.ok_or_else(no_epoch)?;
        if rows::get::<bool>(&row, "replica")? {
            return Err(StoreError::Unavailable("the server is a replica in recovery".into()));
        }
        let poll = rows::poll(&row, self.store.time(&row)?)?;
        self.connection = Some(connection);
        Ok(poll)
    }

    async fn hint(&mut self) {
        self.listen();
        self.hinted.notified().await;
    }

    async fn forget(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        let done = query(statements::FORGET).bind(before.0).execute(&self.store.writers).await.map_err(asking)?;
        Ok(done.rows_affected())
    }
}
