//! The guarded router: a route without a requirement does not compile.

use super::context::Forbidden;
use super::declared::{DeclaredRoute, served_methods};
use super::extract::Auth;
use super::gate::Gate;
use super::guarded_handler::GuardedHandler;
use super::page::{PageContext, PageText, set_page_headers};
use super::rejection::Rejection;
use super::require::Require;
use super::route_requirement::RouteRequirement;
use super::style::{ErrorText, RejectionStyle};
use crate::domain::{Reason, Requirement, authenticated};
use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{self, MethodFilter, MethodRouter, Route};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use std::convert::Infallible;
use std::sync::Arc;
use tower_layer::Layer;
use tower_service::Service;

/// A router in which every route has a requirement. Its 404 and 405 are guarded too: a client without a credential does
/// not learn which routes exist.
///
/// ```
/// use axum::routing::{any, get};
/// use keyward::{action, authenticated, GuardedRouter};
/// let guarded = GuardedRouter::<()>::new()
///     .get("/admin/webhooks", action("admin::webhooks.read"), || async { "[]" })
///     .post("/admin/webhooks", action("admin::webhooks.create"), || async { "made" })
///     .route("/admin/echo", authenticated(), any(|body: String| async { body }))
///     .public("/healthz", get(|| async { "ok" }));
/// ```
///
/// A route without a requirement does not compile:
/// ```compile_fail
/// use axum::routing::get;
/// keyward::GuardedRouter::<()>::new().route("/admin/webhooks", get(|| async { "[]" }));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct GuardedRouter<S = ()> {
    router: Router<S>,
    declared: Vec<DeclaredRoute>,
}

impl<S: Clone + Send + Sync + 'static> Default for GuardedRouter<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Clone + Send + Sync + 'static> GuardedRouter<S> {
    /// Creates a router without routes.
    pub fn new() -> Self {
        Self { router: Router::new(), declared: Vec::new() }
    }

    /// Adds a route of a method router, with one requirement for all its methods. Other methods of the same path may be
    /// added with requirements of their own.
    ///
    /// # Panics
    /// As [`Router::route`]: if the path is invalid or overlaps another.
    pub fn route(self, path: &str, requirement: Requirement, handler: MethodRouter<S>) -> Self {
        // `layer`, not `route_layer`, also guards `any` and the method router's own fallback.
        let served = served_methods(&handler);
        let route = DeclaredRoute { served, ..DeclaredRoute::new(path, Some(&requirement)) };
        self.declare(route).map(|router| router.route(path, handler.layer(Require::new(requirement))))
    }

