//! Who sends a request, for the rooms whose handlers work for them.

use super::address::Addresses;
#[cfg(any(feature = "api", feature = "ui"))]
use super::address::is_forwarded;
use super::context::AuthContext;
#[cfg(any(feature = "api", feature = "ui"))]
use super::device::device_name;
use crate::domain::{Actor, AdmittedActor, OwnerId, TokenId};
use axum::extract::{FromRef, FromRequestParts};
#[cfg(any(feature = "api", feature = "ui"))]
use http::header::{HOST, USER_AGENT};
use http::request::Parts;
use std::convert::Infallible;
use std::net::IpAddr;

/// Who calls, and from where.
#[cfg_attr(not(any(feature = "api", feature = "ui")), allow(dead_code, reason = "for the rooms that answer HTTP"))]
pub(crate) struct Caller {
    pub(crate) actor: AdmittedActor,
    pub(crate) address: Option<IpAddr>,
    /// What its client calls itself.
    #[cfg(any(feature = "api", feature = "ui"))]
    pub(crate) device: String,
    /// By which name it reached the server, if the request says one, and it is not a proxy that did.
    #[cfg(any(feature = "api", feature = "ui"))]
    pub(crate) host: Option<String>,
    /// The token, or session, they have presented.
    pub(crate) token: Option<TokenId>,
    /// Whose it is.
    pub(crate) owner: Option<OwnerId>,
}

impl<S: Sync> FromRequestParts<S> for Caller
where
    Addresses: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let auth = parts.extensions.get::<AuthContext>();
        Ok(Self {
            actor: auth.and_then(AuthContext::actor).unwrap_or(Actor::Visitor.into()),
            address: Addresses::from_ref(state).of(&parts.headers, &parts.extensions),
            #[cfg(any(feature = "api", feature = "ui"))]
            device: parts.headers.get(USER_AGENT).and_then(|v| v.to_str().ok()).map(device_name).unwrap_or_default(),
            #[cfg(any(feature = "api", feature = "ui"))]
            host: host(parts).map(str::to_owned),
            token: auth.and_then(AuthContext::token),
            owner: auth.and_then(AuthContext::owner),
        })
    }
}

/// By which name the client has reached the server; `None` if it says none, or two, or came through a proxy: that may be on this machine,
/// and its client anywhere.
#[cfg(any(feature = "api", feature = "ui"))]
fn host(parts: &Parts) -> Option<&str> {
    if is_forwarded(&parts.headers) {
        return None;
    }
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    let mut headers = parts.headers.get_all(HOST).iter();
    match (authority, headers.next(), headers.next()) {
        (Some(authority), None, None) => Some(authority),
        (None, Some(header), None) => header.to_str().ok(),
        (Some(authority), Some(header), None) => {
            header.to_str().ok().filter(|header| header.eq_ignore_ascii_case(authority))
        }
        _ => None,
    }
}
