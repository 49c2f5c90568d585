//! known-as-verified (`docs/invariants.md`): a secret that the cache knows is admitted only where its complete verification
//! would admit it.

use axum::body::Body;
use axum::routing::get;
use fastrand::Rng;
use http::header::AUTHORIZATION;
use http::{Request, StatusCode};
use keyward::admin::{Lifespan, NewAdoptedToken, NewSession, OwnerState, TokenUpdate};
use keyward::guard::{GateService, Limits, Reason};
use keyward::testing::{HASH_KEY, Key, SecretFormat, World};
use keyward::token::{ContentAccess, LegacyDigest, LegacyFormat, OsEntropy, RateLimit, StrapiHashKey, TokenKind};
use keyward::{
    Builder, Grant, GuardedRouter, HashKey, Keyward, NewAdminToken, NewContentToken, Permission, action, all_of,
    authenticated,
};
use sha2::{Digest, Sha256};
use std::time::Duration;
use tower::Service;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The number of tokens that are alive at a time.
const TOKENS: usize = 24;
/// The requests between two changes.
const REQUESTS: usize = 100;

const PATHS: [&str; 6] = ["/admin/x", "/admin/read", "/admin/write", "/admin/both", "/api/x", "/public"];

type App = GateService<axum::Router>;

/// The cases of one installation, whose people and tokens have a quota.
const CASES_OF_ONE: usize = 20_000;

fn seeds() -> std::ops::Range<u64> {
    20..20 + cases().div_ceil(CASES_OF_ONE) as u64
}

