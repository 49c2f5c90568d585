//! Keys that another system issued, and that were adopted by their digest.

use super::{count, person, problems, world};
use crate::tokens::key_checks::mismatch;
use hmac::{Hmac, KeyInit, Mac};
use http::header::AUTHORIZATION;
use keyward::admin::{
    Actor, AuditAction, AuditEvent, FieldName, Lifespan, NewAdoptedToken, OwnerState, ServiceError, TokenUpdate,
};
use keyward::store::{EventQuery, KeyKind, Paging, WriteStore};
use keyward::testing::{App, ManualClock, World};
use keyward::token::{
    ContentAccess, EncryptionKeys, InvalidLegacyFormat, LegacyCharacters, LegacyDigest, LegacyFormat, StrapiHashKey,
};
use keyward::{
    BuildError, Builder, Grant, GuardedRouter, HashKey, Keyward, MemoryStore, NewAdminToken, NewContentToken, NewRole,
    OwnerId, Permission, RoleId, action, authenticated,
};
use sha2::{Digest, Sha256, Sha512};
use std::sync::Arc;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The key of the host's HMACs.
const HOST_KEY: &[u8] = b"the key of the host";

/// SHA-256, HMAC-SHA-256 and HMAC-SHA-512, each with a prefix.
fn formats(builder: Builder) -> Builder {
    let [old, new] = [LegacyFormat::hmac_sha256(HOST_KEY), LegacyFormat::hmac_sha512(HOST_KEY)].map(Result::unwrap);
    let plain = LegacyFormat::sha256().prefix("acme_").length(45).characters(LegacyCharacters::Hex);
    builder.legacy_keys(plain).legacy_keys(old.prefix("old-")).legacy_keys(new.prefix("new-"))
}

/// Returns a key of each format with its digest.
fn keys(n: u32) -> [(String, LegacyDigest); 3] {
    let [plain, old, new] = [format!("acme_{n:040x}"), format!("old-{n:032}"), format!("new-{n:032}")];
    let digests = [
        LegacyDigest::sha256(hex::encode(Sha256::digest(&plain))),
        LegacyDigest::hmac_sha256(hmac::<Hmac<Sha256>>(&old)),
        LegacyDigest::hmac_sha512(hmac::<Hmac<Sha512>>(&new)),
    ];
    let [a, b, c] = digests;
    [(plain, a), (old, b), (new, c)]
}

fn hmac<M: KeyInit + Mac>(text: &str) -> String {
    hex::encode(<M as KeyInit>::new_from_slice(HOST_KEY).unwrap().chain_update(text).finalize().into_bytes())
}

fn guarded<S: WriteStore + Clone>(world: &World<S>) -> App {
    let ok = || async {};
    world.guard(
        GuardedRouter::new().get("/admin/x", authenticated(), ok).get("/admin/read", action("notes.read"), ok).get(
            "/api/read",
            action("notes.read"),
            ok,
        ),
    )
}

async fn status(app: &App, path: &str, key: &str) -> u16 {
    app.get(path).header(AUTHORIZATION, &format!("Bearer {key}")).await.status.as_u16()
}

async fn reader<S: WriteStore + Clone>(world: &World<S>) -> (OwnerId, RoleId) {
    let role = NewRole::new("reader").permissions([Permission::new("notes.read")]);
    let role = world.keyward.roles().create(role).await.unwrap().id;
    (person(world, "ada", &[role]).await, role)
}

fn reading(name: &str, owner: OwnerId) -> NewAdminToken {
    NewAdminToken::new(name, owner).grants([Grant::new("notes.read")])
}

async fn issued<S: WriteStore>(world: &World<S>) -> AuditEvent {
    let query = EventQuery {
        actions: Some(vec![AuditAction::TokenIssued]),
        ..EventQuery::all(Paging { page: 1, page_size: 1 })
    };
    world.keyward.audit().list(&query).await.unwrap().items.pop().unwrap().1
}

