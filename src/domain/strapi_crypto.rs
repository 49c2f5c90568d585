//! Decryption of secrets that Strapi sealed: `v1:IV:CIPHERTEXT:TAG` in hex, AES-256-GCM with an IV of 16 bytes, under
//! the SHA-256 of the key's text.

use super::Secret;
use aes_gcm::aead::consts::U16;
use aes_gcm::aead::{Aead, KeyInit};
use aes_gcm::aes::Aes256;
use aes_gcm::{AesGcm, Nonce};
use sha2::{Digest, Sha256};
use std::fmt;

/// Strapi's encryption key (its `ENCRYPTION_KEY`). It opens what Strapi sealed, and seals nothing. [`Debug`] does not
/// show it.
#[derive(Clone)]
pub struct StrapiEncryptionKey(AesGcm<Aes256, U16>);

/// The reason why a secret that Strapi sealed cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnsealError {
    /// It does not have the form of a sealed secret.
    #[error("not in Strapi's format of sealed keys")]
    Malformed,
    /// It was changed, or sealed with another key.
    #[error("not sealed with this encryption key")]
    WrongKey,
}

impl StrapiEncryptionKey {
    /// Takes the text of Strapi's `ENCRYPTION_KEY`.
    pub fn new(text: &str) -> Self {
        let key: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        Self(AesGcm::new(&key.into()))
    }

    /// Decrypts the secret of a token.
    pub(crate) fn open(&self, sealed: &str) -> Result<Secret, UnsealError> {
        let parts: Vec<&str> = sealed.split(':').collect();
        let ["v1", iv, ciphertext, tag] = parts[..] else { return Err(UnsealError::Malformed) };
        let iv: [u8; 16] = bytes(iv)?.try_into().map_err(|_| UnsealError::Malformed)?;
        let tag: [u8; 16] = bytes(tag)?.try_into().map_err(|_| UnsealError::Malformed)?;
        let mut text = bytes(ciphertext)?;
        text.extend(tag);
        let opened = self.0.decrypt(&Nonce::from(iv), text.as_slice()).map_err(|_| UnsealError::WrongKey)?;
        String::from_utf8(opened).map(Secret::new).map_err(|_| UnsealError::Malformed)
    }
}

fn bytes(hex: &str) -> Result<Vec<u8>, UnsealError> {
    hex::decode(hex).map_err(|_| UnsealError::Malformed)
}

impl fmt::Debug for StrapiEncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StrapiEncryptionKey(..)")
    }
}

/// Seals like Strapi, for tests.
#[cfg(test)]
pub(crate) fn seal_like_strapi(key: &StrapiEncryptionKey, text: &str) -> String {
    let sealed = key.0.encrypt(&Nonce::from([7; 16]), text.as_bytes()).unwrap();
    let (text, tag) = sealed.split_at(sealed.len() - 16);
    format!("v1:{}:{}:{}", hex::encode([7; 16]), hex::encode(text), hex::encode(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_sealed_secret_opens_only_unchanged_with_its_key() {
        let key = StrapiEncryptionKey::new(KEY);
        let sealed = seal_like_strapi(&key, "c0ffee");
        assert_eq!(key.open(&sealed).unwrap().expose(), "c0ffee");
        let other = StrapiEncryptionKey::new("another");
        assert_eq!(other.open(&sealed).unwrap_err(), UnsealError::WrongKey);
        let parts: Vec<&str> = sealed.split(':').collect();
        let (iv, text, tag) = (parts[1], parts[2], parts[3]);
        let flipped = format!("v1:{iv}:{}:{tag}", text.replace(&text[..1], if &text[..1] == "0" { "1" } else { "0" }));
        assert_eq!(key.open(&flipped).unwrap_err(), UnsealError::WrongKey);
        for wrong in [
            String::new(),
            "v1".into(),
            format!("v2:{iv}:{text}:{tag}"),
            format!("v1:{iv}:{text}"),
            format!("{sealed}:00"),
            format!("v1:{}:{text}:{tag}", &iv[2..]),
            format!("v1:{iv}:zz:{tag}"),
            format!("v1:{iv}:{text}:{}", &tag[2..]),
            format!("v1:{iv}:{text}:é"),
        ] {
            assert_eq!(key.open(&wrong).unwrap_err(), UnsealError::Malformed, "{wrong}");
        }
        assert_eq!(format!("{key:?}"), "StrapiEncryptionKey(..)");
    }
}
