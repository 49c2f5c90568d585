//! A PostgreSQL for tests: one server for each test program, one database for each test.

#![allow(unreachable_pub, dead_code, reason = "tests use what they need of it")]

#[cfg(feature = "testing")]
pub mod node;
pub mod pooler;
#[path = "../../examples/cluster/server.rs"]
pub mod server;

use keyward::PostgresStore;
use keyward::store::PostgresOptions;
use keyward::time::Clock;
use server::Server;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

/// Set to 1 where a test that finds no PostgreSQL, or no pooler, must fail and not be skipped.
const REQUIRED: &str = "KEYWARD_REQUIRE_POSTGRES";

/// The server of this test program; none if there is no PostgreSQL on this machine, which is said.
pub fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    let server = SERVER.get_or_init(|| match Server::find_or_start() {
        Ok(server) => Some(server),
        Err(why) => {
            skipped("tests on PostgreSQL", &format!("{why}; or set {} to an address", server::VARIABLE));
            None
        }
    });
    server.as_ref()
}

/// Says what is skipped; fails where nothing may be.
pub fn skipped(what: &str, why: &str) {
    assert!(!std::env::var(REQUIRED).is_ok_and(|v| v == "1"), "{what} may not be skipped: {why}");
    eprintln!("SKIPPED: {what}. {why}");
}

/// A new database, with nothing in it.
pub async fn database() -> Option<String> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let server = server()?;
    let name = format!("keyward_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let mut connection = PgConnection::connect(server.url()).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    Some(server.url_of(&name))
}

/// A store in a new database.
pub async fn store(options: PostgresOptions) -> Option<PostgresStore> {
    Some(PostgresStore::connect_with(&database().await?, options).await.unwrap())
}

/// A store in a new database, with this clock.
pub async fn store_with(clock: Arc<dyn Clock>) -> Option<PostgresStore> {
    store(PostgresOptions::default().clock(clock)).await
}
