//! Hash keys, with which digests of secrets are made.

use super::{Digest, Entropy, NoEntropy, OsEntropy, Secret};
use hmac::{Hmac, KeyInit, Mac};
use sha2::block_api::compress256;
use sha2::{Sha256, Sha512};
use std::fmt;
use zeroize::{Zeroize, Zeroizing};

/// The public name of a hash key, stored with each token, so that you can see which tokens still need an old key.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct HashKeyId(String);

impl HashKeyId {
    /// The id stored with imported Strapi tokens, whose hash key has no name.
    pub(crate) const STRAPI: &str = "reference";

    /// The id stored with sessions of accounts, whose digest is made without a hash key. No hash key has such a name.
    pub(crate) const ACCOUNTS: &str = "session:account";

    #[cfg(feature = "strapi")]
    pub(crate) fn of_strapi() -> Self {
        Self(Self::STRAPI.to_owned())
    }

    /// Returns [`ACCOUNTS`](Self::ACCOUNTS).
    pub(crate) fn of_accounts() -> Self {
        Self(Self::ACCOUNTS.to_owned())
    }

    /// Returns the id stored with adopted tokens: `legacy:` and the name of the hash function. No hash key has such a
    /// name.
    pub(super) fn of_legacy(hash: &str) -> Self {
        Self(format!("legacy:{hash}"))
    }

