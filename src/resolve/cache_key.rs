//! The keys of the cache: a keyed hash of the secret that a client presents.

use super::Resolver;
use crate::domain::{AccountKey, Digest, Entropy, NoEntropy, TokenKind, VerifiedSecret, account_digest};
use siphasher::sip128::SipHasher24;

/// The key of a secret in the cache: SipHash-2-4 of its bytes, with 128 bits, under a random key of the process.
///
/// An entry is put under such a key only after the secret was verified by its HMAC and found in the store. All 128 bits
/// are compared. `docs/known_secrets.md` says why that suffices.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct CacheKey {
    /// By which the cache finds an entry.
    pub(super) bucket: u64,
    /// Compared with the entry that was found.
    pub(super) rest: u64,
}

impl CacheKey {
    /// The key of entries without a verified secret: of the public principal, and of warmed tokens.
    pub(crate) const NONE: Self = Self { bucket: 0, rest: 0 };
}

/// Makes cache keys. The hash key is drawn at the start, and leaves the process in no form.
pub(crate) struct CacheKeys(SipHasher24);

impl CacheKeys {
    /// Draws a hash key.
    ///
    /// # Errors
    /// Returns [`NoEntropy`] if no random bytes are available.
    pub(crate) fn draw(entropy: &dyn Entropy) -> Result<Self, NoEntropy> {
        let mut key = [0; 16];
        entropy.fill(&mut key)?;
        Ok(Self(SipHasher24::new_with_key(&key)))
    }

    pub(super) fn of(&self, secret: &[u8]) -> CacheKey {
        let hash = self.0.hash(secret);
        CacheKey { bucket: hash.h1, rest: hash.h2 }
    }
}

/// A verified secret: its digest in the store, its key in the cache, and the kind that its prefix names.
#[derive(Clone, Copy)]
pub(crate) struct KnownSecret {
    pub(crate) digest: Digest,
    /// `None` for secrets of Strapi and for adopted keys.
    pub(crate) prefix: Option<TokenKind>,
    pub(super) cache_key: CacheKey,
}

impl KnownSecret {
    pub(crate) fn new(verified: VerifiedSecret, cache_key: CacheKey) -> Self {
        Self { digest: verified.digest, prefix: verified.kind, cache_key }
    }

    /// Returns the credential of a request that the host has signed in as this account.
    ///
    /// Its digest is no HMAC of a secret: to find one with this HMAC takes 2^216 attempts, with the hash key too. Its cache
    /// key is of a text that begins with a NUL byte, which no header value contains.
    pub(crate) fn of_account(key: &AccountKey, resolver: &Resolver) -> Self {
        let text = format!("\0account\0{key}");
        Self {
            digest: account_digest(key),
            prefix: Some(TokenKind::Session),
            cache_key: resolver.cache_key(text.as_bytes()),
        }
    }

    /// Returns the secret with this digest, for an entry that is never cached.
    pub(crate) fn uncached(digest: Digest) -> Self {
        Self { digest, prefix: None, cache_key: CacheKey::NONE }
    }
}
