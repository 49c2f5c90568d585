//! For whoever watches the server: how it is doing, and whether to send it requests.

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

/// Always 200: who answers lives. It says no more than how much there is to do; where even that is nobody's business, keep it off
/// the address that others reach.
fn healthz(guard: &Guard) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(guard.health())).into_response()
}

/// Whether requests with a token would be answered now.
fn readyz(guard: &Guard) -> Response {
    let fresh = [(header::CACHE_CONTROL, "no-store")];
    if guard.health().ready {
        (fresh, "ready").into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, fresh, [(header::RETRY_AFTER, "1")], "not ready").into_response()
    }
}