    /// Returns the hash function that an id of adopted tokens names; `None` for other ids.
    pub(super) fn legacy_hash(id: &str) -> Option<&str> {
        id.strip_prefix("legacy:")
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The reason why a hash key is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidHashKey {
    /// Fewer than 32 bytes.
    #[error("hash key too short, {0} of at least 32 random bytes: make one with `openssl rand -hex 32`")]
    Short(usize),
    /// Too few distinct characters to be random.
    #[error("hash key not random: make one with `openssl rand -hex 32`")]
    Regular,
    /// Its name is not 1 to 16 letters, digits, `-` or `.`.
    #[error("invalid hash key name before the `:`: use 1 to 16 letters, digits, `-` or `.`")]
    Name,
    /// Two hash keys of a ring have the same name.
    #[error("two hash keys named `{0}`: give each its own name, as in `2026:...`")]
    SameName(String),
    /// More than four hash keys.
    #[error("too many hash keys, {0} of at most 4: remove the oldest")]
    TooMany(usize),
    /// The text is in quotes.
    #[error("hash key in quotes, which would be part of it: remove them (an env file may keep them)")]
    Quoted,
    /// The environment variable is not set.
    #[error("the environment variable {0} is not set, or no Unicode: set it to a key of `openssl rand -hex 32`")]
    Variable(String),
    /// The text is empty.
    #[error("Strapi's hash key is empty: use its `apiToken.salt`")]
    Empty,
}

/// A key with which digests of secrets are made.
///
/// The key and the database together allow guesses to be checked; the database alone does not. Losing or changing the
/// key invalidates every token issued under it.
#[derive(Clone)]
pub struct HashKey {
    id: HashKeyId,
    /// HMAC state after the key's blocks.
    state: Hmac<Sha256>,
    /// The same for messages of one block.
    short: OneBlockHmac,
    fingerprint: Zeroizing<Vec<u8>>,
}

impl HashKey {
    /// Generates a key, and returns it with its text for the next start (see [`parse`](Self::parse)).
    ///
    /// # Errors
    /// Returns [`NoEntropy`] if the system provides no random bytes.
    pub fn generate() -> Result<(Self, Secret), NoEntropy> {
        let mut bytes = Zeroizing::new([0u8; 32]);
        OsEntropy.fill(&mut *bytes)?;
        let text = Zeroizing::new(hex::encode(*bytes));
        Ok((Self::keyed(HashKeyId("0".to_owned()), text.as_bytes()), Secret::new(text.as_str().to_owned())))
    }

    /// Parses `KEY` or `NAME:KEY`: at least 32 bytes of random text; white space around it is ignored.
    ///
    /// The name is public and only matters in a ring. A key that contains a `:` needs a name.
    ///
    /// # Errors
    /// Returns [`InvalidHashKey`] if the key is short, regular, quoted or badly named.
    pub fn parse(text: &str) -> Result<Self, InvalidHashKey> {
        let text = unquoted(text)?;
        let (name, key) = text.split_once(':').unwrap_or(("0", text));
        let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
        if !(1..=16).contains(&name.len()) || !name.bytes().all(fits) {
            return Err(InvalidHashKey::Name);
        }
        unquoted(key)?;
        if key.len() < 32 {
            return Err(InvalidHashKey::Short(key.len()));
        }
        let mut distinct = key.as_bytes().to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let count = distinct.len();
        distinct.zeroize();
        if count < 8 {
            return Err(InvalidHashKey::Regular);
        }
        Ok(Self::keyed(HashKeyId(name.to_owned()), key.as_bytes()))
    }

    fn keyed(id: HashKeyId, key: &[u8]) -> Self {
        Self { id, state: mac(key), short: OneBlockHmac::new(key), fingerprint: Zeroizing::new(key.to_vec()) }
    }

    /// Returns the public name.
    pub fn id(&self) -> &HashKeyId {
        &self.id
    }

    /// Returns a value that distinguishes this key from others and does not disclose it.
    pub(super) fn check_value(&self, of: &str) -> String {
        hex::encode(&self.hash(of.as_bytes())[..16])
    }

    /// Returns the HMAC-SHA-256 of a message. Not inlined, so that profilers can attribute its cost.
    #[inline(never)]
    pub(super) fn hash(&self, message: &[u8]) -> [u8; 32] {
        match self.short.hash(message) {
            Some(mac) => mac,
            None => self.state.clone().chain_update(message).finalize().into_bytes().into(),
        }
    }
}

/// Trims white space, and rejects quotes around the text: a shell strips them, an env file may not.
pub(super) fn unquoted(text: &str) -> Result<&str, InvalidHashKey> {
    let text = text.trim();
    let quoted = |quote| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote);
    if quoted('"') || quoted('\'') { Err(InvalidHashKey::Quoted) } else { Ok(text) }
}

/// HMAC-SHA-256 (RFC 2104) for messages that fit into one block with their padding.
///
/// It needs two compressions, no buffer and no length counter. For requests with a cached token the HMAC costs a fifth
/// less.
#[derive(Clone)]
struct OneBlockHmac {
    inner: Zeroizing<[u32; 8]>,
    outer: Zeroizing<[u32; 8]>,
}

const BLOCK: usize = 64;
/// The capacity of a block besides a 1 bit and the length in bits.
const MAX_MESSAGE: usize = BLOCK - 9;

impl OneBlockHmac {
    fn new(key: &[u8]) -> Self {
        let mut block = Zeroizing::new([0; BLOCK]);
        match block.get_mut(..key.len()) {
            Some(start) => start.copy_from_slice(key),
            None => {
                let hashed: [u8; 32] = <Sha256 as sha2::Digest>::digest(key).into();
                block[..32].copy_from_slice(&*Zeroizing::new(hashed));
            }
        }
        let state = |pad: u8| {
            let mut state = Zeroizing::new(INITIAL);
            // Filled in place: a temporary copy would not be wiped.
            let mut padded = Zeroizing::new([0; BLOCK]);
            padded.iter_mut().zip(block.iter()).for_each(|(to, from)| *to = from ^ pad);
            compress256(&mut state, std::slice::from_ref(&*padded));
            state
        };
        Self { inner: state(0x36), outer: state(0x5c) }
    }

    fn hash(&self, message: &[u8]) -> Option<[u8; 32]> {
        let mut block = [0; BLOCK];
        block[..MAX_MESSAGE].get_mut(..message.len())?.copy_from_slice(message);
        block[message.len()] = 0x80;
        // The length of the key's block and of this message.
        block[BLOCK - 8..].copy_from_slice(&(8 * (BLOCK + message.len()) as u64).to_be_bytes());
        let inner = Self::compress(*self.inner, &block);
        // In the same place, so that no copy of the secret remains.
        let (hash, padding) = block.split_at_mut(inner.len());
        hash.copy_from_slice(&inner);
        padding.copy_from_slice(&AFTER_A_HASH);
        Some(Self::compress(*self.outer, &block))
    }

