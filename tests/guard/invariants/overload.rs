//! bounded-by-strangers (`docs/invariants.md`): a client that floods the gate with tokens that only the store can reject delays its
//! own requests and no others.

use crate::invariants::shim::{self, Shim};
use axum::routing::get;
use http::header::AUTHORIZATION;
use keyward::guard::{FailureBudget, InvalidCredential, Limits, ProxyHeader, Reason, Unavailable};
use keyward::testing::SecretFormat;
use keyward::testing::{Answer, App, HASH_KEY, SeededEntropy, TestRequest, World};
use keyward::token::{ContentAccess, LegacyDigest, LegacyFormat, Secret, StrapiHashKey, TokenKind};
use keyward::{Builder, GuardedRouter, HashKey, NewAdminToken, authenticated};
use sha2::{Digest, Sha256};
use std::future::IntoFuture;
use std::time::Duration;
use tokio::task::JoinHandle;

const WINDOW: Duration = Duration::from_secs(180);
const UNKNOWN: Reason = Reason::Invalid(InvalidCredential::Unknown);
const OVERLOADED: Reason = Reason::Unavailable(Unavailable::Overloaded);
const FLOOD: [u8; 4] = [203, 0, 113, 1];
const OTHER: [u8; 4] = [203, 0, 113, 2];

/// Returns a world whose look-ups wait up to 250 ms for a free read; a read itself has no time limit.
fn world(settings: impl FnOnce(Builder) -> Builder) -> (World<Shim>, Shim, App) {
    let mut limits = Limits::default();
    (limits.lookup, limits.request) = (Duration::from_secs(60), Duration::from_secs(60));
    let (world, shim) = shim::world(|b| settings(b.limits(limits)));
    let ok = || get(|| async {});
    let router = GuardedRouter::new().route("/admin/x", authenticated(), ok());
    let app = world.guard(router.route("/api/x", authenticated(), ok()));
    (world, shim, app)
}

fn with_budget(failures: u32) -> impl FnOnce(Builder) -> Builder {
    move |b| b.failure_budget(FailureBudget::new(failures, WINDOW))
}

/// Secrets with a valid check that were never issued, as an attacker with a stolen hash key makes them.
fn made_up() -> impl Iterator<Item = Secret> {
    let format = SecretFormat::new(&Default::default(), HashKey::parse(HASH_KEY).unwrap());
    let entropy = SeededEntropy::new(99);
    std::iter::repeat_with(move || format.issue(TokenKind::Admin, &entropy).unwrap().secret)
}

fn send(request: TestRequest) -> JoinHandle<Answer> {
    tokio::spawn(request.into_future())
}

/// Waits for a read that stops. Time is paused, so a timeout takes no real time.
async fn a_read(stopped: &mut tokio::sync::mpsc::UnboundedReceiver<()>) {
    tokio::time::timeout(Duration::from_secs(30), stopped.recv()).await.expect("a read").unwrap();
}

/// Sends failing requests until the budget is spent.
async fn spend(app: &App, from: [u8; 4], secrets: &mut impl Iterator<Item = Secret>, failures: usize) {
    for secret in secrets.take(failures + 1) {
        app.get("/admin/x").peer(from).bearer(&secret).await.assert_rejected(UNKNOWN);
    }
}

fn retry_after(answer: &Answer) -> &str {
    answer.headers.get("retry-after").map_or("", |v| v.to_str().unwrap())
}

#[tokio::test(start_paused = true)]
async fn unknown_tokens_do_not_delay_known_ones() {
    let (world, shim, app) = world(|b| b);
    let key = world.editor().issue().await;
    app.get("/admin/x").bearer(&key.secret).await.assert_ok();
    // The cached entries are stale and must be read again.
    world.keyward.roles().set_permissions(key.role(), vec![keyward::Permission::new("x")]).await.unwrap();
    let before = shim.reads();
    let mut stopped = shim.pause();
    let flood: Vec<_> = made_up().take(100).map(|secret| send(app.get("/admin/x").bearer(&secret))).collect();
    for _ in 0..12 {
        a_read(&mut stopped).await;
    }
    let known = send(app.get("/admin/x").bearer(&key.secret));
    a_read(&mut stopped).await;
    assert_eq!(shim.reads() - before, 13);
    // Time passes while all requests wait.
    tokio::time::sleep(Duration::from_millis(251)).await;
    assert_eq!(shim.reads() - before, 13, "requests that waited in vain made no read");
    shim.flow();
    (0..13).for_each(|_| shim.resume());
    known.await.unwrap().assert_ok();
    let mut waited_in_vain = 0;
    for made_up in flood {
        let answer = made_up.await.unwrap();
        if answer.reason == Some(OVERLOADED) {
            answer.assert_status(503);
            assert_eq!(retry_after(&answer), "1");
            waited_in_vain += 1;
        } else {
            answer.assert_rejected(UNKNOWN).assert_status(401);
        }
    }
    assert_eq!(waited_in_vain, 88);
}

