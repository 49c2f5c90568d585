//! Reading the audit log in pages, each when it is needed.

use super::cursor::{Cursor, Place};
use super::{FollowError, LifecycleEvent};
use crate::admin::ServiceError;
use crate::admin::audit_visibility::AuditVisibility;
use crate::admin::context::ServiceContext;
use crate::domain::{Actor, AuditEvent, LogLimit, MonotonicTime};
use crate::resolve::Stop;
use crate::sync::watch;
use http::StatusCode;
use std::collections::VecDeque;
use std::time::Duration;

/// The number of events that are read at a time.
const PAGE_SIZE: u32 = 100;
/// The first pause after an error of the store, and the longest.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A position in the log, and the events that were read from there.
pub(super) struct Reader {
    context: ServiceContext,
    cursor: Cursor,
    page: VecDeque<(Place, i64, AuditEvent)>,
    /// When the page was read.
    read_at: MonotonicTime,
    /// Whether there was nothing after the last page.
    at_end: bool,
    has_ended: bool,
    stop: Stop,
    commits: watch::Receiver<()>,
    pause: Duration,
    log_limit: LogLimit,
}

/// The result of a read.
enum Page {
    Events(Vec<(Place, i64, AuditEvent)>),
    /// Events were deleted before they were read.
    Gap(Place),
}

impl Reader {
    pub(super) fn new(context: ServiceContext, cursor: Cursor) -> Self {
        let resolver = context.state.resolver.clone();
        Self {
            stop: resolver.tasks.stop_signal(),
            commits: resolver.commits.subscribe(),
            context,
            cursor,
            page: VecDeque::new(),
            read_at: MonotonicTime(0),
            at_end: false,
            has_ended: false,
            pause: PAUSE,
            log_limit: LogLimit::new(),
        }
    }

    /// Returns the next event. Waits until there is one; `None` after the end of the stream.
    pub(super) async fn next(&mut self) -> Option<Result<LifecycleEvent, FollowError>> {
        loop {
            if self.has_ended || self.stop.is_requested() {
                return None;
            }
            self.drop_stale_page();
            if let Some((place, id, event)) = self.page.pop_front() {
                self.cursor = place.cursor();
                return Some(Ok(LifecycleEvent::new(id, self.cursor, event)));
            }
            if self.at_end {
                self.wait(self.context.state.resolver.max_staleness()).await;
                self.at_end = false;
                continue;
            }
            // Before the read: a commit during the read ends the next wait.
            self.commits.borrow_and_update();
            let read = tokio::select! {
                biased;
                () = self.stop.requested() => return None,
                read = read(&self.context, &mut self.cursor) => read,
            };
            match read {
                Ok(Page::Events(events)) => {
                    self.pause = PAUSE;
                    self.at_end = events.len() < PAGE_SIZE as usize;
                    self.read_at = self.now();
                    self.page = events.into();
                }
                Ok(Page::Gap(place)) => {
                    self.cursor = place.cursor();
                    return Some(Err(FollowError::Gap { cursor: self.cursor }));
                }
                Err(FollowError::Service(error)) if error.status() == StatusCode::SERVICE_UNAVAILABLE => {
                    self.back_off(&error).await;
                }
                Err(error) => {
                    self.has_ended = true;
                    return Some(Err(error));
                }
            }
        }
    }

    fn now(&self) -> MonotonicTime {
        self.context.state.resolver.clock.moment()
    }

    /// Drops a page that was read for an actor whose rights may have changed since.
    fn drop_stale_page(&mut self) {
        let limit = self.context.state.resolver.max_staleness();
        let is_judged = self.context.origin.actor != Actor::Service;
        if is_judged && !self.page.is_empty() && self.now().since(self.read_at) > limit {
            self.page.clear();
            self.at_end = false;
        }
    }

    /// Waits for a commit, or this long.
    async fn wait(&mut self, longest: Duration) {
        let committed = async {
            if self.commits.changed().await.is_err() {
                // Cannot happen: the context keeps the installation alive, and so the sender.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = self.stop.requested() => {}
            () = committed => {}
            () = tokio::time::sleep(longest) => {}
        }
    }

    /// Waits after an error of the store. The next page is read from the same position.
    async fn back_off(&mut self, error: &ServiceError) {
        if let Some(count) = self.log_limit.count(self.now()) {
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, count, "the audit log cannot be followed: trying again");
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        tokio::select! {
            () = self.stop.requested() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Reads the page after the position. Sets the position to its place in the log.
async fn read(context: &ServiceContext, cursor: &mut Cursor) -> Result<Page, FollowError> {
    let mut view = context.view().await?;
    let view = &mut *view;
    let actor = context.actor(view).await?;
    let visibility = AuditVisibility::of(context, view, &actor).await?;
    let mut place = cursor.place(view).await?;
    let bounds = view.audit_bounds(place.id).await.map_err(ServiceError::from)?;
    if let Some(after_gap) = place.check(&bounds)? {
        return Ok(Page::Gap(after_gap));
    }
    // Later pages begin here, also if this one is empty.
    place = place.within(&bounds);
    *cursor = place.cursor();
    let events = view.events_after(place.id, PAGE_SIZE).await.map_err(ServiceError::from)?;
    let mut page = Vec::with_capacity(events.len());
    for (id, event) in visibility.redact(view, events).await? {
        place = place.after(id, event.at);
        page.push((place, id, event));
    }
    Ok(Page::Events(page))
}
