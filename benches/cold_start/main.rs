//! Measures a node that has just started and gets requests at once, as behind a load balancer: how long it takes until
//! nearly all requests are answered from the cache, with and without a warm-up, on SQLite and PostgreSQL.
//! `cargo bench --bench cold_start --features postgres,sqlite,testing`.
//!
//! `BENCH_TOKENS` (100 000) is the number of tokens, `BENCH_ENGINE` (both) one engine, `BENCH_CLIENTS` (64) the number
//! of requests at a time, `BENCH_ROUNDS` (3) the number of starts of each row. All tokens were used in the last hour.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs)]

#[path = "../large/tokens.rs"]
mod tokens;

use async_trait::async_trait;
use fastrand::Rng;
use http::{Request, Response};
use http_body_util::Empty;
use keyward::guard::{Guard, Limits};
use keyward::store::{
    Digest, Following, KeyCheck, RecentPosition, RecentTokens, Snapshot, Store, StoreError, Use, WriteStore,
};
use keyward::{HashKey, Keyward, PostgresStore, SqliteStore, authenticated};
use keyward_test_support::postgres;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};
use tokens::{HASH_KEY, fill};
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;

/// The span of time over which hits are counted.
const WINDOW: Duration = Duration::from_millis(50);
/// The pause of a client between two requests.
const PAUSE: Duration = Duration::from_millis(1);
/// A start that takes longer is given up.
const LONGEST: Duration = Duration::from_secs(120);

struct Setting {
    tokens: usize,
    clients: usize,
    rounds: usize,
}

/// In which order the tokens are presented.
#[derive(Clone, Copy)]
enum Pattern {
    /// All equally often.
    Uniform,
    /// The token of rank n with a frequency of 1/n.
    Zipf,
}

/// The measurements of one start.
struct Start {
    until_hits: Duration,
    latencies: Vec<u32>,
    overloaded: u64,
    late: u64,
    most_reads: u64,
    reads: u64,
    warmed: u64,
    warm_up: Option<Duration>,
}

fn main() {
    // `cargo test --benches` also runs this program, without `--bench`. There is nothing to test.
    if !std::env::args().any(|a| a == "--bench") {
        return;
    }
    let number = |name, default| std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default);
    let setting = Setting {
        tokens: number("BENCH_TOKENS", 100_000),
        clients: number("BENCH_CLIENTS", 64),
        rounds: number("BENCH_ROUNDS", 3),
    };
    let only = std::env::var("BENCH_ENGINE").unwrap_or_default();
    sqlx::any::install_default_drivers();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        if only != "sqlite" {
            match postgres::Server::find_or_start() {
                Ok(server) => {
                    let open = async || PostgresStore::connect(server.url()).await.unwrap();
                    measure("PostgreSQL", &open, server.url(), &setting).await;
                }
                Err(error) => println!("\nSKIPPED: PostgreSQL. {error}"),
            }
        }
        if only != "postgres" {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("cold.db");
            let open = async || SqliteStore::open(&file).await.unwrap();
            measure("SQLite", &open, &format!("sqlite:{}", file.display()), &setting).await;
        }
    });
}

async fn measure<S: WriteStore>(engine: &str, open: &impl AsyncFn() -> S, address: &str, setting: &Setting) {
    let builder = Keyward::builder(open().await).hash_key(HashKey::parse(HASH_KEY).unwrap()).admin("/admin");
    let keyward = builder.build().unwrap();
    let secrets: Arc<[String]> = fill(&keyward, address, setting.tokens, 1_000).await.into();
    keyward.shutdown().await;
    println!(
        "\n| {engine}, {} tokens, {} requests at a time | 95 % hits after | p50 ms | p99 ms | store reads | at a time, most | 503: queue, store | warmed | warm-up took |",
        setting.tokens, setting.clients
    );
    println!("| --- | --: | --: | --: | --: | --: | --: | --: | --: |");
    print_warm_up_alone(open().await, address, setting.tokens).await;
    for (name, pattern) in [("uniform", Pattern::Uniform), ("Zipf", Pattern::Zipf)] {
        let mut starts = [Vec::new(), Vec::new()];
        for _ in 0..setting.rounds {
            for warm in [false, true] {
                note_uses(address).await;
                starts[usize::from(warm)].push(start(open().await, &secrets, pattern, warm, setting.clients).await);
            }
        }
        for (of, starts) in ["no warm-up", "warm-up"].into_iter().zip(&mut starts) {
            print_row(&format!("{name}, {of}"), starts);
        }
    }
}

