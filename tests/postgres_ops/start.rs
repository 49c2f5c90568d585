//! What is said where a store cannot be opened: the place, the cause and the remedy, and never a part of a password.

use crate::support;
use crate::support::node::{by_hand, told};
use crate::support::server::{Server, free_port};
use keyward::PostgresStore;
use keyward::store::PostgresOptions;

async fn rejection(url: &str) -> String {
    let error = PostgresStore::connect_with(url, PostgresOptions::default()).await.unwrap_err();
    format!("{} {error:?}", told(&error))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_cannot_hold_every_text_is_refused() {
    let Some(url) = support::database().await else { return };
    let latin = format!("{}_latin1", url.rsplit('/').next().unwrap());
    for (encoding, name) in [("LATIN1", latin.clone()), ("SQL_ASCII", format!("{latin}_ascii"))] {
        let create =
            format!("CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
        by_hand(&url, &create).await;
        let address = format!("{}/{name}", url.rsplit_once('/').unwrap().0);
        let told = rejection(&address).await;
        for part in [&*name, encoding, "ENCODING 'UTF8'", "pg_dump"] {
            assert!(told.contains(part), "{part}: {told}");
        }
        let made = support::node::number(&address, "SELECT COUNT(*) FROM pg_tables WHERE schemaname = 'public'");
        assert_eq!(made.await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_named_with_its_place_and_without_the_password() {
    if support::server().is_none() {
        return;
    }
    let hba = "host all keyward 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
    let Ok(server) = Server::start_with(&[], &[("pg_hba.conf", hba)]) else { return };
    let port: u16 = server.url().rsplit(':').next().unwrap().split('/').next().unwrap().parse().unwrap();
    let long = "hunter2-".repeat(500);
    by_hand(server.url(), "CREATE ROLE ada LOGIN PASSWORD 'right'").await;
    let nobody_listens = free_port().unwrap();
    for password in ["hunter2", "hunter2%40x%2Fy%3Az%25%23", "hunter2:x", "hunter2@x", &long] {
        for (host, database, cause) in [
            (format!("127.0.0.1:{port}"), "postgres", "password"),
            (format!("127.0.0.1:{nobody_listens}"), "postgres", "nothing listens"),
            (format!("no-such-host.invalid:{port}"), "postgres", "host cannot be reached"),
        ] {
            let told = rejection(&format!("postgres://ada:{password}@{host}/{database}")).await;
            assert!(told.contains(&format!("ada@{host}/{database}")) && told.contains(cause), "{told}");
            assert!(!told.contains("hunter2") && !told.contains("x/y"), "{told}");
        }
    }
    let told = rejection(&format!("postgres://ada:right@127.0.0.1:{port}/missing")).await;
    assert!(told.contains("ada@127.0.0.1") && told.contains("no such database") && !told.contains("right"), "{told}");
    by_hand(server.url(), "CREATE DATABASE closed").await;
    by_hand(server.url(), "REVOKE CONNECT ON DATABASE closed FROM PUBLIC").await;
    let told = rejection(&format!("postgres://ada:right@127.0.0.1:{port}/closed")).await;
    assert!(told.contains("/closed") && told.contains("lacks a right") && !told.contains("right@"), "{told}");
}

/// Not encoded, these make another address of it. None is connected to, and none is repeated.
#[tokio::test]
async fn a_password_that_tears_the_address_apart_is_not_repeated() {
    for password in ["hunter2/swordfish", "12/swordfish", "hunter2#swordfish", "12#swordfish", "hunter2?swordfish"] {
        let told = rejection(&format!("postgres://ada:{password}@127.0.0.1:1/auth")).await;
        assert!(!told.contains("hunter2") && !told.contains("swordfish") && !told.contains("ada:12"), "{told}");
        assert!(told.contains("%2F for /") || told.contains("leave it out"), "{told}");
    }
}

/// A failure that stays is not shown as another change that came first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_that_stays_is_not_shown_as_a_conflict() {
    use keyward::RoleId;
    use keyward::store::StoreError;
    use keyward::store::{NewRole, WriteStore};
    let Some(url) = support::database().await else { return };
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
        by_hand(&url, &trigger(code)).await;
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
