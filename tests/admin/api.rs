//! bad-input-changes-nothing (`docs/invariants.md`): invalid input to any endpoint of the management API is a 4xx with the path of the
//! field, and changes nothing.

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use keyward::admin::NewSession;
use keyward::authz::{ActionEntry, Catalogue, Fields, ResourceEntry};
use keyward::guard::{GateService, ProxyHeader};
use keyward::store::WriteStore;
use keyward::store::{EventQuery, Paging};
use keyward::testing::App;
use keyward::token::ContentAccess;
use keyward::{
    Grant, HashKey, Keyward, MemoryStore, NewAdminToken, NewContentToken, NewOwner, NewRole, Permission, RoleId, api,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;
use tower::ServiceExt;

struct Api {
    keyward: Keyward,
    service: GateService<axum::Router>,
    session: String,
    /// A path with an id for each kind of record.
    admin_token: String,
    content_token: String,
    user: String,
    role: String,
}

impl Api {
    async fn new() -> Self {
        let catalogue = Catalogue::default()
            .action(ActionEntry::on_resources("read", "Read", ["article"]).with_fields())
            .resource(ResourceEntry::collection("article", "Article").fields(["title"]))
            .content_action("article.find");
        let hash_key = HashKey::parse(keyward::testing::HASH_KEY).unwrap();
        let keyward = Keyward::builder(MemoryStore::default()).hash_key(hash_key).catalogue(catalogue).api("/admin");
        let keyward = keyward.allow_open_setup().build().unwrap();
        let super_admin = NewOwner::new("root@example.test").roles([RoleId::SUPER_ADMIN]);
        let super_admin = keyward.owners().create(super_admin).await.unwrap().id;
        let user = keyward.owners().create(NewOwner::new("user@example.test")).await.unwrap().id;
        let read = Permission::new("read").on("article").fields(Fields::only(["title"]).unwrap());
        let role = keyward.roles().create(NewRole::new("role").permissions([read.clone()])).await.unwrap().id;
        let tokens = keyward.tokens();
        let admin =
            tokens.issue_admin(NewAdminToken::new("admin", super_admin).grants([Grant::from(&read)])).await.unwrap();
        let content = tokens.issue_content(NewContentToken::new("content", ContentAccess::ReadOnly)).await.unwrap();
        let day = Duration::from_secs(86_400);
        let session = tokens.open_session(NewSession { owner: super_admin, idle: day, lifespan: day }).await.unwrap();
        Self {
            service: keyward.guard(api::router(&keyward)),
            session: session.secret.expose().to_owned(),
            admin_token: format!("/admin/admin-tokens/{}", admin.token.id),
            content_token: format!("/admin/api-tokens/{}", content.token.id),
            user: format!("/admin/users/{user}"),
            role: format!("/admin/roles/{role}"),
            keyward,
        }
    }

    async fn send(&self, method: &str, path: &str, content_type: Option<&str>, body: Vec<u8>) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("authorization", format!("Bearer {}", self.session));
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let response = self.service.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    /// Returns the number of the last change.
    async fn seq(&self) -> u64 {
        self.keyward.store().begin().await.unwrap().seq()
    }

    /// Every endpoint that takes a body, with a valid body that has every field.
    fn endpoints(&self) -> Vec<(&'static str, String, Value)> {
        let grant =
            json!({"action": "read", "subject": "article", "properties": {"fields": ["title"]}, "conditions": []});
        let token = json!({"name": "n", "description": "d", "lifespan": 604_800_000, "adminPermissions": [grant]});
        let token_update = json!({"name": "n", "description": "d", "adminPermissions": [grant]});
        let content = json!({"name": "n", "description": "d", "lifespan": null, "type": "custom", "permissions": ["article.find"]});
        let content_update =
            json!({"name": "n", "description": "d", "type": "custom", "permissions": ["article.find"]});
        let user = json!({"email": "new@example.test", "firstname": "f", "lastname": "l", "roles": [1]});
        let user_update = json!({"email": "n@example.test", "firstname": "f", "lastname": "l", "username": "u", "isActive": true,
            "blocked": false, "roles": [], "password": "Passw0rd!"});
        let role = json!({"name": "r", "description": "d"});
        let me = json!({"firstname": "f", "lastname": "l", "username": "u"});
        let first = json!({"email": "a@example.test", "firstname": "f", "lastname": "l", "password": "Passw0rd!"});
        let register =
            json!({"registrationToken": "t", "userInfo": {"firstname": "f", "lastname": "l", "password": "Passw0rd!"}});
        let all = json!({"owner": 1, "role": 1, "kind": "admin", "createdBefore": "2026-01-31", "usedFrom": "10.0.0.0/8",
            "confirmation": "0".repeat(32)});
        vec![
            ("POST", "/admin/admin-tokens".into(), token),
            ("PUT", self.admin_token.clone(), token_update),
            ("POST", "/admin/api-tokens".into(), content),
            ("PUT", self.content_token.clone(), content_update),
            ("POST", "/admin/users".into(), user),
            ("PUT", self.user.clone(), user_update),
            ("POST", "/admin/roles".into(), role.clone()),
            ("PUT", self.role.clone(), role),
            ("PUT", format!("{}/permissions", self.role), json!({"permissions": [grant]})),
            ("PUT", "/admin/users/me".into(), me),
            ("POST", "/admin/register-admin".into(), first),
            ("POST", "/admin/register".into(), register),
            ("POST", "/admin/login".into(), json!({"email": "a@example.test", "password": "x"})),
            ("POST", "/admin/tokens/find".into(), json!({"secret": "kw_admin_0"})),
            ("POST", "/admin/tokens/revoke-all".into(), all),
        ]
    }
}

fn paths(answer: &Value) -> Vec<String> {
    let part = |p: &Value| p.as_str().unwrap().to_owned();
    let path = |e: &Value| e["path"].as_array().unwrap().iter().map(part).collect::<Vec<_>>().join(".");
    answer["error"]["details"]["errors"].as_array().map(|all| all.iter().map(path).collect()).unwrap_or_default()
}

#[tokio::test]
async fn invalid_fields_are_named_and_nothing_changes() {
    let api = Api::new().await;
    let json = Some("application/json");
    for (method, path, good) in api.endpoints() {
        let before = api.seq().await;
        let refused = async |content_type, body: Vec<u8>, at: Option<&str>| {
            let (status, answer) = api.send(method, &path, content_type, body).await;
            assert_eq!(status, 400, "{method} {path} {at:?}: {answer}");
            assert_eq!(answer["error"]["name"], "ValidationError", "{method} {path} {at:?}: {answer}");
            match at {
                Some(at) => assert_eq!(paths(&answer), [at], "{method} {path}: {answer}"),
                None => assert!(!paths(&answer).is_empty(), "{method} {path}: {answer}"),
            }
        };
        let bytes = |value: &Value| serde_json::to_vec(value).unwrap();
        for (field, _) in good.as_object().unwrap() {
            let mut bad = good.clone();
            bad[field] = json!({"no": ["such"]});
            let (status, answer) = api.send(method, &path, json, bytes(&bad)).await;
            assert_eq!(status, 400, "{method} {path} {field}: {answer}");
            let named = paths(&answer);
            assert!(!named.is_empty() && named.iter().all(|p| p.split('.').next() == Some(field)), "{field}: {answer}");
        }
        let required: &[&str] = match (method, path.as_str()) {
            ("POST", "/admin/login") => &["email", "password"],
            ("POST", "/admin/register-admin") => &["email", "password"],
            ("POST", "/admin/register") => &["registrationToken", "userInfo"],
            ("POST", "/admin/users") => &["email"],
            ("POST", "/admin/tokens/find") => &["secret"],
            ("POST", "/admin/tokens/revoke-all") => &["confirmation"],
            ("POST", "/admin/api-tokens") => &["name", "type", "permissions"],
            ("POST", _) => &["name"],
            (_, path) if path.ends_with("/permissions") => &["permissions"],
            _ => &[],
        };
        for field in required {
            let mut less = good.clone();
            less.as_object_mut().unwrap().remove(*field);
            refused(json, bytes(&less), Some(field)).await;
        }
        let mut more = good.clone();
        more["nope"] = json!(1);
        refused(json, bytes(&more), Some("nope")).await;
        for broken in [&b""[..], b"{", b"[]", b"3", b"null", b"{\"a\":1}x", b"\xff\xfe", &b"[".repeat(10_000)] {
            refused(json, broken.to_vec(), None).await;
        }
        refused(Some("text/plain"), bytes(&good), None).await;
        refused(None, bytes(&good), None).await;
        let (status, _) = api.send(method, &path, json, vec![b' '; 3 << 20]).await;
        assert_eq!(status, 413, "{method} {path}");
        assert_eq!(api.seq().await, before, "{method} {path}");
    }
}

#[tokio::test]
async fn lists_are_paged_and_report_their_page() {
    let api = Api::new().await;
    for n in 0..3 {
        let new = NewContentToken::new(format!("more {n}"), ContentAccess::ReadOnly);
        api.keyward.tokens().issue_content(new).await.unwrap();
    }
    let get = async |path: &str| api.send("GET", path, None, Vec::new()).await;
    for (path, total) in
        [("/admin/api-tokens", 4), ("/admin/admin-tokens", 1), ("/admin/roles", 2), ("/admin/users/me/sessions", 1)]
    {
        let (status, all) = get(path).await;
        assert_eq!(status, 200, "{all}");
        assert_eq!(all["data"].as_array().unwrap().len(), total, "{path}");
        let pagination = json!({"page": 1, "pageSize": 100, "pageCount": 1, "total": total});
        assert_eq!(all["meta"], json!({"pagination": pagination}), "{path}");
        let mut paged = Vec::new();
        for page in 1..=total + 1 {
            let (status, one) = get(&format!("{path}?pageSize=1&page={page}")).await;
            assert_eq!(status, 200, "{one}");
            let pagination = json!({"page": page, "pageSize": 1, "pageCount": total, "total": total});
            assert_eq!(one["meta"], json!({"pagination": pagination}), "{path}");
            paged.extend(one["data"].as_array().unwrap().iter().cloned());
        }
        assert_eq!(json!(paged), all["data"], "{path}: no gaps and no duplicates");
        for (wrong, field) in [
            ("page=0", "page"),
            ("page=x", "page"),
            ("pageSize=0", "pageSize"),
            ("pageSize=1001", "pageSize"),
            ("pageSize=4294967296", "pageSize"),
            ("page=1&page=2", "page"),
            ("limit=5", "limit"),
        ] {
            let (status, answer) = get(&format!("{path}?{wrong}")).await;
            assert_eq!((status.as_u16(), paths(&answer)), (400, vec![field.to_owned()]), "{path}?{wrong}: {answer}");
        }
    }
}

#[tokio::test]
async fn ids_of_another_kind_are_404() {
    let api = Api::new().await;
    let before = api.seq().await;
    let last = |path: &str| path.rsplit('/').next().unwrap().to_owned();
    let ids = ["abc", "-1", "0", "1.5", "9999999999999999999999", "99999", "%00", "1%20", "+1", "01x"];
    let good = api.endpoints();
    let body_of =
        |start: &str| good.iter().find(|(m, p, _)| *m == "PUT" && p.starts_with(start)).unwrap().2.to_string();
    let permissions = json!({"permissions": []}).to_string();
    for id in ids {
        let mut routes = vec![
            ("PUT", format!("/admin/roles/{id}/permissions"), permissions.clone()),
            ("GET", format!("/admin/roles/{id}/permissions"), String::new()),
            ("POST", format!("/admin/users/{id}/invitation"), String::new()),
            ("GET", format!("/admin/admin-tokens/{id}/owner-permissions"), String::new()),
            ("GET", format!("/admin/admin-tokens/{id}/audit-logs"), String::new()),
            ("POST", format!("/admin/admin-tokens/{id}/regenerate"), String::new()),
            ("POST", format!("/admin/api-tokens/{id}/regenerate"), String::new()),
            ("DELETE", format!("/admin/users/me/sessions/{id}"), String::new()),
        ];
        for of in ["admin-tokens", "api-tokens", "users", "roles"] {
            let path = format!("/admin/{of}/{id}");
            routes.push(("GET", path.clone(), String::new()));
            routes.push(("PUT", path.clone(), body_of(&format!("/admin/{of}/"))));
            routes.push(("DELETE", path, String::new()));
        }
        for (method, path, body) in routes {
            let (status, answer) = api.send(method, &path, Some("application/json"), body.into()).await;
            // An ambiguous path is rejected before its id is parsed.
            let wanted = if id == "%00" { 400 } else { 404 };
            assert_eq!(status, wanted, "{method} {path}: {answer}");
        }
    }
    for (of, id) in [("admin-tokens", last(&api.content_token)), ("api-tokens", last(&api.admin_token))] {
        for method in ["GET", "DELETE"] {
            let (status, _) = api.send(method, &format!("/admin/{of}/{id}"), None, vec![]).await;
            assert_eq!(status, 404, "an id of another kind");
        }
    }
    assert_eq!(api.seq().await, before);
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        Just(json!("\u{0}")),
        Just(json!("x".repeat(3000))),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-zA-Z]{1,8}", inner), 0..4).prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

/// Replaces a part of `value` by `by`.
fn mutate(value: &mut Value, way: &[usize], by: Value) {
    match (value, way) {
        (Value::Object(members), [step, rest @ ..]) if !members.is_empty() => {
            let n = step % members.len();
            if let Some((_, member)) = members.iter_mut().nth(n) {
                mutate(member, rest, by);
            }
        }
        (Value::Array(items), [step, rest @ ..]) if !items.is_empty() => {
            let n = step % items.len();
            mutate(&mut items[n], rest, by);
        }
        (place, _) => *place = by,
    }
}

/// Rate limits of sign-in and audit events use the address that a trusted proxy forwards.
#[tokio::test]
async fn client_address_comes_from_a_trusted_proxy() {
    let hash_key = HashKey::parse(keyward::testing::HASH_KEY).unwrap();
    let builder = Keyward::builder(MemoryStore::default()).hash_key(hash_key).api("/admin");
    let keyward = builder.trusted_proxies(["10.0.0.0/8"], ProxyHeader::Forwarded).build().unwrap();
    let super_admin =
        keyward.owners().create(NewOwner::new("root@example.test").roles([RoleId::SUPER_ADMIN])).await.unwrap();
    let day = Duration::from_secs(86_400);
    let new = NewSession { owner: super_admin.id, idle: day, lifespan: day };
    let session = keyward.tokens().open_session(new).await.unwrap().secret;
    let app = App::from_service(keyward.guard(api::router(&keyward)));
    let post = |path: &str, peer: [u8; 4], whom: &str, body: Value| {
        app.post(path).peer(peer).header(http::header::FORWARDED, &format!("for={whom}")).json(&body)
    };

    for (peer, expected) in [([10, 0, 0, 1], [203, 0, 113, 5]), ([198, 51, 100, 7], [198, 51, 100, 7])] {
        let name = format!("{peer:?}");
        let token = json!({"name": name, "type": "read-only"});
        post("/admin/api-tokens", peer, "203.0.113.5", token).bearer(&session).await.assert_status(201);
        let (_, event) =
            keyward.audit().list(&EventQuery::all(Paging { page: 1, page_size: 1 })).await.unwrap().items.remove(0);
        assert_eq!(event.origin.address, Some(expected.into()));
    }

    let guess = json!({"email": "root@example.test", "password": "wrong"});
    let from = async |whom: &str| post("/admin/login", [10, 0, 0, 1], whom, guess.clone()).await.status.as_u16();
    for _ in 0..5 {
        assert_eq!(from("203.0.113.5").await, 400);
    }
    assert_eq!((from("203.0.113.5").await, from("203.0.113.6").await), (429, 400));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 100, ..ProptestConfig::default() })]

    #[test]
    fn random_bodies_and_queries_are_answered_4xx(
        mutations in prop::collection::vec((prop::collection::vec(0usize..8, 0..5), value()), 13),
        query in "[a-zA-Z_=&%0-9]{0,24}",
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let api = Api::new().await;
            for ((method, path, mut body), (way, by)) in api.endpoints().into_iter().zip(mutations) {
                // Hashing passwords is slow, and other tests cover invalid ones.
                if way.is_empty() || path.contains("login") || path.contains("register") {
                    body = json!({"x": by.clone()});
                }
                mutate(&mut body, &way, by);
                let before = api.seq().await;
                let (status, answer) = api.send(method, &path, Some("application/json"), body.to_string().into()).await;
                assert!(status.as_u16() < 500, "{method} {path} {body}: {status} {answer}");
                if status.is_client_error() {
                    assert_eq!(api.seq().await, before, "{method} {path} {body}: {answer}");
                    let named = answer["error"]["name"] != "ValidationError" || !paths(&answer).is_empty();
                    assert!(named, "{method} {path} {body}: {answer}");
                }
            }
            for of in ["admin-tokens", "api-tokens", "users", "roles", "audit-logs", "permissions", "users/me"] {
                let (status, answer) = api.send("GET", &format!("/admin/{of}?{}", query.replace('%', "%25")), None, vec![]).await;
                assert!(status.as_u16() < 500, "{of}?{query}: {answer}");
            }
        });
    }
}

