//! nothing-unguarded (`docs/invariants.md`): no request reaches a handler of a protected group without a principal. With the guarded
//! router no handler runs before its requirement is met. With any router no response leaves unless one was met.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{MethodRouter, any, get, post};
use http::{Method, Uri, header};
use keyward::authz::ConditionClause;
use keyward::guard::{Ambiguity, Forbidden, Reason};
use keyward::testing::{App, World};
use keyward::{
    AdminAuth, Auth, ContentAuth, Decision, Group, GuardedRouter, Permission, Require, Requirement, action,
    authenticated,
};
use keyward_test_support::log;
use serde_json::json;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tower::Service;

/// A handler that counts how often it ran.
#[derive(Clone, Default)]
struct Ran(Arc<AtomicU32>);

impl Ran {
    fn handler(&self) -> MethodRouter {
        let ran = self.clone();
        any(move || async move {
            ran.0.fetch_add(1, Ordering::SeqCst);
            "the handler's own words"
        })
    }

    fn times(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn guarded_router_runs_no_handler_before_its_requirement() {
    let (world, ran) = (World::new(), Ran::default());
    let guarded = GuardedRouter::new()
        .route("/admin/x", action("x.read"), ran.handler())
        .nest("/admin/nested", GuardedRouter::new().route("/y", action("x.read"), ran.handler()))
        .merge(GuardedRouter::new().route("/api/z", action("api::z.find"), ran.handler()));
    let app = world.guard(guarded);
    let weak = world.editor().with("other").issue().await.secret;
    let content = world
        .content(keyward::token::ContentAccess::Custom([keyward::authz::Action::new("api::y.find")].into()))
        .await
        .secret;
    for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::POST, Method::from_bytes(b"PURGE").unwrap()] {
        for path in ["/admin/x", "/admin/nested/y"] {
            app.request(method.clone(), path).await.assert_rejected(Reason::NoCredential).assert_status(401);
            app.request(method.clone(), path).bearer(&weak).await.assert_rejected(Reason::Forbidden).assert_status(403);
        }
        app.request(method.clone(), "/api/z").await.assert_rejected(Reason::Forbidden).assert_status(403);
        app.request(method.clone(), "/api/z").bearer(&content).await.assert_rejected(Reason::Forbidden);
    }
    assert_eq!(ran.times(), 0);
    let strong = world.editor().with("x.read").issue().await.secret;
    app.get("/admin/x").bearer(&strong).await.assert_ok();
    app.get("/admin/nested/y").bearer(&strong).await.assert_ok();
    assert_eq!(ran.times(), 2);
}

/// A requirement is judged alike in a layer around the method router and in the handler's place.
#[tokio::test]
async fn handler_routes_are_judged_like_layered_routes() {
    let (world, in_place, layered) = (World::new(), Ran::default(), Ran::default());
    let whole = || action("x.read").whole();
    let on_param = || action("x.read").on_param("uid");
    let runs = |ran: &Ran| {
        let ran = ran.clone();
        move || async move { _ = ran.0.fetch_add(1, Ordering::SeqCst) }
    };
    let route = |path: &str, requirement: Requirement| {
        GuardedRouter::new().route(path, requirement, get(runs(&layered)).delete(runs(&layered)))
    };
    let handler = |path: &str, requirement: Requirement| {
        let read = GuardedRouter::new().get(path, requirement.clone(), runs(&in_place));
        read.delete(path, requirement, runs(&in_place))
    };
    let in_place_app = world.guard(
        handler("/admin/plain", action("x.read"))
            .merge(handler("/admin/of/{uid}", on_param()))
            .nest("/admin/nested", handler("/whole", whole())),
    );
    let layered_app = world.guard(
        route("/admin/plain", action("x.read"))
            .merge(route("/admin/of/{uid}", on_param()))
            .nest("/admin/nested", route("/whole", whole())),
    );
    let article = Permission::new("x.read").on("article");
    let keys = [
        world.editor().with("x.read").issue().await,
        world.editor().with("y.read").issue().await,
        world.editor().with(article).issue().await,
    ];
    let mut admitted = 0;
    for path in ["/admin/plain", "/admin/of/article", "/admin/of/other", "/admin/nested/whole", "/admin/none"] {
        for method in [Method::GET, Method::HEAD, Method::DELETE, Method::POST, Method::OPTIONS] {
            for key in keys.iter().map(Some).chain([None]) {
                let send = async |app: &App| {
                    let request = app.request(method.clone(), path);
                    let answer = match key {
                        Some(key) => request.bearer(&key.secret).await,
                        None => request.await,
                    };
                    (answer.status, answer.reason, answer.headers.get(header::WWW_AUTHENTICATE).cloned())
                };
                let answers = (send(&in_place_app).await, send(&layered_app).await);
                // A layer also rejects other methods by the requirement; in place they are a guarded 405.
                let has_handler = [Method::GET, Method::HEAD, Method::DELETE].contains(&method);
                assert!(answers.0 == answers.1 || !has_handler, "{method} {path}: {answers:?}");
                assert_eq!(in_place.times(), layered.times(), "{method} {path}");
                admitted += u32::from(answers.0.0.is_success());
            }
        }
    }
    assert_eq!((admitted, in_place.times()), (9, 9), "two methods and `HEAD`, on three paths");
}

#[tokio::test]
async fn router_404_and_405_are_guarded() {
    let world = World::new();
    let app = world.guard(
        GuardedRouter::new()
            .route("/admin/x", action("x.read"), get(|| async {}))
            .public("/public/x", get(|| async {})),
    );
    let key = world.editor().with("other").issue().await.secret;
    app.get("/admin/none").await.assert_rejected(Reason::NoCredential);
    app.post("/admin/x").await.assert_rejected(Reason::NoCredential);
    app.get("/api/none").await.assert_rejected(Reason::Forbidden);
    let missing = app.get("/admin/none").bearer(&key).await;
    assert_eq!(missing.assert_status(404).json()["code"], "not_found");
    assert_eq!(missing.headers["content-type"], "application/problem+json");
    assert_eq!(missing.headers["cache-control"], "no-store");
    let method = app.post("/admin/x").bearer(&key).await;
    assert_eq!(method.assert_status(405).headers["allow"], "GET,HEAD");
    assert_eq!(method.json()["code"], "method_not_allowed");
    assert_eq!(method.headers["content-type"], "application/problem+json");
    app.get("/public/none").await.assert_status(404);
    app.post("/public/x").await.assert_status(405);
}

#[tokio::test]
async fn method_router_fallback_is_guarded() {
    let (world, ran) = (World::new(), Ran::default());
    let handler = get(|| async {}).fallback_service(ran.handler());
    let app = world.guard(GuardedRouter::new().route("/admin/x", action("x.read"), handler));
    let weak = world.editor().issue().await.secret;
    app.post("/admin/x").bearer(&weak).await.assert_rejected(Reason::Forbidden).assert_status(403);
    assert_eq!(ran.times(), 0);
}

#[tokio::test]
async fn each_method_of_a_path_has_its_own_requirement() {
    let world = World::new();
    let app = world.guard(GuardedRouter::new().route("/admin/x", action("x.read"), get(|| async {})).route(
        "/admin/x",
        action("x.create"),
        post(|| async {}),
    ));
    let reader = world.editor().with("x.read").issue().await.secret;
    let maker = world.editor().with("x.create").issue().await.secret;
    app.get("/admin/x").bearer(&reader).await.assert_ok();
    app.post("/admin/x").bearer(&reader).await.assert_rejected(Reason::Forbidden);
    app.get("/admin/x").bearer(&maker).await.assert_rejected(Reason::Forbidden);
    app.post("/admin/x").bearer(&maker).await.assert_ok();
    app.delete("/admin/x").bearer(&reader).await.assert_status(405);
    app.delete("/admin/x").await.assert_rejected(Reason::NoCredential);
}

#[tokio::test]
async fn headers_do_not_override_method_or_path() {
    let (world, ran) = (World::new(), Ran::default());
    let routes = GuardedRouter::new()
        .route("/admin/x", action("x.read"), get(|| async {}))
        .route("/admin/x", action("x.create"), post(|| async {}))
        .route("/admin/y", action("y.read"), ran.handler())
        .public("/public/x", ran.handler());
    let app = world.guard(routes);
    let reader = world.editor().with("x.read").issue().await.secret;
    let headers = [
        ("x-http-method-override", "GET"),
        ("x-http-method", "GET"),
        ("x-method-override", "GET"),
        ("x-original-url", "/public/x"),
        ("x-rewrite-url", "/public/x"),
        ("x-original-uri", "/public/x"),
        ("x-forwarded-prefix", "/public"),
        ("x-middleware-subrequest", "middleware"),
        ("x-forwarded-for", "127.0.0.1"),
    ];
    for (name, value) in headers {
        let name = header::HeaderName::from_static(name);
        let post = app.post("/admin/x?_method=GET").bearer(&reader).header(name.clone(), value).await;
        post.assert_rejected(Reason::Forbidden).assert_status(403);
        app.get("/admin/y").bearer(&reader).header(name.clone(), value).await.assert_rejected(Reason::Forbidden);
        app.get("/admin/y").header(name, value).await.assert_rejected(Reason::NoCredential).assert_status(401);
    }
    assert_eq!(ran.times(), 0);
}

#[tokio::test]
async fn paths_outside_every_group_are_404() {
    let (world, ran) = (World::new(), Ran::default());
    let app = world.wrap(Router::new().fallback_service(ran.handler()));
    let key = world.super_admin().issue().await.secret;
    for path in ["/", "/other", "/Admin/x", "/adminx", "/%61dmin"] {
        app.get(path).bearer(&key).await.assert_rejected(Reason::NoGroup).assert_status(404);
    }
    app.request(Method::OPTIONS, "*").await.assert_rejected(Reason::NoGroup);
    app.request(Method::CONNECT, "example.test:443").await.assert_rejected(Reason::NoGroup);
    assert_eq!(ran.times(), 0);
}

#[tokio::test]
async fn ambiguous_paths_are_rejected_inside_and_outside_groups() {
    let (world, ran) = (World::new(), Ran::default());
    let app = world.wrap(Router::new().fallback_service(ran.handler()));
    let key = world.super_admin().issue().await.secret;
    for path in [
        "//admin/webhooks",
        "/admin/../admin/webhooks",
        "/admin/%2e%2e/x",
        "/admin/x%2fy",
        "/public/../admin/x",
        "/public//x",
        "/other/./x",
        "/public/x%5cy",
        "/public/..;/admin",
        "/public/%252e%252e/admin",
        "/public/%zz",
        "/public/%00",
    ] {
        let answer = app.get(path).bearer(&key).await;
        answer.assert_status(400);
        assert!(matches!(answer.reason, Some(Reason::AmbiguousPath(_))), "{path}");
    }
    assert_eq!(ran.times(), 0);
}

#[tokio::test]
async fn forgotten_requirement_withholds_the_response() {
    let (world, ran) = (World::new(), Ran::default());
    let app = world.wrap(Router::new().route("/admin/x", ran.handler()).route("/api/x", ran.handler()));
    let admin = world.super_admin().issue().await.secret;
    let content = world.content(keyward::token::ContentAccess::FullAccess).await.secret;
    for (path, key) in [("/admin/x", &admin), ("/api/x", &content), ("/admin/no-such-route", &admin)] {
        let answer = app.get(path).bearer(key).await;
        answer.assert_rejected(Reason::Unguarded).assert_status(403);
        assert!(!String::from_utf8_lossy(&answer.body).contains("own words"));
    }
    app.get("/admin/x").await.assert_rejected(Reason::NoCredential);
    assert_eq!(ran.times(), 2, "the handler ran: the withheld response is only the backstop");
}

#[tokio::test]
async fn ignored_decision_withholds_the_response() {
    let world = World::new();
    let requirement = || action("read").on("article");
    let app = world.guard(
        GuardedRouter::new()
            .route("/admin/ignores", requirement(), get(|| async { "every row" }))
            .route("/admin/extracts", requirement(), get(|_: Decision| async {}))
            .route("/admin/takes", requirement(), get(|auth: AdminAuth| async move { drop(auth.decision()) }))
            .route(
                "/admin/asks",
                requirement(),
                get(|auth: AdminAuth| async move { drop(auth.decide(&authenticated())) }),
            ),
    );
    let read = || Permission::new("read").on("article");
    let conditional =
        world.editor().with(read().when(ConditionClause::from_list([keyward::authz::IS_CREATOR]))).issue().await.secret;
    let some_fields =
        world.editor().with(read().fields(keyward::authz::Fields::only(["title"]).unwrap())).issue().await.secret;
    for key in [&conditional, &some_fields] {
        app.get("/admin/ignores").bearer(key).await.assert_rejected(Reason::Unguarded).assert_status(403);
        app.get("/admin/asks").bearer(key).await.assert_rejected(Reason::Unguarded);
        app.get("/admin/extracts").bearer(key).await.assert_ok();
        app.get("/admin/takes").bearer(key).await.assert_ok();
    }
    let all = world.editor().with(read()).issue().await.secret;
    app.get("/admin/ignores").bearer(&all).await.assert_ok();
}

#[tokio::test]
async fn full_requirement_runs_no_handler_for_a_partial_decision() {
    let (world, ran) = (World::new(), Ran::default());
    let requirement = || action("update").on_param("uid").whole();
    let app = world.guard(GuardedRouter::new().route("/admin/{uid}", requirement(), ran.handler()));
    let update = || Permission::new("update").on("article");
    let part = world
        .editor()
        .with(update().when(ConditionClause::from_list([keyward::authz::IS_CREATOR])))
        .issue()
        .await
        .secret;
    let whole = world.editor().with(update()).issue().await.secret;
    app.post("/admin/article").bearer(&part).await.assert_rejected(Reason::Forbidden).assert_status(403);
    assert_eq!(ran.times(), 0);
    app.post("/admin/article").bearer(&whole).await.assert_ok();
}

#[tokio::test]
async fn guarded_router_layers_run_outside_its_requirements() {
    let (world, ran) = (World::new(), Ran::default());
    let seen = Ran::default();
    let layer = tower::util::MapRequestLayer::new(move |request: Request| {
        seen.0.fetch_add(1, Ordering::SeqCst);
        request
    });
    let app = world.guard(GuardedRouter::new().route("/admin/x", action("x"), ran.handler()).layer(layer));
    let weak = world.editor().issue().await.secret;
    app.get("/admin/x").bearer(&weak).await.assert_rejected(Reason::Forbidden);
    assert_eq!(ran.times(), 0);
}

#[tokio::test]
async fn handler_can_check_its_own_requirement() {
    let world = World::new();
    async fn required(auth: Auth) -> Result<&'static str, Forbidden> {
        auth.require(&action("x.read"))?;
        Ok("in")
    }
    async fn swallowed(auth: Auth) -> &'static str {
        let _ = auth.require(&action("x.read"));
        "in, one would hope"
    }
    let app = world.wrap(Router::new().route("/admin/r", get(required)).route("/admin/s", get(swallowed)));
    let strong = world.editor().with("x.read").issue().await.secret;
    let weak = world.editor().issue().await.secret;
    for path in ["/admin/r", "/admin/s"] {
        app.get(path).bearer(&strong).await.assert_ok();
        let refused = app.get(path).bearer(&weak).await;
        refused.assert_rejected(Reason::Forbidden).assert_status(403);
        assert_eq!(
            refused.headers["www-authenticate"],
            "Bearer realm=\"keyward\", error=\"insufficient_scope\", scope=\"x.read\""
        );
    }
}

