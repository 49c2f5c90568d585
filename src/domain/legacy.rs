//! Keys that another system issued, of which only digests are known.
//!
//! They have no check characters: only the store can tell a genuine key from a made-up one. So each format has a shape,
//! and a text of another shape is neither hashed nor looked up.
//!
//! The stored digest is the SHA-256 of the name of the hash function and the digest of the other system. So digests of
//! two functions never match each other, although all have the same length. They have a variant of [`Digest`] of their
//! own, and never match a digest of keyward's format either. Strapi's digests are stored as Strapi has them, because
//! its database is read too.

use super::hash_key::mac;
use super::secret::{LONGEST, occurrences};
use super::{Digest, HashKeyId, MalformedDigest, StrapiHashKey};
use hmac::{Hmac, Mac};
use sha2::{Digest as _, Sha256, Sha512};
use std::fmt;
use std::ops::RangeInclusive;

/// The fewest characters beside the prefix. Shorter keys can be guessed.
const FEWEST: usize = 16;
/// The length of Strapi's secrets.
const STRAPI: usize = 256;

/// A format of keys that another system issued, and how their digests are made.
///
/// An installation accepts such keys if their format is [declared](crate::Builder::legacy_keys) and their token was
/// [adopted](crate::admin::Tokens::adopt). A format has a shape: a prefix, a length or both, and a set of characters. A
/// secret of the shape that is not known costs a read of the store, so make the shape as narrow as the keys allow.
///
/// The digest is that of the whole key, the prefix included.
///
/// ```
/// use keyward::token::{LegacyCharacters, LegacyFormat};
/// // acme_ and 40 hex digits
/// let keys = LegacyFormat::sha256().prefix("acme_").length(45).characters(LegacyCharacters::Hex);
/// // 43 or 44 characters, hashed with a key of the application
/// # let key = [7; 32];
/// let older = LegacyFormat::hmac_sha256(key)?.lengths(43..=44);
/// # Ok::<_, keyward::token::InvalidLegacyFormat>(())
/// ```
#[derive(Clone)]
pub struct LegacyFormat {
    hasher: Hasher,
    prefix: String,
    lengths: Option<RangeInclusive<usize>>,
    characters: LegacyCharacters,
}

/// The characters of a legacy key, except its prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum LegacyCharacters {
    /// Digits and the letters `a` to `f`, in lower case.
    Hex,
    /// Letters and digits.
    Alphanumeric,
    /// Letters, digits, `-` and `_`, as in base64url without padding and in UUIDs.
    UrlSafe,
    /// Everything that a bearer token may have (RFC 9110 section 11.2): letters, digits, and `-._~+/=`.
    #[default]
    Token68,
}

/// The digest of a key that another system issued, for [`Tokens::adopt`](crate::admin::Tokens::adopt).
///
/// It is written as hex digits, in lower or upper case. [`Debug`](fmt::Debug) does not show it.
#[derive(Clone)]
pub struct LegacyDigest {
    hash: LegacyHash,
    hex: String,
}

/// An invalid [`LegacyFormat`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidLegacyFormat {
    /// It has neither a prefix nor a length.
    #[error("legacy format without a shape: set a prefix or a length, or every text would be looked up")]
    Shapeless,
    /// Its prefix has other characters, or begins like the secrets of the installation.
    #[error(
        "invalid prefix `{0}` of a legacy format: use letters, digits and `-._~+/`, and not the prefix of keyward's own secrets"
    )]
    Prefix(String),
    /// Its keys are too short to be safe from guesses, or longer than a secret may be.
    #[error("invalid length of a legacy format: use {0} to 512 characters, prefix included")]
    Length(usize),
    /// The key of its HMAC is empty.
    #[error("empty key of a legacy format: use the key that the digests were made with")]
    Key,
    /// A secret could have either format.
    #[error("the formats `{0}` and `{1}` accept the same secrets: narrow their prefixes or lengths")]
    Overlap(String, String),
}

/// The hash function of a legacy digest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LegacyHash {
    Sha256,
    HmacSha256,
    HmacSha512,
}

#[derive(Clone)]
enum Hasher {
    Sha256,
    HmacSha256(Hmac<Sha256>),
    HmacSha512(Hmac<Sha512>),
    Strapi(StrapiHashKey),
}

impl LegacyFormat {
    /// Declares keys whose digest is their SHA-256.
    ///
    /// It has no key: a reader of the database can check guesses, and a writer can add keys of its own.
    pub fn sha256() -> Self {
        Self::of(Hasher::Sha256)
    }

