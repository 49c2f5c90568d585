//! kinds-never-cross (`docs/invariants.md`): an admin secret opens no content group, a content secret no admin group. A secret with
//! another prefix is rejected without a look-up.

use crate::invariants::shim;
use axum::Router;
use axum::routing::get;
use http::header::AUTHORIZATION;
use keyward::admin::{Owner, OwnerState};
use keyward::authz::Ceiling;
use keyward::guard::{InvalidCredential, Reason};
use keyward::store::{Digest, WriteStore};
use keyward::testing::SecretFormat;
use keyward::testing::TokenKinds;
use keyward::testing::{App, HASH_KEY, World};
use keyward::token::{
    ContentAccess, LegacyDigest, LegacyFormat, Secret, StrapiHashKey, TokenAuthority, TokenKind, TokenPrefix,
};
use keyward::{GuardedRouter, HashKey, NewAdminToken, NewContentToken, Require, RoleId, action, authenticated};
use sha2::{Digest as _, Sha256};
use std::time::Duration;

fn app<S: WriteStore + Clone>(world: &World<S>) -> App {
    let ok = || get(|| async { "in" });
    world.guard(
        GuardedRouter::new()
            .route("/admin/x", authenticated(), ok())
            .route("/api/x", action("api::article.article.find"), ok())
            .public("/public", ok()),
    )
}

#[tokio::test]
async fn token_kind_opens_only_its_own_groups() {
    let world = World::new();
    let app = app(&world);
    let admin = world.editor().with("admin::webhooks.read").issue().await.secret;
    let session = world.super_admin().sign_in().await.secret;
    let content = world.content(ContentAccess::FullAccess).await.secret;
    let wrong = Reason::Invalid(InvalidCredential::WrongKind);

    for secret in [&admin, &session] {
        app.get("/admin/x").bearer(secret).await.assert_ok();
        app.get("/api/x").bearer(secret).await.assert_rejected(wrong).assert_status(401);
    }
    app.get("/api/x").bearer(&content).await.assert_ok();
    app.get("/admin/x").bearer(&content).await.assert_rejected(wrong).assert_status(401);
    app.get("/public").bearer(&content).await.assert_ok();
}

#[tokio::test]
async fn secret_with_another_prefix_is_invalid() {
    let world = World::new();
    let app = app(&world);
    let content = world.content(ContentAccess::FullAccess).await.secret;
    let relabelled = |s: &Secret| format!("Bearer {}", s.expose().replace("_content_", "_admin_"));
    let answer = app.get("/admin/x").header(http::header::AUTHORIZATION, &relabelled(&content)).await;
    answer.assert_rejected(Reason::Invalid(InvalidCredential::NotGenuine)).assert_status(401);
}

#[tokio::test]
async fn content_token_may_do_what_its_type_allows() {
    let world = World::new();
    let app = world.guard(
        GuardedRouter::new().route("/api/find", action("api::article.article.find"), get(|| async {})).route(
            "/api/create",
            action("api::article.article.create"),
            get(|| async {}),
        ),
    );
    let custom = ContentAccess::Custom([keyward::authz::Action::new("api::article.article.create")].into());
    for (access, find, create) in
        [(ContentAccess::ReadOnly, 200, 403), (ContentAccess::FullAccess, 200, 200), (custom, 403, 200)]
    {
        let key = world.content(access).await.secret;
        app.get("/api/find").bearer(&key).await.assert_status(find);
        app.get("/api/create").bearer(&key).await.assert_status(create);
    }
    app.get("/api/find").await.assert_status(403).assert_rejected(Reason::Forbidden);
}

#[tokio::test]
async fn anonymous_caller_may_do_public_actions_only() {
    let world =
        World::with(|b| b.group(keyward::Group::content("/open").public_actions(["api::article.article.find"])));
    let routes = |path: &str, a: &str| Router::new().route(path, get(|| async {})).layer(Require::new(action(a)));
    let find = routes("/open/find", "api::article.article.find");
    let app = world.wrap(find.merge(routes("/open/create", "api::article.article.create")));
    app.get("/open/find").await.assert_ok();
    app.get("/open/create").await.assert_status(403);
    let wrong = app.get("/open/find").header(http::header::AUTHORIZATION, "Bearer nope").await;
    wrong.assert_rejected(Reason::Invalid(InvalidCredential::Malformed)).assert_status(401);
}

/// The kind in the row was changed by hand: the kind in the secret is the one it was issued with.
#[tokio::test]
async fn row_with_another_kind_is_rejected() {
    for (issued, path) in
        [(TokenKind::Admin, "/admin/x"), (TokenKind::Session, "/admin/x"), (TokenKind::Content, "/api/x")]
    {
        for label in TokenKind::ALL {
            let (world, shim) = shim::world(|b| b);
            let app = app(&world);
            let owner = world.super_admin().issue().await.owner();
            let secret = match issued {
                TokenKind::Admin => world.super_admin().issue().await.secret,
                TokenKind::Session => world.super_admin().sign_in().await.secret,
                TokenKind::Content => world.content(ContentAccess::FullAccess).await.secret,
            };
            let other_owner = Owner {
                account: None,
                kind: keyward::accounts::AccountKind::Person,
                id: owner,
                email: String::new(),
                firstname: String::new(),
                lastname: String::new(),
                username: None,
                state: OwnerState::Active,
                roles: vec![RoleId::SUPER_ADMIN],
                created_at: keyward::time::Timestamp(0),
                updated_at: keyward::time::Timestamp(0),
            };
            shim.tamper(move |snapshot| {
                let record = snapshot.record.as_mut().unwrap();
                record.owner = Some((other_owner.clone(), Ceiling::Unlimited));
                record.token.authority = match label {
                    TokenKind::Admin => TokenAuthority::Admin { owner, grants: vec![] },
                    TokenKind::Session => TokenAuthority::Session { owner, idle: Duration::from_secs(1800) },
                    TokenKind::Content => TokenAuthority::Content { access: ContentAccess::FullAccess },
                };
            });
            // Once from the store, once from the cache.
            for _ in 0..2 {
                let answer = app.get(path).bearer(&secret).await;
                if label == issued {
                    answer.assert_ok();
                } else {
                    answer.assert_rejected(Reason::Invalid(InvalidCredential::WrongKind)).assert_status(401);
                }
            }
        }
    }
}