#[tokio::test]
async fn requirements_of_several_layers_all_apply() {
    let world = World::new();
    let routes = Router::new()
        .route("/admin/x", get(|| async {}).layer(Require::new(action("inner"))))
        .layer(Require::new(action("outer")));
    let app = world.wrap(routes);
    for (held, status) in [(&["inner", "outer"][..], 200), (&["inner"], 403), (&["outer"], 403), (&[], 403)] {
        let key = held.iter().fold(world.editor(), |who, a| who.with(*a)).issue().await.secret;
        app.get("/admin/x").bearer(&key).await.assert_status(status);
    }
}

#[tokio::test]
async fn resource_from_the_path_is_the_one_checked() {
    let (world, ran) = (World::new(), Ran::default());
    let requirement = action("read").on_param("uid");
    let nested = GuardedRouter::new().route("/types/{uid}", requirement.clone(), ran.handler());
    let app = world.guard(GuardedRouter::new().nest("/admin", nested));
    let without = Router::new().route("/admin/no-param", ran.handler().layer(Require::new(requirement)));
    let key = world.editor().with(Permission::new("read").on("api::article.article")).with("read").issue().await.secret;
    app.get("/admin/types/api::article.article").bearer(&key).await.assert_ok();
    app.get("/admin/types/api%3A%3Aarticle.article").bearer(&key).await.assert_ok();
    app.get("/admin/types/api::page.page").bearer(&key).await.assert_status(403);
    world.wrap(without).get("/admin/no-param").bearer(&key).await.assert_status(403);
    assert_eq!(ran.times(), 2);
}

