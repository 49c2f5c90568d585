//! Responses that go on for long end when the credential of their request does.

use axum::body::{Body, BodyDataStream};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream::{self, Stream, StreamExt};
use http::{Request, header};
use keyward::guard::EndStreams;
use keyward::testing::{Key, World};
use keyward::{AdminAuth, AuthContext, Group, GuardedRouter, Permission, action, authenticated};
use keyward_test_support::log;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use tower::ServiceExt;

const READ: &str = "admin::webhooks.read";
const CREATE: &str = "admin::webhooks.create";

/// A stream that says hello and then nothing, for ever.
fn hello<T>(hello: T) -> impl Stream<Item = Result<T, Infallible>> {
    stream::iter([Ok(hello)]).chain(stream::pending())
}

async fn events() -> impl IntoResponse {
    Sse::new(hello(Event::default().data("hello")))
}

async fn lines() -> Response {
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(hello("{}\n"))).into_response()
}

async fn editor_with(world: &World, actions: &[&str]) -> Key {
    actions.iter().fold(world.editor(), |editor, action| editor.with(*action)).issue().await
}

/// Requests a stream, and returns its frames after the first one.
async fn open(world: &World, routes: GuardedRouter, path: &str, key: Option<&Key>) -> BodyDataStream {
    let mut request = Request::get(path);
    if let Some(key) = key {
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", key.secret.expose()));
    }
    let response = world.keyward.guard(routes).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    let mut frames = response.into_body().into_data_stream();
    frames.next().await.unwrap().unwrap();
    frames
}

/// Requests an event stream, and returns its frames after the first one, with the context that its handler kept.
async fn open_with_context(world: &World, key: &Key) -> (BodyDataStream, AuthContext) {
    let kept: Arc<Mutex<Option<AuthContext>>> = Arc::default();
    let keep = kept.clone();
    let stream = move |auth: AdminAuth| async move {
        *keep.lock().unwrap() = Some(auth.0);
        events().await
    };
    let routes = GuardedRouter::new().route("/admin/events", action(READ), get(stream));
    let frames = open(world, routes, "/admin/events", Some(key)).await;
    let auth = kept.lock().unwrap().take().unwrap();
    (frames, auth)
}

/// Asserts that nothing has ended the stream, also after other tasks have run.
async fn assert_open(frames: &mut BodyDataStream) {
    for _ in 0..20 {
        let polled = std::future::poll_fn(|cx| Poll::Ready(frames.poll_next_unpin(cx).map(|frame| frame.is_some())));
        assert_eq!(polled.await, Poll::Pending);
        tokio::task::yield_now().await;
    }
}

async fn assert_ends(mut frames: BodyDataStream) {
    assert!(frames.next().await.is_none(), "the stream ends without another frame or an error");
}

async fn set_permissions(world: &World, key: &Key, actions: &[&str]) {
    let permissions: Vec<_> = actions.iter().map(|action| Permission::new(*action)).collect();
    world.keyward.roles().set_permissions(key.role(), permissions).await.unwrap();
}

#[tokio::test]
async fn event_stream_ends_with_its_token() {
    let world = World::new();
    let key = world.editor().with(READ).issue().await;
    let routes = GuardedRouter::new().route("/admin/events", action(READ), get(events));
    let mut frames = open(&world, routes, "/admin/events", Some(&key)).await;
    set_permissions(&world, &key, &[READ, CREATE]).await;
    assert_open(&mut frames).await;
    world.keyward.tokens().revoke(key.id).await.unwrap();
    assert_ends(frames).await;
}

#[tokio::test]
async fn event_stream_ends_with_each_requirement_of_its_request() {
    // More requirements than have a number, so that both kinds are here.
    let many: Vec<_> = (0..40).map(|n| format!("admin::many-{n}.read")).collect();
    let floor = Group::admin("/floor").floor(action(READ));
    let world = World::with(|builder| builder.group(floor.clone()));
    let all: Vec<_> = many.iter().map(String::as_str).chain([READ]).collect();
    for required in &all {
        let key = editor_with(&world, &all).await;
        let routes = GuardedRouter::new().route("/admin/route", action(*required), get(events)).route(
            "/floor/events",
            authenticated(),
            get(events),
        );
        let path = if *required == READ { "/floor/events" } else { "/admin/route" };
        let mut frames = open(&world, routes, path, Some(&key)).await;
        set_permissions(&world, &key, &all).await;
        assert_open(&mut frames).await;
        let others: Vec<_> = all.iter().filter(|action| *action != required).copied().collect();
        set_permissions(&world, &key, &others).await;
        assert_ends(frames).await;
    }
}

