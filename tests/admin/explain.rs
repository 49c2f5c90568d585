//! Explanations over the management API: who may ask about what, and what is told.

use keyward::admin::{NewSession, TokenUpdate};
use keyward::testing::{Answer, App, Key, SecretFormat, SeededEntropy, World};
use keyward::token::{ContentAccess, TokenKind};
use keyward::{Grant, GuardedRouter, HashKey, NewAdminToken, action, api};
use serde_json::{Value, json};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

struct Site {
    world: World,
    app: App,
    /// A token of an editor, and the editor's session.
    key: Key,
    editor: String,
    /// A session of a super admin, and of another person.
    root: String,
    other: String,
}

impl Site {
    async fn new() -> Self {
        let world = World::with(|builder| builder.store_is_exclusive().api("/admin"));
        let own = GuardedRouter::new().get("/admin/orders", action("orders.read"), || async { "[]" });
        let app = world.guard(own.merge(api::router(&world.keyward)));
        let key = world.editor().with("orders.read").issue().await;
        let session = NewSession { owner: key.owner(), idle: DAY, lifespan: DAY };
        let editor = world.keyward.tokens().open_session(session).await.unwrap().secret.expose().to_owned();
        let root = world.super_admin().sign_in().await.secret.expose().to_owned();
        let other = world.editor().sign_in().await.secret.expose().to_owned();
        Self { world, app, key, editor, root, other }
    }

    async fn ask(&self, who: &str, body: Value) -> Answer {
        self.app.post("/admin/explain").bearer(who).json(&body).await
    }

    async fn by_id(&self, who: &str, path: &str) -> Answer {
        self.ask(who, json!({"token": self.key.id.0, "method": "GET", "path": path})).await
    }

    async fn by_secret(&self, who: &str, secret: &str) -> Answer {
        self.ask(who, json!({"secret": secret, "method": "GET", "path": "/admin/orders"})).await
    }
}

#[tokio::test]
async fn owners_and_super_admins_learn_why() {
    let site = Site::new().await;
    for who in [&site.editor, &site.root] {
        let why = site.by_id(who, "/admin/orders").await.assert_ok().json()["data"].clone();
        assert_eq!((&why["outcome"], &why["status"]), (&json!("allowed"), &Value::Null), "{why:#}");
        assert_eq!(
            why["token"],
            json!({"id": site.key.id.0, "kind": "admin", "name": why["token"]["name"], "owner": site.key.owner().0})
        );
        let names: Vec<&str> =
            why["steps"].as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap()).collect();
        assert_eq!(
            names,
            [
                "path",
                "group",
                "credential",
                "freshness",
                "record",
                "kind",
                "expiry",
                "owner",
                "enabled",
                "requirement",
                "grant",
                "ceiling",
                "conditions"
            ]
        );
        let same = site.by_secret(who, site.key.secret.expose()).await;
        assert!(!String::from_utf8_lossy(&same.body).contains(site.key.secret.expose()));
        assert_eq!(same.assert_ok().json()["data"]["outcome"], "allowed");
        // The routes of the management API are known too, with their methods.
        let why = site.by_id(who, "/admin/users").await.assert_ok().json()["data"].clone();
        assert_eq!((&why["status"], &why["reason"]), (&json!(403), &json!("forbidden")));
        assert_eq!(why["summary"], "The request is rejected with 403: The token has no grant for admin::users.read.");
        let why = site.by_id(who, "/admin/no/such").await.assert_ok().json()["data"].clone();
        assert_eq!((&why["status"], &why["reason"]), (&json!(404), &json!("no_route")));
    }
    // A token asks about itself.
    let own = site.by_id(site.key.secret.expose(), "/admin/orders").await;
    assert_eq!(own.assert_ok().json()["data"]["outcome"], "allowed");
}

