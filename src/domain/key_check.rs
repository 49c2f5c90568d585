//! Check values: whether the configured keys are those that the data was written with.
//!
//! A check value is a MAC of a constant. It is stored beside the data, and distinguishes keys without disclosing them.
//! So a node with wrong keys notices before it rejects the first genuine token.

use super::{EncryptionKeys, HashKeyId, HashKeyRing, LegacyFormat, StrapiHashKey, TokenPrefix};
use std::fmt;

/// The kinds of keys that have a check value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum KeyKind {
    /// A hash key, with which digests are made.
    Hash,
    /// Strapi's hash key, for imported tokens.
    StrapiHash,
    /// The HMAC key of a [legacy format](crate::token::LegacyFormat), for adopted tokens.
    LegacyHash,
    /// An encryption key, which seals secrets that owners may view again.
    Encryption,
    /// The token prefix, with the labels of the kinds if they are not the default. It is not secret, and is stored as it
    /// is.
    Prefix,
}

impl KeyKind {
    const ALL: [Self; 5] = [Self::Hash, Self::StrapiHash, Self::LegacyHash, Self::Encryption, Self::Prefix];

    /// Returns the word for the kind, as stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::StrapiHash => "strapi-hash",
            Self::LegacyHash => "legacy-hash",
            Self::Encryption => "encryption",
            Self::Prefix => "prefix",
        }
    }

    /// Returns the setting that accepts another key of this kind.
    fn flag(self) -> &'static str {
        match self {
            Self::Hash | Self::StrapiHash | Self::LegacyHash => "accept_new_hash_key",
            Self::Encryption => "accept_new_encryption_key",
            Self::Prefix => "accept_new_prefix",
        }
    }

    /// Parses the word of a kind.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// The check value of a key, as stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyCheck {
    /// The kind of key.
    pub kind: KeyKind,
    /// The public id of the key, or the legacy format that has it; empty for kinds with only one key.
    pub id: String,
    /// The value: lower-case hex of a MAC, or the prefix itself.
    pub value: String,
}

/// The number of tokens that depend on a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyUse {
    /// The kind of key: a hash key (Strapi's has the id `reference`, those of adopted tokens are `legacy:` and the hash
    /// function), or an encryption key.
    pub kind: KeyKind,
    /// The public id of the key.
    pub id: String,
    /// The number of tokens of all kinds whose digest, or sealed secret, was made with it.
    pub tokens: u64,
}

/// The configured keys do not match the data: which setting is wrong, and how many tokens depend on each key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyMismatch {
    problem: KeyProblem,
    /// Empty if the store was not asked.
    uses: Vec<KeyUse>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum KeyProblem {
    /// A hash key has the id of another one, on which tokens depend.
    HashKey(String),
    /// No configured hash key is one on which tokens depend. The configured ids, then the known ones.
    HashKeys(String, String),
    /// Strapi's hash key is not the one of the imported tokens.
    StrapiHashKey,
    /// The HMAC key of this legacy format is not that of the adopted tokens.
    LegacyHashKey(String),
    /// An encryption key has the id of another one.
    EncryptionKey(String),
    /// Secrets of this installation have another prefix.
    Prefix { known: String, given: String },
}

impl KeyMismatch {
    /// Returns the kind of the key that does not match.
    pub fn kind(&self) -> KeyKind {
        match self.problem {
            KeyProblem::HashKey(_) | KeyProblem::HashKeys(..) => KeyKind::Hash,
            KeyProblem::StrapiHashKey => KeyKind::StrapiHash,
            KeyProblem::LegacyHashKey(_) => KeyKind::LegacyHash,
            KeyProblem::EncryptionKey(_) => KeyKind::Encryption,
            KeyProblem::Prefix { .. } => KeyKind::Prefix,
        }
    }

