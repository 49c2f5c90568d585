//! The owners service: accounts, as other actors see and change them.

use super::ServiceError;
use super::account_policy::AccountPolicy;
use super::context::{ServiceContext, actor_methods, version_methods};
use super::error::FieldErrors;
use super::profile::{ProfileChange, load_owner};
use super::size_limits::check_filters;
use super::unit_of_work::UnitOfWork;
use crate::domain::{AccountKind, FieldName, Owner, OwnerId, OwnerState, Role, RoleId};
use crate::store::{NewOwner, OwnerQuery, Page, Profile};

pub use super::owner_update::OwnerUpdate;

/// The owners service: reads and changes accounts. Returned by [`Keyward::owners`](crate::Keyward::owners).
///
/// An actor who is not a super admin changes only owners whose permissions it covers, and gives only permissions that it holds. The
/// e-mail address and password of an account that has been used are changed by super admins, the host program, or the account itself.
/// A change of roles is rejected if the owner would then reach rows that neither the actor nor the owner reached before. It is also
/// rejected if it would open rows of the owner to other members of a role. [Concepts](crate::guide::concepts#no-escalation) has the
/// rules.
#[derive(Clone, Debug)]
pub struct Owners(pub(super) ServiceContext);

actor_methods!(Owners);
version_methods!(Owners, "an owner");

impl Owners {
    pub(super) fn map(self, f: impl FnOnce(ServiceContext) -> ServiceContext) -> Self {
        Self(f(self.0))
    }

    /// Lists a page of owners.
    ///
    /// # Errors
    /// [`Invalid`](ServiceError::Invalid) if filters ask for several parts of one field.
    pub async fn list(&self, query: &OwnerQuery) -> Result<Page<Owner>, ServiceError> {
        check_filters(&query.filters)?;
        Ok(self.0.view().await?.owners(query).await?)
    }

    /// Returns an owner.
    ///
    /// # Errors
    /// [`NotFound`](ServiceError::NotFound) if there is no such owner.
    pub async fn read(&self, id: OwnerId) -> Result<Owner, ServiceError> {
        load_owner(&mut *self.0.view().await?, id).await
    }

    /// Returns those of these owners that exist.
    #[cfg(any(feature = "api", feature = "ui"))]
    pub(crate) async fn among(&self, mut ids: Vec<OwnerId>) -> Result<Vec<Owner>, ServiceError> {
        ids.sort_unstable();
        ids.dedup();
        let owners = self.0.view().await?.ceilings(&ids).await?;
        Ok(owners.into_iter().map(|(owner, _)| owner).collect())
    }

    /// Lists those of these owners that exist, by id, each with the number of its admin tokens.
    ///
    /// # Errors
    /// [`Forbidden`](ServiceError::Forbidden) unless the actor is the host program or a person: a token learns nothing of others' tokens.
    pub async fn tokens_of(&self, ids: &[OwnerId]) -> Result<Vec<(OwnerId, u64)>, ServiceError> {
        let mut view = self.0.view().await?;
        self.0.actor(&mut *view).await?.grantor()?;
        Ok(view.tokens_of_owners(ids).await?)
    }

    /// Adds an owner without a password.
    ///
    /// # Errors
    /// - [`Invalid`](ServiceError::Invalid) if a field is invalid or a role does not exist;
    /// - [`Taken`](ServiceError::Taken) if the e-mail address is taken;
    /// - [`Exceeds`](ServiceError::Exceeds) or [`Forbidden`](ServiceError::Forbidden) if the roles together exceed the actor's permissions,
    ///   or reach rows that the actor does not reach.
    pub async fn create(&self, new: NewOwner) -> Result<Owner, ServiceError> {
        let (new, errors) = check(new)?;
        self.0.transact(move |unit| Box::pin(create(unit, new, errors))).await
    }

