//! The end of a token, as it is told to those who ask about one.

use super::Resolver;
use super::usage::NOTE_EVERY;
use crate::domain::{Digest, Timestamp, Token, TokenAuthority};

impl Resolver {
    /// Returns when a token that was used just now with this secret ends, if no secret of it is used again; `None` if it
    /// does not.
    ///
    /// That is the earliest of its expiry, the end of the secret's grace period, the expiry of the tokens that it comes
    /// from, and the idle expiries: the times at which the gate would reject it.
    pub(crate) fn end_of(&self, token: &Token, digest: &Digest, now: Timestamp) -> Option<Timestamp> {
        let session_idle = match token.authority {
            TokenAuthority::Session { idle, .. } => Some(idle),
            _ => None,
        };
        // A use may be noted up to a minute late, so the gate admits a token a minute longer. A use of now counts fully.
        let own_idle = [session_idle, token.limits.idle_expiry].into_iter().flatten().map(|idle| now.plus(idle));
        let ancestors = token.ancestors.iter().flat_map(|ancestor| {
            let used = [ancestor.last_used_at, self.usage.pending(ancestor.id)].into_iter().flatten().max();
            let used = used.unwrap_or(ancestor.created_at).max(ancestor.created_at);
            let idle = ancestor.limits.idle_expiry.map(|idle| used.plus(idle).plus(NOTE_EVERY));
            [ancestor.expires_at, idle].into_iter().flatten()
        });
        let previous = token.previous.as_ref().filter(|previous| previous.digest == *digest);
        let own = [token.expires_at, previous.map(|previous| previous.ends_at)].into_iter().flatten();
        own.chain(own_idle).chain(ancestors).min()
    }
}
