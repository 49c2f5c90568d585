//! Changes of tokens within a transaction of the host.

use super::{IssuedToken, NewAdminToken, NewAdoptedToken, NewContentToken, Tokens};
use crate::admin::{ServiceError, StagedChange};
use crate::domain::{LegacyDigest, Token, TokenId};
use crate::store::HostTransaction;

/// The tokens service within a transaction of the host. Returned by [`Tokens::within`].
#[derive(Debug)]
#[must_use = "it does nothing before one of its methods is called"]
pub struct TokensWithin<'t> {
    tokens: Tokens,
    host: HostTransaction<'t>,
}

impl Tokens {
    /// Returns the service for one change within an open transaction of the host, on the store's database.
    ///
    /// The change, its audit event and its row in the log of changes are committed with the host's own statements, or not
    /// at all. Nothing is visible before. A change that fails leaves nothing, and the transaction can go on. If you drop
    /// the future of a call, roll the transaction back: the call may have ended at any step. Actor, rules and errors are
    /// those of the same method without `within`.
    ///
    /// The credential, the owner and its permissions are judged in the transaction, which holds keyward's lock of writers
    /// from this call until it ends: nothing that keyward decides by changes meanwhile. So make the call late and commit
    /// soon. Other changes wait for it up to 5 s and fail then. PostgreSQL ends a session that is
    /// idle in the transaction for 30 s, unless the host has set `idle_in_transaction_session_timeout`. There,
    /// `synchronous_commit = off` is raised to `on` for this transaction. In SQLite, begin with `BEGIN IMMEDIATE`: a
    /// transaction that has read before cannot write once another connection has written, and fails with
    /// [`StoreError::DeferredTransaction`](crate::store::StoreError::DeferredTransaction) at once. A PostgreSQL transaction of
    /// a stricter isolation than `READ COMMITTED` fails likewise, with [`StoreError::Busy`](crate::store::StoreError::Busy).
    ///
    /// [`StagedChange::committed`] publishes the change after the commit.
    ///
    #[cfg_attr(feature = "sqlite", doc = "```no_run")]
    #[cfg_attr(not(feature = "sqlite"), doc = "```ignore")]
    /// # async fn demo(keyward: keyward::Keyward, pool: sqlx::SqlitePool, user: keyward::OwnerId) -> Result<(), Box<dyn std::error::Error>> {
    /// use keyward::NewAdminToken;
    /// let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    /// let staged = keyward.tokens().within(&mut transaction).issue_admin(NewAdminToken::new("deploy", user)).await?;
    /// let insert = sqlx::query("INSERT INTO deployment (token) VALUES ($1)").bind(staged.token.id.0);
    /// insert.execute(&mut *transaction).await?;
    /// transaction.commit().await?;
    /// let secret = staged.committed().secret;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Its methods return the errors of the methods without `within`; also
    /// - [`Impossible`](ServiceError::Impossible) with [`store_is_exclusive`](crate::Builder::store_is_exclusive);
    /// - [`Store`](ServiceError::Store) if the transaction is not on the store's database, has ended, or its connection has
    ///   settings that do not fit. The source names them, and the log has a line.
    pub fn within<'t>(&self, host: impl Into<HostTransaction<'t>>) -> TokensWithin<'t> {
        TokensWithin { tokens: self.clone(), host: host.into() }
    }
}

impl TokensWithin<'_> {
    /// Issues an admin token, like [`Tokens::issue_admin`]. Do not hand the secret out before the commit.
    ///
    /// # Errors
    /// See [`Tokens::within`].
    pub async fn issue_admin(self, new: NewAdminToken) -> Result<StagedChange<IssuedToken>, ServiceError> {
        let work = self.tokens.issue_admin_work(new)?;
        self.tokens.context.stage(self.host, work).await
    }

    /// Issues a content token, like [`Tokens::issue_content`]. Do not hand the secret out before the commit.
    ///
    /// # Errors
    /// See [`Tokens::within`].
    pub async fn issue_content(self, new: NewContentToken) -> Result<StagedChange<IssuedToken>, ServiceError> {
        let work = self.tokens.issue_content_work(new)?;
        self.tokens.context.stage(self.host, work).await
    }

    /// Takes over a key that another system issued, like [`Tokens::adopt`]. It is accepted from the commit on.
    ///
    /// # Errors
    /// See [`Tokens::within`].
    pub async fn adopt(
        self,
        new: impl Into<NewAdoptedToken>,
        digest: LegacyDigest,
    ) -> Result<StagedChange<Token>, ServiceError> {
        let work = self.tokens.adopt_work(new.into(), digest)?;
        self.tokens.context.stage(self.host, work).await
    }

    /// Replaces a token's secret, like [`Tokens::regenerate`]. The old one is valid until the commit.
    ///
    /// # Errors
    /// See [`Tokens::within`].
    pub async fn regenerate(self, id: TokenId) -> Result<StagedChange<IssuedToken>, ServiceError> {
        let work = self.tokens.regenerate_work(id, std::time::Duration::ZERO)?;
        self.tokens.context.stage(self.host, work).await
    }

    /// Revokes a token, like [`Tokens::revoke`], and returns it as it was. It is valid until the commit.
    ///
    /// # Errors
    /// See [`Tokens::within`].
    pub async fn revoke(self, id: TokenId) -> Result<StagedChange<Token>, ServiceError> {
        let work = self.tokens.revoke_work(id);
        self.tokens.context.stage(self.host, work).await
    }
}
