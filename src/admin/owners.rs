//! Owners: the people whom tokens belong to, as others see and change them.

use super::account::{ProfileChange, found};
use super::account_policy::AccountPolicy;
use super::bounds::checked_filters;
use super::error::FieldErrors;
use super::write::{ServiceContext, UnitOfWork};
use super::{ServiceError, for_whom, optimistic};
use crate::domain::{AuditAction, AuditTarget, Owner, OwnerId, OwnerState, RoleId, Tag, TokenKind};
use crate::store::{NewOwner, OwnerQuery, Page};
use serde_json::json;

pub use super::update::OwnerUpdate;

/// Changes owners. Made by [`Keyward::owners`](crate::Keyward::owners).
///
/// An actor who is no super admin changes only owners who may no more than the actor, and gives only what it holds. The e-mail address
/// and password of an owner who has been used are changed by super admins, the program, or the owner. A change of roles is refused if the
/// owner would then reach rows that neither the actor nor the owner reached before, or if it would open rows of the owner to other
/// members of a role. [Concepts](crate::guide::concepts#no-escalation) has the rules.
#[derive(Clone, Debug)]
pub struct Owners(pub(super) ServiceContext);

for_whom!(Owners);
optimistic!(Owners, "an owner");

impl Owners {
    pub(super) fn map(self, f: impl FnOnce(ServiceContext) -> ServiceContext) -> Self {
        Self(f(self.0))
    }

    /// A page of owners.
    ///
    /// # Errors
    /// [`InvalidCredential`](ServiceError::Invalid) if filters ask for two parts of one field; or if the store cannot be asked.
    pub async fn list(&self, query: &OwnerQuery) -> Result<Page<Owner>, ServiceError> {
        checked_filters(&query.filters)?;
        Ok(self.0.view().await?.owners(query).await?)
    }

    /// One owner.
    ///
    /// # Errors
    /// If there is no such owner.
    pub async fn read(&self, id: OwnerId) -> Result<Owner, ServiceError> {
        found(&mut *self.0.view().await?, id).await
    }

    /// Those of these owners that are there.
    #[cfg(any(feature = "api", feature = "ui"))]
    pub(crate) async fn among(&self, mut ids: Vec<OwnerId>) -> Result<Vec<Owner>, ServiceError> {
        ids.sort_unstable();
        ids.dedup();
        let found = self.0.view().await?.ceilings(&ids).await?;
        Ok(found.into_iter().map(|(owner, _)| owner).collect())
    }

    /// Those of these owners that are there, by id, each with how many admin tokens they have.
    ///
    /// # Errors
    /// If nobody is signed in, or a token asks: of others' tokens it learns nothing.
    pub async fn tokens_of(&self, ids: &[OwnerId]) -> Result<Vec<(OwnerId, u64)>, ServiceError> {
        let mut view = self.0.view().await?;
        self.0.actor(&mut view).await?.grantor()?;
        Ok(view.tokens_of_owners(ids).await?)
    }

    /// Adds an owner, who has no password yet.
    ///
    /// # Errors
    /// If a field is wrong, the e-mail address is taken, a role does not exist, or the roles together may more than the actor or reach
    /// other rows.
    pub async fn create(&self, new: NewOwner) -> Result<Owner, ServiceError> {
        let (new, wrong) = checked(new)?;
        self.0.make(move |draft| Box::pin(insert(draft, new, wrong, AuditAction::OwnerCreated))).await
    }

    /// Sets where an account stands. An owner who is no longer active loses their sessions for good, and the use of their
    /// tokens until they are active again.
    ///
    /// # Errors
    /// As for [`update`](Self::update), and if the state is `Invitation`.
    pub async fn set_state(&self, id: OwnerId, state: OwnerState) -> Result<Owner, ServiceError> {
        if state == OwnerState::Invited {
            return Err(ServiceError::invalid("state", "nobody becomes invited again"));
        }
        let (active, blocked) = (Some(state.is_switched_on()), Some(state.is_blocked()));
        self.update(id, OwnerUpdate { active, blocked, ..OwnerUpdate::default() }).await
    }

