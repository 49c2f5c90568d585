//! Queries of tests that the store contract does not have. Programs read events with
//! [`AuditLog`](crate::admin::AuditLog) and uses from the token.

use super::view::Reading;
use super::{EngineStore, rows, statements};
use crate::domain::{AuditEvent, Timestamp, TokenId};
use crate::store::StoreError;
use sqlx::query;
use std::net::IpAddr;

impl EngineStore {
    /// Returns all audit events, oldest first. For tests: it reads the whole log.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the events cannot be read.
    pub async fn audit_events(&self) -> Result<Vec<AuditEvent>, StoreError> {
        let rows = Reading::begin(self.clone()).await?.rows(query(statements::AUDIT_EVENTS)).await?;
        rows.iter().map(rows::audit_event).collect()
    }

    /// Returns the time and client address of a token's last use, as far as it is written. For tests.
    ///
    /// # Errors
    /// Returns [`StoreError`] if it cannot be read.
    pub async fn last_use(&self, id: TokenId) -> Result<Option<(Timestamp, Option<IpAddr>)>, StoreError> {
        let row = Reading::begin(self.clone()).await?.row(query(statements::LAST_USE).bind(id.0)).await?;
        row.as_ref().map(rows::last_use).transpose()
    }
}
