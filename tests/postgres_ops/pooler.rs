//! Behind PgBouncer.

use crate::proxy::{Older, Proxy};
use crate::support;
use crate::support::node::{BOUND, Node, told};
use crate::support::pooler::Pooler;
use keyward::store::PostgresOptions;
use keyward::store::contract;
use keyward::{NewOwner, PostgresStore, RoleId};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Row, raw_sql};
use std::time::{Duration, Instant};

fn options() -> PostgresOptions {
    PostgresOptions::default().transaction_pooler()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contract_holds() {
    let Some(pooler) = Pooler::start("transaction") else { return };
    contract::run(async || {
        let url = pooler.url(&support::database().await.unwrap());
        PostgresStore::connect_with(&url, options()).await.unwrap_or_else(|error| panic!("{}", told(&error)))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_see_one_another_and_go_on_when_it_was_killed() {
    let Some(mut pooler) = Pooler::start("transaction") else { return };
    let url = pooler.url(&support::database().await.unwrap());
    let (one, two) = (Node::with(&url, options()).await, Node::with(&url, options()).await);
    let (key, other) = (one.issue("ci").await, one.issue("other").await);
    assert_eq!((one.status(&key).await, two.status(&key).await, two.status(&other).await), (200, 200, 200));
    one.keyward.tokens().revoke(other.token.id).await.unwrap();
    assert_eq!(one.status(&other).await, 401);
    let took = two.until(&other, 401, BOUND).await;
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
        assert!(killed.elapsed() < 2 * BOUND, "the lease is not over");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(answers.0 > 0, "what is cached passes for as long as the lease lasts");
    assert!(one.keyward.tokens().revoke(key.token.id).await.is_err());
    pooler.go_on();
    let took = two.until(&key, 200, BOUND).await;
    println!("back {took:?} after the pooler was");
    assert!(took < Duration::from_secs(1), "back after {took:?}");
    one.keyward.tokens().revoke(key.token.id).await.unwrap();
    two.until(&key, 401, BOUND).await;
    // What one connection prepared would be in the way of another one.
    let mut by_hand = url.parse::<PgConnectOptions>().unwrap().extra_float_digits(None).connect().await.unwrap();
    for _ in 0..20 {
        let prepared = raw_sql("SELECT COUNT(*) FROM pg_prepared_statements").fetch_one(&mut by_hand).await.unwrap();
        assert_eq!(prepared.get::<i64, _>(0), 0);
    }
}

#[tokio::test]
async fn who_forgets_to_say_so_is_told() {
    for in_turn in [true, false] {
        let Some(pooler) = Pooler::start_with("transaction", in_turn) else { return };
        let url = pooler.url(&support::database().await.unwrap());
        for _ in 0..10 {
            let told = told(&PostgresStore::connect(&url).await.unwrap_err());
            assert!(told.contains("transaction_pooler()"), "{told}");
        }
    }
}

/// Where each client has a session of its own, there is nothing to say.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_of_sessions_is_as_good_as_none() {
    let Some(pooler) = Pooler::start("session") else { return };
    let url = pooler.url(&support::database().await.unwrap());
    let (one, two) = (Node::on(&url).await, Node::on(&url).await);
    let key = one.issue("ci").await;
    assert_eq!((one.status(&key).await, two.status(&key).await), (200, 200));
    one.keyward.owners().create(NewOwner::new("root@example.test").roles([RoleId::SUPER_ADMIN])).await.unwrap();
    one.keyward.tokens().revoke(key.token.id).await.unwrap();
    two.until(&key, 401, BOUND).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_led_to_one_later_without_having_said_so_reads_no_log_through_it() {
    // The session that was used last is given to whoever comes next, so nearly everything works by luck.
    let Some(pooler) = Pooler::start_with("transaction", false) else { return };
    let database = support::database().await.unwrap();
    let proxy = Proxy::to(&database).await;
    let node = Node::on(&proxy.url(&database)).await;
    let key = node.issue("ci").await;
    assert_eq!(node.status(&key).await, 200);
    proxy.lead_to(&pooler.url(&database), Older::End);
    node.until(&key, 503, 2 * BOUND).await;
    let led = Instant::now();
    while led.elapsed() < BOUND {
        assert!(!node.keyward.health().ready);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(node.keyward.tokens().revoke(key.token.id).await.is_err());
    proxy.lead_to(&database, Older::End);
    node.until(&key, 200, BOUND).await;
}
