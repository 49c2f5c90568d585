//! The management API: tokens, users, roles, sessions and the audit log over HTTP.
//!
//! [`Builder::api`](crate::Builder::api) mounts it at a path, with its route groups. [`router`] has its routes, each with
//! its own requirement.
//!
//! ```
//! # tokio_test::block_on(async {
//! use keyward::{api, HashKey, Keyward, MemoryStore};
//! let (hash_key, _) = HashKey::generate()?;
//! let keyward = Keyward::builder(MemoryStore::default()).hash_key(hash_key).api("/admin").build()?;
//! let app = keyward.guard(api::router(&keyward));
//! # let _ = app;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! At `/admin` it has the paths of Strapi's. A response is `{"data": ..}`; an error is
//! `{"data": null, "error": {"status", "name", "message", "details"}}`, where `details.errors` names each invalid field by
//! its path. `GET /admin/openapi.json` describes all routes.
//!
//! [`RouteSecurity`] adds the requirements of your own routes to your own OpenAPI document.
//!
//! Handlers parse the request, call a service on behalf of the caller, and render the result. The services hold the
//! rules.

mod admin_tokens;
mod answer;
mod audit;
mod body;
mod catalogue;
mod content_tokens;
mod explain;
mod export;
mod failure;
mod find;
mod form;
mod introspect;
mod json;
mod limits;
mod me;
mod openapi;
mod own_tokens;
mod permission;
mod query;
mod request;
mod revoke;
mod revoke_all;
mod roles;
mod route_security;
mod schema;
#[cfg(feature = "secret-scanning")]
mod secret_scanning;
mod sessions;
mod state;
mod token;
mod unchanged;
mod user;
mod users;
mod whoami;

pub use route_security::RouteSecurity;
#[cfg(feature = "secret-scanning")]
pub(crate) use secret_scanning::secret_scanning_groups;
pub use whoami::whoami;

use crate::domain::{Requirement, action, authenticated};
use crate::guard::{Group, GuardedRouter, Mount, RejectionFormat};
use crate::keyward::{Builder, Keyward};
use axum::routing::{delete, get, post, put};
use http::Method;
use state::{Api, Documents};

const DOCUMENT: &str = "/openapi.json";

/// Routes for visitors, who have no credential.
const VISITORS: [&str; 4] = ["/login", "/register", "/register-admin", "/revoke"];

/// Returns the routes of the management API, at each path where it is [mounted](crate::Builder::api). Merge them with
/// your own, and guard both.
///
/// # Panics
/// If it is mounted nowhere.
///
/// ```
/// # tokio_test::block_on(async {
/// use axum::routing::get;
/// use keyward::{action, api, GuardedRouter, HashKey, Keyward, MemoryStore};
/// # let (hash_key, _) = HashKey::generate()?;
/// let keyward = Keyward::builder(MemoryStore::default()).hash_key(hash_key).api("/admin").build()?;
/// let own = GuardedRouter::new().route("/admin/webhooks", action("admin::webhooks.read"), get(|| async { "[]" }));
/// let app = keyward.guard(api::router(&keyward).merge(own));
/// # let _ = app;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub fn router(keyward: &Keyward) -> GuardedRouter {
    let mounts = &keyward.mounts().api;
    assert!(!mounts.is_empty(), "the management API is mounted nowhere: add `.api(\"/admin\")` to the builder");
    mounts.iter().fold(GuardedRouter::new(), |router, mount| router.nest(mount.path(), routes(keyward, mount)))
}

/// Returns the routes of a mount, without its path.
fn routes(keyward: &Keyward, mount: &Mount) -> GuardedRouter {
    let documents = Documents {
        catalogue: catalogue::render(&keyward.catalogue().cloned().unwrap_or_default(), keyward.conditions()),
        openapi: openapi::render(mount, keyward.gate().credential_headers()),
    };
    let routes = if mount.is_whole() { all_routes() } else { own_token_routes() };
    #[cfg(feature = "secret-scanning")]
    let routes = if mount.is_whole() { secret_scanning::with_route(routes, keyward) } else { routes };
    routes.public(DOCUMENT, get(openapi::document)).with_state(Api::new(keyward, documents))
}

