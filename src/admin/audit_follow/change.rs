//! Audit events as typed values.

use super::Cursor;
use crate::domain::{
    Action, AuditAction, AuditEvent, AuditTarget, OwnerId, OwnerState, Resource, RoleId, Timestamp, TokenId, TokenKind,
    date,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;

/// An event of the audit log, with its position.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct LifecycleEvent {
    /// The id. Ids ascend in the order of commits, with gaps.
    pub id: i64,
    /// The position after this event. Store it once the event is handled.
    pub cursor: Cursor,
    /// The change, for programs to match on.
    pub change: LifecycleChange,
    /// The event as it is in the log: actor, address, time, cause and details.
    pub event: AuditEvent,
}

/// A change that an audit event records.
///
/// Facts that an event does not have, because an earlier version wrote it, are `None` or empty.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum LifecycleChange {
    /// A token was issued or adopted. A session that was opened by the host is one of them.
    TokenIssued {
        /// The token.
        token: EventToken,
        /// The expiry; `None` if it does not expire.
        expires_at: Option<Timestamp>,
    },
    /// A token's name, description, metadata, grants, access or limits were changed.
    TokenUpdated {
        /// The token, without owner. It has the new name if that was changed, and else none.
        token: EventToken,
        /// The words for the parts that changed: `name`, `description`, `metadata`, `grants`, `access`, `limits`,
        /// and `expiresAt` of a child token whose parent was regenerated.
        fields: Vec<String>,
    },
    /// A token got a new secret.
    TokenRegenerated {
        /// The token, without owner.
        token: EventToken,
    },
    /// The previous secret of a token was ended before its grace period was over.
    TokenGraceEnded {
        /// The token, without owner.
        token: EventToken,
    },
    /// A secret that was replaced and has ended was presented: a sign of theft. At most once a minute for each token and node.
    TokenSecretReused {
        /// The token.
        token: EventToken,
    },
    /// A token was rejected because the client was in none of its networks. At most once a minute for each token and node.
    TokenNetworkRefused {
        /// The token.
        token: EventToken,
    },
    /// A secret of a token was reported as found in public, and the token was not revoked.
    SecretLeaked {
        /// The token.
        token: EventToken,
    },
    /// A token's secret was shown to its owner.
    TokenRevealed {
        /// The token, without owner.
        token: EventToken,
    },
    /// A token was revoked. If its owner was deleted, that is the [cause](AuditEvent::cause).
    TokenRevoked {
        /// The token.
        token: EventToken,
    },
    /// A token lost a grant that its owner no longer holds. The [cause](AuditEvent::cause) is the change of the owner.
    GrantClamped {
        /// The token, without name and owner.
        token: EventToken,
        /// The action of the grant.
        action: Action,
        /// The resource of the grant.
        resource: Option<Resource>,
        /// The fields of the grant; `None` for all.
        fields: Option<Vec<String>>,
    },
    /// A token expires soon, or has expired. See [`Notices`](crate::admin::Notices).
    TokenExpiring {
        /// The token.
        token: EventToken,
        /// The expiry. It may have passed, if no node ran for some time.
        expires_at: Timestamp,
        /// The time before the expiry at which this notice is due: 7, 3 or 1 days, unless
        /// [set otherwise](crate::admin::Notices::before_expiry).
        lead_time: Duration,
    },
    /// A token was not used for a long time. See [`Notices`](crate::admin::Notices).
    TokenIdle {
        /// The token.
        token: EventToken,
        /// The last use.
        last_used_at: Timestamp,
    },
    /// A token was never used since it was issued. See [`Notices`](crate::admin::Notices).
    TokenUnused {
        /// The token.
        token: EventToken,
        /// The time of issue.
        created_at: Timestamp,
    },
    /// An owner was created.
    OwnerCreated(OwnerId),
    /// A person was invited, for the first time or again.
    OwnerInvited(OwnerId),
    /// A person accepted their invitation.
    OwnerRegistered(OwnerId),
    /// An owner's e-mail address or names were changed.
    OwnerUpdated {
        /// The owner.
        owner: OwnerId,
        /// The words for the parts that changed: `email`, `firstname`, `lastname`, `username`, `name`.
        fields: Vec<String>,
    },
    /// An owner was deactivated or blocked: its tokens are rejected.
    OwnerSuspended {
        /// The owner.
        owner: OwnerId,
        /// The state since then.
        state: OwnerState,
    },
    /// A suspended owner is active again.
    OwnerActivated(OwnerId),
    /// An owner's roles were set. Grants that its tokens lost by that have events of their own.
    OwnerRolesSet {
        /// The owner.
        owner: OwnerId,
        /// The roles before.
        before: Vec<RoleId>,
        /// The roles since then.
        after: Vec<RoleId>,
    },
    /// An owner was deleted. Its tokens have events of their own.
    OwnerDeleted(OwnerId),
    /// A role was created.
    RoleCreated(RoleId),
    /// A role's name, description or permissions were changed.
    RoleChanged(RoleId),
    /// A role was deleted.
    RoleDeleted(RoleId),
    /// A person signed in.
    SignedIn {
        /// The session.
        session: TokenId,
        /// The person.
        owner: Option<OwnerId>,
    },
    /// A session ended because its person signed out or opened too many sessions.
    SignedOut {
        /// The session.
        session: TokenId,
        /// The person.
        owner: Option<OwnerId>,
    },
    /// Sign-ins failed within a minute.
    SignInsFailed {
        /// The number of failed sign-ins.
        count: u64,
    },
    /// Any other change, or one that is withheld from the actor: [`AuditEvent::what`] has the action.
    Other,
}

