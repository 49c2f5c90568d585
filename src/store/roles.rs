//! Roles in a store.

use super::{NewRole, StoreError};
use crate::domain::{Permission, Role, RoleId};
use async_trait::async_trait;

/// Reads roles.
#[async_trait]
pub trait ReadRoles {
    /// Returns the role with this id.
    async fn role(&mut self, id: RoleId) -> Result<Option<Role>, StoreError>;
    /// Returns the number of owners who have this role.
    async fn count_members(&mut self, id: RoleId) -> Result<u64, StoreError>;
    /// Lists every role by id, each with the number of owners who have it.
    async fn roles(&mut self) -> Result<Vec<(Role, u64)>, StoreError>;
    /// Returns the role with this name, by its [comparable](crate::store::comparable()) form.
    async fn role_with_name(&mut self, name: &str) -> Result<Option<RoleId>, StoreError>;
}

/// Writes roles.
#[async_trait]
pub trait WriteRoles {
    /// Adds a role.
    async fn insert_role(&mut self, role: NewRole) -> Result<RoleId, StoreError>;
    /// Sets a role's name and description.
    async fn update_role(&mut self, id: RoleId, name: &str, description: &str) -> Result<(), StoreError>;
    /// Replaces a role's permissions.
    async fn set_permissions(&mut self, id: RoleId, permissions: &[Permission]) -> Result<(), StoreError>;
    /// Deletes a role that has no members and is not the super admin role.
    async fn delete_role(&mut self, id: RoleId) -> Result<(), StoreError>;
}