fn all_routes() -> GuardedRouter<Api> {
    GuardedRouter::new()
        .public("/login", post(sessions::login))
        .public("/register", post(sessions::register))
        .public("/register-admin", post(sessions::register_admin))
        .merge(account_routes())
        .merge(people_routes())
        .merge(admin_token_routes())
        .merge(content_token_routes())
        .post("/tokens/find", authenticated(), find::find)
        .post("/tokens/revoke-all", require("admin::admin-tokens.delete"), revoke_all::revoke_all)
        .merge(presented_token_routes())
        .route("/audit-logs", require("admin::audit-logs.read"), get(audit::list))
        .route("/audit-logs/export", require("admin::audit-logs.export"), get(export::export))
        .route("/audit-logs/{id}", require("admin::audit-logs.read"), get(audit::read))
}

fn own_token_routes() -> GuardedRouter<Api> {
    GuardedRouter::new()
        .get("/", authenticated(), own_tokens::list)
        .post("/", authenticated(), own_tokens::create)
        .get("/{id}", authenticated(), own_tokens::read)
        .put("/{id}", authenticated(), own_tokens::update)
        .delete("/{id}", authenticated(), own_tokens::delete)
        .post("/{id}/regenerate", authenticated(), own_tokens::regenerate)
        .post("/{id}/end-grace", authenticated(), own_tokens::end_grace)
}

/// Requires an action without conditions: these routes filter no rows by a decision.
fn require(name: &str) -> Requirement {
    action(name).whole()
}

fn account_routes() -> GuardedRouter<Api> {
    GuardedRouter::new()
        .route("/logout", authenticated(), post(sessions::logout))
        .route("/users/me", authenticated(), get(me::read))
        .route("/users/me", authenticated(), put(me::update))
        .route("/users/me/permissions", authenticated(), get(me::permissions))
        .route("/users/me/sessions", authenticated(), get(me::list_sessions))
        .route("/users/me/sessions", authenticated(), delete(me::end_sessions))
        .route("/users/me/sessions/{id}", authenticated(), delete(me::end_session))
}

fn people_routes() -> GuardedRouter<Api> {
    GuardedRouter::new()
        .route("/users", require("admin::users.read"), get(users::list))
        .route("/users", require("admin::users.create"), post(users::create))
        .route("/users/{id}", require("admin::users.read"), get(users::read))
        .route("/users/{id}", require("admin::users.update"), put(users::update))
        .route("/users/{id}", require("admin::users.delete"), delete(users::delete))
        .route("/users/{id}/invitation", require("admin::users.create"), post(users::invite_again))
        .route("/roles", require("admin::roles.read"), get(roles::list))
        .route("/roles", require("admin::roles.create"), post(roles::create))
        .route("/roles/{id}", require("admin::roles.read"), get(roles::read))
        .route("/roles/{id}", require("admin::roles.update"), put(roles::update))
        .route("/roles/{id}", require("admin::roles.delete"), delete(roles::delete))
        .route("/roles/{id}/permissions", require("admin::roles.read"), get(roles::permissions))
        .route("/roles/{id}/permissions", require("admin::roles.update"), put(roles::set_permissions))
        .route("/permissions", require("admin::roles.read"), get(catalogue::list))
}

fn admin_token_routes() -> GuardedRouter<Api> {
    const ONE: &str = "/admin-tokens/{id}";
    let read = || require("admin::admin-tokens.read");
    GuardedRouter::new()
        .route("/admin-tokens", read(), get(admin_tokens::list))
        .route("/admin-tokens", require("admin::admin-tokens.create"), post(admin_tokens::create))
        .route("/admin-tokens/self", authenticated(), get(admin_tokens::read_self))
        .route("/admin-tokens/self/regenerate", authenticated(), post(admin_tokens::regenerate_self))
        .route("/admin-tokens/self/end-grace", authenticated(), post(admin_tokens::end_own_grace))
        .route("/admin-tokens/self/children", authenticated(), get(admin_tokens::children))
        .route("/admin-tokens/self/children", authenticated(), post(admin_tokens::create_child))
        .route("/admin-tokens/violations", read(), get(admin_tokens::violations))
        .route(ONE, read(), get(admin_tokens::read))
        .route(ONE, require("admin::admin-tokens.update"), put(admin_tokens::update))
        .route(ONE, require("admin::admin-tokens.delete"), delete(admin_tokens::delete))
        .route(&format!("{ONE}/regenerate"), require("admin::admin-tokens.regenerate"), post(admin_tokens::regenerate))
        .route(&format!("{ONE}/end-grace"), require("admin::admin-tokens.regenerate"), post(admin_tokens::end_grace))
        .route(&format!("{ONE}/owner-permissions"), read(), get(admin_tokens::owner_permissions))
        .route(&format!("{ONE}/audit-logs"), read(), get(audit::list_by_admin_token))
}