/// The number of compared requests; ten million take a minute with `--release`.
fn cases() -> usize {
    std::env::var("KEYWARD_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(20_000)
}

/// Accepts secrets of other systems.
fn accept_foreign(builder: Builder) -> Builder {
    let strapi = StrapiHashKey::new("saltysaltysaltysalty").unwrap();
    builder.strapi_hash_key(strapi).legacy_keys(LegacyFormat::sha256().length(64))
}

fn routes() -> GuardedRouter {
    GuardedRouter::new()
        .get("/admin/x", authenticated(), || async {})
        .get("/admin/read", action("x.read"), || async {})
        .get("/admin/write", action("y.write").whole(), || async {})
        .get("/admin/both", all_of([action("x.read"), action("y.write")]), || async {})
        .get("/api/x", authenticated(), || async {})
        .public("/public", get(|| async {}))
}

/// An installation on the same store and clock that caches nothing: it verifies and reads each secret.
fn without_cache(world: &World) -> App {
    let mut limits = Limits::default();
    (limits.cache_bytes, limits.absent_for) = (0, Duration::ZERO);
    let builder = Keyward::builder(world.store.clone()).clock(world.clock.clone());
    let builder = accept_foreign(builder.hash_key(HashKey::parse(HASH_KEY).unwrap()).limits(limits));
    builder.admin("/admin").content("/api").public("/public").build().unwrap().guard(routes())
}

async fn send(app: &mut App, path: &str, secret: &str) -> (StatusCode, Option<Reason>) {
    let request = Request::get(path).header(AUTHORIZATION, format!("Bearer {secret}")).body(Body::empty()).unwrap();
    let response = app.call(request).await.unwrap();
    (response.status(), response.extensions().get().copied())
}

/// A token of any kind and lifespan, with up to two limits.
async fn issue(world: &World, rng: &mut Rng) -> Key {
    let key = issue_without_limits(world, rng).await;
    for _ in 0..rng.u8(..3) {
        limit(world, &key, rng).await;
    }
    key
}

async fn issue_without_limits(world: &World, rng: &mut Rng) -> Key {
    let cast = world.editor().with("x.read").with("y.write");
    match rng.u8(..5) {
        0 => cast.issue().await,
        1 => cast.for_time(DAY * rng.u32(1..4)).issue().await,
        2 => {
            let mut key = cast.issue().await;
            let session = NewSession { owner: key.owner(), idle: DAY, lifespan: DAY };
            let opened = world.keyward.tokens().open_session(session).await.unwrap();
            (key.secret, key.id) = (opened.secret, opened.token.id);
            key
        }
        3 => adopt(world, cast.issue().await, rng).await,
        _ => world.content(ContentAccess::FullAccess).await,
    }
}

/// A key of another system, whose token has this token's owner or none.
async fn adopt(world: &World, key: Key, rng: &mut Rng) -> Key {
    // 64 random hex digits.
    let (_, secret) = HashKey::generate().unwrap();
    let (name, lifespan) = (format!("adopted {}", key.id), Lifespan::Of(DAY * rng.u32(1..4)));
    let (new, owner): (NewAdoptedToken, _) = match rng.bool() {
        true => {
            let grants = ["x.read", "y.write"].map(Grant::new);
            (NewAdminToken::new(name, key.owner()).grants(grants).lifespan(lifespan).into(), key.owner)
        }
        false => (NewContentToken::new(name, ContentAccess::FullAccess).lifespan(lifespan).into(), None),
    };
    let digest = LegacyDigest::sha256(hex::encode(Sha256::digest(secret.expose())));
    let id = world.keyward.tokens().adopt(new, digest).await.unwrap().id;
    Key { secret, id, owner }
}

/// Changes something that decides over the admission of a token; returns its new secret if it has one.
async fn change(world: &World, key: &Key, rng: &mut Rng) -> Option<Key> {
    let (tokens, owners) = (world.keyward.tokens(), world.keyward.owners());
    match (rng.u8(..10), key.owner) {
        // A change of a token that is gone has no effect.
        (0 | 1, _) => _ = tokens.revoke(key.id).await,
        (2 | 3, _) => {
            let regenerated = tokens.regenerate(key.id).await.ok()?;
            return Some(Key { secret: regenerated.secret, ..key.clone() });
        }
        (4, Some((owner, _))) => _ = owners.set_state(owner, OwnerState::Deactivated).await,
        (5, Some((owner, _))) => _ = owners.set_state(owner, OwnerState::Active).await,
        (6, Some((owner, _))) if rng.u8(..4) == 0 => _ = owners.delete(owner).await,
        (7 | 8, Some((_, role))) => {
            let remaining = ["x.read", "y.write"].into_iter().filter(|_| rng.bool()).map(Permission::new);
            _ = world.keyward.roles().set_permissions(role, remaining.collect()).await;
        }
        (9, _) if rng.bool() => limit(world, key, rng).await,
        _ => world.clock.advance(DAY / 4),
    }
    None
}

/// Sets or removes a limit of a token. No rate is reached, because the installations count apart.
async fn limit(world: &World, key: &Key, rng: &mut Rng) {
    let mut update = TokenUpdate::default();
    match rng.u8(..4) {
        0 => update.enabled = Some(rng.bool()),
        // These requests have no address, so they are in no network.
        1 => update.networks = Some(vec!["192.0.2.0/24".parse().unwrap()]),
        2 => update.networks = Some(Vec::new()),
        _ => update.rate = Some(Some(RateLimit::new(1_000_000, DAY).unwrap())),
    }
    // Sessions have none.
    _ = world.keyward.tokens().update(key.id, update).await;
}

/// A secret as a client may send it: as issued, relabelled, or with a changed character.
fn disguise(secret: &str, rng: &mut Rng) -> String {
    match rng.u8(..8) {
        0 => {
            let kind = rng.choice(TokenKind::ALL).unwrap().as_str();
            let rest = secret.rsplit('_').next().unwrap();
            format!("kw_{kind}_{rest}")
        }
        1 => {
            let mut bytes = secret.as_bytes().to_vec();
            let at = rng.usize(..bytes.len());
            bytes[at] = *rng.choice(b"aA0_zZ9").unwrap();
            String::from_utf8(bytes).unwrap()
        }
        2 => secret[..rng.usize(1..secret.len())].to_owned(),
        _ => secret.to_owned(),
    }
}

#[tokio::test]
async fn known_secrets_are_admitted_where_verified_ones_are() {
    let mut compared = Compared::default();
    for seed in seeds() {
        compare(World::with(accept_foreign), seed, false, &mut compared).await;
    }
    compared.assert_admitted();
}

#[tokio::test]
async fn warmed_tokens_are_admitted_where_looked_up_ones_are() {
    let mut compared = Compared::default();
    for seed in seeds() {
        let world = World::with(|builder| accept_foreign(builder).store_is_exclusive());
        compare(world, seed, true, &mut compared).await;
    }
    compared.assert_admitted();
    let Compared { sent, warmed, .. } = compared;
    assert!(warmed > sent / 100, "{warmed} of {sent} were warmed: too few to compare");
}

/// Replaces the installation by a new one on the same store, which warms up.
async fn restart(world: &mut World) {
    world.keyward.shutdown().await;
    let builder = Keyward::builder(world.store.clone()).clock(world.clock.clone());
    let builder = accept_foreign(builder.hash_key(HashKey::parse(HASH_KEY).unwrap()));
    let builder = builder.store_is_exclusive().warm_up(100).admin("/admin").content("/api").public("/public");
    world.keyward = builder.build().unwrap();
    let mut turns = 0;
    while world.keyward.health().warmed_tokens == 0 && turns < 100 {
        tokio::task::yield_now().await;
        turns += 1;
    }
}

/// The number of compared requests.
#[derive(Default)]
struct Compared {
    sent: usize,
    admitted: usize,
    /// Those that met a warmed token first.
    warmed: usize,
}

impl Compared {
    #[track_caller]
    fn assert_admitted(&self) {
        let Self { sent, admitted, .. } = self;
        assert!(*admitted > sent / 20, "{admitted} of {sent} admitted: too few to compare");
    }
}

/// Compares the installation with one that caches nothing, over random changes and requests.
async fn compare(mut world: World, seed: u64, restarts: bool, compared: &mut Compared) {
    let mut rng = Rng::with_seed(seed);
    let (mut known, mut verified) = (world.keyward.guard(routes()), without_cache(&world));
    let (mut keys, mut secrets) = (Vec::<Key>::new(), Vec::<String>::new());
    let end = compared.sent + cases().min(CASES_OF_ONE);
    while compared.sent < end {
        if keys.len() < TOKENS {
            keys.push(issue(&world, &mut rng).await);
            secrets.push(keys.last().unwrap().secret.expose().to_owned());
        } else {
            let at = rng.usize(..keys.len());
            match change(&world, &keys[at].clone(), &mut rng).await {
                Some(key) => {
                    secrets.push(key.secret.expose().to_owned());
                    keys[at] = key;
                }
                None if rng.u8(..4) == 0 => _ = keys.swap_remove(at),
                None => {}
            }
        }
        if restarts && rng.u8(..4) == 0 {
            compared.warmed += world.keyward.health().warmed_hits as usize;
            restart(&mut world).await;
            known = world.keyward.guard(routes());
        }
        // Secrets that ended long ago are sent too, but not all of them.
        if secrets.len() > 8 * TOKENS {
            secrets.swap_remove(rng.usize(..secrets.len()));
        }
        for _ in 0..REQUESTS {
            let secret = disguise(rng.choice(&secrets).unwrap(), &mut rng);
            let path = rng.choice(PATHS).unwrap();
            let (by_known, by_verified) =
                (send(&mut known, path, &secret).await, send(&mut verified, path, &secret).await);
            assert_eq!(by_known, by_verified, "request {} to {path}, seed {seed}", compared.sent);
            compared.sent += 1;
            compared.admitted += usize::from(path != "/public" && by_known.0 == StatusCode::OK);
        }
    }
}

#[tokio::test]
async fn made_up_secrets_do_not_grow_the_cache() {
    let world = World::with(accept_foreign);
    let mut app = world.keyward.guard(routes());
    let key = world.editor().with("x.read").issue().await;
    assert_eq!(send(&mut app, "/admin/x", key.secret.expose()).await.0, StatusCode::OK);
    let before = world.keyward.health();
    let other =
        SecretFormat::new(&Default::default(), HashKey::parse("another key than the world's, 32 bytes").unwrap());
    for n in 0..2_000 {
        let made_up = other.issue(TokenKind::Admin, &OsEntropy).unwrap().secret.expose().to_owned();
        assert_eq!(send(&mut app, "/admin/x", &made_up).await.0, StatusCode::UNAUTHORIZED);
        assert_eq!(send(&mut app, "/admin/x", &format!("{n:0256x}")).await.0, StatusCode::UNAUTHORIZED);
        assert_eq!(send(&mut app, "/admin/x", &format!("{n:064x}")).await.0, StatusCode::UNAUTHORIZED);
    }
    let after = world.keyward.health();
    assert_eq!((after.cache_entries, after.cache_bytes), (before.cache_entries, before.cache_bytes));
}
