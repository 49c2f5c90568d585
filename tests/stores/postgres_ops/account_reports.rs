//! Reports of changed accounts by SQL, in transactions of the host.

use crate::node::{execute, query_number};
use async_trait::async_trait;
use keyward::accounts::{Account, AccountKey, Accounts, AccountsError};
use keyward::admin::ServiceError;
use keyward::{HashKey, Keyward, NewAdminToken, PostgresStore};
use keyward_test_support::postgres;
use sqlx::{PgPool, Row};

/// The host's users, in the database of the store.
struct Users(PgPool);

#[async_trait]
impl Accounts for Users {
    async fn account(&self, key: &AccountKey) -> Result<Option<Account>, AccountsError> {
        let row = sqlx::query("SELECT active FROM app_user WHERE id = $1::BIGINT").bind(key.as_str());
        let row = row.fetch_optional(&self.0).await?;
        Ok(row.map(|row| Account::new("Ada").active(row.get(0))))
    }
}

async fn installation() -> Option<(String, PgPool, Keyward)> {
    let url = postgres::create_database().await?;
    execute(&url, "CREATE TABLE app_user (id BIGINT PRIMARY KEY, active BOOLEAN NOT NULL)").await;
    execute(&url, "INSERT INTO app_user SELECT n, TRUE FROM generate_series(1, 3000) n").await;
    let pool = PgPool::connect(&url).await.unwrap();
    let store = PostgresStore::connect(&url).await.unwrap();
    let hash_key = HashKey::parse(keyward::testing::HASH_KEY).unwrap();
    let keyward = Keyward::builder(store).hash_key(hash_key).accounts(Users(pool.clone()));
    Some((url, pool, keyward.admin("/admin").build().unwrap()))
}

/// host-is-the-source: the owner is added while the report of its account is uncommitted, by a transaction that cannot
/// see the host's change. The report finds it when it commits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn report_finds_an_owner_that_was_added_meanwhile() {
    let Some((url, pool, keyward)) = installation().await else { return };
    let mut tx = pool.begin().await.unwrap();
    sqlx::query("UPDATE app_user SET active = FALSE WHERE id = 7").execute(&mut *tx).await.unwrap();
    sqlx::query("SELECT keyward_account_changed('7')").execute(&mut *tx).await.unwrap();
    // Nothing waits for a transaction that goes on.
    let issued = keyward.tokens().issue_admin(NewAdminToken::new("deploy", AccountKey::from(7))).await.unwrap();
    let tag = (1_u64 << 62 | issued.token.owner().unwrap().0.cast_unsigned()).cast_signed();
    let logged = format!("SELECT COUNT(*) FROM keyward_change WHERE tags = '[{tag}]' AND seq > {}", seq(&url).await);
    assert_eq!(query_number(&url, &logged).await, 0);
    tx.commit().await.unwrap();
    assert_eq!(query_number(&url, &logged).await, 1);
    let late = keyward.tokens().issue_admin(NewAdminToken::new("late", AccountKey::from(7))).await;
    assert!(matches!(late, Err(ServiceError::OwnerInactive)), "{late:?}");
}

/// All reports of a transaction are one change, also with savepoints, and very many are a change of everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_of_a_transaction_are_one_change() {
    let Some((url, pool, keyward)) = installation().await else { return };
    for id in [7, 8] {
        keyward.accounts().owner(&AccountKey::from(id)).await.unwrap();
    }
    let before = seq(&url).await;
    let mut tx = pool.begin().await.unwrap();
    sqlx::query("SELECT keyward_account_changed('7')").execute(&mut *tx).await.unwrap();
    sqlx::raw_sql("SAVEPOINT one; SELECT keyward_account_changed('8'); RELEASE one").execute(&mut *tx).await.unwrap();
    sqlx::raw_sql("SAVEPOINT two; SELECT keyward_account_changed('9'); ROLLBACK TO two")
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let of_both = format!("SELECT COUNT(*) FROM keyward_change WHERE seq = {before} + 1 AND tags LIKE '[%,%]'");
    assert_eq!(query_number(&url, &of_both).await, 1);
    let many = "INSERT INTO keyward_account_change (account) SELECT '7' FROM generate_series(1, 2000)";
    sqlx::query(many).execute(&pool).await.unwrap();
    let of_all = "SELECT COUNT(*) FROM keyward_change WHERE tags = '[0]'";
    assert_eq!(query_number(&url, of_all).await, 1);
}

async fn seq(url: &str) -> i64 {
    query_number(url, "SELECT seq FROM keyward_epoch").await
}
