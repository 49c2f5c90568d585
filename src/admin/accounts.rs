//! The accounts service: the host reports what has changed of its users.

use super::ServiceError;
use super::context::ServiceContext;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
use super::unit_of_work::StagedChange;
use super::unit_of_work::{UnitOfWork, Work};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
use crate::domain::Account;
use crate::domain::{AccountKey, AccountKind, InvalidCredential, Owner, OwnerId, Reason, Unavailable};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
use crate::store::HostTransaction;
use crate::store::{Clamped, StoreError};
use crate::sync::watch;
use std::time::Duration;

/// The number of accounts that a sweep reads at a time.
const BATCH: u32 = 50;
/// How long a transaction of a sweep takes on further accounts.
const TURN: Duration = Duration::from_millis(20);
/// How long a sweep leaves the lock of writers to others after each transaction.
const PAUSE: Duration = Duration::from_millis(5);

/// The service by which the host reports changes of its accounts. Returned by [`Keyward::accounts`](crate::Keyward::accounts).
///
/// The ways to report a change, strongest first:
///
/// | way | from when on a token is judged by it |
/// | --- | --- |
/// | [`within`](Self::within) the transaction that changes the user | on this node the next request after `committed()`; elsewhere within [`max_staleness`](crate::guard::Limits::max_staleness) of the commit, whatever crashes |
/// | an `INSERT INTO keyward_account_change`, by a trigger | within `max_staleness` of the commit on every node, whatever writes the user |
/// | [`changed`](Self::changed) after the commit | on this node the next request after it returns; elsewhere within `max_staleness` of that |
/// | none | within `max_staleness` of the change: answers of the host are believed that long |
///
/// The last row holds in any case, unless the installation promises that [every change is
/// reported](crate::Builder::all_account_changes_reported).
///
/// Reports need no order and may be repeated: keyward asks the host what the account is now. Grants beyond the ceiling of
/// the account are removed for good, with an audit event each. A look-up that meets such a grant has it removed too.
#[derive(Clone, Debug)]
pub struct AccountReports(pub(super) ServiceContext);

impl AccountReports {
    /// Reports that an account has changed, or is no longer there, and clamps its tokens. Call it after the commit.
    ///
    /// Tokens of a suspended or missing account are rejected, and keep their grants.
    ///
    /// Returns the number of tokens and grants that the account no longer covers. An account that keyward does not know
    /// is no error: it has no tokens.
    ///
    /// # Errors
    /// [`Store`](ServiceError::Store) if the store or the host fails.
    pub async fn changed(&self, key: &AccountKey) -> Result<Clamped, ServiceError> {
        let key = key.clone();
        self.0.transact(move |unit| Box::pin(async move { changed(unit, &key).await })).await
    }

    /// Reports that the host has deleted an account for good, and deletes its tokens and sessions.
    ///
    /// # Errors
    /// [`Store`](ServiceError::Store) if the store fails.
    pub async fn removed(&self, key: &AccountKey) -> Result<(), ServiceError> {
        let key = key.clone();
        self.0.transact(move |unit| Box::pin(removed(unit, key))).await
    }

    /// Reports that any account may have changed: the host decides by other rules now.
    ///
    /// When this returns, every token on this node is looked up again before its next use; elsewhere within
    /// [`max_staleness`](crate::guard::Limits::max_staleness). The clamp follows in batches: [`Sweep`] tells how far it is.
    ///
    /// # Errors
    /// [`Store`](ServiceError::Store) if the store fails.
    pub async fn policy_changed(&self) -> Result<Sweep, ServiceError> {
        let change: Work<()> = Box::new(|unit| {
            Box::pin(async move {
                unit.invalidate_everything();
                Ok(())
            })
        });
        self.0.transact(change).await?;
        let (sender, progress) = watch::channel(SweepProgress::default());
        let context = self.0.clone();
        self.0.state.resolver.tasks.spawn(move |mut stop| async move {
            tokio::select! {
                () = stop.requested() => {}
                () = sweep(context, sender) => {}
            }
        });
        Ok(Sweep { progress })
    }

    /// Returns the owner that is this account. It is added if keyward does not know it yet.
    ///
    /// # Errors
    /// - [`NotFound`](ServiceError::NotFound) if the host has no such account;
    /// - [`Store`](ServiceError::Store) if the store or the host fails.
    pub async fn owner(&self, key: &AccountKey) -> Result<Owner, ServiceError> {
        let key = key.clone();
        self.0.transact(move |unit| Box::pin(async move { unit.owner_of_account(&key).await })).await
    }

    /// Returns the service for one report within an open transaction of the host, on the store's database.
    ///
    /// The change of the user, the clamp, its audit events and the row in the log of changes are one commit: no crash can
    /// come between them. [`StagedChange::committed`] makes the next request on this node see it. See
    /// [`Tokens::within`](crate::admin::Tokens::within) for what holds of the transaction.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub fn within<'t>(&self, host: impl Into<HostTransaction<'t>>) -> AccountReportsWithin<'t> {
        AccountReportsWithin { context: self.0.clone(), host: host.into() }
    }
}

