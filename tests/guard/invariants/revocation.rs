//! next-request (`docs/invariants.md`): after the response to a change, the next request on that node is judged by it.

use crate::invariants::shim;
use axum::routing::get;
use keyward::admin::{OwnerState, ServiceError};
use keyward::authz::{ConditionClause, Conditions, Predicate};
use keyward::guard::{InvalidCredential, Limits, Reason};
use keyward::store::{StoreError, WriteStore};
use keyward::testing::SecretFormat;
use keyward::testing::TokenKinds;
use keyward::testing::{App, HASH_KEY, Key, World};
use keyward::token::{ContentAccess, TokenAuthority, TokenPrefix};
use keyward::{GuardedRouter, HashKey, Permission, action, authenticated};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

fn app<S: WriteStore + Clone>(world: &World<S>) -> App {
    world.guard(
        GuardedRouter::new()
            .route("/admin/hooks", action("admin::webhooks.read"), get(|| async {}))
            .route("/admin/any", authenticated(), get(|| async {}))
            .route("/api/x", action("api::article.article.find"), get(|| async {})),
    )
}

const UNKNOWN: Reason = Reason::Invalid(InvalidCredential::Unknown);

#[tokio::test]
async fn revoked_token_is_rejected_by_the_next_request() {
    let world = World::new();
    let app = app(&world);
    let key = world.editor().with("admin::webhooks.read").issue().await;
    let content = world.content(ContentAccess::ReadOnly).await;
    app.get("/admin/hooks").bearer(&key.secret).await.assert_ok();
    app.get("/api/x").bearer(&content.secret).await.assert_ok();
    world.keyward.tokens().revoke(key.id).await.unwrap();
    app.get("/admin/hooks").bearer(&key.secret).await.assert_rejected(UNKNOWN);
    app.get("/api/x").bearer(&content.secret).await.assert_ok();
    world.keyward.tokens().revoke(content.id).await.unwrap();
    app.get("/api/x").bearer(&content.secret).await.assert_rejected(UNKNOWN);
}

#[tokio::test]
async fn deactivated_owner_is_rejected_and_reactivated_owner_accepted_by_the_next_request() {
    let world = World::new();
    let app = app(&world);
    let key = world.editor().with("admin::webhooks.read").issue().await;
    let owners = world.keyward.owners();
    let set = |state| owners.set_state(key.owner(), state);
    app.get("/admin/hooks").bearer(&key.secret).await.assert_ok();
    for off in [OwnerState::Deactivated, OwnerState::Blocked] {
        set(off).await.unwrap();
        app.get("/admin/hooks").bearer(&key.secret).await.assert_rejected(Reason::OwnerInactive).assert_status(401);
        set(OwnerState::Active).await.unwrap();
        app.get("/admin/hooks").bearer(&key.secret).await.assert_ok();
    }
}

#[tokio::test]
async fn sessions_of_a_deactivated_owner_do_not_revive() {
    let world = World::new();
    let app = app(&world);
    let session = world.editor().sign_in().await;
    app.get("/admin/any").bearer(&session.secret).await.assert_ok();
    for state in [OwnerState::Deactivated, OwnerState::Active] {
        world.keyward.owners().set_state(session.owner(), state).await.unwrap();
        app.get("/admin/any").bearer(&session.secret).await.assert_rejected(UNKNOWN);
    }
}

#[tokio::test]
async fn role_changes_and_assignments_apply_to_the_next_request() {
    let world = World::new();
    let app = app(&world);
    let status = async |key: &Key| app.get("/admin/hooks").bearer(&key.secret).await.status.as_u16();
    let (shrunk, taken) = (
        world.editor().with("admin::webhooks.read").issue().await,
        world.editor().with("admin::webhooks.read").issue().await,
    );
    assert_eq!((status(&shrunk).await, status(&taken).await), (200, 200));
    world.keyward.roles().set_permissions(shrunk.role(), vec![]).await.unwrap();
    assert_eq!((status(&shrunk).await, status(&taken).await), (403, 200));
    world.keyward.owners().set_roles(taken.owner(), vec![]).await.unwrap();
    assert_eq!((status(&shrunk).await, status(&taken).await), (403, 403));
}

#[tokio::test]
async fn negative_cache_entry_is_dropped_when_the_token_is_issued() {
    let world = World::new();
    let app = app(&world);
    // The same seed makes the same secrets: look up the next one before it is issued.
    let twin = World::new();
    let early = twin.content(ContentAccess::ReadOnly).await.secret;
    app.get("/api/x").bearer(&early).await.assert_rejected(UNKNOWN);
    let key = world.content(ContentAccess::ReadOnly).await.secret;
    assert_eq!(early.expose(), key.expose());
    app.get("/api/x").bearer(&key).await.assert_ok();
}

