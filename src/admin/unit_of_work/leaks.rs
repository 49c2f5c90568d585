//! Mutations after reports of secrets that were found in public.

use super::UnitOfWork;
use super::tokens::LEGACY;
use crate::admin::ServiceError;
use crate::domain::{AuditAction, AuditCause, AuditTarget, Digest, OwnerId, Token};
use crate::store::{StoreError, View};
use serde_json::Value;

impl UnitOfWork<'_> {
    /// Revokes a token whose secret was found in public.
    pub(in crate::admin) async fn revoke_leaked(&mut self, token: &Token, details: Value) -> Result<(), ServiceError> {
        self.remove_line(token).await?;
        let target = AuditTarget::Token(token.id, token.kind());
        self.audit_with_cause(Some(AuditCause::Leaked), AuditAction::TokenRevoked, target, details).await
    }

    /// Deletes the invitation of an owner, which was found in public.
    pub(in crate::admin) async fn withdraw_leaked_invitation(
        &mut self,
        owner: OwnerId,
        details: Value,
    ) -> Result<(), ServiceError> {
        self.tx.delete_invitations(owner).await?;
        let target = AuditTarget::Owner(owner);
        self.audit_with_cause(Some(AuditCause::Leaked), AuditAction::InvitationWithdrawn, target, details).await
    }

    /// Records that a secret was found in public, and leaves it as it is.
    pub(in crate::admin) async fn record_leak(
        &mut self,
        target: AuditTarget,
        details: Value,
    ) -> Result<(), ServiceError> {
        self.audit(AuditAction::SecretLeaked, target, details).await
    }
}

/// Returns whether a key with this digest was adopted, also if its token was revoked since.
pub(in crate::admin) async fn was_adopted(view: &mut dyn View, digest: &Digest) -> Result<bool, StoreError> {
    Ok(view.imported_token(LEGACY, &digest.to_hex()).await?.is_some())
}
