//! expiry-on-time (`docs/invariants.md`): a token expires on time with a warm cache and a silent store. A session whose cached idle
//! deadline is reached is reloaded, not rejected.

use crate::invariants::shim;
use axum::routing::get;
use keyward::admin::OwnerState;
use keyward::guard::Reason;
use keyward::store::{Store, Use};
use keyward::time::{Clock, Timestamp};
use keyward::{AdminAuth, GuardedRouter, authenticated};
use std::future::IntoFuture;
use std::time::Duration;
use tokio::time::timeout;

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn cached_token_expires_on_time_despite_store_and_wall_clock() {
    let (world, shim) = shim::world(|b| b);
    let app = world.guard(GuardedRouter::new().route("/admin/x", authenticated(), get(|| async {})));
    let key = world.super_admin().for_time(7 * 24 * 60 * MINUTE).issue().await;
    let status = async || app.get("/admin/x").bearer(&key.secret).await;
    status().await.assert_ok();
    shim.hang(true);
    world.clock.advance(7 * 24 * 60 * MINUTE - Duration::from_millis(1));
    status().await.assert_ok();
    let ten_years = 10 * 365 * 24 * 60 * 60 * 1000;
    world.clock.set_wall_clock(Timestamp(world.clock.now().0 - ten_years));
    world.clock.advance(Duration::from_millis(1));
    status().await.assert_rejected(Reason::Expired).assert_status(401);
    assert_eq!(status().await.json()["detail"], "Token expired");
    assert_eq!(shim.reads(), 1);
}

#[tokio::test]
async fn wall_clock_jump_does_not_expire_a_cached_token_early() {
    let (world, _) = shim::world(|b| b);
    let app = world.guard(GuardedRouter::new().route("/admin/x", authenticated(), get(|| async {})));
    let key = world.super_admin().for_time(60 * MINUTE).issue().await;
    app.get("/admin/x").bearer(&key.secret).await.assert_ok();
    world.clock.set_wall_clock(world.clock.now().plus(1_000_000 * MINUTE));
    app.get("/admin/x").bearer(&key.secret).await.assert_ok();
}

#[tokio::test]
async fn idle_session_is_reloaded_before_it_is_rejected() {
    let (world, shim) = shim::world(|b| b);
    let app = world.guard(GuardedRouter::new().route("/admin/x", authenticated(), get(|| async {})));
    let session = world.super_admin().sign_in().await;
    let request = async || app.get("/admin/x").bearer(&session.secret).await;
    request().await.assert_ok();
    world.keyward.flush().await;

    // Another node recorded a use in the meantime.
    world.clock.advance(20 * MINUTE);
    let elsewhere = Use {
        token: session.id,
        digest: keyward::store::Digest::Native([0; 27]),
        at: world.clock.now(),
        address: None,
        tool: None,
    };
    shim.note_uses(&[elsewhere]).await.unwrap();
    world.clock.advance(15 * MINUTE);
    request().await.assert_ok();
    assert_eq!(shim.reads(), 2, "the session was reloaded at its idle deadline");

    // This node recorded a use and has not written it yet.
    world.clock.advance(25 * MINUTE);
    request().await.assert_ok();
    world.clock.advance(6 * MINUTE);
    request().await.assert_ok();

    // No node recorded a use.
    world.clock.advance(31 * MINUTE);
    request().await.assert_rejected(Reason::Expired);
}

#[tokio::test]
async fn session_in_use_ends_at_its_lifespan() {
    let (world, _) = shim::world(|b| b);
    let app = world.guard(GuardedRouter::new().route("/admin/x", authenticated(), get(|| async {})));
    let session = world.super_admin().sign_in().await;
    for _ in 0..96 {
        app.get("/admin/x").bearer(&session.secret).await.assert_ok();
        world.clock.advance(15 * MINUTE);
    }
    app.get("/admin/x").bearer(&session.secret).await.assert_rejected(Reason::Expired);
}

