//! Guarding a server of the Model Context Protocol (feature `mcp`).
//!
//! [`GuardedRouter::mcp`](crate::GuardedRouter::mcp) puts any MCP server of streamable HTTP behind the gate. Each caller
//! sees the tools, resources and prompts that it may use, and every other call is rejected before the server runs it.
//! Lists and calls are decided by one table, [`Tools`] (invariant one-table).
//!
//! The protocol's revisions 2025-03-26 to 2026-07-28 are understood. The [guide](crate::guide::mcp) has an example.

mod base64;
mod caller;
mod event;
mod fields;
mod headers;
mod introspection;
mod json;
mod list;
mod message;
mod origin;
mod router;
mod service;
mod session;
mod stream;
mod task;
mod tools;
mod uri;

pub use caller::caller;
pub use tools::Tools;
