//! made-up-costs-nothing (`docs/invariants.md`): a million made-up secrets of keyward's format cost no store read (and no memory:
//! `tests/memory.rs`). Those of Strapi's and of legacy formats evict no valid principal.

use crate::invariants::shim;
use axum::routing::get;
use http::header::AUTHORIZATION;
use keyward::guard::{InvalidCredential, Limits, Reason};
use keyward::testing::SeededEntropy;
use keyward::token::{Entropy, LegacyCharacters, LegacyFormat, StrapiHashKey, TokenKind};
use keyward::{Builder, GuardedRouter, authenticated};
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

/// A format of secrets without a check, which anyone can make up.
struct Format {
    accept: fn(Builder) -> Builder,
    make_up: fn(u32) -> String,
}

const STRAPI: Format = Format {
    accept: |builder| builder.strapi_hash_key(StrapiHashKey::new("saltysaltysaltysalty").unwrap()),
    make_up: |n| format!("{n:0256x}"),
};

const LEGACY: Format = Format {
    accept: |builder| {
        let hmac = LegacyFormat::hmac_sha256("a key of the host").unwrap();
        builder.legacy_keys(LegacyFormat::sha256().prefix("acme_").length(45)).legacy_keys(hmac.length(40))
    },
    make_up: |n| if n.is_multiple_of(2) { format!("acme_{n:040x}") } else { format!("{n:040x}") },
};

#[tokio::test]
async fn made_up_strapi_tokens_evict_no_valid_principal() {
    made_up_tokens_evict_no_valid_principal(STRAPI).await;
}

#[tokio::test]
async fn made_up_legacy_keys_evict_no_valid_principal() {
    made_up_tokens_evict_no_valid_principal(LEGACY).await;
}

async fn made_up_tokens_evict_no_valid_principal(Format { accept, make_up }: Format) {
    let mut limits = Limits::default();
    (limits.cache_bytes, limits.absent) = (1 << 20, 256);
    let (world, shim) = shim::world(|b| accept(b.limits(limits)));
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
        let answer = app.get("/admin/x").header(AUTHORIZATION, &format!("Bearer {}", make_up(i))).await;
        answer.assert_rejected(Reason::Invalid(InvalidCredential::Unknown));
    }
    assert_eq!(shim.reads(), 20_100);
    for key in &keys {
        app.get("/admin/x").bearer(key).await.assert_ok();
    }
    assert_eq!(shim.reads(), 20_100, "all 100 are still cached");
    app.get("/admin/x").header(AUTHORIZATION, &format!("Bearer {}", make_up(19_999))).await.assert_status(401);
    assert_eq!(shim.reads(), 20_100, "a repeated request is answered from the cache");
}

#[tokio::test]
async fn made_up_strapi_tokens_leave_room_for_valid_tokens() {
    made_up_tokens_leave_room_for_valid_tokens(STRAPI).await;
}

#[tokio::test]
async fn made_up_legacy_keys_leave_room_for_valid_tokens() {
    made_up_tokens_leave_room_for_valid_tokens(LEGACY).await;
}

async fn made_up_tokens_leave_room_for_valid_tokens(Format { accept, make_up }: Format) {
    let mut limits = Limits::default();
    (limits.queue, limits.lookup, limits.request) = (MINUTE, MINUTE, MINUTE);
    let (world, shim) = shim::world(|b| accept(b.limits(limits)));
    let app = world.guard(GuardedRouter::new().route("/admin/x", authenticated(), get(|| async {})));
    let key = world.super_admin().issue().await;
    let mut stopped = shim.pause();
    let flood: Vec<_> = (0..100)
        .map(|i| app.get("/admin/x").header(AUTHORIZATION, &format!("Bearer {}", make_up(i))).into_future())
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

/// Without a declared format nothing is looked up, and with one only texts of its shape.
#[tokio::test]
async fn text_of_no_declared_shape_costs_no_read() {
    let route = || GuardedRouter::new().route("/admin/x", authenticated(), get(|| async {}));
    let hex = LegacyFormat::sha256().prefix("acme_").length(45).characters(LegacyCharacters::Hex);
    for (formats, key_reads) in [(vec![], 0), (vec![hex], 1)] {
        let (world, shim) = shim::world(|b| formats.into_iter().fold(b, Builder::legacy_keys));
        let app = world.guard(route());
        let send = |secret: String| app.get("/admin/x").header(AUTHORIZATION, &format!("Bearer {secret}"));
        let key = format!("acme_{:040x}", 7);
        for other in [
            key[1..].to_owned(),
            key[..44].to_owned(),
            format!("{key}0"),
            key.replace("acme", "acmf"),
            key.replace('7', "A"),
            key.replace('7', "g"),
            key.to_uppercase(),
            format!("{:045x}", 7),
        ] {
            send(other).await.assert_rejected(Reason::Invalid(InvalidCredential::Malformed)).assert_status(401);
        }
        assert_eq!(shim.reads(), 0);
        send(key).await.assert_status(401);
        assert_eq!(shim.reads(), key_reads, "a text of the shape is looked up if the format is declared");
    }
}

const MINUTE: Duration = Duration::from_secs(60);
