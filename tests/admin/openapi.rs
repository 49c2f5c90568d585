//! The OpenAPI description of the management API against its responses.

use http::header::{AUTHORIZATION, HOST};
use keyward::authz::{ActionEntry, Catalogue, IS_CREATOR, ResourceEntry};
use keyward::testing::App;
use keyward::token::EncryptionKeys;
use keyward::{HashKey, Keyward, MemoryStore, api};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The callers of a route.
#[derive(Clone, Copy, PartialEq)]
enum For {
    Anyone,
    SignedIn,
    Holders,
}
use For::{Anyone, Holders, SignedIn};

/// Every route of `src/api/mod.rs`.
const ROUTES: [(&str, &str, For); 56] = [
    ("post", "/admin/login", Anyone),
    ("post", "/admin/register", Anyone),
    ("post", "/admin/register-admin", Anyone),
    ("get", "/admin/openapi.json", Anyone),
    ("post", "/admin/logout", SignedIn),
    ("get", "/admin/users/me", SignedIn),
    ("put", "/admin/users/me", SignedIn),
    ("get", "/admin/users/me/permissions", SignedIn),
    ("get", "/admin/users/me/sessions", SignedIn),
    ("delete", "/admin/users/me/sessions", SignedIn),
    ("delete", "/admin/users/me/sessions/{id}", SignedIn),
    ("get", "/admin/users", Holders),
    ("post", "/admin/users", Holders),
    ("get", "/admin/users/{id}", Holders),
    ("put", "/admin/users/{id}", Holders),
    ("delete", "/admin/users/{id}", Holders),
    ("post", "/admin/users/{id}/invitation", Holders),
    ("get", "/admin/roles", Holders),
    ("post", "/admin/roles", Holders),
    ("get", "/admin/roles/{id}", Holders),
    ("put", "/admin/roles/{id}", Holders),
    ("delete", "/admin/roles/{id}", Holders),
    ("get", "/admin/roles/{id}/permissions", Holders),
    ("put", "/admin/roles/{id}/permissions", Holders),
    ("get", "/admin/permissions", Holders),
    ("get", "/admin/admin-tokens", Holders),
    ("post", "/admin/admin-tokens", Holders),
    ("get", "/admin/admin-tokens/self", SignedIn),
    ("post", "/admin/admin-tokens/self/regenerate", SignedIn),
    ("post", "/admin/admin-tokens/self/end-grace", SignedIn),
    ("get", "/admin/admin-tokens/self/children", SignedIn),
    ("post", "/admin/admin-tokens/self/children", SignedIn),
    ("get", "/admin/admin-tokens/violations", Holders),
    ("get", "/admin/admin-tokens/{id}", Holders),
    ("put", "/admin/admin-tokens/{id}", Holders),
    ("delete", "/admin/admin-tokens/{id}", Holders),
    ("post", "/admin/admin-tokens/{id}/regenerate", Holders),
    ("post", "/admin/admin-tokens/{id}/end-grace", Holders),
    ("get", "/admin/admin-tokens/{id}/owner-permissions", Holders),
    ("get", "/admin/admin-tokens/{id}/audit-logs", Holders),
    ("get", "/admin/api-tokens", Holders),
    ("post", "/admin/api-tokens", Holders),
    ("get", "/admin/api-tokens/{id}", Holders),
    ("put", "/admin/api-tokens/{id}", Holders),
    ("delete", "/admin/api-tokens/{id}", Holders),
    ("post", "/admin/api-tokens/{id}/regenerate", Holders),
    ("post", "/admin/api-tokens/{id}/end-grace", Holders),
    ("post", "/admin/tokens/find", SignedIn),
    ("post", "/admin/tokens/revoke-all", Holders),
    ("get", "/admin/audit-logs", Holders),
    ("get", "/admin/audit-logs/{id}", Holders),
    ("get", "/admin/audit-logs/export", Holders),
    ("post", "/admin/explain", SignedIn),
    ("post", "/admin/introspect", Holders),
    ("get", "/admin/whoami", SignedIn),
    ("post", "/admin/revoke", Anyone),
];

const PASSWORD: &str = "Correct-Horse-7";

