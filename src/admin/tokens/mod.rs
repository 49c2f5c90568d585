//! Tokens: issued for a subset of what their owner may do, changed, shown and revoked.

mod change;
mod issue;
mod read;
#[cfg(feature = "reveal")]
mod reveal;

pub use change::TokenUpdate;
pub use issue::{IssuedToken, NewAdminToken, NewContentToken, NewSession};
pub use read::DescribedToken;
#[cfg(feature = "reveal")]
pub use reveal::{SecretAccess, TokenWithSecret};

pub(super) use change::differences;
#[cfg(feature = "strapi")]
pub(super) use issue::facts;
pub(super) use issue::{insert, record};

use super::actor::may_change;
use super::error::{FieldError, FieldErrors};
use super::write::{ServiceContext, UnitOfWork};
use super::{ServiceError, for_whom, optimistic};
use crate::domain::{Ceiling, ConditionClause, ContentAccess, Grant, OwnerId, Token, TokenId, TokenKind, TokenKinds};
use crate::store::View;
use serde_json::json;
use std::collections::HashMap;

/// Issues, changes, reads and revokes tokens. Made by [`Keyward::tokens`](crate::Keyward::tokens).
#[derive(Clone, Debug)]
pub struct Tokens {
    change: ServiceContext,
    kinds: TokenKinds,
}

for_whom!(Tokens);
optimistic!(Tokens, "a token");

impl Tokens {
    pub(super) fn new(change: ServiceContext) -> Self {
        Self { change, kinds: TokenKinds::of(&TokenKind::ALL) }
    }

    /// The same for one kind: to it, there are no others.
    #[must_use]
    pub fn only(mut self, kind: TokenKind) -> Self {
        self.kinds = TokenKinds::of(&[kind]);
        self
    }

    /// Refuses those who can never issue or change a token.
    pub(crate) fn may_change(&self) -> Result<(), ServiceError> {
        may_change(self.change.origin.actor)
    }

    fn map(self, f: impl FnOnce(ServiceContext) -> ServiceContext) -> Self {
        Self { change: f(self.change), ..self }
    }
}

/// The token with this id, if it is of one of these kinds.
async fn find(view: &mut dyn View, id: TokenId, kinds: TokenKinds) -> Result<Token, ServiceError> {
    let token = view.token(id).await?.filter(|t| kinds.contains(t.kind()));
    token.ok_or(ServiceError::NotFound("token"))
}

/// Whether a name is still to be had, by a token that has this one or none yet.
async fn ensure_available(draft: &mut UnitOfWork, name: &str, own: Option<TokenId>) -> Result<(), ServiceError> {
    match draft.tx.token_named(name).await? {
        Some(id) if own != Some(id) => Err(ServiceError::Taken { path: "name", message: "Name already taken" }),
        _ => Ok(()),
    }
}

/// Refuses equal grants, ones that lie beyond what the owner holds, and conditions chosen where they
/// are inherited.
async fn within(draft: &mut UnitOfWork, owner: OwnerId, grants: &[Grant]) -> Result<(), ServiceError> {
    let ceiling = draft.tx.ceiling(owner).await?;
    let mut wrong = FieldErrors::default();
    let index = ceiling.index();
    let mut there = HashMap::with_capacity(grants.len());
    for (i, grant) in grants.iter().enumerate() {
        if wrong.is_full() {
            break;
        }
        let path = format!("grants.{i}");
        let first = *there.entry(grant).or_insert(i);
        if first != i {
            wrong.say(path, format!("is the same as entry {first}: leave it out"));
        } else if let Err(beyond) = index.check(grant) {
            wrong.add(FieldError { path, message: beyond.to_string(), value: Some(grant.scope.action.to_string()) });
        } else if grant.chosen != ConditionClause::Always && ceiling != Ceiling::Unlimited {
            wrong.say(path, "conditions are inherited from the owner's roles, not chosen");
        }
    }
    wrong.done()
}

/// What a content token may do, as the audit log tells it: a word, or the actions of a custom one.
fn access_facts(access: &ContentAccess) -> serde_json::Value {
    match access {
        ContentAccess::Custom(actions) => json!(actions),
        access => json!(access.as_str()),
    }
}

impl UnitOfWork {
    /// Refuses one more admin token of an owner who has as many as the policy allows.
    async fn room_for_admin_token(&mut self, owner: OwnerId) -> Result<(), ServiceError> {
        let most = self.writer.settings.policy.tokens_per_owner;
        match self.tx.count_tokens(TokenKind::Admin, Some(owner)).await? {
            count if count >= most => Err(full("owner", most, "admin tokens of an owner")),
            _ => Ok(()),
        }
    }

    /// Refuses one more content token where there are as many as the policy allows.
    async fn room_for_content_token(&mut self) -> Result<(), ServiceError> {
        let most = self.writer.settings.policy.content_tokens;
        match self.tx.count_tokens(TokenKind::Content, None).await? {
            count if count >= most => Err(full("kind", most, "content tokens")),
            _ => Ok(()),
        }
    }
}

fn full(path: &str, most: u64, of: &str) -> ServiceError {
    ServiceError::invalid(path, format!("there are already {most} {of}, which is the most: delete one first"))
}

/// A grant, as the audit log tells it.
fn audit_json(grant: &Grant) -> serde_json::Value {
    let fields = match &grant.scope.fields {
        crate::domain::Fields::All => None,
        crate::domain::Fields::Only(set) => Some(set.as_slice()),
    };
    let mut audit_json = json!({"action": grant.scope.action, "subject": grant.scope.resource, "fields": fields});
    if grant.chosen != ConditionClause::Always {
        audit_json["conditions"] = json!(grant.chosen.as_slice());
    }
    audit_json
}
