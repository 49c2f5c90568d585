//! own-failure-is-503 (`docs/invariants.md`): a store error is never a 401, is never cached and loses no acknowledged write.

use crate::invariants::shim;
use axum::routing::get;
use http::header::COOKIE;
use keyward::guard::{Limits, Reason, Unavailable};
use keyward::testing::Key;
use keyward::time::Clock;
use keyward::token::ContentAccess;
use keyward::{Group, GuardedRouter, authenticated};
use std::future::IntoFuture;
use std::time::Duration;

#[tokio::test]
async fn store_error_is_503_and_is_not_cached() {
    let (world, shim) = shim::world(|b| b);
    let app = world.guard(GuardedRouter::new().route("/admin/x", authenticated(), get(|| async {})));
    let key = world.super_admin().issue().await;
    shim.fail(true);
    for _ in 0..3 {
        let answer = app.get("/admin/x").bearer(&key.secret).await;
        answer.assert_rejected(Reason::Unavailable(Unavailable::Store)).assert_status(503);
        assert_eq!(answer.headers["retry-after"], "1");
        assert!(!answer.headers.contains_key("www-authenticate"));
    }
    assert_eq!(shim.reads(), 3, "errors are not cached");
    shim.fail(false);
    app.get("/admin/x").bearer(&key.secret).await.assert_ok();
    shim.fail(true);
    app.get("/admin/x").bearer(&key.secret).await.assert_ok();
}

#[tokio::test]
async fn store_error_is_a_page_for_people() {
    let (world, shim) = shim::world(|b| b.group(Group::pages("/admin/me", "sid", "/admin/login")));
    let app = world.guard(GuardedRouter::new().route("/admin/me", authenticated(), get(|| async {})));
    let key = world.super_admin().sign_in().await;
    shim.fail(true);
    let answer = app.get("/admin/me").header(COOKIE, &format!("sid={}", key.secret.expose())).await;
    answer.assert_rejected(Reason::Unavailable(Unavailable::Store)).assert_status(503);
    assert_eq!(answer.headers["retry-after"], "1");
    assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
    assert!(String::from_utf8_lossy(&answer.body).contains("Try again in a moment."));
}

#[tokio::test(start_paused = true)]
async fn silent_store_is_503_within_the_time_limit() {
    let (world, shim) = shim::world(|b| b.limits(Limits::default()));
    let app = world.guard(GuardedRouter::new().route("/admin/x", authenticated(), get(|| async {})));
    let key = world.super_admin().issue().await;
    shim.hang(true);
    let began = tokio::time::Instant::now();
    let answer = app.get("/admin/x").bearer(&key.secret).await;
    answer.assert_rejected(Reason::Unavailable(Unavailable::Deadline)).assert_status(503);
    assert!(began.elapsed() <= Limits::default().request);
    shim.hang(false);
    app.get("/admin/x").bearer(&key.secret).await.assert_ok();
}

#[tokio::test(start_paused = true)]
async fn look_ups_over_the_limit_are_503_within_the_time_limit() {
    let (world, shim) = shim::world(|b| b.limits(Limits::default()));
    let app = world.guard(GuardedRouter::new().route("/admin/x", authenticated(), get(|| async {})));
    let mut keys = Vec::new();
    // A quarter of the reads is reserved for known tokens, and these are unknown.
    let turns = Limits::default().lookups / 4 * 3;
    for _ in 0..turns + 1 {
        keys.push(world.super_admin().issue().await);
    }
    shim.hang(true);
    let send = |key: &keyward::testing::Key| tokio::spawn(app.get("/admin/x").bearer(&key.secret).into_future());
    let requests: Vec<_> = keys.iter().map(send).collect();
    let mut reasons = Vec::new();
    for request in requests {
        let answer = request.await.unwrap();
        answer.assert_status(503);
        reasons.push(answer.reason.unwrap());
    }
    assert_eq!(shim.reads(), turns as u64, "no more concurrent reads");
    let overloaded = Reason::Unavailable(Unavailable::Overloaded);
    assert_eq!(reasons.iter().filter(|r| **r == overloaded).count(), 1);
}

