//! Check values: whether the keys of the configuration are the ones that the data rests on.
//!
//! A check value is a MAC of a constant. It stands in the store beside the data, and tells one key from another without telling the
//! key. So a node whose configuration does not fit the data finds out before it refuses the first genuine token.

use super::{Brand, EncryptionKeys, ReferenceSalt, SaltRing};

/// What a check value is of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum KeyKind {
    /// A hash key: digests are made with it.
    Hash,
    /// Strapi's hash key, for tokens that were issued there.
    StrapiHash,
    /// An encryption key: it seals secrets that may be shown again.
    Encryption,
    /// The token prefix. It is no secret, and is kept as it is.
    Prefix,
}

impl KeyKind {
    const ALL: [Self; 4] = [Self::Hash, Self::StrapiHash, Self::Encryption, Self::Prefix];

    /// The word for it in a store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::StrapiHash => "strapi-hash",
            Self::Encryption => "encryption",
            Self::Prefix => "prefix",
        }
    }

    /// The kind that this word is for.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// The check value of a key, as a store keeps it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyCheck {
    /// What it is of.
    pub kind: KeyKind,
    /// The public id of the key; empty where there is only one.
    pub id: String,
    /// The value: lower-case hex of a MAC, or the prefix itself.
    pub value: String,
}

/// How many tokens rest on a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyUse {
    /// What it is: a hash key (Strapi's too, by the id `reference`), or an encryption key.
    pub kind: KeyKind,
    /// The public id of the key.
    pub id: String,
    /// How many tokens of all kinds have their digest, or their sealed secret, from it.
    pub tokens: u64,
}

/// The configuration does not fit the data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyMismatch {
    /// A hash key has the id of another one, on which tokens rest.
    #[error(
        "the hash key (salt) `{0}` is not the one of this name that the tokens rest on, so they would all be refused: set the former \
         one again, if need be behind a new one that has another name (`2030:NEW,{0}:FORMER`), or give the tokens up with \
         `accept_new_hash_key`"
    )]
    HashKey(String),
    /// No hash key is one on which tokens rest. The ids are given, then the known ones.
    #[error(
        "none of the hash keys (salts) {0} is one that the tokens rest on ({1}), so they would all be refused: set the former one \
         behind the new one, or give the tokens up with `accept_new_hash_key`"
    )]
    HashKeys(String, String),
    /// Strapi's hash key is another one than that of the tokens that were imported.
    #[error(
        "the hash key of Strapi (`apiToken.salt`) is not the one that tokens from there rest on, so they would be refused: set the \
         former one again, or give these tokens up with `accept_new_hash_key`"
    )]
    StrapiHashKey,
    /// An encryption key has the id of another one.
    #[error(
        "the encryption key `{0}` is not the one of this name that secrets were sealed with, so they could not be shown any more: set \
         the former one again, if need be behind a new one that has another name (`2030:NEW,{0}:FORMER`), or give the sealed copies up \
         with `accept_new_encryption_key`"
    )]
    EncryptionKey(String),
    /// Secrets of this installation begin with another word.
    #[error(
        "tokens of this installation begin with `{known}_` and not with `{given}_`, so they would all be refused: set the token prefix \
         (brand) `{known}` again, or give the tokens up with `accept_new_prefix`"
    )]
    Prefix {
        /// What they begin with.
        known: String,
        /// What is configured.
        given: String,
    },
}

/// The keys of the configuration, by their check values.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConfiguredKeys {
    checks: Vec<KeyCheck>,
    /// Where another key than the known one may take its place.
    accepted: Vec<KeyKind>,
}

impl ConfiguredKeys {
    pub(crate) fn new(
        brand: &Brand,
        hash_keys: &SaltRing,
        strapi: Option<&ReferenceSalt>,
        encryption: Option<&EncryptionKeys>,
        accepted: Vec<KeyKind>,
    ) -> Self {
        let check = |kind| move |(id, value): (&str, String)| KeyCheck { kind, id: id.to_owned(), value };
        let mut checks: Vec<_> = hash_keys.check_values().map(check(KeyKind::Hash)).collect();
        checks.extend(strapi.map(|key| ("", key.check_value())).map(check(KeyKind::StrapiHash)));
        checks.extend(encryption.iter().flat_map(|keys| keys.check_values()).map(check(KeyKind::Encryption)));
        checks.push(check(KeyKind::Prefix)(("", brand.as_str().to_owned())));
        Self { checks, accepted }
    }

