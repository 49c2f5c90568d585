//! Metadata of tokens: over the management API, in the audit log, in lists and in handlers.

use axum::body::Body;
use http::{Method, Request, StatusCode};
use keyward::admin::{NewSession, TokenUpdate};
use keyward::store::{EventQuery, Paging};
use keyward::testing::World;
use keyward::{Auth, GuardedRouter, NewAdminToken, NewOwner, RoleId, api, authenticated};
use serde_json::{Value, json};
use std::time::Duration;
use tower::ServiceExt;

struct Site {
    world: World,
    session: String,
    service: axum::Router,
}

impl Site {
    async fn new() -> Self {
        let world = World::with(|builder| builder.api("/admin"));
        let ada = NewOwner::new("ada@example.test").named("Ada", "Lovelace").roles([RoleId::SUPER_ADMIN]);
        let owner = world.keyward.owners().create(ada).await.unwrap().id;
        let new = NewSession { owner, idle: Duration::from_secs(3600), lifespan: Duration::from_secs(3600) };
        let session = world.keyward.tokens().open_session(new).await.unwrap().secret.expose().to_owned();
        let show = |auth: Auth| async move { auth.metadata().map_or("none".to_owned(), ToString::to_string) };
        let routes = GuardedRouter::new().get("/admin/metadata", authenticated(), show);
        let service = world.keyward.guard(routes.merge(api::router(&world.keyward)));
        Self { world, session, service: axum::Router::new().fallback_service(service) }
    }

    async fn send(&self, secret: &str, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Vec<u8>) {
        let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {secret}"));
        let request = request.header("content-type", "application/json");
        let request = request.body(body.map_or(Body::empty(), |body| Body::from(body.to_string()))).unwrap();
        let response = self.service.clone().oneshot(request).await.unwrap();
        let status = response.status();
        (status, axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap().into())
    }

    async fn json(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let (status, bytes) = self.send(&self.session, method, path, body).await;
        (status, serde_json::from_slice(&bytes).unwrap())
    }

    async fn shown(&self, secret: &str) -> String {
        let (status, text) = self.send(secret, Method::GET, "/admin/metadata", None).await;
        assert_eq!(status, 200);
        String::from_utf8(text).unwrap()
    }
}

const KINDS: [(&str, &str); 2] = [("/admin/admin-tokens", "admin"), ("/admin/api-tokens", "content-api")];

fn new(kind: &str, name: &str) -> Value {
    if kind == "admin" { json!({"name": name}) } else { json!({"name": name, "type": "read-only"}) }
}

fn with(mut body: Value, metadata: Value) -> Value {
    body["metadata"] = metadata;
    body
}

