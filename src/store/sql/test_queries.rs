//! What tests ask of a store besides the contract. For programs, [`AuditLog`](crate::admin::AuditLog) gives events page by page, and a token
//! that is read says when it was used.

use super::view::Reading;
use super::{Home, rows, statements};
use crate::domain::{AuditEvent, Timestamp, TokenId};
use crate::store::StoreError;
use sqlx::query;
use std::net::IpAddr;

impl Home {
    /// The audit events so far, oldest first. For tests: it reads all there are.
    ///
    /// # Errors
    /// If they cannot be read.
    pub async fn audit_events(&self) -> Result<Vec<AuditEvent>, StoreError> {
        let rows = Reading::begin(self.clone()).await?.rows(query(statements::AUDIT_EVENTS)).await?;
        rows.iter().map(rows::audit_event).collect()
    }

    /// When a token was last used, and from where, as far as that was written. For tests.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn last_use(&self, id: TokenId) -> Result<Option<(Timestamp, Option<IpAddr>)>, StoreError> {
        let row = Reading::begin(self.clone()).await?.row(query(statements::LAST_USE).bind(id.0)).await?;
        row.as_ref().map(rows::last_use).transpose()
    }
}
