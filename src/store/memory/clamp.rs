//! Clamps of grants and permissions.

use super::{Content, Lock, Open};
use crate::domain::{
    Action, AuditAction, AuditCause, AuditEvent, AuditOrigin, AuditTarget, Ceiling, Grant, Owner, OwnerId, Role,
    RoleId, Token, TokenAuthority, TokenId, TokenKind,
};
use crate::store::{Clamp, Clamped, StoreError, View, scope_details};
use serde_json::Value;
use std::collections::{HashMap, HashSet};

impl Content {
    fn ceilings_of(&self, whose: impl Fn(&Owner) -> bool) -> HashMap<OwnerId, Ceiling> {
        let owners = self.owners.values().filter(|owner| whose(owner));
        owners.map(|owner| (owner.id, self.ceiling(owner))).collect()
    }

    /// Counts the grants of these owners' tokens that lie beyond their ceilings.
    pub(super) fn count_beyond(&self, whose: impl Fn(&Owner) -> bool) -> Clamped {
        let ceilings = self.ceilings_of(whose);
        let mut clamped = Clamped::default();
        for token in self.tokens.values() {
            let TokenAuthority::Admin { owner, grants } = &token.authority else { continue };
            let gone = grants.iter().filter(|grant| is_beyond(&ceilings, *owner, grant)).count() as u64;
            clamped.tokens += u64::from(gone > 0);
            clamped.grants += gone;
        }
        clamped
    }
}

fn is_beyond(ceilings: &HashMap<OwnerId, Ceiling>, owner: OwnerId, grant: &Grant) -> bool {
    ceilings.get(&owner).is_some_and(|ceiling| ceiling.check(grant).is_err())
}

impl Open<Lock> {
    pub(super) fn clamp_grants(
        &mut self,
        clamp: Clamp<'_>,
        origin: &AuditOrigin,
        cause: AuditCause,
    ) -> Result<Clamped, StoreError> {
        match clamp {
            Clamp::Members(role) => self.clamp_owners(|owner| owner.roles.contains(&role), origin, cause),
            Clamp::Owner(id) => self.clamp_owners(|owner| owner.id == id, origin, cause),
            Clamp::Unknown(actions) => {
                let known: HashSet<&Action> = actions.iter().collect();
                let permissions = self.drop_permissions(|action| !known.contains(action), origin, cause)?;
                let clamped = self.drop_grants(|_, grant| !known.contains(&grant.scope.action), origin, cause)?;
                Ok(Clamped { permissions, ..clamped })
            }
        }
    }

    fn clamp_owners(
        &mut self,
        whose: impl Fn(&Owner) -> bool,
        origin: &AuditOrigin,
        cause: AuditCause,
    ) -> Result<Clamped, StoreError> {
        let ceilings = self.content.ceilings_of(whose);
        self.drop_grants(|owner, grant| is_beyond(&ceilings, owner, grant), origin, cause)
    }

    fn drop_grants(
        &mut self,
        goes: impl Fn(OwnerId, &Grant) -> bool,
        origin: &AuditOrigin,
        cause: AuditCause,
    ) -> Result<Clamped, StoreError> {
        let split = |token: &Token| -> Option<(TokenId, Vec<Grant>, Vec<Grant>)> {
            let TokenAuthority::Admin { owner, grants } = &token.authority else { return None };
            grants.iter().any(|g| goes(*owner, g)).then(|| {
                let (gone, kept) = grants.iter().cloned().partition(|g| goes(*owner, g));
                (token.id, gone, kept)
            })
        };
        let changed: Vec<_> = self.content.tokens.values().filter_map(|t| split(t)).collect();
        let mut clamped = Clamped { tokens: changed.len() as u64, ..Clamped::default() };
        for (id, gone, kept) in changed {
            for grant in &gone {
                let details = scope_details(&grant.scope);
                self.note(AuditAction::GrantClamped, AuditTarget::Token(id, TokenKind::Admin), details, origin, cause);
            }
            clamped.grants += gone.len() as u64;
            self.change_token(id, |token| {
                if let TokenAuthority::Admin { grants, .. } = &mut token.authority {
                    *grants = kept;
                }
            })?;
        }
        Ok(clamped)
    }

    fn drop_permissions(
        &mut self,
        goes: impl Fn(&Action) -> bool,
        origin: &AuditOrigin,
        cause: AuditCause,
    ) -> Result<u64, StoreError> {
        let loses = |role: &Role| role.permissions.iter().any(|p| goes(&p.scope.action)).then_some(role.id);
        let changed: Vec<RoleId> = self.content.roles.values().filter_map(|r| loses(r)).collect();
        let mut count = 0;
        for id in changed {
            let mut gone = Vec::new();
            self.change_role(id, |role| {
                (gone, role.permissions) =
                    std::mem::take(&mut role.permissions).into_iter().partition(|p| goes(&p.scope.action));
            })?;
            for permission in &gone {
                let details = scope_details(&permission.scope);
                self.note(AuditAction::PermissionClamped, AuditTarget::Role(id), details, origin, cause);
            }
            count += gone.len() as u64;
        }
        Ok(count)
    }

    fn note(
        &mut self,
        what: AuditAction,
        target: AuditTarget,
        details: Value,
        origin: &AuditOrigin,
        cause: AuditCause,
    ) {
        self.add_event(AuditEvent {
            at: self.now(),
            origin: origin.clone(),
            what,
            target,
            cause: Some(cause),
            details,
        });
    }
}