#[tokio::test]
async fn nested_routers_are_judged_by_the_full_path() {
    let (world, ran) = (World::new(), Ran::default());
    let gated = |routes: Router| world.keyward.wrap(routes).into_router();
    let inner = Router::new()
        .route("/", ran.handler().layer(Require::new(action("x"))))
        .route("/x", ran.handler().layer(Require::new(action("x"))));
    let outer = Router::new()
        .nest("/admin", gated(inner.clone()))
        .nest("/public", gated(inner.clone()))
        .nest("/elsewhere", gated(inner));
    let app = App::from_service(outer);
    let key = world.editor().with("x").issue().await.secret;
    app.get("/admin/x").await.assert_rejected(Reason::NoCredential);
    app.get("/admin/x").bearer(&key).await.assert_ok();
    app.get("/admin").bearer(&key).await.assert_ok();
    app.get("/elsewhere/x").bearer(&key).await.assert_rejected(Reason::NoGroup);
    app.get("/public/x").bearer(&key).await.assert_status(500);
    assert_eq!(ran.times(), 2, "a public group has no principal that could meet a requirement");
}

#[tokio::test]
async fn rewritten_path_is_rejected() {
    let (world, ran) = (World::new(), Ran::default());
    async fn rewrite(mut request: Request, next: Next) -> Response {
        *request.uri_mut() = Uri::from_static("/secret");
        next.run(request).await
    }
    let inner = world.keyward.wrap(Router::new().route("/secret", ran.handler()));
    let app = App::from_service(
        Router::new().nest_service("/public", tower::ServiceBuilder::new().layer(from_fn(rewrite)).service(inner)),
    );
    let answer = app.get("/public/x").await;
    answer.assert_rejected(Reason::AmbiguousPath(Ambiguity::Rewritten)).assert_status(400);
    assert_eq!(ran.times(), 0);
}

