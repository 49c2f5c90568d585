//! Metadata of a protected resource (RFC 9728): where clients learn which authorization servers issue its tokens.

use bytes::Bytes;
use http::Uri;
use serde_json::json;

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// The metadata of a group.
#[derive(Clone, Debug)]
pub(super) struct ProtectedResource {
    /// The path that serves it: the well-known path before that of the resource (section 3.1).
    pub(super) path: String,
    /// Its address, for `WWW-Authenticate` (section 5.1).
    pub(super) url: String,
    pub(super) json: Bytes,
}

impl ProtectedResource {
    /// Makes the metadata; `None` unless the address is `http` or `https` with a host, without a query, and without
    /// characters that a header would have to quote.
    pub(super) fn new(resource: &str, issuers: &[String]) -> Option<Self> {
        let plain = |b: u8| matches!(b, b'!' | b'#'..=b'[' | b']'..=b'~');
        let uri: Uri =
            resource.parse().ok().filter(|_| resource.bytes().all(plain) && !resource.contains(['#', '?']))?;
        let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https"))?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
        let path = format!("{WELL_KNOWN}{}", uri.path().trim_end_matches('/'));
        let mut metadata = json!({"resource": resource, "bearer_methods_supported": ["header"]});
        if !issuers.is_empty() {
            metadata["authorization_servers"] = json!(issuers);
        }
        Some(Self { url: format!("{scheme}://{authority}{path}"), path, json: metadata.to_string().into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_well_known_path_is_before_that_of_the_resource() {
        for (resource, path) in [
            ("https://example.com", WELL_KNOWN.to_owned()),
            ("https://example.com/", WELL_KNOWN.to_owned()),
            ("https://example.com/mcp", format!("{WELL_KNOWN}/mcp")),
            ("http://localhost:8080/keys/mcp/", format!("{WELL_KNOWN}/keys/mcp")),
        ] {
            assert_eq!(ProtectedResource::new(resource, &[]).unwrap().path, path);
        }
        for invalid in [
            "",
            "/mcp",
            "mcp.example.com",
            "ftp://x/mcp",
            "https://x/?a",
            "https://x/#a",
            "https://a@x/",
            "https://x/\"",
            "https://x/\\",
        ] {
            assert!(ProtectedResource::new(invalid, &[]).is_none(), "{invalid}");
        }
    }
}