/// The accounts service within a transaction of the host. Returned by [`AccountReports::within`].
#[cfg(any(feature = "postgres", feature = "sqlite"))]
#[derive(Debug)]
#[must_use = "it does nothing before one of its methods is called"]
pub struct AccountReportsWithin<'t> {
    context: ServiceContext,
    host: HostTransaction<'t>,
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
impl AccountReportsWithin<'_> {
    /// Reports what the account is as of this transaction, and clamps its tokens. `None` if it is not there.
    ///
    /// The host passes the account, as keyward cannot see uncommitted changes on another connection.
    ///
    /// # Errors
    /// [`Store`](ServiceError::Store) if the store fails.
    pub async fn changed(
        self,
        key: &AccountKey,
        account: Option<Account>,
    ) -> Result<StagedChange<Clamped>, ServiceError> {
        let key = key.clone();
        let work: Work<Clamped> = Box::new(move |unit| {
            Box::pin(async move {
                match unit.load_account(&key).await? {
                    Some(owner) => {
                        unit.invalidate_account(&owner);
                        Ok(unit.set_account(&owner, account).await?.unwrap_or_default())
                    }
                    None => Ok(Clamped::default()),
                }
            })
        });
        self.context.stage(self.host, work).await
    }

    /// Reports that the account is deleted in this transaction, and deletes its tokens and sessions.
    ///
    /// # Errors
    /// [`Store`](ServiceError::Store) if the store fails.
    pub async fn removed(self, key: &AccountKey) -> Result<StagedChange<()>, ServiceError> {
        let key = key.clone();
        let work: Work<()> = Box::new(move |unit| Box::pin(removed(unit, key)));
        self.context.stage(self.host, work).await
    }
}

/// The clamp of all accounts, which runs in the background after [`AccountReports::policy_changed`].
///
/// It ends early when the installation [shuts down](crate::guard::Guard::shutdown). Tokens are judged by the new rules
/// all the same: only the removal of their grants is missing, which the next look-up of such a token makes up for.
#[derive(Clone, Debug)]
pub struct Sweep {
    progress: watch::Receiver<SweepProgress>,
}

/// How far a sweep is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct SweepProgress {
    /// The number of accounts that were checked.
    pub accounts: u64,
    /// The number of accounts that could not be checked, because the host or the store failed each of four times.
    pub failed: u64,
    /// The tokens and grants that were clamped.
    pub clamped: Clamped,
    /// Whether all accounts were checked.
    pub finished: bool,
}

impl SweepProgress {
    fn add(&mut self, more: &Self) {
        self.accounts += more.accounts;
        self.failed += more.failed;
        self.clamped.tokens += more.clamped.tokens;
        self.clamped.grants += more.clamped.grants;
    }
}

impl Sweep {
    /// Returns how far the sweep is.
    pub fn progress(&self) -> SweepProgress {
        *self.progress.borrow()
    }

    /// Waits until the sweep has finished, or the installation shuts down.
    pub async fn finished(mut self) -> SweepProgress {
        // An error means that the sweep has stopped: its last progress stays.
        _ = self.progress.wait_for(|progress| progress.finished).await.map(drop);
        self.progress()
    }
}

impl ServiceContext {
    /// Opens the session that stands for requests of this account, if the host has it and it is active.
    ///
    /// # Errors
    /// The reason for which the request is rejected.
    pub(super) async fn open_account_session(self, key: AccountKey) -> Result<(), Reason> {
        // First without the lock of writers: most that have no session are rejected here.
        let account = self.state.resolver.accounts().ask(&key).await.map_err(|_| Unavailable::Store);
        match account.map_err(Reason::Unavailable)? {
            Some(account) if account.kind == AccountKind::Person && account.is_active() => {}
            Some(account) if account.kind == AccountKind::Person => return Err(Reason::OwnerInactive),
            _ => return Err(Reason::Invalid(InvalidCredential::Unknown)),
        }
        let opened = self.transact(move |unit| Box::pin(async move { unit.open_account_session(&key).await })).await;
        match opened {
            // Another request, or another node, was faster.
            Ok(()) | Err(ServiceError::Store(StoreError::Conflict(_))) => Ok(()),
            // The host has no such account, or it is not a person's.
            Err(ServiceError::NotFound(_) | ServiceError::Forbidden(_)) => {
                Err(Reason::Invalid(InvalidCredential::Unknown))
            }
            Err(ServiceError::OwnerInactive) => Err(Reason::OwnerInactive),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "no session was opened for an account");
                Err(Reason::Unavailable(Unavailable::Store))
            }
        }
    }
}

