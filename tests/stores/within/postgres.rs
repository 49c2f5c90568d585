//! On PostgreSQL.

use super::*;
use keyward::PostgresStore;
use keyward::admin::{Actor, RoleUpdate, ServiceError};
use keyward::store::{PostgresOptions, StoreError};
use keyward_test_support::postgres;
use sqlx::Row;
use sqlx::postgres::PgPoolOptions;

type Pool = sqlx::PgPool;
type Tx = sqlx::Transaction<'static, sqlx::Postgres>;

async fn scene() -> Option<Scene<Pool>> {
    let url = postgres::create_database().await?;
    let pool = PgPoolOptions::new().max_connections(8).connect_lazy(&url).unwrap();
    sqlx::raw_sql("CREATE TABLE note (text TEXT)").execute(&pool).await.unwrap();
    let one = PostgresStore::from_pool(pool.clone()).await.unwrap();
    let two = PostgresStore::connect(&url).await.unwrap();
    Some(Scene::new(pool, Node::on(one), Node::on(two)).await)
}

async fn begin(pool: &Pool) -> Tx {
    pool.begin().await.unwrap()
}

tests_of_an_engine!(scene(), begin);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_with_own_connections_takes_a_transaction_of_any_pool() {
    let Some(s) = scene().await else { return };
    let mut tx = begin(&s.pool).await;
    let staged = s.two.keyward.tokens().within(&mut tx).issue_admin(new("deploy", s.owner)).await.unwrap();
    tx.commit().await.unwrap();
    let key = staged.committed();
    assert_eq!(s.two.status(&key.secret).await, 200);
    s.one.wait_for_status(&key.secret, 200).await;
}

/// The driver must not take the host's transaction for ended, or what follows would commit by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aborted_transaction_stays_the_hosts() {
    let Some(s) = scene().await else { return };
    let mut tx = begin(&s.pool).await;
    sqlx::query("INSERT INTO note VALUES ('before')").execute(&mut *tx).await.unwrap();
    sqlx::query("INSERT INTO absent VALUES (1)").execute(&mut *tx).await.unwrap_err();
    for _ in 0..2 {
        let issued = s.one.keyward.tokens().within(&mut tx).issue_admin(new("deploy", s.owner)).await;
        assert!(matches!(issued, Err(ServiceError::Store(_))), "{issued:?}");
    }
    sqlx::query("INSERT INTO note VALUES ('after')").execute(&mut *tx).await.unwrap_err();
    tx.rollback().await.unwrap();
    let notes: i64 = sqlx::query("SELECT COUNT(*) FROM note").fetch_one(&s.pool).await.unwrap().get(0);
    let tokens: i64 = sqlx::query("SELECT COUNT(*) FROM keyward_token").fetch_one(&s.pool).await.unwrap().get(0);
    assert_eq!((notes, tokens), (0, 0));
}

/// A snapshot from before another change is never judged by.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_snapshot_of_a_strict_isolation_is_rejected() {
    let Some(s) = scene().await else { return };
    for isolation in ["REPEATABLE READ", "SERIALIZABLE"] {
        let begin = sqlx::AssertSqlSafe(format!("BEGIN ISOLATION LEVEL {isolation}"));
        let mut tx = s.pool.begin_with(begin).await.unwrap();
        sqlx::query("SELECT COUNT(*) FROM note").fetch_one(&mut *tx).await.unwrap();
        s.two.keyward.roles().create(NewRole::new(isolation)).await.unwrap();
        let issued = s.one.keyward.tokens().within(&mut tx).issue_admin(new("deploy", s.owner)).await;
        assert!(matches!(issued, Err(ServiceError::Store(StoreError::Busy))), "{issued:?}");
        drop(tx);
        let begin = sqlx::AssertSqlSafe(format!("BEGIN ISOLATION LEVEL {isolation}"));
        let mut tx = s.pool.begin_with(begin).await.unwrap();
        let staged = s.one.keyward.tokens().within(&mut tx).issue_admin(new(isolation, s.owner)).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(s.one.status(&staged.committed().secret).await, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn host_keeps_its_settings() {
    let Some(s) = scene().await else { return };
    let settings = "SELECT concat_ws(' ', current_setting('lock_timeout'), current_setting('statement_timeout'), \
                    current_setting('search_path'), current_setting('idle_in_transaction_session_timeout'), \
                    current_setting('synchronous_commit'))";
    let mut tx = begin(&s.pool).await;
    sqlx::raw_sql("SET LOCAL lock_timeout = '7s'; SET LOCAL synchronous_commit = off").execute(&mut *tx).await.unwrap();
    let staged = s.one.keyward.tokens().within(&mut tx).issue_admin(new("deploy", s.owner)).await.unwrap();
    let now: String = sqlx::query(settings).fetch_one(&mut *tx).await.unwrap().get(0);
    assert_eq!(now, "7s 0 \"$user\", public 30s on");
    let statements = "SELECT COUNT(*) FROM pg_prepared_statements WHERE statement LIKE '%keyward%'";
    assert_eq!(sqlx::query(statements).persistent(false).fetch_one(&mut *tx).await.unwrap().get::<i64, _>(0), 0);
    tx.commit().await.unwrap();
    staged.committed();
    let mut tx = begin(&s.pool).await;
    let later: String = sqlx::query(settings).fetch_one(&mut *tx).await.unwrap().get(0);
    assert_eq!(later, "0 0 \"$user\", public 0 on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transaction_of_another_database_is_rejected() {
    let (Some(s), Some(other)) = (scene().await, scene().await) else { return };
    let mut tx = begin(&other.pool).await;
    let issued = s.one.keyward.tokens().within(&mut tx).issue_admin(new("deploy", s.owner)).await;
    let message = crate::node::error_chain(&issued.unwrap_err());
    assert!(message.contains("another installation"), "{message}");
    tx.commit().await.unwrap();
    let url = postgres::create_database().await.unwrap();
    let empty = sqlx::PgPool::connect(&url).await.unwrap();
    let mut tx = begin(&empty).await;
    let issued = s.one.keyward.tokens().within(&mut tx).issue_admin(new("deploy", s.owner)).await;
    assert!(matches!(issued, Err(ServiceError::Store(_))), "{issued:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_of_one_handle_takes_no_transaction() {
    let Some(url) = postgres::create_database().await else { return };
    let pool = sqlx::PgPool::connect(&url).await.unwrap();
    let store = PostgresStore::from_pool_with(pool.clone(), PostgresOptions::default()).await.unwrap();
    let hash_key = HashKey::parse(keyward::testing::HASH_KEY).unwrap();
    let keyward = Keyward::builder(store).hash_key(hash_key).admin("/admin").store_is_exclusive().build().unwrap();
    let mut tx = begin(&pool).await;
    let revoked = keyward.tokens().within(&mut tx).revoke(TokenId(1)).await;
    assert!(matches!(revoked, Err(ServiceError::Impossible(_))), "{revoked:?}");
}
