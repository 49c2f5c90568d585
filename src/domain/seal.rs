//! Sealed secrets: encrypted copies that let owners view a secret again.
//!
//! AES-256-GCM with a fresh 96-bit nonce and the token's id as associated data: a sealed secret that is moved to
//! another token's row does not open. Each key has a public id, stored beside what it sealed, so that keys can be
//! rotated.

#[cfg(feature = "reveal")]
use super::hash_key::unquoted;
#[cfg(feature = "reveal")]
use super::{Entropy, HashKey, InvalidHashKey, NoEntropy, Secret, TokenId};
#[cfg(feature = "reveal")]
use aes_gcm::aead::{Aead, KeyInit, Payload};
#[cfg(feature = "reveal")]
use aes_gcm::{Aes256Gcm, Nonce};
use std::fmt;

/// An encrypted secret, and the id of the key that it is encrypted with.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedSecret {
    /// The id of the encryption key.
    pub key: String,
    /// Nonce, ciphertext and authentication tag, in hex.
    pub text: String,
}

impl fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedSecret({})", self.key)
    }
}

/// The reason why a sealed secret cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsealable {
    /// Its encryption key is not configured.
    #[error("the key was sealed with the encryption key `{0}`, which is not configured: add it to the ring")]
    NoKey(String),
    /// It was changed or moved, or sealed with another key of this name.
    #[error("the key cannot be opened with the encryption key `{0}`")]
    Damaged(String),
    /// The secret was issued under a hash key or token prefix that is not configured: the token itself is rejected.
    #[error(
        "the key opens nothing: it was issued under a hash key (KEYWARD_HASH_KEY) or with a token prefix that is not configured"
    )]
    NotGenuine,
}

/// The reason why encryption keys are invalid.
#[cfg(feature = "reveal")]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid encryption key (same form as a hash key): {0}")]
pub struct InvalidEncryptionKey(InvalidHashKey);

// The text has that of the hash key, so it is no source, which would be shown once more.
#[cfg(feature = "reveal")]
impl From<InvalidHashKey> for InvalidEncryptionKey {
    fn from(error: InvalidHashKey) -> Self {
        Self(error)
    }
}

/// The encryption keys of an installation: the first seals, all open. At most four.
///
/// If they are lost, issued secrets cannot be shown again; tokens keep working.
#[cfg(feature = "reveal")]
#[derive(Clone)]
pub struct EncryptionKeys(Vec<EncryptionKey>);

#[cfg(feature = "reveal")]
#[derive(Clone)]
struct EncryptionKey {
    name: String,
    cipher: Aes256Gcm,
    check_value: String,
}

#[cfg(feature = "reveal")]
impl EncryptionKeys {
    /// Reads encryption keys from this environment variable, in the form that [`parse`](Self::parse) takes.
    ///
    /// # Errors
    /// Returns [`InvalidEncryptionKey`] if the variable is not set or no Unicode, else like [`parse`](Self::parse).
    pub fn from_env(variable: &str) -> Result<Self, InvalidEncryptionKey> {
        let text = std::env::var(variable).map_err(|_| InvalidHashKey::Variable(variable.to_owned()))?;
        Self::parse(&text)
    }

    /// Parses `KEY` or `NAME:KEY`, several separated by commas, the sealing one first.
    ///
    /// Each has at least 32 random bytes, as `openssl rand -hex 32` prints them.
    ///
    /// # Errors
    /// Returns [`InvalidEncryptionKey`] for a key that is short, regular or badly named, two keys with one name, or
    /// more than four.
    pub fn parse(text: &str) -> Result<Self, InvalidEncryptionKey> {
        let mut keys: Vec<EncryptionKey> = Vec::new();
        for text in unquoted(text)?.split(',') {
            let hash_key = HashKey::parse(text)?;
            let name = hash_key.id().as_str().to_owned();
            if keys.iter().any(|key| key.name == name) {
                return Err(InvalidHashKey::SameName(name).into());
            }
            // One key for each use: the sealing key is derived and used for nothing else.
            let key = hash_key.hash(b"keyward: AES-256-GCM key for sealed secrets");
            let check_value = hash_key.check_value("keyward: check value of an encryption key");
            keys.push(EncryptionKey { name, cipher: Aes256Gcm::new(&key.into()), check_value });
        }
        if keys.len() > 4 { Err(InvalidHashKey::TooMany(keys.len()).into()) } else { Ok(Self(keys)) }
    }

    /// Returns the name and check value of each key.
    pub(super) fn check_values(&self) -> impl Iterator<Item = (&str, String)> {
        self.0.iter().map(|key| (key.name.as_str(), key.check_value.clone()))
    }

    /// Encrypts the secret of a token.
    pub(crate) fn seal(
        &self,
        token: TokenId,
        secret: &Secret,
        entropy: &dyn Entropy,
    ) -> Result<SealedSecret, NoEntropy> {
        // `split` returns at least one part, so there is a first key.
        let EncryptionKey { name, cipher, .. } = &self.0[0];
        let mut nonce = [0u8; 12];
        entropy.fill(&mut nonce)?;
        let aad = aad(token);
        let payload = Payload { msg: secret.expose().as_bytes(), aad: &aad };
        // It fails only for texts of 64 GiB.
        let sealed = cipher.encrypt(&Nonce::from(nonce), payload).map_err(|_| NoEntropy)?;
        Ok(SealedSecret { key: name.clone(), text: format!("{}{}", hex::encode(nonce), hex::encode(sealed)) })
    }

