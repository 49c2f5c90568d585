//! Compares the cost of keyward with other crates, in one table of one run.
//!
//! `cargo run --release --manifest-path benches/peers/Cargo.toml`. `BENCH_SECONDS` (60) is the time of sampling. With
//! `--features aws-lc` jsonwebtoken uses that library's cryptography. With `-- mcp` the rows are those of an MCP server.
//! `../gate/harness.rs` measures.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod by_hand;
mod decisions;
#[allow(dead_code)] // The gate bench uses the rest.
#[path = "../../gate/harness.rs"]
mod harness;
mod jwt;
mod mcp;
mod sessions;
mod static_keys;
mod table;
#[path = "../../gate/world.rs"]
mod world;

use axum::Router;
use axum::body::Body;
use axum::routing::{MethodRouter, get};
use harness::{Row, call};
use http::Request;
use keyward::guard::GateService;
use keyward::{GuardedRouter, Keyward, action};
use std::time::{Duration, Instant};
use tower_service::Service;
use world::{ACTION, PATH, Rows, cycle, request};

/// The callers of each peer, which send in turn.
const CALLERS: usize = 1_000;
/// The turns of fast rows for one turn of the slow ones.
const FAST_TURNS: usize = 20;
/// An action that no caller has.
const OTHER_ACTION: &str = "admin::nothing.read";

fn main() {
    let seconds = std::env::var("BENCH_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(60);
    let provider = jwt::install_provider();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _context = runtime.enter();
    if std::env::args().any(|argument| argument == "mcp") {
        return mcp::run(&runtime, seconds);
    }

    let mut rows = vec![Row::new(table::BARE, None, 200, build_router(), cycle::<Body>(vec!["unknown".to_owned()]))];

    let keyward = world::keyward(Rows::default(), CALLERS);
    let secrets = runtime.block_on(world::issue(&keyward, CALLERS));
    runtime.block_on(warm_up(guard_router(&keyward, ACTION), &secrets));
    let next = cycle::<Body>(secrets.clone());
    rows.push(build_peer(table::KEYWARD, |action| guard_router(&keyward, action), next));

    let strings = by_hand::make_secrets(CALLERS);
    let next = || cycle::<Body>(strings.clone());
    rows.push(build_peer(table::MAP, |action| by_hand::map_secrets(&strings, action).wrap(build_router()), next()));
    rows.push(build_peer(
        table::MAP_OF_DIGESTS,
        |action| by_hand::map_digests(&strings, action).wrap(build_router()),
        next(),
    ));

    let sessions = sessions::Sessions::new(CALLERS);
    rows.push(build_peer(table::SESSIONS, |action| sessions.wrap(build_route(), action), sessions.cycle()));

    for (name, keys) in [(table::HS256, jwt::Keys::hs256()), (table::EDDSA, jwt::Keys::eddsa())] {
        let next = cycle::<Body>(keys.sign(CALLERS));
        rows.push(build_peer(name, |action| keys.layer(action).wrap(build_router()), next));
    }

    // Static keys know no actions, so no request is rejected for its action.
    for (name, keys) in [(table::TWO_STATIC_KEYS, 2), (table::STATIC_KEYS, CALLERS)] {
        let service = static_keys::wrap(build_route(), &strings[..keys]);
        assert_rejected(name, service.clone(), request(Some("unknown")));
        rows.push(Row::new(name, Some(table::BARE), 200, service, cycle::<Body>(strings[..keys].to_vec())));
    }

    rows.extend(decisions::build_rows(&runtime, &keyward, &secrets));
    // Slow rows are sampled less often, so that fast rows get enough samples.
    rows.sort_by_key(|row| table::is_slow(row.name));
    let slow = rows.iter().position(|row| table::is_slow(row.name)).unwrap();
    let began = Instant::now();
    for turn in 0.. {
        harness::sample_each(&mut rows[..slow]);
        if turn % FAST_TURNS == 0 {
            harness::sample_each(&mut rows[slow..]);
        }
        if began.elapsed() > Duration::from_secs(seconds) {
            break;
        }
    }
    table::print(&rows, provider);
}

/// Builds the row of a peer. Asserts first that it rejects a request without a credential, with an unknown one, and
/// with other permissions.
fn build_peer<S>(
    name: &'static str,
    build: impl Fn(&'static str) -> S,
    mut next: impl FnMut() -> Request<Body> + 'static,
) -> Row
where
    S: Service<Request<Body>, Response = http::Response<Body>> + 'static,
{
    assert_rejected(name, build(ACTION), request(None));
    assert_rejected(name, build(ACTION), request(Some("unknown")));
    assert_rejected(name, build(OTHER_ACTION), next());
    Row::new(name, Some(table::BARE), 200, build(ACTION), next)
}

fn assert_rejected<S>(name: &str, mut service: S, request: Request<Body>)
where
    S: Service<Request<Body>, Response = http::Response<Body>>,
{
    let status = call(&mut service, request).status().as_u16();
    assert!(matches!(status, 401 | 403), "{name} does not reject the request: {status}");
}

/// Returns the bare route, which each peer wraps.
fn build_router() -> Router {
    build_route().with_state(())
}

fn build_route() -> Router {
    Router::new().route(PATH, handler())
}

fn handler() -> MethodRouter {
    get(|| async { "[]" })
}

fn guard_router(keyward: &Keyward, name: &'static str) -> GateService<Router> {
    keyward.guard(GuardedRouter::new().get(PATH, action(name), || async { "[]" }))
}

async fn warm_up(mut service: GateService<Router>, secrets: &[String]) {
    for secret in secrets {
        let response = service.call(request::<Body>(Some(secret))).await.unwrap();
        assert_eq!(response.status(), 200);
    }
}
