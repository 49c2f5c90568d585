//! The settings pages of the example platform in a browser.
//!
//! They need Chromium, chromedriver and axe-core. Tests whose programs are missing are skipped with a message; with
//! `KEYWARD_REQUIRE_BROWSER=1` they fail.

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
