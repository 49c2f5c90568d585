//! The format of secrets: how they are issued, and how made-up ones are rejected without a store read.
//!
//! A secret is `PREFIX_LABEL_`, 43 base62 characters (256 random bits) and 7 check characters. One HMAC-SHA-256 of
//! everything before the check characters gives 256 bits: 40 of them are the check characters, the other 216 are the
//! stored digest. So a made-up secret costs one HMAC, a relabelled kind fails the check, and the digest does not
//! disclose the secret.

#![cfg_attr(not(feature = "testing"), allow(unreachable_pub, dead_code, reason = "exported by `testing` only"))]

use super::{
    Digest, HashKeyId, HashKeyRing, InvalidLegacyFormat, LegacyFormat, LegacyHash, StrapiHashKey, TokenKind, TokenKinds,
};
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

const RANDOM: usize = 43;
const CHECK: usize = 7;
/// The maximum length of a secret of any format.
pub(crate) const LONGEST: usize = 512;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A source of random bytes. Tests pass a seeded one (`testing::SeededEntropy`).
pub trait Entropy: Send + Sync + 'static {
    /// Fills `bytes` with random bytes.
    ///
    /// # Errors
    /// Returns [`NoEntropy`] if none are available.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy>;
}

/// The system provided no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no random bytes available from the system: try again")]
pub struct NoEntropy;

/// The operating system's source of random bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        getrandom::fill(bytes).map_err(|_| NoEntropy)
    }
}

/// The plaintext that a client sends, or the text of a new hash key. It is wiped from memory when dropped, and
/// [`Debug`] does not show it.
///
/// It exists only at issue and when it is shown again: pass it on and drop it.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    pub(super) fn new(text: String) -> Self {
        Self(SecretString::from(text))
    }

    /// Returns the plaintext.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Returns the last four characters, which are part of the check and disclose none of the random part. (Of a Strapi
    /// secret they are 16 of its 1024 random bits.)
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

/// The word that all secrets of an installation start with, and the label of each kind that follows; `kw_admin_`,
/// `kw_content_` and `kw_session_` by default.
///
/// ```
/// use keyward::token::{TokenKind, TokenPrefix};
/// // acme_pat_.., acme_key_.., and acme_session_.. for sessions
/// let prefix = TokenPrefix::new("acme")?.labels([(TokenKind::Admin, "pat"), (TokenKind::Content, "key")])?;
/// # Ok::<_, keyward::token::InvalidTokenPrefix>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenPrefix {
    word: String,
    /// The labels, by kind.
    labels: [String; 3],
}

/// An invalid token prefix or label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTokenPrefix {
    /// The prefix, or a label, has other characters or another length.
    #[error("invalid token prefix or label: use 1 to 16 lower-case letters and digits")]
    Characters,
    /// Two kinds have one label, or a label is `invite`, or the word of another kind: `admin`, `content`, `session`.
    #[error(
        "invalid label of a token kind: use another for each kind, and neither `invite` nor the word of another kind"
    )]
    Label,
}

/// The label of invitations.
const INVITE: &str = "invite";

impl TokenPrefix {
    /// Takes 1 to 16 lower-case letters and digits. With more than three, and the default labels, each verification of a
    /// secret that is not cached costs one more round of SHA-256 (about 50 ns).
    ///
    /// # Errors
    /// Returns [`InvalidTokenPrefix`] for any other text.
    pub fn new(text: &str) -> Result<Self, InvalidTokenPrefix> {
        check_word(text)?;
        Ok(Self { word: text.to_owned(), ..Self::default() })
    }

    /// Sets the labels of these kinds, each 1 to 16 lower-case letters and digits. Other kinds keep the word of the
    /// kind. Prefix, label and underscores are hashed in one round if they have at most 12 characters.
    ///
    /// New labels are a new format, as a new prefix is: secrets with the former ones are malformed from then on.
    ///
    /// # Errors
    /// Returns [`InvalidTokenPrefix`] if a label is invalid or not the label of one kind alone.
    pub fn labels<'a>(
        mut self,
        labels: impl IntoIterator<Item = (TokenKind, &'a str)>,
    ) -> Result<Self, InvalidTokenPrefix> {
        for (kind, label) in labels {
            check_word(label)?;
            if label == INVITE || TokenKind::from_word(label).is_some_and(|other| other != kind) {
                return Err(InvalidTokenPrefix::Label);
            }
            self.labels[kind as usize] = label.to_owned();
        }
        let [admin, content, session] = &self.labels;
        let differ = admin != content && content != session && session != admin;
        if differ { Ok(self) } else { Err(InvalidTokenPrefix::Label) }
    }

