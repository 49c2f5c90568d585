//! Labels of audit actions and causes.

use crate::domain::{AuditAction, AuditCause, AuditTarget, TokenKind};
use serde::de::IntoDeserializer;
use serde::de::value::{Error as UnknownWord, StrDeserializer};

pub(super) fn parse_action(word: &str) -> Option<AuditAction> {
    let word: StrDeserializer<'_, UnknownWord> = word.into_deserializer();
    serde::Deserialize::deserialize(word).ok()
}

/// Returns the word of an action in addresses.
pub(super) fn action_word(action: AuditAction) -> String {
    serde_json::to_value(action).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

pub(super) fn action_label(action: AuditAction) -> &'static str {
    match action {
        AuditAction::OwnerCreated => "User created",
        AuditAction::OwnerInvited => "User invited",
        AuditAction::OwnerInvitedAgain => "User invited again",
        AuditAction::InvitationWithdrawn => "Invitation withdrawn",
        AuditAction::OwnerRegistered => "Invitation accepted",
        AuditAction::OwnerUpdated => "User's profile changed",
        AuditAction::OwnerStateSet => "User's account activated, deactivated or blocked",
        AuditAction::OwnerRolesSet => "User's roles changed",
        AuditAction::PasswordSet => "Password changed",
        AuditAction::OwnerDeleted => "User deleted",
        AuditAction::RoleCreated => "Role created",
        AuditAction::RoleUpdated => "Role's name or description changed",
        AuditAction::RolePermissionsSet => "Role's permissions changed",
        AuditAction::PermissionClamped => "Permission removed from a role",
        AuditAction::RoleDeleted => "Role deleted",
        AuditAction::TokenIssued => "Token created",
        AuditAction::TokenUpdated => "Token changed",
        AuditAction::TokenRegenerated => "Token regenerated",
        AuditAction::TokenGraceEnded => "Previous key ended",
        AuditAction::TokenSecretReused => "Replaced key used",
        AuditAction::TokenNetworkRefused => "Rejected outside its networks",
        AuditAction::TokenRevealed => "Token's key viewed",
        AuditAction::GrantClamped => "Permission removed from a token",
        AuditAction::TokenRevoked => "Token deleted",
        AuditAction::TokenExpiring => "Token expires soon",
        AuditAction::TokenIdle => "Token not used for a long time",
        AuditAction::TokenUnused => "Token never used",
        AuditAction::SignedIn => "Signed in",
        AuditAction::SignedOut => "Signed out",
        AuditAction::SignInsFailed => "Sign-ins failed",
        AuditAction::RetentionSet => "Retention of events changed",
        AuditAction::EventsDeleted => "Old events deleted",
        AuditAction::Imported => "Data imported",
        AuditAction::SecretLeaked => "Key found in public",
    }
}

/// Returns the label of a cause, and the role or user that it names.
pub(super) fn describe_cause(cause: AuditCause) -> (&'static str, Option<AuditTarget>) {
    match cause {
        AuditCause::RolePermissions(id) => (action_label(AuditAction::RolePermissionsSet), Some(AuditTarget::Role(id))),
        AuditCause::OwnerRoles(id) => (action_label(AuditAction::OwnerRolesSet), Some(AuditTarget::Owner(id))),
        AuditCause::OwnerDeleted(id) => (action_label(AuditAction::OwnerDeleted), Some(AuditTarget::Owner(id))),
        AuditCause::AccountChanged(id) => ("The account was changed", Some(AuditTarget::Owner(id))),
        AuditCause::Catalogue => ("The service removed the action", None),
        AuditCause::Renamed => ("The service renamed the action", None),
        AuditCause::ParentRevoked(id) => {
            ("The token that made it was revoked", Some(AuditTarget::Token(id, TokenKind::Admin)))
        }
        AuditCause::ParentRegenerated(id) => {
            ("The key that made it was replaced", Some(AuditTarget::Token(id, TokenKind::Admin)))
        }
        AuditCause::SecretReused => ("A replaced key was used", None),
        AuditCause::Leaked => ("The key was found in public", None),
        AuditCause::Bearer => ("Its bearer asked for it, with the secret", None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_action_has_its_own_label_and_word() {
        let all = AuditAction::ALL;
        assert_eq!(all.into_iter().map(action_label).collect::<HashSet<_>>().len(), all.len());
        assert!(all.into_iter().all(|action| parse_action(&action_word(action)) == Some(action)));
    }
}
