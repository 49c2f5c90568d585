//! Owners and roles.

use super::{OwnerId, Permission, RoleId};
use serde::{Deserialize, Serialize};

/// A named set of permissions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Role {
    /// Its id.
    pub id: RoleId,
    /// Unique.
    pub name: String,
    /// Free text.
    pub description: String,
    /// What it allows. Empty for the super admin role, which has no ceiling.
    pub permissions: Vec<Permission>,
}

/// Where an owner's account stands. Only an `Active` owner's tokens are admitted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OwnerState {
    /// Has not accepted the invitation yet.
    Invited,
    /// May sign in; their tokens work.
    Active,
    /// Switched off, for a while or for good. Tokens are kept and work again after reactivation; sessions do not.
    Deactivated,
    /// Shut out; like `Deactivated`, by another decision.
    Blocked,
}

impl OwnerState {
    /// Whether tokens of an owner in this state are admitted.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Active)
    }
}

/// An admin user, as far as the gate needs to know one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Owner {
    /// Their id.
    pub id: OwnerId,
    /// Unique, compared without case.
    pub email: String,
    /// First name; may be empty.
    pub firstname: String,
    /// Last name; may be empty.
    pub lastname: String,
    /// Where the account stands.
    pub state: OwnerState,
    /// Their roles, ascending.
    pub roles: Vec<RoleId>,
}

impl Owner {
    /// Whether one of the roles is the one without a ceiling.
    pub fn is_super_admin(&self) -> bool {
        self.roles.contains(&RoleId::SUPER_ADMIN)
    }
}
