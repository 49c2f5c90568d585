//! Changing, regenerating and revoking tokens.

use super::issue::IssuedToken;
use super::limits::{check_grace, check_limits};
use super::load::{load_changeable, load_token};
use super::read::{DescribedToken, describe_one};
use super::{Tokens, check_grants, check_own_ceiling, ensure_name_available};
use crate::admin::ServiceError;
use crate::admin::actor::Grantor;
use crate::admin::audit_details::token_changes;
use crate::admin::error::FieldErrors;
use crate::admin::metadata::checked_metadata;
use crate::admin::text_fields::{checked_description, checked_name};
use crate::admin::unit_of_work::{UnitOfWork, Work};
use crate::domain::{
    Ceiling, ConditionClause, ContentAccess, FieldName, Grant, Metadata, Network, NewSecret, RateLimit, Token,
    TokenAuthority, TokenId, TokenKind, TokenKinds, TokenLimits, same_in_any_order,
};
use serde_json::Value;
use std::time::Duration;

/// A change of a token. `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct TokenUpdate {
    /// The new name.
    pub name: Option<String>,
    /// The new description.
    pub description: Option<String>,
    /// The new [metadata](crate::admin::NewAdminToken::metadata), as a whole; [`Value::Null`] removes it.
    pub metadata: Option<Value>,
    /// The new grants of an admin token, all of them. Unless the owner is a super admin, conditions that were chosen for a grant before
    /// stay with it.
    pub grants: Option<Vec<Grant>>,
    /// The new access of a content token.
    pub access: Option<ContentAccess>,
    /// Whether the token is admitted.
    pub enabled: Option<bool>,
    /// The new networks, all of them. An empty list admits the token from everywhere.
    pub networks: Option<Vec<Network>>,
    /// The new rate limit; `Some(None)` removes it.
    pub rate: Option<Option<RateLimit>>,
    /// The new idle expiry; `Some(None)` removes it.
    pub idle_expiry: Option<Option<Duration>>,
}

impl TokenUpdate {
    /// Returns the limits after this update.
    fn limits(&self, before: &TokenLimits) -> TokenLimits {
        let mut limits = before.clone();
        limits.enabled = self.enabled.unwrap_or(limits.enabled);
        limits.networks = self.networks.clone().unwrap_or(limits.networks);
        limits.rate = self.rate.unwrap_or(limits.rate);
        limits.idle_expiry = self.idle_expiry.unwrap_or(limits.idle_expiry);
        limits
    }
}

/// A [`TokenUpdate`] with its texts in their stored form, and the errors in them.
struct Changes {
    name: Option<String>,
    description: Option<String>,
    metadata: Option<Option<Metadata>>,
    grants: Option<Vec<Grant>>,
    access: Option<ContentAccess>,
    /// The update as it was passed, from which the limits are read.
    update: TokenUpdate,
    errors: FieldErrors,
}

impl Tokens {
    /// Changes a token, and returns it as it is then. Its owner, kind, secret and expiry stay.
    ///
    /// # Errors
    /// - [`NotFound`](ServiceError::NotFound) or [`Forbidden`](ServiceError::Forbidden) if there is no such token, or the actor may not
    ///   see it (super admins see all), or is a token;
    /// - [`Invalid`](ServiceError::Invalid) if a field is not valid, the grants or the access could not be issued to its owner today, or
    ///   the change would violate a [rule](crate::admin::TokenRules) that the token does not violate already;
    /// - [`Taken`](ServiceError::Taken) if the name is taken;
    /// - [`TooManyAttempts`](ServiceError::TooManyAttempts) if the actor changed it too often.
    pub async fn update(&self, id: TokenId, update: TokenUpdate) -> Result<DescribedToken, ServiceError> {
        self.may_change()?;
        let TokenUpdate { name, description, metadata, grants, access, .. } = update.clone();
        let mut errors = FieldErrors::default();
        let name = name.map(|name| errors.collect(checked_name(FieldName::Name, &name))).transpose()?.flatten();
        let description = description.map(|text| checked_description(FieldName::Description, &text));
        let description = description.map(|text| errors.collect(text)).transpose()?.flatten();
        let metadata = metadata.map(|value| errors.collect(checked_metadata(Some(value)))).transpose()?.flatten();
        let changes = Changes { name, description, metadata, grants, access, update, errors };
        let tokens = self.clone();
        self.context.transact(move |unit| Box::pin(change(unit, tokens, id, changes))).await
    }

