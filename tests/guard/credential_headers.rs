//! Credentials in headers that the host names.

use axum::routing::get;
use http::header::{AUTHORIZATION, COOKIE, HeaderName};
use keyward::guard::{InvalidCredential, Reason};
use keyward::testing::{Answer, App, World};
use keyward::token::ContentAccess;
use keyward::{AdminAuth, BuildError, Group, GuardedRouter, HashKey, Keyward, MemoryStore, authenticated};

const KEY: HeaderName = HeaderName::from_static("x-api-key");
const OTHER: HeaderName = HeaderName::from_static("x-acme-token");
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

fn world() -> (World, App) {
    let world = World::with(|b| {
        b.credential_headers(["authorization", "x-api-key", "x-acme-token"])
            .group(Group::pages("/pages", "sid", "/login"))
            .group(Group::admin("/forms").same_origin_only())
    });
    let app = world.guard(
        GuardedRouter::new()
            .route("/admin/x", authenticated(), get(|_: AdminAuth| async { "in" }).post(|| async { "in" }))
            .route("/api/x", authenticated(), get(|| async { "in" }))
            .route("/forms/x", authenticated(), get(|| async { "in" }).post(|| async { "in" }))
            .route("/pages/x", authenticated(), get(|| async { "in" }).post(|| async { "in" })),
    );
    (world, app)
}

/// Returns the names in `Vary`.
fn vary(answer: &Answer) -> Vec<&str> {
    answer.headers.get_all("vary").iter().map(|value| value.to_str().unwrap()).collect()
}

#[tokio::test]
async fn each_header_opens_a_group_as_authorization_does() {
    let (world, app) = world();
    let key = world.super_admin().issue().await;
    let content = world.content(ContentAccess::FullAccess).await;
    for header in [KEY, OTHER] {
        let cold = app.get("/admin/x").header(header.clone(), key.secret.expose()).await;
        assert_eq!(vary(cold.assert_ok()), ["Authorization", "X-Api-Key", "X-Acme-Token"]);
        let warm = app.get("/admin/x").header(header.clone(), key.secret.expose()).await;
        assert_eq!(vary(warm.assert_ok()), ["Authorization", "X-Api-Key", "X-Acme-Token"]);
        let wrong_kind = app.get("/admin/x").header(header.clone(), content.secret.expose()).await;
        wrong_kind.assert_rejected(Reason::Invalid(InvalidCredential::WrongKind)).assert_status(401);
        assert_eq!(vary(&wrong_kind), ["Authorization", "X-Api-Key", "X-Acme-Token"]);
        app.get("/api/x").header(header, content.secret.expose()).await.assert_ok();
    }
    app.get("/admin/x").bearer(&key.secret).await.assert_ok();
    world.keyward.tokens().revoke(key.id).await.unwrap();
    let revoked = app.get("/admin/x").header(KEY, key.secret.expose()).await;
    revoked.assert_rejected(Reason::Invalid(InvalidCredential::Unknown)).assert_status(401);
}

#[tokio::test]
async fn other_headers_hold_no_credential_by_default() {
    let world = World::new();
    let app = world.guard(GuardedRouter::new().route("/admin/x", authenticated(), get(|| async {})));
    let key = world.super_admin().issue().await.secret;
    app.get("/admin/x").header(KEY, key.expose()).await.assert_rejected(Reason::NoCredential);
    let both = app.get("/admin/x").bearer(&key).header(KEY, "anything").await;
    assert_eq!(vary(both.assert_ok()), ["Authorization"]);
}

/// The answer does not depend on the credentials: the client learns nothing of either.
#[tokio::test]
async fn credentials_that_differ_are_a_400_and_equal_ones_are_one() {
    let (world, app) = world();
    let (key, other) = (world.super_admin().issue().await.secret, world.super_admin().issue().await.secret);
    let bearer = |secret: &str| format!("Bearer {secret}");
    let get = || app.get("/admin/x");
    let equal = [
        get().header(KEY, key.expose()).header(AUTHORIZATION, &bearer(key.expose())),
        get().header(KEY, key.expose()).header(OTHER, key.expose()),
    ];
    for request in equal {
        request.await.assert_ok();
    }
    // One header twice is malformed, whatever it holds.
    for twice in [
        get().header(KEY, key.expose()).header(KEY, key.expose()),
        get().bearer(&key).header(AUTHORIZATION, &format!("bearer   {}", key.expose())),
    ] {
        let answer = twice.await;
        answer.assert_status(401).assert_rejected(Reason::Invalid(InvalidCredential::Malformed));
        assert!(answer.json()["detail"].as_str().unwrap().starts_with("Send one header"));
    }
    let mut answers = Vec::new();
    for second in [other.expose(), "nope", "", "a b"] {
        answers.push(get().header(KEY, key.expose()).header(KEY, second).await);
        answers.push(get().header(KEY, second).header(OTHER, key.expose()).await);
        answers.push(get().bearer(&key).header(OTHER, second).await);
        answers.push(get().bearer(&key).header(AUTHORIZATION, &bearer(second)).await);
    }
    answers.push(get().header(KEY, "nope").header(OTHER, "neither").await);
    answers.push(get().header(KEY, key.expose()).header(AUTHORIZATION, "Basic eDp5").await);
    for answer in &answers {
        answer.assert_status(400).assert_rejected(Reason::SeveralCredentials);
        assert_eq!((&answer.headers, &answer.body), (&answers[0].headers, &answers[0].body), "{answer:?}");
    }
    let first = &answers[0];
    assert_eq!(first.headers["www-authenticate"], "Bearer realm=\"keyward\", error=\"invalid_request\"");
    assert_eq!(first.json()["code"], "several_credentials");
    assert_eq!(first.json()["detail"], "Send one credential: the request has several that differ");
}

