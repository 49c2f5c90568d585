//! Settings > Administration Panel > Roles.

use super::base::redirect;
use super::confirmation::{Confirmation, cancel_path};
use super::failure::Failure;
use super::form::{FormFields, Id, Query};
use super::form_errors::FormErrors;
use super::frame::Frame;
use super::grants::Selection;
use super::list::{ColumnHead, PAGE_SIZE, PageQuery, Pager, Sort, address, column_heads};
use super::matrix::{Matrix, MatrixKind};
use super::page::{render, require};
use super::paths::ROLES;
use super::state::Pages;
use super::time::RelativeTime;
use super::viewer::Viewer;
use crate::admin::{RoleUpdate, Roles, ServiceError};
use crate::domain::{Ceiling, Fields, Permission, Role, RoleId, Scope};
use crate::guard::GuardedRouter;
use crate::store::NewRole;
use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;

const CREATE: &str = "admin::roles.create";
const READ: &str = "admin::roles.read";
const UPDATE: &str = "admin::roles.update";
const DELETE: &str = "admin::roles.delete";

pub(super) fn routes() -> GuardedRouter<Pages> {
    let one = format!("{ROLES}/{{id}}");
    GuardedRouter::new()
        .route(ROLES, require(&[READ]), get(list))
        .route(&format!("{ROLES}/create"), require(&[READ, CREATE]), get(show_new).post(create))
        .route(&one, require(&[READ]), get(show))
        .route(&one, require(&[READ, UPDATE]), post(save))
        .route(&format!("{one}/delete"), require(&[READ, DELETE]), post(delete))
}

#[derive(Template)]
#[template(path = "roles.html")]
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
    id: RoleId,
    name: String,
    description: String,
    users: u64,
    tokens: u64,
    is_built_in: bool,
    can_update: bool,
}

#[derive(Template)]
#[template(path = "role.html")]
struct RolePage<'a> {
    frame: Frame,
    notice: Option<&'static str>,
    errors: &'a FormErrors,
    /// The saved name, whatever the form contains.
    title: &'a str,
    existing: Option<ExistingRole>,
    name: &'a str,
    description: &'a str,
    /// The reason why the viewer cannot change the role.
    readonly: Option<&'static str>,
    confirmation: Option<Confirmation>,
    /// The number of permissions of a duplicated role that the viewer cannot grant.
    left_out: usize,
    matrix: Matrix,
}

impl RolePage<'_> {
    fn button(&self) -> &'static str {
        if self.existing.is_some() { "Save" } else { "Create role" }
    }

    fn cancel(&self) -> String {
        cancel_path(ROLES, self.confirmation.as_ref(), self.existing.as_ref().map(|existing| existing.id))
    }
}

/// Properties of a role that exists.
struct ExistingRole {
    id: RoleId,
    version: String,
    is_built_in: bool,
    users: u64,
    tokens: u64,
    created: RelativeTime,
    updated: RelativeTime,
    can_delete: bool,
    can_duplicate: bool,
    /// Permissions that the form does not show.
    hidden: Vec<String>,
}

fn is_built_in(role: &Role) -> bool {
    role.code.is_some()
}

async fn list(viewer: Viewer, Query(query): Query<PageQuery>) -> Result<Response, Failure> {
    const COLUMNS: [(&str, Option<&str>); 4] =
        [("Name", Some("name")), ("Description", None), ("Users", Some("users")), ("Admin tokens", Some("tokens"))];
    let sort = Sort::parse(&query.sort, &["name", "users", "tokens"]);
    let roles = viewer.roles();
    let tokens: HashMap<RoleId, u64> = roles.tokens_of_members().await?.into_iter().collect();
    let ceiling = viewer.ceiling().await?;
    let search = query.q.trim().to_lowercase();
    let row = |(role, users): (Role, u64)| Row {
        users,
        tokens: tokens.get(&role.id).copied().unwrap_or_default(),
        is_built_in: is_built_in(&role),
        can_update: viewer.holds(UPDATE) && readonly_reason(&role, &ceiling).is_none(),
        id: role.id,
        name: role.name,
        description: role.description,
    };
    let mut rows: Vec<Row> = roles.list().await?.into_iter().map(row).collect();
    rows.retain(|row| [&row.name, &row.description].iter().any(|text| text.to_lowercase().contains(&search)));
    rows.sort_by(|a, b| {
        let order = match sort.column {
            "users" => a.users.cmp(&b.users),
            "tokens" => a.tokens.cmp(&b.tokens),
            _ => a.name.to_lowercase().cmp(&b.name.to_lowercase()),
        };
        (if sort.descending { order.reverse() } else { order }).then(a.id.cmp(&b.id))
    });
    let href = |page: &str| address(ROLES, &[("q", &query.q), ("sort", &query.sort), ("page", page)]);
    let pager = Pager::new(rows.len(), PAGE_SIZE, &query.page, href);
    let page = ListPage {
        frame: viewer.frame(ROLES, "Roles"),
        notice: (query.done == "deleted").then_some("The role is deleted."),
        can_create: viewer.holds(CREATE),
        columns: column_heads(ROLES, &query, sort, &COLUMNS),
        rows: pager.cut(rows),
        query: query.q,
        sort: sort.to_param(),
        pager,
    };
    Ok(render(StatusCode::OK, &page))
}

