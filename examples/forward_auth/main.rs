//! keyward beside a proxy: `cargo run --example forward_auth --features forward-auth`.
//!
//! It answers the questions of each proxy at a path of its own (`/nginx`, `/caddy`, `/haproxy`, `/traefik`, `/envoy`) on
//! 127.0.0.1:9000, and serves a service to guard on 127.0.0.1:9001. It prints tokens, and requests to send through the
//! proxy on 127.0.0.1:8080. The configurations beside this file start each proxy.

mod rules;

use axum::Router;
use keyward::admin::IssuedToken;
use keyward::forward_auth::{self, Rules};
use keyward::guard::ProxyHeader;
use keyward::token::ContentAccess;
use keyward::{Grant, HashKey, Keyward, MemoryStore, NewAdminToken, NewContentToken, NewOwner, NewRole};
use rules::{READ_ORDERS, READ_REPORTS};
use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use tokio::net::TcpListener;

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
    let (hash_key, _) = HashKey::generate()?;
    let keyward = Keyward::builder(MemoryStore::default())
        .hash_key(hash_key)
        // The groups of keyward's own routes, of which there are none here.
        .admin("/admin")
        .trusted_proxies(["127.0.0.1"], ProxyHeader::XForwardedFor)
        .caller_names()
        .build()?;
    print_tokens(&keyward).await?;

    let answers = Router::new()
        .nest_service("/nginx", forward_auth::router(&keyward, rules::add(Rules::nginx()))?)
        .nest_service("/caddy", forward_auth::router(&keyward, rules::add(Rules::caddy()))?)
        .nest_service("/haproxy", forward_auth::router(&keyward, rules::add(Rules::haproxy()))?)
        .nest_service("/traefik", forward_auth::router(&keyward, rules::add(Rules::traefik()))?)
        .nest_service("/envoy", forward_auth::router(&keyward, rules::add(Rules::envoy("/envoy")))?);
    let answers = answers.into_make_service_with_connect_info::<SocketAddr>();
    let service = Router::new().fallback(service);
    let (for_answers, for_service) = (TcpListener::bind("127.0.0.1:9000"), TcpListener::bind("127.0.0.1:9001"));
    let (for_answers, for_service) = (for_answers.await?, for_service.await?);
    println!("keyward answers on {}, the service listens on {}", for_answers.local_addr()?, for_service.local_addr()?);
    tokio::select! {
        served = axum::serve(for_answers, answers) => served?,
        served = axum::serve(for_service, service) => served?,
        _ = tokio::signal::ctrl_c() => {}
    }
    keyward.shutdown().await;
    Ok(())
}

/// A service that knows nothing of tokens: it believes the headers of the proxy.
async fn service(request: axum::extract::Request) -> String {
    let identity = request.headers().iter().filter(|(name, _)| name.as_str().starts_with("x-keyward-"));
    let identity: Vec<String> = identity.map(|(name, value)| format!("{name}: {value:?}\n")).collect();
    format!("{} {}\n{}", request.method(), request.uri(), identity.concat())
}

/// Creates a service key and an admin token, and prints requests with them.
async fn print_tokens(keyward: &Keyward) -> Result<(), Box<dyn Error>> {
    let shop = NewContentToken::new("shop", ContentAccess::only([READ_ORDERS]));
    let shop = keyward.tokens().issue_content(shop).await?;
    let analyst = keyward.roles().create(NewRole::new("Analyst").permissions([READ_REPORTS])).await?.id;
    let ada = NewOwner::new("ada@example.test").named("Ada", "Analyst").roles([analyst]);
    let ada = keyward.owners().create(ada).await?.id;
    let script = NewAdminToken::new("script", ada).grants([Grant::new(READ_REPORTS)]);
    let script = keyward.tokens().issue_admin(script).await?;
    let show = |status: u16, token: Option<&IssuedToken>, rest: &str| {
        let header = token.map(|token| format!(" -H 'Authorization: Bearer {}'", token.secret.expose()));
        println!("# {status}\ncurl{} http://127.0.0.1:8080{rest}", header.unwrap_or_default());
    };
    show(200, Some(&shop), "/orders/7");
    show(403, Some(&shop), "/orders -X POST");
    show(401, Some(&shop), "/reports");
    show(200, Some(&script), "/reports");
    show(401, None, "/orders/7");
    show(200, None, "/public/logo.svg");
    show(403, None, "/elsewhere");
    Ok(())
}
