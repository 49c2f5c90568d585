//! The context of a service: the store, the shared state, and the actor.

use super::actor::{ResolvedActor, load_ceiling};
use super::state::AdminState;
use super::{Policy, ServiceError};
use crate::domain::{Actor, Admission, AdmittedActor, AuditOrigin, Ceiling, NewSecret, OwnerId, TokenKind, Version};
use crate::store::{View, WriteStore};
use crate::sync::Arc;
use std::fmt;
use std::net::IpAddr;

/// The context of a service: the store, the shared state, and the actor.
#[derive(Clone)]
pub(super) struct ServiceContext {
    store: Arc<dyn WriteStore>,
    pub(super) state: Arc<AdminState>,
    pub(super) origin: AuditOrigin,
    /// The credential and the requirement that admitted the request. Each transaction checks them again.
    pub(super) admission: Option<Arc<Admission>>,
    /// The version that the changed record must have.
    pub(super) expected: Option<Version>,
    /// The client's name for its device, stored with a session.
    pub(super) device: Arc<str>,
    /// Whether a change may issue tokens, and so needs the right hash key.
    pub(super) issues_tokens: bool,
}

impl fmt::Debug for ServiceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceContext").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl ServiceContext {
    /// Creates the context of the host program.
    pub(super) fn new(store: Arc<dyn WriteStore>, state: Arc<AdminState>) -> Self {
        let origin = AuditOrigin { actor: Actor::Service, address: None, tool: None };
        Self { store, state, origin, admission: None, expected: None, device: "".into(), issues_tokens: true }
    }

    pub(super) fn acting_as(self, actor: AdmittedActor) -> Self {
        let (tool, admission) = (actor.tool().cloned(), actor.admission().cloned());
        Self { origin: AuditOrigin { actor: actor.actor(), tool, ..self.origin }, admission, ..self }
    }

    pub(super) fn with_address(self, address: Option<IpAddr>) -> Self {
        Self { origin: AuditOrigin { address, ..self.origin }, ..self }
    }

    /// Declares that the change issues no tokens: any hash key will do.
    #[cfg(feature = "strapi")]
    pub(super) fn without_issuing(self) -> Self {
        Self { issues_tokens: false, ..self }
    }

    #[cfg(feature = "people")]
    pub(super) fn on_device(self, name: &str) -> Self {
        Self { device: name.into(), ..self }
    }

    pub(super) fn if_version(self, version: Version) -> Self {
        Self { expected: Some(version), ..self }
    }

    pub(super) fn store(&self) -> &Arc<dyn WriteStore> {
        &self.store
    }

    pub(super) async fn view(&self) -> Result<Box<dyn View>, ServiceError> {
        Ok(self.store.view().await?)
    }

    /// Loads the actor as this view shows it.
    pub(super) async fn actor(&self, view: &mut dyn View) -> Result<ResolvedActor, ServiceError> {
        ResolvedActor::load(view, self.state.resolver.accounts(), self.origin.actor).await
    }

    /// Returns the ceiling of an owner: the roles' permissions, or what the host says of its account.
    pub(super) async fn ceiling(&self, view: &mut dyn View, owner: OwnerId) -> Result<Ceiling, ServiceError> {
        load_ceiling(view, self.state.resolver.accounts(), owner).await
    }

    pub(super) fn policy(&self) -> &Policy {
        &self.state.settings.policy
    }

    pub(super) fn issue(&self, kind: TokenKind) -> Result<NewSecret, ServiceError> {
        Ok(self.state.format.issue(kind, &*self.state.entropy)?)
    }
}

/// Adds `acting_as` and `from_address` to a service.
macro_rules! actor_methods {
    ($service:ident) => {
        impl $service {
            /// Returns the service for this actor: its rules hold, and the audit log names it.
            #[must_use]
            pub fn acting_as(self, actor: impl Into<crate::domain::AdmittedActor>) -> Self {
                self.map(|context| context.acting_as(actor.into()))
            }

            /// Returns the service for this client address, which the audit log records.
            #[must_use]
            pub fn from_address(self, address: Option<std::net::IpAddr>) -> Self {
                self.map(|context| context.with_address(address))
            }
        }
    };
}
pub(super) use actor_methods;

/// Adds `if_version` to a service.
macro_rules! version_methods {
    ($service:ident, $what:literal) => {
        impl $service {
            #[doc = concat!("Returns the service for changes of ", $what, " that has this [`Version`](crate::admin::Version).")]
            ///
            /// If it has another version, the change fails with [`ServiceError::Changed`](crate::admin::ServiceError::Changed). A call
            /// that changes no such record fails too.
            #[must_use]
            pub fn if_version(self, version: crate::domain::Version) -> Self {
                self.map(|context| context.if_version(version))
            }
        }
    };
}
pub(super) use version_methods;
