//! A node that shares a PostgreSQL database with others.

use axum::routing::get;
use keyward::admin::{IssuedToken, Lifespan, ServiceError};
use keyward::store::PostgresOptions;
use keyward::testing::App;
use keyward::{Grant, GuardedRouter, HashKey, Keyward, NewAdminToken, NewOwner, PostgresStore, RoleId, action};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use std::time::{Duration, Instant};

pub const READ: &str = "admin::webhooks.read";

/// The staleness bound of the nodes: `max_staleness` by default.
pub const BOUND: Duration = Duration::from_secs(2);

pub struct Node {
    pub keyward: Keyward,
    pub app: App,
}

impl Node {
    pub async fn connect(url: &str) -> Self {
        Self::connect_with(url, PostgresOptions::default()).await
    }

    pub async fn connect_with(url: &str, options: PostgresOptions) -> Self {
        let hash_key = HashKey::parse(keyward::testing::HASH_KEY).unwrap();
        let store = PostgresStore::connect_with(url, options).await;
        Self::on(store.unwrap_or_else(|error| panic!("{}", error_chain(&error))), hash_key)
    }

    /// Returns a node that shares a pool with the host.
    pub async fn in_pool(pool: &sqlx::PgPool, options: PostgresOptions) -> Self {
        let hash_key = HashKey::parse(keyward::testing::HASH_KEY).unwrap();
        let store = PostgresStore::from_pool_with(pool.clone(), options).await;
        Self::on(store.unwrap_or_else(|error| panic!("{}", error_chain(&error))), hash_key)
    }

    fn on(store: PostgresStore, hash_key: HashKey) -> Self {
        let keyward = Keyward::builder(store).hash_key(hash_key).admin("/admin").build().unwrap();
        let router = GuardedRouter::new().route("/admin/x", action(READ), get(|| async {}));
        let app = App::from_service(keyward.guard(router));
        Self { keyward, app }
    }

    pub async fn issue(&self, name: &str) -> IssuedToken {
        self.try_issue(name).await.unwrap()
    }

    pub async fn try_issue(&self, name: &str) -> Result<IssuedToken, ServiceError> {
        let email = format!("{name}@example.test");
        let owner = self.keyward.owners().create(NewOwner::new(email).roles([RoleId::SUPER_ADMIN])).await?;
        let new = NewAdminToken::new(name, owner.id).grants([Grant::new(READ)]).lifespan(Lifespan::Unlimited);
        self.keyward.tokens().issue_admin(new).await
    }

    pub async fn status(&self, key: &IssuedToken) -> u16 {
        self.app.get("/admin/x").bearer(&key.secret).await.status.as_u16()
    }

    /// Waits until a request with this key gets this status. Returns the time that it took; panics after `most`.
    pub async fn wait_for_status(&self, key: &IssuedToken, status: u16, most: Duration) -> Duration {
        let began = Instant::now();
        loop {
            let answered = self.status(key).await;
            if answered == status {
                return began.elapsed();
            }
            assert!(began.elapsed() < most, "still {answered} and not {status}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits until the node is ready. Failed look-ups make it not ready for some seconds.
    pub async fn wait_until_ready(&self) {
        let began = Instant::now();
        while !self.keyward.health().ready {
            assert!(began.elapsed() < 5 * BOUND, "not ready: {:?}", self.keyward.health());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// Returns an error with all its causes.
pub fn error_chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", error_chain(cause)),
        None => error.to_string(),
    }
}

/// Executes a statement past keyward.
pub async fn execute(url: &str, statement: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.unwrap();
}

/// Returns the number that a query selects.
pub async fn query_number(url: &str, query: &str) -> i64 {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query(AssertSqlSafe(query.to_owned())).fetch_one(&mut connection).await.unwrap().get(0)
}
