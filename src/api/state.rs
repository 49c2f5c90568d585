//! What the routes work with.

use super::failure::Failure;
use crate::admin::{AuditLog, Owners, Roles, ServiceError, Sessions, Tokens};
use crate::domain::{Conditions, OwnerId, Permission, Role, RoleId};
use crate::guard::{Addresses, BodyReader, Gate};
use crate::keyward::Keyward;
use axum::body::Bytes;
use axum::extract::FromRef;
use std::collections::HashMap;
use std::sync::Arc;

/// The services, for nobody in particular, and what never changes.
#[derive(Clone)]
pub(super) struct Api {
    pub(super) owners: Owners,
    pub(super) roles: Roles,
    pub(super) sessions: Sessions,
    pub(super) tokens: Tokens,
    pub(super) events: AuditLog,
    pub(super) addresses: Addresses,
    pub(super) bodies: BodyReader,
    pub(super) conditions: Conditions,
    /// What the role without a ceiling allows, as far as it has names.
    pub(super) everything: Arc<[Permission]>,
    /// The answer to `GET /admin/permissions`.
    pub(super) catalogue: Bytes,
    /// The answer to `GET /admin/openapi.json`.
    pub(super) document: Bytes,
    pub(super) gate: Arc<Gate>,
}

impl FromRef<Api> for Addresses {
    fn from_ref(api: &Api) -> Self {
        api.addresses.clone()
    }
}

impl FromRef<Api> for BodyReader {
    fn from_ref(api: &Api) -> Self {
        api.bodies.clone()
    }
}

impl Api {
    pub(super) fn new(keyward: &Keyward) -> Self {
        let catalogue = keyward.catalogue().cloned().unwrap_or_default();
        Self {
            owners: keyward.owners(),
            roles: keyward.roles(),
            sessions: keyward.sessions(),
            tokens: keyward.tokens(),
            events: keyward.audit(),
            addresses: keyward.addresses().clone(),
            bodies: keyward.bodies().clone(),
            conditions: keyward.conditions().clone(),
            catalogue: super::catalogue::rendered(&catalogue, keyward.conditions()),
            everything: catalogue.everything().into(),
            document: super::openapi::rendered(),
            gate: keyward.gate().clone(),
        }
    }

    /// Whether somebody has no ceiling. The services ask again, in the transaction.
    pub(super) async fn is_super_admin(&self, id: OwnerId) -> Result<bool, Failure> {
        match self.owners.read(id).await {
            Ok(owner) => Ok(owner.is_super_admin()),
            Err(ServiceError::NotFound(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Every role, to show those of users with their names.
    pub(super) async fn roles_by_id(&self) -> Result<HashMap<RoleId, Role>, Failure> {
        Ok(self.roles.list().await?.into_iter().map(|(role, _)| (role.id, role)).collect())
    }
}
