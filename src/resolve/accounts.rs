//! Accounts of the host: the source of truth for owners that keyward's own tables only refer to.
//!
//! An account is asked after the token's snapshot was read, never before. So the answer is no older than the snapshot, and a
//! change that the log reports makes both stale together. `docs/accounts.md` has the argument.

use crate::domain::{Account, AccountKey, Ceiling, Clock, LogLimit, Owner, OwnerState};
use crate::store::{Record, StoreError};
use crate::sync::Arc;
use async_trait::async_trait;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};

/// An error of the host's source of accounts. Requests that need it are answered 503.
pub type AccountsError = Box<dyn std::error::Error + Send + Sync>;

/// The host's users, as the source of truth for owners.
///
/// Answer from the primary database, by one query. An answer from a lagging replica or a cache may be older than the change
/// that made keyward ask, and then keyward believes it for another [`max_staleness`](crate::guard::Limits::max_staleness).
/// Take no lock: keyward asks while it holds its own lock of writers.
///
/// ```
/// use async_trait::async_trait;
/// use keyward::Permission;
/// use keyward::accounts::{Account, AccountKey, Accounts, AccountsError};
///
/// struct Users;
///
/// #[async_trait]
/// impl Accounts for Users {
///     async fn account(&self, key: &AccountKey) -> Result<Option<Account>, AccountsError> {
///         // `SELECT name, active, role FROM users WHERE id = $1`
///         let user = (key.as_str() == "7").then_some(("Ada Lovelace", true, "editor"));
///         Ok(user.map(|(name, active, role)| {
///             let account = Account::new(name).active(active);
///             match role {
///                 "admin" => account.unlimited(),
///                 "editor" => account.permissions(["article.read", "article.publish"]),
///                 _ => account.permissions(["article.read"]),
///             }
///         }))
///     }
/// }
/// ```
#[async_trait]
pub trait Accounts: Send + Sync + 'static {
    /// Returns the account with this key; `None` if the host has none. Tokens of a missing account are rejected, and kept.
    ///
    /// # Errors
    /// [`AccountsError`] if the host cannot tell. It takes at most [`Limits::lookup`](crate::guard::Limits::lookup).
    async fn account(&self, key: &AccountKey) -> Result<Option<Account>, AccountsError>;

    /// Returns these accounts, in this order, for lists. The default asks for one after another, within one deadline.
    ///
    /// # Errors
    /// [`AccountsError`] if the host cannot tell.
    async fn accounts(&self, keys: &[AccountKey]) -> Result<Vec<Option<Account>>, AccountsError> {
        let mut accounts = Vec::with_capacity(keys.len());
        for key in keys {
            accounts.push(self.account(key).await?);
        }
        Ok(accounts)
    }

    /// Returns whether `actor` manages `account`: issues, changes and revokes its tokens, within the ceilings of both. For
    /// service accounts and organisations. The default is that every account manages itself alone.
    ///
    /// # Errors
    /// [`AccountsError`] if the host cannot tell.
    async fn manages(&self, actor: &AccountKey, account: &AccountKey) -> Result<bool, AccountsError> {
        _ = (actor, account);
        Ok(false)
    }
}

/// The host's accounts, with a deadline. Without a source, owners that are accounts cannot be resolved.
pub(crate) struct HostAccounts {
    source: Option<Arc<dyn Accounts>>,
    deadline: Duration,
    /// How long an answer is believed.
    pub(super) max_age: Duration,
    /// Accounts that were seen to hold less than their tokens.
    shrunk: Option<mpsc::Sender<AccountKey>>,
    clock: Arc<dyn Clock>,
    log_limit: LogLimit,
    /// Bounds the questions that run at a time.
    permits: Semaphore,
}

/// The most questions to the host that run at a time.
const AT_A_TIME: usize = 16;

impl HostAccounts {
    pub(crate) fn new(
        source: Option<Arc<dyn Accounts>>,
        shrunk: Option<mpsc::Sender<AccountKey>>,
        deadline: Duration,
        max_age: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let permits = Semaphore::new(AT_A_TIME);
        Self { source, deadline, max_age, shrunk, clock, log_limit: LogLimit::new(), permits }
    }

