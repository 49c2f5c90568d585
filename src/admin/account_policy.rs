//! Which accounts a person may change, and what they may give away (invariant I19, no-escalation).
//!
//! The rules hold for sequences of calls, as every step is judged against what the actor holds at that step:
//!
//! 1. What an account signs in with is set by super admins, the program, or the account itself, once the account was used. An account
//!    that was only invited can be taken over by a new invitation: that is judged as if it were invited now.
//! 2. After a change of roles, an account reaches no row that neither the actor nor the account itself reached before. Comparing
//!    permissions is not enough for that: "rows of accounts that share a role with me" are more rows with one role more.
//! 3. An account that may have created rows gets no role that lets other accounts reach these rows by a condition on shared roles,
//!    unless the actor reaches all rows anyway. One of those accounts may be the actor's, or one that the actor has invited.
//! 4. Permissions under conditions come into a role that has members only from an actor who holds them without conditions (see
//!    `roles.rs`).

use super::ServiceError;
use super::actor::Grantor;
use super::bounds::{ROLES, too_long};
use super::error::{FieldError, FieldErrors};
use super::write::UnitOfWork;
use crate::domain::{Ceiling, ConditionId, Conditions, Holdings, Owner, OwnerId, OwnerState, Permission, Role, RoleId};
use std::collections::HashMap;

const STRONGER: &str = "they may more than you";
const USED: &str =
    "only a super admin or the account itself changes the e-mail address and password of an account that has been used";
const OTHERWISE: &str = "with these roles they may reach rows that you may not: only a super admin gives them, or an admin who holds \
                         their permissions without conditions";
const SHARED: &str = "members of a role that you add would reach the rows of this account by a condition on shared roles: only a super \
                      admin gives it, or an admin who holds their permissions without conditions";
const TAKEN_OVER: &str =
    "this account may reach rows that you may not: only a super admin changes its e-mail address or invites it again";
const SUSPENDED: &str = "this account may reach rows that you may not: only a super admin lets it sign in again";
const SUPER: &str = "only a super admin makes super admins";
const MORE: &str = "this role exceeds your permissions: ask a super admin to assign it";
const ONESELF: &str = "your own roles are added by another admin";
const PROVE: &str = "change your own e-mail address and password with your current password, in your profile";

/// What a person may do with other accounts.
pub(super) struct AccountPolicy(Grantor);

impl AccountPolicy {
    /// The reach of the actor of this change.
    pub(super) async fn of(draft: &mut UnitOfWork) -> Result<Self, ServiceError> {
        Ok(Self(draft.grantor().await?))
    }

    /// The reach of a person who was loaded already.
    #[cfg(feature = "people")]
    pub(super) fn by(grantor: Grantor) -> Self {
        Self(grantor)
    }

    /// Changes an account: one that may no more than the actor.
    pub(super) async fn may_touch(&self, draft: &mut UnitOfWork, owner: &Owner) -> Result<(), ServiceError> {
        if self.0.is_super_admin() {
            return Ok(());
        }
        let ceiling = draft.tx.ceiling(owner.id).await?;
        self.0.covers(&ceiling, STRONGER)
    }

    /// Sets what an account signs in with, as far as its state alone tells.
    pub(super) fn may_set_credentials(&self, owner: &Owner) -> Result<(), ServiceError> {
        if self.0.is(owner.id) {
            // Else a session that was stolen for a moment would be an account that was stolen for good.
            return Err(ServiceError::Forbidden(PROVE));
        }
        match self.0.is_super_admin() || owner.state == OwnerState::Invited {
            true => Ok(()),
            // Whatever it may at present: the actor could have taken its roles away, and could give them back afterwards.
            false => Err(ServiceError::Forbidden(USED)),
        }
    }

    /// Sets what an account signs in with, after which the actor could sign in as this account.
    pub(super) async fn may_become(&self, draft: &mut UnitOfWork, owner: &Owner) -> Result<(), ServiceError> {
        self.may_set_credentials(owner)?;
        self.may_touch(draft, owner).await?;
        match draft.tx.ceiling(owner.id).await? {
            Ceiling::Of(held) if !self.0.is_super_admin() => {
                let target = Holdings::new(owner.id, &owner.roles, &held).unused();
                self.cover(draft, &target, None, TAKEN_OVER)
            }
            _ => Ok(()),
        }
    }

    /// Lets an account sign in again, and its tokens work: it may be one of the actor's.
    pub(super) async fn may_activate(&self, draft: &mut UnitOfWork, owner: &Owner) -> Result<(), ServiceError> {
        match draft.tx.ceiling(owner.id).await? {
            Ceiling::Of(held) if !self.0.is_super_admin() => {
                let target = Holdings::new(owner.id, &owner.roles, &held);
                self.cover(draft, &target, None, SUSPENDED)
            }
            _ => Ok(()),
        }
    }

