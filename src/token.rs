//! Tokens, their secrets, and the keys that protect them.
//!
//! A [`Secret`] is the text that a client sends. The store keeps its digest, made with a [`HashKey`], and never the text.
//! With [`EncryptionKeys`] the store also keeps a sealed copy, so that the owner can view the secret again.

pub use crate::domain::{
    ContentAccess, Entropy, HashKey, HashKeyId, HashKeyRing, InvalidHashKey, InvalidLegacyFormat, InvalidTokenPrefix,
    LegacyCharacters, LegacyDigest, LegacyFormat, MalformedId, Metadata, NewSecret, NoEntropy, OsEntropy, OwnerId,
    Secret, StrapiHashKey, Token, TokenAuthority, TokenId, TokenKind, TokenPrefix, Unsealable,
};
#[cfg(feature = "reveal")]
pub use crate::domain::{EncryptionKeys, InvalidEncryptionKey};