fn app() -> App {
    let catalogue = Catalogue::default()
        .action(ActionEntry::settings("plain", "Things", "Plain"))
        .action(ActionEntry::on_resources("read", "Read", ["article"]).with_fields())
        .resource(ResourceEntry::collection("article", "Article").fields(["title", "body"]))
        .content_action("article.find");
    let keyward = Keyward::builder(MemoryStore::default())
        .hash_key(HashKey::generate().unwrap().0)
        .catalogue(catalogue)
        .encryption(EncryptionKeys::parse("2025:4bX0qPz81hVnR7sYw2Lm5Kc9Tj3Ga6Fd").unwrap())
        .api("/admin")
        .allow_open_setup()
        .build()
        .unwrap();
    App::from_service(keyward.guard(api::router(&keyward)))
}

/// The API; every response is compared with its description.
struct Described {
    app: App,
    document: Value,
    answered: BTreeSet<(String, String, u16)>,
}

/// The caller.
type Token<'a> = Option<&'a str>;

impl Described {
    async fn new() -> Self {
        let app = app();
        let document = app.get("/admin/openapi.json").await.assert_status(200).json();
        Self { app, document, answered: BTreeSet::new() }
    }

    /// Sends a request, asserts its status, and checks the response against the description.
    async fn call(&mut self, route: (&str, &str), id: &Value, who: Token<'_>, body: Value, status: u16) -> Value {
        let (method, path) = route;
        let method_sent = method.to_uppercase().parse().unwrap();
        let mut request = self.app.request(method_sent, &path.replace("{id}", &id.to_string()));
        // Open setup needs a loopback host name.
        request = request.header(HOST, "localhost");
        if let Some(token) = who {
            request = request.header(AUTHORIZATION, &format!("Bearer {token}"));
        }
        if let Some(token) = body["form"].as_str() {
            request = request.form(&[("token", token)]);
        } else if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.await;
        answer.assert_status(status);
        assert_eq!(answer.headers["content-type"], "application/json", "{answer:?}");
        let json = answer.json();
        self.check(route, status, &json);
        self.answered.insert((method.to_owned(), path.to_owned(), status));
        json
    }

    /// Exports the audit log, which is not JSON.
    async fn export(&mut self, token: &str) {
        let path = "/admin/audit-logs/export";
        let answer = self.app.get(path).header(AUTHORIZATION, &format!("Bearer {token}")).await;
        answer.assert_status(200);
        let described = &self.document["paths"][path]["get"]["responses"]["200"]["content"];
        assert!(described.get("text/csv").is_some(), "{described}");
        assert!(answer.headers["content-type"].to_str().unwrap().starts_with("text/csv"));
        self.answered.insert(("get".to_owned(), path.to_owned(), 200));
    }

    fn check(&self, (method, path): (&str, &str), status: u16, answer: &Value) {
        let described = &self.document["paths"][path][method]["responses"][status.to_string()];
        let mut schema = described["content"]["application/json"]["schema"].clone();
        assert!(schema.is_object(), "{method} {path} describes no {status}");
        let mut components = self.document["components"].clone();
        close(&mut schema);
        close(&mut components);
        schema["components"] = components;
        let validator = jsonschema::validator_for(&schema).unwrap();
        let wrong: Vec<String> = validator.iter_errors(answer).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(wrong.is_empty(), "{method} {path} {status}: {wrong:#?}\n{answer:#}");
    }
}

