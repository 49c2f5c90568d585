//! Sessions of revisions before 2026-07-28, bound to the owner and kind of the token that opened them.
//!
//! The client gets the server's session id behind a MAC over the id and the caller. The layer keeps no sessions, and
//! rejects the id of another caller.

use super::caller::Holder;
use crate::guard::AuthContext;
use getrandom::fill;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::Sha256;

const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
/// The bytes of a MAC.
const LENGTH: usize = 16;

/// The binding of session ids. The key is drawn when the service is made, as the server's sessions end with it.
#[derive(Clone)]
pub(super) struct Sessions(Hmac<Sha256>);

impl Sessions {
    /// Draws a key.
    ///
    /// # Panics
    /// If the system has no random bytes.
    #[expect(clippy::expect_used, reason = "documented: nothing is served without random bytes")]
    pub(super) fn new() -> Self {
        let mut key = [0; 32];
        fill(&mut key).expect("random bytes of the system");
        Self(Hmac::new_from_slice(&key).expect("a key of any length"))
    }

    /// Returns whether the request names a session.
    pub(super) fn has_id(headers: &HeaderMap) -> bool {
        headers.contains_key(SESSION_ID)
    }

    /// Replaces the client's session id by the server's. Returns false if it is not a session of this caller.
    pub(super) fn unwrap_request(&self, headers: &mut HeaderMap, auth: &AuthContext, stateless: bool) -> bool {
        let mut values = headers.get_all(SESSION_ID).iter();
        let (Some(value), second) = (values.next(), values.next()) else { return true };
        if stateless {
            // This revision has no sessions.
            headers.remove(SESSION_ID);
            return true;
        }
        let unwrap = |value: &HeaderValue| {
            let (mac, id) = value.to_str().ok()?.split_once('.')?;
            let mac = hex::decode(mac).ok().filter(|mac| mac.len() == LENGTH)?;
            self.mac(id, auth).verify_truncated_left(&mac).ok()?;
            HeaderValue::from_str(id).ok()
        };
        match unwrap(value).filter(|_| second.is_none()) {
            Some(id) => {
                headers.insert(SESSION_ID, id);
                true
            }
            None => false,
        }
    }

    /// Replaces the server's session id by the client's.
    pub(super) fn wrap_response(&self, headers: &mut HeaderMap, auth: &AuthContext) {
        let Some(id) = headers.remove(SESSION_ID) else { return };
        let Ok(id) = id.to_str() else { return };
        let mac = self.mac(id, auth).finalize().into_bytes();
        if let Ok(value) = HeaderValue::try_from(format!("{}.{id}", hex::encode(&mac[..LENGTH]))) {
            headers.insert(SESSION_ID, value);
        }
    }

    /// Returns the MAC of an id and its holder.
    fn mac(&self, id: &str, auth: &AuthContext) -> Hmac<Sha256> {
        self.0.clone().chain_update(format!("{:?} ", Holder::of(auth))).chain_update(id)
    }
}
