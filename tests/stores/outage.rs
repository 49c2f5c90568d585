//! PostgreSQL is stopped under load (SIGSTOP: its connections stay open and nothing answers), and continued.

use async_trait::async_trait;
use axum::routing::get;
use keyward::admin::Lifespan;
use keyward::guard::Limits;
use keyward::store::{Digest, PostgresOptions};
use keyward::store::{Following, Snapshot, Store, StoreError, Transaction, Use, View, WriteStore};
use keyward::testing::{App, HASH_KEY};
use keyward::token::Secret;
use keyward::{Grant, GuardedRouter, HashKey, Keyward, NewAdminToken, NewOwner, PostgresStore, RoleId, action};
use keyward_test_support::postgres;
use keyward_test_support::postgres::Server;
use keyward_test_support::process::send_signal;
use sqlx::{Connection, PgConnection, Row};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const READ: &str = "admin::webhooks.read";
const WARM: usize = 200;
const COLD: usize = 200;
/// The number of clients that send cached tokens all the time.
const CLIENTS: usize = 4;
/// How long the server stays stopped after the lease ended.
const LONGER: Duration = Duration::from_secs(4);
const SECOND: Duration = Duration::from_secs(1);

/// Counts the concurrent look-ups on the server.
#[derive(Clone)]
struct Counting {
    inner: PostgresStore,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

struct Asking(Arc<AtomicUsize>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Store for Counting {
    async fn resolve(&self, digest: &Digest) -> Result<Snapshot, StoreError> {
        self.most.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let _asking = Asking(self.now.clone());
        self.inner.resolve(digest).await
    }

    async fn note_uses(&self, uses: &[Use]) -> Result<(), StoreError> {
        self.inner.note_uses(uses).await
    }

    fn following(&self) -> Following {
        self.inner.following()
    }

    async fn key_checks(&self) -> Result<Option<Vec<keyward::store::KeyCheck>>, StoreError> {
        Ok(None)
    }

    async fn close(&self) {}
}

#[async_trait]
impl WriteStore for Counting {
    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        self.inner.begin().await
    }

    async fn view(&self) -> Result<Box<dyn View>, StoreError> {
        self.inner.view().await
    }

    async fn sign_in_candidate(
        &self,
        email: &str,
    ) -> Result<Option<(keyward::OwnerId, keyward::store::PasswordHash)>, StoreError> {
        self.inner.sign_in_candidate(email).await
    }
}

struct Node {
    keyward: Keyward,
    store: Counting,
    app: App,
}

impl Node {
    /// Uses more connections than concurrent look-ups are allowed, so that the connections are not the limit.
    async fn connect(url: &str) -> Self {
        let options = PostgresOptions::default().connections(2 * Limits::default().lookups as u32);
        let inner = PostgresStore::connect_with(url, options).await.unwrap();
        let store = Counting { inner, now: Arc::default(), most: Arc::default() };
        let builder = Keyward::builder(store.clone()).hash_key(HashKey::parse(HASH_KEY).unwrap());
        let keyward = builder.admin("/admin").build().unwrap();
        let router = GuardedRouter::new().route("/admin/x", action(READ), get(|| async {}));
        let app = App::from_service(keyward.guard(router));
        Self { keyward, store, app }
    }