#[tokio::test]
async fn prefix_stripped_by_a_middleware_opens_nothing() {
    let (world, ran) = (World::new(), Ran::default());
    async fn strip(mut request: Request, next: Next) -> Response {
        let rest = request.uri().path().strip_prefix("/public").unwrap_or("/").to_owned();
        *request.uri_mut() = rest.parse().unwrap();
        next.run(request).await
    }
    let inner = world.keyward.wrap(Router::new().route("/admin/x", ran.handler()));
    let app = App::from_service(Router::new().fallback_service(inner).layer(from_fn(strip)));
    let answer = app.get("/public/admin/x").await;
    answer.assert_rejected(Reason::AmbiguousPath(Ambiguity::Rewritten)).assert_status(400);
    assert_eq!(ran.times(), 0);
}

#[tokio::test]
async fn duplicate_path_parameters_are_rejected() {
    let (world, ran) = (World::new(), Ran::default());
    let items = GuardedRouter::new().route("/items/{uid}", action("read").on_param("uid"), ran.handler());
    let app = world.guard(GuardedRouter::new().nest("/admin/{uid}", items));
    let key = world.editor().with(Permission::new("read").on("mine")).issue().await.secret;
    for path in ["/admin/mine/items/theirs", "/admin/theirs/items/mine", "/admin/mine/items/mine"] {
        app.get(path).bearer(&key).await.assert_rejected(Reason::Forbidden);
    }
    assert_eq!(ran.times(), 0);
}

