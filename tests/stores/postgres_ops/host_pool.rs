//! A pool that the host and keyward share.

use crate::node::{BOUND, Node, error_chain, execute, query_number};
use keyward::PostgresStore;
use keyward::store::{Digest, PostgresOptions, Store, WriteStore, contract};
use keyward_test_support::postgres;
use sqlx::postgres::{PgListener, PgPoolOptions};
use sqlx::{PgPool, Row};
use std::time::Duration;

fn pool(url: &str, connections: u32) -> PgPool {
    PgPoolOptions::new().max_connections(connections).connect_lazy(url).unwrap()
}

/// Makes the defaults of all sessions of a database as unfriendly as a host may have them.
async fn set_defaults(url: &str) {
    let database = url.rsplit('/').next().unwrap();
    for setting in [
        "default_transaction_isolation = 'serializable'",
        "search_path = 'nowhere'",
        "TimeZone = 'Asia/Kathmandu'",
        "DateStyle = 'SQL, DMY'",
        "synchronous_commit = off",
        "lock_timeout = '1ms'",
        "default_transaction_read_only = on",
    ] {
        execute(url, &format!("ALTER DATABASE {database} SET {setting}")).await;
    }
}

/// Every statement of the contract has the settings that it needs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_contract_holds_in_a_pool_with_any_defaults() {
    if postgres::shared_server().is_none() {
        return;
    }
    contract::run(async || {
        let url = postgres::create_database().await.unwrap();
        set_defaults(&url).await;
        let options = PostgresOptions::default().schema("keyward");
        let store = PostgresStore::from_pool_with(pool(&url, 40), options).await;
        store.unwrap_or_else(|error| panic!("{}", error_chain(&error)))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_of_the_host_stay_as_they_were() {
    let Some(url) = postgres::create_database().await else { return };
    set_defaults(&url).await;
    let pool = pool(&url, 4);
    let node = Node::in_pool(&pool, PostgresOptions::default().schema("keyward")).await;
    let settings = "SELECT string_agg(name || '=' || setting, ';' ORDER BY name) FROM pg_settings \
                    WHERE source IN ('session', 'interactive')";
    let session = "SELECT COUNT(*) FROM (SELECT name FROM pg_settings WHERE source = 'session' AND name NOT LIKE '%client%' \
                   UNION ALL SELECT statement FROM pg_prepared_statements WHERE statement LIKE '%keyward%' \
                   UNION ALL SELECT pg_listening_channels() \
                   UNION ALL SELECT current_setting('keyward.writer', TRUE) WHERE current_setting('keyward.writer', TRUE) = 'on') x";
    let key = node.issue("ci").await;
    assert_eq!(node.status(&key).await, 200);
    node.keyward.flush().await;
    node.keyward.tokens().revoke(key.token.id).await.unwrap();
    assert_eq!(node.status(&key).await, 401);
    let mut all = Vec::new();
    for _ in 0..4 {
        all.push(pool.acquire().await.unwrap());
    }
    for connection in &mut all {
        let left: i64 = sqlx::query(session).persistent(false).fetch_one(&mut **connection).await.unwrap().get(0);
        let now: Option<String> =
            sqlx::query(settings).persistent(false).fetch_one(&mut **connection).await.unwrap().get(0);
        assert_eq!(left, 0, "{now:?}");
    }
}

/// However much keyward has to do, the host gets half of its pool at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keyward_takes_half_of_the_pool_at_most() {
    let Some(url) = postgres::create_database().await else { return };
    let pool = pool(&url, 10);
    let store = PostgresStore::from_pool(pool.clone()).await.unwrap();
    let mut lock = sqlx::PgPool::connect(&url).await.unwrap().begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE keyward_token, keyward_epoch").execute(&mut *lock).await.unwrap();
    let mut waiting = Vec::new();
    for i in 0..8 {
        let (one, two, three) = (store.clone(), store.clone(), store.clone());
        waiting.push(tokio::spawn(async move { drop(one.resolve(&Digest::Native([i; 27])).await) }));
        waiting.push(tokio::spawn(async move { drop(two.begin().await) }));
        waiting.push(tokio::spawn(async move { drop(three.view().await) }));
    }
    while query_number(&url, "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'").await < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(tokio::time::timeout(Duration::from_secs(5), pool.acquire()).await.expect("it is free").unwrap());
    }
    drop((held, lock));
    for waiting in waiting {
        waiting.await.unwrap();
    }
    let _view = store.view().await.unwrap();
    let second = tokio::time::timeout(Duration::from_millis(100), store.view()).await;
    assert!(second.is_err(), "one reads lists at a time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_leaves_the_pool_open() {
    let Some(url) = postgres::create_database().await else { return };
    let pool = pool(&url, 4);
    let store = PostgresStore::from_pool(pool.clone()).await.unwrap();
    store.close().await;
    assert!(store.begin().await.is_err() && store.view().await.is_err());
    assert!(store.resolve(&Digest::Native([1; 27])).await.is_err());
    sqlx::raw_sql("SELECT 1").execute(&pool).await.unwrap();
    let too_small = PgPoolOptions::new().max_connections(3).connect_lazy(&url).unwrap();
    let message = error_chain(&PostgresStore::from_pool(too_small).await.unwrap_err());
    assert!(message.contains("PgPoolOptions::max_connections(4)"), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pool_shares_a_database_behind_a_transaction_pooler() {
    let Some(pooler) = keyward_test_support::pooler::Pooler::start("transaction") else { return };
    let url = pooler.url(&postgres::create_database().await.unwrap());
    let options = url.parse::<sqlx::postgres::PgConnectOptions>().unwrap().extra_float_digits(None);
    let pool = PgPoolOptions::new().max_connections(6).connect_lazy_with(options.statement_cache_capacity(0));
    let message = error_chain(&PostgresStore::from_pool(pool.clone()).await.unwrap_err());
    assert!(message.contains("transaction_pooler()"), "{message}");
    let node = Node::in_pool(&pool, PostgresOptions::default().transaction_pooler()).await;
    let key = node.issue("ci").await;
    assert_eq!(node.status(&key).await, 200);
    node.keyward.tokens().revoke(key.token.id).await.unwrap();
    assert_eq!(node.status(&key).await, 401);
}

/// A change in one schema hints the nodes of that schema alone, and a migration of one does not wait for another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hints_and_locks_belong_to_one_schema() {
    let Some(url) = postgres::create_database().await else { return };
    let (a, b) = (PostgresOptions::default().schema("a"), PostgresOptions::default().schema("b"));
    let node = Node::connect_with(&url, a).await;
    let mut lock = PgPool::connect(&url).await.unwrap().begin().await.unwrap();
    sqlx::raw_sql("SELECT pg_advisory_xact_lock(7738711, hashtext('a'))").execute(&mut *lock).await.unwrap();
    let other = tokio::time::timeout(BOUND, Node::connect_with(&url, b)).await.expect("b is not locked");
    let mut channels = Vec::new();
    for schema in ["a", "b"] {
        let id = format!("SELECT installation FROM {schema}.keyward_epoch");
        let row = sqlx::query(sqlx::AssertSqlSafe(id)).fetch_one(&mut *lock).await.unwrap();
        channels.push(format!("keyward:{}", row.get::<String, _>(0)));
    }
    drop(lock);
    let mut listener = PgListener::connect(&url).await.unwrap();
    listener.listen_all(channels.iter().map(String::as_str)).await.unwrap();
    let (of_a, of_b) = (node.issue("one").await, other.issue("two").await);
    assert_eq!((node.status(&of_b).await, other.status(&of_a).await), (401, 401));
    let mut heard = Vec::new();
    while let Ok(hint) = tokio::time::timeout(Duration::from_millis(500), listener.recv()).await {
        heard.push(hint.unwrap().channel().to_owned());
    }
    assert!(heard.contains(&channels[0]) && heard.contains(&channels[1]), "{heard:?}");
    assert_ne!(channels[0], channels[1]);
}
