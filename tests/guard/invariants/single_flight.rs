//! single-flight (`docs/invariants.md`): concurrent requests with one token that is not cached cost one store read. A cancelled
//! request cancels no other.

use crate::invariants::shim;
use axum::routing::get;
use keyward::guard::{Reason, Unavailable};
use keyward::{GuardedRouter, authenticated};
use std::future::IntoFuture;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_requests_share_one_read() {
    let (world, shim) = shim::world(|b| b);
    let app = world.guard(GuardedRouter::new().route("/admin/x", authenticated(), get(|| async {})));
    let key = world.super_admin().issue().await;
    let mut stopped = shim.pause();
    let requests: Vec<_> =
        (0..10_000).map(|_| tokio::spawn(app.get("/admin/x").bearer(&key.secret).into_future())).collect();
    stopped.recv().await.unwrap();
    shim.resume();
    for request in requests {
        request.await.unwrap().assert_ok();
    }
    assert_eq!(shim.reads(), 1);
}

#[tokio::test]
async fn cancelled_request_cancels_no_other() {
    let (world, shim) = shim::world(|b| b);
    let app = world.guard(GuardedRouter::new().route("/admin/x", authenticated(), get(|| async {})));
    let key = world.super_admin().issue().await;
    let mut stopped = shim.pause();
    let leader = tokio::spawn(app.get("/admin/x").bearer(&key.secret).into_future());
    stopped.recv().await.unwrap();
    let followers: Vec<_> =
        (0..10).map(|_| tokio::spawn(app.get("/admin/x").bearer(&key.secret).into_future())).collect();
    tokio::task::yield_now().await;
    leader.abort();
    assert!(leader.await.unwrap_err().is_cancelled());
    shim.resume();
    for follower in followers {
        follower.await.unwrap().assert_ok();
    }
    assert_eq!(shim.reads(), 1);
}

#[tokio::test]
async fn look_up_without_waiters_serves_the_next_request() {
    let (world, shim) = shim::world(|b| b);
    let app = world.guard(GuardedRouter::new().route("/admin/x", authenticated(), get(|| async {})));
    let key = world.super_admin().issue().await;
    let mut stopped = shim.pause();
    let leader = tokio::spawn(app.get("/admin/x").bearer(&key.secret).into_future());
    stopped.recv().await.unwrap();
    leader.abort();
    assert!(leader.await.is_err());
    shim.resume();
    app.get("/admin/x").bearer(&key.secret).await.assert_ok();
    assert_eq!(shim.reads(), 1);
}

#[tokio::test]
async fn panicking_look_up_is_repeated() {
    let (world, shim) = shim::world(|b| b);
    let app = world.guard(GuardedRouter::new().route("/admin/x", authenticated(), get(|| async {})));
    let key = world.super_admin().issue().await;
    shim.tamper(|_| panic!("on purpose"));
    let answer = app.get("/admin/x").bearer(&key.secret).await;
    answer.assert_rejected(Reason::Unavailable(Unavailable::Store)).assert_status(503);
    shim.tamper(|_| ());
    app.get("/admin/x").bearer(&key.secret).await.assert_ok();
    assert_eq!(shim.reads(), 2);
}
