//! Events, in words.

use super::frame::Viewer;
use super::state::Pages;
use super::{content_tokens, failure::Failure};
use crate::domain::{AuditEvent, Cause, Doer, Kind, Owner, OwnerId, RoleId, Target, TokenId, What};
use crate::service::ServiceError;
use serde::Deserializer;
use serde::de::value::{Error as NoWord, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer, Visitor};
use serde_json::Value;
use std::collections::{HashMap, HashSet};

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
    }
}

/// What happened: `{who}` did it to `{it}`; `{fact}` is the one thing of its details that matters most.
fn sentence(event: &AuditEvent) -> &'static str {
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
    }
}

/// Why, where another change made it necessary.
fn reason(cause: Option<Cause>) -> &'static str {
    match cause {
        None => "",
        Some(Cause::RolePermissions(_)) => ", because {who} changed the permissions of {cause}",
        Some(Cause::OwnerRoles(_)) => ", because {who} changed the roles of {cause}",
        Some(Cause::OwnerDeleted(_)) => ", because {who} deleted {cause}",
        Some(Cause::Catalogue) => ", because the service no longer has that action",
    }
}

/// A part of a sentence.
pub(super) struct Piece {
    pub(super) text: String,
    /// Whether it names somebody or something.
    pub(super) name: bool,
    pub(super) href: Option<String>,
}

impl Piece {
    fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), name: false, href: None }
    }

    fn named(text: impl Into<String>, href: Option<String>) -> Self {
        Self { text: text.into(), name: true, href }
    }
}

/// What those are called that events name, as far as they are still there and the viewer may know them.
pub(super) struct Names {
    people: HashMap<OwnerId, Owner>,
    roles: HashMap<RoleId, String>,
    tokens: HashMap<TokenId, (String, Kind)>,
    people_open: bool,
    roles_open: bool,
}

