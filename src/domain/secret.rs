//! Secrets: how they look, how they are made, and how most made-up ones are refused without asking the store.
//!
//! A secret is `BRAND_KIND_`, 43 base62 characters (256 random bits) and 7 more. One HMAC-SHA-256 over everything before the
//! last 7 gives 256 bits: 40 of them are those 7 characters, the other 216 are the digest that is stored. So a made-up secret
//! is refused for one HMAC, a relabelled kind is a made-up secret, and what is stored cannot be turned back.

use super::{Digest, HashKeyId, HashKeyRing, StrapiHashKey, TokenKind, TokenKinds};
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

const RANDOM: usize = 43;
const CHECK: usize = 7;
const REFERENCE_LENGTH: usize = 256;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Where randomness comes from. Tests pass a seeded one (`testing::SeededEntropy`).
pub trait Entropy: Send + Sync + 'static {
    /// Fills `bytes` with random ones.
    ///
    /// # Errors
    /// If there is no randomness to be had.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy>;
}

/// The system had no randomness to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gave no random bytes")]
pub struct NoEntropy;

/// The operating system's randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        getrandom::fill(bytes).map_err(|_| NoEntropy)
    }
}

/// The plaintext that a client sends, or of a new salt. It is wiped from memory when dropped, and [`Debug`] does not show it.
///
/// It exists at issue and at reveal only: hand it over and let it go.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    pub(super) fn new(text: String) -> Self {
        Self(SecretString::from(text))
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Its last four characters: part of the check, so they tell nothing of the random part. (Of a secret of the reference they are 16
    /// of its 1024 random bits.)
    pub fn hint(&self) -> &str {
        let text = self.expose();
        &text[text.len().saturating_sub(4)..]
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The word that all secrets of an installation begin with: `kw` unless said otherwise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenPrefix(String);

/// A brand that cannot be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a brand is 1 to 16 lower-case letters and digits")]
pub struct InvalidTokenPrefix;

impl TokenPrefix {
    /// Takes 1 to 16 lower-case letters and digits. With more than three, each request costs one more round of SHA-256
    /// (about 50 ns).
    ///
    /// # Errors
    /// If it is anything else.
    pub fn new(text: &str) -> Result<Self, InvalidTokenPrefix> {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let valid = (1..=16).contains(&text.len()) && text.bytes().all(fits);
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidTokenPrefix) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether secrets with it are hashed in one round.
    pub(crate) fn is_short(&self) -> bool {
        // One block of SHA-256 holds 55 bytes besides its padding.
        self.0.len() + "_content_".len() + RANDOM <= 55
    }
}

impl Default for TokenPrefix {
    fn default() -> Self {
        Self("kw".to_owned())
    }
}

/// A new secret, with what is to be stored of it.
#[derive(Debug)]
pub struct Issued {
    /// To hand over, once.
    pub secret: Secret,
    /// To store.
    pub digest: Digest,
    /// The salt it was made under.
    pub hash_key: HashKeyId,
}

/// A credential that passed everything that can be checked without the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VerifiedSecret {
    /// What to look up.
    pub digest: Digest,
    /// The kind that its prefix names; secrets of the reference name none.
    pub kind: Option<TokenKind>,
}

/// A credential that cannot be valid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VerifyError {
    /// It looks like nothing we issue.
    Malformed,
    /// Its prefix names a kind that is not asked for.
    WrongKind,
    /// Nobody issued it under any of our salts.
    NotGenuine,
}

/// How the secrets of an installation look, and the keys they are checked with.
#[derive(Clone, Debug)]
pub struct SecretFormat {
    prefixes: [(TokenKind, String); 3],
    invitation: String,
    hash_keys: HashKeyRing,
    reference: Option<StrapiHashKey>,
}