/// A key of each format is a bearer secret with the rights of the token, until the token ends.
pub(super) async fn adopted_key_is_the_secret_of_its_token<S: WriteStore + Clone>(store: S, clock: Arc<ManualClock>) {
    let world = world(&store, &clock, formats);
    let (app, tokens) = (guarded(&world), world.keyward.tokens());
    let (ada, role) = reader(&world).await;
    for (n, (key, digest)) in keys(1).into_iter().enumerate() {
        assert_eq!(status(&app, "/admin/read", &key).await, 401, "not adopted yet");
        let token = tokens.adopt(reading(&format!("old {n}"), ada), digest.clone()).await.unwrap();
        assert_eq!((token.hint.as_str(), token.owner()), ("", Some(ada)));
        let event = issued(&world).await;
        let hash = ["sha256", "hmac-sha256", "hmac-sha512"][n];
        assert_eq!((&event.details["adopted"], &event.details["name"]), (&hash.into(), &token.name.clone().into()));
        assert_eq!(status(&app, "/admin/read", &key).await, 200, "from the next request on");

        // Bounded by the owner.
        world.keyward.roles().set_permissions(role, vec![]).await.unwrap();
        assert_eq!((status(&app, "/admin/x", &key).await, status(&app, "/admin/read", &key).await), (200, 403));
        world.keyward.roles().set_permissions(role, vec![Permission::new("notes.read")]).await.unwrap();
        assert_eq!(status(&app, "/admin/read", &key).await, 403, "clamped-stays-clamped");
        world.keyward.owners().set_state(ada, OwnerState::Deactivated).await.unwrap();
        assert_eq!(status(&app, "/admin/x", &key).await, 401);
        world.keyward.owners().set_state(ada, OwnerState::Active).await.unwrap();
        assert_eq!(status(&app, "/admin/x", &key).await, 200);

        tokens.revoke(token.id).await.unwrap();
        assert_eq!(status(&app, "/admin/x", &key).await, 401, "revoked");
    }
    assert_eq!(count(&world, AuditAction::TokenIssued).await, 3);
    let [(key, digest), ..] = keys(2);
    tokens.adopt(NewContentToken::new("shop", ContentAccess::only(["notes.read"])), digest).await.unwrap();
    assert_eq!((status(&app, "/api/read", &key).await, status(&app, "/admin/x", &key).await), (200, 401));
}

pub(super) async fn adopted_key_expires_with_its_token<S: WriteStore + Clone>(store: S, clock: Arc<ManualClock>) {
    let world = world(&store, &clock, formats);
    let app = guarded(&world);
    let (ada, _) = reader(&world).await;
    let [(key, digest), ..] = keys(1);
    let new = reading("old", ada).lifespan(Lifespan::days(7));
    let token = world.keyward.tokens().adopt(new, digest).await.unwrap();
    assert_eq!(token.expires_at, Some(token.created_at.plus(7 * DAY)));
    clock.advance(7 * DAY - Duration::from_secs(1));
    assert_eq!(status(&app, "/admin/read", &key).await, 200);
    clock.advance(Duration::from_secs(1));
    assert_eq!(status(&app, "/admin/read", &key).await, 401);
}

/// Regenerating gives a secret of keyward's format.
pub(super) async fn regeneration_ends_the_adopted_key<S: WriteStore + Clone>(store: S, clock: Arc<ManualClock>) {
    let sealed = |b| formats(b).encryption(EncryptionKeys::parse(super::OLD_KEY).unwrap());
    let world = world(&store, &clock, sealed);
    let (app, tokens) = (guarded(&world), world.keyward.tokens());
    let (ada, _) = reader(&world).await;
    let [(key, digest), ..] = keys(1);
    let token = tokens.adopt(reading("old", ada), digest.clone()).await.unwrap();
    assert_eq!(status(&app, "/admin/read", &key).await, 200);
    let shown = tokens.clone().acting_as(Actor::Person(ada)).open(token.id).await.unwrap().secret;
    assert!(matches!(shown, keyward::admin::SecretAccess::NotKept), "{shown:?}");
    let new = tokens.regenerate(token.id).await.unwrap();
    assert!(new.secret.expose().starts_with("kw_admin_"));
    assert_eq!(new.token.hint, new.secret.expose()[new.secret.expose().len() - 4..]);
    assert_eq!(status(&app, "/admin/read", &key).await, 401);
    assert_eq!(status(&app, "/admin/read", new.secret.expose()).await, 200);
    let again = tokens.adopt(reading("old", ada), digest).await.unwrap_err();
    assert!(matches!(again, ServiceError::Taken { field: FieldName::Digest, .. }), "{again:?}");
    assert_eq!(status(&app, "/admin/read", &key).await, 401);
}

/// A migration may run twice: what ended meanwhile stays ended.
pub(super) async fn key_is_adopted_once<S: WriteStore + Clone>(store: S, clock: Arc<ManualClock>) {
    let world = world(&store, &clock, formats);
    let (app, tokens) = (guarded(&world), world.keyward.tokens());
    let (ada, _) = reader(&world).await;
    for (n, (key, digest)) in keys(1).into_iter().enumerate() {
        let token = tokens.adopt(reading(&format!("old {n}"), ada), digest.clone()).await.unwrap();
        let adopt = async || match tokens.adopt(reading("another name", ada), digest.clone()).await {
            Err(ServiceError::Taken { field, message }) => (field, message),
            other => panic!("{other:?}"),
        };
        let known = (FieldName::Digest, "Key already adopted");
        assert_eq!(adopt().await, known);
        assert_eq!(status(&app, "/admin/read", &key).await, 200);
        tokens.revoke(token.id).await.unwrap();
        assert_eq!(adopt().await, known, "also after its token was revoked");
        assert_eq!(status(&app, "/admin/read", &key).await, 401);
    }
    assert_eq!(count(&world, AuditAction::TokenIssued).await, 3);
}

