//! What of a request is neither body nor query: who sends it, and the id in its path.

use super::failure::Failure;
use super::state::Api;
use crate::domain::{Doer, OwnerId, TokenId};
use crate::gate::AuthContext;
use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use std::convert::Infallible;
use std::net::IpAddr;

/// Who calls, and from where.
pub(super) struct Caller {
    pub(super) doer: Doer,
    pub(super) address: Option<IpAddr>,
    /// The token, or session, they have presented.
    pub(super) token: Option<TokenId>,
    /// Whose it is.
    pub(super) owner: Option<OwnerId>,
}

impl FromRequestParts<Api> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Infallible> {
        let auth = parts.extensions.get::<AuthContext>();
        Ok(Self {
            doer: auth.and_then(AuthContext::doer).unwrap_or(Doer::Visitor),
            address: api.addresses.of(&parts.headers, &parts.extensions),
            token: auth.and_then(AuthContext::token),
            owner: auth.and_then(AuthContext::owner),
        })
    }
}

/// The id in the path. What can be none is the id of nothing.
pub(super) struct Id(pub(super) i64);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let Ok(Path(text)) = Path::<String>::from_request_parts(parts, state).await else {
            return Err(Failure::not_found());
        };
        parse_id(&text).map(Self).ok_or_else(Failure::not_found)
    }
}

/// A positive number in the one form that ids are written in.
pub(super) fn parse_id(text: &str) -> Option<i64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    if plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::parse_id;

    #[test]
    fn ids_are_written_in_one_way() {
        assert_eq!(parse_id("1"), Some(1));
        assert_eq!(parse_id("9223372036854775807"), Some(i64::MAX));
        for wrong in ["", "0", "01", "+1", "-1", "1.0", "1e3", "x", "9223372036854775808", "１", " 1"] {
            assert_eq!(parse_id(wrong), None, "{wrong}");
        }
    }
}