    /// Returns the prefix, without a label.
    pub fn as_str(&self) -> &str {
        &self.word
    }

    /// Returns the label of a kind.
    pub fn label(&self, kind: TokenKind) -> &str {
        &self.labels[kind as usize]
    }

    /// Returns the text by which another prefix, or other labels, are noticed: `acme`, or `acme_pat|key|session`.
    pub(crate) fn check_value(&self) -> String {
        match self.labels == Self::default().labels {
            true => self.word.clone(),
            false => format!("{}_{}", self.word, self.labels.join("|")),
        }
    }

    /// Returns true if secrets with this prefix are hashed in one round.
    pub(crate) fn is_short(&self) -> bool {
        let longest = self.labels.iter().map(String::len).max().unwrap_or_default();
        // One block of SHA-256 holds 55 bytes besides its padding.
        self.word.len() + longest + "__".len() + RANDOM <= 55
    }
}

/// Checks a prefix or a label. Neither has an underscore, so no secret can be read as that of another kind.
fn check_word(word: &str) -> Result<(), InvalidTokenPrefix> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let valid = (1..=16).contains(&word.len()) && word.bytes().all(fits);
    if valid { Ok(()) } else { Err(InvalidTokenPrefix::Characters) }
}

impl Default for TokenPrefix {
    fn default() -> Self {
        Self { word: "kw".to_owned(), labels: TokenKind::ALL.map(|kind| kind.as_str().to_owned()) }
    }
}

/// A new secret, with its digest.
#[derive(Debug)]
pub struct NewSecret {
    /// The secret to hand over, once.
    pub secret: Secret,
    /// The digest to store.
    pub digest: Digest,
    /// The hash key of the digest.
    pub hash_key: HashKeyId,
}

/// A credential that passed every check that needs no store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VerifiedSecret {
    /// The digest to look up.
    pub digest: Digest,
    /// The kind that its prefix names; `None` for secrets of Strapi and for adopted keys.
    pub kind: Option<TokenKind>,
}

/// The reason why a credential cannot be valid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VerifyError {
    /// It does not have the form of a secret.
    Malformed,
    /// Its prefix names a kind that is not accepted.
    WrongKind,
    /// It was not issued under any of the hash keys.
    NotGenuine,
}

/// The format of an installation's secrets, and the keys that verify them.
#[derive(Clone, Debug)]
pub struct SecretFormat {
    prefixes: [(TokenKind, String); 3],
    invitation: String,
    hash_keys: HashKeyRing,
    /// The formats of secrets that other systems issued. No text has two of them.
    foreign: Vec<LegacyFormat>,
}

impl SecretFormat {
    /// Creates the format of this prefix and these hash keys.
    pub fn new(token_prefix: &TokenPrefix, hash_keys: impl Into<HashKeyRing>) -> Self {
        let prefixes =
            TokenKind::ALL.map(|kind| (kind, format!("{}_{}_", token_prefix.as_str(), token_prefix.label(kind))));
        let invitation = format!("{}_{INVITE}_", token_prefix.as_str());
        Self { prefixes, invitation, hash_keys: hash_keys.into(), foreign: Vec::new() }
    }

    /// Accepts Strapi's secrets too.
    #[must_use]
    pub fn with_strapi(mut self, hash_key: StrapiHashKey) -> Self {
        self.foreign.push(LegacyFormat::strapi(hash_key));
        self
    }

    /// Accepts keys of this format too.
    ///
    /// # Errors
    /// Returns [`InvalidLegacyFormat`] if the format is invalid, or accepts the same texts as another one.
    pub fn with_legacy(mut self, format: LegacyFormat) -> Result<Self, InvalidLegacyFormat> {
        let [admin, content, session] = &self.prefixes;
        format.check(&[&admin.1, &content.1, &session.1, &self.invitation])?;
        self.foreign.iter().try_for_each(|other| format.check_distinct(other))?;
        self.foreign.push(format);
        Ok(self)
    }

    /// Returns true if Strapi's secrets are accepted.
    pub(crate) fn has_strapi(&self) -> bool {
        self.foreign.iter().any(LegacyFormat::is_strapi)
    }

    /// Returns true if keys with digests by this function are accepted.
    pub(crate) fn has_legacy(&self, hash: LegacyHash) -> bool {
        self.foreign.iter().any(|format| format.hash() == Some(hash))
    }

