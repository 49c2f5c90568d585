//! Following the audit log: every event once, in the order of commits.
//!
//! Events get their ids while the lock of writers is held. So ids ascend in the order of commits, and an event that is not yet visible has a
//! higher id than every visible one. A cursor is therefore an id, with the time of the event, which shows whether the log is still the same.

mod change;
mod cursor;
mod reader;

pub use change::{EventToken, LifecycleChange, LifecycleEvent};
pub use cursor::{Cursor, MalformedCursor};

use super::{AuditLog, ServiceError};
use futures_util::stream::{BoxStream, FusedStream, Stream, StreamExt, unfold};
use reader::Reader;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A stream of audit events; returned by [`AuditLog::follow`].
///
/// It ends when the installation [shuts down](crate::guard::Guard::shutdown), and after an error other than [`FollowError::Gap`].
#[must_use = "it reads nothing until it is polled"]
pub struct Follow(futures_util::stream::Fuse<BoxStream<'static, Result<LifecycleEvent, FollowError>>>);

impl fmt::Debug for Follow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follow").finish_non_exhaustive()
    }
}

impl Stream for Follow {
    type Item = Result<LifecycleEvent, FollowError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(context)
    }
}

impl FusedStream for Follow {
    fn is_terminated(&self) -> bool {
        self.0.is_terminated()
    }
}

/// The reason why a followed audit log has no next event.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// Events after the last one were deleted before they were read, because they were older than
    /// [`Policy::keep_events`](crate::admin::Policy::keep_events).
    ///
    /// The stream goes on with the next event that is there. Store the cursor, or the error comes again after a restart.
    #[error("events were deleted before they were read: read what they changed anew, then go on")]
    Gap {
        /// The position after the gap.
        cursor: Cursor,
    },
    /// The store lacks the event that the cursor names, though it was not deleted: a backup was restored, or another server took over
    /// without the latest changes.
    ///
    /// keyward cannot know which events are new. Begin again with [`Cursor::start`] or [`Cursor::now`].
    #[error("the audit log is not the one that the cursor was taken from: a backup was restored, so begin again")]
    Diverged,
    /// The actor may not read the log, or no longer.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

impl AuditLog {
    /// Follows the audit log from a position on: the events of all nodes, each once, in the order of commits.
    ///
    /// An event comes with the position after it. Store that [`Cursor`] once the event is handled, and follow from there after a restart.
    /// Then every later event comes exactly once. An event that was being handled when the process ended comes again.
    ///
    /// The stream wakes when this node commits a change, or reads a change of another node from the log of changes. Otherwise it reads the
    /// store again after [`max_staleness`](crate::guard::Limits::max_staleness). It reads pages of 100 events when they are polled for, on
    /// the connections for lists. While the store fails, it waits and tries again without an error.
    ///
    /// Actors see the same parts of an event as in [`list`](Self::list). An event that is withheld from an actor comes as
    /// [`LifecycleChange::Other`], with the action and the time.
    ///
    /// ```
    /// # tokio_test::block_on(async {
    /// use futures_util::StreamExt;
    /// use keyward::admin::{Cursor, LifecycleChange};
    /// use keyward::token::ContentAccess;
    /// # use keyward::{HashKey, Keyward, MemoryStore, NewContentToken};
    /// # let (hash_key, _) = HashKey::generate()?;
    /// # let keyward = Keyward::builder(MemoryStore::default()).hash_key(hash_key).service_keys("/").build()?;
    /// # let stored: Option<String> = None;
    /// let cursor = stored.map_or(Ok(Cursor::start()), |text| text.parse())?;
    /// let mut events = keyward.audit().follow(cursor);
    /// keyward.tokens().issue_content(NewContentToken::new("billing", ContentAccess::ReadOnly)).await?;
    /// let event = events.next().await.ok_or("shut down")??;
    /// if let LifecycleChange::TokenIssued { token, .. } = &event.change {
    ///     println!("token {} of {:?}", token.id, token.owner);
    /// }
    /// let stored = event.cursor.to_string();
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The stream has an item [`FollowError::Gap`] where events were deleted, and goes on. It ends with
    /// - [`Diverged`](FollowError::Diverged) if the log is no longer the one that the cursor was taken from;
    /// - [`Service`](FollowError::Service) if the actor may not read the log, or no longer.
    pub fn follow(&self, cursor: Cursor) -> Follow {
        let reader = Reader::new(self.0.clone(), cursor);
        let events = unfold(reader, |mut reader| async move { Some((reader.next().await?, reader)) });
        Follow(events.boxed().fuse())
    }

    /// Returns the position after the last event that is committed.
    ///
    /// Unlike [`Cursor::now`], which is resolved when the stream is first polled, it can be stored.
    ///
    /// # Errors
    /// - [`Forbidden`](ServiceError::Forbidden) if the actor is a visitor;
    /// - [`Store`](ServiceError::Store) if the store fails.
    pub async fn last_cursor(&self) -> Result<Cursor, ServiceError> {
        let mut view = self.0.view().await?;
        self.visibility(&mut *view).await?;
        cursor::last(&mut *view).await
    }
}
