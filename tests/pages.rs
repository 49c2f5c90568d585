//! Page groups: where a cookie may hold the session, and what a form has to prove.

#![allow(clippy::unwrap_used)]

use axum::routing::{any, get};
use http::Method;
use http::header::{AUTHORIZATION, COOKIE, HOST, HeaderName, LOCATION, ORIGIN};
use keyward::testing::{App, Key, World};
use keyward::{ContentAccess, Group, GuardedRouter, Invalid, Reason, authenticated};

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
async fn a_cookie_counts_in_page_groups_only() {
    let (world, app) = app();
    let session = world.super_admin().sign_in().await;
    app.get("/admin/settings/x").header(COOKIE, &cookie(&session)).await.assert_ok();
    app.get("/admin/api")
        .header(COOKIE, &cookie(&session))
        .await
        .assert_refused(Reason::NoCredential)
        .assert_status(401);
    app.get("/api/x").header(COOKIE, &cookie(&session)).await.assert_refused(Reason::NotAllowed);
    let token = world.super_admin().issue().await;
    let answer = app.get("/admin/settings/x").header(COOKIE, &cookie(&token)).await;
    answer.assert_refused(Reason::Invalid(Invalid::WrongKind));
    let content = world.content(ContentAccess::FullAccess).await;
    app.get("/admin/settings/x").header(COOKIE, &cookie(&content)).await.assert_status(303);
}

#[tokio::test]
async fn a_cookie_does_not_count_beside_an_authorization_header() {
    let (world, app) = app();
    let session = world.super_admin().sign_in().await;
    let request = app.get("/admin/settings/x").header(COOKIE, &cookie(&session));
    request.header(AUTHORIZATION, "Bearer nope").await.assert_refused(Reason::Invalid(Invalid::Malformed));
    let request = app.get("/admin/settings/x").header(COOKIE, &cookie(&session));
    request.header(AUTHORIZATION, "Basic x").await.assert_refused(Reason::Invalid(Invalid::Malformed));
    app.get("/admin/settings/x").bearer(&session.secret).await.assert_ok();
}

#[tokio::test]
async fn who_is_not_signed_in_is_sent_to_and_comes_back() {
    let (world, app) = app();
    let session = world.super_admin().sign_in().await;
    world.keyward.tokens().revoke(session.token).await.unwrap();
    let path = "/admin/settings/x?a=1&b=%2F";
    for answer in [app.get(path).await, app.get(path).header(COOKIE, &cookie(&session)).await] {
        answer.assert_status(303);
        assert_eq!(answer.headers[LOCATION], "/admin/auth/login?redirectTo=/admin/settings/x%3Fa%3D1%26b%3D%252F");
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert!(!answer.headers.contains_key("www-authenticate"));
    }
    let post = app.post(path).header(SITE, "same-origin").await;
    assert_eq!(post.assert_status(303).headers[LOCATION], "/admin/auth/login");
}

#[tokio::test]
async fn a_form_proves_where_it_comes_from() {
    let (world, app) = app();
    let session = world.super_admin().sign_in().await;
    let post = || app.post("/admin/settings/x").header(COOKIE, &cookie(&session));
    post().await.assert_refused(Reason::CrossOrigin).assert_status(403);
    post().header(SITE, "cross-site").await.assert_refused(Reason::CrossOrigin);
    post().header(HOST, "a.test").header(ORIGIN, "https://evil.test").await.assert_refused(Reason::CrossOrigin);
    post().header(SITE, "same-origin").await.assert_ok();
    post().header(HOST, "a.test").header(ORIGIN, "https://a.test").await.assert_ok();
    // A program with a header of its own is no form.
    app.post("/admin/settings/x").bearer(&session.secret).await.assert_ok();

    app.post("/admin/auth/login").await.assert_refused(Reason::CrossOrigin);
    // Browsers send Basic credentials by themselves, across origins too.
    let basic = app.post("/admin/auth/login").header(SITE, "cross-site").header(AUTHORIZATION, "Basic eDp5").await;
    basic.assert_refused(Reason::CrossOrigin);
    app.post("/admin/auth/login").header(SITE, "same-origin").await.assert_ok();
}

#[tokio::test]
async fn whatever_changes_something_proves_where_it_comes_from() {
    let (world, app) = app();
    let session = world.super_admin().sign_in().await;
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        let request = || app.request(method.clone(), "/admin/settings/x").header(COOKIE, &cookie(&session));
        request().await.assert_refused(Reason::CrossOrigin).assert_status(403);
        request().header(SITE, "same-site").await.assert_refused(Reason::CrossOrigin);
        request().header(SITE, "same-origin").await.assert_ok();
    }
    for method in [Method::GET, Method::HEAD] {
        app.request(method, "/admin/settings/x").header(COOKIE, &cookie(&session)).await.assert_ok();
    }
}
