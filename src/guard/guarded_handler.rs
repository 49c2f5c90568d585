//! A handler that judges a requirement first: what a [`Require`](super::Require) layer does, without a service of its
//! own around the route.

use super::route_requirement::RouteRequirement;
use axum::extract::Request;
use axum::handler::Handler;
use axum::response::{IntoResponse, Response};
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::task::{Context, Poll};

#[derive(Clone)]
pub(super) struct GuardedHandler<H> {
    pub(super) handler: H,
    pub(super) requirement: RouteRequirement,
}

impl<H, T, S> Handler<T, S> for GuardedHandler<H>
where
    H: Handler<T, S>,
{
    type Future = GuardedHandlerFuture<H::Future>;

    fn call(self, mut request: Request, state: S) -> Self::Future {
        match self.requirement.check(&mut request) {
            Ok(()) => GuardedHandlerFuture::Handler { handler: self.handler.call(request, state) },
            Err(status) => GuardedHandlerFuture::Rejected { response: Some(status.into_response()) },
        }
    }
}

pin_project! {
    #[project = Projected]
    pub(super) enum GuardedHandlerFuture<F> {
        Handler { #[pin] handler: F },
        /// `None` once the response has been returned.
        Rejected { response: Option<Response> },
    }
}

impl<F: Future<Output = Response>> Future for GuardedHandlerFuture<F> {
    type Output = Response;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        match self.project() {
            Projected::Handler { handler } => handler.poll(cx),
            Projected::Rejected { response } => match response.take() {
                Some(response) => Poll::Ready(response),
                None => panic!("GuardedHandlerFuture polled after completion"),
            },
        }
    }
}
