//! Owners' accounts in a store: profile, state, roles, password and invitations.

use super::{NewOwner, OwnerQuery, Page, Profile, StoreError};
use crate::domain::{
    AccountKey, AuditOrigin, Ceiling, Digest, Owner, OwnerId, OwnerState, PasswordHash, RoleId, Timestamp,
};
use async_trait::async_trait;

/// Reads accounts.
#[async_trait]
pub trait ReadAccounts {
    /// Returns the owner with this id.
    async fn owner(&mut self, id: OwnerId) -> Result<Option<Owner>, StoreError>;
    /// Returns the owner with this e-mail address, by its [comparable](crate::store::comparable()) form.
    async fn owner_with_email(&mut self, email: &str) -> Result<Option<OwnerId>, StoreError>;
    /// Returns the owner that is this account of the host.
    async fn owner_of_account(&mut self, key: &AccountKey) -> Result<Option<OwnerId>, StoreError>;
    /// Lists up to `limit` owners that are accounts of the host, by id, after this one.
    async fn accounts(&mut self, after: OwnerId, limit: u32) -> Result<Vec<Owner>, StoreError>;
    /// Lists the oldest reports of changed accounts after this one that the host wrote by SQL, up to `limit`: id and
    /// account key, as written. The default is a store without them.
    async fn reported_accounts(&mut self, after: i64, limit: u32) -> Result<Vec<(i64, String)>, StoreError> {
        _ = (after, limit);
        Ok(Vec::new())
    }
    /// Returns those of these e-mail addresses, in their [comparable](crate::store::comparable()) form, that belong to owners, in no
    /// order.
    async fn owners_by_email(&mut self, emails: &[&str]) -> Result<Vec<(String, OwnerId)>, StoreError>;
    /// Returns whether there is any person of keyward's own.
    async fn has_owners(&mut self) -> Result<bool, StoreError>;
    /// Lists a page of owners.
    async fn owners(&mut self, query: &OwnerQuery) -> Result<Page<Owner>, StoreError>;
    /// Lists those of these owners that exist, by id, each with its ceiling.
    async fn ceilings(&mut self, ids: &[OwnerId]) -> Result<Vec<(Owner, Ceiling)>, StoreError>;
    /// Returns an owner's ceiling; an empty one, if there is no such owner.
    async fn ceiling(&mut self, id: OwnerId) -> Result<Ceiling, StoreError>;
    /// Returns the number of active super admins other than this owner.
    async fn other_super_admins(&mut self, id: OwnerId) -> Result<u64, StoreError>;
    /// Returns whether an owner who is not a super admin, in whatever state, has a role of each of these lists. It may be one role
    /// that is in both.
    async fn roles_meet(&mut self, one: &[RoleId], other: &[RoleId]) -> Result<bool, StoreError>;
    /// Returns an owner's password hash, if the owner has a password.
    async fn password(&mut self, id: OwnerId) -> Result<Option<PasswordHash>, StoreError>;
    /// Returns the owner of the invitation with this digest, and when it expires.
    async fn invitation(&mut self, digest: &Digest) -> Result<Option<(OwnerId, Timestamp)>, StoreError>;
}

/// Writes accounts.
#[async_trait]
pub trait WriteAccounts {
    /// Adds an owner.
    async fn insert_owner(&mut self, owner: NewOwner) -> Result<OwnerId, StoreError>;
    /// Deletes these reports of changed accounts.
    async fn delete_account_reports(&mut self, ids: &[i64]) -> Result<(), StoreError> {
        _ = ids;
        Ok(())
    }
    /// Sets an owner's e-mail address and names. Of an account, the address need not be unique.
    async fn update_owner(&mut self, id: OwnerId, profile: &Profile) -> Result<(), StoreError>;
    /// Sets an owner's state.
    async fn set_owner_state(&mut self, id: OwnerId, state: OwnerState) -> Result<(), StoreError>;
    /// Replaces an owner's roles.
    async fn set_owner_roles(&mut self, id: OwnerId, roles: &[RoleId]) -> Result<(), StoreError>;
    /// Sets an owner's password.
    async fn set_password(&mut self, id: OwnerId, password: &PasswordHash) -> Result<(), StoreError>;
    /// Deletes an owner with the owner's tokens, sessions and invitations. For each admin token it adds an event
    /// [`AuditAction::TokenRevoked`](crate::admin::AuditAction::TokenRevoked) with the cause
    /// [`AuditCause::OwnerDeleted`](crate::admin::AuditCause::OwnerDeleted).
    async fn delete_owner(&mut self, id: OwnerId, origin: &AuditOrigin) -> Result<(), StoreError>;
    /// Replaces an owner's invitations by this one.
    async fn insert_invitation(&mut self, id: OwnerId, digest: &Digest, ends: Timestamp) -> Result<(), StoreError>;
    /// Deletes an owner's invitations, and returns how many there were.
    async fn delete_invitations(&mut self, id: OwnerId) -> Result<u64, StoreError>;
}
