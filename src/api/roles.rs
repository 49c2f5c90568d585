//! `/roles`: named sets of permissions that bound users and their tokens.

use super::answer::{Answer, Data, List, created, ok};
use super::body::{Body, NoBody};
use super::failure::{Failure, Problem};
use super::json::{non_null, text_or_null};
use super::permission::{Permission, SentPermission, SentPermissions, show_permissions};
use super::query::{FieldType, LargePages, Params};
use super::request::Id;
use super::state::Api;
use super::unchanged::{Comparison, Unchanged};
use crate::admin::{self, PERMISSIONS, ServiceError};
use crate::domain::{self, RoleId};
use crate::guard::Caller;
use crate::store::{self, Filter};
use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A role.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Role {
    id: i64,
    name: String,
    description: String,
    /// Identifies a built-in role.
    code: Option<String>,
    created_at: String,
    updated_at: String,
    /// The number of users with this role.
    users_count: u64,
}

impl From<(domain::Role, u64)> for Role {
    fn from((role, users_count): (domain::Role, u64)) -> Self {
        Self {
            id: role.id.0,
            name: role.name,
            description: role.description,
            code: role.code,
            created_at: role.created_at.to_string(),
            updated_at: role.updated_at.to_string(),
            users_count,
        }
    }
}

/// A role to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct NewRole {
    name: String,
    description: Option<String>,
}

/// Changes to a role. Fields that are left out stay.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub(super) struct RoleUpdate {
    #[serde(default, deserialize_with = "non_null")]
    #[schema(nullable = false)]
    name: Option<String>,
    #[serde(default, deserialize_with = "text_or_null")]
    description: Option<String>,
    #[serde(default)]
    id: Unchanged,
    #[serde(default)]
    code: Unchanged,
    #[serde(default)]
    created_at: Unchanged,
    #[serde(default)]
    updated_at: Unchanged,
    #[serde(default)]
    users_count: Unchanged,
}

/// The new permissions of a role.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct RolePermissions {
    /// The whole list: the role loses permissions that are not in it.
    permissions: Vec<SentPermission>,
}

/// Reports a rejected change of a role at its `id`.
fn role_failure(error: ServiceError) -> Failure {
    match error {
        ServiceError::Impossible(why) => Problem::at(["id"], why).into(),
        error => error.into(),
    }
}

async fn load(api: &Api, id: RoleId) -> Result<Role, Failure> {
    Ok(api.keyward.roles().read_with_members(id).await?.into())
}

/// Lists roles, page by page.
#[utoipa::path(get, path = "/roles", tag = "Roles", params(
    LargePages,
    ("sort" = Option<String>, Query, description = "A field, and `:ASC` or `:DESC`: `name:DESC`; `id` if left out"),
    ("_q" = Option<String>, Query, description = "A part of the name or the description"),
    ("filters" = Option<String>, Query, description = "`filters[name][$eq]=..`, `[$contains]` or `[$in][0]`, of `id`, `name`, `description`, `code`; all have to pass"),
), responses((status = 200, body = List<Role>)))]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    mut params: Params,
) -> Result<Json<List<Role>>, Failure> {
    let paging = params.large_paging();
    let (sort, descending) = params.sort(&SORTS).unwrap_or((RoleField::Id, false));
    let (search, filters) = (params.search(), params.filters(&FIELDS));
    params.finish()?;
    let mut roles: Vec<Role> = api.roles(&caller).list().await?.into_iter().map(Role::from).collect();
    let search = search.map(|text| text.to_ascii_lowercase());
    roles.retain(|role| {
        let has = |text: &str| [&role.name, &role.description].iter().any(|of| of.to_ascii_lowercase().contains(text));
        let passes = |filter: &Filter<RoleField>| role.text(filter.field).is_some_and(|text| filter.passes(&text));
        search.as_deref().is_none_or(has) && filters.iter().all(passes)
    });
    match sort {
        RoleField::Id => {}
        RoleField::UpdatedAt => roles.sort_by(|a, b| a.updated_at.cmp(&b.updated_at)),
        RoleField::CreatedAt => roles.sort_by(|a, b| a.created_at.cmp(&b.created_at)),
        field => roles.sort_by_cached_key(|role| role.text(field).map(|text| text.to_lowercase())),
    }
    if descending {
        roles.reverse();
    }
    Ok(List::cut(roles, paging))
}

/// A field that roles are filtered or sorted by.
#[derive(Clone, Copy, PartialEq)]
enum RoleField {
    Id,
    Name,
    Description,
    Code,
    CreatedAt,
    UpdatedAt,
}

const SORTS: [(&str, RoleField); 4] = [
    ("id", RoleField::Id),
    ("name", RoleField::Name),
    ("createdAt", RoleField::CreatedAt),
    ("updatedAt", RoleField::UpdatedAt),
];