#[tokio::test]
async fn disconnected_client_does_not_stop_the_change() {
    let world = World::new();
    let app = app(&world);
    let key = world.editor().with("admin::webhooks.read").issue().await;
    app.get("/admin/hooks").bearer(&key.secret).await.assert_ok();
    {
        let tokens = world.keyward.tokens();
        let mut revoke = std::pin::pin!(tokens.revoke(key.id));
        std::future::poll_fn(|cx| {
            assert!(revoke.as_mut().poll(cx).is_pending(), "the change must be pending when its future is dropped");
            Poll::Ready(())
        })
        .await;
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    app.get("/admin/hooks").bearer(&key.secret).await.assert_rejected(UNKNOWN);
}

#[tokio::test]
async fn revoked_token_is_rejected_by_a_stale_cache_fill() {
    let (world, shim) = shim::world(|b| b);
    let app = app(&world);
    let key = world.editor().with("admin::webhooks.read").issue().await;
    let mut stopped = shim.pause();
    let request = tokio::spawn(app.get("/admin/hooks").bearer(&key.secret).into_future());
    stopped.recv().await.unwrap();
    // The stopped loader holds a snapshot in which the token is valid.
    world.keyward.tokens().revoke(key.id).await.unwrap();
    shim.flow();
    shim.resume();
    request.await.unwrap().assert_rejected(UNKNOWN);
    assert_eq!(shim.reads(), 2, "the snapshot was stale, so the token was read again");
    app.get("/admin/hooks").bearer(&key.secret).await.assert_rejected(UNKNOWN);
}

#[tokio::test]
async fn request_that_joins_an_older_look_up_is_judged_by_the_new_state() {
    let (world, shim) = shim::world(|b| b);
    let app = app(&world);
    let key = world.editor().with("admin::webhooks.read").issue().await;
    let mut stopped = shim.pause();
    let early = tokio::spawn(app.get("/admin/hooks").bearer(&key.secret).into_future());
    stopped.recv().await.unwrap();
    world.keyward.owners().set_state(key.owner(), OwnerState::Deactivated).await.unwrap();
    let late = tokio::spawn(app.get("/admin/hooks").bearer(&key.secret).into_future());
    tokio::task::yield_now().await;
    shim.flow();
    shim.resume();
    early.await.unwrap().assert_rejected(Reason::OwnerInactive);
    late.await.unwrap().assert_rejected(Reason::OwnerInactive);
}

#[tokio::test]
async fn long_response_ends_after_a_revocation() {
    let world = World::new();
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let app = world.guard(GuardedRouter::new().route(
        "/admin/stream",
        action("admin::webhooks.read"),
        get(move |auth: keyward::AdminAuth| async move { sender.send(auth.0).unwrap() }),
    ));
    let key = world.editor().with("admin::webhooks.read").issue().await;
    app.get("/admin/stream").bearer(&key.secret).await.assert_ok();
    let auth = receiver.recv().await.unwrap();
    let mut revoked = std::pin::pin!(auth.revoked());
    let mut pending = async || std::future::poll_fn(|cx| Poll::Ready(revoked.as_mut().poll(cx).is_pending())).await;
    assert!(pending().await);

    let more = ["admin::webhooks.read", "admin::webhooks.create"].map(Permission::new).to_vec();
    world.keyward.roles().set_permissions(key.role(), more).await.unwrap();
    for _ in 0..20 {
        assert!(pending().await, "a change that removes nothing ends no response");
        tokio::task::yield_now().await;
    }
    world.keyward.roles().set_permissions(key.role(), vec![]).await.unwrap();
    revoked.await;
}

#[tokio::test(start_paused = true)]
async fn long_response_ends_when_a_handlers_requirement_is_lost() {
    let world = World::new();
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let app = world.guard(GuardedRouter::new().route(
        "/admin/stream",
        authenticated(),
        get(move |auth: keyward::AdminAuth| async move {
            auth.require(&action("admin::webhooks.read"))?;
            sender.send(auth.0).unwrap();
            Ok::<_, keyward::guard::Forbidden>(())
        }),
    ));
    let key = world.editor().with("admin::webhooks.read").issue().await;
    app.get("/admin/stream").bearer(&key.secret).await.assert_ok();
    let auth = receiver.recv().await.unwrap();
    let mut revoked = std::pin::pin!(auth.revoked());
    let minutes = |n: u64| Duration::from_secs(60 * n);
    assert!(tokio::time::timeout(minutes(10), revoked.as_mut()).await.is_err(), "no permission was removed");
    world.keyward.roles().set_permissions(key.role(), vec![]).await.unwrap();
    assert!(tokio::time::timeout(minutes(10), revoked).await.is_ok());
}

/// The connection breaks at the commit. Everything that depends on the change is reloaded, as the change may have happened.
#[tokio::test]
async fn uncertain_commit_that_happened_applies() {
    let (world, shim) = shim::world(|b| b);
    let app = app(&world);
    let key = world.editor().with("admin::webhooks.read").issue().await;
    let request = async || app.get("/admin/hooks").bearer(&key.secret).await;
    let unknown = |error| matches!(error, ServiceError::Store(StoreError::Unknown(_)));
    request().await.assert_ok();
    shim.lose_sight(true);
    assert!(unknown(world.keyward.roles().set_permissions(key.role(), vec![]).await.unwrap_err()));
    request().await.assert_rejected(Reason::Forbidden);
    let owners = world.keyward.owners();
    shim.lose_sight(true);
    assert!(unknown(owners.set_state(key.owner(), OwnerState::Deactivated).await.unwrap_err()));
    request().await.assert_rejected(Reason::OwnerInactive);
    shim.lose_sight(true);
    assert!(unknown(world.keyward.tokens().revoke(key.id).await.unwrap_err()));
    request().await.assert_rejected(UNKNOWN);
}

/// Until the outcome is known, the affected token is not accepted; then everything is as before.
#[tokio::test(start_paused = true)]
async fn uncertain_commit_that_did_not_happen_changes_nothing() {
    let (world, shim) = shim::world(|b| b);
    let app = app(&world);
    let key = world.editor().issue().await;
    app.get("/admin/any").bearer(&key.secret).await.assert_ok();
    shim.lose_sight(false);
    world.keyward.tokens().revoke(key.id).await.unwrap_err();
    app.get("/admin/any").bearer(&key.secret).await.assert_ok();
}

#[tokio::test]
async fn revoked_token_is_looked_up_once() {
    let (world, shim) = shim::world(|b| b);
    let app = app(&world);
    let key = world.editor().issue().await;
    app.get("/admin/any").bearer(&key.secret).await.assert_ok();
    world.keyward.tokens().revoke(key.id).await.unwrap();
    let before = shim.reads();
    for _ in 0..3 {
        app.get("/admin/any").bearer(&key.secret).await.assert_rejected(UNKNOWN);
    }
    assert_eq!(shim.reads() - before, 1, "its absence is cached, and nothing else of it");
}

#[tokio::test]
async fn negative_cache_entry_expires_after_five_seconds() {
    let (world, shim) = shim::world(|b| b);
    let app = app(&world);
    // The same seed makes the same secrets.
    let twin = World::new().content(ContentAccess::ReadOnly).await.secret;
    let request = async || app.get("/api/x").bearer(&twin).await;
    request().await.assert_rejected(UNKNOWN);
    let format = SecretFormat::new(&TokenPrefix::default(), HashKey::parse(HASH_KEY).unwrap());
    let digest = format.verify(twin.expose(), TokenKinds::CONTENT).unwrap().digest;
    shim::insert(&shim.inner, digest, TokenAuthority::Content { access: ContentAccess::ReadOnly }).await;
    world.clock.advance(Limits::default().absent_for - Duration::from_millis(1));
    request().await.assert_rejected(UNKNOWN);
    assert_eq!(shim.reads(), 1, "remembered");
    world.clock.advance(Duration::from_millis(1));
    request().await.assert_ok();
    assert_eq!(shim.reads(), 2);
}

/// A long response checks its permission again and looks up the owner's condition. The revocation comes after this check and before
/// the response waits for the next change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revocation_during_a_recheck_of_a_long_response_is_not_lost() {
    type Once = Option<Box<dyn FnOnce() + Send>>;
    let during: Arc<Mutex<Once>> = Arc::default();
    let hook = during.clone();
    let (world, _) = shim::world(|b| {
        b.conditions(Conditions::default().register("test::hook", move |_| {
            let once = hook.lock().unwrap().take();
            if let Some(once) = once {
                once();
            }
            Predicate::Always
        }))
    });
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let app = world.guard(GuardedRouter::new().route(
        "/admin/stream",
        action("read").on("article"),
        get(move |auth: keyward::AdminAuth, _: keyward::Decision| async move { sender.send(auth.0).unwrap() }),
    ));
    let read = Permission::new("read").on("article").when(ConditionClause::from_list(["test::hook"]));
    let key = world.editor().with(read.clone()).issue().await;
    app.get("/admin/stream").bearer(&key.secret).await.assert_ok();
    let auth = receiver.recv().await.unwrap();
    let mut revoked = std::pin::pin!(auth.revoked());
    assert!(std::future::poll_fn(|cx| Poll::Ready(revoked.as_mut().poll(cx).is_pending())).await);

    let (tokens, runtime) = (world.keyward.tokens(), tokio::runtime::Handle::current());
    *during.lock().unwrap() = Some(Box::new(move || {
        tokio::task::block_in_place(|| runtime.block_on(tokens.revoke(key.id))).unwrap();
    }));
    // This removes nothing; it makes the response check again.
    let more = vec![read, Permission::new("admin::webhooks.create")];
    world.keyward.roles().set_permissions(key.role(), more).await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), revoked).await.expect("the response waited for its next check");
    assert!(during.lock().unwrap().is_none(), "the revocation was staged");
}
