//! Listing, reading, and showing a secret again.

use super::{Tokens, find};
use crate::admin::ServiceError;
use crate::admin::actor::ResolvedActor;
use crate::admin::bounds::checked_filters;
use crate::admin::sight;
use crate::domain::{
    AuditAction, AuditTarget, Ceiling, CeilingIndex, ConditionId, Owner, OwnerId, Permission, Secret, Token, TokenId,
    TokenKind, Unsealable,
};
use crate::store::{Page, Paging, TokenQuery, View};
use serde_json::json;
use std::collections::HashMap;

/// A token, with what people want to know about it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DescribedToken {
    /// The record.
    pub token: Token,
    /// Whom it belongs to; content tokens belong to nobody.
    pub owner: Option<Owner>,
    /// The conditions to show with each of its grants, in their order: the chosen ones, else what the owner's roles bring.
    pub conditions: Vec<Vec<ConditionId>>,
}

/// A token that was opened, with its secret for whom it may be shown to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TokenWithSecret {
    /// The token.
    pub described: DescribedToken,
    /// Its secret.
    pub secret: SecretAccess,
}

/// Whether a secret can be shown again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SecretAccess {
    /// Not to whoever asks: it is shown to a session of the token's owner, and of a content token to every session.
    NotForYou,
    /// No: it was shown once, when it was made.
    NotKept,
    /// No: it is sealed and cannot be opened.
    Lost(Unsealable),
    /// Yes, and here it is. That is remembered in the audit log.
    Shown(Secret),
}

impl DescribedToken {
    /// As much as its record says.
    #[cfg_attr(not(any(feature = "api", feature = "ui")), allow(dead_code, reason = "for the rooms that answer HTTP"))]
    pub(crate) fn alone(token: Token) -> Self {
        Self { token, owner: None, conditions: Vec::new() }
    }
}

impl Tokens {
    /// A page of tokens. People see their own admin tokens, super admins everybody's; a token sees its owner's. Sessions are seen by the
    /// person that they belong to.
    ///
    /// ```
    /// # async fn demo(keyward: &keyward::Keyward) -> Result<(), keyward::admin::ServiceError> {
    /// use keyward::token::TokenKind;
    /// use keyward::store::{Paging, TokenQuery, TokenSort};
    /// let paging = Paging { page: 1, page_size: 50 };
    /// let latest = TokenQuery { paging, sort: TokenSort::CreatedAt, descending: true, ..TokenQuery::of(TokenKind::Admin) };
    /// let page = keyward.tokens().list(&latest).await?;
    /// println!("{} of {}", page.items.len(), page.total);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Forbidden`](ServiceError::Forbidden) if the actor may see none of this kind, or none of the owner that was asked for;
    /// [`NotFound`](ServiceError::NotFound) if there is no such owner; [`InvalidCredential`](ServiceError::Invalid) for page 0, or a page of
    /// none or of more than [`Paging::LARGEST`].
    pub async fn list(&self, query: &TokenQuery) -> Result<Page<DescribedToken>, ServiceError> {
        checked(query.paging)?;
        checked_filters(&query.filters)?;
        let mut view = self.change.view().await?;
        let actor = self.change.actor(&mut view).await?;
        let owner = match (query.owner, seen(&actor, query.kind)?) {
            (Some(owner), Some(only)) if owner != only => {
                return Err(ServiceError::Forbidden("these tokens belong to another owner"));
            }
            (Some(owner), _) => {
                view.owner(owner).await?.ok_or(ServiceError::NotFound("owner"))?;
                Some(owner)
            }
            (None, only) => only,
        };
        let Page { items, total } = view.tokens(&TokenQuery { owner, ..query.clone() }).await?;
        Ok(Page { items: describe(&mut *view, items).await?, total })
    }

