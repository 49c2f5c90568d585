//! The warm-up (`Builder::warm_up`): known-as-verified, next-request and bounded-by-strangers (`docs/invariants.md`) hold for
//! a node that has just started.

use crate::invariants::shim::{self, Shim};
use axum::routing::get;
use http::header::AUTHORIZATION;
use keyward::admin::OwnerState;
use keyward::guard::{InvalidCredential, Reason};
use keyward::store::{Store, Use};
use keyward::testing::{Answer, App, Key, SeededEntropy, World};
use keyward::time::Clock;
use keyward::token::{ContentAccess, TokenId};
use keyward::{Builder, GuardedRouter, Permission, action, authenticated};
use keyward_test_support::log;
use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

const UNKNOWN: Reason = Reason::Invalid(InvalidCredential::Unknown);

/// A node on the store of another one, which has ended. It warms up.
struct Restarted {
    world: World<Shim>,
    shim: Shim,
    app: App,
}

/// Starts a node after these tokens were used.
async fn restart(before: &World<Shim>, used: &[TokenId]) -> Restarted {
    let at = before.clock.now();
    let uses: Vec<_> = used
        .iter()
        .map(|token| Use {
            token: *token,
            digest: keyward::store::Digest::Native([0; 27]),
            at,
            address: None,
            tool: None,
        })
        .collect();
    before.store.note_uses(&uses).await.unwrap();
    let shim = before.store.clone();
    // Secrets of its own, not those of the other node once more.
    let entropy = Arc::new(SeededEntropy::new(8));
    let settings = |b: Builder| b.entropy(entropy).store_is_exclusive().warm_up(1000);
    let world = World::on(shim.clone(), before.clock.clone(), settings);
    let router = GuardedRouter::new()
        .route("/admin/x", authenticated(), get(|| async {}))
        .route("/admin/read", action("x.read"), get(|| async {}))
        .route("/api/x", authenticated(), get(|| async {}));
    let app = world.guard(router);
    Restarted { world, shim, app }
}

impl Restarted {
    /// Waits until this many tokens were cached by the warm-up.
    async fn warmed(&self, tokens: u64) {
        until(|| self.world.keyward.health().warmed_tokens >= tokens).await;
        assert_eq!(self.world.keyward.health().warmed_tokens, tokens);
    }

    async fn send(&self, path: &str, key: &Key) -> Answer {
        self.app.get(path).bearer(&key.secret).await
    }
}

/// Lets other tasks run until the condition holds.
async fn until(condition: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if condition() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the condition does not become true");
}

#[tokio::test]
async fn warmed_token_is_admitted_without_a_look_up() {
    let (before, _) = shim::world(|b| b);
    let (admin, content) = (before.editor().issue().await, before.content(ContentAccess::FullAccess).await);
    let (session, unused) = (before.editor().sign_in().await, before.editor().issue().await);
    let node = restart(&before, &[admin.id, content.id, session.id]).await;
    node.warmed(2).await;
    // Where a verified secret is rejected, the warmed entry stays unused.
    let relabelled = admin.secret.expose().replace("kw_admin_", "kw_content_");
    let relabelled = node.app.get("/api/x").header(AUTHORIZATION, &format!("Bearer {relabelled}")).await;
    relabelled.assert_status(401);
    node.send("/admin/x", &content).await.assert_status(401);
    node.send("/api/x", &admin).await.assert_status(401);
    assert_eq!(node.world.keyward.health().warmed_hits, 0);
    for _ in 0..2 {
        node.send("/admin/x", &admin).await.assert_ok();
        node.send("/api/x", &content).await.assert_ok();
        node.send("/admin/x", &content).await.assert_status(401);
    }
    let health = node.world.keyward.health();
    assert_eq!((node.shim.reads(), health.cache_misses), (0, 0));
    assert_eq!((health.warmed_hits, health.cache_entries), (2, 2), "each entry moved to its secret's key");
    for looked_up in [&session, &unused] {
        node.send("/admin/x", looked_up).await.assert_ok();
    }
    assert_eq!(node.shim.reads(), 2);
}