/// The token that an event is about, as it was then.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct EventToken {
    /// The id.
    pub id: TokenId,
    /// The kind.
    pub kind: TokenKind,
    /// The owner, if the event names it. Content tokens have none.
    pub owner: Option<OwnerId>,
    /// The name, if the event has it.
    pub name: Option<String>,
}

impl LifecycleEvent {
    pub(super) fn new(id: i64, cursor: Cursor, event: AuditEvent) -> Self {
        Self { id, cursor, change: LifecycleChange::of(&event), event }
    }
}

impl LifecycleChange {
    fn of(event: &AuditEvent) -> Self {
        let details = EventDetails(&event.details);
        // The details of a withheld event are null. Some of the others have none.
        let change = match event.target {
            AuditTarget::Token(id, TokenKind::Session) => details.of_session(event.what, id),
            AuditTarget::Token(id, kind) => details.of_token(event.what, id, kind),
            AuditTarget::Owner(id) => details.of_owner(event.what, id),
            AuditTarget::Role(id) => of_role(event.what, id),
            AuditTarget::Installation => match event.what {
                AuditAction::SignInsFailed => details.read("count").map(|count| Self::SignInsFailed { count }),
                _ => None,
            },
            AuditTarget::Withheld(_) => None,
        };
        change.unwrap_or(Self::Other)
    }
}

/// The details of an event.
#[derive(Clone, Copy)]
struct EventDetails<'a>(&'a Value);

