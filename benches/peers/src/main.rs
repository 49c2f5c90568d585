//! What keyward costs beside its peers, and what each of them does not do: one table of one run.
//!
//! `cargo run --release --manifest-path benches/peers/Cargo.toml`; `BENCH_SECONDS` (60) is how long it samples, and
//! with `--features aws-lc` jsonwebtoken uses that library's cryptography. How it measures: `../gate/harness.rs`.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod by_hand;
mod decisions;
#[allow(dead_code)] // The bench of the gate uses the rest.
#[path = "../../gate/harness.rs"]
mod harness;
mod jwt;
mod sessions;
mod static_keys;
mod table;
#[path = "../../gate/world.rs"]
mod world;

use axum::Router;
use axum::body::Body;
use axum::routing::{MethodRouter, get};
use harness::{Row, answer};
use http::Request;
use keyward::guard::GateService;
use keyward::{action, GuardedRouter, Keyward};
use std::time::{Duration, Instant};
use tower_service::Service;
use world::{ACTION, PATH, Rows, in_turn, request};

/// Callers of each peer, taken in turn.
const CALLERS: usize = 1_000;
/// Turns of the quick rows to one of the slow ones.
const QUICK_TURNS: usize = 20;
/// Nobody was given this one.
const OTHER_ACTION: &str = "admin::nothing.read";

fn main() {
    let seconds = std::env::var("BENCH_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(60);
    let provider = jwt::provider();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();

    let mut rows = vec![Row::new(table::BARE, None, 200, router(), in_turn::<Body>(vec!["nobody".to_owned()]))];

    let keyward = world::keyward(Rows::default(), CALLERS);
    let secrets = runtime.block_on(world::issue(&keyward, CALLERS));
    runtime.block_on(warm_up(guarded(&keyward, ACTION), &secrets));
    let next = in_turn::<Body>(secrets.clone());
    rows.push(peer(table::KEYWARD, |action| guarded(&keyward, action), next));

    let strings = by_hand::secrets(CALLERS);
    let next = || in_turn::<Body>(strings.clone());
    rows.push(peer(table::MAP, |action| by_hand::plain(&strings, action).around(router()), next()));
    rows.push(peer(table::MAP_OF_DIGESTS, |action| by_hand::digests(&strings, action).around(router()), next()));

    let sessions = sessions::Sessions::of(CALLERS);
    rows.push(peer(table::SESSIONS, |action| sessions.around(route(), action), sessions.in_turn()));

    for (name, keys) in [(table::HS256, jwt::Keys::hs256()), (table::EDDSA, jwt::Keys::eddsa())] {
        let next = in_turn::<Body>(keys.sign(CALLERS));
        rows.push(peer(name, |action| keys.layer(action).around(router()), next));
    }

    // It knows no actions, so there is none to refuse.
    for (name, keys) in [(table::TWO_STATIC_KEYS, 2), (table::STATIC_KEYS, CALLERS)] {
        let service = static_keys::around(route(), &strings[..keys]);
        refuses(name, service.clone(), request(Some("nobody's")));
        rows.push(Row::new(name, Some(table::BARE), 200, service, in_turn::<Body>(strings[..keys].to_vec())));
    }

    rows.extend(decisions::rows(&runtime, &keyward, &secrets));
    // What takes a thousand times as long is sampled less often, or nothing would be sampled often enough.
    rows.sort_by_key(|row| table::is_slow(row.name));
    let slow = rows.iter().position(|row| table::is_slow(row.name)).unwrap();
    let began = Instant::now();
    for turn in 0.. {
        harness::round(&mut rows[..slow]);
        if turn % QUICK_TURNS == 0 {
            harness::round(&mut rows[slow..]);
        }
        if began.elapsed() > Duration::from_secs(seconds) {
            break;
        }
    }
    table::print(&rows, provider);
}

/// A peer that lets these callers in, and neither nobody nor those who may something else only.
fn peer<S>(
    name: &'static str,
    build: impl Fn(&'static str) -> S,
    mut next: impl FnMut() -> Request<Body> + 'static,
) -> Row
where
    S: Service<Request<Body>, Response = http::Response<Body>> + 'static,
{
    refuses(name, build(ACTION), request(None));
    refuses(name, build(ACTION), request(Some("nobody's")));
    refuses(name, build(OTHER_ACTION), next());
    Row::new(name, Some(table::BARE), 200, build(ACTION), next)
}

fn refuses<S>(name: &str, mut service: S, request: Request<Body>)
where
    S: Service<Request<Body>, Response = http::Response<Body>>,
{
    let status = answer(&mut service, request).status().as_u16();
    assert!(matches!(status, 401 | 403), "{name} answered {status}");
}

/// The bare route, and what every peer is put around.
fn router() -> Router {
    route().with_state(())
}

fn route() -> Router {
    Router::new().route(PATH, handler())
}

fn handler() -> MethodRouter {
    get(|| async { "[]" })
}

fn guarded(keyward: &Keyward, name: &'static str) -> GateService<Router> {
    keyward.guard(GuardedRouter::new().route(PATH, action(name), handler()))
}

async fn warm_up(mut service: GateService<Router>, secrets: &[String]) {
    for secret in secrets {
        let answered = service.call(request::<Body>(Some(secret))).await.unwrap();
        assert_eq!(answered.status(), 200);
    }
}
