//! `/audit-logs`: the audit log.

use super::answer::{Answer, Data, ok};
use super::failure::Failure;
use super::query::{FieldType, Pagination, Params, SmallPages, describe_param};
use super::request::Id;
use super::state::Api;
use crate::domain::{
    Actor, AuditAction, AuditCause, AuditEvent, AuditTarget, Owner, OwnerId, RoleId, TokenId, TokenKind,
};
use crate::guard::Caller;
use crate::store::{EventQuery, Filter, Page, Paging};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as UnknownWord, StrDeserializer};
use std::collections::HashMap;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::{IntoParams, ToSchema};

/// The number of people whose names an export keeps in memory.
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
    /// The action: `token-issued`, `token-expiring`, `signed-in`, ...
    #[schema(value_type = String)]
    pub(super) action: AuditAction,
    pub(super) date: String,
    /// The person who acted, if it was a person. Of a deleted account only the id is left.
    pub(super) user: Option<EventUser>,
    /// The id of the token that acted, if it was a token.
    pub(super) token: Option<i64>,
    pub(super) target: EventObject,
    /// The client's address, if known.
    pub(super) address: Option<String>,
    /// `mcp` if a call of an MCP server caused the event, else `http`; null for the program itself, and if it is withheld.
    pub(super) origin: Option<&'static str>,
    /// The tool that was called, or the method of another call.
    pub(super) tool: Option<String>,
    /// The change that made this one necessary.
    pub(super) cause: Option<EventObject>,
    /// Details, which depend on the action.
    pub(super) payload: serde_json::Value,
    /// Whether parts are withheld from the reader, as null. A reader sees as much of an event as of its target
    /// elsewhere: nothing of other owners' admin tokens and sessions.
    pub(super) withheld: bool,
}

/// A person, with their present name.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct EventUser {
    pub(super) id: i64,
    pub(super) email: Option<String>,
    display_name: Option<String>,
}

/// The target or the cause of an event.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EventObject {
    /// For a target: `user`, `role`, `admin-token`, `api-token`, `session`, `installation`. For a cause:
    /// `role-permissions`, `user-roles`, `user-deleted`, `account-changed`, `catalogue`, `leaked`.
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
            AuditCause::AccountChanged(OwnerId(id)) => ("account-changed", Some(id)),
            AuditCause::Catalogue => ("catalogue", None),
            AuditCause::Renamed => ("renamed", None),
            AuditCause::ParentRevoked(TokenId(id)) => ("parent-revoked", Some(id)),
            AuditCause::ParentRegenerated(TokenId(id)) => ("parent-regenerated", Some(id)),
            AuditCause::SecretReused => ("secret-reused", None),
            AuditCause::Leaked => ("leaked", None),
            AuditCause::Bearer => ("bearer", None),
        };
        Self { kind, id }
    }
}

fn parse_target(kind: &str, id: Option<i64>) -> Option<AuditTarget> {
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
    fn new(id: i64, event: AuditEvent, people: &HashMap<OwnerId, Option<Owner>>) -> Self {
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
            origin: match (event.origin.actor, &event.origin.tool) {
                (_, Some(_)) => Some("mcp"),
                (Actor::Person(_) | Actor::Token(_) | Actor::Visitor, None) if !withheld => Some("http"),
                _ => None,
            },
            tool: event.origin.tool.as_deref().map(str::to_owned),
            cause: event.cause.map(EventObject::from),
            payload: event.details,
            withheld,
        }
    }
}

/// Describes the parameters that lists and exports share.
pub(super) struct EventFilters;

impl IntoParams for EventFilters {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![
            describe_param::<String>("action", "Events of this action: `token-issued`"),
            describe_param::<i64>("user", "Events by this person"),
            describe_param::<i64>("token", "Events by this token"),
            describe_param::<String>("from", "Not before this date"),
            describe_param::<String>("to", "Before this date"),
            describe_param::<String>("_q", "A part of the action"),
            describe_param::<String>(
                "filters",
                "`filters[action][$eq]=..`, `[$contains]` or `[$in][0]`; `filters[id][$eq]`, `filters[user][$eq]`, \
                 `filters[token][$eq]`; all have to pass",
            ),
        ]
    }
}

/// Describes the parameters that choose a target.
pub(super) struct TargetFilters;

impl IntoParams for TargetFilters {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let kinds = "With `targetId`: `user`, `role`, `admin-token`, `api-token`, `session`; or `installation`";
        vec![describe_param::<String>("targetKind", kinds), describe_param::<i64>("targetId", "The id of the target")]
    }
}

/// Lists audit events, the latest first. A reader who is not a super admin sees as much of an event as of its target
/// elsewhere. Events of a target that the reader may not see are left out, as if there were none.
#[utoipa::path(get, path = "/audit-logs", tag = "Audit log", params(
    SmallPages,
    EventFilters,
    TargetFilters,
    ("sort" = Option<String>, Query, description = "`date:ASC` for the oldest first"),
), responses((status = 200, body = EventPage)))]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    mut params: Params,
) -> Result<Json<EventPage>, Failure> {
    let paging = params.paging();
    let query = event_query(&mut params, paging);
    params.finish()?;
    let page = api.audit(&caller).list(&query).await?;
    show_page(&api, page, query.paging).await
}

