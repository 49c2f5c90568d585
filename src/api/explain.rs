//! `/explain`: why a request with a token is admitted or rejected.

use super::answer::{Answer, Data, ok};
use super::body::Body;
use super::failure::{Failure, Problem};
use super::json::non_null;
use super::state::Api;
use crate::domain::{Explanation, TokenId};
use crate::guard::Caller;
use axum::extract::State;
use http::Method;
use serde::Deserialize;
use utoipa::ToSchema;

/// A request to explain. It is not sent.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub(super) struct RequestToExplain {
    /// The id of the token. Send this or the secret.
    #[serde(default, deserialize_with = "non_null")]
    #[schema(nullable = false)]
    token: Option<i64>,
    /// The secret of the token. It is neither logged nor repeated.
    #[serde(default, deserialize_with = "non_null")]
    #[schema(nullable = false)]
    secret: Option<String>,
    /// The method, in upper case.
    method: String,
    /// The path, as a client sends it.
    path: String,
    /// The address of the client. Left out: limits by address are not judged.
    #[serde(default, deserialize_with = "non_null")]
    #[schema(nullable = false)]
    from: Option<String>,
}

/// Explains the decision on a request with a token, step by step. For people, about their own tokens and those of owners
/// whom they manage; for super admins, about all tokens; for a token, about itself. It changes nothing.
#[utoipa::path(post, path = "/explain", tag = "Tokens", request_body = RequestToExplain, responses((status = 200, body = Data<Explanation>)))]
pub(super) async fn explain(
    State(api): State<Api>,
    caller: Caller,
    Body(asked): Body<RequestToExplain>,
) -> Result<Answer<Explanation>, Failure> {
    let RequestToExplain { token, secret, method, path, from } = asked;
    let is_method = !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase());
    let method = Method::from_bytes(method.as_bytes()).ok().filter(|_| is_method);
    let method = method.ok_or_else(|| Problem::at(["method"], "must be a method in upper case: `GET`"))?;
    let mut service = api.keyward.explain().acting_as(&caller.actor);
    if let Some(address) = from {
        let parsed = address.parse().map_err(|_| Problem::at(["from"], "must be an address like 192.0.2.7"))?;
        service = service.from_client(parsed);
    }
    Ok(ok(match (token, secret) {
        (Some(id), None) => service.token(TokenId(id), &method, &path).await?,
        (None, Some(secret)) => service.secret(&secret, &method, &path).await?,
        (Some(_), Some(_)) => return Err(Problem::at(["secret"], "must be left out beside `token`").into()),
        (None, None) => return Err(Problem::at(["token"], "is required, or `secret`").into()),
    }))
}