/// Returns why the viewer with this ceiling cannot change a role.
fn readonly_reason(role: &Role, ceiling: &Ceiling) -> Option<&'static str> {
    if role.id == RoleId::SUPER_ADMIN {
        return Some(
            "Super admins can do everything, including actions that are added later. This cannot be changed. Assign or remove \
             the role on the pages of users. At least one active super admin always remains.",
        );
    }
    let covered = ceiling.covers(&Ceiling::Of(role.permissions.clone()));
    (!covered).then_some("This role has permissions that you don’t have. You can view it but not change it.")
}

#[derive(Deserialize)]
struct DuplicateQuery {
    from: Option<i64>,
}

async fn show_new(
    State(pages): State<Pages>,
    viewer: Viewer,
    Query(DuplicateQuery { from }): Query<DuplicateQuery>,
) -> Result<Response, Failure> {
    let errors = FormErrors::default();
    let Some(from) = from else {
        return render_new(&pages, &viewer, StatusCode::OK, &errors, ("", ""), &Selection::default(), 0).await;
    };
    let Role { name, description, permissions, .. } = viewer.roles().read(RoleId(from)).await?;
    let ceiling = viewer.ceiling().await?;
    let (copied, left_out): (Vec<_>, Vec<_>) = permissions
        .into_iter()
        .partition(|p| ceiling.check_delegation(p).is_ok() && pages.registry.shows_permission(p));
    let (name, selection) = (format!("{name} (copy)"), Selection::from_permissions(&copied));
    render_new(&pages, &viewer, StatusCode::OK, &errors, (&name, &description), &selection, left_out.len()).await
}

async fn render_new(
    pages: &Pages,
    viewer: &Viewer,
    status: StatusCode,
    errors: &FormErrors,
    (name, description): (&str, &str),
    selection: &Selection,
    left_out: usize,
) -> Result<Response, Failure> {
    let ceiling = viewer.ceiling().await?;
    let page = RolePage {
        frame: viewer.frame(ROLES, "Create role"),
        notice: None,
        errors,
        title: "",
        existing: None,
        name,
        description,
        readonly: None,
        confirmation: None,
        left_out,
        matrix: Matrix::new(&pages.registry, MatrixKind::Role, &ceiling, selection, false),
    };
    Ok(render(status, &page))
}

async fn create(State(pages): State<Pages>, viewer: Viewer, form: FormFields) -> Result<Response, Failure> {
    let selection = Selection::parse_role(&form)?;
    let (name, description) = (form.text("name"), form.text("description"));
    let new = NewRole::new(name).description(description).permissions(selection.permissions());
    match viewer.roles().create(new).await {
        Ok(role) => Ok(redirect(&format!("{ROLES}/{}?done=created", role.id)).into_response()),
        Err(error) => {
            let errors = FormErrors::from_service(error)?;
            render_new(&pages, &viewer, StatusCode::BAD_REQUEST, &errors, (name, description), &selection, 0).await
        }
    }
}

async fn show(
    State(pages): State<Pages>,
    viewer: Viewer,
    Id(id): Id,
    Query(query): Query<PageQuery>,
) -> Result<Response, Failure> {
    let notice = match query.done.as_str() {
        "saved" => Some("Saved. The change applies from the next request on."),
        "created" => Some("Role created. Assign it to people on their pages, under Users."),
        _ => None,
    };
    render_existing(&pages, &viewer, StatusCode::OK, RoleId(id), PageState { notice, ..PageState::default() }).await
}

/// The state of a response besides the role.
#[derive(Default)]
struct PageState<'a> {
    notice: Option<&'static str>,
    errors: FormErrors,
    /// The form that was sent and is shown again.
    form: Option<&'a FormFields>,
    confirmation: Option<Confirmation>,
}

