//! Lists as Strapi's panel requests them: filters, sorting, search, and the export of the audit log.

use axum::body::Body;
use axum::response::Response;
use futures_util::StreamExt;
use http::{Request, StatusCode};
use keyward::admin::NewSession;
use keyward::testing::World;
use keyward::token::ContentAccess;
use keyward::{Grant, NewAdminToken, NewContentToken, NewOwner, NewRole, OwnerId, RoleId, api};
use serde_json::Value;
use std::time::Duration;
use tower::ServiceExt;

struct Site {
    world: World,
    session: String,
    service: axum::Router,
    ada: OwnerId,
}

impl Site {
    async fn new() -> Self {
        let world = World::with(|builder| builder.api("/admin"));
        let owners = world.keyward.owners();
        let new = |email: &str, name: &str| NewOwner::new(email).named(name, "Lovelace");
        let ada = owners.create(new("ada@example.test", "Ada").roles([RoleId::SUPER_ADMIN])).await.unwrap().id;
        for (email, name) in [("bob@example.test", "Bob"), ("eve@other.test", "Eve"), ("adam@other.test", "Adam")] {
            owners.create(new(email, name)).await.unwrap();
        }
        let session = session_of(&world, ada).await;
        let service = axum::Router::new().fallback_service(world.keyward.guard(api::router(&world.keyward)));
        Self { world, session, service, ada }
    }