impl EventDetails<'_> {
    fn read<T: DeserializeOwned>(self, name: &str) -> Option<T> {
        T::deserialize(self.0.get(name)?).ok()
    }

    fn time(self, name: &str) -> Option<Timestamp> {
        self.0.get(name).and_then(Value::as_str).and_then(date::parse)
    }

    /// Returns the names of the members: of a change, the parts that changed.
    fn names(self) -> Vec<String> {
        self.0.as_object().map(|members| members.keys().cloned().collect()).unwrap_or_default()
    }

    fn of_token(self, what: AuditAction, id: TokenId, kind: TokenKind) -> Option<LifecycleChange> {
        // The name is a text, or a change of it.
        let name = self.read("name").or_else(|| EventDetails(self.0.get("name")?).read("after"));
        let token = EventToken { id, kind, owner: self.read("owner"), name };
        Some(match what {
            AuditAction::TokenIssued => LifecycleChange::TokenIssued { token, expires_at: self.time("expiresAt") },
            AuditAction::TokenUpdated => LifecycleChange::TokenUpdated { token, fields: self.names() },
            AuditAction::TokenRegenerated => LifecycleChange::TokenRegenerated { token },
            AuditAction::TokenGraceEnded => LifecycleChange::TokenGraceEnded { token },
            AuditAction::TokenSecretReused => LifecycleChange::TokenSecretReused { token },
            AuditAction::TokenNetworkRefused => LifecycleChange::TokenNetworkRefused { token },
            AuditAction::SecretLeaked => LifecycleChange::SecretLeaked { token },
            AuditAction::TokenRevealed => LifecycleChange::TokenRevealed { token },
            AuditAction::TokenRevoked => LifecycleChange::TokenRevoked { token },
            AuditAction::GrantClamped => LifecycleChange::GrantClamped {
                token,
                action: self.read("action")?,
                resource: self.read("subject"),
                fields: self.read("fields"),
            },
            AuditAction::TokenExpiring => LifecycleChange::TokenExpiring {
                token,
                expires_at: self.time("expiresAt")?,
                lead_time: self.read("leadTime").map(Duration::from_millis)?,
            },
            AuditAction::TokenIdle => LifecycleChange::TokenIdle { token, last_used_at: self.time("lastUsedAt")? },
            AuditAction::TokenUnused => LifecycleChange::TokenUnused { token, created_at: self.time("createdAt")? },
            _ => return None,
        })
    }

    fn of_session(self, what: AuditAction, session: TokenId) -> Option<LifecycleChange> {
        let owner = self.read("owner");
        match what {
            AuditAction::SignedIn => Some(LifecycleChange::SignedIn { session, owner }),
            AuditAction::SignedOut => Some(LifecycleChange::SignedOut { session, owner }),
            what => self.of_token(what, session, TokenKind::Session),
        }
    }

    fn of_owner(self, what: AuditAction, owner: OwnerId) -> Option<LifecycleChange> {
        Some(match what {
            AuditAction::OwnerCreated => LifecycleChange::OwnerCreated(owner),
            AuditAction::OwnerInvited | AuditAction::OwnerInvitedAgain => LifecycleChange::OwnerInvited(owner),
            AuditAction::OwnerRegistered => LifecycleChange::OwnerRegistered(owner),
            AuditAction::OwnerUpdated => LifecycleChange::OwnerUpdated { owner, fields: self.names() },
            AuditAction::OwnerStateSet => match self.read("after")? {
                OwnerState::Active => LifecycleChange::OwnerActivated(owner),
                state => LifecycleChange::OwnerSuspended { owner, state },
            },
            AuditAction::OwnerRolesSet => {
                LifecycleChange::OwnerRolesSet { owner, before: self.read("before")?, after: self.read("after")? }
            }
            AuditAction::OwnerDeleted => LifecycleChange::OwnerDeleted(owner),
            _ => return None,
        })
    }
}