/// Prints how long a warm-up takes on a node without requests.
async fn print_warm_up_alone(store: impl WriteStore, address: &str, tokens: usize) {
    note_uses(address).await;
    let (builder, reading) = node(store, tokens, true);
    let began = Instant::now();
    let guard = builder.build().unwrap();
    while guard.health().warmed_tokens < tokens as u64 && began.elapsed() < LONGEST {
        tokio::time::sleep(WINDOW).await;
    }
    let longest = Duration::from_micros(reading.longest_page.load(Relaxed));
    println!(
        "| warm-up without requests | - | - | - | - | - | - | {} | {:.1} s, a page {:.0} ms at most |",
        guard.health().warmed_tokens,
        began.elapsed().as_secs_f64(),
        longest.as_secs_f64() * 1e3
    );
    guard.shutdown().await;
}

/// Returns the settings of a node whose cache has room for all tokens.
fn node(store: impl WriteStore, tokens: usize, warm: bool) -> (keyward::Builder<Guard>, Arc<Reading>) {
    let reading = Arc::new(Reading::default());
    let mut limits = Limits::default();
    limits.cache_bytes = limits.cache_bytes.max(tokens as u64 * 1024);
    let store = Observed { store: Arc::new(store), reading: reading.clone() };
    let builder = Guard::builder(store).hash_key(HashKey::parse(HASH_KEY).unwrap()).limits(limits).admin("/admin");
    (builder.warm_up(if warm { tokens as u32 } else { 0 }), reading)
}

/// Sets the last uses of all tokens to times within the last hour.
async fn note_uses(address: &str) {
    let pool = sqlx::AnyPool::connect(address).await.unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    for statement in [
        "DELETE FROM keyward_token_use".to_owned(),
        format!(
            "INSERT INTO keyward_token_use (token_id, last_used_at) \
             SELECT id, {now} - (id * 7919) % 3600000 FROM keyward_token"
        ),
        "ANALYZE".to_owned(),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&pool).await.unwrap();
    }
    pool.close().await;
}

