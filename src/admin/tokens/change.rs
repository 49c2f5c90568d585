//! Changing, regenerating and revoking.

use super::issue::{IssuedToken, seal};
use super::read::{DescribedToken, one};
use super::{Tokens, access_facts, audit_json, ensure_available, find, within};
use crate::admin::ServiceError;
use crate::admin::error::{FieldErrors, described, named};
use crate::admin::sight;
use crate::domain::{
    AuditAction, AuditTarget, Ceiling, ConditionClause, ContentAccess, Grant, Issued, Tag, Token, TokenAuthority,
    TokenId, TokenKind, same_in_any_order,
};
use serde_json::{Map, Value, json};

/// What of a token is to change. What is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct TokenUpdate {
    /// Another name.
    pub name: Option<String>,
    /// Another description.
    pub description: Option<String>,
    /// Other grants, as a whole; for admin tokens. Where the owner is no super admin, conditions that were chosen for a grant before
    /// stay with it.
    pub grants: Option<Vec<Grant>>,
    /// Another access; for content tokens.
    pub access: Option<ContentAccess>,
}

impl Tokens {
    /// Changes a token, and answers what it is then. Its owner, kind, secret and expiry stay.
    ///
    /// # Errors
    /// If there is no such token, or none that the actor sees (super admins see everybody's), a token asks, the name is empty or taken, the
    /// grants or the access are such that they could not be issued to its owner today, or the actor changed it too often.
    pub async fn update(&self, id: TokenId, update: TokenUpdate) -> Result<DescribedToken, ServiceError> {
        self.may_change()?;
        let mut wrong = FieldErrors::default();
        let name = update.name.as_deref().map(|n| wrong.take(named("name", n))).transpose()?.flatten();
        let text = update.description.as_deref().map(|d| wrong.take(described("description", d)));
        let description = text.transpose()?.flatten();
        let kinds = self.kinds;
        let tokens = self.clone();
        self.change
            .make(move |draft| {
                Box::pin(async move {
                    let actor = draft.actor().await?;
                    // Sessions are opened and ended, never changed.
                    let before =
                        sight::changeable(&mut *draft.tx, &actor, id, kinds.without(TokenKind::Session)).await?;
                    actor.grantor()?;
                    draft.unchanged("token", before.version())?;
                    tokens.registered(update.grants.as_deref().unwrap_or_default(), before.grants(), &mut wrong);
                    if let Some(access) = &update.access {
                        tokens.accessible(access, before.access(), &mut wrong);
                    }
                    wrong.done()?;
                    let name = name.unwrap_or_else(|| before.name.clone());
                    let description = description.unwrap_or_else(|| before.description.clone());
                    let authority = match (before.authority.clone(), update.grants, update.access) {
                        (TokenAuthority::Admin { owner, grants: now }, Some(grants), None) => {
                            let ceiling = draft.tx.ceiling(owner).await?;
                            let grants = with_chosen(grants, &now, &ceiling);
                            // Chosen conditions that stay are no new choice.
                            let new: Vec<Grant> = grants.iter().map(|g| as_new(g, &now, &ceiling)).collect();
                            within(draft, owner, &new).await?;
                            TokenAuthority::Admin { owner, grants }
                        }
                        (TokenAuthority::Content { .. }, None, Some(access)) => TokenAuthority::Content { access },
                        (authority, None, None) => authority,
                        (TokenAuthority::Content { .. }, Some(_), _) => {
                            return Err(ServiceError::invalid(
                                "grants",
                                "a content token has an access, and no grants",
                            ));
                        }
                        (_, _, Some(_)) => {
                            return Err(ServiceError::invalid("access", "an admin token has grants, and no access"));
                        }
                        (authority @ TokenAuthority::Session { .. }, ..) => authority,
                    };
                    let authority =
                        if same(&before.authority, &authority) { before.authority.clone() } else { authority };
                    let details = differences(&before, &name, &description, &authority);
                    if details.is_empty() {
                        return one(&mut *draft.tx, before).await;
                    }
                    // That a name is taken tells of tokens of others: so it is asked last.
                    ensure_available(draft, &name, Some(id)).await?;
                    let most = draft.writer.settings.policy.token_updates_per_hour;
                    draft.limit(AuditAction::TokenUpdated, AuditTarget::Token(id, before.kind()), most).await?;
                    draft.tx.update_token(id, &name, &description, &authority).await?;
                    draft.touch(Tag::token(&before.digest));
                    draft
                        .audit(AuditAction::TokenUpdated, AuditTarget::Token(id, before.kind()), Value::Object(details))
                        .await?;
                    let token = find(&mut *draft.tx, id, kinds).await?;
                    one(&mut *draft.tx, token).await
                })
            })
            .await
    }

