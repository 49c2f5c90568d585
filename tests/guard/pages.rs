//! Page groups: the session cookie, and the same-origin check of forms.

use axum::routing::{any, get, post};
use http::Method;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, HeaderName, LOCATION, ORIGIN};
use keyward::guard::{InvalidCredential, Reason};
use keyward::testing::{Answer, App, Key, World};
use keyward::token::ContentAccess;
use keyward::{Group, GuardedRouter, action, authenticated};

const COOKIE_NAME: &str = "__Host-keyward";
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

fn app() -> (World, App) {
    let world = World::with(|b| {
        b.group(Group::pages("/admin/settings", COOKIE_NAME, "/admin/auth/login"))
            .group(Group::public("/admin/auth/login").exact(http::Method::POST).same_origin_only())
    });
    let app = world.guard(
        GuardedRouter::new()
            .route("/admin/settings/x", authenticated(), any(|| async {}))
            .route("/admin/api", authenticated(), get(|| async {}))
            .route("/api/x", authenticated(), get(|| async {}))
            .public("/admin/auth/login", any(|| async {})),
    );
    (world, app)
}

fn cookie(key: &Key) -> String {
    format!("theme=dark; {COOKIE_NAME}={}", key.secret.expose())
}

#[tokio::test]
async fn cookie_is_accepted_in_page_groups_only() {
    let (world, app) = app();
    let session = world.super_admin().sign_in().await;
    app.get("/admin/settings/x").header(COOKIE, &cookie(&session)).await.assert_ok();
    app.get("/admin/api")
        .header(COOKIE, &cookie(&session))
        .await
        .assert_rejected(Reason::NoCredential)
        .assert_status(401);
    app.get("/api/x").header(COOKIE, &cookie(&session)).await.assert_rejected(Reason::Forbidden);
    let token = world.super_admin().issue().await;
    let answer = app.get("/admin/settings/x").header(COOKIE, &cookie(&token)).await;
    answer.assert_rejected(Reason::Invalid(InvalidCredential::WrongKind));
    let content = world.content(ContentAccess::FullAccess).await;
    app.get("/admin/settings/x").header(COOKIE, &cookie(&content)).await.assert_status(303);
}

#[tokio::test]
async fn cookie_is_ignored_beside_a_keyward_credential() {
    let (world, app) = app();
    let session = world.super_admin().sign_in().await;
    let with =
        |header: String| app.get("/admin/settings/x").header(COOKIE, &cookie(&session)).header(AUTHORIZATION, &header);
    let token = world.super_admin().issue().await;
    let made_up = format!("kw_session_{}", "a".repeat(50));
    with(format!("Bearer {}", token.secret.expose()))
        .await
        .assert_rejected(Reason::Invalid(InvalidCredential::WrongKind));
    with(format!("bearer  {made_up}")).await.assert_rejected(Reason::Invalid(InvalidCredential::NotGenuine));
    with("Bearer kw_session_short".into()).await.assert_rejected(Reason::Invalid(InvalidCredential::Malformed));
    // Two headers, one of them with a keyward token: the gate does not choose between them.
    let two = with(format!("Bearer {}", session.secret.expose())).header(AUTHORIZATION, "Basic eDp5");
    two.await.assert_rejected(Reason::SeveralCredentials).assert_status(400);
    app.get("/admin/settings/x").bearer(&session.secret).await.assert_ok();
}

#[tokio::test]
async fn foreign_credential_leaves_the_cookie_in_force_on_pages_only() {
    let (world, app) = app();
    let session = world.super_admin().sign_in().await;
    let forms = ["Basic eDp5", "Bearer nope", "Bearer eyJhbGciOiJub25lIn0.e30.", "Negotiate abc", "", "kw_session_x"];
    for foreign in forms {
        let with = |method: Method, path: &str| {
            app.request(method, path).header(COOKIE, &cookie(&session)).header(AUTHORIZATION, foreign)
        };
        with(Method::GET, "/admin/settings/x").await.assert_ok();
        // The cookie is used, so the request must be same-origin: another header proves nothing.
        let post = || with(Method::POST, "/admin/settings/x");
        post().await.assert_rejected(Reason::CrossOrigin).assert_status(403);
        post().header(SITE, "cross-site").await.assert_rejected(Reason::CrossOrigin);
        post().header(SITE, "same-origin").await.assert_ok();
        // Without a cookie there is no credential.
        let nothing = app.get("/admin/settings/x").header(AUTHORIZATION, foreign).await;
        nothing.assert_rejected(Reason::NoCredential).assert_status(303);
        for strict in ["/admin/api", "/api/x"] {
            with(Method::GET, strict)
                .await
                .assert_rejected(Reason::Invalid(InvalidCredential::Malformed))
                .assert_status(401);
        }
    }
}