impl Names {
    /// Of all that these events name.
    pub(super) async fn of(pages: &Pages, viewer: &Viewer, events: &[(i64, AuditEvent)]) -> Result<Self, Failure> {
        let (mut people, mut tokens) = (Vec::new(), HashSet::new());
        for (_, event) in events {
            match event.origin.doer {
                Doer::Person(id) => people.push(id),
                Doer::Token(id) => drop(tokens.insert((id, Kind::Admin))),
                Doer::Service | Doer::Visitor => {}
            }
            match event.target {
                Target::Owner(id) => people.push(id),
                Target::Token(id, kind) => drop(tokens.insert((id, kind))),
                Target::Role(_) | Target::Installation => {}
            }
            match event.cause {
                Some(Cause::OwnerRoles(id) | Cause::OwnerDeleted(id)) => people.push(id),
                Some(Cause::RolePermissions(_) | Cause::Catalogue) | None => {}
            }
            people.extend(event.details.get("owner").and_then(Value::as_i64).map(OwnerId));
        }
        let people = pages.owners.among(people).await?.into_iter().map(|owner| (owner.id, owner)).collect();
        let roles = pages.roles.list().await?.into_iter().map(|(role, _)| (role.id, role.name)).collect();
        let opens = |kind| match kind {
            Kind::Admin => viewer.may("admin::admin-tokens.access") && viewer.may("admin::admin-tokens.read"),
            Kind::Content => viewer.may(content_tokens::ACCESS) && viewer.may(content_tokens::READ),
            Kind::Session => false,
        };
        let service = pages.tokens.clone().by(viewer.doer).from(viewer.address);
        let mut known = HashMap::new();
        for (id, kind) in tokens.into_iter().filter(|(_, kind)| opens(*kind)) {
            match service.clone().only(kind).read(id).await {
                Ok(described) => drop(known.insert(id, (described.token.name, kind))),
                Err(ServiceError::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let (people_open, roles_open) = (viewer.may("admin::users.read"), viewer.may("admin::roles.read"));
        Ok(Self { people, roles, tokens: known, people_open, roles_open })
    }

    /// What happened, and why.
    pub(super) fn said(&self, event: &AuditEvent, fact: &str) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut rest = [sentence(event), reason(event.cause)].concat();
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else { break };
            pieces.push(Piece::plain(before));
            match name {
                "who" => self.doer(event.origin.doer, &mut pieces),
                "it" => self.target(event, &mut pieces),
                "cause" => self.cause(event.cause, &mut pieces),
                _ => pieces.push(Piece::named(fact, None)),
            }
            rest = after.to_owned();
        }
        pieces.push(Piece::plain(rest));
        pieces.retain(|piece| !piece.text.is_empty());
        if let Some(first) = pieces.first_mut().filter(|first| !first.name) {
            first.text = super::failure::capital(&first.text);
        }
        pieces
    }

    fn doer(&self, doer: Doer, pieces: &mut Vec<Piece>) {
        match doer {
            Doer::Service => pieces.push(Piece::plain("the program")),
            Doer::Visitor => pieces.push(Piece::plain("somebody who was not signed in")),
            Doer::Person(id) => pieces.push(self.person(id, None)),
            Doer::Token(id) => self.token(id, Kind::Admin, None, pieces),
        }
    }

    fn target(&self, event: &AuditEvent, pieces: &mut Vec<Piece>) {
        // As it was called then, where it is gone.
        let called = |name| match event.details.get(name) {
            Some(Value::Object(change)) => change.get("after").and_then(Value::as_str),
            told => told.and_then(Value::as_str),
        };
        match event.target {
            Target::Owner(id) => pieces.push(self.person(id, called("email"))),
            Target::Role(id) => self.role(id, called("name"), pieces),
            Target::Token(id, kind) => self.token(id, kind, called("name"), pieces),
            Target::Installation => pieces.push(Piece::plain("the installation")),
        }
    }

    fn cause(&self, cause: Option<Cause>, pieces: &mut Vec<Piece>) {
        match cause {
            Some(Cause::RolePermissions(id)) => self.role(id, None, pieces),
            Some(Cause::OwnerRoles(id) | Cause::OwnerDeleted(id)) => pieces.push(self.person(id, None)),
            Some(Cause::Catalogue) | None => {}
        }
    }

    fn person(&self, id: OwnerId, called: Option<&str>) -> Piece {
        match self.people.get(&id) {
            Some(owner) => {
                let href = self.people_open.then(|| format!("/admin/settings/users/{id}"));
                Piece::named(owner.display_name(), href)
            }
            None => Piece::named(called.map_or_else(|| gone_person(id), str::to_owned), None),
        }
    }

    fn role(&self, id: RoleId, called: Option<&str>, pieces: &mut Vec<Piece>) {
        pieces.push(Piece::plain("the role "));
        pieces.push(match self.roles.get(&id) {
            Some(name) => Piece::named(name, self.roles_open.then(|| format!("/admin/settings/roles/{id}"))),
            None => Piece::named(called.map_or_else(|| format!("#{id}"), str::to_owned), None),
        });
    }

    fn token(&self, id: TokenId, kind: Kind, called: Option<&str>, pieces: &mut Vec<Piece>) {
        let (noun, list) = match kind {
            Kind::Admin => ("the admin token ", "/admin/settings/admin-tokens"),
            Kind::Content => ("the API token ", "/admin/settings/api-tokens"),
            Kind::Session => return pieces.push(Piece::plain(format!("session #{id}"))),
        };
        pieces.push(Piece::plain(noun));
        pieces.push(match self.tokens.get(&id) {
            Some((name, _)) => Piece::named(name, Some(format!("{list}/{id}"))),
            None => Piece::named(called.map_or_else(|| format!("#{id}"), str::to_owned), None),
        });
    }

    /// What a person is called now.
    pub(super) fn of_person(&self, id: OwnerId) -> String {
        self.people.get(&id).map_or_else(|| gone_person(id), Owner::display_name)
    }

    /// What a role is called now.
    pub(super) fn of_role(&self, id: RoleId) -> String {
        self.roles.get(&id).cloned().unwrap_or_else(|| format!("#{id}"))
    }
}

fn gone_person(id: OwnerId) -> String {
    format!("somebody who is gone (#{id})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_event_can_be_asked_for() {
        let all = kinds();
        // The first, the last, and none twice.
        assert_eq!((all.first(), all.last()), (Some(&What::OwnerCreated), Some(&What::EventsDeleted)));
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        assert_eq!(all.iter().map(|what| title(*what)).collect::<HashSet<_>>().len(), all.len());
        assert!(all.iter().all(|what| kind::<What>(&word(*what)) == Some(*what)));
    }
}