    /// Compares all keys with the known check values, and returns those that are to be kept from now on.
    pub(crate) fn compare(&self, known: &[KeyCheck]) -> Result<Vec<KeyCheck>, KeyMismatch> {
        KeyKind::ALL.into_iter().try_for_each(|kind| self.compare_kind(kind, known))?;
        Ok(self.checks.iter().filter(|check| !known.contains(check)).cloned().collect())
    }

    /// Compares the keys that decide which credentials are valid.
    pub(crate) fn judge(&self, known: &[KeyCheck]) -> Result<(), KeyMismatch> {
        [KeyKind::Hash, KeyKind::StrapiHash, KeyKind::Prefix]
            .into_iter()
            .try_for_each(|kind| self.compare_kind(kind, known))
    }

    /// Whether tokens that rest on the key of this id still have it, under this name or another one.
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
        // A key that is still there, under another name, goes on opening what rests on it.
        let other = |ours: &&KeyCheck| {
            known().any(|theirs| theirs.id == ours.id && theirs.value != ours.value && !given(&theirs.value))
        };
        if let Some(KeyCheck { id, value, .. }) = self.of(kind).find(other) {
            return Err(match kind {
                KeyKind::Hash => KeyMismatch::HashKey(id.clone()),
                KeyKind::StrapiHash => KeyMismatch::StrapiHashKey,
                KeyKind::Encryption => KeyMismatch::EncryptionKey(id.clone()),
                KeyKind::Prefix => KeyMismatch::Prefix {
                    known: known().next().map(|check| check.value.clone()).unwrap_or_default(),
                    given: value.clone(),
                },
            });
        }
        if kind == KeyKind::Hash && known().next().is_some() && !known().any(|check| given(&check.value)) {
            let ids = |checks: Vec<&KeyCheck>| {
                checks.iter().map(|check| format!("`{}`", check.id)).collect::<Vec<_>>().join(", ")
            };
            return Err(KeyMismatch::HashKeys(ids(self.of(kind).collect()), ids(known().collect())));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "4bX0qPz81hVnR7sYw2Lm5Kc9Tj3Ga6Fd";
    const TWO: &str = "Zp0Qx81vHn7RsYw2Lm5Kc9Tj3Ga6Fd4b";

    fn keys(hash: &str, encryption: &str, brand: &str) -> ConfiguredKeys {
        let encryption = (!encryption.is_empty()).then(|| EncryptionKeys::parse(encryption).unwrap());
        let (brand, hash) = (Brand::new(brand).unwrap(), SaltRing::parse(hash).unwrap());
        ConfiguredKeys::new(&brand, &hash, None, encryption.as_ref(), Vec::new())
    }

    #[test]
    fn a_key_that_takes_anothers_place_is_named() {
        let known = keys(ONE, ONE, "kw").compare(&[]).unwrap();
        assert_eq!(known.len(), 3);
        assert_eq!(keys(ONE, ONE, "kw").compare(&known), Ok(vec![]));
        assert_eq!(keys(TWO, ONE, "kw").compare(&known), Err(KeyMismatch::HashKey("0".into())));
        assert_eq!(keys(ONE, TWO, "kw").compare(&known), Err(KeyMismatch::EncryptionKey("0".into())));
        assert_eq!(keys(ONE, TWO, "kw").judge(&known), Ok(()), "it opens no credential");
        let prefix = KeyMismatch::Prefix { known: "kw".into(), given: "acme".into() };
        assert_eq!(keys(ONE, ONE, "acme").compare(&known), Err(prefix));
        let none = KeyMismatch::HashKeys("`2030`".into(), "`0`".into());
        assert_eq!(keys(&format!("2030:{TWO}"), ONE, "kw").compare(&known), Err(none));
        let accepted = ConfiguredKeys {
            accepted: vec![KeyKind::Hash, KeyKind::Encryption, KeyKind::Prefix],
            ..keys(TWO, TWO, "acme")
        };
        assert_eq!(accepted.compare(&known).unwrap(), accepted.checks);
    }

    #[test]
    fn a_ring_with_the_former_key_fits_under_any_names() {
        let known = keys(ONE, ONE, "kw").compare(&[]).unwrap();
        for ring in [format!("2030:{TWO},0:{ONE}"), format!("{TWO},2025:{ONE}"), format!("2025:{ONE}")] {
            let keys = keys(&ring, &ring, "kw");
            assert!(keys.compare(&known).is_ok(), "{ring}");
            assert!(keys.has(KeyKind::Hash, "0", &known));
        }
        let without = keys(ONE, "", "kw");
        assert_eq!(without.compare(&known), Ok(vec![]), "who seals nothing may have no encryption key");
        assert!(!without.has(KeyKind::Encryption, "0", &known));
    }

    /// I8: they tell no key, and each is of one use.
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
