//! Salts and encryption keys; without any, and only where nobody else can connect, some that are no secret.

use keyward::{EncryptionKeys, InvalidEncryptionKey, InvalidSalt, SaltRing};

/// Known to everybody who can read: for trying things out on one's own machine.
const DEVELOPMENT_SALT: &str = "development-only-salt-that-everybody-knows-0123456789";
const DEVELOPMENT_KEY: &str = "development-only-encryption-key-that-everybody-knows-0123456789";

/// The salts that were given; `None` if there is none and others can connect.
pub(crate) fn salts(given: Option<String>, alone: bool) -> Result<Option<SaltRing>, InvalidSalt> {
    match given {
        Some(text) => SaltRing::parse(&text).map(Some),
        None if alone => {
            eprintln!("WARNING: KEYWARD_SALT is not set. Using the development salt, which everybody knows:");
            eprintln!("WARNING: whoever can write to the database can make tokens of their own with it.");
            SaltRing::parse(DEVELOPMENT_SALT).map(Some)
        }
        None => Ok(None),
    }
}

/// The encryption keys that were given; `None` if there is none and others can connect.
pub(crate) fn encryption(given: Option<String>, alone: bool) -> Result<Option<EncryptionKeys>, InvalidEncryptionKey> {
    match given {
        Some(text) => EncryptionKeys::parse(&text).map(Some),
        None if alone => {
            eprintln!("WARNING: KEYWARD_ENCRYPTION_KEY is not set. Using the development key, which everybody knows:");
            eprintln!("WARNING: whoever can read the database can read the keys of its tokens.");
            EncryptionKeys::parse(DEVELOPMENT_KEY).map(Some)
        }
        None => Ok(None),
    }
}
