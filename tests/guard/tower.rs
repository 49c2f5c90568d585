//! The layer follows tower's contract: it wraps any service with any body, and calls only a service that was polled ready.

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use keyward::authz::Action;
use keyward::guard::{Forbidden, GrpcRejection, JsonRejection, MakeRejection, Rejection, RejectionContext};
use keyward::testing::World;
use keyward::token::{ContentAccess, TokenKind};
use keyward::{AuthContext, Group, Require, action, authenticated};
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

/// A service that must be polled ready before each call, as a rate limit must. A clone is not ready.
struct MustBeReady {
    ready: bool,
    called: Arc<AtomicU32>,
}

impl Clone for MustBeReady {
    fn clone(&self) -> Self {
        Self { ready: false, called: self.called.clone() }
    }
}

impl Service<Request<()>> for MustBeReady {
    type Response = Response<Bytes>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Bytes>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without being ready");
        self.called.fetch_add(1, Ordering::SeqCst);
        ready(Ok(Response::new(Bytes::new())))
    }
}

fn request(path: &str, key: &keyward::testing::Key) -> Request<()> {
    let value = format!("Bearer {}", key.secret.expose());
    Request::get(path).header(header::AUTHORIZATION, value).body(()).unwrap()
}

#[tokio::test]
async fn ready_service_is_the_one_called() {
    let world = World::new();
    let key = world.editor().with("x").issue().await;
    let called = Arc::new(AtomicU32::new(0));
    let inner = Require::new(action("x")).layer(MustBeReady { ready: false, called: called.clone() });
    let mut gated = world.keyward.wrap(inner);
    for cold in [true, false] {
        // The first request reads the store, the second is a cache hit.
        let response = gated.ready().await.unwrap().call(request("/admin/x", &key)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "cold: {cold}");
    }
    // Two requests that miss the cache at once, through one service.
    let (a, b) = (world.editor().with("x").issue().await, world.editor().with("x").issue().await);
    let first = gated.ready().await.unwrap().call(request("/admin/x", &a));
    let second = gated.ready().await.unwrap().call(request("/admin/x", &b));
    assert_eq!(second.await.unwrap().status(), StatusCode::OK);
    assert_eq!(first.await.unwrap().status(), StatusCode::OK);
    assert_eq!(called.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn inner_service_sees_the_caller() {
    let world = World::new();
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let inner = service_fn(move |request: Request<()>| {
        sender.send(request.extensions().get::<AuthContext>().unwrap().clone()).unwrap();
        ready(Ok::<_, Infallible>(Response::new(Bytes::new())))
    });
    let mut gated = world.keyward.wrap(Require::new(authenticated()).layer(inner));
    for (key, kind, path) in [
        (world.editor().issue().await, TokenKind::Admin, "/admin/x"),
        (world.editor().sign_in().await, TokenKind::Session, "/admin/x"),
        (world.content(ContentAccess::ReadOnly).await, TokenKind::Content, "/api/x"),
    ] {
        gated.ready().await.unwrap().call(request(path, &key)).await.unwrap();
        let auth = receiver.recv().await.unwrap();
        assert_eq!((auth.token(), auth.kind()), (Some(key.id), Some(kind)));
        assert_eq!(auth.owner(), key.owner.map(|(owner, _)| owner));
        assert_eq!(auth.roles(), key.owner.map(|(_, role)| role).as_slice());
        let shown = format!("{auth:?}");
        assert!(shown.contains(&format!("{kind:?}")) && !shown.contains(key.secret.expose()), "{shown}");
    }
}

/// A custom form of rejections that shows which request it gets.
#[derive(Clone)]
struct Told(tokio::sync::mpsc::UnboundedSender<bool>);

impl MakeRejection<Bytes> for Told {
    fn answer(&self, rejection: &Rejection, request: RejectionContext) -> Response<Bytes> {
        self.0.send(request.page).unwrap();
        rejection.answer(Bytes::new())
    }
}

#[tokio::test]
async fn custom_rejections_know_whether_people_see_them() {
    let world = World::with(|b| b.group(Group::pages("/pages", "sid", "/login")));
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let inner = service_fn(|_: Request<()>| ready(Ok::<_, Infallible>(Response::new(Bytes::new()))));
    let mut gated = world.keyward.wrap(inner).rejections(Told(sender));
    let unknown = World::new().editor().issue().await;
    for (path, page) in [("/admin/x", false), ("/pages/x", true), ("/nowhere", false)] {
        // Without a credential, and with one that misses the cache.
        gated.ready().await.unwrap().call(Request::get(path).body(()).unwrap()).await.unwrap();
        gated.ready().await.unwrap().call(request(path, &unknown)).await.unwrap();
        assert_eq!((receiver.recv().await, receiver.recv().await), (Some(page), Some(page)), "{path}");
    }
}

#[cfg(feature = "axum")]
#[test]
fn forbidden_is_a_response() {
    assert_eq!(axum::response::IntoResponse::into_response(Forbidden).status(), StatusCode::FORBIDDEN);
}

#[test]
fn layer_service_and_future_are_send() {
    fn send_sync<T: Clone + Send + Sync>() {}
    fn send<T: Send>(_: T) {}
    send_sync::<keyward::guard::GateLayer>();
    send_sync::<keyward::guard::GateService<axum::Router>>();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut gated = World::new().keyward.wrap(MustBeReady { ready: false, called: Arc::default() });
        send(gated.ready().await.unwrap().call(Request::get("/none").body(()).unwrap()));
    });
}

