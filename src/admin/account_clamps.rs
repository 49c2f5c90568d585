//! Clamps in the background: of accounts whose look-up met a grant beyond their ceiling, and of accounts that the host
//! reported by SQL.

use super::ServiceError;
use super::accounts::{changed, checked};
use super::context::ServiceContext;
use crate::domain::AccountKey;
use std::collections::HashSet;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

/// How often reports by SQL are read.
const EVERY: Duration = Duration::from_millis(500);
/// The most reports that are handled in one transaction.
const BATCH: u32 = 100;

impl ServiceContext {
    /// Clamps in the background until the installation shuts down.
    pub(super) fn clamp_behind(self, mut shrunk: mpsc::Receiver<AccountKey>) {
        let tasks = self.state.resolver.clone();
        tasks.tasks.spawn(move |mut stop| async move {
            let mut ticks = tokio::time::interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                let outcome = tokio::select! {
                    () = stop.requested() => return,
                    _ = ticks.tick() => self.clamp_reported().await,
                    Some(key) = shrunk.recv() => self.transact(|unit| Box::pin(checked(unit, key))).await.map(drop),
                };
                if let Err(error) = outcome {
                    // The next look-up or tick tries again; the cause is in the log of the store or of the host.
                    tracing::debug!(error = &error as &dyn std::error::Error, "an account was not clamped yet");
                }
            }
        });
    }

    /// Clamps the accounts that the host reported by SQL, and deletes the reports.
    async fn clamp_reported(&self) -> Result<(), ServiceError> {
        while !self.view().await?.reported_accounts(1).await?.is_empty() {
            self.transact(|unit| {
                Box::pin(async move {
                    let reports = unit.view().reported_accounts(BATCH).await?;
                    let Some((last, _)) = reports.last().cloned() else {
                        unit.skip_commit();
                        return Ok(());
                    };
                    let keys: HashSet<String> = reports.into_iter().map(|(_, key)| key).collect();
                    // A text that is no key is of no account.
                    for key in keys.into_iter().filter_map(|key| AccountKey::new(key).ok()) {
                        if unit.load_account(&key).await?.is_some() {
                            changed(unit, key).await?;
                        }
                    }
                    unit.delete_account_reports(last).await
                })
            })
            .await?;
        }
        Ok(())
    }
}
