//! Viewing a kept secret again.

use super::Tokens;
use super::read::{DescribedToken, one};
use crate::admin::ServiceError;
use crate::admin::actor::ResolvedActor;
use crate::domain::{AuditAction, AuditTarget, Secret, Token, TokenId, TokenKind, TokenKinds, Unsealable};
use serde_json::json;

/// A token that was opened, with its secret for whom it may be shown to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TokenWithSecret {
    /// The token.
    pub described: DescribedToken,
    /// Its secret.
    pub secret: SecretAccess,
}

/// Whether a secret can be shown again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SecretAccess {
    /// Not to whoever asks: it is shown to a session of the token's owner, and of a content token to every session.
    NotForYou,
    /// No: it was shown once, when it was made.
    NotKept,
    /// No: it is sealed and cannot be opened.
    Lost(Unsealable),
    /// Yes, and here it is. That is remembered in the audit log.
    Shown(Secret),
}

impl Tokens {
    /// A token, and its secret if that was kept and whoever asks may see it.
    ///
    /// # Errors
    /// If there is no such token, or none for the actor, what is shown cannot be remembered, or it was shown too often, see
    /// [`Policy::reveals_per_hour`](crate::admin::Policy::reveals_per_hour).
    pub async fn open(&self, id: TokenId) -> Result<TokenWithSecret, ServiceError> {
        let mut view = self.change.view().await?;
        let actor = self.change.actor(&mut view).await?;
        let token = self.visible(&mut *view, &actor, id).await?;
        let yours = match (&actor, token.owner()) {
            (ResolvedActor::Person(grantor), Some(owner)) => grantor.is(owner),
            (ResolvedActor::Person(_), None) => true,
            _ => false,
        };
        let sealed = if yours { view.sealed_secret(id).await? } else { None };
        let described = one(&mut *view, token).await?;
        drop(view);
        let secret = match (sealed, &self.change.writer.settings.encryption) {
            _ if !yours => SecretAccess::NotForYou,
            (None, _) => SecretAccess::NotKept,
            (Some(sealed), None) => SecretAccess::Lost(Unsealable::NoKey(sealed.key)),
            (Some(sealed), Some(keys)) => match keys.open(id, &sealed) {
                Ok(secret) => self.shown(&described.token, secret, sealed.key).await?,
                Err(lost) => SecretAccess::Lost(lost),
            },
        };
        if let SecretAccess::Lost(why) = &secret {
            tracing::warn!(token = %id, "{why}");
        }
        Ok(TokenWithSecret { described, secret })
    }

    /// Shows a secret, once it is remembered that it was.
    async fn shown(&self, token: &Token, secret: Secret, sealed_with: String) -> Result<SecretAccess, ServiceError> {
        let (id, digest) = (token.id, token.digest);
        self.change
            .make(move |draft| {
                Box::pin(async move {
                    // Whoever asked may have lost it, or the token may have a new secret since.
                    draft.grantor().await?;
                    let token = draft.tx.token(id).await?.filter(|t| t.digest == digest);
                    let token = token.ok_or(ServiceError::NotFound("token"))?;
                    draft.unchanged("token", token.version())?;
                    let genuine = draft.writer.format.verify(secret.expose(), TokenKinds::of(&TokenKind::ALL));
                    match genuine {
                        Ok(credential) if credential.digest == digest => {}
                        Ok(_) => return Ok(SecretAccess::Lost(Unsealable::Damaged(sealed_with))),
                        // The encryption key is right, or it would not have opened.
                        Err(_) => return Ok(SecretAccess::Lost(Unsealable::NotGenuine)),
                    }
                    let most = draft.writer.settings.policy.reveals_per_hour;
                    draft.limit(AuditAction::TokenRevealed, AuditTarget::Token(id, token.kind()), most).await?;
                    let details = json!({"name": token.name});
                    draft.audit(AuditAction::TokenRevealed, AuditTarget::Token(id, token.kind()), details).await?;
                    Ok(SecretAccess::Shown(secret))
                })
            })
            .await
    }
}
