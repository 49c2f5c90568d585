//! The rules by which a person may change other accounts and assign roles (no-escalation).
//!
//! They hold for sequences of calls, as every step is checked against the permissions that the actor holds at that step:
//!
//! 1. The e-mail address and password of an account that has been used are set by super admins, the host program, or the account
//!    itself. An account that was only invited can be taken over by a new invitation, which is checked as if it were invited now.
//! 2. After a change of roles, an account reaches no row that neither the actor nor the account itself reached before. To compare
//!    permissions is not enough: "rows of accounts that share a role with me" are more rows with one more role.
//! 3. A condition on shared roles may open the rows of an account to other members of its roles. So an account that may have
//!    created rows gets such a role only from an actor who reaches all rows anyway. The other member may be the actor, or invited by
//!    the actor.
//! 4. A role with members gets permissions under conditions only from an actor who holds them without conditions (see `roles.rs`).

use super::ServiceError;
use super::actor::Grantor;
use super::error::FieldErrors;
use super::size_limits::{ROLES, is_too_long};
use super::unit_of_work::UnitOfWork;
use crate::domain::{
    Ceiling, ConditionId, Conditions, FieldName, Holdings, Owner, OwnerId, OwnerState, Permission, Role, RoleId,
};
use std::collections::HashMap;

const STRONGER: &str = "this account has permissions that you do not have";
const USED: &str =
    "this account has been used: only a super admin or the account itself can change its e-mail address and password";
const OTHERWISE: &str = "with these roles the account may reach rows that you cannot reach: only a super admin can assign them, or an \
                         admin who holds their permissions without conditions";
const SHARED: &str = "by a condition on shared roles, members of the added role would reach rows of this account: only a super admin can \
                      assign it, or an admin who holds its permissions without conditions";
const TAKEN_OVER: &str = "this account may reach rows that you cannot reach: only a super admin can change its e-mail address or invite it again";
const SUSPENDED: &str = "this account may reach rows that you cannot reach: only a super admin can activate it again";
const SUPER: &str = "only a super admin can assign the super admin role";
const MORE: &str = "this role exceeds your permissions: ask a super admin to assign it";
const ONESELF: &str = "you cannot add roles to your own account: ask another admin";
const PROVE: &str = "change your own e-mail address and password with your current password, in your profile";

/// The rules for one actor. A failed check returns [`ServiceError::Forbidden`], unless its `# Errors` section names another
/// variant.
pub(super) struct AccountPolicy(Grantor);

impl AccountPolicy {
    /// Loads the rules for the actor of this change.
    pub(super) async fn of_actor(unit: &mut UnitOfWork<'_>) -> Result<Self, ServiceError> {
        Ok(Self(unit.grantor().await?))
    }

    #[cfg(feature = "people")]
    pub(super) fn of(grantor: Grantor) -> Self {
        Self(grantor)
    }

    /// Checks that the actor covers an account, and so may change it.
    pub(super) async fn may_change(&self, unit: &mut UnitOfWork<'_>, owner: &Owner) -> Result<(), ServiceError> {
        reject_account(owner)?;
        if self.0.is_super_admin() {
            return Ok(());
        }
        let ceiling = unit.ceiling(owner.id).await?;
        self.0.ensure_covers(&ceiling, STRONGER)
    }

    /// Checks, by the state of an account alone, that the actor may set its e-mail address and password.
    pub(super) fn may_set_credentials(&self, owner: &Owner) -> Result<(), ServiceError> {
        if self.0.is(owner.id) {
            // Otherwise a stolen session would become a stolen account.
            return Err(ServiceError::Forbidden(PROVE));
        }
        match self.0.is_super_admin() || owner.state == OwnerState::Invited {
            true => Ok(()),
            // Its present roles do not matter: the actor could take roles away before and give them back afterwards.
            false => Err(ServiceError::Forbidden(USED)),
        }
    }

