//! Notices about tokens that expire soon or are not used.

use super::flaky_store::FlakyStore;
use super::{DAY, Scene, on_every_store, policy};
use keyward::admin::{Actor, AuditAction, AuditEvent, AuditTarget, Lifespan, NewSession, Notices, ServiceError};
use keyward::store::{TokenTimes, Use, WriteStore};
use keyward::testing::{ManualClock, World};
use keyward::time::{Clock, Timestamp};
use keyward::token::{ContentAccess, TokenId, TokenKind};
use keyward::{MemoryStore, NewAdminToken, NewContentToken, NewOwner, OwnerId};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

on_every_store!(Some(keyward::admin::Notices::default()) =>
    expiring_token_gets_a_notice_seven_three_and_one_days_before
    token_that_expired_while_no_node_ran_gets_one_notice
    tokens_that_had_expired_before_get_none
    other_expiry_has_notices_of_its_own
    token_gets_no_notice_about_a_time_as_long_as_its_life
    idle_and_unused_tokens_get_a_notice_once
    sessions_get_no_notices
    many_notices_are_made_in_batches
    holder_that_crashed_is_replaced_after_its_term
    lease_of_a_time_before_the_clock_was_set_back_does_not_count
);

const HOUR: Duration = Duration::from_secs(60 * 60);

/// The notices of a log: the token, the action, and the days before the expiry.
async fn notices<S: WriteStore + Clone>(scene: &Scene<S>) -> Vec<(TokenId, AuditAction, Option<u64>)> {
    let is_notice = |event: &AuditEvent| {
        matches!(event.what, AuditAction::TokenExpiring | AuditAction::TokenIdle | AuditAction::TokenUnused)
    };
    let notice = |event: AuditEvent| {
        assert_eq!(event.origin.actor, Actor::Service);
        let AuditTarget::Token(id, _) = event.target else { panic!("{event:?}") };
        (id, event.what, event.details["leadTime"].as_u64().map(|ms| ms / 86_400_000))
    };
    scene.log().await.into_iter().map(|(_, event)| event).filter(is_notice).map(notice).collect()
}

async fn make<S: WriteStore + Clone>(world: &World<S>) -> u64 {
    world.keyward.audit().write_notices().await.unwrap()
}

async fn issue<S: WriteStore + Clone>(world: &World<S>, name: &str, lifespan: Lifespan) -> TokenId {
    let new = NewContentToken::new(name, ContentAccess::ReadOnly).lifespan(lifespan);
    world.keyward.tokens().issue_content(new).await.unwrap().token.id
}

async fn owner<S: WriteStore + Clone>(world: &World<S>) -> OwnerId {
    world.keyward.owners().create(NewOwner::new("ada@example.test")).await.unwrap().id
}

async fn used<S: WriteStore + Clone>(scene: &Scene<S>, id: TokenId) {
    let at = scene.clock.now();
    scene
        .one
        .store
        .note_uses(&[Use { token: id, digest: keyward::store::Digest::Native([0; 27]), at, address: None, tool: None }])
        .await
        .unwrap();
}

async fn expiring_token_gets_a_notice_seven_three_and_one_days_before<S: WriteStore + Clone>(scene: Scene<S>) {
    let ada = owner(&scene.one).await;
    let new = NewAdminToken::new("deploy", ada).lifespan(Lifespan::days(20));
    let id = scene.one.keyward.tokens().issue_admin(new).await.unwrap().token.id;
    issue(&scene.one, "for ever", Lifespan::Unlimited).await;
    let mut expected = Vec::new();
    // Every six hours, by the nodes in turn.
    for quarter in 0..100_u64 {
        let made = make(if quarter % 2 == 0 { &scene.one } else { &scene.two }).await;
        // 20 days are 80 quarters.
        let lead = match quarter {
            52 => Some(7),
            68 => Some(3),
            76 => Some(1),
            _ => None,
        };
        assert_eq!(made, u64::from(lead.is_some()), "after {quarter} quarters of a day");
        expected.extend(lead.map(|lead| (id, AuditAction::TokenExpiring, Some(lead))));
        assert_eq!(make(&scene.one).await + make(&scene.two).await, 0, "each is made once");
        scene.clock.advance(DAY / 4);
    }
    assert_eq!(notices(&scene).await, expected);
    let event = scene.log().await.into_iter().find(|(_, event)| event.what == AuditAction::TokenExpiring).unwrap().1;
    assert_eq!(event.target, AuditTarget::Token(id, TokenKind::Admin));
    let expected =
        json!({"name": "deploy", "owner": ada, "expiresAt": "2026-01-21T00:00:00.000Z", "leadTime": 604_800_000});
    assert_eq!(event.details, expected);
    // The owner sees it.
    let of_token = scene.two.keyward.audit().acting_as(Actor::Person(ada));
    let query = keyward::admin::EventQuery::all(keyward::admin::Paging::FIRST);
    let seen = of_token.of_token(id, &query).await.unwrap().items;
    assert_eq!(seen.iter().filter(|(_, event)| event.what == AuditAction::TokenExpiring).count(), 3);
}

