//! The JSON of records is that of the management API.

use crate::tool::Tool;
use keyward::admin::NewSession;
use keyward::testing::{App, HASH_KEY};
use keyward::token::Secret;
use keyward::{HashKey, Keyward, OwnerId, SqliteStore, api};
use serde_json::{Value, json};
use std::time::Duration;

/// The management API on the database of the program, and a session of the super admin.
struct Api {
    app: App,
    session: Secret,
}

impl Api {
    async fn on(tool: &Tool) -> Self {
        let hash_key = HashKey::parse(HASH_KEY).unwrap();
        let store = SqliteStore::open(tool.file()).await.unwrap();
        let keyward = Keyward::builder(store).hash_key(hash_key).api("/admin").content("/api").build().unwrap();
        let session =
            NewSession { owner: OwnerId(1), idle: Duration::from_secs(600), lifespan: Duration::from_secs(600) };
        let session = keyward.tokens().open_session(session).await.unwrap().secret;
        let app = App::from_service(keyward.guard(api::router(&keyward)));
        Self { app, session }
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.app.get(path).bearer(&self.session).await;
        answer.assert_ok();
        answer.json()
    }
}

/// Returns a list in the order of its ids.
fn by_id(mut list: Value) -> Value {
    list.as_array_mut().unwrap().sort_by_key(|record| record["id"].as_i64());
    list
}