    /// Checks that the actor may set the e-mail address or password of an account, and so could sign in as it.
    pub(super) async fn may_become(&self, unit: &mut UnitOfWork<'_>, owner: &Owner) -> Result<(), ServiceError> {
        self.may_set_credentials(owner)?;
        self.may_change(unit, owner).await?;
        match unit.ceiling(owner.id).await? {
            Ceiling::Of(held) if !self.0.is_super_admin() => {
                let target = Holdings::new(owner.id, &owner.roles, &held).unused();
                self.cover(unit, &target, None, TAKEN_OVER)
            }
            _ => Ok(()),
        }
    }

    /// Checks that the actor may let an account sign in again: the actor may be the one who signs in.
    pub(super) async fn may_activate(&self, unit: &mut UnitOfWork<'_>, owner: &Owner) -> Result<(), ServiceError> {
        match unit.ceiling(owner.id).await? {
            Ceiling::Of(held) if !self.0.is_super_admin() => {
                let target = Holdings::new(owner.id, &owner.roles, &held);
                self.cover(unit, &target, None, SUSPENDED)
            }
            _ => Ok(()),
        }
    }

    /// Loads these roles, and reports those that do not exist.
    pub(super) async fn load_roles(
        &self,
        unit: &mut UnitOfWork<'_>,
        ids: &[RoleId],
        errors: &mut FieldErrors,
    ) -> Result<Vec<Role>, ServiceError> {
        let mut roles = Vec::with_capacity(ids.len().min(ROLES));
        if is_too_long(FieldName::Roles, ids.len(), ROLES, errors) {
            return Ok(roles);
        }
        for (i, id) in ids.iter().enumerate() {
            match unit.view().role(*id).await? {
                Some(role) => roles.push(role),
                None => errors.add(FieldName::Roles.at(i), format!("there is no role {id}")),
            }
        }
        Ok(roles)
    }

    /// Checks that the actor holds the permissions of these roles. The rows that conditions open are checked by
    /// [`may_invite`](Self::may_invite) and [`may_assign`](Self::may_assign).
    ///
    /// # Errors
    /// [`ServiceError::Exceeds`].
    pub(super) fn may_give(&self, roles: &[Role]) -> Result<(), ServiceError> {
        if self.0.is_super_admin() {
            return Ok(());
        }
        let mut errors = FieldErrors::default();
        let (ceiling, reads_roles) = (self.0.ceiling.index(), self.0.holds("admin::roles.read"));
        for (i, role) in roles.iter().enumerate() {
            let (path, id) = (FieldName::Roles.at(i), role.id.to_string());
            if role.id == RoleId::SUPER_ADMIN {
                errors.add_value(path, SUPER, id);
                continue;
            }
            for beyond in role.permissions.iter().filter_map(|permission| ceiling.check_delegation(permission).err()) {
                if errors.is_full() {
                    break;
                }
                // Only actors who may read roles learn the permissions of a role.
                if !reads_roles {
                    errors.add_value(path, MORE, id);
                    break;
                }
                errors.add_value(path.clone(), format!("{MORE}: {beyond}"), id.clone());
            }
        }
        errors.into_exceeds()
    }

    /// Checks that the actor reaches every row that a new account with these roles reaches.
    pub(super) fn may_invite(&self, unit: &UnitOfWork<'_>, id: OwnerId, roles: &[Role]) -> Result<(), ServiceError> {
        if self.0.is_super_admin() {
            return Ok(());
        }
        let target = Holdings::new(id, &ids(roles), permissions(roles)).unused();
        self.cover(unit, &target, None, OTHERWISE)
    }

