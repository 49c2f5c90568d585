//! `/users/me`: the caller's own account.

use super::answer::{Answer, Data, List, ok};
use super::body::{Body, NoBody};
use super::failure::Failure;
use super::json::{non_null, nullable, text_or_null};
use super::permission::{Permission, show_permissions};
use super::query::{LargePages, Params};
use super::request::Id;
use super::state::Api;
use super::unchanged::{Comparison, Unchanged, are_same_objects};
use super::user::User;
use crate::admin::{Password, ProfileUpdate};
use crate::domain::{Token, TokenId};
use crate::guard::Caller;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Changes to the caller's own account. Fields that are left out stay.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub(super) struct MyUpdate {
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
    /// A new password. It requires the current one, and ends all sessions.
    #[serde(default, deserialize_with = "non_null")]
    #[schema(nullable = false)]
    password: Option<String>,
    /// The current password. A new e-mail address or password requires it.
    #[serde(default, deserialize_with = "non_null")]
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

/// A session of the caller.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct MySession {
    id: i64,
    /// The browser and system, such as "Firefox on Linux". Empty if unknown.
    device_name: String,
    login_at: String,
    /// The time of the last request, to the minute.
    last_active_at: String,
    created_at: String,
    last_used_at: Option<String>,
    expires_at: Option<String>,
    /// Whether this request was made with it.
    current: bool,
}

impl MySession {
    fn new(session: &Token, current: Option<TokenId>) -> Self {
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

/// Reads the caller's own account. A token reads its owner's.
#[utoipa::path(get, path = "/users/me", tag = "Me", responses((status = 200, body = Data<User>)))]
pub(super) async fn read(State(api): State<Api>, caller: Caller) -> Result<Answer<User>, Failure> {
    let (owner, roles) = api.sessions(&caller).me().await?;
    Ok(ok(User::new(owner, &roles.into_iter().map(|role| (role.id, role)).collect())))
}

/// Changes the caller's own account. A new e-mail address or password requires the current password, and ends all
/// sessions.
#[utoipa::path(put, path = "/users/me", tag = "Me", request_body = MyUpdate, responses((status = 200, body = Data<User>)))]
pub(super) async fn update(
    State(api): State<Api>,
    caller: Caller,
    Body(update): Body<MyUpdate>,
) -> Result<Answer<User>, Failure> {
    let (owner, roles) = api.sessions(&caller).me().await?;
    let roles = roles.into_iter().map(|role| (role.id, role)).collect();
    Comparison::new(&User::new(owner, &roles))
        .fields([
            ("id", &update.id),
            ("isActive", &update.is_active),
            ("blocked", &update.blocked),
            ("preferedLanguage", &update.preferred_language),
            ("createdAt", &update.created_at),
            ("updatedAt", &update.updated_at),
        ])
        .field("roles", &update.roles, are_same_objects)
        .finish()?;
    let change = ProfileUpdate {
        email: update.email,
        firstname: update.firstname,
        lastname: update.lastname,
        username: update.username,
        password: update.password.map(Password::new),
        current_password: update.current_password.map(Password::new),
    };
    let owner = api.sessions(&caller).update_me(change).await?;
    Ok(ok(User::new(owner, &roles)))
}

/// Lists the caller's permissions: those of a person's roles, or the effective permissions of a token.
#[utoipa::path(get, path = "/users/me/permissions", tag = "Me", responses((status = 200, body = Data<Vec<Permission>>)))]
pub(super) async fn permissions(State(api): State<Api>, caller: Caller) -> Result<Answer<Vec<Permission>>, Failure> {
    let permissions = api.sessions(&caller).permissions().await?;
    Ok(ok(show_permissions(&permissions)))
}

/// Lists the caller's own sessions, page by page.
#[utoipa::path(get, path = "/users/me/sessions", tag = "Me", params(LargePages), responses((status = 200, body = List<MySession>)))]
pub(super) async fn list_sessions(
    State(api): State<Api>,
    caller: Caller,
    mut params: Params,
) -> Result<Json<List<MySession>>, Failure> {
    let paging = params.large_paging();
    params.finish()?;
    let sessions = api.sessions(&caller).list().await?;
    Ok(List::cut(sessions.iter().map(|session| MySession::new(session, caller.token)).collect(), paging))
}

/// Ends one of the caller's own sessions.
#[utoipa::path(delete, path = "/users/me/sessions/{id}", tag = "Me", params(("id" = i64, Path)), responses((status = 200, body = Data<MySession>)))]
pub(super) async fn end_session(
    State(api): State<Api>,
    Id(id): Id,
    caller: Caller,
    _: NoBody,
) -> Result<Answer<MySession>, Failure> {
    let session = api.sessions(&caller).revoke(TokenId(id)).await?;
    Ok(ok(MySession::new(&session, caller.token)))
}

/// Ends the caller's own sessions: all, or with `keepCurrent=true` all but the current one.
#[utoipa::path(delete, path = "/users/me/sessions", tag = "Me", params(("keepCurrent" = Option<bool>, Query)), responses((status = 200, body = Data<Vec<MySession>>)))]
pub(super) async fn end_sessions(
    State(api): State<Api>,
    mut params: Params,
    caller: Caller,
    _: NoBody,
) -> Result<Answer<Vec<MySession>>, Failure> {
    let flag = |text: &str| text.parse::<bool>().ok();
    let keep_current = params.parse("keepCurrent", "true or false", flag).unwrap_or(false);
    params.finish()?;
    let keep = caller.token.filter(|_| keep_current);
    let ended = api.sessions(&caller).sign_out_everywhere(keep).await?;
    Ok(ok(ended.iter().map(|session| MySession::new(session, caller.token)).collect()))
}