    /// A token without its secret.
    ///
    /// # Errors
    /// If there is no such token, or none for whoever asks.
    pub async fn read(&self, id: TokenId) -> Result<DescribedToken, ServiceError> {
        let mut view = self.change.view().await?;
        let actor = self.change.actor(&mut view).await?;
        let token = self.visible(&mut *view, &actor, id).await?;
        one(&mut *view, token).await
    }

    /// Returns the token that acts, without its secret and without its owner: its name, its expiry and its grants.
    ///
    /// # Errors
    /// [`ServiceError::Forbidden`] if the actor is no token of these kinds.
    pub async fn read_own(&self) -> Result<DescribedToken, ServiceError> {
        let mut view = self.change.view().await?;
        match self.change.actor(&mut view).await? {
            ResolvedActor::Token(token) if self.kinds.contains(token.kind()) => {
                Ok(DescribedToken { owner: None, ..one(&mut *view, token).await? })
            }
            _ => Err(ServiceError::Forbidden("a session is no admin token: send an admin token")),
        }
    }

    /// A token, and its secret if that was kept and whoever asks may see it.
    ///
    /// # Errors
    /// If there is no such token, or none for the actor, what is shown cannot be remembered, or it was shown too often, see
    /// [`Policy::reveals_per_hour`](crate::admin::Policy::reveals_per_hour).
    pub async fn open(&self, id: TokenId) -> Result<TokenWithSecret, ServiceError> {
        let mut view = self.change.view().await?;
        let actor = self.change.actor(&mut view).await?;
        let token = self.visible(&mut *view, &actor, id).await?;
        let yours = match (&actor, token.owner()) {
            (ResolvedActor::Person(grantor), Some(owner)) => grantor.is(owner),
            (ResolvedActor::Person(_), None) => true,
            _ => false,
        };
        let sealed = if yours { view.sealed_secret(id).await? } else { None };
        let described = one(&mut *view, token).await?;
        drop(view);
        let secret = match (sealed, &self.change.writer.settings.encryption) {
            _ if !yours => SecretAccess::NotForYou,
            (None, _) => SecretAccess::NotKept,
            (Some(sealed), None) => SecretAccess::Lost(Unsealable::NoKey(sealed.key)),
            (Some(sealed), Some(keys)) => match keys.open(id, &sealed) {
                Ok(secret) => self.shown(&described.token, secret, sealed.key).await?,
                Err(lost) => SecretAccess::Lost(lost),
            },
        };
        if let SecretAccess::Lost(why) = &secret {
            tracing::warn!(token = %id, "{why}");
        }
        Ok(TokenWithSecret { described, secret })
    }

    /// All that the owner of an admin token may grant: for the owner and super admins.
    ///
    /// # Errors
    /// If there is no such token, it belongs to somebody else, or a token asks.
    pub async fn owner_permissions(&self, id: TokenId) -> Result<Vec<Permission>, ServiceError> {
        let mut view = self.change.view().await?;
        let actor = self.change.actor(&mut view).await?;
        let token = sight::changeable(&mut *view, &actor, id, self.kinds).await?;
        actor.grantor()?;
        let owner = token.owner().ok_or(ServiceError::NotFound("owner"))?;
        let ceiling = view.ceiling(owner).await?;
        Ok(self.change.writer.held(ceiling))
    }

    async fn visible(&self, view: &mut dyn View, actor: &ResolvedActor, id: TokenId) -> Result<Token, ServiceError> {
        if matches!(actor, ResolvedActor::Visitor) {
            return Err(ServiceError::Forbidden("sign in first"));
        }
        let token = find(view, id, self.kinds).await?;
        // What they may not see answers like what is not there.
        match seen(actor, token.kind()) {
            Ok(None) => Ok(token),
            Ok(owner) if token.owner() == owner => Ok(token),
            _ => Err(ServiceError::NotFound("token")),
        }
    }

