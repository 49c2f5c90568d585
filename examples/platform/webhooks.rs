//! Webhooks: rows whose actions have no resource.

use crate::database::{Database, Row};
use crate::wire::{Body, Failure, Problem, texts};
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::routing::{get, post};
use axum::{Json, response::IntoResponse};
use keyward::time::{Clock, SystemClock, Timestamp};
use keyward::{Decision, GuardedRouter, action};
use serde_json::{Value, json};

/// The members that every caller sees: they are not fields.
const ALWAYS: [&str; 2] = ["id", "createdAt"];

pub(crate) fn routes(database: &Database) -> GuardedRouter {
    GuardedRouter::new()
        .route("/admin/webhooks", action("admin::webhooks.read"), get(list))
        .route("/admin/webhooks", action("admin::webhooks.create"), post(create))
        .with_state(database.clone())
}

async fn list(State(database): State<Database>, decision: Decision) -> Result<Json<Value>, Failure> {
    let all = "SELECT id, name, url, created_at FROM webhook ORDER BY id".to_owned();
    let all = database.read().await?.rows(all, Vec::new()).await?;
    let all = all.iter().map(Webhook::of).collect::<sqlx::Result<Vec<_>>>()?;
    let visible: Vec<_> = all.iter().filter_map(|webhook| decision.project(webhook.json(), &ALWAYS)).collect();
    Ok(Json(json!({"data": visible})))
}

async fn create(
    State(database): State<Database>,
    decision: Decision,
    Body(body): Body,
) -> Result<impl IntoResponse, Failure> {
    let mut texts = texts(&body, &["name", "url"], &[])?;
    let mut take = |field| texts.remove(field).flatten().unwrap_or_default();
    let webhook = Webhook { id: 0, name: take("name"), url: take("url"), created_at: SystemClock.now().0 };
    if webhook.name.trim().is_empty() {
        return Err(Problem::at(&["name"], "name must not be empty").into());
    }
    if !is_web_address(&webhook.url) {
        let message = "url must be an address that begins with http:// or https://";
        return Err(Problem::at(&["url"], message).got(webhook.url).into());
    }
    decision.permits_create(&webhook.json(), ["name", "url"])?;
    let mut change = database.write().await?;
    let insert = "INSERT INTO webhook (name, url, created_at) VALUES ($1, $2, $3) RETURNING id".to_owned();
    let binds = vec![webhook.name.as_str().into(), webhook.url.as_str().into(), webhook.created_at.into()];
    let id = change.row(insert, binds).await?.get("id")?;
    change.commit().await?;
    Ok((StatusCode::CREATED, Json(json!({"data": Webhook { id, ..webhook }.json()}))))
}

fn is_web_address(url: &str) -> bool {
    url.parse::<Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    })
}

struct Webhook {
    id: i64,
    name: String,
    url: String,
    created_at: i64,
}

impl Webhook {
    fn of(row: &Row) -> sqlx::Result<Self> {
        let (id, created_at) = (row.get("id")?, row.get("created_at")?);
        Ok(Self { id, name: row.get("name")?, url: row.get("url")?, created_at })
    }

    fn json(&self) -> Value {
        let created_at = Timestamp(self.created_at).to_string();
        json!({"id": self.id, "name": self.name, "url": self.url, "createdAt": created_at})
    }
}
