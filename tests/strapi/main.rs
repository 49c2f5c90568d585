//! Beside the reference: its own database as a store, on both engines.

#![cfg(all(feature = "strapi", feature = "testing"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, unreachable_pub)]

mod fixtures;
mod house;
mod import;
mod opening;
mod rules;
#[path = "../platform/server.rs"]
#[allow(dead_code)]
mod server;
#[path = "../support/mod.rs"]
mod support;
mod uses;
