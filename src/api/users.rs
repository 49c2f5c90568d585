//! `/admin/users`: the people whom tokens belong to, as others see and change them.

use super::answer::{Answer, Data, created, ok};
use super::body::{Body, NoBody};
use super::failure::{Failure, Problem, Problems};
use super::json::{given, nullable, text_or_null};
use super::query::{Pagination, Params, Values};
use super::request::{Caller, Id};
use super::state::Api;
use super::unchanged::{Comparison, Unchanged};
use super::user::{RoleChoice, User};
use crate::admin::{Invitation, OwnerUpdate, Owners, Password, ROLES};
use crate::domain::{OwnerId, OwnerState, Role, RoleId};
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

const FIELDS: [(&str, OwnerField, Values); 7] = [
    ("id", OwnerField::Id, Values::Ids),
    ("email", OwnerField::Email, Values::Texts),
    ("firstname", OwnerField::Firstname, Values::Texts),
    ("lastname", OwnerField::Lastname, Values::Texts),
    ("username", OwnerField::Username, Values::Texts),
    ("isActive", OwnerField::IsActive, Values::Flags),
    ("blocked", OwnerField::Blocked, Values::Flags),
];

/// A page of users.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UserPage {
    results: Vec<User>,
    pagination: Pagination,
}

/// Somebody to be invited.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub(super) struct NewUser {
    email: String,
    firstname: Option<String>,
    lastname: Option<String>,
    username: Option<String>,
    #[serde(default)]
    roles: Vec<RoleChoice>,
    #[serde(default, rename = "preferedLanguage")]
    preferred_language: Unchanged,
}

/// What is to change of a user. What is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub(super) struct UserUpdate {
    /// Once the user has registered, only a super admin changes it here, and the user in `/admin/users/me`.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    email: Option<String>,
    #[serde(default, deserialize_with = "text_or_null")]
    firstname: Option<String>,
    #[serde(default, deserialize_with = "text_or_null")]
    lastname: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    username: Option<Option<String>>,
    /// Switches the account on or off; of somebody who has not registered, `false` withdraws the invitation.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    is_active: Option<bool>,
    /// Shuts the account out, or lets it in again.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    blocked: Option<bool>,
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    roles: Option<Vec<RoleChoice>>,
    /// Another password, set by a super admin. Their sessions end.
    #[serde(default, deserialize_with = "given")]
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

fn owners(api: &Api, caller: &Caller) -> Owners {
    api.owners.clone().acting_as(&caller.actor).from_address(caller.address)
}

/// Lists users, a page at a time.
#[utoipa::path(get, path = "/admin/users", tag = "Users", params(
    ("page" = Option<u32>, Query, description = "From 1"),
    ("pageSize" = Option<u32>, Query, description = "From 1 to 100; 10 if left out"),
    ("sort" = Option<String>, Query, description = "A field, and `:ASC` or `:DESC`: `email:DESC`"),
    ("_q" = Option<String>, Query, description = "A text that is in the e-mail address or a name"),
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
    params.done()?;
    let query = OwnerQuery { paging, search, filters, sort, descending };
    let page = owners(&api, &caller).list(&query).await?;
    let roles = api.roles_by_id().await?;
    let results = page.items.into_iter().map(|owner| User::of(owner, &roles)).collect();
    Ok(ok(UserPage { results, pagination: Pagination::of(paging, page.total) }))
}

/// Invites somebody, and shows what to hand over to them.
#[utoipa::path(post, path = "/admin/users", tag = "Users", request_body = NewUser, responses((status = 201, body = Data<User>)))]
pub(super) async fn create(
    State(api): State<Api>,
    caller: Caller,
    Body(new): Body<NewUser>,
) -> Result<(StatusCode, Answer<User>), Failure> {
    if new.preferred_language.is_given() {
        Comparison::with(&()).fields([("preferedLanguage", &new.preferred_language)]).done()?;
    }
    let there = api.roles_by_id().await?;
    let new = NewOwner {
        email: new.email,
        firstname: new.firstname.unwrap_or_default(),
        lastname: new.lastname.unwrap_or_default(),
        username: new.username,
        state: OwnerState::Invited,
        roles: chosen(&there, &new.roles)?,
    };
    Ok(invited(&there, owners(&api, &caller).invite(new).await?))
}

