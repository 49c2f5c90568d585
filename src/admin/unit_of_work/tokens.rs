//! Mutations of tokens.

use super::UnitOfWork;
use crate::admin::{ServiceError, audit_details};
use crate::domain::{
    Actor, AuditAction, AuditCause, AuditTarget, Digest, FieldName, LegacyHash, NewSecret, Secret, Tag, Timestamp,
    Token, TokenAuthority, TokenId, TokenKind, TokenLimits,
};
use crate::resolve::{Incident, IncidentKind};
use crate::store::{Imported, NewToken, StoredSecret};
use serde_json::{Value, json};
use std::time::Duration;

/// The source under which adopted keys are remembered.
pub(super) const LEGACY: &str = "legacy keys";

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

    /// Sets a token's name, description, metadata, authority and limits, if the actor's rate limit for this token allows it.
    pub(in crate::admin) async fn update_token(&mut self, before: &Token, after: &Token) -> Result<(), ServiceError> {
        let most = self.state.settings.policy.token_updates_per_hour;
        if !only_disables(before, after) {
            self.limit(AuditAction::TokenUpdated, AuditTarget::Token(before.id, before.kind()), most).await?;
        }
        self.write_token(before, after, None).await
    }

    /// Sets a token's authority to the same one under the names that the catalogue has now.
    pub(in crate::admin) async fn rename_token_authority(
        &mut self,
        before: &Token,
        authority: &TokenAuthority,
    ) -> Result<(), ServiceError> {
        let after = Token { authority: authority.clone(), ..before.clone() };
        self.write_token(before, &after, Some(AuditCause::Renamed)).await
    }

    async fn write_token(
        &mut self,
        before: &Token,
        after: &Token,
        cause: Option<AuditCause>,
    ) -> Result<(), ServiceError> {
        let details = Value::Object(audit_details::token_changes(before, after));
        let Token { name, description, metadata, authority, limits, .. } = after;
        // A name that stays keeps the scope in which it is unique.
        let scope = self.state.settings.policy.name_scope(before.owner());
        let renamed = (*name != before.name).then_some((name.as_str(), scope));
        self.tx.update_token(before.id, renamed, description, metadata.as_ref(), authority, limits).await?;
        self.invalidate_token(before).await?;
        let target = AuditTarget::Token(before.id, before.kind());
        self.audit_with_cause(cause, AuditAction::TokenUpdated, target, details).await
    }

    /// Replaces a token's secret, if the actor's rate limit for this token allows it.
    pub(in crate::admin) async fn replace_secret(
        &mut self,
        before: &Token,
        issued: NewSecret,
        grace: Duration,
    ) -> Result<(Token, Secret), ServiceError> {
        let (id, target) = (before.id, AuditTarget::Token(before.id, before.kind()));
        let most = self.state.settings.policy.regenerations_per_hour;
        self.limit(AuditAction::TokenRegenerated, target, most).await?;
        let NewSecret { secret, digest, hash_key } = issued;
        let ends = self.tx.now().plus(grace);
        self.end_children(before, ends).await?;
        let new = StoredSecret { digest, hash_key, hint: secret.hint().to_owned() };
        self.tx.replace_secret(id, &new, ends).await?;
        let token = self.load_token(id).await?;
        self.seal_secret(&token, &secret).await?;
        before.digests().for_each(|digest| self.invalidate(Tag::token(&digest)));
        self.invalidate(Tag::token(&digest));
        let mut details = json!({"name": token.name});
        if !grace.is_zero() {
            details["graceEndsAt"] = json!(ends.to_string());
        }
        self.audit(AuditAction::TokenRegenerated, target, details).await?;
        Ok((token, secret))
    }

    /// Ends the previous secret of a token, and the tokens that it made. Changes nothing if its grace period is over.
    pub(in crate::admin) async fn end_grace(&mut self, token: &Token) -> Result<(), ServiceError> {
        let now = self.tx.now();
        let Some(previous) = token.previous.as_ref().filter(|previous| now < previous.ends_at) else {
            self.skip_commit();
            return Ok(());
        };
        self.delete_line(token, &previous.digest).await?;
        self.tx.end_previous_secret(token.id).await?;
        self.invalidate(Tag::token(&previous.digest));
        let target = AuditTarget::Token(token.id, token.kind());
        self.audit(AuditAction::TokenGraceEnded, target, json!({"name": token.name})).await
    }

    /// Ends the tokens that come from a token whose secret is replaced: when the secret that made them ends, which is now
    /// for those of a previous one.
    async fn end_children(&mut self, token: &Token, ends: Timestamp) -> Result<(), ServiceError> {
        if let Some(previous) = &token.previous {
            self.delete_line(token, &previous.digest).await?;
        }
        if ends <= self.tx.now() {
            return self.delete_line(token, &token.digest).await;
        }
        for child in made_by(&self.tx.descendants(&[token.id]).await?, token, &token.digest) {
            if child.expires_at.is_none_or(|expires| ends < expires) {
                self.tx.set_expiry(child.id, ends).await?;
                child.digests().for_each(|digest| self.invalidate(Tag::token(&digest)));
                let before = child.expires_at.map(|at| at.to_string());
                let details = json!({"expiresAt": {"before": before, "after": ends.to_string()}});
                let target = AuditTarget::Token(child.id, child.kind());
                let cause = Some(AuditCause::ParentRegenerated(token.id));
                self.audit_with_cause(cause, AuditAction::TokenUpdated, target, details).await?;
            }
        }
        Ok(())
    }

    /// Deletes the tokens that come from this secret of a token.
    async fn delete_line(&mut self, token: &Token, secret: &Digest) -> Result<(), ServiceError> {
        let descendants = self.tx.descendants(&[token.id]).await?;
        for child in made_by(&descendants, token, secret).into_iter().rev() {
            self.delete_token(child, Some(AuditCause::ParentRegenerated(token.id))).await?;
        }
        Ok(())
    }

    /// Deletes tokens that a token made and that have expired. Nothing becomes stale, and expiry has no event.
    pub(in crate::admin) async fn sweep_children(&mut self, ended: &[Token]) -> Result<(), ServiceError> {
        for token in ended {
            self.tx.delete_token(token.id).await?;
        }
        Ok(())
    }

    /// Checks that a request which a token makes was admitted by its present secret: a previous one extends nothing.
    pub(in crate::admin) fn ensure_present_secret(&self, token: &Token) -> Result<(), ServiceError> {
        match self.presented {
            Some(presented) if presented != token.digest => {
                Err(ServiceError::Forbidden("this secret was replaced: use the present one"))
            }
            _ => Ok(()),
        }
    }

    /// Records an incident, and revokes the token if the policy says so.
    pub(in crate::admin) async fn record_incident(
        &mut self,
        token: &Token,
        kind: IncidentKind,
    ) -> Result<(), ServiceError> {
        let details = json!({"name": token.name, "owner": token.owner()});
        self.audit(action_of(kind), AuditTarget::Token(token.id, token.kind()), details).await?;
        match kind {
            IncidentKind::SecretReused if self.state.settings.policy.revoke_on_reuse => {
                self.act_as_service();
                self.revoke(token, Some(AuditCause::SecretReused)).await
            }
            IncidentKind::SecretReused | IncidentKind::NetworkRefused => Ok(()),
        }
    }

    /// Records an incident of a token that was revoked before it was written.
    pub(in crate::admin) async fn record_incident_of_revoked(
        &mut self,
        incident: Incident,
    ) -> Result<(), ServiceError> {
        let target = AuditTarget::Token(incident.token, incident.token_kind);
        self.audit(action_of(incident.kind), target, json!({})).await
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
        self.revoke(token, None).await
    }

    /// Revokes a token and those that come from it.
    pub(in crate::admin) async fn revoke(
        &mut self,
        token: &Token,
        cause: Option<AuditCause>,
    ) -> Result<(), ServiceError> {
        self.remove_line(token).await?;
        self.audit_revoked(token, cause).await
    }

    /// Deletes a token, for which the caller adds the event, and those that come from it.
    pub(super) async fn remove_line(&mut self, token: &Token) -> Result<(), ServiceError> {
        for child in self.tx.descendants(&[token.id]).await?.iter().rev() {
            self.delete_token(child, Some(AuditCause::ParentRevoked(token.id))).await?;
        }
        self.remove_token(token).await
    }

    /// Deletes a token. Those that come from it were deleted before.
    async fn delete_token(&mut self, token: &Token, cause: Option<AuditCause>) -> Result<(), ServiceError> {
        self.remove_token(token).await?;
        self.audit_revoked(token, cause).await
    }

    async fn remove_token(&mut self, token: &Token) -> Result<(), ServiceError> {
        self.tx.delete_token(token.id).await?;
        token.digests().for_each(|digest| self.invalidate(Tag::token(&digest)));
        Ok(())
    }

    async fn audit_revoked(&mut self, token: &Token, cause: Option<AuditCause>) -> Result<(), ServiceError> {
        let details = json!({"name": token.name, "owner": token.owner()});
        let target = AuditTarget::Token(token.id, token.kind());
        self.audit_with_cause(cause, AuditAction::TokenRevoked, target, details).await
    }

    /// Makes the principals of a token stale, by each of its secrets, and those of the tokens that come from it.
    pub(super) async fn invalidate_token(&mut self, token: &Token) -> Result<(), ServiceError> {
        token.digests().for_each(|digest| self.invalidate(Tag::token(&digest)));
        for child in self.tx.descendants(&[token.id]).await? {
            child.digests().for_each(|digest| self.invalidate(Tag::token(&digest)));
        }
        Ok(())
    }

    /// Revokes a token whose bearer presented its secret. It acts for itself; a session, for its person.
    pub(in crate::admin) async fn revoke_presented(&mut self, token: &Token) -> Result<(), ServiceError> {
        let (actor, action) = match (token.kind(), token.owner()) {
            (TokenKind::Session, Some(owner)) => (Actor::Person(owner), AuditAction::SignedOut),
            _ => (Actor::Token(token.id), AuditAction::TokenRevoked),
        };
        self.origin.actor = actor;
        self.remove_line(token).await?;
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

/// Returns the tokens that come from this secret of a token, parents first.
fn made_by<'t>(descendants: &'t [Token], token: &Token, secret: &Digest) -> Vec<&'t Token> {
    let mut line: Vec<&Token> = Vec::new();
    for child in descendants {
        let is_made = child.parent() == Some(token.id) && child.parent_secret.as_ref() == Some(secret);
        if is_made || line.iter().any(|parent| child.parent() == Some(parent.id)) {
            line.push(child);
        }
    }
    line
}

fn action_of(kind: IncidentKind) -> AuditAction {
    match kind {
        IncidentKind::SecretReused => AuditAction::TokenSecretReused,
        IncidentKind::NetworkRefused => AuditAction::TokenNetworkRefused,
    }
}

/// Returns whether a change only disables a token. Such a change is not limited, like a
/// revocation: a stolen session could use up the limit.
fn only_disables(before: &Token, after: &Token) -> bool {
    let disabled = TokenLimits { enabled: false, ..before.limits.clone() };
    before.limits.enabled && after.version() == Token { limits: disabled, ..before.clone() }.version()
}
