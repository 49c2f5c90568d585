//! Measures SQLite and PostgreSQL with a million tokens: the start, uncached look-ups, and the memory and time of a
//! large cache. `cargo bench --bench large --features postgres,sqlite,testing`.
//!
//! `BENCH_TOKENS` (1 000 000) is the number of tokens, `BENCH_ENGINE` (both) one engine: `sqlite` or `postgres`. The
//! tokens are inserted directly. They belong to 1 000 people, each with one of ten roles. Each token has three grants,
//! one of them with two fields.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs)]

use http::{Request, Response};
use http_body_util::Empty;
use keyward::guard::Limits;
use keyward::store::WriteStore;
use keyward::testing::SecretFormat;
use keyward::testing::TokenKinds;
use keyward::token::{OsEntropy, TokenKind, TokenPrefix};
use keyward::{HashKey, Keyward, NewOwner, NewRole, Permission, PostgresStore, SqliteStore, authenticated};
use keyward_test_support::memory::resident_bytes;
use keyward_test_support::postgres;
use std::convert::Infallible;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;

const HASH_KEY: &str = "Vd3kQ9sLx0Zt7BpY2mHc8RfJ5wNgA1uE";
const PEOPLE: usize = 1_000;
const ROLES: usize = 10;
const BATCH: usize = 50_000;
/// The number of look-ups that are measured, one after another.
const TIMED: usize = 10_000;
/// The number of concurrent requests that fill a cache.
const AT_A_TIME: usize = 8;
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
    runtime.block_on(async {
        if only != "sqlite" {
            match postgres::Server::find_or_start() {
                Ok(server) => {
                    let open = async || PostgresStore::connect(server.url()).await.unwrap();
                    println!("\n| PostgreSQL, {tokens} tokens | |\n| --- | --: |");
                    let secrets = fill(&build_node(open().await, 0), server.url(), tokens).await;
                    measure_cold(&open, &secrets).await;
                    measure_cached(build_node(open().await, tokens / 10), &secrets[..tokens / 10]).await;
                }
                Err(error) => println!("\nSKIPPED: PostgreSQL. {error}"),
            }
        }
        if only != "postgres" {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("large.db");
            let open = async || SqliteStore::open(&file).await.unwrap();
            println!("\n| SQLite, {tokens} tokens | |\n| --- | --: |");
            let secrets = fill(&build_node(open().await, 0), &format!("sqlite:{}", file.display()), tokens).await;
            measure_cold(&open, &secrets).await;
            measure_cached(build_node(open().await, tokens / 10), &secrets[..tokens / 10]).await;
            measure_cached(build_node(open().await, tokens), &secrets).await;
        }
    });
}

/// Measures a start, and look-ups of tokens that keyward has not cached.
async fn measure_cold<S: WriteStore>(open: &impl AsyncFn() -> S, secrets: &[String]) {
    let began = Instant::now();
    let keyward = build_node(open().await, secrets.len());
    print_time("opening the store and building", began.elapsed());
    let random = || &secrets[fastrand::usize(..secrets.len())];
    print_time("the first request", send(&keyward, random()).await);
    let mut cold = Vec::new();
    for _ in 0..TIMED {
        cold.push(send(&keyward, random()).await);
    }
    print_percentiles("a cold look-up", &mut cold);
}

/// Fills a cache with these tokens, and measures its memory and requests with cached tokens.
async fn measure_cached(keyward: Keyward, secrets: &[String]) {
    send(&keyward, &secrets[0]).await;
    let (size, before, began) = (secrets.len(), resident_bytes(), Instant::now());
    send_all(&keyward, secrets).await;
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
    match UNAVAILABLE.swap(0, Relaxed) {
        0 => {}
        count => println!("| requests sent again after a 503 | {count} |"),
    }
    let mut hits = Vec::new();
    for _ in 0..20 * TIMED {
        hits.push(send(&keyward, &secrets[fastrand::usize(..size)]).await);
    }
    print_percentiles("a request with a random one of these, including reading the clock", &mut hits);
}

fn build_node(store: impl WriteStore, cached: usize) -> Keyward {
    let mut limits = Limits::default();
    limits.cache_bytes = limits.cache_bytes.max(cached as u64 * 1024);
    Keyward::builder(store).hash_key(HashKey::parse(HASH_KEY).unwrap()).limits(limits).admin("/admin").build().unwrap()
}

