//! `/introspect`: the state of a token that another service has received (RFC 7662).

use super::failure::Failure;
use super::form::TokenForm;
use super::state::Api;
use crate::admin::ServiceError;
use crate::domain::{PermissionList, Timestamp};
use crate::guard::{Introspected, KeptByClients};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CACHE_CONTROL;
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;

/// The token to introspect (RFC 7662 section 2.1).
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used: forms have a reader of their own")]
pub(super) struct TokenToIntrospect {
    /// The secret.
    token: String,
    /// Accepted and ignored.
    token_type_hint: Option<String>,
    /// The time for which the client wants to keep the answer, in seconds. `Cache-Control` of the answer has the time for which it
    /// may: at most the staleness that the installation allows itself.
    max_age: Option<u64>,
    /// The IP address of the client that presented the token. Without it, a token that is bound to networks is not active.
    client_address: Option<String>,
}

/// The state of a token (RFC 7662 section 2.2). A token that is not active has only `active`.
#[derive(Serialize, ToSchema, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Introspection {
    /// Whether the token would be admitted now.
    active: bool,
    /// The actions that it may do as a whole: without a resource, for every row and field. They are separated by spaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    scope: Option<String>,
    /// Always `Bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    token_type: Option<&'static str>,
    /// The id of the owner. Content tokens have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    sub: Option<String>,
    /// The display name of the owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    username: Option<String>,
    /// When it ends unless it is used again, in seconds since 1970: the earliest of its expiry, the end of the grace period of the
    /// secret, the expiry of the tokens that it comes from, and the idle expiries. Left out: it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    exp: Option<i64>,
    /// The time of issue, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    iat: Option<i64>,
    /// The id of the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    jti: Option<String>,
    /// The kind of the token: `admin`, `content` or `session`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    kind: Option<&'static str>,
    /// The host's key of the owner, if it is an account of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    account: Option<String>,
    /// All permissions, with their resources, fields and conditions.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    permissions: Option<PermissionList>,
    /// Lists of networks. The client is in a network of every list. The answer counts for its address alone. Left out if the client may be
    /// anywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    networks: Option<Vec<Vec<String>>>,
}

/// Returns the state of a token that another service has received: whether it is valid now, and its permissions. The form has
/// the secret. The answer for an unknown, expired, disabled or revoked token, one of a deactivated owner, and one that is not admitted from
/// the client's address, is the same.
#[utoipa::path(post, path = "/introspect", tag = "Tokens", request_body(content = TokenToIntrospect, content_type = "application/x-www-form-urlencoded"), responses((status = 200, body = Introspection)))]
pub(super) async fn introspect(State(api): State<Api>, form: TokenForm) -> Result<Response, Failure> {
    let found =
        api.keyward.gate().introspect(&form.token, form.client_address).await.map_err(|_| Failure::try_again())?;
    let (state, left) = match found {
        Some(introspected) => describe(&api, &introspected).await?.unwrap_or_default(),
        None => Default::default(),
    };
    // What counts for one client's address is not to be kept: the next one with the token may be elsewhere.
    let most = api.keyward.gate().resolver().max_staleness();
    let max_age =
        form.max_age.filter(|_| state.active && state.networks.is_none()).map(|wanted| wanted.min(most).min(left));
    let mut response = Json(state).into_response();
    if let Some(max_age) = max_age.filter(|max_age| max_age.as_secs() > 0) {
        let value = HeaderValue::try_from(format!("private, max-age={}", max_age.as_secs()));
        // A number is a valid header value.
        if let Ok(value) = value {
            response.headers_mut().insert(CACHE_CONTROL, value.clone());
            response.extensions_mut().insert(KeptByClients(value));
        }
    }
    Ok(response)
}

/// Describes a valid token, notes its use, and returns for how long it is valid. `None` if it was revoked just now.
async fn describe(api: &Api, introspected: &Introspected) -> Result<Option<(Introspection, Duration)>, Failure> {
    let principal = introspected.principal();
    let Some(id) = principal.token() else { return Ok(None) };
    let (token, owner) = match api.keyward.tokens().read_presented(id).await {
        Ok(read) => read,
        Err(ServiceError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let (gate, digest) = (api.keyward.gate(), &introspected.digest);
    let Some(secret) = token.secret(digest) else { return Ok(None) };
    gate.note_introspected(introspected, secret.used.and_then(|used| used.address));
    let now = gate.resolver().clock.now();
    let ends = gate.resolver().end_of(&token, digest, now);
    let left = ends.map_or(Duration::MAX, |at| at.since(now));
    let networks: Vec<Vec<String>> = token
        .all_limits()
        .filter(|limits| !limits.networks.is_empty())
        .map(|limits| limits.networks.iter().map(ToString::to_string).collect())
        .collect();
    let seconds = |at: Timestamp| at.0.div_euclid(1000);
    let authority = principal.authority();
    // RFC 6749 section 3.3 allows only these characters in a scope.
    let is_scope = |b: u8| matches!(b, b'!' | b'#'..=b'[' | b']'..=b'~');
    let scopes: Vec<&str> = authority.scopes().into_iter().filter(|scope| scope.bytes().all(is_scope)).collect();
    let state = Introspection {
        active: true,
        scope: (!scopes.is_empty()).then(|| scopes.join(" ")),
        token_type: Some("Bearer"),
        sub: token.owner().map(|owner| owner.to_string()),
        username: owner.as_ref().map(|owner| owner.display_name()),
        exp: ends.map(seconds),
        iat: Some(seconds(token.created_at)),
        jti: Some(token.id.to_string()),
        kind: Some(token.kind().as_str()),
        account: principal.account().map(ToString::to_string),
        permissions: Some(authority.permission_list()),
        networks: (!networks.is_empty()).then_some(networks),
    };
    Ok(Some((state, left)))
}
