//! Behind PgBouncer.

use crate::node::{BOUND, Node, error_chain};
use crate::postgres_ops::proxy::{Older, Proxy};
use keyward::store::PostgresOptions;
use keyward::store::contract;
use keyward::{NewOwner, PostgresStore, RoleId};
use keyward_test_support::pooler::Pooler;
use keyward_test_support::postgres;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Row, raw_sql};
use std::time::{Duration, Instant};

fn options() -> PostgresOptions {
    PostgresOptions::default().transaction_pooler()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_contract_holds_behind_a_pooler() {
    let Some(pooler) = Pooler::start("transaction") else { return };
    contract::run(async || {
        let url = pooler.url(&postgres::create_database().await.unwrap());
        PostgresStore::connect_with(&url, options()).await.unwrap_or_else(|error| panic!("{}", error_chain(&error)))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_recover_after_the_pooler_is_killed() {
    let Some(mut pooler) = Pooler::start("transaction") else { return };
    let url = pooler.url(&postgres::create_database().await.unwrap());
    let (one, two) = (Node::connect_with(&url, options()).await, Node::connect_with(&url, options()).await);
    let (key, other) = (one.issue("ci").await, one.issue("other").await);
    assert_eq!((one.status(&key).await, two.status(&key).await, two.status(&other).await), (200, 200, 200));
    one.keyward.tokens().revoke(other.token.id).await.unwrap();
    assert_eq!(one.status(&other).await, 401);
    let took = two.wait_for_status(&other, 401, BOUND).await;
    println!("revoked on the other node after {took:?}");

    assert_eq!(two.status(&key).await, 200);
    pooler.kill();
    let killed = Instant::now();
    let mut answers = (0, 0);
    while answers.1 == 0 {
        match two.status(&key).await {
            200 => answers.0 += 1,
            503 => answers.1 += 1,
            other => panic!("{other} while the pooler is gone"),
        }
        assert!(killed.elapsed() < 2 * BOUND, "the lease has not ended");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(answers.0 > 0, "cached tokens are accepted until the lease ends");
    assert!(one.keyward.tokens().revoke(key.token.id).await.is_err());
    pooler.restart();
    let took = two.wait_for_status(&key, 200, BOUND).await;
    println!("back {took:?} after the pooler was");
    assert!(took < Duration::from_secs(1), "recovered after {took:?}");
    one.keyward.tokens().revoke(key.token.id).await.unwrap();
    two.wait_for_status(&key, 401, BOUND).await;
    // Prepared statements of one connection would collide with those of another.
    let mut by_hand = url.parse::<PgConnectOptions>().unwrap().extra_float_digits(None).connect().await.unwrap();
    for _ in 0..20 {
        let prepared = raw_sql("SELECT COUNT(*) FROM pg_prepared_statements").fetch_one(&mut by_hand).await.unwrap();
        assert_eq!(prepared.get::<i64, _>(0), 0);
    }
}

#[tokio::test]
async fn undeclared_transaction_pooler_is_explained() {
    for round_robin in [true, false] {
        let Some(pooler) = Pooler::start_with("transaction", round_robin) else { return };
        let url = pooler.url(&postgres::create_database().await.unwrap());
        for _ in 0..10 {
            let message = error_chain(&PostgresStore::connect(&url).await.unwrap_err());
            assert!(message.contains("transaction_pooler()"), "{message}");
        }
    }
}

/// With one session per client, the pooler need not be declared.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_pooler_needs_no_declaration() {
    let Some(pooler) = Pooler::start("session") else { return };
    let url = pooler.url(&postgres::create_database().await.unwrap());
    let (one, two) = (Node::connect(&url).await, Node::connect(&url).await);
    let key = one.issue("ci").await;
    assert_eq!((one.status(&key).await, two.status(&key).await), (200, 200));
    one.keyward.owners().create(NewOwner::new("root@example.test").roles([RoleId::SUPER_ADMIN])).await.unwrap();
    one.keyward.tokens().revoke(key.token.id).await.unwrap();
    two.wait_for_status(&key, 401, BOUND).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn undeclared_pooler_after_connecting_renews_no_lease() {
    // The pooler gives the last used session to the next client, so that nearly everything works by chance.
    let Some(pooler) = Pooler::start_with("transaction", false) else { return };
    let database = postgres::create_database().await.unwrap();
    let proxy = Proxy::to(&database).await;
    let node = Node::connect(&proxy.url(&database)).await;
    let key = node.issue("ci").await;
    assert_eq!(node.status(&key).await, 200);
    proxy.lead_to(&pooler.url(&database), Older::End);
    node.wait_for_status(&key, 503, 2 * BOUND).await;
    let led = Instant::now();
    while led.elapsed() < BOUND {
        assert!(!node.keyward.health().ready);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(node.keyward.tokens().revoke(key.token.id).await.is_err());
    proxy.lead_to(&database, Older::End);
    node.wait_for_status(&key, 200, BOUND).await;
}
