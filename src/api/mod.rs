//! The management API: tokens, users, roles, sessions and the audit log over HTTP, under `/admin`.
//!
//! [`router`] has all of its routes, each guarded by its own requirement; [`Builder::api`](crate::Builder::api) adds the groups
//! that they belong to.
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
//! An answer is `{"data": ..}`; an error `{"data": null, "error": {"status", "name", "message", "details"}}`, where
//! `details.errors` names each wrong field by its path. `GET /admin/openapi.json` describes all of it.
//!
//! No rule lives here: a handler reads what was sent, calls a service for whoever asks, and shows what that answers.

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
mod sessions;
mod state;
mod token;
mod unchanged;
mod user;
mod users;

use crate::domain::{Requirement, action, authenticated};
use crate::guard::{Group, GuardedRouter};
use crate::keyward::{Builder, Keyward};
use axum::routing::{delete, get, post, put};
use http::Method;
use state::Api;

/// Routes that nobody has to sign in for.
const PUBLIC: [(Method, &str); 4] = [
    (Method::POST, "/admin/login"),
    (Method::POST, "/admin/register"),
    (Method::POST, "/admin/register-admin"),
    (Method::GET, "/admin/openapi.json"),
];

/// All routes of the management API. Merge it with your own, and put the gate around both.
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
    GuardedRouter::new()
        .public("/admin/login", post(sessions::login))
        .public("/admin/register", post(sessions::register))
        .public("/admin/register-admin", post(sessions::register_admin))
        .public("/admin/openapi.json", get(openapi::document))
        .merge(own_account())
        .merge(people())
        .merge(admin_tokens())
        .merge(content_tokens())
        .route("/admin/audit-logs", may("admin::audit-logs.read"), get(audit::list))
        .route("/admin/audit-logs/export", may("admin::audit-logs.export"), get(export::export))
        .route("/admin/audit-logs/{id}", may("admin::audit-logs.read"), get(audit::read))
        .with_state(Api::new(keyward))
}

/// No route chooses rows: whoever holds its action under conditions only does not hold it.
fn may(name: &str) -> Requirement {
    action(name).whole()
}

fn own_account() -> GuardedRouter<Api> {
    GuardedRouter::new()
        .route("/admin/logout", authenticated(), post(sessions::logout))
        .route("/admin/users/me", authenticated(), get(me::read))
        .route("/admin/users/me", authenticated(), put(me::update))
        .route("/admin/users/me/permissions", authenticated(), get(me::permissions))
        .route("/admin/users/me/sessions", authenticated(), get(me::list_sessions))
        .route("/admin/users/me/sessions", authenticated(), delete(me::end_sessions))
        .route("/admin/users/me/sessions/{id}", authenticated(), delete(me::end_session))
}

fn people() -> GuardedRouter<Api> {
    GuardedRouter::new()
        .route("/admin/users", may("admin::users.read"), get(users::list))
        .route("/admin/users", may("admin::users.create"), post(users::create))
        .route("/admin/users/{id}", may("admin::users.read"), get(users::read))
        .route("/admin/users/{id}", may("admin::users.update"), put(users::update))
        .route("/admin/users/{id}", may("admin::users.delete"), delete(users::delete))
        .route("/admin/users/{id}/invitation", may("admin::users.create"), post(users::invite_again))
        .route("/admin/roles", may("admin::roles.read"), get(roles::list))
        .route("/admin/roles", may("admin::roles.create"), post(roles::create))
        .route("/admin/roles/{id}", may("admin::roles.read"), get(roles::read))
        .route("/admin/roles/{id}", may("admin::roles.update"), put(roles::update))
        .route("/admin/roles/{id}", may("admin::roles.delete"), delete(roles::delete))
        .route("/admin/roles/{id}/permissions", may("admin::roles.read"), get(roles::permissions))
        .route("/admin/roles/{id}/permissions", may("admin::roles.update"), put(roles::set_permissions))
        .route("/admin/permissions", may("admin::roles.read"), get(catalogue::list))
}

fn admin_tokens() -> GuardedRouter<Api> {
    const ONE: &str = "/admin/admin-tokens/{id}";
    let read = || may("admin::admin-tokens.read");
    GuardedRouter::new()
        .route("/admin/admin-tokens", read(), get(admin_tokens::list))
        .route("/admin/admin-tokens", may("admin::admin-tokens.create"), post(admin_tokens::create))
        .route("/admin/admin-tokens/self", authenticated(), get(admin_tokens::read_self))
        .route(ONE, read(), get(admin_tokens::read))
        .route(ONE, may("admin::admin-tokens.update"), put(admin_tokens::update))
        .route(ONE, may("admin::admin-tokens.delete"), delete(admin_tokens::delete))
        .route(&format!("{ONE}/regenerate"), may("admin::admin-tokens.regenerate"), post(admin_tokens::regenerate))
        .route(&format!("{ONE}/owner-permissions"), read(), get(admin_tokens::owner_permissions))
        .route(&format!("{ONE}/audit-logs"), read(), get(audit::of_admin_token))
}

fn content_tokens() -> GuardedRouter<Api> {
    const ONE: &str = "/admin/api-tokens/{id}";
    GuardedRouter::new()
        .route("/admin/api-tokens", may("admin::api-tokens.read"), get(content_tokens::list))
        .route("/admin/api-tokens", may("admin::api-tokens.create"), post(content_tokens::create))
        .route(ONE, may("admin::api-tokens.read"), get(content_tokens::read))
        .route(ONE, may("admin::api-tokens.update"), put(content_tokens::update))
        .route(ONE, may("admin::api-tokens.delete"), delete(content_tokens::delete))
        .route(&format!("{ONE}/regenerate"), may("admin::api-tokens.regenerate"), post(content_tokens::regenerate))
}

impl<T> Builder<T> {
    /// Adds the groups of the [management API](crate::api): an admin group `/admin`, unless there is one, in which signing in,
    /// registering and the API's description are public.
    ///
    /// Pages of other origins may not read what these answer, unless a CORS layer of yours says so; and since bodies have to be
    /// `application/json`, they cannot send them unasked either.
    pub fn api(self) -> Self {
        let with_admin = if self.has_admin("/admin") { self } else { self.admin("/admin") };
        PUBLIC.into_iter().fold(with_admin, |all, (method, path)| all.group(Group::public(path).exact(method)))
    }
}
