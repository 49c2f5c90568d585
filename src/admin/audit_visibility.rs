//! The visibility of audit events.
//!
//! The log names everything that ever existed. An actor sees as much of an event as of its target elsewhere: nothing of admin tokens and
//! sessions of other owners, and of other targets as much as the permission that lists them allows. Of a withheld event the action, the
//! time and the kind of its target remain.

use super::ServiceError;
use super::actor::{Grantor, ResolvedActor, load_completed};
use super::context::ServiceContext;
use crate::domain::{
    Actor, AuditAction, AuditCause, AuditEvent, AuditOrigin, AuditTarget, Ceiling, OwnerId, Principal, TokenId,
    TokenKind, Verdict, action,
};
use crate::store::{EventQuery, View};
use serde_json::Value;
use std::collections::HashMap;

const USERS: &str = "admin::users.read";
const ROLES: &str = "admin::roles.read";
const ADMIN_TOKENS: &str = "admin::admin-tokens.read";
const CONTENT_TOKENS: &str = "admin::api-tokens.read";

/// The targets that an actor may see.
#[derive(Debug)]
pub(super) struct AuditVisibility {
    /// Whether the actor is the host program or a super admin, and sees everything.
    everything: bool,
    /// The owner that the actor is, or whose token it is.
    owner: Option<OwnerId>,
    /// The token, if the actor is one.
    token: Option<TokenId>,
    /// Whether the actor sees the owner's admin tokens.
    own_tokens: bool,
    /// Whether the actor sees the owner's sessions.
    own_sessions: bool,
    users: bool,
    roles: bool,
    content_tokens: bool,
}

impl AuditVisibility {
    pub(super) async fn of(
        context: &ServiceContext,
        view: &mut dyn View,
        actor: &ResolvedActor,
    ) -> Result<Self, ServiceError> {
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
                let owner = match token.owner() {
                    Some(owner) => load_completed(view, context.state.resolver.accounts(), owner).await?,
                    None => None,
                };
                // The gate's own judgement: what the owner and the tokens that it comes from leave of its grants.
                let principal = Principal::of(token, owner.as_ref().map(|(owner, ceiling)| (owner, ceiling)));
                let principal = principal.filter(|_| token.kind() == TokenKind::Admin);
                let carries = |name| principal.as_ref().is_some_and(|p| p.verdict(&action(name)) == Verdict::Allowed);
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

    /// Restricts a query to the events that the actor may find with it; `None` if there are none.
    ///
    /// A query for a target that the actor may not see has no events, like one for a target that does not exist. A query by actor leaves
    /// out the events whose actor would be withheld.
    pub(super) async fn restrict(
        &self,
        view: &mut dyn View,
        query: &EventQuery,
    ) -> Result<Option<EventQuery>, ServiceError> {
        if self.everything {
            return Ok(Some(query.clone()));
        }
        let actors = [query.person.map(Actor::Person), query.token.map(Actor::Token)];
        let owners = TokenOwners::load(view, query.target.into_iter().filter_map(token_of).chain(query.token)).await?;
        let is_visible = query.target.is_none_or(|target| self.sees(target, &Value::Null, &owners))
            && actors.into_iter().flatten().all(|actor| self.knows(actor, &owners));
        let by_others = actors.into_iter().flatten().any(|actor| !self.is(actor));
        let tokens_of = if by_others { self.owner } else { query.tokens_of };
        Ok(is_visible.then(|| EventQuery { tokens_of, ..query.clone() }))
    }

    /// Withholds the parts of the events that the actor may not see.
    pub(super) async fn redact(
        &self,
        view: &mut dyn View,
        events: Vec<(i64, AuditEvent)>,
    ) -> Result<Vec<(i64, AuditEvent)>, ServiceError> {
        if self.everything {
            return Ok(events);
        }
        let token_ids = |(_, event): &(i64, AuditEvent)| {
            let actor = match event.origin.actor {
                Actor::Token(id) => Some(id),
                _ => None,
            };
            token_of(event.target).into_iter().chain(actor)
        };
        let owners = TokenOwners::load(view, events.iter().flat_map(token_ids)).await?;
        Ok(events.into_iter().map(|(id, event)| (id, self.redact_event(event, &owners))).collect())
    }

    fn redact_event(&self, mut event: AuditEvent, owners: &TokenOwners) -> AuditEvent {
        let actor = event.origin.actor;
        // A token does not learn how many tokens others have.
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
            // Of their own targets, actors always learn who acted.
            if !self.is_own(event.target, &event.details, owners) {
                if !self.knows(actor, owners) {
                    event.origin = AuditOrigin { actor: Actor::Withheld, address: None, tool: None };
                }
                event.cause = event.cause.filter(|cause| self.knows_cause(*cause));
            }
            return event;
        }
        // The actor of an event about an owned token may be its owner.
        if !self.is(actor) && !matches!(actor, Actor::Service | Actor::Visitor) {
            let owned = matches!(event.target, AuditTarget::Token(_, TokenKind::Admin | TokenKind::Session));
            if owned || !self.knows(actor, owners) {
                event.origin.actor = Actor::Withheld;
            }
        }
        if !self.is(actor) {
            (event.origin.address, event.origin.tool) = (None, None);
        }
        (event.target, event.cause, event.details) = (AuditTarget::Withheld(event.target.kind()), None, Value::Null);
        event
    }

