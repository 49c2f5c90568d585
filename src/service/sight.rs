//! The part of the audit log and of the tokens that an actor may see.
//!
//! The log names everything that was ever there. An actor sees of an event as much as of its target elsewhere: of admin tokens and
//! sessions of other owners nothing, of the rest what the permission allows that lists it. What remains of an event is that, and when,
//! something was done to something of a kind.

use super::ServiceError;
use super::actor::{Actor, Giver};
use crate::domain::{
    AuditEvent, Cause, Ceiling, Doer, Fields, Kind, KindSet, OwnerId, Permission, Target, Token, TokenAuthority,
    TokenId, What, When,
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
    pub(super) async fn of(view: &mut dyn View, actor: &Actor) -> Result<Self, ServiceError> {
        match actor {
            Actor::Program => Ok(Self::everything()),
            Actor::Person(Giver { ceiling: Ceiling::Unlimited, .. }) => Ok(Self::everything()),
            Actor::Person(giver) => {
                let holds = |action| giver.holds(action);
                Ok(Self {
                    everything: false,
                    owner: giver.owner.as_ref().map(|owner| owner.id),
                    token: None,
                    own_tokens: true,
                    own_sessions: true,
                    users: holds(USERS),
                    roles: holds(ROLES),
                    content_tokens: holds(CONTENT_TOKENS),
                })
            }
            Actor::Token(token) => {
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
            Actor::Visitor => Err(ServiceError::Forbidden("sign in first")),
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
        let doers = [query.person.map(Doer::Person), query.token.map(Doer::Token)];
        let owners = Owners::of(view, query.target.into_iter().filter_map(token_of).chain(query.token)).await?;
        let seen = query.target.is_none_or(|target| self.sees(target, &Value::Null, &owners))
            && doers.into_iter().flatten().all(|doer| self.knows(doer, &owners));
        let by_others = doers.into_iter().flatten().any(|doer| !self.is(doer));
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
            let doer = match event.origin.doer {
                Doer::Token(id) => Some(id),
                _ => None,
            };
            token_of(event.target).into_iter().chain(doer)
        };
        let owners = Owners::of(view, events.iter().flat_map(named)).await?;
        Ok(events.into_iter().map(|(id, event)| (id, self.show(event, &owners))).collect())
    }

    fn show(&self, mut event: AuditEvent, owners: &Owners) -> AuditEvent {
        let doer = event.origin.doer;
        // How many tokens others have is not for tokens to know.
        if let (Some(_), Some(details)) = (self.token, event.details.as_object_mut()) {
            details.remove("tokens");
        }
        if event.what == What::SignInsFailed
            && !self.users
            && let Some(details) = event.details.as_object_mut()
        {
            details.retain(|name, _| matches!(name.as_str(), "count" | "throttled" | "accounts"));
        }
        if self.sees(event.target, &event.details, owners) {
            // Of what is their own they learn who did it in every case.
            if !self.is_own(event.target, &event.details, owners) {
                if !self.knows(doer, owners) {
                    (event.origin.doer, event.origin.address) = (Doer::Withheld, None);
                }
                event.cause = event.cause.filter(|cause| self.knows_cause(*cause));
            }
            return event;
        }
        // Of an owned token who did it says whose it is.
        if !self.is(doer) && !matches!(doer, Doer::Service | Doer::Visitor) {
            let owned = matches!(event.target, Target::Token(_, Kind::Admin | Kind::Session));
            if owned || !self.knows(doer, owners) {
                event.origin.doer = Doer::Withheld;
            }
        }
        if !self.is(doer) {
            event.origin.address = None;
        }
        (event.target, event.cause, event.details) = (Target::Withheld(event.target.kind()), None, Value::Null);
        event
    }

    /// Whether they see what was done to this.
    fn sees(&self, target: Target, details: &Value, owners: &Owners) -> bool {
        match target {
            _ if self.is_own(target, details, owners) => true,
            Target::Owner(_) => self.users,
            Target::Role(_) => self.roles,
            Target::Token(_, Kind::Content) => self.content_tokens,
            Target::Token(id, kind) => {
                let open = if kind == Kind::Admin { self.own_tokens } else { self.own_sessions };
                self.token == Some(id) || open && self.owner.is_some() && owners.owner(id, details) == self.owner
            }
            Target::Installation => true,
            Target::Withheld(_) => false,
        }
    }

    /// Whether it is theirs, or themselves.
    fn is_own(&self, target: Target, details: &Value, owners: &Owners) -> bool {
        match target {
            Target::Owner(id) => self.token.is_none() && self.owner == Some(id),
            Target::Token(id, Kind::Admin) if self.own_tokens => {
                self.owner.is_some() && owners.owner(id, details) == self.owner
            }
            Target::Token(id, Kind::Session) if self.own_sessions => {
                self.owner.is_some() && owners.owner(id, details) == self.owner
            }
            Target::Token(id, _) => self.token == Some(id),
            _ => false,
        }
    }

    /// Whether they may know who this is.
    fn knows(&self, doer: Doer, owners: &Owners) -> bool {
        match doer {
            Doer::Service | Doer::Visitor => true,
            Doer::Withheld => false,
            doer if self.is(doer) => true,
            Doer::Person(_) => self.users,
            Doer::Token(id) => self.sees(Target::Token(id, Kind::Admin), &Value::Null, owners),
        }
    }

    fn knows_cause(&self, cause: Cause) -> bool {
        match cause {
            Cause::RolePermissions(_) => self.roles,
            Cause::OwnerRoles(id) | Cause::OwnerDeleted(id) => self.users || self.owner == Some(id),
            Cause::Catalogue | Cause::Renamed => true,
        }
    }

    /// Whether they are this: a person, or the token itself.
    fn is(&self, doer: Doer) -> bool {
        match doer {
            Doer::Person(id) => self.token.is_none() && self.owner == Some(id),
            Doer::Token(id) => self.token == Some(id),
            _ => false,
        }
    }
}

/// Whether a permission allows an action without any condition: what it takes to list what that action reads.
pub(super) fn allows(permission: &Permission, action: &str) -> bool {
    permission.action.as_str() == action
        && permission.subject.is_none()
        && permission.fields == Fields::All
        && permission.when == When::Always
}

/// The same of an admin token under its owner's ceiling.
fn carries(token: &Token, ceiling: &Ceiling, action: &str) -> bool {
    let TokenAuthority::Admin { grants, .. } = &token.authority else { return false };
    let held = match ceiling {
        Ceiling::Unlimited => true,
        Ceiling::Of(held) => held.iter().any(|permission| allows(permission, action)),
    };
    let whole = grants.iter().any(|grant| {
        grant.action.as_str() == action
            && grant.subject.is_none()
            && grant.fields == Fields::All
            && grant.chosen == When::Always
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

fn token_of(target: Target) -> Option<TokenId> {
    match target {
        Target::Token(id, Kind::Admin | Kind::Session) => Some(id),
        _ => None,
    }
}

/// Loads a token that the actor may see, to change it or to read what its owner holds.
///
/// A token that the actor may not see is answered like one that is not there: to an actor who lists their own alone both are "not yours", so
/// that no answer tells which ids are taken.
pub(super) async fn changeable(
    view: &mut dyn View,
    actor: &Actor,
    id: TokenId,
    kinds: KindSet,
) -> Result<Token, ServiceError> {
    let token = view.token(id).await?.filter(|token| kinds.contains(token.kind()) && may_see(actor, token));
    token.ok_or_else(|| {
        match actor {
            Actor::Token(_) => return ServiceError::Forbidden("a token changes nothing but itself"),
            Actor::Visitor => return ServiceError::Forbidden("sign in first"),
            Actor::Program | Actor::Person(_) => {}
        }
        let sees_all = matches!(actor.sees_tokens_of(), Ok(None));
        match kinds.contains(Kind::Admin) && !sees_all {
            true => ServiceError::Forbidden("no admin token of yours has this id"),
            false => ServiceError::NotFound("token"),
        }
    })
}

fn may_see(actor: &Actor, token: &Token) -> bool {
    match (token.kind(), token.owner(), actor) {
        (_, _, Actor::Program) => true,
        (_, _, Actor::Visitor) => false,
        (_, _, Actor::Token(itself)) => itself.id == token.id,
        (Kind::Content, _, Actor::Person(_)) => true,
        (Kind::Admin, Some(owner), Actor::Person(giver)) => giver.is_super_admin() || giver.is(owner),
        (Kind::Session, Some(owner), Actor::Person(giver)) => giver.is(owner),
        (_, None, Actor::Person(_)) => false,
    }
}