const FIELDS: [(&str, RoleField, FieldType); 4] = [
    ("id", RoleField::Id, FieldType::Id),
    ("name", RoleField::Name, FieldType::Text),
    ("description", RoleField::Description, FieldType::Text),
    ("code", RoleField::Code, FieldType::Text),
];

impl Role {
    fn text(&self, field: RoleField) -> Option<String> {
        match field {
            RoleField::Id => Some(self.id.to_string()),
            RoleField::Name => Some(self.name.clone()),
            RoleField::Description => Some(self.description.clone()),
            RoleField::Code => self.code.clone(),
            RoleField::CreatedAt => Some(self.created_at.clone()),
            RoleField::UpdatedAt => Some(self.updated_at.clone()),
        }
    }
}

/// Creates a role without permissions.
#[utoipa::path(post, path = "/roles", tag = "Roles", request_body = NewRole, responses((status = 201, body = Data<Role>)))]
pub(super) async fn create(
    State(api): State<Api>,
    caller: Caller,
    Body(new): Body<NewRole>,
) -> Result<(StatusCode, Answer<Role>), Failure> {
    let new = store::NewRole::new(new.name).description(new.description.unwrap_or_default());
    let role = api.roles(&caller).create(new).await?;
    Ok(created((role, 0).into()))
}

/// Reads a role.
#[utoipa::path(get, path = "/roles/{id}", tag = "Roles", params(("id" = i64, Path)), responses((status = 200, body = Data<Role>)))]
pub(super) async fn read(State(api): State<Api>, Id(id): Id) -> Result<Answer<Role>, Failure> {
    load(&api, RoleId(id)).await.map(ok)
}

/// Changes a role's name and description. Fields that are left out stay.
#[utoipa::path(put, path = "/roles/{id}", tag = "Roles", params(("id" = i64, Path)), request_body = RoleUpdate, responses((status = 200, body = Data<Role>)))]
pub(super) async fn update(
    State(api): State<Api>,
    Id(id): Id,
    caller: Caller,
    Body(update): Body<RoleUpdate>,
) -> Result<Answer<Role>, Failure> {
    let current = load(&api, RoleId(id)).await?;
    Comparison::new(&current)
        .fields([
            ("id", &update.id),
            ("code", &update.code),
            ("createdAt", &update.created_at),
            ("updatedAt", &update.updated_at),
            ("usersCount", &update.users_count),
        ])
        .finish()?;
    let change = admin::RoleUpdate { name: update.name, description: update.description, permissions: None };
    let role = api.roles(&caller).update(RoleId(id), change).await.map_err(role_failure)?;
    Ok(ok((role, current.users_count).into()))
}

/// Deletes a role that no user has.
#[utoipa::path(delete, path = "/roles/{id}", tag = "Roles", params(("id" = i64, Path)), responses((status = 200, body = Data<Role>)))]
pub(super) async fn delete(
    State(api): State<Api>,
    Id(id): Id,
    caller: Caller,
    _: NoBody,
) -> Result<Answer<Role>, Failure> {
    let role = api.roles(&caller).delete(RoleId(id)).await.map_err(role_failure)?;
    Ok(ok((role, 0).into()))
}

/// Lists a role's permissions.
#[utoipa::path(get, path = "/roles/{id}/permissions", tag = "Roles", params(("id" = i64, Path)), responses((status = 200, body = Data<Vec<Permission>>)))]
pub(super) async fn permissions(
    State(api): State<Api>,
    Id(id): Id,
    caller: Caller,
) -> Result<Answer<Vec<Permission>>, Failure> {
    let role = api.roles(&caller).read(RoleId(id)).await?;
    let permissions = if role.id == RoleId::SUPER_ADMIN { &*api.everything } else { &role.permissions };
    Ok(ok(show_permissions(permissions)))
}

/// Replaces a role's permissions. Tokens of its users lose grants that their owners no longer hold.
#[utoipa::path(put, path = "/roles/{id}/permissions", tag = "Roles", params(("id" = i64, Path)), request_body = RolePermissions, responses((status = 200, body = Data<Vec<Permission>>)))]
pub(super) async fn set_permissions(
    State(api): State<Api>,
    Id(id): Id,
    caller: Caller,
    Body(body): Body<RolePermissions>,
) -> Result<Answer<Vec<Permission>>, Failure> {
    let roles = api.roles(&caller);
    roles.may_change()?;
    let sent = SentPermissions { under: "permissions", list: &body.permissions, most: PERMISSIONS };
    let permissions = sent.of_role()?;
    let role = roles.set_permissions(RoleId(id), permissions).await.map_err(|error| match error {
        ServiceError::Impossible(_) => role_failure(error),
        error => Failure::of(error, &|p| sent.path(p)),
    })?;
    Ok(ok(show_permissions(&role.permissions)))
}
