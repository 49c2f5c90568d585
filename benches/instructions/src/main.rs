//! Sends requests of one sort through one service, so that valgrind can count what they cost and `perf` sample where. See `run`
//! beside this.
//!
//! Arguments: the sort, and how often each request is sent. Without the second each is sent once, secrets are the same every time, and
//! time stands still (under valgrind the crate that reads the system's clock finds none). It says how many requests were sent in
//! [`measured`].

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../../gate/plain.rs"]
mod plain;
#[path = "../../gate/world.rs"]
#[allow(dead_code, reason = "what sends requests for a minute is not needed here")]
mod world;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use keyward::time::{Clock, MonotonicTime, Timestamp};
use keyward::token::{Entropy, NoEntropy};
use keyward::{GuardedRouter, Keyward, Permission, Require, RoleId, action, authenticated};
use plain::{NoOp, Plain};
use std::future::poll_fn;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use tower_layer::{Layer, layer_fn};
use tower_service::Service;
use world::{ACTION, PATH, Rows, request};

/// Sent in one go.
const GROUP: usize = 8;
const TOKENS: usize = 64;

type NoBody = Empty<Bytes>;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let sort = arguments.next().unwrap_or_default();
    let times: Option<usize> = arguments.next().map(|times| times.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    let builder = world::builder(Rows::default(), TOKENS);
    let keyward = match times {
        Some(_) => builder.build().unwrap(),
        None => builder.clock(Arc::new(Still)).entropy(Arc::new(Counting::default())).build().unwrap(),
    };
    let times = times.unwrap_or(1);
    let secrets = runtime.block_on(world::issue(&keyward, TOKENS));
    let warm = || runtime.block_on(ask(alone(&keyward), &secrets));
    let sent = match sort.as_str() {
        "plain" => at_once(NoOp(Plain), 200, times, &secrets, request::<NoBody>),
        "hit" => {
            warm();
            at_once(alone(&keyward), 200, times, &secrets, request::<NoBody>)
        }
        "router" => at_once(no_ops(), 200, times, &secrets, request::<Body>),
        "hit-router" => {
            warm();
            at_once(guarded(&keyward), 200, times, &secrets, request::<Body>)
        }
        "refused-made-up" => {
            let forged: Vec<_> = secrets.iter().map(|s| forge(s)).collect();
            at_once(alone(&keyward), 401, times, &forged, request::<NoBody>)
        }
        "refused-malformed" => {
            let malformed: Vec<_> = secrets.iter().map(|s| format!("{s},")).collect();
            at_once(alone(&keyward), 401, times, &malformed, request::<NoBody>)
        }
        "refused-missing" => at_once(alone(&keyward), 401, times, &secrets, |_| request::<NoBody>(None)),
        "refused-forbidden" => {
            warm();
            let service = keyward.wrap(Require::new(action("admin::other.read")).layer(Plain));
            at_once(service, 403, times, &secrets, request::<NoBody>)
        }
        "miss" => {
            // Everything else that is done once, by another token.
            runtime.block_on(ask(alone(&keyward), &secrets[..1]));
            let requests: Vec<_> = secrets[1..].iter().map(|secret| request::<NoBody>(Some(secret))).collect();
            let sent = requests.len();
            measured(|| runtime.block_on(all(alone(&keyward), requests)));
            sent
        }
        "clamp" => {
            measured(|| runtime.block_on(narrow_every_role(&keyward)));
            TOKENS
        }
        other => panic!("what is {other:?}?"),
    };
    println!("{sent}");
}

/// A clock that stands still.
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp(1_800_000_000_000)
    }

    fn moment(&self) -> MonotonicTime {
        MonotonicTime(1_000_000_000_000)
    }
}

/// The same secrets every time.
#[derive(Default)]
struct Counting(AtomicU64);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        for chunk in bytes.chunks_mut(8) {
            let n = self.0.fetch_add(1, Ordering::Relaxed) + 1;
            let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            chunk.copy_from_slice(&mixed.to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

/// What is counted: everything in here. It has a name that a tool can find.
#[inline(never)]
fn measured<T>(work: impl FnOnce() -> T) -> T {
    black_box(work())
}

fn at_once<S, B, ResBody>(
    mut service: S,
    status: u16,
    times: usize,
    credentials: &[String],
    build: impl Fn(Option<&str>) -> Request<B>,
) -> usize
where
    S: Service<Request<B>, Response = Response<ResBody>>,
{
    let mut waiting = Vec::with_capacity(GROUP);
    let mut send = |credentials: &[String], count: bool| {
        waiting.extend(credentials.iter().map(|credential| build(Some(credential))));
        let mut send = || waiting.drain(..).for_each(|request| answer(&mut service, request, status));
        if count { measured(send) } else { send() }
    };
    credentials.chunks(GROUP).for_each(|group| send(group, false));
    for _ in 0..times {
        credentials.chunks(GROUP).for_each(|group| send(group, true));
    }
    times * credentials.len()
}

fn answer<S, B, ResBody>(service: &mut S, request: Request<B>, status: u16)
where
    S: Service<Request<B>, Response = Response<ResBody>>,
{
    let mut future = pin!(service.call(request));
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(response)) => assert_eq!(black_box(&response).status().as_u16(), status),
        Poll::Ready(Err(_)) => panic!("a service failed"),
        Poll::Pending => panic!("a service had to wait: is the token not cached?"),
    }
}

async fn ask<S, ResBody>(service: S, secrets: &[String])
where
    S: Service<Request<NoBody>, Response = Response<ResBody>>,
{
    all(service, secrets.iter().map(|secret| request(Some(secret))).collect()).await;
}

async fn all<S, ResBody>(mut service: S, requests: Vec<Request<NoBody>>)
where
    S: Service<Request<NoBody>, Response = Response<ResBody>>,
{
    for request in requests {
        let ready = poll_fn(|cx| service.poll_ready(cx)).await;
        assert!(ready.is_ok());
        let answered = service.call(request).await;
        assert!(answered.is_ok_and(|response| response.status() == 200));
    }
}

/// Takes one of the three permissions that its tokens carry from every role.
async fn narrow_every_role(keyward: &Keyward) {
    for (role, _) in keyward.roles().list().await.unwrap() {
        if role.id == RoleId::SUPER_ADMIN {
            continue;
        }
        let fewer: Vec<Permission> =
            role.permissions.into_iter().filter(|p| p.scope.action.as_str() != ACTION).collect();
        keyward.roles().set_permissions(role.id, fewer).await.unwrap();
    }
}

fn alone(keyward: &Keyward) -> keyward::guard::GateService<keyward::guard::RequireService<Plain>> {
    keyward.wrap(Require::new(authenticated()).layer(Plain))
}

fn guarded(keyward: &Keyward) -> keyward::guard::GateService<Router> {
    keyward.guard(GuardedRouter::new().route(PATH, action(ACTION), get(ok)))
}

fn no_ops() -> NoOp<Router> {
    NoOp(Router::new().route(PATH, get(ok).route_layer(layer_fn(NoOp))).with_state(()))
}

async fn ok() -> &'static str {
    "[]"
}

/// The same secret with another check: our format, not ours.
fn forge(secret: &str) -> String {
    let (rest, last) = secret.split_at(secret.len() - 1);
    format!("{rest}{}", if last == "x" { "y" } else { "x" })
}
