//! Audit events: who did what to what.

use super::{Kind, OwnerId, RoleId, Timestamp, TokenId};
use serde::{Deserialize, Serialize};

/// Who did it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Doer {
    /// The program itself, by the Rust services.
    Service,
    /// A signed-in person.
    Person(OwnerId),
    /// A token.
    Token(TokenId),
}

/// What was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum What {
    /// An owner was created.
    OwnerCreated,
    /// An owner's state was set.
    OwnerStateSet,
    /// An owner's roles were set.
    OwnerRolesSet,
    /// A role was created.
    RoleCreated,
    /// A role's permissions were set.
    RolePermissionsSet,
    /// A token was issued.
    TokenIssued,
    /// A token was revoked.
    TokenRevoked,
}

impl What {
    /// The word in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OwnerCreated => "owner-created",
            Self::OwnerStateSet => "owner-state-set",
            Self::OwnerRolesSet => "owner-roles-set",
            Self::RoleCreated => "role-created",
            Self::RolePermissionsSet => "role-permissions-set",
            Self::TokenIssued => "token-issued",
            Self::TokenRevoked => "token-revoked",
        }
    }
}

/// What it was done to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// An owner.
    Owner(OwnerId),
    /// A role.
    Role(RoleId),
    /// A token of this kind.
    Token(TokenId, Kind),
}

/// One event. It holds ids and plain facts, never a secret or a digest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditEvent {
    /// When, by the store's clock.
    pub at: Timestamp,
    /// Who.
    pub doer: Doer,
    /// What.
    pub what: What,
    /// To what.
    pub target: Target,
    /// Facts about it.
    pub details: serde_json::Value,
}