#[tokio::test]
async fn spent_budget_is_429_and_a_valid_token_is_accepted() {
    let (world, _, app) = world(with_budget(30));
    let [used, new] = [world.super_admin().issue().await.secret, world.super_admin().issue().await.secret];
    app.get("/admin/x").bearer(&used).await.assert_ok();
    let mut secrets = made_up();
    for secret in secrets.by_ref().take(30) {
        app.get("/admin/x").peer(FLOOD).bearer(&secret).await.assert_rejected(UNKNOWN).assert_status(401);
    }
    let mut next = async |from: [u8; 4]| {
        let answer = app.get("/admin/x").peer(from).bearer(&secrets.next().unwrap()).await;
        answer.assert_rejected(UNKNOWN);
        (answer.status.as_u16(), retry_after(&answer).to_owned())
    };
    world.clock.advance(Duration::from_secs(100));
    assert_eq!(next(FLOOD).await, (429, "80".into()));
    assert_eq!(next(OTHER).await, (401, String::new()));
    for secret in [&new, &used] {
        app.get("/admin/x").peer(FLOOD).bearer(secret).await.assert_ok();
    }
    app.get("/admin/x").peer(FLOOD).await.assert_rejected(Reason::NoCredential).assert_status(401);
    world.clock.advance(Duration::from_secs(80));
    assert_eq!(next(FLOOD).await.0, 401);
}

#[tokio::test]
async fn rejections_without_a_read_do_not_count() {
    let (_, shim, app) = world(with_budget(5));
    let mut secrets = made_up();
    let unknown = secrets.next().unwrap();
    for _ in 0..50 {
        app.get("/admin/x").peer(FLOOD).bearer(&unknown).await.assert_rejected(UNKNOWN).assert_status(401);
        let made_up = unknown.expose().replace(|c: char| c.is_ascii_uppercase(), "x");
        let not_genuine = app.get("/admin/x").peer(FLOOD).header(AUTHORIZATION, &format!("Bearer {made_up}")).await;
        not_genuine.assert_rejected(Reason::Invalid(InvalidCredential::NotGenuine)).assert_status(401);
        app.get("/api/x").peer(FLOOD).bearer(&unknown).await.assert_status(401);
    }
    assert_eq!(shim.reads(), 1);
    spend(&app, FLOOD, &mut secrets, 4).await;
    assert_eq!(shim.reads(), 6);
    app.get("/admin/x").peer(FLOOD).bearer(&unknown).await.assert_status(429);
}

/// A made-up key of a legacy format counts, and keys that were adopted are admitted all the same.
#[tokio::test]
async fn made_up_legacy_keys_spend_the_budget() {
    let (world, shim, app) = world(|b| with_budget(5)(b.legacy_keys(LegacyFormat::sha256().prefix("acme_"))));
    let adopted = "acme_0123456789abcdef";
    let digest = LegacyDigest::sha256(hex::encode(Sha256::digest(adopted)));
    let owner = world.super_admin().issue().await.owner();
    world.keyward.tokens().adopt(NewAdminToken::new("adopted", owner), digest).await.unwrap();
    let send = |key: String| app.get("/admin/x").peer(FLOOD).header(AUTHORIZATION, &format!("Bearer {key}"));
    for n in 0..=5 {
        let status = if n < 5 { 401 } else { 429 };
        send(format!("acme_{n:016}")).await.assert_status(status);
    }
    assert_eq!(shim.reads(), 6);
    send(format!("acme_{:016}", 0)).await.assert_status(429);
    assert_eq!(shim.reads(), 6, "an absent key is cached");
    send(adopted.to_owned()).await.assert_ok();
}

