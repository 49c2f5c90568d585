//! Child tokens: the tokens that an admin token makes.

use super::issue::{IssuedToken, NewKey, ensure_active, insert, limit_reached};
use super::limits::check_limits;
use super::{Tokens, check_grants, ensure_name_available};
use crate::admin::actor::ResolvedActor;
use crate::admin::error::FieldErrors;
use crate::admin::metadata::checked_metadata;
use crate::admin::text_fields::{checked_description, checked_name};
use crate::admin::token_rules::RulesOf;
use crate::admin::unit_of_work::UnitOfWork;
use crate::admin::{Lifespan, ServiceError};
use crate::domain::{
    Ceiling, ConditionClause, Excess, FieldName, Grant, NewSecret, OwnerId, Permission, Timestamp, Token,
    TokenAuthority, TokenKind, TokenLimits,
};
use crate::store::{NewToken, Paging, TokenQuery, TokenSort};
use serde_json::Value;
use std::time::Duration;

/// The most tokens in a line of descent: the token that a person or the host program made, its child, and so on.
const MOST_GENERATIONS: usize = 5;
/// The lifespan of a child for which none was chosen.
const DEFAULT_LIFESPAN: Duration = Duration::from_secs(60 * 60);

/// A new child token, which an admin token makes for an agent that it starts.
#[derive(Clone, Debug)]
pub struct NewChildToken {
    /// The name: as for [`NewAdminToken`](crate::NewAdminToken).
    pub name: String,
    /// Free text.
    pub description: String,
    /// The metadata: as for [`NewAdminToken`](crate::NewAdminToken).
    pub metadata: Option<Value>,
    /// The grants. Grants that the parent [may delegate](Grant::may_delegate) have to cover each of them.
    pub grants: Vec<Grant>,
    /// The lifespan: at least a second, at most [`Policy::child_lifespan`](crate::admin::Policy::child_lifespan), and not beyond the
    /// parent's expiry. `None`: an hour, or less if one of these bounds is shorter.
    pub lifespan: Option<Lifespan>,
    /// Limits in addition to those of the parent, which hold too.
    pub limits: TokenLimits,
}

impl NewChildToken {
    /// Creates a token of this name, without grants.
    pub fn new(name: impl Into<String>) -> Self {
        let (name, description) = (name.into(), String::new());
        Self { name, description, metadata: None, grants: Vec::new(), lifespan: None, limits: TokenLimits::none() }
    }

    /// Sets the grants.
    #[must_use]
    pub fn grants(mut self, grants: impl IntoIterator<Item = Grant>) -> Self {
        self.grants = grants.into_iter().collect();
        self
    }

    /// Sets the lifespan.
    #[must_use]
    pub fn lifespan(mut self, lifespan: Lifespan) -> Self {
        self.lifespan = Some(lifespan);
        self
    }

    /// Sets the limits.
    #[must_use]
    pub fn limits(mut self, limits: TokenLimits) -> Self {
        self.limits = limits;
        self
    }
}

impl Tokens {
    /// Issues a token that the acting admin token makes for itself.
    ///
    /// It belongs to the owner of its parent and counts as one of the owner's tokens. At every moment it may do what its
    /// grants, its parent's delegable grants and its owner's permissions all allow. Its parent's limits hold for it too, and
    /// requests of both count against the parent's rate limit.
    ///
    /// The child ends when its parent is revoked or expires. It also ends when the parent's secret that made it ends: when that
    /// is replaced, or after its grace period if it has one.
    ///
    /// ```
    /// # async fn demo(tokens: keyward::admin::Tokens, auth: keyward::AuthContext) -> Result<(), keyward::admin::ServiceError> {
    /// use keyward::Grant;
    /// use keyward::admin::NewChildToken;
    /// let new = NewChildToken::new("summary of today").grants([Grant::new("article.read")]);
    /// let child = tokens.acting_as(auth.actor()).issue_child(new).await?;
    /// println!("{}", child.secret.expose());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// - [`Forbidden`](ServiceError::Forbidden) unless the actor is a valid admin token that was presented by its present
    ///   secret and has fewer than four [ancestors](Token::ancestors);
    /// - [`OwnerInactive`](ServiceError::OwnerInactive) if the owner is not active;
    /// - [`Invalid`](ServiceError::Invalid) if a field is not valid, a grant is not covered by those that the parent may
    ///   delegate, the lifespan is out of bounds, a [rule](crate::admin::TokenRules) is violated, or the parent or the owner
    ///   has too many tokens;
    /// - [`Taken`](ServiceError::Taken) if the name is taken.
    pub async fn issue_child(&self, new: NewChildToken) -> Result<IssuedToken, ServiceError> {
        let issued = self.context.issue(TokenKind::Admin)?;
        let tokens = self.clone();
        self.context.transact(move |unit| Box::pin(issue_child(unit, tokens, new, issued))).await
    }