async fn token_that_expired_while_no_node_ran_gets_one_notice<S: WriteStore + Clone>(scene: Scene<S>) {
    make(&scene.one).await;
    let [near, gone] =
        [issue(&scene.one, "near", Lifespan::days(60)).await, issue(&scene.one, "gone", Lifespan::days(40)).await];
    // No node runs from here to two days before the one expires, long after the other has.
    scene.clock.advance(58 * DAY);
    for id in [near, gone] {
        used(&scene, id).await;
    }
    assert_eq!(make(&scene.two).await, 2);
    let expiring = AuditAction::TokenExpiring;
    assert_eq!(notices(&scene).await, [(gone, expiring, Some(1)), (near, expiring, Some(3))], "the nearest alone");
    scene.clock.advance(30 * DAY);
    assert_eq!(make(&scene.one).await, 1);
    assert_eq!(notices(&scene).await[2..], [(near, expiring, Some(1))]);
    scene.clock.advance(300 * DAY);
    assert_eq!(make(&scene.one).await + make(&scene.two).await, 0);
}

async fn tokens_that_had_expired_before_get_none<S: WriteStore + Clone>(scene: Scene<S>) {
    issue(&scene.one, "old", Lifespan::days(10)).await;
    scene.clock.advance(10 * DAY);
    let soon = issue(&scene.one, "soon", Lifespan::days(10)).await;
    scene.clock.advance(8 * DAY);
    // Notices are made for the first time.
    assert_eq!(make(&scene.one).await, 1);
    assert_eq!(notices(&scene).await, [(soon, AuditAction::TokenExpiring, Some(3))]);
}

async fn other_expiry_has_notices_of_its_own<S: WriteStore + Clone>(scene: Scene<S>) {
    let id = issue(&scene.one, "deploy", Lifespan::days(10)).await;
    scene.clock.advance(9 * DAY);
    assert_eq!(make(&scene.one).await, 1);
    let set_expiry = async |days: u32| {
        let mut tx = scene.one.store.begin().await.unwrap();
        let created_at = tx.token(id).await.unwrap().unwrap().created_at;
        let expires_at = Some(created_at.plus(days * DAY));
        tx.backdate_token(id, TokenTimes { created_at, expires_at, last_used_at: None }).await.unwrap();
        tx.commit(&[]).await.unwrap();
    };
    set_expiry(20).await;
    assert_eq!(make(&scene.one).await, 0, "it is 11 days away");
    scene.clock.advance(4 * DAY);
    assert_eq!(make(&scene.one).await, 1);
    // The earlier expiry again: its notice was made, and there is no second one.
    set_expiry(10).await;
    assert_eq!(make(&scene.one).await, 0);
    set_expiry(20).await;
    assert_eq!(make(&scene.one).await, 0);
    let expiring = AuditAction::TokenExpiring;
    assert_eq!(notices(&scene).await, [(id, expiring, Some(1)), (id, expiring, Some(7))]);
}

async fn token_gets_no_notice_about_a_time_as_long_as_its_life<S: WriteStore + Clone>(scene: Scene<S>) {
    make(&scene.one).await;
    let week = issue(&scene.one, "a week", Lifespan::days(7)).await;
    issue(&scene.one, "an hour", Lifespan::Of(HOUR)).await;
    issue(&scene.one, "a day", Lifespan::days(1)).await;
    for _ in 0..32 {
        make(&scene.one).await;
        scene.clock.advance(DAY / 4);
    }
    let expiring = AuditAction::TokenExpiring;
    assert_eq!(notices(&scene).await, [(week, expiring, Some(3)), (week, expiring, Some(1))]);
}

