//! Settings > Administration Panel > Audit Log: what was done, by whom.

use super::event::{kind, kinds, title, word};
use super::event_details::{Fact, Shown, Teller};
use super::failure::{Complaints, Failure};
use super::form::Query;
use super::frame::{Frame, Viewer};
use super::lifespan::Choice;
use super::list::{Paging, address};
use super::names::{Names, Piece};
use super::state::Pages;
use super::time::ConditionClause;
use super::{may, render};
use crate::domain::{AuditEvent, OwnerId, Timestamp, comparable, date};
use crate::guard::GuardedRouter;
use crate::store::{EventQuery, OwnerQuery, OwnerSort, Paging as Page};
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;
use serde::Deserialize;
use std::time::Duration;

const LIST: &str = "/admin/settings/audit-logs";
const READ: &str = "admin::audit-logs.read";
/// How many events a page shows.
const SIZE: u32 = 50;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn routes() -> GuardedRouter<Pages> {
    GuardedRouter::new().route(LIST, may(&[READ]), get(list))
}

/// What the address asks for.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Asked {
    what: String,
    /// By whom: an e-mail address, a part of a name, or `#` and the id of somebody who may be gone.
    by: String,
    from: String,
    to: String,
    page: String,
}

impl Asked {
    fn any(&self) -> bool {
        [&self.what, &self.by, &self.from, &self.to].iter().any(|text| !text.is_empty())
    }

    fn address(&self, page: &str) -> String {
        let Self { what, by, from, to, .. } = self;
        address(LIST, &[("what", what), ("by", by), ("from", from), ("to", to), ("page", page)])
    }
}

#[derive(Template)]
#[template(path = "audit.html")]
struct LogPage {
    frame: Frame,
    found: Complaints,
    asked: Asked,
    kinds: Vec<Choice>,
    rows: Vec<Row>,
    paging: Paging,
}

struct Row {
    at: ConditionClause,
    kind: &'static str,
    said: Vec<Piece>,
    address: Option<String>,
    facts: Vec<Fact>,
}

async fn list(State(pages): State<Pages>, viewer: Viewer, Query(asked): Query<Asked>) -> Result<Response, Failure> {
    let (query, found) = query(&pages, &viewer, &asked).await?;
    let (events, paging) = match found.any() {
        false => events(&pages, &viewer, query, &asked).await?,
        true => (Vec::new(), Paging::of(0, SIZE as usize, "", |_| String::new())),
    };
    let names = Names::of(&pages, &viewer, &events).await?;
    let teller = Teller { words: &pages.words, names: &names };
    let now = pages.now();
    let row = |(_, event): (i64, AuditEvent)| {
        let said = names.said(&event, &teller.fact(&event));
        let mut facts = teller.facts(&event);
        // Nothing is said twice.
        facts.retain(|fact| !said.iter().any(|piece| matches!(&fact.shown, Shown::Is(text) if *text == piece.text)));
        let address = event.origin.address.map(|address| address.to_string());
        Row { at: ConditionClause::past(event.at, now), kind: title(event.what), said, address, facts }
    };
    let choice = |what| Choice { value: word(what), title: title(what).to_owned(), chosen: asked.what == word(what) };
    let page = LogPage {
        frame: viewer.frame(LIST, "Audit Log"),
        found,
        kinds: kinds().into_iter().map(choice).collect(),
        rows: events.into_iter().map(row).collect(),
        paging,
        asked,
    };
    let status = if page.found.any() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    Ok(render(status, &page))
}

/// The page that was asked for; of those there are, if it is beyond the last.
async fn events(
    pages: &Pages,
    viewer: &Viewer,
    mut query: EventQuery,
    asked: &Asked,
) -> Result<(Vec<(i64, AuditEvent)>, Paging), Failure> {
    let service = pages.events.clone().acting_as(&viewer.actor).from_address(viewer.address);
    loop {
        let listed = service.list(&query).await?;
        let total = usize::try_from(listed.total).unwrap_or(usize::MAX);
        let page = query.paging.page.to_string();
        let paging = Paging::of(total, SIZE as usize, &page, |page| asked.address(page));
        match u32::try_from(paging.last) {
            Ok(last) if last < query.paging.page => query.paging.page = last,
            _ => return Ok((listed.items, paging)),
        }
    }
}

/// What is asked for, and what of it cannot be.
async fn query(pages: &Pages, viewer: &Viewer, asked: &Asked) -> Result<(EventQuery, Complaints), Failure> {
    let page = asked.page.parse().ok().filter(|page| *page > 0).unwrap_or(1);
    let mut query = EventQuery::all(Page { page, page_size: SIZE });
    let mut found = Complaints::default();
    let mut day = |name: &str, text: &str| {
        let at = Some(text).filter(|text| text.len() == 10).and_then(date::parse);
        if at.is_none() && !text.is_empty() {
            found.say(name, "must be a day such as 2026-01-31");
        }
        at
    };
    query.since = day("from", &asked.from);
    query.until = day("to", &asked.to).map(|to: Timestamp| to.plus(DAY));
    query.actions = kind(&asked.what).map(|what| vec![what]);
    if query.actions.is_none() && !asked.what.is_empty() {
        found.say("what", "there is no such kind of event");
    }
    match asked.by.trim() {
        "" => {}
        text => match somebody(pages, viewer, text).await? {
            Ok(id) => query.person = Some(id),
            Err(message) => found.say("by", message),
        },
    }
    Ok((query, found))
}

/// Who is meant.
async fn somebody(pages: &Pages, viewer: &Viewer, text: &str) -> Result<Result<OwnerId, &'static str>, Failure> {
    if let Some(id) = text.strip_prefix('#').and_then(|id| id.parse().ok()) {
        return Ok(Ok(OwnerId(id)));
    }
    if !viewer.may("admin::users.read") {
        let own = comparable(&viewer.owner.email) == comparable(text);
        return Ok(if own {
            Ok(viewer.id)
        } else {
            Err("you may see no list of users: enter your own e-mail address")
        });
    }
    let paging = Page { page: 1, page_size: 100 };
    let search = Some(text.to_owned());
    let like = pages.owners.list(&OwnerQuery { search, sort: OwnerSort::Email, ..OwnerQuery::all(paging) }).await?;
    let exactly = like.items.iter().find(|owner| comparable(&owner.email) == comparable(text));
    Ok(match (exactly, like.items.as_slice()) {
        (Some(owner), _) => Ok(owner.id),
        (None, [only]) => Ok(only.id),
        (None, []) => Err("nobody has this e-mail address or name"),
        (None, _) => Err("several people have this in their name: say the whole e-mail address"),
    })
}
