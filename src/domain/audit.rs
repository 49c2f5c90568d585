//! Audit events: who did what to what.

use super::{OwnerId, RoleId, Timestamp, TokenId, TokenKind};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Who did it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Actor {
    /// The program itself, by the Rust services.
    Service,
    /// A signed-in person.
    Person(OwnerId),
    /// A token.
    Token(TokenId),
    /// Somebody who is not known yet: who signs in, or accepts an invitation.
    Visitor,
    /// An owner or a token that the reader of the event may not know. Only what [`AuditLog`](crate::admin::AuditLog) answers with has it.
    Withheld,
}

/// Who did it, and from where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AuditOrigin {
    /// Who.
    pub actor: Actor,
    /// From where, if the server said.
    pub address: Option<IpAddr>,
}

/// What was done.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum AuditAction {
    /// An owner was created, by the program or as the first super admin.
    OwnerCreated,
    /// Somebody was invited: created, with an invitation to accept.
    OwnerInvited,
    /// Somebody who was invited before got a new invitation; the older one is dead.
    OwnerInvitedAgain,
    /// An invitation was withdrawn.
    InvitationWithdrawn,
    /// Somebody accepted their invitation.
    OwnerRegistered,
    /// An owner's e-mail address or names were changed.
    OwnerUpdated,
    /// An owner's state was set.
    OwnerStateSet,
    /// An owner's roles were set.
    OwnerRolesSet,
    /// An owner's password was set.
    PasswordSet,
    /// An owner was deleted.
    OwnerDeleted,
    /// A role was created.
    RoleCreated,
    /// A role's name or description was changed.
    RoleUpdated,
    /// A role's permissions were set.
    RolePermissionsSet,
    /// A permission of a role went with the action that it named.
    PermissionClamped,
    /// A role was deleted.
    RoleDeleted,
    /// A token was issued.
    TokenIssued,
    /// A token's name, description, grants or access were changed.
    TokenUpdated,
    /// A token got a new secret; the older one is dead.
    TokenRegenerated,
    /// A token's secret was shown again.
    TokenRevealed,
    /// A grant went, because its owner no longer holds it.
    GrantClamped,
    /// A token was revoked.
    TokenRevoked,
    /// Somebody signed in.
    SignedIn,
    /// Somebody signed out, or ended another session of theirs.
    SignedOut,
    /// Sign-ins failed, so many within a minute.
    SignInsFailed,
    /// How long events are kept was set.
    RetentionSet,
    /// Events that were too old were deleted.
    EventsDeleted,
    /// Roles, owners and tokens were taken over from another system.
    Imported,
}

impl AuditAction {
    /// Every one.
    pub const ALL: [Self; 27] = [
        Self::OwnerCreated,
        Self::OwnerInvited,
        Self::OwnerInvitedAgain,
        Self::InvitationWithdrawn,
        Self::OwnerRegistered,
        Self::OwnerUpdated,
        Self::OwnerStateSet,
        Self::OwnerRolesSet,
        Self::PasswordSet,
        Self::OwnerDeleted,
        Self::RoleCreated,
        Self::RoleUpdated,
        Self::RolePermissionsSet,
        Self::PermissionClamped,
        Self::RoleDeleted,
        Self::TokenIssued,
        Self::TokenUpdated,
        Self::TokenRegenerated,
        Self::TokenRevealed,
        Self::GrantClamped,
        Self::TokenRevoked,
        Self::SignedIn,
        Self::SignedOut,
        Self::SignInsFailed,
        Self::RetentionSet,
        Self::EventsDeleted,
        Self::Imported,
    ];
}

/// What it was done to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum AuditTarget {
    /// An owner.
    Owner(OwnerId),
    /// A role.
    Role(RoleId),
    /// A token of this kind.
    Token(TokenId, TokenKind),
    /// Nothing in particular: the installation.
    Installation,
    /// Something of this kind that the reader of the event may not know. Only what [`AuditLog`](crate::admin::AuditLog) answers with has it.
    Withheld(AuditTargetKind),
}

/// A kind of what an event was done to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum AuditTargetKind {
    /// An owner.
    User,
    /// A role.
    Role,
    /// An admin token.
    AdminToken,
    /// A content token.
    ApiToken,
    /// A session.
    Session,
    /// The installation.
    Installation,
}

impl AuditTargetKind {
    const ALL: [Self; 6] =
        [Self::User, Self::Role, Self::AdminToken, Self::ApiToken, Self::Session, Self::Installation];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Role => "role",
            Self::AdminToken => "admin-token",
            Self::ApiToken => "api-token",
            Self::Session => "session",
            Self::Installation => "installation",
        }
    }

    /// The kind of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl AuditTarget {
    /// Its kind.
    pub fn kind(self) -> AuditTargetKind {
        match self {
            Self::Owner(_) => AuditTargetKind::User,
            Self::Role(_) => AuditTargetKind::Role,
            Self::Token(_, TokenKind::Admin) => AuditTargetKind::AdminToken,
            Self::Token(_, TokenKind::Content) => AuditTargetKind::ApiToken,
            Self::Token(_, TokenKind::Session) => AuditTargetKind::Session,
            Self::Installation => AuditTargetKind::Installation,
            Self::Withheld(kind) => kind,
        }
    }
}

/// Which other change made this one necessary.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum AuditCause {
    /// The permissions of this role were set.
    RolePermissions(RoleId),
    /// The roles of this owner were set.
    OwnerRoles(OwnerId),
    /// This owner was deleted.
    OwnerDeleted(OwnerId),
    /// The catalogue no longer has the action.
    Catalogue,
    /// The catalogue calls an action, a subject or a field otherwise.
    Renamed,
}

/// One event. It holds ids and plain facts, never a secret or a digest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditEvent {
    /// When, by the store's clock.
    pub at: Timestamp,
    /// Who, and from where.
    pub origin: AuditOrigin,
    /// What.
    pub what: AuditAction,
    /// To what.
    pub target: AuditTarget,
    /// Why, where another change made it necessary.
    pub cause: Option<AuditCause>,
    /// Facts about it: what was before and what is after. Null where they are withheld from the reader.
    pub details: serde_json::Value,
}
