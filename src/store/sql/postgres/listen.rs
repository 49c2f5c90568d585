//! Hints that there is something to read in the log of changes.

use super::{PATIENCE, PostgresStore};
use sqlx::postgres::PgListener;
use sqlx::raw_sql;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// How long nobody listens after a connection that listened was lost.
const AGAIN: Duration = Duration::from_secs(5);

/// How long nothing has to be heard until the connection is tried: it may be dead, and nothing would say so.
const SILENCE: Duration = Duration::from_secs(30);

/// Listens in a task of its own, so that whoever waits for a hint can stop waiting at any time.
#[derive(Default)]
pub(super) struct Listening {
    hinted: Arc<Notify>,
    task: Option<AbortHandle>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.end();
    }
}

impl Listening {
    /// Wakes when somebody hinted, from the first call on.
    pub(super) async fn hint(&mut self, store: &PostgresStore) {
        // Behind a pooler the session that listens may be anybody's a moment later.
        if self.task.is_none() && !store.pooler {
            let task = tokio::spawn(run(store.clone(), Arc::downgrade(&self.hinted)));
            self.task = Some(task.abort_handle());
        }
        self.hinted.notified().await;
    }

    /// Listens no longer, until the next call.
    pub(super) fn end(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

async fn run(store: PostgresStore, hinted: Weak<Notify>) {
    let listeners = store.connections.pools().listeners.clone();
    loop {
        let Err(error) = listen(&listeners, &hinted).await else { return };
        tracing::debug!(error = &error as &dyn std::error::Error, "nobody listens for hints");
        tokio::time::sleep(AGAIN).await;
    }
}

/// Until the connection is lost, or nobody waits for hints any more.
async fn listen(listeners: &sqlx::PgPool, hinted: &Weak<Notify>) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(listeners).await?;
    listener.listen("keyward").await?;
    loop {
        match tokio::time::timeout(SILENCE, listener.recv()).await {
            Ok(heard) => heard.map(drop)?,
            Err(_) => {
                let tried = tokio::time::timeout(PATIENCE, raw_sql("SELECT 1").execute(&mut listener)).await;
                tried.map_err(|_| sqlx::Error::PoolTimedOut)??;
                continue;
            }
        }
        let Some(hinted) = hinted.upgrade() else { return Ok(()) };
        hinted.notify_one();
    }
}