    /// Adds a route of this handler for `GET` and `HEAD` requests.
    ///
    /// The requirement is judged before the extractors of the handler, in the handler's place, so the route costs no
    /// layer of its own. A request with a method that the path does not have is a 405, which needs a valid credential.
    ///
    /// # Panics
    /// As [`Router::route`].
    pub fn get<H: Handler<T, S>, T: 'static>(self, path: &str, requirement: Requirement, handler: H) -> Self {
        self.on(MethodFilter::GET, path, requirement, handler)
    }

    /// Adds a route of this handler for `POST` requests, like [`get`](Self::get).
    ///
    /// # Panics
    /// As [`Router::route`].
    pub fn post<H: Handler<T, S>, T: 'static>(self, path: &str, requirement: Requirement, handler: H) -> Self {
        self.on(MethodFilter::POST, path, requirement, handler)
    }

    /// Adds a route of this handler for `PUT` requests, like [`get`](Self::get).
    ///
    /// # Panics
    /// As [`Router::route`].
    pub fn put<H: Handler<T, S>, T: 'static>(self, path: &str, requirement: Requirement, handler: H) -> Self {
        self.on(MethodFilter::PUT, path, requirement, handler)
    }

    /// Adds a route of this handler for `PATCH` requests, like [`get`](Self::get).
    ///
    /// # Panics
    /// As [`Router::route`].
    pub fn patch<H: Handler<T, S>, T: 'static>(self, path: &str, requirement: Requirement, handler: H) -> Self {
        self.on(MethodFilter::PATCH, path, requirement, handler)
    }

    /// Adds a route of this handler for `DELETE` requests, like [`get`](Self::get).
    ///
    /// # Panics
    /// As [`Router::route`].
    pub fn delete<H: Handler<T, S>, T: 'static>(self, path: &str, requirement: Requirement, handler: H) -> Self {
        self.on(MethodFilter::DELETE, path, requirement, handler)
    }

    /// Adds a route of this handler for requests of these methods, like [`get`](Self::get).
    ///
    /// # Panics
    /// As [`Router::route`].
    pub fn on<H: Handler<T, S>, T: 'static>(
        self,
        methods: MethodFilter,
        path: &str,
        requirement: Requirement,
        handler: H,
    ) -> Self {
        let route = DeclaredRoute { methods: Some(methods), ..DeclaredRoute::new(path, Some(&requirement)) };
        let this = self.declare(route);
        let requirement = RouteRequirement::new(requirement);
        this.map(|router| router.route(path, routing::on(methods, GuardedHandler { handler, requirement })))
    }

    /// Adds a service for this path and every method, with one requirement.
    ///
    /// # Panics
    /// As [`Router::route_service`].
    pub fn route_service<T, B>(self, path: &str, requirement: Requirement, service: T) -> Self
    where
        T: Service<Request, Response = http::Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
        T::Future: Send + 'static,
        B: http_body::Body<Data = Bytes> + Default + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let route = DeclaredRoute::new(path, Some(&requirement));
        self.declare(route).map(|router| router.route_service(path, Require::new(requirement).layer(service)))
    }

    /// Adds a service that judges one of these requirements by what is in the body.
    #[cfg(feature = "mcp")]
    pub(crate) fn route_judging<T>(mut self, path: &str, requirements: &[Requirement], service: T) -> Self
    where
        T: Service<Request, Response = Response, Error = Infallible> + Clone + Send + Sync + 'static,
        T::Future: Send + 'static,
    {
        let call = |r| DeclaredRoute { is_call: true, ..DeclaredRoute::new(path, Some(r)) };
        self.declared.extend(requirements.iter().map(call));
        let route = DeclaredRoute::new(path, Some(&authenticated()));
        self.declare(route).map(|router| router.route_service(path, service))
    }

    /// Nests a service under a path, with one requirement for everything below. The service sees the rest of the path.
    ///
    /// # Panics
    /// As [`Router::nest_service`].
    pub fn nest_service<T, B>(self, path: &str, requirement: Requirement, service: T) -> Self
    where
        T: Service<Request, Response = http::Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
        T::Future: Send + 'static,
        B: http_body::Body<Data = Bytes> + Default + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let route = DeclaredRoute { is_prefix: true, ..DeclaredRoute::new(path, Some(&requirement)) };
        self.declare(route).map(|router| router.nest_service(path, Require::new(requirement).layer(service)))
    }

    /// Adds a route without a requirement, for paths of public groups. In a protected group its requests are rejected.
    ///
    /// # Panics
    /// As [`Router::route`].
    pub fn public(self, path: &str, handler: MethodRouter<S>) -> Self {
        let route = DeclaredRoute { served: served_methods(&handler), ..DeclaredRoute::new(path, None) };
        self.declare(route).map(|router| router.route(path, handler.layer(Require::public())))
    }

    /// Nests another guarded router under a path.
    ///
    /// # Panics
    /// As [`Router::nest`].
    pub fn nest(self, path: &str, other: GuardedRouter<S>) -> Self {
        let mut this = self.map(|router| router.nest(path, other.router));
        this.declared.extend(other.declared.iter().map(|route| route.below(path)));
        this
    }

    /// Adds the routes of another guarded router.
    ///
    /// # Panics
    /// As [`Router::merge`].
    pub fn merge(self, other: GuardedRouter<S>) -> Self {
        let mut this = self.map(|router| router.merge(other.router));
        this.declared.extend(other.declared);
        this
    }

    /// Adds a layer around every route so far, outside its requirement: body limits, timeouts, traces.
    pub fn layer<L>(self, layer: L) -> Self
    where
        L: Layer<Route> + Clone + Send + Sync + 'static,
        L::Service: Service<Request> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Response: IntoResponse + 'static,
        <L::Service as Service<Request>>::Error: Into<Infallible> + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        self.map(|router| router.layer(layer))
    }

    /// Provides the state of the handlers.
    pub fn with_state<T>(self, state: S) -> GuardedRouter<T> {
        GuardedRouter { router: self.router.with_state(state), declared: self.declared }
    }

    fn declare(mut self, route: DeclaredRoute) -> Self {
        self.declared.push(route);
        self
    }

    fn map(self, change: impl FnOnce(Router<S>) -> Router<S>) -> Self {
        Self { router: change(self.router), declared: self.declared }
    }

    /// Returns the routes so far.
    pub(crate) fn declared(&self) -> &[DeclaredRoute] {
        &self.declared
    }

    /// Returns the router with a guarded 404 and 405. It serves each route with and without the base path, as a proxy
    /// may keep or strip it.
    pub(crate) fn into_router(self, gate: &Arc<Gate>) -> Router<S> {
        let (of_path, of_method) = (gate.clone(), gate.clone());
        let no_route =
            move |auth, request: Request| async move { no_route(auth, &request, of_path.style_at(&request)) };
        let no_method =
            move |auth, request: Request| async move { no_method(auth, &request, &of_method.style_at(&request)) };
        #[cfg(feature = "mcp")]
        let this = self.with_metadata(gate);
        #[cfg(not(feature = "mcp"))]
        let this = self;
        let router = this.router.fallback(no_route).method_not_allowed_fallback(no_method);
        let base = gate.base();
        if base.is_empty() { router } else { router.clone().nest(base.as_str(), router) }
    }
}

