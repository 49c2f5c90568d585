//! Limits how many audited changes an actor may make within an hour.
//!
//! It is judged by the events themselves, in the transaction that would add one more: so it holds across nodes and restarts, and needs no
//! memory. Each actor has a count of its own: a stolen key that regenerates itself does not keep its owner from doing so.
//!
//! Changes that only take something away are not limited: revoking, deleting, signing out, deactivating, smaller roles, and a new password. Each of
//! these needs something that was made before, or takes a password hash.

use super::ServiceError;
use super::write::UnitOfWork;
use crate::domain::{Actor, AuditAction, AuditTarget, OwnerState, Timestamp};
use crate::store::EventsOfActor;
use serde_json::{Value, json};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Whether a loop of such changes is bounded by [`Policy::changes_per_hour`](super::Policy::changes_per_hour).
fn is_limited(what: AuditAction) -> bool {
    matches!(
        what,
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

/// Whether a change only takes something away: a person who protects an installation is not stopped, also by a session that was stolen
/// from them and has used up the rate. To do it again, what was taken has to be given back, which is limited.
fn takes_away(what: AuditAction, details: &Value) -> bool {
    let (before, after) = (&details["before"], &details["after"]);
    match (what, before, after) {
        (AuditAction::OwnerStateSet, _, after) => *after != json!(OwnerState::Active),
        (AuditAction::OwnerRolesSet | AuditAction::RolePermissionsSet, Value::Array(before), Value::Array(after)) => {
            after.len() < before.len() && after.iter().all(|one| before.contains(one))
        }
        _ => false,
    }
}

impl UnitOfWork {
    /// Refuses to do `what` to `target` if the actor has done so `most` times within an hour. The program itself is not counted.
    pub(super) async fn limit(
        &mut self,
        what: AuditAction,
        target: AuditTarget,
        most: u32,
    ) -> Result<(), ServiceError> {
        self.limit_events(what, Some(target), most).await
    }

    /// Refuses a change if the actor has made as many of this sort within an hour as [`Policy`](super::Policy) allows.
    pub(super) async fn limit_changes(&mut self, what: AuditAction, details: &Value) -> Result<(), ServiceError> {
        match is_limited(what) && !takes_away(what, details) {
            true => self.limit_events(what, None, self.writer.settings.policy.changes_per_hour).await,
            false => Ok(()),
        }
    }

    async fn limit_events(
        &mut self,
        what: AuditAction,
        target: Option<AuditTarget>,
        most: u32,
    ) -> Result<(), ServiceError> {
        let actor = self.origin.actor;
        if !matches!(actor, Actor::Person(_) | Actor::Token(_)) {
            return Ok(());
        }
        let now = self.tx.now();
        let hour = i64::try_from(HOUR.as_millis()).unwrap_or(i64::MAX);
        let since = Timestamp(now.0.saturating_sub(hour).saturating_add(1));
        // With this one there are as many as may be.
        match self.tx.nth_latest_event(most.max(1), &EventsOfActor { what, actor, target, since }).await? {
            None => Ok(()),
            Some(at) => Err(ServiceError::TooManyAttempts(at.plus(HOUR).since(now))),
        }
    }
}