/// Starts a node, and sends requests until nearly all are hits.
async fn start(store: impl WriteStore, secrets: &Arc<[String]>, pattern: Pattern, warm: bool, clients: usize) -> Start {
    let (builder, reading) = node(store, secrets.len(), warm);
    let began = Instant::now();
    let guard = builder.build().unwrap();
    let (requests, unavailable, over) =
        (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let ranks: Arc<[f64]> = match pattern {
        Pattern::Uniform => Arc::from([]),
        Pattern::Zipf => cumulated(secrets.len()).into(),
    };
    let clients: Vec<_> = (0..clients)
        .map(|client| {
            let (guard, secrets, ranks) = (guard.clone(), secrets.clone(), ranks.clone());
            let (requests, unavailable, over) = (requests.clone(), unavailable.clone(), over.clone());
            tokio::spawn(async move {
                let (mut rng, mut latencies) = (Rng::with_seed(client as u64), Vec::new());
                while !over.load(Relaxed) {
                    let secret = &secrets[choose(&mut rng, &ranks, secrets.len())];
                    let sent = Instant::now();
                    let status = send(&guard, secret).await;
                    latencies.push(sent.elapsed().as_micros() as u32);
                    requests.fetch_add(1, Relaxed);
                    if status != 200 {
                        assert_eq!(status, 503);
                        unavailable.fetch_add(1, Relaxed);
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                latencies
            })
        })
        .collect();
    let (mut sent, mut missed) = (0, 0);
    let until_hits = loop {
        tokio::time::sleep(WINDOW).await;
        // A 503 is no hit.
        let misses = reading.reads.load(Relaxed) + unavailable.load(Relaxed);
        let (new_requests, new_misses) = (requests.load(Relaxed) - sent, misses - missed);
        (sent, missed) = (sent + new_requests, misses);
        if (new_requests > 0 && new_misses * 20 <= new_requests) || began.elapsed() > LONGEST {
            break began.elapsed();
        }
    };
    over.store(true, Relaxed);
    let mut latencies = Vec::new();
    for client in clients {
        latencies.extend(client.await.unwrap());
    }
    let health = guard.health();
    assert_eq!(unavailable.load(Relaxed) > 0, health.lookups_overloaded + health.lookups_late > 0);
    let warm_up = reading.last_page.lock().unwrap().map(|at| at.duration_since(began));
    guard.shutdown().await;
    Start {
        until_hits,
        latencies,
        overloaded: health.lookups_overloaded,
        late: health.lookups_late,
        most_reads: reading.most.load(Relaxed),
        reads: reading.reads.load(Relaxed),
        warmed: health.warmed_tokens,
        warm_up,
    }
}

/// Returns the cumulated frequencies of the ranks.
fn cumulated(ranks: usize) -> Vec<f64> {
    let mut sum = 0.0;
    let cumulated = (1..=ranks).map(|rank| {
        sum += 1.0 / rank as f64;
        sum
    });
    cumulated.collect()
}

fn choose(rng: &mut Rng, ranks: &[f64], secrets: usize) -> usize {
    match ranks.last() {
        None => rng.usize(..secrets),
        // Spread over the ids: the most used tokens are not the oldest.
        Some(sum) => ranks.partition_point(|at| *at < rng.f64() * sum) * 7919 % secrets,
    }
}

async fn send(guard: &Guard, secret: &str) -> u16 {
    let inner = service_fn(|_: Request<Empty<bytes::Bytes>>| async {
        Ok::<_, Infallible>(Response::new(http_body_util::Full::<bytes::Bytes>::default()))
    });
    let service = guard.wrap(keyward::Require::new(authenticated()).layer(inner));
    let request = Request::get("/admin/x").header("authorization", format!("Bearer {secret}"));
    service.oneshot(request.body(Empty::new()).unwrap()).await.unwrap().status().as_u16()
}

/// The reads of a store.
#[derive(Default)]
struct Reading {
    reads: AtomicU64,
    now: AtomicU64,
    most: AtomicU64,
    /// In microseconds.
    longest_page: AtomicU64,
    last_page: std::sync::Mutex<Option<Instant>>,
}

/// A store whose reads are counted.
struct Observed {
    store: Arc<dyn Store>,
    reading: Arc<Reading>,
}

#[async_trait]
impl Store for Observed {
    async fn resolve(&self, digest: &Digest) -> Result<Snapshot, StoreError> {
        self.reading.reads.fetch_add(1, Relaxed);
        self.reading.most.fetch_max(self.reading.now.fetch_add(1, Relaxed) + 1, Relaxed);
        let resolved = self.store.resolve(digest).await;
        self.reading.now.fetch_sub(1, Relaxed);
        resolved
    }

    async fn note_uses(&self, uses: &[Use]) -> Result<(), StoreError> {
        self.store.note_uses(uses).await
    }

    fn following(&self) -> Following {
        self.store.following()
    }

    async fn key_checks(&self) -> Result<Option<Vec<KeyCheck>>, StoreError> {
        self.store.key_checks().await
    }

    async fn recent_tokens(&self, tokens: u32, at: Option<RecentPosition>) -> Result<RecentTokens, StoreError> {
        let began = Instant::now();
        let page = self.store.recent_tokens(tokens, at).await;
        self.reading.longest_page.fetch_max(began.elapsed().as_micros() as u64, Relaxed);
        *self.reading.last_page.lock().unwrap() = Some(Instant::now());
        page
    }

    async fn close(&self) {
        self.store.close().await;
    }
}

/// Prints a row: times are medians over the starts, percentiles are of the requests of all of them, numbers are the
/// largest.
fn print_row(name: &str, starts: &mut [Start]) {
    starts.sort_by_key(|start| start.until_hits);
    let mut latencies: Vec<u32> = starts.iter().flat_map(|start| &start.latencies).copied().collect();
    latencies.sort_unstable();
    let at = |part: f64| f64::from(latencies[((latencies.len() - 1) as f64 * part) as usize]) / 1e3;
    let most = |of: fn(&Start) -> u64| starts.iter().map(of).max().unwrap_or(0);
    let mut warm_ups: Vec<_> = starts.iter().filter_map(|start| start.warm_up).collect();
    warm_ups.sort();
    println!(
        "| {name} | {:.1} s | {:.2} | {:.2} | {} | {} | {} + {} | {} | {} |",
        starts[starts.len() / 2].until_hits.as_secs_f64(),
        at(0.5),
        at(0.99),
        most(|start| start.reads),
        most(|start| start.most_reads),
        most(|start| start.overloaded),
        most(|start| start.late),
        most(|start| start.warmed),
        warm_ups.get(warm_ups.len() / 2).map_or("-".into(), |took| format!("{:.1} s", took.as_secs_f64()))
    );
}

fn print_time(name: &str, took: Duration) {
    println!("{name}: {:.1} ms", took.as_secs_f64() * 1e3);
}
