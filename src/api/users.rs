//! `/users`: accounts of people, as other people see and change them.

use super::answer::{Answer, Data, created, ok};
use super::body::{Body, NoBody};
use super::failure::{Failure, Problem, Problems};
use super::json::{non_null, nullable, text_or_null};
use super::query::{FieldType, Pagination, Params, SmallPages};
use super::request::Id;
use super::state::Api;
use super::unchanged::{Comparison, Unchanged};
use super::user::{RoleChoice, User};
use crate::admin::{Invitation, OwnerUpdate, Password, ROLES};
use crate::domain::{AccountKind, OwnerId, OwnerState, Role, RoleId};
use crate::guard::Caller;
use crate::store::{NewOwner, OwnerField, OwnerQuery, OwnerSort};
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use utoipa::ToSchema;

const SORTS: [(&str, OwnerSort); 6] = [
    ("id", OwnerSort::Id),
    ("email", OwnerSort::Email),
    ("firstname", OwnerSort::Firstname),
    ("lastname", OwnerSort::Lastname),
    ("username", OwnerSort::Username),
    ("createdAt", OwnerSort::CreatedAt),
];

const FIELDS: [(&str, OwnerField, FieldType); 7] = [
    ("id", OwnerField::Id, FieldType::Id),
    ("email", OwnerField::Email, FieldType::Text),
    ("firstname", OwnerField::Firstname, FieldType::Text),
    ("lastname", OwnerField::Lastname, FieldType::Text),
    ("username", OwnerField::Username, FieldType::Text),
    ("isActive", OwnerField::IsActive, FieldType::Flag),
    ("blocked", OwnerField::Blocked, FieldType::Flag),
];

/// A page of users.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UserPage {
    results: Vec<User>,
    pagination: Pagination,
}

/// A user to invite.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub(super) struct NewUser {
    /// Required for a person.
    #[serde(default)]
    email: String,
    /// `person`, or `service` for an account that never signs in: its first name is its name, and it gets no invitation.
    #[serde(default)]
    kind: UserKind,
    firstname: Option<String>,
    lastname: Option<String>,
    username: Option<String>,
    #[serde(default)]
    roles: Vec<RoleChoice>,
    #[serde(default, rename = "preferedLanguage")]
    preferred_language: Unchanged,
}

#[derive(Deserialize, ToSchema, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum UserKind {
    #[default]
    Person,
    Service,
}

/// Changes to a user. Fields that are left out stay.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub(super) struct UserUpdate {
    /// After the user has registered, only a super admin can change it here, and the user in their own account.
    #[serde(default, deserialize_with = "non_null")]
    #[schema(nullable = false)]
    email: Option<String>,
    #[serde(default, deserialize_with = "text_or_null")]
    firstname: Option<String>,
    #[serde(default, deserialize_with = "text_or_null")]
    lastname: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    username: Option<Option<String>>,
    /// Activates or deactivates the account. For a user who has not registered, `false` withdraws the invitation.
    #[serde(default, deserialize_with = "non_null")]
    #[schema(nullable = false)]
    is_active: Option<bool>,
    /// Blocks or unblocks the account.
    #[serde(default, deserialize_with = "non_null")]
    #[schema(nullable = false)]
    blocked: Option<bool>,
    #[serde(default, deserialize_with = "non_null")]
    #[schema(nullable = false)]
    roles: Option<Vec<RoleChoice>>,
    /// A new password, set by a super admin. The user's sessions end.
    #[serde(default, deserialize_with = "non_null")]
    #[schema(nullable = false)]
    password: Option<String>,
    #[serde(default)]
    id: Unchanged,
    #[serde(default, rename = "preferedLanguage")]
    preferred_language: Unchanged,
    #[serde(default)]
    created_at: Unchanged,
    #[serde(default)]
    updated_at: Unchanged,
}

/// Lists users, page by page.
#[utoipa::path(get, path = "/users", tag = "Users", params(
    SmallPages,
    ("sort" = Option<String>, Query, description = "A field, and `:ASC` or `:DESC`: `email:DESC`"),
    ("_q" = Option<String>, Query, description = "A part of the e-mail address or a name"),
    ("filters" = Option<String>, Query, description = "`filters[email][$eq]=..`, `[$contains]` or `[$in][0]`, of `id`, `email`, `firstname`, `lastname`, `username`, `isActive`, `blocked`; all have to pass"),
), responses((status = 200, body = Data<UserPage>)))]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    mut params: Params,
) -> Result<Answer<UserPage>, Failure> {
    let paging = params.paging();
    let (sort, descending) = params.sort(&SORTS).unwrap_or((OwnerSort::Id, false));
    let (search, filters) = (params.search(), params.filters(&FIELDS));
    params.finish()?;
    let query = OwnerQuery { paging, search, filters, sort, descending };
    let page = api.owners(&caller).list(&query).await?;
    let roles = api.roles_by_id().await?;
    let results = page.items.into_iter().map(|owner| User::new(owner, &roles)).collect();
    Ok(ok(UserPage { results, pagination: Pagination::new(paging, page.total) }))
}