/// Asks the host for an account, and clamps its tokens, which are looked up again in any case.
pub(super) async fn changed(unit: &mut UnitOfWork<'_>, key: &AccountKey) -> Result<Clamped, ServiceError> {
    match unit.load_account(key).await? {
        Some(owner) => {
            unit.invalidate_account(&owner);
            Ok(clamp_account(unit, owner, key).await?.unwrap_or_default())
        }
        None => {
            unit.invalidate_unknown_account(key);
            Ok(Clamped::default())
        }
    }
}

/// Asks the host for the account of an owner, and clamps its tokens. Returns `None` if nothing had to change.
async fn clamp_account(
    unit: &mut UnitOfWork<'_>,
    owner: Owner,
    key: &AccountKey,
) -> Result<Option<Clamped>, ServiceError> {
    let state = unit.state.clone();
    // Asked with the writers' lock held: a token that is issued later is judged by an answer that is no older.
    let account = state.resolver.accounts().ask(key).await?;
    unit.set_account(&owner, account).await
}

/// Clamps the tokens of these accounts until [`TURN`] has passed, at least of one. Returns how many accounts it clamped.
///
/// If nothing had to change, nothing is committed.
pub(super) async fn clamp_accounts(
    unit: &mut UnitOfWork<'_>,
    keys: &[AccountKey],
) -> Result<(usize, Clamped), ServiceError> {
    let clock = unit.state.resolver.clock.clone();
    let end = clock.moment().plus(TURN);
    let (mut accounts, mut is_idle, mut clamped) = (0, true, Clamped::default());
    for key in keys {
        accounts += 1;
        // It may have been removed since the list was read.
        let Some(owner) = unit.load_account(key).await? else { continue };
        if let Some(of_account) = clamp_account(unit, owner, key).await? {
            is_idle = false;
            clamped.tokens += of_account.tokens;
            clamped.grants += of_account.grants;
        }
        if clock.moment() >= end {
            break;
        }
    }
    if is_idle {
        unit.skip_commit();
    }
    Ok((accounts, clamped))
}

async fn removed(unit: &mut UnitOfWork<'_>, key: AccountKey) -> Result<(), ServiceError> {
    match unit.load_account(&key).await? {
        Some(owner) => unit.delete_owner(&owner).await?,
        None => unit.skip_commit(),
    }
    Ok(())
}

async fn sweep(context: ServiceContext, sender: watch::Sender<SweepProgress>) {
    let (mut progress, mut after) = (SweepProgress::default(), OwnerId(0));
    loop {
        let page = match context.view().await {
            Ok(mut view) => view.accounts(after, BATCH).await.map_err(ServiceError::from),
            Err(error) => Err(error),
        };
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the clamp of all accounts waits for the store"
                );
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let Some(last) = page.last() else { break };
        after = last.id;
        let mut keys: Vec<AccountKey> = page.into_iter().filter_map(|owner| owner.account).collect();
        while !keys.is_empty() {
            progress.add(&clamp_next(&context, &mut keys).await);
            // Another process asks for an SQLite file only now and then.
            tokio::time::sleep(PAUSE).await;
        }
        sender.send_replace(progress);
    }
    sender.send_replace(SweepProgress { finished: true, ..progress });
}

/// Clamps the first of these accounts in one transaction, and takes them from the list. If one of them fails, it clamps each
/// account of the list in a transaction of its own.
async fn clamp_next(context: &ServiceContext, keys: &mut Vec<AccountKey>) -> SweepProgress {
    match clamp_together(context, keys.clone()).await {
        Ok((accounts, clamped)) => {
            keys.drain(..accounts);
            return SweepProgress { accounts: accounts as u64, clamped, ..SweepProgress::default() };
        }
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::debug!(error, "accounts were not clamped together: trying one at a time");
        }
    }
    let mut progress = SweepProgress::default();
    for key in keys.drain(..) {
        progress.accounts += 1;
        match clamp_with_retries(context, key).await {
            Ok(clamped) => progress.add(&SweepProgress { clamped, ..SweepProgress::default() }),
            Err(error) => {
                progress.failed += 1;
                tracing::warn!(error = &error as &dyn std::error::Error, "an account was not clamped");
            }
        }
    }
    progress
}

async fn clamp_together(context: &ServiceContext, keys: Vec<AccountKey>) -> Result<(usize, Clamped), ServiceError> {
    context.transact(move |unit| Box::pin(async move { clamp_accounts(unit, &keys).await })).await
}

async fn clamp_with_retries(context: &ServiceContext, key: AccountKey) -> Result<Clamped, ServiceError> {
    let mut pauses = [1, 2].map(Duration::from_secs).into_iter();
    loop {
        match (clamp_together(context, vec![key.clone()]).await, pauses.next()) {
            (Err(_), Some(pause)) => tokio::time::sleep(pause).await,
            (outcome, _) => return outcome.map(|(_, clamped)| clamped),
        }
    }
}
