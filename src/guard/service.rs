//! The layer and its service.

use super::admit::{Admission, Gate};
use super::body::GuardableBody;
use super::future::{GateFuture, Passage};
use super::rejection::{JsonRejection, MakeRejection, RejectionContext};
#[cfg(feature = "axum")]
use axum::extract::connect_info::IntoMakeServiceWithConnectInfo;
use http::header::CONTENT_TYPE;
use http::{Method, Request, Response};
use std::fmt;
#[cfg(feature = "axum")]
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// Wraps a service so that protected groups are entered with a valid credential only. Made by
/// [`Keyward::layer`](crate::guard::Guard::layer).
#[derive(Clone)]
pub struct GateLayer<R = JsonRejection> {
    gate: Arc<Gate>,
    rejections: R,
}

impl GateLayer {
    pub(crate) fn new(gate: Arc<Gate>) -> Self {
        Self { gate, rejections: JsonRejection }
    }
}

impl<R> GateLayer<R> {
    /// Answers refused requests in another form.
    pub fn rejections<Q>(self, rejections: Q) -> GateLayer<Q> {
        GateLayer { gate: self.gate, rejections }
    }
}

impl<S, R: Clone> Layer<S> for GateLayer<R> {
    type Service = GateService<S, R>;

    fn layer(&self, inner: S) -> GateService<S, R> {
        GateService { inner, gate: self.gate.clone(), rejections: self.rejections.clone() }
    }
}

/// A service behind the gate.
#[derive(Clone)]
pub struct GateService<S, R = JsonRejection> {
    inner: S,
    gate: Arc<Gate>,
    rejections: R,
}

impl<S, R> GateService<S, R> {
    /// Answers refused requests in another form.
    pub fn rejections<Q>(self, rejections: Q) -> GateService<S, Q> {
        GateService { inner: self.inner, gate: self.gate, rejections }
    }
}

#[cfg(feature = "axum")]
impl<R: MakeRejection<axum::body::Body>> GateService<axum::Router, R> {
    /// What `axum::serve` takes. It tells the gate the peer's address, so that the uses of tokens say where from.
    pub fn into_make_service(self) -> IntoMakeServiceWithConnectInfo<Self, SocketAddr> {
        axum::ServiceExt::<axum::extract::Request>::into_make_service_with_connect_info(self)
    }
}

impl<S, R, ReqBody, ResBody> Service<Request<ReqBody>> for GateService<S, R>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ReqBody: GuardableBody,
    R: MakeRejection<ResBody>,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = GateFuture<S, R, ReqBody, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        match self.gate.admit(&request) {
            Ok(Admission::Enter(entry, door)) => {
                let passage = Passage::enter(&self.gate, &self.rejections, &mut request, entry, door);
                GateFuture::entered(self.inner.call(request), passage)
            }
            Ok(Admission::Open(group)) => {
                self.gate.mark_for_people(group, &mut request);
                GateFuture::open(self.inner.call(request))
            }
            Ok(Admission::Ask(wanted)) => {
                // The service that was polled ready is the one to call later; a fresh clone takes its place.
                let fresh = self.inner.clone();
                let ready = std::mem::replace(&mut self.inner, fresh);
                GateFuture::asking(&self.gate, &self.rejections, wanted, request, ready)
            }
            Err(turned) => {
                let rejection = self.gate.turn(turned, &request);
                let refused = refused(&request, rejection.is_for_people());
                GateFuture::refused(self.rejections.answer(&rejection, refused))
            }
        }
    }
}

/// What of a request a refusal may depend on.
pub(super) fn refused<B>(request: &Request<B>, page: bool) -> RejectionContext {
    let is_grpc = |v: &[u8]| {
        v.strip_prefix(b"application/grpc").is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
    };
    // gRPC is POST and nothing else: other requests need no look at their headers.
    let grpc =
        *request.method() == Method::POST && request.headers().get(CONTENT_TYPE).is_some_and(|v| is_grpc(v.as_bytes()));
    RejectionContext { grpc, version: request.version(), page }
}

impl<R> fmt::Debug for GateLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GateLayer").field("groups", &self.gate.groups).finish_non_exhaustive()
    }
}

impl<S: fmt::Debug, R> fmt::Debug for GateService<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GateService").field("inner", &self.inner).finish_non_exhaustive()
    }
}
