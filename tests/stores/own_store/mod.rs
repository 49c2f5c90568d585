//! The guide's store over an application's own tables.

mod mistakes;
#[cfg(feature = "postgres")]
mod postgres;
#[path = "../../../examples/own_store/store.rs"]
mod store;

use async_trait::async_trait;
use keyward::guard::{Guard, InvalidCredential, Limits, Reason};
use keyward::store::contract::{self, ReadOnlyBackend};
use keyward::store::{Digest, Store};
use keyward::testing::App;
use keyward::time::Timestamp;
use keyward::token::{Secret, TokenKind};
use keyward::{GuardedRouter, HashKey, action};
use sqlx::SqlitePool;
use sqlx::sqlite::SqlitePoolOptions;
use std::time::Duration;
use store::AppStore;

/// The application's tables in memory, and the store under test.
pub struct Application<S = AppStore> {
    db: SqlitePool,
    store: S,
    guard: Guard,
}

impl Application {
    async fn new() -> Self {
        let db = memory().await;
        let store = AppStore::create(db.clone()).await.unwrap();
        let guard = guard(&store);
        Self { db, store, guard }
    }
}

async fn memory() -> SqlitePool {
    let pool = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
    pool.connect("sqlite::memory:").await.unwrap()
}

/// Returns a guard that sees changes by hints only: it polls once a minute.
fn guard<S: Store + Clone>(store: &S) -> Guard {
    let mut limits = Limits::default();
    (limits.poll_every, limits.max_staleness) = (Duration::from_secs(60), Duration::from_secs(600));
    let guard = Guard::builder(store.clone()).hash_key(HashKey::generate().unwrap().0).limits(limits);
    guard.admin("/api").build().unwrap()
}

async fn add_person(db: &SqlitePool, email: &str) -> i64 {
    let insert = "INSERT INTO person (email, role, active) VALUES (?1, 'editor', TRUE) RETURNING id";
    sqlx::query_scalar(insert).bind(email).fetch_one(db).await.unwrap()
}

#[async_trait]
impl<S: Store> ReadOnlyBackend for Application<S> {
    fn store(&self) -> &dyn Store {
        &self.store
    }

    fn actions(&self) -> [&'static str; 2] {
        ["articles.read", "articles.write"]
    }

    async fn insert(&self, name: &str, action: &'static str) -> Digest {
        let new = self.guard.new_secret(TokenKind::Admin).unwrap();
        let mut tx = self.db.begin().await.unwrap();
        let person = "INSERT INTO person (email, role, active) VALUES (?1, 'editor', TRUE) RETURNING id";
        let person: i64 = sqlx::query_scalar(person).bind(name).fetch_one(&mut *tx).await.unwrap();
        let insert =
            "INSERT INTO api_key (person_id, name, digest, hash_key, hint, scopes) VALUES (?1, ?2, ?3, '', '', ?4)";
        let insert = sqlx::query(insert).bind(person).bind(name).bind(new.digest.to_hex()).bind(action);
        insert.execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        new.digest
    }

    async fn set_expiry(&self, digest: &Digest, at: Timestamp) {
        let update = sqlx::query("UPDATE api_key SET expires_at = ?2 WHERE digest = ?1");
        update.bind(digest.to_hex()).bind(at.0).execute(&self.db).await.unwrap();
    }

    async fn revoke(&self, digest: &Digest) {
        let delete = sqlx::query("DELETE FROM api_key WHERE digest = ?1");
        delete.bind(digest.to_hex()).execute(&self.db).await.unwrap();
    }

    async fn deactivate_owner(&self, digest: &Digest) -> bool {
        let update = "UPDATE person SET active = FALSE WHERE id = (SELECT person_id FROM api_key WHERE digest = ?1)";
        sqlx::query(update).bind(digest.to_hex()).execute(&self.db).await.unwrap();
        true
    }
}

#[tokio::test]
async fn own_store_keeps_the_contract() {
    contract::read_only(Application::new).await;
}

fn app(guard: &Guard) -> App {
    let routes = GuardedRouter::new().get("/api/articles", action("articles.read"), || async {}).post(
        "/api/articles",
        action("articles.write"),
        || async {},
    );
    App::from_service(guard.guard(routes))
}

/// Waits until a key is rejected, and returns the reason.
async fn rejected(app: &App, key: &Secret) -> Reason {
    let asked = async {
        loop {
            if let Some(reason) = app.get("/api/articles").bearer(key).await.reason {
                return reason;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asked).await.expect("it is rejected long before the next poll")
}

#[tokio::test]
async fn own_store_admits_its_keys_until_they_are_revoked() {
    let Application { db, store, guard } = Application::new().await;
    let app = app(&guard);
    let ada = add_person(&db, "ada@example.test").await;
    let key = store.issue(&guard, ada, "ci", &["articles.read"]).await.unwrap();
    assert!(key.expose().starts_with("kw_admin_"));
    app.get("/api/articles").bearer(&key).await.assert_ok();
    app.post("/api/articles").bearer(&key).await.assert_rejected(Reason::Forbidden);
    assert!(store.revoke(ada, "ci").await.unwrap() && !store.revoke(ada, "ci").await.unwrap());
    assert_eq!(rejected(&app, &key).await, Reason::Invalid(InvalidCredential::Unknown));

    let beyond = store.issue(&guard, ada, "admin", &["articles.delete"]).await.unwrap_err();
    assert_eq!(beyond.to_string(), "the owner does not hold articles.delete");
}

#[tokio::test]
async fn own_store_follows_changes_by_sql() {
    let changes = [
        ("UPDATE person SET active = FALSE", Reason::OwnerInactive),
        ("UPDATE person SET role = 'visitor'", Reason::Forbidden),
        ("DELETE FROM person", Reason::Invalid(InvalidCredential::Unknown)),
        ("UPDATE api_key SET expires_at = 1", Reason::Expired),
        ("UPDATE api_key SET scopes = 'articles.write'", Reason::Forbidden),
        ("DELETE FROM api_key", Reason::Invalid(InvalidCredential::Unknown)),
    ];
    for (change, expected) in changes {
        let Application { db, store, guard } = Application::new().await;
        let app = app(&guard);
        let ada = add_person(&db, "ada@example.test").await;
        let key = store.issue(&guard, ada, "ci", &["articles.read"]).await.unwrap();
        app.get("/api/articles").bearer(&key).await.assert_ok();
        sqlx::query(change).execute(&db).await.unwrap();
        store.announce();
        assert_eq!(rejected(&app, &key).await, expected, "{change}");
    }
}

#[tokio::test]
async fn unavailable_own_store_is_a_503() {
    let Application { db, store, guard } = Application::new().await;
    let app = app(&guard);
    let ada = add_person(&db, "ada@example.test").await;
    let key = store.issue(&guard, ada, "ci", &["articles.read"]).await.unwrap();
    db.close().await;
    app.get("/api/articles").bearer(&key).await.assert_status(503);
}

/// The page shows the code that runs here.
#[test]
fn guide_shows_the_example() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| std::fs::read_to_string(root.join(file)).unwrap();
    let page = read("src/guide/own_stores.md");
    let code = read("examples/own_store/store.rs") + &read("tests/stores/own_store/postgres.rs");
    let blocks: Vec<&str> = ["```rust,ignore\n", "\n```sql\n"]
        .into_iter()
        .flat_map(|fence| page.split(fence).skip(1).map(|block| block.split("```").next().unwrap()))
        .collect();
    assert_eq!(blocks.len(), 8);
    for block in blocks {
        assert!(code.contains(block), "neither in examples/own_store/store.rs nor in this test:\n{block}");
    }
}
