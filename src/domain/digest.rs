//! The keyed hash of a secret: what is stored and looked up.

use std::fmt;
use std::hash::{Hash, Hasher};

/// The keyed hash of a secret. Whoever reads it can neither present nor guess the secret.
///
/// It is still kept out of logs: [`Debug`](fmt::Debug) does not show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Digest {
    /// The last 216 bits of an HMAC-SHA-256 under one of our salts (the first 40 are the secret's check characters).
    Native([u8; 27]),
    /// The HMAC-SHA-512 of a secret of the reference under its salt.
    Strapi([u8; 64]),
}

impl Digest {
    /// Lower-case hex, as stored: 54 or 128 characters.
    pub fn to_hex(&self) -> String {
        hex::encode(self.bytes())
    }

    /// Reads what [`to_hex`](Self::to_hex) wrote.
    ///
    /// # Errors
    /// If the text is not hex of one of the two lengths.
    pub fn from_hex(text: &str) -> Result<Self, MalformedDigest> {
        let bytes = hex::decode(text).map_err(|_| MalformedDigest)?;
        if let Ok(native) = <[u8; 27]>::try_from(bytes.as_slice()) {
            return Ok(Self::Native(native));
        }
        <[u8; 64]>::try_from(bytes.as_slice()).map(Self::Strapi).map_err(|_| MalformedDigest)
    }

    /// The first 64 bits: uniformly distributed, and unpredictable for whoever does not know the salt.
    pub(crate) fn prefix(&self) -> u64 {
        let b = self.bytes();
        u64::from_be_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]])
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Native(b) => b,
            Self::Strapi(b) => b,
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

/// A stored digest that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stored digest is neither 54 nor 128 hex digits")]
pub struct MalformedDigest;

/// A hasher for tables keyed by [`Digest`], which is a keyed hash already: it takes the digest's prefix as it is.
///
/// Nobody without the salt can choose prefixes, so nobody can aim at one bucket.
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

    /// A table of a million of them has as many places: they are spread by what is in the digest.
    #[test]
    fn a_digest_is_hashed_to_its_prefix_and_anything_else_to_something() {
        let build = std::hash::BuildHasherDefault::<DigestHasher>::default();
        let mut bytes = [0; 27];
        bytes[..9].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(build.hash_one(Digest::Native(bytes)), 0x0102_0304_0506_0708);
        assert_eq!(build.hash_one(0x0102_0304_0506_0708_u64), 0x0102_0304_0506_0708);
        let others = ["a", "b", "ab", "ba", "", "aa"].map(|text| build.hash_one(text));
        assert_eq!(others.iter().collect::<HashSet<_>>().len(), others.len());
    }

    #[test]
    fn hex_round_trips_and_debug_tells_nothing() {
        for d in [Digest::Native([7; 27]), Digest::Strapi([9; 64])] {
            assert_eq!(Digest::from_hex(&d.to_hex()), Ok(d));
            assert_eq!(format!("{d:?}"), "Digest(..)");
        }
        assert_eq!(Digest::from_hex("abcd"), Err(MalformedDigest));
        assert_eq!(Digest::from_hex("zz"), Err(MalformedDigest));
    }
}