    async fn issue(&self, tokens: usize) -> Vec<Secret> {
        let owner = NewOwner::new("ada@example.test").roles([RoleId::SUPER_ADMIN]);
        let owner = self.keyward.owners().create(owner).await.unwrap().id;
        let mut secrets = Vec::new();
        for n in 0..tokens {
            let token = NewAdminToken::new(format!("token {n}"), owner).grants([Grant::new(READ)]);
            secrets.push(self.keyward.tokens().issue_admin(token.lifespan(Lifespan::Unlimited)).await.unwrap().secret);
        }
        secrets
    }
}

/// Returns whether a request was accepted. A 503 has `Retry-After`; a valid token gets no other status.
async fn is_let_in(app: &App, secret: &Secret) -> bool {
    let answer = app.get("/admin/x").bearer(secret).await;
    let later = answer.headers.get("retry-after").is_some_and(|seconds| seconds == "1");
    assert!(answer.status == 200 || (answer.status == 503 && later), "{answer:?}");
    answer.status == 200
}

/// Sends these tokens until stopped, and returns when each request was sent and whether it was accepted.
fn keep_sending(app: &App, secrets: Vec<Secret>, over: watch::Receiver<bool>) -> JoinHandle<Vec<(Instant, bool)>> {
    let app = app.clone();
    tokio::spawn(async move {
        let mut sent = Vec::new();
        for secret in secrets.iter().cycle() {
            if *over.borrow() {
                break;
            }
            let at = Instant::now();
            sent.push((at, is_let_in(&app, secret).await));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        sent
    })
}

/// Retries until the request is accepted, as `Retry-After` asks. Returns the time.
fn insist(app: &App, secret: Secret) -> JoinHandle<Instant> {
    let app = app.clone();
    tokio::spawn(async move {
        while !is_let_in(&app, &secret).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Instant::now()
    })
}

/// Returns all processes of a server once every one is stopped, which takes a while on a busy machine. When the first one is stopped,
/// it starts no more.
fn stop(server: &Server) -> Vec<u32> {
    let postmaster = server.pid().unwrap();
    send_signal(postmaster, "STOP");
    let mut pids = vec![postmaster];
    loop {
        while !pids.iter().all(|pid| stands_still(*pid)) {}
        let more: Vec<u32> = children(postmaster).into_iter().filter(|pid| !pids.contains(pid)).collect();
        if more.is_empty() {
            return pids;
        }
        more.iter().for_each(|pid| send_signal(*pid, "STOP"));
        pids.extend(more);
    }
}

fn children(pid: u32) -> Vec<u32> {
    let all = std::process::Command::new("pgrep").arg("-P").arg(pid.to_string()).output().unwrap();
    String::from_utf8(all.stdout).unwrap().lines().map(|line| line.trim().parse().unwrap()).collect()
}

/// Also true of a process that has ended.
fn stands_still(pid: u32) -> bool {
    let state = std::process::Command::new("ps").args(["-o", "stat=", "-p"]).arg(pid.to_string()).output().unwrap();
    let state = String::from_utf8(state.stdout).unwrap();
    let state = state.trim();
    state.is_empty() || state.starts_with(['T', 'Z'])
}

/// Measures how long this process was not scheduled, which no store can influence: how late a thread of its own wakes.
struct Lateness {
    micros: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl Lateness {
    fn measured() -> Self {
        let (micros, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let measured = Self { micros: micros.clone(), over: over.clone() };
        std::thread::spawn(move || {
            const NAP: Duration = Duration::from_millis(5);
            while !over.load(Ordering::Relaxed) {
                let began = Instant::now();
                std::thread::sleep(NAP);
                let late = began.elapsed() - NAP;
                // A shorter delay counts as on time.
                if late > Duration::from_millis(2) {
                    micros.fetch_add(u64::try_from(late.as_micros()).unwrap(), Ordering::Relaxed);
                }
            }
        });
        measured
    }

    fn so_far(&self) -> Duration {
        Duration::from_micros(self.micros.load(Ordering::Relaxed))
    }
}

impl Drop for Lateness {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// Returns the number of look-ups that the server executes.
async fn working(server: &mut PgConnection) -> i64 {
    let query = "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = 'keyward' AND state = 'active' \
                 AND query LIKE 'SELECT x.seq, (SELECT k.op_id%'";
    sqlx::query(query).fetch_one(server).await.unwrap().get(0)
}

/// Returns the number of connections since the server was started.
fn connections(server: &Server) -> usize {
    let log = std::fs::read_to_string(server.directory().unwrap().join("log")).unwrap();
    log.matches("connection received").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_server_is_503_after_the_lease_and_recovers() {
    if postgres::shared_server().is_none() {
        return;
    }
    let server = match Server::start(&["log_connections=on"]) {
        Ok(server) => server,
        Err(why) => return eprintln!("SKIPPED: a server of one's own. {why}"),
    };
    let node = Node::connect(server.url()).await;
    let mut observer = PgConnection::connect(server.url()).await.unwrap();
    let mut warm = node.issue(WARM + 2 * COLD).await;
    let mut cold = warm.split_off(WARM);
    for secret in &warm {
        assert!(is_let_in(&node.app, secret).await);
    }
    let (over, ends) = watch::channel(false);
    let share = |client: usize| warm.iter().skip(client).step_by(CLIENTS).cloned().collect();
    let load: Vec<_> = (0..CLIENTS).map(|client| keep_sending(&node.app, share(client), ends.clone())).collect();

    // The present speed of this machine: the same without an outage, including new connections.
    let began = Instant::now();
    let herd: Vec<_> = cold.split_off(COLD).into_iter().map(|secret| insist(&node.app, secret)).collect();
    for insisting in herd {
        insisting.await.unwrap();
    }
    let usual = began.elapsed();

    let limits = Limits::default();
    let (bound, leeway) = (limits.max_staleness, Duration::from_millis(50));
    // Start with a fresh lease, so that it lasts as long as possible.
    let lease_left = loop {
        match node.keyward.health().lease_left {
            Some(left) if left > bound - limits.poll_every - limits.poll_deadline => break left,
            _ => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    };
    // Polls succeed until the last process is stopped, and again once the first one is continued.
    let stopping = Instant::now();
    let pids = stop(&server);
    let (stopped, before) = (Instant::now(), connections(&server));
    let herd: Vec<_> = cold.into_iter().map(|secret| insist(&node.app, secret)).collect();
    while node.keyward.health().ready {
        assert!(stopped.elapsed() < 2 * Limits::default().max_staleness, "the lease has not ended");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(LONGER).await;

    let most = &node.store.most;
    println!("at most {} look-ups at a time while it was stopped", most.swap(0, Ordering::SeqCst));
    let going_on = Instant::now();
    pids.iter().for_each(|pid| send_signal(*pid, "CONT"));
    let (went_on, late) = (Instant::now(), Lateness::measured());
    let (mut at_a_time, mut back) = (0, Vec::new());
    let all_back = async {
        for insisting in herd {
            back.push(insisting.await.unwrap());
        }
    };
    let observed = async {
        loop {
            at_a_time = working(&mut observer).await.max(at_a_time);
        }
    };
    tokio::select! {
        () = all_back => {}
        () = observed => {}
    }
    let (recovered, late) = (went_on.elapsed(), late.so_far());
    tokio::time::sleep(Duration::from_millis(200)).await;
    over.send_replace(true);
    let mut sent = Vec::new();
    for client in load {
        sent.extend(client.await.unwrap());
    }

    sent.sort();
    let refused: Vec<Instant> = sent.iter().filter(|(_, let_in)| !let_in).map(|(at, _)| *at).collect();
    let (first, last) = (refused[0] - stopping, *refused.last().unwrap());
    let came = connections(&server) - before;
    println!(
        "{} requests; refused from {first:?} after the stop to {:?} after it went on, {COLD} new tokens back after \
         {recovered:?} ({late:?} of it not run, {usual:?} without an outage); at most {} look-ups at a time, {at_a_time} seen by the server, {came} connections",
        sent.len(),
        last.saturating_duration_since(went_on),
        most.load(Ordering::SeqCst),
    );
    assert!(first + leeway > lease_left, "the lease ended after {first:?} and not {lease_left:?}");
    let during = |at: &Instant| *at > stopped + bound + leeway && *at < going_on;
    assert!(sent.iter().filter(|(at, _)| during(at)).all(|(_, let_in)| !let_in), "accepted without a lease");
    assert!(last < went_on + SECOND + late, "still refused {:?} after it went on", last - went_on);
    assert!(
        recovered < SECOND + late + usual,
        "all recovered after {recovered:?}, of which the process was not scheduled for {late:?}"
    );
    assert!(most.load(Ordering::SeqCst) <= limits.lookups && at_a_time <= limits.lookups as i64);
    // Without a lease only the poller connects, so that abandoned look-ups do not return to the server all at once.
    assert!(came < 100, "{came} connections");
}
