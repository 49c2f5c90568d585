//! Two guarded routes, in one file: `cargo run --example quickstart --features sqlite`.

use keyward::admin::ServiceError;
use keyward::token::ContentAccess;
use keyward::{
    Grant, GuardedRouter, HashKey, Keyward, NewAdminToken, NewContentToken, NewOwner, NewRole, SqliteStore, action,
};
use std::error::Error;
use std::process::ExitCode;
use std::{env, path::Path};

const FILE: &str = "quickstart.db";
const READ_WEBHOOKS: &str = "admin::webhooks.read";
const FIND_ARTICLES: &str = "api::article.article.find";

/// Prints an error with its causes: a `main` that returns it would print its `Debug` form.
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

async fn run() -> Result<(), Box<dyn Error>> {
    let is_first = !Path::new(FILE).exists();
    let keyward = Keyward::builder(SqliteStore::open(FILE).await?)
        .hash_key(hash_key(is_first)?)
        .admin("/admin") // opened by tokens that have an owner
        .content("/api") // opened by content tokens
        .build()?;
    if is_first {
        first_tokens(&keyward).await?;
    }
    let router = GuardedRouter::new().get("/admin/webhooks", action(READ_WEBHOOKS), || async { "webhooks\n" }).get(
        "/api/articles",
        action(FIND_ARTICLES),
        || async { "articles\n" },
    );
    let service = keyward.guard(router).into_make_service();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, service).with_graceful_shutdown(async { _ = tokio::signal::ctrl_c().await }).await?;
    keyward.shutdown().await;
    Ok(())
}

/// Reads the hash key, or generates it at the first start. With another key, no issued token is valid.
fn hash_key(is_first: bool) -> Result<HashKey, Box<dyn Error>> {
    match env::var("KEYWARD_HASH_KEY") {
        Ok(text) => Ok(HashKey::parse(&text)?),
        Err(_) if is_first => {
            let (hash_key, text) = HashKey::generate()?;
            println!("export KEYWARD_HASH_KEY={}  # before the next start", text.expose());
            Ok(hash_key)
        }
        Err(_) => Err(format!(
            "KEYWARD_HASH_KEY is not set: set it to the key that the first start printed, or delete {FILE}"
        )
        .into()),
    }
}

/// Creates an owner with a role, an admin token of the owner, and a content token, and prints their secrets, which are
/// shown once.
async fn first_tokens(keyward: &Keyward) -> Result<(), ServiceError> {
    let role = NewRole::new("Operator").permissions([READ_WEBHOOKS]);
    let role = keyward.roles().create(role).await?.id;
    let ada = NewOwner::new("ada@example.test").named("Ada", "Admin").roles([role]);
    let ada = keyward.owners().create(ada).await?.id;

    // Both expire after 30 days, the default.
    let script = NewAdminToken::new("Ada's script", ada).grants([Grant::new(READ_WEBHOOKS)]);
    let admin = keyward.tokens().issue_admin(script).await?;
    let content = keyward.tokens().issue_content(NewContentToken::new("Website", ContentAccess::ReadOnly)).await?;

    for (token, path) in [(&admin, "admin/webhooks"), (&content, "api/articles")] {
        println!("curl http://127.0.0.1:8080/{path} -H 'Authorization: Bearer {}'", token.secret.expose());
    }
    Ok(())
}
