//! The list of users, and how an account stands there.

use super::failure::Failure;
use super::form::Query;
use super::frame::{Frame, Viewer};
use super::list::{Asked, Head, PAGE_SIZE, Paging, Sort, address, heads};
use super::render;
use super::state::Pages;
use super::time::ConditionClause;
use super::users::{CREATE, LIST, UPDATE};
use crate::admin::Owners;
use crate::domain::{Ceiling, Owner, OwnerId, OwnerState, Role, RoleId};
use crate::store::{OwnerQuery, OwnerSort, Paging as Page};
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use std::collections::{BTreeMap, HashMap};

#[derive(Template)]
#[template(path = "users.html")]
struct ListPage {
    frame: Frame,
    said: Option<&'static str>,
    can_create: bool,
    query: String,
    sort: String,
    columns: Vec<Head>,
    rows: Vec<Row>,
    paging: Paging,
}

struct Row {
    id: OwnerId,
    name: String,
    email: String,
    roles: Vec<String>,
    state: Badge,
    tokens: u64,
    created: ConditionClause,
    can_update: bool,
    yours: bool,
}

/// Where an account stands, in a word and a colour.
pub(super) struct Badge {
    pub(super) text: &'static str,
    pub(super) class: &'static str,
}

impl Badge {
    pub(super) fn of(state: OwnerState) -> Self {
        let (text, class) = match state {
            OwnerState::Active => ("active", "good"),
            OwnerState::Invited => ("invited", "accent"),
            OwnerState::Deactivated => ("deactivated", "bad"),
            OwnerState::Blocked => ("blocked", "bad"),
            OwnerState::DeactivatedAndBlocked => ("deactivated and blocked", "bad"),
        };
        Self { text, class }
    }
}

pub(super) async fn list(
    State(pages): State<Pages>,
    viewer: Viewer,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    const COLUMNS: [(&str, Option<&str>); 6] = [
        ("Name", Some("name")),
        ("E-mail", Some("email")),
        ("Roles", None),
        ("State", None),
        ("Admin tokens", None),
        ("Created", Some("created")),
    ];
    let sort = Sort::asked(&asked.sort, &["name", "email", "created"]);
    let owners = owners(&pages, &viewer);
    let query = |page: usize| OwnerQuery {
        search: asked.searched(),
        sort: match sort.by {
            "email" => OwnerSort::Email,
            "created" => OwnerSort::CreatedAt,
            _ => OwnerSort::Firstname,
        },
        descending: sort.descending,
        ..OwnerQuery::all(Page { page: u32::try_from(page).unwrap_or(1), page_size: PAGE_SIZE as u32 })
    };
    let href = |page: &str| address(LIST, &[("q", &asked.q), ("sort", &asked.sort), ("page", page)]);
    let first = asked.page.parse().unwrap_or(1).max(1);
    let mut found = owners.list(&query(first)).await?;
    let paging = Paging::of(usize::try_from(found.total).unwrap_or(usize::MAX), PAGE_SIZE, &asked.page, href);
    if found.items.is_empty() && found.total > 0 {
        found = owners.list(&query(paging.last)).await?;
    }
    let ids: Vec<OwnerId> = found.items.iter().map(|owner| owner.id).collect();
    let tokens: HashMap<OwnerId, u64> = owners.tokens_of(&ids).await?.into_iter().collect();
    let roles = all_roles(&pages).await?;
    let ceiling = pages.ceiling(&viewer).await?;
    let now = pages.now();
    let row = |owner: Owner| Row {
        id: owner.id,
        name: owner.display_name(),
        roles: owner.roles.iter().filter_map(|id| roles.get(id)).map(|role| role.name.clone()).collect(),
        state: Badge::of(owner.state),
        tokens: tokens.get(&owner.id).copied().unwrap_or_default(),
        created: ConditionClause::of(owner.created_at, now),
        can_update: viewer.may(UPDATE) && out_of_reach(&owner, &roles, &ceiling).is_none(),
        yours: owner.id == viewer.id,
        email: owner.email,
    };
    let page = ListPage {
        frame: viewer.frame(LIST, "Users"),
        said: (asked.done == "deleted").then_some("The user is deleted, with all of their admin tokens."),
        can_create: viewer.may(CREATE),
        columns: heads(LIST, &asked, sort, &COLUMNS),
        rows: found.items.into_iter().map(row).collect(),
        sort: sort.text(),
        paging,
        query: asked.q,
    };
    Ok(render(StatusCode::OK, &page))
}

/// Why somebody's account is not the viewer's to change.
pub(super) fn out_of_reach(owner: &Owner, roles: &BTreeMap<RoleId, Role>, ceiling: &Ceiling) -> Option<&'static str> {
    let theirs = match owner.is_super_admin() {
        true => Ceiling::Unlimited,
        false => {
            let held = owner.roles.iter().filter_map(|id| roles.get(id));
            Ceiling::Of(held.flat_map(|role| role.permissions.iter().cloned()).collect())
        }
    };
    (!ceiling.covers(&theirs)).then_some("They may more than you: you may look at their account, but not change it.")
}

pub(super) fn owners(pages: &Pages, viewer: &Viewer) -> Owners {
    pages.owners.clone().acting_as(&viewer.actor).from_address(viewer.address)
}

pub(super) async fn all_roles(pages: &Pages) -> Result<BTreeMap<RoleId, Role>, Failure> {
    Ok(pages.roles.list().await?.into_iter().map(|(role, _)| (role.id, role)).collect())
}
