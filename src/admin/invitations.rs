//! Invitations and passwords, by which owners become able to sign in.

use super::account_policy::AccountPolicy;
use super::error::FieldErrors;
use super::owners::{check, permit_roles, sorted_roles};
use super::unit_of_work::UnitOfWork;
use super::{OwnerUpdate, Owners, Password, ServiceError};
use crate::domain::{AccountKind, Actor, Digest, Owner, OwnerId, OwnerState, Secret, Timestamp};
use crate::store::NewOwner;

/// A new invitation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Invitation {
    /// The invited owner.
    pub owner: Owner,
    /// The secret to hand over to the owner, once.
    pub secret: Secret,
    /// When the invitation expires.
    pub ends: Timestamp,
}

impl Owners {
    /// Adds an owner who registers with the secret of an invitation. The given state is ignored.
    ///
    /// # Errors
    /// As for [`create`](Self::create).
    pub async fn invite(&self, new: NewOwner) -> Result<Invitation, ServiceError> {
        if new.kind != AccountKind::Person {
            return Err(ServiceError::Impossible("a service cannot sign in: use `create`, and issue a token for it"));
        }
        let (new, errors) = check(new.state(OwnerState::Invited))?;
        let issued = self.0.state.format.issue_invitation(&*self.0.state.entropy)?;
        let (secret, digest) = (issued.secret, issued.digest);
        let (owner, ends) = self.0.transact(move |unit| Box::pin(invite(unit, new, digest, errors))).await?;
        Ok(Invitation { owner, secret, ends })
    }

    /// Gives an owner who has not registered yet another invitation. Older ones are revoked.
    ///
    /// # Errors
    /// - [`NotFound`](ServiceError::NotFound) if there is no such owner;
    /// - [`Impossible`](ServiceError::Impossible) if the owner has registered;
    /// - [`Forbidden`](ServiceError::Forbidden) if the owner exceeds the actor's permissions, or reaches other rows.
    pub async fn invite_again(&self, id: OwnerId) -> Result<Invitation, ServiceError> {
        let issued = self.0.state.format.issue_invitation(&*self.0.state.entropy)?;
        let (secret, digest) = (issued.secret, issued.digest);
        let (owner, ends) = self.0.transact(move |unit| Box::pin(invite_again(unit, id, digest))).await?;
        Ok(Invitation { owner, secret, ends })
    }

    /// Sets an owner's password, for an installation in which no person can sign in any more. The owner's sessions end.
    ///
    /// # Errors
    /// - [`NotFound`](ServiceError::NotFound) if there is no such owner;
    /// - [`Invalid`](ServiceError::Invalid) if the password is too weak;
    /// - [`Forbidden`](ServiceError::Forbidden) unless the actor is the host program.
    pub async fn set_password(&self, id: OwnerId, password: Password) -> Result<Owner, ServiceError> {
        if self.0.origin.actor != Actor::Service {
            return Err(ServiceError::Forbidden("`set_password` is for the host program only: use `update`"));
        }
        self.update(id, OwnerUpdate { password: Some(password), ..OwnerUpdate::default() }).await
    }
}

async fn invite(
    unit: &mut UnitOfWork<'_>,
    new: NewOwner,
    invitation: Digest,
    errors: FieldErrors,
) -> Result<(Owner, Timestamp), ServiceError> {
    let (policy, roles) = permit_roles(unit, &new, errors).await?;
    let new = NewOwner { roles: sorted_roles(new.roles), ..new };
    unit.invite_owner(new, &invitation, |unit, id| policy.may_invite(unit, id, &roles)).await
}

async fn invite_again(
    unit: &mut UnitOfWork<'_>,
    id: OwnerId,
    invitation: Digest,
) -> Result<(Owner, Timestamp), ServiceError> {
    let policy = AccountPolicy::of_actor(unit).await?;
    let owner = unit.load_owner(id).await?;
    // The holder of the invitation can sign in as this owner.
    policy.may_become(unit, &owner).await?;
    unit.check_version("owner", owner.version())?;
    if owner.state != OwnerState::Invited {
        return Err(ServiceError::Impossible("they have registered: there is nothing to accept"));
    }
    let ends = unit.renew_invitation(&owner, &invitation).await?;
    Ok((owner, ends))
}
