//! How often an actor may do to one token what leaves an audit event each time.
//!
//! It is judged by the events themselves, in the transaction that would add one more: so it holds across nodes and restarts, and needs no
//! memory. Each actor has a count of its own: a stolen key that regenerates itself does not keep its owner from doing so.

use super::ServiceError;
use super::write::Draft;
use crate::domain::{Doer, Target, Timestamp, What};
use crate::store::EventsOfActor;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(60 * 60);

impl Draft {
    /// Refuses to do `what` to `target` if the actor has done so `most` times within an hour. The program itself is not counted.
    pub(super) async fn limit(&mut self, what: What, target: Target, most: u32) -> Result<(), ServiceError> {
        let doer = self.origin.doer;
        if !matches!(doer, Doer::Person(_) | Doer::Token(_)) {
            return Ok(());
        }
        let now = self.tx.now();
        let hour = i64::try_from(HOUR.as_millis()).unwrap_or(i64::MAX);
        let since = Timestamp(now.0.saturating_sub(hour).saturating_add(1));
        // With this one there are as many as may be.
        match self.tx.nth_latest_event(most.max(1), &EventsOfActor { what, target, doer, since }).await? {
            None => Ok(()),
            Some(at) => Err(ServiceError::TooManyAttempts(at.plus(HOUR).since(now))),
        }
    }
}