#[tokio::test]
async fn store_errors_do_not_count() {
    let (_, shim, app) = world(with_budget(0));
    shim.fail(true);
    let mut secrets = made_up();
    for secret in secrets.by_ref().take(5) {
        app.get("/admin/x").peer(FLOOD).bearer(&secret).await.assert_status(503);
    }
    app.get("/admin/x").peer(FLOOD).header(AUTHORIZATION, "Bearer nope").await.assert_status(401);
}

/// rejected-alike (`docs/invariants.md`), over the budget.
#[tokio::test]
async fn invalid_credentials_over_the_budget_answer_alike() {
    let (strapi, legacy) =
        (StrapiHashKey::new("saltysaltysaltysalty").unwrap(), LegacyFormat::sha256().prefix("acme_"));
    let (world, _, app) = world(|b| with_budget(5)(b.strapi_hash_key(strapi).legacy_keys(legacy)));
    let mut secrets = made_up();
    let gone = world.super_admin().issue().await;
    world.keyward.tokens().revoke(gone.id).await.unwrap();
    let wrong_kind = world.content(ContentAccess::FullAccess).await;
    spend(&app, FLOOD, &mut secrets, 5).await;
    let not_genuine = gone.secret.expose().replace(|c: char| c.is_ascii_uppercase(), "x");
    let credentials = [
        format!("Bearer {}", secrets.next().unwrap().expose()),
        format!("Bearer {}", gone.secret.expose()),
        format!("Bearer {}", gone.secret.expose()),
        format!("Bearer {not_genuine}"),
        format!("Bearer {}", "0123456789abcdef".repeat(16)),
        "Bearer acme_0123456789abcdef".into(),
        format!("Bearer {}", wrong_kind.secret.expose()),
        "Bearer nope".into(),
        "Basic dXNlcjpwYXNz".into(),
    ];
    let mut answers = Vec::new();
    for credential in &credentials {
        answers.push(app.get("/admin/x").peer(FLOOD).header(AUTHORIZATION, credential).await);
    }
    for answer in &answers {
        assert_eq!(answer.status, 429, "{answer:?}");
        assert_eq!((&answer.headers, &answer.body), (&answers[0].headers, &answers[0].body));
    }
    assert_eq!(answers[0].headers["cache-control"], "no-store");
    let message = "Too many invalid credentials, try again later";
    let (code, detail) = (&answers[0].json()["code"], &answers[0].json()["detail"]);
    assert_eq!((code.as_str(), detail.as_str()), (Some("too_many_requests"), Some(message)));
}

#[tokio::test(start_paused = true)]
async fn flood_over_the_budget_takes_no_reads_from_others() {
    let (world, shim, app) = world(with_budget(5));
    let [mine, shared] = [world.super_admin().issue().await.secret, world.super_admin().issue().await.secret];
    let mut secrets = made_up();
    spend(&app, FLOOD, &mut secrets, 5).await;
    let before = shim.reads();
    let mut stopped = shim.pause();
    let flood: Vec<_> = secrets.take(100).map(|s| send(app.get("/admin/x").peer(FLOOD).bearer(&s))).collect();
    a_read(&mut stopped).await;
    // The token is valid and waits in the queue of its address.
    let waits = send(app.get("/admin/x").peer(FLOOD).bearer(&shared));
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(shim.reads() - before, 1, "one read at a time");
    // The same token from another address does not wait, nor does another token.
    let others = [&shared, &mine].map(|secret| send(app.get("/admin/x").peer(OTHER).bearer(secret)));
    for _ in &others {
        a_read(&mut stopped).await;
    }
    assert_eq!(shim.reads() - before, 3);
    tokio::time::sleep(Duration::from_millis(251)).await;
    assert_eq!(shim.reads() - before, 3);
    shim.flow();
    (0..3).for_each(|_| shim.resume());
    for other in others {
        other.await.unwrap().assert_ok();
    }
    let waited = waits.await.unwrap();
    waited.assert_rejected(OVERLOADED).assert_status(503);
    assert_eq!(retry_after(&waited), "1", "not rejected: the client may retry");
    app.get("/admin/x").peer(FLOOD).bearer(&shared).await.assert_ok();
    let mut statuses = Vec::new();
    for request in flood {
        statuses.push(request.await.unwrap().status.as_u16());
    }
    statuses.sort_unstable();
    assert_eq!((statuses[0], &statuses[1..]), (429, &[503; 99][..]));
}

