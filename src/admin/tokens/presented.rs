//! Calls for the bearer of a secret. Possession is the authority: they judge no other permission.

use super::Tokens;
use crate::admin::ServiceError;
use crate::admin::actor::load_completed;
use crate::admin::unit_of_work::UnitOfWork;
use crate::domain::{Digest, Owner, Token, TokenId};

impl Tokens {
    /// Returns a token whose secret was presented, with its owner.
    ///
    /// # Errors
    /// [`NotFound`](ServiceError::NotFound) if it is no longer there.
    #[cfg_attr(not(feature = "api"), allow(dead_code, reason = "the management API serves these calls"))]
    pub(crate) async fn read_presented(&self, id: TokenId) -> Result<(Token, Option<Owner>), ServiceError> {
        let mut view = self.context.view().await?;
        let token = view.token(id).await?.ok_or(ServiceError::NotFound("token"))?;
        let owner = match token.owner() {
            Some(owner) => load_completed(&mut *view, self.context.state.resolver.accounts(), owner).await?,
            None => None,
        };
        Ok((token, owner.map(|(owner, _)| owner)))
    }

    /// Revokes the token whose secret was presented, if it is still there. A session ends.
    ///
    /// # Errors
    /// [`Store`](ServiceError::Store) if the store fails.
    #[cfg_attr(not(feature = "api"), allow(dead_code, reason = "the management API serves these calls"))]
    pub(crate) async fn revoke_presented(&self, digest: Digest) -> Result<(), ServiceError> {
        self.context.transact(move |unit| Box::pin(revoke(unit, digest))).await
    }
}

async fn revoke(unit: &mut UnitOfWork<'_>, digest: Digest) -> Result<(), ServiceError> {
    match unit.view().record(&digest).await? {
        Some(record) if record.token.digests().any(|admitted| admitted == digest) => {
            unit.revoke_presented(&record.token).await
        }
        // A secret that was replaced and has ended revokes nothing.
        _ => {
            unit.skip_commit();
            Ok(())
        }
    }
}
