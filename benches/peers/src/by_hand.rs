//! What one writes by hand: tower-http's `AsyncRequireAuthorizationLayer` and a `DashMap` of who has which secret.
//!
//! Done: the bearer's secret is looked up, the route's action must be among the caller's three, and the caller goes
//! into the extensions. Not done: expiry, owners, rows and fields; whoever takes an entry out of the map takes it out
//! of this process. Cheaper than its documentation in one thing: the future is ready, not boxed.

use axum::body::Body;
use dashmap::DashMap;
use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use sha2::{Digest, Sha256};
use std::future::{Ready, ready};
use std::sync::Arc;
use tower_http::auth::{AsyncAuthorizeRequest, AsyncRequireAuthorization, AsyncRequireAuthorizationLayer};
use tower_layer::Layer;

/// What a caller of ours may: as many actions as a token of keyward's has grants here.
pub(crate) const MAY: [&str; 3] =
    ["plugin::content-manager.explorer.read", "plugin::content-manager.explorer.update", crate::ACTION];

/// Whatever says who a bearer's secret is, or why not, as tower-http's layer wants it.
#[derive(Clone)]
pub(crate) struct Bearer<F>(pub(crate) F);

pub(crate) struct Caller {
    #[expect(dead_code, reason = "what a handler would read")]
    id: usize,
    may: Vec<String>,
}

/// As the bench of the gate has them: as long as keyward's.
pub(crate) fn secrets(n: usize) -> Vec<String> {
    (0..n).map(|i| hex(&Sha256::digest(i.to_be_bytes()))[..58].to_owned()).collect()
}

/// Keeps the secrets themselves: who can read this process's memory, or the file it was filled from, has them all.
pub(crate) fn plain(
    secrets: &[String],
    action: &'static str,
) -> Bearer<impl Fn(&str) -> Result<Arc<Caller>, StatusCode> + Clone + use<>> {
    let known: Arc<DashMap<String, Arc<Caller>>> = Arc::new(secrets.iter().cloned().zip(callers()).collect());
    Bearer(move |secret: &str| allowed(known.get(secret).as_deref(), action))
}

/// Keeps digests, as one should.
pub(crate) fn digests(
    secrets: &[String],
    action: &'static str,
) -> Bearer<impl Fn(&str) -> Result<Arc<Caller>, StatusCode> + Clone + use<>> {
    let digests = secrets.iter().map(|secret| digest(secret));
    let known: Arc<DashMap<[u8; 32], Arc<Caller>>> = Arc::new(digests.zip(callers()).collect());
    Bearer(move |secret: &str| allowed(known.get(&digest(secret)).as_deref(), action))
}

fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

fn callers() -> impl Iterator<Item = Arc<Caller>> {
    (0..).map(|id| Arc::new(Caller { id, may: MAY.map(str::to_owned).to_vec() }))
}

fn allowed(caller: Option<&Arc<Caller>>, action: &str) -> Result<Arc<Caller>, StatusCode> {
    let caller = caller.ok_or(StatusCode::UNAUTHORIZED)?;
    if caller.may.iter().any(|a| a == action) { Ok(caller.clone()) } else { Err(StatusCode::FORBIDDEN) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl<F: Clone> Bearer<F> {
    pub(crate) fn around<S>(self, inner: S) -> AsyncRequireAuthorization<S, Self> {
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
