//! Selections of tokens.

use super::{Lock, Open, conflict, unless};
use crate::domain::{AuditAction, AuditEvent, AuditOrigin, AuditTarget, Token, TokenId};
use crate::store::{SelectedToken, StoreError, TokenSelection, View};
use serde_json::json;
use std::collections::HashSet;

impl<L: Send> Open<L> {
    pub(super) fn select(&self, selection: &TokenSelection, limit: u32) -> Vec<SelectedToken> {
        let TokenSelection { kind, owner, role, created_before, used_from } = selection;
        let has_role = |token: &Token| {
            let owner = token.owner().and_then(|id| self.content.owners.get(&id));
            role.is_none_or(|role| owner.is_some_and(|owner| owner.roles.contains(&role)))
        };
        let is_used = |token: &Token| {
            let address = self.uses.of_tokens.get(&token.id).and_then(|used| used.address);
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
        selected.map(SelectedToken::from).collect()
    }
}

impl Open<Lock> {
    pub(super) fn revoke(&mut self, ids: &[TokenId], origin: &AuditOrigin, selection: &str) -> Result<(), StoreError> {
        let (mut tokens, mut named) = (Vec::with_capacity(ids.len()), HashSet::new());
        for id in ids {
            unless(!named.insert(*id), "a token is named twice")?;
            tokens.push(self.content.tokens.get(id).cloned().ok_or_else(|| conflict("there is no such token"))?);
        }
        for token in tokens {
            if self.content.tokens.contains_key(&token.id) {
                self.remove(&token);
            }
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
