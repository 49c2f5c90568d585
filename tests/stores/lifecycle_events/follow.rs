//! The audit log as a stream.

use super::flaky_store::FlakyStore;
use super::{DAY, Scene, follow_to_end, item, log, next, on_every_store, policy, take};
use futures_util::{FutureExt, StreamExt};
use keyward::admin::{
    Actor, AuditAction, AuditTarget, Cursor, EventQuery, FollowError, LifecycleChange, LifecycleEvent, Lifespan,
    NewSession, Owner, OwnerState, Paging, Password, Policy, ServiceError, TokenKind, TokenUpdate,
};
use keyward::store::WriteStore;
use keyward::testing::{ManualClock, World};
use keyward::token::ContentAccess;
use keyward::{Grant, MemoryStore, NewAdminToken, NewContentToken, NewOwner, NewRole, Permission, RoleId};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

on_every_store!(None =>
    story_is_followed_on_the_other_node_once_and_in_order
    cursor_resumes_after_the_event_it_came_with
    now_begins_after_the_events_that_are_there
    deleted_events_that_were_not_read_are_a_gap
    cursor_of_another_log_is_rejected
    actors_see_what_the_list_shows_them
    follower_who_loses_the_account_gets_an_error
    shutdown_ends_the_stream
);

/// Returns the name of a variant.
fn word(event: &LifecycleEvent) -> String {
    let text = format!("{:?}", event.change);
    text.split([' ', '(', '{']).next().unwrap().to_owned()
}

fn permissions(names: &[&str]) -> Vec<Permission> {
    names.iter().map(|name| Permission::new(*name)).collect()
}

/// Makes one change of each common kind, and returns their words.
async fn live<S: WriteStore + Clone>(world: &World<S>) -> Vec<&'static str> {
    let (owners, roles, tokens) = (world.keyward.owners(), world.keyward.roles(), world.keyward.tokens());
    let role = roles.create(NewRole::new("Reader").permissions(permissions(&["read", "write"]))).await.unwrap().id;
    let ada: Owner = owners.create(NewOwner::new("ada@example.test").roles([role])).await.unwrap();
    let new = |name: &str| NewAdminToken::new(name, ada.id).grants([Grant::new("read"), Grant::new("write")]);
    let ci = tokens.issue_admin(new("ci").lifespan(Lifespan::days(30))).await.unwrap().token.id;
    tokens.issue_admin(new("cd")).await.unwrap();
    let renamed = TokenUpdate { name: Some("deploy".into()), ..TokenUpdate::default() };
    tokens.update(ci, renamed).await.unwrap();
    tokens.regenerate(ci).await.unwrap();
    roles.set_permissions(role, permissions(&["read"])).await.unwrap();
    tokens.revoke(ci).await.unwrap();
    owners.set_state(ada.id, OwnerState::Blocked).await.unwrap();
    owners.set_state(ada.id, OwnerState::Active).await.unwrap();
    owners.set_roles(ada.id, vec![]).await.unwrap();
    let (idle, lifespan) = (DAY, DAY);
    let session = tokens.open_session(NewSession { owner: ada.id, idle, lifespan }).await.unwrap().token.id;
    world.keyward.sessions().acting_as(Actor::Person(ada.id)).sign_out(session).await.unwrap();
    owners.delete(ada.id).await.unwrap();
    roles.delete(role).await.unwrap();
    let wrong = world.keyward.sessions().sign_in("nobody@example.test", &Password::new("Passw0rd!")).await;
    assert!(matches!(wrong, Err(ServiceError::WrongCredentials)), "{wrong:?}");
    world.keyward.flush().await;
    vec![
        "RoleCreated",
        "OwnerCreated",
        "TokenIssued",
        "TokenIssued",
        "TokenUpdated",
        "TokenRegenerated",
        "RoleChanged",
        "GrantClamped",
        "GrantClamped",
        "TokenRevoked",
        "OwnerSuspended",
        "OwnerActivated",
        "OwnerRolesSet",
        "GrantClamped",
        "TokenIssued",
        "SignedOut",
        "TokenRevoked",
        "OwnerDeleted",
        "RoleDeleted",
        "SignInsFailed",
    ]
}

