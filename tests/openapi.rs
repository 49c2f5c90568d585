//! The OpenAPI document says what the management API answers: each route, driven once well and once badly.

#![cfg(feature = "full")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use keyward::{ActionEntry, Catalogue, EncryptionKeys, Gated, Keyward, MemoryStore, Salt, SubjectEntry, api};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tower::ServiceExt;

struct Client {
    service: Gated<axum::Router>,
    document: Value,
    session: String,
    /// What was answered: method, path of the document, status.
    seen: BTreeSet<(String, String, u16)>,
}

impl Client {
    async fn new() -> Self {
        let catalogue = Catalogue::default()
            .action(ActionEntry::on_subjects("read", "Read", ["article"]).with_fields())
            .action(ActionEntry::plugin("plugin::upload.read", "upload", "Read"))
            .subject(SubjectEntry::collection("article", "Article").fields(["title"]))
            .content_action("article.find");
        let salt = Salt::parse(keyward::testing::SALT).unwrap();
        let keys = EncryptionKeys::parse("Zp0Qx81vHn7RsYw2Lm5Kc9Tj3Ga6Fd4b").unwrap();
        let keyward = Keyward::builder(MemoryStore::default()).salt(salt).catalogue(catalogue).encryption(keys);
        let keyward = keyward.api().trust_the_first_visitor().build().unwrap();
        let service = keyward.guard(api::router(&keyward));
        let mut client = Self { service, document: Value::Null, session: String::new(), seen: BTreeSet::new() };
        client.document = client.raw("GET", "/admin/openapi.json", None).await.1;
        client
    }

