//! Errors when a store cannot be opened: the address, the cause and the remedy, and no part of a password.

use crate::node::{error_chain, execute};
use keyward::PostgresStore;
use keyward::store::PostgresOptions;
use keyward_test_support::postgres;
use keyward_test_support::postgres::Server;
use keyward_test_support::process::free_port;

async fn rejection(url: &str) -> String {
    let error = PostgresStore::connect_with(url, PostgresOptions::default()).await.unwrap_err();
    format!("{} {error:?}", error_chain(&error))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn database_with_a_limited_encoding_is_rejected() {
    let Some(url) = postgres::create_database().await else { return };
    let latin = format!("{}_latin1", url.rsplit('/').next().unwrap());
    for (encoding, name) in [("LATIN1", latin.clone()), ("SQL_ASCII", format!("{latin}_ascii"))] {
        let create =
            format!("CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
        execute(&url, &create).await;
        let address = format!("{}/{name}", url.rsplit_once('/').unwrap().0);
        let message = rejection(&address).await;
        for part in [&*name, encoding, "ENCODING 'UTF8'", "pg_dump"] {
            assert!(message.contains(part), "{part}: {message}");
        }
        let made = crate::node::query_number(&address, "SELECT COUNT(*) FROM pg_tables WHERE schemaname = 'public'");
        assert_eq!(made.await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connection_error_names_the_address_without_the_password() {
    if postgres::shared_server().is_none() {
        return;
    }
    let hba = "host all keyward 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
    let Ok(server) = Server::start_with(&[], &[("pg_hba.conf", hba)]) else { return };
    let port: u16 = server.url().rsplit(':').next().unwrap().split('/').next().unwrap().parse().unwrap();
    let long = "hunter2-".repeat(500);
    execute(server.url(), "CREATE ROLE ada LOGIN PASSWORD 'right'").await;
    let unused = free_port().unwrap();
    for password in ["hunter2", "hunter2%40x%2Fy%3Az%25%23", "hunter2:x", "hunter2@x", &long] {
        for (host, database, cause) in [
            (format!("127.0.0.1:{port}"), "postgres", "password"),
            (format!("127.0.0.1:{unused}"), "postgres", "nothing listens"),
            (format!("no-such-host.invalid:{port}"), "postgres", "cannot reach the host"),
        ] {
            let message = rejection(&format!("postgres://ada:{password}@{host}/{database}")).await;
            assert!(message.contains(&format!("ada@{host}/{database}")) && message.contains(cause), "{message}");
            assert!(!message.contains("hunter2") && !message.contains("x/y"), "{message}");
        }
    }
    let message = rejection(&format!("postgres://ada:right@127.0.0.1:{port}/missing")).await;
    assert!(
        message.contains("ada@127.0.0.1") && message.contains("no such database") && !message.contains("right"),
        "{message}"
    );
    execute(server.url(), "CREATE DATABASE closed").await;
    execute(server.url(), "REVOKE CONNECT ON DATABASE closed FROM PUBLIC").await;
    let message = rejection(&format!("postgres://ada:right@127.0.0.1:{port}/closed")).await;
    assert!(
        message.contains("/closed") && message.contains("lacks a right") && !message.contains("right@"),
        "{message}"
    );
}

/// Without encoding, these passwords change the address. The store connects to none of them and shows none.
#[tokio::test]
async fn password_that_breaks_the_address_is_not_shown() {
    for password in ["hunter2/swordfish", "12/swordfish", "hunter2#swordfish", "12#swordfish", "hunter2?swordfish"] {
        let message = rejection(&format!("postgres://ada:{password}@127.0.0.1:1/auth")).await;
        assert!(
            !message.contains("hunter2") && !message.contains("swordfish") && !message.contains("ada:12"),
            "{message}"
        );
        assert!(message.contains("%2F for /") || message.contains("leave it out"), "{message}");
    }
}

/// A permanent failure is not reported as a conflict with another change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn permanent_failure_is_not_reported_as_a_conflict() {
    use keyward::RoleId;
    use keyward::store::StoreError;
    use keyward::store::{NewRole, WriteStore};
    let Some(url) = postgres::create_database().await else { return };
    let store = PostgresStore::connect(&url).await.unwrap();
    let trigger = |code: &str| {
        format!(
            "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
             'BEGIN RAISE EXCEPTION ''refused'' USING ERRCODE = ''{code}''; END'; \
             CREATE OR REPLACE TRIGGER refuse BEFORE INSERT ON keyward_role FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
    };
    for (code, expected) in [
        ("23505", "conflict"),
        ("23503", "conflict"),
        ("40001", "busy"),
        ("22021", "invalid"),
        ("22003", "invalid"),
        ("23502", "unavailable"),
        ("23514", "unavailable"),
        ("42501", "unavailable"),
        ("42P01", "unavailable"),
        ("25006", "unavailable"),
        ("53100", "unavailable"),
        ("P0001", "unavailable"),
    ] {
        execute(&url, &trigger(code)).await;
        let mut tx = store.begin().await.unwrap();
        let said = match tx.insert_role(NewRole::new("x")).await {
            Err(StoreError::Conflict(_)) => "conflict",
            Err(StoreError::Busy) => "busy",
            Err(StoreError::Invalid(_)) => "invalid",
            Err(StoreError::Unavailable(_)) => "unavailable",
            other => panic!("{code}: {other:?}"),
        };
        assert_eq!(said, expected, "{code}");
    }
    let mut view = store.view().await.unwrap();
    assert_eq!(view.roles().await.unwrap().len(), 1, "{:?}", RoleId::SUPER_ADMIN);
}
