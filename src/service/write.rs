//! One change: transaction, commit, tag clock, answer.

use super::ServiceError;
use crate::domain::{AuditEvent, Doer, Entropy, Issued, Kind, SecretFormat, Tag, Target, What, When};
use crate::resolve::Resolver;
use crate::store::{StoreError, Transaction, WriteStore};
use futures_util::future::BoxFuture;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

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

    /// Refuses conditions that nobody has registered: they would deny for ever.
    pub(super) fn known(&self, path: &str, when: &When) -> Result<(), ServiceError> {
        let unknown =
            when.as_slice().iter().enumerate().find(|(_, id)| !self.writer.resolver.conditions().contains(id.as_str()));
        match unknown {
            None => Ok(()),
            Some((i, id)) => {
                Err(ServiceError::invalid(format!("{path}.conditions.{i}"), format!("there is no condition {id}")))
            }
        }
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
            let raise = Raise { resolver: writer.resolver.clone(), seq: tx.seq(), tags };
            match tx.commit(&raise.tags).await {
                Ok(()) => drop(raise),
                Err(unknown @ StoreError::Unknown(_)) => {
                    let tags = raise.tags.clone();
                    drop(raise);
                    tokio::spawn(settle(store, writer, tags));
                    return Err(unknown.into());
                }
                Err(error) => {
                    raise.forget();
                    return Err(error.into());
                }
            }
            Ok(value)
        });
        task.await.unwrap_or_else(|lost| Err(StoreError::Unknown(Box::new(lost)).into()))
    }
}

/// Raises the tags of a change when dropped: after its commit, or when the task dies while nobody knows how that went.
struct Raise {
    resolver: Arc<Resolver>,
    seq: u64,
    tags: Vec<Tag>,
}

impl Raise {
    /// It did not happen.
    fn forget(mut self) {
        self.tags.clear();
    }
}

impl Drop for Raise {
    fn drop(&mut self) {
        if !self.tags.is_empty() {
            self.resolver.freshness.raise(self.seq, &self.tags);
        }
    }
}

/// After a commit that nobody knows the outcome of, everything that rests on its tags has to be read again; and what is read is
/// as old as that commit would be, if it did not happen. One more change with the same tags ends the doubt: it comes after
/// the commit, whether that happened or not. Until then requests that rest on the tags are answered 503.
async fn settle(store: Arc<dyn WriteStore>, writer: Arc<Writer>, tags: Vec<Tag>) {
    let mut pause = Duration::from_millis(10);
    loop {
        match again(&*store, &writer, &tags).await {
            Ok(()) => return,
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "a change is still in doubt"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

async fn again(store: &dyn WriteStore, writer: &Writer, tags: &[Tag]) -> Result<(), StoreError> {
    let tx = store.begin().await?;
    let seq = tx.seq();
    tx.commit(tags).await?;
    writer.resolver.freshness.raise(seq, tags);
    Ok(())
}
