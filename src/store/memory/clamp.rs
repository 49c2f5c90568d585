//! Clamps of grants and permissions.

use super::{Content, Lock, Open};
use crate::domain::{
    Action, AuditAction, AuditCause, AuditEvent, AuditOrigin, AuditTarget, Ceiling, Grant, Owner, OwnerId, Role,
    RoleId, Token, TokenAuthority, TokenId, TokenKind,
};
use crate::store::{Clamp, Clamped, StoreError, View, scope_details};
use crate::sync::Arc;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap, HashSet};

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

/// A token that loses grants.
struct SplitGrants {
    token: Arc<Token>,
    dropped: Vec<Grant>,
    kept: Vec<Grant>,
}

/// Splits the grants of those of these tokens that lose some. `is_dropped` judges a grant by its token, and its place in
/// the token's list.
fn split_grants<'a>(
    tokens: impl Iterator<Item = &'a Arc<Token>>,
    is_dropped: impl Fn(&Token, usize, &Grant) -> bool,
) -> Vec<SplitGrants> {
    let is_dropped = |token: &Token, (place, grant): &(usize, &Grant)| is_dropped(token, *place, grant);
    let loses_some = |token: &&Arc<Token>| token.grants().iter().enumerate().any(|grant| is_dropped(token, &grant));
    let split = tokens.filter(loses_some).map(|token| {
        let grants = token.grants().iter().enumerate();
        let (dropped, kept): (Vec<_>, Vec<_>) = grants.partition(|grant| is_dropped(token, grant));
        let cloned = |grants: Vec<(usize, &Grant)>| grants.into_iter().map(|(_, grant)| grant.clone()).collect();
        SplitGrants { token: token.clone(), dropped: cloned(dropped), kept: cloned(kept) }
    });
    split.collect()
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
                let unknown = |_: &Token, _, grant: &Grant| !known.contains(&grant.scope.action);
                let split = split_grants(self.content.tokens.values(), unknown);
                Ok(Clamped { permissions, ..self.drop_grants(split, origin, cause)? })
            }
            Clamp::Listed(places) => {
                let listed: HashSet<(TokenId, usize)> = places.iter().copied().collect();
                let tokens: BTreeSet<TokenId> = places.iter().map(|(id, _)| *id).collect();
                let tokens = tokens.iter().filter_map(|id| self.content.tokens.get(id));
                let split = split_grants(tokens, |token, place, _| listed.contains(&(token.id, place)));
                self.drop_grants(split, origin, cause)
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
        let is_beyond =
            |token: &Token, _, grant: &Grant| token.owner().is_some_and(|owner| is_beyond(&ceilings, owner, grant));
        let split = split_grants(self.content.tokens.values(), is_beyond);
        self.drop_grants(split, origin, cause)
    }

    fn drop_grants(
        &mut self,
        split: Vec<SplitGrants>,
        origin: &AuditOrigin,
        cause: AuditCause,
    ) -> Result<Clamped, StoreError> {
        let mut clamped = Clamped { tokens: split.len() as u64, ..Clamped::default() };
        for SplitGrants { token, dropped, kept } in split {
            for grant in &dropped {
                let (target, details) = (AuditTarget::Token(token.id, TokenKind::Admin), scope_details(&grant.scope));
                self.note(AuditAction::GrantClamped, target, details, origin, cause);
            }
            clamped.grants += dropped.len() as u64;
            let mut token = Token::clone(&token);
            if let TokenAuthority::Admin { grants, .. } = &mut token.authority {
                *grants = kept;
            }
            self.content.tokens.insert_mut(token.id, Arc::new(token));
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
