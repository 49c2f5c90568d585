//! A small content platform behind keyward, on SQLite or PostgreSQL: articles and webhooks, with an admin API and a
//! content API, and with articles as tools of an MCP server.
//!
//! `cargo run --example platform --all-features` needs nothing else. The first start creates demo data and prints
//! requests to try.

mod articles;
mod catalogue;
mod database;
mod demo;
mod errors;
mod front;
mod health;
mod layers;
mod logging;
mod options;
mod secrets;
mod serve;
mod webhooks;
mod wire;

use axum::routing::get;
use database::{Database, Place};
use keyward::guard::RejectionFormat;
use keyward::store::WriteStore;
use keyward::{Group, GuardedRouter, Keyward, PostgresStore, SqliteStore, authenticated, ui};
use options::{Options, Stop, USAGE};
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::TcpListener;
use wire::BoxError;

/// The time that open requests get after a stop signal.
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> ExitCode {
    // A variable that is not Unicode counts as empty, which is rejected, and not as missing.
    let variable = |name: &str| std::env::var_os(name).map(|value| value.into_string().unwrap_or_default());
    let options = match Options::read(std::env::args().skip(1), variable) {
        Ok(options) => options,
        Err(Stop::Help) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(Stop::Invalid(why)) => {
            eprintln!("platform: {why}");
            return ExitCode::from(2);
        }
    };
    if let Err(why) = logging::start(std::env::var("RUST_LOG").ok()) {
        eprintln!("platform: {why}");
        return ExitCode::from(2);
    }
    match run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("platform: {}", errors::one_line(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), BoxError> {
    match &options.place {
        Place::File(file) => {
            let store = SqliteStore::open(file).await?;
            let database = Database::file(file).await?;
            serve(store, database, options).await?;
        }
        Place::Postgres(url) => {
            let store = PostgresStore::connect_with(url, options.postgres.clone()).await?;
            let database = Database::postgres(url, store.schema(), options.pooler).await?;
            serve(store, database, options).await?;
        }
    }
    Ok(())
}

async fn serve(store: impl WriteStore, database: Database, options: Options) -> Result<(), BoxError> {
    let alone = options.alone;
    let mut builder = Keyward::builder(store)
        .hash_key(options.hash_keys)
        .catalogue(catalogue::catalogue())
        .rejection_format(RejectionFormat::Strapi)
        .api("/admin")
        .content("/api")
        .group(Group::mcp("/mcp"))
        .public("/healthz")
        .public("/readyz")
        .public("/ping");
    if let Some(hash_key) = options.strapi_hash_key {
        builder = builder.strapi_hash_key(hash_key);
    }
    if let Some(keys) = options.encryption {
        builder = builder.encryption(keys);
    }
    if options.accept_new_hash_key {
        builder = builder.accept_new_hash_key();
    }
    if options.accept_new_encryption_key {
        builder = builder.accept_new_encryption_key();
    }
    let keyward = options.front.apply(builder, alone).build()?;
    let set_up = keyward.set_up().await?;
    // Its passwords are public.
    let demo = if set_up.needs_first_admin && (options.demo || (alone && !options.empty)) {
        Some(demo::create(&keyward, &database).await?)
    } else {
        None
    };
    let own_machine_only = !options.demo && demo::exists(&keyward).await?;

    let listener = TcpListener::bind(options.listen).await;
    let address = listener.as_ref().ok().and_then(|l| l.local_addr().ok()).unwrap_or(options.listen);
    let place = &options.place;
    // Printed even if the address is taken: the secrets are shown only now.
    match &demo {
        Some(demo) => demo.print(&format!("http://{address}")),
        None if set_up.needs_first_admin => {
            println!(
                "{place} has no users: register the first super admin with POST http://{address}/admin/register-admin"
            );
            match keyward.sessions().setup_code().await? {
                Some(code) if alone => {
                    println!(
                        "by another host name than localhost (a tunnel, a proxy) the body needs this code, as \"setupCode\": {}",
                        code.expose()
                    );
                }
                Some(code) => println!("the body needs this code, as \"setupCode\": {}", code.expose()),
                None => {}
            }
        }
        None => println!("{place} has data already, and secrets are shown only once. To start over, delete {place}"),
    }
    let listener = listener.map_err(|error| errors::bind_error(address, &error))?;

    let mut app = keyward::api::router(&keyward)
        .merge(ui::router(&keyward))
        .merge(routes(&database))
        .merge(health::routes(&keyward));
    if own_machine_only {
        app = app.layer(axum::middleware::from_fn(front::own_machine_only));
    }
    let app = layers::wrap(keyward.guard(app));
    println!("listening on http://{address}");
    tokio::select! {
        () = serve::serve(listener, app, options.connections_of_one, stop_signal()) => {}
        () = async { stop_signal().await; tokio::time::sleep(PATIENCE).await } => eprintln!("platform: some requests were cut off"),
    }
    keyward.shutdown().await;
    database.close().await;
    Ok(())
}

fn routes(database: &Database) -> GuardedRouter {
    GuardedRouter::new()
        .merge(articles::routes(database))
        .merge(articles::mcp(database))
        .merge(webhooks::routes(database))
        .get("/admin/ping", authenticated(), ping)
        .public("/ping", get(ping))
}

/// A handler for load tests, with and without a credential.
async fn ping() -> &'static str {
    "pong"
}

async fn stop_signal() {
    #[cfg(unix)]
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut terminate) => _ = terminate.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
}