/// Reads a user.
#[utoipa::path(get, path = "/admin/users/{id}", tag = "Users", params(("id" = i64, Path)), responses((status = 200, body = Data<User>)))]
pub(super) async fn read(State(api): State<Api>, Id(id): Id, caller: Caller) -> Result<Answer<User>, Failure> {
    let owner = owners(&api, &caller).read(OwnerId(id)).await?;
    Ok(ok(User::of(owner, &api.roles_by_id().await?)))
}

/// Changes a user's account. What is left out stays.
#[utoipa::path(put, path = "/admin/users/{id}", tag = "Users", params(("id" = i64, Path)), request_body = UserUpdate, responses((status = 200, body = Data<User>)))]
pub(super) async fn update(
    State(api): State<Api>,
    Id(id): Id,
    caller: Caller,
    Body(update): Body<UserUpdate>,
) -> Result<Answer<User>, Failure> {
    let owners = owners(&api, &caller);
    let there = api.roles_by_id().await?;
    let shown = User::of(owners.read(OwnerId(id)).await?, &there);
    Comparison::with(&shown)
        .fields([
            ("id", &update.id),
            ("preferedLanguage", &update.preferred_language),
            ("createdAt", &update.created_at),
            ("updatedAt", &update.updated_at),
        ])
        .done()?;
    // To say again where the account stands changes nothing. Only by itself does it withdraw an invitation that somebody is
    // not active: whoever puts back what they have read has not said that.
    let put_back = update.id.is_given();
    let withdraws = shown.state == OwnerState::Invited && !put_back;
    let change = OwnerUpdate {
        email: update.email,
        firstname: update.firstname,
        lastname: update.lastname,
        username: update.username,
        active: update.is_active.filter(|active| *active != shown.is_active || withdraws),
        blocked: update.blocked.filter(|blocked| *blocked != shown.blocked),
        roles: update.roles.as_deref().map(|roles| chosen(&there, roles)).transpose()?,
        password: update.password.map(Password::new),
    };
    let owner = owners.update(OwnerId(id), change).await?;
    Ok(ok(User::of(owner, &there)))
}

/// Deletes a user with their tokens and sessions.
#[utoipa::path(delete, path = "/admin/users/{id}", tag = "Users", params(("id" = i64, Path)), responses((status = 200, body = Data<User>)))]
pub(super) async fn delete(
    State(api): State<Api>,
    Id(id): Id,
    caller: Caller,
    _: NoBody,
) -> Result<Answer<User>, Failure> {
    // Read before, as nothing may be there to be asked afterwards. That they cannot be read is no reason not to delete anybody.
    let there = api.roles_by_id().await.unwrap_or_default();
    Ok(ok(User::of(owners(&api, &caller).delete(OwnerId(id)).await?, &there)))
}

/// Gives somebody who has not registered a new invitation. Older ones are dead.
#[utoipa::path(post, path = "/admin/users/{id}/invitation", tag = "Users", params(("id" = i64, Path)), responses((status = 201, body = Data<User>)))]
pub(super) async fn invite_again(
    State(api): State<Api>,
    Id(id): Id,
    caller: Caller,
    _: NoBody,
) -> Result<(StatusCode, Answer<User>), Failure> {
    let there = api.roles_by_id().await?;
    Ok(invited(&there, owners(&api, &caller).invite_again(OwnerId(id)).await?))
}

/// With roles that were read before: an invitation shows this once, whatever can be read after it.
fn invited(there: &HashMap<RoleId, Role>, invited: Invitation) -> (StatusCode, Answer<User>) {
    let mut user = User::of(invited.owner, there);
    user.registration_token = Some(super::token::exposed(&invited.secret));
    created(user)
}

/// The ids of roles that were sent by id, or as they were read.
fn chosen(there: &HashMap<RoleId, Role>, roles: &[RoleChoice]) -> Result<Vec<RoleId>, Failure> {
    if roles.len() > ROLES {
        return Err(Problem::at(["roles"], format!("must have at most {ROLES} entries")).into());
    }
    let mut problems = Problems::default();
    for (i, _) in roles.iter().enumerate().filter(|(_, role)| !role.is_as_shown(there)) {
        problems.push(Problem::at(["roles".to_owned(), i.to_string()], "cannot be changed from here"));
    }
    problems.done()?;
    Ok(roles.iter().map(|role| role.id).collect())
}
