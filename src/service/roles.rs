//! Roles: the sets of permissions that bound owners.

use super::ServiceError;
use super::error::named;
use super::write::{Change, Draft};
use crate::domain::{Permission, Role, RoleId, Tag, Target, What};
use crate::store::NewRole;
use serde_json::json;

/// Changes roles. Made by [`Keyward::roles`](crate::Keyward::roles).
#[derive(Clone, Debug)]
pub struct Roles(pub(super) Change);

impl Roles {
    /// Adds a role.
    ///
    /// # Errors
    /// If the name is empty or taken, or a condition is not registered.
    pub async fn create(&self, new: NewRole) -> Result<Role, ServiceError> {
        let name = named("name", &new.name)?;
        self.check(&new.permissions)?;
        self.0
            .make(move |draft| {
                Box::pin(async move {
                    if draft.tx.role_name_taken(&name).await? {
                        return Err(ServiceError::invalid("name", "is taken already"));
                    }
                    let id = draft.tx.insert_role(NewRole { name, ..new }).await?;
                    draft.touch(Tag::role(id));
                    draft.audit(What::RoleCreated, Target::Role(id), json!({})).await?;
                    found(draft, id).await
                })
            })
            .await
    }

    /// Replaces what a role allows. Tokens of its members follow at once: what the role no longer holds, they no longer may.
    ///
    /// # Errors
    /// If there is no such role, a condition is not registered, or it is the super admin role, which has no permissions of its own.
    pub async fn set_permissions(&self, id: RoleId, permissions: Vec<Permission>) -> Result<Role, ServiceError> {
        if id == RoleId::SUPER_ADMIN {
            return Err(ServiceError::invalid("id", "the super admin role has no ceiling: nothing can be set"));
        }
        self.check(&permissions)?;
        self.0
            .make(move |draft| {
                Box::pin(async move {
                    let before = found(draft, id).await?;
                    draft.tx.set_permissions(id, &permissions).await?;
                    draft.touch(Tag::role(id));
                    let details = json!({"before": before.permissions.len(), "after": permissions.len()});
                    draft.audit(What::RolePermissionsSet, Target::Role(id), details).await?;
                    found(draft, id).await
                })
            })
            .await
    }

    fn check(&self, permissions: &[Permission]) -> Result<(), ServiceError> {
        permissions.iter().enumerate().try_for_each(|(i, p)| self.0.known(&format!("permissions.{i}"), &p.when))
    }
}

async fn found(draft: &mut Draft, id: RoleId) -> Result<Role, ServiceError> {
    draft.tx.role(id).await?.ok_or(ServiceError::NotFound("role"))
}