#[tokio::test]
async fn gate_wraps_services_that_are_no_routers() {
    let world = World::new();
    let key = world.content(ContentAccess::Custom([Action::new("api::x.find")].into())).await;
    let handler = service_fn(|request: Request<()>| async move {
        let auth = request.extensions().get::<keyward::AuthContext>().unwrap();
        auth.require(&action("api::x.find")).unwrap();
        Ok::<_, Infallible>(Response::new(Bytes::from("in")))
    });
    let service = ServiceBuilder::new().layer(world.keyward.layer()).service(handler);
    let response = service.oneshot(request("/api/x", &key)).await.unwrap();
    assert_eq!(response.into_body(), "in");
}

#[tokio::test]
async fn grpc_rejections_are_a_status_in_headers() {
    let world = World::new();
    let weak = world.editor().issue().await;
    // tonic's body can be empty, but cannot be made from bytes.
    let handler = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(tonic::body::Body::empty())) });
    let service = world.keyward.wrap(Require::new(action("x")).layer(handler)).rejections(GrpcRejection);
    let status = async |request| {
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/grpc");
        response.headers()["grpc-status"].to_str().unwrap().to_owned()
    };
    assert_eq!(status(Request::post("/admin/pkg.Service/Method").body(()).unwrap()).await, "16");
    assert_eq!(status(request("/admin/pkg.Service/Method", &weak)).await, "7");
    assert_eq!(status(Request::post("/none").body(()).unwrap()).await, "12");
}

#[tokio::test]
async fn json_rejections_become_grpc_for_a_grpc_request() {
    let world = World::new();
    let handler = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(Bytes::new())) });
    let service = world.keyward.wrap(handler).rejections(JsonRejection);
    for (content_type, grpc) in [
        ("application/grpc", true),
        ("application/grpc+proto", true),
        ("application/grpcx", false),
        ("text/plain", false),
    ] {
        let request = Request::post("/admin/x").header(header::CONTENT_TYPE, content_type).body(()).unwrap();
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.headers().contains_key("grpc-status"), grpc, "{content_type}");
        assert_eq!(response.body().is_empty(), grpc);
    }
}

#[tokio::test]
async fn rejections_are_replaceable() {
    let world = World::new();
    let plain = |rejection: &Rejection| rejection.answer(rejection.message().to_owned());
    let handler = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(String::new())) });
    let service = world.keyward.layer().rejections(plain).layer(handler);
    let response = service.oneshot(Request::get("/admin/x").body(()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer realm=\"keyward\"");
    assert_eq!(response.body(), "Missing or invalid credentials");
}

#[tokio::test]
async fn error_of_the_inner_service_is_passed_through() {
    let world = World::new();
    let key = world.editor().issue().await;
    let handler = service_fn(|_: Request<()>| async { Err::<Response<Bytes>, _>("broken") });
    let service = world.keyward.wrap(handler);
    assert_eq!(service.oneshot(request("/admin/x", &key)).await.unwrap_err(), "broken");
}

#[tokio::test]
async fn requirement_without_a_gate_rejects_every_request() {
    let handler = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(Bytes::from("in"))) });
    let service = Require::new(action("x")).layer(handler);
    let response = service.oneshot(Request::get("/admin/x").body(()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(response.body().is_empty());
}