impl SecretFormat {
    /// Secrets of this brand under these salts.
    pub fn new(token_prefix: &TokenPrefix, hash_keys: impl Into<HashKeyRing>) -> Self {
        let prefixes = TokenKind::ALL.map(|kind| (kind, format!("{}_{}_", token_prefix.as_str(), kind.as_str())));
        let invitation = format!("{}_invite_", token_prefix.as_str());
        Self { prefixes, invitation, hash_keys: hash_keys.into(), reference: None }
    }

    /// Accepts secrets of the reference too.
    #[must_use]
    pub fn with_strapi(mut self, hash_key: StrapiHashKey) -> Self {
        self.reference = Some(hash_key);
        self
    }

    /// Whether secrets of the reference are accepted.
    pub(crate) fn has_strapi(&self) -> bool {
        self.reference.is_some()
    }

    /// Makes a secret of this kind.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn issue(&self, kind: TokenKind, entropy: &dyn Entropy) -> Result<Issued, NoEntropy> {
        self.make(&self.prefixes[kind as usize].1, entropy)
    }

    /// Makes the secret of an invitation. It has a format of its own: it opens nothing.
    ///
    /// # Errors
    /// If there is no randomness.
    pub(crate) fn issue_invitation(&self, entropy: &dyn Entropy) -> Result<Issued, NoEntropy> {
        self.make(&self.invitation, entropy)
    }

    fn make(&self, prefix: &str, entropy: &dyn Entropy) -> Result<Issued, NoEntropy> {
        let mut text = String::with_capacity(prefix.len() + RANDOM + CHECK);
        text.push_str(prefix);
        push_base62(&mut text, RANDOM, entropy)?;
        let hash_key = self.hash_keys.issuing();
        let (check, digest) = split(hash_key.hash(text.as_bytes()));
        text.extend(check.iter().map(|b| char::from(*b)));
        Ok(Issued { secret: Secret::new(text), digest, hash_key: hash_key.id().clone() })
    }

    /// Checks a presented secret as far as that goes without the store: its form, its kind, and that we issued it.
    ///
    /// Costs no HMAC for a wrong form or kind, else one for each salt until one fits.
    ///
    /// # Errors
    /// Why it cannot be valid.
    pub fn verify(&self, text: &str, kinds: TokenKinds) -> Result<VerifiedSecret, VerifyError> {
        self.verify_bytes(text.as_bytes(), kinds)
    }

    pub(crate) fn verify_bytes(&self, text: &[u8], kinds: TokenKinds) -> Result<VerifiedSecret, VerifyError> {
        let Some((kind, prefix)) = self.prefixes.iter().find(|(_, p)| text.starts_with(p.as_bytes())) else {
            return self.verify_reference(text);
        };
        if !is_random(&text[prefix.len()..]) {
            return Err(VerifyError::Malformed);
        }
        if !kinds.contains(*kind) {
            return Err(VerifyError::WrongKind);
        }
        Ok(VerifiedSecret { digest: self.genuine(text)?, kind: Some(*kind) })
    }

    /// Checks the secret of an invitation, as far as that goes without the store.
    ///
    /// # Errors
    /// Why it cannot be valid.
    pub(crate) fn verify_invitation(&self, text: &str) -> Result<Digest, VerifyError> {
        match text.strip_prefix(&self.invitation) {
            Some(random) if is_random(random.as_bytes()) => self.genuine(text.as_bytes()),
            _ => Err(VerifyError::Malformed),
        }
    }

    /// The digest of a text that one of our salts has made.
    fn genuine(&self, text: &[u8]) -> Result<Digest, VerifyError> {
        let Some((message, presented)) = text.split_last_chunk::<CHECK>() else { return Err(VerifyError::Malformed) };
        for hash_key in self.hash_keys.all() {
            let (check, digest) = split(hash_key.hash(message));
            if bool::from(word(check).ct_eq(&word(*presented))) {
                return Ok(digest);
            }
        }
        Err(VerifyError::NotGenuine)
    }

    /// Whether a text has the form of one of this installation's credentials, whatever else is wrong with it.
    pub(crate) fn is_ours(&self, text: &[u8]) -> bool {
        self.prefixes.iter().any(|(_, prefix)| text.starts_with(prefix.as_bytes()))
            || self.verify_reference(text).is_ok()
    }

    fn verify_reference(&self, text: &[u8]) -> Result<VerifiedSecret, VerifyError> {
        let looks = text.len() == REFERENCE_LENGTH && text.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        match &self.reference {
            Some(hash_key) if looks => Ok(VerifiedSecret { digest: hash_key.digest(text), kind: None }),
            _ => Err(VerifyError::Malformed),
        }
    }

    /// A regular expression for secret scanners: what it finds is one of our secrets, in all likelihood a live one.
    pub fn scanner_regex(&self) -> String {
        let token_prefix = self.prefixes[0].1.split('_').next().unwrap_or_default();
        format!(r"\b{token_prefix}_(admin|content|session|invite)_[0-9A-Za-z]{{{}}}\b", RANDOM + CHECK)
    }
}

