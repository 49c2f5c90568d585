//! Tokens that violate the rules of the policy.

use super::Tokens;
use super::load::READ_CONTENT;
use crate::admin::actor::ResolvedActor;
use crate::admin::token_rules::{RulesOf, Violation};
use crate::admin::{Policy, ServiceError, TokenRules};
use crate::domain::{OwnerId, Token, TokenKind};
use crate::store::{Paging, TokenQuery, TokenSort, View};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// A token, and the rules that it violates.
#[derive(Clone, Debug)]
pub struct TokenViolations {
    /// The token.
    pub token: Token,
    /// The rules that it violates, at least one.
    pub violations: Vec<Violation>,
}

impl Tokens {
    /// Lists the tokens that violate the present [rules](crate::admin::TokenRules), of those that the actor may see: admin tokens
    /// by id, then content tokens by id. They were issued before the rules, or imported, and stay valid.
    ///
    /// It reads all of these tokens, page by page, in one snapshot of the store.
    ///
    /// # Errors
    /// Those of [`list`](Self::list).
    pub async fn violations(&self) -> Result<Vec<TokenViolations>, ServiceError> {
        let mut view = self.context.view().await?;
        let actor = self.context.actor(&mut *view).await?;
        let owner = actor.visible_tokens()?;
        let policy = self.context.policy();
        let sees_content = match &actor {
            ResolvedActor::Person(grantor) => grantor.reaches_content_tokens(READ_CONTENT),
            ResolvedActor::Program => true,
            ResolvedActor::Token(_) | ResolvedActor::Visitor => false,
        };
        let mut found = Vec::new();
        for kind in [TokenKind::Admin, TokenKind::Content] {
            let is_visible = kind == TokenKind::Admin || sees_content;
            if self.kinds.contains(kind) && is_visible && has_rules(policy, kind) {
                let owner = owner.filter(|_| kind == TokenKind::Admin);
                found.extend(violations_of(&mut *view, policy, kind, owner).await?);
            }
        }
        Ok(found)
    }
}

fn has_rules(policy: &Policy, kind: TokenKind) -> bool {
    (kind == TokenKind::Admin && !policy.role_rules.is_empty()) || policy.token_rules != TokenRules::none()
}

async fn violations_of(
    view: &mut dyn View,
    policy: &Policy,
    kind: TokenKind,
    owner: Option<OwnerId>,
) -> Result<Vec<TokenViolations>, ServiceError> {
    let (mut found, mut rules) = (Vec::new(), HashMap::new());
    for page in 1.. {
        let paging = Paging { page, page_size: Paging::LARGEST };
        let query = TokenQuery { paging, owner, sort: TokenSort::Id, ..TokenQuery::of(kind) };
        let tokens = view.tokens(&query).await?.items;
        let is_last = (tokens.len() as u64) < u64::from(Paging::LARGEST);
        for token in tokens {
            let owner = token.owner();
            let (rules, count) = match rules.entry(owner) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(missing) => {
                    let count = match owner {
                        Some(owner) => Some(view.count_tokens(TokenKind::Admin, Some(owner)).await?),
                        None => None,
                    };
                    missing.insert((RulesOf::load(view, policy, owner).await?, count))
                }
            };
            if rules.is_empty() {
                continue;
            }
            let violations = rules.of_token(&token, *count);
            if !violations.is_empty() {
                found.push(TokenViolations { token, violations });
            }
        }
        if is_last {
            break;
        }
    }
    Ok(found)
}
