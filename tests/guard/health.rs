//! The health of an installation: readiness when the change log is silent or look-ups fail, and its metrics.

/// The health routes of the example platform, in front of a store that can stop answering.
#[path = "../../examples/platform/health.rs"]
mod routes;

use async_trait::async_trait;
use http::{Request, Response, StatusCode};
use keyward::guard::{Guard, Limits};
use keyward::health::SyncMode;
use keyward::store::{Applied, ChangeLog, Following, LoggedChange, Poll, Snapshot, Store, Use};
use keyward::store::{Digest, StoreError, Tag};
use keyward::testing::{HASH_KEY, ManualClock};
use keyward::time::{Clock, Timestamp};
use keyward::token::Secret;
use keyward::{Builder, HashKey, MemoryStore};
use keyward_test_support::log;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tower::{ServiceExt, service_fn};

const BOUND: Duration = Duration::from_secs(2);

/// An empty store whose change log answers or is silent.
#[derive(Clone, Debug, Default)]
struct Logged(Arc<State>);

#[derive(Debug, Default)]
struct State {
    clock: Arc<ManualClock>,
    changes: Mutex<Vec<LoggedChange>>,
    silent: AtomicBool,
    failing: AtomicBool,
    hanging: AtomicBool,
    /// Notified when a read hangs.
    hangs: Notify,
    /// How many old changes are removed at a time; `None` makes the removal hang.
    removes: Mutex<Option<u64>>,
    /// How often their removal was called.
    forgets: AtomicUsize,
    /// Receives one message per poll.
    polls: Mutex<Option<mpsc::UnboundedSender<()>>>,
}

#[async_trait]
impl Store for Logged {
    async fn resolve(&self, _: &Digest) -> Result<Snapshot, StoreError> {
        if self.0.failing.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("told to fail".into()));
        }
        if self.0.hanging.load(Ordering::SeqCst) {
            self.0.hangs.notify_one();
            std::future::pending::<()>().await;
        }
        let seq = self.0.changes.lock().unwrap().len() as u64;
        Ok(Snapshot { seq, op_id: None, record: None })
    }

    fn following(&self) -> Following {
        Following::Log(Box::new(self.clone()))
    }

    async fn note_uses(&self, _: &[Use]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn key_checks(&self) -> Result<Option<Vec<keyward::store::KeyCheck>>, StoreError> {
        Ok(None)
    }

    async fn close(&self) {}
}

#[async_trait]
impl ChangeLog for Logged {
    async fn poll(&mut self, applied: Option<&Applied>) -> Result<Poll, StoreError> {
        let told = self.0.polls.lock().unwrap().clone();
        told.unwrap().send(()).unwrap();
        if self.0.silent.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let all = self.0.changes.lock().unwrap().clone();
        let head = all.len() as u64;
        let after = applied.map_or(head.saturating_sub(1), |applied| applied.seq);
        let changes = all.into_iter().filter(|change| change.seq > after).collect();
        Ok(Poll { now: self.0.clock.now(), head, known: true, changes })
    }

    async fn hint(&mut self) {
        std::future::pending().await
    }

    async fn forget(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        self.0.forgets.fetch_add(1, Ordering::SeqCst);
        // A reader that was away for a shorter time continues where it was.
        assert_eq!(self.0.clock.now().since(before), Duration::from_secs(60 * 60));
        let removed = *self.0.removes.lock().unwrap();
        match removed {
            Some(removed) => Ok(removed),
            None => std::future::pending().await,
        }
    }
}

impl Logged {
    /// Records a change that happened this long ago.
    fn changed(&self, ago: Duration) {
        let mut changes = self.0.changes.lock().unwrap();
        let (seq, now) = (changes.len() as u64 + 1, self.0.clock.now());
        let at = Timestamp(now.0 - i64::try_from(ago.as_millis()).unwrap());
        changes.push(LoggedChange { seq, op_id: format!("op {seq}"), at, tags: vec![Tag::ALL] });
    }
}

/// The polls of the store, one message each.
struct Polls(mpsc::UnboundedReceiver<()>);