fn of_role(what: AuditAction, role: RoleId) -> Option<LifecycleChange> {
    Some(match what {
        AuditAction::RoleCreated => LifecycleChange::RoleCreated(role),
        AuditAction::RoleUpdated | AuditAction::RolePermissionsSet | AuditAction::PermissionClamped => {
            LifecycleChange::RoleChanged(role)
        }
        AuditAction::RoleDeleted => LifecycleChange::RoleDeleted(role),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Actor, AuditOrigin, AuditTargetKind};
    use serde_json::json;

    fn change(what: AuditAction, target: AuditTarget, details: Value) -> LifecycleChange {
        let origin = AuditOrigin { actor: Actor::Service, address: None, tool: None };
        LifecycleChange::of(&AuditEvent { at: Timestamp(1), origin, what, target, cause: None, details })
    }

    fn token(owner: Option<i64>, name: Option<&str>) -> EventToken {
        let (id, kind) = (TokenId(4), TokenKind::Admin);
        EventToken { id, kind, owner: owner.map(OwnerId), name: name.map(str::to_owned) }
    }

    #[test]
    fn events_have_typed_facts() {
        let (of_token, of_owner) = (AuditTarget::Token(TokenId(4), TokenKind::Admin), AuditTarget::Owner(OwnerId(7)));
        let session = AuditTarget::Token(TokenId(9), TokenKind::Session);
        for (what, target, details, expected) in [
            (
                AuditAction::TokenIssued,
                of_token,
                json!({"name": "ci", "owner": 7, "expiresAt": "1970-01-01T00:00:01.000Z", "lifespan": 1}),
                LifecycleChange::TokenIssued { token: token(Some(7), Some("ci")), expires_at: Some(Timestamp(1_000)) },
            ),
            (
                AuditAction::TokenUpdated,
                of_token,
                json!({"name": {"before": "ci", "after": "cd"}, "grants": {"before": [], "after": []}}),
                LifecycleChange::TokenUpdated {
                    token: token(None, Some("cd")),
                    fields: vec!["grants".into(), "name".into()],
                },
            ),
            (
                AuditAction::TokenSecretReused,
                of_token,
                json!({"name": "ci", "owner": 7}),
                LifecycleChange::TokenSecretReused { token: token(Some(7), Some("ci")) },
            ),
            (
                AuditAction::GrantClamped,
                of_token,
                json!({"action": "read", "subject": "article", "fields": ["title"]}),
                LifecycleChange::GrantClamped {
                    token: token(None, None),
                    action: Action::new("read"),
                    resource: Some(Resource::new("article")),
                    fields: Some(vec!["title".into()]),
                },
            ),
            (
                AuditAction::TokenExpiring,
                of_token,
                json!({"name": "ci", "owner": 7, "expiresAt": "1970-01-02", "leadTime": 86_400_000}),
                LifecycleChange::TokenExpiring {
                    token: token(Some(7), Some("ci")),
                    expires_at: Timestamp(86_400_000),
                    lead_time: Duration::from_secs(86_400),
                },
            ),
            (
                AuditAction::OwnerStateSet,
                of_owner,
                json!({"before": "active", "after": "deactivated-and-blocked"}),
                LifecycleChange::OwnerSuspended { owner: OwnerId(7), state: OwnerState::DeactivatedAndBlocked },
            ),
            (
                AuditAction::OwnerStateSet,
                of_owner,
                json!({"before": "blocked", "after": "active"}),
                LifecycleChange::OwnerActivated(OwnerId(7)),
            ),
            (
                AuditAction::OwnerRolesSet,
                of_owner,
                json!({"before": [1, 2], "after": []}),
                LifecycleChange::OwnerRolesSet { owner: OwnerId(7), before: vec![RoleId(1), RoleId(2)], after: vec![] },
            ),
            (
                AuditAction::SignedIn,
                session,
                json!({"owner": 7}),
                LifecycleChange::SignedIn { session: TokenId(9), owner: Some(OwnerId(7)) },
            ),
            (
                AuditAction::SignInsFailed,
                AuditTarget::Installation,
                json!({"count": 3}),
                LifecycleChange::SignInsFailed { count: 3 },
            ),
        ] {
            assert_eq!(change(what, target, details), expected);
        }
    }

    #[test]
    fn withheld_and_unknown_facts_are_left_out() {
        let withheld = AuditTarget::Withheld(AuditTargetKind::AdminToken);
        assert_eq!(change(AuditAction::TokenIssued, withheld, Value::Null), LifecycleChange::Other);
        assert_eq!(change(AuditAction::RetentionSet, AuditTarget::Installation, json!({})), LifecycleChange::Other);
        let of_token = AuditTarget::Token(TokenId(4), TokenKind::Admin);
        assert_eq!(change(AuditAction::TokenExpiring, of_token, json!({"name": "ci"})), LifecycleChange::Other);
        let revoked = LifecycleChange::TokenRevoked { token: token(None, None) };
        assert_eq!(change(AuditAction::TokenRevoked, of_token, json!({})), revoked);
    }
}