#[tokio::test]
async fn head_is_judged_like_get() {
    let ran = Ran::default();
    let world = World::with(|b| b.group(Group::admin("/api/keys").exact(Method::GET)));
    let app = world.guard(GuardedRouter::new().route("/api/keys", action("admin::keys.read"), ran.handler()));
    let content = world.content(keyward::token::ContentAccess::FullAccess).await.secret;
    for method in [Method::GET, Method::HEAD] {
        app.request(method, "/api/keys").bearer(&content).await.assert_status(401);
    }
    assert_eq!(ran.times(), 0);
}

#[tokio::test]
async fn public_route_in_a_protected_group_does_not_run() {
    let (world, ran) = (World::new(), Ran::default());
    let app = world.guard(
        GuardedRouter::new()
            .public("/admin/x", ran.handler())
            .public("/api/x", ran.handler())
            .public("/public/x", ran.handler()),
    );
    let key = world.super_admin().issue().await.secret;
    app.get("/admin/x").bearer(&key).await.assert_rejected(Reason::Unguarded).assert_status(403);
    app.get("/api/x").await.assert_rejected(Reason::Unguarded).assert_status(403);
    assert_eq!(ran.times(), 0);
    app.get("/public/x").await.assert_ok();
}

#[tokio::test]
async fn handler_requirement_is_full_unless_it_takes_the_decision() {
    let world = World::new();
    async fn whole(auth: Auth) -> Result<&'static str, Forbidden> {
        auth.require(&action("read").on("article"))?;
        Ok("every row")
    }
    async fn part(auth: Auth) -> Result<String, Forbidden> {
        Ok(format!("{} rules", auth.require_decision(&action("read").on("article"))?.rules().len()))
    }
    let app = world.wrap(Router::new().route("/admin/whole", get(whole)).route("/admin/part", get(part)));
    let own = Permission::new("read").on("article").when(ConditionClause::from_list([keyward::authz::IS_CREATOR]));
    let key = world.editor().with(own).issue().await.secret;
    app.get("/admin/whole").bearer(&key).await.assert_rejected(Reason::Forbidden);
    assert_eq!(app.get("/admin/part").bearer(&key).await.assert_ok().body, "1 rules");
}

