//! `/admin/audit-logs`: what was done, by whom.

use super::answer::{Answer, Data, ok};
use super::failure::Failure;
use super::query::{Pagination, Params, Values};
use super::request::{Caller, Id};
use super::state::Api;
use crate::admin::AuditLog;
use crate::domain::{
    Actor, AuditAction, AuditCause, AuditEvent, AuditTarget, Owner, OwnerId, RoleId, TokenId, TokenKind,
};
use crate::store::{EventQuery, Filter, Page, Paging};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as NoWord, StrDeserializer};
use std::collections::HashMap;
use utoipa::ToSchema;

/// How many people an export remembers the names of.
const MOST_PEOPLE: usize = 10_000;

/// A page of audit events, the latest first.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EventPage {
    results: Vec<Event>,
    pagination: Pagination,
}

/// An audit event.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Event {
    pub(super) id: i64,
    /// What was done: `token-issued`, `signed-in`, ...
    #[schema(value_type = String)]
    pub(super) action: AuditAction,
    /// When.
    pub(super) date: String,
    /// Who did it, if it was a person. Of an account that is gone only the id is left.
    pub(super) user: Option<EventUser>,
    /// The token that did it, if it was one.
    pub(super) token: Option<i64>,
    pub(super) target: EventObject,
    /// From where, if the server knew.
    pub(super) address: Option<String>,
    /// Which other change made it necessary.
    pub(super) cause: Option<EventObject>,
    /// Facts about it.
    pub(super) payload: serde_json::Value,
    /// Whether the reader may not see all of it: then what they may not know is null. They see of an event as much as they may see of its
    /// target elsewhere: of admin tokens and sessions of other owners nothing.
    pub(super) withheld: bool,
}

/// A person, as they are called now.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct EventUser {
    pub(super) id: i64,
    pub(super) email: Option<String>,
    display_name: Option<String>,
}

/// What it was done to, or why.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EventObject {
    /// Of a target: `user`, `role`, `admin-token`, `api-token`, `session`, `installation`. Of a cause: `role-permissions`,
    /// `user-roles`, `user-deleted`, `catalogue`.
    pub(super) kind: &'static str,
    pub(super) id: Option<i64>,
}

impl From<AuditTarget> for EventObject {
    fn from(target: AuditTarget) -> Self {
        let id = match target {
            AuditTarget::Owner(OwnerId(id)) | AuditTarget::Role(RoleId(id)) | AuditTarget::Token(TokenId(id), _) => {
                Some(id)
            }
            AuditTarget::Installation | AuditTarget::Withheld(_) => None,
        };
        Self { kind: target.kind().as_str(), id }
    }
}

impl From<AuditCause> for EventObject {
    fn from(cause: AuditCause) -> Self {
        let (kind, id) = match cause {
            AuditCause::RolePermissions(RoleId(id)) => ("role-permissions", Some(id)),
            AuditCause::OwnerRoles(OwnerId(id)) => ("user-roles", Some(id)),
            AuditCause::OwnerDeleted(OwnerId(id)) => ("user-deleted", Some(id)),
            AuditCause::Catalogue => ("catalogue", None),
            AuditCause::Renamed => ("renamed", None),
        };
        Self { kind, id }
    }
}

/// The target of a word and an id.
fn target(kind: &str, id: Option<i64>) -> Option<AuditTarget> {
    Some(match (kind, id) {
        ("user", Some(id)) => AuditTarget::Owner(OwnerId(id)),
        ("role", Some(id)) => AuditTarget::Role(RoleId(id)),
        ("admin-token", Some(id)) => AuditTarget::Token(TokenId(id), TokenKind::Admin),
        ("api-token", Some(id)) => AuditTarget::Token(TokenId(id), TokenKind::Content),
        ("session", Some(id)) => AuditTarget::Token(TokenId(id), TokenKind::Session),
        ("installation", None) => AuditTarget::Installation,
        _ => return None,
    })
}

impl Event {
    fn of(id: i64, event: AuditEvent, people: &HashMap<OwnerId, Option<Owner>>) -> Self {
        let withheld = event.details.is_null() || event.origin.actor == Actor::Withheld;
        let (user, token) = match event.origin.actor {
            Actor::Person(id) => {
                let known = people.get(&id).and_then(Option::as_ref);
                let (email, display_name) = (known.map(|o| o.email.clone()), known.map(Owner::display_name));
                (Some(EventUser { id: id.0, email, display_name }), None)
            }
            Actor::Token(TokenId(id)) => (None, Some(id)),
            Actor::Service | Actor::Visitor | Actor::Withheld => (None, None),
        };
        Self {
            id,
            action: event.what,
            date: event.at.to_string(),
            user,
            token,
            target: event.target.into(),
            address: event.origin.address.map(|a| a.to_string()),
            cause: event.cause.map(EventObject::from),
            payload: event.details,
            withheld,
        }
    }
}

