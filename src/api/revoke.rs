//! `/revoke`: the bearer of a token's secret revokes the token (RFC 7009).
//!
//! The route is public: the secret in the form is the authority. No cookie and no header counts, so a page of another origin
//! gains nothing by sending the form: it would have to know the secret.

use super::failure::Failure;
use super::form::TokenForm;
use super::permission::Nothing;
use super::state::Api;
use crate::guard::Caller;
use axum::Json;
use axum::extract::State;
use utoipa::ToSchema;

/// The token to revoke (RFC 7009 section 2.1).
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used: forms have a reader of their own")]
pub(super) struct TokenToRevoke {
    /// The secret.
    token: String,
    /// Accepted and ignored.
    token_type_hint: Option<String>,
}

/// Revokes the token whose secret is in the form, and ends a session. No other credential is needed. The answer is the same
/// whether there was such a token or not.
#[utoipa::path(post, path = "/revoke", tag = "Tokens", security(()), request_body(content = TokenToRevoke, content_type = "application/x-www-form-urlencoded"), responses((status = 200, body = Nothing)))]
pub(super) async fn revoke(State(api): State<Api>, caller: Caller, form: TokenForm) -> Result<Json<Nothing>, Failure> {
    let found = api.keyward.gate().find_presented(&form.token, caller.address).await;
    if let Some(digest) = found.map_err(|_| Failure::try_again())? {
        api.keyward.tokens().from_address(caller.address).revoke_presented(digest).await?;
    }
    Ok(Json(Nothing {}))
}