impl Polls {
    /// Waits until all present changes were read: until the poll after the next one begins.
    async fn caught_up(&mut self) {
        while self.0.try_recv().is_ok() {}
        for _ in 0..2 {
            self.0.recv().await.unwrap();
        }
    }
}

fn logged() -> (Guard, Logged, Polls) {
    let (store, (sender, polls)) = (Logged::default(), mpsc::unbounded_channel());
    *store.0.polls.lock().unwrap() = Some(sender);
    let mut limits = Limits::default();
    limits.lookups = 1;
    let keyward = on(store.clone(), store.0.clock.clone(), |b| b.limits(limits));
    (keyward, store, Polls(polls))
}

fn on(store: impl Store, clock: Arc<ManualClock>, with: impl FnOnce(Builder<Guard>) -> Builder<Guard>) -> Guard {
    let builder = Guard::builder(store)
        .hash_key(HashKey::parse(HASH_KEY).unwrap())
        .clock(clock)
        .admin("/admin")
        .public("/healthz")
        .public("/readyz");
    with(builder).build().unwrap()
}

/// Returns the status of a request with this secret.
async fn ask(keyward: &Guard, secret: &Secret) -> StatusCode {
    let service = service_fn(|_| async { Ok::<_, Infallible>(Response::new(bytes::Bytes::new())) });
    let bearer = format!("Bearer {}", secret.expose());
    let request = Request::get("/admin/x").header("authorization", bearer).body(()).unwrap();
    keyward.wrap(service).oneshot(request).await.unwrap().status()
}

/// Returns the response of a health route.
async fn watch(keyward: &Guard, path: &str) -> Response<axum::body::Body> {
    let request = Request::get(path).body(axum::body::Body::empty()).unwrap();
    let response = keyward.guard(routes::routes(keyward)).oneshot(request).await.unwrap();
    assert_eq!(response.headers()["cache-control"], "no-store");
    response
}

/// Returns a genuine secret that is in no store.
fn unknown() -> Secret {
    let hash_keys = keyward::token::HashKeyRing::parse(HASH_KEY).unwrap();
    let format = keyward::testing::SecretFormat::new(&Default::default(), hash_keys);
    format.issue(keyward::token::TokenKind::Admin, &keyward::token::OsEntropy).unwrap().secret
}

#[tokio::test(start_paused = true)]
async fn silent_change_log_is_warned_about_once() {
    let (log, _guard) = log::capture();
    let (keyward, store, mut polls) = logged();
    let complaints = || log.lines_with("cannot read the log of changes");
    for outage in 1..=2 {
        polls.caught_up().await;
        assert!(keyward.health().ready);
        store.0.silent.store(true, Ordering::SeqCst);
        for _ in 0..3 {
            polls.caught_up().await;
        }
        assert_eq!(complaints(), outage);
        store.0.silent.store(false, Ordering::SeqCst);
    }
}