    /// Returns whether the actor sees this target.
    fn sees(&self, target: AuditTarget, details: &Value, owners: &TokenOwners) -> bool {
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

    /// Returns whether this target belongs to the actor, or is the actor.
    fn is_own(&self, target: AuditTarget, details: &Value, owners: &TokenOwners) -> bool {
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

    /// Returns whether the actor may know the id of `actor`.
    fn knows(&self, actor: Actor, owners: &TokenOwners) -> bool {
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
            AuditCause::OwnerRoles(id) | AuditCause::OwnerDeleted(id) | AuditCause::AccountChanged(id) => {
                self.users || self.owner == Some(id)
            }
            // A token and those that come from it have one owner: who sees the event sees the token.
            AuditCause::ParentRevoked(_) | AuditCause::ParentRegenerated(_) => true,
            AuditCause::Catalogue
            | AuditCause::Renamed
            | AuditCause::SecretReused
            | AuditCause::Leaked
            | AuditCause::Bearer => true,
        }
    }

    /// Returns whether the actor of the query is `actor`.
    fn is(&self, actor: Actor) -> bool {
        match actor {
            Actor::Person(id) => self.token.is_none() && self.owner == Some(id),
            Actor::Token(id) => self.token == Some(id),
            _ => false,
        }
    }
}

/// The owners of admin tokens and sessions, including deleted ones.
struct TokenOwners(HashMap<TokenId, OwnerId>);

impl TokenOwners {
    async fn load(view: &mut dyn View, ids: impl Iterator<Item = TokenId>) -> Result<Self, ServiceError> {
        let mut ids: Vec<TokenId> = ids.collect();
        ids.sort_unstable();
        ids.dedup();
        let owners = if ids.is_empty() { Vec::new() } else { view.token_owners(&ids).await? };
        Ok(Self(owners.into_iter().collect()))
    }

    /// Returns the owner of a token, by the store or by the details of the event.
    fn owner(&self, id: TokenId, details: &Value) -> Option<OwnerId> {
        let in_details = || details.get("owner").and_then(Value::as_i64).map(OwnerId);
        self.0.get(&id).copied().or_else(in_details)
    }
}

fn token_of(target: AuditTarget) -> Option<TokenId> {
    match target {
        AuditTarget::Token(id, TokenKind::Admin | TokenKind::Session) => Some(id),
        _ => None,
    }
}
