//! The admin tokens of a signed-in person, at a mount that has nothing else.
//!
//! The services let a super admin manage the tokens of others. Here those are a 404 for every caller.

use super::admin_tokens::{self, AdminToken, AdminTokenUpdate, NewAdminToken, owner_of};
use super::answer::{Answer, Data, List};
use super::body::{Body, NoBody, OptionalBody};
use super::failure::Failure;
use super::limits::{GraceToEnd, Regeneration};
use super::query::{LargePages, Params};
use super::request::Id;
use super::state::Api;
use super::token::RegeneratedKey;
use crate::domain::{TokenId, TokenKind};
use crate::guard::Caller;
use axum::Json;
use axum::extract::{FromRequestParts, State};
use http::StatusCode;
use http::request::Parts;

/// The id in the path, of a token that belongs to the caller. Any other id is answered 404.
pub(super) struct OwnId(i64);

impl FromRequestParts<Api> for OwnId {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Failure> {
        let Id(id) = Id::from_request_parts(parts, api).await?;
        let Ok(caller) = Caller::from_request_parts(parts, api).await;
        let token = api.tokens(&caller, TokenKind::Admin).read(TokenId(id)).await?.token;
        // A token never changes its owner.
        match token.owner() == Some(owner_of(&caller)) {
            true => Ok(Self(id)),
            false => Err(Failure::not_found()),
        }
    }
}

/// Lists the caller's own tokens by name, page by page. Keys are never included.
#[utoipa::path(get, path = "/tokens", tag = "Own tokens", params(
    LargePages,
    ("sort" = Option<String>, Query, description = "A field, and `:ASC` or `:DESC`: `createdAt:DESC`; `name` if left out"),
    ("_q" = Option<String>, Query, description = "A part of the name or the description"),
    ("filters" = Option<String>, Query, description = "`filters[name][$eq]=..`, `[$contains]` or `[$in][0]`, of `id`, `name`, `description`; all have to pass"),
), responses((status = 200, body = List<AdminToken>)))]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    params: Params,
) -> Result<Json<List<AdminToken>>, Failure> {
    admin_tokens::list_of(&api, &caller, params, Some(owner_of(&caller))).await
}

/// Creates a token that belongs to the caller, and returns its key. It expires after 30 days if the lifespan is left out, or after another default of the installation.
#[utoipa::path(post, path = "/tokens", tag = "Own tokens", request_body = NewAdminToken, responses((status = 201, body = Data<AdminToken>)))]
pub(super) async fn create(
    State(api): State<Api>,
    caller: Caller,
    Body(new): Body<NewAdminToken>,
) -> Result<(StatusCode, Answer<AdminToken>), Failure> {
    let default = api.keyward.admin_state().settings.policy.durations.preselected();
    admin_tokens::issue(&api, &caller, new, default).await
}

/// Reads an own token, with its key if it was kept.
#[utoipa::path(get, path = "/tokens/{id}", tag = "Own tokens", params(("id" = i64, Path)), responses((status = 200, body = Data<AdminToken>)))]
pub(super) async fn read(api: State<Api>, OwnId(id): OwnId, caller: Caller) -> Result<Answer<AdminToken>, Failure> {
    admin_tokens::read(api, Id(id), caller).await
}

/// Changes an own token: its name, description and permissions. Fields that are left out stay.
#[utoipa::path(put, path = "/tokens/{id}", tag = "Own tokens", params(("id" = i64, Path)), request_body = AdminTokenUpdate, responses((status = 200, body = Data<AdminToken>)))]
pub(super) async fn update(
    api: State<Api>,
    OwnId(id): OwnId,
    caller: Caller,
    body: Body<AdminTokenUpdate>,
) -> Result<Answer<AdminToken>, Failure> {
    admin_tokens::update(api, Id(id), caller, body).await
}

/// Revokes an own token.
#[utoipa::path(delete, path = "/tokens/{id}", tag = "Own tokens", params(("id" = i64, Path)), responses((status = 200, body = Data<AdminToken>)))]
pub(super) async fn delete(
    api: State<Api>,
    OwnId(id): OwnId,
    caller: Caller,
    body: NoBody,
) -> Result<Answer<AdminToken>, Failure> {
    admin_tokens::delete(api, Id(id), caller, body).await
}

/// Issues a new key for an own token. The old one is valid until its grace period ends, if one is given.
#[utoipa::path(post, path = "/tokens/{id}/regenerate", tag = "Own tokens", params(("id" = i64, Path)), request_body = Option<Regeneration>, responses((status = 201, body = Data<RegeneratedKey>)))]
pub(super) async fn regenerate(
    api: State<Api>,
    OwnId(id): OwnId,
    caller: Caller,
    body: OptionalBody<Regeneration>,
) -> Result<(StatusCode, Answer<RegeneratedKey>), Failure> {
    admin_tokens::regenerate(api, Id(id), caller, body).await
}

/// Ends the key that an own token had before, if its grace period is not over.
#[utoipa::path(post, path = "/tokens/{id}/end-grace", tag = "Own tokens", params(("id" = i64, Path)), request_body = Option<GraceToEnd>, responses((status = 200, body = Data<AdminToken>)))]
pub(super) async fn end_grace(
    api: State<Api>,
    OwnId(id): OwnId,
    caller: Caller,
    body: OptionalBody<GraceToEnd>,
) -> Result<Answer<AdminToken>, Failure> {
    admin_tokens::end_grace(api, Id(id), caller, body).await
}