#[tokio::test(start_paused = true)]
async fn valid_token_over_the_budget_waits_its_turn() {
    let (world, shim, app) = world(with_budget(5));
    let valid = world.super_admin().issue().await.secret;
    let mut secrets = made_up();
    spend(&app, FLOOD, &mut secrets, 5).await;
    let mut stopped = shim.pause();
    let flood: Vec<_> = secrets.take(20).map(|s| send(app.get("/admin/x").peer(FLOOD).bearer(&s))).collect();
    a_read(&mut stopped).await;
    let valid = send(app.get("/admin/x").peer(FLOOD).bearer(&valid));
    tokio::time::sleep(Duration::from_millis(1)).await;
    shim.flow();
    shim.resume();
    valid.await.unwrap().assert_ok();
    for request in flood {
        request.await.unwrap().assert_rejected(UNKNOWN).assert_status(429);
    }
}

#[tokio::test(start_paused = true)]
async fn cached_token_over_the_budget_does_not_wait() {
    let (world, shim, app) = world(with_budget(5));
    let key = world.editor().issue().await;
    app.get("/admin/x").peer(FLOOD).bearer(&key.secret).await.assert_ok();
    world.keyward.roles().set_permissions(key.role(), vec![keyward::Permission::new("x")]).await.unwrap();
    let mut secrets = made_up();
    spend(&app, FLOOD, &mut secrets, 5).await;
    let mut stopped = shim.pause();
    let flood: Vec<_> = secrets.take(20).map(|s| send(app.get("/admin/x").peer(FLOOD).bearer(&s))).collect();
    a_read(&mut stopped).await;
    let known = send(app.get("/admin/x").peer(FLOOD).bearer(&key.secret));
    a_read(&mut stopped).await;
    shim.flow();
    (0..2).for_each(|_| shim.resume());
    known.await.unwrap().assert_ok();
    for request in flood {
        request.await.unwrap().assert_rejected(UNKNOWN);
    }
}

#[tokio::test]
async fn budget_is_per_client_behind_a_trusted_proxy() {
    let forwarded_for = || http::HeaderName::from_static("x-forwarded-for");
    let proxies = ["10.0.0.0/8"];
    let (world, shim, app) = world(|b| with_budget(3)(b.trusted_proxies(proxies, ProxyHeader::XForwardedFor)));
    let mut secrets = made_up();
    let mut failing = async |peer: [u8; 4], header: &str| {
        let request = app.get("/admin/x").peer(peer).header(forwarded_for(), header);
        request.bearer(&secrets.next().unwrap()).await.status.as_u16()
    };
    for n in 0..4 {
        failing([10, 0, 0, n], &format!("192.0.2.{n}, 203.0.113.1")).await;
    }
    assert_eq!(
        failing([10, 0, 0, 9], "203.0.113.1").await,
        429,
        "a forged header does not change the client's address"
    );
    assert_eq!(failing([10, 0, 0, 9], "203.0.113.2").await, 401);
    for n in 0..4 {
        failing([198, 51, 100, 7], &format!("192.0.2.{n}")).await;
    }
    assert_eq!(failing([198, 51, 100, 7], "192.0.2.99").await, 429, "a header from an untrusted address is ignored");
    assert_eq!(failing([10, 0, 0, 9], "192.0.2.99").await, 401);

    let key = world.super_admin().issue().await;
    let used = app.get("/admin/x").peer([10, 0, 0, 1]).header(forwarded_for(), "203.0.113.5");
    used.bearer(&key.secret).await.assert_ok();
    world.keyward.flush().await;
    assert_eq!(shim.inner.last_use(key.id).unwrap().1, Some([203, 0, 113, 5].into()));
}

#[tokio::test]
async fn invalid_proxy_fails_the_build_and_is_named() {
    let builder =
        keyward::Keyward::builder(keyward::MemoryStore::default()).hash_key(HashKey::parse(HASH_KEY).unwrap());
    let error = builder.trusted_proxies(["10.0.0.0/8", "10.0.0/8"], ProxyHeader::Forwarded).build().unwrap_err();
    assert!(error.to_string().contains("\"10.0.0/8\""), "{error}");
}