/// Whether this can be the random part and the check. No early exit: what is random cannot be guessed, and a branch on each
/// character costs more than the HMAC. The length is one that the compiler knows, so that many are judged at once.
fn is_random(text: &[u8]) -> bool {
    let other = |b: u8| u8::from((b | 0x20).wrapping_sub(b'a') >= 26) & u8::from(b.wrapping_sub(b'0') >= 10);
    <&[u8; RANDOM + CHECK]>::try_from(text).is_ok_and(|text| text.iter().fold(0, |odd, b| odd | other(*b)) == 0)
}

/// The check characters as one number, which is compared in one step.
fn word(check: [u8; CHECK]) -> u64 {
    check.iter().fold(0, |word, b| word << 8 | u64::from(*b))
}

/// The 7 check characters (40 bits) and the digest (216 bits).
fn split(mac: [u8; 32]) -> ([u8; CHECK], Digest) {
    let (mut check, mut rest) = ([0; CHECK], [0; 27]);
    rest.copy_from_slice(&mac[5..]);
    let n = u64::from_be_bytes([0, 0, 0, mac[0], mac[1], mac[2], mac[3], mac[4]]);
    // In two halves, which a processor divides at the same time.
    const HALF: u64 = 62 * 62 * 62 * 62;
    let (mut low, mut high) = ((n % HALF) as u32, (n / HALF) as u32);
    for i in 0..4 {
        check[i] = BASE62[(low % 62) as usize];
        low /= 62;
        if let Some(c) = check.get_mut(4 + i) {
            *c = BASE62[(high % 62) as usize];
            high /= 62;
        }
    }
    (check, Digest::Native(rest))
}

