//! The settings pages without a browser.

mod people_and_roles;
mod protocol;
mod tokens_profile_log;
