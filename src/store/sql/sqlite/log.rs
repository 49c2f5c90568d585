//! The log of changes, as other processes on the same file read it.

use super::error::asking;
use super::{SqliteStore, no_epoch, rows, statements};
use crate::domain::{Clock, Timestamp};
use crate::store::{Applied, ChangeLog, Poll, StoreError};
use async_trait::async_trait;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection, SqlitePool, query};
use std::fmt;
use std::sync::Arc;

pub(super) struct Log {
    file: SqliteConnectOptions,
    /// Gone while a poll is under way: one that is given up takes its connection along.
    connection: Option<SqliteConnection>,
    writer: SqlitePool,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}

impl Log {
    pub(super) fn new(store: &SqliteStore) -> Self {
        let file = store.file.clone().pragma("query_only", "ON");
        Self { file, connection: None, writer: store.writer.clone(), clock: store.clock.clone() }
    }
}

#[async_trait]
impl ChangeLog for Log {
    async fn poll(&mut self, applied: Option<&Applied>) -> Result<Poll, StoreError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.file.connect().await.map_err(asking)?,
        };
        let (seq, op_id) = (applied.map(|a| a.seq.cast_signed()), applied.map(|a| a.op_id.clone()));
        let poll = query(statements::POLL).bind(seq).bind(op_id);
        let row = poll.fetch_optional(&mut connection).await.map_err(asking)?.ok_or_else(no_epoch)?;
        let poll = rows::poll(&row, self.clock.now())?;
        self.connection = Some(connection);
        Ok(poll)
    }

    /// A file tells nobody that it was written to.
    async fn hint(&mut self) {
        std::future::pending().await
    }

    async fn forget(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        let done = query(statements::FORGET).bind(before.0).execute(&self.writer).await.map_err(asking)?;
        Ok(done.rows_affected())
    }
}
