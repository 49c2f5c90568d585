//! An application with users, roles and sessions of its own, to which keyward adds tokens.
//!
//! `cargo run --example own_users --all-features` needs nothing else. It prints requests to try. In `app`, marks show the 58
//! lines that keyward takes, besides imports.

mod app;
#[path = "../platform/errors.rs"]
mod errors;
mod options;
#[path = "../platform/secrets.rs"]
#[allow(dead_code, reason = "no secret is shown again, so there is no encryption key")]
mod secrets;

use app::{App, BoxError, DEMO_PASSWORD, DEMO_USERS};
use options::{Options, Stop, USAGE};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use std::net::SocketAddr;
use std::process::ExitCode;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(Stop::Help) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(Stop::Invalid(why)) => {
            eprintln!("own_users: {why}");
            return ExitCode::from(2);
        }
    };
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::WARN).init();
    match run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("own_users: {}", errors::one_line(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run(Options { listen, database }: Options) -> Result<(), BoxError> {
    let variable = |name: &str| std::env::var(name).ok();
    let hash_keys = secrets::read(&["KEYWARD_HASH_KEY"], None, &variable)?;
    let hash_keys = secrets::hash_keys(hash_keys, true)?.ok_or("KEYWARD_HASH_KEY is not set")?;
    let file = SqliteConnectOptions::new().filename(&database).create_if_missing(true);
    let pool = SqlitePool::connect_with(file.journal_mode(SqliteJournalMode::Wal)).await?;
    let app = App::new(pool.clone(), hash_keys).await?;

    let listener = TcpListener::bind(listen).await.map_err(|error| errors::bind_error(listen, &error))?;
    let address = listener.local_addr()?;
    print_requests(&format!("http://{address}"));
    println!("listening on http://{address}");
    let service = app.router().into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(async { _ = tokio::signal::ctrl_c().await }).await?;
    app.keyward.shutdown().await;
    pool.close().await;
    Ok(())
}

/// Prints requests to try, each below its expected response.
fn print_requests(url: &str) {
    let [(ada, ..), (edda, ..)] = DEMO_USERS;
    println!("# {ada} is an admin, {edda} an editor; both sign in with {DEMO_PASSWORD}. Paste the lines into a shell.");
    println!("# The responses are those of a new database: to start over, delete the file.");
    println!("URL={url}");
    println!("ask() {{ curl -sS -w ' %{{http_code}}\\n' \"$@\"; }}");
    // A page of the application has this origin. A browser adds the header to its requests by itself.
    println!("as() {{ who=$1; shift; ask -b \"$who.cookie\" -c \"$who.cookie\" -H \"Origin: $URL\" \"$@\"; }}");
    for (name, email) in [("ada", ada), ("edda", edda)] {
        println!("as {name} $URL/sign-in --json '{{\"email\":\"{email}\",\"password\":\"{DEMO_PASSWORD}\"}}'");
    }
    for (response, request) in [
        ("201: by her session", "as edda $URL/api/articles --json '{\"title\":\"By a browser\"}'"),
        ("403: more than an editor may", "as edda $URL/api/articles/1 -X DELETE"),
        (
            "400: a token never does more than its owner may",
            "as edda $URL/app/tokens --json '{\"name\":\"cleanup\",\"grants\":[\"article.delete\"]}'",
        ),
    ] {
        println!("# {response}\n{request}");
    }
    println!("# a token for a program of Edda's");
    println!(
        "NEW=$(as edda $URL/app/tokens --json '{{\"name\":\"deploy\",\"grants\":[\"article.read\",\"article.write\"]}}')"
    );
    println!("TOKEN=$(echo \"$NEW\" | sed 's/.*\"secret\":\"\\([^\"]*\\)\".*/\\1/')");
    println!("program() {{ ask -H \"Authorization: Bearer $TOKEN\" \"$@\"; }}");
    println!("EDDA=$(as edda $URL/app/me | sed 's/.*\"id\":\"\\([^\"]*\\)\".*/\\1/')");
    for (response, request) in [
        ("201: an article of Edda's", "program $URL/api/articles --json '{\"title\":\"By a program\"}'"),
        ("401: for people only", "program $URL/app/tokens"),
        ("200: Edda becomes a reader", "as ada $URL/app/users/$EDDA -X PATCH --json '{\"role\":\"reader\"}'"),
        ("403: her token lost article.write with her role", "program $URL/api/articles --json '{\"title\":\"x\"}'"),
        ("200: Edda is deactivated", "as ada $URL/app/users/$EDDA -X PATCH --json '{\"active\":false}'"),
        ("401: from the next request on", "program $URL/api/articles"),
        ("200", "as ada $URL/app/users/$EDDA -X PATCH --json '{\"active\":true,\"role\":\"editor\"}'"),
        ("200: she is back", "program $URL/api/articles"),
        ("403: a lost grant does not come back by itself", "program $URL/api/articles --json '{\"title\":\"x\"}'"),
    ] {
        println!("# {response}\n{request}");
    }
}