#[cfg(feature = "mcp")]
impl<S: Clone + Send + Sync + 'static> GuardedRouter<S> {
    /// Adds the metadata of protected resources.
    fn with_metadata(self, gate: &Gate) -> Self {
        let resources = gate.groups.iter().filter_map(|group| group.protected_resource.clone());
        resources.fold(self, |this, resource| {
            let json = resource.json.clone();
            let metadata = move || async move { ([(CONTENT_TYPE, "application/json")], json) };
            this.public(&resource.path, routing::get(metadata))
        })
    }
}

fn no_route(auth: Option<Auth>, request: &Request, style: Arc<RejectionStyle>) -> Result<Response, Forbidden> {
    require_credential(auth)?;
    let rejection = Rejection::uncounted(Reason::NoGroup, false, false, style);
    let Some(PageContext { start, base }) = request.extensions().get() else { return Ok(rejection.as_json()) };
    // A page has one address, without a trailing slash.
    let shorter = request.uri().path().strip_suffix('/').filter(|shorter| !shorter.is_empty());
    if let (&(Method::GET | Method::HEAD), Some(shorter)) = (request.method(), shorter) {
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        return Ok(Redirect::to(&format!("{}{shorter}{query}", base.as_str())).into_response());
    }
    Ok(rejection.as_page(start))
}

fn no_method(auth: Option<Auth>, request: &Request, style: &RejectionStyle) -> Result<Response, Forbidden> {
    require_credential(auth)?;
    let status = StatusCode::METHOD_NOT_ALLOWED;
    if let Some(PageContext { start, .. }) = request.extensions().get() {
        let advice = "This address does not take what was sent to it. Go back, and try again from there.";
        let mut response = (status, PageText { heading: "Not possible", advice }.html(start, None)).into_response();
        set_page_headers(response.headers_mut());
        return Ok(response);
    }
    let (name, code, message) = ("MethodNotAllowedError", "method_not_allowed", "Method Not Allowed");
    let body = style.format.render(ErrorText { status, name, code, message, scope: None, rpc_id: None });
    Ok((status, [(CONTENT_TYPE, style.format.content_type())], body).into_response())
}

/// Requires a credential in a protected group. In a public one there is no caller.
fn require_credential(auth: Option<Auth>) -> Result<(), Forbidden> {
    auth.map_or(Ok(()), |auth| auth.require(&authenticated()))
}
