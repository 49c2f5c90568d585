//! The application: users with roles, who sign in with a password, and articles.
//!
//! The lines between the marks `keyward: begin` and `keyward: end` give its users tokens. Besides them there are imports, and
//! the table of routes names the permission that each takes.

mod articles;
mod errors;
mod tokens;
mod users;

use axum::Router;
use axum::routing::post;
use axum_login::AuthManagerLayerBuilder;
use axum_login::tower_sessions::{MemoryStore, SessionManagerLayer};
use keyward::token::HashKeyRing;
use keyward::{GuardedRouter, Keyward, action, authenticated};
use sqlx::SqlitePool;
use users::Users;

pub(crate) use users::{DEMO_PASSWORD, DEMO_USERS};

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The state of the handlers.
#[derive(Clone)]
pub(crate) struct App {
    pool: SqlitePool,
    users: Users,
    // keyward: begin
    pub(crate) keyward: Keyward,
    // keyward: end
}

impl App {
    /// Creates the missing tables, and the demo users in an empty database.
    pub(crate) async fn new(pool: SqlitePool, hash_keys: HashKeyRing) -> Result<Self, BoxError> {
        let users = Users::new(pool.clone()).await?;
        articles::create_table(&pool).await?;
        Ok(Self {
            // keyward: begin
            keyward: tokens::install(&users, hash_keys).await?,
            // keyward: end
            pool,
            users,
        })
    }

    pub(crate) fn router(&self) -> Router {
        let routes = GuardedRouter::new()
            .public("/sign-in", post(users::sign_in))
            .get("/app/me", authenticated(), users::me)
            .post("/app/sign-out", authenticated(), users::sign_out)
            .get("/app/users", action("user.read"), users::list)
            .patch("/app/users/{id}", action("user.change"), users::change)
            // keyward: begin
            .get("/app/tokens", authenticated(), tokens::list)
            .post("/app/tokens", authenticated(), tokens::issue)
            .post("/app/tokens/{id}/regenerate", authenticated(), tokens::regenerate)
            .delete("/app/tokens/{id}", authenticated(), tokens::revoke)
            // keyward: end
            .get("/api/articles", action("article.read"), articles::list)
            .post("/api/articles", action("article.write"), articles::write)
            .delete("/api/articles/{id}", action("article.delete"), articles::delete)
            .with_state(self.clone());
        // The cookie is sent over plain HTTP, as the example listens on loopback only.
        let sessions = SessionManagerLayer::new(MemoryStore::default()).with_secure(false);
        let sign_in = AuthManagerLayerBuilder::new(self.users.clone(), sessions).build();
        // keyward: begin
        let routes = self.keyward.guard(routes).into_router();
        // keyward: end
        // Outside the gate, which has to see who is signed in.
        routes.layer(sign_in)
    }
}
