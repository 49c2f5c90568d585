//! The settings pages in a real browser: people who click and type on the example platform.
//!
//! They need Chromium and chromedriver, and axe-core for what a screen reader meets. What is missing is said, and its tests are
//! skipped; with KEYWARD_REQUIRE_BROWSER=1 they fail.

mod accessibility;
mod driver;
mod forgery;
mod injection;
mod keyboard;
mod page_weight;
mod person;
mod scene;
mod session;
mod stale;
mod tutorial;
