//! Tests that start other programs: the example platform, browsers, proxies, and generators of API clients.

#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]
#![allow(clippy::disallowed_methods, reason = "it waits for real processes")]

mod forward_auth;
mod hostile;
mod mcp_clients;
mod openapi_tools;
mod pages;
mod platform;