    /// Returns true if this is the id of the hash key of adopted keys that are accepted.
    pub(crate) fn has_legacy_key(&self, id: &str) -> bool {
        self.foreign.iter().filter_map(LegacyFormat::hash).any(|hash| hash.key_id().as_str() == id)
    }

    /// Issues a secret of this kind.
    ///
    /// # Errors
    /// Returns [`NoEntropy`] if no random bytes are available.
    pub fn issue(&self, kind: TokenKind, entropy: &dyn Entropy) -> Result<NewSecret, NoEntropy> {
        self.make(&self.prefixes[kind as usize].1, entropy)
    }

    /// Issues the secret of an invitation, whose format no route group accepts.
    ///
    /// # Errors
    /// Returns [`NoEntropy`] if no random bytes are available.
    #[cfg(feature = "people")]
    pub(crate) fn issue_invitation(&self, entropy: &dyn Entropy) -> Result<NewSecret, NoEntropy> {
        self.make(&self.invitation, entropy)
    }

    fn make(&self, prefix: &str, entropy: &dyn Entropy) -> Result<NewSecret, NoEntropy> {
        let mut text = String::with_capacity(prefix.len() + RANDOM + CHECK);
        text.push_str(prefix);
        push_base62(&mut text, RANDOM, entropy)?;
        let hash_key = self.hash_keys.issuing();
        let (check, digest) = split(hash_key.hash(text.as_bytes()));
        text.extend(check.iter().map(|b| char::from(*b)));
        Ok(NewSecret { secret: Secret::new(text), digest, hash_key: hash_key.id().clone() })
    }

    /// Checks a secret without the store: its form, its kind and its check characters.
    ///
    /// Costs no HMAC for a wrong form or kind, else one for each hash key until one matches.
    ///
    /// # Errors
    /// Returns a [`VerifyError`] if it cannot be valid.
    pub fn verify(&self, text: &str, kinds: TokenKinds) -> Result<VerifiedSecret, VerifyError> {
        self.verify_bytes(text.as_bytes(), kinds)
    }

    pub(crate) fn verify_bytes(&self, text: &[u8], kinds: TokenKinds) -> Result<VerifiedSecret, VerifyError> {
        let Some((kind, prefix)) = self.prefixes.iter().find(|(_, p)| text.starts_with(p.as_bytes())) else {
            return self.verify_foreign(text);
        };
        if !is_random(&text[prefix.len()..]) {
            return Err(VerifyError::Malformed);
        }
        if !kinds.contains(*kind) {
            return Err(VerifyError::WrongKind);
        }
        Ok(VerifiedSecret { digest: self.genuine(text)?, kind: Some(*kind) })
    }

    /// Returns what the secrets of a kind begin with.
    pub(crate) fn prefix(&self, kind: TokenKind) -> &str {
        &self.prefixes[kind as usize].1
    }

    /// Returns true if a secret of this installation may have this length.
    pub(crate) fn has_length(&self, length: usize) -> bool {
        self.prefixes.iter().any(|(_, prefix)| prefix.len() + RANDOM + CHECK == length)
            || self.has_foreign_length(length)
    }

    #[inline(never)]
    fn has_foreign_length(&self, length: usize) -> bool {
        self.foreign.iter().any(|format| format.has_length(length))
    }

    /// Checks the secret of an invitation without the store.
    ///
    /// # Errors
    /// Returns a [`VerifyError`] if it cannot be valid.
    #[cfg(feature = "people")]
    pub(crate) fn verify_invitation(&self, text: &str) -> Result<Digest, VerifyError> {
        match text.strip_prefix(&self.invitation) {
            Some(random) if is_random(random.as_bytes()) => self.genuine(text.as_bytes()),
            _ => Err(VerifyError::Malformed),
        }
    }

    /// Returns the digest of a text whose check characters match one of the hash keys.
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

    /// Returns true if a text has the form of a credential of this installation, valid or not.
    pub(crate) fn is_ours(&self, text: &[u8]) -> bool {
        self.prefixes.iter().any(|(_, prefix)| text.starts_with(prefix.as_bytes()))
            || self.foreign.iter().any(|format| format.fits(text))
    }

