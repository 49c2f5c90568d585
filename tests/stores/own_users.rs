//! The example `own_users`: its router in process, and the number of lines that keyward takes in it.

#[path = "../../examples/own_users/app/mod.rs"]
mod app;

use app::{App, DEMO_PASSWORD, DEMO_USERS};
use axum::Router;
use axum::body::Body;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, ORIGIN, SET_COOKIE};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use keyward::token::ContentAccess;
use keyward::{HashKey, NewContentToken};
use serde_json::{Value, json};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use std::path::Path;
use tower::ServiceExt;

const ADA: usize = 0;
const EDDA: usize = 1;

/// The credential of a request.
enum Caller<'c> {
    /// A page of the application, by the session cookie.
    Page(&'c str),
    /// The session cookie without a header that proves the origin.
    Elsewhere(&'c str),
    Program(&'c Value),
    Stranger,
}
use Caller::{Elsewhere, Page, Program, Stranger};

struct Response {
    status: StatusCode,
    cookie: String,
    body: Value,
}

async fn send(router: &Router, caller: Caller<'_>, request: &str, body: Value) -> Response {
    let (method, path) = request.split_once(' ').unwrap();
    let request = Request::builder().method(method).uri(path).header(HOST, "own.test");
    let request = match caller {
        Page(cookie) => request.header(COOKIE, cookie).header(ORIGIN, "http://own.test"),
        Elsewhere(cookie) => request.header(COOKIE, cookie),
        Program(issued) => request.header(AUTHORIZATION, format!("Bearer {}", issued["secret"].as_str().unwrap())),
        Stranger => request,
    };
    let request = request.header(CONTENT_TYPE, "application/json").body(Body::from(body.to_string())).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let cookie = response.headers().get(SET_COOKIE).map_or("", |cookie| cookie.to_str().unwrap());
    let (status, cookie) = (response.status(), cookie.split(';').next().unwrap().to_owned());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    Response { status, cookie, body: serde_json::from_slice(&body).unwrap_or_default() }
}

impl Response {
    #[track_caller]
    fn assert(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }
}

async fn sign_in(router: &Router, user: usize, password: &str) -> Response {
    let credentials = json!({ "email": DEMO_USERS[user].0, "password": password });
    send(router, Stranger, "POST /sign-in", credentials).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_of_an_application_get_tokens_that_do_no_more_than_they() {
    let dir = tempfile::TempDir::new().unwrap();
    let file = SqliteConnectOptions::new().filename(dir.path().join("app.db")).create_if_missing(true);
    let pool = SqlitePool::connect_with(file.journal_mode(SqliteJournalMode::Wal)).await.unwrap();
    let app = App::new(pool.clone(), HashKey::generate().unwrap().0.into()).await.unwrap();
    let router = app.router();

    sign_in(&router, EDDA, "wrong").await.assert(401);
    let (ada, edda) = (sign_in(&router, ADA, DEMO_PASSWORD).await, sign_in(&router, EDDA, DEMO_PASSWORD).await);
    let (ada, edda, id) = (ada.cookie, edda.cookie, edda.body["id"].as_str().unwrap().to_owned());
    let user = format!("PATCH /app/users/{id}");
    let deploy = || json!({ "name": "deploy", "grants": ["article.read", "article.write"] });
    send(&router, Stranger, "GET /app/me", json!(null)).await.assert(401);
    send(&router, Page(&edda), &user, json!({ "role": "admin" })).await.assert(403);

    // Tokens of one's own, from a page of the application, within one's role.
    send(&router, Elsewhere(&edda), "POST /app/tokens", deploy()).await.assert(403);
    let beyond = json!({ "name": "cleanup", "grants": ["article.delete"] });
    let beyond = send(&router, Page(&edda), "POST /app/tokens", beyond).await.assert(400);
    assert_eq!(beyond["error"], "grants.0: the owner does not hold article.delete");
    let token = send(&router, Page(&edda), "POST /app/tokens", deploy()).await.assert(200);
    let own = |rest: &str| format!("{rest}{}", token["id"]);
    // Ada has no token. Her session, a token of Edda's and a content token are not hers to change by these routes.
    app.keyward.tokens().issue_content(NewContentToken::new("web", ContentAccess::FullAccess)).await.unwrap();
    for id in 1..9 {
        send(&router, Page(&ada), &format!("DELETE /app/tokens/{id}"), json!(null)).await.assert(403);
        send(&router, Page(&ada), &format!("POST /app/tokens/{id}/regenerate"), json!(null)).await.assert(403);
    }
    assert_eq!(send(&router, Page(&ada), "GET /app/tokens", json!(null)).await.assert(200), json!([]));
    let listed = send(&router, Page(&edda), "GET /app/tokens", json!(null)).await.assert(200);
    assert_eq!(listed[0]["grants"], json!(["article.read", "article.write"]));

    // A browser and a program use the same routes.
    let article = || json!({ "title": "News" });
    for caller in [Page(&edda), Program(&token)] {
        let written = send(&router, caller, "POST /api/articles", article()).await.assert(201);
        assert_eq!(written["author"], id.as_str());
    }
    send(&router, Program(&token), "GET /app/tokens", json!(null)).await.assert(401);

    // A smaller role takes grants away for good. A deactivated user is out with the next request.
    send(&router, Page(&ada), &user, json!({ "role": "reader" })).await.assert(200);
    send(&router, Program(&token), "POST /api/articles", article()).await.assert(403);
    send(&router, Page(&ada), &user, json!({ "role": "editor", "active": false })).await.assert(200);
    send(&router, Program(&token), "GET /api/articles", json!(null)).await.assert(401);
    send(&router, Page(&edda), "GET /api/articles", json!(null)).await.assert(401);
    send(&router, Page(&ada), &user, json!({ "active": true })).await.assert(200);
    send(&router, Program(&token), "GET /api/articles", json!(null)).await.assert(200);
    send(&router, Program(&token), "POST /api/articles", article()).await.assert(403);

    let edda = sign_in(&router, EDDA, DEMO_PASSWORD).await.cookie;
    let again = send(&router, Page(&edda), &(own("POST /app/tokens/") + "/regenerate"), json!(null)).await.assert(200);
    send(&router, Program(&token), "GET /api/articles", json!(null)).await.assert(401);
    send(&router, Program(&again), "GET /api/articles", json!(null)).await.assert(200);
    send(&router, Page(&edda), &own("DELETE /app/tokens/"), json!(null)).await.assert(204);
    send(&router, Program(&again), "GET /api/articles", json!(null)).await.assert(401);
    app.keyward.shutdown().await;
    pool.close().await;
}

/// Imports, comments and blank lines aside.
#[test]
fn keyward_takes_as_many_marked_lines_as_the_texts_say() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = project.join("examples/own_users/app");
    let mut lines = 0;
    for file in std::fs::read_dir(directory).unwrap() {
        let (file, mut marked) = (file.unwrap().path(), false);
        for line in std::fs::read_to_string(&file).unwrap().lines().map(str::trim) {
            match line {
                "// keyward: begin" | "// keyward: end" => {
                    assert_ne!(marked, line.ends_with("begin"), "{}", file.display());
                    marked = !marked;
                }
                _ if marked => lines += usize::from(!line.is_empty() && !line.starts_with("//")),
                _ => {}
            }
        }
        assert!(!marked, "{}: a mark has no end", file.display());
    }
    for (file, claim) in [("README.md", "and 58 lines"), ("src/guide/your_users.md", "the 58 lines")] {
        assert!(std::fs::read_to_string(project.join(file)).unwrap().contains(claim), "{file}");
    }
    assert_eq!(lines, 58);
}