    /// Gives a token a new secret; the older one is dead on the next request. Its expiry stays.
    ///
    /// # Errors
    /// If there is no such token, or an admin token belongs to somebody else: nobody but its owner, the token itself and the program
    /// get its new secret, not even a super admin. If the actor regenerated it too often, see [`Policy::regenerations_per_hour`].
    ///
    /// [`Policy::regenerations_per_hour`]: crate::admin::Policy::regenerations_per_hour
    pub async fn regenerate(&self, id: TokenId) -> Result<IssuedToken, ServiceError> {
        let of_admin = self.change.issue(TokenKind::Admin)?;
        let of_content = self.change.issue(TokenKind::Content)?;
        let kinds = self.kinds;
        self.change
            .make(move |draft| {
                Box::pin(async move {
                    let actor = draft.actor().await?;
                    // Sessions are opened and ended, never changed.
                    let before =
                        sight::changeable(&mut *draft.tx, &actor, id, kinds.without(TokenKind::Session)).await?;
                    match before.owner() {
                        Some(_) if actor.is_token(id) => {}
                        Some(owner) => {
                            let grantor = actor.grantor()?;
                            if !grantor.is_program() && !grantor.is(owner) {
                                return Err(ServiceError::Forbidden("only its owner regenerates a token"));
                            }
                        }
                        None => drop(actor.grantor()?),
                    }
                    draft.unchanged("token", before.version())?;
                    let most = draft.writer.settings.policy.regenerations_per_hour;
                    draft.limit(AuditAction::TokenRegenerated, AuditTarget::Token(id, before.kind()), most).await?;
                    let issued = if before.kind() == TokenKind::Admin { of_admin } else { of_content };
                    let Issued { secret, digest, hash_key } = issued;
                    draft.tx.set_secret(id, &digest, &hash_key, secret.hint()).await?;
                    let token = find(&mut *draft.tx, id, kinds).await?;
                    seal(draft, &token, &secret).await?;
                    draft.touch(Tag::token(&before.digest));
                    draft.touch(Tag::token(&digest));
                    let details = json!({"name": token.name});
                    draft.audit(AuditAction::TokenRegenerated, AuditTarget::Token(id, token.kind()), details).await?;
                    IssuedToken::within(draft, token, secret).await
                })
            })
            .await
    }

    /// Revokes a token, and answers what it was. The next request with it is refused.
    ///
    /// Besides whoever asks it reads the token, and not what its owner holds: it works where that cannot be read.
    ///
    /// # Errors
    /// If there is no such token, or it belongs to somebody else (super admins may, and the token itself).
    pub async fn revoke(&self, id: TokenId) -> Result<Token, ServiceError> {
        let kinds = self.kinds;
        self.change
            .make(move |draft| {
                Box::pin(async move {
                    let actor = draft.actor().await?;
                    let token = sight::changeable(&mut *draft.tx, &actor, id, kinds).await?;
                    if !(actor.is_token(id) && token.kind() == TokenKind::Admin) {
                        actor.grantor()?;
                    }
                    draft.unchanged("token", token.version())?;
                    draft.tx.delete_token(id).await?;
                    draft.touch(Tag::token(&token.digest));
                    let details = json!({"name": token.name, "owner": token.owner()});
                    draft.audit(AuditAction::TokenRevoked, AuditTarget::Token(id, token.kind()), details).await?;
                    Ok(token)
                })
            })
            .await
    }
}

/// Whether two authorities are the same but for the order in which they list what they hold.
fn same(before: &TokenAuthority, after: &TokenAuthority) -> bool {
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

/// The grants to keep. Conditions that were chosen while the owner was a super admin stay after that, whatever is sent.
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

/// The grant without conditions that it had before.
fn as_new(grant: &Grant, before: &[Grant], ceiling: &Ceiling) -> Grant {
    let kept = *ceiling != Ceiling::Unlimited && chosen_before(grant, before) == Some(&grant.chosen);
    if kept { Grant { chosen: ConditionClause::Always, ..grant.clone() } } else { grant.clone() }
}

fn chosen_before<'b>(grant: &Grant, before: &'b [Grant]) -> Option<&'b ConditionClause> {
    let same =
        before.iter().filter(|b| b.scope.action == grant.scope.action && b.scope.resource == grant.scope.resource);
    // If one of them was without conditions, nothing was chosen for all.
    let mut chosen = same.map(|b| &b.chosen).collect::<Vec<_>>().into_iter();
    let first = chosen.next()?;
    (*first != ConditionClause::Always && chosen.all(|c| c == first)).then_some(first)
}

/// What changes, with before and after.
pub(in crate::admin) fn differences(
    before: &Token,
    name: &str,
    description: &str,
    authority: &TokenAuthority,
) -> Map<String, Value> {
    let mut details = Map::new();
    let mut differ = |what: &str, before: Value, after: Value| {
        if before != after {
            details.insert(what.to_owned(), json!({"before": before, "after": after}));
        }
    };
    differ("name", json!(before.name), json!(name));
    differ("description", json!(before.description), json!(description));
    let held = |authority: &TokenAuthority| match authority {
        TokenAuthority::Admin { grants, .. } => grants.iter().map(audit_json).collect::<Value>(),
        TokenAuthority::Content { access } => access_facts(access),
        TokenAuthority::Session { .. } => Value::Null,
    };
    let what = if before.kind() == TokenKind::Admin { "grants" } else { "access" };
    differ(what, held(&before.authority), held(authority));
    details
}
