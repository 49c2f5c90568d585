//! The audit log in a store.

use super::{EventQuery, EventsOfActor, Page, SignInPlace, StoreError};
use crate::domain::{AuditEvent, Fields, Scope, Timestamp};
use async_trait::async_trait;
use serde_json::{Value, json};

/// Reads the audit log.
#[async_trait]
pub trait ReadAudit {
    /// Lists a page of audit events with their ids, the latest first.
    async fn events(&mut self, query: &EventQuery) -> Result<Page<(i64, AuditEvent)>, StoreError>;
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
    /// Deletes the events from before `before`, and returns how many there were.
    async fn delete_events(&mut self, before: Timestamp) -> Result<u64, StoreError>;
}

/// Describes a scope in the details of audit events.
pub(crate) fn scope_details(scope: &Scope) -> Value {
    let fields = match &scope.fields {
        Fields::All => None,
        Fields::Only(set) => Some(set.as_slice()),
    };
    json!({"action": scope.action, "subject": scope.resource, "fields": fields})
}
