//! Headers of requests. Those that repeat a part of the message (revision 2026-07-28) have to agree with it. Those that
//! hold credentials do not reach the server.

use super::base64::header_text;
use super::message::{Message, Method};
use crate::guard::CredentialHeaders;
use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use http::{Extensions, HeaderMap, HeaderName};

pub(super) const MCP_METHOD: HeaderName = HeaderName::from_static("mcp-method");
pub(super) const MCP_NAME: HeaderName = HeaderName::from_static("mcp-name");
pub(super) const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// The first revision without sessions.
const STATELESS: &str = "2026-07-28";

/// Returns whether the request is of a revision without sessions. Revisions are dates.
pub(super) fn is_stateless(headers: &HeaderMap) -> bool {
    let is_date = |text: &&str| text.len() == STATELESS.len() && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let version = headers.get(PROTOCOL_VERSION).and_then(|value| value.to_str().ok());
    version.filter(is_date).is_some_and(|version| version >= STATELESS)
}

/// Finds a header that differs from the message that it repeats.
pub(super) fn find_mismatch(headers: &HeaderMap, message: &Message<'_>) -> Option<HeaderName> {
    let differs = |name: &HeaderName, decode: bool, expected: Option<&str>| {
        headers.get_all(name).iter().any(|value| {
            let text = value.to_str().ok().and_then(|v| if decode { header_text(v) } else { Some(v.to_owned()) });
            text.is_none() || text.as_deref() != expected
        })
    };
    if differs(&MCP_METHOD, false, message.name) {
        return Some(MCP_METHOD);
    }
    // The other methods have no name in the specification.
    let name = match &message.method {
        Method::Tool { name, .. } | Method::Prompt(name) | Method::Task(name) => Some(*name),
        Method::Resource(uri) => Some(*uri),
        _ => None,
    };
    if name.is_some() && differs(&MCP_NAME, true, name) {
        return Some(MCP_NAME);
    }
    let version = message.protocol_version;
    (version.is_some() && differs(&PROTOCOL_VERSION, false, version)).then_some(PROTOCOL_VERSION)
}

/// Finds a header of the protocol that was sent twice: programs differ in which value they read.
pub(super) fn find_repeated(headers: &HeaderMap) -> Option<&HeaderName> {
    let is_repeated = |name: &&HeaderName| headers.get_all(*name).iter().nth(1).is_some();
    headers.keys().filter(|name| name.as_str().starts_with("mcp-")).find(is_repeated)
}

/// Removes the headers that may hold a credential. A server must not forward the token of its client (section "Token
/// Passthrough" of the specification), so it does not get the token.
pub(super) fn remove_credentials(headers: &mut HeaderMap, extensions: &Extensions) {
    let named = extensions.get::<CredentialHeaders>().map_or(&[][..], CredentialHeaders::names);
    for name in [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE].iter().chain(named) {
        headers.remove(name);
    }
}
