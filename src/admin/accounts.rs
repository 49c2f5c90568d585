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
        self.0.transact(move |unit| Box::pin(changed(unit, key))).await
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
                    Some(owner) => unit.set_account(owner, account).await,
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
    /// The number of accounts that could not be checked, because the host or the store failed three times.
    pub failed: u64,
    /// The tokens and grants that were clamped.
    pub clamped: Clamped,
    /// Whether all accounts were checked.
    pub finished: bool,
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

/// Asks the host for an account, and clamps its tokens.
pub(super) async fn changed(unit: &mut UnitOfWork<'_>, key: AccountKey) -> Result<Clamped, ServiceError> {
    let Some(owner) = unit.load_account(&key).await? else {
        unit.invalidate_unknown_account(&key);
        return Ok(Clamped::default());
    };
    let state = unit.state.clone();
    // Asked with the writers' lock held: a token that is issued later is judged by an answer that is no older.
    let account = state.resolver.accounts().ask(&key).await?;
    unit.set_account(owner, account).await
}

/// Clamps the tokens of an account like [`changed`]. If that changes nothing, the log gets no row.
pub(super) async fn checked(unit: &mut UnitOfWork<'_>, key: AccountKey) -> Result<Clamped, ServiceError> {
    let before = unit.load_account(&key).await?;
    let clamped = changed(unit, key.clone()).await?;
    if clamped == Clamped::default() && unit.load_account(&key).await? == before {
        unit.skip_commit();
    }
    Ok(clamped)
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
        for key in page.iter().filter_map(|owner| owner.account.clone()) {
            match changed_with_retries(&context, &key).await {
                Ok(clamped) => {
                    progress.clamped.tokens += clamped.tokens;
                    progress.clamped.grants += clamped.grants;
                }
                Err(error) => {
                    progress.failed += 1;
                    tracing::warn!(error = &error as &dyn std::error::Error, "an account was not clamped");
                }
            }
            progress.accounts += 1;
        }
        sender.send_replace(progress);
    }
    sender.send_replace(SweepProgress { finished: true, ..progress });
}

async fn changed_with_retries(context: &ServiceContext, key: &AccountKey) -> Result<Clamped, ServiceError> {
    let mut pauses = [1, 2].map(Duration::from_secs).into_iter();
    loop {
        let key = key.clone();
        match (context.transact(move |unit| Box::pin(checked(unit, key))).await, pauses.next()) {
            (Err(_), Some(pause)) => tokio::time::sleep(pause).await,
            (outcome, _) => return outcome,
        }
    }
}