    /// Sets the state of an account. An owner who is no longer active loses all sessions for good, and the use of its tokens until it
    /// is active again.
    ///
    /// # Errors
    /// As for [`update`](Self::update); and [`Invalid`](ServiceError::Invalid) if the state is [`OwnerState::Invited`].
    pub async fn set_state(&self, id: OwnerId, state: OwnerState) -> Result<Owner, ServiceError> {
        if state == OwnerState::Invited {
            let message = "an account is not set to invited: use `invite_again` for one that has not registered";
            return Err(ServiceError::invalid(FieldName::State, message));
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

    /// Deletes an owner with the owner's tokens, sessions and invitations.
    ///
    /// # Errors
    /// - [`NotFound`](ServiceError::NotFound) if there is no such owner;
    /// - [`LastSuperAdmin`](ServiceError::LastSuperAdmin) if the owner is the last active super admin;
    /// - [`Forbidden`](ServiceError::Forbidden) if the owner exceeds the actor's permissions.
    pub async fn delete(&self, id: OwnerId) -> Result<Owner, ServiceError> {
        self.0.transact(move |unit| Box::pin(delete(unit, id))).await
    }
}

/// Returns a new owner in its stored form, except for the roles, and its errors.
pub(super) fn check(new: NewOwner) -> Result<(NewOwner, FieldErrors), ServiceError> {
    let NewOwner { account, kind, email, firstname, lastname, username, state, roles } = new;
    if account.is_some() {
        return Err(ServiceError::Impossible("an account of the host is added by its first token"));
    }
    let mut errors = FieldErrors::default();
    let is_person = kind == AccountKind::Person;
    if !is_person && !email.is_empty() {
        errors.add(FieldName::Email, "a service has no e-mail address: leave it out");
    }
    if !is_person && state == OwnerState::Invited {
        errors.add(FieldName::State, "a service cannot sign in: leave it active");
    }
    if !is_person && firstname.trim().is_empty() {
        errors.add(FieldName::Firstname, "must be the name of the service");
    }
    let profile = ProfileChange {
        email: is_person.then_some(email),
        firstname: Some(firstname),
        lastname: Some(lastname),
        username: Some(username),
    };
    let Profile { email, firstname, lastname, username } = profile.checked(&mut errors)?.into_profile();
    Ok((NewOwner { account, kind, email, firstname, lastname, username, state, roles }, errors))
}

/// Returns roles in their stored form: sorted, each once.
pub(super) fn sorted_roles(mut roles: Vec<RoleId>) -> Vec<RoleId> {
    roles.sort_unstable();
    roles.dedup();
    roles
}

async fn create(unit: &mut UnitOfWork<'_>, new: NewOwner, errors: FieldErrors) -> Result<Owner, ServiceError> {
    let (policy, roles) = permit_roles(unit, &new, errors).await?;
    let new = NewOwner { roles: sorted_roles(new.roles), ..new };
    unit.create_owner(new, |unit, id| policy.may_invite(unit, id, &roles)).await
}

/// Checks that the actor may give a new owner its roles, and that the e-mail address is available. Returns the actor and the roles.
pub(super) async fn permit_roles(
    unit: &mut UnitOfWork<'_>,
    new: &NewOwner,
    mut errors: FieldErrors,
) -> Result<(AccountPolicy, Vec<Role>), ServiceError> {
    let policy = AccountPolicy::of_actor(unit).await?;
    let roles = policy.load_roles(unit, &new.roles, &mut errors).await?;
    errors.into_result()?;
    policy.may_give(&roles)?;
    unit.ensure_available(&new.email, &new.firstname, None).await?;
    Ok((policy, roles))
}

async fn delete(unit: &mut UnitOfWork<'_>, id: OwnerId) -> Result<Owner, ServiceError> {
    let policy = AccountPolicy::of_actor(unit).await?;
    let owner = unit.load_owner(id).await?;
    policy.may_change(unit, &owner).await?;
    unit.check_version("owner", owner.version())?;
    keep_a_super_admin(unit, &owner).await?;
    unit.delete_owner(&owner).await?;
    Ok(owner)
}

/// Checks that an active super admin remains without this owner (last-super-admin).
pub(super) async fn keep_a_super_admin(unit: &mut UnitOfWork<'_>, owner: &Owner) -> Result<(), ServiceError> {
    let counts = owner.is_super_admin() && owner.state.is_active();
    if counts && unit.view().other_super_admins(owner.id).await? == 0 {
        return Err(ServiceError::LastSuperAdmin);
    }
    Ok(())
}
