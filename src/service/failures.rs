//! Sign-ins that failed, for the audit log: how many in a minute and of how many accounts. Never what was typed.

use super::ServiceError;
use super::write::{Change, Writer};
use crate::domain::{Doer, Target, What};
use crate::store::WriteStore;
use serde_json::json;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

const WRITE_EVERY: Duration = Duration::from_secs(60);
/// More accounts than this are not told apart.
const ACCOUNTS: usize = 10_000;

/// Failures that are not written yet.
#[derive(Default)]
pub(super) struct Failures(Mutex<Pending>);

#[derive(Default)]
struct Pending {
    count: u64,
    /// Keyed hashes.
    accounts: HashSet<u64>,
    /// Whether somebody is about to write.
    due: bool,
    /// Where to. Weak: what failed must not keep a store open.
    store: Option<Weak<dyn WriteStore>>,
}

impl Change {
    /// Notes a failure, which is written within a minute.
    pub(super) fn note_failure(&self, account: u64) {
        let failures = &self.writer.people.failures;
        let mut pending = failures.lock();
        pending.count += 1;
        if pending.accounts.len() < ACCOUNTS {
            pending.accounts.insert(account);
        }
        pending.store.get_or_insert_with(|| Arc::downgrade(self.store()));
        if !std::mem::replace(&mut pending.due, true) {
            let writer = Arc::downgrade(&self.writer);
            self.writer.resolver.tasks.spawn(|mut stop| async move {
                loop {
                    tokio::select! {
                        () = stop.told() => return,
                        () = tokio::time::sleep(WRITE_EVERY) => {}
                    }
                    let Some(writer) = writer.upgrade() else { return };
                    let more = writer.write_failures().await;
                    if !more {
                        return;
                    }
                }
            });
        }
    }
}

impl Writer {
    /// Writes what failed since the last time. Answers whether it has to be tried again.
    pub(crate) async fn write_failures(self: &Arc<Self>) -> bool {
        let failures = &self.people.failures;
        let (count, accounts, store) = {
            let mut pending = failures.lock();
            let store = pending.store.as_ref().and_then(Weak::upgrade);
            let Some(store) = store.filter(|_| pending.count > 0) else {
                pending.due = false;
                return false;
            };
            (std::mem::take(&mut pending.count), std::mem::take(&mut pending.accounts), store)
        };
        match write(Change::new(store, self.clone()), count, accounts.len()).await {
            Ok(()) => {
                let mut pending = failures.lock();
                // What failed in the meantime waits for another minute.
                pending.due = pending.count > 0;
                pending.due
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, count, "failed sign-ins not written yet");
                let mut pending = failures.lock();
                pending.count += count;
                pending.accounts.extend(accounts);
                true
            }
        }
    }
}

async fn write(change: Change, count: u64, accounts: usize) -> Result<(), ServiceError> {
    let details = json!({"count": count, "accounts": accounts});
    change
        .by(Doer::Visitor.into())
        .make(move |draft| {
            Box::pin(async move { draft.audit(What::SignInsFailed, Target::Installation, details).await })
        })
        .await
}

impl Failures {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        // Nothing in here panics half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
