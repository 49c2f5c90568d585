//! Strapi's database keeps the contract of stores that are only read. It has no log.

use super::setup::{Setup, digest};
use async_trait::async_trait;
use keyward::store::contract::{self, ReadOnlyBackend};
use keyward::store::{Digest, Store};
use keyward::strapi::StrapiStore;
use keyward::time::Timestamp;
use keyward_test_support::postgres;
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::sync::Mutex;

struct Strapi {
    setup: Mutex<Setup>,
    store: StrapiStore,
    last_id: AtomicI64,
}

impl Strapi {
    async fn new(setup: Setup) -> Self {
        let store = setup.store().await;
        Self { setup: Mutex::new(setup), store, last_id: AtomicI64::new(1) }
    }

    async fn change(&self, table: &str, change: &str, digest: &Digest) {
        let token = format!("(SELECT id FROM strapi_api_tokens WHERE access_key = '{}')", digest.to_hex());
        let owner =
            format!("(SELECT user_id FROM strapi_api_tokens_admin_user_owner_lnk WHERE api_token_id = {token})");
        let id = if table == "admin_users" { owner } else { token };
        self.setup.lock().await.sql(&format!("{change} WHERE id = {id}")).await;
    }
}

#[async_trait]
impl ReadOnlyBackend for Strapi {
    fn store(&self) -> &dyn Store {
        &self.store
    }

    fn actions(&self) -> [&'static str; 2] {
        ["admin::webhooks.read", "admin::webhooks.create"]
    }

    async fn insert(&self, name: &str, action: &'static str) -> Digest {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let setup = &mut *self.setup.lock().await;
        let columns = |action: &str| format!("'{action}', '{{}}', NULL, '{{}}', '[]'");
        setup.role(id).await;
        for action in self.actions() {
            setup.permission("role", id, &columns(action)).await;
        }
        setup.user(id, &[id]).await;
        let secret = setup.admin_token(id, id).await;
        setup.permission("token", id, &columns(action)).await;
        setup.sql(&format!("UPDATE strapi_api_tokens SET name = '{name}' WHERE id = {id}")).await;
        Digest::from_hex(&digest(&secret)).unwrap()
    }

    async fn set_expiry(&self, digest: &Digest, at: Timestamp) {
        let at = self.setup.lock().await.time(at.0);
        self.change("strapi_api_tokens", &format!("UPDATE strapi_api_tokens SET expires_at = {at}"), digest).await;
    }

    async fn revoke(&self, digest: &Digest) {
        self.change("strapi_api_tokens", "DELETE FROM strapi_api_tokens", digest).await;
    }

    async fn deactivate_owner(&self, digest: &Digest) -> bool {
        self.change("admin_users", "UPDATE admin_users SET is_active = FALSE", digest).await;
        true
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strapi_in_a_file_keeps_the_contract() {
    contract::read_only(async || Strapi::new(Setup::in_a_file().await).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strapi_on_postgres_keeps_the_contract() {
    let Some(_) = postgres::shared_server() else { return };
    contract::read_only(async || Strapi::new(Setup::on_postgres().await.unwrap()).await).await;
}
