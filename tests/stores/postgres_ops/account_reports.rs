//! Reports of changed accounts by SQL, in transactions of the host.

use crate::node::{execute, query_number};
use async_trait::async_trait;
use keyward::accounts::{Account, AccountKey, Accounts, AccountsError};
use keyward::admin::ServiceError;
use keyward::{HashKey, Keyward, NewAdminToken, PostgresStore};
use keyward_test_support::postgres;
use sqlx::{PgPool, Row};
use std::time::Duration;

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

/// host-is-the-source: the report of an account that has no owner yet keeps writers waiting, as any other report does. The
/// transaction that adds the owner could not see the host's change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn account_is_not_added_while_a_report_of_it_is_uncommitted() {
    let Some(url) = postgres::create_database().await else { return };
    execute(&url, "CREATE TABLE app_user (id BIGINT PRIMARY KEY, active BOOLEAN NOT NULL)").await;
    execute(&url, "INSERT INTO app_user VALUES (7, TRUE)").await;
    let pool = PgPool::connect(&url).await.unwrap();
    let store = PostgresStore::connect(&url).await.unwrap();
    let hash_key = HashKey::parse(keyward::testing::HASH_KEY).unwrap();
    let keyward =
        Keyward::builder(store).hash_key(hash_key).accounts(Users(pool.clone())).admin("/admin").build().unwrap();
    let mut tx = pool.begin().await.unwrap();
    sqlx::query("UPDATE app_user SET active = FALSE WHERE id = 7").execute(&mut *tx).await.unwrap();
    sqlx::query("SELECT keyward_account_changed('7')").execute(&mut *tx).await.unwrap();
    let tokens = keyward.tokens();
    let issue =
        tokio::spawn(async move { tokens.issue_admin(NewAdminToken::new("deploy", AccountKey::from(7))).await });
    let waiting =
        "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while !issue.is_finished() && query_number(&url, waiting).await == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tx.commit().await.unwrap();
    let issued = issue.await.unwrap();
    assert!(matches!(issued, Err(ServiceError::OwnerInactive)), "{issued:?}");
}
