//! The settings pages without a browser.

#![cfg(feature = "full")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod people_and_roles;
mod protocol;
mod tokens_profile_log;