pub(super) fn events(api: &Api, caller: &Caller) -> AuditLog {
    api.events.clone().acting_as(&caller.actor).from_address(caller.address)
}

/// Lists audit events, the latest first. Readers who are no super admin see of each as much as they may see of its target elsewhere; to ask for
/// the events of what they may not see is answered like asking for what is not there.
#[utoipa::path(get, path = "/admin/audit-logs", tag = "Audit log", params(
    ("page" = Option<u32>, Query, description = "From 1"),
    ("pageSize" = Option<u32>, Query, description = "From 1 to 100; 10 if left out"),
    ("action" = Option<String>, Query, description = "What was done: `token-issued`"),
    ("user" = Option<i64>, Query, description = "By this person"),
    ("token" = Option<i64>, Query, description = "By this token"),
    ("targetKind" = Option<String>, Query, description = "To what, with `targetId`: `user`, `role`, `admin-token`, `api-token`, `session`; or `installation`"),
    ("targetId" = Option<i64>, Query, description = "To which of that kind"),
    ("from" = Option<String>, Query, description = "Not before this date"),
    ("to" = Option<String>, Query, description = "Before this date"),
    ("sort" = Option<String>, Query, description = "`date:ASC` for the oldest first"),
    ("_q" = Option<String>, Query, description = "A text that is in the word for what was done"),
    ("filters" = Option<String>, Query, description = "`filters[action][$eq]=..`, `[$contains]` or `[$in][0]`; `filters[id][$eq]`, `filters[user][$eq]`, `filters[token][$eq]`; all have to pass"),
), responses((status = 200, body = EventPage)))]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    mut params: Params,
) -> Result<Json<EventPage>, Failure> {
    let paging = params.paging();
    let query = event_query(&mut params, paging);
    params.done()?;
    let page = events(&api, &caller).list(&query).await?;
    event_page(&api, page, query.paging).await
}

/// Lists the audit events of one admin token: for its owner and super admins.
#[utoipa::path(get, path = "/admin/admin-tokens/{id}/audit-logs", tag = "Audit log", params(
    ("id" = i64, Path),
    ("page" = Option<u32>, Query, description = "From 1"),
    ("pageSize" = Option<u32>, Query, description = "From 1 to 100; 10 if left out"),
    ("action" = Option<String>, Query, description = "What was done: `token-updated`"),
    ("user" = Option<i64>, Query, description = "By this person"),
    ("token" = Option<i64>, Query, description = "By this token"),
    ("from" = Option<String>, Query, description = "Not before this date"),
    ("to" = Option<String>, Query, description = "Before this date"),
    ("sort" = Option<String>, Query, description = "`date:ASC` for the oldest first"),
    ("_q" = Option<String>, Query, description = "A text that is in the word for what was done"),
    ("filters" = Option<String>, Query, description = "`filters[action][$eq]=..`, `[$contains]` or `[$in][0]`; `filters[id][$eq]`, `filters[user][$eq]`, `filters[token][$eq]`; all have to pass"),
), responses((status = 200, body = EventPage)))]
pub(super) async fn of_admin_token(
    State(api): State<Api>,
    Id(id): Id,
    caller: Caller,
    mut params: Params,
) -> Result<Json<EventPage>, Failure> {
    let paging = params.paging();
    let query = shared_query(&mut params, paging);
    params.done()?;
    let page = events(&api, &caller).of_token(TokenId(id), &query).await?;
    event_page(&api, page, query.paging).await
}

/// Reads an audit event. The parts that the caller may not see are withheld, as in the list.
#[utoipa::path(get, path = "/admin/audit-logs/{id}", tag = "Audit log", params(("id" = i64, Path)), responses((status = 200, body = Data<Event>)))]
pub(super) async fn read(State(api): State<Api>, Id(id): Id, caller: Caller) -> Result<Answer<Event>, Failure> {
    let query = EventQuery { id: Some(id), ..EventQuery::all(Paging { page: 1, page_size: 1 }) };
    let page = events(&api, &caller).list(&query).await?;
    with_names(&api, page.items, &mut HashMap::new()).await?.pop().map(ok).ok_or_else(Failure::not_found)
}