/// Invites a user, and returns the registration token to hand over; or creates a service account.
#[utoipa::path(post, path = "/users", tag = "Users", request_body = NewUser, responses((status = 201, body = Data<User>)))]
pub(super) async fn create(
    State(api): State<Api>,
    caller: Caller,
    Body(new): Body<NewUser>,
) -> Result<(StatusCode, Answer<User>), Failure> {
    if new.preferred_language.is_present() {
        Comparison::new(&()).fields([("preferedLanguage", &new.preferred_language)]).finish()?;
    }
    let roles = api.roles_by_id().await?;
    let new_kind = new.kind;
    let new = NewOwner {
        firstname: new.firstname.unwrap_or_default(),
        lastname: new.lastname.unwrap_or_default(),
        username: new.username,
        state: OwnerState::Invited,
        roles: role_ids(&roles, &new.roles)?,
        ..NewOwner::new(new.email)
    };
    if new_kind == UserKind::Service {
        let service = NewOwner { kind: AccountKind::Service, state: OwnerState::Active, ..new };
        return Ok(created(User::new(api.owners(&caller).create(service).await?, &roles)));
    }
    Ok(show_invitation(&roles, api.owners(&caller).invite(new).await?))
}

/// Reads a user.
#[utoipa::path(get, path = "/users/{id}", tag = "Users", params(("id" = i64, Path)), responses((status = 200, body = Data<User>)))]
pub(super) async fn read(State(api): State<Api>, Id(id): Id, caller: Caller) -> Result<Answer<User>, Failure> {
    let owner = api.owners(&caller).read(OwnerId(id)).await?;
    Ok(ok(User::new(owner, &api.roles_by_id().await?)))
}

/// Changes a user's account. Fields that are left out stay.
#[utoipa::path(put, path = "/users/{id}", tag = "Users", params(("id" = i64, Path)), request_body = UserUpdate, responses((status = 200, body = Data<User>)))]
pub(super) async fn update(
    State(api): State<Api>,
    Id(id): Id,
    caller: Caller,
    Body(update): Body<UserUpdate>,
) -> Result<Answer<User>, Failure> {
    let owners = api.owners(&caller);
    let roles = api.roles_by_id().await?;
    let current = User::new(owners.read(OwnerId(id)).await?, &roles);
    Comparison::new(&current)
        .fields([
            ("id", &update.id),
            ("preferedLanguage", &update.preferred_language),
            ("createdAt", &update.created_at),
            ("updatedAt", &update.updated_at),
        ])
        .finish()?;
    // Sending the current state changes nothing. `isActive: false` withdraws an invitation, unless the client sends the
    // whole object back as it read it.
    let is_whole_object = update.id.is_present();
    let withdraws = current.state == OwnerState::Invited && !is_whole_object;
    let change = OwnerUpdate {
        email: update.email,
        firstname: update.firstname,
        lastname: update.lastname,
        username: update.username,
        active: update.is_active.filter(|active| *active != current.is_active || withdraws),
        blocked: update.blocked.filter(|blocked| *blocked != current.blocked),
        roles: update.roles.as_deref().map(|sent| role_ids(&roles, sent)).transpose()?,
        password: update.password.map(Password::new),
    };
    let owner = owners.update(OwnerId(id), change).await?;
    Ok(ok(User::new(owner, &roles)))
}

/// Deletes a user with their tokens and sessions.
#[utoipa::path(delete, path = "/users/{id}", tag = "Users", params(("id" = i64, Path)), responses((status = 200, body = Data<User>)))]
pub(super) async fn delete(
    State(api): State<Api>,
    Id(id): Id,
    caller: Caller,
    _: NoBody,
) -> Result<Answer<User>, Failure> {
    // Loaded first: a failure after the deletion would hide that it happened. A failure here must not prevent the
    // deletion.
    let roles = api.roles_by_id().await.unwrap_or_default();
    Ok(ok(User::new(api.owners(&caller).delete(OwnerId(id)).await?, &roles)))
}

/// Issues a new invitation to a user who has not registered. Older ones end.
#[utoipa::path(post, path = "/users/{id}/invitation", tag = "Users", params(("id" = i64, Path)), responses((status = 201, body = Data<User>)))]
pub(super) async fn invite_again(
    State(api): State<Api>,
    Id(id): Id,
    caller: Caller,
    _: NoBody,
) -> Result<(StatusCode, Answer<User>), Failure> {
    let roles = api.roles_by_id().await?;
    Ok(show_invitation(&roles, api.owners(&caller).invite_again(OwnerId(id)).await?))
}

/// Renders an invitation. The roles are loaded before it is made: only this response shows its secret, so nothing may
/// fail after.
fn show_invitation(roles: &HashMap<RoleId, Role>, invitation: Invitation) -> (StatusCode, Answer<User>) {
    let mut user = User::new(invitation.owner, roles);
    user.registration_token = Some(super::token::expose(&invitation.secret));
    created(user)
}

/// Returns the ids of roles that were sent by id, or as they were read.
fn role_ids(roles: &HashMap<RoleId, Role>, sent: &[RoleChoice]) -> Result<Vec<RoleId>, Failure> {
    if sent.len() > ROLES {
        return Err(Problem::at(["roles"], format!("must have at most {ROLES} entries")).into());
    }
    let mut problems = Problems::default();
    for (i, _) in sent.iter().enumerate().filter(|(_, role)| !role.is_unchanged(roles)) {
        problems.push(Problem::at(["roles".to_owned(), i.to_string()], "cannot be changed from here"));
    }
    problems.done()?;
    Ok(sent.iter().map(|role| role.id).collect())
}
