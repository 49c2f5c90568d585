//! made-up-costs-nothing (`docs/invariants.md`): a million made-up secrets of keyward's format cost no store read (and no memory:
//! `tests/memory.rs`). Those of Strapi's format evict no valid principal.

use crate::invariants::shim;
use axum::routing::get;
use http::header::AUTHORIZATION;
use keyward::guard::{InvalidCredential, Limits, Reason};
use keyward::testing::SeededEntropy;
use keyward::token::{Entropy, StrapiHashKey, TokenKind};
use keyward::{GuardedRouter, authenticated};
use std::future::IntoFuture;
use std::time::Duration;

/// Returns a well-formed secret under another hash key, as an attacker makes it who knows everything but the key.
fn made_up(entropy: &dyn Entropy) -> String {
    let hash_key = keyward::HashKey::parse("another salt than the world's, at least 32 bytes").unwrap();
    let format = keyward::testing::SecretFormat::new(&Default::default(), hash_key);
    format.issue(TokenKind::Admin, entropy).unwrap().secret.expose().to_owned()
}

#[tokio::test]
async fn made_up_keyward_tokens_cost_no_read() {
    let (world, shim) = shim::world(|b| b);
    let app = world.guard(GuardedRouter::new().route("/admin/x", authenticated(), get(|| async {})));
    let entropy = SeededEntropy::new(99);
    for _ in 0..1_000 {
        let answer = app.get("/admin/x").header(AUTHORIZATION, &format!("Bearer {}", made_up(&entropy))).await;
        answer.assert_rejected(Reason::Invalid(InvalidCredential::NotGenuine)).assert_status(401);
    }
    assert_eq!(shim.reads(), 0);
}

#[tokio::test]
async fn made_up_strapi_tokens_evict_no_valid_principal() {
    let mut limits = Limits::default();
    (limits.cache_bytes, limits.absent) = (1 << 20, 256);
    let (world, shim) =
        shim::world(|b| b.limits(limits).strapi_hash_key(StrapiHashKey::new("saltysaltysaltysalty").unwrap()));
    let app = world.guard(GuardedRouter::new().route("/admin/x", authenticated(), get(|| async {})));
    let mut keys = Vec::new();
    for _ in 0..100 {
        keys.push(world.super_admin().issue().await.secret);
    }
    for key in &keys {
        app.get("/admin/x").bearer(key).await.assert_ok();
    }
    assert_eq!(shim.reads(), 100);
    for i in 0..20_000u32 {
        let answer = app.get("/admin/x").header(AUTHORIZATION, &format!("Bearer {i:0256x}")).await;
        answer.assert_rejected(Reason::Invalid(InvalidCredential::Unknown));
    }
    assert_eq!(shim.reads(), 20_100);
    for key in &keys {
        app.get("/admin/x").bearer(key).await.assert_ok();
    }
    assert_eq!(shim.reads(), 20_100, "all 100 are still cached");
    app.get("/admin/x").header(AUTHORIZATION, &format!("Bearer {:0256x}", 19_999)).await.assert_status(401);
    assert_eq!(shim.reads(), 20_100, "a repeated request is answered from the cache");
}

#[tokio::test]
async fn made_up_strapi_tokens_leave_room_for_valid_tokens() {
    let mut limits = Limits::default();
    (limits.queue, limits.lookup, limits.request) = (MINUTE, MINUTE, MINUTE);
    let reference = StrapiHashKey::new("saltysaltysaltysalty").unwrap();
    let (world, shim) = shim::world(|b| b.limits(limits).strapi_hash_key(reference));
    let app = world.guard(GuardedRouter::new().route("/admin/x", authenticated(), get(|| async {})));
    let key = world.super_admin().issue().await;
    let mut stopped = shim.pause();
    let flood: Vec<_> = (0..100)
        .map(|i| app.get("/admin/x").header(AUTHORIZATION, &format!("Bearer {i:0256x}")).into_future())
        .map(tokio::spawn)
        .collect();
    for _ in 0..limits.lookups / 4 {
        stopped.recv().await.unwrap();
    }
    let valid = tokio::spawn(app.get("/admin/x").bearer(&key.secret).into_future());
    stopped.recv().await.unwrap();
    assert_eq!(shim.reads(), limits.lookups as u64 / 4 + 1, "the valid token was read next");
    shim.flow();
    (0..=limits.lookups / 4).for_each(|_| shim.resume());
    valid.await.unwrap().assert_ok();
    for made_up in flood {
        made_up.await.unwrap().assert_rejected(Reason::Invalid(InvalidCredential::Unknown));
    }
}

const MINUTE: Duration = Duration::from_secs(60);
