//! Mutations of tokens.

use super::UnitOfWork;
use crate::admin::{ServiceError, audit_details};
use crate::domain::{
    Actor, AuditAction, AuditCause, AuditTarget, Digest, FieldName, LegacyHash, Metadata, NewSecret, Secret, Tag,
    Token, TokenAuthority, TokenId, TokenKind,
};
use crate::store::{Imported, NewToken};
use serde_json::{Value, json};

/// The source under which adopted keys are remembered.
const LEGACY: &str = "legacy keys";

impl UnitOfWork<'_> {
    /// Adds a token, and seals its secret if there is an encryption key. A new session ends the oldest ones beyond the limit.
    pub(in crate::admin) async fn issue_token(
        &mut self,
        new: NewToken,
        secret: &Secret,
    ) -> Result<Token, ServiceError> {
        if let TokenAuthority::Session { owner, .. } = new.authority {
            self.end_oldest_sessions(owner).await?;
        }
        let token = self.insert_token(new, None).await?;
        self.seal_secret(&token, secret).await?;
        Ok(token)
    }

    /// Adds the token of a key that another system issued.
    pub(in crate::admin) async fn adopt_token(
        &mut self,
        new: NewToken,
        hash: LegacyHash,
    ) -> Result<Token, ServiceError> {
        let key = new.digest.to_hex();
        let token = self.insert_token(new, Some(hash)).await?;
        self.tx.remember_imported(LEGACY, &key, Imported::Token(token.id)).await?;
        Ok(token)
    }

    /// Checks that no key with this digest was adopted before. A key that was revoked since does not come back.
    pub(in crate::admin) async fn ensure_not_adopted(&mut self, digest: &Digest) -> Result<(), ServiceError> {
        match self.tx.imported_token(LEGACY, &digest.to_hex()).await? {
            Some(_) => Err(ServiceError::Taken { field: FieldName::Digest, message: "Key already adopted" }),
            None => Ok(()),
        }
    }

    async fn insert_token(&mut self, new: NewToken, adopted: Option<LegacyHash>) -> Result<Token, ServiceError> {
        let (digest, mut details) = (new.digest, audit_details::new_token(&new));
        let id = self.tx.insert_token(new).await?;
        let token = self.load_token(id).await?;
        self.invalidate(Tag::token(&digest));
        if token.kind() != TokenKind::Session {
            details["expiresAt"] = json!(token.expires_at.map(|at| at.to_string()));
        }
        if let Some(hash) = adopted {
            details["adopted"] = json!(hash.as_str());
        }
        self.audit(AuditAction::TokenIssued, AuditTarget::Token(id, token.kind()), details).await?;
        Ok(token)
    }

    /// Sets a token's name, description, metadata and authority, if the actor's rate limit for this token allows it.
    pub(in crate::admin) async fn update_token(
        &mut self,
        before: &Token,
        name: &str,
        description: &str,
        metadata: Option<&Metadata>,
        authority: &TokenAuthority,
    ) -> Result<(), ServiceError> {
        let most = self.state.settings.policy.token_updates_per_hour;
        self.limit(AuditAction::TokenUpdated, AuditTarget::Token(before.id, before.kind()), most).await?;
        self.write_token(before, name, description, metadata, authority, None).await
    }

    /// Sets a token's authority to the same one under the names that the catalogue has now.
    pub(in crate::admin) async fn rename_token_authority(
        &mut self,
        before: &Token,
        authority: &TokenAuthority,
    ) -> Result<(), ServiceError> {
        let Token { name, description, metadata, .. } = before;
        self.write_token(before, name, description, metadata.as_ref(), authority, Some(AuditCause::Renamed)).await
    }

    async fn write_token(
        &mut self,
        before: &Token,
        name: &str,
        description: &str,
        metadata: Option<&Metadata>,
        authority: &TokenAuthority,
        cause: Option<AuditCause>,
    ) -> Result<(), ServiceError> {
        let details = Value::Object(audit_details::token_changes(before, name, description, metadata, authority));
        // A name that stays keeps the scope in which it is unique.
        let scope = self.state.settings.policy.name_scope(before.owner());
        let renamed = (name != before.name).then_some((name, scope));
        self.tx.update_token(before.id, renamed, description, metadata, authority).await?;
        self.invalidate(Tag::token(&before.digest));
        let target = AuditTarget::Token(before.id, before.kind());
        self.audit_with_cause(cause, AuditAction::TokenUpdated, target, details).await
    }

    /// Replaces a token's secret, if the actor's rate limit for this token allows it.
    pub(in crate::admin) async fn replace_secret(
        &mut self,
        before: &Token,
        issued: NewSecret,
    ) -> Result<(Token, Secret), ServiceError> {
        let (id, target) = (before.id, AuditTarget::Token(before.id, before.kind()));
        let most = self.state.settings.policy.regenerations_per_hour;
        self.limit(AuditAction::TokenRegenerated, target, most).await?;
        let NewSecret { secret, digest, hash_key } = issued;
        self.tx.set_secret(id, &digest, &hash_key, secret.hint()).await?;
        let token = self.load_token(id).await?;
        self.seal_secret(&token, &secret).await?;
        self.invalidate(Tag::token(&before.digest));
        self.invalidate(Tag::token(&digest));
        self.audit(AuditAction::TokenRegenerated, target, json!({"name": token.name})).await?;
        Ok((token, secret))
    }

    /// Records that the actor is shown a token's secret, if the actor's rate limit for this token allows it.
    #[cfg(feature = "reveal")]
    pub(in crate::admin) async fn record_reveal(&mut self, token: &Token) -> Result<(), ServiceError> {
        let target = AuditTarget::Token(token.id, token.kind());
        let most = self.state.settings.policy.reveals_per_hour;
        self.limit(AuditAction::TokenRevealed, target, most).await?;
        self.audit(AuditAction::TokenRevealed, target, json!({"name": token.name})).await
    }

    pub(in crate::admin) async fn revoke_token(&mut self, token: &Token) -> Result<(), ServiceError> {
        self.tx.delete_token(token.id).await?;
        self.invalidate(Tag::token(&token.digest));
        let details = json!({"name": token.name, "owner": token.owner()});
        self.audit(AuditAction::TokenRevoked, AuditTarget::Token(token.id, token.kind()), details).await
    }

    /// Revokes a token whose bearer presented its secret. It acts for itself; a session, for its person.
    pub(in crate::admin) async fn revoke_presented(&mut self, token: &Token) -> Result<(), ServiceError> {
        self.tx.delete_token(token.id).await?;
        self.invalidate(Tag::token(&token.digest));
        let (actor, action) = match (token.kind(), token.owner()) {
            (TokenKind::Session, Some(owner)) => (Actor::Person(owner), AuditAction::SignedOut),
            _ => (Actor::Token(token.id), AuditAction::TokenRevoked),
        };
        self.origin.actor = actor;
        let details = json!({"name": token.name, "owner": token.owner()});
        let target = AuditTarget::Token(token.id, token.kind());
        self.audit_with_cause(Some(AuditCause::Bearer), action, target, details).await
    }

    pub(super) async fn load_token(&mut self, id: TokenId) -> Result<Token, ServiceError> {
        self.tx.token(id).await?.ok_or(ServiceError::NotFound("token"))
    }

    /// Stores the sealed secret of an admin or content token, if there is an encryption key. Returns whether it did.
    pub(super) async fn seal_secret(&mut self, token: &Token, secret: &Secret) -> Result<bool, ServiceError> {
        let state = self.state.clone();
        let Some(keys) = state.settings.encryption.as_ref().filter(|_| token.kind() != TokenKind::Session) else {
            return Ok(false);
        };
        let sealed = keys.seal(token.id, secret, &*state.entropy)?;
        self.tx.seal_secret(token.id, &sealed).await?;
        Ok(true)
    }
}
