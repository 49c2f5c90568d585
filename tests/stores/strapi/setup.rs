//! A database with the Strapi tables that keyward reads, filled by tests.

use axum::Json;
use axum::http::StatusCode;
use axum::routing::get;
use hmac::{Hmac, KeyInit, Mac};
use keyward::authz::{Conditions, Fields};
use keyward::guard::Guard;
use keyward::strapi::{StrapiOptions, StrapiStore};
use keyward::testing::{App, ManualClock};
use keyward::token::StrapiHashKey;
use keyward::{Decision, GuardedRouter, HashKey, action};
use keyward_test_support::postgres;
use serde_json::{Value, json};
use sha2::Sha512;
use sqlx::{Any, AnyConnection, AssertSqlSafe, Connection};
use std::sync::Arc;
use tempfile::TempDir;

pub const SALT: &str = "the salt of a reference";
pub const READ: &str = "plugin::content-manager.explorer.read";

const TABLES: &str = "
CREATE TABLE admin_roles (id BIGINT PRIMARY KEY, document_id TEXT, name TEXT, code TEXT, description TEXT);
CREATE TABLE admin_users (id BIGINT PRIMARY KEY, document_id TEXT, firstname TEXT, lastname TEXT, username TEXT, email TEXT,
    password TEXT, registration_token TEXT, is_active BOOLEAN, blocked BOOLEAN, created_at TIME);
CREATE TABLE admin_users_roles_lnk (user_id BIGINT, role_id BIGINT);
CREATE TABLE admin_permissions (id SERIAL PRIMARY KEY, action TEXT, action_parameters JSON, subject TEXT, properties JSON,
    conditions JSON);
CREATE TABLE admin_permissions_role_lnk (permission_id BIGINT, role_id BIGINT);
CREATE TABLE admin_permissions_api_token_lnk (permission_id BIGINT, api_token_id BIGINT);
CREATE TABLE strapi_api_tokens (id BIGINT PRIMARY KEY, document_id TEXT, name TEXT, description TEXT, kind TEXT, type TEXT,
    access_key TEXT, encrypted_key TEXT, lifespan BIGINT, expires_at TIME, last_used_at TIME, created_at TIME);
CREATE TABLE strapi_api_tokens_admin_user_owner_lnk (api_token_id BIGINT, user_id BIGINT);
CREATE TABLE strapi_api_token_permissions (id SERIAL PRIMARY KEY, action TEXT);
CREATE TABLE strapi_api_token_permissions_token_lnk (api_token_permission_id BIGINT, api_token_id BIGINT);
INSERT INTO admin_roles (id, name, code) VALUES (1, 'Super Admin', 'strapi-super-admin');
";

pub struct Setup {
    pub address: String,
    connection: AnyConnection,
    postgres: bool,
    permissions: i64,
    pub clock: Arc<ManualClock>,
    _directory: Option<TempDir>,
}

impl Setup {
    /// Returns one on each engine.
    pub async fn on_both() -> Vec<Self> {
        let mut houses = vec![Self::in_a_file().await];
        houses.extend(Self::on_postgres().await);
        houses
    }

