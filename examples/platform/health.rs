//! For whoever watches the server: how it is doing, and whether to send it requests.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use keyward::store::Store;
use keyward::{GuardedRouter, Keyward};

pub(crate) fn routes<S: Store>(keyward: &Keyward) -> GuardedRouter {
    let (alive, ready) = (keyward.clone(), keyward.clone());
    GuardedRouter::new()
        .public("/healthz", get(|| async move { healthz(&alive) }))
        .public("/readyz", get(|| async move { readyz(&ready) }))
}

/// Always 200: who answers lives. It says no more than how much there is to do; where even that is nobody's business, keep it off
/// the address that others reach.
fn healthz<S: Store>(keyward: &Keyward) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(keyward.health())).into_response()
}

/// Whether requests with a token would be answered now.
fn readyz<S: Store>(keyward: &Keyward) -> Response {
    let fresh = [(header::CACHE_CONTROL, "no-store")];
    if guard.health().ready {
        (fresh, "ready").into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, fresh, [(header::RETRY_AFTER, "1")], "not ready").into_response()
    }
}