    /// The roles with these ids; says which do not exist.
    pub(super) async fn roles(
        &self,
        draft: &mut UnitOfWork,
        ids: &[RoleId],
        wrong: &mut FieldErrors,
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

    /// Gives roles that the actor holds no less of. What conditions mean for the account is not asked yet: see
    /// [`may_invite`](Self::may_invite) and [`may_assign`](Self::may_assign).
    pub(super) fn may_give(&self, roles: &[Role]) -> Result<(), ServiceError> {
        if self.0.is_super_admin() {
            return Ok(());
        }
        let mut wrong = FieldErrors::default();
        let (ceiling, reads_roles) = (self.0.ceiling.index(), self.0.holds("admin::roles.read"));
        for (i, role) in roles.iter().enumerate() {
            let (path, value) = (format!("roles.{i}"), Some(role.id.to_string()));
            if role.id == RoleId::SUPER_ADMIN {
                wrong.add(FieldError { path, message: SUPER.to_owned(), value });
                continue;
            }
            for beyond in role.permissions.iter().filter_map(|permission| ceiling.check_gift(permission).err()) {
                if wrong.is_full() {
                    break;
                }
                // What a role holds is for those who may read roles.
                let message = if reads_roles { format!("{MORE}: {beyond}") } else { MORE.to_owned() };
                wrong.add(FieldError { path: path.clone(), message, value: value.clone() });
                if !reads_roles {
                    break;
                }
            }
        }
        wrong.none_exceeds()
    }

    /// Gives a new account, which is there by now, its roles.
    pub(super) fn may_invite(&self, draft: &UnitOfWork, id: OwnerId, roles: &[Role]) -> Result<(), ServiceError> {
        if self.0.is_super_admin() {
            return Ok(());
        }
        let target = Holdings::new(id, &ids(roles), permissions(roles)).unused();
        self.cover(draft, &target, None, OTHERWISE)
    }

    /// Gives an account these roles instead of those it has.
    pub(super) async fn may_assign(
        &self,
        draft: &mut UnitOfWork,
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
        let before = match draft.tx.ceiling(to.id).await? {
            Ceiling::Of(held) => held,
            // Not reached: only super admins touch super admins.
            Ceiling::Unlimited => Vec::new(),
        };
        let before = Holdings::new(to.id, &to.roles, &before);
        let target = Holdings::new(to.id, &ids(roles), permissions(roles));
        match to.state {
            OwnerState::Invited => self.cover(draft, &target.unused(), Some(&before), OTHERWISE),
            _ => {
                self.cover(draft, &target, Some(&before), OTHERWISE)?;
                self.keep_rows_apart(draft, &added).await
            }
        }
    }

    /// Refuses what would let an account reach other rows than the actor, or than the account itself did before.
    fn cover<'a>(
        &'a self,
        draft: &UnitOfWork,
        target: &Holdings<'a>,
        before: Option<&Holdings<'a>>,
        why: &'static str,
    ) -> Result<(), ServiceError> {
        let actor = self.holdings();
        let others: Vec<&Holdings<'a>> = std::iter::once(&actor).chain(before).collect();
        match target.are_covered_by(&others, draft.writer.resolver.conditions()) {
            true => Ok(()),
            false => Err(ServiceError::Forbidden(why)),
        }
    }

    /// Refuses to give these roles to an account that may have created rows, where a member of one of them would reach these rows
    /// by a condition on shared roles and the actor does not hold the permission without conditions.
    ///
    /// Every member counts, as nothing tells which accounts the actor can sign in as.
    async fn keep_rows_apart(&self, draft: &mut UnitOfWork, added: &[RoleId]) -> Result<(), ServiceError> {
        if added.is_empty() {
            return Ok(());
        }
        let roles: Vec<Role> = draft.tx.roles().await?.into_iter().map(|(role, _)| role).collect();
        let sharing = self.sharing(draft.writer.resolver.conditions(), &roles, added);
        if !sharing.is_empty() && draft.tx.roles_meet(added, &sharing).await? {
            return Err(ServiceError::Forbidden(SHARED));
        }
        Ok(())
    }

    /// Those of these roles with a permission under a condition on shared roles that the actor does not hold without conditions.
    fn sharing(&self, conditions: &Conditions, roles: &[Role], added: &[RoleId]) -> Vec<RoleId> {
        let actor = self.holdings();
        let mut known = HashMap::new();
        let mut shares = |permission: &Permission| {
            let mut follow =
                |id: &ConditionId| *known.entry(id.clone()).or_insert_with(|| conditions.follows_roles(id, added));
            permission.when.as_slice().iter().any(&mut follow) && !actor.have_always(permission)
        };
        roles.iter().filter(|role| role.permissions.iter().any(&mut shares)).map(|role| role.id).collect()
    }

    /// What the actor holds; of the program and of super admins nothing is asked.
    fn holdings(&self) -> Holdings<'_> {
        let held = match &self.0.ceiling {
            Ceiling::Of(held) => held.as_slice(),
            Ceiling::Unlimited => &[],
        };
        let (id, roles) = self.0.owner.as_ref().map_or((OwnerId(0), &[][..]), |owner| (owner.id, &owner.roles));
        Holdings::new(id, roles, held)
    }
}

fn permissions(roles: &[Role]) -> impl Iterator<Item = &Permission> {
    roles.iter().flat_map(|role| &role.permissions)
}

fn ids(roles: &[Role]) -> Vec<RoleId> {
    roles.iter().map(|role| role.id).collect()
}