    /// Returns true if a text has a credential of this installation in it, valid or not: in quotes, or after another scheme.
    pub(crate) fn has_ours(&self, text: &[u8]) -> bool {
        let is_prefix = |window: &[u8], prefix: &str| window.eq_ignore_ascii_case(prefix.as_bytes());
        self.prefixes.iter().any(|(_, prefix)| text.windows(prefix.len()).any(|window| is_prefix(window, prefix)))
    }

    /// Hashes a secret of another system: its shape is all that can be checked without the store.
    fn verify_foreign(&self, text: &[u8]) -> Result<VerifiedSecret, VerifyError> {
        let format = self.foreign.iter().find(|format| format.fits(text)).ok_or(VerifyError::Malformed)?;
        Ok(VerifiedSecret { digest: format.digest(text), kind: None })
    }

    /// Returns a regular expression for secret scanners; a match is most likely a live secret.
    pub fn scanner_regex(&self) -> String {
        // Neither the prefix nor a label has an underscore.
        let word = |n: usize, at: usize| self.prefixes[n].1.split('_').nth(at).unwrap_or_default();
        let (prefix, [admin, content, session]) = (word(0, 0), [0, 1, 2].map(|n| word(n, 1)));
        format!(r"\b{prefix}_({admin}|{content}|{session}|{INVITE})_[0-9A-Za-z]{{{}}}\b", RANDOM + CHECK)
    }

    /// Returns the parts of a text that may be credentials of this installation, invitations included, in the order of their ends: the text
    /// itself without white space around it, everything that the [regular expression](Self::scanner_regex) finds, and what has the shape
    /// of a key of another system. Most of them are to be rejected by [`verify`](Self::verify).
    pub(crate) fn candidates<'t>(&self, text: &'t [u8]) -> Vec<&'t [u8]> {
        let (text, mut parts) = (text.trim_ascii(), Vec::new());
        let prefixes = self.prefixes.iter().map(|(_, prefix)| prefix).chain([&self.invitation]);
        for prefix in prefixes {
            let length = prefix.len() + RANDOM + CHECK;
            let starts = occurrences(text, prefix.as_bytes());
            let secret = |at: usize| text.get(at..at + length).filter(|part| is_random(&part[prefix.len()..]));
            parts.extend(starts.filter_map(|at| Some((at + length, secret(at)?))));
        }
        for format in &self.foreign {
            format.candidates(text, &mut parts);
        }
        parts.sort_unstable_by_key(|(end, _)| *end);
        let parts = parts.into_iter().map(|(_, part)| part);
        let whole = (1..=LONGEST).contains(&text.len()).then_some(text);
        let mut all: Vec<&[u8]> = whole.into_iter().chain(parts).collect();
        all.dedup();
        all
    }
}

/// Returns the places at which a text has this part, which is not empty.
pub(super) fn occurrences<'t>(text: &'t [u8], part: &'t [u8]) -> impl Iterator<Item = usize> + 't {
    text.windows(part.len()).enumerate().filter(move |(_, window)| *window == part).map(|(at, _)| at)
}

/// Returns true if this can be the random part and the check characters.
///
/// There is no early exit: the random part cannot be guessed, and a branch for each character costs more than the HMAC.
/// The length is a constant, so that the compiler can vectorise.
fn is_random(text: &[u8]) -> bool {
    let other = |b: u8| u8::from((b | 0x20).wrapping_sub(b'a') >= 26) & u8::from(b.wrapping_sub(b'0') >= 10);
    <&[u8; RANDOM + CHECK]>::try_from(text).is_ok_and(|text| text.iter().fold(0, |odd, b| odd | other(*b)) == 0)
}

/// Packs the check characters into one number, for one comparison.
fn word(check: [u8; CHECK]) -> u64 {
    check.iter().fold(0, |word, b| word << 8 | u64::from(*b))
}