/// Which events are asked for, by all parameters but those of the page.
pub(super) fn event_query(params: &mut Params, paging: Paging) -> EventQuery {
    let mut query = shared_query(params, paging);
    let id = params.id("targetId");
    let kind = params.text("targetKind");
    query.target = kind.as_deref().and_then(|kind| target(kind, id));
    match (&kind, id) {
        (Some(_), _) if query.target.is_none() => {
            params.wrong(
                "targetKind",
                "must be user, role, admin-token, api-token or session with a targetId, or installation",
            );
        }
        (None, Some(_)) => params.wrong("targetKind", "is required with targetId"),
        _ => {}
    }
    query
}

/// A field that events are filtered by.
#[derive(Clone, Copy, PartialEq)]
enum EventField {
    Id,
    Action,
    User,
    Token,
}

const FIELDS: [(&str, EventField, Values); 4] = [
    ("id", EventField::Id, Values::Ids),
    ("action", EventField::Action, Values::Texts),
    ("user", EventField::User, Values::Ids),
    ("token", EventField::Token, Values::Ids),
];

fn shared_query(params: &mut Params, paging: Paging) -> EventQuery {
    let mut query = EventQuery {
        actions: params.read("action", "a word for what is done, such as token-issued", what).map(|what| vec![what]),
        person: params.id("user").map(OwnerId),
        token: params.id("token").map(TokenId),
        since: params.time("from"),
        until: params.time("to"),
        ..EventQuery::all(paging)
    };
    if let Some((_, descending)) = params.sort(&[("date", ()), ("id", ())]) {
        query.ascending = !descending;
    }
    let mut actions: Vec<Vec<AuditAction>> = query.actions.take().into_iter().collect();
    // Only the words of actions are searched: what an event says may be more than its reader may see.
    if let Some(text) = params.search() {
        actions.push(matching_actions(&Filter::contains(EventField::Action, text)));
    }
    for filter in params.filters(&FIELDS) {
        let id = |now: Option<i64>| match filter.values.as_slice() {
            [one] => one.parse().ok().filter(|id| now.is_none_or(|now| now == *id)),
            _ => None,
        };
        let taken = match filter.field {
            EventField::Action => {
                actions.push(matching_actions(&filter));
                continue;
            }
            EventField::Id => id(query.id).map(|id| query.id = Some(id)),
            EventField::User => id(query.person.map(|id| id.0)).map(|id| query.person = Some(OwnerId(id))),
            EventField::Token => id(query.token.map(|id| id.0)).map(|id| query.token = Some(TokenId(id))),
        };
        if taken.is_none() {
            params.wrong("filters", "can name one id, one user and one token: use $eq once for each");
        }
    }
    let all = actions.into_iter().reduce(|all, some| all.into_iter().filter(|what| some.contains(what)).collect());
    EventQuery { actions: all, ..query }
}

/// The actions whose word passes a filter.
fn matching_actions(filter: &Filter<EventField>) -> Vec<AuditAction> {
    AuditAction::ALL.into_iter().filter(|what| filter.passes(&word(*what))).collect()
}

/// The word of an action.
pub(super) fn word(what: AuditAction) -> String {
    // An enum without fields is a text.
    serde_json::to_value(what).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

fn what(word: &str) -> Option<AuditAction> {
    let word: StrDeserializer<'_, NoWord> = word.into_deserializer();
    serde::Deserialize::deserialize(word).ok()
}

async fn event_page(api: &Api, page: Page<(i64, AuditEvent)>, paging: Paging) -> Result<Json<EventPage>, Failure> {
    let results = with_names(api, page.items, &mut HashMap::new()).await?;
    Ok(Json(EventPage { results, pagination: Pagination::of(paging, page.total) }))
}

/// Events with the present names of the people in them. `people` keeps those that were loaded.
pub(super) async fn with_names(
    api: &Api,
    events: Vec<(i64, AuditEvent)>,
    people: &mut HashMap<OwnerId, Option<Owner>>,
) -> Result<Vec<Event>, Failure> {
    let person = |event: &AuditEvent| match event.origin.actor {
        Actor::Person(id) => Some(id),
        _ => None,
    };
    if people.len() > MOST_PEOPLE {
        people.clear();
    }
    let ids: Vec<OwnerId> = events.iter().filter_map(|(_, event)| person(event)).collect();
    let unknown: Vec<OwnerId> = ids.into_iter().filter(|id| !people.contains_key(id)).collect();
    if !unknown.is_empty() {
        people.extend(unknown.iter().map(|id| (*id, None)));
        people.extend(api.owners.among(unknown).await?.into_iter().map(|owner| (owner.id, Some(owner))));
    }
    Ok(events.into_iter().map(|(id, event)| Event::of(id, event, people)).collect())
}