    pub async fn in_a_file() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let address = format!("sqlite:{}", directory.path().join("data.db").display());
        Self::made(address, Some(directory)).await
    }

    pub async fn on_postgres() -> Option<Self> {
        Some(Self::made(postgres::create_database().await?, None).await)
    }

    async fn made(address: String, directory: Option<TempDir>) -> Self {
        sqlx::any::install_default_drivers();
        let postgres = address.starts_with("postgres");
        let url = if postgres { address.clone() } else { format!("{address}?mode=rwc") };
        let connection = AnyConnection::connect(&url).await.unwrap();
        let clock = Arc::default();
        let mut setup = Self { address, connection, postgres, permissions: 0, clock, _directory: directory };
        let words = match postgres {
            true => [(" TIME", " TIMESTAMP(6)"), (" JSON", " JSONB"), ("SERIAL", "BIGSERIAL")],
            false => [(" TIME", " DATETIME"), (" JSON", " JSON"), ("SERIAL", "INTEGER")],
        };
        setup.sql(&words.iter().fold(TABLES.to_owned(), |text, (word, its)| text.replace(word, its))).await;
        setup
    }

    pub async fn sql(&mut self, text: &str) {
        sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(&mut self.connection).await.unwrap();
    }

    pub async fn number(&mut self, question: &str) -> i64 {
        sqlx::query_scalar::<Any, i64>(AssertSqlSafe(question.to_owned()))
            .fetch_one(&mut self.connection)
            .await
            .unwrap()
    }

    /// Returns a time as an SQL literal.
    pub fn time(&self, ms: i64) -> String {
        match self.postgres {
            true => format!("(TIMESTAMP 'epoch' + {ms} * INTERVAL '1 millisecond')"),
            false => ms.to_string(),
        }
    }

    /// Inserts an active user with these roles.
    pub async fn user(&mut self, id: i64, roles: &[i64]) {
        let names = format!("'user{id}', 'U{id}', 'X', 'user{id}@example.test'");
        self.sql(&format!(
            "INSERT INTO admin_users (id, document_id, firstname, lastname, email, is_active, blocked) \
             VALUES ({id}, {names}, TRUE, FALSE)"
        ))
        .await;
        for role in roles {
            self.sql(&format!("INSERT INTO admin_users_roles_lnk VALUES ({id}, {role})")).await;
        }
    }

    pub async fn role(&mut self, id: i64) {
        self.sql(&format!("INSERT INTO admin_roles (id, name, code) VALUES ({id}, 'Role {id}', 'role-{id}')")).await;
    }

    /// Inserts a permission to read articles, for a `role` or a `token`, with these columns unchanged.
    pub async fn reads(&mut self, whose: &str, id: i64, properties: &str, conditions: &str) {
        self.permission(whose, id, &format!("'{READ}', '{{}}', 'api::article.article', {properties}, {conditions}"))
            .await;
    }

    /// Inserts a permission: action, parameters, subject, properties, conditions.
    pub async fn permission(&mut self, whose: &str, id: i64, columns: &str) {
        self.permissions += 1;
        let n = self.permissions;
        let table = if whose == "role" { "role" } else { "api_token" };
        self.sql(&format!(
            "INSERT INTO admin_permissions (action, action_parameters, subject, properties, conditions) VALUES ({columns}); \
             INSERT INTO admin_permissions_{table}_lnk VALUES ({n}, {id})"
        ))
        .await;
    }

    /// Inserts an admin token of this user and returns its secret.
    pub async fn admin_token(&mut self, id: i64, owner: i64) -> String {
        let secret = self.token(id, "'admin'", "'read-only'").await;
        self.sql(&format!("INSERT INTO strapi_api_tokens_admin_user_owner_lnk VALUES ({id}, {owner})")).await;
        secret
    }

    /// Inserts a token of this kind and type and returns its secret.
    pub async fn token(&mut self, id: i64, kind: &str, access: &str) -> String {
        let secret = format!("{id:0>256}");
        let digest = digest(&secret);
        self.sql(&format!(
            "INSERT INTO strapi_api_tokens (id, document_id, name, description, kind, type, access_key) \
             VALUES ({id}, 'doc{id}', 'token {id}', '', {kind}, {access}, '{digest}')"
        ))
        .await;
        secret
    }

    pub async fn store(&self) -> StrapiStore {
        self.store_with(StrapiOptions::default()).await
    }

    pub async fn store_with(&self, options: StrapiOptions) -> StrapiStore {
        StrapiStore::open_with(&self.address, options.clock(self.clock.clone())).await.unwrap()
    }

    /// Returns the reported problems, one per line.
    pub async fn left(&self) -> Vec<String> {
        let left = self.store().await.unsupported_rows(&Conditions::default()).await.unwrap();
        left.iter().map(ToString::to_string).collect()
    }

    /// Returns an installation on this database.
    pub async fn keyward(&self) -> Guard {
        self.keyward_on(self.store().await)
    }

    pub fn keyward_on(&self, store: StrapiStore) -> Guard {
        Guard::builder(store)
            .hash_key(HashKey::generate().unwrap().0)
            .strapi_hash_key(StrapiHashKey::new(SALT).unwrap())
            .clock(self.clock.clone())
            .admin("/admin")
            .content("/api")
            .build()
            .unwrap()
    }

    /// Returns the statuses of requests for articles and in the content group, and the rules.
    pub async fn ask(&self, secret: &str) -> (u16, u16, Value) {
        ask(&self.keyward().await, secret).await
    }

    /// Returns the status of a request for webhooks, which have no resource.
    pub async fn ask_for_webhooks(&self, secret: &str) -> u16 {
        let request = app(&self.keyward().await).get("/admin/webhooks");
        request.header(axum::http::header::AUTHORIZATION, &format!("Bearer {secret}")).await.status.as_u16()
    }
}

/// Returns the digest of a secret, computed without keyward.
pub fn digest(secret: &str) -> String {
    let mut mac = Hmac::<Sha512>::new_from_slice(SALT.as_bytes()).unwrap();
    mac.update(secret.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

/// Returns the routes of `ask`, and webhooks.
fn app(keyward: &Guard) -> App {
    let fine = || get(async || StatusCode::OK);
    App::from_service(
        keyward.guard(
            GuardedRouter::new()
                .route("/admin/articles", action(READ).on("api::article.article"), get(rules))
                .route("/admin/webhooks", action("admin::webhooks.read"), fine())
                .route("/api/articles", action("api::article.article.find"), fine()),
        ),
    )
}

pub async fn ask(keyward: &Guard, secret: &str) -> (u16, u16, Value) {
    let app = app(keyward);
    let bearer = format!("Bearer {secret}");
    let get = async |path: &str| app.get(path).header(axum::http::header::AUTHORIZATION, &bearer).await;
    let admin = get("/admin/articles").await;
    let content = get("/api/articles").await;
    let status = admin.status.as_u16();
    (status, content.status.as_u16(), if status == 200 { admin.json() } else { Value::Null })
}

async fn rules(decision: Decision) -> Json<Value> {
    let rule = |rule: &keyward::authz::DecisionRule| {
        let fields = match rule.fields() {
            Fields::All => Value::Null,
            Fields::Only(set) => json!(set.as_slice()),
        };
        json!([fields, rule.conditions().collect::<Vec<_>>()])
    };
    Json(decision.rules().iter().map(rule).collect())
}
