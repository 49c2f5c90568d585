//! Invitations and passwords: how owners become able to sign in.

use super::account_policy::AccountPolicy;
use super::owners::{checked, insert};
use super::write::UnitOfWork;
use super::{OwnerUpdate, Owners, Password, ServiceError};
use crate::domain::{Actor, AuditAction, AuditTarget, Owner, OwnerId, OwnerState, Secret, Timestamp};
use crate::store::NewOwner;
use serde_json::json;

/// Somebody who was invited just now.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Invitation {
    /// Who.
    pub owner: Owner,
    /// What to hand over to them, once.
    pub secret: Secret,
    /// Until when it can be accepted.
    pub ends: Timestamp,
}

impl Owners {
    /// Adds an owner who registers with the secret of an invitation, whatever state is given.
    ///
    /// # Errors
    /// As for [`create`](Self::create).
    pub async fn invite(&self, new: NewOwner) -> Result<Invitation, ServiceError> {
        let (new, wrong) = checked(new.state(OwnerState::Invited))?;
        let issued = self.0.writer.format.issue_invitation(&*self.0.writer.entropy)?;
        self.0
            .make(move |draft| {
                Box::pin(async move {
                    let owner = insert(draft, new, wrong, AuditAction::OwnerInvited).await?;
                    let ends = give_invitation(draft, owner.id, &issued.digest).await?;
                    Ok(Invitation { owner, secret: issued.secret, ends })
                })
            })
            .await
    }

    /// Gives somebody who has not registered yet another invitation. Older ones are dead.
    ///
    /// # Errors
    /// If there is no such owner, they have registered, or they may more than the actor or reach other rows.
    pub async fn invite_again(&self, id: OwnerId) -> Result<Invitation, ServiceError> {
        let issued = self.0.writer.format.issue_invitation(&*self.0.writer.entropy)?;
        self.0
            .make(move |draft| {
                Box::pin(async move {
                    let reach = AccountPolicy::of(draft).await?;
                    let owner = draft.found(id).await?;
                    // Whoever holds the invitation can become them.
                    reach.may_become(draft, &owner).await?;
                    draft.unchanged("owner", owner.version())?;
                    if owner.state != OwnerState::Invited {
                        return Err(ServiceError::Impossible("they have registered: there is nothing to accept"));
                    }
                    let ends = give_invitation(draft, id, &issued.digest).await?;
                    draft
                        .audit(AuditAction::OwnerInvitedAgain, AuditTarget::Owner(id), json!({"email": owner.email}))
                        .await?;
                    Ok(Invitation { owner, secret: issued.secret, ends })
                })
            })
            .await
    }

    /// Sets an owner's password, for when nobody can sign in any more. Their sessions end.
    ///
    /// # Errors
    /// If there is no such owner, the password is too weak, or somebody else than the program asks.
    pub async fn set_password(&self, id: OwnerId, password: Password) -> Result<Owner, ServiceError> {
        if self.0.origin.actor != Actor::Service {
            return Err(ServiceError::Forbidden("only the program sets a password by itself"));
        }
        self.update(id, OwnerUpdate { password: Some(password), ..OwnerUpdate::default() }).await
    }
}

async fn give_invitation(
    draft: &mut UnitOfWork,
    id: OwnerId,
    digest: &crate::domain::Digest,
) -> Result<Timestamp, ServiceError> {
    let ends = draft.tx.now().plus(draft.writer.settings.policy.invitation_lifespan);
    draft.tx.insert_invitation(id, digest, ends).await?;
    Ok(ends)
}