async fn story_is_followed_on_the_other_node_once_and_in_order<S: WriteStore + Clone>(scene: Scene<S>) {
    let mut follow = scene.two.keyward.audit().follow(Cursor::start());
    let expected = live(&scene.one).await;
    let events = take(&mut follow, expected.len()).await;
    assert_eq!(events.iter().map(word).collect::<Vec<_>>(), expected);
    let raw: Vec<_> = events.iter().map(|event| (event.id, event.event.clone())).collect();
    assert_eq!(raw, scene.log().await, "each event once, in the order of commits");
    assert!(follow.next().now_or_never().is_none(), "there are no more");

    let LifecycleChange::TokenIssued { token, expires_at } = &events[2].change else { panic!("{:?}", events[2]) };
    let LifecycleChange::OwnerCreated(ada) = events[1].change else { panic!("{:?}", events[1]) };
    assert_eq!((token.kind, token.owner, token.name.as_deref()), (TokenKind::Admin, Some(ada), Some("ci")));
    assert_eq!(expires_at.map(|at| at.since(events[2].event.at)), Some(30 * DAY));
    let LifecycleChange::TokenUpdated { token: renamed, fields } = &events[4].change else { panic!("{:?}", events[4]) };
    assert_eq!(
        (renamed.id, renamed.name.as_deref(), &fields[..]),
        (token.id, Some("deploy"), &["name".to_owned()][..])
    );
    let LifecycleChange::GrantClamped { action, resource, fields, .. } = &events[7].change else { panic!() };
    assert_eq!((action.as_str(), resource, fields), ("write", &None, &None));
    assert_eq!(events[10].change, LifecycleChange::OwnerSuspended { owner: ada, state: OwnerState::Blocked });
    assert_eq!(events[19].change, LifecycleChange::SignInsFailed { count: 1 });

    // The stream goes on with what comes later, of either node.
    for (name, world) in [("one", &scene.one), ("two", &scene.two)] {
        let new = NewContentToken::new(name, ContentAccess::ReadOnly);
        world.keyward.tokens().issue_content(new).await.unwrap();
        assert_eq!(word(&next(&mut follow).await), "TokenIssued");
    }
}

async fn cursor_resumes_after_the_event_it_came_with<S: WriteStore + Clone>(scene: Scene<S>) {
    let count = live(&scene.one).await.len();
    let all = follow_to_end(&scene.two.keyward, Cursor::start()).await;
    assert_eq!(all.len(), count);
    let restarted = scene.restarted(None);
    for (n, event) in all.iter().enumerate() {
        // Stored as text, like in a file.
        let cursor: Cursor = event.cursor.to_string().parse().unwrap();
        let rest = follow_to_end(&restarted.keyward, cursor).await;
        assert_eq!(rest, all[n + 1..], "after event {n}");
    }
    // The end is a cursor too.
    let end = restarted.keyward.audit().last_cursor().await.unwrap();
    assert_eq!(end, all.last().unwrap().cursor);
    let mut follow = restarted.keyward.audit().follow(end);
    assert!(follow.next().now_or_never().is_none());
    scene.one.content(ContentAccess::ReadOnly).await;
    assert_eq!(word(&next(&mut follow).await), "TokenIssued");
}

async fn now_begins_after_the_events_that_are_there<S: WriteStore + Clone>(scene: Scene<S>) {
    for round in 0..2 {
        // Also in an empty log.
        let end = scene.two.keyward.audit().last_cursor().await.unwrap();
        let mut follow = scene.two.keyward.audit().follow(end);
        let created = scene.one.keyward.roles().create(NewRole::new(format!("{round}"))).await.unwrap();
        let event = next(&mut follow).await;
        assert_eq!(event.change, LifecycleChange::RoleCreated(created.id));
    }
    // From the first poll on. When that has read the end is not known, so changes are made until there is an event.
    let before = scene.log().await.last().unwrap().0;
    let mut follow = scene.two.keyward.audit().follow(Cursor::now());
    let (mut first, roles) = (Box::pin(next(&mut follow)), scene.one.keyward.roles());
    let event = loop {
        if let Ok(event) = tokio::time::timeout(Duration::from_millis(50), &mut first).await {
            break event;
        }
        roles.create(NewRole::new(format!("{}", scene.log().await.len()))).await.unwrap();
    };
    assert!(event.id > before, "the events before are not for it");
    drop(first);
    let after: Vec<i64> = scene.log().await.into_iter().map(|(id, _)| id).filter(|id| *id > event.id).collect();
    assert_eq!(take(&mut follow, after.len()).await.iter().map(|event| event.id).collect::<Vec<_>>(), after);
}

