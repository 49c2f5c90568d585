//! One change: transaction, commit, tag clock, answer.

use super::ServiceError;
use crate::domain::{AuditEvent, Doer, Entropy, Issued, Kind, SecretFormat, Tag, Target, What};
use crate::resolve::Resolver;
use crate::store::{StoreError, Transaction, WriteStore};
use futures_util::future::BoxFuture;
use std::fmt;
use std::sync::Arc;

/// What every change of an installation needs besides its store.
pub(crate) struct Writer {
    resolver: Arc<Resolver>,
    format: SecretFormat,
    entropy: Arc<dyn Entropy>,
}

impl Writer {
    pub(crate) fn new(resolver: Arc<Resolver>, format: SecretFormat, entropy: Arc<dyn Entropy>) -> Self {
        Self { resolver, format, entropy }
    }
}

/// Makes changes.
#[derive(Clone)]
pub(super) struct Change {
    store: Arc<dyn WriteStore>,
    writer: Arc<Writer>,
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change").finish_non_exhaustive()
    }
}

/// A change in the making.
pub(super) struct Draft {
    pub(super) tx: Box<dyn Transaction>,
    tags: Vec<Tag>,
}

impl Draft {
    /// The change touches this.
    pub(super) fn touch(&mut self, tag: Tag) {
        self.tags.push(tag);
    }

    /// The change is to be remembered as this.
    pub(super) async fn audit(
        &mut self,
        what: What,
        target: Target,
        details: serde_json::Value,
    ) -> Result<(), ServiceError> {
        let event = AuditEvent { at: self.tx.now(), doer: Doer::Service, what, target, details };
        Ok(self.tx.audit(event).await?)
    }
}

impl Change {
    pub(super) fn new(store: Arc<dyn WriteStore>, writer: Arc<Writer>) -> Self {
        Self { store, writer }
    }

    pub(super) fn issue(&self, kind: Kind) -> Result<Issued, ServiceError> {
        Ok(self.writer.format.issue(kind, &*self.writer.entropy)?)
    }

    /// Runs `work` in a transaction and commits it. An error rolls back.
    pub(super) async fn make<T, F>(&self, work: F) -> Result<T, ServiceError>
    where
        T: Send + 'static,
        F: for<'d> FnOnce(&'d mut Draft) -> BoxFuture<'d, Result<T, ServiceError>> + Send + 'static,
    {
        let (store, writer) = (self.store.clone(), self.writer.clone());
        let task = tokio::spawn(async move {
            let mut draft = Draft { tx: store.begin().await?, tags: Vec::new() };
            let value = work(&mut draft).await?;
            let Draft { tx, tags } = draft;
            let seq = tx.seq();
            let committed = tx.commit(&tags).await;
            // Also if nobody can tell whether it happened: whoever rests on it has to ask again.
            if matches!(committed, Ok(()) | Err(StoreError::Unknown(_))) {
                writer.resolver.freshness.raise(seq, &tags);
            }
            committed?;
            Ok(value)
        });
        task.await.unwrap_or_else(|lost| Err(StoreError::Unknown(Box::new(lost)).into()))
    }
}