    /// Declares keys whose digest is their HMAC-SHA-256 under this key.
    ///
    /// # Errors
    /// Returns [`InvalidLegacyFormat::Key`] if the key is empty.
    pub fn hmac_sha256(key: impl AsRef<[u8]>) -> Result<Self, InvalidLegacyFormat> {
        Ok(Self::of(Hasher::HmacSha256(mac(not_empty(key.as_ref())?))))
    }

    /// Declares keys whose digest is their HMAC-SHA-512 under this key.
    ///
    /// # Errors
    /// Returns [`InvalidLegacyFormat::Key`] if the key is empty.
    pub fn hmac_sha512(key: impl AsRef<[u8]>) -> Result<Self, InvalidLegacyFormat> {
        Ok(Self::of(Hasher::HmacSha512(mac(not_empty(key.as_ref())?))))
    }

    /// Declares the secrets of Strapi.
    pub(super) fn strapi(key: StrapiHashKey) -> Self {
        Self::of(Hasher::Strapi(key)).length(STRAPI).characters(LegacyCharacters::Hex)
    }

    fn of(hasher: Hasher) -> Self {
        Self { hasher, prefix: String::new(), lengths: None, characters: LegacyCharacters::default() }
    }

    /// Sets the text that each key begins with.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets the length of the keys in characters, prefix included.
    #[must_use]
    pub fn length(self, length: usize) -> Self {
        self.lengths(length..=length)
    }

    /// Sets the shortest and the longest length of the keys in characters, prefix included. By default, a format with a
    /// prefix has at least 16 characters after it and at most 512 in all.
    #[must_use]
    pub fn lengths(mut self, lengths: RangeInclusive<usize>) -> Self {
        self.lengths = Some(lengths);
        self
    }

    /// Sets the characters that follow the prefix, instead of those that any bearer token may have.
    #[must_use]
    pub fn characters(mut self, characters: LegacyCharacters) -> Self {
        self.characters = characters;
        self
    }

    /// Checks the format in an installation whose own secrets begin with one of these prefixes.
    pub(super) fn check(&self, own: &[&str]) -> Result<(), InvalidLegacyFormat> {
        if self.prefix.is_empty() && self.lengths.is_none() {
            return Err(InvalidLegacyFormat::Shapeless);
        }
        let is_text = self.prefix.bytes().all(|b| b != b'=' && LegacyCharacters::Token68.has(b));
        if !is_text || own.iter().any(|own| self.prefix.starts_with(own)) {
            return Err(InvalidLegacyFormat::Prefix(self.prefix.clone()));
        }
        let (range, least) = (self.range(), self.prefix.len() + FEWEST);
        let fits = !range.is_empty() && *range.start() >= least && *range.end() <= LONGEST;
        if fits { Ok(()) } else { Err(InvalidLegacyFormat::Length(least)) }
    }

    /// Checks that no text has both shapes: the digest of a secret must not depend on the order of the formats.
    pub(super) fn check_distinct(&self, other: &Self) -> Result<(), InvalidLegacyFormat> {
        let (short, long) = if self.prefix.len() <= other.prefix.len() { (self, other) } else { (other, self) };
        let rest = long.prefix.strip_prefix(&short.prefix);
        let begin_alike = rest.is_some_and(|rest| rest.bytes().all(|b| short.characters.has(b)));
        let (one, two) = (self.range(), other.range());
        let overlap = one.start() <= two.end() && two.start() <= one.end();
        match begin_alike && overlap {
            true => Err(InvalidLegacyFormat::Overlap(self.id(), other.id())),
            false => Ok(()),
        }
    }

    pub(super) fn is_strapi(&self) -> bool {
        matches!(self.hasher, Hasher::Strapi(_))
    }

    /// Returns whether a key may have this length.
    pub(super) fn has_length(&self, length: usize) -> bool {
        self.range().contains(&length)
    }

    /// Returns whether a text has the shape of a key.
    pub(super) fn fits(&self, text: &[u8]) -> bool {
        let rest = text.strip_prefix(self.prefix.as_bytes());
        self.has_length(text.len()) && rest.is_some_and(|rest| rest.iter().all(|b| self.characters.has(*b)))
    }

