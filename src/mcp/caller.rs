//! The caller of a tool, and the holder of its sessions and tasks.

use crate::domain::{OwnerId, TokenId, TokenKind};
use crate::guard::AuthContext;
use http::Extensions;

/// Returns the caller from the extensions of the HTTP request of a tool call. rmcp keeps the head of that request as
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

/// The holder of sessions and tasks. Tokens of one owner and kind share them, so that they outlive the rotation of a
/// token.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Holder {
    Owner(OwnerId, Option<TokenKind>),
    /// A token without an owner.
    Token(TokenId),
}

impl Holder {
    /// Returns the holder for a caller; `None` for the public.
    pub(super) fn of(auth: &AuthContext) -> Option<Self> {
        match (auth.owner(), auth.token()) {
            (Some(owner), _) => Some(Self::Owner(owner, auth.kind())),
            (None, token) => token.map(Self::Token),
        }
    }
}
