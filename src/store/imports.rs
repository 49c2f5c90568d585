//! Records of imports in a store.

use super::{Imported, StoreError, TokenTimes};
use crate::domain::{OwnerId, Timestamp, TokenId};
use async_trait::async_trait;

/// Reads records of imports.
#[async_trait]
pub trait ReadImports {
    /// Lists everything that was ever imported, in no order: the source, the key there, and the record here. It includes records that were
    /// deleted here since.
    async fn imported(&mut self) -> Result<Vec<(String, String, Imported)>, StoreError>;
    /// Returns the token that a source's key was imported as, even if the token was deleted here since.
    async fn imported_token(&mut self, source: &str, key: &str) -> Result<Option<TokenId>, StoreError>;
}

/// Writes records of imports, and the times of imported records.
#[async_trait]
pub trait WriteImports {
    /// Records for good that a source's key was imported. A key of one kind cannot be imported twice.
    async fn remember_imported(&mut self, source: &str, key: &str, what: Imported) -> Result<(), StoreError>;
    /// Sets when an owner's account was made. The account is older than this installation.
    async fn backdate_owner(&mut self, id: OwnerId, created_at: Timestamp) -> Result<(), StoreError>;
    /// Sets when a token was made, when it expires and when it was last used. The token is older than this installation and was
    /// added in this transaction.
    async fn backdate_token(&mut self, id: TokenId, times: TokenTimes) -> Result<(), StoreError>;
}
