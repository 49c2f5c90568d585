//! Reports on the configured keys and the data.

use super::ServiceError;
use super::context::ServiceContext;
use crate::domain::{HashKeyId, KeyKind, KeyUse};
use crate::keyward::Keyward;

/// The number of tokens that depend on a key, and whether the key is configured.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct KeyReport {
    /// The key and the number of tokens.
    pub usage: KeyUse,
    /// Whether this installation is configured with the key. Without it, tokens of a hash key are rejected, and secrets
    /// sealed with an encryption key cannot be shown.
    pub is_configured: bool,
}

impl Keyward {
    /// Compares the configured keys with the data, as [`set_up`](Self::set_up) does, and reports how many tokens use each
    /// key. It changes nothing.
    ///
    /// ```
    /// # tokio_test::block_on(async {
    /// use keyward::token::ContentAccess;
    /// use keyward::{HashKey, Keyward, MemoryStore, NewContentToken};
    /// let (hash_key, _) = HashKey::generate()?;
    /// let keyward = Keyward::builder(MemoryStore::default()).hash_key(hash_key).content("/api").build()?;
    /// keyward.tokens().issue_content(NewContentToken::new("shop", ContentAccess::ReadOnly)).await?;
    /// let reports = keyward.check_keys().await?;
    /// assert_eq!((reports[0].usage.tokens, reports[0].is_configured), (1, true));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`KeyMismatch`](ServiceError::KeyMismatch) if the data uses other keys than the configuration;
    /// [`Store`](ServiceError::Store) if the store fails.
    pub async fn check_keys(&self) -> Result<Vec<KeyReport>, ServiceError> {
        let context = self.context();
        let mut view = context.view().await?;
        if let Err(mismatch) = context.state.keys.compare(&view.key_checks().await?, true) {
            return Err(mismatch.counted(view.key_uses().await?).into());
        }
        drop(view);
        context.key_reports().await
    }
}

impl ServiceContext {
    /// Returns how many tokens use each key. Sessions of accounts of the host use none.
    pub(super) async fn key_reports(&self) -> Result<Vec<KeyReport>, ServiceError> {
        let mut view = self.view().await?;
        let (known, uses) = (view.key_checks().await?, view.key_uses().await?);
        let is_configured = |KeyUse { kind, id, .. }: &KeyUse| match kind {
            KeyKind::Hash if id == HashKeyId::STRAPI => self.state.format.has_strapi(),
            KeyKind::Hash if self.state.format.has_legacy_key(id) => true,
            _ => self.state.keys.has(*kind, id, &known),
        };
        let uses = uses.into_iter().filter(|usage| usage.kind != KeyKind::Hash || usage.id != HashKeyId::ACCOUNTS);
        Ok(uses.map(|usage| KeyReport { is_configured: is_configured(&usage), usage }).collect())
    }
}