async fn idle_and_unused_tokens_get_a_notice_once<S: WriteStore + Clone>(scene: Scene<S>) {
    let mut ids = Vec::new();
    for name in ["never", "once", "again"] {
        ids.push(issue(&scene.one, name, Lifespan::Unlimited).await);
    }
    make(&scene.one).await;
    let [never, once, again] = ids[..] else { panic!("three tokens") };
    let expired = issue(&scene.one, "expired", Lifespan::days(5)).await;
    for id in [once, again] {
        used(&scene, id).await;
    }
    let advance = async |days: u32| {
        scene.clock.advance(days * DAY - Duration::from_millis(1));
        assert_eq!(make(&scene.one).await, 0, "a moment before");
        scene.clock.advance(Duration::from_millis(1));
        let made = make(&scene.two).await;
        assert_eq!(make(&scene.one).await + make(&scene.two).await, 0, "each is made once");
        made
    };
    scene.clock.advance(6 * DAY);
    assert_eq!(make(&scene.one).await, 1, "one expired");
    assert_eq!(advance(24).await, 1, "30 days without a use");
    assert_eq!(advance(60).await, 2, "90 days since the last use");
    used(&scene, again).await;
    used(&scene, never).await;
    assert_eq!(advance(90).await, 2, "90 days since another use");
    scene.clock.advance(1_000 * DAY);
    assert_eq!(make(&scene.one).await, 0);
    let (unused, idle) = (AuditAction::TokenUnused, AuditAction::TokenIdle);
    let made: Vec<_> = notices(&scene).await.into_iter().filter(|(id, ..)| *id != expired).collect();
    let of = |id, what| (id, what, None);
    assert_eq!(made, [of(never, unused), of(once, idle), of(again, idle), of(never, idle), of(again, idle)]);
}

async fn sessions_get_no_notices<S: WriteStore + Clone>(scene: Scene<S>) {
    let owner = owner(&scene.one).await;
    let session = NewSession { owner, idle: 300 * DAY, lifespan: 100 * DAY };
    let used_session = scene.one.keyward.tokens().open_session(session.clone()).await.unwrap().token.id;
    scene.one.keyward.tokens().open_session(session).await.unwrap();
    used(&scene, used_session).await;
    for _ in 0..110 {
        assert_eq!(make(&scene.one).await, 0);
        scene.clock.advance(DAY);
    }
}

async fn many_notices_are_made_in_batches<S: WriteStore + Clone>(scene: Scene<S>) {
    // More than two batches, by the store: the services would judge each one.
    let new = NewContentToken::new("first", ContentAccess::ReadOnly).lifespan(Lifespan::Unlimited);
    scene.one.keyward.tokens().issue_content(new).await.unwrap();
    let mut tx = scene.one.store.begin().await.unwrap();
    let created_at = scene.clock.now();
    for n in 0..1_100_u32 {
        let issued = scene.one.keyward.new_secret(TokenKind::Content).unwrap();
        let new = keyward::store::NewToken {
            name: format!("token {n}"),
            scope: keyward::store::NameScope::Installation,
            description: String::new(),
            metadata: None,
            digest: issued.digest,
            hash_key: issued.hash_key,
            hint: issued.secret.hint().into(),
            lifespan: Some(60 * DAY),
            authority: keyward::token::TokenAuthority::Content { access: ContentAccess::ReadOnly },
            limits: keyward::token::TokenLimits::none(),
            parent: None,
        };
        tx.insert_token(new).await.unwrap();
    }
    tx.commit(&[]).await.unwrap();
    scene.clock.set_wall_clock(created_at.plus(58 * DAY));
    assert_eq!(make(&scene.one).await, 2 * 1_100 + 1, "each expires, and each was never used");
    assert_eq!(make(&scene.two).await, 0);
    let mut made = notices(&scene).await;
    let count = made.len();
    made.sort_unstable_by_key(|(id, what, _)| (*id, format!("{what:?}")));
    made.dedup();
    assert_eq!((made.len(), count), (2_201, 2_201));
}

/// A node that has the lease and is gone.
async fn lease<S: WriteStore + Clone>(scene: &Scene<S>, ends_at: Timestamp) {
    let mut tx = scene.one.store.begin().await.unwrap();
    for name in ["notices-expiring", "notices-usage"] {
        let found = tx.lease(name).await.unwrap().unwrap();
        let lease = keyward::store::Lease { holder: "another".into(), ends_at, ..found };
        tx.set_lease(name, &lease).await.unwrap();
    }
    tx.commit(&[]).await.unwrap();
}