    /// Returns the digest of a key, as stored.
    pub(super) fn digest(&self, key: &[u8]) -> Digest {
        match &self.hasher {
            Hasher::Sha256 => stored(LegacyHash::Sha256, &Sha256::digest(key)),
            Hasher::HmacSha256(mac) => stored(LegacyHash::HmacSha256, &finish(mac, key)),
            Hasher::HmacSha512(mac) => stored(LegacyHash::HmacSha512, &finish(mac, key)),
            Hasher::Strapi(hash_key) => hash_key.digest(key),
        }
    }

    /// Adds the parts of a text that have the shape of a key, each with its end: whole runs of the format's characters, also without what
    /// may follow or precede a key in a sentence or an assignment.
    pub(super) fn candidates<'t>(&self, text: &'t [u8], parts: &mut Vec<(usize, &'t [u8])>) {
        let run = |from: usize| text[from..].iter().take_while(|b| self.characters.has(**b)).count();
        let mut add = |start: usize, end: usize| {
            let whole = &text[start..end];
            let is_mark = |b: &u8| !b.is_ascii_alphanumeric();
            let trimmed = whole.len() - whole.iter().rev().take_while(|b| is_mark(b)).count();
            for part in [whole, &whole[..trimmed]] {
                if self.fits(part) && parts.last() != Some(&(start + part.len(), part)) {
                    parts.push((start + part.len(), part));
                }
            }
        };
        if !self.prefix.is_empty() {
            let stands_alone = |at: &usize| *at == 0 || !text[at - 1].is_ascii_alphanumeric();
            for at in occurrences(text, self.prefix.as_bytes()).filter(stands_alone) {
                let from = at + self.prefix.len();
                add(at, from + run(from));
            }
            return;
        }
        let mut at = 0;
        while at < text.len() {
            let end = at + run(at);
            if end > at {
                add(at, end);
                // After the name in `key=..`.
                if let Some(sign) = text[at..end].iter().position(|b| *b == b'=') {
                    add(at + sign + 1, end);
                }
            }
            at = end + 1;
        }
    }

    pub(super) fn hash(&self) -> Option<LegacyHash> {
        match self.hasher {
            Hasher::Sha256 => Some(LegacyHash::Sha256),
            Hasher::HmacSha256(_) => Some(LegacyHash::HmacSha256),
            Hasher::HmacSha512(_) => Some(LegacyHash::HmacSha512),
            Hasher::Strapi(_) => None,
        }
    }

    /// Returns a value that distinguishes the key of an HMAC from others, and the name of the format. No key of a format
    /// has a space, so no digest equals the value.
    pub(super) fn check_value(&self) -> Option<(String, String)> {
        let constant = b"keyward: check value of a key of legacy digests";
        let value = match &self.hasher {
            Hasher::HmacSha256(mac) => hex::encode(&finish(mac, constant)[..16]),
            Hasher::HmacSha512(mac) => hex::encode(&finish(mac, constant)[..16]),
            Hasher::Sha256 | Hasher::Strapi(_) => return None,
        };
        Some((self.id(), value))
    }

    /// Returns a public name: the hash, and the shape, which no other format of the installation has.
    fn id(&self) -> String {
        let (hash, range) = (self.hash().map_or("strapi", LegacyHash::as_str), self.range());
        format!("{hash}:{}:{}-{}", self.prefix, range.start(), range.end())
    }

    fn range(&self) -> RangeInclusive<usize> {
        self.lengths.clone().unwrap_or(self.prefix.len() + FEWEST..=LONGEST)
    }
}

impl fmt::Debug for LegacyFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LegacyFormat({})", self.id())
    }
}

impl LegacyCharacters {
    fn has(self, b: u8) -> bool {
        match self {
            Self::Hex => matches!(b, b'0'..=b'9' | b'a'..=b'f'),
            Self::Alphanumeric => b.is_ascii_alphanumeric(),
            Self::UrlSafe => b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'),
            Self::Token68 => b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'='),
        }
    }
}

impl LegacyDigest {
    /// Takes the SHA-256 of a key: 64 hex digits.
    pub fn sha256(hex: impl Into<String>) -> Self {
        Self { hash: LegacyHash::Sha256, hex: hex.into() }
    }

    /// Takes the HMAC-SHA-256 of a key: 64 hex digits.
    pub fn hmac_sha256(hex: impl Into<String>) -> Self {
        Self { hash: LegacyHash::HmacSha256, hex: hex.into() }
    }

    /// Takes the HMAC-SHA-512 of a key: 128 hex digits.
    pub fn hmac_sha512(hex: impl Into<String>) -> Self {
        Self { hash: LegacyHash::HmacSha512, hex: hex.into() }
    }

