//! Secrets that are presented in a form, outside a credential header: of introspection and revocation.
//!
//! They cost what they cost in a header: a made-up secret of this installation's format ends with one HMAC.

use super::admit::judge;
use super::gate::Gate;
use crate::domain::{Digest, Principal, Reason, TokenKind, TokenKinds, Unavailable};
use crate::resolve::{KnownSecret, Resolved};
use std::net::IpAddr;
use std::sync::Arc;

const KINDS: TokenKinds = TokenKinds::of(&TokenKind::ALL);

impl Gate {
    /// Returns the principal and the digest of a secret that a client of the caller has presented, if it is valid now. That is a use of the
    /// token, from an unknown address. Its networks and its rate are not judged: the client is another one's.
    ///
    /// # Errors
    /// [`Unavailable`] if that cannot be said now.
    pub(crate) async fn introspect(self: &Arc<Self>, secret: &str) -> Result<Option<(Principal, Digest)>, Unavailable> {
        let Some((resolved, secret)) = self.resolve_presented(secret, None).await? else { return Ok(None) };
        let now = self.resolver.clock.moment();
        let Ok(entry) = judge(resolved, secret.prefix, KINDS, now) else { return Ok(None) };
        self.resolver.note_use(&entry, now, || None);
        Ok(Some((entry.principal.clone(), secret.digest)))
    }

    /// Returns the digest of a presented secret if there is a token with it, valid or not.
    ///
    /// # Errors
    /// [`Unavailable`] if that cannot be said now.
    pub(crate) async fn find_presented(
        self: &Arc<Self>,
        secret: &str,
        address: Option<IpAddr>,
    ) -> Result<Option<Digest>, Unavailable> {
        Ok(match self.resolve_presented(secret, address).await? {
            Some((Resolved::Found(_), secret)) => Some(secret.digest),
            Some((Resolved::Absent { .. }, _)) | None => None,
        })
    }

    /// Resolves a secret as the gate does; `None` if it was never issued.
    async fn resolve_presented(
        self: &Arc<Self>,
        text: &str,
        address: Option<IpAddr>,
    ) -> Result<Option<(Resolved, KnownSecret)>, Unavailable> {
        let verified = match self.format.verify(text, KINDS) {
            Ok(verified) => verified,
            Err(error) => {
                let rejected = match self.reject_invalid(error) {
                    Ok(lookup) => lookup.await.err(),
                    Err(reason) => Some(reason),
                };
                return match rejected {
                    Some(Reason::Unavailable(unavailable)) => Err(unavailable),
                    _ => Ok(None),
                };
            }
        };
        let secret = KnownSecret::new(verified, self.resolver.cache_key(text.as_bytes()));
        let resolved = match self.resolver.known(&secret, self.resolver.clock.moment()) {
            Some(resolved) => resolved,
            None => self.ask(secret, address).await?,
        };
        Ok(Some((resolved, secret)))
    }
}
