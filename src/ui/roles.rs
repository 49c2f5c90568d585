//! Settings > Administration Panel > Roles.

use super::base::redirect;
use super::failure::{Complaints, Failure};
use super::form::{Id, Query, Sent};
use super::frame::{Frame, Viewer};
use super::grants::Chosen;
use super::list::{Asked, Head, PAGE_SIZE, Paging, Sort, address, heads};
use super::matrix::{For, Matrix};
use super::state::Pages;
use super::time::ConditionClause;
use super::{may, render};
use crate::admin::{RoleUpdate, Roles, ServiceError};
use crate::domain::{Ceiling, Fields, Permission, Role, RoleId, Scope};
use crate::guard::GuardedRouter;
use crate::store::{Clamped, NewRole};
use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;

const LIST: &str = "/admin/settings/roles";

const CREATE: &str = "admin::roles.create";
const READ: &str = "admin::roles.read";
const UPDATE: &str = "admin::roles.update";
const DELETE: &str = "admin::roles.delete";

pub(super) fn routes() -> GuardedRouter<Pages> {
    let one = format!("{LIST}/{{id}}");
    GuardedRouter::new()
        .route(LIST, may(&[READ]), get(list))
        .route(&format!("{LIST}/create"), may(&[READ, CREATE]), get(new).post(save_new))
        .route(&one, may(&[READ]), get(show))
        .route(&one, may(&[READ, UPDATE]), post(save))
        .route(&format!("{one}/delete"), may(&[READ, DELETE]), post(delete))
}

#[derive(Template)]
#[template(path = "roles.html")]
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
    id: RoleId,
    name: String,
    description: String,
    users: u64,
    tokens: u64,
    built_in: bool,
    can_update: bool,
}

#[derive(Template)]
#[template(path = "role.html")]
struct RolePage<'a> {
    frame: Frame,
    said: Option<&'static str>,
    found: &'a Complaints,
    /// As it is now, whatever the form says.
    title: &'a str,
    existing: Option<Existing>,
    name: &'a str,
    description: &'a str,
    /// Why nothing can be changed here.
    readonly: Option<&'static str>,
    /// What saving would take from tokens, where that is to be confirmed.
    taken: Option<Taken>,
    /// How many permissions of a copied role are missing.
    left_out: usize,
    matrix: Matrix,
}

impl RolePage<'_> {
    fn button(&self) -> &'static str {
        if self.existing.is_some() { "Save" } else { "Create role" }
    }

    /// Where to go instead: while a question stands, back to what is there.
    fn cancel(&self) -> String {
        match (&self.taken, &self.existing) {
            (Some(_), Some(existing)) => format!("{LIST}/{}", existing.id),
            _ => LIST.to_owned(),
        }
    }
}

/// What only a role that is there has.
struct Existing {
    id: RoleId,
    version: String,
    built_in: bool,
    users: u64,
    tokens: u64,
    created: ConditionClause,
    updated: ConditionClause,
    can_delete: bool,
    can_duplicate: bool,
    hidden: Vec<String>,
}

/// What tokens lose by a change. It is made once whoever makes it has seen this.
pub(super) struct Taken {
    pub(super) tokens: u64,
    pub(super) grants: u64,
    /// What the form sends to say so.
    pub(super) value: String,
}

impl Taken {
    /// What is still to be confirmed: another change than the one that whoever sent the form has seen, or one that takes more by
    /// now, is a new question.
    pub(super) fn unconfirmed(clamped: Clamped, proposed: &Value, sent: &Sent) -> Option<Self> {
        let Clamped { tokens, grants, .. } = clamped;
        let digest = Sha256::digest(json!([tokens, grants, proposed]).to_string());
        let value = hex::encode(&digest[..16]);
        (grants > 0 && sent.text("confirmed") != value).then_some(Self { tokens, grants, value })
    }
}

fn roles(pages: &Pages, viewer: &Viewer) -> Roles {
    pages.roles.clone().acting_as(&viewer.actor).from_address(viewer.address)
}

fn is_built_in(role: &Role) -> bool {
    role.code.is_some()
}

