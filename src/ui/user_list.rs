//! The list of users.

use super::failure::Failure;
use super::form::Query;
use super::frame::Frame;
use super::list::{ColumnHead, PAGE_SIZE, PageQuery, Pager, Sort, address, column_heads};
use super::page::render;
use super::paths::USERS;
use super::state::Pages;
use super::time::RelativeTime;
use super::viewer::Viewer;
use crate::domain::{Ceiling, Owner, OwnerId, OwnerState, Role, RoleId};
use crate::store::{OwnerQuery, OwnerSort, Paging};
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use std::collections::{BTreeMap, HashMap};

pub(super) const CREATE: &str = "admin::users.create";
pub(super) const UPDATE: &str = "admin::users.update";

#[derive(Template)]
#[template(path = "users.html")]
struct ListPage {
    frame: Frame,
    notice: Option<&'static str>,
    can_create: bool,
    query: String,
    sort: String,
    columns: Vec<ColumnHead>,
    rows: Vec<Row>,
    pager: Pager,
}

struct Row {
    id: OwnerId,
    name: String,
    email: String,
    roles: Vec<String>,
    state: Badge,
    tokens: u64,
    created: RelativeTime,
    can_update: bool,
    is_viewer: bool,
}

/// The state of an account, with a colour.
pub(super) struct Badge {
    pub(super) text: &'static str,
    pub(super) class: &'static str,
}

impl Badge {
    pub(super) fn new(state: OwnerState) -> Self {
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
    Query(page_query): Query<PageQuery>,
) -> Result<Response, Failure> {
    const COLUMNS: [(&str, Option<&str>); 6] = [
        ("Name", Some("name")),
        ("E-mail", Some("email")),
        ("Roles", None),
        ("State", None),
        ("Admin tokens", None),
        ("Created", Some("created")),
    ];
    let sort = Sort::parse(&page_query.sort, &["name", "email", "created"]);
    let owners = viewer.owners();
    let query = |page: usize| OwnerQuery {
        search: page_query.search_text(),
        sort: match sort.column {
            "email" => OwnerSort::Email,
            "created" => OwnerSort::CreatedAt,
            _ => OwnerSort::Firstname,
        },
        descending: sort.descending,
        ..OwnerQuery::all(Paging { page: u32::try_from(page).unwrap_or(1), page_size: PAGE_SIZE as u32 })
    };
    let href = |page: &str| address(USERS, &[("q", &page_query.q), ("sort", &page_query.sort), ("page", page)]);
    let mut listed = owners.list(&query(page_query.page.parse().unwrap_or(1).max(1))).await?;
    let total = usize::try_from(listed.total).unwrap_or(usize::MAX);
    let pager = Pager::new(total, PAGE_SIZE, &page_query.page, href);
    if listed.items.is_empty() && listed.total > 0 {
        listed = owners.list(&query(pager.last)).await?;
    }
    let ids: Vec<OwnerId> = listed.items.iter().map(|owner| owner.id).collect();
    let tokens: HashMap<OwnerId, u64> = owners.tokens_of(&ids).await?.into_iter().collect();
    let roles = load_roles(&pages).await?;
    let ceiling = viewer.ceiling().await?;
    let now = pages.now();
    let row = |owner: Owner| Row {
        id: owner.id,
        name: owner.display_name(),
        roles: owner.roles.iter().filter_map(|id| roles.get(id)).map(|role| role.name.clone()).collect(),
        state: Badge::new(owner.state),
        tokens: tokens.get(&owner.id).copied().unwrap_or_default(),
        created: RelativeTime::new(owner.created_at, now),
        can_update: viewer.holds(UPDATE) && readonly_reason(&owner, &roles, &ceiling).is_none(),
        is_viewer: owner.id == viewer.id,
        email: owner.email,
    };
    let page = ListPage {
        frame: viewer.frame(USERS, "Users"),
        notice: (page_query.done == "deleted").then_some("The user and all their admin tokens are deleted."),
        can_create: viewer.holds(CREATE),
        columns: column_heads(USERS, &page_query, sort, &COLUMNS),
        rows: listed.items.into_iter().map(row).collect(),
        sort: sort.to_param(),
        pager,
        query: page_query.q,
    };
    Ok(render(StatusCode::OK, &page))
}

/// Returns why the viewer with this ceiling cannot change an account.
pub(super) fn readonly_reason(
    owner: &Owner,
    roles: &BTreeMap<RoleId, Role>,
    ceiling: &Ceiling,
) -> Option<&'static str> {
    let owner_ceiling = match owner.is_super_admin() {
        true => Ceiling::Unlimited,
        false => {
            let roles = owner.roles.iter().filter_map(|id| roles.get(id));
            Ceiling::Of(roles.flat_map(|role| role.permissions.iter().cloned()).collect())
        }
    };
    (!ceiling.covers(&owner_ceiling))
        .then_some("This user has permissions that you don’t have. You can view the account but not change it.")
}

pub(super) async fn load_roles(pages: &Pages) -> Result<BTreeMap<RoleId, Role>, Failure> {
    Ok(pages.keyward.roles().list().await?.into_iter().map(|(role, _)| (role.id, role)).collect())
}
