//! The log of changes, as other processes on the same file read it.

use super::error::query_error;
use super::{SqliteStore, no_epoch, rows, statements};
use crate::domain::Timestamp;
use crate::store::{Applied, ChangeLog, Poll, StoreError};
use async_trait::async_trait;
use sqlx::query;
use std::fmt;

/// A log with connections of its own, which no request waits for, and which close with the store's.
pub(super) struct Log(SqliteStore);

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}

impl Log {
    pub(super) fn new(store: &SqliteStore) -> Self {
        Self(store.clone())
    }
}

#[async_trait]
impl ChangeLog for Log {
    async fn poll(&mut self, applied: Option<&Applied>) -> Result<Poll, StoreError> {
        let store = &self.0;
        // After the caller has noted the time: until now the file was in its place.
        if let Err(gone) = store.check_location() {
            store.fold_after_move().await;
            return Err(gone);
        }
        let (seq, op_id) = (applied.map(|a| a.seq.cast_signed()), applied.map(|a| a.op_id.clone()));
        let poll = query(statements::POLL).bind(seq).bind(op_id);
        let row = poll.fetch_optional(&store.log).await.map_err(query_error)?.ok_or_else(no_epoch)?;
        rows::poll(&row, store.clock.now())
    }

    /// A file gives no notice of writes.
    async fn hint(&mut self) {
        std::future::pending().await
    }

    async fn forget(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        self.0.check_location()?;
        let done =
            query(statements::DELETE_OLD_CHANGES).bind(before.0).execute(&self.0.writer).await.map_err(query_error)?;
        Ok(done.rows_affected())
    }
}
