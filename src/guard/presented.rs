//! Secrets that are presented in a form, outside a credential header: of introspection and revocation.
//!
//! They cost what they cost in a header: a made-up secret of this installation's format ends with one HMAC.

use super::admit::judge;
use super::gate::Gate;
use crate::domain::{Digest, Principal, Reason, TokenKind, TokenKinds, Unavailable};
use crate::resolve::{Entry, KnownSecret, Resolved};
use std::net::IpAddr;
use std::sync::Arc;

const KINDS: TokenKinds = TokenKinds::of(&TokenKind::ALL);

/// A valid token of a secret that a client of the caller has presented.
pub(crate) struct Introspected {
    entry: Arc<Entry>,
    pub(crate) digest: Digest,
    /// The address of that client, as the caller reports it.
    client: Option<IpAddr>,
}

impl Introspected {
    pub(crate) fn principal(&self) -> &Principal {
        &self.entry.principal
    }
}

impl Gate {
    /// Returns the token of a secret that a client of the caller has presented from this address, if it is valid now. Without an
    /// address, a token that is bound to networks is not. Its rate is not counted: the gateway decides what a request is.
    ///
    /// # Errors
    /// [`Unavailable`] if that cannot be said now.
    pub(crate) async fn introspect(
        self: &Arc<Self>,
        secret: &str,
        client: Option<IpAddr>,
    ) -> Result<Option<Introspected>, Unavailable> {
        let Some((resolved, secret)) = self.resolve_presented(secret, None).await? else { return Ok(None) };
        let Ok(entry) = judge(resolved, secret.prefix, KINDS, self.resolver.clock.moment()) else { return Ok(None) };
        Ok(entry.admit_address(client).is_ok().then(|| Introspected { entry, digest: secret.digest, client }))
    }

    /// Notes a use of an introspected token: from the client's address, or if that is unknown from this one, of its last use.
    pub(crate) fn note_introspected(&self, introspected: &Introspected, last_known: Option<IpAddr>) {
        let address = introspected.client.or(last_known);
        self.resolver.note_use(&introspected.entry, self.resolver.clock.moment(), || address);
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