#[tokio::test]
async fn contradictory_requirements_are_not_met() {
    let (world, ran) = (World::new(), Ran::default());
    let both = keyward::all_of(["read", "update"].map(|a| action(a).on("article")));
    let app = world.guard(GuardedRouter::new().route("/admin/x", both, ran.handler()));
    let only =
        |a: &str, field: &str| Permission::new(a).on("article").fields(keyward::authz::Fields::only([field]).unwrap());
    let key = world.editor().with(only("read", "title")).with(only("update", "body")).issue().await.secret;
    app.get("/admin/x").bearer(&key).await.assert_rejected(Reason::Forbidden);
    assert_eq!(ran.times(), 0);
}

#[tokio::test]
async fn anonymous_rejection_names_no_scope() {
    let world = World::new();
    let app = world.guard(GuardedRouter::new().route("/api/x", action("api::x.find"), get(|| async {})));
    let anonymous = app.get("/api/x").await;
    assert_eq!(anonymous.assert_status(403).headers["www-authenticate"], "Bearer realm=\"keyward\"");
    assert_eq!((anonymous.json()["code"].as_str(), anonymous.json().get("scope")), (Some("missing_credential"), None));
    let custom = keyward::token::ContentAccess::Custom([keyward::authz::Action::new("api::y.find")].into());
    let key = world.content(custom).await.secret;
    let known = app.get("/api/x").bearer(&key).await;
    let told = "Bearer realm=\"keyward\", error=\"insufficient_scope\", scope=\"api::x.find\"";
    assert_eq!(known.assert_status(403).headers["www-authenticate"], told);
    assert_eq!(known.json()["scope"], "api::x.find");
}

#[tokio::test]
async fn shadowing_route_is_judged_by_the_group_of_its_path() {
    let ran = Ran::default();
    let world = World::with(|b| b.group(Group::public("/admin/assets").shadowing()));
    let app = world.wrap(Router::new().route("/{*rest}", ran.handler()).route("/admin/{x}", ran.handler()));
    app.get("/admin/assets").await.assert_ok();
    app.get("/admin/assets/x.css").await.assert_ok();
    app.get("/admin/assetsx").await.assert_rejected(Reason::NoCredential);
    app.get("/admin/x").await.assert_rejected(Reason::NoCredential);
    assert_eq!(ran.times(), 2);
}

#[tokio::test]
async fn preflights_need_a_cors_layer_outside_the_gate() {
    let world = World::new();
    let guarded = || GuardedRouter::new().route("/admin/x", action("x"), post(|| async {}));
    let preflight = |app: &App| {
        let request = app.request(Method::OPTIONS, "/admin/x").header(header::ORIGIN, "https://app.example.test");
        request.header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST")
    };
    preflight(&world.guard(guarded())).await.assert_rejected(Reason::NoCredential);
    let cors = tower_http::cors::CorsLayer::permissive();
    let outside = Router::new().fallback_service(world.keyward.guard(guarded())).layer(cors);
    let answer = preflight(&App::from_service(outside)).await;
    assert_eq!(answer.assert_ok().headers["access-control-allow-origin"], "*");
}

#[tokio::test]
async fn responses_of_protected_groups_are_not_cacheable() {
    let world = World::new();
    let cached = || async { ([(header::CACHE_CONTROL, "public, max-age=600"), (header::VARY, "accept")], "x") };
    let app = world
        .guard(GuardedRouter::new().route("/admin/x", authenticated(), get(cached)).public("/public/x", get(cached)));
    let key = world.editor().issue().await.secret;
    let answer = app.get("/admin/x").bearer(&key).await;
    assert_eq!(answer.headers.get_all(header::CACHE_CONTROL).iter().collect::<Vec<_>>(), ["no-store"]);
    assert_eq!(answer.headers.get_all(header::VARY).iter().collect::<Vec<_>>(), ["accept", "Authorization"]);
    assert_eq!(app.get("/public/x").await.headers[header::CACHE_CONTROL], "public, max-age=600");
}