    /// Returns how many tokens depend on each key of this kind, if the store was asked.
    pub fn uses(&self) -> impl Iterator<Item = &KeyUse> {
        self.uses.iter().filter(|used| match &self.problem {
            KeyProblem::EncryptionKey(_) => used.kind == KeyKind::Encryption,
            _ if used.kind != KeyKind::Hash => false,
            KeyProblem::StrapiHashKey => used.id == HashKeyId::STRAPI,
            // The name of a format begins with its hash function.
            KeyProblem::LegacyHashKey(format) => {
                HashKeyId::legacy_hash(&used.id).is_some_and(|hash| format.split(':').next() == Some(hash))
            }
            // Each token has one digest.
            KeyProblem::HashKey(_) | KeyProblem::HashKeys(..) | KeyProblem::Prefix { .. } => {
                used.id != HashKeyId::STRAPI && HashKeyId::legacy_hash(&used.id).is_none()
            }
        })
    }

    /// Adds the numbers of dependent tokens.
    pub(crate) fn counted(self, uses: Vec<KeyUse>) -> Self {
        Self { uses, ..self }
    }
}

impl From<KeyProblem> for KeyMismatch {
    fn from(problem: KeyProblem) -> Self {
        Self { problem, uses: Vec::new() }
    }
}

impl std::error::Error for KeyMismatch {}

impl fmt::Display for KeyMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            KeyProblem::HashKey(id) => write!(
                f,
                "the hash key `{id}` (KEYWARD_HASH_KEY) is not the key `{id}` that this data was written with, and its tokens would be rejected"
            )?,
            KeyProblem::HashKeys(given, known) => write!(
                f,
                "none of the hash keys {given} (KEYWARD_HASH_KEY) is one that this data was written with ({known}), and its tokens would be \
                 rejected"
            )?,
            KeyProblem::StrapiHashKey => write!(
                f,
                "Strapi's hash key (`apiToken.salt`, KEYWARD_STRAPI_HASH_KEY) is not the one that the imported tokens were hashed with, and \
                 they would be rejected"
            )?,
            KeyProblem::LegacyHashKey(format) => write!(
                f,
                "the key of the legacy format `{format}` is not the one that adopted tokens were hashed with, and they would be rejected"
            )?,
            KeyProblem::EncryptionKey(id) => write!(
                f,
                "the encryption key `{id}` (KEYWARD_ENCRYPTION_KEY) is not the key `{id}` that this data was written with, and sealed secrets \
                 could not be shown"
            )?,
            KeyProblem::Prefix { known, given } => write!(
                f,
                "tokens of this installation have the token prefix `{known}` and not `{given}`, and would be rejected"
            )?,
        }
        for (n, used) in self.uses().enumerate() {
            let (before, KeyUse { id, tokens, .. }) = (if n == 0 { "; at stake: " } else { ", " }, used);
            let tokens = if *tokens == 1 { "1 token".to_owned() } else { format!("{tokens} tokens") };
            write!(f, "{before}{tokens} with key `{id}`")?;
        }
        match &self.problem {
            KeyProblem::HashKey(id) | KeyProblem::EncryptionKey(id) => write!(
                f,
                ": set the former key again, alone or behind a new one with another name (`2030:NEW,{id}:FORMER`), or give up the data that \
                 uses it with `{}`",
                self.kind().flag()
            ),
            KeyProblem::HashKeys(..) => {
                f.write_str(": set the former key again, behind the new one, or give up the data that uses it with `accept_new_hash_key`")
            }
            KeyProblem::StrapiHashKey | KeyProblem::LegacyHashKey(_) => {
                f.write_str(": set the former key again, or give these tokens up with `accept_new_hash_key`")
            }
            KeyProblem::Prefix { known, .. } => {
                write!(f, ": set the token prefix `{known}` again, or give the tokens up with `accept_new_prefix`")
            }
        }
    }
}

/// The configured keys, by their check values.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConfiguredKeys {
    checks: Vec<KeyCheck>,
    /// The kinds of which a new key may replace the known one.
    accepted: Vec<KeyKind>,
}

impl ConfiguredKeys {
    pub(crate) fn new(
        token_prefix: &TokenPrefix,
        hash_keys: &HashKeyRing,
        strapi: Option<&StrapiHashKey>,
        legacy: &[LegacyFormat],
        encryption: Option<&EncryptionKeys>,
        accepted: Vec<KeyKind>,
    ) -> Self {
        let check = |kind| move |(id, value): (&str, String)| KeyCheck { kind, id: id.to_owned(), value };
        let mut checks: Vec<_> = hash_keys.check_values().map(check(KeyKind::Hash)).collect();
        checks.extend(strapi.map(|key| ("", key.check_value())).map(check(KeyKind::StrapiHash)));
        let legacy = legacy.iter().filter_map(LegacyFormat::check_value);
        checks.extend(legacy.map(|(id, value)| KeyCheck { kind: KeyKind::LegacyHash, id, value }));
        checks.extend(encryption.iter().flat_map(|keys| keys.check_values()).map(check(KeyKind::Encryption)));
        checks.push(check(KeyKind::Prefix)(("", token_prefix.check_value())));
        Self { checks, accepted }
    }

