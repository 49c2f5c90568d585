//! Owner-bound bearer tokens for [axum](https://docs.rs/axum) and [tower](https://docs.rs/tower) services.
//!
//! You issue keys to machines: agents over MCP, CI/CD jobs, scripts. keyward guarantees that
//!
//! - a token is **never stronger than its owner**, at any moment, for any action, field and row;
//! - **admin** tokens and **content** tokens never open each other's routes;
//! - a revocation takes effect **on the next request**, and on other nodes within a bound that also holds in an outage;
//! - a route without a check answers 403, not data.
//!
//! # Example
//!
//! ```
//! # tokio_test::block_on(async {
//! use keyward::{action, Grant, GuardedRouter, HashKey, Keyward, MemoryStore, NewAdminToken, NewOwner, RoleId};
//!
//! // An installation: a store, a hash key (keep its text for the next start), and the route groups.
//! let (hash_key, _text) = HashKey::generate()?;
//! let keyward = Keyward::builder(MemoryStore::default()).hash_key(hash_key).admin("/admin").content("/api").build()?;
//!
//! // Every route has a requirement; without one it does not compile.
//! let app = keyward.guard(
//!     GuardedRouter::new()
//!         .get("/admin/webhooks", action("admin::webhooks.read"), || async { "[]" })
//!         .get("/api/articles", action("api::article.article.find"), || async { "[]" }),
//! );
//!
//! // An owner, and a token for a part of what the owner may do.
//! let ada = NewOwner::new("ada@example.test").named("Ada", "Lovelace").roles([RoleId::SUPER_ADMIN]);
//! let ada = keyward.owners().create(ada).await?;
//! let deploy = NewAdminToken::new("deploy", ada.id).grants([Grant::new("admin::webhooks.read")]);
//! let issued = keyward.tokens().issue_admin(deploy).await?;
//! println!("keep this: {}", issued.secret.expose());
//! # let _ = app;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! Start with the [tutorial](guide::tutorial) or the [concepts](guide::concepts). The [guide] lists all pages.
//!
//! # The path of a request
//!
//! A client sends `GET /admin/articles` with `Authorization: Bearer kw_admin_..`.
//!
//! 1. **Path.** A path that can be interpreted in two ways (`//`, `/../`, `%2e%2e`, `%2f`, `%252f`, `\`) is a 400.
//! 2. **Group.** The longest [`Group`] prefix that covers the path, by whole segments, is `/admin`. Without a group
//!    the request is a 404 that never reaches your service; a public group passes it on.
//! 3. **Credential.** There must be one secret. Without any, an admin group answers 401; a content group continues
//!    with the public principal.
//! 4. **Offline check.** The secret's prefix must name a kind that opens the group, and its check characters must
//!    match an HMAC of the rest. A made-up secret is a 401 without a store read.
//! 5. **Principal.** The digest is looked up in a bounded cache. If it is missing or stale, one store read serves all
//!    concurrent requests and returns token, owner and roles of one moment.
//! 6. **Validity.** Kind, expiry, owner and freshness are checked. If the node cannot know, the answer is 503, never
//!    401.
//! 7. **Requirement.** Each [`Grant`] was intersected with the owner's present permissions. The [`Decision`] is:
//!    denied (403), allowed, or allowed for some rows and fields.
//! 8. **Handler.** It has to apply a partial decision to rows and fields.
//! 9. **Response.** If no requirement was checked, or a partial decision was not applied, it becomes a 403 and a log
//!    line. Responses of protected groups are not cacheable.
//!
//! A request with a cached token costs one HMAC, one cache look-up and one allocation. keyward boxes no future, and
//! the store is not read.
//!
//! # Guarding routes
//!
//! | type | use | effect |
//! | --- | --- | --- |
//! | [`GuardedRouter`] | new routes | every route has a requirement; 404 and 405 are guarded too |
//! | [`Require`] | existing routes, method routers and sub-routers | a layer inside [`layer`] or [`wrap`] |
//! | [`AuthContext`] | handlers that need the request first | `require` and `require_decision` in the handler |
//!
//! [`layer`]: crate::guard::Guard::layer
//! [`wrap`]: crate::guard::Guard::wrap
//!
//! # Modules
//!
//! | module | content |
//! | --- | --- |
//! | [`accounts`] | the host's users as owners of tokens |
//! | [`admin`] | services that change owners, roles, tokens and sessions, also on behalf of a caller |
//! | [`authz`] | permissions, conditions, requirements and decisions |
//! | [`guard`] | layers, routers, extractors, route groups and rejections |
//! | [`token`] | tokens, secrets and keys |
//! | [`store`] | the store traits, and stores in memory, SQLite and PostgreSQL |
//! | [`time`] | clocks |
//! | [`health`] | the state of an installation |
//! | `api`, `ui` | the management API and the settings pages |
//! | `mcp` | the guard of an MCP server |
//! | `forward_auth` | answers to proxies that ask whether a request may pass |
//! | `strapi` | compatibility with Strapi 5 |
//! | `testing` | fixtures for your tests |
//! | [`guide`] | the manual |
//!
//! The crate root re-exports the types that most applications need.
//!
//! # Features
//!
//! | feature | default | adds |
//! | --- | --- | --- |
//! | `axum` | yes | the guarded router, the extractors, `OriginalUri` under `nest` |
//! | `api` | no | the management API, with its OpenAPI document |
//! | `forward-auth` | no | forward authentication for nginx, Traefik, Caddy, HAProxy and Envoy |
//! | `cli` | no | the program `keyward`, for [tokens at a shell](guide::command_line); nothing in the library |
//! | `mcp` | no | the guard of an MCP server: tools, resources and prompts by permission |
//! | `metrics` | no | [`Health`](health::Health) and rejections by reason through the `metrics` facade |
//! | `people` | no | passwords, sign-in, invitations |
//! | `postgres` | no | `PostgresStore`, for many nodes |
//! | `reveal` | no | sealed copies: owners view their secrets again |
//! | `secret-scanning` | no | reports of GitHub's secret scanning; includes `api` |
//! | `sqlite` | no | `SqliteStore`, with SQLite bundled |
//! | `strapi` | no | reading the database of a Strapi 5, and importing its people and tokens |
//! | `ui` | no | the settings pages |
//! | `testing` | no | fixtures: a test installation, a clock and requests |
//! | `full` | no | all of these but `cli` |
//!
//! Features are additive. Without `axum` the layer guards any `tower::Service` over `http` requests.
//!
//! # Rust version
//!
//! Rust 1.94, which sqlx 0.9 requires. The changelog announces increases. The crate has no unsafe code.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod accounts;
pub mod admin;
#[cfg(feature = "api")]
pub mod api;
pub mod authz;
mod domain;
#[cfg(feature = "forward-auth")]
pub mod forward_auth;
pub mod guard;
pub mod guide;
pub mod health;
mod keyward;
#[cfg(feature = "mcp")]
pub mod mcp;
mod resolve;
pub mod store;
#[cfg(feature = "strapi")]
pub mod strapi;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;
pub mod time;
pub mod token;
#[cfg(feature = "ui")]
pub mod ui;

pub use keyward::{BuildError, Builder, Keyward};

#[doc(no_inline)]
pub use admin::{NewAdminToken, NewContentToken, NewOwner, NewRole, RoleId};
#[doc(no_inline)]
pub use authz::{Decision, Grant, Permission, Requirement, action, all_of, any_of, authenticated};
#[cfg(feature = "axum")]
#[doc(no_inline)]
pub use guard::{AdminAuth, Auth, ContentAuth, GuardedRouter};
#[doc(no_inline)]
pub use guard::{AuthContext, Group, Require};
#[doc(no_inline)]
pub use store::MemoryStore;
#[cfg(feature = "postgres")]
#[doc(no_inline)]
pub use store::PostgresStore;
#[cfg(feature = "sqlite")]
#[doc(no_inline)]
pub use store::SqliteStore;
#[doc(no_inline)]
pub use token::{HashKey, OwnerId};

#[cfg(all(doctest, feature = "full"))]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
