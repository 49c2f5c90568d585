//! The caller of a request, for the handlers of the management API and the pages.

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

/// The actor of a request, with the data that the audit log keeps of its client.
#[cfg_attr(not(any(feature = "api", feature = "ui")), allow(dead_code, reason = "for the modules that answer HTTP"))]
pub(crate) struct Caller {
    pub(crate) actor: AdmittedActor,
    pub(crate) address: Option<IpAddr>,
    /// The device, by the client's `User-Agent`.
    #[cfg(any(feature = "api", feature = "ui"))]
    pub(crate) device: String,
    /// The host name in the request, unless a proxy forwarded it.
    #[cfg(any(feature = "api", feature = "ui"))]
    pub(crate) host: Option<String>,
    /// The token or session of the request.
    pub(crate) token: Option<TokenId>,
    /// Its owner.
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

/// Returns the host name in the request; `None` if there is none, if there are two, or if a proxy forwarded the
/// request: a proxy on this machine may have a client anywhere.
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