#[tokio::test]
async fn expiry_is_reported_before_an_inactive_owner() {
    let (world, _) = shim::world(|b| b);
    let app = world.guard(GuardedRouter::new().route("/admin/x", authenticated(), get(|| async {})));
    let key = world.editor().for_time(60 * MINUTE).issue().await;
    world.keyward.owners().set_state(key.owner(), OwnerState::Deactivated).await.unwrap();
    app.get("/admin/x").bearer(&key.secret).await.assert_rejected(Reason::OwnerInactive);
    world.clock.advance(60 * MINUTE);
    app.get("/admin/x").bearer(&key.secret).await.assert_rejected(Reason::Expired);
}

/// The remaining lifespan counts from before the store was read.
#[tokio::test]
async fn slow_store_does_not_extend_a_lifespan() {
    let (world, shim) = shim::world(|b| b);
    let app = world.guard(GuardedRouter::new().route("/admin/x", authenticated(), get(|| async {})));
    let key = world.super_admin().for_time(60 * MINUTE).issue().await;
    let mut stopped = shim.pause();
    let request = tokio::spawn(app.get("/admin/x").bearer(&key.secret).into_future());
    stopped.recv().await.unwrap();
    world.clock.advance(30 * MINUTE);
    shim.flow();
    shim.resume();
    request.await.unwrap().assert_ok();
    world.clock.advance(30 * MINUTE - Duration::from_millis(1));
    app.get("/admin/x").bearer(&key.secret).await.assert_ok();
    world.clock.advance(Duration::from_millis(1));
    app.get("/admin/x").bearer(&key.secret).await.assert_rejected(Reason::Expired);
    assert_eq!(shim.reads(), 1);
}

#[tokio::test]
async fn idle_session_is_reloaded_after_five_seconds() {
    let (world, shim) = shim::world(|b| b);
    let app = world.guard(GuardedRouter::new().route("/admin/x", authenticated(), get(|| async {})));
    let session = world.super_admin().sign_in().await;
    let request = async || app.get("/admin/x").bearer(&session.secret).await;
    request().await.assert_ok();
    world.keyward.flush().await;
    world.clock.advance(32 * MINUTE);
    request().await.assert_rejected(Reason::Expired);
    // Another node writes its use late.
    let elsewhere = Use {
        token: session.id,
        digest: keyward::store::Digest::Native([0; 27]),
        at: world.clock.now(),
        address: None,
        tool: None,
    };
    shim.inner.note_uses(&[elsewhere]).await.unwrap();
    world.clock.advance(Duration::from_secs(5));
    request().await.assert_ok();
}

#[tokio::test]
async fn idle_session_is_not_reloaded_for_every_request() {
    let (world, shim) = shim::world(|b| b);
    let app = world.guard(GuardedRouter::new().route("/admin/x", authenticated(), get(|| async {})));
    let session = world.super_admin().sign_in().await;
    world.clock.advance(32 * MINUTE);
    let request = async || app.get("/admin/x").bearer(&session.secret).await;
    request().await.assert_rejected(Reason::Expired);
    world.clock.advance(Duration::from_millis(4_999));
    request().await.assert_rejected(Reason::Expired);
    assert_eq!(shim.reads(), 1);
    world.clock.advance(Duration::from_millis(1));
    request().await.assert_rejected(Reason::Expired);
    assert_eq!(shim.reads(), 2);
}

#[tokio::test(start_paused = true)]
async fn long_response_ends_when_its_token_expires() {
    let (world, _) = shim::world(|b| b);
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let app = world.guard(GuardedRouter::new().route(
        "/admin/stream",
        authenticated(),
        get(move |auth: AdminAuth| async move { sender.send(auth.0).unwrap() }),
    ));
    let key = world.super_admin().for_time(60 * MINUTE).issue().await;
    app.get("/admin/stream").bearer(&key.secret).await.assert_ok();
    let auth = receiver.recv().await.unwrap();
    world.clock.advance(60 * MINUTE - Duration::from_secs(10));
    assert!(
        timeout(10 * MINUTE, auth.revoked()).await.is_err(),
        "its clock stands still ten seconds before the expiry"
    );
    let ends = tokio::spawn(async move { auth.revoked().await });
    tokio::task::yield_now().await;
    world.clock.advance(Duration::from_secs(10));
    timeout(Duration::from_secs(11), ends).await.expect("the response wakes at the expiry").unwrap();
}
