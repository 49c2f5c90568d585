//! Measures the cost of a request at the gate, compared with services without it: `cargo bench --bench gate --features
//! testing`.
//!
//! `BENCH_SECONDS` (60) is the time of sampling. `../README.md` has the table of one run and a profile.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs)]

mod harness;
mod plain;
mod services;
mod world;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use harness::Row;
use hmac::{Hmac, KeyInit, Mac};
use http::Request;
use http_body_util::{Empty, Full};
use keyward::guard::{GateService, RequireService};
use keyward::testing::SecretFormat;
use keyward::testing::TokenKinds;
use keyward::time::{Clock, SystemClock};
use keyward::token::TokenPrefix;
use keyward::{GuardedRouter, HashKey, Keyward, Require, action, authenticated};
use plain::{NoOp, Plain};
use services::{Floor, Jwt, sign_jwts};
use sha2::Sha256;
use std::convert::Infallible;
use std::time::Duration;
use tower_layer::{Layer, layer_fn};
use tower_service::Service;
use world::{ACTION, PATH, Rows, cycle, request};

const MANY: usize = 100_000;
const FEW: usize = 1_000;

type NoBody = Empty<Bytes>;

fn main() {
    // `cargo test --benches` also runs this program, without `--bench`. There is nothing to test.
    if !std::env::args().any(|a| a == "--bench") {
        return;
    }
    let seconds = std::env::var("BENCH_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(60);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bytes = measure_principal_bytes(&runtime);

    let _context = runtime.enter();
    let install = |tokens: usize| {
        let keyward = world::keyward(Rows::default(), tokens);
        let secrets = runtime.block_on(world::issue(&keyward, tokens));
        runtime.block_on(warm_up(wrap_plain(&keyward), &secrets));
        (keyward, secrets)
    };
    let ((keyward, few), (large, many)) = (install(FEW), install(MANY));
    let forged = few.iter().map(|s| forge(s)).collect();
    let malformed = few.iter().map(|s| format!("{s},")).collect();

    let mut rows = vec![
        Row::new("plain service", None, 200, Plain, cycle::<NoBody>(few.clone())),
        Row::new("plain, no-op layer", Some("plain service"), 200, NoOp(Plain), cycle::<NoBody>(few.clone())),
        Row::new("floor", Some("plain, no-op layer"), 200, Floor::new(Plain, &few), cycle::<NoBody>(few.clone())),
        Row::new("gate alone", Some("plain, no-op layer"), 200, wrap_plain(&keyward), cycle::<NoBody>(few.clone())),
        Row::new("HS256 JWT layer", Some("plain, no-op layer"), 200, Jwt::new(Plain), cycle::<NoBody>(sign_jwts(FEW))),
        Row::new("refused: made up", Some("plain, no-op layer"), 401, wrap_plain(&keyward), cycle::<NoBody>(forged)),
        Row::new(
            "refused: malformed",
            Some("plain, no-op layer"),
            401,
            wrap_plain(&keyward),
            cycle::<NoBody>(malformed),
        ),
        Row::new("refused: missing", Some("plain, no-op layer"), 401, wrap_plain(&keyward), || request::<NoBody>(None)),
        Row::new("router", None, 200, build_router(), cycle::<Body>(few.clone())),
        Row::new("router, no-op layer", Some("router"), 200, NoOp(build_router()), cycle::<Body>(few.clone())),
        Row::new(
            "gate + handler",
            Some("router, no-op layer"),
            200,
            guard_handler(&keyward),
            cycle::<Body>(few.clone()),
        ),
        Row::new("router, two no-op layers", Some("router"), 200, layer_router(), cycle::<Body>(few.clone())),
        Row::new(
            "gate + Require",
            Some("router, two no-op layers"),
            200,
            guard_router(&keyward),
            cycle::<Body>(few.clone()),
        ),
        Row::new(
            "floor, 100 000 tokens",
            Some("plain, no-op layer"),
            200,
            Floor::new(Plain, &many),
            cycle::<NoBody>(many.clone()),
        ),
        Row::new(
            "gate + Require, 100 000 tokens",
            Some("router, two no-op layers"),
            200,
            guard_router(&large),
            cycle::<Body>(many.clone()),
        ),
    ];
    let services = rows.len();
    rows.extend(build_parts(few.clone()));
    harness::run(&mut rows, Duration::from_secs(seconds));
    let parts = rows.split_off(services);
    print(&rows, &parts, bytes);
}

/// Returns a gate with the smallest requirement that lets a response leave: each valid token meets it.
fn wrap_plain(keyward: &Keyward) -> GateService<RequireService<Plain>> {
    keyward.wrap(Require::new(authenticated()).layer(Plain))
}

fn guard_router(keyward: &Keyward) -> GateService<Router> {
    keyward.guard(GuardedRouter::new().route(PATH, action(ACTION), get(respond)))
}

/// Returns the router whose handler judges the requirement.
fn guard_handler(keyward: &Keyward) -> GateService<Router> {
    keyward.guard(GuardedRouter::new().get(PATH, action(ACTION), respond))
}

fn build_router() -> Router {
    Router::new().route(PATH, get(respond)).with_state(())
}

/// Returns the router with no-op layers in place of the gate and of its requirement.
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

/// Sends a request with each secret, so that all tokens are cached before the measurement.
async fn warm_up<S>(mut service: S, secrets: &[String])
where
    S: Service<Request<NoBody>, Response = http::Response<Full<Bytes>>, Error = Infallible>,
{
    for secret in secrets {
        let response = service.call(request(Some(secret))).await;
        assert_eq!(response.unwrap().status(), 200);
    }
}

/// Returns rows for single steps of a request.
fn build_parts(secrets: Vec<String>) -> Vec<Row> {
    let hash_key = "q8Zr2Lk5Xv9Bn3Wm7Tc1Yh6Pd4Js0GfA";
    let format = SecretFormat::new(&TokenPrefix::default(), HashKey::parse(hash_key).unwrap());
    let key = Hmac::<Sha256>::new_from_slice(hash_key.as_bytes()).unwrap();
    let mut next = std::iter::repeat_n(secrets, usize::MAX).flatten();
    let mut secret = next.next().unwrap();
    let hmac = {
        let secret = secret.clone();
        move || {
            let mut state = key.clone();
            state.update(&secret.as_bytes()[..52]);
            state.finalize()
        }
    };
    secret.shrink_to_fit();
    vec![
        Row::part("HMAC-SHA-256 of 52 bytes, keyed before", hmac),
        Row::part("SecretFormat::verify", move || format.verify(&secret, TokenKinds::ADMIN)),
        Row::part("SystemClock::moment", || SystemClock.moment()),
        Row::part("malloc and free of 16 bytes", || Box::new([0u64; 2])),
    ]
}

/// Returns the bytes of a cached principal with three grants: key, entry, names and its share of the tables. This is
/// the difference between two cache sizes, so that the memory of the installation itself does not count.
fn measure_principal_bytes(runtime: &tokio::runtime::Runtime) -> f64 {
    let (small, large) = (16_384, 32_768);
    let store = Rows::default();
    let _context = runtime.enter();
    let secrets = runtime.block_on(world::issue(&world::keyward(store.clone(), large), large));
    let measure = |tokens: usize| {
        let mut installation = None;
        let counted = allocation_counter::measure(|| {
            let keyward = world::keyward(store.clone(), tokens);
            runtime.block_on(warm_up(wrap_plain(&keyward), &secrets[..tokens]));
            installation = Some(keyward);
        });
        drop(installation);
        counted.bytes_current as f64
    };
    (measure(large) - measure(small)) / (large - small) as f64
}

fn print(rows: &[Row], parts: &[Row], bytes: f64) {
    let row = |name: &str| rows.iter().find(|r| r.name == name).unwrap();
    let over = |r: &Row| r.over.map(|base| (r.median() - row(base).median(), r.least() - row(base).least()));
    let allocations = |r: &Row| r.over.map_or(0.0, |base| r.allocations - row(base).allocations);
    let floor = over(row("floor")).unwrap().0;

    println!(
        "\n| per request | median ns | least ns | allocations | over its baseline: ns | (least) | allocations | x floor |"
    );
    println!("| --- | --: | --: | --: | --: | --: | --: | --: |");
    for r in rows {
        let (name, median, least, count) = (r.name, r.median(), r.least(), r.allocations);
        match over(r) {
            None => println!("| {name} | {median:.0} | {least:.0} | {count:.1} | | | | |"),
            Some((ns, best)) => println!(
                "| {name} | {median:.0} | {least:.0} | {count:.1} | {ns:.0} | {best:.0} | {:.1} | {:.2} |",
                allocations(r),
                ns / floor
            ),
        }
    }
    println!("\n| part | median ns | least ns |\n| --- | --: | --: |");
    for p in parts {
        println!("| {} | {:.1} | {:.1} |", p.name, p.median(), p.least());
    }

    let ns = |name| over(row(name)).unwrap().0;
    let count = |name| allocations(row(name));
    println!("\n| budget | bound | measured | |\n| --- | --: | --: | --- |");
    let most = |name: &str, bound: f64, value: f64| print_budget(name, "<=", bound, value, value <= bound);
    let least = |name: &str, bound: f64, value: f64| print_budget(name, ">=", bound, value, value >= bound);
    most("gate alone, ns over a no-op layer", 240.0, ns("gate alone"));
    most("gate alone, allocations over a no-op layer", 1.0, count("gate alone"));
    most("gate alone, times the floor", 1.3, ns("gate alone") / floor);
    most("gate + Require, ns over two no-op layers", 280.0, ns("gate + Require"));
    most("gate + Require, allocations over two no-op layers", 1.0, count("gate + Require"));
    most("gate + Require, 100 000 tokens, ns", 500.0, ns("gate + Require, 100 000 tokens"));
    least("JWT layer, times the gate alone", 6.0, ns("HS256 JWT layer") / ns("gate alone"));
    least("made-up tokens refused a second a core", 500_000.0, 1e9 / row("refused: made up").median());
    most("bytes a cached principal with 3 grants", 500.0, bytes);
}

fn print_budget(name: &str, sign: &str, bound: f64, value: f64, ok: bool) {
    let digits = if bound < 10.0 { 2 } else { 0 };
    println!("| {name} | {sign} {bound} | {value:.digits$} | {} |", if ok { "ok" } else { "MISS" });
}
