//! Incidents in the audit log: what the gate has noticed about genuine secrets.

use super::ServiceError;
use super::context::ServiceContext;
use super::unit_of_work::UnitOfWork;
use crate::domain::{Actor, AuditOrigin};
use crate::resolve::Incident;
use crate::sync::Arc;

impl ServiceContext {
    /// Records the incidents of the gate as long as the installation exists.
    pub(super) fn record_incidents(self) {
        // The resolver must not keep itself alive.
        let (store, state) = (Arc::downgrade(self.store()), Arc::downgrade(&self.state));
        self.state.resolver.incidents.record_by(move |incident| {
            let context = store.upgrade().zip(state.upgrade()).map(|(store, state)| ServiceContext::new(store, state));
            Box::pin(async move {
                match context {
                    Some(context) => context.record_incident(incident).await,
                    None => true,
                }
            })
        });
    }

    /// Records an incident; false if that should be tried again.
    async fn record_incident(mut self, incident: Incident) -> bool {
        self.origin = AuditOrigin { actor: Actor::Visitor, address: incident.address, tool: None };
        self.issues_tokens = false;
        match self.transact(move |unit| Box::pin(record(unit, incident))).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "an incident is not in the audit log yet");
                !matches!(error, ServiceError::Store(_))
            }
        }
    }
}

async fn record(unit: &mut UnitOfWork<'_>, incident: Incident) -> Result<(), ServiceError> {
    match unit.view().token(incident.token).await? {
        Some(token) => unit.record_incident(&token, incident.kind).await,
        // It was revoked meanwhile.
        None => unit.record_incident_of_revoked(incident).await,
    }
}
