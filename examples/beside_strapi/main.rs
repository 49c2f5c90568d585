//! Beside a Strapi 5 that is running: a service that honours the tokens it has issued, by its own database.
//!
//! `cargo run --example beside_strapi --all-features -- --database sqlite:.tmp/data.db --hash_key "$API_TOKEN_SALT"`
//!
//! And `-- import --into sqlite:keyward.db` takes over what is there, so that the example platform can go on with it.

mod options;
mod over;
#[path = "../platform/secrets.rs"]
#[allow(dead_code, reason = "nothing is issued here, so no salt of our own is asked for")]
mod secrets;

use axum::Json;
use axum::http::StatusCode;
use axum::routing::{get, post};
use keyward::authz::{Conditions, DecisionRule, Fields};
use keyward::guard::Guard;
use keyward::strapi::{StrapiEncryptionKey, StrapiStore, check_salt};
use keyward::token::StrapiHashKey;
use keyward::{Decision, GuardedRouter, HashKey, action};
use options::{Mode, Options, Stop, USAGE};
use serde_json::{Value, json};
use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use tokio::net::TcpListener;

const ARTICLES: &str = "/content-manager/collection-types/api::article.article";

#[tokio::main]
async fn main() -> ExitCode {
    let variable = |name: &str| std::env::var_os(name).map(|value| value.into_string().unwrap_or_default());
    let options = match Options::read(std::env::args().skip(1), variable) {
        Ok(options) => options,
        Err(Stop::Help) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(Stop::Wrong(why)) => {
            eprintln!("beside_strapi: {why}");
            return ExitCode::from(2);
        }
    };
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let Options { database, hash_key, mode } = options;
    let done = match mode {
        Mode::Serve(listen, key) => serve(&database, hash_key, key, listen).await,
        Mode::Import(over) => over::take_over(&database, hash_key, *over).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint!("beside_strapi: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprint!(": {error}");
                cause = error.source();
            }
            eprintln!();
            ExitCode::FAILURE
        }
    }
}

async fn serve(
    database: &str,
    strapi_hash_key: StrapiHashKey,
    key: Option<Box<StrapiEncryptionKey>>,
    listen: SocketAddr,
) -> Result<(), Box<dyn Error>> {
    let store = StrapiStore::open(database).await?;
    if let Some(key) = key {
        check_salt(&store, &strapi_hash_key, &key).await?;
    }
    match store.not_understood(&Conditions::default()).await {
        Ok(all) => all.iter().for_each(|left| eprintln!("allows nothing here: {left}")),
        // One row that cannot be read is in the way of no other token.
        Err(error) => eprintln!("WARNING: what allows nothing here cannot be listed: {:?}", error.source()),
    }
    // Tokens of our own would need one; that database has none.
    let (hash_key, _) = HashKey::generate()?;
    let guard = Guard::builder(store.clone())
        .hash_key(hash_key)
        .strapi_hash_key(strapi_hash_key)
        .admin("/admin")
        .admin("/content-manager")
        .content("/api")
        .build()?;
    let listener = TcpListener::bind(listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let app = guard.guard(routes()).into_make_service();
    axum::serve(listener, app).with_graceful_shutdown(told_to_stop()).await?;
    guard.shutdown().await;
    store.close().await;
    Ok(())
}

/// Each route asks for what the reference asks for on the same one.
fn routes() -> GuardedRouter {
    let explorer = |deed: &str| action(format!("plugin::content-manager.explorer.{deed}")).on("api::article.article");
    let content = |deed: &str| action(format!("api::article.article.{deed}"));
    GuardedRouter::new()
        .route(ARTICLES, explorer("read"), get(found))
        .route(ARTICLES, explorer("create"), post(created))
        .route("/admin/webhooks", action("admin::webhooks.read"), get(found))
        .route("/admin/users", action("admin::users.read"), get(found))
        .route("/api/articles", content("find"), get(found))
        .route("/api/articles", content("create"), post(created))
}

async fn found(decision: Decision) -> Json<Value> {
    Json(shown(&decision))
}

async fn created(decision: Decision) -> (StatusCode, Json<Value>) {
    (StatusCode::CREATED, Json(shown(&decision)))
}

/// The rules, any of which may apply to a row.
fn shown(decision: &Decision) -> Value {
    let rule = |rule: &DecisionRule| {
        let fields = match rule.fields() {
            Fields::All => None,
            Fields::Only(set) => Some(set.as_slice().to_vec()),
        };
        let mut parts = rule.conditions();
        let mut shown = json!({"fields": fields, "conditions": parts.next().unwrap_or_default()});
        // Those that were chosen for a grant besides those of its owner's permission.
        let also: Vec<_> = parts.collect();
        if !also.is_empty() {
            shown["and"] = json!(also);
        }
        shown
    };
    json!({"rules": decision.rules().iter().map(rule).collect::<Vec<_>>()})
}

async fn told_to_stop() {
    // Without signals it goes on until it is ended.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
