//! Fixtures for your tests: an installation with its own clock and people, and one-line requests to a guarded router.
//!
//! ```
//! # tokio_test::block_on(async {
//! use axum::{Router, routing::get};
//! use keyward::testing::World;
//! use keyward::guard::{InvalidCredential, Reason};
//! use keyward::{action, GuardedRouter};
//!
//! let world = World::new();
//! let app = world.guard(
//!     GuardedRouter::new().route("/admin/webhooks", action("admin::webhooks.read"), get(|| async { "[]" })),
//! );
//! let key = world.editor().with("admin::webhooks.read").issue().await;
//!
//! app.get("/admin/webhooks").bearer(&key.secret).await.assert_ok();
//! world.keyward.tokens().revoke(key.id).await.unwrap();
//! app.get("/admin/webhooks").bearer(&key.secret).await.assert_rejected(Reason::Invalid(InvalidCredential::Unknown));
//! # });
//! ```

mod app;
mod clock;
mod world;

pub use app::{Answer, App, TestRequest};
pub use clock::{ManualClock, SeededEntropy};
pub use world::{Cast, HASH_KEY, Key, World};

/// Issuing and verifying secrets without a store, for tests of hosts and stores.
pub use crate::domain::{SecretFormat, TokenKinds, VerifiedSecret, VerifyError};