fn content_token_routes() -> GuardedRouter<Api> {
    const ONE: &str = "/api-tokens/{id}";
    GuardedRouter::new()
        .route("/api-tokens", require("admin::api-tokens.read"), get(content_tokens::list))
        .route("/api-tokens", require("admin::api-tokens.create"), post(content_tokens::create))
        .route(ONE, require("admin::api-tokens.read"), get(content_tokens::read))
        .route(ONE, require("admin::api-tokens.update"), put(content_tokens::update))
        .route(ONE, require("admin::api-tokens.delete"), delete(content_tokens::delete))
        .route(&format!("{ONE}/regenerate"), require("admin::api-tokens.regenerate"), post(content_tokens::regenerate))
        .route(&format!("{ONE}/end-grace"), require("admin::api-tokens.regenerate"), post(content_tokens::end_grace))
}

/// Routes about tokens that are presented, or named in the body.
fn presented_token_routes() -> GuardedRouter<Api> {
    GuardedRouter::new()
        .public("/revoke", post(revoke::revoke))
        .post("/explain", authenticated(), explain::explain)
        .post("/introspect", require("admin::tokens.introspect"), introspect::introspect)
        .get("/whoami", authenticated(), whoami::read)
}

impl<T> Builder<T> {
    /// Mounts the [management API](crate::api) at this path: all of it, or the [own tokens](Mount::own_tokens) of
    /// signed-in people. It may be mounted at several paths.
    ///
    /// The mount adds its route groups: the path as an admin group (for own tokens, a group of sessions), and public
    /// groups for the OpenAPI document, signing in, registering and revoking. A group of yours at that path is used in its place if
    /// it was added before and the same kinds of token open it, for instance one with a [floor](Group::floor).
    ///
    /// Rejections in these groups have the form of the API's errors, [Strapi's](RejectionFormat::Strapi), unless your
    /// group was given another.
    ///
    /// Pages of other origins cannot read the responses, unless you add a CORS layer. They cannot send requests without
    /// a preflight either, because bodies have to be `application/json`.
    ///
    /// ```
    /// # tokio_test::block_on(async {
    /// use keyward::guard::Mount;
    /// use keyward::{Group, HashKey, Keyward, MemoryStore, action, api};
    /// let (hash_key, _) = HashKey::generate()?;
    /// let keyward = Keyward::builder(MemoryStore::default())
    ///     .hash_key(hash_key)
    ///     .api("/admin")
    ///     .group(Group::sessions("/settings/keys").floor(action("keys.use")))
    ///     .api(Mount::own_tokens("/settings/keys"))
    ///     .build()?;
    /// let app = keyward.guard(api::router(&keyward));
    /// # let _ = app;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn api(mut self, mount: impl Into<Mount>) -> Self {
        let mount = mount.into();
        let path = mount.path();
        let public = |method: Method, below: &str| {
            Group::public(format!("{path}{below}")).exact(method).rejection_format(RejectionFormat::Strapi)
        };
        let group = if mount.is_whole() { Group::admin(path) } else { Group::sessions(path) };
        let mut groups = vec![public(Method::GET, DOCUMENT)];
        if mount.is_whole() {
            groups.extend(VISITORS.map(|below| public(Method::POST, below)));
        }
        self.mounts_mut().api.push(mount);
        groups.into_iter().fold(self.api_group(group), Self::group)
    }
}