    /// Compares all keys with the known check values, and returns the check values to store from now on.
    ///
    /// If no token was issued, any hash key is accepted, and its check value is not stored.
    pub(crate) fn compare(&self, known: &[KeyCheck], issues: bool) -> Result<Vec<KeyCheck>, KeyMismatch> {
        let concerns = |kind: KeyKind| issues || kind != KeyKind::Hash;
        let kinds = KeyKind::ALL.into_iter().filter(|kind| concerns(*kind));
        kinds.into_iter().try_for_each(|kind| self.compare_kind(kind, known))?;
        let new = |check: &&KeyCheck| concerns(check.kind) && !known.contains(check);
        Ok(self.checks.iter().filter(new).cloned().collect())
    }

    /// Compares the keys that decide which credentials are valid.
    pub(crate) fn judge(&self, known: &[KeyCheck]) -> Result<(), KeyMismatch> {
        [KeyKind::Hash, KeyKind::StrapiHash, KeyKind::LegacyHash, KeyKind::Prefix]
            .into_iter()
            .try_for_each(|kind| self.compare_kind(kind, known))
    }

    /// Returns true if the key that had this id is still configured, under this name or another one.
    pub(crate) fn has(&self, kind: KeyKind, id: &str, known: &[KeyCheck]) -> bool {
        let value = known.iter().find(|check| check.kind == kind && check.id == id).map(|check| &check.value);
        self.of(kind).any(|check| value.map_or(check.id == id, |value| check.value == *value))
    }

    fn of(&self, kind: KeyKind) -> impl Iterator<Item = &KeyCheck> {
        self.checks.iter().filter(move |check| check.kind == kind)
    }