    /// Replaces a token's secret. The next request with the replaced one is rejected. The token's expiry stays.
    ///
    /// # Errors
    /// - [`NotFound`](ServiceError::NotFound) or [`Forbidden`](ServiceError::Forbidden) if there is no such token, or the actor may not have
    ///   its secret: that of an admin token goes to its owner, the token itself and the host program, not to other super admins;
    /// - [`Forbidden`](ServiceError::Forbidden) to a token that was presented by its previous secret;
    /// - [`TooManyAttempts`](ServiceError::TooManyAttempts) if the actor regenerated it too often, see
    ///   [`Policy::regenerations_per_hour`](crate::admin::Policy::regenerations_per_hour).
    pub async fn regenerate(&self, id: TokenId) -> Result<IssuedToken, ServiceError> {
        self.context.transact(self.regenerate_work(id, Duration::ZERO)?).await
    }

    /// Replaces a token's secret, and admits the replaced one, now the [previous](Token::previous), until this time has passed. The
    /// token's expiry stays.
    ///
    /// If there was a previous secret already, that one ends now. The token is returned with [both secrets](Token::secrets) and their
    /// last uses, so that the owner sees where the previous one is still used.
    ///
    /// ```
    /// # async fn demo(keyward: keyward::Keyward, id: keyward::token::TokenId) -> Result<(), keyward::admin::ServiceError> {
    /// use std::time::Duration;
    /// let hour = Duration::from_secs(60 * 60);
    /// let new = keyward.tokens().regenerate_with_grace(id, hour).await?.secret;
    /// // Roll out the new secret; then:
    /// keyward.tokens().end_grace(id).await?;
    /// # let _ = new;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`regenerate`](Self::regenerate), and [`Invalid`](ServiceError::Invalid) if the time is longer than
    /// [`Policy::longest_grace`](crate::admin::Policy::longest_grace).
    pub async fn regenerate_with_grace(&self, id: TokenId, grace: Duration) -> Result<IssuedToken, ServiceError> {
        self.context.transact(self.regenerate_work(id, grace)?).await
    }

    /// Ends the previous secret of a token before its grace period is over, and returns the token. If there is none, nothing
    /// changes.
    ///
    /// # Errors
    /// Those of [`regenerate`](Self::regenerate), except [`TooManyAttempts`](ServiceError::TooManyAttempts).
    pub async fn end_grace(&self, id: TokenId) -> Result<DescribedToken, ServiceError> {
        self.end_grace_of(id, None).await
    }

    /// Ends the old secret like [`end_grace`](Self::end_grace), if it has this hint.
    pub(crate) async fn end_grace_of(&self, id: TokenId, hint: Option<String>) -> Result<DescribedToken, ServiceError> {
        let kinds = self.kinds;
        self.context.transact(move |unit| Box::pin(end_grace(unit, kinds, id, hint))).await
    }

    /// Returns the work of [`regenerate`](Self::regenerate).
    pub(super) fn regenerate_work(&self, id: TokenId, grace: Duration) -> Result<Work<IssuedToken>, ServiceError> {
        check_grace(grace, self.context.policy().longest_grace)?;
        let issued = NewSecrets {
            admin: self.context.issue(TokenKind::Admin)?,
            content: self.context.issue(TokenKind::Content)?,
        };
        let kinds = self.kinds;
        Ok(Box::new(move |unit| Box::pin(regenerate(unit, kinds, id, issued, grace))))
    }

    /// Revokes a token, and returns it as it was. The next request with it is rejected.
    ///
    /// It does not read the owner's permissions, so it works even if they cannot be read.
    ///
    /// # Errors
    /// [`NotFound`](ServiceError::NotFound) or [`Forbidden`](ServiceError::Forbidden) if there is no such token, or it belongs to another
    /// owner. Super admins may revoke all admin tokens. An admin token may revoke itself and its descendants.
    pub async fn revoke(&self, id: TokenId) -> Result<Token, ServiceError> {
        self.context.transact(self.revoke_work(id)).await
    }

    /// Returns the work of [`revoke`](Self::revoke).
    pub(super) fn revoke_work(&self, id: TokenId) -> Work<Token> {
        let kinds = self.kinds;
        Box::new(move |unit| Box::pin(revoke(unit, kinds, id)))
    }
}