async fn deleted_events_that_were_not_read_are_a_gap<S: WriteStore + Clone>(scene: Scene<S>) {
    let audit = scene.one.keyward.audit();
    let role = async |n: u32| scene.one.keyward.roles().create(NewRole::new(format!("{n}"))).await.unwrap().id;
    let mut behind = scene.two.keyward.audit().follow(Cursor::start());
    role(1).await;
    let first = next(&mut behind).await;
    role(2).await;
    let second = follow_to_end(&scene.one.keyward, first.cursor).await.pop().unwrap();
    scene.clock.advance(2 * DAY);
    let third = role(3).await;
    assert_eq!(audit.delete_older_than(DAY).await.unwrap(), 2);

    // Who has read both has missed nothing.
    let rest = follow_to_end(&scene.two.keyward, second.cursor).await;
    assert_eq!(rest.iter().map(word).collect::<Vec<_>>(), ["RoleCreated", "Other"]);
    assert_eq!(rest[1].event.what, AuditAction::EventsDeleted);
    // A stream from the start begins with what there is.
    let kept = follow_to_end(&scene.two.keyward, Cursor::start()).await;
    assert_eq!(kept.iter().map(|event| event.id).collect::<Vec<_>>(), [rest[0].id, rest[1].id]);

    // Who has read one has missed one: whether the stream was open or is resumed.
    let mut resumed = scene.two.keyward.audit().follow(first.cursor);
    for follow in [&mut behind, &mut resumed] {
        let Some(Err(FollowError::Gap { cursor })) = item(follow).await else { panic!("there is a gap") };
        assert_eq!(next(follow).await.change, LifecycleChange::RoleCreated(third), "and the stream goes on");
        // The error comes again until its cursor is stored.
        let mut again = scene.two.keyward.audit().follow(first.cursor);
        assert!(matches!(item(&mut again).await, Some(Err(FollowError::Gap { .. }))));
        let mut after = scene.two.keyward.audit().follow(cursor.to_string().parse().unwrap());
        assert_eq!(next(&mut after).await.change, LifecycleChange::RoleCreated(third));
    }
    // Another gap is another error.
    let end = follow_to_end(&scene.two.keyward, first_gap(&scene, first.cursor).await).await.pop().unwrap().cursor;
    role(4).await;
    scene.clock.advance(2 * DAY);
    assert_eq!(audit.delete_older_than(DAY).await.unwrap(), 3);
    let mut follow = scene.two.keyward.audit().follow(end);
    assert!(matches!(item(&mut follow).await, Some(Err(FollowError::Gap { .. }))));
}

async fn first_gap<S: WriteStore + Clone>(scene: &Scene<S>, from: Cursor) -> Cursor {
    match item(&mut scene.two.keyward.audit().follow(from)).await {
        Some(Err(FollowError::Gap { cursor })) => cursor,
        other => panic!("{other:?}"),
    }
}

async fn cursor_of_another_log_is_rejected<S: WriteStore + Clone>(scene: Scene<S>) {
    let other = World::new();
    for n in 0..3 {
        other.clock.advance(DAY);
        other.keyward.roles().create(NewRole::new(format!("{n}"))).await.unwrap();
    }
    let cursors: Vec<Cursor> =
        follow_to_end(&other.keyward, Cursor::start()).await.into_iter().map(|event| event.cursor).collect();
    // The other log is longer, and then as long, with other events.
    for n in 0..3 {
        for cursor in &cursors {
            let mut follow = scene.two.keyward.audit().follow(*cursor);
            assert!(matches!(item(&mut follow).await, Some(Err(FollowError::Diverged))), "{n} {cursor}");
            assert!(item(&mut follow).await.is_none(), "the stream has ended");
        }
        scene.one.keyward.roles().create(NewRole::new(format!("{n}"))).await.unwrap();
    }
}

