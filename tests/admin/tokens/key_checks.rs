//! The configured keys are compared with those that the data was written with.

use super::{OLD_KEY, keys, person, reveal, world};
use keyward::admin::{Actor, KeyMismatch, SecretAccess, ServiceError};
use keyward::store::Digest;
use keyward::store::{KeyKind, WriteStore};
use keyward::testing::SecretFormat;
use keyward::testing::{App, ManualClock, World};
use keyward::token::{HashKeyRing, OsEntropy, Secret, TokenId, TokenKind, TokenPrefix, Unsealable};
use keyward::{GuardedRouter, HashKey, NewAdminToken, NewOwner, RoleId, authenticated};
use std::sync::Arc;
use std::time::Duration;

/// Another hash key with the same name as that of the worlds.
const OTHER: &str = "Zp0Qx81vHn7RsYw2Lm5Kc9Tj3Ga6Fd4b";
/// Another encryption key with the name of `OLD_KEY`.
const OTHER_KEY: &str = "2025:Zp0Qx81vHn7RsYw2Lm5Kc9Tj3Ga6Fd4b";

fn guarded<S: WriteStore + Clone>(world: &World<S>) -> App {
    let route = GuardedRouter::new().route("/admin/x", authenticated(), axum::routing::get(|| async {}));
    world.guard(route)
}

pub(super) fn mismatch<T: std::fmt::Debug>(done: Result<T, ServiceError>) -> KeyMismatch {
    match done {
        Err(ServiceError::KeyMismatch(mismatch)) => mismatch,
        other => panic!("{other:?}"),
    }
}

/// Returns an installation after its first start, with a token of a super admin.
async fn begun<S: WriteStore + Clone>(store: &S, clock: &Arc<ManualClock>) -> (World<S>, Actor, TokenId, Secret) {
    let world = world(store, clock, |b| b.encryption(keys(OLD_KEY)));
    world.keyward.set_up().await.unwrap();
    let ada = person(&world, "ada", &[RoleId::SUPER_ADMIN]).await;
    let issued = world.keyward.tokens().issue_admin(NewAdminToken::new("a", ada)).await.unwrap();
    (world, Actor::Person(ada), issued.token.id, issued.secret)
}

pub(super) async fn wrong_hash_key_fails_startup_and_makes_credentials_503<S: WriteStore + Clone>(
    store: S,
    clock: Arc<ManualClock>,
) {
    let (before, _, _, secret) = begun(&store, &clock).await;
    let other = world(&store, &clock, |b| b.hash_key(HashKey::parse(OTHER).unwrap()).encryption(keys(OLD_KEY)));
    let found = mismatch(other.keyward.set_up().await);
    assert_eq!(found.kind(), KeyKind::Hash);
    let uses: Vec<_> = found.uses().map(|used| (used.id.as_str(), used.tokens)).collect();
    assert_eq!(uses, [("0", 3)], "the two default tokens and the issued one");
    let text = found.to_string();
    for part in ["KEYWARD_HASH_KEY", "3 tokens with key `0`", "accept_new_hash_key"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!format!("{text} {found:?}").contains(&OTHER[..8]));
    mismatch(other.keyward.owners().create(NewOwner::new("b@example.test")).await);

    let elsewhere = SecretFormat::new(&TokenPrefix::default(), HashKey::generate().unwrap().0);
    let made_up = elsewhere.issue(TokenKind::Admin, &OsEntropy).unwrap().secret;
    for secret in [&secret, &made_up] {
        guarded(&other).get("/admin/x").bearer(secret).await.assert_status(503);
    }
    assert!(!other.keyward.health().ready);
    guarded(&before).get("/admin/x").bearer(&secret).await.assert_ok();
    guarded(&before).get("/admin/x").bearer(&made_up).await.assert_status(401);
}