/// A secret for each kind that the token may turn out to have.
struct NewSecrets {
    admin: NewSecret,
    content: NewSecret,
}

async fn change(
    unit: &mut UnitOfWork<'_>,
    tokens: Tokens,
    id: TokenId,
    changes: Changes,
) -> Result<DescribedToken, ServiceError> {
    let Changes { name, description, metadata, grants, access, update, mut errors } = changes;
    let actor = unit.actor().await?;
    // Sessions are opened and ended, never changed.
    let kinds = tokens.kinds.without(TokenKind::Session);
    let state = unit.state.clone();
    let before = load_changeable(unit.view(), state.resolver.accounts(), &actor, id, kinds).await?;
    let grantor = actor.grantor()?;
    unit.check_version("token", before.version())?;
    tokens.check_registered(grants.as_deref().unwrap_or_default(), before.grants(), &mut errors);
    if let Some(access) = &access {
        tokens.check_access(access, before.access(), &mut errors);
    }
    let limits = update.limits(&before.limits);
    check_limits(&limits, &mut errors);
    let named = name.clone().unwrap_or_else(|| before.name.clone());
    let after = Token { name: named, limits: limits.clone(), ..before.clone() };
    unit.rules_of(before.owner()).await?.check_change(&before, &after, &mut errors);
    errors.into_result()?;
    let name = name.unwrap_or_else(|| before.name.clone());
    let description = description.unwrap_or_else(|| before.description.clone());
    let metadata = metadata.unwrap_or_else(|| before.metadata.clone());
    let authority = change_authority(unit, &grantor, &before, grants, access).await?;
    let after = Token { name: name.clone(), description, metadata, authority, limits, ..before.clone() };
    if token_changes(&before, &after).is_empty() {
        return describe_one(unit.view(), state.resolver.accounts(), before).await;
    }
    // Checked last: a taken name reveals that another owner has such a token.
    if name != before.name {
        let scope = unit.state.settings.policy.name_scope(before.owner());
        ensure_name_available(unit, &name, scope, Some(id)).await?;
    }
    unit.update_token(&before, &after).await?;
    let token = load_token(unit.view(), id, tokens.kinds).await?;
    describe_one(unit.view(), state.resolver.accounts(), token).await
}

/// Returns the authority after a change. If only the order of its entries changes, that is the authority before.
async fn change_authority(
    unit: &mut UnitOfWork<'_>,
    grantor: &Grantor,
    before: &Token,
    grants: Option<Vec<Grant>>,
    access: Option<ContentAccess>,
) -> Result<TokenAuthority, ServiceError> {
    let authority = match (before.authority.clone(), grants, access) {
        (TokenAuthority::Admin { owner, grants: now }, Some(grants), None) => {
            let ceiling = unit.ceiling(owner).await?;
            let grants = with_chosen(grants, &now, &ceiling);
            // Chosen conditions that stay are not a new choice.
            let new: Vec<Grant> = grants.iter().map(|g| as_new(g, &now, &ceiling)).collect();
            check_grants(unit, owner, &new).await?;
            check_own_ceiling(grantor, owner, &grants)?;
            TokenAuthority::Admin { owner, grants }
        }
        (TokenAuthority::Content { .. }, None, Some(access)) => TokenAuthority::Content { access },
        (authority, None, None) => authority,
        (TokenAuthority::Content { .. }, Some(_), _) => {
            return Err(ServiceError::invalid(FieldName::Grants, "a content token has an access, and no grants"));
        }
        (_, _, Some(_)) => {
            return Err(ServiceError::invalid(FieldName::Access, "an admin token has grants, and no access"));
        }
        (authority @ TokenAuthority::Session { .. }, ..) => authority,
    };
    Ok(if is_same(&before.authority, &authority) { before.authority.clone() } else { authority })
}

async fn regenerate(
    unit: &mut UnitOfWork<'_>,
    kinds: TokenKinds,
    id: TokenId,
    issued: NewSecrets,
    grace: Duration,
) -> Result<IssuedToken, ServiceError> {
    let before = load_regenerated(unit, kinds, id).await?;
    let issued = if before.kind() == TokenKind::Admin { issued.admin } else { issued.content };
    let (token, secret) = unit.replace_secret(&before, issued, grace).await?;
    IssuedToken::describe(unit, token, secret).await
}

