//! Measures a change of the host's policy: all accounts lose a permission, while requests are answered.
//! `cargo bench --bench sweep --features postgres,sqlite,testing`.
//!
//! `BENCH_ACCOUNTS` (10 000) is the number of accounts, with ten tokens each, and `BENCH_ENGINE` (both) one engine:
//! `sqlite` or `postgres`. The host's accounts are in memory, so their own time is not measured.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, missing_docs)]

#[path = "../large/tokens.rs"]
mod tokens;

use async_trait::async_trait;
use http::Request;
use http_body_util::Empty;
use keyward::accounts::{Account, AccountKey, Accounts, AccountsError};
use keyward::authz::Fields;
use keyward::store::WriteStore;
use keyward::{HashKey, Keyward, Permission, PostgresStore, SqliteStore, authenticated};
use keyward_test_support::postgres;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokens::{HASH_KEY, fill};
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;

const TOKENS_OF_ONE: usize = 10;
const CLIENTS: usize = 8;
const PAUSE: Duration = Duration::from_millis(10);

fn main() {
    // `cargo test --benches` also runs this program, without `--bench`. There is nothing to test.
    if !std::env::args().any(|a| a == "--bench") {
        return;
    }
    let accounts = std::env::var("BENCH_ACCOUNTS").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000);
    let only = std::env::var("BENCH_ENGINE").unwrap_or_default();
    sqlx::any::install_default_drivers();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if only != "postgres" {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("keyward.db");
        let address = format!("sqlite:{}", file.display());
        let open = async || SqliteStore::open(&file).await.unwrap();
        runtime.block_on(measure("SQLite", &address, open, accounts));
    }
    if only != "sqlite" {
        runtime.block_on(async {
            let Some(url) = postgres::create_database().await else { return println!("no PostgreSQL on this machine") };
            let open = async || PostgresStore::connect(&url).await.unwrap();
            measure("PostgreSQL", &url, open, accounts).await;
        });
    }
}

/// A host in which everybody may do the same, until the policy changes.
#[derive(Clone, Default)]
struct Host(Arc<AtomicBool>);

#[async_trait]
impl Accounts for Host {
    async fn account(&self, _: &AccountKey) -> Result<Option<Account>, AccountsError> {
        let fields = Fields::only(["title", "body"]).unwrap();
        let write = Permission::new("write").on("article").fields(fields);
        let all = ["read", "drop"].map(|action| Permission::new(action).on("article")).into_iter();
        let write = Some(write).filter(|_| !self.0.load(Ordering::Relaxed));
        Ok(Some(Account::new("Account").permissions(all.chain(write))))
    }
}

async fn measure<S: WriteStore>(engine: &str, address: &str, open: impl AsyncFn() -> S, accounts: usize) {
    println!("\n| {engine}: {accounts} accounts, {} tokens | |\n| --- | --: |", accounts * TOKENS_OF_ONE);
    let hash_key = || HashKey::parse(HASH_KEY).unwrap();
    let plain = Keyward::builder(open().await).hash_key(hash_key()).admin("/admin").build().unwrap();
    let secrets = fill(&plain, address, accounts * TOKENS_OF_ONE, accounts).await;
    plain.shutdown().await;
    let pool = sqlx::AnyPool::connect(address).await.unwrap();
    let key = "UPDATE keyward_owner SET account = CAST(id AS TEXT), email_key = CAST(id AS TEXT)";
    sqlx::query(key).execute(&pool).await.unwrap();
    if address.starts_with("sqlite:") {
        // Each row is a change by hand; the next program would copy the log of them all into the file.
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&pool).await.unwrap();
    }
    pool.close().await;

    let host = Host::default();
    let builder = Keyward::builder(open().await).hash_key(hash_key()).accounts(host.clone());
    let keyward = builder.admin("/admin").build().unwrap();
    report("requests before", clients(&keyward, &secrets, Duration::from_secs(10), None).await);
    host.0.store(true, Ordering::Relaxed);
    let began = Instant::now();
    let sweep = keyward.accounts().policy_changed().await.unwrap();
    println!("| the change | {:.1} ms |", began.elapsed().as_secs_f64() * 1e3);
    let done = Arc::new(AtomicBool::new(false));
    let running = clients(&keyward, &secrets, Duration::MAX, Some(done.clone()));
    let finished = async {
        let progress = sweep.finished().await;
        done.store(true, Ordering::Relaxed);
        (progress, began.elapsed())
    };
    let (taken, (progress, elapsed)) = tokio::join!(running, finished);
    let of_sweep = progress.clamped.grants as usize;
    println!("| the sweep | {:.1} s, {of_sweep} grants clamped |", elapsed.as_secs_f64());
    println!("| clamped because of a look-up meanwhile | {} |", secrets.len() - of_sweep);
    report("requests meanwhile", taken);
    keyward.shutdown().await;
    let pool = sqlx::AnyPool::connect(address).await.unwrap();
    let left = sqlx::query_scalar("SELECT COUNT(*) FROM keyward_grant WHERE action = 'write'").fetch_one(&pool).await;
    assert_eq!((progress.failed, left.unwrap()), (0, 0_i64), "accounts that failed, grants that are left");
    pool.close().await;
}

/// Sends requests with random tokens, and returns how long each took, and how many were answered 503.
async fn clients(
    keyward: &Keyward,
    secrets: &[String],
    span: Duration,
    done: Option<Arc<AtomicBool>>,
) -> (Vec<Duration>, usize) {
    let tasks = (0..CLIENTS).map(|client| {
        let (keyward, secrets, done) = (keyward.clone(), secrets.to_vec(), done.clone());
        tokio::spawn(async move {
            let inner = service_fn(|_: Request<Empty<bytes::Bytes>>| async {
                Ok::<_, Infallible>(http::Response::new(http_body_util::Full::<bytes::Bytes>::default()))
            });
            let service = keyward.wrap(keyward::Require::new(authenticated()).layer(inner));
            let (mut random, mut taken, mut unavailable) = (fastrand::Rng::with_seed(client as u64), Vec::new(), 0);
            let began = Instant::now();
            while began.elapsed() < span && !done.as_ref().is_some_and(|done| done.load(Ordering::Relaxed)) {
                let secret = &secrets[random.usize(..secrets.len())];
                let request = Request::get("/admin/x").header("authorization", format!("Bearer {secret}"));
                let sent = Instant::now();
                let response = service.clone().oneshot(request.body(Empty::new()).unwrap()).await.unwrap();
                taken.push(sent.elapsed());
                unavailable += usize::from(response.status() == 503);
                assert!(matches!(response.status().as_u16(), 200 | 503));
                tokio::time::sleep(PAUSE).await;
            }
            (taken, unavailable)
        })
    });
    let mut all = (Vec::new(), 0);
    for task in tasks.collect::<Vec<_>>() {
        let (taken, unavailable) = task.await.unwrap();
        all.0.extend(taken);
        all.1 += unavailable;
    }
    all
}

fn report(name: &str, (mut taken, unavailable): (Vec<Duration>, usize)) {
    taken.sort();
    let at = |part: f64| taken[((taken.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
    println!(
        "| {name}: p50, p99 of {} | {:.2} ms, {:.2} ms; {unavailable} times 503 |",
        taken.len(),
        at(0.5),
        at(0.99)
    );
}

fn print_time(name: &str, took: Duration) {
    println!("| {name} | {:.1} s |", took.as_secs_f64());
}
