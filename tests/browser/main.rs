//! The settings pages in a real browser: people who click and type on the example platform.
//!
//! They need Chromium and chromedriver, and axe-core for what a screen reader meets. What is missing is said, and its tests are
//! skipped; with KEYWARD_REQUIRE_BROWSER=1 they fail.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub, reason = "it is a test")]

mod accessible;
mod driver;
mod forged;
mod injected;
mod keyboard;
mod measure;
mod person;
mod scene;
#[path = "../platform/server.rs"]
#[allow(dead_code, reason = "the tests of the platform use more of it")]
mod server;
mod session;
mod stale;
mod tutorial;