    pub(crate) fn hash(&self) -> LegacyHash {
        self.hash
    }

    /// Returns the digest as stored.
    pub(crate) fn parse(&self) -> Result<Digest, MalformedDigest> {
        let bytes = hex::decode(&self.hex).map_err(|_| MalformedDigest)?;
        if bytes.len() == self.hash.size() { Ok(stored(self.hash, &bytes)) } else { Err(MalformedDigest) }
    }
}

impl fmt::Debug for LegacyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LegacyDigest({})", self.hash.as_str())
    }
}

impl LegacyHash {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::HmacSha256 => "hmac-sha256",
            Self::HmacSha512 => "hmac-sha512",
        }
    }

    /// Returns the size of a digest in bytes.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::Sha256 | Self::HmacSha256 => 32,
            Self::HmacSha512 => 64,
        }
    }

    /// Returns the id stored with adopted tokens, whose hash key has no name.
    pub(crate) fn key_id(self) -> HashKeyId {
        HashKeyId::of_legacy(self.as_str())
    }
}

fn not_empty(key: &[u8]) -> Result<&[u8], InvalidLegacyFormat> {
    if key.is_empty() { Err(InvalidLegacyFormat::Key) } else { Ok(key) }
}

fn finish<M: Mac + Clone>(mac: &M, message: &[u8]) -> hmac::digest::Output<M> {
    mac.clone().chain_update(message).finalize().into_bytes()
}