#[tokio::test]
async fn networks_are_judged_for_the_client_that_is_named() {
    let site = Site::new().await;
    let update = TokenUpdate { networks: Some(vec!["10.0.0.0/8".parse().unwrap()]), ..TokenUpdate::default() };
    site.world.keyward.tokens().update(site.key.id, update).await.unwrap();
    let ask = async |from: Option<&str>| {
        let mut body = json!({"token": site.key.id.0, "method": "GET", "path": "/admin/orders"});
        if let Some(from) = from {
            body["from"] = json!(from);
        }
        site.ask(&site.editor, body).await
    };
    for (from, outcome, reason) in [
        (Some("10.1.2.3"), json!("allowed"), Value::Null),
        (Some("::ffff:10.1.2.3"), json!("allowed"), Value::Null),
        (Some("192.0.2.7"), json!("denied"), json!("network_not_allowed")),
    ] {
        let why = ask(from).await.assert_ok().json()["data"].clone();
        assert_eq!((&why["outcome"], &why["reason"]), (&outcome, &reason), "{from:?}: {why:#}");
    }
    let unknown = ask(None).await.assert_ok().json()["data"].clone();
    let steps = unknown["steps"].as_array().unwrap();
    assert_eq!(steps.iter().find(|step| step["name"] == "network").unwrap()["outcome"], "unknown");
    let wrong = ask(Some("10.0.0.0/8")).await;
    assert_eq!(wrong.assert_status(400).json()["error"]["details"]["errors"][0]["path"], json!(["from"]));
}

#[tokio::test]
async fn others_learn_nothing() {
    let site = Site::new().await;
    let keyward = &site.world.keyward;
    let sibling = NewAdminToken::new("sibling", site.key.owner()).grants([Grant::new("orders.read")]);
    let sibling = keyward.tokens().issue_admin(sibling).await.unwrap().secret.expose().to_owned();
    let content = site.world.content(ContentAccess::FullAccess).await;
    let format = SecretFormat::new(&Default::default(), HashKey::parse(keyward::testing::HASH_KEY).unwrap());
    let unknown = format.issue(TokenKind::Admin, &SeededEntropy::new(4711)).unwrap().secret.expose().to_owned();
    let not_found = site.ask(&site.other, json!({"token": 999_999, "method": "GET", "path": "/"})).await;
    not_found.assert_status(404);
    for who in [&site.other, &sibling] {
        for answer in [
            site.by_id(who, "/admin/orders").await,
            site.by_secret(who, site.key.secret.expose()).await,
            site.by_secret(who, content.secret.expose()).await,
            site.by_secret(who, &unknown).await,
            site.by_secret(who, "made up").await,
            site.by_secret(who, &site.root).await,
            site.ask(who, json!({"token": content.id.0, "method": "GET", "path": "/"})).await,
        ] {
            assert_eq!((answer.status, &answer.body), (not_found.status, &not_found.body));
        }
    }
    // A super admin is told that it is unknown.
    for (secret, reason, step) in
        [(unknown.as_str(), "unknown_token", "record"), ("made up", "malformed_credential", "credential")]
    {
        let why = site.by_secret(&site.root, secret).await.assert_ok().json()["data"].clone();
        assert_eq!((&why["reason"], &why["status"]), (&json!(reason), &json!(401)));
        assert_eq!(why["steps"].as_array().unwrap().last().unwrap()["name"], step);
    }
    let why = site.by_secret(&site.root, content.secret.expose()).await.assert_ok().json()["data"].clone();
    assert_eq!((&why["reason"], &why["token"]), (&json!("wrong_kind"), &Value::Null));
    let answer = site.app.post("/admin/explain").json(&json!({"token": 1, "method": "GET", "path": "/"})).await;
    answer.assert_status(401);
}

#[tokio::test]
async fn invalid_questions_name_the_field() {
    let site = Site::new().await;
    let secret = site.key.secret.expose();
    for (body, path) in [
        (json!({"method": "GET", "path": "/"}), "token"),
        (json!({"token": 1, "secret": secret, "method": "GET", "path": "/"}), "secret"),
        (json!({"token": secret, "method": "GET", "path": "/"}), "token"),
        (json!({"secret": 7, "method": "GET", "path": "/"}), "secret"),
        (json!({"token": 1, "path": "/"}), "method"),
        (json!({"token": 1, "method": "get", "path": "/"}), "method"),
        (json!({"token": 1, "method": "", "path": "/"}), "method"),
        (json!({"token": 1, "method": "GET"}), "path"),
        (json!({"token": 1, "method": "GET", "path": "admin"}), "path"),
        (json!({"token": 1, "method": "GET", "path": "/", "body": 1}), "body"),
    ] {
        let answer = site.ask(&site.root, body.clone()).await;
        let error = answer.assert_status(400).json()["error"].clone();
        assert_eq!(error["details"]["errors"][0]["path"], json!([path]), "{body}: {error}");
        assert!(!String::from_utf8_lossy(&answer.body).contains(secret), "{error}");
    }
}
