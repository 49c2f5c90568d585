//! Look-ups that wait together, staged: each read takes its snapshot, reports its digests, and waits until it may return.

use super::*;
use crate::domain::{Conditions, SystemClock, Tag};
use crate::resolve::tests::{self, cache_keys, record, strapi_secret};
use crate::resolve::{HostAccounts, KnownSecret, Limits, Resolved};
use crate::store::{Following, KeyCheck, Store, Use};
use async_trait::async_trait;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

const BATCH: usize = 4;
/// A digest with this rest cannot be read.
const CORRUPT: u8 = 99;

/// A store in which every digest belongs to a token.
struct StagedStore {
    seq: AtomicU64,
    started: UnboundedSender<Vec<Digest>>,
    go: tokio::sync::Semaphore,
    failure: Mutex<Option<Failure>>,
}

#[derive(Clone, Copy)]
enum Failure {
    Error,
    Panic,
    Short,
}

#[async_trait]
impl Store for StagedStore {
    async fn resolve(&self, digest: &Digest) -> Result<Snapshot, StoreError> {
        self.read(std::slice::from_ref(digest)).await.pop().ok_or(StoreError::Busy)?
    }

    async fn resolve_many(&self, digests: &[Digest]) -> Result<Vec<Result<Snapshot, StoreError>>, StoreError> {
        let mut snapshots = self.read(digests).await;
        let failure = *self.failure.lock().unwrap();
        match failure {
            None => {}
            Some(Failure::Error) => return Err(StoreError::Busy),
            Some(Failure::Panic) => panic!("the store fails"),
            Some(Failure::Short) => drop(snapshots.pop()),
        }
        Ok(snapshots)
    }

    fn batch_size(&self) -> usize {
        BATCH
    }

    async fn note_uses(&self, _: &[Use]) -> Result<(), StoreError> {
        Ok(())
    }

    fn following(&self) -> Following {
        Following::Blind
    }

    async fn key_checks(&self) -> Result<Option<Vec<KeyCheck>>, StoreError> {
        Ok(None)
    }

    async fn close(&self) {}
}

impl StagedStore {
    async fn read(&self, digests: &[Digest]) -> Vec<Result<Snapshot, StoreError>> {
        let seq = self.seq.load(Ordering::SeqCst);
        self.started.send(digests.to_vec()).unwrap();
        self.go.acquire().await.unwrap().forget();
        let snapshot = |digest: &Digest| match digest {
            Digest::Native([.., CORRUPT]) => Err(StoreError::Corrupt("a token".into())),
            _ => Ok(Snapshot { seq, op_id: None, record: Some(record(*digest)) }),
        };
        digests.iter().map(snapshot).collect()
    }
}

struct Stage {
    resolver: Arc<Resolver>,
    store: Arc<StagedStore>,
    reads: UnboundedReceiver<Vec<Digest>>,
}

type Asked = JoinHandle<Result<Resolved, Unavailable>>;

impl Stage {
    /// Only `permits` reads run at a time.
    fn new(permits: usize) -> Self {
        let (started, reads) = unbounded_channel();
        let go = tokio::sync::Semaphore::new(0);
        let store = StagedStore { seq: AtomicU64::new(1), started, go, failure: Mutex::default() };
        let store = Arc::new(store);
        let limits = Limits { lookups: permits, ..Limits::default() };
        let (clock, conditions) = (Arc::new(SystemClock), Conditions::default());
        let resolver = Resolver::start(store.clone(), clock, conditions, limits, cache_keys(), HostAccounts::none(), true);
        Self { resolver, store, reads }
    }

    /// Sends a look-up, and lets it come as far as it can.
    async fn ask(&self, secret: KnownSecret, lane: Lane) -> Asked {
        let asked = tokio::spawn(self.resolver.clone().ask(secret, lane));
        settle().await;
        asked
    }

    async fn ask_all(&self, numbers: impl IntoIterator<Item = u64>) -> Vec<Asked> {
        let mut asked = Vec::new();
        for n in numbers {
            asked.push(self.ask(secret(n, 1), Lane::Unknown).await);
        }
        asked
    }

    /// Returns the digests of the next read.
    async fn read(&mut self) -> Vec<Digest> {
        tokio::time::timeout(Duration::from_secs(5), self.reads.recv()).await.expect("a read").unwrap()
    }

    /// Lets one read return.
    async fn go(&self) {
        self.store.go.add_permits(1);
        settle().await;
    }
}

/// Lets all tasks run until they wait. The runtime has one thread.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// A secret whose tag has a slot of its own in the tag clock.
fn secret(n: u64, rest: u8) -> KnownSecret {
    tests::secret(n.wrapping_mul(0x9E37_79B9_7F4A_7C15), rest)
}

fn digests(numbers: impl IntoIterator<Item = u64>) -> Vec<Digest> {
    numbers.into_iter().map(|n| secret(n, 1).digest).collect()
}

