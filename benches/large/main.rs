//! Measures SQLite and PostgreSQL with a million tokens: the start, uncached look-ups, one at a time and in bursts, and
//! the memory and time of a large cache. `cargo bench --bench large --features postgres,sqlite,testing`.
//!
//! `BENCH_TOKENS` (1 000 000) is the number of tokens, `BENCH_ENGINE` (both) one engine: `sqlite` or `postgres`. The
//! tokens are inserted directly. They belong to 1 000 people, each with one of ten roles. Each token has three grants,
//! one of them with two fields. `BENCH_CACHED=0` leaves the large cache out.
//!
//! Requests are sent by tasks of the runtime, as a server's are. The floor is a bare `SELECT` by primary key through
//! sqlx's pool, without the test before a connection is taken. It takes turns with the look-ups.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs)]

mod tokens;

use http::{Request, Response};
use http_body_util::Empty;
use keyward::guard::Limits;
use keyward::store::WriteStore;
use keyward::{HashKey, Keyward, PostgresStore, SqliteStore, authenticated};
use keyward_test_support::memory::resident_bytes;
use keyward_test_support::postgres;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{PgPool, SqlitePool};
use std::convert::Infallible;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tokens::{HASH_KEY, fill};
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;

/// The number of owners.
const PEOPLE: usize = 1_000;
/// The number of look-ups that are measured, one after another.
const TIMED: usize = 10_000;
/// The number of concurrent requests that fill a cache.
const AT_A_TIME: usize = 8;
/// A burst: this many cold tokens, this many requests at a time, and this often.
const BURST: usize = 1_000;
const BURSTS_AT_A_TIME: [usize; 3] = [8, 64, 512];
const BURSTS: usize = 15;
/// The number of requests that were answered 503.
static UNAVAILABLE: AtomicUsize = AtomicUsize::new(0);

fn main() {
    // `cargo test --benches` also runs this program, without `--bench`. There is nothing to test.
    if !std::env::args().any(|a| a == "--bench") {
        return;
    }
    let tokens = std::env::var("BENCH_TOKENS").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let only = std::env::var("BENCH_ENGINE").unwrap_or_default();
    sqlx::any::install_default_drivers();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if only != "sqlite" {
        runtime.block_on(runtime.spawn(measure_postgres(tokens))).unwrap();
    }
    if only != "postgres" {
        runtime.block_on(runtime.spawn(measure_sqlite(tokens))).unwrap();
    }
}

async fn measure_postgres(tokens: usize) {
    let server = match postgres::Server::find_or_start() {
        Ok(server) => server,
        Err(error) => return println!("\nSKIPPED: PostgreSQL. {error}"),
    };
    println!("\n| PostgreSQL, {tokens} tokens | |\n| --- | --: |");
    let node = build_node(PostgresStore::connect(server.url()).await.unwrap(), 0);
    let secrets = fill(&node, server.url(), tokens, PEOPLE).await;
    let floor = PgPoolOptions::new().max_connections(8).test_before_acquire(false).connect(server.url()).await.unwrap();
    let began = Instant::now();
    let node = build_node(PostgresStore::connect(server.url()).await.unwrap(), tokens);
    print_time("opening the store and building", began.elapsed());
    measure_cold(&node, &secrets, &Floor::Postgres(floor)).await;
    let open = || PostgresStore::connect(server.url());
    for at_a_time in BURSTS_AT_A_TIME {
        measure_bursts(&build_node(open().await.unwrap(), tokens), &secrets, at_a_time).await;
    }
    if measures_cache() {
        measure_cached(&build_node(open().await.unwrap(), tokens / 10), &secrets[..tokens / 10]).await;
    }
}

async fn measure_sqlite(tokens: usize) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("large.db");
    println!("\n| SQLite, {tokens} tokens | |\n| --- | --: |");
    let node = build_node(SqliteStore::open(&file).await.unwrap(), 0);
    let secrets = fill(&node, &format!("sqlite:{}", file.display()), tokens, PEOPLE).await;
    let options = SqliteConnectOptions::new().filename(&file).read_only(true);
    let floor = SqlitePoolOptions::new().max_connections(4).test_before_acquire(false).connect_with(options);
    let floor = Floor::Sqlite(floor.await.unwrap());
    let began = Instant::now();
    let node = build_node(SqliteStore::open(&file).await.unwrap(), tokens);
    print_time("opening the store and building", began.elapsed());
    measure_cold(&node, &secrets, &floor).await;
    for at_a_time in BURSTS_AT_A_TIME {
        measure_bursts(&build_node(SqliteStore::open(&file).await.unwrap(), tokens), &secrets, at_a_time).await;
    }
    if measures_cache() {
        let node = build_node(SqliteStore::open(&file).await.unwrap(), tokens / 10);
        measure_cached(&node, &secrets[..tokens / 10]).await;
        measure_cached(&build_node(SqliteStore::open(&file).await.unwrap(), tokens), &secrets).await;
    }
}

fn measures_cache() -> bool {
    std::env::var("BENCH_CACHED").as_deref() != Ok("0")
}

/// A bare statement on the same tables, through sqlx alone.
enum Floor {
    Postgres(PgPool),
    Sqlite(SqlitePool),
}

impl Floor {
    async fn select(&self, id: i64) -> Duration {
        const BY_KEY: &str = "SELECT id, name FROM keyward_token WHERE id = $1";
        let began = Instant::now();
        let (found, _): (i64, String) = match self {
            Self::Postgres(pool) => sqlx::query_as(BY_KEY).bind(id).fetch_one(pool).await.unwrap(),
            Self::Sqlite(pool) => sqlx::query_as(BY_KEY).bind(id).fetch_one(pool).await.unwrap(),
        };
        let took = began.elapsed();
        assert_eq!(found, id);
        took
    }
}

