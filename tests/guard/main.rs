//! The gate: which requests it accepts, and how it rejects the others. No test here starts another program.

#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

mod accounts;
#[cfg(feature = "sqlite")]
mod accounts_under_attack;
mod adoption;
mod architecture;
#[cfg(feature = "full")]
mod bodies;
mod credential_headers;
#[cfg(feature = "forward-auth")]
mod forward_auth;
mod guide;
mod health;
mod hostile;
mod invariants;
#[cfg(feature = "mcp")]
mod mcp;
#[cfg(feature = "mcp")]
mod mcp_messages;
mod pages;
mod paths;
mod rejections;
#[cfg(feature = "mcp")]
mod rmcp;
mod tower;
