//! The part of the audit log and of the tokens that an actor may see.
//!
//! The log names everything that was ever there. An actor sees of an event as much as of its target elsewhere: of admin tokens and
//! sessions of other owners nothing, of the rest what the permission allows that lists it. What remains of an event is that, and when,
//! something was done to something of a kind.

use super::ServiceError;
use super::actor::{Grantor, ResolvedActor};
use crate::domain::{
    Actor, AuditAction, AuditCause, AuditEvent, AuditTarget, Ceiling, ConditionClause, Fields, OwnerId, Permission,
    Token, TokenAuthority, TokenId, TokenKind, TokenKinds,
};
use crate::store::{EventQuery, View};
use serde_json::Value;
use std::collections::HashMap;

const USERS: &str = "admin::users.read";
const ROLES: &str = "admin::roles.read";
const ADMIN_TOKENS: &str = "admin::admin-tokens.read";
const CONTENT_TOKENS: &str = "admin::api-tokens.read";

/// What an actor may see.
#[derive(Debug)]
pub(super) struct Sight {
    /// Everything: the program and super admins.
    everything: bool,
    /// The owner that the actor is, or acts for.
    owner: Option<OwnerId>,
    /// The token that the actor is.
    token: Option<TokenId>,
    /// Admin tokens of that owner.
    own_tokens: bool,
    /// Sessions of that owner.
    own_sessions: bool,
    users: bool,
    roles: bool,
    content_tokens: bool,
}

impl Sight {
    pub(super) async fn of(view: &mut dyn View, actor: &ResolvedActor) -> Result<Self, ServiceError> {
        match actor {
            ResolvedActor::Program => Ok(Self::everything()),
            ResolvedActor::Person(Grantor { ceiling: Ceiling::Unlimited, .. }) => Ok(Self::everything()),
            ResolvedActor::Person(grantor) => {
                let holds = |action| grantor.holds(action);
                Ok(Self {
                    everything: false,
                    owner: grantor.owner.as_ref().map(|owner| owner.id),
                    token: None,
                    own_tokens: true,
                    own_sessions: true,
                    users: holds(USERS),
                    roles: holds(ROLES),
                    content_tokens: holds(CONTENT_TOKENS),
                })
            }
            ResolvedActor::Token(token) => {
                let ceiling = match token.owner() {
                    Some(owner) => view.ceiling(owner).await?,
                    None => Ceiling::Of(Vec::new()),
                };
                let carries = |action| carries(token, &ceiling, action);
                Ok(Self {
                    everything: false,
                    owner: token.owner(),
                    token: Some(token.id),
                    own_tokens: carries(ADMIN_TOKENS),
                    own_sessions: false,
                    users: carries(USERS),
                    roles: carries(ROLES),
                    content_tokens: carries(CONTENT_TOKENS),
                })
            }
            ResolvedActor::Visitor => Err(ServiceError::Forbidden("sign in first")),
        }
    }

    fn everything() -> Self {
        Self {
            everything: true,
            owner: None,
            token: None,
            own_tokens: true,
            own_sessions: true,
            users: true,
            roles: true,
            content_tokens: true,
        }
    }

    /// A query for what of its answer the actor may see; `None`: for nothing.
    ///
    /// To ask for what may not be seen is answered like asking for what is not there. Where events are asked for by who did it,
    /// those are left out that would not say who it was.
    pub(super) async fn narrowed(
        &self,
        view: &mut dyn View,
        query: &EventQuery,
    ) -> Result<Option<EventQuery>, ServiceError> {
        if self.everything {
            return Ok(Some(query.clone()));
        }
        let doers = [query.person.map(Actor::Person), query.token.map(Actor::Token)];
        let owners = Owners::of(view, query.target.into_iter().filter_map(token_of).chain(query.token)).await?;
        let seen = query.target.is_none_or(|target| self.sees(target, &Value::Null, &owners))
            && doers.into_iter().flatten().all(|actor| self.knows(actor, &owners));
        let by_others = doers.into_iter().flatten().any(|actor| !self.is(actor));
        let tokens_of = if by_others { self.owner } else { query.tokens_of };
        Ok(seen.then(|| EventQuery { tokens_of, ..query.clone() }))
    }