    async fn send(&self, secret: &str, path: &str) -> Response {
        let request = Request::get(path).header("authorization", format!("Bearer {secret}"));
        self.service.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        let response = self.send(&self.session, path).await;
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// Returns one member of each row of a list, and the number of rows on all pages.
    async fn column(&self, path: &str, member: &str) -> (Vec<String>, u64) {
        let (status, answer) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {answer}");
        let (rows, pages) = match (&answer["data"]["results"], &answer["results"]) {
            (Value::Array(rows), _) => (rows, &answer["data"]["pagination"]),
            (_, Value::Array(rows)) => (rows, &answer["pagination"]),
            _ => (answer["data"].as_array().unwrap(), &answer["meta"]["pagination"]),
        };
        let text = |row: &Value| row[member].as_str().map_or_else(|| row[member].to_string(), str::to_owned);
        (rows.iter().map(text).collect(), pages["total"].as_u64().unwrap())
    }

    async fn lists(&self, path: &str, member: &str, expected: &[&str]) {
        let (mut found, total) = self.column(path, member).await;
        assert_eq!(total, expected.len() as u64, "{path}");
        if !path.contains("sort=") {
            found.sort();
        }
        assert_eq!(found, expected, "{path}");
    }

    /// Returns the path of the only error.
    async fn refused(&self, path: &str, at: &str) {
        let (status, answer) = self.get(path).await;
        assert_eq!(status, 400, "{path}: {answer}");
        let errors = answer["error"]["details"]["errors"].as_array().unwrap();
        assert_eq!((errors.len(), &errors[0]["path"][0]), (1, &Value::from(at)), "{path}: {answer}");
    }
}

async fn session_of(world: &World, owner: OwnerId) -> String {
    let new = NewSession { owner, idle: Duration::from_secs(3600), lifespan: Duration::from_secs(3600) };
    world.keyward.tokens().open_session(new).await.unwrap().secret.expose().to_owned()
}

#[tokio::test]
async fn users_are_filtered_sorted_and_searched() {
    let site = Site::new().await;
    let ids = site.column("/admin/users?sort=id", "id").await.0;
    let two = format!("/admin/users?filters[id][$in][0]={}&filters[id][$in][1]={}", ids[1], ids[2]);
    let group = format!("/admin/users?filters[$and][0][id][$in]={}&filters[$and][0][id][$in]={}", ids[0], ids[1]);
    for (path, emails) in [
        ("/admin/users?filters[email][$eq]=ADA@example.test", vec!["ada@example.test"]),
        ("/admin/users?filters[firstname][$eq]=Ad", vec![]),
        ("/admin/users?filters[firstname][$contains]=ad", vec!["ada@example.test", "adam@other.test"]),
        (
            "/admin/users?filters[$and][0][firstname][$contains]=ad&filters[$and][1][email][$contains]=other",
            vec!["adam@other.test"],
        ),
        (&two, vec!["bob@example.test", "eve@other.test"]),
        (&group, vec!["ada@example.test", "bob@example.test"]),
        ("/admin/users?filters[blocked][$eq]=true", vec![]),
        // Two groups of filters must both match.
        ("/admin/users?filters[firstname][$in][0]=Ada&filters[$and][0][firstname][$in][0]=Bob", vec![]),
        ("/admin/users?_q=other.test&sort=email:DESC", vec!["eve@other.test", "adam@other.test"]),
        (
            "/admin/users?sort=firstname:asc",
            vec!["ada@example.test", "adam@other.test", "bob@example.test", "eve@other.test"],
        ),
    ] {
        site.lists(path, "email", &emails).await;
    }
    for (path, at) in [
        ("/admin/users?filters[password][$eq]=x", "filters[password][$eq]"),
        ("/admin/users?filters[email][$ne]=x", "filters[email][$ne]"),
        ("/admin/users?filters[email]=x", "filters[email]"),
        ("/admin/users?filters[id][$contains]=1", "filters[id][$contains]"),
        ("/admin/users?filters[isActive][$eq]=1", "filters[isActive][$eq]"),
        ("/admin/users?filters=x", "filters"),
        (
            "/admin/users?filters[email][$contains]=a&filters[$and][0][email][$contains]=b",
            "filters[$and][0][email][$contains]",
        ),
        ("/admin/users?filters[$or][0][email][$eq]=x", "filters[$or][0][email][$eq]"),
        ("/admin/users?sort=password", "sort"),
        ("/admin/users?populate=roles", "populate"),
    ] {
        site.refused(path, at).await;
    }
}

#[tokio::test]
async fn roles_and_tokens_are_filtered_sorted_and_searched() {
    let site = Site::new().await;
    for (name, description) in [("Editor", "edits"), ("Author", "writes and edits"), ("Reader", "")] {
        site.world.keyward.roles().create(NewRole::new(name).description(description)).await.unwrap();
    }
    let tokens = site.world.keyward.tokens();
    for (name, description) in [("deploy", "CI"), ("agent", "reads"), ("ci", "tests")] {
        tokens.issue_admin(NewAdminToken::new(name, site.ada).description(description)).await.unwrap();
        let access = if name == "ci" { ContentAccess::FullAccess } else { ContentAccess::ReadOnly };
        tokens.issue_content(NewContentToken::new(format!("content {name}"), access)).await.unwrap();
    }
    let own = format!("/admin/admin-tokens?filters[adminUserOwner][id][$eq]={}&sort=name:DESC", site.ada.0);
    for (path, names) in [
        ("/admin/roles?filters[name][$eq]=Editor", vec!["Editor"]),
        ("/admin/roles?filters[name][$in][0]=Editor&filters[name][$in][1]=Author&sort=name", vec!["Author", "Editor"]),
        ("/admin/roles?filters[description][$contains]=EDITS", vec!["Author", "Editor"]),
        ("/admin/roles?_q=write", vec!["Author"]),
        ("/admin/roles?filters[code][$eq]=strapi-super-admin", vec!["Super Admin"]),
        ("/admin/admin-tokens?filters[name][$eq]=ci", vec!["ci"]),
        ("/admin/admin-tokens?_q=CI", vec!["ci", "deploy"]),
        ("/admin/admin-tokens?filters[description][$contains]=ead", vec!["agent"]),
        (&own, vec!["deploy", "ci", "agent"]),
        ("/admin/admin-tokens?filters[adminUserOwner][$eq]=99", vec![]),
        ("/admin/api-tokens?filters[type][$eq]=full-access", vec!["content ci"]),
        ("/admin/api-tokens?sort=id:DESC", vec!["content ci", "content agent", "content deploy"]),
    ] {
        site.lists(path, "name", &names).await;
    }
    for (path, at) in [
        ("/admin/roles?filters[users][$eq]=1", "filters[users][$eq]"),
        ("/admin/roles?sort=usersCount", "sort"),
        ("/admin/admin-tokens?filters[accessKey][$eq]=1", "filters[accessKey][$eq]"),
        ("/admin/admin-tokens?sort=accessKey", "sort"),
        ("/admin/api-tokens?filters[type][$eq]=admin", "filters[type][$eq]"),
        ("/admin/users/me/sessions?filters[id][$eq]=1", "filters[id][$eq]"),
    ] {
        site.refused(path, at).await;
    }
}

#[tokio::test]
async fn audit_events_are_filtered_and_sorted() {
    let site = Site::new().await;
    let token = site.world.keyward.tokens().issue_admin(NewAdminToken::new("t", site.ada)).await.unwrap().token.id;
    site.world.keyward.tokens().revoke(token).await.unwrap();
    for (path, actions) in [
        ("/admin/audit-logs?filters[action][$eq]=token-revoked", vec!["token-revoked"]),
        // The first event belongs to the session.
        (
            "/admin/audit-logs?filters[action][$contains]=token&sort=date:ASC",
            vec!["token-issued", "token-issued", "token-revoked"],
        ),
        ("/admin/audit-logs?_q=TOKEN&sort=date:DESC", vec!["token-revoked", "token-issued", "token-issued"]),
        (
            "/admin/audit-logs?filters[action][$in][0]=token-issued&filters[action][$in][1]=x",
            vec!["token-issued", "token-issued"],
        ),
        ("/admin/audit-logs?action=token-issued&filters[action][$eq]=token-revoked", vec![]),
        ("/admin/audit-logs?filters[user][id][$eq]=1", vec![]),
    ] {
        site.lists(path, "action", &actions).await;
    }
    site.refused("/admin/audit-logs?filters[payload][$contains]=x", "filters[payload][$contains]").await;
    site.refused("/admin/audit-logs?filters[user][$in][0]=1&filters[user][$in][1]=2", "filters").await;
    site.refused("/admin/audit-logs?sort=action", "sort").await;
    let id = site.column("/admin/audit-logs?_q=revoked", "id").await.0.remove(0);
    let (status, answer) = site.get(&format!("/admin/audit-logs/{id}")).await;
    assert_eq!((status.as_u16(), &answer["data"]["action"]), (200, &Value::from("token-revoked")), "{answer}");
    for path in ["/admin/audit-logs/99999", "/admin/audit-logs/x"] {
        assert_eq!(site.get(path).await.0, 404, "{path}");
    }
}

/// Reads a response in the pieces that arrive.
async fn pieces(response: Response) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut stream = response.into_body().into_data_stream();
    while let Some(piece) = stream.next().await {
        pieces.push(String::from_utf8(piece.unwrap().to_vec()).unwrap());
    }
    pieces
}