/// A secret of Strapi has no kind: its row alone decides which groups it opens.
#[tokio::test]
async fn strapi_token_opens_only_the_groups_of_its_row() {
    let hash_key = || StrapiHashKey::new("saltysaltysaltysalty").unwrap();
    let (world, shim) = shim::world(|b| b.strapi_hash_key(hash_key()));
    let app = app(&world);
    let owner = world.super_admin().issue().await.owner();
    let format = SecretFormat::new(&TokenPrefix::default(), HashKey::parse(HASH_KEY).unwrap()).with_strapi(hash_key());
    for (secret, authority, opens, other) in [
        ("a1", TokenAuthority::Content { access: ContentAccess::FullAccess }, "/api/x", "/admin/x"),
        ("b2", TokenAuthority::Admin { owner, grants: vec![] }, "/admin/x", "/api/x"),
    ] {
        let secret = secret.repeat(128);
        let digest = format.verify(&secret, TokenKinds::ADMIN).unwrap().digest;
        assert!(matches!(digest, Digest::Strapi(_)));
        shim::insert(&shim.inner, digest, authority).await;
        for _ in 0..2 {
            let get = |path| app.get(path).header(AUTHORIZATION, &format!("Bearer {secret}"));
            get(other).await.assert_rejected(Reason::Invalid(InvalidCredential::WrongKind)).assert_status(401);
            get(opens).await.assert_ok();
        }
    }
}

/// The key of another system has no kind: the token that adopted it decides which groups it opens.
#[tokio::test]
async fn adopted_key_opens_only_the_groups_of_its_token() {
    let format = || LegacyFormat::sha256().prefix("acme_");
    let world = World::with(|b| b.legacy_keys(format()));
    let app = app(&world);
    let owner = world.super_admin().issue().await.owner();
    let formats = SecretFormat::new(&TokenPrefix::default(), HashKey::parse(HASH_KEY).unwrap());
    let formats = formats.with_legacy(format()).unwrap();
    let digest = |key: &str| LegacyDigest::sha256(hex::encode(Sha256::digest(key)));
    let [content, admin] = ["acme_0123456789abcdef", "acme_fedcba9876543210"];
    assert!(matches!(formats.verify(admin, TokenKinds::ADMIN).unwrap().digest, Digest::Legacy(_)));
    let tokens = world.keyward.tokens();
    tokens.adopt(NewContentToken::new("content", ContentAccess::FullAccess), digest(content)).await.unwrap();
    tokens.adopt(NewAdminToken::new("admin", owner), digest(admin)).await.unwrap();
    for (key, opens, other) in [(content, "/api/x", "/admin/x"), (admin, "/admin/x", "/api/x")] {
        // From the store and from the cache, first in the group that it does not open.
        for _ in 0..2 {
            let get = |path| app.get(path).header(AUTHORIZATION, &format!("Bearer {key}"));
            get(other).await.assert_rejected(Reason::Invalid(InvalidCredential::WrongKind)).assert_status(401);
            get(opens).await.assert_ok();
        }
    }
}

/// With labels of the host's choice, and between them: a relabelled secret fails offline.
#[tokio::test]
async fn labelled_secrets_open_the_groups_of_their_kind_only() {
    let labels = [(TokenKind::Admin, "key"), (TokenKind::Content, "keys"), (TokenKind::Session, "k")];
    let prefix = TokenPrefix::new("acme").unwrap().labels(labels).unwrap();
    let world = World::with(|b| b.token_prefix(prefix));
    let routes = GuardedRouter::new().route("/admin/x", authenticated(), get(|| async {})).route(
        "/api/x",
        authenticated(),
        get(|| async {}),
    );
    let app = world.guard(routes);
    let keys = [
        ("acme_key_", world.super_admin().issue().await, "/admin/x", "/api/x"),
        ("acme_keys_", world.content(ContentAccess::FullAccess).await, "/api/x", "/admin/x"),
        ("acme_k_", world.super_admin().sign_in().await, "/admin/x", "/api/x"),
    ];
    for (label, key, opens, other) in &keys {
        assert!(key.secret.expose().starts_with(label), "{label}");
        app.get(opens).bearer(&key.secret).await.assert_ok();
        app.get(other).bearer(&key.secret).await.assert_rejected(Reason::Invalid(InvalidCredential::WrongKind));
        for (relabelled, ..) in keys.iter().filter(|(relabelled, ..)| relabelled != label) {
            let secret = format!("Bearer {}", key.secret.expose().replacen(label, relabelled, 1));
            for path in [opens, other] {
                app.get(path).header(AUTHORIZATION, &secret).await.assert_status(401);
            }
        }
    }
    let regex = world.keyward.scanner_regex();
    assert_eq!(regex, r"\bacme_(key|keys|k|invite)_[0-9A-Za-z]{50}\b");
}