#[tokio::test]
async fn metadata_is_set_kept_replaced_and_removed_over_the_api() {
    let site = Site::new().await;
    for (list, kind) in KINDS {
        let first = json!({"team": "ci", "n": 1.5, "list": [null, {"a": true}]});
        let (status, made) = site.json(Method::POST, list, Some(with(new(kind, kind), first.clone()))).await;
        assert_eq!((status.as_u16(), &made["data"]["metadata"]), (201, &first), "{made}");
        let path = format!("{list}/{}", made["data"]["id"]);
        let second = json!({"team": "shop"});
        for (update, expected) in [
            (json!({"description": "kept"}), &first),
            (json!({"metadata": second}), &second),
            (json!({"metadata": {}}), &json!({})),
            (json!({"metadata": null}), &Value::Null),
        ] {
            let (status, answer) = site.json(Method::PUT, &path, Some(update.clone())).await;
            assert_eq!((status.as_u16(), &answer["data"]["metadata"]), (200, expected), "{update}: {answer}");
            let read = site.json(Method::GET, &path, None).await.1["data"].clone();
            assert_eq!(&read["metadata"], expected, "{update}");
            let listed = site.json(Method::GET, list, None).await.1;
            assert!(listed.to_string().contains(&format!(r#""metadata":{expected}"#)), "{listed}");
            // An object that is sent back as it was read changes nothing.
            let (status, same) = site.json(Method::PUT, &path, Some(read.clone())).await;
            assert_eq!((status.as_u16(), &same["data"]["updatedAt"]), (200, &read["updatedAt"]), "{same}");
        }
        for metadata in [None, Some(Value::Null)] {
            let name = format!("{kind} {metadata:?}");
            let body = metadata.map_or(new(kind, &name), |metadata| with(new(kind, &name), metadata));
            let (status, made) = site.json(Method::POST, list, Some(body)).await;
            assert_eq!((status.as_u16(), &made["data"]["metadata"]), (201, &Value::Null), "{made}");
        }
    }
}

#[tokio::test]
async fn invalid_metadata_is_a_400_that_names_the_field() {
    let site = Site::new().await;
    for (list, kind) in KINDS {
        let made = site.json(Method::POST, list, Some(new(kind, kind))).await.1;
        let path = format!("{list}/{}", made["data"]["id"]);
        for (metadata, message) in [
            (json!([]), "must be an object"),
            (json!("{}"), "must be an object"),
            (json!({"a": "x".repeat(2041)}), "must have at most 2048 bytes"),
            (json!({"a": "\u{202e}"}), "must not contain control, invisible"),
        ] {
            let create = site.json(Method::POST, list, Some(with(new(kind, "other"), metadata.clone()))).await;
            let update = site.json(Method::PUT, &path, Some(json!({"metadata": metadata}))).await;
            for (status, answer) in [create, update] {
                let errors = answer["error"]["details"]["errors"].as_array().unwrap();
                assert_eq!((status.as_u16(), errors.len()), (400, 1), "{answer}");
                assert_eq!(errors[0]["path"], json!(["metadata"]), "{answer}");
                assert!(errors[0]["message"].as_str().unwrap().contains(message), "{answer}");
            }
        }
        assert_eq!(site.json(Method::GET, list, None).await.1["data"].as_array().map(Vec::len), Some(1));
    }
}

#[tokio::test]
async fn lists_are_filtered_by_a_text_of_the_metadata() {
    let site = Site::new().await;
    for (list, kind) in KINDS {
        for (name, metadata) in [
            ("ci", json!({"team": "ci", "a][b": "x y"})),
            ("shop", json!({"team": "shop", "n": 1})),
            ("none", Value::Null),
        ] {
            let body = with(new(kind, &format!("{name} {kind}")), metadata);
            assert_eq!(site.json(Method::POST, list, Some(body)).await.0, 201);
        }
        for (query, names) in [
            ("filters[metadata][team][$eq]=ci", vec!["ci"]),
            ("filters[$and][0][metadata][team][$eq]=shop", vec!["shop"]),
            ("filters[metadata][a][b][$eq]=x%20y", vec!["ci"]),
            ("filters[metadata][n][$eq]=1", vec![]),
            ("filters[metadata][team][$eq]=ci&filters[name][$contains]=shop", vec![]),
            ("filters[metadata][team][$eq]=ci&filters[name][$contains]=ci", vec!["ci"]),
        ] {
            let (status, answer) = site.json(Method::GET, &format!("{list}?{query}"), None).await;
            let found = answer["data"].as_array().unwrap().iter().map(|token| token["name"].as_str().unwrap());
            let expected: Vec<String> = names.iter().map(|name| format!("{name} {kind}")).collect();
            assert_eq!(
                (status.as_u16(), found.collect::<Vec<_>>()),
                (200, expected.iter().map(String::as_str).collect())
            );
            assert_eq!(answer["meta"]["pagination"]["total"], names.len(), "{query}: {answer}");
        }
        let long = format!("filters[metadata][team][$eq]={}", "x".repeat(256));
        for query in [
            "filters[metadata][$eq]=ci",
            "filters[metadata]=ci",
            "filters[metadata][team][$contains]=ci",
            "filters[metadata][team][$eq]=ci&filters[metadata][n][$eq]=1",
            &long,
        ] {
            let (status, answer) = site.json(Method::GET, &format!("{list}?{query}"), None).await;
            let errors = answer["error"]["details"]["errors"].as_array().unwrap();
            assert_eq!((status.as_u16(), errors.len()), (400, 1), "{query}: {answer}");
            assert!(errors[0]["path"][0].as_str().unwrap().starts_with("filters[metadata]"), "{query}: {answer}");
        }
    }
}

#[tokio::test]
async fn changes_of_metadata_are_audited_change_the_version_and_are_refused_if_late() {
    let site = Site::new().await;
    let (keyward, ci) = (&site.world.keyward, json!({"team": "ci"}));
    let owner = keyward.owners().create(NewOwner::new("bob@example.test")).await.unwrap().id;
    let issued = keyward.tokens().issue_admin(NewAdminToken::new("deploy", owner).metadata(ci.clone())).await.unwrap();
    let to = |metadata: Value| TokenUpdate { metadata: Some(metadata), ..TokenUpdate::default() };
    let shop = keyward.tokens().update(issued.token.id, to(json!({"team": "shop"}))).await.unwrap().token;
    assert_ne!(issued.token.version(), shop.version());
    keyward.tokens().if_version(issued.token.version()).update(issued.token.id, to(Value::Null)).await.unwrap_err();
    keyward.tokens().update(issued.token.id, to(json!({"team": "shop"}))).await.unwrap();
    let none = keyward.tokens().update(issued.token.id, to(Value::Null)).await.unwrap().token;
    assert!(none.metadata.is_none());
    let page = keyward.audit().list(&EventQuery::all(Paging::FIRST)).await.unwrap();
    let details: Vec<_> = page.items.iter().rev().map(|(_, event)| &event.details["metadata"]).collect();
    let details: Vec<_> = details.into_iter().filter(|metadata| !metadata.is_null()).collect();
    let changed = |before: Value, after: Value| json!({"before": before, "after": after});
    let shop = json!({"team": "shop"});
    // A change to the same metadata is none.
    assert_eq!(details, [&ci, &changed(ci.clone(), shop.clone()), &changed(shop, Value::Null)]);
}

#[tokio::test]
async fn handlers_read_the_present_metadata_of_the_token() {
    let site = Site::new().await;
    let tokens = site.world.keyward.tokens();
    let owner = site.world.keyward.owners().create(NewOwner::new("bob@example.test")).await.unwrap().id;
    let new = NewAdminToken::new("deploy", owner).metadata(json!({"team": "ci"}));
    let issued = tokens.issue_admin(new).await.unwrap();
    let secret = issued.secret.expose();
    assert_eq!(site.shown(secret).await, r#"{"team":"ci"}"#);
    let update = TokenUpdate { metadata: Some(json!({"team": "shop"})), ..TokenUpdate::default() };
    tokens.update(issued.token.id, update).await.unwrap();
    assert_eq!(site.shown(secret).await, r#"{"team":"shop"}"#, "the cached copy is stale");
    let renewed = tokens.regenerate(issued.token.id).await.unwrap();
    assert_eq!(site.shown(renewed.secret.expose()).await, r#"{"team":"shop"}"#, "a new secret keeps the metadata");
    assert_eq!(site.shown(&site.session).await, "none");
}
