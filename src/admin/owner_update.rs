//! Changes of an account by another actor, each in one transaction.

#[cfg(feature = "people")]
use super::Password;
use super::ServiceError;
use super::account_policy::AccountPolicy;
use super::error::FieldErrors;
use super::owners::{Owners, keep_a_super_admin, sorted_roles};
use super::profile::ProfileChange;
#[cfg(feature = "people")]
use super::profile::load_owner;
use super::unit_of_work::UnitOfWork;
use crate::domain::{AccountKind, FieldName, Owner, OwnerId, OwnerState, PasswordHash, RoleId};
use crate::store::Clamped;

/// A change of an account. `None` leaves a field as it is.
///
/// ```
/// use keyward::admin::OwnerUpdate;
/// use keyward::RoleId;
/// let promoted = OwnerUpdate { roles: Some(vec![RoleId::SUPER_ADMIN]), ..OwnerUpdate::default() };
/// ```
#[derive(Clone, Default, Debug)]
pub struct OwnerUpdate {
    /// The e-mail address to sign in with. A new one ends the owner's sessions, and invitations to the old one. Once the owner has
    /// registered, it is changed by super admins, the host program, or the owner.
    pub email: Option<String>,
    /// First name; may be empty.
    pub firstname: Option<String>,
    /// Last name; may be empty.
    pub lastname: Option<String>,
    /// A name that the owner chooses, or none.
    pub username: Option<Option<String>>,
    /// Whether the account is switched on. `false` withdraws the invitation of an owner who has not registered.
    pub active: Option<bool>,
    /// Whether the account is blocked.
    pub blocked: Option<bool>,
    /// The owner's roles, all of them.
    pub roles: Option<Vec<RoleId>>,
    /// The password to sign in with, set by a super admin or the host program. It ends the owner's sessions.
    #[cfg(feature = "people")]
    pub password: Option<Password>,
}

/// An [`OwnerUpdate`] in its stored form, and its errors.
#[derive(Default)]
struct Changes {
    profile: ProfileChange,
    active: Option<bool>,
    blocked: Option<bool>,
    roles: Option<Vec<RoleId>>,
    password: Option<PasswordHash>,
    errors: FieldErrors,
}

impl Owners {
    /// Changes an account. A new e-mail address or password ends the owner's sessions for good, and so does a state that is not
    /// active. With fewer roles the owner's tokens lose the grants that the owner no longer holds.
    ///
    /// # Errors
    /// - [`NotFound`](ServiceError::NotFound) if there is no such owner;
    /// - [`Invalid`](ServiceError::Invalid) if a field is invalid;
    /// - [`Taken`](ServiceError::Taken) if the e-mail address is taken;
    /// - [`LastSuperAdmin`](ServiceError::LastSuperAdmin) if it would leave no active super admin.
    ///
    /// For an actor who is not a super admin also [`Exceeds`](ServiceError::Exceeds) or [`Forbidden`](ServiceError::Forbidden)
    /// - if the owner exceeds the actor's permissions, or would with the new roles;
    /// - if the new roles would open rows that the actor does not reach (see [concepts](crate::guide::concepts#no-escalation));
    /// - if the e-mail address or password is that of an owner who has registered. An owner changes its own by
    ///   [`Sessions::update_me`](crate::admin::Sessions::update_me).
    pub async fn update(&self, id: OwnerId, update: OwnerUpdate) -> Result<Owner, ServiceError> {
        let OwnerUpdate { email, firstname, lastname, username, active, blocked, roles, .. } = update;
        let mut errors = FieldErrors::default();
        let profile = ProfileChange { email, firstname, lastname, username }.checked(&mut errors)?;
        #[cfg(feature = "people")]
        let password = match update.password {
            Some(password) => self.hash_password(id, &password, &profile, &mut errors).await?,
            None => None,
        };
        #[cfg(not(feature = "people"))]
        let password = None;
        let changes = Changes { profile, active, blocked, roles, password, errors };
        let changed = self.0.transact(move |unit| Box::pin(change(unit, id, changes))).await;
        changed.map(|(owner, _)| owner)
    }

