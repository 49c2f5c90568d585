//! For whom a service works, and what each may never do.
//!
//! What a *caller* may do is required by the routes. What is here holds whatever the routes require: a token changes nobody
//! but itself, and nobody gives away more than they hold.

use super::{ServiceError, sight};
use crate::domain::{Actor, Ceiling, Owner, OwnerId, OwnerState, Token, TokenId};
use crate::store::View;

const A_TOKEN: &str = "a token changes nothing but itself";
const A_VISITOR: &str = "sign in first";

/// For whom a service works.
#[derive(Debug)]
pub(super) enum ResolvedActor {
    /// For the program itself.
    Program,
    /// For a signed-in person.
    Person(Grantor),
    /// For an admin token, or a content token.
    Token(Token),
    /// For somebody nobody knows.
    Visitor,
}

/// Who may change people, roles and tokens, as far as their own ceiling goes.
#[derive(Debug)]
pub(super) struct Grantor {
    /// `None`: the program.
    pub(super) owner: Option<Owner>,
    pub(super) ceiling: Ceiling,
}

/// Refuses those who can never change people, roles and tokens, whatever the store says. A change asks this before it looks at what
/// is to change; [`ResolvedActor::grantor`] answers it in the transaction.
pub(super) fn may_change(actor: Actor) -> Result<(), ServiceError> {
    match actor {
        Actor::Service | Actor::Person(_) => Ok(()),
        Actor::Token(_) => Err(ServiceError::Forbidden(A_TOKEN)),
        Actor::Visitor | Actor::Withheld => Err(ServiceError::Forbidden(A_VISITOR)),
    }
}

impl ResolvedActor {
    /// Loads whoever it is as they are now.
    pub(super) async fn load(view: &mut dyn View, actor: Actor) -> Result<Self, ServiceError> {
        match actor {
            Actor::Service => Ok(Self::Program),
            Actor::Visitor | Actor::Withheld => Ok(Self::Visitor),
            Actor::Person(id) => {
                let owner = view.owner(id).await?.filter(|o| o.state == OwnerState::Active);
                let owner = owner.ok_or(ServiceError::Forbidden("the account is no longer active"))?;
                let ceiling = view.ceiling(id).await?;
                Ok(Self::Person(Grantor { owner: Some(owner), ceiling }))
            }
            Actor::Token(id) => {
                let token = view.token(id).await?;
                token.map(Self::Token).ok_or(ServiceError::Forbidden("the token is no longer there"))
            }
        }
    }

    /// Who may change people, roles and tokens: never a token.
    pub(super) fn grantor(self) -> Result<Grantor, ServiceError> {
        match self {
            Self::Program => Ok(Grantor { owner: None, ceiling: Ceiling::Unlimited }),
            Self::Person(grantor) => Ok(grantor),
            Self::Token(_) => Err(ServiceError::Forbidden(A_TOKEN)),
            Self::Visitor => Err(ServiceError::Forbidden(A_VISITOR)),
        }
    }

    /// Whose tokens they see: `None` for everybody's.
    pub(super) fn sees_tokens_of(&self) -> Result<Option<OwnerId>, ServiceError> {
        match self {
            Self::Program => Ok(None),
            Self::Person(Grantor { ceiling: Ceiling::Unlimited, .. }) => Ok(None),
            Self::Person(Grantor { owner, .. }) => Ok(owner.as_ref().map(|o| o.id)),
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

impl Grantor {
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
