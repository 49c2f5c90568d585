//! A small content platform behind keyward, on SQLite: articles and webhooks, an admin side and a content side.
//!
//! `cargo run --example platform --all-features` needs nothing else. The first start makes demo data and says what to try.

mod articles;
mod console;
mod database;
mod demo;
mod options;
mod webhooks;
mod wire;

use axum::routing::get;
use database::Database;
use keyward::{GuardedRouter, Keyward, authenticated};
use options::{Options, Stop, USAGE};
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::TcpListener;
use wire::BoxError;

/// How long requests may go on when the server was told to stop.
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> ExitCode {
    // A variable that is no text counts as an empty one, which is refused, and not as none.
    let variable = |name: &str| std::env::var_os(name).map(|value| value.into_string().unwrap_or_default());
    let options = match Options::read(std::env::args().skip(1), variable) {
        Ok(options) => options,
        Err(Stop::Help) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(Stop::Wrong(why)) => {
            eprintln!("platform: {why}");
            return ExitCode::from(2);
        }
    };
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("platform: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), BoxError> {
    let (store, database) = Database::open(&options.file).await?;
    let mut builder =
        Keyward::builder(store).salt(options.salts).admin("/admin").content("/api").public("/healthz").public("/ping");
    if let Some(salt) = options.reference_salt {
        builder = builder.reference_salt(salt);
    }
    let keyward = builder.build()?;
    let (is_empty, file) = (!demo::is_there(&database).await?, &options.file);
    let demo = if is_empty && !options.empty { Some(demo::make(&keyward, &database).await?) } else { None };

    let listener = TcpListener::bind(options.listen).await;
    let address = listener.as_ref().ok().and_then(|l| l.local_addr().ok()).unwrap_or(options.listen);
    // Said even where the address is taken: it is the only time.
    match &demo {
        Some(demo) => demo.print(&format!("http://{address}")),
        None if is_empty => println!("{file} is empty, and stays so"),
        None => println!("{file} has data already, and secrets show only once. To start over, delete {file}*"),
    }
    let listener = listener.map_err(|error| format!("cannot listen on {address}: {error}"))?;
    if options.console || console::is_at_hand() {
        console::start(keyward.clone(), database.clone());
    }

    let service = keyward.guard(routes(&database)).into_make_service();
    println!("listening on http://{address}");
    tokio::select! {
        served = async { axum::serve(listener, service).with_graceful_shutdown(told_to_stop()).await } => served?,
        () = async { told_to_stop().await; tokio::time::sleep(PATIENCE).await } => eprintln!("platform: some requests were cut off"),
    }
    keyward.shutdown().await;
    keyward.store().close().await;
    database.close().await;
    Ok(())
}

fn routes(database: &Database) -> GuardedRouter {
    GuardedRouter::new()
        .merge(articles::routes(database))
        .merge(webhooks::routes(database))
        .route("/admin/ping", authenticated(), get(ping))
        .public("/ping", get(ping))
        .public("/healthz", get(|| async { "ok" }))
}

/// The same work with and without a credential, for load tests.
async fn ping() -> &'static str {
    "pong"
}

async fn told_to_stop() {
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
