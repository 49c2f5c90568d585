//! I2: an admin secret opens no content group, a content secret no admin group; a relabelled prefix fails offline.

use axum::Router;
use axum::routing::get;
use keyward::testing::{App, World};
use keyward::{ContentAccess, GuardedRouter, Invalid, Reason, Require, Secret, action, authenticated};

fn app(world: &World) -> App {
    let ok = || get(|| async { "in" });
    world.guard(
        GuardedRouter::new()
            .route("/admin/x", authenticated(), ok())
            .route("/api/x", action("api::article.article.find"), ok())
            .public("/public", ok()),
    )
}

#[tokio::test]
async fn each_kind_opens_its_own_groups_only() {
    let world = World::new();
    let app = app(&world);
    let admin = world.editor().with("admin::webhooks.read").issue().await.secret;
    let session = world.super_admin().sign_in().await.secret;
    let content = world.content(ContentAccess::FullAccess).await.secret;
    let wrong = Reason::Invalid(Invalid::WrongKind);

    for secret in [&admin, &session] {
        app.get("/admin/x").bearer(secret).await.assert_ok();
        app.get("/api/x").bearer(secret).await.assert_refused(wrong).assert_status(401);
    }
    app.get("/api/x").bearer(&content).await.assert_ok();
    app.get("/admin/x").bearer(&content).await.assert_refused(wrong).assert_status(401);
    app.get("/public").bearer(&content).await.assert_ok();
}

#[tokio::test]
async fn a_relabelled_secret_is_not_genuine() {
    let world = World::new();
    let app = app(&world);
    let content = world.content(ContentAccess::FullAccess).await.secret;
    let relabelled = |s: &Secret| format!("Bearer {}", s.expose().replace("_content_", "_admin_"));
    let answer = app.get("/admin/x").header(http::header::AUTHORIZATION, &relabelled(&content)).await;
    answer.assert_refused(Reason::Invalid(Invalid::NotGenuine)).assert_status(401);
}

#[tokio::test]
async fn a_content_token_may_what_its_type_says() {
    let world = World::new();
    let app = world.guard(
        GuardedRouter::new().route("/api/find", action("api::article.article.find"), get(|| async {})).route(
            "/api/create",
            action("api::article.article.create"),
            get(|| async {}),
        ),
    );
    let custom = ContentAccess::Custom([keyward::Action::new("api::article.article.create")].into());
    for (access, find, create) in
        [(ContentAccess::ReadOnly, 200, 403), (ContentAccess::FullAccess, 200, 200), (custom, 403, 200)]
    {
        let key = world.content(access).await.secret;
        app.get("/api/find").bearer(&key).await.assert_status(find);
        app.get("/api/create").bearer(&key).await.assert_status(create);
    }
    app.get("/api/find").await.assert_status(403).assert_refused(Reason::NotAllowed);
}

#[tokio::test]
async fn the_public_may_what_is_public() {
    let world =
        World::with(|b| b.group(keyward::Group::content("/open").public_actions(["api::article.article.find"])));
    let routes = |path: &str, a: &str| Router::new().route(path, get(|| async {})).layer(Require::new(action(a)));
    let find = routes("/open/find", "api::article.article.find");
    let app = world.wrap(find.merge(routes("/open/create", "api::article.article.create")));
    app.get("/open/find").await.assert_ok();
    app.get("/open/create").await.assert_status(403);
    let wrong = app.get("/open/find").header(http::header::AUTHORIZATION, "Bearer nope").await;
    wrong.assert_refused(Reason::Invalid(Invalid::Malformed)).assert_status(401);
}