/// The digest of a key under one hash function is not that of another key under another one.
pub(super) async fn digest_of_one_function_admits_no_key_of_another<S: WriteStore + Clone>(
    store: S,
    clock: Arc<ManualClock>,
) {
    let world = world(&store, &clock, formats);
    let (app, tokens) = (guarded(&world), world.keyward.tokens());
    let (ada, _) = reader(&world).await;
    let [plain, old, _] = keys(1).map(|(key, _)| key);
    // Each digest is passed as that of the other function.
    let swapped = LegacyDigest::hmac_sha256(hex::encode(Sha256::digest(&plain)));
    tokens.adopt(reading("a", ada), swapped).await.unwrap();
    tokens.adopt(reading("b", ada), LegacyDigest::sha256(hmac::<Hmac<Sha256>>(&old))).await.unwrap();
    for key in [&plain, &old] {
        assert_eq!(status(&app, "/admin/x", key).await, 401);
    }
    // Nor does the digest of a key, sent as a key.
    let [(key, digest), ..] = keys(2);
    tokens.adopt(reading("c", ada), digest).await.unwrap();
    assert_eq!(status(&app, "/admin/x", &hex::encode(Sha256::digest(&key))).await, 401);
}

/// bad-input-changes-nothing (`docs/invariants.md`).
pub(super) async fn rejected_adoption_names_the_field<S: WriteStore + Clone>(store: S, clock: Arc<ManualClock>) {
    let plain = |b: Builder| b.legacy_keys(LegacyFormat::sha256().prefix("acme_"));
    let world = world(&store, &clock, plain);
    let (ada, _) = reader(&world).await;
    let other = person(&world, "ben", &[]).await;
    let tokens = world.keyward.tokens();
    let [(_, good), (_, hmac256), (_, hmac512)] = keys(1);
    let adopt = async |new: NewAdoptedToken, digest: &LegacyDigest| {
        tokens.adopt(new, digest.clone()).await.map(|token| token.id).unwrap_err()
    };
    let of_ada = |name: &str| NewAdoptedToken::from(reading(name, ada));
    for wrong in ["", "abc", &"0".repeat(63), &"0".repeat(65), &"0".repeat(128), &"g".repeat(64)] {
        let error = adopt(of_ada("a"), &LegacyDigest::sha256(wrong)).await;
        assert_eq!(error.to_string(), "digest: must be 64 hex digits", "{wrong}");
        assert_eq!(problems(error), ["digest"]);
    }
    for (undeclared, hash) in [(hmac256, "hmac-sha256"), (hmac512, "hmac-sha512")] {
        let error = adopt(of_ada("a"), &undeclared).await;
        let text = format!("digest: no format of legacy keys with {hash} is declared: declare it first");
        assert_eq!(error.to_string(), text);
        assert_eq!(problems(error), ["digest"]);
    }
    assert_eq!(problems(adopt(of_ada(""), &LegacyDigest::sha256("")).await), ["name", "digest"]);
    let stronger = reading("a", other);
    assert_eq!(problems(adopt(stronger.into(), &good).await), ["grants.0"], "never-more-than-owner");
    let nothing = NewContentToken::new("a", ContentAccess::only::<&str>([]));
    assert_eq!(problems(adopt(nothing.into(), &good).await), ["access"]);
    for actor in [Actor::Person(ada), Actor::Visitor] {
        let rejected = tokens.clone().acting_as(actor).adopt(of_ada("a"), good.clone()).await;
        assert!(matches!(rejected, Err(ServiceError::Forbidden(_))), "{actor:?} {rejected:?}");
    }
    world.keyward.owners().set_state(ada, OwnerState::Deactivated).await.unwrap();
    assert!(matches!(adopt(of_ada("a"), &good).await, ServiceError::OwnerInactive));
    world.keyward.owners().set_state(ada, OwnerState::Active).await.unwrap();
    assert_eq!(count(&world, AuditAction::TokenIssued).await, 0);

    let taken = tokens.adopt(reading("taken", ada), good.clone()).await.unwrap();
    let [(_, second), ..] = keys(2);
    let error = adopt(of_ada("Taken"), &second).await;
    assert!(matches!(error, ServiceError::Taken { field: FieldName::Name, .. }), "{error:?}");
    let renamed = TokenUpdate { name: Some("renamed".into()), ..TokenUpdate::default() };
    tokens.update(taken.id, renamed).await.unwrap();
}