async fn end_grace(
    unit: &mut UnitOfWork<'_>,
    kinds: TokenKinds,
    id: TokenId,
    hint: Option<String>,
) -> Result<DescribedToken, ServiceError> {
    let before = load_regenerated(unit, kinds, id).await?;
    let is_other = |hint: &String| before.previous.as_ref().is_some_and(|previous| previous.hint != *hint);
    if hint.as_ref().is_some_and(is_other) {
        return Err(ServiceError::Changed("token"));
    }
    unit.end_grace(&before).await?;
    let state = unit.state.clone();
    let token = load_token(unit.view(), id, kinds).await?;
    describe_one(unit.view(), state.resolver.accounts(), token).await
}

/// Loads a token whose secrets the actor may replace and end.
async fn load_regenerated(unit: &mut UnitOfWork<'_>, kinds: TokenKinds, id: TokenId) -> Result<Token, ServiceError> {
    let actor = unit.actor().await?;
    // Sessions are opened and ended, never changed.
    let (state, kinds) = (unit.state.clone(), kinds.without(TokenKind::Session));
    let before = load_changeable(unit.view(), state.resolver.accounts(), &actor, id, kinds).await?;
    match before.owner() {
        Some(_) if actor.is_token(id) => unit.ensure_present_secret(&before)?,
        Some(owner) => {
            let grantor = actor.grantor()?;
            if !unit.manages(&grantor, owner).await? {
                return Err(ServiceError::Forbidden("only its owner regenerates a token"));
            }
            // The actor learns a secret that carries these grants.
            check_own_ceiling(&grantor, owner, before.grants())?;
        }
        None => drop(actor.grantor()?),
    }
    unit.check_version("token", before.version())?;
    Ok(before)
}

async fn revoke(unit: &mut UnitOfWork<'_>, kinds: TokenKinds, id: TokenId) -> Result<Token, ServiceError> {
    let actor = unit.actor().await?;
    let state = unit.state.clone();
    let token = load_changeable(unit.view(), state.resolver.accounts(), &actor, id, kinds).await?;
    if !(actor.is_token_or_ancestor(&token) && token.kind() == TokenKind::Admin) {
        actor.grantor()?;
    }
    unit.check_version("token", token.version())?;
    unit.revoke_token(&token).await?;
    Ok(token)
}

/// Returns whether two authorities have the same entries, in any order.
fn is_same(before: &TokenAuthority, after: &TokenAuthority) -> bool {
    match (before, after) {
        (TokenAuthority::Admin { grants: before, .. }, TokenAuthority::Admin { grants: after, .. }) => {
            same_in_any_order(before, after)
        }
        (
            TokenAuthority::Content { access: ContentAccess::Custom(before) },
            TokenAuthority::Content { access: ContentAccess::Custom(after) },
        ) => same_in_any_order(before, after),
        (before, after) => before == after,
    }
}

/// Adds the conditions that were chosen before to grants without any. They stay, unless the owner is a super admin now.
fn with_chosen(mut grants: Vec<Grant>, before: &[Grant], ceiling: &Ceiling) -> Vec<Grant> {
    if *ceiling != Ceiling::Unlimited {
        for grant in grants.iter_mut().filter(|g| g.chosen == ConditionClause::Always) {
            if let Some(chosen) = chosen_before(grant, before) {
                grant.chosen = chosen.clone();
            }
        }
    }
    grants
}

/// Returns a grant without the conditions that were chosen before.
fn as_new(grant: &Grant, before: &[Grant], ceiling: &Ceiling) -> Grant {
    let stays = *ceiling != Ceiling::Unlimited && chosen_before(grant, before) == Some(&grant.chosen);
    if stays { Grant { chosen: ConditionClause::Always, ..grant.clone() } } else { grant.clone() }
}

/// Returns the conditions that were chosen for every grant of this action and resource before.
fn chosen_before<'b>(grant: &Grant, before: &'b [Grant]) -> Option<&'b ConditionClause> {
    let alike =
        before.iter().filter(|b| b.scope.action == grant.scope.action && b.scope.resource == grant.scope.resource);
    // If one of them has none, none were chosen for all.
    let mut chosen = alike.map(|b| &b.chosen);
    let first = chosen.next()?;
    (*first != ConditionClause::Always && chosen.all(|c| c == first)).then_some(first)
}
