//! Mutations by the node that makes notices about tokens.

use super::UnitOfWork;
use crate::admin::ServiceError;
use crate::domain::AuditEvent;
use crate::store::{Lease, Notice};

impl UnitOfWork<'_> {
    /// Returns the sequence that the change will have.
    pub(in crate::admin) fn seq(&self) -> u64 {
        self.tx.seq()
    }

    /// Stores a lease. It is no data, so there is no event.
    pub(in crate::admin) async fn set_lease(&mut self, name: &str, lease: &Lease) -> Result<(), ServiceError> {
        Ok(self.tx.set_lease(name, lease).await?)
    }

    /// Records those of these notices that still fit and are new, each with its event. Returns how many there were.
    pub(in crate::admin) async fn add_notices(&mut self, due: &[Notice]) -> Result<u64, ServiceError> {
        let added = self.tx.add_notices(due).await?;
        let (at, origin) = (self.tx.now(), self.origin.clone());
        let event = |notice: &Notice| AuditEvent {
            at,
            origin: origin.clone(),
            what: notice.action(),
            target: notice.target(),
            cause: None,
            details: notice.details(),
        };
        self.tx.audit_all(added.iter().map(event).collect()).await?;
        Ok(added.len() as u64)
    }
}
