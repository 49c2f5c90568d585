//! bounded-staleness (`docs/invariants.md`), where the store answers: a change made past the services of this process applies within
//! `max_staleness`. `tests/model` and `tests/chaos` cover nodes whose store stops answering.

use crate::invariants::shim;
use axum::routing::get;
use keyward::admin::OwnerState;
use keyward::guard::{InvalidCredential, Limits, Reason, Unavailable};
use keyward::store::WriteStore;
use keyward::testing::{ManualClock, World};
use keyward::{GuardedRouter, MemoryStore, authenticated};
use std::sync::Arc;
use std::time::Duration;

fn guarded() -> GuardedRouter {
    GuardedRouter::new().route("/admin/x", authenticated(), get(|| async {}))
}

const BOUND: Duration = Duration::from_secs(2);

#[tokio::test]
async fn change_through_another_handle_applies_within_the_bound() {
    let clock = Arc::new(ManualClock::default());
    let store = MemoryStore::with_clock(clock.clone());
    let (here, there) = (World::on(store.clone(), clock.clone(), |b| b), World::on(store, clock.clone(), |b| b));
    let key = here.editor().issue().await;
    let app = here.guard(guarded());
    app.get("/admin/x").bearer(&key.secret).await.assert_ok();
    there.keyward.owners().set_state(key.owner(), OwnerState::Deactivated).await.unwrap();
    there.guard(guarded()).get("/admin/x").bearer(&key.secret).await.assert_rejected(Reason::OwnerInactive);
    clock.advance(BOUND);
    app.get("/admin/x").bearer(&key.secret).await.assert_rejected(Reason::OwnerInactive);
    assert_eq!(Limits::default().max_staleness, BOUND);
}

#[tokio::test]
async fn change_in_a_host_transaction_applies_within_the_bound() {
    let world = World::new();
    let key = world.editor().issue().await;
    let app = world.guard(guarded());
    app.get("/admin/x").bearer(&key.secret).await.assert_ok();
    let mut tx = world.keyward.store().begin().await.unwrap();
    tx.delete_token(key.id).await.unwrap();
    tx.commit(&[]).await.unwrap();
    world.clock.advance(BOUND);
    app.get("/admin/x").bearer(&key.secret).await.assert_rejected(Reason::Invalid(InvalidCredential::Unknown));
}

#[tokio::test]
async fn entry_past_its_lease_is_503() {
    let clock = Arc::new(ManualClock::default());
    let shim = shim::Shim::new(MemoryStore::with_clock(clock.clone()));
    let world = World::on(shim.clone(), clock, |b| b);
    let key = world.editor().issue().await;
    let app = world.guard(guarded());
    app.get("/admin/x").bearer(&key.secret).await.assert_ok();
    shim.fail(true);
    world.clock.advance(BOUND - Duration::from_millis(1));
    app.get("/admin/x").bearer(&key.secret).await.assert_ok();
    world.clock.advance(Duration::from_millis(1));
    app.get("/admin/x").bearer(&key.secret).await.assert_rejected(Reason::Unavailable(Unavailable::Store));
}

#[tokio::test]
async fn bounds_too_short_to_poll_are_rejected() {
    let build = |limits: Limits| {
        let hash_key = keyward::HashKey::parse(keyward::testing::HASH_KEY).unwrap();
        keyward::Keyward::builder(MemoryStore::default()).hash_key(hash_key).admin("/admin").limits(limits).build()
    };
    build(Limits::strict()).unwrap();
    // After a pause, a failed poll and another pause, the lease must still last for one more poll.
    let until_another = |limits: &Limits| 2 * limits.poll_every + limits.poll_deadline;
    let mut barely = Limits::default();
    barely.max_staleness = until_another(&barely) + Duration::from_millis(1);
    build(barely).unwrap();
    let with = |change: fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        limits
    };
    let mut hasty = Limits::default();
    hasty.max_staleness = until_another(&hasty);
    for hasty in [
        hasty,
        with(|limits| limits.poll_every = Duration::ZERO),
        with(|limits| limits.poll_every = Duration::MAX),
        with(|limits| limits.poll_deadline = Duration::MAX),
        with(|limits| (limits.poll_every, limits.max_staleness) = (Duration::MAX, Duration::MAX)),
    ] {
        let error = build(hasty).unwrap_err();
        assert!(matches!(error, keyward::BuildError::Limits(..)) && error.to_string().contains("must be"), "{error}");
    }
}

#[tokio::test]
async fn exclusive_store_is_read_once() {
    let (world, shim) = shim::world(|b| b);
    let key = world.editor().issue().await;
    let app = world.guard(guarded());
    for _ in 0..10 {
        app.get("/admin/x").bearer(&key.secret).await.assert_ok();
        world.clock.advance(10 * BOUND);
    }
    assert_eq!(shim.reads(), 1);
}
