//! The audit log in a store.

use super::{EventQuery, EventsOfActor, Page, SignInPlace, StoreError};
use crate::domain::{AuditEvent, Fields, Scope, Timestamp};
use async_trait::async_trait;
use serde_json::{Value, json};

/// Reads the audit log.
///
/// Events get their ids while the writers' lock is held. So a higher id means a later commit, and no event gets an id below that of an
/// event which a view has shown. A host's transaction holds the lock until it ends.
#[async_trait]
pub trait ReadAudit {
    /// Lists a page of audit events with their ids, the latest first.
    async fn events(&mut self, query: &EventQuery) -> Result<Page<(i64, AuditEvent)>, StoreError>;
    /// Lists the events with a higher id in the order of their ids, the first `limit`.
    async fn events_after(&mut self, id: i64, limit: u32) -> Result<Vec<(i64, AuditEvent)>, StoreError>;
    /// Returns where the log begins and ends, and the time of the event with this id.
    async fn audit_bounds(&mut self, id: i64) -> Result<AuditBounds, StoreError>;
    /// Returns the time of an actor's `nth` latest event of a kind (from 1), if there are as many. It runs with the writers' lock held, so its
    /// cost must not depend on the length of the log.
    async fn nth_latest_event(&mut self, nth: u32, of: &EventsOfActor) -> Result<Option<Timestamp>, StoreError>;
    /// Returns where people signed in since then: the latest [`SignInPlace::OF_A_PERSON`] addresses of each person, and the latest
    /// [`SignInPlace::MOST`] in all; in no order.
    async fn sign_in_places(&mut self, since: Timestamp) -> Result<Vec<SignInPlace>, StoreError>;
}

/// Writes the audit log.
#[async_trait]
pub trait WriteAudit {
    /// Adds an audit event.
    async fn audit(&mut self, event: AuditEvent) -> Result<(), StoreError>;
    /// Adds audit events in this order.
    ///
    /// The default adds them one by one.
    async fn audit_all(&mut self, events: Vec<AuditEvent>) -> Result<(), StoreError> {
        for event in events {
            self.audit(event).await?;
        }
        Ok(())
    }
    /// Deletes the events from before `before`, and returns how many there were. [`AuditBounds::deleted`] remembers the highest id among them.
    async fn delete_events(&mut self, before: Timestamp) -> Result<u64, StoreError>;
}

/// Where the audit log begins and ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AuditBounds {
    /// The time of the event that was asked for, if it is there.
    pub at: Option<Timestamp>,
    /// The highest id of an event; 0 if there is none.
    pub last: i64,
    /// The highest id of an event that was deleted; 0 if none was.
    pub deleted: i64,
}

/// Describes a scope in the details of audit events.
pub(crate) fn scope_details(scope: &Scope) -> Value {
    let fields = match &scope.fields {
        Fields::All => None,
        Fields::Only(set) => Some(set.as_slice()),
    };
    json!({"action": scope.action, "subject": scope.resource, "fields": fields})
}
