//! The sealed keys of Strapi's tokens. They are opened before anything is written, to check the encryption key and the hash key.

use super::ImportError;
use crate::domain::{Digest, Secret, StrapiEncryptionKey, UnsealError};
use crate::store::strapi::StrapiToken;
use std::collections::HashMap;

/// The opened keys, by the id of their token in Strapi.
#[derive(Default)]
pub(super) struct Keys {
    genuine: HashMap<i64, Secret>,
    useless: HashMap<i64, &'static str>,
    /// Whether there was no encryption key to open them with.
    pub(super) not_opened: bool,
}

impl Keys {
    /// Opens the sealed keys. `digest` returns the digest of a secret in Strapi's format.
    ///
    /// # Errors
    /// [`ImportError::EncryptionKey`] if none opens; [`ImportError::HashKey`] if some open and none has the digest of its token.
    pub(super) fn open(
        tokens: &[StrapiToken],
        key: Option<&StrapiEncryptionKey>,
        digest: impl Fn(&Secret) -> Option<Digest>,
    ) -> Result<Self, ImportError> {
        let Some(key) = key else { return Ok(Self { not_opened: true, ..Self::default() }) };
        let (mut keys, mut opened, mut unopened) = (Self::default(), 0, 0);
        for (token, sealed) in tokens.iter().filter_map(|token| Some((token, token.sealed.as_ref()?))) {
            let useless = match key.open(&sealed.0) {
                Ok(secret) => {
                    opened += 1;
                    if digest(&secret) == Some(token.digest) {
                        keys.genuine.insert(token.id, secret);
                        continue;
                    }
                    "it is not the key of this token"
                }
                Err(UnsealError::Malformed) => "it is not sealed as Strapi seals keys",
                Err(UnsealError::WrongKey) => {
                    unopened += 1;
                    "it does not open"
                }
            };
            keys.useless.insert(token.id, useless);
        }
        match (opened, keys.genuine.len()) {
            (0, _) if unopened > 0 => Err(ImportError::EncryptionKey(unopened)),
            (1.., 0) => Err(ImportError::HashKey(opened)),
            _ => Ok(keys),
        }
    }

    /// Returns the secret of a token.
    pub(super) fn secret_of(&self, token: i64) -> Option<&Secret> {
        self.genuine.get(&token)
    }

    /// Returns why the sealed key of a token cannot be used.
    pub(super) fn useless(&self, token: i64) -> Option<&'static str> {
        self.useless.get(&token).copied()
    }
}
