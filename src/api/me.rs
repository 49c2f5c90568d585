//! `/admin/users/me`: one's own account.

use super::answer::{Answer, Data, List, ok};
use super::body::{Body, NoBody};
use super::failure::Failure;
use super::json::{given, nullable, text_or_null};
use super::permission::{Permission, show_permissions};
use super::query::Params;
use super::request::{Caller, Id};
use super::state::Api;
use super::unchanged::{Comparison, Unchanged, same_objects};
use super::user::User;
use crate::admin::{Password, ProfileUpdate, Sessions};
use crate::domain::{Token, TokenId};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is to change of one's own account. What is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub(super) struct MyUpdate {
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
    /// Another password. It takes the current one, and ends every session.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    password: Option<String>,
    /// The password of now, for another e-mail address or password.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    current_password: Option<String>,
    #[serde(default)]
    id: Unchanged,
    #[serde(default)]
    is_active: Unchanged,
    #[serde(default)]
    blocked: Unchanged,
    #[serde(default)]
    roles: Unchanged,
    #[serde(default, rename = "preferedLanguage")]
    preferred_language: Unchanged,
    #[serde(default)]
    created_at: Unchanged,
    #[serde(default)]
    updated_at: Unchanged,
}

/// A session of one's own.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct MySession {
    id: i64,
    /// What the device calls itself: "Firefox on Linux". Empty where it was not said.
    device_name: String,
    /// When it began.
    login_at: String,
    /// When it was last used, to the minute.
    last_active_at: String,
    created_at: String,
    last_used_at: Option<String>,
    /// When it ends in any case.
    expires_at: Option<String>,
    /// Whether it is the one that asks.
    current: bool,
}

impl MySession {
    fn of(session: &Token, current: Option<TokenId>) -> Self {
        Self {
            id: session.id.0,
            device_name: session.description.clone(),
            login_at: session.created_at.to_string(),
            last_active_at: session.last_used_at.unwrap_or(session.created_at).to_string(),
            created_at: session.created_at.to_string(),
            last_used_at: session.last_used_at.map(|at| at.to_string()),
            expires_at: session.expires_at.map(|at| at.to_string()),
            current: Some(session.id) == current,
        }
    }
}

fn sessions(api: &Api, caller: &Caller) -> Sessions {
    api.sessions.clone().acting_as(&caller.actor).from_address(caller.address)
}

async fn me(api: &Api, caller: &Caller) -> Result<User, Failure> {
    let (owner, roles) = sessions(api, caller).me().await?;
    Ok(User::of(owner, &roles.into_iter().map(|role| (role.id, role)).collect()))
}

/// Reads one's own account; a token reads its owner's.
#[utoipa::path(get, path = "/admin/users/me", tag = "Me", responses((status = 200, body = Data<User>)))]
pub(super) async fn read(State(api): State<Api>, caller: Caller) -> Result<Answer<User>, Failure> {
    me(&api, &caller).await.map(ok)
}

/// Changes one's own account. Another e-mail address or password takes the current password, and ends every session.
#[utoipa::path(put, path = "/admin/users/me", tag = "Me", request_body = MyUpdate, responses((status = 200, body = Data<User>)))]
pub(super) async fn update(
    State(api): State<Api>,
    caller: Caller,
    Body(update): Body<MyUpdate>,
) -> Result<Answer<User>, Failure> {
    let (owner, roles) = sessions(&api, &caller).me().await?;
    let roles = roles.into_iter().map(|role| (role.id, role)).collect();
    Comparison::with(&User::of(owner, &roles))
        .fields([
            ("id", &update.id),
            ("isActive", &update.is_active),
            ("blocked", &update.blocked),
            ("preferedLanguage", &update.preferred_language),
            ("createdAt", &update.created_at),
            ("updatedAt", &update.updated_at),
        ])
        .field("roles", &update.roles, same_objects)
        .done()?;
    let change = ProfileUpdate {
        email: update.email,
        firstname: update.firstname,
        lastname: update.lastname,
        username: update.username,
        password: update.password.map(Password::new),
        current_password: update.current_password.map(Password::new),
    };
    let owner = sessions(&api, &caller).update_me(change).await?;
    Ok(ok(User::of(owner, &roles)))
}

/// Lists what whoever asks may do: a person all that their roles hold, a token what it carries.
#[utoipa::path(get, path = "/admin/users/me/permissions", tag = "Me", responses((status = 200, body = Data<Vec<Permission>>)))]
pub(super) async fn permissions(State(api): State<Api>, caller: Caller) -> Result<Answer<Vec<Permission>>, Failure> {
    let held = sessions(&api, &caller).permissions().await?;
    Ok(ok(show_permissions(&held)))
}

/// Lists one's own sessions, page by page.
#[utoipa::path(get, path = "/admin/users/me/sessions", tag = "Me", params(
    ("page" = Option<u32>, Query, description = "From 1"),
    ("pageSize" = Option<u32>, Query, description = "From 1 to 1000; 100 if left out"),
), responses((status = 200, body = List<MySession>)))]
pub(super) async fn list_sessions(
    State(api): State<Api>,
    caller: Caller,
    mut params: Params,
) -> Result<Json<List<MySession>>, Failure> {
    let paging = params.large_paging();
    params.done()?;
    let listed = sessions(&api, &caller).list().await?;
    Ok(List::part(listed.iter().map(|session| MySession::of(session, caller.token)).collect(), paging))
}

/// Ends one of one's own sessions.
#[utoipa::path(delete, path = "/admin/users/me/sessions/{id}", tag = "Me", params(("id" = i64, Path)), responses((status = 200, body = Data<MySession>)))]
pub(super) async fn end_session(
    State(api): State<Api>,
    Id(id): Id,
    caller: Caller,
    _: NoBody,
) -> Result<Answer<MySession>, Failure> {
    let session = sessions(&api, &caller).revoke(TokenId(id)).await?;
    Ok(ok(MySession::of(&session, caller.token)))
}

/// Ends one's own sessions: all of them, or with `keepCurrent=true` all but the one that asks.
#[utoipa::path(delete, path = "/admin/users/me/sessions", tag = "Me", params(("keepCurrent" = Option<bool>, Query)), responses((status = 200, body = Data<Vec<MySession>>)))]
pub(super) async fn end_sessions(
    State(api): State<Api>,
    mut params: Params,
    caller: Caller,
    _: NoBody,
) -> Result<Answer<Vec<MySession>>, Failure> {
    let flag = |text: &str| text.parse::<bool>().ok();
    let keep_current = params.read("keepCurrent", "true or false", flag).unwrap_or(false);
    params.done()?;
    let keep = caller.token.filter(|_| keep_current);
    let ended = sessions(&api, &caller).sign_out_everywhere(keep).await?;
    Ok(ok(ended.iter().map(|session| MySession::of(session, caller.token)).collect()))
}
