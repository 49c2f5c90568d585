//! Two platforms on one PostgreSQL database: a change on one applies on the other.

use crate::platform::CM;
use keyward_test_support::platform::{Server, platform_on};
use keyward_test_support::pooler::Pooler;
use keyward_test_support::postgres;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::time::{Duration, Instant};

#[test]
fn token_revoked_on_one_node_is_rejected_by_the_other() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let Some(url) = runtime.block_on(postgres::create_database()) else { return };
    let one = Server::start(platform_on(&url));
    let two = Server::start(platform_on(&url));
    assert!(
        !two.said.iter().any(|line| line.contains("postgres://")),
        "an address may hold a password: {:?}",
        two.said
    );
    let (root, editor) = (one.secret("ROOT"), one.secret("EDITOR"));
    two.get("/admin/ping", editor).assert(200);
    assert_eq!(two.get("/healthz", editor).assert(200).at("/syncMode"), json!("byLog"));

    let session = one.send(
        "POST",
        "/admin/login",
        &["Content-Type: application/json"],
        r#"{"email":"root@example.test","password":"Passw0rd!"}"#,
    );
    let session = session.assert(200).at("/data/token").as_str().unwrap().to_owned();
    let tokens = one.get("/admin/admin-tokens", &session).assert(200).at("/data");
    for token in tokens.as_array().unwrap() {
        one.json("DELETE", &format!("/admin/admin-tokens/{}", token["id"]), &session, "");
    }
    let began = Instant::now();
    one.get("/admin/ping", root).assert(401);
    while two.get("/admin/ping", root).status == 200 {
        assert!(began.elapsed() < Duration::from_secs(2), "within max_staleness");
        std::thread::sleep(Duration::from_millis(2));
    }
    two.get("/admin/ping", root).assert(401);
}

/// The platform's use of its database through a session pooler and a transaction pooler, and a second platform that creates nothing.
#[test]
fn platform_runs_behind_session_and_transaction_poolers() {
    for (mode, flag) in [("session", None), ("transaction", Some("--pooler"))] {
        let Some(pooler) = Pooler::start(mode) else { return };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let url = pooler.url(&runtime.block_on(postgres::create_database()).unwrap());
        let start = || {
            let mut command = platform_on(&url);
            command.args(flag);
            Server::start(command)
        };
        let (one, two) = (start(), start());
        let root = one.secret("ROOT");
        for server in [&one, &two] {
            for n in 0..10 {
                let title = json!({"title": format!("{mode} {n}")}).to_string();
                let id = server.json("POST", CM, root, &title).assert(201).at("/data/documentId");
                let article = format!("{CM}/{}", id.as_str().unwrap());
                server.json("PUT", &article, root, r#"{"title":"other"}"#).assert(200);
                assert_eq!(two.get(&article, root).assert(200).at("/data/title"), "other");
                server.json("DELETE", &article, root, "").assert(200);
            }
            server.json("POST", "/admin/webhooks", root, r#"{"name":"n","url":"https://x.test"}"#).assert(201);
        }
        assert_eq!(two.get("/admin/webhooks", root).at("/data").as_array().unwrap().len(), 2);
    }
}

/// An undeclared pooler in transaction mode is detected, and the error names the option.
#[test]
fn undeclared_transaction_pooler_is_rejected() {
    let Some(pooler) = Pooler::start("transaction") else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let url = pooler.url(&runtime.block_on(postgres::create_database()).unwrap());
    let output = platform_on(&url).stderr(std::process::Stdio::piped()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("transaction_pooler()"), "{said}");
}

/// A role with privileges on data only, on tables of another role, with a new schema first in its search path.
#[test]
fn role_with_data_privileges_only_is_sufficient() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let Some(url) = runtime.block_on(postgres::create_database()) else { return };
    let owner = Server::start(platform_on(&url));
    let root = owner.secret("ROOT");
    let role = url.rsplit('/').next().unwrap().to_owned();
    let grants = format!(
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC; CREATE ROLE {role} LOGIN; \
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}; \
         CREATE SCHEMA {role} AUTHORIZATION {role}"
    );
    runtime.block_on(by_hand(&url, grants));
    let service = Server::start(platform_on(&url.replacen("//keyward@", &format!("//{role}@"), 1)));
    let id = service.json("POST", CM, root, r#"{"title":"by the service"}"#).assert(201).at("/data/documentId");
    let article = format!("{CM}/{}", id.as_str().unwrap());
    assert_eq!(owner.get(&article, root).assert(200).at("/data/title"), "by the service");
}

/// A startup error names the address and the remedy, without the password.
#[test]
fn unreachable_address_is_reported_without_its_password() {
    let output =
        platform_on("postgres://ada:hunter2@127.0.0.1:1/auth").stderr(std::process::Stdio::piped()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(said.contains("ada@127.0.0.1:1/auth") && said.contains("nothing listens"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

async fn by_hand(url: &str, statement: String) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
}