#[tokio::test]
async fn warmed_token_is_judged_by_changes_during_and_after_the_warm_up() {
    let (before, shim) = shim::world(|b| b);
    let key = async || before.editor().with("x.read").issue().await;
    let [revoked, regenerated, clamped, deactivated, unaffected, later] =
        [key().await, key().await, key().await, key().await, key().await, key().await];
    let all = [&revoked, &regenerated, &clamped, &deactivated, &unaffected, &later];
    let mut stopped = shim.pause_pages();
    let node = restart(&before, &all.map(|key| key.id)).await;
    // The page has been read, and is not cached yet.
    stopped.recv().await.unwrap();
    let (tokens, owners, roles) =
        (node.world.keyward.tokens(), node.world.keyward.owners(), node.world.keyward.roles());
    tokens.revoke(revoked.id).await.unwrap();
    let renewed = tokens.regenerate(regenerated.id).await.unwrap();
    roles.set_permissions(clamped.role(), Vec::<Permission>::new()).await.unwrap();
    owners.set_state(deactivated.owner(), OwnerState::Deactivated).await.unwrap();
    shim.resume_page();
    node.warmed(6).await;
    node.send("/admin/read", &unaffected).await.assert_ok();
    node.send("/admin/read", &later).await.assert_ok();
    assert_eq!(shim.reads(), 0);
    node.send("/admin/read", &revoked).await.assert_rejected(UNKNOWN);
    node.send("/admin/read", &regenerated).await.assert_rejected(UNKNOWN);
    node.app.get("/admin/read").bearer(&renewed.secret).await.assert_ok();
    node.send("/admin/read", &clamped).await.assert_status(403);
    node.send("/admin/read", &deactivated).await.assert_rejected(Reason::OwnerInactive);
    tokens.revoke(later.id).await.unwrap();
    node.send("/admin/read", &later).await.assert_rejected(UNKNOWN);
    tokens.revoke(unaffected.id).await.unwrap();
    node.send("/admin/read", &unaffected).await.assert_rejected(UNKNOWN);
}

#[tokio::test]
async fn warmed_token_expires_on_time() {
    let (before, _) = shim::world(|b| b);
    let day = Duration::from_secs(24 * 60 * 60);
    let [never_presented, presented] =
        [before.editor().for_time(day).issue().await, before.editor().for_time(day).issue().await];
    let node = restart(&before, &[never_presented.id, presented.id]).await;
    node.warmed(2).await;
    node.world.clock.advance(day - Duration::from_millis(1));
    node.send("/admin/x", &presented).await.assert_ok();
    node.world.clock.advance(Duration::from_millis(1));
    for key in [&presented, &never_presented] {
        node.send("/admin/x", key).await.assert_rejected(Reason::Expired);
    }
    assert_eq!(node.shim.reads(), 0);
}

#[tokio::test]
async fn token_that_was_looked_up_meanwhile_is_cached_once() {
    let (before, shim) = shim::world(|b| b);
    let [looked_up, other] = [before.editor().issue().await, before.editor().issue().await];
    let mut stopped = shim.pause_pages();
    let node = restart(&before, &[looked_up.id, other.id]).await;
    stopped.recv().await.unwrap();
    assert!(node.world.keyward.health().warming_up);
    // The warm-up holds no permit while its page is read.
    node.send("/admin/x", &looked_up).await.assert_ok();
    shim.resume_page();
    node.warmed(1).await;
    until(|| !node.world.keyward.health().warming_up).await;
    assert_eq!(node.world.keyward.health().cache_entries, 2);
    assert_eq!(shim.reads(), 1);
}

#[tokio::test]
async fn failed_warm_up_does_no_harm() {
    let (log, _guard) = log::capture();
    let (before, shim) = shim::world(|b| b);
    let key = before.editor().issue().await;
    shim.fail_pages();
    let node = restart(&before, &[key.id]).await;
    until(|| log.lines_with("the warm-up ends") == 1).await;
    node.send("/admin/x", &key).await.assert_ok();
    assert_eq!((node.world.keyward.health().warmed_tokens, shim.reads()), (0, 1));
}

/// All tokens are presented at once to a node that has cached none, and whose warm-up has to wait for its page.
#[tokio::test(start_paused = true)]
async fn herd_at_a_start_is_within_the_limits_and_admitted() {
    let (before, shim) = shim::world(|b| b);
    let mut keys = Vec::new();
    for _ in 0..200 {
        keys.push(before.content(ContentAccess::FullAccess).await);
    }
    let (mut pages, mut reads) = (shim.pause_pages(), shim.pause());
    let node = restart(&before, &keys.iter().map(|key| key.id).collect::<Vec<_>>()).await;
    pages.recv().await.unwrap();
    let requests: Vec<_> =
        keys.iter().map(|key| tokio::spawn(node.app.get("/api/x").bearer(&key.secret).into_future())).collect();
    for _ in 0..12 {
        reads.recv().await.unwrap();
    }
    for ended in 0..200 {
        // All tasks have come to rest: time passes only then.
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(shim.reads(), (12 + ended).min(200), "{ended} have ended");
        shim.resume();
    }
    for request in requests {
        request.await.unwrap().assert_ok();
    }
    assert_eq!(shim.reads(), 200, "one for each token");
}