fn is_found(answer: Result<Resolved, Unavailable>, digest: Digest) -> bool {
    matches!(answer, Ok(Resolved::Found(entry)) if entry.digest() == Some(digest))
}

#[tokio::test(start_paused = true)]
async fn a_lookup_with_a_permit_reads_alone_and_at_once() {
    let mut stage = Stage::new(2);
    let asked = stage.ask_all(0..2).await;
    // Both run, and neither waited for the other.
    assert_eq!([stage.read().await, stage.read().await], [digests([0]), digests([1])]);
    stage.go().await;
    stage.go().await;
    for (n, asked) in (0..).zip(asked) {
        assert!(is_found(asked.await.unwrap(), secret(n, 1).digest));
    }
}

#[tokio::test(start_paused = true)]
async fn lookups_that_wait_together_share_a_read() {
    let mut stage = Stage::new(1);
    let mut asked = stage.ask_all(0..7).await;
    // Another request for a waiting token joins its look-up.
    asked.push(stage.ask(secret(3, 1), Lane::Unknown).await);
    assert_eq!(stage.read().await, digests([0]));
    let health = stage.resolver.health();
    assert_eq!((health.lookups_in_flight, health.lookups_waiting), (7, 6));
    stage.go().await;
    assert_eq!(stage.read().await, digests(1..5), "a batch has four, those that came first");
    let health = stage.resolver.health();
    assert_eq!((health.lookups_in_flight, health.lookups_waiting), (6, 2));
    stage.go().await;
    assert_eq!(stage.read().await, digests(5..7));
    stage.go().await;
    for (n, asked) in [0, 1, 2, 3, 4, 5, 6, 3].into_iter().zip(asked) {
        assert!(is_found(asked.await.unwrap(), secret(n, 1).digest), "{n}");
    }
    assert_eq!(stage.resolver.health().store_reads, 3);
    assert_eq!(stage.resolver.health().lookups_waiting, 0);
    assert_eq!(stage.resolver.lanes.running(), 0);
}