    /// Counts the grants that [`set_roles`](Self::set_roles) would take from an owner's tokens, by the same rules. It changes nothing
    /// and blocks no writer. A person has one preview at a time: another one waits up to 5 s.
    ///
    /// # Errors
    /// As for [`update`](Self::update); and [`TooManyAttempts`](ServiceError::TooManyAttempts) after that wait.
    pub async fn preview_clamp(&self, id: OwnerId, roles: Vec<RoleId>) -> Result<Clamped, ServiceError> {
        let changes = Changes { roles: Some(roles), ..Changes::default() };
        let previewed = self.0.preview(move |unit| Box::pin(change(unit, id, changes))).await;
        previewed.map(|(_, clamped)| clamped)
    }

    /// Hashes a new password, unless there are errors already.
    #[cfg(feature = "people")]
    async fn hash_password(
        &self,
        id: OwnerId,
        password: &Password,
        profile: &ProfileChange,
        errors: &mut FieldErrors,
    ) -> Result<Option<PasswordHash>, ServiceError> {
        // An actor who may not set it costs no hash.
        let mut view = self.0.view().await?;
        let policy = AccountPolicy::of(self.0.actor(&mut *view).await?.grantor()?);
        let before = load_owner(&mut *view, id).await?;
        drop(view);
        policy.may_set_credentials(&before)?;
        if before.state == OwnerState::Invited {
            errors.add(FieldName::Password, "they choose it themselves when they accept the invitation");
            return Ok(None);
        }
        password.check_strength(profile.email.as_ref().unwrap_or(&before.email), errors);
        if !errors.is_empty() {
            return Ok(None);
        }
        let state = &self.0.state;
        state.sign_in.hasher.hash(password, &*state.entropy).await.map(Some)
    }
}

async fn change(unit: &mut UnitOfWork<'_>, id: OwnerId, changes: Changes) -> Result<(Owner, Clamped), ServiceError> {
    let Changes { profile, active, blocked, roles, password, mut errors } = changes;
    let policy = AccountPolicy::of_actor(unit).await?;
    let before = unit.load_owner(id).await?;
    policy.may_change(unit, &before).await?;
    unit.check_version("owner", before.version())?;
    let profile = profile.apply_to(&before);
    if before.kind != AccountKind::Person {
        if !profile.email.is_empty() {
            errors.add(FieldName::Email, "a service has no e-mail address: leave it out");
        }
        if password.is_some() {
            errors.add(FieldName::Password, "a service cannot sign in: issue a token for it");
        }
        if profile.firstname.is_empty() {
            errors.add(FieldName::Firstname, "must be the name of the service");
        }
    } else if profile.email != before.email || password.is_some() {
        policy.may_become(unit, &before).await?;
    }
    let new_roles = match &roles {
        Some(roles) => policy.load_roles(unit, roles, &mut errors).await?,
        None => Vec::new(),
    };
    let state = next_state(before.state, active, blocked, &mut errors);
    errors.into_result()?;
    if state.is_active() && !before.state.is_active() {
        policy.may_activate(unit, &before).await?;
    }
    let roles = roles.map(sorted_roles).filter(|roles| *roles != before.roles);
    if roles.is_some() {
        policy.may_assign(unit, &before, &new_roles).await?;
    }
    let demoted = roles.as_ref().is_some_and(|roles| !roles.contains(&RoleId::SUPER_ADMIN));
    if demoted || !state.is_active() {
        keep_a_super_admin(unit, &before).await?;
    }

    unit.set_profile(&before, &profile).await?;
    if state != before.state {
        unit.set_owner_state(&before, state).await?;
    } else if state == OwnerState::Invited && active == Some(false) {
        unit.withdraw_invitation(&before).await?;
    }
    let clamped = match &roles {
        Some(roles) => unit.set_owner_roles(&before, roles).await?,
        None => Clamped::default(),
    };
    if let Some(hash) = &password {
        unit.set_password(id, hash).await?;
    }
    Ok((unit.load_owner(id).await?, clamped))
}

/// Returns the state after a change, and reports a change that an invited owner's state does not allow.
fn next_state(before: OwnerState, active: Option<bool>, blocked: Option<bool>, errors: &mut FieldErrors) -> OwnerState {
    if before != OwnerState::Invited {
        return OwnerState::of(active.unwrap_or(before.is_switched_on()), blocked.unwrap_or(before.is_blocked()));
    }
    if active == Some(true) {
        let message = "they become active by accepting their invitation: invite them again if it is lost";
        errors.add(FieldName::Active, message);
    }
    if blocked == Some(true) {
        errors.add(FieldName::Blocked, "they have not registered: withdraw the invitation, or delete them");
    }
    before
}
