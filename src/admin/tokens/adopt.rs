//! Adopts keys that another system issued.

use super::Tokens;
use super::issue::{NewAdminToken, NewContentToken, NewKey, admin_token, content_token};
use crate::admin::ServiceError;
use crate::admin::error::FieldErrors;
use crate::admin::unit_of_work::{UnitOfWork, Work};
use crate::domain::{Digest, FieldName, LegacyDigest, Token};

/// The token that an adopted key gets.
#[derive(Clone, Debug)]
pub enum NewAdoptedToken {
    /// An admin token.
    Admin(NewAdminToken),
    /// A content token.
    Content(NewContentToken),
}

impl From<NewAdminToken> for NewAdoptedToken {
    fn from(new: NewAdminToken) -> Self {
        Self::Admin(new)
    }
}

impl From<NewContentToken> for NewAdoptedToken {
    fn from(new: NewContentToken) -> Self {
        Self::Content(new)
    }
}

impl Tokens {
    /// Takes over a key that another system issued and of which only the digest is known. From then on the key is the
    /// secret of this new token.
    ///
    /// The key opens what the token opens. The token is limited, revoked, audited and expires like any other; its
    /// lifespan begins now. [Regenerating](Self::regenerate) it ends the old key and makes a secret of keyward's own
    /// format. The secret is not known, so it cannot be viewed, and the token has no hint.
    ///
    /// A key is adopted once: a second run of a migration brings no revoked key back.
    ///
    /// A digest does not tell whether a key is hard to guess. Do not adopt keys that people chose, or that have fewer than
    /// 128 random bits: issue new ones.
    ///
    /// ```
    /// # tokio_test::block_on(async {
    /// use keyward::token::{ContentAccess, LegacyCharacters, LegacyDigest, LegacyFormat};
    /// use keyward::{HashKey, Keyward, MemoryStore, NewContentToken};
    /// let (hash_key, _) = HashKey::generate()?;
    /// let old_keys = LegacyFormat::sha256().prefix("acme_").length(45).characters(LegacyCharacters::Hex);
    /// let keyward =
    ///     Keyward::builder(MemoryStore::default()).hash_key(hash_key).content("/v1").legacy_keys(old_keys).build()?;
    ///
    /// // The SHA-256 of a key, from the table of the former system.
    /// let digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    /// let new = NewContentToken::new("shop", ContentAccess::only(["orders.read"]));
    /// let token = keyward.tokens().adopt(new, LegacyDigest::sha256(digest)).await?;
    /// # let _ = token;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// - [`Invalid`](ServiceError::Invalid) with the field `digest` if the digest is malformed, or no format with its
    ///   hash function is [declared](crate::Builder::legacy_keys);
    /// - [`Taken`](ServiceError::Taken) with the field `digest` if the key was adopted before, also if its token was
    ///   revoked or regenerated since;
    /// - [`Forbidden`](ServiceError::Forbidden) unless the actor is the host program;
    /// - those of [`issue_admin`](Self::issue_admin) or [`issue_content`](Self::issue_content).
    pub async fn adopt(&self, new: impl Into<NewAdoptedToken>, digest: LegacyDigest) -> Result<Token, ServiceError> {
        self.context.transact(self.adopt_work(new.into(), digest)?).await
    }

    /// Returns the work of [`adopt`](Self::adopt).
    pub(super) fn adopt_work(&self, new: NewAdoptedToken, digest: LegacyDigest) -> Result<Work<Token>, ServiceError> {
        self.may_change()?;
        let mut errors = FieldErrors::default();
        let new = match new {
            NewAdoptedToken::Admin(new) => NewAdoptedToken::Admin(self.checked_admin(new, &mut errors)?),
            NewAdoptedToken::Content(new) => NewAdoptedToken::Content(self.checked_content(new, &mut errors)?),
        };
        let tokens = self.clone();
        Ok(Box::new(move |unit| Box::pin(adopt(unit, tokens, new, errors, digest))))
    }

    /// Returns a digest as stored.
    fn checked_digest(&self, digest: &LegacyDigest) -> Result<Digest, ServiceError> {
        let hash = digest.hash();
        if !self.context.state.format.has_legacy(hash) {
            let message = format!("no format of legacy keys with {} is declared: declare it first", hash.as_str());
            return Err(ServiceError::invalid(FieldName::Digest, message));
        }
        let malformed = || ServiceError::invalid(FieldName::Digest, format!("must be {} hex digits", 2 * hash.size()));
        digest.parse().map_err(|_| malformed())
    }
}

async fn adopt(
    unit: &mut UnitOfWork<'_>,
    tokens: Tokens,
    new: NewAdoptedToken,
    mut errors: FieldErrors,
    legacy: LegacyDigest,
) -> Result<Token, ServiceError> {
    if !unit.grantor().await?.is_program() {
        return Err(ServiceError::Forbidden("only the host program can adopt keys"));
    }
    let Some(digest) = errors.collect(tokens.checked_digest(&legacy))? else { return Err(errors.into()) };
    // Before the name, which a regenerated token has kept.
    unit.ensure_not_adopted(&digest).await?;
    let hash = legacy.hash();
    let key = NewKey { digest, hash_key: hash.key_id(), hint: String::new() };
    let new = match new {
        NewAdoptedToken::Admin(new) => admin_token(unit, tokens, new, errors, key).await?,
        NewAdoptedToken::Content(new) => content_token(unit, tokens, new, errors, key).await?,
    };
    unit.adopt_token(new, hash).await
}