/// Lists the audit events of one admin token. For its owner and super admins.
#[utoipa::path(get, path = "/admin-tokens/{id}/audit-logs", tag = "Audit log", params(
    ("id" = i64, Path),
    SmallPages,
    EventFilters,
    ("sort" = Option<String>, Query, description = "`date:ASC` for the oldest first"),
), responses((status = 200, body = EventPage)))]
pub(super) async fn list_by_admin_token(
    State(api): State<Api>,
    Id(id): Id,
    caller: Caller,
    mut params: Params,
) -> Result<Json<EventPage>, Failure> {
    let paging = params.paging();
    let query = shared_query(&mut params, paging);
    params.finish()?;
    let page = api.audit(&caller).of_token(TokenId(id), &query).await?;
    show_page(&api, page, query.paging).await
}

/// Reads an audit event. The parts that the caller may not see are withheld, as in the list.
#[utoipa::path(get, path = "/audit-logs/{id}", tag = "Audit log", params(("id" = i64, Path)), responses((status = 200, body = Data<Event>)))]
pub(super) async fn read(State(api): State<Api>, Id(id): Id, caller: Caller) -> Result<Answer<Event>, Failure> {
    let query = EventQuery { id: Some(id), ..EventQuery::all(Paging { page: 1, page_size: 1 }) };
    let page = api.audit(&caller).list(&query).await?;
    resolve_names(&api, page.items, &mut HashMap::new()).await?.pop().map(ok).ok_or_else(Failure::not_found)
}

/// Takes all parameters but those of the page.
pub(super) fn event_query(params: &mut Params, paging: Paging) -> EventQuery {
    let mut query = shared_query(params, paging);
    let id = params.id("targetId");
    let kind = params.text("targetKind");
    query.target = kind.as_deref().and_then(|kind| parse_target(kind, id));
    match (&kind, id) {
        (Some(_), _) if query.target.is_none() => {
            params.reject(
                "targetKind",
                "must be user, role, admin-token, api-token or session with a targetId, or installation",
            );
        }
        (None, Some(_)) => params.reject("targetKind", "is required with targetId"),
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

const FIELDS: [(&str, EventField, FieldType); 4] = [
    ("id", EventField::Id, FieldType::Id),
    ("action", EventField::Action, FieldType::Text),
    ("user", EventField::User, FieldType::Id),
    ("token", EventField::Token, FieldType::Id),
];

/// Takes the parameters that lists of one target have too.
fn shared_query(params: &mut Params, paging: Paging) -> EventQuery {
    let action = params.parse("action", "a word for what is done, such as token-issued", parse_action);
    let mut query = EventQuery {
        actions: action.map(|action| vec![action]),
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
    // Searches actions only: a search in details would reveal what is withheld from the reader.
    if let Some(text) = params.search() {
        actions.push(matching_actions(&Filter::contains(EventField::Action, text)));
    }
    for filter in params.filters(&FIELDS) {
        let id = |now: Option<i64>| match filter.values.as_slice() {
            [one] => one.parse().ok().filter(|id| now.is_none_or(|now| now == *id)),
            _ => None,
        };
        let accepted = match filter.field {
            EventField::Action => {
                actions.push(matching_actions(&filter));
                continue;
            }
            EventField::Id => id(query.id).map(|id| query.id = Some(id)),
            EventField::User => id(query.person.map(|id| id.0)).map(|id| query.person = Some(OwnerId(id))),
            EventField::Token => id(query.token.map(|id| id.0)).map(|id| query.token = Some(TokenId(id))),
        };
        if accepted.is_none() {
            params.reject("filters", "can name one id, one user and one token: use $eq once for each");
        }
    }
    let all = actions.into_iter().reduce(|all, some| all.into_iter().filter(|action| some.contains(action)).collect());
    EventQuery { actions: all, ..query }
}

/// Returns the actions whose word passes a filter.
fn matching_actions(filter: &Filter<EventField>) -> Vec<AuditAction> {
    AuditAction::ALL.into_iter().filter(|action| filter.passes(&action_word(*action))).collect()
}

/// Returns the word of an action on the wire.
pub(super) fn action_word(action: AuditAction) -> String {
    // Serializing cannot fail: a unit variant becomes a text.
    serde_json::to_value(action).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

fn parse_action(word: &str) -> Option<AuditAction> {
    let word: StrDeserializer<'_, UnknownWord> = word.into_deserializer();
    serde::Deserialize::deserialize(word).ok()
}

async fn show_page(api: &Api, page: Page<(i64, AuditEvent)>, paging: Paging) -> Result<Json<EventPage>, Failure> {
    let results = resolve_names(api, page.items, &mut HashMap::new()).await?;
    Ok(Json(EventPage { results, pagination: Pagination::new(paging, page.total) }))
}

/// Adds the present names of people to events. `people` caches the accounts between calls.
pub(super) async fn resolve_names(
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
        people.extend(api.keyward.owners().among(unknown).await?.into_iter().map(|owner| (owner.id, Some(owner))));
    }
    Ok(events.into_iter().map(|(id, event)| Event::new(id, event, people)).collect())
}