    #[inline(always)]
    fn compress(mut state: [u32; 8], block: &[u8; BLOCK]) -> [u8; 32] {
        compress256(&mut state, std::slice::from_ref(block));
        let mut bytes = [0; 32];
        for (four, word) in bytes.chunks_exact_mut(4).zip(state) {
            four.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }
}

/// A 1 bit, and the length of the key's block and a hash: 768 bits.
const AFTER_A_HASH: [u8; 32] = {
    let mut padding = [0; 32];
    padding[0] = 0x80;
    padding[30] = 3;
    padding
};

/// The initial state of SHA-256 (FIPS 180-4, section 5.3.3).
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HashKey({})", self.id.0)
    }
}

pub(super) fn mac<M: KeyInit>(key: &[u8]) -> M {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length, RFC 2104 section 2")]
    M::new_from_slice(key).expect("HMAC takes any key")
}

/// The hash keys of an installation: the first issues, all verify. At most four.
#[derive(Clone, Debug)]
pub struct HashKeyRing(Vec<HashKey>);

impl HashKeyRing {
    /// Creates a ring of one key.
    pub fn new(hash_key: HashKey) -> Self {
        Self(vec![hash_key])
    }

    /// Reads hash keys from this environment variable, in the form that [`parse`](Self::parse) takes.
    ///
    /// # Errors
    /// Returns [`InvalidHashKey::Variable`] if the variable is not set or no Unicode, else like [`parse`](Self::parse).
    pub fn from_env(variable: &str) -> Result<Self, InvalidHashKey> {
        Self::parse(&std::env::var(variable).map_err(|_| InvalidHashKey::Variable(variable.into()))?)
    }

    /// Parses hash keys separated by commas, the issuing one first: `2026:KEY,2025:KEY`.
    ///
    /// # Errors
    /// Returns [`InvalidHashKey`] like [`HashKey::parse`], and for more than four keys or two with one name.
    pub fn parse(text: &str) -> Result<Self, InvalidHashKey> {
        let mut hash_keys = unquoted(text)?.split(',').map(HashKey::parse);
        let first = hash_keys.next().unwrap_or(Err(InvalidHashKey::Short(0)))?;
        hash_keys.try_fold(Self::new(first), |ring, hash_key| ring.and_old(hash_key?))
    }

    /// Adds a key that verifies and no longer issues.
    ///
    /// # Errors
    /// Returns [`InvalidHashKey`] if there are four already, or one with this name.
    pub fn and_old(mut self, hash_key: HashKey) -> Result<Self, InvalidHashKey> {
        if self.0.iter().any(|s| s.id == hash_key.id && *s.fingerprint != *hash_key.fingerprint) {
            return Err(InvalidHashKey::SameName(hash_key.id.0));
        }
        if !self.0.iter().any(|s| *s.fingerprint == *hash_key.fingerprint) {
            self.0.push(hash_key);
        }
        if self.0.len() > 4 { Err(InvalidHashKey::TooMany(self.0.len())) } else { Ok(self) }
    }
}

impl HashKeyRing {
    /// Returns the key that issues.
    pub(super) fn issuing(&self) -> &HashKey {
        // A ring is never empty.
        &self.0[0]
    }

    /// Returns all keys, the issuing one first.
    pub(super) fn all(&self) -> &[HashKey] {
        &self.0
    }

    /// Returns the name and check value of each key. Secrets never start like the constant, so no digest equals a check
    /// value.
    pub(super) fn check_values(&self) -> impl Iterator<Item = (&str, String)> {
        self.0.iter().map(|hash_key| (hash_key.id.as_str(), hash_key.check_value("keyward: check value of a hash key")))
    }
}

impl From<HashKey> for HashKeyRing {
    fn from(hash_key: HashKey) -> Self {
        Self::new(hash_key)
    }
}

/// Strapi's hash key, for tokens that Strapi issued. No other value is derived from it.
#[derive(Clone)]
pub struct StrapiHashKey(Hmac<Sha512>);

impl StrapiHashKey {
    /// Takes the text of Strapi's `apiToken.salt`.
    ///
    /// # Errors
    /// Returns [`InvalidHashKey`] if the text is empty or in quotes.
    pub fn new(text: &str) -> Result<Self, InvalidHashKey> {
        unquoted(text)?;
        if text.is_empty() { Err(InvalidHashKey::Empty) } else { Ok(Self(mac(text.as_bytes()))) }
    }

