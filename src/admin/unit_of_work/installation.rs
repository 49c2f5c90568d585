//! Mutations that concern the whole installation.

use super::UnitOfWork;
use crate::admin::ServiceError;
use crate::domain::{Action, AuditAction, AuditCause, AuditTarget, Tag, Timestamp};
use crate::store::{Clamp, Clamped};
use serde_json::{Value, json};

impl UnitOfWork<'_> {
    /// Deletes the permissions and grants whose action is none of these.
    pub(in crate::admin) async fn clamp_unknown_actions(&mut self, known: &[Action]) -> Result<Clamped, ServiceError> {
        let origin = self.origin.clone();
        let clamped = self.tx.clamp(Clamp::Unknown(known), &origin, AuditCause::Catalogue).await?;
        if clamped != Clamped::default() {
            self.invalidate(Tag::ALL);
        }
        Ok(clamped)
    }

    /// Makes every principal stale: the host decides about its accounts by other rules.
    pub(in crate::admin) fn invalidate_everything(&mut self) {
        self.invalidate(Tag::ALL);
    }

    /// Records for how long events are kept from now on.
    pub(in crate::admin) async fn record_retention(&mut self, details: Value) -> Result<(), ServiceError> {
        self.audit(AuditAction::RetentionSet, AuditTarget::Installation, details).await
    }

    /// Records failed sign-ins.
    pub(in crate::admin) async fn record_failed_sign_ins(&mut self, details: Value) -> Result<(), ServiceError> {
        self.audit(AuditAction::SignInsFailed, AuditTarget::Installation, details).await
    }

    /// Deletes the events from before `before`. Returns how many there were.
    pub(in crate::admin) async fn delete_events(&mut self, before: Timestamp) -> Result<u64, ServiceError> {
        let deleted = self.tx.delete_events(before).await?;
        if deleted > 0 {
            let details = json!({"before": before.to_string(), "deleted": deleted});
            self.audit(AuditAction::EventsDeleted, AuditTarget::Installation, details).await?;
        }
        Ok(deleted)
    }
}
