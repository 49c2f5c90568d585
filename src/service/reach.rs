//! Whom somebody may touch, and what they may give away (I19): nobody makes themselves or anybody else stronger than they are.
//!
//! Comparing ceilings is not enough where conditions speak of *who* acts: "rows of whoever shares a role with me" is more rows with
//! one role more, "rows that I have made" are other rows for somebody else. So roles that somebody does not hold themselves, and
//! accounts that somebody else has used, are out of reach unless all that comes with them is held without any condition.

use super::ServiceError;
use super::actor::Giver;
use super::bounds::{ROLES, too_long};
use super::error::Wrong;
use super::write::Draft;
use crate::domain::{Ceiling, Owner, OwnerState, Permission, Role, RoleId, When};

const STRONGER: &str = "they may more than you";
const OTHERWISE: &str = "they may see or change rows that you may not";
const SUPER: &str = "only a super admin makes super admins";
const MORE: &str = "nobody gives away a role that may more than they";
const ONESELF: &str = "nobody gives themselves a role";
const PROVE: &str = "change your own e-mail address and password with your current password, in your profile";

/// What somebody may do with other people's accounts.
pub(super) struct Reach(Giver);

impl Reach {
    /// Of whoever makes this change.
    pub(super) async fn of(draft: &mut Draft) -> Result<Self, ServiceError> {
        Ok(Self(draft.giver().await?))
    }

    /// Touches only whoever may no more.
    pub(super) async fn may_touch(&self, draft: &mut Draft, owner: &Owner) -> Result<(), ServiceError> {
        if self.0.is_super_admin() {
            return Ok(());
        }
        let ceiling = draft.tx.ceiling(owner.id).await?;
        self.0.covers(&ceiling, STRONGER)
    }

    /// Sets what somebody signs in with, and so could sign in as them.
    pub(super) async fn may_become(&self, draft: &mut Draft, owner: &Owner) -> Result<(), ServiceError> {
        if self.0.is(owner.id) {
            // Else a session that was stolen for a moment would be an account that was stolen for good.
            return Err(ServiceError::Forbidden(PROVE));
        }
        self.may_touch(draft, owner).await?;
        let fresh = owner.state == OwnerState::Invited && owner.roles.iter().all(|role| self.holds(*role));
        if self.0.is_super_admin() || fresh {
            return Ok(());
        }
        let ceiling = draft.tx.ceiling(owner.id).await?;
        self.0.covers(&unconditional(ceiling), OTHERWISE)
    }

    /// The roles with these ids; says which do not exist.
    pub(super) async fn roles(
        &self,
        draft: &mut Draft,
        ids: &[RoleId],
        wrong: &mut Wrong,
    ) -> Result<Vec<Role>, ServiceError> {
        let mut roles = Vec::with_capacity(ids.len().min(ROLES));
        if too_long("roles", ids.len(), ROLES, wrong) {
            return Ok(roles);
        }
        for (i, id) in ids.iter().enumerate() {
            match draft.tx.role(*id).await? {
                Some(role) => roles.push(role),
                None => wrong.say(format!("roles.{i}"), format!("there is no role {id}")),
            }
        }
        Ok(roles)
    }

    /// Gives somebody, who may be new, these roles instead of those they have.
    pub(super) fn may_give(&self, to: Option<&Owner>, roles: &[Role]) -> Result<(), ServiceError> {
        let added = |role: &Role| to.is_none_or(|owner| !owner.roles.contains(&role.id));
        if self.0.is_super_admin() || !roles.iter().any(added) {
            return Ok(());
        }
        if roles.iter().any(|role| role.id == RoleId::SUPER_ADMIN) {
            return Err(ServiceError::Forbidden(SUPER));
        }
        if to.is_some_and(|owner| self.0.is(owner.id)) {
            return Err(ServiceError::Forbidden(ONESELF));
        }
        let ceiling = Ceiling::Of(roles.iter().flat_map(|role| role.permissions.iter().cloned()).collect());
        self.0.covers(&ceiling, MORE)?;
        match roles.iter().all(|role| self.holds(role.id)) {
            true => Ok(()),
            false => self.0.covers(&unconditional(ceiling), OTHERWISE),
        }
    }

    fn holds(&self, role: RoleId) -> bool {
        self.0.owner.as_ref().is_some_and(|owner| owner.roles.contains(&role))
    }
}

/// The same for every row.
fn unconditional(ceiling: Ceiling) -> Ceiling {
    match ceiling {
        Ceiling::Unlimited => Ceiling::Unlimited,
        Ceiling::Of(held) => Ceiling::Of(held.into_iter().map(|p| Permission { when: When::Always, ..p }).collect()),
    }
}
