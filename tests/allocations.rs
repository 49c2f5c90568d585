//! A request with a cached token costs one allocation more than with a layer that does nothing. Behind a requirement in axum it costs at
//! most three more than with two such layers. A test binary of its own, because it counts the allocations of the process.

#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used)]

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::routing::get;
use bytes::BytesMut;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderValue, Request, Response, Uri};
use keyward::testing::{Key, World};
use keyward::{GuardedRouter, Require, action, authenticated};
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use tower::layer::layer_fn;
use tower::{Layer, Service, service_fn};

const PATH: &str = "/admin/webhooks";
const ACTION: &str = "admin::webhooks.read";

#[tokio::test]
async fn gate_costs_one_allocation() {
    let world = World::new();
    let key = world.editor().with(ACTION).issue().await;
    let mut bare = NoOp(service_fn(plain));
    let mut gated = world.keyward.wrap(Require::new(authenticated()).layer(service_fn(plain)));
    gated.call(request(&key)).await.unwrap();
    let over = allocations(&mut gated, &key) - allocations(&mut bare, &key);
    assert!(over <= 1, "{over} allocations");
}

#[tokio::test]
async fn gate_and_requirement_cost_at_most_three_allocations() {
    let world = World::new();
    let key = world.editor().with(ACTION).issue().await;
    let handler = || get(|| async { "[]" });
    let mut bare = NoOp(Router::new().route(PATH, handler().route_layer(layer_fn(NoOp))).with_state::<()>(()));
    let mut gated = world.keyward.guard(GuardedRouter::new().route(PATH, action(ACTION), handler()));
    gated.call(request(&key)).await.unwrap();
    let over = allocations(&mut gated, &key) - allocations(&mut bare, &key);
    assert!(over <= 3, "{over} allocations");
}

#[tokio::test]
async fn concurrent_requests_cost_no_more_allocations() {
    let world = World::new();
    let key = world.editor().with(ACTION).issue().await;
    let mut gated = world.keyward.wrap(Require::new(authenticated()).layer(service_fn(plain)));
    gated.call(request(&key)).await.unwrap();
    let mut under_way = |n: usize| {
        let requests: Vec<_> = (0..n).map(|_| request(&key)).collect();
        let mut futures = Vec::with_capacity(n);
        let counted = allocation_counter::measure(|| futures.extend(requests.into_iter().map(|r| gated.call(r))));
        counted.count_total
    };
    under_way(10);
    // The second time, the slots of the first ten are reused: one box per request and the response's headers remain.
    let (one, ten) = (under_way(1), under_way(10));
    assert_eq!(ten, 10 * one);
}

/// Returns the allocations of one request after a warm-up.
fn allocations<S: Service<Request<Body>>>(service: &mut S, key: &Key) -> i64 {
    let mut once = || {
        let request = request(key);
        let counted = allocation_counter::measure(|| {
            let mut future = pin!(service.call(request));
            let answer = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(answer, Poll::Ready(Ok(_))), "a request with a cached token does not wait");
        });
        i64::try_from(counted.count_total).unwrap()
    };
    once();
    once()
}

/// Returns a request as a server passes it on: with headers, an extension, and a path that is a slice of the read buffer.
fn request(key: &Key) -> Request<Body> {
    let bearer = HeaderValue::try_from(format!("Bearer {}", key.secret.expose())).unwrap();
    let mut read = BytesMut::from(PATH);
    let path = Uri::from_maybe_shared(read.split_to(PATH.len()).freeze()).unwrap();
    let mut request = Request::get(path)
        .header(HOST, "api.example.test")
        .header(USER_AGENT, "keyward-test/1.0")
        .header(ACCEPT, "application/json")
        .header(AUTHORIZATION, bearer)
        .body(Body::empty())
        .unwrap();
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([192, 0, 2, 7], 40_000))));
    request
}

fn plain(_: Request<Body>) -> Ready<Result<Response<Body>, Infallible>> {
    let mut response = Response::new(Body::empty());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    ready(Ok(response))
}

#[derive(Clone)]
struct NoOp<S>(S);

impl<S: Service<R>, R> Service<R> for NoOp<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.0.call(request)
    }
}
