//! The style of rejections: the form of their JSON, and the challenge in `WWW-Authenticate`.

use super::credential_headers::CredentialHeaders;
use super::rejection::shield;
use bytes::Bytes;
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderValue, StatusCode};
use std::sync::Arc;

const DEFAULT_REALM: &str = "keyward";

/// The form of rejections in JSON.
///
/// ```
/// # tokio_test::block_on(async {
/// use keyward::guard::RejectionFormat;
/// use keyward::{Group, HashKey, Keyward, MemoryStore};
/// let (hash_key, _) = HashKey::generate()?;
/// let keyward = Keyward::builder(MemoryStore::default())
///     .hash_key(hash_key)
///     .group(Group::admin("/v1"))
///     .group(Group::admin("/cms").rejection_format(RejectionFormat::Strapi))
///     .build()?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum RejectionFormat {
    /// Problem details (RFC 9457), as `application/problem+json`. `type` is `about:blank`, so `title` is the phrase of
    /// the status. `code` is a stable word for programs, and `scope` of a 403 is the missing scope.
    ///
    /// ```json
    /// {"type": "about:blank", "title": "Forbidden", "status": 403,
    ///  "detail": "The credential does not allow this", "code": "insufficient_scope", "scope": "articles.read"}
    /// ```
    #[default]
    Problem,
    /// An error of JSON-RPC 2.0 with code -32000, as `application/json`. MCP clients show its message to their users, and
    /// no other form. `id` is that of the request once its body was read, and `null` before.
    ///
    /// ```json
    /// {"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": "The credential does not allow this: articles.read",
    ///  "data": {"code": "insufficient_scope", "scope": "articles.read"}}}
    /// ```
    JsonRpc,
    /// The form of Strapi's errors, as `application/json`. The [management API](crate::Builder::api) uses it.
    ///
    /// ```json
    /// {"data": null, "error": {"status": 403, "name": "ForbiddenError", "message": "Forbidden", "details": {}}}
    /// ```
    Strapi,
}

/// An error that a client sees. No text has a character that JSON would escape.
#[derive(Clone, Copy, Debug)]
pub(super) struct ErrorText<'a> {
    pub(super) status: StatusCode,
    /// The name of the error in Strapi's form.
    pub(super) name: &'static str,
    /// The code of the error in problem details.
    pub(super) code: &'static str,
    pub(super) message: &'a str,
    pub(super) scope: Option<&'a str>,
    /// The id of the JSON-RPC request, as JSON.
    pub(super) rpc_id: Option<&'a str>,
}

