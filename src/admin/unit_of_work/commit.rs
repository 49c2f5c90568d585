//! The life of a unit of work: begin, run, commit, invalidate.

use super::UnitOfWork;
use crate::admin::ServiceError;
use crate::admin::context::ServiceContext;
use crate::admin::preview::Preview;
use crate::admin::state::AdminState;
use crate::domain::Tag;
use crate::resolve::{LogPosition, Resolver, Stop};
use crate::store::{StoreError, WriteStore};
use crate::sync::Arc;
use futures_util::future::BoxFuture;
use std::time::Duration;

impl ServiceContext {
    /// Runs `work` in a transaction and commits it. An error rolls back.
    ///
    /// It runs in a task of its own: a client that disconnects does not stop it between the commit and the invalidation.
    pub(in crate::admin) async fn transact<T, F>(&self, work: F) -> Result<T, ServiceError>
    where
        T: Send + 'static,
        F: for<'u> FnOnce(&'u mut UnitOfWork<'_>) -> BoxFuture<'u, Result<T, ServiceError>> + Send + 'static,
    {
        let context = self.clone();
        let task = tokio::spawn(async move {
            let (store, state) = (context.store(), &context.state);
            let era = state.resolver.freshness.era();
            let mut unit = context.unit_of_work().await?;
            let position = state.resolver.freshness.position(era);
            let (value, keys) = unit.change(&context, work).await?;
            let UnitOfWork { tx, tags, is_idle, .. } = unit;
            let note_keys = || keys.complete.then(|| state.note_keys_stored());
            if is_idle && !keys.written {
                note_keys();
                return Ok(value);
            }
            let (seq, op_id) = (tx.seq(), tx.op_id().map(str::to_owned));
            let mut invalidation = InvalidationGuard { resolver: state.resolver.clone(), position, seq, op_id, tags };
            match tx.commit(&invalidation.tags).await {
                Ok(()) => {
                    drop(invalidation);
                    note_keys();
                    state.resolver.commits.raise();
                }
                Err(unknown @ StoreError::Unknown(_)) => {
                    let tags = invalidation.tags.clone();
                    // No reader of the change log has confirmed it.
                    invalidation.op_id = None;
                    drop(invalidation);
                    state.resolver.tasks.spawn(|stop| settle(store.clone(), state.clone(), tags, stop));
                    return Err(unknown.into());
                }
                Err(error) => {
                    invalidation.cancel();
                    return Err(error.into());
                }
            }
            Ok(value)
        });
        task.await.unwrap_or_else(|lost| Err(StoreError::Unknown(Box::new(lost)).into()))
    }

    /// Runs `work` in a transaction by all the rules, and rolls it back.
    #[cfg(feature = "strapi")]
    pub(in crate::admin) async fn dry_run<T, F>(&self, work: F) -> Result<T, ServiceError>
    where
        F: for<'u> FnOnce(&'u mut UnitOfWork<'_>) -> BoxFuture<'u, Result<T, ServiceError>>,
    {
        self.unit_of_work().await?.run(work).await
    }

    /// Runs `work` on a view by all the rules. It writes nothing and takes no writer's lock.
    pub(in crate::admin) async fn preview<T, F>(&self, work: F) -> Result<T, ServiceError>
    where
        F: for<'u> FnOnce(&'u mut UnitOfWork<'_>) -> BoxFuture<'u, Result<T, ServiceError>>,
    {
        let _turn = self.state.previews.turn(self.origin.actor).await?;
        let preview = Preview::new(self.view().await?);
        let mut unit = UnitOfWork::new(Box::new(preview), self);
        unit.readmit(self.admission.as_deref()).await?;
        unit.run(work).await
    }

    async fn unit_of_work(&self) -> Result<UnitOfWork<'static>, ServiceError> {
        Ok(UnitOfWork::new(self.store().begin().await?, self))
    }
}

/// Invalidates the tags of a change when dropped: after its commit, or when the task ends while the outcome of the commit is unknown.
pub(super) struct InvalidationGuard {
    pub(super) resolver: Arc<Resolver>,
    pub(super) position: LogPosition,
    pub(super) seq: u64,
    pub(super) op_id: Option<String>,
    pub(super) tags: Vec<Tag>,
}

impl InvalidationGuard {
    /// Invalidates nothing: the change did not happen.
    fn cancel(mut self) {
        self.tags.clear();
    }
}

impl Drop for InvalidationGuard {
    fn drop(&mut self) {
        if !self.tags.is_empty() {
            self.resolver.freshness.invalidate_own(self.position, self.seq, self.op_id.as_deref(), &self.tags);
        }
    }
}

/// Settles a commit whose outcome is unknown, by one more change with the same tags.
///
/// After such a commit every principal with these tags has to be loaded again, and what is loaded may be from before it. The next
/// change comes after it, whether it happened or not. Until then requests that depend on the tags are answered 503.
async fn settle(store: Arc<dyn WriteStore>, state: Arc<AdminState>, tags: Vec<Tag>, mut stop: Stop) {
    let mut pause = Duration::from_millis(10);
    loop {
        match commit_again(&*store, &state, &tags).await {
            Ok(()) => return,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the outcome of a commit is still unknown: trying again");
            }
        }
        tokio::select! {
            () = stop.requested() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

async fn commit_again(store: &dyn WriteStore, state: &AdminState, tags: &[Tag]) -> Result<(), StoreError> {
    let era = state.resolver.freshness.era();
    let tx = store.begin().await?;
    let position = state.resolver.freshness.position(era);
    let (seq, op_id) = (tx.seq(), tx.op_id().map(str::to_owned));
    tx.commit(tags).await?;
    state.resolver.freshness.invalidate_own(position, seq, op_id.as_deref(), tags);
    Ok(())
}