#[tokio::test]
async fn signed_out_visitor_is_redirected_to_sign_in_and_back() {
    let (world, app) = app();
    let session = world.super_admin().sign_in().await;
    world.keyward.tokens().revoke(session.id).await.unwrap();
    let path = "/admin/settings/x?a=1&b=%2F";
    for answer in [app.get(path).await, app.get(path).header(COOKIE, &cookie(&session)).await] {
        answer.assert_status(303);
        assert_eq!(answer.headers[LOCATION], "/admin/auth/login?redirectTo=/admin/settings/x%3Fa%3D1%26b%3D%252F");
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert!(!answer.headers.contains_key("www-authenticate"));
    }
    let post = app.post(path).header(SITE, "same-origin").await;
    assert!(String::from_utf8_lossy(&post.assert_status(401).body).contains("<a href=\"/admin/auth/login\" target"));
    assert!(!post.headers.contains_key(LOCATION));
}

#[tokio::test]
async fn cross_origin_form_is_rejected() {
    let (world, app) = app();
    let session = world.super_admin().sign_in().await;
    let post = || app.post("/admin/settings/x").header(COOKIE, &cookie(&session));
    post().await.assert_rejected(Reason::CrossOrigin).assert_status(403);
    post().header(SITE, "cross-site").await.assert_rejected(Reason::CrossOrigin);
    post().header(HOST, "a.test").header(ORIGIN, "https://evil.test").await.assert_rejected(Reason::CrossOrigin);
    post().header(SITE, "same-origin").await.assert_ok();
    post().header(HOST, "a.test").header(ORIGIN, "https://a.test").await.assert_ok();
    // A program that sends a bearer token is not a form.
    app.post("/admin/settings/x").bearer(&session.secret).await.assert_ok();

    app.post("/admin/auth/login").await.assert_rejected(Reason::CrossOrigin);
    // Browsers send Basic credentials automatically, also across origins.
    let basic = app.post("/admin/auth/login").header(SITE, "cross-site").header(AUTHORIZATION, "Basic eDp5").await;
    basic.assert_rejected(Reason::CrossOrigin);
    app.post("/admin/auth/login").header(SITE, "same-origin").await.assert_ok();
}

#[tokio::test]
async fn cross_origin_changes_are_rejected_for_every_method() {
    let (world, app) = app();
    let session = world.super_admin().sign_in().await;
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        let request = || app.request(method.clone(), "/admin/settings/x").header(COOKIE, &cookie(&session));
        request().await.assert_rejected(Reason::CrossOrigin).assert_status(403);
        request().header(SITE, "same-site").await.assert_rejected(Reason::CrossOrigin);
        request().header(SITE, "same-origin").await.assert_ok();
    }
    for method in [Method::GET, Method::HEAD] {
        app.request(method, "/admin/settings/x").header(COOKIE, &cookie(&session)).await.assert_ok();
    }
}

fn people() -> (World, App) {
    let world = World::with(|b| {
        b.group(Group::pages("/admin/settings", COOKIE_NAME, "/admin/auth/login").for_people("/admin/home"))
            .group(Group::pages("/admin/me", COOKIE_NAME, "/admin/auth/login"))
            .group(Group::public("/admin/auth/login").exact(Method::GET))
            .group(Group::public("/admin/auth/login").exact(Method::POST).same_origin_only().for_people("/admin/home"))
    });
    let app = world.guard(
        GuardedRouter::new()
            .route("/admin/settings/x", action("x"), get(|| async { "x" }))
            .route("/admin/settings/forgotten", authenticated(), post(|| async { "x" }))
            .route("/admin/me", action("x"), get(|| async { "x" }))
            .route("/admin/api", action("x"), get(|| async { "x" }))
            .public("/admin/auth/login", get(|| async { "x" }).post(|| async { "x" })),
    );
    (world, app)
}

