//! A million tokens: what a cold look-up costs among them, how long a start takes, and what a large cache weighs and costs, on SQLite
//! and on PostgreSQL: `cargo bench --bench large --features postgres,sqlite`.
//!
//! `BENCH_TOKENS` (1 000 000) is how many, `BENCH_ENGINE` (both) where: `sqlite` or `postgres`. They are written past the services, and
//! belong to 1 000 people with one role each of ten; three grants a token, one of them with two fields.

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

const SALT: &str = "Vd3kQ9sLx0Zt7BpY2mHc8RfJ5wNgA1uE";
const PEOPLE: usize = 1_000;
const ROLES: usize = 10;
const BATCH: usize = 50_000;
/// How many look-ups are timed, one after another.
const TIMED: usize = 10_000;
/// How many requests are under way while a cache is filled.
const AT_A_TIME: usize = 8;
/// How many requests were answered 503.
static UNAVAILABLE: AtomicUsize = AtomicUsize::new(0);

fn main() {
    // `cargo test --benches` calls it too, without this word; there is nothing to test.
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
                    let secrets = fill(&node(open().await, 0), server.url(), tokens).await;
                    cold(&open, &secrets).await;
                    cached(node(open().await, tokens / 10), &secrets[..tokens / 10]).await;
                }
                Err(why) => println!("\nSKIPPED: PostgreSQL. {why}"),
            }
        }
        if only != "postgres" {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("large.db");
            let open = async || SqliteStore::open(&file).await.unwrap();
            println!("\n| SQLite, {tokens} tokens | |\n| --- | --: |");
            let secrets = fill(&node(open().await, 0), &format!("sqlite:{}", file.display()), tokens).await;
            cold(&open, &secrets).await;
            cached(node(open().await, tokens / 10), &secrets[..tokens / 10]).await;
            cached(node(open().await, tokens), &secrets).await;
        }
    });
}

/// A start, and look-ups of tokens that are in no cache of ours.
async fn cold<S: WriteStore>(open: &impl AsyncFn() -> S, secrets: &[String]) {
    let began = Instant::now();
    let keyward = node(open().await, secrets.len());
    line("opening the store and building", began.elapsed());
    let any = || &secrets[fastrand::usize(..secrets.len())];
    line("the first request", ask(&keyward, any()).await);
    let mut cold = Vec::new();
    for _ in 0..TIMED {
        cold.push(ask(&keyward, any()).await);
    }
    percentiles("a cold look-up", &mut cold);
}

/// A cache of all of these.
async fn cached(keyward: Keyward, secrets: &[String]) {
    ask(&keyward, &secrets[0]).await;
    let (size, before, began) = (secrets.len(), resident_bytes(), Instant::now());
    ask_all(&keyward, secrets).await;
    let (took, grown) = (began.elapsed(), resident_bytes().saturating_sub(before));
    let health = keyward.health();
    let cached = health.cache_entries;
    println!(
        "| a cache of {size}, filled by {AT_A_TIME} requests at a time | {:.0} s, {:.0} look-ups a second |",
        took.as_secs_f64(),
        size as f64 / took.as_secs_f64()
    );
    println!(
        "| it holds {cached}, says it weighs {} MiB; the process grew by {} MiB, {} bytes each |",
        health.cache_bytes >> 20,
        grown >> 20,
        grown / cached.max(1)
    );
    match UNAVAILABLE.swap(0, Relaxed) {
        0 => {}
        again => println!("| so far asked again after a 503 | {again} |"),
    }
    let mut hits = Vec::new();
    for _ in 0..20 * TIMED {
        hits.push(ask(&keyward, &secrets[fastrand::usize(..size)]).await);
    }
    percentiles("a request with one of these, at random, reading the clock included", &mut hits);
}

fn node(store: impl WriteStore, cached: usize) -> Keyward {
    let mut limits = Limits::default();
    limits.cache_bytes = limits.cache_bytes.max(cached as u64 * 1024);
    Keyward::builder(store).hash_key(HashKey::parse(SALT).unwrap()).limits(limits).admin("/admin").build().unwrap()
}

async fn ask_all(keyward: &Keyward, secrets: &[String]) {
    let tasks = secrets.chunks(secrets.len().div_ceil(AT_A_TIME)).map(|part| async move {
        for secret in part {
            ask(keyward, secret).await;
        }
    });
    futures_util::future::join_all(tasks).await;
}

/// How long a request took, with those before it that were answered 503: a busy machine may miss a look-up's deadline.
async fn ask(keyward: &Keyward, secret: &str) -> Duration {
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

/// Writes the tokens, many at a time: each batch touches most pages of what is sorted by digest.
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
    let format = SecretFormat::new(&TokenPrefix::default(), HashKey::parse(SALT).unwrap());
    let (first, mut secrets) = (first.unwrap().0, Vec::with_capacity(tokens));
    while secrets.len() < tokens {
        let batch = BATCH.min(tokens - secrets.len());
        let issued: Vec<_> = (0..batch).map(|_| format.issue(TokenKind::Admin, &OsEntropy).unwrap()).collect();
        let digests: Vec<_> = issued.iter().map(|issued| issued.digest.to_hex()).collect();
        assert!(format.verify(issued[0].secret.expose(), TokenKinds::ADMIN).is_ok());
        secrets.extend(issued.iter().map(|issued| issued.secret.expose().to_owned()));
        let named = secrets.len();
        let mut tx = pool.begin().await.unwrap();
        let (before,): (i64,) =
            sqlx::query_as("SELECT coalesce(max(id), 0) FROM keyward_token").fetch_one(&mut *tx).await.unwrap();
        let new_tokens = format!(
            "INSERT INTO keyward_token (kind, name, description, digest, salt_id, tag, hint, owner_id, created_at, updated_at) \
             SELECT 'admin', 'token ' || ({named} + n), '', digest, '0', 0, 'hint', {first} + n % {PEOPLE}, 1, 1 FROM {elements} AS new"
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
    line("they are written, past the services", began.elapsed());
    secrets
}

fn line(what: &str, took: Duration) {
    println!("| {what} | {:.1} ms |", took.as_secs_f64() * 1e3);
}

fn percentiles(what: &str, took: &mut [Duration]) {
    took.sort();
    let at = |part: f64| took[((took.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e6;
    println!("| {what}: p50, p99 of {} | {:.1} µs, {:.1} µs |", took.len(), at(0.5), at(0.99));
}
