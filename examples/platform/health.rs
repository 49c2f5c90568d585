//! Health and readiness, for monitoring and load balancers.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use keyward::GuardedRouter;
use keyward::guard::Guard;

pub(crate) fn routes(guard: &Guard) -> GuardedRouter {
    let (alive, ready) = (guard.clone(), guard.clone());
    GuardedRouter::new()
        .public("/healthz", get(|| async move { healthz(&alive) }))
        .public("/readyz", get(|| async move { readyz(&ready) }))
}

/// Always 200: a server that responds is alive. The body holds counters only; if even these are confidential, do not
/// expose the path.
fn healthz(guard: &Guard) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(guard.health())).into_response()
}

/// Returns 200 if requests with a token would be answered now, else 503.
fn readyz(guard: &Guard) -> Response {
    let fresh = [(header::CACHE_CONTROL, "no-store")];
    if guard.health().ready {
        (fresh, "ready").into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, fresh, [(header::RETRY_AFTER, "1")], "not ready").into_response()
    }
}