    /// Lists the descendants of the acting admin token: its children, their children, and so on.
    ///
    /// # Errors
    /// [`Forbidden`](ServiceError::Forbidden) unless the actor is an admin token.
    pub async fn children(&self) -> Result<Vec<Token>, ServiceError> {
        let mut view = self.context.view().await?;
        let parent = parent(self.context.actor(&mut *view).await?)?;
        Ok(view.descendants(&[parent.id]).await?)
    }
}

fn parent(actor: ResolvedActor) -> Result<Token, ServiceError> {
    match actor {
        ResolvedActor::Token(token) if token.kind() == TokenKind::Admin => Ok(*token),
        _ => Err(ServiceError::Forbidden("only an admin token makes tokens for itself")),
    }
}

async fn issue_child(
    unit: &mut UnitOfWork<'_>,
    tokens: Tokens,
    new: NewChildToken,
    issued: NewSecret,
) -> Result<IssuedToken, ServiceError> {
    let NewChildToken { name, description, metadata, grants, lifespan, limits } = new;
    let parent = parent(unit.actor().await?)?;
    unit.ensure_present_secret(&parent)?;
    let now = unit.now();
    let is_over = parent.expires_at.is_some_and(|expires| expires <= now);
    if is_over || !parent.all_limits().all(|limits| limits.enabled) {
        return Err(ServiceError::Forbidden("the token that makes it is not valid itself"));
    }
    if !parent.grants().iter().any(|grant| grant.may_delegate) {
        return Err(ServiceError::Forbidden("none of the token's grants may be delegated"));
    }
    let Some(owner) = parent.owner().filter(|_| parent.ancestors.len() + 1 < MOST_GENERATIONS) else {
        return Err(ServiceError::Forbidden("the token comes from too many others to make another one"));
    };
    ensure_active(unit, owner).await?;
    let mut errors = FieldErrors::default();
    let name = errors.collect(checked_name(FieldName::Name, &name))?.unwrap_or_default();
    let description = errors.collect(checked_description(FieldName::Description, &description))?.unwrap_or_default();
    let metadata = errors.collect(checked_metadata(metadata))?.flatten();
    check_limits(&limits, &mut errors);
    tokens.check_registered(&grants, &[], &mut errors);
    check_delegated(&parent, &grants, &mut errors);
    let policy = unit.state.settings.policy.clone();
    let left = parent.expires_at.map_or(Duration::MAX, |expires| unit.until(expires));
    let longest = policy.child_lifespan.min(left);
    let field = if matches!(lifespan, Some(Lifespan::Until(_))) { FieldName::ExpiresAt } else { FieldName::Lifespan };
    let lifespan =
        lifespan.map_or(DEFAULT_LIFESPAN.min(longest), |lifespan| lifespan.from(now).unwrap_or(Duration::MAX));
    if lifespan > longest || lifespan < Duration::from_secs(1) {
        errors.add(field, format!("must be from 1000 to {} ms", longest.as_millis()));
    }
    let rules = unit.rules_of(Some(owner)).await?;
    let of_owner = count_tokens(unit, owner, &rules).await?;
    rules.check_new((&name, Some(lifespan), &limits), Some(of_owner + 1), &mut errors);
    errors.into_result()?;
    check_grants(unit, owner, &grants).await?;
    // Those of the first token of the line, among which are those of all others.
    let first = parent.ancestors.last().map_or(parent.id, |first| first.id);
    let line = unit.view().descendants(&[first]).await?;
    let (ended, alive): (Vec<Token>, Vec<Token>) = line.into_iter().partition(|token| has_expired(token, now));
    unit.sweep_children(&ended).await?;
    if alive.len() as u64 >= policy.children_per_token {
        return Err(limit_reached(FieldName::Owner, policy.children_per_token, "tokens that come from one"));
    }
    if of_owner >= policy.tokens_per_owner {
        return Err(limit_reached(FieldName::Owner, policy.tokens_per_owner, "admin tokens of an owner"));
    }
    let scope = policy.name_scope(Some(owner));
    ensure_name_available(unit, &name, scope, None).await?;
    let (NewKey { digest, hash_key, hint }, secret) = NewKey::of(issued);
    let new = NewToken {
        name,
        scope,
        description,
        metadata,
        digest,
        hash_key,
        hint,
        lifespan: Some(lifespan),
        authority: TokenAuthority::Admin { owner, grants },
        limits,
        parent: Some((parent.id, parent.digest)),
    };
    insert(unit, (new, secret)).await
}

