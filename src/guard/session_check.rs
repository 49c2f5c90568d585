//! The check of a session cookie outside the request path, for the sign-in pages.

use super::admit::judge;
use super::bearer::{Presented, in_cookie};
use super::gate::Gate;
use crate::domain::{Reason, TokenKinds};
use crate::resolve::KnownSecret;
use http::{Extensions, HeaderMap};

/// The state of the session in a cookie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SessionCheck {
    Valid,
    /// The session has ended, or the cookie holds no session.
    Invalid,
    NoCookie,
    /// A credential of this installation in a header counts instead.
    Overridden,
    /// The store did not answer.
    Unknown,
}

impl Gate {
    /// Checks the session in the first of these cookies that the request has. The check is not noted as a use.
    pub(crate) async fn has_session(
        &self,
        cookies: &[&str],
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> SessionCheck {
        if self.has_own_credential(headers) {
            return SessionCheck::Overridden;
        }
        let mut cookies = cookies.iter().map(|name| in_cookie(headers, name));
        let secret = match cookies.find(|cookie| *cookie != Presented::Nothing) {
            Some(Presented::Secret(secret)) => secret,
            Some(Presented::Malformed | Presented::Several) => return SessionCheck::Invalid,
            Some(Presented::Nothing) | None => return SessionCheck::NoCookie,
        };
        // No group is consulted: sessions open every group of pages.
        let kinds = TokenKinds::SESSION;
        let now = self.resolver.clock.moment();
        let Ok(verified) = self.format.verify_bytes(secret, kinds) else { return SessionCheck::Invalid };
        let secret = KnownSecret::new(verified, self.resolver.cache_key(secret));
        let judged = match self.resolver.known(&secret, now) {
            Some(resolved) => judge(resolved, secret.prefix, kinds, now),
            None => self.look_up(secret, kinds, self.addresses.of(headers, extensions)).await,
        };
        match judged {
            Ok(_) => SessionCheck::Valid,
            Err(Reason::Unavailable(_)) => SessionCheck::Unknown,
            Err(_) => SessionCheck::Invalid,
        }
    }
}
