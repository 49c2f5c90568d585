//! The form of rejections: problem details by default, Strapi's errors by group or installation, and the realm.

use axum::routing::get;
use keyward::guard::RejectionFormat;
use keyward::testing::World;
use keyward::{Group, GuardedRouter, HashKey, Keyward, MemoryStore, action};

const PROBLEM: &str = "application/problem+json";

#[tokio::test]
async fn groups_have_a_form_of_their_own() {
    let strapi = |path: &str| Group::admin(path).rejection_format(RejectionFormat::Strapi);
    let world = World::with(|b| b.group(strapi("/cms")));
    let routes = GuardedRouter::new().route("/admin/x", action("x.read"), get(|| async {})).route(
        "/cms/x",
        action("x.read"),
        get(|| async {}),
    );
    let app = world.guard(routes);
    let key = world.editor().issue().await.secret;
    // Without a credential, by the requirement, and by the router's own 404 and 405.
    for (path, content_type) in [("/admin", PROBLEM), ("/cms", "application/json")] {
        let (x, none) = (format!("{path}/x"), format!("{path}/none"));
        let answers = [
            (app.get(&x).await, 401),
            (app.get(&x).bearer(&key).await, 403),
            (app.get(&none).bearer(&key).await, 404),
            (app.post(&x).bearer(&key).await, 405),
            (app.get(&format!("{path}//x")).await, 400),
        ];
        for (answer, status) in answers {
            assert_eq!(answer.assert_status(status).headers["content-type"], content_type, "{answer:?}");
            let json = answer.json();
            let told = if path == "/cms" { &json["error"]["status"] } else { &json["status"] };
            assert_eq!(told, status, "{answer:?}");
        }
    }
    let nowhere = app.get("/nowhere").await;
    assert_eq!(nowhere.assert_status(404).headers["content-type"], PROBLEM);
    assert_eq!(nowhere.json()["code"], "not_found");
}

#[tokio::test]
async fn policies_are_named_in_strapi_form_only() {
    for (format, problem) in [(RejectionFormat::Problem, true), (RejectionFormat::Strapi, false)] {
        let world = World::with(|b| b.rejection_format(format));
        let app = world.guard(GuardedRouter::new().route("/admin/x", action("x.read"), get(|| async {})));
        let denied = app.get("/admin/x").bearer(&world.editor().issue().await.secret).await;
        let json = denied.assert_status(403).json();
        match problem {
            true => assert_eq!((&json["code"], &json["scope"]), (&"insufficient_scope".into(), &"x.read".into())),
            false => assert_eq!(json["error"]["name"], "PolicyError"),
        }
    }
}

#[tokio::test]
async fn realm_is_in_every_challenge() {
    let world = World::with(|b| b.realm("Acme \"API\""));
    let app = world.guard(GuardedRouter::new().get("/admin/x", action("x.read"), || async {}));
    let key = world.editor().issue().await.secret;
    let made_up = app.get("/admin/x").header(http::header::AUTHORIZATION, "Bearer nope");
    for answer in [app.get("/admin/x").await, made_up.await, app.get("/admin/x").bearer(&key).await] {
        let challenge = answer.headers["www-authenticate"].to_str().unwrap();
        assert!(challenge.starts_with("Bearer realm=\"Acme \\\"API\\\"\""), "{challenge}");
    }
}

#[tokio::test]
async fn invalid_realm_fails_the_build() {
    let build = |realm: &str| {
        let (hash_key, _) = HashKey::generate().unwrap();
        Keyward::builder(MemoryStore::default()).hash_key(hash_key).admin("/admin").realm(realm).build().err()
    };
    assert!(build("Acme API").is_none());
    for realm in ["", "a\r\nSet-Cookie: x", "\u{e9}"] {
        assert!(matches!(build(realm), Some(keyward::BuildError::Realm(_))), "{realm:?}");
    }
}

/// The management API's own errors and the gate's have one form, also where the host adds the admin group.
#[cfg(feature = "api")]
#[tokio::test]
async fn groups_of_the_management_api_have_its_form() {
    let world = World::with(|builder| builder.api("/admin"));
    let app = world.guard(keyward::api::router(&world.keyward));
    for (path, status) in [("/admin/users", 401), ("/admin/openapi.json/none", 401), ("/admin//x", 400)] {
        let answer = app.get(path).await;
        assert_eq!(answer.assert_status(status).json()["error"]["status"], status, "{answer:?}");
    }
    let elsewhere = app.get("/api/none").await;
    assert_eq!(elsewhere.headers["content-type"], PROBLEM);
}