#[tokio::test]
async fn malformed_headers_are_told_the_forms_that_count() {
    let (_world, app) = world();
    for (header, value) in [(KEY, ""), (KEY, "Bearer x"), (OTHER, "a b"), (AUTHORIZATION, "Token x")] {
        let answer = app.get("/admin/x").header(header, value).await;
        answer.assert_status(401).assert_rejected(Reason::Invalid(InvalidCredential::Malformed));
        let forms = "Authorization: Bearer <token> or X-Api-Key: <token> or X-Acme-Token: <token>";
        assert_eq!(answer.json()["detail"], format!("Send one header of the form {forms}"));
    }
}

#[tokio::test]
async fn own_credential_in_any_header_rules_the_cookie_out() {
    let (world, app) = world();
    let session = world.super_admin().sign_in().await.secret;
    let token = world.super_admin().issue().await.secret;
    let with_cookie = |header, value: &str| {
        app.get("/pages/x").header(COOKIE, &format!("sid={}", session.expose())).header(header, value)
    };
    for header in [KEY, OTHER] {
        let wrong = with_cookie(header.clone(), token.expose()).await;
        wrong.assert_rejected(Reason::Invalid(InvalidCredential::WrongKind));
        with_cookie(header.clone(), session.expose()).await.assert_ok();
        with_cookie(header, "of something else").await.assert_ok();
    }
}

#[tokio::test]
async fn request_judged_by_a_named_header_needs_no_proof_of_same_origin() {
    let (world, app) = world();
    let session = world.super_admin().sign_in().await.secret;
    let cross = |path: &str| app.post(path).header(SITE, "cross-site");
    for header in [KEY, OTHER, AUTHORIZATION] {
        let value = match header == AUTHORIZATION {
            true => format!("Bearer {}", session.expose()),
            false => session.expose().to_owned(),
        };
        cross("/forms/x").header(header.clone(), &value).await.assert_ok();
        cross("/pages/x").header(header, &value).await.assert_ok();
    }
    cross("/forms/x").await.assert_rejected(Reason::CrossOrigin);
    cross("/forms/x").header(HeaderName::from_static("x-unnamed"), "x").await.assert_rejected(Reason::CrossOrigin);
    // Where the cookie would count, only a credential of this installation is proof enough.
    let cookie = format!("sid={}", session.expose());
    cross("/pages/x")
        .header(COOKIE, &cookie)
        .header(KEY, "of something else")
        .await
        .assert_rejected(Reason::CrossOrigin);
}

/// Behind a proxy that uses `Authorization` itself.
#[tokio::test]
async fn authorization_is_not_read_unless_it_is_named() {
    let world = World::with(|b| b.credential_headers(["X-API-Key"]));
    let app = world.guard(GuardedRouter::new().route("/admin/x", authenticated(), get(|| async {})));
    let key = world.super_admin().issue().await.secret;
    let both = app.get("/admin/x").header(KEY, key.expose()).header(AUTHORIZATION, "Basic eDp5").await;
    assert_eq!(vary(both.assert_ok()), ["X-Api-Key"]);
    let bearer = app.get("/admin/x").bearer(&key).await;
    bearer.assert_rejected(Reason::NoCredential).assert_status(401);
    assert_eq!(bearer.headers["www-authenticate"], "ApiKey realm=\"keyward\"");
}

#[tokio::test]
async fn header_that_browsers_send_by_themselves_fails_the_build() {
    let build = |names: &[&str]| {
        let (hash_key, _) = HashKey::generate().unwrap();
        let builder = Keyward::builder(MemoryStore::default()).hash_key(hash_key).admin("/admin");
        builder.credential_headers(names.iter().copied()).build().err()
    };
    assert!(build(&["authorization", "x-api-key"]).is_none());
    for names in [&[][..], &["cookie"], &["x-api-key", "origin"], &["a b"]] {
        assert!(matches!(build(names), Some(BuildError::CredentialHeader(_))), "{names:?}");
    }
}

#[cfg(feature = "api")]
#[tokio::test]
async fn openapi_names_the_headers() {
    let schemes = async |world: World| {
        let app = world.guard(keyward::api::router(&world.keyward));
        let document = app.get("/admin/openapi.json").await.json();
        (document["components"]["securitySchemes"].clone(), document["security"].clone())
    };
    let (default, security) = schemes(World::with(|builder| builder.api("/admin"))).await;
    assert_eq!((&default["bearer"]["scheme"], security), (&"bearer".into(), serde_json::json!([{"bearer": []}])));
    let named = World::with(|b| b.api("/admin").credential_headers(["authorization", "x-api-key"]));
    let (named, security) = schemes(named).await;
    let key = &named["x-api-key"];
    assert_eq!((&key["type"], &key["in"], &key["name"]), (&"apiKey".into(), &"header".into(), &"X-Api-Key".into()));
    assert_eq!(security, serde_json::json!([{"bearer": []}, {"x-api-key": []}]));
}