async fn holder_that_crashed_is_replaced_after_its_term<S: WriteStore + Clone>(scene: Scene<S>) {
    make(&scene.one).await;
    issue(&scene.one, "deploy", Lifespan::days(10)).await;
    scene.clock.advance(8 * DAY);
    lease(&scene, scene.clock.now().plus(Duration::from_secs(60))).await;
    scene.clock.advance(Duration::from_millis(59_999));
    assert_eq!(make(&scene.one).await + make(&scene.two).await, 0, "another node makes them");
    scene.clock.advance(Duration::from_millis(1));
    assert_eq!(make(&scene.two).await, 1);
    assert_eq!(make(&scene.one).await, 0);
}

async fn lease_of_a_time_before_the_clock_was_set_back_does_not_count<S: WriteStore + Clone>(scene: Scene<S>) {
    make(&scene.one).await;
    issue(&scene.one, "deploy", Lifespan::days(10)).await;
    scene.clock.advance(8 * DAY);
    lease(&scene, scene.clock.now().plus(Duration::from_millis(60_001))).await;
    assert_eq!(make(&scene.two).await, 1, "no lease is taken for as long");
}

/// The node is suspended between its look and its write, and its lease ends. Another node makes the notices meanwhile, or none.
async fn suspended_node(another: bool) {
    let clock = Arc::new(ManualClock::default());
    let inner = MemoryStore::with_clock(clock.clone());
    let slow = FlakyStore::new(inner.clone());
    let slow = World::on(slow, clock.clone(), |builder| builder.policy(policy(Some(Notices::default()))));
    let scene = Scene::new(inner.clone(), inner, clock.clone(), None, Some(Notices::default()));
    make(&slow).await;
    let id = issue(&scene.one, "deploy", Lifespan::days(10)).await;
    clock.advance(4 * DAY);
    // The first transaction takes the lease, the second one writes.
    let (reached, release) = slow.store.hold_transaction(1);
    let suspended = tokio::spawn({
        let audit = slow.keyward.audit();
        async move { audit.write_notices().await.unwrap() }
    });
    reached.await.unwrap();
    assert_eq!(make(&scene.one).await, 0, "the suspended node has the lease");
    clock.advance(4 * DAY);
    let nearest = [(id, AuditAction::TokenExpiring, Some(3))];
    if another {
        assert_eq!(make(&scene.one).await, 1);
        assert_eq!(notices(&scene).await, nearest);
    }
    release.send(()).unwrap();
    assert_eq!(suspended.await.unwrap(), 0, "a notice of seven days would be late");
    assert_eq!(make(&scene.two).await, u64::from(!another));
    assert_eq!(notices(&scene).await, nearest);
}

#[tokio::test]
async fn node_that_lost_the_lease_writes_nothing() {
    suspended_node(true).await;
    suspended_node(false).await;
}

#[tokio::test]
async fn who_asks_for_no_notices_gets_none() {
    let scene = super::memory(None).unwrap();
    issue(&scene.one, "deploy", Lifespan::days(100)).await;
    for _ in 0..110 {
        assert_eq!(make(&scene.one).await, 0);
        scene.clock.advance(DAY);
    }
    assert_eq!(scene.log().await.len(), 1);
    let visitor = scene.one.keyward.audit().acting_as(Actor::Person(OwnerId(1)));
    assert!(matches!(visitor.write_notices().await, Err(ServiceError::Forbidden(_))));
}

/// With tokio's clock, which moves by itself when all tasks wait.
#[tokio::test(start_paused = true)]
async fn background_task_makes_notices_and_stops() {
    let clock = Arc::new(ManualClock::default());
    let store = MemoryStore::with_clock(clock.clone());
    let mut policy = policy(None);
    policy.notices = Some(Notices::default().without_idle().unused_after(DAY));
    let world = World::on(store, clock.clone(), |builder| builder.policy(policy));
    let scene = super::Scene::new(world.store.clone(), world.store.clone(), clock.clone(), None, None);
    let id = issue(&world, "deploy", Lifespan::days(10)).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(notices(&scene).await.is_empty());
    clock.advance(4 * DAY);
    tokio::time::sleep(Duration::from_secs(61)).await;
    let mut expected = vec![(id, AuditAction::TokenExpiring, Some(7)), (id, AuditAction::TokenUnused, None)];
    assert_eq!(notices(&scene).await, expected);
    // Nothing is written while nothing is due: a look reads one row.
    let count = scene.log().await.len();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(scene.log().await.len(), count);
    clock.advance(4 * DAY);
    tokio::time::sleep(Duration::from_secs(61)).await;
    expected.push((id, AuditAction::TokenExpiring, Some(3)));
    assert_eq!(notices(&scene).await, expected);
    world.keyward.shutdown().await;
    clock.advance(DAY);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(notices(&scene).await, expected, "the task has stopped");
}
