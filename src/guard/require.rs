//! Requirements as layers: on a route, a method router, a sub-router, or any service behind the gate.

use super::context::AuthContext;
use crate::domain::{LogLimit, Requirement};
use http::{Request, Response, StatusCode};
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// A layer that lets nobody pass of whom its requirement is not met. It needs the gate around it: without, it answers 500.
///
/// ```
/// use axum::{Router, routing::get};
/// use keyward::{action, Require};
/// let router: Router = Router::new()
///     .route("/admin/webhooks", get(|| async { "[]" }))
///     .route_layer(Require::new(action("admin::webhooks.read")));
/// ```
#[derive(Clone, Debug)]
pub struct Require(Asks);

#[derive(Clone, Debug)]
enum Asks {
    This(Arc<Requirement>),
    /// With what the path's parameters say.
    WithParams(Arc<Requirement>),
    /// That there is nobody to ask: the group is public.
    #[cfg(feature = "axum")]
    Nobody,
}

impl Require {
    /// Requires this.
    pub fn new(requirement: Requirement) -> Self {
        let open = requirement.has_params();
        let requirement = Arc::new(requirement);
        Self(if open { Asks::WithParams(requirement) } else { Asks::This(requirement) })
    }

    /// Lets requests of public groups pass, and no other: where nothing is required, nothing protected is behind it.
    #[cfg(feature = "axum")]
    pub(super) fn nobody() -> Self {
        Self(Asks::Nobody)
    }
}

impl From<Requirement> for Require {
    fn from(requirement: Requirement) -> Self {
        Self::new(requirement)
    }
}

impl<S> Layer<S> for Require {
    type Service = RequireService<S>;

    fn layer(&self, inner: S) -> RequireService<S> {
        RequireService { inner, asks: self.0.clone() }
    }
}

/// A service behind a [`Require`] layer.
#[derive(Clone, Debug)]
pub struct RequireService<S> {
    inner: S,
    asks: Asks,
}

impl<S> RequireService<S> {
    /// Whether the request may go on; otherwise the status of an answer that the gate replaces.
    fn ask<B>(&self, request: &mut Request<B>) -> Result<(), StatusCode> {
        let requirement = match &self.asks {
            #[cfg(feature = "axum")]
            Asks::Nobody if request.extensions().get::<AuthContext>().is_none() => return Ok(()),
            #[cfg(feature = "axum")]
            Asks::Nobody => return Err(StatusCode::FORBIDDEN),
            Asks::This(requirement) => requirement.clone(),
            Asks::WithParams(requirement) => Arc::new(with_params(requirement, request)),
        };
        let Some(auth) = request.extensions_mut().get_mut::<AuthContext>() else {
            static LINES: LogLimit = LogLimit::new();
            if let Some(count) = LINES.count_now() {
                tracing::error!(
                    count,
                    "a route requires something of its caller, but there is no keyward layer around it"
                );
            }
            return Err(StatusCode::INTERNAL_SERVER_ERROR);
        };
        if auth.ask(requirement) { Ok(()) } else { Err(StatusCode::FORBIDDEN) }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for RequireService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Default,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = RequireFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        match self.ask(&mut request) {
            Ok(()) => RequireFuture { state: State::Inner { inner: self.inner.call(request) } },
            Err(status) => RequireFuture { state: State::Refused { status } },
        }
    }
}

pin_project! {
    /// The future of a [`RequireService`] service.
    #[derive(Debug)]
    pub struct RequireFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProj]
    #[derive(Debug)]
    enum State<F> {
        Inner { #[pin] inner: F },
        Refused { status: StatusCode },
    }
}

impl<F, B, E> Future for RequireFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Default,
{
    type Output = Result<Response<B>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Inner { inner } => inner.poll(cx),
            StateProj::Refused { status } => {
                let mut response = Response::new(B::default());
                *response.status_mut() = *status;
                Poll::Ready(Ok(response))
            }
        }
    }
}

#[cfg(feature = "axum")]
fn with_params<B>(requirement: &Requirement, request: &mut Request<B>) -> Requirement {
    use axum::extract::{FromRequestParts, RawPathParams};
    use futures_util::FutureExt;
    let (mut parts, ()) = Request::new(()).into_parts();
    std::mem::swap(&mut parts.extensions, request.extensions_mut());
    // Reading path parameters awaits nothing.
    let params = RawPathParams::from_request_parts(&mut parts, &()).now_or_never();
    std::mem::swap(&mut parts.extensions, request.extensions_mut());
    let parameter = |name: &str| {
        let params = params.as_ref()?.as_ref().ok()?;
        // Of two with one name, nested routers keep both, and a handler may read the other one.
        let mut named = params.iter().filter(|(n, _)| *n == name);
        let (_, value) = named.next()?;
        named.next().is_none().then(|| value.to_owned())
    };
    requirement.resolve(&parameter)
}

/// Only a router knows path parameters: without one they stay open, and the requirement is not met.
#[cfg(not(feature = "axum"))]
fn with_params<B>(requirement: &Requirement, _: &mut Request<B>) -> Requirement {
    requirement.clone()
}

#[cfg(feature = "axum")]
impl axum::response::IntoResponse for super::body::NoLongerValid {
    /// An empty 401: the gate writes the rejection in its place.
    fn into_response(self) -> axum::response::Response {
        StatusCode::UNAUTHORIZED.into_response()
    }
}

#[cfg(feature = "axum")]
impl axum::response::IntoResponse for super::context::Forbidden {
    /// An empty 403: the gate writes the refusal in its place.
    fn into_response(self) -> axum::response::Response {
        StatusCode::FORBIDDEN.into_response()
    }
}
