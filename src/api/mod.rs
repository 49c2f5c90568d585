//! The management API: tokens, users, roles, sessions and the audit log over HTTP, under `/admin`.
//!
//! [`router`] has all of its routes, each with its own requirement. [`Builder::api`](crate::Builder::api) adds the
//! route groups.
//!
//! ```
//! # tokio_test::block_on(async {
//! use keyward::{api, HashKey, Keyward, MemoryStore};
//! let (hash_key, _) = HashKey::generate()?;
//! let keyward = Keyward::builder(MemoryStore::default()).hash_key(hash_key).api().build()?;
//! let app = keyward.guard(api::router(&keyward));
//! # let _ = app;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! A response is `{"data": ..}`; an error is `{"data": null, "error": {"status", "name", "message", "details"}}`, where
//! `details.errors` names each invalid field by its path. `GET /admin/openapi.json` describes all routes.
//!
//! Handlers parse the request, call a service on behalf of the caller, and render the result. The services hold the
//! rules.

mod admin_tokens;
mod answer;
mod audit;
mod body;
mod catalogue;
mod content_tokens;
mod export;
mod failure;
mod json;
mod me;
mod openapi;
mod permission;
mod query;
mod request;
mod roles;
mod schema;
mod sessions;
mod state;
mod token;
mod unchanged;
mod user;
mod users;

use crate::domain::{Requirement, action, authenticated};
use crate::guard::{Group, GuardedRouter, RejectionFormat};
use crate::keyward::{Builder, Keyward};
use axum::routing::{delete, get, post, put};
use http::Method;
use state::{Api, Documents};

/// Routes that need no credential.
const PUBLIC: [(Method, &str); 4] = [
    (Method::POST, "/admin/login"),
    (Method::POST, "/admin/register"),
    (Method::POST, "/admin/register-admin"),
    (Method::GET, "/admin/openapi.json"),
];

/// Returns all routes of the management API. Merge them with your own, and guard both.
///
/// ```
/// # tokio_test::block_on(async {
/// use axum::routing::get;
/// use keyward::{action, api, GuardedRouter, HashKey, Keyward, MemoryStore};
/// # let (hash_key, _) = HashKey::generate()?;
/// let keyward = Keyward::builder(MemoryStore::default()).hash_key(hash_key).api().build()?;
/// let own = GuardedRouter::new().route("/admin/webhooks", action("admin::webhooks.read"), get(|| async { "[]" }));
/// let app = keyward.guard(api::router(&keyward).merge(own));
/// # let _ = app;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub fn router(keyward: &Keyward) -> GuardedRouter {
    let documents = Documents {
        catalogue: catalogue::render(&keyward.catalogue().cloned().unwrap_or_default(), keyward.conditions()),
        openapi: openapi::render(keyward.gate().credential_headers()),
    };
    GuardedRouter::new()
        .public("/admin/login", post(sessions::login))
        .public("/admin/register", post(sessions::register))
        .public("/admin/register-admin", post(sessions::register_admin))
        .public("/admin/openapi.json", get(openapi::document))
        .merge(account_routes())
        .merge(people_routes())
        .merge(admin_token_routes())
        .merge(content_token_routes())
        .route("/admin/audit-logs", require("admin::audit-logs.read"), get(audit::list))
        .route("/admin/audit-logs/export", require("admin::audit-logs.export"), get(export::export))
        .route("/admin/audit-logs/{id}", require("admin::audit-logs.read"), get(audit::read))
        .with_state(Api::new(keyward, documents))
}

/// Requires an action without conditions: these routes filter no rows by a decision.
fn require(name: &str) -> Requirement {
    action(name).whole()
}

fn account_routes() -> GuardedRouter<Api> {
    GuardedRouter::new()
        .route("/admin/logout", authenticated(), post(sessions::logout))
        .route("/admin/users/me", authenticated(), get(me::read))
        .route("/admin/users/me", authenticated(), put(me::update))
        .route("/admin/users/me/permissions", authenticated(), get(me::permissions))
        .route("/admin/users/me/sessions", authenticated(), get(me::list_sessions))
        .route("/admin/users/me/sessions", authenticated(), delete(me::end_sessions))
        .route("/admin/users/me/sessions/{id}", authenticated(), delete(me::end_session))
}

