//! The program changes a database while servers run on it.

#![allow(clippy::disallowed_methods, reason = "it waits for real processes")]

use crate::tool::Tool;
use axum::routing::get;
use keyward::store::WriteStore;
use keyward::testing::{App, HASH_KEY};
use keyward::{GuardedRouter, HashKey, Keyward, PostgresStore, SqliteStore, action};
use keyward_test_support::postgres;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// The staleness bound of a server.
const BOUND: Duration = Duration::from_secs(2);

/// The longest wait for a line of another process.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server on the database of the program.
struct Server {
    keyward: Keyward,
    app: App,
}

impl Server {
    fn on(store: impl WriteStore) -> Self {
        let hash_key = HashKey::parse(HASH_KEY).unwrap();
        let keyward = Keyward::builder(store).hash_key(hash_key).admin("/admin").content("/api").build().unwrap();
        let routes = GuardedRouter::new()
            .route("/admin/deployments", action("deployments.read"), get(|| async { "[]" }))
            .route("/api/articles", action("articles.find"), get(|| async { "[]" }));
        let app = App::from_service(keyward.guard(routes));
        Self { keyward, app }
    }

    async fn status(&self, path: &str, secret: &str) -> u16 {
        self.app.get(path).bearer(secret).await.status.as_u16()
    }

    /// Waits until a cached token is judged otherwise, which takes less than the bound after the change.
    async fn becomes(&self, path: &str, secret: &str, status: u16, changed: Instant) {
        while self.status(path, secret).await != status {
            assert!(changed.elapsed() < BOUND, "{path} does not become {status}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Each change is seen by the server within its bound, and none disturbs it.
async fn changes_count_within_the_bound(tool: &Tool, server: Server) {
    let admin = "/admin/deployments";
    let issue = ["token", "issue", "deploy", "--owner", "ci", "--allow", "deployments.read", "--quiet"];
    let first = tool.done(&issue);
    assert_eq!(server.status(admin, &first).await, 200, "a new token works at once");
    let content = tool.done(&["token", "issue", "shop", "--content", "read-only", "--quiet"]);
    assert_eq!(server.status("/api/articles", &content).await, 200);

    let second = tool.done(&["token", "rotate", "deploy", "--quiet"]);
    let changed = Instant::now();
    assert_eq!(server.status(admin, &second).await, 200);
    server.becomes(admin, &first, 401, changed).await;

    tool.done(&["owner", "suspend", "ci"]);
    server.becomes(admin, &second, 401, Instant::now()).await;
    tool.done(&["owner", "activate", "ci"]);
    server.becomes(admin, &second, 200, Instant::now()).await;

    tool.done(&["role", "set-permissions", "Deployer", "--allow", "deployments.create"]);
    server.becomes(admin, &second, 403, Instant::now()).await;

    tool.done(&["token", "revoke", "shop"]);
    server.becomes("/api/articles", &content, 401, Instant::now()).await;
    tool.done(&["token", "revoke", "deploy"]);
    server.becomes(admin, &second, 401, Instant::now()).await;
    assert!(server.keyward.health().ready);
    server.keyward.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_on_a_file_count_within_the_bound() {
    let tool = Tool::new().with_service();
    let store = SqliteStore::open(tool.file()).await.unwrap();
    changes_count_within_the_bound(&tool, Server::on(store)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_on_postgresql_count_within_the_bound() {
    let Some(url) = postgres::create_database().await else { return };
    let store = PostgresStore::connect(&url).await.unwrap();
    let tool = Tool::on(url);
    tool.done(&["init", "--admin", "ada@example.test"]);
    let tool = tool.with_service();
    changes_count_within_the_bound(&tool, Server::on(store)).await;
}

/// The server changes, and the program follows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tail_prints_each_event_once_and_in_order() {
    let tool = Tool::new().with_service();
    let server = Server::on(SqliteStore::open(tool.file()).await.unwrap());
    let mut tail = tool.command(&["audit", "tail", "-n", "1"]).stdout(Stdio::piped()).spawn().unwrap();
    let (sender, lines) = channel();
    let stdout = BufReader::new(tail.stdout.take().unwrap());
    std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let next = || -> serde_json::Value { serde_json::from_str(&lines.recv_timeout(PATIENCE).unwrap()).unwrap() };
    assert_eq!(next()["action"], "owner-created", "the latest event is that of the service");
    let names: Vec<String> = (0..5).map(|i| format!("role {i}")).collect();
    for name in &names {
        server.keyward.roles().create(keyward::NewRole::new(name)).await.unwrap();
    }
    let mut last = 0;
    for name in &names {
        let event = next();
        assert_eq!((&event["action"], &event["payload"]["name"]), (&"role-created".into(), &name.as_str().into()));
        assert!(event["id"].as_i64().unwrap() > last);
        last = event["id"].as_i64().unwrap();
    }
    // It is found by a later look at the log, which prints no event twice.
    server.keyward.roles().create(keyward::NewRole::new("another")).await.unwrap();
    assert_eq!(next()["payload"]["name"], "another");
    tail.kill().unwrap();
    tail.wait().unwrap();
}