    /// Withholds what the actor may not see.
    pub(super) async fn shown(
        &self,
        view: &mut dyn View,
        events: Vec<(i64, AuditEvent)>,
    ) -> Result<Vec<(i64, AuditEvent)>, ServiceError> {
        if self.everything {
            return Ok(events);
        }
        let named = |(_, event): &(i64, AuditEvent)| {
            let actor = match event.origin.actor {
                Actor::Token(id) => Some(id),
                _ => None,
            };
            token_of(event.target).into_iter().chain(actor)
        };
        let owners = Owners::of(view, events.iter().flat_map(named)).await?;
        Ok(events.into_iter().map(|(id, event)| (id, self.show(event, &owners))).collect())
    }

    fn show(&self, mut event: AuditEvent, owners: &Owners) -> AuditEvent {
        let actor = event.origin.actor;
        // How many tokens others have is not for tokens to know.
        if let (Some(_), Some(details)) = (self.token, event.details.as_object_mut()) {
            details.remove("tokens");
        }
        if event.what == AuditAction::SignInsFailed
            && !self.users
            && let Some(details) = event.details.as_object_mut()
        {
            details.retain(|name, _| matches!(name.as_str(), "count" | "throttled" | "accounts"));
        }
        if self.sees(event.target, &event.details, owners) {
            // Of what is their own they learn who did it in every case.
            if !self.is_own(event.target, &event.details, owners) {
                if !self.knows(actor, owners) {
                    (event.origin.actor, event.origin.address) = (Actor::Withheld, None);
                }
                event.cause = event.cause.filter(|cause| self.knows_cause(*cause));
            }
            return event;
        }
        // Of an owned token who did it says whose it is.
        if !self.is(actor) && !matches!(actor, Actor::Service | Actor::Visitor) {
            let owned = matches!(event.target, AuditTarget::Token(_, TokenKind::Admin | TokenKind::Session));
            if owned || !self.knows(actor, owners) {
                event.origin.actor = Actor::Withheld;
            }
        }
        if !self.is(actor) {
            event.origin.address = None;
        }
        (event.target, event.cause, event.details) = (AuditTarget::Withheld(event.target.kind()), None, Value::Null);
        event
    }

    /// Whether they see what was done to this.
    fn sees(&self, target: AuditTarget, details: &Value, owners: &Owners) -> bool {
        match target {
            _ if self.is_own(target, details, owners) => true,
            AuditTarget::Owner(_) => self.users,
            AuditTarget::Role(_) => self.roles,
            AuditTarget::Token(_, TokenKind::Content) => self.content_tokens,
            AuditTarget::Token(id, kind) => {
                let open = if kind == TokenKind::Admin { self.own_tokens } else { self.own_sessions };
                self.token == Some(id) || open && self.owner.is_some() && owners.owner(id, details) == self.owner
            }
            AuditTarget::Installation => true,
            AuditTarget::Withheld(_) => false,
        }
    }

    /// Whether it is theirs, or themselves.
    fn is_own(&self, target: AuditTarget, details: &Value, owners: &Owners) -> bool {
        match target {
            AuditTarget::Owner(id) => self.token.is_none() && self.owner == Some(id),
            AuditTarget::Token(id, TokenKind::Admin) if self.own_tokens => {
                self.owner.is_some() && owners.owner(id, details) == self.owner
            }
            AuditTarget::Token(id, TokenKind::Session) if self.own_sessions => {
                self.owner.is_some() && owners.owner(id, details) == self.owner
            }
            AuditTarget::Token(id, _) => self.token == Some(id),
            _ => false,
        }
    }

    /// Whether they may know who this is.
    fn knows(&self, actor: Actor, owners: &Owners) -> bool {
        match actor {
            Actor::Service | Actor::Visitor => true,
            Actor::Withheld => false,
            actor if self.is(actor) => true,
            Actor::Person(_) => self.users,
            Actor::Token(id) => self.sees(AuditTarget::Token(id, TokenKind::Admin), &Value::Null, owners),
        }
    }

    fn knows_cause(&self, cause: AuditCause) -> bool {
        match cause {
            AuditCause::RolePermissions(_) => self.roles,
            AuditCause::OwnerRoles(id) | AuditCause::OwnerDeleted(id) => self.users || self.owner == Some(id),
            AuditCause::Catalogue | AuditCause::Renamed => true,
        }
    }