#[tokio::test]
async fn failed_change_is_reported_and_changes_nothing() {
    let (world, shim) = shim::world(|b| b);
    let app = world.guard(GuardedRouter::new().route("/api/x", authenticated(), get(|| async {})));
    let key = world.content(ContentAccess::ReadOnly).await;
    shim.fail(true);
    assert!(world.keyward.tokens().revoke(key.id).await.is_err());
    shim.fail(false);
    app.get("/api/x").bearer(&key.secret).await.assert_ok();
    world.keyward.tokens().revoke(key.id).await.unwrap();
    app.get("/api/x").bearer(&key.secret).await.assert_status(401);
}

#[tokio::test]
async fn failed_last_use_updates_are_retried() {
    let (world, shim) = shim::world(|b| b);
    let app = world.guard(GuardedRouter::new().route("/api/x", authenticated(), get(|| async {})));
    let key = world.content(ContentAccess::ReadOnly).await;
    app.get("/api/x").bearer(&key.secret).await.assert_ok();
    let first = keyward::time::Clock::now(&*world.clock);
    shim.fail(true);
    world.keyward.flush().await;
    assert_eq!(shim.inner.last_use(key.id), None);
    shim.fail(false);
    world.keyward.flush().await;
    assert_eq!(shim.inner.last_use(key.id), Some((first, None)));

    world.clock.advance(Duration::from_secs(59));
    app.get("/api/x").bearer(&key.secret).await.assert_ok();
    world.keyward.flush().await;
    assert_eq!(shim.inner.last_use(key.id), Some((first, None)), "at most once a minute");
    world.clock.advance(Duration::from_secs(1));
    app.get("/api/x").bearer(&key.secret).await.assert_ok();
    world.keyward.flush().await;
    assert_eq!(shim.inner.last_use(key.id).unwrap().0, first.plus(Duration::from_secs(60)));
}

#[tokio::test]
async fn reload_within_a_minute_records_no_second_use() {
    let (world, shim) = shim::world(|b| b);
    let app = world.guard(GuardedRouter::new().route("/admin/x", authenticated(), get(|| async {})));
    let [written, pending] = [world.editor().issue().await, world.editor().issue().await];
    let request = async |key: &Key| _ = app.get("/admin/x").bearer(&key.secret).await.assert_ok();
    let first = world.clock.now();
    request(&written).await;
    world.keyward.flush().await;
    let _stopped = shim.pause_notes();
    request(&pending).await;
    world.clock.advance(Duration::from_secs(59));
    for key in [&written, &pending] {
        world.keyward.roles().set_permissions(key.role(), vec![keyward::Permission::new("x")]).await.unwrap();
        let before = shim.reads();
        request(key).await;
        assert_eq!(shim.reads() - before, 1, "the token was read again");
    }
    shim.flow();
    shim.resume();
    world.keyward.flush().await;
    for key in [written, pending] {
        assert_eq!(shim.inner.last_use(key.id), Some((first, None)));
    }
}

#[tokio::test]
async fn last_use_during_a_write_is_written_next() {
    let (world, shim) = shim::world(|b| b);
    let app = world.guard(GuardedRouter::new().route("/api/x", authenticated(), get(|| async {})));
    let key = world.content(ContentAccess::ReadOnly).await;
    app.get("/api/x").bearer(&key.secret).await.assert_ok();
    let mut stopped = shim.pause_notes();
    let keyward = world.keyward.clone();
    let writing = tokio::spawn(async move { keyward.flush().await });
    stopped.recv().await.unwrap();
    world.clock.advance(Duration::from_secs(60));
    app.get("/api/x").bearer(&key.secret).await.assert_ok();
    shim.flow();
    // One more read may belong to the background writer, if it is due just now.
    shim.resume();
    shim.resume();
    writing.await.unwrap();
    world.keyward.flush().await;
    assert_eq!(shim.inner.last_use(key.id), Some((world.clock.now(), None)));
}
