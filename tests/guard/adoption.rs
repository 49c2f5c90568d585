//! Keyward in an application that exists: service keys, floors, services and layers around the gate, and
//! mistakes in routes that are found at the start.

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::get;
use http::{Method, header};
use keyward::authz::{ActionEntry, Catalogue, Fields};
use keyward::guard::Reason;
use keyward::store::TokenQuery;
use keyward::testing::{App, World};
use keyward::token::{ContentAccess, HashKeyRing, InvalidHashKey, TokenKind};
use keyward::{Auth, Group, GuardedRouter, NewContentToken, Require, action, authenticated};
use keyward_test_support::log;
use std::convert::Infallible;
use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tower_http::cors::{Any, CorsLayer};

#[tokio::test]
async fn service_keys_need_a_credential_and_their_scope() {
    let world = World::bare(|builder| builder.service_keys("/"));
    let app = world.guard(GuardedRouter::new().get("/orders", action("orders.read"), || async { "orders" }));
    let issue = async |name: &str, action: &str| {
        let new = NewContentToken::new(name, ContentAccess::only([action]));
        world.keyward.tokens().issue_content(new).await.unwrap().secret.expose().to_owned()
    };
    let (reads, writes) = (issue("reads", "orders.read").await, issue("writes", "orders.write").await);
    let answer = app.get("/orders").await;
    answer.assert_rejected(Reason::NoCredential).assert_status(401);
    assert!(answer.headers["www-authenticate"].as_bytes().starts_with(b"Bearer"));
    assert_eq!(app.get("/orders").bearer(&reads).await.assert_ok().body, "orders");
    app.get("/orders").bearer(writes.as_str()).await.assert_rejected(Reason::Forbidden).assert_status(403);
    // Only a valid caller learns that a path does not exist.
    app.get("/x").await.assert_status(401);
    app.get("/x").bearer(&reads).await.assert_status(404);
}

#[tokio::test]
async fn default_tokens_are_made_for_a_content_api_alone() {
    for (world, tokens) in [
        (World::bare(|builder| builder.admin("/admin").service_keys("/v1")), 0),
        (World::bare(|builder| builder.admin("/admin").content("/v1")), 2),
    ] {
        world.keyward.set_up().await.unwrap();
        let query = TokenQuery::of(TokenKind::Content);
        assert_eq!(world.keyward.tokens().list(&query).await.unwrap().items.len(), tokens);
    }
}