/// Counts the admin tokens of an owner. Where they are as many as it may have, those that tokens made and that have expired are
/// deleted first.
pub(super) async fn count_tokens(
    unit: &mut UnitOfWork<'_>,
    owner: OwnerId,
    rules: &RulesOf,
) -> Result<u64, ServiceError> {
    let most = unit.state.settings.policy.tokens_per_owner.min(rules.most_tokens());
    let count = unit.view().count_tokens(TokenKind::Admin, Some(owner)).await?;
    if count < most {
        return Ok(count);
    }
    let (now, mut ended) = (unit.now(), Vec::new());
    for page in 1.. {
        let paging = Paging { page, page_size: Paging::LARGEST };
        let query =
            TokenQuery { paging, owner: Some(owner), sort: TokenSort::ExpiresAt, ..TokenQuery::of(TokenKind::Admin) };
        let tokens = unit.view().tokens(&query).await?.items;
        let is_last = tokens.len() < Paging::LARGEST as usize || !tokens.iter().all(|token| has_expired(token, now));
        ended.extend(tokens.into_iter().filter(|token| token.parent().is_some() && has_expired(token, now)));
        if is_last {
            break;
        }
    }
    unit.sweep_children(&ended).await?;
    Ok(unit.view().count_tokens(TokenKind::Admin, Some(owner)).await?)
}

fn has_expired(token: &Token, now: Timestamp) -> bool {
    token.expires_at.is_some_and(|expires| expires <= now)
}

/// Reports grants that the grants which the parent may delegate do not cover.
fn check_delegated(parent: &Token, grants: &[Grant], errors: &mut FieldErrors) {
    let delegable = parent.grants().iter().filter(|grant| grant.may_delegate);
    // Conditions need no check: they stay with the parent's grants, which bound the child in every decision.
    let held = delegable.map(|grant| Permission { scope: grant.scope.clone(), when: ConditionClause::Always });
    let ceiling = Ceiling::Of(held.collect());
    let index = ceiling.index();
    for (i, grant) in grants.iter().enumerate() {
        let message = match index.check(grant).map_err(|beyond| beyond.excess) {
            Ok(()) if grant.chosen != ConditionClause::Always => "conditions are inherited, not chosen".to_owned(),
            Ok(()) => continue,
            Err(Excess::AllFields) => "the token may delegate this for some fields only: name the fields".to_owned(),
            Err(Excess::Fields(fields)) => {
                let names: Vec<&str> = fields.iter().map(|field| field.as_str()).collect();
                format!("the token may not delegate this for {}", names.join(", "))
            }
            Err(Excess::Action | Excess::Conditions) => "the token may not delegate this".to_owned(),
        };
        errors.add_value(FieldName::Grants.at(i), message, grant.scope.action.to_string());
    }
}
