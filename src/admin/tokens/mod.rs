//! The tokens service.

mod adopt;
mod change;
mod child;
mod find;
mod issue;
mod limits;
mod load;
mod presented;
mod read;
#[cfg(feature = "reveal")]
mod reveal;
mod revoke_all;
mod violations;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod within;

pub use adopt::NewAdoptedToken;
pub use change::TokenUpdate;
pub use child::NewChildToken;
pub(super) use issue::new_token;
pub use issue::{IssuedToken, NewAdminToken, NewContentToken, NewSession, TokenOwner};
#[cfg(feature = "api")]
pub(crate) use limits::NETWORKS;
pub use read::DescribedToken;
#[cfg(feature = "reveal")]
pub use reveal::{SecretAccess, TokenWithSecret};
pub use revoke_all::{Confirmation, ExpectedTokens, MalformedConfirmation, RevocationPreview};
pub use violations::TokenViolations;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use within::TokensWithin;

use super::ServiceError;
use super::actor::{Grantor, may_change};
use super::context::{ServiceContext, actor_methods, version_methods};
use super::error::FieldErrors;
use super::unit_of_work::UnitOfWork;
use crate::domain::{Ceiling, ConditionClause, FieldName, Grant, OwnerId, Permission, TokenId, TokenKind, TokenKinds};
use crate::store::NameScope;
use std::collections::HashMap;

/// The tokens service: issues, adopts, changes, reads and revokes tokens. Returned by [`Keyward::tokens`](crate::Keyward::tokens).
#[derive(Clone, Debug)]
pub struct Tokens {
    pub(super) context: ServiceContext,
    kinds: TokenKinds,
}

actor_methods!(Tokens);
version_methods!(Tokens, "a token");

impl Tokens {
    pub(super) fn new(context: ServiceContext) -> Self {
        Self { context, kinds: TokenKinds::of(&TokenKind::ALL) }
    }

    /// Returns the service for one kind of token. Tokens of other kinds do not exist for it.
    #[must_use]
    pub fn only(mut self, kind: TokenKind) -> Self {
        self.kinds = TokenKinds::of(&[kind]);
        self
    }

    /// Rejects actors that may never issue or change a token.
    pub(crate) fn may_change(&self) -> Result<(), ServiceError> {
        may_change(self.context.origin.actor)
    }

    fn map(self, f: impl FnOnce(ServiceContext) -> ServiceContext) -> Self {
        Self { context: f(self.context), ..self }
    }
}

/// Checks that no other token of this scope has this name.
async fn ensure_name_available(
    unit: &mut UnitOfWork<'_>,
    name: &str,
    scope: NameScope,
    own: Option<TokenId>,
) -> Result<(), ServiceError> {
    match unit.view().token_with_name(name, scope).await? {
        Some(id) if own != Some(id) => {
            Err(ServiceError::Taken { field: FieldName::Name, message: "Name already taken" })
        }
        _ => Ok(()),
    }
}

/// Checks that an actor who manages the owner holds each of these grants itself, for all rows. So managing an account
/// gives no actor more than it holds (no-escalation): a condition of the account's may let other rows through than the
/// same condition of the actor's.
fn check_own_ceiling(grantor: &Grantor, owner: OwnerId, grants: &[Grant]) -> Result<(), ServiceError> {
    if grantor.is_program() || grantor.is(owner) {
        return Ok(());
    }
    let (index, mut errors) = (grantor.ceiling.index(), FieldErrors::default());
    for (i, grant) in grants.iter().enumerate() {
        let whole = Permission { scope: grant.scope.clone(), when: ConditionClause::Always };
        if index.check_delegation(&whole).is_err() {
            let message = "you do not hold this for all rows yourself: leave it out";
            errors.add_value(FieldName::Grants.at(i), message, grant.scope.action.to_string());
        }
    }
    errors.into_result()
}

/// Checks that grants differ from each other, that the owner's permissions cover them (never-more-than-owner), and that conditions are
/// chosen only where they are not inherited.
async fn check_grants(unit: &mut UnitOfWork<'_>, owner: OwnerId, grants: &[Grant]) -> Result<(), ServiceError> {
    let ceiling = unit.ceiling(owner).await?;
    let mut errors = FieldErrors::default();
    let index = ceiling.index();
    let mut first_places = HashMap::with_capacity(grants.len());
    for (i, grant) in grants.iter().enumerate() {
        if errors.is_full() {
            break;
        }
        let first = *first_places.entry(grant).or_insert(i);
        if first != i {
            errors.add(FieldName::Grants.at(i), format!("is the same as entry {first}: leave it out"));
        } else if let Err(beyond) = index.check(grant) {
            errors.add_value(FieldName::Grants.at(i), beyond.to_string(), grant.scope.action.to_string());
        } else if grant.chosen != ConditionClause::Always && ceiling != Ceiling::Unlimited {
            errors.add(FieldName::Grants.at(i), "conditions are inherited from the owner's roles, not chosen");
        }
    }
    errors.into_result()
}