fn installation() -> Tool {
    let tool = Tool::new().with_service();
    let permissions = r#"[{"action":"explorer.read","subject":"api::article.article","properties":{"fields":["title","body"]},
        "conditions":["admin::is-creator"]},{"action":"explorer.create","subject":"api::article.article"}]"#;
    let role =
        tool.run_with(&["role", "create", "Writer", "--description", "Writes", "--permissions-file", "-"], permissions);
    assert_eq!(role.code, 0, "{}", role.stderr);
    let unknown =
        tool.run_with(&["role", "create", "R", "--permissions-file", "-"], r#"[{"action":"a","conditions":["no"]}]"#);
    assert!(unknown.failed(1).contains("--permissions-file: there is no condition no"));
    tool.done(&["owner", "create", "bob@example.test", "--firstname", "Bob", "--role", "Writer", "--role", "Deployer"]);
    tool.done(&["owner", "create", "cyd@example.test", "--invite"]);
    tool.done(&["owner", "suspend", "bob@example.test"]);
    tool.done(&["owner", "activate", "bob@example.test"]);
    let metadata = r#"{"team":"ci","tickets":[1,2]}"#;
    let allow = ["--allow", "explorer.read@api::article.article#title", "--allow", "deployments.create"];
    tool.done(
        &[&["token", "issue", "writer", "--owner", "bob@example.test", "--metadata", metadata], &allow[..]].concat(),
    );
    tool.done(&["token", "issue", "deploy", "--owner", "ci", "--allow", "deployments.read", "--lifespan", "unlimited"]);
    tool.done(&[
        "token",
        "issue",
        "shop",
        "--content",
        "custom",
        "--allow",
        "orders.read",
        "--description",
        "Of the shop",
    ]);
    tool.done(&["token", "issue", "site", "--content", "read-only", "--lifespan", "7d"]);
    tool
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_have_the_members_of_the_management_api() {
    let tool = installation();
    let api = Api::on(&tool).await;
    let tokens = tool.json(&["token", "list"]);
    let (admin, content) = (api.get("/admin/admin-tokens").await, api.get("/admin/api-tokens").await);
    let both = [admin["data"].as_array().unwrap().clone(), content["data"].as_array().unwrap().clone()].concat();
    assert_eq!(by_id(tokens), by_id(both.into()));
    let writer = tool.json(&["token", "show", "writer"]);
    assert_eq!(writer, api.get(&format!("/admin/admin-tokens/{}", writer["id"])).await["data"]);
    let shop = tool.json(&["token", "show", "shop"]);
    assert_eq!(shop, api.get(&format!("/admin/api-tokens/{}", shop["id"])).await["data"]);
    assert_eq!(shop["permissions"], json!(["orders.read"]));

    let users = api.get("/admin/users?pageSize=100").await;
    assert_eq!(tool.json(&["owner", "list"]), by_id(users["data"]["results"].clone()));
    let bob = tool.json(&["owner", "show", "BOB@example.test"]);
    assert_eq!(bob, api.get(&format!("/admin/users/{}", bob["id"])).await["data"]);

    assert_eq!(tool.json(&["role", "list"]), by_id(api.get("/admin/roles").await["data"].clone()));
    let role = tool.json(&["role", "show", "Writer"]);
    let permissions = api.get(&format!("/admin/roles/{}/permissions", role["id"])).await;
    assert_eq!(role["permissions"], permissions["data"]);

    let exported = tool.done(&["audit", "export"]);
    let exported: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(exported.len() > 12);
    assert_eq!(Value::from(exported), api.get("/admin/audit-logs?pageSize=100").await["results"]);
}

#[test]
fn secrets_are_alone_on_standard_output_for_scripts() {
    let tool = Tool::new().with_service();
    let issue = |name: &'static str| ["token", "issue", name, "--owner", "ci", "--allow", "deployments.read"];
    let quiet = tool.run(&[&issue("one")[..], &["--quiet"]].concat());
    assert_eq!((quiet.stderr.as_str(), quiet.stdout.lines().count()), ("", 1));
    assert!(quiet.stdout.starts_with("kw_admin_"));
    let made = tool.json(&issue("two"));
    assert!(made["accessKey"].as_str().unwrap().starts_with("kw_admin_"));
    assert_eq!((&made["name"], &made["adminUserOwner"]["firstname"]), (&json!("two"), &json!("ci")));
    let rotated = tool.json(&["token", "rotate", "two"]);
    assert_ne!(made["accessKey"], rotated["accessKey"]);
    // The first super admin's session had the first id.
    assert_eq!(tool.done(&["token", "list", "--quiet"]), "2\n3");
    assert_eq!(tool.done(&["role", "list", "--quiet"]), "1\n2");
    let invited = tool.json(&["owner", "create", "bob@example.test", "--invite"]);
    assert!(invited["registrationToken"].as_str().unwrap().starts_with("kw_invite_"));
    let again = tool.done(&["owner", "invite", "bob@example.test", "--quiet"]);
    assert!(again.starts_with("kw_invite_") && invited["registrationToken"] != again);
    assert_eq!(
        tool.done(&["owner", "suspend", "bob@example.test"]),
        "withdrew the invitation of owner 3 (bob@example.test)"
    );
    assert!(
        tool.fails(1, &["owner", "activate", "bob@example.test"]).contains("OWNER: they become active by accepting")
    );
    assert!(tool.fails(1, &["owner", "invite", "ada@example.test"]).contains("they have registered"));
}

#[test]
fn records_are_named_by_id_or_name() {
    let tool = Tool::new().with_service();
    tool.done(&["token", "issue", "deploy", "--owner", "2", "--allow", "deployments.read"]);
    assert_eq!(tool.json(&["token", "show", "2"]), tool.json(&["token", "show", "deploy"]));
    assert_eq!(tool.json(&["owner", "show", "2"]), tool.json(&["owner", "show", "ci"]));
    assert_eq!(tool.json(&["owner", "show", "1"]), tool.json(&["owner", "show", "Ada@EXAMPLE.test"]));
    assert_eq!(tool.json(&["role", "show", "2"]), tool.json(&["role", "show", "deployer"]));
    assert_eq!(tool.json(&["role", "show", "1"]), tool.json(&["role", "show", "strapi-super-admin"]));
}

#[test]
fn lists_are_filtered_and_limited() {
    let tool = Tool::new().with_service();
    for name in ["one", "two", "three"] {
        tool.done(&["token", "issue", name, "--owner", "ci", "--allow", "deployments.read"]);
    }
    tool.done(&["token", "issue", "site", "--content", "read-only"]);
    let names = |arguments: &[&str]| -> Vec<String> {
        let listed = tool.json(&[&["token", "list"], arguments].concat());
        listed.as_array().unwrap().iter().map(|token| token["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&[]), ["one", "two", "three", "site"]);
    assert_eq!(names(&["--kind", "content"]), ["site"]);
    assert_eq!(names(&["--owner", "ci", "--search", "o"]), ["one", "two"]);
    assert_eq!(names(&["--owner", "ada@example.test"]), [""; 0]);
    let limited = tool.run(&["token", "list", "--limit", "2"]);
    assert!(limited.stderr.contains("2 of 4 tokens are listed"), "{}", limited.stderr);
}

#[test]
fn previews_change_nothing() {
    let tool = Tool::new().with_service();
    tool.done(&[
        "token",
        "issue",
        "deploy",
        "--owner",
        "ci",
        "--allow",
        "deployments.read",
        "--allow",
        "deployments.create",
    ]);
    let before = tool.json(&["token", "show", "deploy"]);
    let smaller = ["role", "set-permissions", "Deployer", "--allow", "deployments.read"];
    let lost = json!({"tokens": 1, "grants": 1});
    assert_eq!(tool.json(&[&smaller[..], &["--dry-run"]].concat()), lost);
    assert_eq!(tool.json(&["owner", "set-roles", "ci", "--none", "--dry-run"])["grants"], 2);
    assert_eq!(tool.json(&["token", "show", "deploy"]), before);
    tool.done(&smaller);
    assert_eq!(tool.json(&["token", "show", "deploy"])["adminPermissions"].as_array().unwrap().len(), 1);
    tool.done(&["owner", "set-roles", "ci", "--none"]);
    assert_eq!(tool.json(&["token", "show", "deploy"])["adminPermissions"], json!([]));
    tool.done(&["role", "delete", "Deployer"]);
    tool.done(&["owner", "delete", "ci"]);
    tool.fails(3, &["token", "show", "deploy"]);
}
