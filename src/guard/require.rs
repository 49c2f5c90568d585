//! Requirements as layers, on a route, a method router, a sub-router, or any service behind the gate.

use super::route_requirement::RouteRequirement;
use crate::domain::Requirement;
use http::{Request, Response, StatusCode};
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// A layer that rejects callers who do not meet its requirement. It needs the gate around it, and responds 500 without.
///
/// ```
/// use axum::{Router, routing::get};
/// use keyward::{action, Require};
/// let router: Router = Router::new()
///     .route("/admin/webhooks", get(|| async { "[]" }))
///     .route_layer(Require::new(action("admin::webhooks.read")));
/// ```
#[derive(Clone, Debug)]
pub struct Require(RouteRequirement);

impl Require {
    /// Creates a layer with this requirement.
    pub fn new(requirement: Requirement) -> Self {
        Self(RouteRequirement::new(requirement))
    }

    /// Creates a layer that passes requests of public groups, and rejects all others.
    #[cfg(feature = "axum")]
    pub(super) fn public() -> Self {
        Self(RouteRequirement::Public)
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
        RequireService { inner, requirement: self.0.clone() }
    }
}

/// A service behind a [`Require`] layer.
#[derive(Clone, Debug)]
pub struct RequireService<S> {
    inner: S,
    requirement: RouteRequirement,
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
        match self.requirement.check(&mut request) {
            Ok(()) => RequireFuture { state: State::Inner { inner: self.inner.call(request) } },
            Err(status) => RequireFuture { state: State::Rejected { status: Some(status) } },
        }
    }
}

pin_project! {
    /// The future of a [`RequireService`].
    ///
    /// # Panics
    /// If it is polled after it has returned a rejection; otherwise it does what the future of the inner service does.
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
        /// `None` once the response has been returned.
        Rejected { status: Option<StatusCode> },
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
            StateProj::Rejected { status } => {
                let Some(status) = status.take() else { panic!("RequireFuture polled after completion") };
                let mut response = Response::new(B::default());
                *response.status_mut() = status;
                Poll::Ready(Ok(response))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::authenticated;
    use std::convert::Infallible;
    use std::future;

    #[test]
    #[should_panic(expected = "RequireFuture polled after completion")]
    fn a_finished_rejection_panics_when_it_is_polled_again() {
        let inner =
            tower::service_fn(|_: Request<()>| future::ready(Ok::<_, Infallible>(Response::new(String::new()))));
        let mut rejected = Box::pin(Require::new(authenticated()).layer(inner).call(Request::new(())));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let Poll::Ready(Ok(response)) = rejected.as_mut().poll(&mut cx) else { panic!("not ready") };
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let _ = rejected.as_mut().poll(&mut cx);
    }
}
