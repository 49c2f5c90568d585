//! Audit events: who did what to which target.

use super::{OwnerId, RoleId, Timestamp, TokenId, TokenKind};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;

/// The actor of a change: who did it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Actor {
    /// The host program itself, through the Rust services.
    Service,
    /// A signed-in person.
    Person(OwnerId),
    /// A token.
    Token(TokenId),
    /// A person who is not authenticated yet: during sign-in, or while accepting an invitation.
    Visitor,
    /// An owner or a token that the reader of the event may not know. Only results of
    /// [`AuditLog`](crate::admin::AuditLog) contain it.
    Withheld,
}

/// The actor of an event, the client's address, and the tool that was called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditOrigin {
    /// The actor.
    pub actor: Actor,
    /// The client's address, if the server reported one.
    pub address: Option<IpAddr>,
    /// The tool of an MCP server whose call caused the event: its name, or the method of another call.
    pub tool: Option<Arc<str>>,
}

/// The action that an event records.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum AuditAction {
    /// An owner was created, by the program or as the first super admin.
    OwnerCreated,
    /// A person was invited: an owner was created, with an invitation to accept.
    OwnerInvited,
    /// An invited person got a new invitation; the older one is invalid.
    OwnerInvitedAgain,
    /// An invitation was withdrawn.
    InvitationWithdrawn,
    /// A person accepted their invitation.
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
    /// A permission was removed from a role because the catalogue no longer has its action.
    PermissionClamped,
    /// A role was deleted.
    RoleDeleted,
    /// A token was issued.
    TokenIssued,
    /// A token's name, description, grants, access or limits were changed.
    TokenUpdated,
    /// A token got a new secret; the older one is invalid, or will be when its grace period ends.
    TokenRegenerated,
    /// The grace period of a token's previous secret was ended early.
    TokenGraceEnded,
    /// A secret of a token was used that was replaced and has ended: a sign of theft.
    TokenSecretReused,
    /// A token was refused to a client outside its networks.
    TokenNetworkRefused,
    /// A token's secret was shown to its owner.
    TokenRevealed,
    /// A grant was removed from a token because the owner no longer holds it.
    GrantClamped,
    /// A token was revoked.
    TokenRevoked,
    /// A token expires soon, or has expired. See [`Notices`](crate::admin::Notices).
    TokenExpiring,
    /// A token was not used for a long time. See [`Notices`](crate::admin::Notices).
    TokenIdle,
    /// A token was never used since it was issued. See [`Notices`](crate::admin::Notices).
    TokenUnused,
    /// A person signed in.
    SignedIn,
    /// A person signed out, or ended another of their sessions.
    SignedOut,
    /// Several sign-ins failed within a minute.
    SignInsFailed,
    /// The retention period of audit events was set.
    RetentionSet,
    /// Events older than the retention period were deleted.
    EventsDeleted,
    /// Roles, owners and tokens were imported from another system.
    Imported,
    /// A secret was reported as found in public. It stays valid.
    SecretLeaked,
}

impl AuditAction {
    /// All actions.
    pub const ALL: [Self; 34] = [
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
        Self::TokenGraceEnded,
        Self::TokenSecretReused,
        Self::TokenNetworkRefused,
        Self::TokenRevealed,
        Self::GrantClamped,
        Self::TokenRevoked,
        Self::TokenExpiring,
        Self::TokenIdle,
        Self::TokenUnused,
        Self::SignedIn,
        Self::SignedOut,
        Self::SignInsFailed,
        Self::RetentionSet,
        Self::EventsDeleted,
        Self::Imported,
        Self::SecretLeaked,
    ];
}

/// The target of an event.
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
    /// The installation as a whole.
    Installation,
    /// A target of this kind that the reader of the event may not know. Only results of
    /// [`AuditLog`](crate::admin::AuditLog) contain it.
    Withheld(AuditTargetKind),
}

/// The kind of an event's target.
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

    /// Returns the word for the kind, as in the API.
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

    /// Parses the word of a kind.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl AuditTarget {
    /// Returns the kind of the target.
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

/// The other change that made an event's change necessary.
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
    /// The host changed this owner, an account of its own.
    AccountChanged(OwnerId),
    /// The token that made it, this one, was revoked.
    ParentRevoked(TokenId),
    /// The secret of this token, which made it, was replaced or has ended.
    ParentRegenerated(TokenId),
    /// A secret was used that was replaced and has ended.
    SecretReused,
    /// The catalogue no longer has the action.
    Catalogue,
    /// The catalogue has another name for an action, a resource or a field.
    Renamed,
    /// The secret was reported as found in public.
    Leaked,
    /// The bearer of the secret asked for it, and presented the secret (RFC 7009).
    Bearer,
}

/// An audit event. It contains ids and plain facts, never a secret or a digest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditEvent {
    /// The time, by the store's clock.
    pub at: Timestamp,
    /// The actor and the client's address.
    pub origin: AuditOrigin,
    /// The action.
    pub what: AuditAction,
    /// The target.
    pub target: AuditTarget,
    /// The change that caused this one; `None` if there was none.
    pub cause: Option<AuditCause>,
    /// Facts about the change: values before and after. Null if they are withheld from the reader.
    pub details: serde_json::Value,
}