#[tokio::test]
async fn event_stream_ends_with_a_requirement_that_was_added_after_its_head() {
    let world = World::new();
    let key = editor_with(&world, &[READ, CREATE]).await;
    let (mut frames, auth) = open_with_context(&world, &key).await;
    assert_open(&mut frames).await;
    assert!(auth.admit(&action("admin::other.read")).await.is_err());
    auth.admit(&action(CREATE)).await.unwrap();
    set_permissions(&world, &key, &[READ]).await;
    assert_ends(frames).await;
    auth.revoked().await;
    assert!(auth.revalidate().await.is_err());
}

#[tokio::test]
async fn a_step_of_a_stream_is_admitted_by_what_its_caller_may_do_then() {
    let world = World::new();
    let key = editor_with(&world, &[READ, CREATE]).await;
    let (mut frames, auth) = open_with_context(&world, &key).await;
    set_permissions(&world, &key, &[READ]).await;
    assert!(auth.admit(&action(CREATE)).await.is_err());
    assert_open(&mut frames).await;
}

#[tokio::test]
async fn other_streams_end_if_their_group_says_so() {
    for (end, path, ends) in [
        (EndStreams::EventStreams, "/streams/events", true),
        (EndStreams::EventStreams, "/streams/lines", false),
        (EndStreams::All, "/streams/events", true),
        (EndStreams::All, "/streams/lines", true),
        (EndStreams::Never, "/streams/events", false),
        (EndStreams::Never, "/streams/lines", false),
    ] {
        let world = World::with(|builder| builder.group(Group::admin("/streams").end_streams(end)));
        let key = world.editor().with(READ).issue().await;
        let routes = GuardedRouter::new().route("/streams/events", action(READ), get(events)).route(
            "/streams/lines",
            action(READ),
            get(lines),
        );
        let mut frames = open(&world, routes, path, Some(&key)).await;
        world.keyward.tokens().revoke(key.id).await.unwrap();
        match ends {
            true => assert_ends(frames).await,
            false => assert_open(&mut frames).await,
        }
    }
}

#[tokio::test]
async fn event_stream_of_the_public_goes_on() {
    let world = World::with(|builder| builder.group(Group::content("/open").public_actions([READ])));
    let key = world.editor().with(READ).issue().await;
    let routes = GuardedRouter::new().route("/open/events", action(READ), get(events));
    let mut frames = open(&world, routes, "/open/events", None).await;
    world.keyward.tokens().revoke(key.id).await.unwrap();
    assert_open(&mut frames).await;
}

#[tokio::test]
async fn complete_response_keeps_its_length() {
    let world = World::with(|builder| builder.group(Group::admin("/all").end_streams(EndStreams::All)));
    let key = world.editor().with(READ).issue().await;
    let routes = GuardedRouter::new().route(
        "/all/event",
        action(READ),
        get(|| async { ([(header::CONTENT_TYPE, "text/event-stream")], "data: x\n\n") }),
    );
    let request = Request::get("/all/event").header(header::AUTHORIZATION, format!("Bearer {}", key.secret.expose()));
    let response = world.keyward.guard(routes).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(http_body::Body::size_hint(response.body()).exact(), Some(9));
}

#[tokio::test]
async fn requirement_that_fails_after_the_head_is_logged() {
    let (log, _guard) = log::capture();
    let world = World::new();
    let key = world.editor().with(READ).issue().await;
    let (_frames, auth) = open_with_context(&world, &key).await;
    auth.require(&action("admin::other.read")).unwrap_err();
    let logged = log.text();
    assert!(logged.contains("its status has left") && logged.contains("admin::other.read"), "{logged}");
}