#[tokio::test]
async fn the_audit_log_is_exported() {
    let site = Site::new().await;
    for n in 0..150 {
        site.world.keyward.roles().create(NewRole::new(format!("\"R{n}\", ="))).await.unwrap();
    }
    let (_, total) = site.column("/admin/audit-logs", "id").await;
    assert!(total > 150);
    let response = site.send(&site.session, "/admin/audit-logs/export?format=ndjson").await;
    assert_eq!(
        (response.status(), &response.headers()["content-type"]),
        (StatusCode::OK, &"application/x-ndjson".parse().unwrap())
    );
    let pieces = pieces(response).await;
    assert!(pieces.len() >= 2, "the export is streamed");
    let ids: Vec<i64> = pieces
        .concat()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_i64().unwrap())
        .collect();
    assert!(ids.len() as u64 == total && ids.is_sorted_by(|a, b| a > b), "each event once, the latest first");

    let response = site.send(&site.session, "/admin/audit-logs/export?filters[action][$eq]=role-created").await;
    let disposition = response.headers()["content-disposition"].to_str().unwrap().to_owned();
    assert!(disposition.contains("audit-log.csv"), "{disposition}");
    let text = self::pieces(response).await.concat();
    assert!(text.starts_with("id,date,action,"), "{text}");
    assert!(text.lines().skip(1).all(|line| line.contains("\"role-created\"")));
    for (path, at) in [
        ("/admin/audit-logs/export?format=xml", "format"),
        ("/admin/audit-logs/export?sort=date:ASC", "sort"),
        ("/admin/audit-logs/export?page=2", "page"),
    ] {
        site.refused(path, at).await;
    }
}

#[tokio::test]
async fn export_needs_its_own_permission_and_ends_with_its_credential() {
    let site = Site::new().await;
    for n in 0..150 {
        site.world.keyward.roles().create(NewRole::new(format!("R{n}"))).await.unwrap();
    }
    let actions = ["admin::audit-logs.read", "admin::audit-logs.export"];
    let tokens = site.world.keyward.tokens();
    let issue = async |name: &str, actions: &[&str]| {
        let new = NewAdminToken::new(name, site.ada).grants(actions.iter().map(|action| Grant::new(*action)));
        tokens.issue_admin(new).await.unwrap()
    };
    let (reader, exporter) = (issue("reader", &actions[..1]).await, issue("exporter", &actions).await);
    assert_eq!(site.send(reader.secret.expose(), "/admin/audit-logs/export").await.status(), 403);
    let response = site.send(exporter.secret.expose(), "/admin/audit-logs/export").await;
    assert_eq!(response.status(), 200);
    let mut stream = response.into_body().into_data_stream();
    stream.next().await.unwrap().unwrap();
    tokens.revoke(exporter.token.id).await.unwrap();
    assert!(stream.next().await.unwrap().is_err(), "the stream ends with an error");
    assert!(stream.next().await.is_none());
}
