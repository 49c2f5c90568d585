//! Listing and reading tokens.

use super::{Tokens, find};
use crate::admin::ServiceError;
use crate::admin::actor::ResolvedActor;
use crate::admin::bounds::checked_filters;
use crate::admin::sight;
use crate::domain::{Ceiling, CeilingIndex, ConditionId, Owner, OwnerId, Permission, Token, TokenId, TokenKind};
use crate::store::{Page, Paging, TokenQuery, View};
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

    pub(super) async fn visible(
        &self,
        view: &mut dyn View,
        actor: &ResolvedActor,
        id: TokenId,
    ) -> Result<Token, ServiceError> {
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
