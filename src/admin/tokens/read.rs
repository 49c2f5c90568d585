//! Lists and reads tokens, and shows secrets again.

use super::Tokens;
use super::load::{READ_CONTENT, load_changeable, load_token, manages_token};
use crate::admin::ServiceError;
use crate::admin::actor::ResolvedActor;
use crate::admin::size_limits::check_filters;
use crate::domain::{
    Ceiling, CeilingIndex, ConditionId, FieldName, Owner, OwnerId, Permission, Token, TokenId, TokenKind,
};
use crate::resolve::HostAccounts;
use crate::store::{Page, Paging, TokenQuery, View};
use std::collections::HashMap;

/// A token with its owner and the conditions of its grants.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DescribedToken {
    /// The token.
    pub token: Token,
    /// The owner; `None` for content tokens.
    pub owner: Option<Owner>,
    /// The conditions of each grant, in the order of the grants: the chosen ones, else those of the owner's roles.
    pub conditions: Vec<Vec<ConditionId>>,
}

impl DescribedToken {
    /// Creates a description without an owner and conditions.
    #[cfg_attr(
        not(any(feature = "api", feature = "ui")),
        allow(dead_code, reason = "only the management API and the pages describe issued tokens")
    )]
    pub(crate) fn new(token: Token) -> Self {
        Self { token, owner: None, conditions: Vec::new() }
    }
}

impl Tokens {
    /// Lists a page of tokens. People see their own admin tokens, super admins all of them, and a token those of its owner. With
    /// [`TokenQuery::owner`] people also see those of a service account that they manage. Content tokens take the action
    /// `admin::api-tokens.read`. A person sees its own sessions.
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
    /// - [`Forbidden`](ServiceError::Forbidden) if the actor may see no tokens of this kind or of this owner;
    /// - [`NotFound`](ServiceError::NotFound) if there is no such owner;
    /// - [`Invalid`](ServiceError::Invalid) for page 0, or a page size of 0 or more than [`Paging::LARGEST`].
    pub async fn list(&self, query: &TokenQuery) -> Result<Page<DescribedToken>, ServiceError> {
        check_paging(query.paging)?;
        check_filters(&query.filters)?;
        let mut view = self.context.view().await?;
        let actor = self.context.actor(&mut *view).await?;
        let owner = match (query.owner, visible_owner(&actor, query.kind)?) {
            (Some(owner), Some(only)) if owner != only && !self.manages(&mut *view, &actor, owner).await? => {
                return Err(ServiceError::Forbidden("these tokens belong to another owner"));
            }
            (Some(owner), _) => {
                view.owner(owner).await?.ok_or(ServiceError::NotFound("owner"))?;
                Some(owner)
            }
            (None, only) => only,
        };
        let Page { items, total } = view.tokens(&TokenQuery { owner, ..query.clone() }).await?;
        let accounts = self.context.state.resolver.accounts();
        Ok(Page { items: describe(&mut *view, accounts, items).await?, total })
    }

    /// Returns a token without its secret.
    ///
    /// # Errors
    /// [`NotFound`](ServiceError::NotFound) if there is no such token, or the actor may not see it.
    pub async fn read(&self, id: TokenId) -> Result<DescribedToken, ServiceError> {
        let mut view = self.context.view().await?;
        let actor = self.context.actor(&mut *view).await?;
        let token = self.load_visible(&mut *view, &actor, id).await?;
        describe_one(&mut *view, self.context.state.resolver.accounts(), token).await
    }

    /// Returns the token that acts, without its secret and without its owner: its name, its expiry and its grants.
    ///
    /// # Errors
    /// [`Forbidden`](ServiceError::Forbidden) if the actor is not a token of these kinds.
    pub async fn read_own(&self) -> Result<DescribedToken, ServiceError> {
        let mut view = self.context.view().await?;
        match self.context.actor(&mut *view).await? {
            ResolvedActor::Token(token) if self.kinds.contains(token.kind()) => {
                let accounts = self.context.state.resolver.accounts();
                Ok(DescribedToken { owner: None, ..describe_one(&mut *view, accounts, *token).await? })
            }
            _ => Err(ServiceError::Forbidden("a session is not an admin token: send an admin token")),
        }
    }

