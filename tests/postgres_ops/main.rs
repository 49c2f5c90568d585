//! PostgreSQL as it is run: encrypted, behind a pooler, with a replica that takes over, and with less room than is asked for.
//!
//! Each test starts servers of its own; which of them are not on this machine is said, and their tests are skipped, unless
//! `KEYWARD_REQUIRE_POSTGRES=1`.

#![cfg(all(feature = "postgres", feature = "testing"))]
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "it waits for real processes")]

#[path = "../support/mod.rs"]
mod support;

mod failover;
mod pooler;
mod proxy;
mod rights;
mod room;
mod schemas;
mod start;
mod tls;