/// A node behind a load balancer gets requests as soon as it starts.
#[tokio::test(start_paused = true)]
async fn first_request_waits_for_the_first_poll() {
    let (keyward, store, _polls) = logged();
    assert!(!keyward.health().ready);
    assert_eq!(ask(&keyward, &unknown()).await, 401);
    assert_eq!(keyward.health().store_reads, 1);

    // A request does not wait for an expired lease: the log may be silent for long.
    store.0.silent.store(true, Ordering::SeqCst);
    store.0.clock.advance(2 * BOUND);
    let asked = tokio::time::Instant::now();
    assert_eq!(ask(&keyward, &unknown()).await, 503);
    assert_eq!(asked.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn node_is_not_ready_while_the_change_log_is_silent() {
    let (keyward, store, mut polls) = logged();
    let health = keyward.health();
    assert!(!health.ready && health.sync_mode == SyncMode::ByLog);
    assert_eq!((health.lease_age, health.lease_left, health.applied_seq, health.lag), (None, None, None, None));

    polls.caught_up().await;
    let health = keyward.health();
    assert!(health.ready && health.lag.is_none(), "{health:?}");
    assert_eq!((health.lease_age, health.lease_left), (Some(Duration::ZERO), Some(BOUND)));
    assert_eq!((health.applied_seq, health.era), (Some(0), 0));

    store.changed(Duration::from_millis(1500));
    polls.caught_up().await;
    store.changed(Duration::from_millis(70));
    polls.caught_up().await;
    let health = keyward.health();
    assert_eq!((health.applied_seq, health.lag), (Some(2), Some(Duration::from_millis(70))));

    store.0.silent.store(true, Ordering::SeqCst);
    polls.caught_up().await;
    store.0.clock.advance(BOUND);
    assert!(keyward.health().ready, "ready until the lease ends");
    store.0.clock.advance(Duration::from_millis(1));
    let health = keyward.health();
    assert!(!health.ready);
    assert_eq!((health.lease_age, health.lease_left), (Some(BOUND + Duration::from_millis(1)), Some(Duration::ZERO)));
    assert_eq!(ask(&keyward, &unknown()).await, 503);
    assert_eq!(keyward.health().store_reads, 0, "a node without a lease makes no reads: their results would not count");
    let response = watch(&keyward, "/readyz").await;
    assert_eq!(
        (response.status(), &response.headers()["retry-after"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"1".parse().unwrap())
    );
    assert_eq!(watch(&keyward, "/healthz").await.status(), 200);

    store.0.silent.store(false, Ordering::SeqCst);
    polls.caught_up().await;
    assert!(keyward.health().ready && keyward.health().applied_seq == Some(2));
    assert_eq!(ask(&keyward, &unknown()).await, 401);
    assert_eq!(watch(&keyward, "/readyz").await.status(), 200);
}

/// Advances both clocks for the poller.
async fn pass(store: &Logged, span: Duration) {
    const STEP: Duration = Duration::from_millis(10);
    for _ in 0..span.as_millis() / STEP.as_millis() {
        store.0.clock.advance(STEP);
        tokio::time::advance(STEP).await;
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
    }
}

/// The interval between removals of old changes.
const FORGET_EVERY: Duration = Duration::from_secs(10 * 60);

#[tokio::test(start_paused = true)]
async fn lease_does_not_wait_for_removal_of_old_changes() {
    let (keyward, store, mut polls) = logged();
    polls.caught_up().await;
    store.0.clock.advance(FORGET_EVERY);
    while store.0.forgets.load(Ordering::SeqCst) == 0 {
        pass(&store, Duration::from_millis(10)).await;
    }
    for _ in 0..100 {
        pass(&store, Duration::from_millis(100)).await;
        let age = keyward.health().lease_age.unwrap();
        assert!(age <= Limits::default().poll_every + Duration::from_millis(20), "{age:?}");
    }
    assert_eq!(store.0.forgets.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn old_changes_are_removed_in_batches_after_each_poll() {
    let (_keyward, store, mut polls) = logged();
    let forgets = || store.0.forgets.load(Ordering::SeqCst);
    *store.0.removes.lock().unwrap() = Some(1000);
    polls.caught_up().await;
    store.0.clock.advance(FORGET_EVERY - Duration::from_millis(1));
    polls.caught_up().await;
    assert_eq!(forgets(), 0);
    store.0.clock.advance(Duration::from_millis(1));
    pass(&store, Duration::from_secs(2)).await;
    assert!((7..=9).contains(&forgets()), "{} times", forgets());
    *store.0.removes.lock().unwrap() = Some(999);
    pass(&store, Duration::from_secs(1)).await;
    let so_far = forgets();
    pass(&store, Duration::from_secs(2)).await;
    assert_eq!(forgets(), so_far, "no old changes are left");
}

#[tokio::test(start_paused = true)]
async fn store_reads_are_counted() {
    let (keyward, store, mut polls) = logged();
    polls.caught_up().await;
    let secret = unknown();
    for _ in 0..3 {
        assert_eq!(ask(&keyward, &secret).await, 401);
    }
    store.0.failing.store(true, Ordering::SeqCst);
    assert_eq!(ask(&keyward, &unknown()).await, 503);
    let health = keyward.health();
    assert_eq!((health.cache_misses, health.store_reads, health.lookups_failed), (2, 2, 1));
    assert_eq!((health.absent_entries, health.cache_entries, health.cache_bytes), (1, 0, 0));
    assert_eq!((health.lookups_in_flight, health.lookups_waiting), (0, 0));
    assert_eq!((health.lookups_late, health.lookups_overloaded), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn look_ups_in_flight_waiting_and_late_are_counted_separately() {
    let (keyward, store, mut polls) = logged();
    polls.caught_up().await;
    store.0.hanging.store(true, Ordering::SeqCst);
    let (one, other) = (unknown(), unknown());
    let asked = async { tokio::join!(ask(&keyward, &one), ask(&keyward, &one), ask(&keyward, &other)) };
    let watched = async {
        store.0.hangs.notified().await;
        keyward.health()
    };
    let ((a, b, c), health) = tokio::join!(asked, watched);
    assert_eq!((health.lookups_in_flight, health.lookups_waiting), (2, 1), "{health:?}");
    assert_eq!([a, b, c], [StatusCode::SERVICE_UNAVAILABLE; 3]);
    let health = keyward.health();
    assert_eq!((health.cache_misses, health.store_reads), (3, 1));
    assert_eq!((health.lookups_late, health.lookups_overloaded, health.lookups_failed), (1, 1, 0));
    assert_eq!((health.lookups_in_flight, health.lookups_waiting), (0, 0));
}

#[tokio::test]
async fn store_without_a_change_log_has_no_lease() {
    let clock = Arc::new(ManualClock::default());
    let blind = on(MemoryStore::with_clock(clock.clone()), clock.clone(), |b| b);
    let alone = on(MemoryStore::with_clock(clock.clone()), clock.clone(), Builder::store_is_exclusive);
    clock.advance(100 * BOUND);
    for (keyward, sync_mode) in [(blind, SyncMode::ByReadingAgain), (alone, SyncMode::Exclusive)] {
        let health = keyward.health();
        assert!(health.ready && health.sync_mode == sync_mode);
        assert_eq!((health.lease_age, health.lease_left, health.applied_seq), (None, None, None));
    }
}

#[tokio::test(start_paused = true)]
async fn json_names_include_their_units() {
    let (keyward, store, mut polls) = logged();
    polls.caught_up().await;
    store.0.silent.store(true, Ordering::SeqCst);
    polls.caught_up().await;
    store.0.clock.advance(Duration::from_millis(250));
    let expected = serde_json::json!({
        "ready": true, "syncMode": "byLog", "leaseAgeMs": 250, "leaseLeftMs": 1750, "appliedSeq": 0, "lagMs": null, "era": 0,
        "cacheEntries": 0, "cacheBytes": 0, "absentEntries": 0, "cacheMisses": 0, "lookupsInFlight": 0, "lookupsWaiting": 0,
        "storeReads": 0, "lookupsFailed": 0, "lookupsOverloaded": 0, "lookupsLate": 0,
        "warmingUp": false, "warmedTokens": 0, "warmedHits": 0, "signInsBusy": 0,
    });
    assert_eq!(serde_json::to_value(keyward.health()).unwrap(), expected);
}

#[cfg(feature = "metrics")]
mod published {
    use super::*;
    use metrics::{
        Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    };
    use std::collections::BTreeMap;

    /// The last recorded values, by name and labels.
    #[derive(Clone, Default)]
    struct Record(Arc<Mutex<BTreeMap<String, f64>>>, Arc<Mutex<Vec<String>>>);

    struct Value(Record, String);

    impl Value {
        fn update(&self, how: impl FnOnce(f64) -> f64) {
            let mut all = self.0.0.lock().unwrap();
            let value = all.entry(self.1.clone()).or_default();
            *value = how(*value);
        }
    }

    impl CounterFn for Value {
        fn increment(&self, by: u64) {
            self.update(|value| value + by as f64);
        }

        fn absolute(&self, to: u64) {
            self.update(|_| to as f64);
        }
    }

    impl GaugeFn for Value {
        fn increment(&self, by: f64) {
            self.update(|value| value + by);
        }

        fn decrement(&self, by: f64) {
            self.update(|value| value - by);
        }

        fn set(&self, to: f64) {
            self.update(|_| to);
        }
    }

    impl Record {
        fn value(&self, key: &Key) -> Arc<Value> {
            let labels: Vec<String> = key.labels().map(|l| format!("{}={}", l.key(), l.value())).collect();
            Arc::new(Value(self.clone(), [key.name().to_owned(), labels.join(",")].join(" ").trim().to_owned()))
        }

        fn describe(&self, name: &KeyName, what: &str) {
            self.1.lock().unwrap().push(format!("{}: {what}", name.as_str()));
        }

        fn get(&self, name: &str) -> Option<f64> {
            self.0.lock().unwrap().get(name).copied()
        }
    }

    impl Recorder for Record {
        fn describe_counter(&self, name: KeyName, _: Option<Unit>, what: SharedString) {
            self.describe(&name, &what);
        }

        fn describe_gauge(&self, name: KeyName, _: Option<Unit>, what: SharedString) {
            self.describe(&name, &what);
        }

        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            Counter::from_arc(self.value(key))
        }

        fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::from_arc(self.value(key))
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    /// Advances tokio's paused time by more than a second.
    async fn a_while() {
        tokio::time::sleep(Duration::from_millis(1100)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn metrics_are_published_every_second_without_secrets() {
        let record = Record::default();
        let _local = metrics::set_default_local_recorder(&record);
        let (keyward, store, mut polls) = logged();
        polls.caught_up().await;
        store.changed(Duration::ZERO);
        polls.caught_up().await;
        store.changed(Duration::from_millis(70));
        polls.caught_up().await;
        let secret = unknown();
        for _ in 0..2 {
            assert_eq!(ask(&keyward, &secret).await, 401);
        }
        store.0.failing.store(true, Ordering::SeqCst);
        let other = unknown();
        assert_eq!(ask(&keyward, &other).await, 503);
        a_while().await;

        for (name, value) in [
            ("keyward_ready", 1.0),
            ("keyward_lease_age_seconds", 0.0),
            ("keyward_lease_left_seconds", 2.0),
            ("keyward_applied_seq", 2.0),
            ("keyward_lag_seconds", 0.07),
            ("keyward_cache_entries", 0.0),
            ("keyward_cache_bytes", 0.0),
            ("keyward_absent_entries", 1.0),
            ("keyward_lookups_in_flight", 0.0),
            ("keyward_lookups_waiting", 0.0),
            ("keyward_cache_misses_total", 2.0),
            ("keyward_store_reads_total", 2.0),
            ("keyward_lookups_failed_total", 1.0),
            ("keyward_lookups_overloaded_total", 0.0),
            ("keyward_lookups_late_total", 0.0),
            ("keyward_warmed_tokens_total", 0.0),
            ("keyward_warmed_hits_total", 0.0),
            ("keyward_rejections_total reason=unknown_token", 2.0),
            ("keyward_rejections_total reason=store_error", 1.0),
        ] {
            assert_eq!(record.get(name), Some(value), "{name}");
        }
        assert!(record.get("keyward_era").is_some());
        let described = record.1.lock().unwrap().clone();
        let names: Vec<String> = record.0.lock().unwrap().keys().cloned().collect();
        for name in &names {
            let name = name.split(' ').next().unwrap();
            let times = described.iter().filter(|d| d.starts_with(&format!("{name}: "))).count();
            assert_eq!(times, 1, "{name} in {described:?}");
        }
        let shown = format!("{names:?} {described:?}");
        for hidden in [&secret, &other].map(|s| s.expose()[9..].to_owned()).iter().chain([&HASH_KEY.to_owned()]) {
            assert!(!shown.contains(hidden.as_str()), "{shown}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn publishing_stops_with_the_installation() {
        let record = Record::default();
        let _local = metrics::set_default_local_recorder(&record);
        let (keyward, _store, mut polls) = logged();
        polls.caught_up().await;
        a_while().await;
        assert_eq!(record.get("keyward_ready"), Some(1.0));
        drop(keyward);
        record.0.lock().unwrap().clear();
        a_while().await;
        assert_eq!(record.get("keyward_ready"), None);
        // Last uses are written in the background, less often.
        tokio::time::sleep(Duration::from_secs(60)).await;
        let left = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        assert_eq!(left, 0, "tasks");
    }
}
