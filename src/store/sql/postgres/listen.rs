//! Hints that the log of changes has new entries.

use super::{PostgresStore, WAIT_TIMEOUT};
use sqlx::postgres::PgListener;
use sqlx::raw_sql;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// The pause after a listening connection was lost.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// The time without hints after which the connection is tested: it may be dead without notice.
const TEST_AFTER: Duration = Duration::from_secs(30);

/// A listener in a task of its own, so that a caller can stop waiting for a hint at any time.
#[derive(Default)]
pub(super) struct HintListener {
    hinted: Arc<Notify>,
    task: Option<AbortHandle>,
}

impl Drop for HintListener {
    fn drop(&mut self) {
        self.stop();
    }
}

impl HintListener {
    /// Waits for a hint. The first call starts to listen.
    pub(super) async fn hint(&mut self, store: &PostgresStore) {
        // Behind a pooler the listening session may belong to another client a moment later.
        if self.task.is_none() && !store.pooler {
            let task = tokio::spawn(run(store.clone(), Arc::downgrade(&self.hinted)));
            self.task = Some(task.abort_handle());
        }
        self.hinted.notified().await;
    }

    /// Stops listening, until the next call.
    pub(super) fn stop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

async fn run(store: PostgresStore, hinted: Weak<Notify>) {
    let listeners = store.connections.pools().listeners.clone();
    loop {
        let Err(error) = listen(&listeners, &store.installation.channel, &hinted).await else { return };
        tracing::debug!(error = &error as &dyn std::error::Error, "connection for hints lost");
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

/// Listens until the connection is lost or the listener is dropped.
async fn listen(listeners: &sqlx::PgPool, channel: &str, hinted: &Weak<Notify>) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(listeners).await?;
    listener.listen(channel).await?;
    loop {
        match tokio::time::timeout(TEST_AFTER, listener.recv()).await {
            Ok(received) => received.map(drop)?,
            Err(_) => {
                let tried = tokio::time::timeout(WAIT_TIMEOUT, raw_sql("SELECT 1").execute(&mut listener)).await;
                tried.map_err(|_| sqlx::Error::PoolTimedOut)??;
                continue;
            }
        }
        let Some(hinted) = hinted.upgrade() else { return Ok(()) };
        hinted.notify_one();
    }
}
