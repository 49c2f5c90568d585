//! keyward guards axum and tower services with bearer tokens that belong to somebody.
//!
//! You hand keys to machines: agents over MCP, CI/CD jobs, scripts. keyward sees to it that
//!
//! - a token is **never stronger than its owner**, at any moment, for any action, field and row;
//! - **admin** tokens and **content** tokens never open each other's doors;
//! - what you take away is gone **on the next request**, and on other nodes within a bound that holds in an outage too;
//! - a route you forgot to guard answers 403, not data.
//!
//! ```
//! # tokio_test::block_on(async {
//! use axum::routing::get;
//! use keyward::{action, Grant, GuardedRouter, HashKey, Keyward, MemoryStore, NewAdminToken, NewOwner, RoleId};
//!
//! // An installation: a store, a salt (keep its text), and which paths are whose.
//! let (hash_key, _text) = HashKey::generate()?;
//! let keyward = Keyward::builder(MemoryStore::default()).hash_key(hash_key).admin("/admin").content("/api").build()?;
//!
//! // Every route says what it requires; without, it does not compile.
//! let app = keyward.guard(
//!     GuardedRouter::new()
//!         .route("/admin/webhooks", action("admin::webhooks.read"), get(|| async { "[]" }))
//!         .route("/api/articles", action("api::article.article.find"), get(|| async { "[]" })),
//! );
//!
//! // Somebody, and a key of theirs for a part of what they may do.
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
//! # The guide
//!
//! New here? Begin with the [tutorial](guide::tutorial), or with the [concepts](guide::concepts).
//!
//! - Building: [guarding routes](guide::guarding), [rows and fields](guide::conditions), [testing](guide::testing).
//! - Running: [configuration](guide::configuration), [stores](guide::stores), [many nodes](guide::many_nodes),
//!   [operating](guide::operating), [migrating](guide::migrating) from a Strapi 5.
//! - Judging: [how comparable systems failed](guide::known_failures), and what shows that this one does not.
//!
//! # What happens to a request
//!
//! A request with `Authorization: Bearer kw_admin_..` comes to `GET /admin/articles`.
//!
//! 1. **Path.** Can it be read in two ways (`//`, `/../`, `%2e%2e`, `%2f`, `%252f`, `\`)? 400, in every group.
//! 2. **Group.** `/admin` covers it: whole segments, longest prefix, bytes as sent. In no [`Group`] it would be a 404
//!    that your service never sees; in a public one it would pass as it is.
//! 3. **Credential.** There is one header with one secret. With none: 401, or in a content group the public.
//! 4. **Offline check.** The prefix names a kind that opens the group, and the last characters are what an HMAC makes
//!    of the rest. Whatever somebody made up ends here, 401, without a read of the store.
//! 5. **Principal.** The digest is in a bounded cache, whose entries know what they rest on; else it is looked up once,
//!    however many ask, in one snapshot: token, owner, roles.
//! 6. **Judgement.** Kind, end, owner, and whether this node may still rely on what it knows. If nobody can tell: 503,
//!    never 401.
//! 7. **Requirement.** The route asks for `read` on `article`. Each [`Grant`] was met with what the owner holds now:
//!    the answer is no (403), yes, or yes for some rows and fields, a [`Decision`].
//! 8. **Handler.** It runs. A decision that is not a plain yes it has to take, to filter rows and show fields by.
//! 9. **Response.** It leaves if a requirement was met and its decision taken; else it is a 403, and a line in the log.
//!    No cache may keep it.
//!
//! A cached token costs one HMAC, one look-up and one allocation on that way; nothing of ours is boxed, and nobody is
//! asked.
//!
//! # Guarding
//!
//! | way | for | what it does |
//! | --- | --- | --- |
//! | [`GuardedRouter`] | new routes | no route without a requirement; 404 and 405 are guarded too |
//! | [`Require`] | routes, method routers and sub-routers you have | a layer; put [`Keyward::layer`](crate::guard::Guard::layer) or [`Keyward::wrap`](crate::guard::Guard::wrap) around |
//! | [`AuthContext::require`] | a handler that has to look first | in the handler; for rows, [`AuthContext::require_decision`] |
//!
//! # Changing
//!
//! What the gate judges by is changed by services of the handle: [`owners`](Keyward::owners),
//! [`roles`](Keyward::roles), [`tokens`](Keyward::tokens), [`sessions`](Keyward::sessions); [`audit`](Keyward::audit)
//! is the audit log. Each works for the program, or by the rules of whoever it is told:
//! `keyward.tokens().acting_as(auth.actor())`. The management API and the settings pages are made of them.
//!
//! # Features
//!
//! | feature | default | what |
//! | --- | --- | --- |
//! | `axum` | yes | the guarded router, the extractors, `OriginalUri` under `nest` |
//! | `api` | no | [`mod@api`]: the management API, with its OpenAPI document |
//! | `metrics` | no | [`Health`](health::Health) and refusals by reason through the facade `metrics` |
//! | `postgres` | no | [`PostgresStore`], for many nodes |
//! | `sqlite` | no | [`SqliteStore`], bundled |
//! | `strapi` | no | [`mod@strapi`]: reading the database of a Strapi 5, and taking its people and tokens over |
//! | `ui` | no | [`mod@ui`]: the settings pages |
//! | `testing` | no | [`mod@testing`]: a world, a clock and requests for your own tests |
//! | `full` | no | all of these |
//!
//! Features add, and none changes what another one does. Without `axum` the layer guards any `tower::Service` over
//! `http` requests.
//!
//! # Rust
//!
//! Needs Rust 1.94, which is what sqlx 0.9 needs. A release that needs a newer one says so in the changelog. No unsafe
//! code.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod admin;
#[cfg(feature = "api")]
pub mod api;
pub mod authz;
mod domain;
pub mod guard;
pub mod guide;
pub mod health;
mod keyward;
mod resolve;
pub mod store;
#[cfg(feature = "strapi")]
pub mod strapi;
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