/// Forbids members that are not described.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.values_mut().for_each(close);
            if members.get("properties").is_some_and(Value::is_object) && members.contains_key("type") {
                members.insert("additionalProperties".to_owned(), json!(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

#[tokio::test]
async fn description_lists_exactly_the_routes() {
    let Described { document, .. } = Described::new().await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    let described: BTreeSet<(&str, &str)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |method| (method.as_str(), path.as_str())))
        .collect();
    let routes: BTreeSet<(&str, &str)> = ROUTES.iter().map(|(method, path, _)| (*method, *path)).collect();
    assert_eq!(described, routes);
    for (method, path, who) in ROUTES {
        let security = document["paths"][path][method].get("security").unwrap_or(&document["security"]);
        let expected = if who == Anyone { json!([{}]) } else { json!([{"bearer": []}]) };
        assert_eq!(*security, expected, "{method} {path}");
    }
}

#[tokio::test]
async fn operation_ids_are_unique_and_responses_are_described() {
    let Described { document, .. } = Described::new().await;
    let mut names = BTreeSet::new();
    for (method, path, _) in ROUTES {
        let operation = &document["paths"][path][method];
        let name = operation["operationId"].as_str().unwrap();
        assert!(name.bytes().all(|b| b.is_ascii_alphanumeric()) && name.starts_with(method), "{name}");
        assert!(names.insert(name), "{name} is used twice");
        for (status, answer) in operation["responses"].as_object().unwrap() {
            assert!(answer["description"].as_str().is_some_and(|text| !text.is_empty()), "{method} {path} {status}");
        }
    }
    for name in
        ["getUsers", "getUsersById", "postAdminTokensByIdRegenerate", "deleteUsersMeSessionsById", "getOpenapiJson"]
    {
        assert!(names.contains(name), "{name}: {names:?}");
    }
}

#[tokio::test]
async fn responses_match_their_schemas() {
    let mut api = Described::new().await;
    let none = &Value::Null;
    let text = |json: &Value, at: &str| json.pointer(at).unwrap().as_str().unwrap().to_owned();
    let first = json!({"email": "ada@example.test", "firstname": "Ada", "password": PASSWORD});
    let signed = api.call(("post", "/admin/register-admin"), none, None, first, 200).await;
    let session = text(&signed, "/data/token");
    let me = Some(session.as_str());
    let login = json!({"email": "ada@example.test", "password": PASSWORD});
    api.call(("post", "/admin/login"), none, None, login, 200).await;
    api.call(("get", "/admin/openapi.json"), none, None, Value::Null, 200).await;

    let role = api.call(("post", "/admin/roles"), none, me, json!({"name": "Writer"}), 201).await["data"]["id"].take();
    let permissions = json!([
        {"action": "plain"},
        {"action": "read", "subject": "article", "properties": {"fields": ["title"]}, "conditions": [IS_CREATOR]},
    ]);
    let body = json!({"permissions": permissions});
    api.call(("put", "/admin/roles/{id}/permissions"), &role, me, body, 200).await;
    api.call(("get", "/admin/roles/{id}/permissions"), &role, me, Value::Null, 200).await;
    api.call(("get", "/admin/roles"), none, me, Value::Null, 200).await;
    api.call(("get", "/admin/roles/{id}"), &role, me, Value::Null, 200).await;
    api.call(("put", "/admin/roles/{id}"), &role, me, json!({"description": "writes"}), 200).await;
    api.call(("get", "/admin/permissions"), none, me, Value::Null, 200).await;

    let new = json!({"email": "bob@example.test", "roles": [role]});
    let user = api.call(("post", "/admin/users"), none, me, new, 201).await["data"]["id"].take();
    let invited = api.call(("post", "/admin/users/{id}/invitation"), &user, me, Value::Null, 201).await;
    let info = json!({"firstname": "Bob", "username": "bob", "password": PASSWORD});
    let new = json!({"registrationToken": text(&invited, "/data/registrationToken"), "userInfo": info});
    let bob = text(&api.call(("post", "/admin/register"), none, None, new, 200).await, "/data/token");
    let bob = Some(bob.as_str());
    api.call(("get", "/admin/users"), none, me, Value::Null, 200).await;
    api.call(("get", "/admin/users/{id}"), &user, me, Value::Null, 200).await;
    api.call(("put", "/admin/users/{id}"), &user, me, json!({"lastname": "B"}), 200).await;

    for who in [me, bob] {
        api.call(("get", "/admin/users/me"), none, who, Value::Null, 200).await;
        api.call(("get", "/admin/users/me/permissions"), none, who, Value::Null, 200).await;
    }
    api.call(("put", "/admin/users/me"), none, me, json!({"username": "ada"}), 200).await;
    let mut sessions = api.call(("get", "/admin/users/me/sessions"), none, me, Value::Null, 200).await;
    let other = sessions["data"].as_array_mut().unwrap().iter_mut().find(|s| s["current"] == false).unwrap();
    api.call(("delete", "/admin/users/me/sessions/{id}"), &other["id"].take(), me, Value::Null, 200).await;
    api.call(("post", "/admin/logout"), none, bob, Value::Null, 200).await;
    let login = json!({"email": "bob@example.test", "password": PASSWORD});
    let bob = text(&api.call(("post", "/admin/login"), none, None, login, 200).await, "/data/token");
    api.call(("delete", "/admin/users/me/sessions"), none, Some(&bob), Value::Null, 200).await;

    let new = json!({"name": "a", "lifespan": 604_800_000, "adminPermissions": permissions});
    let token = api.call(("post", "/admin/admin-tokens"), none, me, new, 201).await["data"]["id"].take();
    api.call(("get", "/admin/admin-tokens"), none, me, Value::Null, 200).await;
    let read = api.call(("get", "/admin/admin-tokens/{id}"), &token, me, Value::Null, 200).await;
    assert!(read["data"]["accessKey"].is_string());
    api.call(("put", "/admin/admin-tokens/{id}"), &token, me, json!({"name": "b"}), 200).await;
    let grace = json!({"gracePeriod": 60_000});
    api.call(("post", "/admin/admin-tokens/{id}/regenerate"), &token, me, grace.clone(), 201).await;
    api.call(("get", "/admin/admin-tokens/{id}"), &token, me, Value::Null, 200).await;
    api.call(("post", "/admin/admin-tokens/{id}/end-grace"), &token, me, Value::Null, 200).await;
    api.call(("get", "/admin/admin-tokens/violations"), none, me, Value::Null, 200).await;
    api.call(("get", "/admin/admin-tokens/{id}/owner-permissions"), &token, me, Value::Null, 200).await;
    api.call(("get", "/admin/admin-tokens/{id}/audit-logs"), &token, me, Value::Null, 200).await;
    api.call(("delete", "/admin/admin-tokens/{id}"), &token, me, Value::Null, 200).await;

    let issued = api.call(("post", "/admin/admin-tokens"), none, me, json!({"name": "leaked"}), 201).await;
    for secret in [text(&issued, "/data/accessKey"), session.clone()] {
        api.call(("post", "/admin/tokens/find"), none, me, json!({"secret": secret}), 200).await;
    }
    api.call(("post", "/admin/tokens/find"), none, me, json!({"secret": "none"}), 404).await;
    let content = json!({"name": "leaked too", "type": "read-only"});
    let content = api.call(("post", "/admin/api-tokens"), none, me, content, 201).await;
    let secret = text(&content, "/data/accessKey");
    api.call(("post", "/admin/tokens/find"), none, me, json!({"secret": secret}), 200).await;
    let revoke_all = ("post", "/admin/tokens/revoke-all");
    let all = json!({"usedFrom": "0.0.0.0/0", "createdBefore": "2100-01-01", "preview": true});
    api.call(revoke_all, none, me, all, 200).await;
    let before = json!({"createdBefore": "2100-01-01", "preview": true});
    let preview = api.call(revoke_all, none, me, before, 200).await;
    assert!(preview["data"]["count"].as_u64() >= Some(3), "of each kind: {preview}");
    let content = json!({"kind": "content-api", "expectedCount": 1});
    api.call(revoke_all, none, me, content.clone(), 200).await;
    api.call(revoke_all, none, me, content, 409).await;

    let new = json!({"name": "c", "type": "custom", "permissions": ["article.find"]});
    let token = api.call(("post", "/admin/api-tokens"), none, me, new, 201).await["data"]["id"].take();
    api.call(("get", "/admin/api-tokens"), none, me, Value::Null, 200).await;
    let read = api.call(("get", "/admin/api-tokens/{id}"), &token, me, Value::Null, 200).await;
    assert!(read["data"]["accessKey"].is_string());
    api.call(("put", "/admin/api-tokens/{id}"), &token, me, json!({"type": "read-only"}), 200).await;
    api.call(("post", "/admin/api-tokens/{id}/regenerate"), &token, me, Value::Null, 201).await;
    api.call(("post", "/admin/api-tokens/{id}/end-grace"), &token, me, Value::Null, 200).await;
    api.call(("delete", "/admin/api-tokens/{id}"), &token, me, Value::Null, 200).await;

    api.call(("delete", "/admin/users/{id}"), &user, me, Value::Null, 200).await;
    api.call(("delete", "/admin/roles/{id}"), &role, me, Value::Null, 200).await;
    let events = api.call(("get", "/admin/audit-logs"), none, me, Value::Null, 200).await;
    assert!(events["results"].as_array().is_some_and(|e| !e.is_empty()));
    api.call(("get", "/admin/audit-logs/{id}"), &events["results"][0]["id"], me, Value::Null, 200).await;
    api.call(("get", "/admin/audit-logs/{id}"), &json!(0), me, Value::Null, 404).await;
    api.export(&session).await;

    let new = json!({"name": "bearer", "lifespan": 604_800_000, "adminPermissions": permissions});
    let token = api.call(("post", "/admin/admin-tokens"), none, me, new, 201).await;
    let asked = json!({"token": token["data"]["id"], "method": "GET", "path": "/admin/users"});
    api.call(("post", "/admin/explain"), none, me, asked, 200).await;
    let secret = text(&token, "/data/accessKey");
    api.call(("get", "/admin/whoami"), none, Some(&secret), Value::Null, 200).await;
    api.call(("get", "/admin/whoami"), none, me, Value::Null, 200).await;
    let form = json!({"form": secret});
    let state = api.call(("post", "/admin/introspect"), none, me, form.clone(), 200).await;
    assert_eq!(state["active"], true);
    api.call(("post", "/admin/revoke"), none, None, form.clone(), 200).await;
    api.call(("post", "/admin/introspect"), none, me, form, 200).await;

    // The errors of each route.
    let bare = api
        .call(
            ("post", "/admin/admin-tokens"),
            none,
            me,
            json!({"name": "bare", "adminPermissions": [{"action": "plain", "mayDelegate": true}]}),
            201,
        )
        .await;
    let bare = text(&bare, "/data/accessKey");
    let own = ("post", "/admin/admin-tokens/self/regenerate");
    let bare = text(&api.call(own, none, Some(&bare), grace, 201).await, "/data/accessKey");
    api.call(("post", "/admin/admin-tokens/self/end-grace"), none, Some(&bare), Value::Null, 200).await;
    let child = json!({"name": "child", "networks": ["10.0.0.0/8"], "rateLimit": {"limit": 1, "window": 1000}, "idleExpiry": 120_000});
    api.call(("post", "/admin/admin-tokens/self/children"), none, Some(&bare), child, 201).await;
    api.call(("get", "/admin/admin-tokens/self/children"), none, Some(&bare), Value::Null, 200).await;
    let itself = api.call(("get", "/admin/admin-tokens/self"), none, Some(&bare), Value::Null, 200).await;
    assert_eq!((&itself["data"]["name"], &itself["data"]["adminUserOwner"]), (&json!("bare"), none));
    api.call(("get", "/admin/admin-tokens/self"), none, me, Value::Null, 403).await;
    for (method, path, who) in ROUTES {
        let (route, no_such) = ((method, path), &json!(999_999));
        if who != Anyone {
            api.call(route, no_such, None, Value::Null, 401).await;
        }
        if who == Holders {
            api.call(route, no_such, Some(&bare), json!({}), 403).await;
        }
        if path.contains("{id}") {
            let body = if path.ends_with("/permissions") { json!({"permissions": []}) } else { json!({}) };
            api.call(route, no_such, me, body, 404).await;
        }
        if api.document["paths"][path][method].get("requestBody").is_some() {
            api.call(route, no_such, me.filter(|_| who != Anyone), json!([]), 400).await;
        }
    }

    for (method, path, _) in ROUTES {
        let of_route = api.answered.iter().filter(|(m, p, _)| m == method && p == path);
        let (well, badly): (Vec<u16>, Vec<u16>) = of_route.map(|(_, _, status)| *status).partition(|s| *s < 300);
        assert!(!well.is_empty(), "{method} {path} had no successful response");
        // The description itself is public and never fails.
        assert!(!badly.is_empty() || path == "/admin/openapi.json", "{method} {path} had no error response");
    }
}