    /// Checks that the actor may replace the roles of an account by these.
    pub(super) async fn may_assign(
        &self,
        unit: &mut UnitOfWork<'_>,
        to: &Owner,
        roles: &[Role],
    ) -> Result<(), ServiceError> {
        if self.0.is_super_admin() {
            return Ok(());
        }
        let added: Vec<RoleId> = ids(roles).into_iter().filter(|id| !to.roles.contains(id)).collect();
        if !added.is_empty() {
            if self.0.is(to.id) && !added.contains(&RoleId::SUPER_ADMIN) {
                return Err(ServiceError::Forbidden(ONESELF));
            }
            self.may_give(roles)?;
        }
        let before = match unit.ceiling(to.id).await? {
            Ceiling::Of(held) => held,
            // Unreachable: only super admins may change super admins, and only the host its accounts.
            Ceiling::Unlimited | Ceiling::Policy(_) => Vec::new(),
        };
        let before = Holdings::new(to.id, &to.roles, &before);
        let target = Holdings::new(to.id, &ids(roles), permissions(roles));
        match to.state {
            OwnerState::Invited => self.cover(unit, &target.unused(), Some(&before), OTHERWISE),
            _ => {
                self.cover(unit, &target, Some(&before), OTHERWISE)?;
                self.keep_rows_apart(unit, &added).await
            }
        }
    }

    /// Checks that an account reaches no row that neither the actor nor the account before the change reaches.
    fn cover<'a>(
        &'a self,
        unit: &UnitOfWork<'_>,
        target: &Holdings<'a>,
        before: Option<&Holdings<'a>>,
        reason: &'static str,
    ) -> Result<(), ServiceError> {
        let actor = self.holdings();
        let others: Vec<&Holdings<'a>> = std::iter::once(&actor).chain(before).collect();
        match target.are_covered_by(&others, unit.state.resolver.conditions()) {
            true => Ok(()),
            false => Err(ServiceError::Forbidden(reason)),
        }
    }

    /// Checks that a condition on shared roles does not open the rows of the account to other members of the added roles.
    /// Permissions that the actor holds without conditions are exempt.
    ///
    /// Every member counts: the actor may be able to sign in as any of them.
    async fn keep_rows_apart(&self, unit: &mut UnitOfWork<'_>, added: &[RoleId]) -> Result<(), ServiceError> {
        if added.is_empty() {
            return Ok(());
        }
        let roles: Vec<Role> = unit.view().roles().await?.into_iter().map(|(role, _)| role).collect();
        let sharing = self.roles_that_share(unit.state.resolver.conditions(), &roles, added);
        if !sharing.is_empty() && unit.view().roles_meet(added, &sharing).await? {
            return Err(ServiceError::Forbidden(SHARED));
        }
        Ok(())
    }

    /// Returns the roles with a permission under a condition on shared roles that the actor does not hold without conditions.
    fn roles_that_share(&self, conditions: &Conditions, roles: &[Role], added: &[RoleId]) -> Vec<RoleId> {
        let actor = self.holdings();
        let mut known = HashMap::new();
        let mut shares = |permission: &Permission| {
            let mut follow =
                |id: &ConditionId| *known.entry(id.clone()).or_insert_with(|| conditions.follows_roles(id, added));
            permission.when.as_slice().iter().any(&mut follow) && !actor.have_always(permission)
        };
        roles.iter().filter(|role| role.permissions.iter().any(&mut shares)).map(|role| role.id).collect()
    }

    /// Returns the actor's permissions; empty for the host program and super admins, for whom the checks return earlier.
    fn holdings(&self) -> Holdings<'_> {
        let held = match &self.0.ceiling {
            Ceiling::Of(held) => held.as_slice(),
            // A policy has no list of permissions. With none, the checks are stricter than the policy.
            Ceiling::Unlimited | Ceiling::Policy(_) => &[],
        };
        let (id, roles) = self.0.owner.as_ref().map_or((OwnerId(0), &[][..]), |owner| (owner.id, &owner.roles));
        Holdings::new(id, roles, held).of_account(self.0.owner.as_ref().and_then(|owner| owner.account.as_ref()))
    }
}

/// Rejects an account of the host: only the host changes it.
pub(super) fn reject_account(owner: &Owner) -> Result<(), ServiceError> {
    match owner.account {
        Some(_) => Err(ServiceError::Forbidden("the account belongs to the host: change it there")),
        None => Ok(()),
    }
}

fn permissions(roles: &[Role]) -> impl Iterator<Item = &Permission> {
    roles.iter().flat_map(|role| &role.permissions)
}

fn ids(roles: &[Role]) -> Vec<RoleId> {
    roles.iter().map(|role| role.id).collect()
}
