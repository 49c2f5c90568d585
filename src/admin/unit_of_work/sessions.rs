//! Mutations of sessions.

use super::UnitOfWork;
use crate::admin::ServiceError;
use crate::admin::tokens::{IssuedToken, new_token};
use crate::domain::{
    Actor, AuditAction, AuditTarget, NewSecret, OwnerId, PasswordHash, Tag, Token, TokenAuthority, TokenKind,
};
use crate::store::{Paging, TokenQuery, TokenSort};
use serde_json::json;

impl UnitOfWork<'_> {
    /// Opens a session for an owner whose password was verified. If the password was hashed anew by that, stores the hash; as the
    /// password is the same, this has no event of its own.
    pub(in crate::admin) async fn sign_in(
        &mut self,
        owner: OwnerId,
        session: NewSecret,
        rehashed: Option<&PasswordHash>,
    ) -> Result<IssuedToken, ServiceError> {
        self.origin.actor = Actor::Person(owner);
        let session = self.open_session(owner, session).await?;
        let mut details = json!({"owner": owner});
        if let Some(hash) = rehashed {
            self.tx.set_password(owner, hash).await?;
            details["passwordHash"] = json!("renewed");
        }
        let target = AuditTarget::Token(session.token.id, TokenKind::Session);
        self.audit(AuditAction::SignedIn, target, details).await?;
        Ok(session)
    }

    /// Ends a session that its owner signs out of.
    pub(in crate::admin) async fn sign_out(&mut self, session: &Token, owner: OwnerId) -> Result<(), ServiceError> {
        self.end_session(session, json!({"owner": owner})).await
    }

    /// Deletes sessions that have expired. No principal becomes stale: an expired session is rejected, cached or not.
    pub(in crate::admin) async fn delete_ended_sessions(&mut self) -> Result<u64, ServiceError> {
        Ok(self.tx.delete_ended_sessions().await?)
    }

    /// Opens a session. The caller adds the event that tells why.
    pub(super) async fn open_session(
        &mut self,
        owner: OwnerId,
        issued: NewSecret,
    ) -> Result<IssuedToken, ServiceError> {
        self.end_oldest_sessions(owner).await?;
        let state = self.state.clone();
        let policy = &state.settings.policy;
        let authority = TokenAuthority::Session { owner, idle: policy.session_idle };
        // A session has no name. Its description is the client's name for its device.
        let device = self.device.to_string();
        let (new, secret) = new_token(issued, String::new(), device, Some(policy.session_lifespan), authority);
        let digest = new.digest;
        let id = self.tx.insert_token(new).await?;
        self.invalidate(Tag::token(&digest));
        let token = self.tx.token(id).await?.ok_or(ServiceError::NotFound("token"))?;
        Ok(IssuedToken::new(token, secret))
    }

    /// Ends all sessions of an owner. The caller adds the event that tells why.
    pub(super) async fn end_sessions(&mut self, owner: OwnerId) -> Result<(), ServiceError> {
        for session in self.tx.delete_sessions(owner).await? {
            self.invalidate(Tag::token(&session));
        }
        self.invalidate(Tag::owner(owner));
        Ok(())
    }

    /// Ends an owner's oldest sessions, so that one more is within the limit of the policy.
    pub(super) async fn end_oldest_sessions(&mut self, owner: OwnerId) -> Result<(), ServiceError> {
        let most = self.state.settings.policy.sessions_per_owner.max(1);
        let count = self.tx.count_tokens(TokenKind::Session, Some(owner)).await?;
        let Some(beyond) = count.checked_sub(most - 1).filter(|beyond| *beyond > 0) else { return Ok(()) };
        let page_size = u32::try_from(beyond).unwrap_or(u32::MAX).min(Paging::LARGEST);
        let query = TokenQuery {
            paging: Paging { page: 1, page_size },
            owner: Some(owner),
            sort: TokenSort::Id,
            ..TokenQuery::of(TokenKind::Session)
        };
        for session in self.tx.tokens(&query).await?.items {
            self.end_session(&session, json!({"owner": owner, "reason": "too-many-sessions"})).await?;
        }
        Ok(())
    }

    async fn end_session(&mut self, session: &Token, details: serde_json::Value) -> Result<(), ServiceError> {
        self.tx.delete_token(session.id).await?;
        self.invalidate(Tag::token(&session.digest));
        self.audit(AuditAction::SignedOut, AuditTarget::Token(session.id, TokenKind::Session), details).await
    }
}
