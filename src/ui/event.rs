//! Kinds of event, in words.

use crate::domain::{AuditEvent, Cause, Doer, Target, What};
use serde::Deserializer;
use serde::de::value::{Error as NoWord, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer, Visitor};

/// Every kind of event, as the enum itself lists them.
pub(super) fn kinds() -> Vec<What> {
    let mut words = Words(&[]);
    // It fails, having said which words there are.
    let _ = <What as serde::Deserialize>::deserialize(&mut words);
    words.0.iter().filter_map(|word| kind(word)).collect()
}

/// The kind of event with this word.
pub(super) fn kind<K: DeserializeOwned>(word: &str) -> Option<K> {
    let word: StrDeserializer<'_, NoWord> = word.into_deserializer();
    K::deserialize(word).ok()
}

/// The word of a kind of event.
pub(super) fn word(what: What) -> String {
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
pub(super) fn title(what: What) -> &'static str {
    match what {
        What::OwnerCreated => "User created",
        What::OwnerInvited => "User invited",
        What::OwnerInvitedAgain => "User invited again",
        What::InvitationWithdrawn => "Invitation withdrawn",
        What::OwnerRegistered => "Invitation accepted",
        What::OwnerUpdated => "User's profile changed",
        What::OwnerStateSet => "User's account switched or blocked",
        What::OwnerRolesSet => "User's roles changed",
        What::PasswordSet => "Password changed",
        What::OwnerDeleted => "User deleted",
        What::RoleCreated => "Role created",
        What::RoleUpdated => "Role's name or description changed",
        What::RolePermissionsSet => "Role's permissions changed",
        What::PermissionClamped => "Permission taken from a role",
        What::RoleDeleted => "Role deleted",
        What::TokenIssued => "Token created",
        What::TokenUpdated => "Token changed",
        What::TokenRegenerated => "Token regenerated",
        What::TokenRevealed => "Token's key looked at",
        What::GrantClamped => "Permission taken from a token",
        What::TokenRevoked => "Token deleted",
        What::SignedIn => "Signed in",
        What::SignedOut => "Signed out",
        What::SignInsFailed => "Sign-ins failed",
        What::RetentionSet => "Keeping of events changed",
        What::EventsDeleted => "Old events deleted",
        What::Imported => "Taken over from elsewhere",
    }
}

/// What happened: `{who}` did it to `{it}`; `{fact}` is the one thing of its details that matters most.
pub(super) fn sentence(event: &AuditEvent) -> &'static str {
    let own = matches!((event.origin.doer, event.target), (Doer::Person(who), Target::Owner(it)) if who == it);
    match event.what {
        What::OwnerCreated => "{who} created {it}",
        What::OwnerInvited => "{who} invited {it}",
        What::OwnerInvitedAgain => "{who} invited {it} again",
        What::InvitationWithdrawn => "{who} withdrew the invitation of {it}",
        What::OwnerRegistered => "{it} accepted the invitation",
        What::OwnerUpdated if own => "{who} changed their own profile",
        What::OwnerUpdated => "{who} changed the profile of {it}",
        What::OwnerStateSet => "{who} set the account of {it} to {fact}",
        What::OwnerRolesSet if own => "{who} changed their own roles",
        What::OwnerRolesSet => "{who} changed the roles of {it}",
        What::PasswordSet if own => "{who} changed their own password",
        What::PasswordSet => "{who} set the password of {it}",
        What::OwnerDeleted => "{who} deleted {it}",
        What::RoleCreated => "{who} created {it}",
        What::RoleUpdated => "{who} changed {it}",
        What::RolePermissionsSet => "{who} changed the permissions of {it}",
        What::PermissionClamped => "{it} lost {fact}",
        What::RoleDeleted => "{who} deleted {it}",
        What::TokenIssued => "{who} created {it}",
        What::TokenUpdated => "{who} changed {it}",
        What::TokenRegenerated => "{who} regenerated {it}",
        What::TokenRevealed => "{who} looked at the key of {it}",
        What::GrantClamped => "{it} lost {fact}",
        What::TokenRevoked if event.cause.is_some() => "{it} was deleted",
        What::TokenRevoked => "{who} deleted {it}",
        What::SignedIn => "{who} signed in",
        What::SignedOut => "{who} ended {it}",
        What::SignInsFailed => "{fact}",
        What::RetentionSet => "{who} set that events are kept {fact}",
        What::EventsDeleted => "{fact}",
        What::Imported => "{who} took over {fact}",
    }
}

/// Why, where another change made it necessary.
pub(super) fn reason(cause: Option<Cause>) -> &'static str {
    match cause {
        None => "",
        Some(Cause::RolePermissions(_)) => ", because {who} changed the permissions of {cause}",
        Some(Cause::OwnerRoles(_)) => ", because {who} changed the roles of {cause}",
        Some(Cause::OwnerDeleted(_)) => ", because {who} deleted {cause}",
        Some(Cause::Catalogue) => ", because the service no longer has that action",
        Some(Cause::Renamed) => ", because the service renamed what is in it",
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
        assert_eq!((all.first(), all.last()), (Some(&What::OwnerCreated), Some(&What::Imported)));
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        assert_eq!(all.iter().map(|what| title(*what)).collect::<HashSet<_>>().len(), all.len());
        assert!(all.iter().all(|what| kind::<What>(&word(*what)) == Some(*what)));
    }
}