/// Returns the digest to store for one of another system.
fn stored(hash: LegacyHash, digest: &[u8]) -> Digest {
    let domain = Sha256::new().chain_update("keyward: digest of a legacy key: ").chain_update(hash.as_str());
    // The names have no zero byte.
    Digest::Legacy(domain.chain_update([0]).chain_update(digest).finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> String {
        hex::encode(Sha256::digest(text))
    }

    fn hmac(text: &str) -> LegacyFormat {
        LegacyFormat::hmac_sha256(text).unwrap().prefix("acme_")
    }

    #[test]
    fn digest_of_a_key_is_that_of_its_text() {
        let text = "acme_0123456789abcdef";
        let of = |format: LegacyFormat| format.digest(text.as_bytes());
        let sha256 = of(LegacyFormat::sha256());
        assert_eq!(LegacyDigest::sha256(key(text)).parse(), Ok(sha256));
        assert_eq!(LegacyDigest::sha256(key(text).to_uppercase()).parse(), Ok(sha256));
        assert_eq!(Digest::from_hex(&sha256.to_hex()), Ok(sha256));
        // RFC 4231, section 4.3.
        let message = b"what do ya want for nothing?";
        for (format, digest) in [
            (
                LegacyFormat::hmac_sha256("Jefe").unwrap(),
                LegacyDigest::hmac_sha256("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            ),
            (
                LegacyFormat::hmac_sha512("Jefe").unwrap(),
                LegacyDigest::hmac_sha512(concat!(
                    "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554",
                    "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"
                )),
            ),
        ] {
            assert_eq!(Ok(format.digest(message)), digest.parse());
        }
    }

    #[test]
    fn digest_of_one_function_matches_that_of_no_other() {
        let hex = key("some key");
        let (sha256, hmac) =
            (LegacyDigest::sha256(hex.clone()).parse(), LegacyDigest::hmac_sha256(hex.clone()).parse());
        assert_ne!(sha256, hmac);
        let twice = hex.repeat(2);
        assert_ne!(LegacyDigest::hmac_sha512(twice.clone()).parse().unwrap(), Digest::from_hex(&twice).unwrap());
        for wrong in ["", "ab", &hex[1..], &hex[2..], &twice, &hex.replace(&hex[..1], "g")] {
            assert_eq!(LegacyDigest::sha256(wrong).parse(), Err(MalformedDigest), "{wrong}");
            assert_eq!(LegacyDigest::hmac_sha256(wrong).parse(), Err(MalformedDigest), "{wrong}");
        }
        assert_eq!(LegacyDigest::hmac_sha512(hex).parse(), Err(MalformedDigest));
    }

    #[test]
    fn format_accepts_texts_of_its_shape_only() {
        let format = LegacyFormat::sha256().prefix("acme_").lengths(25..=26).characters(LegacyCharacters::Hex);
        let accepts = |text: &str| format.fits(text.as_bytes());
        assert!(accepts("acme_0123456789abcdef0123") && accepts("acme_0123456789abcdef01234"));
        for other in [
            "",
            "acme_",
            "acme_0123456789abcdef012",
            "acme_0123456789abcdef012345",
            "acmf_0123456789abcdef0123",
            "acme_0123456789abcdeF0123",
            "acme_0123456789abcdef012g",
            "0123456789abcdef012345678",
        ] {
            assert!(!accepts(other), "{other}");
        }
        for (characters, has, lacks) in [
            (LegacyCharacters::Hex, "09af", "Ag_"),
            (LegacyCharacters::Alphanumeric, "09azAZ", "-_."),
            (LegacyCharacters::UrlSafe, "09azAZ-_", ".+/="),
            (LegacyCharacters::Token68, "09azAZ-_.~+/=", " ,:\"\0\u{7f}é"),
        ] {
            assert!(has.bytes().all(|b| characters.has(b)), "{characters:?}");
            assert!(!lacks.bytes().any(|b| characters.has(b)), "{characters:?}");
        }
        let only_prefix = LegacyFormat::sha256().prefix("acme_");
        assert!(only_prefix.has_length(21) && only_prefix.has_length(512));
        assert!(!only_prefix.has_length(20) && !only_prefix.has_length(513));
    }

    #[test]
    fn formats_are_validated() {
        let of = LegacyFormat::sha256;
        assert_eq!(of().check(&[]), Err(InvalidLegacyFormat::Shapeless));
        assert_eq!(of().characters(LegacyCharacters::Hex).check(&[]), Err(InvalidLegacyFormat::Shapeless));
        for format in [of().length(16), of().length(512), of().prefix("a"), of().prefix("a").lengths(17..=20)] {
            assert_eq!(format.check(&[]), Ok(()), "{format:?}");
        }
        for (format, least) in [
            (of().length(15), 16),
            (of().length(513), 16),
            (of().prefix("acme_").length(20), 21),
            (of().prefix("acme_").lengths(RangeInclusive::new(40, 39)), 21),
            (of().prefix("a".repeat(500)), 516),
        ] {
            assert_eq!(format.check(&[]), Err(InvalidLegacyFormat::Length(least)), "{format:?}");
        }
        for prefix in ["a b", "é", "a:", "a=", "\n"] {
            assert_eq!(of().prefix(prefix).check(&[]), Err(InvalidLegacyFormat::Prefix(prefix.to_owned())));
        }
        assert_eq!(LegacyFormat::hmac_sha256("").unwrap_err(), InvalidLegacyFormat::Key);
        assert_eq!(LegacyFormat::hmac_sha512([]).unwrap_err(), InvalidLegacyFormat::Key);
    }

    #[test]
    fn formats_that_accept_one_text_overlap() {
        let of = |prefix: &str| LegacyFormat::sha256().prefix(prefix);
        let strapi = || LegacyFormat::strapi(StrapiHashKey::new("saltysaltysaltysalty").unwrap());
        for (one, other, overlap) in [
            (of("acme_"), of("acme_"), true),
            (of("acme_"), of("acme_v2_"), true),
            (of("acme_").length(45), of("acme_").length(46), false),
            (of("acme_").lengths(45..=46), of("acme_").length(46), true),
            (of("acme_"), of("other_"), false),
            (of("acme_").characters(LegacyCharacters::Hex), of("acme_v2_"), false),
            (of("").length(256), strapi(), true),
            (of("").length(255), strapi(), false),
            (of("acme_"), strapi(), false),
            (of("f00d"), strapi(), true),
        ] {
            for (one, other) in [(&one, &other), (&other, &one)] {
                assert_eq!(one.check_distinct(other).is_err(), overlap, "{one:?} {other:?}");
            }
        }
    }

    /// no-secret-leaks (`docs/invariants.md`).
    #[test]
    fn debug_shows_neither_key_nor_digest() {
        let shown = format!("{:?} {:?}", hmac("some host's key"), LegacyDigest::sha256(key("some key")));
        assert_eq!(shown, "LegacyFormat(hmac-sha256:acme_:21-512) LegacyDigest(sha256)");
    }

    #[test]
    fn check_values_distinguish_keys() {
        let (one, other) = (hmac("one").check_value().unwrap(), hmac("other").check_value().unwrap());
        assert!(one.0 == other.0 && one.1 != other.1);
        assert_eq!(LegacyFormat::sha256().prefix("acme_").check_value(), None);
    }
}