impl RejectionFormat {
    pub(super) fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Problem => "application/problem+json",
            Self::JsonRpc | Self::Strapi => "application/json",
        })
    }

    pub(super) fn render(self, error: ErrorText<'_>) -> Bytes {
        if self == Self::JsonRpc {
            return error.json_rpc();
        }
        let ErrorText { status, name, code, message, scope, .. } = error;
        let (number, title) = (status.as_str(), status.canonical_reason().unwrap_or("Error"));
        let problem = [
            r#"{"type":"about:blank","title":""#,
            title,
            r#"","status":"#,
            number,
            r#","detail":""#,
            message,
            r#"","code":""#,
            code,
            "\"",
        ];
        let strapi = [
            r#"{"data":null,"error":{"status":"#,
            number,
            r#","name":""#,
            name,
            r#"","message":""#,
            message,
            r#"","details":{}}"#,
        ];
        let mut json = match self {
            Self::Problem => problem.concat(),
            Self::JsonRpc | Self::Strapi => strapi.concat(),
        };
        if let (Self::Problem, Some(scope)) = (self, scope) {
            json.extend([r#","scope":""#, scope, "\""]);
        }
        json.push('}');
        Bytes::from(json)
    }
}

impl ErrorText<'_> {
    fn json_rpc(self) -> Bytes {
        let (id, separator, scope) = match self.scope {
            Some(scope) => (self.rpc_id, ": ", scope),
            None => (self.rpc_id, "", ""),
        };
        let mut json = [
            r#"{"jsonrpc":"2.0","id":"#,
            id.unwrap_or("null"),
            r#","error":{"code":-32000,"message":""#,
            self.message,
            separator,
            scope,
            r#"","data":{"code":""#,
            self.code,
            "\"",
        ]
        .concat();
        if !scope.is_empty() {
            json.extend([r#","scope":""#, scope, "\""]);
        }
        json.push_str("}}}");
        Bytes::from(json)
    }
}

/// Error for a realm that `WWW-Authenticate` cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid realm {0:?}: use printable ASCII characters, at least one")]
pub struct InvalidRealm(String);

/// The style of the rejections of a group, and the headers that it names.
#[derive(Clone, Debug)]
pub(crate) struct RejectionStyle {
    pub(super) format: RejectionFormat,
    pub(super) headers: CredentialHeaders,
    /// The challenge without a parameter but the realm (RFC 6750 section 3).
    challenge: HeaderValue,
    /// The challenge of an invalid token, made in advance as a flood of these is counted in nanoseconds.
    invalid_token: HeaderValue,
    /// The text that names the headers, for a client that sent one in another form.
    pub(super) expected_form: Arc<str>,
}

impl RejectionStyle {
    /// Creates a style. Without `Authorization` among the headers the scheme of the challenge is `ApiKey`: clients must
    /// not be asked for a bearer token.
    pub(crate) fn new(
        format: RejectionFormat,
        realm: Option<&str>,
        headers: CredentialHeaders,
    ) -> Result<Self, InvalidRealm> {
        let realm = realm.unwrap_or(DEFAULT_REALM);
        let invalid = || InvalidRealm(realm.to_owned());
        if realm.is_empty() || !realm.bytes().all(|b| matches!(b, b' '..=b'~')) {
            return Err(invalid());
        }
        let quoted = realm.replace('\\', "\\\\").replace('"', "\\\"");
        let scheme = if headers.has_bearer() { "Bearer" } else { "ApiKey" };
        let value =
            |error: &str| HeaderValue::try_from(format!("{scheme} realm=\"{quoted}\"{error}")).map_err(|_| invalid());
        let (challenge, invalid_token) = match (realm, scheme) {
            // A clone of a static value touches no reference count.
            (DEFAULT_REALM, "Bearer") => default_challenges(),
            _ => (value("")?, value(", error=\"invalid_token\"")?),
        };
        let expected_form = headers.expected_form().into();
        Ok(Self { format, headers, challenge, invalid_token, expected_form })
    }

    /// Returns this style with another format, if the format differs.
    pub(super) fn with_format(self: &Arc<Self>, format: Option<RejectionFormat>) -> Arc<Self> {
        match format {
            Some(format) if format != self.format => Arc::new(Self { format, ..(**self).clone() }),
            _ => self.clone(),
        }
    }

    /// Returns this style with the address of the resource's metadata in each challenge (RFC 9728 section 5.1).
    #[cfg(feature = "mcp")]
    pub(super) fn with_metadata(&self, url: &str) -> Self {
        let value = |challenge: &HeaderValue| {
            let value = [challenge.as_bytes(), b", resource_metadata=\"", url.as_bytes(), b"\""].concat();
            HeaderValue::try_from(value).unwrap_or_else(|_| challenge.clone())
        };
        Self { challenge: value(&self.challenge), invalid_token: value(&self.invalid_token), ..self.clone() }
    }

    /// Returns the challenge to a request without a credential.
    pub(super) fn challenge(&self) -> HeaderValue {
        self.challenge.clone()
    }

    pub(super) fn invalid_token(&self) -> HeaderValue {
        self.invalid_token.clone()
    }

    /// Returns the challenge to a request with several credentials.
    pub(super) fn invalid_request(&self) -> HeaderValue {
        self.with_error("invalid_request", None)
    }

    /// Returns the challenge to a request whose credential lacks this scope.
    pub(super) fn insufficient_scope(&self, scope: Option<&str>) -> HeaderValue {
        self.with_error("insufficient_scope", scope)
    }

    /// Sets the headers that keep shared caches from storing a response of a protected group, or serving it to another
    /// caller. Returns whether the response had a `Cache-Control` of its own.
    pub(super) fn shield(&self, headers: &mut HeaderMap) -> bool {
        if self.headers.is_default() {
            return shield(headers);
        }
        let replaced = headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store")).is_some();
        self.headers.vary(headers);
        replaced
    }

    fn with_error(&self, error: &str, scope: Option<&str>) -> HeaderValue {
        let mut value = [self.challenge.as_bytes(), b", error=\"", error.as_bytes(), b"\""].concat();
        if let Some(scope) = scope {
            value.extend_from_slice(b", scope=\"");
            value.extend_from_slice(scope.as_bytes());
            value.push(b'"');
        }
        // Realm and scope are ASCII without control characters.
        HeaderValue::try_from(value).unwrap_or_else(|_| self.challenge.clone())
    }
}

/// Returns the challenges with the default realm: without an error, and for an invalid token.
fn default_challenges() -> (HeaderValue, HeaderValue) {
    let invalid_token = HeaderValue::from_static("Bearer realm=\"keyward\", error=\"invalid_token\"");
    (HeaderValue::from_static("Bearer realm=\"keyward\""), invalid_token)
}

impl Default for RejectionStyle {
    fn default() -> Self {
        let (format, (challenge, invalid_token)) = (RejectionFormat::default(), default_challenges());
        let headers = CredentialHeaders::default();
        let expected_form = headers.expected_form().into();
        Self { format, headers, challenge, invalid_token, expected_form }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn realm_is_a_quoted_string() {
        for (realm, quoted) in [
            ("api", r#""api""#),
            ("The API, v1", r#""The API, v1""#),
            (r#"a"b"#, r#""a\"b""#),
            (r"a\b", r#""a\\b""#),
            (r#"\", error=""#, r#""\\\", error=\"""#),
        ] {
            let style =
                RejectionStyle::new(RejectionFormat::Problem, Some(realm), CredentialHeaders::default()).unwrap();
            assert_eq!(style.challenge(), format!("Bearer realm={quoted}"));
            assert_eq!(style.invalid_token(), format!("Bearer realm={quoted}, error=\"invalid_token\""));
            let scope = format!("Bearer realm={quoted}, error=\"insufficient_scope\", scope=\"a.read\"");
            assert_eq!(style.insufficient_scope(Some("a.read")), scope);
        }
        for realm in ["", "a\nb", "a\rb", "a\tb", "a\0b", "caf\u{e9}", "\u{7f}"] {
            let style = RejectionStyle::new(RejectionFormat::Problem, Some(realm), CredentialHeaders::default());
            assert_eq!(style.err(), Some(InvalidRealm(realm.to_owned())), "{realm:?}");
        }
    }

    #[test]
    fn default_style_has_the_default_realm() {
        let default = RejectionStyle::default();
        let challenge = format!("Bearer realm=\"{DEFAULT_REALM}\"");
        assert_eq!(default.challenge, challenge);
        assert_eq!(default.invalid_token, format!("{challenge}, error=\"invalid_token\""));
    }

    #[test]
    fn errors_are_valid_json_in_each_format() {
        let error = ErrorText {
            status: StatusCode::FORBIDDEN,
            name: "ForbiddenError",
            code: "insufficient_scope",
            message: "No",
            scope: Some("a.read b.read"),
            rpc_id: Some("\"a\""),
        };
        let json =
            |format: RejectionFormat| serde_json::from_slice::<serde_json::Value>(&format.render(error)).unwrap();
        let problem = serde_json::json!({
            "type": "about:blank", "title": "Forbidden", "status": 403, "detail": "No", "code": "insufficient_scope",
            "scope": "a.read b.read"
        });
        assert_eq!(json(RejectionFormat::Problem), problem);
        let data = serde_json::json!({"code": "insufficient_scope", "scope": "a.read b.read"});
        let rpc = serde_json::json!({"code": -32000, "message": "No: a.read b.read", "data": data});
        let answer = serde_json::json!({"jsonrpc": "2.0", "id": "a", "error": rpc});
        assert_eq!(json(RejectionFormat::JsonRpc), answer);
        let details = serde_json::json!({"status": 403, "name": "ForbiddenError", "message": "No", "details": {}});
        assert_eq!(json(RejectionFormat::Strapi), serde_json::json!({"data": null, "error": details}));
    }
}