    fn compare_kind(&self, kind: KeyKind, known: &[KeyCheck]) -> Result<(), KeyMismatch> {
        if self.accepted.contains(&kind) {
            return Ok(());
        }
        let known = || known.iter().filter(move |check| check.kind == kind);
        let given = |value: &str| self.of(kind).any(|check| check.value == value);
        // A known key under another name still verifies its tokens.
        let other = |ours: &&KeyCheck| {
            known().any(|theirs| theirs.id == ours.id && theirs.value != ours.value && !given(&theirs.value))
        };
        if let Some(KeyCheck { id, value, .. }) = self.of(kind).find(other) {
            let problem = match kind {
                KeyKind::Hash => KeyProblem::HashKey(id.clone()),
                KeyKind::StrapiHash => KeyProblem::StrapiHashKey,
                KeyKind::LegacyHash => KeyProblem::LegacyHashKey(id.clone()),
                KeyKind::Encryption => KeyProblem::EncryptionKey(id.clone()),
                KeyKind::Prefix => KeyProblem::Prefix {
                    known: known().next().map(|check| check.value.clone()).unwrap_or_default(),
                    given: value.clone(),
                },
            };
            return Err(problem.into());
        }
        if kind == KeyKind::Hash && known().next().is_some() && !known().any(|check| given(&check.value)) {
            let ids = |checks: Vec<&KeyCheck>| {
                checks.iter().map(|check| format!("`{}`", check.id)).collect::<Vec<_>>().join(", ")
            };
            return Err(KeyProblem::HashKeys(ids(self.of(kind).collect()), ids(known().collect())).into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "4bX0qPz81hVnR7sYw2Lm5Kc9Tj3Ga6Fd";
    const TWO: &str = "Zp0Qx81vHn7RsYw2Lm5Kc9Tj3Ga6Fd4b";

    fn keys(hash: &str, encryption: &str, token_prefix: &str) -> ConfiguredKeys {
        let encryption = (!encryption.is_empty()).then(|| EncryptionKeys::parse(encryption).unwrap());
        let (token_prefix, hash) = (TokenPrefix::new(token_prefix).unwrap(), HashKeyRing::parse(hash).unwrap());
        ConfiguredKeys::new(&token_prefix, &hash, None, &[], encryption.as_ref(), Vec::new())
    }

    #[test]
    fn a_replaced_key_is_reported_by_name() {
        let known = keys(ONE, ONE, "kw").compare(&[], true).unwrap();
        assert_eq!(known.len(), 3);
        assert_eq!(keys(ONE, ONE, "kw").compare(&known, true), Ok(vec![]));
        assert_eq!(keys(TWO, ONE, "kw").compare(&known, true), Err(KeyProblem::HashKey("0".into()).into()));
        assert_eq!(keys(ONE, TWO, "kw").compare(&known, true), Err(KeyProblem::EncryptionKey("0".into()).into()));
        assert_eq!(keys(ONE, TWO, "kw").judge(&known), Ok(()), "the encryption key verifies no credential");
        let prefix = KeyProblem::Prefix { known: "kw".into(), given: "acme".into() };
        assert_eq!(keys(ONE, ONE, "acme").compare(&known, true), Err(prefix.into()));
        let none = KeyProblem::HashKeys("`2030`".into(), "`0`".into());
        assert_eq!(keys(&format!("2030:{TWO}"), ONE, "kw").compare(&known, true), Err(none.into()));
        let accepted = ConfiguredKeys {
            accepted: vec![KeyKind::Hash, KeyKind::Encryption, KeyKind::Prefix],
            ..keys(TWO, TWO, "acme")
        };
        assert_eq!(accepted.compare(&known, true).unwrap(), accepted.checks);
    }

    #[test]
    fn a_ring_with_the_former_key_matches_under_any_name() {
        let known = keys(ONE, ONE, "kw").compare(&[], true).unwrap();
        for ring in [format!("2030:{TWO},0:{ONE}"), format!("{TWO},2025:{ONE}"), format!("2025:{ONE}")] {
            let keys = keys(&ring, &ring, "kw");
            assert!(keys.compare(&known, true).is_ok(), "{ring}");
            assert!(keys.has(KeyKind::Hash, "0", &known));
        }
        let without = keys(ONE, "", "kw");
        assert_eq!(without.compare(&known, true), Ok(vec![]), "a node that seals no secrets needs no encryption key");
        assert!(!without.has(KeyKind::Encryption, "0", &known));
    }

    #[test]
    fn a_mismatch_reports_dependent_tokens_by_key() {
        let used = |kind, id: &str, tokens| KeyUse { kind, id: id.to_owned(), tokens };
        let uses = [
            used(KeyKind::Encryption, "e", 7),
            used(KeyKind::Hash, "0", 1),
            used(KeyKind::Hash, "2025", 3),
            used(KeyKind::Hash, HashKeyId::STRAPI, 9),
        ];
        let text = |problem: KeyProblem| KeyMismatch::from(problem).counted(uses.to_vec()).to_string();
        let hash = text(KeyProblem::HashKey("0".into()));
        assert!(hash.contains("KEYWARD_HASH_KEY") && hash.contains("accept_new_hash_key"), "{hash}");
        assert!(hash.contains("at stake: 1 token with key `0`, 3 tokens with key `2025`:"), "{hash}");
        let encryption = text(KeyProblem::EncryptionKey("e".into()));
        assert!(
            encryption.contains("KEYWARD_ENCRYPTION_KEY") && encryption.contains(": 7 tokens with key `e`:"),
            "{encryption}"
        );
        assert!(text(KeyProblem::StrapiHashKey).contains("9 tokens"));
    }

    /// no-secret-leaks: check values disclose no key, and each is specific to one use.
    #[test]
    fn check_values_differ_by_key_and_by_use() {
        let mut values: Vec<_> =
            [keys(ONE, ONE, "kw"), keys(TWO, TWO, "kw")].into_iter().flat_map(|k| k.checks).map(|c| c.value).collect();
        values.retain(|value| value != "kw");
        values.sort();
        values.dedup();
        assert_eq!(values.len(), 4);
        assert!(values.iter().all(|value| value.len() == 32 && !ONE.contains(value.as_str())));
    }
}