fn people_routes() -> GuardedRouter<Api> {
    GuardedRouter::new()
        .route("/admin/users", require("admin::users.read"), get(users::list))
        .route("/admin/users", require("admin::users.create"), post(users::create))
        .route("/admin/users/{id}", require("admin::users.read"), get(users::read))
        .route("/admin/users/{id}", require("admin::users.update"), put(users::update))
        .route("/admin/users/{id}", require("admin::users.delete"), delete(users::delete))
        .route("/admin/users/{id}/invitation", require("admin::users.create"), post(users::invite_again))
        .route("/admin/roles", require("admin::roles.read"), get(roles::list))
        .route("/admin/roles", require("admin::roles.create"), post(roles::create))
        .route("/admin/roles/{id}", require("admin::roles.read"), get(roles::read))
        .route("/admin/roles/{id}", require("admin::roles.update"), put(roles::update))
        .route("/admin/roles/{id}", require("admin::roles.delete"), delete(roles::delete))
        .route("/admin/roles/{id}/permissions", require("admin::roles.read"), get(roles::permissions))
        .route("/admin/roles/{id}/permissions", require("admin::roles.update"), put(roles::set_permissions))
        .route("/admin/permissions", require("admin::roles.read"), get(catalogue::list))
}

fn admin_token_routes() -> GuardedRouter<Api> {
    const ONE: &str = "/admin/admin-tokens/{id}";
    let read = || require("admin::admin-tokens.read");
    GuardedRouter::new()
        .route("/admin/admin-tokens", read(), get(admin_tokens::list))
        .route("/admin/admin-tokens", require("admin::admin-tokens.create"), post(admin_tokens::create))
        .route("/admin/admin-tokens/self", authenticated(), get(admin_tokens::read_self))
        .route(ONE, read(), get(admin_tokens::read))
        .route(ONE, require("admin::admin-tokens.update"), put(admin_tokens::update))
        .route(ONE, require("admin::admin-tokens.delete"), delete(admin_tokens::delete))
        .route(&format!("{ONE}/regenerate"), require("admin::admin-tokens.regenerate"), post(admin_tokens::regenerate))
        .route(&format!("{ONE}/owner-permissions"), read(), get(admin_tokens::owner_permissions))
        .route(&format!("{ONE}/audit-logs"), read(), get(audit::list_by_admin_token))
}

fn content_token_routes() -> GuardedRouter<Api> {
    const ONE: &str = "/admin/api-tokens/{id}";
    GuardedRouter::new()
        .route("/admin/api-tokens", require("admin::api-tokens.read"), get(content_tokens::list))
        .route("/admin/api-tokens", require("admin::api-tokens.create"), post(content_tokens::create))
        .route(ONE, require("admin::api-tokens.read"), get(content_tokens::read))
        .route(ONE, require("admin::api-tokens.update"), put(content_tokens::update))
        .route(ONE, require("admin::api-tokens.delete"), delete(content_tokens::delete))
        .route(&format!("{ONE}/regenerate"), require("admin::api-tokens.regenerate"), post(content_tokens::regenerate))
}

impl<T> Builder<T> {
    /// Adds the groups of the [management API](crate::api): the admin group `/admin`, unless there is one, and public
    /// groups for signing in, registering and the OpenAPI document. Rejections in these groups have the form of the
    /// API's errors, [Strapi's](RejectionFormat::Strapi), unless the admin group was given another.
    ///
    /// Pages of other origins cannot read the responses, unless you add a CORS layer. They cannot send requests without
    /// a preflight either, because bodies have to be `application/json`.
    pub fn api(self) -> Self {
        let with_admin = if self.has_admin("/admin") { self } else { self.admin("/admin") };
        let with_form = with_admin.admin_in_strapi_form("/admin");
        let public = |(method, path)| Group::public(path).exact(method).rejection_format(RejectionFormat::Strapi);
        PUBLIC.into_iter().map(public).fold(with_form, Self::group)
    }
}
