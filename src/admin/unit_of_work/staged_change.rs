//! A change within a transaction of the host.

use super::commit::InvalidationGuard;
use super::{UnitOfWork, Work};
use crate::admin::ServiceError;
use crate::admin::context::ServiceContext;
use crate::domain::Tag;
use crate::resolve::LogPosition;
use crate::store::{HostTransaction, StoreError};
use std::fmt;
use std::ops::Deref;

/// A change within a transaction of the host. It counts when the host commits.
///
/// After the commit, [`committed`](Self::committed) makes the next request on this node see it, and tells the other
/// nodes. Without that call, this node sees it as the others do: within
/// [`max_staleness`](crate::guard::Limits::max_staleness). After a rollback, drop it: nothing is left.
#[must_use = "after the commit, call `committed()`: the next request on this node sees the change then"]
pub struct StagedChange<T> {
    value: T,
    context: ServiceContext,
    position: LogPosition,
    seq: u64,
    op_id: Option<String>,
    tags: Vec<Tag>,
}

impl<T: fmt::Debug> fmt::Debug for StagedChange<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StagedChange").field("value", &self.value).finish_non_exhaustive()
    }
}

/// The result, to be used within the transaction: its id, for example.
impl<T> Deref for StagedChange<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> StagedChange<T> {
    /// Publishes the change, whose transaction has been committed, and returns the result.
    ///
    /// If it is called although the transaction was rolled back, this node drops its cache within a moment and loads
    /// it again.
    pub fn committed(self) -> T {
        let Self { value, context, position, seq, op_id, tags } = self;
        let resolver = context.state.resolver.clone();
        drop(InvalidationGuard { resolver, position, seq, op_id, tags });
        context.store().announce();
        context.state.resolver.commits.raise();
        value
    }
}

impl ServiceContext {
    /// Runs `work` within a transaction of the host, by the rules of [`transact`](Self::transact). An error
    /// leaves nothing, and the host's transaction usable.
    pub(in crate::admin) async fn stage<T>(
        &self,
        host: HostTransaction<'_>,
        work: Work<T>,
    ) -> Result<StagedChange<T>, ServiceError> {
        let (store, state) = (self.store(), &self.state);
        if state.resolver.is_exclusive() {
            return Err(ServiceError::Impossible(
                "with store_is_exclusive no change is read from the store: leave it out to use within()",
            ));
        }
        let era = state.resolver.freshness.era();
        let begun = store.begin_within(host).await.inspect_err(|error| self.log_unfit(error));
        let mut unit = UnitOfWork::new(begun?, self);
        let position = state.resolver.freshness.position(era);
        let (value, _) = unit.change(self, work).await?;
        let UnitOfWork { tx, tags, .. } = unit;
        let (seq, op_id) = (tx.seq(), tx.op_id().map(str::to_owned));
        tx.commit(&tags).await?;
        Ok(StagedChange { value, context: self.clone(), position, seq, op_id, tags })
    }

    /// Logs that a transaction of the host does not fit, as one on another database: the program has to be changed, and the
    /// client of the request learns nothing of it.
    fn log_unfit(&self, error: &StoreError) {
        let (StoreError::Unavailable(_) | StoreError::Invalid(_) | StoreError::DeferredTransaction) = error else {
            return;
        };
        if let Some(count) = self.state.unfit_transactions.count(self.state.resolver.clock.moment()) {
            let error = error as &dyn std::error::Error;
            tracing::error!(error, count, "no change could be made within a transaction of the host");
        }
    }
}
