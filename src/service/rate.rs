//! How often an actor may do to one token what leaves an audit event each time.
//!
//! It is judged by the events themselves, in the transaction that would add one more: so it holds across nodes and restarts, and needs no
//! memory. Each actor has a count of its own: a stolen key that regenerates itself does not keep its owner from doing so.

use super::ServiceError;
use super::write::Draft;
use crate::domain::{Doer, Target, Timestamp, What};
use crate::store::{EventQuery, Paging};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(60 * 60);

impl Draft {
    /// Refuses to do `what` to `target` if the actor has done so `most` times within an hour. The program itself is not counted.
    pub(super) async fn limit(&mut self, what: What, target: Target, most: u32) -> Result<(), ServiceError> {
        let (person, token) = match self.origin.doer {
            Doer::Person(id) => (Some(id), None),
            Doer::Token(id) => (None, Some(id)),
            Doer::Service | Doer::Visitor | Doer::Withheld => return Ok(()),
        };
        let now = self.tx.now();
        let hour = i64::try_from(HOUR.as_millis()).unwrap_or(i64::MAX);
        // The latest ones come first: with this one there are as many as may be.
        let last = Paging { page: most.max(1), page_size: 1 };
        let query = EventQuery {
            what: Some(what),
            target: Some(target),
            person,
            token,
            since: Some(Timestamp(now.0.saturating_sub(hour).saturating_add(1))),
            ..EventQuery::all(last)
        };
        match self.tx.events(&query).await?.items.pop() {
            None => Ok(()),
            Some((_, event)) => Err(ServiceError::TooManyAttempts(event.at.plus(HOUR).since(now))),
        }
    }
}
