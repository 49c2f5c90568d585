//! The keyed hash of a secret, which is stored and looked up.

use std::fmt;
use std::hash::{Hash, Hasher};

/// The hash of a secret, keyed unless another system issued it. It does not disclose the secret. Guesses cannot be
/// checked against it without the hash key, except those of keys whose [legacy digest](crate::token::LegacyDigest) has
/// no key.
///
/// It is still kept out of logs: [`Debug`](fmt::Debug) does not show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Digest {
    /// The last 216 bits of an HMAC-SHA-256 under a hash key of keyward. (The first 40 bits are the secret's check
    /// characters.)
    Native([u8; 27]),
    /// The HMAC-SHA-512 of a Strapi secret under Strapi's hash key.
    Strapi([u8; 64]),
    /// The SHA-256 of the digest of an adopted key and of the name of its hash function.
    Legacy([u8; 32]),
}

impl Digest {
    /// Returns lower-case hex, as stored: 54, 64 or 128 characters.
    pub fn to_hex(&self) -> String {
        hex::encode(self.bytes())
    }

    /// Parses the form of [`to_hex`](Self::to_hex).
    ///
    /// # Errors
    /// Returns [`MalformedDigest`] if the text is not hex of one of the three lengths.
    pub fn from_hex(text: &str) -> Result<Self, MalformedDigest> {
        let bytes = hex::decode(text).map_err(|_| MalformedDigest)?;
        if let Ok(native) = <[u8; 27]>::try_from(bytes.as_slice()) {
            return Ok(Self::Native(native));
        }
        if let Ok(legacy) = <[u8; 32]>::try_from(bytes.as_slice()) {
            return Ok(Self::Legacy(legacy));
        }
        <[u8; 64]>::try_from(bytes.as_slice()).map(Self::Strapi).map_err(|_| MalformedDigest)
    }

    /// Returns the first 64 bits: uniformly distributed. Clients can predict those of legacy digests without a key, so a
    /// table of digests that clients make up needs a keyed hasher.
    pub(crate) fn prefix(&self) -> u64 {
        let b = self.bytes();
        u64::from_be_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]])
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Native(b) => b,
            Self::Strapi(b) => b,
            Self::Legacy(b) => b,
        }
    }
}

impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.prefix());
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(..)")
    }
}

/// A stored digest that cannot be parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid digest: expected 54, 64 or 128 hex digits")]
pub struct MalformedDigest;

/// A hasher for tables keyed by a keyed hash, or by the prefix of a stored token's [`Digest`]: it uses the key as it is.
///
/// Clients cannot choose such keys, so they cannot aim at one bucket.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*b);
        }
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::hash::BuildHasher;

    /// A large table spreads digests by their whole prefix.
    #[test]
    fn a_digest_hashes_to_its_prefix() {
        let build = std::hash::BuildHasherDefault::<DigestHasher>::default();
        let mut bytes = [0; 27];
        bytes[..9].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(build.hash_one(Digest::Native(bytes)), 0x0102_0304_0506_0708);
        assert_eq!(build.hash_one(0x0102_0304_0506_0708_u64), 0x0102_0304_0506_0708);
        let others = ["a", "b", "ab", "ba", "", "aa"].map(|text| build.hash_one(text));
        assert_eq!(others.iter().collect::<HashSet<_>>().len(), others.len());
    }

    #[test]
    fn hex_round_trips_and_debug_shows_nothing() {
        for d in [Digest::Native([7; 27]), Digest::Strapi([9; 64]), Digest::Legacy([5; 32])] {
            assert_eq!(Digest::from_hex(&d.to_hex()), Ok(d));
            assert_eq!(format!("{d:?}"), "Digest(..)");
        }
        assert_eq!(Digest::from_hex("abcd"), Err(MalformedDigest));
        assert_eq!(Digest::from_hex("zz"), Err(MalformedDigest));
    }
}
