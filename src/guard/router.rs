//! The guarded router: a route without a requirement does not compile.

use super::base::Base;
use super::context::Forbidden;
use super::extract::Auth;
use super::page::{ForPeople, Words, harden};
use super::rejection::{Rejection, error_json};
use super::require::Require;
use crate::domain::{Reason, Requirement, authenticated};
use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{MethodRouter, Route};
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use std::convert::Infallible;
use tower_layer::Layer;
use tower_service::Service;

/// A router whose every route says what it requires. Its 404 and 405 are guarded too: whoever has no credential does not
/// learn which routes there are.
///
/// ```
/// use axum::routing::{get, post};
/// use keyward::{action, GuardedRouter};
/// let guarded = GuardedRouter::<()>::new()
///     .route("/admin/webhooks", action("admin::webhooks.read"), get(|| async { "[]" }))
///     .route("/admin/webhooks", action("admin::webhooks.create"), post(|| async { "made" }))
///     .public("/healthz", get(|| async { "ok" }));
/// ```
///
/// A route without a requirement is no route:
/// ```compile_fail
/// use axum::routing::get;
/// keyward::GuardedRouter::<()>::new().route("/admin/webhooks", get(|| async { "[]" }));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct GuardedRouter<S = ()>(Router<S>);

impl<S: Clone + Send + Sync + 'static> Default for GuardedRouter<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Clone + Send + Sync + 'static> GuardedRouter<S> {
    /// Without routes.
    pub fn new() -> Self {
        Self(Router::new())
    }

    /// Adds a route. Other methods of the same path may be added with requirements of their own.
    ///
    /// # Panics
    /// Where [`Router::route`] does: a path that overlaps another, or is none.
    pub fn route(self, path: &str, requirement: Requirement, handler: MethodRouter<S>) -> Self {
        // `layer`, not `route_layer`: a method router's own fallback, or `any`, is to be guarded too.
        Self(self.0.route(path, handler.layer(Require::new(requirement))))
    }

    /// Adds a route that requires nothing, for paths of public groups. In a protected group it is refused.
    ///
    /// # Panics
    /// Where [`Router::route`] does.
    pub fn public(self, path: &str, handler: MethodRouter<S>) -> Self {
        Self(self.0.route(path, handler.layer(Require::nobody())))
    }

    /// Puts another guarded router under a path.
    ///
    /// # Panics
    /// Where [`Router::nest`] does.
    pub fn nest(self, path: &str, other: GuardedRouter<S>) -> Self {
        Self(self.0.nest(path, other.0))
    }

    /// Adds the routes of another guarded router.
    ///
    /// # Panics
    /// Where [`Router::merge`] does.
    pub fn merge(self, other: GuardedRouter<S>) -> Self {
        Self(self.0.merge(other.0))
    }

    /// Puts a layer around every route so far, outside its requirement: body limits, timeouts, traces.
    pub fn layer<L>(self, layer: L) -> Self
    where
        L: Layer<Route> + Clone + Send + Sync + 'static,
        L::Service: Service<Request> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Response: IntoResponse + 'static,
        <L::Service as Service<Request>>::Error: Into<Infallible> + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        Self(self.0.layer(layer))
    }

    /// Gives the handlers their state.
    pub fn with_state<T>(self, state: S) -> GuardedRouter<T> {
        GuardedRouter(self.0.with_state(state))
    }

    /// The router, with its 404 and 405 guarded. What is asked for below the base path is the same as without: proxies take it away, or
    /// leave it.
    pub(crate) fn into_router(self, base: &Base) -> Router<S> {
        let router = self.0.fallback(no_route).method_not_allowed_fallback(no_method);
        if base.is_empty() { router } else { router.clone().nest(base.as_str(), router) }
    }
}

async fn no_route(auth: Option<Auth>, request: Request) -> Result<Response, Forbidden> {
    known(auth)?;
    let rejection = Rejection::uncounted(Reason::NoGroup, false, false);
    let Some(ForPeople { start, base }) = request.extensions().get() else { return Ok(rejection.as_json()) };
    // Pages have one spelling.
    let shorter = request.uri().path().strip_suffix('/').filter(|shorter| !shorter.is_empty());
    if let (&(Method::GET | Method::HEAD), Some(shorter)) = (request.method(), shorter) {
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        return Ok(Redirect::to(&format!("{}{shorter}{query}", base.as_str())).into_response());
    }
    Ok(rejection.as_page(start))
}

async fn no_method(auth: Option<Auth>, request: Request) -> Result<Response, Forbidden> {
    known(auth)?;
    let status = StatusCode::METHOD_NOT_ALLOWED;
    if let Some(ForPeople { start, .. }) = request.extensions().get() {
        let advice = "This address does not take what was sent to it. Go back, and try again from there.";
        let mut response = (status, Words { heading: "Not possible", advice }.html(start)).into_response();
        harden(response.headers_mut());
        return Ok(response);
    }
    let body = error_json(status, "MethodNotAllowedError", "Method Not Allowed");
    Ok((status, [(CONTENT_TYPE, "application/json")], body).into_response())
}

/// In a protected group the caller has to be somebody; in a public one there is no caller.
fn known(auth: Option<Auth>) -> Result<(), Forbidden> {
    auth.map_or(Ok(()), |auth| auth.require(&authenticated()))
}