    /// Whether they are this: a person, or the token itself.
    fn is(&self, actor: Actor) -> bool {
        match actor {
            Actor::Person(id) => self.token.is_none() && self.owner == Some(id),
            Actor::Token(id) => self.token == Some(id),
            _ => false,
        }
    }
}

/// Whether a permission allows an action without any condition: what it takes to list what that action reads.
pub(super) fn allows(permission: &Permission, action: &str) -> bool {
    permission.scope.action.as_str() == action
        && permission.scope.resource.is_none()
        && permission.scope.fields == Fields::All
        && permission.when == ConditionClause::Always
}

/// The same of an admin token under its owner's ceiling.
fn carries(token: &Token, ceiling: &Ceiling, action: &str) -> bool {
    let TokenAuthority::Admin { grants, .. } = &token.authority else { return false };
    let held = match ceiling {
        Ceiling::Unlimited => true,
        Ceiling::Of(held) => held.iter().any(|permission| allows(permission, action)),
    };
    let whole = grants.iter().any(|grant| {
        grant.scope.action.as_str() == action
            && grant.scope.resource.is_none()
            && grant.scope.fields == Fields::All
            && grant.chosen == ConditionClause::Always
    });
    held && whole
}

/// The owners of admin tokens and sessions, also of those that are gone.
struct Owners(HashMap<TokenId, OwnerId>);

impl Owners {
    async fn of(view: &mut dyn View, ids: impl Iterator<Item = TokenId>) -> Result<Self, ServiceError> {
        let mut ids: Vec<TokenId> = ids.collect();
        ids.sort_unstable();
        ids.dedup();
        let owners = if ids.is_empty() { Vec::new() } else { view.token_owners(&ids).await? };
        Ok(Self(owners.into_iter().collect()))
    }

    /// Whose token it is or was. An event may say so itself, where nothing else does any more.
    fn owner(&self, id: TokenId, details: &Value) -> Option<OwnerId> {
        let said = || details.get("owner").and_then(Value::as_i64).map(OwnerId);
        self.0.get(&id).copied().or_else(said)
    }
}

fn token_of(target: AuditTarget) -> Option<TokenId> {
    match target {
        AuditTarget::Token(id, TokenKind::Admin | TokenKind::Session) => Some(id),
        _ => None,
    }
}

/// Loads a token that the actor may see, to change it or to read what its owner holds.
///
/// A token that the actor may not see is answered like one that is not there: to an actor who lists their own alone both are "not yours", so
/// that no answer tells which ids are taken.
pub(super) async fn changeable(
    view: &mut dyn View,
    actor: &ResolvedActor,
    id: TokenId,
    kinds: TokenKinds,
) -> Result<Token, ServiceError> {
    let token = view.token(id).await?.filter(|token| kinds.contains(token.kind()) && may_see(actor, token));
    token.ok_or_else(|| {
        match actor {
            ResolvedActor::Token(_) => return ServiceError::Forbidden("a token changes nothing but itself"),
            ResolvedActor::Visitor => return ServiceError::Forbidden("sign in first"),
            ResolvedActor::Program | ResolvedActor::Person(_) => {}
        }
        let sees_all = matches!(actor.sees_tokens_of(), Ok(None));
        match kinds.contains(TokenKind::Admin) && !sees_all {
            true => ServiceError::Forbidden("no admin token of yours has this id"),
            false => ServiceError::NotFound("token"),
        }
    })
}

fn may_see(actor: &ResolvedActor, token: &Token) -> bool {
    match (token.kind(), token.owner(), actor) {
        (_, _, ResolvedActor::Program) => true,
        (_, _, ResolvedActor::Visitor) => false,
        (_, _, ResolvedActor::Token(itself)) => itself.id == token.id,
        (TokenKind::Content, _, ResolvedActor::Person(_)) => true,
        (TokenKind::Admin, Some(owner), ResolvedActor::Person(grantor)) => {
            grantor.is_super_admin() || grantor.is(owner)
        }
        (TokenKind::Session, Some(owner), ResolvedActor::Person(grantor)) => grantor.is(owner),
        (_, None, ResolvedActor::Person(_)) => false,
    }
}
