//! Changing somebody's account: everything that one call asks for happens in one transaction, or nothing does.

#[cfg(feature = "people")]
use super::Password;
use super::ServiceError;
use super::account::ProfileChange;
#[cfg(feature = "people")]
use super::account::found;
use super::account_policy::AccountPolicy;
use super::error::FieldErrors;
use super::owners::{Owners, keep_a_super_admin, set};
use super::write::UnitOfWork;
use crate::domain::{AuditAction, AuditCause, AuditTarget, Owner, OwnerId, OwnerState, PasswordHash, RoleId, Tag};
use crate::store::{Clamp, Clamped};
use serde_json::json;

/// What is to change of somebody's account. What is `None` stays.
///
/// ```
/// use keyward::admin::OwnerUpdate;
/// use keyward::RoleId;
/// let promoted = OwnerUpdate { roles: Some(vec![RoleId::SUPER_ADMIN]), ..OwnerUpdate::default() };
/// ```
#[derive(Clone, Default, Debug)]
pub struct OwnerUpdate {
    /// The e-mail address to sign in with. Their sessions end, and so do invitations that went to another one. Once they have
    /// registered, it is changed by super admins, the program, or themselves.
    pub email: Option<String>,
    /// First name; may be empty.
    pub firstname: Option<String>,
    /// Last name; may be empty.
    pub lastname: Option<String>,
    /// A name they choose, or none.
    pub username: Option<Option<String>>,
    /// Whether the account is switched on. To switch off somebody who was invited withdraws the invitation.
    pub active: Option<bool>,
    /// Whether the account is shut out.
    pub blocked: Option<bool>,
    /// Their roles, instead of those they have.
    pub roles: Option<Vec<RoleId>>,
    /// The password to sign in with, set by a super admin or the program. Their sessions end.
    #[cfg(feature = "people")]
    pub password: Option<Password>,
}

#[derive(Default)]
struct Changes {
    profile: ProfileChange,
    active: Option<bool>,
    blocked: Option<bool>,
    roles: Option<Vec<RoleId>>,
    password: Option<PasswordHash>,
    wrong: FieldErrors,
}

impl Owners {
    /// Changes somebody's account. With a new e-mail address or password, or when they are no longer active, their sessions end and
    /// do not come back. With fewer roles the grants of their tokens go that they no longer hold.
    ///
    /// # Errors
    /// If there is no such owner, a field is wrong, the e-mail address is taken, or it would leave no active super admin. For an actor who
    /// is no super admin also: if the owner may more than the actor, or would then; if the new roles would open rows that the actor does not
    /// reach (see [concepts](crate::guide::concepts#no-escalation)); if the e-mail address or password is that of an owner who has
    /// registered. One's own e-mail address and password change by [`Sessions::update_me`](crate::admin::Sessions::update_me).
    pub async fn update(&self, id: OwnerId, update: OwnerUpdate) -> Result<Owner, ServiceError> {
        let mut wrong = FieldErrors::default();
        let OwnerUpdate { email, firstname, lastname, username, active, blocked, roles, .. } = update;
        let profile = ProfileChange { email, firstname, lastname, username }.checked(&mut wrong)?;
        #[cfg(feature = "people")]
        let password = match update.password {
            Some(password) => self.hashed(id, &password, &profile, &mut wrong).await?,
            None => None,
        };
        #[cfg(not(feature = "people"))]
        let password = None;
        let changes = Changes { profile, active, blocked, roles, password, wrong };
        let changed = self.0.make(move |draft| Box::pin(change(draft, id, changes))).await;
        changed.map(|(owner, _)| owner)
    }

    /// What [`set_roles`](Self::set_roles) would take from an owner's tokens, by the same rules. Nothing is changed or remembered, and
    /// no writer waits for it. A person has one preview at a time: another one waits up to 5 s.
    ///
    /// # Errors
    /// As for [`update`](Self::update); and [`TooManyAttempts`](ServiceError::TooManyAttempts) after that wait.
    pub async fn preview_clamp(&self, id: OwnerId, roles: Vec<RoleId>) -> Result<Clamped, ServiceError> {
        let changes = Changes { roles: Some(roles), ..Changes::default() };
        let previewed = self.0.preview(move |draft| Box::pin(change(draft, id, changes))).await;
        previewed.map(|(_, clamped)| clamped)
    }