async fn actors_see_what_the_list_shows_them<S: WriteStore + Clone>(scene: Scene<S>) {
    let (one, two) = (&scene.one, &scene.two);
    let ada = one.editor().with("read").issue().await;
    let bob = one.editor().with("read").holds("admin::users.read").issue().await;
    let eve = one.editor().with("admin::admin-tokens.read").issue().await;
    let root = one.super_admin().issue().await;
    live(one).await;
    one.keyward.tokens().acting_as(Actor::Token(ada.id)).regenerate(ada.id).await.unwrap();
    let all = log(&one.keyward).await.len();
    let mut withheld = 0;
    for actor in [
        Actor::Person(ada.owner()),
        Actor::Person(bob.owner()),
        Actor::Person(root.owner()),
        Actor::Token(ada.id),
        Actor::Token(eve.id),
    ] {
        let audit = two.keyward.audit().acting_as(actor);
        let query = EventQuery { ascending: true, ..EventQuery::all(Paging { page: 1, page_size: 1_000 }) };
        let listed = audit.list(&query).await.unwrap().items;
        assert_eq!(listed.len(), all);
        let followed = take(&mut audit.follow(Cursor::start()), all).await;
        let raw: Vec<_> = followed.iter().map(|event| (event.id, event.event.clone())).collect();
        assert_eq!(raw, listed, "{actor:?}");
        for event in &followed {
            if let AuditTarget::Withheld(_) = event.event.target {
                withheld += 1;
                assert_eq!(event.change, LifecycleChange::Other);
            }
        }
    }
    assert!(withheld > 20, "{withheld}");
    let mut visitor = two.keyward.audit().acting_as(Actor::Visitor).follow(Cursor::start());
    assert!(matches!(item(&mut visitor).await, Some(Err(FollowError::Service(ServiceError::Forbidden(_))))));
    assert!(item(&mut visitor).await.is_none());
}

async fn follower_who_loses_the_account_gets_an_error<S: WriteStore + Clone>(scene: Scene<S>) {
    let ada = scene.one.super_admin().issue().await;
    let root = scene.one.super_admin().issue().await;
    let mut of_ada = scene.two.keyward.audit().acting_as(Actor::Person(ada.owner())).follow(Cursor::start());
    let mut of_key = scene.two.keyward.audit().acting_as(Actor::Token(root.id)).follow(Cursor::start());
    let count = scene.log().await.len();
    take(&mut of_ada, count).await;
    take(&mut of_key, count).await;
    scene.one.keyward.owners().set_state(ada.owner(), OwnerState::Deactivated).await.unwrap();
    scene.one.keyward.tokens().revoke(root.id).await.unwrap();
    for mut follow in [of_ada, of_key] {
        assert!(matches!(item(&mut follow).await, Some(Err(FollowError::Service(ServiceError::Forbidden(_))))));
        assert!(item(&mut follow).await.is_none());
    }
}

async fn shutdown_ends_the_stream<S: WriteStore + Clone>(scene: Scene<S>) {
    let Scene { one, two, .. } = &scene;
    for n in 0..5 {
        one.keyward.roles().create(NewRole::new(format!("{n}"))).await.unwrap();
    }
    // One waits at the end, one has events that it did not hand out, one has never read.
    let mut at_end = two.keyward.audit().follow(Cursor::start());
    take(&mut at_end, 5).await;
    let mut behind = two.keyward.audit().follow(Cursor::start());
    let last = take(&mut behind, 2).await.pop().unwrap();
    let mut new = two.keyward.audit().follow(Cursor::start());
    let waiting = tokio::spawn(async move {
        let end = item(&mut at_end).await.is_none();
        (end, at_end)
    });
    tokio::task::yield_now().await;
    two.keyward.shutdown().await;
    let (ended, mut at_end) = waiting.await.unwrap();
    assert!(ended);
    for follow in [&mut at_end, &mut behind, &mut new] {
        for _ in 0..2 {
            assert!(item(follow).await.is_none(), "it has ended, and stays so");
        }
    }
    // Nothing is lost: the position was not moved.
    let rest = follow_to_end(&one.keyward, last.cursor).await;
    assert_eq!(rest.len(), 3);
}

