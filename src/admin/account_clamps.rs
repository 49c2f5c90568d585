//! Clamps in the background: of accounts whose look-up met a grant beyond their ceiling, and of accounts that the host
//! reported by SQL.

use super::accounts::{changed, clamp_accounts};
use super::context::ServiceContext;
use super::state::AdminState;
use super::unit_of_work::Work;
use crate::domain::AccountKey;
use crate::store::WriteStore;
use crate::sync::{Arc, Weak};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

/// How often reports by SQL are read.
const EVERY: Duration = Duration::from_millis(500);
/// The most reports that are read at a time.
const BATCH: u32 = 100;

/// The context of a service, held weakly: the background task must not keep a dropped installation alive.
struct WeakContext {
    store: Weak<dyn WriteStore>,
    state: Weak<AdminState>,
}

impl WeakContext {
    fn upgrade(&self) -> Option<ServiceContext> {
        Some(ServiceContext::new(self.store.upgrade()?, self.state.upgrade()?))
    }
}

impl ServiceContext {
    /// Clamps in the background until the installation shuts down or is dropped.
    pub(super) fn clamp_behind(self, mut shrunk: mpsc::Receiver<AccountKey>) {
        let weak = WeakContext { store: Arc::downgrade(self.store()), state: Arc::downgrade(&self.state) };
        let resolver = self.state.resolver.clone();
        resolver.tasks.spawn(move |mut stop| async move {
            let mut ticks = tokio::time::interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut last = 0;
            loop {
                let shrunk = tokio::select! {
                    () = stop.requested() => return,
                    _ = ticks.tick() => None,
                    Some(key) = shrunk.recv() => Some(key),
                };
                let Some(context) = weak.upgrade() else { return };
                let clamps = async {
                    match shrunk {
                        Some(key) => context.clamp(key, None).await,
                        None => last = context.clamp_reported(last).await,
                    }
                };
                tokio::select! {
                    () = stop.requested() => return,
                    () = clamps => {}
                }
            }
        });
    }

    /// Clamps accounts that the host reported by SQL after this report, each in a transaction of its own: one that fails
    /// stays, and keeps no other. Returns the last report, or 0 to begin again with the first.
    async fn clamp_reported(&self, after: i64) -> i64 {
        let reports = match self.view().await {
            Ok(mut view) => view.reported_accounts(after, BATCH).await.unwrap_or_default(),
            Err(_) => return after,
        };
        let is_last = reports.len() < BATCH as usize;
        let last = reports.last().map_or(0, |(id, _)| *id);
        let mut by_account: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for (id, key) in reports {
            by_account.entry(key).or_default().push(id);
        }
        for (key, ids) in by_account {
            match AccountKey::new(key) {
                Ok(key) => self.clamp(key, Some(ids)).await,
                // The text is of no account.
                Err(_) => self.discard(ids).await,
            }
        }
        if is_last { 0 } else { last }
    }

    /// Clamps one account. With reports, these are deleted with it.
    async fn clamp(&self, key: AccountKey, reports: Option<Vec<i64>>) {
        let work: Work<()> = Box::new(move |unit| {
            Box::pin(async move {
                match reports {
                    Some(ids) => {
                        changed(unit, &key).await?;
                        unit.delete_account_reports(&ids).await
                    }
                    None => clamp_accounts(unit, &[key]).await.map(drop),
                }
            })
        });
        self.log_failure(self.transact(work).await);
    }

    async fn discard(&self, reports: Vec<i64>) {
        let work: Work<()> = Box::new(move |unit| Box::pin(async move { unit.delete_account_reports(&reports).await }));
        self.log_failure(self.transact(work).await);
    }

    fn log_failure(&self, outcome: Result<(), super::ServiceError>) {
        if let Err(error) = outcome {
            // A later look-up or tick tries again. The log of the host or of the store has the cause.
            tracing::debug!(error = &error as &dyn std::error::Error, "an account was not clamped yet");
        }
    }
}