    pub(crate) fn digest(&self, secret: &[u8]) -> Digest {
        Digest::Strapi(self.hash(secret))
    }

    /// Returns a value that distinguishes this key from others. Strapi's secrets are hex, so no digest equals it.
    pub(super) fn check_value(&self) -> String {
        hex::encode(&self.hash(b"keyward: check value of the hash key of Strapi")[..16])
    }

    fn hash(&self, message: &[u8]) -> [u8; 64] {
        let mut state = self.0.clone();
        state.update(message);
        state.finalize().into_bytes().into()
    }
}

impl fmt::Debug for StrapiHashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StrapiHashKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn one_block_hmac_agrees_with_the_library(key: Vec<u8>, message in prop::collection::vec(any::<u8>(), 0..80)) {
            let (short, library) = (OneBlockHmac::new(&key), mac::<Hmac<Sha256>>(&key));
            let expected: [u8; 32] = library.chain_update(&message).finalize().into_bytes().into();
            prop_assert_eq!(short.hash(&message), (message.len() <= 55).then_some(expected));
        }
    }

    /// RFC 4231, sections 4.2, 4.3 and 4.7.
    #[test]
    fn one_block_hmac_passes_the_rfc_4231_test_cases() {
        let long = "Test Using Larger Than Block-Size Key - Hash Key First";
        for (key, message, mac) in [
            (&[0x0b; 20][..], "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe",
                "what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (&[0xaa; 131], long, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"),
        ] {
            assert_eq!(OneBlockHmac::new(key).hash(message.as_bytes()).map(hex::encode).as_deref(), Some(mac));
        }
    }

    const KEY: &str = "4bX0qPz81hVnR7sYw2Lm5Kc9Tj3Ga6Fd";
    const OLD: &str = "old:Zp0Qx81vHn7RsYw2Lm5Kc9Tj3Ga6Fd4b";

    #[test]
    fn hash_keys_must_be_random_with_distinct_names() {
        assert_eq!(HashKey::parse("short").unwrap_err(), InvalidHashKey::Short(5));
        assert_eq!(HashKey::parse(&"ab".repeat(20)).unwrap_err(), InvalidHashKey::Regular);
        assert_eq!(HashKey::parse(&format!("a b:{KEY}")).unwrap_err(), InvalidHashKey::Name);
        let other = &OLD[4..];
        assert_eq!(HashKeyRing::parse(&format!("{KEY},{other}")).unwrap_err(), InvalidHashKey::SameName("0".into()));
        let five = (0..5).map(|i| format!("{i}:{i}{KEY}")).collect::<Vec<_>>().join(",");
        assert_eq!(HashKeyRing::parse(&five).unwrap_err(), InvalidHashKey::TooMany(5));
        let of = |distinct: &str| HashKey::parse(&distinct.repeat(5)).map(drop);
        assert_eq!((of("abcdefg"), of("abcdefgh")), (Err(InvalidHashKey::Regular), Ok(())));
        let four = (0..4).map(|i| format!("{i}:{i}{KEY}")).collect::<Vec<_>>().join(",");
        assert_eq!(HashKeyRing::parse(&four).map(|ring| ring.all().len()), Ok(4));
        let (_, text) = HashKey::generate().unwrap();
        assert!(HashKey::parse(text.expose()).is_ok());
    }

    /// `docker --env-file` keeps quotes, a shell strips them: that would be two keys.
    #[test]
    fn quoted_hash_keys_are_rejected() {
        for quote in ['\'', '"'] {
            for text in [
                format!("{quote}{KEY}{quote}"),
                format!(" a:{quote}{KEY}{quote}\n"),
                format!("{quote}{OLD},{KEY}{quote}"),
            ] {
                assert_eq!(HashKeyRing::parse(&text).unwrap_err(), InvalidHashKey::Quoted, "{text}");
            }
            assert_eq!(HashKey::parse(&format!("{quote}{KEY}{quote}")).unwrap_err(), InvalidHashKey::Quoted);
            assert_eq!(StrapiHashKey::new(&format!("{quote}strapi{quote}")).unwrap_err(), InvalidHashKey::Quoted);
            assert!(HashKey::parse(&format!("a:{quote}{KEY}")).is_ok(), "a random text may start with a quote");
        }
    }
}