/// A world on a store that counts and fails, with the clock of tokio.
fn flaky() -> World<FlakyStore> {
    let clock = Arc::new(ManualClock::default());
    let store = FlakyStore::new(MemoryStore::with_clock(clock.clone()));
    World::on(store, clock, |builder| builder.policy(Policy::default()))
}

#[tokio::test(start_paused = true)]
async fn failing_store_is_asked_again_and_no_event_is_lost() {
    let world = flaky();
    let mut follow = world.keyward.audit().follow(Cursor::start());
    let mut seen = Vec::new();
    for n in 0..6 {
        world.keyward.roles().create(NewRole::new(format!("{n}"))).await.unwrap();
        world.store.fail_next(n);
        let began = Instant::now();
        seen.push(next(&mut follow).await.id);
        assert!(began.elapsed() < Duration::from_secs(10), "it was asked again after {:?}", began.elapsed());
        assert!(n == 0 || began.elapsed() >= Duration::from_millis(100), "with a pause");
    }
    assert_eq!(
        seen,
        world
            .keyward
            .audit()
            .list(&EventQuery::all(Paging::FIRST))
            .await
            .unwrap()
            .items
            .iter()
            .rev()
            .map(|(id, _)| *id)
            .collect::<Vec<_>>()
    );
}

#[tokio::test(start_paused = true)]
async fn stream_that_waits_for_nothing_reads_now_and_then_and_wakes_at_once() {
    let world = flaky();
    let mut follow = world.keyward.audit().follow(Cursor::start());
    let (views, began) = (world.store.views(), Instant::now());
    let waited = tokio::time::timeout(Duration::from_secs(600), follow.next()).await;
    assert!(waited.is_err(), "{waited:?}");
    let reads = world.store.views() - views;
    assert!((200..=302).contains(&reads), "one in two seconds: {reads}");
    // A commit of this node wakes it without a delay.
    let (woken, _) = tokio::join!(
        async {
            next(&mut follow).await;
            began.elapsed()
        },
        async {
            tokio::task::yield_now().await;
            world.keyward.roles().create(NewRole::new("a")).await.unwrap();
        }
    );
    assert!(woken < Duration::from_millis(600_002), "{woken:?}");
}

#[tokio::test]
async fn pages_are_read_when_they_are_asked_for() {
    let world = flaky();
    for n in 0..250 {
        world.keyward.roles().create(NewRole::new(format!("{n}"))).await.unwrap();
    }
    let before = world.store.views();
    let mut follow = world.keyward.audit().follow(Cursor::start());
    assert_eq!(world.store.views(), before, "nothing is read before the first poll");
    for (events, views) in [(1, 1), (99, 1), (1, 2), (99, 2), (50, 3)] {
        take(&mut follow, events).await;
        assert_eq!(world.store.views() - before, views);
    }
}

/// A page that was read for a person must not outlive the person's rights by more than the staleness bound.
#[tokio::test]
async fn page_of_an_actor_is_not_kept_for_long() {
    let world = World::with(|builder| builder.policy(policy(None)));
    let ada = world.super_admin().issue().await;
    world.super_admin().issue().await;
    for n in 0..5 {
        world.keyward.roles().create(NewRole::new(format!("{n}"))).await.unwrap();
    }
    let mut follow = world.keyward.audit().acting_as(Actor::Person(ada.owner())).follow(Cursor::start());
    take(&mut follow, 3).await;
    world.keyward.owners().set_roles(ada.owner(), vec![]).await.unwrap();
    world.clock.advance(Duration::from_secs(3));
    let event = next(&mut follow).await;
    assert!(matches!(event.event.target, AuditTarget::Withheld(_)), "{event:?}");
    world.keyward.owners().set_roles(ada.owner(), vec![RoleId::SUPER_ADMIN]).await.unwrap();
    world.keyward.owners().set_state(ada.owner(), OwnerState::Blocked).await.unwrap();
    world.clock.advance(Duration::from_secs(3));
    assert!(matches!(item(&mut follow).await, Some(Err(FollowError::Service(ServiceError::Forbidden(_))))));
}