const MARK: &str = "%3Cscript%3Emark%22";

/// Asserts a page without scripts that repeats nothing of the request.
fn assert_page(answer: &Answer, says: &str, start: &str) {
    let body = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8", "{body}");
    let policy = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
    assert_eq!(answer.headers["content-security-policy"], policy);
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    assert!(body.contains(says), "{says}: {body}");
    assert!(body.contains("<h1>") && body.contains(&format!("<a href=\"{start}\">")), "{body}");
    for odd in ["style", "script", "mark", "%3C", "evil"] {
        assert!(!body.contains(odd), "{odd}: {body}");
    }
}

#[tokio::test]
async fn page_rejections_are_html() {
    let (world, app) = people();
    let session = world.editor().sign_in().await;
    let get = |path: &str| app.get(&format!("{path}?{MARK}")).header(COOKIE, &cookie(&session));
    let not_allowed = get("/admin/settings/x").await;
    assert_page(not_allowed.assert_rejected(Reason::Forbidden).assert_status(403), "Your roles", "/admin/home");
    assert_eq!(not_allowed.headers["cache-control"], "no-store");
    assert_page(get("/admin/me").await.assert_status(403), "Your roles", "/");
    assert_page(get(&format!("/admin/settings/{MARK}")).await.assert_status(404), "no such page", "/admin/home");
    let form_only = get("/admin/settings/forgotten").await;
    assert_page(form_only.assert_status(405), "Go back", "/admin/home");
    for path in ["/admin/settings//x", "/admin/settings/..%2fmark", "/admin/settings/%252e%252e"] {
        assert_page(get(path).await.assert_status(400), "more than one way", "/admin/home");
    }
    let post = app.post("/admin/settings/x").header(COOKIE, &cookie(&session)).header(ORIGIN, "https://evil.test");
    // Without `Sec-Fetch-Site`, a proxy that changes `Host` is another possible cause.
    let says = "another site, or through a proxy";
    assert_page(post.await.assert_rejected(Reason::CrossOrigin).assert_status(403), says, "/admin/home");
    let says = "This form was sent from another site.";
    let sign_in = app.post("/admin/auth/login").header(SITE, "cross-site").await;
    assert_page(sign_in.assert_rejected(Reason::CrossOrigin).assert_status(403), says, "/admin/home");
}

#[tokio::test]
async fn program_rejections_are_json() {
    let (world, app) = people();
    let session = world.editor().sign_in().await;
    let json = |answer: &Answer| assert_eq!(answer.headers["content-type"], "application/problem+json");
    json(app.get("/admin/api").bearer(&session.secret).await.assert_status(403));
    json(app.get("/admin/nothing").bearer(&session.secret).await.assert_status(404));
    json(app.post("/admin/api").bearer(&session.secret).await.assert_status(405));
    json(app.get("/admin/api").await.assert_status(401));
    for path in ["/nowhere", "/admins/x", "/admin/settingsx//"] {
        let answer = app.get(path).await;
        assert!(matches!(answer.reason, Some(Reason::NoGroup | Reason::AmbiguousPath(_))));
        json(&answer);
    }
    let grpc = app.post("/admin/settings/x").header(CONTENT_TYPE, "application/grpc").await;
    assert_eq!(grpc.assert_status(200).headers["grpc-status"], "7");
    assert!(grpc.body.is_empty());
}

/// rejected-alike (`docs/invariants.md`): a signed-out visitor learns neither why a credential is invalid nor whether a page exists.
#[tokio::test]
async fn signed_out_visitor_gets_the_same_response_everywhere() {
    let (world, app) = people();
    let gone = world.super_admin().sign_in().await;
    world.keyward.tokens().revoke(gone.id).await.unwrap();
    let token = world.super_admin().issue().await;
    let odd = format!("{COOKIE_NAME}=nope");
    let mut answers = Vec::new();
    for sent in [cookie(&gone), cookie(&token), odd] {
        for path in ["/admin/settings/x", "/admin/settings/nothing"] {
            let answer = app.post(path).header(SITE, "same-origin").header(COOKIE, &sent).await;
            answers.push((answer.status, answer.headers.clone(), answer.body.clone()));
        }
    }
    assert_eq!(answers[0].0, 401);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}
