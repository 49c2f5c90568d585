//! The sealed keys of the reference. Opened before anything is written: they tell whether its encryption key and its salt are right.

use super::ImportError;
use crate::domain::{Digest, Secret, StrapiEncryptionKey, UnsealError};
use crate::store::strapi::ForeignToken;
use std::collections::HashMap;

/// What became of the sealed keys, by the id of their token there.
#[derive(Default)]
pub(super) struct Keys {
    genuine: HashMap<i64, Secret>,
    useless: HashMap<i64, &'static str>,
    /// There was no encryption key to open any with.
    pub(super) left_closed: bool,
}

impl Keys {
    /// Opens what can be opened. `digest`: what a secret is stored as, if it is one of the reference's.
    pub(super) fn open(
        tokens: &[ForeignToken],
        key: Option<&StrapiEncryptionKey>,
        digest: impl Fn(&Secret) -> Option<Digest>,
    ) -> Result<Self, ImportError> {
        let Some(key) = key else { return Ok(Self { left_closed: true, ..Self::default() }) };
        let (mut keys, mut opened, mut closed) = (Self::default(), 0, 0);
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
                Err(UnsealError::Malformed) => "it is not sealed as the reference seals keys",
                Err(UnsealError::WrongKey) => {
                    closed += 1;
                    "it does not open"
                }
            };
            keys.useless.insert(token.id, useless);
        }
        match (opened, keys.genuine.len()) {
            (0, _) if closed > 0 => Err(ImportError::EncryptionKey(closed)),
            (1.., 0) => Err(ImportError::HashKey(opened)),
            _ => Ok(keys),
        }
    }

    /// The secret of a token.
    pub(super) fn of(&self, token: i64) -> Option<&Secret> {
        self.genuine.get(&token)
    }

    /// Why the sealed key of a token is of no use.
    pub(super) fn useless(&self, token: i64) -> Option<&'static str> {
        self.useless.get(&token).copied()
    }
}