    /// Creates a source that has no accounts.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        let clock = Arc::new(crate::domain::SystemClock);
        Self::new(None, None, Duration::from_secs(1), Duration::MAX, clock)
    }

    /// Returns an account as the host has it now.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the host fails, is late, or has no accounts.
    pub(crate) async fn ask(&self, key: &AccountKey) -> Result<Option<Account>, StoreError> {
        self.until_late(Some(key), self.source()?.account(key)).await
    }

    /// Returns whether one account manages another.
    pub(crate) async fn manages(&self, actor: &AccountKey, account: &AccountKey) -> Result<bool, StoreError> {
        self.until_late(Some(actor), self.source()?.manages(actor, account)).await
    }

    /// Replaces what the store has of owners that are accounts by the host's answers. Those without an account are
    /// removed. Ask after the store has answered.
    pub(crate) async fn complete(&self, owners: Vec<(Owner, Ceiling)>) -> Result<Vec<(Owner, Ceiling)>, StoreError> {
        let keys: Vec<AccountKey> = owners.iter().filter_map(|(owner, _)| owner.account.clone()).collect();
        if keys.is_empty() {
            return Ok(owners);
        }
        let mut accounts = self.ask_all(&keys).await?.into_iter();
        let answered = |(owner, ceiling): (Owner, Ceiling)| match &owner.account {
            None => Some((owner, ceiling)),
            Some(_) => accounts.next().flatten().map(|account| as_answered(owner, account)),
        };
        Ok(owners.into_iter().filter_map(answered).collect())
    }

    /// Completes the owner of a record like [`complete`](Self::complete).
    pub(crate) async fn complete_record(&self, record: &mut Record) -> Result<(), StoreError> {
        if record.account().is_some() {
            self.answer_record(record).await?;
            self.note_shrunk(record);
        }
        Ok(())
    }

    /// Completes the owner of a record, and causes no clamp.
    pub(super) async fn answer_record(&self, record: &mut Record) -> Result<(), StoreError> {
        let Some(key) = record.account().cloned() else { return Ok(()) };
        let account = self.ask(&key).await?;
        record.owner = record.owner.take().zip(account).map(|((owner, _), account)| as_answered(owner, account));
        Ok(())
    }

    /// Reports an account that holds less than the grants of one of its tokens, to clamp them.
    fn note_shrunk(&self, record: &Record) {
        let (Some(shrunk), Some((owner, ceiling))) = (&self.shrunk, &record.owner) else { return };
        let grants = record.token.grants();
        // The tokens of a suspended account are dead anyway, and kept as they are.
        if grants.is_empty() || !owner.state.is_active() {
            return;
        }
        let index = ceiling.index();
        if let (Some(key), true) = (&owner.account, grants.iter().any(|grant| index.check(grant).is_err())) {
            // If the queue is full, a later look-up reports it again.
            _ = shrunk.try_send(key.clone());
        }
    }

    fn source(&self) -> Result<&Arc<dyn Accounts>, StoreError> {
        let missing =
            "an owner is an account of the host, and the host's accounts are not configured: see Builder::accounts";
        self.source.as_ref().ok_or_else(|| self.failed(None, missing.into()))
    }

    async fn ask_all(&self, keys: &[AccountKey]) -> Result<Vec<Option<Account>>, StoreError> {
        let source = self.source()?;
        match keys {
            [key] => Ok(vec![self.until_late(Some(key), source.account(key)).await?]),
            keys => {
                let accounts = self.until_late(None, source.accounts(keys)).await?;
                match accounts.len() == keys.len() {
                    true => Ok(accounts),
                    false => {
                        Err(self
                            .failed(None, "Accounts::accounts returned another number of accounts than asked".into()))
                    }
                }
            }
        }
    }

    /// Waits for an answer of the host, about this account if it is one.
    async fn until_late<T>(
        &self,
        key: Option<&AccountKey>,
        asked: impl Future<Output = Result<T, AccountsError>>,
    ) -> Result<T, StoreError> {
        let permitted = async {
            // The semaphore is never closed.
            let _permit = self.permits.acquire().await;
            asked.await
        };
        match tokio::time::timeout(self.deadline, permitted).await {
            Ok(answer) => answer.map_err(|error| self.failed(key, error)),
            Err(_) => Err(self.failed(key, "the host's accounts did not answer in time".into())),
        }
    }

    fn failed(&self, key: Option<&AccountKey>, error: AccountsError) -> StoreError {
        if let Some(count) = self.log_limit.count(self.clock.moment()) {
            let (account, error) = (key.map(AccountKey::as_str), &*error as &dyn std::error::Error);
            tracing::warn!(error, account, count, "the host's accounts failed");
        }
        StoreError::Unavailable(error)
    }
}

/// Returns an owner with the state, names and ceiling of its account.
pub(crate) fn as_answered(owner: Owner, account: Account) -> (Owner, Ceiling) {
    let Account { name, email, is_active, kind, ceiling } = account;
    let state = OwnerState::of(is_active, false);
    (Owner { kind, email, firstname: name, lastname: String::new(), state, ..owner }, ceiling)
}
