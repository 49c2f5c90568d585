//! The actor of a service call, and the limits of each kind of actor.
//!
//! Routes require what a caller may do. The rules here hold whatever the routes require: a token changes nothing but itself, and an
//! actor gives away only permissions that it holds.

use super::ServiceError;
use crate::domain::{
    AccountKind, Action, Actor, Ceiling, ConditionClause, Fields, Owner, OwnerId, OwnerState, Permission, Token,
    TokenId,
};
use crate::resolve::HostAccounts;
use crate::store::View;

const A_TOKEN: &str = "a token changes nothing but itself";
const A_VISITOR: &str = "sign in first";

/// An actor, loaded from the store.
#[derive(Debug)]
pub(super) enum ResolvedActor {
    /// The host program.
    Program,
    /// A signed-in person.
    Person(Grantor),
    /// An admin or content token.
    Token(Box<Token>),
    /// A client without a credential.
    Visitor,
}

/// An actor that may change people, roles and tokens within its ceiling.
#[derive(Debug)]
pub(super) struct Grantor {
    /// `None` for the host program.
    pub(super) owner: Option<Owner>,
    pub(super) ceiling: Ceiling,
}

/// Rejects actors that may never change people, roles or tokens, without asking the store.
///
/// A change asks this before it looks at its input; [`ResolvedActor::grantor`] decides in the transaction.
pub(super) fn may_change(actor: Actor) -> Result<(), ServiceError> {
    match actor {
        Actor::Service | Actor::Person(_) => Ok(()),
        Actor::Token(_) => Err(ServiceError::Forbidden(A_TOKEN)),
        Actor::Visitor | Actor::Withheld => Err(ServiceError::Forbidden(A_VISITOR)),
    }
}

/// Returns an owner with its ceiling, by the host's answer if it is an account of the host. `None` if there is no such
/// owner, or the host has no such account.
pub(super) async fn load_completed(
    view: &mut dyn View,
    accounts: &HostAccounts,
    id: OwnerId,
) -> Result<Option<(Owner, Ceiling)>, ServiceError> {
    let owner = view.ceilings(&[id]).await?;
    Ok(accounts.complete(owner).await?.pop())
}

/// Returns an owner's ceiling like [`load_completed`]; an empty one if there is no such owner.
pub(super) async fn load_ceiling(
    view: &mut dyn View,
    accounts: &HostAccounts,
    id: OwnerId,
) -> Result<Ceiling, ServiceError> {
    let owner = load_completed(view, accounts, id).await?;
    Ok(owner.map_or_else(|| Ceiling::Of(Vec::new()), |(_, ceiling)| ceiling))
}

impl ResolvedActor {
    /// Loads an actor as this view shows it.
    ///
    /// # Errors
    /// [`ServiceError::Forbidden`] if a person's account is not active, or a token does not exist.
    pub(super) async fn load(view: &mut dyn View, accounts: &HostAccounts, actor: Actor) -> Result<Self, ServiceError> {
        match actor {
            Actor::Service => Ok(Self::Program),
            Actor::Visitor | Actor::Withheld => Ok(Self::Visitor),
            Actor::Person(id) => {
                let owner = load_completed(view, accounts, id).await?;
                let active = owner.filter(|(owner, _)| owner.state == OwnerState::Active);
                let (owner, ceiling) = active.ok_or(ServiceError::Forbidden("the account is no longer active"))?;
                Ok(Self::Person(Grantor { owner: Some(owner), ceiling }))
            }
            Actor::Token(id) => {
                let token = view.token(id).await?;
                token
                    .map(|token| Self::Token(Box::new(token)))
                    .ok_or(ServiceError::Forbidden("the token is no longer there"))
            }
        }
    }

    /// Returns the actor, if it may change people, roles and tokens.
    ///
    /// # Errors
    /// [`ServiceError::Forbidden`] for tokens and visitors.
    pub(super) fn grantor(self) -> Result<Grantor, ServiceError> {
        match self {
            Self::Program => Ok(Grantor { owner: None, ceiling: Ceiling::Unlimited }),
            Self::Person(grantor) => Ok(grantor),
            Self::Token(_) => Err(ServiceError::Forbidden(A_TOKEN)),
            Self::Visitor => Err(ServiceError::Forbidden(A_VISITOR)),
        }
    }