async fn list(State(pages): State<Pages>, viewer: Viewer, Query(asked): Query<Asked>) -> Result<Response, Failure> {
    const COLUMNS: [(&str, Option<&str>); 4] =
        [("Name", Some("name")), ("Description", None), ("Users", Some("users")), ("Admin tokens", Some("tokens"))];
    let sort = Sort::asked(&asked.sort, &["name", "users", "tokens"]);
    let roles = roles(&pages, &viewer);
    let tokens: HashMap<RoleId, u64> = roles.tokens_of_members().await?.into_iter().collect();
    let ceiling = pages.ceiling(&viewer).await?;
    let wanted = asked.q.trim().to_lowercase();
    let row = |(role, users): (Role, u64)| Row {
        users,
        tokens: tokens.get(&role.id).copied().unwrap_or_default(),
        built_in: is_built_in(&role),
        can_update: viewer.may(UPDATE) && fixed(&role, &ceiling).is_none(),
        id: role.id,
        name: role.name,
        description: role.description,
    };
    let mut rows: Vec<Row> = roles.list().await?.into_iter().map(row).collect();
    rows.retain(|row| [&row.name, &row.description].iter().any(|text| text.to_lowercase().contains(&wanted)));
    rows.sort_by(|a, b| {
        let by = match sort.by {
            "users" => a.users.cmp(&b.users),
            "tokens" => a.tokens.cmp(&b.tokens),
            _ => a.name.to_lowercase().cmp(&b.name.to_lowercase()),
        };
        (if sort.descending { by.reverse() } else { by }).then(a.id.cmp(&b.id))
    });
    let href = |page: &str| address(LIST, &[("q", &asked.q), ("sort", &asked.sort), ("page", page)]);
    let paging = Paging::of(rows.len(), PAGE_SIZE, &asked.page, href);
    let page = ListPage {
        frame: viewer.frame(LIST, "Roles"),
        said: (asked.done == "deleted").then_some("The role is deleted."),
        can_create: viewer.may(CREATE),
        columns: heads(LIST, &asked, sort, &COLUMNS),
        rows: paging.part(rows),
        query: asked.q,
        sort: sort.text(),
        paging,
    };
    Ok(render(StatusCode::OK, &page))
}

/// Why a role cannot be changed, whatever anybody may.
fn fixed(role: &Role, ceiling: &Ceiling) -> Option<&'static str> {
    if role.id == RoleId::SUPER_ADMIN {
        return Some(
            "Super admins may do everything, also what is added later. Nothing of that is taken from permissions, so there is \
             nothing to change here: give or take the role itself, at each user. At least one active super admin always stays.",
        );
    }
    let covered = ceiling.covers(&Ceiling::Of(role.permissions.clone()));
    (!covered).then_some("This role may more than you: you may look at it, but not change it.")
}

#[derive(Deserialize)]
struct Copied {
    from: Option<i64>,
}

async fn new(
    State(pages): State<Pages>,
    viewer: Viewer,
    Query(Copied { from }): Query<Copied>,
) -> Result<Response, Failure> {
    let found = Complaints::default();
    let Some(from) = from else {
        return new_page(&pages, &viewer, StatusCode::OK, &found, ("", ""), &Chosen::default(), 0).await;
    };
    let Role { name, description, permissions, .. } = roles(&pages, &viewer).read(RoleId(from)).await?;
    let ceiling = pages.ceiling(&viewer).await?;
    let (given, kept): (Vec<_>, Vec<_>) =
        permissions.into_iter().partition(|p| ceiling.check_gift(p).is_ok() && pages.words.shows_permission(p));
    let (name, chosen) = (format!("{name} (copy)"), Chosen::of_permissions(&given));
    new_page(&pages, &viewer, StatusCode::OK, &found, (&name, &description), &chosen, kept.len()).await
}

async fn new_page(
    pages: &Pages,
    viewer: &Viewer,
    status: StatusCode,
    found: &Complaints,
    (name, description): (&str, &str),
    chosen: &Chosen,
    left_out: usize,
) -> Result<Response, Failure> {
    let ceiling = pages.ceiling(viewer).await?;
    let page = RolePage {
        frame: viewer.frame(LIST, "Create role"),
        said: None,
        found,
        title: "",
        existing: None,
        name,
        description,
        readonly: None,
        taken: None,
        left_out,
        matrix: pages.words.matrix(For::Role, &ceiling, chosen, false),
    };
    Ok(render(status, &page))
}

async fn save_new(State(pages): State<Pages>, viewer: Viewer, sent: Sent) -> Result<Response, Failure> {
    let chosen = Chosen::sent_for_role(&sent)?;
    let (name, description) = (sent.text("name"), sent.text("description"));
    let new = NewRole::new(name).description(description).permissions(chosen.permissions());
    match roles(&pages, &viewer).create(new).await {
        Ok(role) => Ok(redirect(&format!("{LIST}/{}?done=created", role.id)).into_response()),
        Err(error) => {
            let found = Complaints::from(error)?;
            new_page(&pages, &viewer, StatusCode::BAD_REQUEST, &found, (name, description), &chosen, 0).await
        }
    }
}

async fn show(
    State(pages): State<Pages>,
    viewer: Viewer,
    Id(id): Id,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    let said = match asked.done.as_str() {
        "saved" => Some("Saved. It counts from the next request on."),
        "created" => Some("The role is there. Give it to people on their pages, under Users."),
        _ => None,
    };
    one_page(&pages, &viewer, StatusCode::OK, RoleId(id), Extra { said, ..Extra::default() }).await
}

/// What one answer shows besides.
#[derive(Default)]
struct Extra<'a> {
    said: Option<&'static str>,
    found: Complaints,
    sent: Option<&'a Sent>,
    taken: Option<Taken>,
}