/// A reader of the audit log who may not see everything in it.
#[tokio::test]
async fn audit_log_withholds_details_the_reader_may_not_list() {
    let world = keyward::testing::World::with(|builder| builder.api("/admin"));
    let app = world.guard(api::router(&world.keyward));
    let reader = world.editor().holds("admin::audit-logs.read").sign_in().await;
    let ada = world.super_admin().sign_in().await;
    let new = NewAdminToken::new("secret-project", ada.owner());
    let theirs = world
        .keyward
        .tokens()
        .acting_as(keyward::admin::Actor::Person(ada.owner()))
        .issue_admin(new)
        .await
        .unwrap()
        .token
        .id;
    let logs = |who: &keyward::testing::Key, query: String| {
        let request = app.get(&format!("/admin/audit-logs?pageSize=100{query}")).bearer(&who.secret);
        async move { request.await.assert_ok().json() }
    };
    let (all, seen) = (logs(&ada, String::new()).await, logs(&reader, String::new()).await);
    assert_eq!(all["pagination"], seen["pagination"]);
    let issued = |log: &Value| {
        let events = log["results"].as_array().unwrap();
        events
            .iter()
            .find(|event| event["action"] == "token-issued" && event["target"]["kind"] == "admin-token")
            .cloned()
    };
    let (all, seen) = (issued(&all).unwrap(), issued(&seen).unwrap());
    assert_eq!((&all["withheld"], &all["payload"]["name"]), (&json!(false), &json!("secret-project")));
    assert_eq!(all["user"]["id"], json!(ada.owner()));
    let left = json!({"id": all["id"], "action": "token-issued", "date": all["date"], "user": null, "token": null,
        "target": {"kind": "admin-token", "id": null}, "address": null, "origin": null, "tool": null, "cause": null, "payload": null, "withheld": true});
    assert_eq!(seen, left);
    for id in [theirs.0, 4711] {
        let none = logs(&reader, format!("&targetKind=admin-token&targetId={id}")).await;
        assert_eq!((&none["results"], &none["pagination"]["total"]), (&json!([]), &json!(0)));
    }
}

