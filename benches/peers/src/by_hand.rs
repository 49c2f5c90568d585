//! A hand-written layer: tower-http's `AsyncRequireAuthorizationLayer` and a `DashMap` from secrets to callers.
//!
//! Included: the secret is looked up, the route's action must be among the caller's three, and the caller goes into the
//! extensions. Not included: expiry, owners, rows and fields. A removed entry is removed on this node only. Cheaper
//! than documented: the future is ready, not boxed.

use axum::body::Body;
use dashmap::DashMap;
use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use sha2::{Digest, Sha256};
use std::future::{Ready, ready};
use std::sync::Arc;
use tower_http::auth::{AsyncAuthorizeRequest, AsyncRequireAuthorization, AsyncRequireAuthorizationLayer};
use tower_layer::Layer;

/// The actions of each caller: as many as the grants of keyward's tokens in this benchmark.
pub(crate) const ACTIONS: [&str; 3] =
    ["plugin::content-manager.explorer.read", "plugin::content-manager.explorer.update", crate::ACTION];

/// Adapts a function from a bearer secret to its caller, or to a status, to tower-http's layer.
#[derive(Clone)]
pub(crate) struct Bearer<F>(pub(crate) F);

pub(crate) struct Caller {
    #[expect(dead_code, reason = "handlers would read it")]
    id: usize,
    actions: Vec<String>,
}

/// Returns secrets that are as long as keyward's.
pub(crate) fn make_secrets(n: usize) -> Vec<String> {
    (0..n).map(|i| hex(&Sha256::digest(i.to_be_bytes()))[..58].to_owned()).collect()
}

/// Returns a layer with a map of plain secrets. Reading the memory of the process, or the file they came from,
/// discloses them all.
pub(crate) fn map_secrets(
    secrets: &[String],
    action: &'static str,
) -> Bearer<impl Fn(&str) -> Result<Arc<Caller>, StatusCode> + Clone + use<>> {
    let callers: Arc<DashMap<String, Arc<Caller>>> = Arc::new(secrets.iter().cloned().zip(make_callers()).collect());
    Bearer(move |secret: &str| check(callers.get(secret).as_deref(), action))
}

/// Returns a layer with a map of digests.
pub(crate) fn map_digests(
    secrets: &[String],
    action: &'static str,
) -> Bearer<impl Fn(&str) -> Result<Arc<Caller>, StatusCode> + Clone + use<>> {
    let digests = secrets.iter().map(|secret| digest(secret));
    let callers: Arc<DashMap<[u8; 32], Arc<Caller>>> = Arc::new(digests.zip(make_callers()).collect());
    Bearer(move |secret: &str| check(callers.get(&digest(secret)).as_deref(), action))
}

fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

fn make_callers() -> impl Iterator<Item = Arc<Caller>> {
    (0..).map(|id| Arc::new(Caller { id, actions: ACTIONS.map(str::to_owned).to_vec() }))
}

fn check(caller: Option<&Arc<Caller>>, action: &str) -> Result<Arc<Caller>, StatusCode> {
    let caller = caller.ok_or(StatusCode::UNAUTHORIZED)?;
    if caller.actions.iter().any(|a| a == action) { Ok(caller.clone()) } else { Err(StatusCode::FORBIDDEN) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl<F: Clone> Bearer<F> {
    pub(crate) fn wrap<S>(self, inner: S) -> AsyncRequireAuthorization<S, Self> {
        AsyncRequireAuthorizationLayer::new(self).layer(inner)
    }
}

impl<F, C> AsyncAuthorizeRequest<Body> for Bearer<F>
where
    F: Fn(&str) -> Result<C, StatusCode>,
    C: Clone + Send + Sync + 'static,
{
    type RequestBody = Body;
    type ResponseBody = Body;
    type Future = Ready<Result<Request<Body>, Response<Body>>>;

    fn authorize(&mut self, mut request: Request<Body>) -> Self::Future {
        let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let secret = header.and_then(|value| value.strip_prefix("Bearer "));
        ready(match secret.ok_or(StatusCode::UNAUTHORIZED).and_then(&self.0) {
            Ok(caller) => {
                request.extensions_mut().insert(caller);
                Ok(request)
            }
            Err(status) => {
                let mut rejection = Response::new(Body::empty());
                *rejection.status_mut() = status;
                Err(rejection)
            }
        })
    }
}
