//! For whom a service works, and what each may never do.
//!
//! What a *caller* may do is required by the routes. What is here holds whatever the routes require: a token changes nobody
//! but itself, and nobody gives away more than they hold.

use super::{ServiceError, sight};
use crate::domain::{Ceiling, Doer, Owner, OwnerId, OwnerState, Token, TokenId};
use crate::store::View;

const A_TOKEN: &str = "a token changes nothing but itself";
const A_VISITOR: &str = "sign in first";

/// For whom a service works.
#[derive(Debug)]
pub(super) enum Actor {
    /// For the program itself.
    Program,
    /// For a signed-in person.
    Person(Giver),
    /// For an admin token, or a content token.
    Token(Token),
    /// For somebody nobody knows.
    Visitor,
}

/// Who may change people, roles and tokens, as far as their own ceiling goes.
#[derive(Debug)]
pub(super) struct Giver {
    /// `None`: the program.
    pub(super) owner: Option<Owner>,
    pub(super) ceiling: Ceiling,
}

/// Refuses those who can never change people, roles and tokens, whatever the store says. A change asks this before it looks at what
/// is to change; [`Actor::giver`] answers it in the transaction.
pub(super) fn may_change(doer: Doer) -> Result<(), ServiceError> {
    match doer {
        Doer::Service | Doer::Person(_) => Ok(()),
        Doer::Token(_) => Err(ServiceError::Forbidden(A_TOKEN)),
        Doer::Visitor | Doer::Withheld => Err(ServiceError::Forbidden(A_VISITOR)),
    }
}

impl Actor {
    /// Loads whoever it is as they are now.
    pub(super) async fn load(view: &mut dyn View, doer: Doer) -> Result<Self, ServiceError> {
        match doer {
            Doer::Service => Ok(Self::Program),
            Doer::Visitor | Doer::Withheld => Ok(Self::Visitor),
            Doer::Person(id) => {
                let owner = view.owner(id).await?.filter(|o| o.state == OwnerState::Active);
                let owner = owner.ok_or(ServiceError::Forbidden("the account is no longer active"))?;
                let ceiling = view.ceiling(id).await?;
                Ok(Self::Person(Giver { owner: Some(owner), ceiling }))
            }
            Doer::Token(id) => {
                let token = view.token(id).await?;
                token.map(Self::Token).ok_or(ServiceError::Forbidden("the token is no longer there"))
            }
        }
    }

    /// Who may change people, roles and tokens: never a token.
    pub(super) fn giver(self) -> Result<Giver, ServiceError> {
        match self {
            Self::Program => Ok(Giver { owner: None, ceiling: Ceiling::Unlimited }),
            Self::Person(giver) => Ok(giver),
            Self::Token(_) => Err(ServiceError::Forbidden(A_TOKEN)),
            Self::Visitor => Err(ServiceError::Forbidden(A_VISITOR)),
        }
    }

    /// Whose tokens they see: `None` for everybody's.
    pub(super) fn sees_tokens_of(&self) -> Result<Option<OwnerId>, ServiceError> {
        match self {
            Self::Program => Ok(None),
            Self::Person(Giver { ceiling: Ceiling::Unlimited, .. }) => Ok(None),
            Self::Person(Giver { owner, .. }) => Ok(owner.as_ref().map(|o| o.id)),
            Self::Token(token) => {
                token.owner().map(Some).ok_or(ServiceError::Forbidden("a content token sees no admin tokens"))
            }
            Self::Visitor => Err(ServiceError::Forbidden("sign in first")),
        }
    }

    /// Whether they are this token.
    pub(super) fn is_token(&self, id: TokenId) -> bool {
        matches!(self, Self::Token(token) if token.id == id)
    }
}

impl Giver {
    pub(super) fn is_super_admin(&self) -> bool {
        self.ceiling == Ceiling::Unlimited
    }

    /// Whether they are this owner.
    pub(super) fn is(&self, id: OwnerId) -> bool {
        self.owner.as_ref().is_some_and(|o| o.id == id)
    }

    /// Whether they hold this action as a whole: on no resource, for all fields and without conditions.
    pub(super) fn holds(&self, action: &str) -> bool {
        match &self.ceiling {
            Ceiling::Unlimited => true,
            Ceiling::Of(held) => held.iter().any(|permission| sight::allows(permission, action)),
        }
    }

    /// Whether they are the program.
    pub(super) fn is_program(&self) -> bool {
        self.owner.is_none()
    }

    /// Lets them touch only whoever and whatever is no stronger than themselves (I19).
    pub(super) fn covers(&self, other: &Ceiling, why: &'static str) -> Result<(), ServiceError> {
        if self.ceiling.covers(other) { Ok(()) } else { Err(ServiceError::Forbidden(why)) }
    }
}
