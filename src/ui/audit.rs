//! Settings > Administration Panel > Audit Log.

use super::event::{action_label, action_word, parse_action};
use super::event_details::{Detail, DetailRenderer, DetailValue};
use super::failure::Failure;
use super::form::Query;
use super::form_errors::FormErrors;
use super::frame::Frame;
use super::lifespan::SelectOption;
use super::list::{Pager, address};
use super::names::{Label, Names};
use super::page::{render, require};
use super::paths::AUDIT_LOG;
use super::state::Pages;
use super::time::RelativeTime;
use super::viewer::Viewer;
use crate::domain::{AuditAction, AuditEvent, OwnerId, Timestamp, comparable, date};
use crate::guard::GuardedRouter;
use crate::store::{EventQuery, OwnerQuery, OwnerSort, Paging};
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;
use serde::Deserialize;
use std::time::Duration;

/// The number of events on a page.
const PAGE_SIZE: u32 = 50;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn routes() -> GuardedRouter<Pages> {
    GuardedRouter::new().route(AUDIT_LOG, require(&["admin::audit-logs.read"]), get(list))
}

/// The query of the page's address.
#[derive(Deserialize, Default)]
#[serde(default)]
struct AuditQuery {
    what: String,
    /// The person who acted: an e-mail address, a part of a name, or `#` and the id of an account that may be deleted.
    by: String,
    from: String,
    to: String,
    page: String,
}

impl AuditQuery {
    fn has_filters(&self) -> bool {
        [&self.what, &self.by, &self.from, &self.to].iter().any(|text| !text.is_empty())
    }

    fn address(&self, page: &str) -> String {
        let Self { what, by, from, to, .. } = self;
        address(AUDIT_LOG, &[("what", what), ("by", by), ("from", from), ("to", to), ("page", page)])
    }
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    frame: Frame,
    errors: FormErrors,
    query: AuditQuery,
    actions: Vec<SelectOption>,
    rows: Vec<Row>,
    pager: Pager,
}

struct Row {
    at: RelativeTime,
    action: &'static str,
    target: Label,
    actor: Label,
    address: Option<String>,
    tool: Option<String>,
    details: Vec<Detail>,
}

async fn list(
    State(pages): State<Pages>,
    viewer: Viewer,
    Query(query): Query<AuditQuery>,
) -> Result<Response, Failure> {
    let (filter, errors) = parse_filter(&pages, &viewer, &query).await?;
    let (events, pager) = match errors.is_empty() {
        true => load_events(&viewer, filter, &query).await?,
        false => (Vec::new(), Pager::new(0, PAGE_SIZE as usize, "", |_| String::new())),
    };
    let names = Names::load(&pages, &viewer, &events).await?;
    let details = DetailRenderer { registry: &pages.registry, names: &names };
    let now = pages.now();
    let row = |(_, event): (i64, AuditEvent)| Row {
        at: RelativeTime::past(event.at, now),
        action: action_label(event.what),
        target: names.target_label(event.target),
        actor: names.actor_label(event.origin.actor),
        address: event.origin.address.map(|address| address.to_string()),
        tool: event.origin.tool.as_deref().map(str::to_owned),
        details: details.render(&event),
    };
    let option = |action: AuditAction| SelectOption {
        value: action_word(action),
        title: action_label(action).to_owned(),
        selected: query.what == action_word(action),
    };
    let page = AuditPage {
        frame: viewer.frame(AUDIT_LOG, "Audit Log"),
        actions: AuditAction::ALL.into_iter().map(option).collect(),
        rows: events.into_iter().map(row).collect(),
        errors,
        pager,
        query,
    };
    let status = if page.errors.is_empty() { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    Ok(render(status, &page))
}

/// Loads a page of events. A page after the last one means the last one.
async fn load_events(
    viewer: &Viewer,
    mut filter: EventQuery,
    query: &AuditQuery,
) -> Result<(Vec<(i64, AuditEvent)>, Pager), Failure> {
    loop {
        let listed = viewer.audit().list(&filter).await?;
        let total = usize::try_from(listed.total).unwrap_or(usize::MAX);
        let page = filter.paging.page.to_string();
        let pager = Pager::new(total, PAGE_SIZE as usize, &page, |page| query.address(page));
        match u32::try_from(pager.last) {
            Ok(last) if last < filter.paging.page => filter.paging.page = last,
            _ => return Ok((listed.items, pager)),
        }
    }
}

async fn parse_filter(pages: &Pages, viewer: &Viewer, query: &AuditQuery) -> Result<(EventQuery, FormErrors), Failure> {
    let page = query.page.parse().ok().filter(|page| *page > 0).unwrap_or(1);
    let mut filter = EventQuery::all(Paging { page, page_size: PAGE_SIZE });
    let mut errors = FormErrors::default();
    let mut day = |name: &str, text: &str| {
        let at = Some(text).filter(|text| text.len() == 10).and_then(date::parse);
        if at.is_none() && !text.is_empty() {
            errors.add(name, "Enter a day such as 2026-01-31");
        }
        at
    };
    filter.since = day("from", &query.from);
    filter.until = day("to", &query.to).map(|to: Timestamp| to.plus(DAY));
    filter.actions = parse_action(&query.what).map(|action| vec![action]);
    if filter.actions.is_none() && !query.what.is_empty() {
        errors.add("what", "Select an action from the list");
    }
    match query.by.trim() {
        "" => {}
        text => match find_person(pages, viewer, text).await? {
            Ok(id) => filter.person = Some(id),
            Err(message) => errors.add("by", message),
        },
    }
    Ok((filter, errors))
}

/// Finds the account of a person. A viewer who may not list users finds only their own.
async fn find_person(pages: &Pages, viewer: &Viewer, text: &str) -> Result<Result<OwnerId, &'static str>, Failure> {
    if let Some(id) = text.strip_prefix('#').and_then(|id| id.parse().ok()) {
        return Ok(Ok(OwnerId(id)));
    }
    if !viewer.holds("admin::users.read") {
        let is_own = comparable(&viewer.owner.email) == comparable(text);
        return Ok(match is_own {
            true => Ok(viewer.id),
            false => Err("You do not have permission to list users: enter your own e-mail address"),
        });
    }
    let query = OwnerQuery {
        search: Some(text.to_owned()),
        sort: OwnerSort::Email,
        ..OwnerQuery::all(Paging { page: 1, page_size: 100 })
    };
    let matches = pages.keyward.owners().list(&query).await?;
    let exact = matches.items.iter().find(|owner| comparable(&owner.email) == comparable(text));
    Ok(match (exact, matches.items.as_slice()) {
        (Some(owner), _) => Ok(owner.id),
        (None, [only]) => Ok(only.id),
        (None, []) => Err("No user has this e-mail address or name"),
        (None, _) => Err("Several users match: enter the full e-mail address"),
    })
}
