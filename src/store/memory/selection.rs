//! Selections of tokens.

use super::{Lock, Open, conflict};
use crate::domain::{AuditAction, AuditEvent, AuditOrigin, AuditTarget, Tag, Token, TokenId};
use crate::store::{SelectedToken, StoreError, TokenSelection, View};
use serde_json::json;

impl<L: Send> Open<L> {
    pub(super) fn select(&self, selection: &TokenSelection, limit: u32) -> Vec<SelectedToken> {
        let TokenSelection { kind, owner, role, created_before, used_from } = selection;
        let has_role = |token: &Token| {
            let owner = token.owner().and_then(|id| self.content.owners.get(&id));
            role.is_none_or(|role| owner.is_some_and(|owner| owner.roles.contains(&role)))
        };
        let is_used = |token: &Token| {
            let address = self.uses.get(&token.id).and_then(|used| used.address);
            used_from.is_none_or(|network| address.is_some_and(|address| network.contains(address)))
        };
        let is_selected = |token: &&Token| {
            kind.is_none_or(|kind| token.kind() == kind)
                && owner.is_none_or(|owner| token.owner() == Some(owner))
                && created_before.is_none_or(|before| token.created_at < before)
                && has_role(token)
                && is_used(token)
        };
        let selected = self.content.tokens.values().map(|token| &**token).filter(is_selected).take(limit as usize);
        let entry = |token: &Token| SelectedToken {
            id: token.id,
            kind: token.kind(),
            owner: token.owner(),
            tag: Tag::token(&token.digest),
            updated_at: token.updated_at,
        };
        selected.map(entry).collect()
    }
}

impl Open<Lock> {
    pub(super) fn revoke(&mut self, ids: &[TokenId], origin: &AuditOrigin, selection: &str) -> Result<(), StoreError> {
        for id in ids {
            let token = self.content.tokens.get(id).cloned().ok_or_else(|| conflict("there is no such token"))?;
            self.remove(&token);
            self.add_event(AuditEvent {
                at: self.now(),
                origin: origin.clone(),
                what: AuditAction::TokenRevoked,
                target: AuditTarget::Token(token.id, token.kind()),
                cause: None,
                details: json!({"name": token.name, "owner": token.owner(), "selection": selection}),
            });
        }
        Ok(())
    }
}
