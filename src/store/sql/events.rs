//! Audit events as query parameters.

use super::lists::{json, texts};
use super::{Arguments, Engine, statements};
use crate::domain::{Actor, AuditAction, AuditCause, AuditEvent, AuditOrigin, AuditTarget, Timestamp};
use crate::store::{EventQuery, EventsOfActor};
use serde::Serialize;
use sqlx::query;
use sqlx::query::Query;

/// Returns the query that adds one event.
pub(super) fn insert(event: &AuditEvent) -> Query<'static, Engine, Arguments> {
    let AuditEvent { at, origin, what, target, cause, details } = event;
    let (target, target_id, detail) = target_columns(*target);
    bind_event(statements::INSERT_AUDIT, *at, origin, *what, *cause)
        .bind(target)
        .bind(target_id)
        .bind(detail)
        .bind(details.to_string())
}

/// Returns the query that adds several events in this order.
pub(super) fn insert_list(events: &[AuditEvent]) -> Query<'static, Engine, Arguments> {
    #[derive(Serialize)]
    struct Line<'a> {
        at: i64,
        actor: &'static str,
        actor_id: Option<i64>,
        address: Option<String>,
        tool: Option<&'a str>,
        what: String,
        cause: Option<String>,
        target: &'static str,
        target_id: Option<i64>,
        detail: Option<&'static str>,
        details: String,
    }
    let line = |event: &AuditEvent| {
        let AuditEvent { at, origin, what, target, cause, details } = event;
        let ((actor, actor_id), (target, target_id, detail)) = (actor_columns(origin.actor), target_columns(*target));
        json(&Line {
            at: at.0,
            actor,
            actor_id,
            address: origin.address.map(|address| address.to_string()),
            tool: origin.tool.as_deref(),
            what: word(what),
            cause: cause.as_ref().map(json),
            target,
            target_id,
            detail,
            details: details.to_string(),
        })
    };
    let lines: Vec<String> = events.iter().map(line).collect();
    query(statements::INSERT_AUDIT_LIST).bind(format!("[{}]", lines.join(",")))
}

/// Binds the first seven parameters of a statement that adds events: all but the targets and details.
pub(super) fn bind_event(
    statement: &'static str,
    at: Timestamp,
    origin: &AuditOrigin,
    what: AuditAction,
    cause: Option<AuditCause>,
) -> Query<'static, Engine, Arguments> {
    let (actor, actor_id) = actor_columns(origin.actor);
    query(statement)
        .bind(at.0)
        .bind(actor)
        .bind(actor_id)
        .bind(origin.address.map(|address| address.to_string()))
        .bind(origin.tool.as_deref().map(str::to_owned))
        .bind(word(&what))
        .bind(cause.map(|cause| json(&cause)))
}

/// Binds the first eleven parameters of a statement that selects events.
pub(super) fn bind_filters(statement: &'static str, asked: &EventQuery) -> Query<'static, Engine, Arguments> {
    let (target, target_id, detail) =
        asked.target.map(target_columns).map_or((None, None, None), |(kind, id, detail)| (Some(kind), id, detail));
    query(statement)
        .bind(asked.actions.as_ref().map(|actions| {
            let words: Vec<String> = actions.iter().map(word).collect();
            texts(&words)
        }))
        .bind(target)
        .bind(target_id)
        .bind(detail)
        .bind(asked.person.map(|id| id.0))
        .bind(asked.token.map(|id| id.0))
        .bind(asked.since.map(|at| at.0))
        .bind(asked.until.map(|at| at.0))
        .bind(asked.tokens_of.map(|id| id.0))
        .bind(asked.id)
        .bind(asked.below)
}

/// Returns the query for the time of an actor's nth latest event of a kind.
pub(super) fn nth_latest(nth: u32, of: &EventsOfActor) -> Query<'static, Engine, Arguments> {
    let target = of.target.map(target_columns);
    let (actor, actor_id) = actor_columns(of.actor);
    query(statements::NTH_LATEST_EVENT)
        .bind(actor)
        .bind(actor_id)
        .bind(word(&of.what))
        .bind(of.since.0)
        .bind(target.map(|(kind, _, _)| kind))
        .bind(target.and_then(|(_, id, _)| id))
        .bind(i64::from(nth.saturating_sub(1)))
}

/// Returns the word of an enum variant without data, as its `Deserialize` reads it.
pub(super) fn word<T: Serialize>(variant: &T) -> String {
    json(variant).trim_matches('"').to_owned()
}

fn actor_columns(actor: Actor) -> (&'static str, Option<i64>) {
    match actor {
        Actor::Service => ("service", None),
        Actor::Person(id) => ("person", Some(id.0)),
        Actor::Token(id) => ("token", Some(id.0)),
        Actor::Visitor => ("visitor", None),
        Actor::Withheld => ("withheld", None),
    }
}

fn target_columns(target: AuditTarget) -> (&'static str, Option<i64>, Option<&'static str>) {
    match target {
        AuditTarget::Owner(id) => ("owner", Some(id.0), None),
        AuditTarget::Role(id) => ("role", Some(id.0), None),
        AuditTarget::Token(id, kind) => ("token", Some(id.0), Some(kind.as_str())),
        AuditTarget::Installation => ("installation", None, None),
        AuditTarget::Withheld(what) => ("withheld", None, Some(what.as_str())),
    }
}