    /// Lists the permissions of an admin token's owner, for that owner and super admins.
    ///
    /// # Errors
    /// [`NotFound`](ServiceError::NotFound) or [`Forbidden`](ServiceError::Forbidden) if there is no such token, it belongs to another owner,
    /// or the actor is a token.
    pub async fn owner_permissions(&self, id: TokenId) -> Result<Vec<Permission>, ServiceError> {
        let mut view = self.context.view().await?;
        let actor = self.context.actor(&mut *view).await?;
        let token = load_changeable(&mut *view, self.context.state.resolver.accounts(), &actor, id, self.kinds).await?;
        actor.grantor()?;
        let owner = token.owner().ok_or(ServiceError::NotFound("owner"))?;
        let ceiling = self.context.ceiling(&mut *view, owner).await?;
        Ok(self.context.state.permissions_of(ceiling))
    }

    async fn manages(&self, view: &mut dyn View, actor: &ResolvedActor, owner: OwnerId) -> Result<bool, ServiceError> {
        match actor {
            ResolvedActor::Person(grantor) => {
                grantor.manages(view, self.context.state.resolver.accounts(), owner).await
            }
            _ => Ok(false),
        }
    }

    pub(super) async fn load_visible(
        &self,
        view: &mut dyn View,
        actor: &ResolvedActor,
        id: TokenId,
    ) -> Result<Token, ServiceError> {
        if matches!(actor, ResolvedActor::Visitor) {
            return Err(ServiceError::Forbidden("sign in first"));
        }
        let token = load_token(view, id, self.kinds).await?;
        // A token that the actor may not see is answered like one that does not exist.
        match visible_owner(actor, token.kind()) {
            Ok(None) => Ok(token),
            Ok(owner) if token.owner() == owner => Ok(token),
            _ if manages_token(view, self.context.state.resolver.accounts(), actor, &token).await? => Ok(token),
            _ => Err(ServiceError::NotFound("token")),
        }
    }
}

/// Rejects pages that no list has.
fn check_paging(paging: Paging) -> Result<(), ServiceError> {
    match paging {
        Paging { page: 0, .. } => Err(ServiceError::invalid(FieldName::Page, "must be at least 1")),
        Paging { page_size: 1..=Paging::LARGEST, .. } => Ok(()),
        _ => Err(ServiceError::invalid(FieldName::PageSize, format!("must be a number from 1 to {}", Paging::LARGEST))),
    }
}

/// Returns the owner whose tokens of this kind the actor sees; `None` if it sees all of them. Sessions are private.
fn visible_owner(actor: &ResolvedActor, kind: TokenKind) -> Result<Option<OwnerId>, ServiceError> {
    match (kind, actor) {
        (TokenKind::Admin, actor) => actor.visible_tokens(),
        (_, ResolvedActor::Visitor) => Err(ServiceError::Forbidden("sign in first")),
        (TokenKind::Content, ResolvedActor::Person(grantor)) if !grantor.reaches_content_tokens(READ_CONTENT) => {
            Err(ServiceError::Forbidden("seeing content tokens takes the action admin::api-tokens.read"))
        }
        (TokenKind::Content, _) | (TokenKind::Session, ResolvedActor::Program) => Ok(None),
        (TokenKind::Session, ResolvedActor::Person(grantor)) => Ok(grantor.owner.as_ref().map(|o| o.id)),
        (TokenKind::Session, _) => Err(ServiceError::Forbidden("a token sees no sessions")),
    }
}

pub(super) async fn describe_one(
    view: &mut dyn View,
    accounts: &HostAccounts,
    token: Token,
) -> Result<DescribedToken, ServiceError> {
    describe(view, accounts, vec![token]).await?.pop().ok_or(ServiceError::NotFound("token"))
}

pub(super) async fn describe(
    view: &mut dyn View,
    accounts: &HostAccounts,
    tokens: Vec<Token>,
) -> Result<Vec<DescribedToken>, ServiceError> {
    let mut ids: Vec<OwnerId> = tokens.iter().filter_map(Token::owner).collect();
    ids.sort_unstable();
    ids.dedup();
    let ceilings = if ids.is_empty() { Vec::new() } else { view.ceilings(&ids).await? };
    let by_id = |(owner, ceiling): (Owner, Ceiling)| (owner.id, (owner, ceiling));
    let mut owners: HashMap<OwnerId, (Owner, Ceiling)> = ceilings.iter().cloned().map(by_id).collect();
    // An account that the host no longer has, or cannot tell of now, is described as it was last reported.
    owners.extend(accounts.complete(ceilings).await.unwrap_or_default().into_iter().map(by_id));
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
