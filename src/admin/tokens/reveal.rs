//! Revealing a stored secret.

use super::Tokens;
use super::read::{DescribedToken, describe_one};
use crate::admin::ServiceError;
use crate::admin::actor::ResolvedActor;
use crate::admin::unit_of_work::UnitOfWork;
use crate::domain::{Digest, Secret, Token, TokenId, TokenKind, TokenKinds, Unsealable};

/// A token, with its secret if the actor may see it.
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
    /// The actor may not see it. Sessions of the token's owner may; for a content token every session may.
    NotForYou,
    /// It was not stored: it was shown once, when it was made.
    NotKept,
    /// It is sealed and cannot be opened.
    Lost(Unsealable),
    /// The secret. The audit log records that it was shown.
    Shown(Secret),
}

impl Tokens {
    /// Returns a token, with its secret if that was stored and the actor may see it.
    ///
    /// # Errors
    /// - [`NotFound`](ServiceError::NotFound) if there is no such token, or the actor may not see it;
    /// - [`TooManyAttempts`](ServiceError::TooManyAttempts) if it was shown too often, see
    ///   [`Policy::reveals_per_hour`](crate::admin::Policy::reveals_per_hour);
    /// - [`Store`](ServiceError::Store) if the audit log cannot record it.
    pub async fn open(&self, id: TokenId) -> Result<TokenWithSecret, ServiceError> {
        let mut view = self.context.view().await?;
        let actor = self.context.actor(&mut *view).await?;
        let token = self.load_visible(&mut *view, &actor, id).await?;
        let may_reveal = match (&actor, token.owner()) {
            (ResolvedActor::Person(grantor), Some(owner)) => grantor.is(owner),
            (ResolvedActor::Person(_), None) => true,
            _ => false,
        };
        let sealed = if may_reveal { view.sealed_secret(id).await? } else { None };
        let described = describe_one(&mut *view, self.context.state.resolver.accounts(), token).await?;
        drop(view);
        let secret = match (sealed, &self.context.state.settings.encryption) {
            _ if !may_reveal => SecretAccess::NotForYou,
            (None, _) => SecretAccess::NotKept,
            (Some(sealed), None) => SecretAccess::Lost(Unsealable::NoKey(sealed.key)),
            (Some(sealed), Some(keys)) => match keys.open(id, &sealed) {
                Ok(secret) => self.reveal(&described.token, secret, sealed.key).await?,
                Err(lost) => SecretAccess::Lost(lost),
            },
        };
        if let SecretAccess::Lost(why) = &secret {
            tracing::warn!(token = %id, "{why}");
        }
        Ok(TokenWithSecret { described, secret })
    }

    /// Returns a secret, once the audit log has recorded it.
    async fn reveal(&self, token: &Token, secret: Secret, sealed_with: String) -> Result<SecretAccess, ServiceError> {
        let (id, digest) = (token.id, token.digest);
        self.context.transact(move |unit| Box::pin(reveal(unit, id, digest, secret, sealed_with))).await
    }
}

async fn reveal(
    unit: &mut UnitOfWork<'_>,
    id: TokenId,
    digest: Digest,
    secret: Secret,
    sealed_with: String,
) -> Result<SecretAccess, ServiceError> {
    // Since the secret was read, the actor may have lost its rights, and the token may have a new secret.
    unit.grantor().await?;
    let token = unit.view().token(id).await?.filter(|t| t.digest == digest);
    let token = token.ok_or(ServiceError::NotFound("token"))?;
    unit.check_version("token", token.version())?;
    match unit.state.format.verify(secret.expose(), TokenKinds::of(&TokenKind::ALL)) {
        Ok(credential) if credential.digest == digest => {}
        Ok(_) => return Ok(SecretAccess::Lost(Unsealable::Damaged(sealed_with))),
        // The encryption key is right, or it would not have opened.
        Err(_) => return Ok(SecretAccess::Lost(Unsealable::NotGenuine)),
    }
    unit.record_reveal(&token).await?;
    Ok(SecretAccess::Shown(secret))
}
