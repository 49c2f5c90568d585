//! Mutations of roles.

use super::UnitOfWork;
use crate::admin::{ServiceError, audit_details, roles::load_role};
use crate::domain::{AuditAction, AuditCause, AuditTarget, Permission, Role, Tag};
use crate::store::{Clamp, Clamped, NewRole};
use serde_json::{Value, json};

impl UnitOfWork<'_> {
    pub(in crate::admin) async fn create_role(&mut self, new: NewRole) -> Result<Role, ServiceError> {
        let details = json!({"name": new.name, "permissions": audit_details::permissions(&new.permissions)});
        let id = self.tx.insert_role(new).await?;
        self.invalidate(Tag::role(id));
        self.audit(AuditAction::RoleCreated, AuditTarget::Role(id), details).await?;
        load_role(&mut *self.tx, id).await
    }

    /// Sets a role's name and description, if they differ. Principals hold neither: none becomes stale.
    pub(in crate::admin) async fn describe_role(
        &mut self,
        before: &Role,
        name: &str,
        description: &str,
    ) -> Result<(), ServiceError> {
        let details = audit_details::changes([
            ("name", json!(before.name), json!(name)),
            ("description", json!(before.description), json!(description)),
        ]);
        if details.is_empty() {
            return Ok(());
        }
        self.tx.update_role(before.id, name, description).await?;
        self.audit(AuditAction::RoleUpdated, AuditTarget::Role(before.id), Value::Object(details)).await
    }

    /// Sets a role's permissions, and clamps its members' tokens.
    pub(in crate::admin) async fn set_role_permissions(
        &mut self,
        before: &Role,
        permissions: &[Permission],
    ) -> Result<Clamped, ServiceError> {
        let (id, origin) = (before.id, self.origin.clone());
        self.replace_permissions(before, permissions, None).await?;
        Ok(self.tx.clamp(Clamp::Members(id), &origin, AuditCause::RolePermissions(id)).await?)
    }

    /// Sets a role's permissions to the same ones under the names that the catalogue has now.
    pub(in crate::admin) async fn rename_role_permissions(
        &mut self,
        before: &Role,
        permissions: &[Permission],
    ) -> Result<(), ServiceError> {
        self.replace_permissions(before, permissions, Some(AuditCause::Renamed)).await
    }

    async fn replace_permissions(
        &mut self,
        before: &Role,
        permissions: &[Permission],
        cause: Option<AuditCause>,
    ) -> Result<(), ServiceError> {
        let id = before.id;
        self.tx.set_permissions(id, permissions).await?;
        self.invalidate(Tag::role(id));
        let (before, after) =
            (audit_details::permissions(&before.permissions), audit_details::permissions(permissions));
        let details = json!({"before": before, "after": after});
        self.audit_with_cause(cause, AuditAction::RolePermissionsSet, AuditTarget::Role(id), details).await
    }

    pub(in crate::admin) async fn delete_role(&mut self, role: &Role) -> Result<(), ServiceError> {
        self.tx.delete_role(role.id).await?;
        self.invalidate(Tag::role(role.id));
        let details = json!({"name": role.name, "permissions": audit_details::permissions(&role.permissions)});
        self.audit(AuditAction::RoleDeleted, AuditTarget::Role(role.id), details).await
    }
}
