//! Lifecycle events: the audit log as a stream, and notices about tokens, on every store.

mod flaky_store;
mod follow;
mod histories;
mod host_transaction;
mod notices;
mod webhooks;

use futures_util::StreamExt;
use keyward::admin::{AuditEvent, Cursor, EventQuery, Follow, FollowError, LifecycleEvent, Notices, Paging, Policy};
use keyward::store::{PostgresOptions, SqliteOptions, WriteStore};
use keyward::testing::{ManualClock, SeededEntropy, World};
use keyward::{Builder, Keyward, MemoryStore, PostgresStore, SqliteStore};
use keyward_test_support::postgres;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const PATIENCE: Duration = Duration::from_secs(30);

/// Two nodes on one database, and a clock for both and the database.
struct Scene<S> {
    one: World<S>,
    two: World<S>,
    clock: Arc<ManualClock>,
    _directory: Option<TempDir>,
}

fn policy(notices: Option<Notices>) -> Policy {
    let mut policy = Policy::default();
    policy.notices = notices.map(Notices::on_demand);
    policy
}

impl<S: WriteStore + Clone> Scene<S> {
    fn new(one: S, two: S, clock: Arc<ManualClock>, directory: Option<TempDir>, notices: Option<Notices>) -> Self {
        let node = |store, seed| {
            let settings =
                |builder: Builder| builder.policy(policy(notices.clone())).entropy(Arc::new(SeededEntropy::new(seed)));
            World::on(store, clock.clone(), settings)
        };
        // With one seed both nodes would draw the same secrets.
        Self { one: node(one, 1), two: node(two, 2), clock: clock.clone(), _directory: directory }
    }

    /// Returns another node on the database of the second one, as after a restart.
    fn restarted(&self, notices: Option<Notices>) -> World<S> {
        World::on(self.two.store.clone(), self.clock.clone(), |builder| builder.policy(policy(notices)))
    }

    async fn log(&self) -> Vec<(i64, AuditEvent)> {
        log(&self.one.keyward).await
    }
}

/// Returns the whole audit log, the oldest event first.
async fn log(keyward: &Keyward) -> Vec<(i64, AuditEvent)> {
    let mut all = Vec::new();
    for page in 1.. {
        let query = EventQuery { ascending: true, ..EventQuery::all(Paging { page, page_size: Paging::LARGEST }) };
        let items = keyward.audit().list(&query).await.unwrap().items;
        if items.is_empty() {
            break;
        }
        all.extend(items);
    }
    all
}

/// Returns the next item. It is an error if there is none in time.
async fn item(follow: &mut Follow) -> Option<Result<LifecycleEvent, FollowError>> {
    tokio::time::timeout(PATIENCE, follow.next()).await.expect("an item or the end in time")
}

async fn next(follow: &mut Follow) -> LifecycleEvent {
    item(follow).await.expect("the stream has not ended").unwrap()
}

/// Returns the next events, this many.
async fn take(follow: &mut Follow, count: usize) -> Vec<LifecycleEvent> {
    let mut events = Vec::new();
    for _ in 0..count {
        events.push(next(follow).await);
    }
    events
}

fn memory(notices: Option<Notices>) -> Option<Scene<MemoryStore>> {
    let clock = Arc::new(ManualClock::default());
    let store = MemoryStore::with_clock(clock.clone());
    Some(Scene::new(store.clone(), store, clock, None, notices))
}

async fn sqlite(notices: Option<Notices>) -> Option<Scene<SqliteStore>> {
    let (clock, directory) = (Arc::new(ManualClock::default()), TempDir::new().unwrap());
    let open = || {
        let options = SqliteOptions::default().clock(clock.clone());
        SqliteStore::open_with(directory.path().join("keyward.db"), options)
    };
    let (one, two) = (open().await.unwrap(), open().await.unwrap());
    Some(Scene::new(one, two, clock, Some(directory), notices))
}

async fn postgres(notices: Option<Notices>) -> Option<Scene<PostgresStore>> {
    let (clock, url) = (Arc::new(ManualClock::default()), postgres::create_database().await?);
    let open = || PostgresStore::connect_with(&url, PostgresOptions::default().clock(clock.clone()));
    let (one, two) = (open().await.unwrap(), open().await.unwrap());
    Some(Scene::new(one, two, clock, None, notices))
}

/// Makes a test of each story on each store. `$notices` are the notices of both nodes.
macro_rules! on_every_store {
    ($notices:expr => $($story:ident)*) => {
        mod memory {
            $(#[tokio::test]
            async fn $story() {
                let Some(scene) = super::super::memory($notices) else { return };
                super::$story(scene).await;
            })*
        }

        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() {
                let Some(scene) = super::super::sqlite($notices).await else { return };
                super::$story(scene).await;
            })*
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() {
                let Some(scene) = super::super::postgres($notices).await else { return };
                super::$story(scene).await;
            })*
        }
    };
}
use on_every_store;

/// Follows from a position to the end that the log has now.
async fn follow_to_end(keyward: &Keyward, from: Cursor) -> Vec<LifecycleEvent> {
    let end = keyward.audit().last_cursor().await.unwrap();
    let mut follow = keyward.audit().follow(from);
    let mut events: Vec<LifecycleEvent> = Vec::new();
    while events.last().map_or(from, |event| event.cursor) != end {
        events.push(next(&mut follow).await);
    }
    events
}