#[tokio::test]
async fn a_floor_is_met_before_any_route_runs() {
    let internal = |builder: keyward::Builder| {
        let internal = Group::admin("/internal").floor(action("internal.use"));
        builder.group(internal).group(Group::content("/shop").floor(action("shop.use")).public_actions(["other"]))
    };
    let world = World::bare(internal);
    let ran = Arc::new(AtomicUsize::new(0));
    let handler = {
        let ran = ran.clone();
        move || async move { ran.fetch_add(1, Ordering::SeqCst).to_string() }
    };
    let routes = Router::new().route("/internal/forgotten", get(handler.clone()).post(handler.clone()));
    let routes = routes.route("/internal/x", get(handler.clone()).layer(Require::new(authenticated())));
    let app = world.wrap(routes.route("/shop/x", get(handler).layer(Require::new(authenticated()))));
    let bare = world.editor().with("other").issue().await.secret;
    let able = world.editor().with("internal.use").issue().await.secret;
    // The first request reads the store, the second one is answered from the cache.
    for _ in 0..2 {
        for path in ["/internal/forgotten", "/internal/x"] {
            app.get(path).bearer(&bare).await.assert_rejected(Reason::Forbidden).assert_status(403);
        }
        app.post("/internal/forgotten").bearer(&bare).await.assert_status(403);
        app.get("/shop/x").await.assert_rejected(Reason::Forbidden);
    }
    assert_eq!(ran.load(Ordering::SeqCst), 0);
    app.get("/internal/x").bearer(&able).await.assert_ok();
    // A floor is no requirement of the route.
    app.get("/internal/forgotten").bearer(&able).await.assert_rejected(Reason::Unguarded);
    assert_eq!(ran.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_floor_is_judged_again_while_a_request_lasts() {
    let world = World::bare(|builder| builder.group(Group::admin("/internal").floor(action("internal.use"))));
    let started = Arc::new(Notify::new());
    let handler = {
        let started = started.clone();
        async move |auth: Auth| {
            started.notify_one();
            auth.revoked().await;
        }
    };
    let app = world.guard(GuardedRouter::new().get("/internal/stream", authenticated(), handler));
    let key = world.editor().with("internal.use").with("other").issue().await;
    let running = tokio::spawn(app.get("/internal/stream").bearer(&key.secret).into_future());
    started.notified().await;
    let (_, role) = key.owner.unwrap();
    let less = keyward::admin::RoleUpdate { permissions: Some(vec!["other".into()]), ..Default::default() };
    world.keyward.roles().update(role, less).await.unwrap();
    tokio::time::timeout(Duration::from_secs(30), running).await.expect("the stream ends").unwrap();
}

#[tokio::test]
async fn a_rejection_by_the_floor_looks_like_one_by_a_route() {
    let floors = |builder: keyward::Builder| {
        let group = |group: Group| group.floor(action("use"));
        builder.group(group(Group::admin("/internal"))).group(group(Group::content("/shop")).public_actions(["other"]))
    };
    let world = World::bare(floors);
    let app = world.guard(GuardedRouter::new().get("/internal/x", authenticated(), || async {}).get(
        "/shop/x",
        authenticated(),
        || async {},
    ));
    let bare = world.editor().with("other").issue().await.secret;
    let rejected = app.get("/internal/x").bearer(&bare).await;
    assert_eq!((&rejected.json()["code"], &rejected.json()["scope"]), (&"insufficient_scope".into(), &"use".into()));
    assert!(rejected.headers["www-authenticate"].to_str().unwrap().contains(r#"scope="use""#));
    // The public has sent no credential that could fall short.
    let public = app.get("/shop/x").await;
    public.assert_status(403);
    assert!(!public.headers.get("www-authenticate").is_some_and(|h| h.to_str().unwrap().contains("error")));
}

#[tokio::test]
#[should_panic(expected = "no path parameters")]
async fn a_floor_has_no_path_parameter() {
    let _ = Group::admin("/x").floor(action("a").on_param("uid"));
}

#[tokio::test]
async fn layers_outside_the_gate_see_every_request() {
    let world = World::new();
    let routes = GuardedRouter::new().get("/admin/x", action("x"), || async { "x" });
    let cors = CorsLayer::new().allow_origin(Any).allow_methods([Method::GET]).allow_headers([header::AUTHORIZATION]);
    let app = App::from_service(world.keyward.guard(routes).into_router().layer(cors));
    let key = world.editor().with("x").issue().await.secret;
    let preflight = app.request(Method::OPTIONS, "/admin/x").header(header::ORIGIN, "https://a.test");
    let preflight = preflight.header(header::ACCESS_CONTROL_REQUEST_METHOD, "GET").await;
    assert_eq!(preflight.assert_ok().headers["access-control-allow-origin"], "*");
    let rejected = app.get("/admin/x").header(header::ORIGIN, "https://a.test").await;
    assert_eq!(rejected.assert_status(401).headers["access-control-allow-origin"], "*");
    assert_eq!(app.get("/admin/x").bearer(&key).await.assert_ok().body, "x");
    app.get("/nowhere").await.assert_rejected(Reason::NoGroup);
}

/// A route that is added after `Router::layer` would be open.
#[tokio::test]
#[should_panic(expected = "wrap the finished router")]
async fn the_layer_does_not_go_around_single_routes() {
    let _: Router = Router::new().route("/admin/x", get(|| async {})).layer(World::new().keyward.layer());
}

#[tokio::test]
async fn services_are_guarded_like_handlers() {
    let world = World::new();
    let service = tower::service_fn(|request: Request| async move {
        Ok::<_, Infallible>(Response::new(request.uri().path().to_owned()))
    });
    let routes = GuardedRouter::new().route_service("/admin/one", action("x"), service).nest_service(
        "/admin/below",
        action("x"),
        service,
    );
    let app = world.guard(routes);
    let able = world.editor().with("x").issue().await.secret;
    let bare = world.editor().with("y").issue().await.secret;
    for (path, seen) in [("/admin/one", "/admin/one"), ("/admin/below/a/b", "/a/b"), ("/admin/below", "/")] {
        app.get(path).await.assert_rejected(Reason::NoCredential);
        app.get(path).bearer(&bare).await.assert_rejected(Reason::Forbidden);
        assert_eq!(app.get(path).bearer(&able).await.assert_ok().body, seen);
        assert_eq!(app.post(path).bearer(&able).await.assert_ok().body, seen);
    }
}

#[tokio::test]
async fn a_handler_learns_what_its_caller_may_do() {
    let world = World::new();
    let handler = async |auth: Auth| {
        let one = action("read").on("article");
        format!("{} {} {}", auth.may("list"), auth.may(one.clone()), auth.may(String::from("drop")))
    };
    let app = world.guard(GuardedRouter::new().get("/admin/x", authenticated(), handler));
    let whole = world.editor().with("list").with(keyward::Permission::new("read").on("article")).issue().await.secret;
    let some = keyward::Permission::new("read").on("article").fields(Fields::only(["title"]).unwrap());
    let partial = world.editor().with(some).issue().await.secret;
    assert_eq!(app.get("/admin/x").bearer(&whole).await.assert_ok().body, "true true false");
    // A part of the fields is not the whole.
    assert_eq!(app.get("/admin/x").bearer(&partial).await.assert_ok().body, "false false false");
}

#[tokio::test]
#[should_panic(
    expected = "exist:\n/admin/typo: there is no action x.raed in the catalogue\n/admin/{uid}: there is no parameter {id} in the path"
)]
async fn requirements_of_what_does_not_exist_are_listed_at_the_start() {
    let catalogue = Catalogue::default().action(ActionEntry::settings("x.read", "X", "Read"));
    let world = World::with(|builder| builder.catalogue(catalogue));
    let nested = GuardedRouter::new().get("/{uid}", action("x.read").on_param("id"), || async {});
    let routes = GuardedRouter::new()
        .get("/admin/fine", action("x.read"), || async {})
        .get("/admin/typo", action("x.raed"), || async {})
        .nest("/admin", nested);
    let _ = world.guard(routes);
}

#[tokio::test]
async fn routes_outside_their_group_are_logged_at_the_start() {
    let world = World::new();
    let (log, _guard) = log::capture();
    let _ = world.guard(
        GuardedRouter::new()
            .get("/admin/x", authenticated(), || async {})
            .public("/public/x", get(|| async {}))
            .public("/login", get(|| async {}))
            .get("/public/y", authenticated(), || async {})
            .public("/admin/z", get(|| async {})),
    );
    let text = log.text();
    for route in ["/login: it is in no group", "/public/y: it has a requirement", "/admin/z: it is public"] {
        assert!(text.contains(route), "{route} in {text}");
    }
    assert!(!text.contains("/admin/x") && !text.contains("/public/x"), "{text}");
}

#[test]
fn a_missing_hash_key_names_its_variable() {
    let error = HashKeyRing::from_env("KEYWARD_TEST_NOT_SET").unwrap_err();
    assert_eq!(error, InvalidHashKey::Variable("KEYWARD_TEST_NOT_SET".into()));
    assert!(error.to_string().contains("KEYWARD_TEST_NOT_SET is not set"));
}