    /// Replaces an owner's roles.
    ///
    /// # Errors
    /// As for [`update`](Self::update).
    pub async fn set_roles(&self, id: OwnerId, roles: Vec<RoleId>) -> Result<Owner, ServiceError> {
        self.update(id, OwnerUpdate { roles: Some(roles), ..OwnerUpdate::default() }).await
    }

    /// Removes an owner with their tokens, sessions and invitations.
    ///
    /// # Errors
    /// If there is no such owner, they are the last active super admin, or they may more than whoever asks.
    pub async fn delete(&self, id: OwnerId) -> Result<Owner, ServiceError> {
        self.0
            .make(move |draft| {
                Box::pin(async move {
                    let reach = AccountPolicy::of(draft).await?;
                    let owner = draft.found(id).await?;
                    reach.may_touch(draft, &owner).await?;
                    draft.unchanged("owner", owner.version())?;
                    keep_a_super_admin(draft, &owner).await?;
                    let tokens = draft.tx.count_tokens(TokenKind::Admin, Some(id)).await?;
                    draft.end_sessions(id).await?;
                    let origin = draft.origin;
                    draft.tx.delete_owner(id, &origin).await?;
                    let Owner { email, firstname, lastname, username, .. } = &owner;
                    let details = json!({
                        "email": email, "firstname": firstname, "lastname": lastname, "username": username,
                        "roles": owner.roles, "tokens": tokens,
                    });
                    draft.audit(AuditAction::OwnerDeleted, AuditTarget::Owner(id), details).await?;
                    Ok(owner)
                })
            })
            .await
    }
}

pub(super) fn checked(new: NewOwner) -> Result<(NewOwner, FieldErrors), ServiceError> {
    let NewOwner { email, firstname, lastname, username, state, roles } = new;
    let profile = ProfileChange {
        email: Some(email),
        firstname: Some(firstname),
        lastname: Some(lastname),
        username: Some(username),
    };
    let mut wrong = FieldErrors::default();
    let profile = profile.checked(&mut wrong)?;
    let new = NewOwner {
        email: profile.email.unwrap_or_default(),
        firstname: profile.firstname.unwrap_or_default(),
        lastname: profile.lastname.unwrap_or_default(),
        username: profile.username.flatten(),
        state,
        roles,
    };
    Ok((new, wrong))
}

/// Roles as they are kept.
pub(super) fn set(mut roles: Vec<RoleId>) -> Vec<RoleId> {
    roles.sort_unstable();
    roles.dedup();
    roles
}

pub(super) async fn insert(
    draft: &mut UnitOfWork,
    new: NewOwner,
    mut wrong: FieldErrors,
    what: AuditAction,
) -> Result<Owner, ServiceError> {
    let reach = AccountPolicy::of(draft).await?;
    let given = reach.roles(draft, &new.roles, &mut wrong).await?;
    wrong.done()?;
    reach.may_give(&given)?;
    draft.ensure_available(&new.email, None).await?;
    let new = NewOwner { roles: set(new.roles), ..new };
    let details = json!({"email": new.email, "roles": new.roles});
    let id = draft.tx.insert_owner(new).await?;
    reach.may_invite(draft, id, &given)?;
    draft.touch(Tag::owner(id));
    draft.audit(what, AuditTarget::Owner(id), details).await?;
    draft.found(id).await
}

/// Refuses what would leave nobody who may do everything.
pub(super) async fn keep_a_super_admin(draft: &mut UnitOfWork, owner: &Owner) -> Result<(), ServiceError> {
    let counts = owner.is_super_admin() && owner.state.is_active();
    if counts && draft.tx.other_super_admins(owner.id).await? == 0 {
        return Err(ServiceError::LastSuperAdmin);
    }
    Ok(())
}