/// Appends `count` characters, each uniform over base62: bytes from 248 on would favour some, and are thrown away.
fn push_base62(text: &mut String, count: usize, entropy: &dyn Entropy) -> Result<(), NoEntropy> {
    let mut bytes = Zeroizing::new([0u8; 64]);
    let end = text.len() + count;
    while text.len() < end {
        entropy.fill(&mut *bytes)?;
        let fair = bytes.iter().filter(|b| **b < 248).take(end - text.len());
        text.extend(fair.map(|b| char::from(BASE62[usize::from(b % 62)])));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: &str = "4bX0qPz81hVnR7sYw2Lm5Kc9Tj3Ga6Fd";
    const OLD: &str = "old:Zp0Qx81vHn7RsYw2Lm5Kc9Tj3Ga6Fd4b";

    fn format(ring: &str) -> SecretFormat {
        SecretFormat::new(&TokenPrefix::default(), HashKeyRing::parse(ring).unwrap())
    }

    #[test]
    fn issued_secrets_verify_as_their_kind_only() {
        let f = format(SALT);
        for kind in TokenKind::ALL {
            let issued = f.issue(kind, &OsEntropy).unwrap();
            let text = issued.secret.expose();
            assert!(text.starts_with(&format!("kw_{}_", kind.as_str())) && text.ends_with(issued.secret.hint()));
            assert_eq!(
                f.verify(text, TokenKinds::of(&[kind])),
                Ok(VerifiedSecret { digest: issued.digest, kind: Some(kind) })
            );
            for other in TokenKind::ALL.into_iter().filter(|k| *k != kind) {
                assert_eq!(f.verify(text, TokenKinds::of(&[other])), Err(VerifyError::WrongKind));
                let relabelled = text.replace(kind.as_str(), other.as_str());
                assert_eq!(f.verify(&relabelled, TokenKinds::of(&[other])), Err(VerifyError::NotGenuine), "I2");
            }
        }
    }

    /// Bytes that anybody can foresee.
    struct Foreseen;

    impl Entropy for Foreseen {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
            bytes.iter_mut().zip(0..).for_each(|(byte, n)| *byte = n);
            Ok(())
        }
    }

    /// Reckoned apart from this code, once: whatever was issued has to verify for ever.
    #[test]
    fn what_was_issued_yesterday_verifies() {
        let f = format(SALT);
        let random = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg";
        let [admin, content, session] = TokenKind::ALL.map(|kind| f.issue(kind, &Foreseen));
        for (issued, word, check, digest) in [
            (admin, "admin", "CMCQgM7", "8a86acddd8c1462f5c0d1f62f2e8bc2a3bbf566ceddb9d909cc9c8"),
            (content, "content", "Y6NXgwA", "cc08253afbe51eb504d032e582627e4f529487fa49ddf598200868"),
            (session, "session", "V9ECovF", "f8b37a9e3e1fafb4ec3e3a4ad700cefe85779e3b678a08141f86a3"),
            (
                f.issue_invitation(&Foreseen),
                "invite",
                "brD3L06",
                "d9b3fd0edff34efeac9681a14dda199b947a3650502494de0808e4",
            ),
        ] {
            let issued = issued.unwrap();
            assert_eq!(issued.secret.expose(), format!("kw_{word}_{random}{check}"));
            assert_eq!(issued.digest.to_hex(), digest);
        }
    }

    #[test]
    fn every_changed_character_fails() {
        let f = format(SALT);
        let issued = f.issue(TokenKind::Admin, &OsEntropy).unwrap();
        let text = issued.secret.expose();
        for i in "kw_admin_".len()..text.len() {
            let mut changed = text.as_bytes().to_vec();
            changed[i] = if changed[i] == b'a' { b'b' } else { b'a' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(f.verify(&changed, TokenKinds::ADMIN), Err(VerifyError::NotGenuine), "at {i}");
        }
        for wrong in ["", "kw_admin_", &text[1..], &text[..text.len() - 1], &format!("{text}a"), "kw_admin_é"] {
            assert_eq!(f.verify(wrong, TokenKinds::ADMIN), Err(VerifyError::Malformed), "{wrong}");
        }
        for odd in ["-", "--", "---", "~!"] {
            let wrong = format!("{}{odd}", &text[..text.len() - odd.len()]);
            assert_eq!(f.verify(&wrong, TokenKinds::ADMIN), Err(VerifyError::Malformed), "{wrong}");
        }
    }

    #[test]
    fn an_invitation_opens_nothing() {
        let f = format(SALT);
        let issued = f.issue_invitation(&OsEntropy).unwrap();
        let text = issued.secret.expose();
        assert_eq!(f.verify_invitation(text), Ok(issued.digest));
        assert_eq!(f.verify(text, TokenKinds::of(&TokenKind::ALL)), Err(VerifyError::Malformed));
        for wrong in ["kw_invite_", &text[..text.len() - 1], &text.replace(&text[20..21], "-"), &format!("{text}0")] {
            assert_eq!(f.verify_invitation(wrong), Err(VerifyError::Malformed), "{wrong}");
        }
        let admin = f.issue(TokenKind::Admin, &OsEntropy).unwrap();
        assert_eq!(f.verify_invitation(admin.secret.expose()), Err(VerifyError::Malformed));
        let relabelled = admin.secret.expose().replace("admin", "invite");
        assert_eq!(f.verify_invitation(&relabelled), Err(VerifyError::NotGenuine));
    }

    #[test]
    fn an_old_salt_verifies_and_no_longer_issues() {
        let made = format(OLD).issue(TokenKind::Content, &OsEntropy).unwrap();
        let rotated = format(&format!("{SALT},{OLD}"));
        let verified = rotated.verify(made.secret.expose(), TokenKinds::CONTENT).unwrap();
        assert_eq!(verified.digest, made.digest);
        assert_eq!(rotated.issue(TokenKind::Content, &OsEntropy).unwrap().hash_key.as_str(), "0");
        assert_eq!(format(SALT).verify(made.secret.expose(), TokenKinds::CONTENT), Err(VerifyError::NotGenuine));
    }

    #[test]
    fn the_reference_has_its_own_format_and_salt() {
        // From the published description of the reference: hex(HMAC-SHA-512(salt, text of the key)).
        let f = format(SALT).with_strapi(StrapiHashKey::new("saltysaltysaltysalty").unwrap());
        let key = "0123456789abcdef".repeat(16);
        let VerifiedSecret { digest: Digest::Strapi(_), kind: None } = f.verify(&key, TokenKinds::ADMIN).unwrap()
        else {
            panic!("not a reference digest")
        };
        assert_eq!(f.verify(&key.to_uppercase(), TokenKinds::ADMIN), Err(VerifyError::Malformed));
        assert_eq!(format(SALT).verify(&key, TokenKinds::ADMIN), Err(VerifyError::Malformed));
    }

    #[test]
    fn a_scanner_is_told_how_every_secret_looks() {
        let f = SecretFormat::new(&TokenPrefix::new("acme").unwrap(), HashKeyRing::parse(SALT).unwrap());
        assert_eq!(f.scanner_regex(), r"\bacme_(admin|content|session|invite)_[0-9A-Za-z]{50}\b");
        let mut made: Vec<Issued> = TokenKind::ALL.iter().map(|kind| f.issue(*kind, &OsEntropy).unwrap()).collect();
        made.push(f.issue_invitation(&OsEntropy).unwrap());
        for (issued, word) in made.iter().zip(["admin", "content", "session", "invite"]) {
            let random = issued.secret.expose().strip_prefix(&format!("acme_{word}_")).unwrap();
            assert!(random.len() == 50 && random.bytes().all(|b| b.is_ascii_alphanumeric()));
        }
    }

    #[test]
    fn no_character_is_likelier_than_another() {
        /// Each byte as often as any other, one after the other.
        struct Even(std::sync::atomic::AtomicU8);
        impl Entropy for Even {
            fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
                bytes.fill_with(|| self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
                Ok(())
            }
        }
        let (even, mut text) = (Even(0.into()), String::new());
        for _ in 0..4 {
            // 62 bytes that follow one another, of those that count, make each character once.
            push_base62(&mut text, 62, &even).unwrap();
        }
        assert!(BASE62.iter().all(|c| text.bytes().filter(|b| b == c).count() == 4), "{text}");
    }

    #[test]
    fn nothing_secret_shows_in_debug() {
        let f = format(SALT).with_strapi(StrapiHashKey::new("saltysaltysaltysalty").unwrap());
        let issued = f.issue(TokenKind::Admin, &OsEntropy).unwrap();
        let shown = format!("{f:?} {issued:?}");
        assert!(!shown.contains(SALT) && !shown.contains("salty") && !shown.contains(issued.secret.expose()));
        assert!(["Secret(..)", "Salt(0)", "ReferenceSalt(..)"].iter().all(|name| shown.contains(name)), "{shown}");
    }

    #[test]
    fn a_brand_is_short_or_says_so() {
        assert!(TokenPrefix::default().is_short() && TokenPrefix::new("abc").unwrap().is_short());
        assert!(!TokenPrefix::new("acme").unwrap().is_short());
        for bad in ["", "Kw", "k_w", "waytoolongforabrand", "é"] {
            assert_eq!(TokenPrefix::new(bad), Err(InvalidTokenPrefix));
        }
    }
}