async fn one_page(
    pages: &Pages,
    viewer: &Viewer,
    status: StatusCode,
    id: RoleId,
    extra: Extra<'_>,
) -> Result<Response, Failure> {
    let now = pages.now();
    let roles = roles(pages, viewer);
    let (role, users) = roles.read_with_members(id).await?;
    let tokens = roles.tokens_of_members().await?.into_iter().find(|(of, _)| *of == id).map_or(0, |(_, n)| n);
    let ceiling = pages.ceiling(viewer).await?;
    let fixed = fixed(&role, &ceiling);
    let looks = "You may look at roles, but not change them.";
    let readonly = fixed.or((!viewer.may(UPDATE)).then_some(looks));
    let everything = (id == RoleId::SUPER_ADMIN).then(|| pages.words.catalogue.everything());
    let held = everything.as_ref().unwrap_or(&role.permissions);
    let (shown, _) = pages.words.split_permissions(held);
    let (_, hidden) = pages.words.split_permissions(&role.permissions);
    let chosen = match extra.sent {
        Some(sent) => Chosen::sent_for_role(sent)?,
        None => Chosen::of_permissions(&shown),
    };
    let said = |p: &Permission| pages.words.said_of(&p.scope.action, p.scope.resource.as_ref(), &p.scope.fields);
    let existing = Existing {
        id,
        // What is sent again was made from what the form was made from.
        version: extra.sent.map_or_else(|| role.version().to_string(), |sent| sent.text("version").to_owned()),
        built_in: is_built_in(&role),
        users,
        tokens,
        created: ConditionClause::of(role.created_at, now),
        updated: ConditionClause::of(role.updated_at, now),
        can_delete: viewer.may(DELETE) && fixed.is_none(),
        can_duplicate: viewer.may(CREATE) && !is_built_in(&role),
        hidden: hidden.iter().map(said).collect(),
    };
    let text = |name, kept: &str| extra.sent.map_or(kept.to_owned(), |sent| sent.text(name).to_owned());
    let page = RolePage {
        frame: Frame { address: Some(format!("{LIST}/{id}")), ..viewer.frame(LIST, &role.name) },
        said: extra.said,
        found: &extra.found,
        title: &role.name,
        existing: Some(existing),
        name: &text("name", &role.name),
        description: &text("description", &role.description),
        readonly,
        taken: extra.taken,
        left_out: 0,
        matrix: pages.words.matrix(For::Role, &ceiling, &chosen, readonly.is_some()),
    };
    Ok(render(status, &page))
}

async fn save(State(pages): State<Pages>, viewer: Viewer, Id(id): Id, sent: Sent) -> Result<Response, Failure> {
    let id = RoleId(id);
    let roles = roles(&pages, &viewer).if_version(sent.version()?);
    let chosen = Chosen::sent_for_role(&sent)?;
    let (status, extra) = match update(&pages, &roles, id, &sent, &chosen).await {
        Ok(None) => return Ok(redirect(&format!("{LIST}/{id}?done=saved")).into_response()),
        Ok(taken) => (StatusCode::OK, Extra { taken, ..Extra::default() }),
        Err(error) => (StatusCode::BAD_REQUEST, Extra { found: Complaints::from(error)?, ..Extra::default() }),
    };
    one_page(&pages, &viewer, status, id, Extra { sent: Some(&sent), ..extra }).await
}

/// Saves, or answers what has to be confirmed first.
async fn update(
    pages: &Pages,
    roles: &Roles,
    id: RoleId,
    sent: &Sent,
    chosen: &Chosen,
) -> Result<Option<Taken>, ServiceError> {
    let before = roles.read(id).await?;
    let permissions = chosen.permissions_onto(&before.permissions, &pages.words);
    if let Some(permissions) = &permissions {
        let clamped = roles.preview_clamp(id, permissions.clone()).await?;
        if let Some(taken) = Taken::unconfirmed(clamped, &proposed(permissions), sent) {
            return Ok(Some(taken));
        }
    }
    let (name, description) = (sent.text("name").to_owned(), sent.text("description").to_owned());
    roles.update(id, RoleUpdate { name: Some(name), description: Some(description), permissions }).await?;
    Ok(None)
}

/// The permissions of a changed role, as they are confirmed.
fn proposed(permissions: &[Permission]) -> Value {
    let one = |permission: &Permission| {
        let Permission { scope: Scope { action, resource, fields }, when } = permission;
        let fields = match fields {
            Fields::All => None,
            Fields::Only(fields) => Some(fields.as_slice()),
        };
        json!([action, resource, fields, when.as_slice()])
    };
    permissions.iter().map(one).collect()
}

async fn delete(State(pages): State<Pages>, viewer: Viewer, Id(id): Id, sent: Sent) -> Result<Response, Failure> {
    match roles(&pages, &viewer).if_version(sent.version()?).delete(RoleId(id)).await {
        Ok(_) => Ok(redirect(&format!("{LIST}?done=deleted")).into_response()),
        Err(error) => {
            let extra = Extra { found: Complaints::from(error)?, ..Extra::default() };
            one_page(&pages, &viewer, StatusCode::BAD_REQUEST, RoleId(id), extra).await
        }
    }
}
