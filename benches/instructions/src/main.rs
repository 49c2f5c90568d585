//! Sends requests of one case through one service, so that valgrind can count instructions and `perf` can sample.
//! `../run` starts it.
//!
//! Arguments: the case, and how often each request is sent. Without the second argument each is sent once, the secrets
//! are the same in every run, and the clock stands still (under valgrind the system's clock cannot be read). The
//! program prints the number of requests that were sent in [`measure`].

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../../gate/plain.rs"]
mod plain;
#[path = "../../gate/world.rs"]
#[allow(dead_code, reason = "only a part is used here")]
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

/// The number of requests that are built, then sent.
const GROUP: usize = 8;
const TOKENS: usize = 64;

type NoBody = Empty<Bytes>;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let case = arguments.next().unwrap_or_default();
    let times: Option<usize> = arguments.next().map(|times| times.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _context = runtime.enter();
    let builder = world::builder(Rows::default(), TOKENS);
    let keyward = match times {
        Some(_) => builder.build().unwrap(),
        None => builder.clock(Arc::new(FrozenClock)).entropy(Arc::new(FixedEntropy::default())).build().unwrap(),
    };
    let times = times.unwrap_or(1);
    let secrets = runtime.block_on(world::issue(&keyward, TOKENS));
    let warm_up = || runtime.block_on(send_secrets(wrap_plain(&keyward), &secrets));
    let sent = match case.as_str() {
        "plain" => send_each(NoOp(Plain), 200, times, &secrets, request::<NoBody>),
        "hit" => {
            warm_up();
            send_each(wrap_plain(&keyward), 200, times, &secrets, request::<NoBody>)
        }
        "router" => send_each(layer_router(), 200, times, &secrets, request::<Body>),
        "hit-router" => {
            warm_up();
            send_each(guard_router(&keyward), 200, times, &secrets, request::<Body>)
        }
        "handler" => send_each(NoOp(build_router()), 200, times, &secrets, request::<Body>),
        "hit-handler" => {
            warm_up();
            send_each(guard_handler(&keyward), 200, times, &secrets, request::<Body>)
        }
        "refused-made-up" => {
            let forged: Vec<_> = secrets.iter().map(|s| forge(s)).collect();
            send_each(wrap_plain(&keyward), 401, times, &forged, request::<NoBody>)
        }
        "refused-malformed" => {
            let malformed: Vec<_> = secrets.iter().map(|s| format!("{s},")).collect();
            send_each(wrap_plain(&keyward), 401, times, &malformed, request::<NoBody>)
        }
        "refused-missing" => send_each(wrap_plain(&keyward), 401, times, &secrets, |_| request::<NoBody>(None)),
        "refused-forbidden" => {
            warm_up();
            let service = keyward.wrap(Require::new(action("admin::other.read")).layer(Plain));
            send_each(service, 403, times, &secrets, request::<NoBody>)
        }
        "miss" => {
            // Another token first, for everything that is done once.
            runtime.block_on(send_secrets(wrap_plain(&keyward), &secrets[..1]));
            let requests: Vec<_> = secrets[1..].iter().map(|secret| request::<NoBody>(Some(secret))).collect();
            let sent = requests.len();
            measure(|| runtime.block_on(send_all(wrap_plain(&keyward), requests)));
            sent
        }
        "clamp" => {
            measure(|| runtime.block_on(clamp_every_role(&keyward)));
            TOKENS
        }
        other => panic!("unknown case {other:?}: see ROWS in benches/instructions/run"),
    };
    println!("{sent}");
}

/// A clock that stands still.
struct FrozenClock;

impl Clock for FrozenClock {
    fn now(&self) -> Timestamp {
        Timestamp(1_800_000_000_000)
    }

    fn moment(&self) -> MonotonicTime {
        MonotonicTime(1_000_000_000_000)
    }
}

/// Entropy that is the same in every run.
#[derive(Default)]
struct FixedEntropy(AtomicU64);

