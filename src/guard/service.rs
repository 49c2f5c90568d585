//! The layer and its service.

use super::admit::{Admission, Lookup, NotAdmitted};
use super::body::GuardableBody;
use super::future::{GateFuture, PendingRequest};
use super::gate::Gate;
use super::groups::GroupId;
use super::rejection::{JsonRejection, MakeRejection};
use super::response::ResponseCheck;
use crate::domain::Reason;
#[cfg(feature = "axum")]
use axum::extract::connect_info::IntoMakeServiceWithConnectInfo;
use http::{Request, Response};
#[cfg(feature = "axum")]
use std::any::TypeId;
use std::fmt;
#[cfg(feature = "axum")]
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// A layer that admits requests of protected groups only with a valid credential. Made by
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
    /// Sets the form of rejections.
    pub fn rejections<Q>(self, rejections: Q) -> GateLayer<Q> {
        GateLayer { gate: self.gate, rejections }
    }
}

impl<S: 'static, R: Clone> Layer<S> for GateLayer<R> {
    type Service = GateService<S, R>;

    /// Wraps a finished service.
    ///
    /// # Panics
    /// If it is a single route of axum, as it is for `Router::layer`: a route that is added later would not be guarded.
    fn layer(&self, inner: S) -> GateService<S, R> {
        #[cfg(feature = "axum")]
        assert!(
            TypeId::of::<S>() != TypeId::of::<axum::routing::Route>(),
            "`Router::layer` reaches only the routes so far: wrap the finished router, as in `keyward.wrap(router)`"
        );
        GateService { inner, gate: self.gate.clone(), rejections: self.rejections.clone() }
    }
}

/// A service whose requests are admitted by a [`GateLayer`].
#[derive(Clone)]
pub struct GateService<S, R = JsonRejection> {
    inner: S,
    gate: Arc<Gate>,
    rejections: R,
}

impl<S, R> GateService<S, R> {
    /// Sets the form of rejections.
    pub fn rejections<Q>(self, rejections: Q) -> GateService<S, Q> {
        GateService { inner: self.inner, gate: self.gate, rejections }
    }
}

#[cfg(feature = "axum")]
impl<R: MakeRejection<axum::body::Body>> GateService<axum::Router, R> {
    /// Returns a router that serves everything through the gate. It takes layers, which are outside the gate: traces,
    /// CORS, request ids. A route that is added to it is not guarded. To nest it in another router, use
    /// `nest_service` with this service instead.
    ///
    /// ```
    /// # async fn example(keyward: keyward::Keyward) {
    /// use keyward::{GuardedRouter, authenticated};
    /// use tower_http::{cors::CorsLayer, trace::TraceLayer};
    /// let routes = GuardedRouter::new().get("/admin/ping", authenticated(), || async { "pong" });
    /// let app: axum::Router =
    ///     keyward.guard(routes).into_router().layer(CorsLayer::new()).layer(TraceLayer::new_for_http());
    /// # }
    /// ```
    pub fn into_router(self) -> axum::Router {
        axum::Router::new().fallback_service(self)
    }

    /// Makes the service that `axum::serve` takes. It passes on the peer's address, which failure budgets and last uses
    /// need.
    pub fn into_make_service(self) -> IntoMakeServiceWithConnectInfo<Self, SocketAddr> {
        axum::ServiceExt::<axum::extract::Request>::into_make_service_with_connect_info(self)
    }
}

impl<S, R, ReqBody, ResBody> Service<Request<ReqBody>> for GateService<S, R>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ReqBody: GuardableBody,
    ResBody: 'static,
    R: MakeRejection<ResBody>,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = GateFuture<S, R, ReqBody, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let mut admitted = self.gate.admit(&request);
        if let Err((Reason::NoCredential, Some(group))) = admitted {
            admitted = self.gate.identify_account(&request, group).map_err(|reason| (reason, Some(group)));
        }
        match admitted {
            Ok(Admission::Admitted(group, entry)) => {
                let check = ResponseCheck::new(&self.gate, group, self.rejections.clone(), &mut request, entry);
                match check.below_floor(group, &request) {
                    Some(rejection) => GateFuture::rejected(rejection),
                    None => GateFuture::guarded(self.inner.call(request), check),
                }
            }
            Ok(Admission::Public(group)) => {
                self.gate.insert_page_context(group, &mut request);
                GateFuture::public(self.inner.call(request))
            }
            Ok(Admission::Pending(group, lookup)) => {
                let group = group.id();
                self.pending(lookup, request, group)
            }
            Err(not_admitted) => self.reject(not_admitted, &request),
        }
    }
}

impl<S, R> GateService<S, R> {
    /// Makes the future of a request that waits for its look-up. Like `reject` it is a function of its own: most requests need
    /// neither.
    #[inline(never)]
    fn pending<Q, B>(&mut self, lookup: Lookup, request: Request<Q>, group: GroupId) -> GateFuture<S, R, Q, B>
    where
        S: Service<Request<Q>> + Clone,
        R: Clone,
    {
        // The service that was polled ready has to be the one that is called: a clone replaces it here.
        let clone = self.inner.clone();
        let service = std::mem::replace(&mut self.inner, clone);
        let (gate, rejections) = (self.gate.clone(), self.rejections.clone());
        GateFuture::pending(lookup, PendingRequest { request, service, gate, group, rejections })
    }

    #[inline(never)]
    fn reject<Q, B>(&self, not_admitted: NotAdmitted<'_>, request: &Request<Q>) -> GateFuture<S, R, Q, B>
    where
        S: Service<Request<Q>>,
        R: MakeRejection<B>,
    {
        GateFuture::rejected(self.gate.respond(not_admitted, request, &self.rejections))
    }
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
