//! Tokens, their secrets, and the keys that protect them.
//!
//! A [`Secret`] is the text that a client sends. The store keeps its digest, made with a [`HashKey`], and never the text.
//! With [`EncryptionKeys`] the store also keeps a sealed copy, so that the owner can view the secret again.

pub use crate::domain::{
    Ancestor, ContentAccess, Entropy, HashKey, HashKeyId, HashKeyRing, InvalidHashKey, InvalidLegacyFormat,
    InvalidNetwork, InvalidRateLimit, InvalidTokenPrefix, LastUse, LegacyCharacters, LegacyDigest, LegacyFormat,
    MalformedId, Metadata, Network, NewSecret, NoEntropy, OsEntropy, OwnerId, PreviousSecret, RateLimit, Secret,
    StrapiHashKey, Token, TokenAuthority, TokenId, TokenKind, TokenLimits, TokenPrefix, TokenSecret, Unsealable,
};
#[cfg(feature = "reveal")]
pub use crate::domain::{EncryptionKeys, InvalidEncryptionKey};