    /// Shows a secret, once it is remembered that it was.
    async fn shown(&self, token: &Token, secret: Secret, sealed_with: String) -> Result<SecretAccess, ServiceError> {
        let (id, digest) = (token.id, token.digest);
        self.change
            .make(move |draft| {
                Box::pin(async move {
                    // Whoever asked may have lost it, or the token may have a new secret since.
                    draft.grantor().await?;
                    let token = draft.tx.token(id).await?.filter(|t| t.digest == digest);
                    let token = token.ok_or(ServiceError::NotFound("token"))?;
                    draft.unchanged("token", token.version())?;
                    let genuine =
                        draft.writer.format.verify(secret.expose(), crate::domain::TokenKinds::of(&TokenKind::ALL));
                    match genuine {
                        Ok(credential) if credential.digest == digest => {}
                        Ok(_) => return Ok(SecretAccess::Lost(Unsealable::Damaged(sealed_with))),
                        // The encryption key is right, or it would not have opened.
                        Err(_) => return Ok(SecretAccess::Lost(Unsealable::NotGenuine)),
                    }
                    let most = draft.writer.settings.policy.reveals_per_hour;
                    draft.limit(AuditAction::TokenRevealed, AuditTarget::Token(id, token.kind()), most).await?;
                    let details = json!({"name": token.name});
                    draft.audit(AuditAction::TokenRevealed, AuditTarget::Token(id, token.kind()), details).await?;
                    Ok(SecretAccess::Shown(secret))
                })
            })
            .await
    }
}

/// Refuses pages that no list has.
fn checked(paging: Paging) -> Result<(), ServiceError> {
    match paging {
        Paging { page: 0, .. } => Err(ServiceError::invalid("page", "must be at least 1")),
        Paging { page_size: 1..=Paging::LARGEST, .. } => Ok(()),
        _ => Err(ServiceError::invalid("pageSize", format!("must be a number from 1 to {}", Paging::LARGEST))),
    }
}

/// Whose tokens of this kind they see: `None` for everybody's. Sessions are private.
fn seen(actor: &ResolvedActor, kind: TokenKind) -> Result<Option<OwnerId>, ServiceError> {
    match (kind, actor) {
        (TokenKind::Admin, actor) => actor.sees_tokens_of(),
        (_, ResolvedActor::Visitor) => Err(ServiceError::Forbidden("sign in first")),
        (TokenKind::Content, _) | (TokenKind::Session, ResolvedActor::Program) => Ok(None),
        (TokenKind::Session, ResolvedActor::Person(grantor)) => Ok(grantor.owner.as_ref().map(|o| o.id)),
        (TokenKind::Session, _) => Err(ServiceError::Forbidden("a token sees no sessions")),
    }
}

pub(super) async fn one(view: &mut dyn View, token: Token) -> Result<DescribedToken, ServiceError> {
    describe(view, vec![token]).await?.pop().ok_or(ServiceError::NotFound("token"))
}

async fn describe(view: &mut dyn View, tokens: Vec<Token>) -> Result<Vec<DescribedToken>, ServiceError> {
    let mut ids: Vec<OwnerId> = tokens.iter().filter_map(Token::owner).collect();
    ids.sort_unstable();
    ids.dedup();
    let ceilings = if ids.is_empty() { Vec::new() } else { view.ceilings(&ids).await? };
    let owners: HashMap<OwnerId, (Owner, Ceiling)> =
        ceilings.into_iter().map(|(owner, ceiling)| (owner.id, (owner, ceiling))).collect();
    let nothing = Ceiling::Of(Vec::new());
    let no_index = nothing.index();
    let indexes: HashMap<OwnerId, CeilingIndex<'_>> = owners.iter().map(|(id, (_, c))| (*id, c.index())).collect();
    let described = |token: Token| {
        let owner = token.owner().and_then(|id| owners.get(&id));
        let ceiling = token.owner().and_then(|id| indexes.get(&id)).unwrap_or(&no_index);
        let conditions = token.grants().iter().map(|g| ceiling.shown_conditions(g)).collect();
        DescribedToken { owner: owner.map(|(owner, _)| owner.clone()), conditions, token }
    };
    Ok(tokens.into_iter().map(described).collect())
}
