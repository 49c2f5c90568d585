//! Check values of keys in a store.

use super::{KeyCheck, KeyUse, StoreError};
use async_trait::async_trait;

/// Reads the check values of keys.
#[async_trait]
pub trait ReadKeys {
    /// Returns the check values of the keys that the data uses.
    async fn key_checks(&mut self) -> Result<Vec<KeyCheck>, StoreError>;
    /// Returns the number of tokens that use each key, by kind and id. A token whose previous secret is in its grace period counts for the hash key of
    /// each secret.
    async fn key_uses(&mut self) -> Result<Vec<KeyUse>, StoreError>;
}

/// Writes the check values of keys.
#[async_trait]
pub trait WriteKeys {
    /// Sets the check value of the key with this kind and id.
    async fn set_key_check(&mut self, check: &KeyCheck) -> Result<(), StoreError>;
}
