//! Rate limits on audited changes, by actor and hour.
//!
//! The audit events themselves are counted, in the transaction that would add one more. So the limits hold across nodes and restarts,
//! and need no memory. Each actor has a count of its own: a stolen token that regenerates itself does not keep its owner from doing so.
//!
//! Changes that only take something away are not limited: revoking, deleting, signing out, deactivating, smaller roles, and a new
//! password. Each of these needs something that was made before, or takes a password hash.

use super::ServiceError;
use super::unit_of_work::UnitOfWork;
use crate::domain::{Actor, AuditAction, AuditTarget, OwnerState, Timestamp};
use crate::store::EventsOfActor;
use serde_json::{Value, json};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Returns whether [`Policy::changes_per_hour`](super::Policy::changes_per_hour) limits an action.
fn is_limited(action: AuditAction) -> bool {
    matches!(
        action,
        AuditAction::OwnerCreated
            | AuditAction::OwnerInvited
            | AuditAction::OwnerInvitedAgain
            | AuditAction::OwnerUpdated
            | AuditAction::OwnerStateSet
            | AuditAction::OwnerRolesSet
            | AuditAction::RoleCreated
            | AuditAction::RoleUpdated
            | AuditAction::RolePermissionsSet
            | AuditAction::TokenIssued
            | AuditAction::TokenUpdated
            | AuditAction::TokenRegenerated
            | AuditAction::TokenRevealed
    )
}

/// Returns whether a change only takes something away.
///
/// A person who protects an installation is not stopped, not even where a stolen session has used up the limit. Before the same can be
/// taken away again it has to be given back, which is limited.
fn takes_away(action: AuditAction, details: &Value) -> bool {
    let (before, after) = (&details["before"], &details["after"]);
    match (action, before, after) {
        (AuditAction::OwnerStateSet, _, after) => *after != json!(OwnerState::Active),
        (AuditAction::OwnerRolesSet | AuditAction::RolePermissionsSet, Value::Array(before), Value::Array(after)) => {
            after.len() < before.len() && after.iter().all(|entry| before.contains(entry))
        }
        _ => false,
    }
}

impl UnitOfWork<'_> {
    /// Checks that the actor has done this to `target` fewer than `most` times within an hour. The host program is not limited.
    ///
    /// # Errors
    /// [`ServiceError::TooManyAttempts`].
    pub(super) async fn limit(
        &mut self,
        action: AuditAction,
        target: AuditTarget,
        most: u32,
    ) -> Result<(), ServiceError> {
        self.limit_events(action, Some(target), most).await
    }

    /// Checks that one more change of this kind is within the actor's limit of [`Policy`](super::Policy).
    ///
    /// # Errors
    /// [`ServiceError::TooManyAttempts`].
    pub(super) async fn limit_changes(&mut self, action: AuditAction, details: &Value) -> Result<(), ServiceError> {
        match is_limited(action) && !takes_away(action, details) {
            true => self.limit_events(action, None, self.state.settings.policy.changes_per_hour).await,
            false => Ok(()),
        }
    }

    async fn limit_events(
        &mut self,
        what: AuditAction,
        target: Option<AuditTarget>,
        most: u32,
    ) -> Result<(), ServiceError> {
        let actor = self.actor_id();
        if !matches!(actor, Actor::Person(_) | Actor::Token(_)) {
            return Ok(());
        }
        let now = self.now();
        let hour = i64::try_from(HOUR.as_millis()).unwrap_or(i64::MAX);
        let since = Timestamp(now.0.saturating_sub(hour).saturating_add(1));
        // With this change there would be one more than the limit.
        match self.view().nth_latest_event(most.max(1), &EventsOfActor { what, actor, target, since }).await? {
            None => Ok(()),
            Some(at) => Err(ServiceError::TooManyAttempts(at.plus(HOUR).since(now))),
        }
    }
}
