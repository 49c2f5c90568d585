//! Mutations of an import.

use super::UnitOfWork;
use crate::admin::{ServiceError, audit_details};
use crate::domain::{
    AuditAction, AuditTarget, OwnerId, PasswordHash, RoleId, Secret, Tag, Timestamp, TokenAuthority, TokenKind,
};
use crate::store::{Imported, NewOwner, NewRole, NewToken, TokenTimes};
use serde_json::json;

/// The source of an imported record, and its key there.
#[derive(Clone, Copy)]
pub(in crate::admin) struct ImportKey<'a> {
    pub(in crate::admin) source: &'a str,
    pub(in crate::admin) key: &'a str,
}

impl UnitOfWork<'_> {
    pub(in crate::admin) async fn import_role(
        &mut self,
        from: ImportKey<'_>,
        new: NewRole,
    ) -> Result<RoleId, ServiceError> {
        let permissions = audit_details::permissions(&new.permissions);
        let details = json!({"name": new.name, "permissions": permissions, "imported": from.source});
        let id = self.tx.insert_role(new).await?;
        self.tx.remember_imported(from.source, from.key, Imported::Role(id)).await?;
        self.invalidate(Tag::role(id));
        self.audit(AuditAction::RoleCreated, AuditTarget::Role(id), details).await?;
        Ok(id)
    }

    pub(in crate::admin) async fn import_owner(
        &mut self,
        from: ImportKey<'_>,
        new: NewOwner,
        password: Option<&PasswordHash>,
        created_at: Timestamp,
    ) -> Result<OwnerId, ServiceError> {
        let details = json!({"email": new.email, "roles": new.roles, "state": new.state, "imported": from.source});
        let id = self.tx.insert_owner(new).await?;
        if let Some(hash) = password {
            self.tx.set_password(id, hash).await?;
        }
        self.tx.backdate_owner(id, created_at).await?;
        self.tx.remember_imported(from.source, from.key, Imported::Owner(id)).await?;
        self.invalidate(Tag::owner(id));
        self.audit(AuditAction::OwnerCreated, AuditTarget::Owner(id), details).await?;
        Ok(id)
    }

    /// Imports a token, and seals its secret if that is known and there is an encryption key. Returns whether the secret was sealed.
    pub(in crate::admin) async fn import_token(
        &mut self,
        from: ImportKey<'_>,
        new: NewToken,
        times: TokenTimes,
        secret: Option<&Secret>,
    ) -> Result<bool, ServiceError> {
        let digest = new.digest;
        let kind = match new.authority {
            TokenAuthority::Admin { .. } => TokenKind::Admin,
            TokenAuthority::Content { .. } => TokenKind::Content,
            TokenAuthority::Session { .. } => TokenKind::Session,
        };
        let mut details = audit_details::new_token(&new);
        details["expiresAt"] = json!(times.expires_at.map(|at| at.to_string()));
        details["imported"] = json!(from.source);
        let id = self.tx.insert_token(new).await?;
        self.tx.backdate_token(id, times).await?;
        self.invalidate(Tag::token(&digest));
        self.audit(AuditAction::TokenIssued, AuditTarget::Token(id, kind), details).await?;
        self.tx.remember_imported(from.source, from.key, Imported::Token(id)).await?;
        match secret {
            Some(secret) => {
                let token = self.load_token(id).await?;
                self.seal_secret(&token, secret).await
            }
            None => Ok(false),
        }
    }

    /// Records how much an import from this source brought.
    pub(in crate::admin) async fn record_import(
        &mut self,
        source: &str,
        roles: u64,
        owners: u64,
        tokens: u64,
    ) -> Result<(), ServiceError> {
        let details = json!({"imported": source, "roles": roles, "owners": owners, "tokens": tokens});
        self.audit(AuditAction::Imported, AuditTarget::Installation, details).await
    }
}
