//! A service beside a running Strapi 5, which accepts the tokens that Strapi has issued, by reading its database.
//!
//! `API_TOKEN_SALT=.. cargo run --example beside_strapi --all-features -- --database sqlite:.tmp/data.db`

#[path = "../platform/layers.rs"]
mod layers;
mod options;

use axum::Json;
use axum::ServiceExt;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::routing::{get, post};
use keyward::authz::{Conditions, DecisionRule, Fields};
use keyward::guard::{Guard, RejectionFormat};
use keyward::strapi::{StrapiStore, check_hash_key};
use keyward::{Decision, GuardedRouter, HashKey, action};
use options::{Options, Stop, USAGE};
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
        Err(Stop::Invalid(why)) => {
            eprintln!("beside_strapi: {why}");
            return ExitCode::from(2);
        }
    };
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match serve(options).await {
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

async fn serve(options: Options) -> Result<(), Box<dyn Error>> {
    let Options { database, hash_key: strapi_hash_key, key, listen } = options;
    let store = StrapiStore::open(&database).await?;
    if let Some(key) = key {
        check_hash_key(&store, &strapi_hash_key, &key).await?;
    }
    match store.unsupported_rows(&Conditions::default()).await {
        Ok(all) => all.iter().for_each(|left| eprintln!("ignored, and allows nothing: {left}")),
        // An unreadable row affects no other token.
        Err(error) => eprintln!("WARNING: ignored permissions cannot be listed: {:?}", error.source()),
    }
    // Required, but unused: Strapi's database has no tokens of keyward.
    let (hash_key, _) = HashKey::generate()?;
    let guard = Guard::builder(store.clone())
        .hash_key(hash_key)
        .strapi_hash_key(strapi_hash_key)
        .rejection_format(RejectionFormat::Strapi)
        .admin("/admin")
        .admin("/content-manager")
        .content("/api")
        .build()?;
    let listener = TcpListener::bind(listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let app =
        ServiceExt::<Request>::into_make_service_with_connect_info::<SocketAddr>(layers::wrap(guard.guard(routes())));
    axum::serve(listener, app).with_graceful_shutdown(stop_signal()).await?;
    guard.shutdown().await;
    store.close().await;
    Ok(())
}

/// Routes with the requirements of Strapi's routes at the same paths.
fn routes() -> GuardedRouter {
    let explorer = |verb: &str| action(format!("plugin::content-manager.explorer.{verb}")).on("api::article.article");
    let content = |verb: &str| action(format!("api::article.article.{verb}"));
    GuardedRouter::new()
        .route(ARTICLES, explorer("read"), get(read))
        .route(ARTICLES, explorer("create"), post(create))
        .route("/admin/webhooks", action("admin::webhooks.read"), get(read))
        .route("/admin/users", action("admin::users.read"), get(read))
        .route("/api/articles", content("find"), get(read))
        .route("/api/articles", content("create"), post(create))
}

async fn read(decision: Decision) -> Json<Value> {
    Json(describe(&decision))
}

async fn create(decision: Decision) -> (StatusCode, Json<Value>) {
    (StatusCode::CREATED, Json(describe(&decision)))
}

/// Renders the rules of a decision, any of which may apply to a row.
fn describe(decision: &Decision) -> Value {
    let rule = |rule: &DecisionRule| {
        let fields = match rule.fields() {
            Fields::All => None,
            Fields::Only(set) => Some(set.as_slice().to_vec()),
        };
        let mut parts = rule.conditions();
        let mut rule = json!({"fields": fields, "conditions": parts.next().unwrap_or_default()});
        // The conditions of the grant, besides those of the owner's permission.
        let grant_conditions: Vec<_> = parts.collect();
        if !grant_conditions.is_empty() {
            rule["and"] = json!(grant_conditions);
        }
        rule
    };
    json!({"rules": decision.rules().iter().map(rule).collect::<Vec<_>>()})
}

async fn stop_signal() {
    // Without signals, it runs until the process is killed.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