impl Entropy for FixedEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        for chunk in bytes.chunks_mut(8) {
            let n = self.0.fetch_add(1, Ordering::Relaxed) + 1;
            let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            chunk.copy_from_slice(&mixed.to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

/// Does the work whose instructions are counted. `run` finds it by its name.
#[inline(never)]
fn measure<T>(work: impl FnOnce() -> T) -> T {
    black_box(work())
}

/// Sends the requests of these credentials this many times, after once without measuring, and returns the number of
/// measured ones.
fn send_each<S, B, ResBody>(
    mut service: S,
    status: u16,
    times: usize,
    credentials: &[String],
    build: impl Fn(Option<&str>) -> Request<B>,
) -> usize
where
    S: Service<Request<B>, Response = Response<ResBody>>,
{
    let mut requests = Vec::with_capacity(GROUP);
    let mut send = |credentials: &[String], count: bool| {
        requests.extend(credentials.iter().map(|credential| build(Some(credential))));
        let mut send = || requests.drain(..).for_each(|request| call(&mut service, request, status));
        if count { measure(send) } else { send() }
    };
    credentials.chunks(GROUP).for_each(|group| send(group, false));
    for _ in 0..times {
        credentials.chunks(GROUP).for_each(|group| send(group, true));
    }
    times * credentials.len()
}

fn call<S, B, ResBody>(service: &mut S, request: Request<B>, status: u16)
where
    S: Service<Request<B>, Response = Response<ResBody>>,
{
    let mut future = pin!(service.call(request));
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(response)) => assert_eq!(black_box(&response).status().as_u16(), status),
        Poll::Ready(Err(_)) => panic!("the service failed"),
        Poll::Pending => panic!("the service is pending: the token may not be cached"),
    }
}

async fn send_secrets<S, ResBody>(service: S, secrets: &[String])
where
    S: Service<Request<NoBody>, Response = Response<ResBody>>,
{
    send_all(service, secrets.iter().map(|secret| request(Some(secret))).collect()).await;
}

async fn send_all<S, ResBody>(mut service: S, requests: Vec<Request<NoBody>>)
where
    S: Service<Request<NoBody>, Response = Response<ResBody>>,
{
    for request in requests {
        let ready = poll_fn(|cx| service.poll_ready(cx)).await;
        assert!(ready.is_ok());
        let response = service.call(request).await;
        assert!(response.is_ok_and(|response| response.status() == 200));
    }
}

/// Removes from each role one of the three permissions that its tokens carry.
async fn clamp_every_role(keyward: &Keyward) {
    for (role, _) in keyward.roles().list().await.unwrap() {
        if role.id == RoleId::SUPER_ADMIN {
            continue;
        }
        let remaining: Vec<Permission> =
            role.permissions.into_iter().filter(|p| p.scope.action.as_str() != ACTION).collect();
        keyward.roles().set_permissions(role.id, remaining).await.unwrap();
    }
}

fn wrap_plain(keyward: &Keyward) -> keyward::guard::GateService<keyward::guard::RequireService<Plain>> {
    keyward.wrap(Require::new(authenticated()).layer(Plain))
}

fn guard_router(keyward: &Keyward) -> keyward::guard::GateService<Router> {
    keyward.guard(GuardedRouter::new().route(PATH, action(ACTION), get(respond)))
}

fn guard_handler(keyward: &Keyward) -> keyward::guard::GateService<Router> {
    keyward.guard(GuardedRouter::new().get(PATH, action(ACTION), respond))
}

fn build_router() -> Router {
    Router::new().route(PATH, get(respond)).with_state(())
}

fn layer_router() -> NoOp<Router> {
    NoOp(Router::new().route(PATH, get(respond).route_layer(layer_fn(NoOp))).with_state(()))
}

async fn respond() -> &'static str {
    "[]"
}

/// Returns a secret of keyward's format with an invalid check.
fn forge(secret: &str) -> String {
    let (rest, last) = secret.split_at(secret.len() - 1);
    format!("{rest}{}", if last == "x" { "y" } else { "x" })
}