#[tokio::test]
async fn extractors_return_the_caller_or_fail() {
    let world = World::new();
    async fn who(admin: Option<AdminAuth>, content: Option<ContentAuth>, any: Option<Auth>) -> String {
        if let Some(auth) = &any {
            auth.require(&authenticated()).unwrap();
        }
        format!("{} {} {}", admin.is_some(), content.is_some(), any.is_some())
    }
    let app = world.wrap(
        Router::new()
            .route("/admin/who", get(who))
            .route("/api/who", get(who))
            .route("/public/who", get(who))
            .route("/public/must", get(|_: AdminAuth| async {}))
            .route("/api/must", get(|_: AdminAuth| async {})),
    );
    let admin = world.editor().issue().await.secret;
    let content = world.content(keyward::token::ContentAccess::ReadOnly).await.secret;
    let said = async |path: &str, key| app.get(path).bearer(key).await.body;
    assert_eq!(said("/admin/who", &admin).await, "true false true");
    assert_eq!(said("/api/who", &content).await, "false true true");
    assert_eq!(app.get("/public/who").await.body, "false false false");
    app.get("/public/must").await.assert_status(500);
    app.get("/api/must").bearer(&content).await.assert_status(403);
}

/// A rejected requirement stays rejected, even if others are met.
#[tokio::test]
async fn rejection_swallowed_by_a_handler_still_applies() {
    let world = World::new();
    async fn swallowed(auth: Auth) -> &'static str {
        let _ = auth.require(&action("inner"));
        let _ = auth.require(&action("outer"));
        "in, one would hope"
    }
    let app = world.guard(GuardedRouter::new().route("/admin/x", action("outer"), get(swallowed)));
    let weak = world.editor().with("outer").issue().await.secret;
    let strong = world.editor().with("outer").with("inner").issue().await.secret;
    let refused = app.get("/admin/x").bearer(&weak).await;
    refused.assert_rejected(Reason::Forbidden).assert_status(403);
    assert_eq!(
        refused.headers["www-authenticate"],
        "Bearer realm=\"keyward\", error=\"insufficient_scope\", scope=\"inner\""
    );
    app.get("/admin/x").bearer(&strong).await.assert_ok();
}

#[tokio::test]
async fn decision_is_the_intersection_of_all_layers() {
    let world = World::new();
    let (some, all) = (action("read").on("article"), action("plain"));
    let decides = || {
        get(|decision: Decision, auth: Auth| async move {
            let mine = auth.owner().unwrap().0;
            format!("{} {}", decision.admits(&json!({"creator_id": mine})), decision.admits(&json!({"creator_id": -1})))
        })
    };
    let layered = |inner: &Requirement, outer: &Requirement, handler: MethodRouter| -> MethodRouter {
        let required: MethodRouter = handler.layer(Require::new(inner.clone()));
        required.layer(Require::new(outer.clone()))
    };
    let app = world.wrap(
        Router::new()
            .route("/admin/outside", layered(&all, &some, decides()))
            .route("/admin/inside", layered(&some, &all, decides()))
            .route("/admin/ignored", layered(&all, &some, get(|| async { "every row" }))),
    );
    let mine = Permission::new("read").on("article").when(ConditionClause::from_list([keyward::authz::IS_CREATOR]));
    let key = world.editor().with(mine).with("plain").issue().await.secret;
    for path in ["/admin/outside", "/admin/inside"] {
        assert_eq!(app.get(path).bearer(&key).await.assert_ok().body, "true false", "{path}");
    }
    app.get("/admin/ignored").bearer(&key).await.assert_rejected(Reason::Unguarded).assert_status(403);
}

#[tokio::test]
async fn forbidden_responses_are_not_cacheable() {
    let world = World::with(|b| b.group(Group::pages("/admin/pages", "sid", "/admin/login")));
    let app = world.wrap(
        Router::new()
            .route("/admin/refused", get(|| async {}).layer(Require::new(action("x"))))
            .route("/admin/forgotten", get(|| async {}))
            .route("/api/refused", get(|| async {}).layer(Require::new(action("x")))),
    );
    let key = world.editor().issue().await.secret;
    for (answer, reason) in [
        (app.get("/admin/refused").bearer(&key).await, Reason::Forbidden),
        (app.get("/admin/forgotten").bearer(&key).await, Reason::Unguarded),
        (app.get("/api/refused").await, Reason::Forbidden),
        (app.post("/admin/pages").await, Reason::CrossOrigin),
    ] {
        answer.assert_rejected(reason).assert_status(403);
        assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store", "{answer:?}");
        assert_eq!(answer.headers[header::VARY], "Authorization", "{answer:?}");
    }
}