async fn render_existing(
    pages: &Pages,
    viewer: &Viewer,
    status: StatusCode,
    id: RoleId,
    state: PageState<'_>,
) -> Result<Response, Failure> {
    let PageState { notice, errors, form, confirmation } = state;
    let now = pages.now();
    let roles = viewer.roles();
    let (role, users) = roles.read_with_members(id).await?;
    let tokens = roles.tokens_of_members().await?.into_iter().find(|(of, _)| *of == id).map_or(0, |(_, n)| n);
    let ceiling = viewer.ceiling().await?;
    let role_reason = readonly_reason(&role, &ceiling);
    let viewer_reason = "You can view roles but not change them.";
    let readonly = role_reason.or((!viewer.holds(UPDATE)).then_some(viewer_reason));
    let everything = (id == RoleId::SUPER_ADMIN).then(|| pages.registry.catalogue.everything());
    let permissions = everything.as_ref().unwrap_or(&role.permissions);
    let (shown, _) = pages.registry.split_permissions(permissions);
    let (_, hidden) = pages.registry.split_permissions(&role.permissions);
    let selection = match form {
        Some(form) => Selection::parse_role(form)?,
        None => Selection::from_permissions(&shown),
    };
    let existing = ExistingRole {
        id,
        // A form that is shown again keeps its version, so that a second attempt still detects changes.
        version: form.map_or_else(|| role.version().to_string(), |form| form.text("version").to_owned()),
        is_built_in: is_built_in(&role),
        users,
        tokens,
        created: RelativeTime::new(role.created_at, now),
        updated: RelativeTime::new(role.updated_at, now),
        can_delete: viewer.holds(DELETE) && role_reason.is_none(),
        can_duplicate: viewer.holds(CREATE) && !is_built_in(&role),
        hidden: hidden.iter().map(|permission| pages.registry.scope_label(&permission.scope)).collect(),
    };
    let text = |name, saved: &str| form.map_or(saved, |form| form.text(name)).to_owned();
    let page = RolePage {
        frame: viewer.frame(ROLES, &role.name).with_address(format!("{ROLES}/{id}")),
        notice,
        errors: &errors,
        title: &role.name,
        existing: Some(existing),
        name: &text("name", &role.name),
        description: &text("description", &role.description),
        readonly,
        confirmation,
        left_out: 0,
        matrix: Matrix::new(&pages.registry, MatrixKind::Role, &ceiling, &selection, readonly.is_some()),
    };
    Ok(render(status, &page))
}

async fn save(State(pages): State<Pages>, viewer: Viewer, Id(id): Id, form: FormFields) -> Result<Response, Failure> {
    let id = RoleId(id);
    let roles = viewer.roles().if_version(form.version()?);
    let selection = Selection::parse_role(&form)?;
    let (status, state) = match update(&pages, &roles, id, &form, &selection).await {
        Ok(None) => return Ok(redirect(&format!("{ROLES}/{id}?done=saved")).into_response()),
        Ok(confirmation) => (StatusCode::OK, PageState { confirmation, ..PageState::default() }),
        Err(error) => {
            let errors = FormErrors::from_service(error)?;
            (StatusCode::BAD_REQUEST, PageState { errors, ..PageState::default() })
        }
    };
    render_existing(&pages, &viewer, status, id, PageState { form: Some(&form), ..state }).await
}

/// Saves the role, unless a confirmation is required first.
async fn update(
    pages: &Pages,
    roles: &Roles,
    id: RoleId,
    form: &FormFields,
    selection: &Selection,
) -> Result<Option<Confirmation>, ServiceError> {
    let before = roles.read(id).await?;
    let permissions = selection.update_permissions(&before.permissions, &pages.registry);
    if let Some(permissions) = &permissions {
        let clamped = roles.preview_clamp(id, permissions.clone()).await?;
        if let Some(confirmation) = Confirmation::required(clamped, &to_json(permissions), form) {
            return Ok(Some(confirmation));
        }
    }
    let (name, description) = (form.text("name").to_owned(), form.text("description").to_owned());
    roles.update(id, RoleUpdate { name: Some(name), description: Some(description), permissions }).await?;
    Ok(None)
}

/// Returns permissions in the form that a confirmation covers.
fn to_json(permissions: &[Permission]) -> Value {
    let entry = |permission: &Permission| {
        let Permission { scope: Scope { action, resource, fields }, when } = permission;
        let fields = match fields {
            Fields::All => None,
            Fields::Only(fields) => Some(fields.as_slice()),
        };
        json!([action, resource, fields, when.as_slice()])
    };
    permissions.iter().map(entry).collect()
}

async fn delete(State(pages): State<Pages>, viewer: Viewer, Id(id): Id, form: FormFields) -> Result<Response, Failure> {
    match viewer.roles().if_version(form.version()?).delete(RoleId(id)).await {
        Ok(_) => Ok(redirect(&format!("{ROLES}?done=deleted")).into_response()),
        Err(error) => {
            let state = PageState { errors: FormErrors::from_service(error)?, ..PageState::default() };
            render_existing(&pages, &viewer, StatusCode::BAD_REQUEST, RoleId(id), state).await
        }
    }
}