/// bounded-by-strangers: nothing that may be made up rides along or is waited for.
#[tokio::test(start_paused = true)]
async fn doubtful_and_over_budget_lookups_read_alone() {
    let mut stage = Stage::new(8);
    let mut asked = Vec::new();
    for n in 0..4 {
        asked.push(stage.ask(strapi_secret(n, 1), Lane::Unknown).await);
        asked.push(stage.ask(secret(100 + n, 1), Lane::OverBudget(n)).await);
    }
    for _ in 0..8 {
        assert_eq!(stage.read().await.len(), 1);
        stage.go().await;
    }
    for asked in asked {
        assert!(asked.await.unwrap().is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn lanes_do_not_share_a_read() {
    let mut stage = Stage::new(1);
    let mut asked = stage.ask_all([0]).await;
    for n in 1..5 {
        let lane = if n % 2 == 0 { Lane::Known } else { Lane::Unknown };
        asked.push(stage.ask(secret(n, 1), lane).await);
    }
    assert_eq!(stage.read().await, digests([0]));
    stage.go().await;
    let mut batches = vec![stage.read().await];
    stage.go().await;
    batches.push(stage.read().await);
    stage.go().await;
    batches.sort_by_key(|batch| batch[0] != secret(1, 1).digest);
    assert_eq!(batches, [digests([1, 3]), digests([2, 4])]);
    for asked in asked {
        assert!(asked.await.unwrap().is_ok());
    }
}

/// single-flight: a request that is cancelled cancels no other, whichever look-up reads.
#[tokio::test(start_paused = true)]
async fn a_cancelled_request_cancels_no_other() {
    let mut stage = Stage::new(1);
    let asked = stage.ask_all(0..5).await;
    assert_eq!(stage.read().await, digests([0]));
    // The first of the batch, which will read, and one that rides.
    asked[1].abort();
    asked[3].abort();
    stage.go().await;
    assert_eq!(stage.read().await, digests(1..5));
    stage.go().await;
    for (n, asked) in (0..).zip(asked).filter(|(n, _)| ![1, 3].contains(n)) {
        assert!(is_found(asked.await.unwrap(), secret(n, 1).digest), "{n}");
    }
}

/// next-request: a change after the snapshot of a batch concerns only its tokens.
#[tokio::test(start_paused = true)]
async fn a_change_during_a_batch_reloads_the_changed_token_alone() {
    let mut stage = Stage::new(1);
    let asked = stage.ask_all(0..4).await;
    assert_eq!(stage.read().await, digests([0]));
    stage.go().await;
    assert_eq!(stage.read().await, digests(1..4));
    // The batch has its snapshot. The change commits, and is answered before the batch returns.
    stage.store.seq.store(2, Ordering::SeqCst);
    stage.resolver.freshness.invalidate(2, &[Tag::token(&secret(2, 1).digest)]);
    stage.go().await;
    assert_eq!(stage.read().await, digests([2]));
    let mut asked = asked.into_iter().zip(0..);
    let late = asked.by_ref().nth(2).unwrap().0;
    assert!(!late.is_finished(), "it is judged by the state after the change");
    stage.go().await;
    let Ok(Resolved::Found(entry)) = late.await.unwrap() else { panic!() };
    assert_eq!(entry.stamp.seq, 2);
    assert!(is_found(asked.next().unwrap().0.await.unwrap(), secret(3, 1).digest));
}

/// The era is that before the statement of the batch.
#[tokio::test(start_paused = true)]
async fn an_era_that_begins_during_a_batch_reloads_all_of_it() {
    let mut stage = Stage::new(1);
    let asked = stage.ask_all(0..4).await;
    assert_eq!(stage.read().await, digests([0]));
    stage.go().await;
    assert_eq!(stage.read().await, digests(1..4));
    stage.resolver.freshness.begin_era(0);
    stage.go().await;
    let mut again = Vec::new();
    while again.len() < 3 {
        again.extend(stage.read().await);
        stage.go().await;
    }
    assert!(digests(1..4).iter().all(|digest| again.contains(digest)));
    for (n, asked) in (0..).zip(asked) {
        assert!(is_found(asked.await.unwrap(), secret(n, 1).digest), "{n}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_cannot_be_read_fails_alone() {
    let mut stage = Stage::new(1);
    let mut asked = stage.ask_all(0..3).await;
    asked.push(stage.ask(secret(3, CORRUPT), Lane::Unknown).await);
    assert_eq!(stage.read().await, digests([0]));
    stage.go().await;
    assert_eq!(stage.read().await.len(), 3);
    stage.go().await;
    assert!(matches!(asked.pop().unwrap().await.unwrap(), Err(Unavailable::Store)));
    for (n, asked) in (0..).zip(asked) {
        assert!(is_found(asked.await.unwrap(), secret(n, 1).digest), "{n}");
    }
}

/// own-failure-is-503: no rider gets the answer of another one, and the next look-up succeeds.
#[tokio::test(start_paused = true)]
async fn a_failed_batch_fails_its_riders_and_frees_the_permit() {
    for failure in [Failure::Error, Failure::Panic, Failure::Short] {
        let mut stage = Stage::new(1);
        let asked = stage.ask_all(0..4).await;
        assert_eq!(stage.read().await, digests([0]));
        *stage.store.failure.lock().unwrap() = Some(failure);
        stage.go().await;
        assert_eq!(stage.read().await, digests(1..4));
        stage.go().await;
        for (n, asked) in (0..).zip(asked) {
            let answer = asked.await.unwrap();
            match (n, failure) {
                (0, _) | (1 | 2, Failure::Short) => assert!(is_found(answer, secret(n, 1).digest), "{n}"),
                _ => assert!(matches!(answer, Err(Unavailable::Store)), "{n}"),
            }
        }
        *stage.store.failure.lock().unwrap() = None;
        let again = stage.ask(secret(3, 1), Lane::Unknown).await;
        assert_eq!(stage.read().await, digests([3]));
        stage.go().await;
        assert!(is_found(again.await.unwrap(), secret(3, 1).digest));
        let health = stage.resolver.health();
        assert_eq!((health.lookups_in_flight, stage.resolver.lanes.running()), (0, 0));
        assert_eq!(stage.resolver.waiting.riders(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_batch_is_given_up_at_the_deadline_of_one_read() {
    let mut stage = Stage::new(1);
    let first = stage.ask_all([0]).await.remove(0);
    assert_eq!(stage.read().await, digests([0]));
    let asked = stage.ask_all(1..3).await;
    stage.go().await;
    assert!(first.await.unwrap().is_ok());
    let began = tokio::time::Instant::now();
    for asked in asked {
        assert!(matches!(asked.await.unwrap(), Err(Unavailable::Deadline)));
    }
    let waited = began.elapsed();
    assert!((Limits::default().lookup..Limits::default().lookup + Duration::from_millis(10)).contains(&waited));
}

#[tokio::test(start_paused = true)]
async fn a_lookup_that_waited_in_vain_is_not_read() {
    let mut stage = Stage::new(1);
    let asked = stage.ask_all(0..3).await;
    assert_eq!(stage.read().await, digests([0]));
    let mut asked = asked.into_iter();
    let first = asked.next().unwrap();
    for asked in asked {
        assert!(matches!(asked.await.unwrap(), Err(Unavailable::Overloaded)));
    }
    let late = stage.ask(secret(7, 1), Lane::Unknown).await;
    stage.go().await;
    assert_eq!(stage.read().await, digests([7]));
    stage.go().await;
    assert!(first.await.unwrap().is_ok() && late.await.unwrap().is_ok());
}
