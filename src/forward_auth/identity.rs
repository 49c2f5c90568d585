//! The headers that name the caller to the program behind the proxy.

use super::invalid::InvalidRules;
use crate::domain::TokenKind;
use crate::guard::AuthContext;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};
use std::fmt::Write;

/// A property of the caller that has a header of its own in the answer to the proxy.
///
/// Every answer of 200 has all of these headers. A header is empty if there is no caller, or the caller does not have the
/// property. With an empty one the proxy overwrites or removes a header that the client has made up.
///
/// Texts are percent-encoded UTF-8 (RFC 3986 section 2.1), except for letters, digits and `-._~@`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Identity {
    /// The id of the token: `X-Keyward-Token`.
    Token,
    /// The kind of the token, `admin`, `content` or `session`: `X-Keyward-Kind`.
    Kind,
    /// The id of the owner: `X-Keyward-Owner`.
    Owner,
    /// The host's key of the owner, if it is an [account of the host](crate::accounts): `X-Keyward-Account`.
    Account,
    /// The name of the token, if [names are kept](crate::Builder::caller_names): `X-Keyward-Token-Name`.
    TokenName,
    /// The display name of the owner, if names are kept: `X-Keyward-Owner-Name`.
    OwnerName,
}

impl Identity {
    /// All properties.
    pub const ALL: [Self; 6] = [Self::Token, Self::Kind, Self::Owner, Self::Account, Self::TokenName, Self::OwnerName];

    fn default_name(self) -> &'static str {
        match self {
            Self::Token => "x-keyward-token",
            Self::Kind => "x-keyward-kind",
            Self::Owner => "x-keyward-owner",
            Self::Account => "x-keyward-account",
            Self::TokenName => "x-keyward-token-name",
            Self::OwnerName => "x-keyward-owner-name",
        }
    }

    fn of(self, caller: &AuthContext) -> Option<String> {
        match self {
            Self::Token => caller.token().map(|id| id.to_string()),
            Self::Kind => caller.kind().map(TokenKind::as_str).map(str::to_owned),
            Self::Owner => caller.owner().map(|id| id.to_string()),
            Self::Account => caller.account().map(|key| encode(key.as_str())),
            Self::TokenName => caller.token_name().map(encode),
            Self::OwnerName => caller.owner_name().map(encode),
        }
    }
}

/// The names of the headers, in the order of [`Identity::ALL`].
#[derive(Clone, Debug)]
pub(super) struct IdentityHeaders([String; 6]);

impl Default for IdentityHeaders {
    fn default() -> Self {
        Self(Identity::ALL.map(|identity| identity.default_name().to_owned()))
    }
}

impl IdentityHeaders {
    pub(super) fn set(&mut self, identity: Identity, name: String) {
        self.0[identity as usize] = name;
    }

    /// Parses and checks the names.
    pub(super) fn parse(&self) -> Result<IdentityNames, InvalidRules> {
        let mut names: Vec<HeaderName> = Vec::new();
        for text in &self.0 {
            let name = HeaderName::try_from(text.as_str()).ok();
            // A header with another purpose would change the meaning of the request or the answer.
            let own =
                |name: &HeaderName| name.as_str().starts_with("x-") && !is_of_proxies(name) && !names.contains(name);
            names.push(name.filter(own).ok_or_else(|| InvalidRules::Header(text.clone()))?);
        }
        Ok(IdentityNames(names))
    }
}

fn is_of_proxies(name: &HeaderName) -> bool {
    let others = ["x-forwarded-", "x-original-", "x-envoy-", "x-http-method", "x-method-override", "x-real-ip"];
    others.iter().any(|other| name.as_str().starts_with(other))
}

/// The checked names, in the order of [`Identity::ALL`].
#[derive(Clone, Debug)]
pub(super) struct IdentityNames(Vec<HeaderName>);

impl IdentityNames {
    /// Returns the headers that name a caller. Those without a value are empty.
    pub(super) fn of(&self, caller: Option<&AuthContext>) -> HeaderMap {
        let value = |identity: Identity| {
            let text = caller.and_then(|caller| identity.of(caller)).unwrap_or_default();
            HeaderValue::try_from(text).unwrap_or(const { HeaderValue::from_static("") })
        };
        self.0.iter().cloned().zip(Identity::ALL.map(value)).collect()
    }
}

/// Encodes a text for a header, so that it has one reading.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'@' => {
                encoded.push(char::from(byte))
            }
            // Writing to a string does not fail.
            _ => _ = write!(encoded, "%{byte:02X}"),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_encoded_so_that_they_end_no_header() {
        for (text, encoded) in [
            ("ada@example.test", "ada@example.test"),
            ("Ada Lovelace", "Ada%20Lovelace"),
            ("Zoë", "Zo%C3%AB"),
            ("a\r\nX-Admin: 1", "a%0D%0AX-Admin%3A%201"),
            ("100%, \"x\"", "100%25%2C%20%22x%22"),
            ("", ""),
        ] {
            assert_eq!(encode(text), encoded);
        }
    }

    #[test]
    fn names_are_of_their_own() {
        let with = |name: &str| {
            let mut headers = IdentityHeaders::default();
            headers.set(Identity::Owner, name.to_owned());
            headers.parse().map(|names| names.0[Identity::Owner as usize].to_string())
        };
        assert_eq!(with("X-Webauth-User").unwrap(), "x-webauth-user");
        for invalid in [
            "",
            "x y",
            "Host",
            "Content-Length",
            "Authorization",
            "X-Forwarded-For",
            "x-original-uri",
            "x-keyward-token",
            "X-Real-IP",
        ] {
            assert!(matches!(with(invalid), Err(InvalidRules::Header(name)) if name == invalid), "{invalid}");
        }
        assert!(Identity::ALL.iter().enumerate().all(|(place, identity)| *identity as usize == place));
    }
}
