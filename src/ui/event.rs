//! Kinds of event, in words.

use crate::domain::{Actor, AuditAction, AuditCause, AuditEvent, AuditTarget};
use serde::Deserializer;
use serde::de::value::{Error as NoWord, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer, Visitor};

/// Every kind of event, as the enum itself lists them.
pub(super) fn kinds() -> Vec<AuditAction> {
    let mut words = Words(&[]);
    // It fails, having said which words there are.
    let _ = <AuditAction as serde::Deserialize>::deserialize(&mut words);
    words.0.iter().filter_map(|word| kind(word)).collect()
}

/// The kind of event with this word.
pub(super) fn kind<K: DeserializeOwned>(word: &str) -> Option<K> {
    let word: StrDeserializer<'_, NoWord> = word.into_deserializer();
    K::deserialize(word).ok()
}

/// The word of a kind of event.
pub(super) fn word(what: AuditAction) -> String {
    serde_json::to_value(what).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Takes down the words of an enum.
struct Words(&'static [&'static str]);

impl<'de> Deserializer<'de> for &mut Words {
    type Error = NoWord;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, NoWord> {
        Err(serde::de::Error::custom("no value"))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, NoWord> {
        self.0 = words;
        self.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct
        seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// What people call a kind of event.
pub(super) fn title(what: AuditAction) -> &'static str {
    match what {
        AuditAction::OwnerCreated => "User created",
        AuditAction::OwnerInvited => "User invited",
        AuditAction::OwnerInvitedAgain => "User invited again",
        AuditAction::InvitationWithdrawn => "Invitation withdrawn",
        AuditAction::OwnerRegistered => "Invitation accepted",
        AuditAction::OwnerUpdated => "User's profile changed",
        AuditAction::OwnerStateSet => "User's account switched or blocked",
        AuditAction::OwnerRolesSet => "User's roles changed",
        AuditAction::PasswordSet => "Password changed",
        AuditAction::OwnerDeleted => "User deleted",
        AuditAction::RoleCreated => "Role created",
        AuditAction::RoleUpdated => "Role's name or description changed",
        AuditAction::RolePermissionsSet => "Role's permissions changed",
        AuditAction::PermissionClamped => "Permission taken from a role",
        AuditAction::RoleDeleted => "Role deleted",
        AuditAction::TokenIssued => "Token created",
        AuditAction::TokenUpdated => "Token changed",
        AuditAction::TokenRegenerated => "Token regenerated",
        AuditAction::TokenRevealed => "Token's key looked at",
        AuditAction::GrantClamped => "Permission taken from a token",
        AuditAction::TokenRevoked => "Token deleted",
        AuditAction::SignedIn => "Signed in",
        AuditAction::SignedOut => "Signed out",
        AuditAction::SignInsFailed => "Sign-ins failed",
        AuditAction::RetentionSet => "Keeping of events changed",
        AuditAction::EventsDeleted => "Old events deleted",
        AuditAction::Imported => "Taken over from elsewhere",
    }
}

/// What happened: `{who}` did it to `{it}`; `{fact}` is the one thing of its details that matters most.
pub(super) fn sentence(event: &AuditEvent) -> &'static str {
    let own = matches!((event.origin.actor, event.target), (Actor::Person(who), AuditTarget::Owner(it)) if who == it);
    match event.what {
        AuditAction::OwnerCreated => "{who} created {it}",
        AuditAction::OwnerInvited => "{who} invited {it}",
        AuditAction::OwnerInvitedAgain => "{who} invited {it} again",
        AuditAction::InvitationWithdrawn => "{who} withdrew the invitation of {it}",
        AuditAction::OwnerRegistered => "{it} accepted the invitation",
        AuditAction::OwnerUpdated if own => "{who} changed their own profile",
        AuditAction::OwnerUpdated => "{who} changed the profile of {it}",
        AuditAction::OwnerStateSet => "{who} set the account of {it} to {fact}",
        AuditAction::OwnerRolesSet if own => "{who} changed their own roles",
        AuditAction::OwnerRolesSet => "{who} changed the roles of {it}",
        AuditAction::PasswordSet if own => "{who} changed their own password",
        AuditAction::PasswordSet => "{who} set the password of {it}",
        AuditAction::OwnerDeleted => "{who} deleted {it}",
        AuditAction::RoleCreated => "{who} created {it}",
        AuditAction::RoleUpdated => "{who} changed {it}",
        AuditAction::RolePermissionsSet => "{who} changed the permissions of {it}",
        AuditAction::PermissionClamped => "{it} lost {fact}",
        AuditAction::RoleDeleted => "{who} deleted {it}",
        AuditAction::TokenIssued => "{who} created {it}",
        AuditAction::TokenUpdated => "{who} changed {it}",
        AuditAction::TokenRegenerated => "{who} regenerated {it}",
        AuditAction::TokenRevealed => "{who} looked at the key of {it}",
        AuditAction::GrantClamped => "{it} lost {fact}",
        AuditAction::TokenRevoked if event.cause.is_some() => "{it} was deleted",
        AuditAction::TokenRevoked => "{who} deleted {it}",
        AuditAction::SignedIn => "{who} signed in",
        AuditAction::SignedOut => "{who} ended {it}",
        AuditAction::SignInsFailed => "{fact}",
        AuditAction::RetentionSet => "{who} set that events are kept {fact}",
        AuditAction::EventsDeleted => "{fact}",
        AuditAction::Imported => "{who} took over {fact}",
    }
}

/// Why, where another change made it necessary.
pub(super) fn reason(cause: Option<AuditCause>) -> &'static str {
    match cause {
        None => "",
        Some(AuditCause::RolePermissions(_)) => ", because {who} changed the permissions of {cause}",
        Some(AuditCause::OwnerRoles(_)) => ", because {who} changed the roles of {cause}",
        Some(AuditCause::OwnerDeleted(_)) => ", because {who} deleted {cause}",
        Some(AuditCause::Catalogue) => ", because the service no longer has that action",
        Some(AuditCause::Renamed) => ", because the service renamed what is in it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_kind_of_event_can_be_asked_for() {
        let all = kinds();
        // The first, the last, and none twice.
        assert_eq!((all.first(), all.last()), (Some(&AuditAction::OwnerCreated), Some(&AuditAction::Imported)));
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        assert_eq!(all.iter().map(|what| title(*what)).collect::<HashSet<_>>().len(), all.len());
        assert!(all.iter().all(|what| kind::<AuditAction>(&word(*what)) == Some(*what)));
    }
}
