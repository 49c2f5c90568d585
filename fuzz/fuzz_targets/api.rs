//! Sends arbitrary bodies and queries of a super admin to each route of the management API.
//!
//! Bad input is a 4xx that names the field and changes nothing (bad-input-changes-nothing). A token that was read can
//! be written back unchanged. No response is a 5xx.
//!
//! The first byte selects the route. The rest is the query of a list, or the body.

#![no_main]

use axum::body::Body;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Uri};
use http_body_util::BodyExt;
use keyward::admin::Lifespan;
use keyward::guard::GateService;
use keyward::testing::World;
use keyward::{Grant, NewAdminToken, api};
use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::Value;
use std::cell::RefCell;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

const ROUTES: [(Method, &str); 21] = [
    (Method::POST, "/admin/admin-tokens"),
    (Method::PUT, "/admin/admin-tokens/TOKEN"),
    (Method::POST, "/admin/api-tokens"),
    (Method::PUT, "/admin/api-tokens/CONTENT"),
    (Method::POST, "/admin/users"),
    (Method::PUT, "/admin/users/USER"),
    (Method::PUT, "/admin/users/me"),
    (Method::POST, "/admin/roles"),
    (Method::PUT, "/admin/roles/ROLE"),
    (Method::PUT, "/admin/roles/ROLE/permissions"),
    (Method::POST, "/admin/register"),
    (Method::POST, "/admin/register-admin"),
    (Method::POST, "/admin/login"),
    (Method::DELETE, "/admin/users/USER"),
    (Method::POST, "/admin/admin-tokens/TOKEN/regenerate"),
    (Method::GET, "/admin/users?"),
    (Method::GET, "/admin/audit-logs?"),
    (Method::GET, "/admin/admin-tokens?"),
    (Method::GET, "/admin/api-tokens?"),
    (Method::GET, "/admin/roles?"),
    (Method::GET, "/admin/admin-tokens/TOKEN/audit-logs?"),
];

/// An installation. It is used again until a request changes it.
struct Installation {
    service: GateService<axum::Router>,
    session: HeaderValue,
    /// The placeholders of the routes, and their ids.
    ids: [(&'static str, i64); 4],
    _world: World,
}

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_all().build().unwrap();
    static INSTALLATION: RefCell<Option<Installation>> = const { RefCell::new(None) };
}

impl Installation {
    async fn new() -> Self {
        let world = World::with(|builder| builder.api("/admin"));
        world.keyward.set_up().await.unwrap();
        let root = world.super_admin().sign_in().await;
        let session = HeaderValue::from_str(&format!("Bearer {}", root.secret.expose())).unwrap();
        let editor = world.editor().holds("admin::webhooks.read").issue().await;
        let new = NewAdminToken::new("token of the super admin", root.owner())
            .grants([Grant::new("admin::webhooks.read")])
            .lifespan(Lifespan::Unlimited);
        let token = world.keyward.tokens().issue_admin(new).await.unwrap().token.id;
        let content = world.content(keyward::token::ContentAccess::ReadOnly).await.id;
        let ids = [("TOKEN", token.0), ("CONTENT", content.0), ("USER", editor.owner().0), ("ROLE", editor.role().0)];
        let service = world.keyward.guard(api::router(&world.keyward));
        Self { service, session, ids, _world: world }
    }

    async fn send(&self, method: &Method, uri: Uri, body: &[u8]) -> (u16, Vec<u8>) {
        let mut request = Request::new(Body::from(body.to_vec()));
        *request.method_mut() = method.clone();
        *request.uri_mut() = uri;
        request.headers_mut().insert(AUTHORIZATION, self.session.clone());
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let Ok(response) = self.service.clone().oneshot(request).await;
        let status = response.status().as_u16();
        (status, response.into_body().collect().await.unwrap().to_bytes().to_vec())
    }

    /// Returns the number of audit events, which each change increases.
    async fn count_events(&self) -> Value {
        let (status, body) = self.send(&Method::GET, Uri::from_static("/admin/audit-logs?pageSize=1"), b"").await;
        assert_eq!(status, 200);
        serde_json::from_slice::<Value>(&body).unwrap()["pagination"]["total"].clone()
    }
}

fuzz_target!(|data: &[u8]| -> Corpus {
    let Some((&route, rest)) = data.split_first() else { return Corpus::Reject };
    let (method, pattern) = &ROUTES[usize::from(route) % ROUTES.len()];
    RUNTIME.with(|runtime| {
        INSTALLATION.with_borrow_mut(|slot| {
            let installation = slot.take().unwrap_or_else(|| runtime.block_on(Installation::new()));
            match runtime.block_on(check(&installation, method, pattern, rest)) {
                Outcome::Unchanged => *slot = Some(installation),
                Outcome::Changed => {}
                Outcome::NotARequest => {
                    *slot = Some(installation);
                    return Corpus::Reject;
                }
            }
            Corpus::Keep
        })
    })
});

enum Outcome {
    Unchanged,
    Changed,
    /// The target is not a URI, so no server accepts the request.
    NotARequest,
}

/// Sends one request, and checks its response.
async fn check(installation: &Installation, method: &Method, pattern: &str, rest: &[u8]) -> Outcome {
    let path = installation.ids.iter().fold(pattern.to_owned(), |path, (name, id)| path.replace(name, &id.to_string()));
    let list = path.ends_with('?');
    let uri = if list { Uri::try_from([path.as_bytes(), rest].concat()) } else { Uri::try_from(path.as_str()) };
    let Ok(uri) = uri else { return Outcome::NotARequest };
    let before = installation.count_events().await;
    let (status, body) = installation.send(method, uri.clone(), if list { b"" } else { rest }).await;
    let context = || format!("{method} {uri} answered {status} {}", String::from_utf8_lossy(&body));
    assert!(status < 500, "{}", context());
    let answer: Value =
        if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).expect("the body is JSON") };
    if status < 400 {
        if status == 201 && pattern.ends_with("tokens") {
            let id = answer["data"]["id"].as_i64().unwrap_or_else(|| panic!("no id: {}", context()));
            write_back(installation, &format!("{pattern}/{id}")).await;
        }
        return if list { Outcome::Unchanged } else { Outcome::Changed };
    }
    assert_eq!(answer["error"]["status"], status, "{}", context());
    assert_eq!(answer["data"], Value::Null, "{}", context());
    let parts = |error: &Value| error["path"].as_array().is_some_and(|path| path.iter().all(Value::is_string));
    if answer["error"]["name"] == "ValidationError" {
        let errors = answer["error"]["details"]["errors"].as_array();
        assert!(errors.is_some_and(|errors| !errors.is_empty() && errors.iter().all(parts)), "{}", context());
    }
    // Failed sign-ins write audit events from time to time.
    if !matches!(pattern, "/admin/login" | "/admin/register") {
        assert_eq!(installation.count_events().await, before, "a rejected request changed something: {}", context());
    }
    Outcome::Unchanged
}

/// Reads a token, and asserts that it can be written back unchanged.
async fn write_back(installation: &Installation, path: &str) {
    let uri: Uri = path.parse().unwrap();
    let (status, body) = installation.send(&Method::GET, uri.clone(), b"").await;
    assert_eq!(status, 200);
    let read: Value = serde_json::from_slice(&body).unwrap();
    let (status, answer) = installation.send(&Method::PUT, uri, read["data"].to_string().as_bytes()).await;
    assert_eq!(status, 200, "{} cannot be written back: {}", read["data"], String::from_utf8_lossy(&answer));
}
