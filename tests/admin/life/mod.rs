//! The life of a key in production, over the management API, with the clock of the fixtures.

mod attacks;
mod children;
mod limits;
mod rotation;
mod rules;

use axum::routing::get;
use keyward::admin::{AuditAction, AuditCause, NewSession, Policy};
use keyward::store::{EventQuery, Paging};
use keyward::testing::{Answer, App, ManualClock, World};
use keyward::{Builder, ContentAuth, GuardedRouter, NewOwner, Permission, RoleId, action, any_of, api, authenticated};
use serde_json::{Value, json};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A service with the management API, an admin route `/admin/x`, one that takes `article.read`, and a content route.
struct Site {
    world: World,
    app: App,
    /// A super admin's session.
    session: String,
}

/// A token made over the API.
struct Made {
    id: i64,
    key: String,
    shown: Value,
}

impl Site {
    async fn new() -> Self {
        Self::with(|policy| policy, |builder| builder).await
    }

    async fn with(policy: impl FnOnce(Policy) -> Policy, settings: impl FnOnce(Builder) -> Builder) -> Self {
        let policy = policy(Policy::default());
        let world = World::with(|builder| settings(builder.api("/admin").policy(policy)));
        let app = app(&world);
        let ada = NewOwner::new("ada@example.test").named("Ada", "Lovelace").roles([RoleId::SUPER_ADMIN]);
        let owner = world.keyward.owners().create(ada).await.unwrap().id;
        let new = NewSession { owner, idle: 300 * DAY, lifespan: 365 * DAY };
        let session = world.keyward.tokens().open_session(new).await.unwrap().secret.expose().to_owned();
        Self { world, app, session }
    }

    fn clock(&self) -> &Arc<ManualClock> {
        &self.world.clock
    }

    async fn post(&self, secret: &str, path: &str, body: Value) -> Answer {
        self.app.post(path).bearer(secret).json(&body).await
    }

    /// Creates a token with the super admin's session.
    async fn make(&self, list: &str, body: Value) -> Made {
        made(&self.post(&self.session, list, body).await)
    }

    async fn admin(&self, body: Value) -> Made {
        self.make("/admin/admin-tokens", body).await
    }

    /// Reads a token with the super admin's session.
    async fn read(&self, id: i64) -> Value {
        let path = format!("/admin/admin-tokens/{id}");
        self.app.get(&path).bearer(self.session.as_str()).await.assert_ok().json()["data"].clone()
    }

    /// Sends a request to a route that takes no permission.
    async fn try_key(&self, key: &str) -> Answer {
        self.app.get("/admin/x").bearer(key).await
    }

    async fn try_from(&self, key: &str, address: &str) -> Answer {
        let address: IpAddr = address.parse().unwrap();
        self.app.get("/admin/x").bearer(key).peer(address).await
    }

    /// Returns how many events of this kind there are.
    async fn events(&self, what: AuditAction) -> usize {
        self.causes(what).await.len()
    }

    /// Returns the causes of the events of this kind.
    async fn causes(&self, what: AuditAction) -> Vec<Option<AuditCause>> {
        self.world.keyward.flush().await;
        let paging = Paging { page: 1, page_size: Paging::LARGEST };
        let query = EventQuery { actions: Some(vec![what]), ..EventQuery::all(paging) };
        let page = self.world.keyward.audit().list(&query).await.unwrap();
        page.items.into_iter().map(|(_, event)| event.cause).collect()
    }
}

fn app(world: &World) -> App {
    let routes = GuardedRouter::new()
        .get("/admin/x", authenticated(), || async {})
        .get("/admin/articles", action("article.read"), || async {})
        .route("/api/x", any_of([action("x.find"), authenticated()]), get(|_: ContentAuth| async {}));
    world.guard(routes.merge(api::router(&world.keyward)))
}

fn made(answer: &Answer) -> Made {
    answer.assert_status(201);
    let shown = answer.json()["data"].clone();
    let key = shown["accessKey"].as_str().unwrap().to_owned();
    Made { id: shown["id"].as_i64().unwrap(), key, shown }
}

/// Asserts that a request is refused with this status, and names this field.
#[track_caller]
fn assert_field(answer: &Answer, field: &[&str]) {
    answer.assert_status(400);
    let errors = answer.json()["error"]["details"]["errors"].clone();
    let paths: Vec<Value> = errors.as_array().unwrap().iter().map(|error| error["path"].clone()).collect();
    assert!(paths.contains(&json!(field)), "{field:?}: {errors}");
}

fn read_articles() -> Permission {
    Permission::new("article.read")
}