/// own-failure-is-503 (`docs/invariants.md`): with another key, no adopted key is rejected as invalid.
pub(super) async fn wrong_key_of_a_legacy_format_fails_startup<S: WriteStore + Clone>(
    store: S,
    clock: Arc<ManualClock>,
) {
    let with = |key: &str| {
        let hmac = LegacyFormat::hmac_sha256(key).unwrap().prefix("old-");
        world(&store, &clock, |b| b.legacy_keys(hmac).legacy_keys(LegacyFormat::sha256().prefix("acme_")))
    };
    let before = with(std::str::from_utf8(HOST_KEY).unwrap());
    before.keyward.set_up().await.unwrap();
    let (ada, _) = reader(&before).await;
    let [(_, plain), (key, digest), _] = keys(1);
    before.keyward.tokens().adopt(reading("plain", ada), plain).await.unwrap();
    before.keyward.tokens().adopt(reading("old", ada), digest).await.unwrap();
    assert_eq!(status(&guarded(&before), "/admin/x", &key).await, 200);

    let other = with("another key");
    let found = mismatch(other.keyward.set_up().await);
    assert_eq!(found.kind(), KeyKind::LegacyHash);
    let uses: Vec<_> = found.uses().map(|used| (used.id.as_str(), used.tokens)).collect();
    assert_eq!(uses, [("legacy:hmac-sha256", 1)]);
    let text = found.to_string();
    assert!(text.contains("`hmac-sha256:old-:20-512`") && text.contains("accept_new_hash_key"), "{text}");
    assert!(!format!("{text} {found:?}").contains("another key"));
    assert_eq!(status(&guarded(&other), "/admin/x", &key).await, 503);
    let found = mismatch(other.keyward.owners().create(keyward::NewOwner::new("b@example.test")).await);
    assert_eq!(found.kind(), KeyKind::LegacyHash);

    let accepted = world(&store, &clock, |b| {
        b.legacy_keys(LegacyFormat::hmac_sha256("another key").unwrap().prefix("old-")).accept_new_hash_key()
    });
    accepted.keyward.set_up().await.unwrap();
    assert_eq!(status(&guarded(&accepted), "/admin/x", &key).await, 401);
}

/// Without the declaration adopted keys are rejected, and the log of the start says so.
#[tokio::test]
async fn startup_counts_adopted_keys_and_warns_without_their_format() {
    let (store, clock) = (MemoryStore::default(), Arc::new(ManualClock::default()));
    let before = world(&store, &clock, formats);
    let (ada, _) = reader(&before).await;
    let [(key, digest), ..] = keys(1);
    before.keyward.tokens().adopt(reading("old", ada), digest).await.unwrap();
    let (log, _guard) = keyward_test_support::log::capture();
    before.keyward.set_up().await.unwrap();
    let text = log.text();
    assert!(text.contains("legacy:sha256") && !text.contains("not configured"), "{text}");
    let after = world(&store, &clock, |b| b);
    after.keyward.set_up().await.unwrap();
    let text = log.text();
    assert!(text.contains("tokens use a hash key that is not configured: they are rejected"), "{text}");
    assert_eq!(status(&guarded(&after), "/admin/x", &key).await, 401);
}

#[tokio::test]
async fn ambiguous_formats_fail_the_build() {
    let build = |settings: &dyn Fn(Builder) -> Builder| {
        let hash_key = HashKey::parse(keyward::testing::HASH_KEY).unwrap();
        let builder = Keyward::builder(MemoryStore::default()).hash_key(hash_key).admin("/admin");
        match settings(builder).build() {
            Ok(_) => None,
            Err(BuildError::LegacyFormat(error)) => Some(error),
            Err(error) => panic!("{error}"),
        }
    };
    let of = |prefix: &str| LegacyFormat::sha256().prefix(prefix);
    let overlap = |one: &str, other: &str| Some(InvalidLegacyFormat::Overlap(one.into(), other.into()));
    assert_eq!(build(&formats), None);
    assert_eq!(build(&|b| b.legacy_keys(of(""))), Some(InvalidLegacyFormat::Shapeless));
    let again = build(&|b| formats(b).legacy_keys(of("old-").length(30)));
    assert_eq!(again, overlap("sha256:old-:30-30", "hmac-sha256:old-:20-512"));
    let strapi = || StrapiHashKey::new("saltysaltysaltysalty").unwrap();
    let like_strapi = build(&|b| b.legacy_keys(of("").length(256)).strapi_hash_key(strapi()));
    assert_eq!(like_strapi, overlap("sha256::256-256", "strapi::256-256"));
    for prefix in ["kw_admin_", "kw_content_x", "kw_invite_"] {
        let error = build(&|b| b.legacy_keys(of(prefix)));
        assert_eq!(error, Some(InvalidLegacyFormat::Prefix(prefix.to_owned())));
    }
    assert_eq!(build(&|b| b.legacy_keys(of("kw_"))), None, "keyward's own secrets are recognised first");
}