#[tokio::test]
async fn ids_of_tokens_of_others_answer_like_unknown_ids() {
    let world = keyward::testing::World::with(|builder| builder.api("/admin"));
    let app = world.guard(api::router(&world.keyward));
    let actions = ["read", "update", "delete", "regenerate"].map(|deed| format!("admin::admin-tokens.{deed}"));
    let eve = actions.iter().fold(world.editor(), |cast, action| cast.holds(action.as_str())).sign_in().await;
    let theirs = world.super_admin().issue().await.id;
    let body = json!({"name": "x", "adminPermissions": []});
    for (method, path) in [
        ("GET", ""),
        ("PUT", ""),
        ("DELETE", ""),
        ("POST", "/regenerate"),
        ("GET", "/owner-permissions"),
        ("GET", "/audit-logs"),
    ] {
        let ask = async |id: i64| {
            let path = format!("/admin/admin-tokens/{id}{path}");
            let request = app.request(method.parse().unwrap(), &path).bearer(&eve.secret);
            let request = if method == "PUT" { request.json(&body) } else { request };
            let answer = request.await;
            (answer.status.as_u16(), answer.json())
        };
        let (found, none) = (ask(theirs.0).await, ask(4711).await);
        assert_eq!(found, none, "{method} {path}");
        assert!(matches!(found.0, 403 | 404), "{method} {path}: {found:?}");
    }
}

