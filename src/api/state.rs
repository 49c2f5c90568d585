//! The state that handlers share.

use super::failure::Failure;
use crate::admin::{AuditLog, Owners, Roles, ServiceError, Sessions, Tokens};
use crate::domain::{OwnerId, Permission, Role, RoleId, TokenKind};
use crate::guard::{Addresses, BodyReader, Caller};
use crate::keyward::Keyward;
use axum::body::Bytes;
use axum::extract::FromRef;
use std::collections::HashMap;
use std::sync::Arc;

/// The installation, and responses that are rendered once.
#[derive(Clone)]
pub(super) struct Api {
    pub(super) keyward: Keyward,
    /// All permissions that the catalogue names, for the super admin role.
    pub(super) everything: Arc<[Permission]>,
    pub(super) documents: Documents,
}

/// Response bodies that stay the same for the life of the process.
#[derive(Clone)]
pub(super) struct Documents {
    /// `GET /permissions`
    pub(super) catalogue: Bytes,
    /// `GET /openapi.json`
    pub(super) openapi: Bytes,
}

impl FromRef<Api> for Addresses {
    fn from_ref(api: &Api) -> Self {
        api.keyward.addresses().clone()
    }
}

impl FromRef<Api> for Keyward {
    fn from_ref(api: &Api) -> Self {
        api.keyward.clone()
    }
}

impl FromRef<Api> for BodyReader {
    fn from_ref(api: &Api) -> Self {
        api.keyward.bodies().clone()
    }
}

impl Api {
    pub(super) fn new(keyward: &Keyward, documents: Documents) -> Self {
        let everything = keyward.catalogue().cloned().unwrap_or_default().everything().into();
        Self { keyward: keyward.clone(), everything, documents }
    }

    pub(super) fn owners(&self, caller: &Caller) -> Owners {
        self.keyward.owners().acting_as(&caller.actor).from_address(caller.address)
    }

    pub(super) fn roles(&self, caller: &Caller) -> Roles {
        self.keyward.roles().acting_as(&caller.actor).from_address(caller.address)
    }

    pub(super) fn sessions(&self, caller: &Caller) -> Sessions {
        self.keyward.sessions().acting_as(&caller.actor).from_address(caller.address).on_device(&caller.device)
    }

    pub(super) fn tokens(&self, caller: &Caller, kind: TokenKind) -> Tokens {
        self.keyward.tokens().only(kind).acting_as(&caller.actor).from_address(caller.address)
    }

    pub(super) fn audit(&self, caller: &Caller) -> AuditLog {
        self.keyward.audit().acting_as(&caller.actor).from_address(caller.address)
    }

    /// Returns whether an owner is a super admin. The services check again in their transaction.
    pub(super) async fn is_super_admin(&self, id: OwnerId) -> Result<bool, Failure> {
        match self.keyward.owners().read(id).await {
            Ok(owner) => Ok(owner.is_super_admin()),
            Err(ServiceError::NotFound(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Loads all roles, which responses about users name.
    pub(super) async fn roles_by_id(&self) -> Result<HashMap<RoleId, Role>, Failure> {
        Ok(self.keyward.roles().list().await?.into_iter().map(|(role, _)| (role.id, role)).collect())
    }
}