/// Splits a MAC into the 7 check characters (40 bits) and the digest (216 bits).
fn split(mac: [u8; 32]) -> ([u8; CHECK], Digest) {
    let (mut check, mut rest) = ([0; CHECK], [0; 27]);
    rest.copy_from_slice(&mac[5..]);
    let n = u64::from_be_bytes([0, 0, 0, mac[0], mac[1], mac[2], mac[3], mac[4]]);
    // In two halves, which a processor divides in parallel.
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

/// Appends `count` characters, each uniform over base62: bytes from 248 on would favour some, and are skipped.
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

    const KEY: &str = "4bX0qPz81hVnR7sYw2Lm5Kc9Tj3Ga6Fd";
    const OLD: &str = "old:Zp0Qx81vHn7RsYw2Lm5Kc9Tj3Ga6Fd4b";

    fn format(ring: &str) -> SecretFormat {
        SecretFormat::new(&TokenPrefix::default(), HashKeyRing::parse(ring).unwrap())
    }

    #[test]
    fn issued_secrets_verify_as_their_kind_only() {
        let f = format(KEY);
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
                assert_eq!(
                    f.verify(&relabelled, TokenKinds::of(&[other])),
                    Err(VerifyError::NotGenuine),
                    "kinds-never-cross"
                );
            }
        }
    }

    /// Predictable bytes.
    struct Predictable;

    impl Entropy for Predictable {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
            bytes.iter_mut().zip(0..).for_each(|(byte, n)| *byte = n);
            Ok(())
        }
    }

    /// Computed once by other code: secrets that were issued have to verify in every release.
    #[test]
    fn secrets_of_earlier_releases_verify() {
        let f = format(KEY);
        let random = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg";
        let [admin, content, session] = TokenKind::ALL.map(|kind| f.issue(kind, &Predictable));
        for (issued, word, check, digest) in [
            (admin, "admin", "CMCQgM7", "8a86acddd8c1462f5c0d1f62f2e8bc2a3bbf566ceddb9d909cc9c8"),
            (content, "content", "Y6NXgwA", "cc08253afbe51eb504d032e582627e4f529487fa49ddf598200868"),
            (session, "session", "V9ECovF", "f8b37a9e3e1fafb4ec3e3a4ad700cefe85779e3b678a08141f86a3"),
            (
                f.issue_invitation(&Predictable),
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
    fn a_secret_with_any_changed_character_is_rejected() {
        let f = format(KEY);
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
    fn an_invitation_is_not_a_bearer_secret() {
        let f = format(KEY);
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
    fn an_old_hash_key_verifies_and_no_longer_issues() {
        let made = format(OLD).issue(TokenKind::Content, &OsEntropy).unwrap();
        let rotated = format(&format!("{KEY},{OLD}"));
        let verified = rotated.verify(made.secret.expose(), TokenKinds::CONTENT).unwrap();
        assert_eq!(verified.digest, made.digest);
        assert_eq!(rotated.issue(TokenKind::Content, &OsEntropy).unwrap().hash_key.as_str(), "0");
        assert_eq!(format(KEY).verify(made.secret.expose(), TokenKinds::CONTENT), Err(VerifyError::NotGenuine));
    }

    #[test]
    fn strapi_secrets_have_their_own_format_and_key() {
        // From Strapi's published description: hex(HMAC-SHA-512(salt, text of the key)).
        let f = format(KEY).with_strapi(StrapiHashKey::new("saltysaltysaltysalty").unwrap());
        let key = "0123456789abcdef".repeat(16);
        let VerifiedSecret { digest: Digest::Strapi(_), kind: None } = f.verify(&key, TokenKinds::ADMIN).unwrap()
        else {
            panic!("not a Strapi digest")
        };
        assert_eq!(f.verify(&key.to_uppercase(), TokenKinds::ADMIN), Err(VerifyError::Malformed));
        assert_eq!(format(KEY).verify(&key, TokenKinds::ADMIN), Err(VerifyError::Malformed));
    }

    #[test]
    fn the_scanner_regex_matches_every_kind_of_secret() {
        let f = SecretFormat::new(&TokenPrefix::new("acme").unwrap(), HashKeyRing::parse(KEY).unwrap());
        assert_eq!(f.scanner_regex(), r"\bacme_(admin|content|session|invite)_[0-9A-Za-z]{50}\b");
        let mut made: Vec<NewSecret> = TokenKind::ALL.iter().map(|kind| f.issue(*kind, &OsEntropy).unwrap()).collect();
        made.push(f.issue_invitation(&OsEntropy).unwrap());
        for (issued, word) in made.iter().zip(["admin", "content", "session", "invite"]) {
            let random = issued.secret.expose().strip_prefix(&format!("acme_{word}_")).unwrap();
            assert!(random.len() == 50 && random.bytes().all(|b| b.is_ascii_alphanumeric()));
        }
    }

    #[test]
    fn base62_characters_are_uniform() {
        /// Each byte value in turn.
        struct Cycling(std::sync::atomic::AtomicU8);
        impl Entropy for Cycling {
            fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
                bytes.fill_with(|| self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
                Ok(())
            }
        }
        let (cycling, mut text) = (Cycling(0.into()), String::new());
        for _ in 0..4 {
            // 62 consecutive accepted bytes produce each character once.
            push_base62(&mut text, 62, &cycling).unwrap();
        }
        assert!(BASE62.iter().all(|c| text.bytes().filter(|b| b == c).count() == 4), "{text}");
    }

    #[test]
    fn debug_shows_no_secret() {
        let f = format(KEY).with_strapi(StrapiHashKey::new("saltysaltysaltysalty").unwrap());
        let issued = f.issue(TokenKind::Admin, &OsEntropy).unwrap();
        let shown = format!("{f:?} {issued:?}");
        assert!(!shown.contains(KEY) && !shown.contains("salty") && !shown.contains(issued.secret.expose()));
        assert!(["Secret(..)", "HashKey(0)", "LegacyFormat(strapi"].iter().all(|name| shown.contains(name)), "{shown}");
    }

    #[test]
    fn token_prefixes_are_validated() {
        assert!(TokenPrefix::default().is_short() && TokenPrefix::new("abc").unwrap().is_short());
        assert!(!TokenPrefix::new("acme").unwrap().is_short());
        for bad in ["", "Kw", "k_w", "waytoolongforabrand", "é"] {
            assert_eq!(TokenPrefix::new(bad), Err(InvalidTokenPrefix::Characters));
            let label = TokenPrefix::default().labels([(TokenKind::Admin, bad)]);
            assert_eq!(label, Err(InvalidTokenPrefix::Characters));
        }
    }

    #[test]
    fn labels_differ_and_name_no_other_kind() {
        use TokenKind::{Admin, Content, Session};
        let labels = |labels: &[(TokenKind, &'static str)]| TokenPrefix::new("acme").unwrap().labels(labels.to_vec());
        let acme = labels(&[(Admin, "pat"), (Content, "key"), (Session, "web")]).unwrap();
        assert_eq!(TokenKind::ALL.map(|kind| acme.label(kind)), ["pat", "key", "web"]);
        assert!(acme.is_short() && !labels(&[(Admin, "pat")]).unwrap().is_short());
        assert_eq!(
            (acme.check_value().as_str(), labels(&[]).unwrap().check_value().as_str()),
            ("acme_pat|key|web", "acme")
        );
        for bad in [
            &[(Admin, "key"), (Content, "key")][..],
            &[(Admin, "content")],
            &[(Content, "session")],
            &[(Session, "invite")],
        ] {
            assert_eq!(labels(bad), Err(InvalidTokenPrefix::Label), "{bad:?}");
        }
    }

    /// kinds-never-cross, also where one label begins with another, and between installations with other labels.
    #[test]
    fn labelled_secrets_verify_as_their_kind_only() {
        use TokenKind::{Admin, Content, Session};
        let of = |labels: [(TokenKind, &'static str); 3]| {
            let prefix = TokenPrefix::new("acme").unwrap().labels(labels).unwrap();
            SecretFormat::new(&prefix, HashKeyRing::parse(KEY).unwrap())
        };
        let f = of([(Admin, "k"), (Content, "ke"), (Session, "key")]);
        assert_eq!(f.scanner_regex(), r"\bacme_(k|ke|key|invite)_[0-9A-Za-z]{50}\b");
        let labels = ["k", "ke", "key"];
        for (kind, label) in TokenKind::ALL.into_iter().zip(labels) {
            let issued = f.issue(kind, &OsEntropy).unwrap();
            let text = issued.secret.expose();
            assert!(
                text.starts_with(&format!("acme_{label}_")) && f.has_length(text.len()) && f.is_ours(text.as_bytes())
            );
            let verified = f.verify(text, TokenKinds::of(&TokenKind::ALL)).unwrap();
            assert_eq!((verified.digest, verified.kind), (issued.digest, Some(kind)));
            for (other, other_label) in TokenKind::ALL.into_iter().zip(labels).filter(|(other, _)| *other != kind) {
                assert_eq!(f.verify(text, TokenKinds::of(&[other])), Err(VerifyError::WrongKind));
                let relabelled = text.replacen(&format!("_{label}_"), &format!("_{other_label}_"), 1);
                assert_eq!(f.verify(&relabelled, TokenKinds::of(&[other])), Err(VerifyError::NotGenuine));
            }
            let elsewhere = of([(Admin, "pat"), (Content, "c"), (Session, "s")]);
            assert_eq!(elsewhere.verify(text, TokenKinds::of(&TokenKind::ALL)), Err(VerifyError::Malformed));
        }
    }
}