pub(super) async fn accepted_hash_key_replaces_the_former_one<S: WriteStore + Clone>(
    store: S,
    clock: Arc<ManualClock>,
) {
    let (_, ada, id, secret) = begun(&store, &clock).await;
    let other = || HashKey::parse(OTHER).unwrap();
    let new = world(&store, &clock, |b| {
        b.hash_key(other()).encryption(keys(OLD_KEY)).entropy(Arc::new(OsEntropy)).accept_new_hash_key()
    });
    new.keyward.set_up().await.unwrap();
    guarded(&new).get("/admin/x").bearer(&secret).await.assert_status(401);
    let Actor::Person(owner) = ada else { unreachable!() };
    let issued = new.keyward.tokens().issue_admin(NewAdminToken::new("b", owner)).await.unwrap();
    guarded(&new).get("/admin/x").bearer(&issued.secret).await.assert_ok();
    match reveal(&new, ada, id).await {
        SecretAccess::Lost(why @ Unsealable::NotGenuine) => {
            assert!(why.to_string().contains("hash key (KEYWARD_HASH_KEY)") && !why.to_string().contains("encryption"));
        }
        other => panic!("{other:?}"),
    }
    world(&store, &clock, |b| b.hash_key(other()).encryption(keys(OLD_KEY))).keyward.set_up().await.unwrap();
    mismatch(world(&store, &clock, |b| b.encryption(keys(OLD_KEY))).keyward.set_up().await);
}

pub(super) async fn new_hash_key_before_the_former_one_is_accepted<S: WriteStore + Clone>(
    store: S,
    clock: Arc<ManualClock>,
) {
    let (_, _, _, secret) = begun(&store, &clock).await;
    let ring = HashKeyRing::parse(&format!("2030:{OTHER},0:{}", keyward::testing::HASH_KEY)).unwrap();
    let both = world(&store, &clock, |b| b.hash_key(ring).encryption(keys(&format!("2030:{OTHER},{OLD_KEY}"))));
    both.keyward.set_up().await.unwrap();
    guarded(&both).get("/admin/x").bearer(&secret).await.assert_ok();
    let unknown = HashKeyRing::parse(&format!("2040:{OTHER}x")).unwrap();
    let text = mismatch(world(&store, &clock, |b| b.hash_key(unknown)).keyward.set_up().await).to_string();
    assert!(text.contains("`2040`") && text.contains("`0`, `2030`"), "{text}");
}

pub(super) async fn wrong_encryption_key_fails_startup_and_is_named_by_a_reveal<S: WriteStore + Clone>(
    store: S,
    clock: Arc<ManualClock>,
) {
    let (_, ada, id, secret) = begun(&store, &clock).await;
    let other = world(&store, &clock, |b| b.encryption(keys(OTHER_KEY)));
    let found = mismatch(other.keyward.set_up().await);
    let text = found.to_string();
    assert_eq!(found.kind(), KeyKind::Encryption);
    for part in ["KEYWARD_ENCRYPTION_KEY", "3 tokens with key `2025`", "accept_new_encryption_key"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    guarded(&other).get("/admin/x").bearer(&secret).await.assert_ok();
    let accepted = world(&store, &clock, |b| b.encryption(keys(OTHER_KEY)).accept_new_encryption_key());
    accepted.keyward.set_up().await.unwrap();
    match reveal(&accepted, ada, id).await {
        SecretAccess::Lost(why @ Unsealable::Damaged(_)) => {
            assert!(why.to_string().contains("encryption key `2025`"), "{why}")
        }
        other => panic!("{other:?}"),
    }
    guarded(&accepted).get("/admin/x").bearer(&secret).await.assert_ok();
}

pub(super) async fn wrong_token_prefix_fails_startup<S: WriteStore + Clone>(store: S, clock: Arc<ManualClock>) {
    begun(&store, &clock).await;
    let acme = || TokenPrefix::new("acme").unwrap();
    let found = mismatch(world(&store, &clock, |b| b.token_prefix(acme())).keyward.set_up().await);
    assert_eq!(found.kind(), KeyKind::Prefix);
    assert!(found.to_string().contains("the token prefix `kw`"), "{found}");
    world(&store, &clock, |b| b.token_prefix(acme()).accept_new_prefix()).keyward.set_up().await.unwrap();
}

/// This lets a node start on a full disk.
pub(super) async fn second_startup_writes_nothing<S: WriteStore + Clone>(store: S, clock: Arc<ManualClock>) {
    let seq = async || store.resolve(&Digest::Native([0; 27])).await.unwrap().seq;
    begun(&store, &clock).await;
    let before = seq().await;
    let again = world(&store, &clock, |b| b.encryption(keys(OLD_KEY)));
    again.keyward.set_up().await.unwrap();
    // The background task does this at its start.
    let deleted = again.keyward.audit().delete_older_than(Duration::from_secs(3600)).await.unwrap();
    assert_eq!(deleted, 0);
    assert_eq!(seq().await, before);
}