    async fn raw(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = Request::builder().method(method).uri(path);
        if !self.session.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.session));
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = request.header("content-type", "application/json").body(body).unwrap();
        let response = self.service.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap())
    }

    /// Sends a request, and judges what comes back by what the document says of this route and status.
    async fn ask(&mut self, method: &str, path: &str, body: Option<Value>, status: u16) -> Value {
        let (got, answer) = self.raw(method, path, body).await;
        assert_eq!(got, status, "{method} {path}: {answer}");
        let bare = path.split('?').next().unwrap();
        let template = self.template(bare);
        let operation = &self.document["paths"][&template][method.to_lowercase()];
        let response = &operation["responses"][status.to_string()];
        assert!(response.is_object(), "{method} {template} says nothing of {status}");
        let schema = &response["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{method} {template} {status} has no schema: {response}");
        let whole = json!({"allOf": [schema], "components": self.document["components"]});
        let validator = jsonschema::validator_for(&whole).unwrap();
        let wrong: Vec<String> =
            validator.iter_errors(&answer).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(wrong.is_empty(), "{method} {path} {status}: {wrong:#?}\n{answer}");
        self.only_described(&format!("{method} {path} {status}"), schema, &answer);
        self.seen.insert((method.to_lowercase(), template, status));
        answer
    }

    /// Fails for members that the document does not mention.
    fn only_described(&self, of: &str, schema: &Value, value: &Value) {
        let schema = match schema["$ref"].as_str() {
            Some(path) => self.document.pointer(path.trim_start_matches('#')).unwrap(),
            None => schema,
        };
        for part in ["oneOf", "anyOf"] {
            if let Some(some) = schema[part].as_array() {
                let fitting = some.iter().find(|s| !value.is_null() && s["type"] != "null");
                return fitting.into_iter().for_each(|s| self.only_described(of, s, value));
            }
        }
        match value {
            Value::Array(items) if schema["items"].is_object() => {
                items.iter().for_each(|item| self.only_described(of, &schema["items"], item));
            }
            Value::Object(members) if schema["properties"].is_object() => {
                for (name, member) in members {
                    let described = &schema["properties"][name];
                    assert!(!described.is_null(), "{of}: {name} is not in the document");
                    self.only_described(of, described, member);
                }
            }
            _ => {}
        }
    }

    fn template(&self, path: &str) -> String {
        let fits = |template: &&String| {
            let (a, b): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
            a.len() == b.len()
                && a.iter().zip(&b).all(|(t, p)| t == p || (t.starts_with('{') && p.parse::<u64>().is_ok()))
        };
        self.document["paths"].as_object().unwrap().keys().find(fits).unwrap_or_else(|| panic!("{path}")).clone()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_it_answers_is_what_the_document_says() {
    let mut c = Client::new().await;
    assert!(text(&c.document["openapi"]).starts_with("3.1"));
    c.ask("GET", "/admin/openapi.json", None, 200).await;
    c.ask("GET", "/admin/users/me", None, 401).await;
    let first = json!({"email": "a@example.test", "firstname": "A", "password": "Passw0rd!"});
    let signed_in = c.ask("POST", "/admin/register-admin", Some(first.clone()), 200).await;
    c.ask("POST", "/admin/register-admin", Some(first), 400).await;
    let login = json!({"email": "a@example.test", "password": "Passw0rd!"});
    c.ask("POST", "/admin/login", Some(login), 200).await;
    c.ask("POST", "/admin/login", Some(json!({"email": "a@example.test", "password": "no"})), 400).await;
    c.session = text(&signed_in["data"]["token"]);

    let grant = json!({"action": "read", "subject": "article", "properties": {"fields": ["title"]}});
    let role =
        c.ask("POST", "/admin/roles", Some(json!({"name": "r", "description": "d"})), 201).await["data"]["id"].clone();
    c.ask("POST", "/admin/roles", Some(json!({})), 400).await;
    c.ask("GET", "/admin/roles", None, 200).await;
    let of_role = format!("/admin/roles/{role}");
    c.ask("GET", &of_role, None, 200).await;
    c.ask("GET", "/admin/roles/999", None, 404).await;
    c.ask("PUT", &of_role, Some(json!({"description": "e"})), 200).await;
    c.ask("PUT", &format!("{of_role}/permissions"), Some(json!({"permissions": [grant]})), 200).await;
    c.ask("PUT", &format!("{of_role}/permissions"), Some(json!({"permissions": [{"action": "no"}]})), 400).await;
    c.ask("GET", &format!("{of_role}/permissions"), None, 200).await;
    c.ask("GET", "/admin/permissions", None, 200).await;

    let new = json!({"email": "b@example.test", "firstname": "B", "roles": [role]});
    let invited = c.ask("POST", "/admin/users", Some(new.clone()), 201).await;
    c.ask("POST", "/admin/users", Some(new), 400).await;
    let of_user = format!("/admin/users/{}", invited["data"]["id"]);
    let invited = c.ask("POST", &format!("{of_user}/invitation"), None, 201).await;
    let accept = json!({"registrationToken": invited["data"]["registrationToken"],
        "userInfo": {"firstname": "B", "lastname": "C", "password": "Passw0rd!"}});
    c.ask("POST", "/admin/register", Some(accept.clone()), 200).await;
    c.ask("POST", "/admin/register", Some(accept), 400).await;
    c.ask("GET", "/admin/users?pageSize=1", None, 200).await;
    c.ask("GET", "/admin/users?page=x", None, 400).await;
    c.ask("GET", &of_user, None, 200).await;
    c.ask("PUT", &of_user, Some(json!({"blocked": true})), 200).await;
    c.ask("DELETE", &of_user, None, 200).await;
    c.ask("DELETE", &of_user, None, 404).await;
    c.ask("DELETE", &of_role, None, 200).await;

    let new = json!({"name": "t", "lifespan": 604_800_000, "adminPermissions": [grant]});
    let token = c.ask("POST", "/admin/admin-tokens", Some(new.clone()), 201).await;
    c.ask("POST", "/admin/admin-tokens", Some(new), 400).await;
    let of_token = format!("/admin/admin-tokens/{}", token["data"]["id"]);
    c.ask("GET", "/admin/admin-tokens", None, 200).await;
    let read = c.ask("GET", &of_token, None, 200).await;
    assert_eq!(read["data"]["accessKey"], token["data"]["accessKey"]);
    c.ask("PUT", &of_token, Some(read["data"].clone()), 200).await;
    c.ask("GET", &format!("{of_token}/owner-permissions"), None, 200).await;
    c.ask("GET", &format!("{of_token}/audit-logs"), None, 200).await;
    c.ask("POST", &format!("{of_token}/regenerate"), None, 201).await;
    let key = text(&c.raw("GET", &of_token, None).await.1["data"]["accessKey"]);
    let own = std::mem::replace(&mut c.session, key);
    c.ask("GET", "/admin/users/me", None, 200).await;
    c.ask("GET", "/admin/users/me/permissions", None, 200).await;
    c.ask("PUT", "/admin/users/me", Some(json!({"firstname": "X"})), 403).await;
    c.ask("GET", "/admin/roles", None, 403).await;
    c.session = own;
    c.ask("DELETE", &of_token, None, 200).await;
    c.ask("GET", &of_token, None, 404).await;

    let new = json!({"name": "c", "type": "custom", "permissions": ["article.find"], "lifespan": null});
    let token = c.ask("POST", "/admin/api-tokens", Some(new), 201).await;
    c.ask("POST", "/admin/api-tokens", Some(json!({"name": "d", "type": "custom"})), 400).await;
    let of_token = format!("/admin/api-tokens/{}", token["data"]["id"]);
    c.ask("GET", "/admin/api-tokens", None, 200).await;
    c.ask("GET", &of_token, None, 200).await;
    c.ask("PUT", &of_token, Some(json!({"type": "read-only"})), 200).await;
    c.ask("POST", &format!("{of_token}/regenerate"), None, 201).await;
    c.ask("DELETE", &of_token, None, 200).await;
    c.ask("DELETE", &of_token, None, 404).await;

    c.ask("GET", "/admin/audit-logs?pageSize=50", None, 200).await;
    c.ask("GET", "/admin/audit-logs?action=nope", None, 400).await;
    c.ask("PUT", "/admin/users/me", Some(json!({"firstname": "Ada"})), 200).await;
    let sessions = c.ask("GET", "/admin/users/me/sessions", None, 200).await;
    let other = sessions["data"].as_array().unwrap().iter().find(|s| s["current"] != json!(true)).unwrap();
    c.ask("DELETE", &format!("/admin/users/me/sessions/{}", other["id"]), None, 200).await;
    c.ask("POST", "/admin/logout", None, 200).await;

    // Every operation of the document was driven to a success, and all but the public ones ask for a bearer.
    for (path, item) in c.document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let done = c.seen.iter().any(|(m, p, status)| m == method && p == path && *status < 300);
            assert!(done, "{method} {path} was not tried");
            let public = ["login", "register", "register-admin", "openapi.json"]
                .iter()
                .any(|p| path.ends_with(&format!("/{p}")));
            assert_eq!(operation["security"].is_null(), !public, "{method} {path}");
        }
    }
    assert_eq!(c.document["security"], json!([{"bearer": []}]));
}
