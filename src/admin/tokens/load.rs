//! Loads tokens that an actor may see.

use crate::admin::ServiceError;
use crate::admin::actor::ResolvedActor;
use crate::domain::{Token, TokenId, TokenKind, TokenKinds};
use crate::resolve::HostAccounts;
use crate::store::View;

/// The action by which an account of the host sees content tokens.
pub(super) const READ_CONTENT: &str = "admin::api-tokens.read";
/// The action by which an account of the host issues content tokens.
pub(super) const CREATE_CONTENT: &str = "admin::api-tokens.create";

/// Loads a token of one of these kinds.
pub(super) async fn load_token(view: &mut dyn View, id: TokenId, kinds: TokenKinds) -> Result<Token, ServiceError> {
    let token = view.token(id).await?.filter(|t| kinds.contains(t.kind()));
    token.ok_or(ServiceError::NotFound("token"))
}

/// Loads a token that the actor may see, to change it or to read its owner's permissions.
///
/// A token that the actor may not see is answered like one that does not exist. For an actor who sees its own tokens only, both are
/// "not yours": no answer tells which ids exist.
pub(super) async fn load_changeable(
    view: &mut dyn View,
    accounts: &HostAccounts,
    actor: &ResolvedActor,
    id: TokenId,
    kinds: TokenKinds,
) -> Result<Token, ServiceError> {
    let token = match view.token(id).await?.filter(|token| kinds.contains(token.kind())) {
        Some(token) if may_see(actor, &token) || manages_token(view, accounts, actor, &token).await? => Some(token),
        _ => None,
    };
    token.ok_or_else(|| {
        match actor {
            ResolvedActor::Token(_) => return ServiceError::Forbidden("a token changes nothing but itself"),
            ResolvedActor::Visitor => return ServiceError::Forbidden("sign in first"),
            ResolvedActor::Program | ResolvedActor::Person(_) => {}
        }
        let sees_all = matches!(actor.visible_tokens(), Ok(None));
        match kinds.contains(TokenKind::Admin) && !sees_all {
            true => ServiceError::Forbidden("no admin token of yours has this id"),
            false => ServiceError::NotFound("token"),
        }
    })
}

/// Returns whether the actor manages the owner of an admin token.
pub(super) async fn manages_token(
    view: &mut dyn View,
    accounts: &HostAccounts,
    actor: &ResolvedActor,
    token: &Token,
) -> Result<bool, ServiceError> {
    match (actor, token.kind(), token.owner()) {
        (ResolvedActor::Person(grantor), TokenKind::Admin, Some(owner)) => grantor.manages(view, accounts, owner).await,
        _ => Ok(false),
    }
}

fn may_see(actor: &ResolvedActor, token: &Token) -> bool {
    match (token.kind(), token.owner(), actor) {
        (_, _, ResolvedActor::Program) => true,
        (_, _, ResolvedActor::Visitor) => false,
        (_, _, actor @ ResolvedActor::Token(_)) => actor.is_token_or_ancestor(token),
        (TokenKind::Content, _, ResolvedActor::Person(grantor)) => grantor.reaches_content_tokens(READ_CONTENT),
        (TokenKind::Admin, Some(owner), ResolvedActor::Person(grantor)) => {
            grantor.is_super_admin() || grantor.is(owner)
        }
        (TokenKind::Session, Some(owner), ResolvedActor::Person(grantor)) => grantor.is(owner),
        (_, None, ResolvedActor::Person(_)) => false,
    }
}