/// Measures look-ups of tokens that keyward has not cached, one after another, in turn with the floor.
async fn measure_cold(keyward: &Keyward, secrets: &[String], floor: &Floor) {
    let random = || fastrand::usize(..secrets.len());
    print_time("the first request", send(keyward, &secrets[random()]).await);
    let (mut cold, mut floors) = (Vec::new(), Vec::new());
    for _ in 0..TIMED {
        cold.push(send(keyward, &secrets[random()]).await);
        // Ids start at 1 and have no gaps.
        floors.push(floor.select(random() as i64 + 1).await);
    }
    print_percentiles("a cold look-up", &mut cold);
    print_percentiles("a bare SELECT by primary key", &mut floors);
    println!("| ratio of the medians | {:.1} |", cold[TIMED / 2].as_secs_f64() / floors[TIMED / 2].as_secs_f64());
}

/// Measures bursts of requests with cold tokens.
async fn measure_bursts(keyward: &Keyward, secrets: &[String], at_a_time: usize) {
    // Opens the connections.
    send_all(keyward, &secrets[..BURST], at_a_time).await;
    let before = keyward.health().store_reads;
    let mut took = Vec::new();
    for burst in secrets[BURST..].chunks_exact(BURST).take(BURSTS) {
        let began = Instant::now();
        send_all(keyward, burst, at_a_time).await;
        took.push(began.elapsed());
    }
    took.sort();
    let reads = (keyward.health().store_reads - before) as f64 / took.len() as f64;
    let (least, median) = (took[0].as_secs_f64() * 1e3, took[took.len() / 2].as_secs_f64() * 1e3);
    println!(
        "| {BURST} cold tokens, {at_a_time} at a time: median and least of {}; reads | {median:.1} ms, {least:.1} ms; {reads:.0} |",
        took.len()
    );
    print_unavailable();
}

/// Fills a cache with these tokens, and measures its memory and requests with cached tokens.
async fn measure_cached(keyward: &Keyward, secrets: &[String]) {
    send(keyward, &secrets[0]).await;
    let (size, before, began) = (secrets.len(), resident_bytes(), Instant::now());
    send_all(keyward, secrets, AT_A_TIME).await;
    let (took, grown) = (began.elapsed(), resident_bytes().saturating_sub(before));
    let health = keyward.health();
    let cached = health.cache_entries;
    println!(
        "| fill a cache of {size}, {AT_A_TIME} requests at a time | {:.0} s, {:.0} a second |",
        took.as_secs_f64(),
        size as f64 / took.as_secs_f64()
    );
    println!(
        "| growth of the process per entry | {} bytes ({} MiB for {cached} entries; health says {} MiB) |",
        grown / cached.max(1),
        grown >> 20,
        health.cache_bytes >> 20
    );
    print_unavailable();
    let mut hits = Vec::new();
    for _ in 0..20 * TIMED {
        hits.push(send(keyward, &secrets[fastrand::usize(..size)]).await);
    }
    print_percentiles("a request with a random one of these, including reading the clock", &mut hits);
}

fn build_node(store: impl WriteStore, cached: usize) -> Keyward {
    let mut limits = Limits::default();
    limits.cache_bytes = limits.cache_bytes.max(cached as u64 * 1024);
    Keyward::builder(store).hash_key(HashKey::parse(HASH_KEY).unwrap()).limits(limits).admin("/admin").build().unwrap()
}

async fn send_all(keyward: &Keyward, secrets: &[String], at_a_time: usize) {
    let parts = secrets.chunks(secrets.len().div_ceil(at_a_time)).map(<[String]>::to_vec);
    let tasks = parts.map(|part| {
        let keyward = keyward.clone();
        tokio::spawn(async move {
            for secret in &part {
                send(&keyward, secret).await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

fn print_unavailable() {
    match UNAVAILABLE.swap(0, Relaxed) {
        0 => {}
        count => println!("| requests sent again after a 503 | {count} |"),
    }
}

/// Sends a request until it is not answered 503, and returns the time. On a busy machine a look-up may miss its
/// deadline.
async fn send(keyward: &Keyward, secret: &str) -> Duration {
    let inner = service_fn(|_: Request<Empty<bytes::Bytes>>| async {
        Ok::<_, Infallible>(Response::new(http_body_util::Full::<bytes::Bytes>::default()))
    });
    let service = keyward.wrap(keyward::Require::new(authenticated()).layer(inner));
    let request = || {
        let request = Request::get("/admin/x").header("authorization", format!("Bearer {secret}"));
        request.body(Empty::new()).unwrap()
    };
    let mut next = request();
    let began = Instant::now();
    loop {
        let response = service.clone().oneshot(next).await.unwrap();
        let took = began.elapsed();
        if response.status() == 200 {
            return took;
        }
        assert_eq!(response.status(), 503);
        UNAVAILABLE.fetch_add(1, Relaxed);
        next = request();
    }
}

fn print_time(name: &str, took: Duration) {
    println!("| {name} | {:.1} ms |", took.as_secs_f64() * 1e3);
}

fn print_percentiles(name: &str, took: &mut [Duration]) {
    took.sort();
    let at = |part: f64| took[((took.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e6;
    println!("| {name}: p50, p99 of {} | {:.1} µs, {:.1} µs |", took.len(), at(0.5), at(0.99));
}