    /// Decrypts the secret of a token.
    pub(crate) fn open(&self, token: TokenId, sealed: &SealedSecret) -> Result<Secret, Unsealable> {
        let find = self.0.iter().find(|key| key.name == sealed.key);
        let EncryptionKey { cipher, .. } = find.ok_or_else(|| Unsealable::NoKey(sealed.key.clone()))?;
        let damaged = || Unsealable::Damaged(sealed.key.clone());
        let bytes = hex::decode(&sealed.text).map_err(|_| damaged())?;
        let (nonce, text) = bytes.split_first_chunk::<12>().ok_or_else(damaged)?;
        let aad = aad(token);
        let opened = cipher.decrypt(&Nonce::from(*nonce), Payload { msg: text, aad: &aad }).map_err(|_| damaged())?;
        String::from_utf8(opened).map(Secret::new).map_err(|_| damaged())
    }
}

#[cfg(feature = "reveal")]
fn aad(token: TokenId) -> [u8; 8] {
    token.0.to_be_bytes()
}

#[cfg(feature = "reveal")]
impl fmt::Debug for EncryptionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.name)).finish()
    }
}

/// Without the feature there are no keys: nothing is sealed, and nothing opens.
#[cfg(not(feature = "reveal"))]
#[derive(Clone)]
pub(crate) enum EncryptionKeys {}

#[cfg(not(feature = "reveal"))]
impl EncryptionKeys {
    pub(super) fn check_values(&self) -> impl Iterator<Item = (&str, String)> {
        match *self {}
        #[expect(unreachable_code, reason = "names the type of an iterator that is never made")]
        std::iter::empty()
    }

    pub(crate) fn seal(
        &self,
        _: super::TokenId,
        _: &super::Secret,
        _: &dyn super::Entropy,
    ) -> Result<SealedSecret, super::NoEntropy> {
        match *self {}
    }
}

#[cfg(all(test, feature = "reveal"))]
mod tests {
    use super::*;
    use crate::domain::OsEntropy;

    const OLD: &str = "2025:4bX0qPz81hVnR7sYw2Lm5Kc9Tj3Ga6Fd";
    const NEW: &str = "2026:Zp0Qx81vHn7RsYw2Lm5Kc9Tj3Ga6Fd4b";

    #[test]
    fn a_sealed_secret_opens_only_for_its_token_and_key() {
        let (old, new) = (EncryptionKeys::parse(OLD).unwrap(), EncryptionKeys::parse(NEW).unwrap());
        let both = EncryptionKeys::parse(&format!("{NEW},{OLD}")).unwrap();
        let secret = Secret::new("kw_admin_secret".into());
        let sealed = old.seal(TokenId(7), &secret, &OsEntropy).unwrap();
        assert_eq!(sealed.key, "2025");
        for keys in [&old, &both] {
            assert_eq!(keys.open(TokenId(7), &sealed).unwrap().expose(), secret.expose());
            assert_eq!(keys.open(TokenId(8), &sealed).unwrap_err(), Unsealable::Damaged("2025".into()));
        }
        assert_eq!(new.open(TokenId(7), &sealed).unwrap_err(), Unsealable::NoKey("2025".into()));
        assert_eq!(both.seal(TokenId(7), &secret, &OsEntropy).unwrap().key, "2026");
        for text in ["", "00", "zz", &format!("{}00", sealed.text)] {
            let changed = SealedSecret { text: text.into(), ..sealed.clone() };
            assert_eq!(old.open(TokenId(7), &changed).unwrap_err(), Unsealable::Damaged("2025".into()));
        }
        assert_ne!(old.seal(TokenId(7), &secret, &OsEntropy).unwrap(), sealed, "nonces are not reused");
        let shown = format!("{old:?} {sealed:?}");
        assert!(!shown.contains(&sealed.text) && !shown.contains("4bX0"));
        assert_eq!(shown, "[\"2025\"] SealedSecret(2025)");
    }

    #[test]
    fn missing_variable_is_named_once() {
        let error = EncryptionKeys::from_env("KEYWARD_NO_SUCH_VARIABLE").unwrap_err();
        assert_eq!(error.to_string().matches("KEYWARD_NO_SUCH_VARIABLE").count(), 1, "{error}");
        assert!(std::error::Error::source(&error).is_none(), "a source would be shown once more");
    }

    #[test]
    fn invalid_encryption_keys_are_rejected() {
        for bad in ["", "short", &format!("{OLD},{OLD}")] {
            assert!(EncryptionKeys::parse(bad).is_err(), "{bad}");
        }
        let many = |n: usize| (0..n).map(|i| format!("{i}:{}", &OLD[5..])).collect::<Vec<_>>().join(",");
        assert!(EncryptionKeys::parse(&many(4)).is_ok());
        for n in [5, 6] {
            assert_eq!(EncryptionKeys::parse(&many(n)).unwrap_err(), InvalidHashKey::TooMany(n).into());
        }
    }
}
