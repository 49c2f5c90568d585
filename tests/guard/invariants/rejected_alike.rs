//! rejected-alike (`docs/invariants.md`): unknown, malformed, revoked and wrong-kind secrets get the same status, headers and body.

use axum::routing::get;
use http::header::AUTHORIZATION;
use keyward::guard::RejectionFormat;
use keyward::testing::World;
use keyward::token::{ContentAccess, LegacyFormat, StrapiHashKey};
use keyward::{GuardedRouter, authenticated};

#[tokio::test]
async fn rejections_are_byte_for_byte_alike() {
    let problem = serde_json::json!({
        "type": "about:blank", "title": "Unauthorized", "status": 401, "detail": "Missing or invalid credentials",
        "code": "invalid_token"
    });
    rejections_are_alike(RejectionFormat::Problem, "application/problem+json", &problem).await;
    let error = serde_json::json!({
        "status": 401, "name": "UnauthorizedError", "message": "Missing or invalid credentials", "details": {}
    });
    let strapi = serde_json::json!({"data": null, "error": error});
    rejections_are_alike(RejectionFormat::Strapi, "application/json", &strapi).await;
}

async fn rejections_are_alike(format: RejectionFormat, content_type: &str, body: &serde_json::Value) {
    let strapi = StrapiHashKey::new("saltysaltysaltysalty").unwrap();
    let legacy = LegacyFormat::sha256().prefix("acme_");
    let world = World::with(|b| b.strapi_hash_key(strapi).legacy_keys(legacy).rejection_format(format));
    let ok = || get(|| async {});
    let app = world.guard(GuardedRouter::new().route("/admin/x", authenticated(), ok()).route(
        "/api/x",
        authenticated(),
        ok(),
    ));
    let admin = world.super_admin().issue().await;
    let content = world.content(ContentAccess::FullAccess).await;
    let gone = world.super_admin().issue().await;
    world.keyward.tokens().revoke(gone.id).await.unwrap();
    let gone_content = world.content(ContentAccess::FullAccess).await;
    world.keyward.tokens().revoke(gone_content.id).await.unwrap();

    for (path, wrong_kind, revoked) in [("/admin/x", &content, &gone), ("/api/x", &admin, &gone_content)] {
        let made_up = revoked.secret.expose().replace(|c: char| c.is_ascii_uppercase(), "x");
        let credentials = [
            format!("Bearer {}", wrong_kind.secret.expose()),
            format!("Bearer {}", revoked.secret.expose()),
            format!("Bearer {made_up}"),
            format!("Bearer {}", "0123456789abcdef".repeat(16)),
            "Bearer acme_0123456789abcdef".into(),
            "Bearer acme_0123456789abcde".into(),
            "Bearer nope".into(),
            format!("bearer   {}", wrong_kind.secret.expose()),
            format!("Bearer {}", "a".repeat(600)),
        ];
        let mut answers = Vec::new();
        for credential in &credentials {
            answers.push(app.get(path).header(AUTHORIZATION, credential).await);
        }
        for answer in &answers {
            assert_eq!(answer.status, 401, "{answer:?}");
            assert_eq!(answer.headers, answers[0].headers, "{answer:?}");
            assert_eq!(answer.body, answers[0].body, "{answer:?}");
        }
        let first = &answers[0];
        assert_eq!(first.headers["www-authenticate"], "Bearer realm=\"keyward\", error=\"invalid_token\"");
        assert_eq!(first.headers["content-type"], content_type);
        assert_eq!(first.headers["cache-control"], "no-store");
        assert_eq!(first.headers["vary"], "Authorization");
        assert_eq!(first.json(), *body);
    }
}

/// The response names the error in the form of the header and nothing of its content. With a valid secret it is the same: the
/// secret is not looked up.
#[tokio::test]
async fn malformed_header_is_described_alike_whatever_it_holds() {
    let world = World::new();
    let app = world.guard(GuardedRouter::new().route("/admin/x", authenticated(), get(|| async {})));
    let (valid, gone) = (world.super_admin().issue().await, world.super_admin().issue().await);
    world.keyward.tokens().revoke(gone.id).await.unwrap();
    let mut answers = Vec::new();
    for secret in [valid.secret.expose(), gone.secret.expose(), "nope", ""] {
        for form in [
            "Token {}",
            "{}",
            "Bearer: {}",
            "Bearer \"{}\"",
            "'Bearer {}'",
            "Bearer <{}>",
            "Bearer\t{}",
            "Bearer x {}",
            "Basic {}",
        ] {
            answers.push(app.get("/admin/x").header(AUTHORIZATION, &form.replace("{}", secret)).await);
        }
    }
    for answer in &answers {
        answer
            .assert_status(401)
            .assert_rejected(keyward::guard::Reason::Invalid(keyward::guard::InvalidCredential::Malformed));
        assert_eq!((&answer.headers, &answer.body), (&answers[0].headers, &answers[0].body), "{answer:?}");
    }
    assert_eq!(answers[0].headers["www-authenticate"], "Bearer realm=\"keyward\"", "no token was looked up");
    assert_eq!(answers[0].json()["code"], "malformed_credential");
    assert_eq!(answers[0].json()["detail"], "Send one header of the form Authorization: Bearer <token>");
}

#[tokio::test]
async fn opaque_rejections_hide_expiry_and_deactivation() {
    let world = World::with(keyward::Builder::opaque_rejections);
    let app = world.guard(GuardedRouter::new().route("/admin/x", authenticated(), get(|| async {})));
    let unknown = app.get("/admin/x").header(AUTHORIZATION, "Bearer nope").await;
    let key = world.super_admin().for_time(std::time::Duration::from_secs(1)).issue().await;
    world.clock.advance(std::time::Duration::from_secs(1));
    let expired = app.get("/admin/x").bearer(&key.secret).await;
    expired.assert_rejected(keyward::guard::Reason::Expired);
    assert_eq!((&expired.body, &expired.headers), (&unknown.body, &unknown.headers));
}

#[tokio::test]
async fn opaque_rejections_hide_an_inactive_owner() {
    let world = World::with(keyward::Builder::opaque_rejections);
    let app = world.guard(GuardedRouter::new().route("/admin/x", authenticated(), get(|| async {})));
    let unknown = app.get("/admin/x").header(AUTHORIZATION, "Bearer nope").await;
    let key = world.editor().issue().await;
    for state in [keyward::admin::OwnerState::Deactivated, keyward::admin::OwnerState::Blocked] {
        world.keyward.owners().set_state(key.owner(), state).await.unwrap();
        let inactive = app.get("/admin/x").bearer(&key.secret).await;
        inactive.assert_rejected(keyward::guard::Reason::OwnerInactive);
        assert_eq!(
            (inactive.status, &inactive.body, &inactive.headers),
            (unknown.status, &unknown.body, &unknown.headers)
        );
    }
}
