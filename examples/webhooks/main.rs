//! Sends every event of the audit log to a webhook: signed, retried, in order, with dead letters.
//!
//! ```text
//! export KEYWARD_HASH_KEY=$(openssl rand -hex 32) WEBHOOK_SECRET=whsec_$(openssl rand -base64 32)
//! WEBHOOK_URL=http://127.0.0.1:9000/hook cargo run --example webhooks --features sqlite
//! ```
//!
//! It keeps `webhooks.db`, `webhooks.cursor` and `webhooks.dead.ndjson` in the working directory. In an application the sender is a task
//! beside the server. Any program that receives Standard Webhooks (<https://www.standardwebhooks.com>) verifies the signature.

mod files;
mod sender;
mod signature;

use files::Files;
use keyward::admin::{Notices, Policy};
use keyward::token::{ContentAccess, HashKeyRing};
use keyward::{Keyward, NewContentToken, SqliteStore};
use sender::{Retries, Sender};
use signature::SigningKey;
use std::env;
use std::error::Error;
use std::process::ExitCode;

/// Prints an error with its causes: a `main` that returns it would print its `Debug` form.
#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::INFO).init();
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
    let url = env::var("WEBHOOK_URL").map_err(|_| "WEBHOOK_URL is not set: set it to an address of a receiver")?;
    let key = env::var("WEBHOOK_SECRET").map_err(|_| "WEBHOOK_SECRET is not set: whsec_ and base64 of 32 bytes")?;
    let files = Files::new("webhooks.cursor", "webhooks.dead.ndjson");
    let mut sender = Sender::new(url.parse()?, SigningKey::parse(&key)?, files, Retries::default());

    let mut policy = Policy::default();
    policy.notices = Some(Notices::default());
    let keyward = Keyward::builder(SqliteStore::open("webhooks.db").await?)
        .hash_key(HashKeyRing::from_env("KEYWARD_HASH_KEY")?)
        .service_keys("/")
        .policy(policy)
        .build()?;
    // So that there is something to send: each start issues a token.
    let name = format!("demo {}", std::process::id());
    keyward.tokens().issue_content(NewContentToken::new(name, ContentAccess::ReadOnly)).await?;

    let events = keyward.audit().follow(sender.cursor()?);
    tokio::select! {
        sent = sender.run(events) => sent?,
        // A message whose delivery is interrupted here is sent again at the next start.
        _ = tokio::signal::ctrl_c() => {}
    }
    keyward.shutdown().await;
    Ok(())
}
