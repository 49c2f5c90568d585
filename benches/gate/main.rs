//! What a request costs on its way through the gate, beside what it would cost without: `cargo bench --bench gate`.
//!
//! `BENCH_SECONDS` (60) is how long it samples. `README.md` beside this has the table of one run, and where the time goes.

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
use services::{Floor, Jwt, jwts};
use sha2::Sha256;
use std::convert::Infallible;
use std::time::Duration;
use tower_layer::{Layer, layer_fn};
use tower_service::Service;
use world::{ACTION, PATH, Rows, in_turn, request};

const MANY: usize = 100_000;
const FEW: usize = 1_000;

type NoBody = Empty<Bytes>;

fn main() {
    // `cargo test --benches` calls it too, without this word; there is nothing to test.
    if !std::env::args().any(|a| a == "--bench") {
        return;
    }
    let seconds = std::env::var("BENCH_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(60);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bytes = bytes_a_principal(&runtime);

    let _inside = runtime.enter();
    let installation = |tokens: usize| {
        let keyward = world::keyward(Rows::default(), tokens);
        let secrets = runtime.block_on(world::issue(&keyward, tokens));
        runtime.block_on(warm_up(alone(&keyward), &secrets));
        (keyward, secrets)
    };
    let ((keyward, few), (large, many)) = (installation(FEW), installation(MANY));
    let forged = few.iter().map(|s| forge(s)).collect();
    let malformed = few.iter().map(|s| format!("{s},")).collect();

    let mut rows = vec![
        Row::new("plain service", None, 200, Plain, in_turn::<NoBody>(few.clone())),
        Row::new("plain, no-op layer", Some("plain service"), 200, NoOp(Plain), in_turn::<NoBody>(few.clone())),
        Row::new("floor", Some("plain, no-op layer"), 200, Floor::new(Plain, &few), in_turn::<NoBody>(few.clone())),
        Row::new("gate alone", Some("plain, no-op layer"), 200, alone(&keyward), in_turn::<NoBody>(few.clone())),
        Row::new("HS256 JWT layer", Some("plain, no-op layer"), 200, Jwt::new(Plain), in_turn::<NoBody>(jwts(FEW))),
        Row::new("refused: made up", Some("plain, no-op layer"), 401, alone(&keyward), in_turn::<NoBody>(forged)),
        Row::new("refused: malformed", Some("plain, no-op layer"), 401, alone(&keyward), in_turn::<NoBody>(malformed)),
        Row::new("refused: missing", Some("plain, no-op layer"), 401, alone(&keyward), || request::<NoBody>(None)),
        Row::new("router", None, 200, router(), in_turn::<Body>(few.clone())),
        Row::new("router, two no-op layers", Some("router"), 200, no_ops(), in_turn::<Body>(few.clone())),
        Row::new(
            "gate + Require",
            Some("router, two no-op layers"),
            200,
            guarded(&keyward),
            in_turn::<Body>(few.clone()),
        ),
        Row::new(
            "floor, 100 000 tokens",
            Some("plain, no-op layer"),
            200,
            Floor::new(Plain, &many),
            in_turn::<NoBody>(many.clone()),
        ),
        Row::new(
            "gate + Require, 100 000 tokens",
            Some("router, two no-op layers"),
            200,
            guarded(&large),
            in_turn::<Body>(many.clone()),
        ),
    ];
    let services = rows.len();
    rows.extend(parts(few.clone()));
    harness::run(&mut rows, Duration::from_secs(seconds));
    let parts = rows.split_off(services);
    print(&rows, &parts, bytes);
}

/// The gate and the least that lets a response leave: a requirement that every valid principal meets.
fn alone(keyward: &Keyward) -> GateService<RequireService<Plain>> {
    keyward.wrap(Require::new(authenticated()).layer(Plain))
}

fn guarded(keyward: &Keyward) -> GateService<Router> {
    keyward.guard(GuardedRouter::new().route(PATH, action(ACTION), get(ok)))
}

fn router() -> Router {
    Router::new().route(PATH, get(ok)).with_state(())
}

/// With layers where the gate and its requirement are.
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

/// One request with each secret, so that the measured ones find everything in the cache.
async fn warm_up<S>(mut service: S, secrets: &[String])
where
    S: Service<Request<NoBody>, Response = http::Response<Full<Bytes>>, Error = Infallible>,
{
    for secret in secrets {
        let answered = service.call(request(Some(secret))).await;
        assert_eq!(answered.unwrap().status(), 200);
    }
}

/// Parts of the way, each alone and warm.
fn parts(secrets: Vec<String>) -> Vec<Row> {
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

/// What a cached principal with three grants weighs: key, entry, names and its share of the tables. Taken as the difference
/// between two sizes, so that what an installation weighs without tokens does not count.
fn bytes_a_principal(runtime: &tokio::runtime::Runtime) -> f64 {
    let (small, large) = (16_384, 32_768);
    let store = Rows::default();
    let _inside = runtime.enter();
    let secrets = runtime.block_on(world::issue(&world::keyward(store.clone(), large), large));
    let weigh = |tokens: usize| {
        let mut kept = None;
        let counted = allocation_counter::measure(|| {
            let keyward = world::keyward(store.clone(), tokens);
            runtime.block_on(warm_up(alone(&keyward), &secrets[..tokens]));
            kept = Some(keyward);
        });
        drop(kept);
        counted.bytes_current as f64
    };
    (weigh(large) - weigh(small)) / (large - small) as f64
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
    let most = |what: &str, bound: f64, is: f64| verdict(what, "<=", bound, is, is <= bound);
    let least = |what: &str, bound: f64, is: f64| verdict(what, ">=", bound, is, is >= bound);
    most("gate alone, ns over a no-op layer", 250.0, ns("gate alone"));
    most("gate alone, allocations over a no-op layer", 1.0, count("gate alone"));
    most("gate alone, times the floor", 1.3, ns("gate alone") / floor);
    most("gate + Require, ns over two no-op layers", 350.0, ns("gate + Require"));
    most("gate + Require, allocations over two no-op layers", 3.0, count("gate + Require"));
    most("gate + Require, 100 000 tokens, ns", 700.0, ns("gate + Require, 100 000 tokens"));
    least("JWT layer, times the gate alone", 3.0, ns("HS256 JWT layer") / ns("gate alone"));
    least("made-up tokens refused a second a core", 500_000.0, 1e9 / row("refused: made up").median());
    most("bytes a cached principal with 3 grants", 600.0, bytes);
}

fn verdict(what: &str, sign: &str, bound: f64, is: f64, ok: bool) {
    let digits = if bound < 10.0 { 2 } else { 0 };
    println!("| {what} | {sign} {bound} | {is:.digits$} | {} |", if ok { "ok" } else { "MISS" });
}
