//! The caller of a tool.

use crate::guard::AuthContext;
use http::Extensions;

/// Returns the caller from the extensions of the HTTP request that a tool call came in. rmcp keeps its head as
/// `http::request::Parts` in the extensions of the request context.
///
/// [`AuthContext::decision`] is the decision on the requirement of the tool, and [`AuthContext::revoked`] watches that
/// requirement. `None` if the request did not pass [`GuardedRouter::mcp`](crate::GuardedRouter::mcp).
///
/// ```
/// use keyward::mcp;
/// fn tool(parts: &http::request::Parts, rows: Vec<serde_json::Value>) -> Vec<serde_json::Value> {
///     let Some(caller) = mcp::caller(&parts.extensions) else { return Vec::new() };
///     let decision = caller.decision();
///     rows.into_iter().filter_map(|row| decision.project(row, &["id"]).map(Into::into)).collect()
/// }
/// ```
pub fn caller(extensions: &Extensions) -> Option<&AuthContext> {
    extensions.get()
}
