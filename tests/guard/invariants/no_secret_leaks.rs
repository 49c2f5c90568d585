//! no-secret-leaks (`docs/invariants.md`): no secret and no key is in logs, traces, errors, `Debug`, audit, metrics or the database.

use crate::invariants::shim;
use axum::Router;
use axum::routing::get;
use http::header::AUTHORIZATION;
use keyward::admin::{OwnerState, ServiceError};
use keyward::testing::SecretFormat;
use keyward::testing::{HASH_KEY, Key};
use keyward::token::{ContentAccess, HashKeyRing, LegacyDigest, LegacyFormat, Secret, StrapiHashKey};
use keyward::{BuildError, GuardedRouter, Keyward, MemoryStore, Require, action, authenticated};
use keyward_test_support::log;
use std::sync::{Arc, Mutex};

const REFERENCE: &str = "the salt of the reference";

/// Returns the texts that must not be shown: each secret, its random part, its digest, and the keys.
fn hidden(secrets: &[&Secret]) -> Vec<String> {
    let format = SecretFormat::new(&Default::default(), HashKeyRing::parse(HASH_KEY).unwrap());
    let mut all = vec![HASH_KEY.to_owned(), REFERENCE.to_owned()];
    for secret in secrets {
        let text = secret.expose();
        let kinds = keyward::testing::TokenKinds::of(&keyward::token::TokenKind::ALL);
        all.extend([text.to_owned(), text[text.len() - 50..text.len() - 7].to_owned()]);
        all.push(format.verify(text, kinds).unwrap().digest.to_hex());
    }
    all
}

#[track_caller]
fn assert_hides(what: &str, shown: &str, hidden: &[String]) {
    for secret in hidden {
        assert!(!shown.contains(secret.as_str()), "{what} shows {secret}: {shown}");
    }
}

#[tokio::test]
async fn secrets_are_not_in_logs_debug_errors_or_audit() {
    let (log, _guard) = log::capture();

    let (world, shim) = shim::world(|b| b.strapi_hash_key(StrapiHashKey::new(REFERENCE).unwrap()));
    let trace = tower_http::trace::TraceLayer::new_for_http();
    let routes = Router::new()
        .route("/admin/x", get(|| async {}).layer(Require::new(action("x"))))
        .route("/admin/forgotten", get(|| async {}))
        .route("/api/x", get(|| async {}).layer(Require::new(authenticated())));
    let app = world.wrap(routes.layer(trace));
    let admin = world.editor().with("x").issue().await;
    let weak = world.editor().issue().await;
    let session = world.super_admin().sign_in().await;
    let content = world.content(ContentAccess::FullAccess).await;
    let keys: [&Key; 4] = [&admin, &weak, &session, &content];
    let hidden = hidden(&keys.map(|k| &k.secret));

    let mut answers = Vec::new();
    for key in keys {
        for path in ["/admin/x", "/api/x", "/admin/forgotten", "/none", "//admin"] {
            answers.push(app.get(path).bearer(&key.secret).await);
        }
        let twice = app.get("/admin/x").bearer(&key.secret).bearer(&key.secret).await;
        let broken = app.get("/admin/x").header(AUTHORIZATION, &format!("Bearer {}x", key.secret.expose())).await;
        answers.extend([twice, broken]);
    }
    let owners = world.keyward.owners();
    owners.set_state(admin.owner(), OwnerState::Deactivated).await.unwrap();
    answers.push(app.get("/admin/x").bearer(&admin.secret).await);
    shim.fail(true);
    answers.push(app.get("/admin/x").bearer(&weak.secret).await);
    world.keyward.tokens().revoke(weak.id).await.unwrap_err();
    shim.fail(false);
    owners.set_state(admin.owner(), OwnerState::Active).await.unwrap();
    shim.fail(true);
    answers.push(app.get("/admin/x").bearer(&admin.secret).await);
    world.keyward.flush().await;
    shim.fail(false);
    world.keyward.flush().await;
    world.keyward.tokens().revoke(weak.id).await.unwrap();

    for answer in &answers {
        assert_hides("an answer", &format!("{answer:?} {:?}", answer.headers), &hidden);
    }
    let logged = log.text();
    assert!(logged.contains("look-up failed") && logged.contains("withheld"), "the log was captured: {logged}");
    assert_hides("the log", &logged, &hidden);
    for event in shim.inner.audit_events() {
        assert_hides("an audit event", &format!("{event:?} {}", event.details), &hidden);
    }
}

/// Every public type that holds a secret, a digest or a key, or was made from one.
#[tokio::test]
async fn secrets_are_not_in_debug_output() {
    let world = keyward::testing::World::with(|b| b.strapi_hash_key(StrapiHashKey::new(REFERENCE).unwrap()));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let shown = seen.clone();
    let handler = get(move |auth: keyward::Auth, request: axum::extract::Request| async move {
        let all = format!("{auth:?} {:?} {:?}", auth.principal(), request.extensions().get::<keyward::AuthContext>());
        shown.lock().unwrap().push(all);
    });
    let guarded = GuardedRouter::new().route("/admin/x", authenticated(), handler);
    let app = world.guard(guarded.clone());
    let key = world.super_admin().issue().await;
    let token = world.keyward.tokens().revoke(world.super_admin().issue().await.id).await.unwrap();
    let hidden = hidden(&[&key.secret]);
    let request = app.get("/admin/x");
    let answer = request.bearer(&key.secret).await;
    answer.assert_ok();

    let hash_key = || keyward::HashKey::parse(HASH_KEY).unwrap();
    let format = SecretFormat::new(&Default::default(), hash_key()).with_strapi(StrapiHashKey::new(REFERENCE).unwrap());
    let credential = format.verify(key.secret.expose(), keyward::testing::TokenKinds::ADMIN).unwrap();
    let issued = format.issue(keyward::token::TokenKind::Admin, &keyward::token::OsEntropy).unwrap();
    let mut texts = vec![
        format!("{:?} {:?}", world.keyward, world),
        format!("{:?} {:?}", world.keyward.layer(), world.keyward.wrap(())),
        format!("{app:?} {guarded:?}"),
        format!("{key:?} {:?} {:?}", key.secret, key.secret.clone()),
        format!("{token:?}"),
        format!("{format:?} {credential:?} {:?} {issued:?}", credential.digest),
        format!("{:?} {:?} {:?}", hash_key(), HashKeyRing::new(hash_key()), StrapiHashKey::new(REFERENCE).unwrap()),
        format!(
            "{:?}",
            Keyward::builder(MemoryStore::default())
                .hash_key(hash_key())
                .strapi_hash_key(StrapiHashKey::new(REFERENCE).unwrap())
        ),
        format!("{:?} {:?}", LegacyFormat::hmac_sha256(HASH_KEY).unwrap(), LegacyDigest::sha256(HASH_KEY)),
        format!("{:?}", BuildError::NoHashKey),
        format!("{:?}", ServiceError::LastSuperAdmin),
        format!(
            "{:?} {}",
            HashKeyRing::parse(&HASH_KEY[..31]).unwrap_err(),
            HashKeyRing::parse(&HASH_KEY[..31]).unwrap_err()
        ),
    ];
    texts.append(&mut seen.lock().unwrap());
    for text in &texts {
        assert_hides("Debug", text, &hidden);
        assert_hides(
            "Debug",
            text,
            &[HASH_KEY[..31].to_owned(), issued.secret.expose().to_owned(), issued.digest.to_hex()],
        );
    }
}