    /// The hash of a password that is to be set, unless something is wrong already.
    #[cfg(feature = "people")]
    async fn hashed(
        &self,
        id: OwnerId,
        password: &Password,
        profile: &ProfileChange,
        wrong: &mut FieldErrors,
    ) -> Result<Option<PasswordHash>, ServiceError> {
        // Whoever may not do it anyway costs no hash.
        let mut view = self.0.view().await?;
        let reach = AccountPolicy::by(self.0.actor(&mut view).await?.grantor()?);
        let before = found(&mut *view, id).await?;
        drop(view);
        reach.may_set_credentials(&before)?;
        if before.state == OwnerState::Invited {
            wrong.say("password", "they choose it themselves when they accept the invitation");
            return Ok(None);
        }
        password.judge("password", profile.email.as_ref().unwrap_or(&before.email), wrong);
        if !wrong.is_empty() {
            return Ok(None);
        }
        let writer = &self.0.writer;
        writer.people.hasher.hash(password, &*writer.entropy).await.map(Some)
    }
}

async fn change(draft: &mut UnitOfWork, id: OwnerId, changes: Changes) -> Result<(Owner, Clamped), ServiceError> {
    let Changes { profile, active, blocked, roles, password, mut wrong } = changes;
    let reach = AccountPolicy::of(draft).await?;
    let before = draft.found(id).await?;
    reach.may_touch(draft, &before).await?;
    draft.unchanged("owner", before.version())?;
    let profile = profile.onto(&before);
    let moves = profile.email != before.email;
    if moves || password.is_some() {
        reach.may_become(draft, &before).await?;
    }
    let given = match &roles {
        Some(roles) => reach.roles(draft, roles, &mut wrong).await?,
        None => Vec::new(),
    };
    let state = next(before.state, active, blocked, &mut wrong);
    wrong.done()?;
    if state.is_active() && !before.state.is_active() {
        reach.may_activate(draft, &before).await?;
    }
    let roles = roles.map(set).filter(|roles| *roles != before.roles);
    if roles.is_some() {
        reach.may_assign(draft, &before, &given).await?;
    }
    let demoted = roles.as_ref().is_some_and(|roles| !roles.contains(&RoleId::SUPER_ADMIN));
    if demoted || !state.is_active() {
        keep_a_super_admin(draft, &before).await?;
    }

    draft.set_profile(&before, &profile).await?;
    let shut = set_state(draft, &before, state, active).await?;
    let clamped = match &roles {
        Some(roles) => set_roles(draft, &before, roles).await?,
        None => Clamped::default(),
    };
    if let Some(hash) = &password {
        draft.set_password(id, hash).await?;
    }
    if moves || shut || password.is_some() {
        draft.end_sessions(id).await?;
    }
    Ok((draft.found(id).await?, clamped))
}

/// Where the account will stand; says what cannot be.
fn next(before: OwnerState, active: Option<bool>, blocked: Option<bool>, wrong: &mut FieldErrors) -> OwnerState {
    if before != OwnerState::Invited {
        return OwnerState::of(active.unwrap_or(before.is_switched_on()), blocked.unwrap_or(before.is_blocked()));
    }
    if active == Some(true) {
        wrong.say("isActive", "they become active by accepting their invitation: invite them again if it is lost");
    }
    if blocked == Some(true) {
        wrong.say("blocked", "they have not registered: withdraw the invitation, or delete them");
    }
    before
}

/// Sets the state, or withdraws the invitation. Answers whether they were shut out just now.
async fn set_state(
    draft: &mut UnitOfWork,
    before: &Owner,
    state: OwnerState,
    active: Option<bool>,
) -> Result<bool, ServiceError> {
    let (id, target) = (before.id, AuditTarget::Owner(before.id));
    if state == OwnerState::Invited {
        if active == Some(false) && draft.tx.delete_invitations(id).await? > 0 {
            draft.audit(AuditAction::InvitationWithdrawn, target, json!({"email": before.email})).await?;
        }
        return Ok(false);
    }
    if state == before.state {
        return Ok(false);
    }
    draft.tx.set_owner_state(id, state).await?;
    draft.tx.delete_invitations(id).await?;
    draft.touch(Tag::owner(id));
    draft.audit(AuditAction::OwnerStateSet, target, json!({"before": before.state, "after": state})).await?;
    Ok(!state.is_active())
}

/// Sets the roles; what tokens carry beyond them goes.
async fn set_roles(draft: &mut UnitOfWork, before: &Owner, roles: &[RoleId]) -> Result<Clamped, ServiceError> {
    let id = before.id;
    draft.tx.set_owner_roles(id, roles).await?;
    draft.touch(Tag::owner(id));
    let details = json!({"before": before.roles, "after": roles});
    draft.audit(AuditAction::OwnerRolesSet, AuditTarget::Owner(id), details).await?;
    draft.clamp(Clamp::Owner(id), AuditCause::OwnerRoles(id)).await
}
