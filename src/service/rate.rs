//! How often an actor may do what leaves an audit event each time.
//!
//! It is judged by the events themselves, in the transaction that would add one more: so it holds across nodes and restarts, and needs no
//! memory. Each actor has a count of its own: a stolen key that regenerates itself does not keep its owner from doing so.
//!
//! What takes something away is not limited: revoking, deleting, signing out, and a new password. Each of these needs something
//! that was made before, or takes a password hash.

use super::ServiceError;
use super::write::Draft;
use crate::domain::{Doer, Target, Timestamp, What};
use crate::store::EventsOfActor;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Whether a loop of such changes is bounded by [`Policy::changes_per_hour`](super::Policy::changes_per_hour).
fn is_limited(what: What) -> bool {
    matches!(
        what,
        What::OwnerCreated
            | What::OwnerInvited
            | What::OwnerInvitedAgain
            | What::OwnerUpdated
            | What::OwnerStateSet
            | What::OwnerRolesSet
            | What::RoleCreated
            | What::RoleUpdated
            | What::RolePermissionsSet
            | What::TokenIssued
            | What::TokenUpdated
            | What::TokenRegenerated
            | What::TokenRevealed
    )
}

impl Draft {
    /// Refuses to do `what` to `target` if the actor has done so `most` times within an hour. The program itself is not counted.
    pub(super) async fn limit(&mut self, what: What, target: Target, most: u32) -> Result<(), ServiceError> {
        self.limit_events(what, Some(target), most).await
    }

    /// Refuses a change if the actor has made as many of this sort within an hour as [`Policy`](super::Policy) allows.
    pub(super) async fn limit_changes(&mut self, what: What) -> Result<(), ServiceError> {
        match is_limited(what) {
            true => self.limit_events(what, None, self.writer.settings.policy.changes_per_hour).await,
            false => Ok(()),
        }
    }

    async fn limit_events(&mut self, what: What, target: Option<Target>, most: u32) -> Result<(), ServiceError> {
        let doer = self.origin.doer;
        if !matches!(doer, Doer::Person(_) | Doer::Token(_)) {
            return Ok(());
        }
        let now = self.tx.now();
        let hour = i64::try_from(HOUR.as_millis()).unwrap_or(i64::MAX);
        let since = Timestamp(now.0.saturating_sub(hour).saturating_add(1));
        // With this one there are as many as may be.
        match self.tx.nth_latest_event(most.max(1), &EventsOfActor { what, doer, target, since }).await? {
            None => Ok(()),
            Some(at) => Err(ServiceError::TooManyAttempts(at.plus(HOUR).since(now))),
        }
    }
}
