//! Keys in an application's own tables: `cargo run --example own_store --features sqlite,testing`.
//!
//! It issues a key, revokes it, and prints how long the key was still accepted.

mod store;

use keyward::guard::Guard;
use keyward::testing::App;
use keyward::token::Secret;
use keyward::{GuardedRouter, HashKey, action};
use sqlx::sqlite::SqlitePoolOptions;
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;
use store::AppStore;
use tokio::time::Instant;

#[tokio::main]
async fn main() -> ExitCode {
    let Err(error) = run().await else { return ExitCode::SUCCESS };
    eprintln!("error: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprintln!("caused by: {error}");
        cause = error.source();
    }
    ExitCode::FAILURE
}

async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    // A database in memory belongs to its connection, so there is one, which stays open.
    let pool = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
    let db = pool.connect("sqlite::memory:").await?;
    let store = AppStore::create(db.clone()).await?;
    let (hash_key, _text) = HashKey::generate()?; // keep the text: keys need the same one after a restart
    let guard = Guard::builder(store.clone()).hash_key(hash_key).admin("/api").build()?;
    let routes = GuardedRouter::new().get("/api/articles", action("articles.read"), || async { "[]" });
    let app = App::from_service(guard.guard(routes));

    sqlx::query("INSERT INTO person (id, email, role, active) VALUES (1, 'ada@example.test', 'reader', TRUE)")
        .execute(&db)
        .await?;
    let key = store.issue(&guard, 1, "ci", &["articles.read"]).await?;
    app.get("/api/articles").bearer(&key).await.assert_ok();
    store.revoke(1, "ci").await?;
    println!("a revoked key was rejected after {:?}", until_rejected(&app, &key).await);

    // A change by SQL alone.
    let key = store.issue(&guard, 1, "ci", &["articles.read"]).await?;
    app.get("/api/articles").bearer(&key).await.assert_ok();
    sqlx::query("UPDATE person SET active = FALSE WHERE id = 1").execute(&db).await?;
    println!("a key of a deactivated person was rejected after {:?}", until_rejected(&app, &key).await);
    guard.shutdown().await;
    Ok(())
}

async fn until_rejected(app: &App, key: &Secret) -> Duration {
    let since = Instant::now();
    while app.get("/api/articles").bearer(key).await.status.is_success() {
        tokio::time::sleep(Duration::from_micros(100)).await;
    }
    since.elapsed()
}