#[tokio::test]
async fn too_many_changes_are_429_with_retry_after() {
    let world = keyward::testing::World::with(|builder| builder.api("/admin"));
    let app = world.guard(api::router(&world.keyward));
    let token = world.editor().with("admin::admin-tokens.regenerate").issue().await;
    let path = format!("/admin/admin-tokens/{}/regenerate", token.id);
    let regenerate = |secret: &str| app.post(&path).header(http::header::AUTHORIZATION, &format!("Bearer {secret}"));
    let mut secret = token.secret.expose().to_owned();
    for _ in 0..10 {
        let answer = regenerate(&secret).await.assert_status(201).json();
        secret = answer["data"]["accessKey"].as_str().unwrap().to_owned();
    }
    let answer = regenerate(&secret).await;
    assert_eq!(answer.assert_status(429).headers["retry-after"], "3600");
    assert_eq!(answer.json()["error"]["name"], "RateLimitError");
}

/// A page of another origin, whose name resolves to a loopback address, makes the browser send requests (DNS rebinding).
#[tokio::test]
async fn open_setup_accepts_loopback_host_names_only() {
    let hash_key = HashKey::parse(keyward::testing::HASH_KEY).unwrap();
    let builder = Keyward::builder(MemoryStore::default())
        .hash_key(hash_key)
        .api("/admin")
        .ui("/admin", keyward::guard::SessionCookie::default());
    let keyward = builder.allow_open_setup().build().unwrap();
    let app = App::from_service(keyward.guard(api::router(&keyward).merge(keyward::ui::router(&keyward))));
    let first = json!({"email": "a@example.test", "firstname": "f", "password": "Passw0rd!"});
    let form = [("email", "a@example.test"), ("firstname", "f"), ("password", "Passw0rd!")];
    const PAGE: &str = "/admin/auth/register-admin";
    let (host, site) = (http::header::HOST, http::HeaderName::from_static("sec-fetch-site"));
    for other in ["evil.test", "evil.test:8080", "127.0.0.1.evil.test", "10.0.0.1"] {
        let answer = app.post("/admin/register-admin").header(host.clone(), other).json(&first).await;
        let answer = answer.assert_status(400).json();
        assert_eq!(paths(&answer), ["setupCode"], "{other}");
        let page = app.post(PAGE).header(host.clone(), other).header(site.clone(), "same-origin").form(&form).await;
        let page = String::from_utf8_lossy(&page.assert_status(400).body).into_owned();
        assert!(page.contains("name=\"setupCode\"") && page.contains("setup code that it has printed"), "{page}");
        let page = app.get(PAGE).header(host.clone(), other).await;
        assert!(
            String::from_utf8_lossy(&page.assert_ok().body).contains("name=\"setupCode\""),
            "the page asks for the code"
        );
    }
    let twice = app.post("/admin/register-admin").header(host.clone(), "localhost").header(host.clone(), "evil.test");
    twice.json(&first).await.assert_status(400);
    app.post("/admin/register-admin").json(&first).await.assert_status(400);
    let authority = app.post("http://evil.test/admin/register-admin").header(host.clone(), "localhost").json(&first);
    authority.await.assert_status(400);
    assert_eq!(
        keyward.owners().list(&keyward::store::OwnerQuery::all(Paging { page: 1, page_size: 1 })).await.unwrap().total,
        0,
        "nothing was changed"
    );
    let page = app.get(PAGE).header(host.clone(), "[::1]:3000").await;
    assert!(!String::from_utf8_lossy(&page.assert_ok().body).contains("name=\"setupCode\""));
    app.post("/admin/register-admin").header(host, "127.0.0.1:3000").json(&first).await.assert_ok();
}