async fn send_all(keyward: &Keyward, secrets: &[String]) {
    let tasks = secrets.chunks(secrets.len().div_ceil(AT_A_TIME)).map(|part| async move {
        for secret in part {
            send(keyward, secret).await;
        }
    });
    futures_util::future::join_all(tasks).await;
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

/// Inserts the tokens in batches, and returns their secrets. Batches are large, because each one touches most pages of
/// the index of digests.
async fn fill(keyward: &Keyward, address: &str, tokens: usize) -> Vec<String> {
    let began = Instant::now();
    let mut roles = Vec::new();
    for i in 0..ROLES {
        let permissions = ["read", "write", "drop"].map(|action| Permission::new(action).on("article"));
        let role = NewRole::new(format!("role {i}")).permissions(permissions);
        roles.push(keyward.roles().create(role).await.unwrap().id);
    }
    let mut tx = keyward.store().begin().await.unwrap();
    let mut first = None;
    for i in 0..PEOPLE {
        let new = NewOwner::new(format!("person-{i}@example.test")).roles([roles[i % ROLES]]);
        first.get_or_insert(tx.insert_owner(new).await.unwrap());
    }
    tx.commit(&[]).await.unwrap();
    let pool = sqlx::AnyPool::connect(address).await.unwrap();
    let elements = match address.starts_with("sqlite:") {
        true => "(SELECT value AS digest, key AS n FROM json_each($1))",
        false => "(SELECT digest, n FROM json_array_elements_text($1::json) WITH ORDINALITY AS t (digest, n))",
    };
    let format = SecretFormat::new(&TokenPrefix::default(), HashKey::parse(HASH_KEY).unwrap());
    let (first, mut secrets) = (first.unwrap().0, Vec::with_capacity(tokens));
    while secrets.len() < tokens {
        let batch = BATCH.min(tokens - secrets.len());
        let issued: Vec<_> = (0..batch).map(|_| format.issue(TokenKind::Admin, &OsEntropy).unwrap()).collect();
        let digests: Vec<_> = issued.iter().map(|issued| issued.digest.to_hex()).collect();
        assert!(format.verify(issued[0].secret.expose(), TokenKinds::ADMIN).is_ok());
        secrets.extend(issued.iter().map(|issued| issued.secret.expose().to_owned()));
        let count = secrets.len();
        let mut tx = pool.begin().await.unwrap();
        let (before,): (i64,) =
            sqlx::query_as("SELECT coalesce(max(id), 0) FROM keyward_token").fetch_one(&mut *tx).await.unwrap();
        let new_tokens = format!(
            "INSERT INTO keyward_token (kind, name, description, digest, salt_id, tag, hint, owner_id, created_at, updated_at) \
             SELECT 'admin', 'token ' || ({count} + n), '', digest, '0', 0, 'hint', {first} + n % {PEOPLE}, 1, 1 FROM {elements} AS new"
        );
        let json = serde_json::to_string(&digests).unwrap();
        sqlx::query(sqlx::AssertSqlSafe(new_tokens)).bind(json).execute(&mut *tx).await.unwrap();
        for (position, action, all) in [(0, "read", "TRUE"), (1, "write", "FALSE"), (2, "drop", "TRUE")] {
            let grants = format!(
                "INSERT INTO keyward_grant (token_id, position, action, subject, all_fields, chosen) \
                 SELECT id, {position}, '{action}', 'article', {all}, '[]' FROM keyward_token WHERE id > {before}"
            );
            sqlx::query(sqlx::AssertSqlSafe(grants)).execute(&mut *tx).await.unwrap();
        }
        let fields = format!(
            "INSERT INTO keyward_grant_field (grant_id, field) SELECT id, field FROM keyward_grant, \
             (SELECT 'title' AS field UNION ALL SELECT 'body') AS fields WHERE position = 1 AND token_id > {before}"
        );
        sqlx::query(sqlx::AssertSqlSafe(fields)).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }
    sqlx::query("ANALYZE").execute(&pool).await.unwrap();
    pool.close().await;
    print_time("inserted directly", began.elapsed());
    secrets
}

fn print_time(name: &str, took: Duration) {
    println!("| {name} | {:.1} ms |", took.as_secs_f64() * 1e3);
}

fn print_percentiles(name: &str, took: &mut [Duration]) {
    took.sort();
    let at = |part: f64| took[((took.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e6;
    println!("| {name}: p50, p99 of {} | {:.1} µs, {:.1} µs |", took.len(), at(0.5), at(0.99));
}