#[tokio::test]
async fn forgotten_requirement_is_logged_once_a_minute() {
    let (log, _guard) = log::capture();
    let (world, ran) = (World::new(), Ran::default());
    let app = world.wrap(Router::new().fallback_service(ran.handler()));
    let key = world.editor().issue().await.secret;
    let forgets = async |method: Method, path: &str| {
        app.request(method, path).bearer(&key).await.assert_rejected(Reason::Unguarded);
        log.lines_with("a response was withheld")
    };
    assert_eq!(forgets(Method::GET, "/admin/x").await, 1);
    assert_eq!(forgets(Method::GET, "/admin/x").await, 1, "logged already");
    assert_eq!(forgets(Method::GET, "/admin/y").await, 2, "another path");
    assert_eq!(forgets(Method::POST, "/admin/x").await, 3, "another method");
    world.clock.advance(Duration::from_millis(59_999));
    assert_eq!(forgets(Method::GET, "/admin/x").await, 3);
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(forgets(Method::GET, "/admin/x").await, 4);
}

#[tokio::test]
async fn log_of_forgotten_requirements_is_bounded() {
    let (log, _guard) = log::capture();
    let world = World::new();
    let app = world.wrap(Router::new().fallback(async || {}));
    let key = world.editor().issue().await.secret;
    let forget = async |range: std::ops::Range<u8>| {
        for n in range {
            app.get(&format!("/admin/{n}")).bearer(&key).await.assert_rejected(Reason::Unguarded);
        }
        (log.lines_with("a response was withheld"), log.lines_with("more responses were withheld"))
    };
    assert_eq!(forget(0..64).await, (64, 0));
    assert_eq!(forget(0..64).await, (64, 0), "logged already");
    assert_eq!(forget(64..80).await, (64, 1));
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(forget(64..80).await, (80, 1));
}

/// A response is withheld even if the gate was dropped meanwhile, as when a server stops. Only the log line is missing then. Its
/// absence proves here that the gate is gone: a request under way does not keep it.
#[tokio::test]
async fn unguarded_response_is_withheld_after_the_gate_is_dropped() {
    let (log, _guard) = log::capture();
    let mut withheld = Vec::new();
    for outlives in [false, true] {
        let world = World::new();
        let secret = world.editor().with("x.read").issue().await.secret;
        let (entered, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (here, wait) = (entered.clone(), go.clone());
        let inner = tower::service_fn(move |_: Request| {
            let (here, wait) = (here.clone(), wait.clone());
            async move {
                here.notify_one();
                wait.notified().await;
                let answer = Response::builder().header("x-handler", "its own").header(header::VARY, "x");
                Ok::<_, Infallible>(answer.body(Body::from("the handler's own words")).unwrap())
            }
        });
        let bearer = format!("Bearer {}", secret.expose());
        let request = http::Request::get("/admin/x").header(header::AUTHORIZATION, bearer);
        let answer = world.keyward.wrap(inner).call(request.body(Body::empty()).unwrap());
        let answer = tokio::spawn(answer);
        entered.notified().await;
        let world = (!outlives).then_some(world);
        go.notify_one();
        let (head, body) = answer.await.unwrap().unwrap().into_parts();
        drop(world);
        assert_eq!(head.extensions.get(), Some(&Reason::Unguarded));
        let body = axum::body::to_bytes(body, 1000).await.unwrap();
        withheld.push((head.status, head.headers, String::from_utf8(body.to_vec()).unwrap()));
        assert_eq!(log.lines_with("a response was withheld"), 1, "outlives its gate: {outlives}");
    }
    let (status, headers, body) = &withheld[0];
    assert_eq!((status.as_u16(), headers[header::CACHE_CONTROL].to_str().unwrap()), (403, "no-store"));
    assert_eq!(headers.get_all(header::VARY).iter().collect::<Vec<_>>(), ["Authorization"]);
    assert!(!headers.contains_key("x-handler") && body.contains(r#""code":"forbidden""#), "{headers:?} {body}");
    assert_eq!(withheld[0], withheld[1]);
}