    /// Returns the owner whose admin tokens the actor sees; `None` if it sees all of them.
    pub(super) fn visible_tokens(&self) -> Result<Option<OwnerId>, ServiceError> {
        match self {
            Self::Program => Ok(None),
            Self::Person(Grantor { ceiling: Ceiling::Unlimited, .. }) => Ok(None),
            Self::Person(Grantor { owner, .. }) => Ok(owner.as_ref().map(|o| o.id)),
            Self::Token(token) => {
                token.owner().map(Some).ok_or(ServiceError::Forbidden("a content token sees no admin tokens"))
            }
            Self::Visitor => Err(ServiceError::Forbidden(A_VISITOR)),
        }
    }

    /// Returns whether the actor is this token, or one that it comes from.
    pub(super) fn is_token_or_ancestor(&self, token: &Token) -> bool {
        self.is_token(token.id) || token.ancestors.iter().any(|ancestor| self.is_token(ancestor.id))
    }

    /// Returns whether the actor is this token.
    pub(super) fn is_token(&self, id: TokenId) -> bool {
        matches!(self, Self::Token(token) if token.id == id)
    }
}

impl Grantor {
    pub(super) fn is_super_admin(&self) -> bool {
        self.ceiling == Ceiling::Unlimited
    }

    /// Returns whether the actor is this owner.
    pub(super) fn is(&self, id: OwnerId) -> bool {
        self.owner.as_ref().is_some_and(|o| o.id == id)
    }

    /// Returns whether the actor issues, changes and revokes tokens of this owner: as the host program, as the owner
    /// itself, because the host says that its account manages the owner's, or because the owner is a service of
    /// keyward's whose permissions the actor covers.
    pub(super) async fn manages(
        &self,
        view: &mut dyn View,
        accounts: &HostAccounts,
        owner: OwnerId,
    ) -> Result<bool, ServiceError> {
        let Some(own) = &self.owner else { return Ok(true) };
        if own.id == owner {
            return Ok(true);
        }
        let Some(other) = view.owner(owner).await? else { return Ok(false) };
        match (&own.account, &other.account) {
            (Some(own), Some(other)) => Ok(accounts.manages(own, other).await?),
            (_, None) if other.kind != AccountKind::Person => {
                let ceiling = load_ceiling(view, accounts, owner).await?;
                // Every person covers a service without permissions, so only super admins manage it.
                let holds_nothing = matches!(&ceiling, Ceiling::Of(held) if held.is_empty());
                Ok(if holds_nothing { self.is_super_admin() } else { self.ceiling.covers(&ceiling) })
            }
            _ => Ok(false),
        }
    }

    /// Returns whether the actor holds this action as a whole: without a resource, for all fields and without conditions.
    pub(super) fn holds(&self, action: &str) -> bool {
        match &self.ceiling {
            Ceiling::Unlimited => true,
            Ceiling::Of(held) => held.iter().any(|permission| allows_whole(permission, action)),
            Ceiling::Policy(policy) => policy.allows(&Action::new(action), None),
        }
    }

    /// Returns whether the actor reaches content tokens, where a route lets it. An account of the host is an ordinary user,
    /// and needs this action for it.
    pub(super) fn reaches_content_tokens(&self, action: &str) -> bool {
        let of_host = self.owner.as_ref().is_some_and(|owner| owner.account.is_some());
        !of_host || self.holds(action)
    }

    pub(super) fn is_program(&self) -> bool {
        self.owner.is_none()
    }

    /// Checks that the actor's ceiling covers `other` (no-escalation).
    ///
    /// # Errors
    /// [`ServiceError::Forbidden`] with this reason.
    pub(super) fn ensure_covers(&self, other: &Ceiling, reason: &'static str) -> Result<(), ServiceError> {
        if self.ceiling.covers(other) { Ok(()) } else { Err(ServiceError::Forbidden(reason)) }
    }
}

/// Rejects services and organisations, which cannot sign in.
pub(super) fn ensure_person(owner: &Owner) -> Result<(), ServiceError> {
    match owner.kind {
        AccountKind::Person => Ok(()),
        AccountKind::Service | AccountKind::Organisation => {
            Err(ServiceError::Forbidden("a service cannot sign in: issue a token for it"))
        }
    }
}

/// Returns whether a permission allows an action as a whole: without a resource, for all fields and without conditions.
pub(super) fn allows_whole(permission: &Permission, action: &str) -> bool {
    permission.scope.action.as_str() == action
        && permission.scope.resource.is_none()
        && permission.scope.fields == Fields::All
        && permission.when == ConditionClause::Always
}
