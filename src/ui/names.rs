//! Events as sentences, with the names of those that they are about.

use super::event::{reason, sentence};
use super::failure::{Failure, capital};
use super::frame::Viewer;
use super::state::Pages;
use super::{admin_tokens, content_tokens};
use crate::admin::ServiceError;
use crate::domain::{
    Actor, AuditAction, AuditCause, AuditEvent, AuditTarget, AuditTargetKind, Owner, OwnerId, RoleId, TokenId,
    TokenKind,
};
use crate::store::{EventQuery, Paging};
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// A part of a sentence.
pub(super) struct Piece {
    pub(super) text: String,
    /// Whether it names somebody or something.
    pub(super) name: bool,
    pub(super) href: Option<String>,
    /// Whether that is deleted.
    pub(super) gone: bool,
}

impl Piece {
    fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), name: false, href: None, gone: false }
    }

    fn named(text: impl Into<String>, href: Option<String>) -> Self {
        Self { text: text.into(), name: true, href, gone: false }
    }
}

struct Remembered {
    name: String,
    gone: bool,
}

/// What those are called that events name, as far as they are still there and the viewer may know them.
pub(super) struct Names {
    people: HashMap<OwnerId, Owner>,
    roles: HashMap<RoleId, String>,
    tokens: HashMap<TokenId, String>,
    /// What those were called that are gone, or that are not shown to the viewer: by what the log remembers.
    remembered: HashMap<AuditTarget, Remembered>,
    people_open: bool,
    roles_open: bool,
}

impl Names {
    /// Of all that these events name.
    pub(super) async fn of(pages: &Pages, viewer: &Viewer, events: &[(i64, AuditEvent)]) -> Result<Self, Failure> {
        let named: HashSet<AuditTarget> = events.iter().flat_map(|(_, event)| named(event)).collect();
        let ids = named.iter().filter_map(|target| match target {
            AuditTarget::Owner(id) => Some(*id),
            _ => None,
        });
        let people = pages.owners.among(ids.collect()).await?.into_iter().map(|owner| (owner.id, owner)).collect();
        let roles = pages.roles.list().await?.into_iter().map(|(role, _)| (role.id, role.name)).collect();
        let (people_open, roles_open) = (viewer.may("admin::users.read"), viewer.may("admin::roles.read"));
        let (tokens, remembered) = (HashMap::new(), HashMap::new());
        let mut names = Self { people, roles, tokens, remembered, people_open, roles_open };
        for target in named {
            names.learn(pages, viewer, target).await?;
        }
        Ok(names)
    }

    /// What one is called, if that is not known yet.
    async fn learn(&mut self, pages: &Pages, viewer: &Viewer, target: AuditTarget) -> Result<(), Failure> {
        let opens = |kind| match kind {
            TokenKind::Admin => viewer.may(admin_tokens::ACCESS) && viewer.may(admin_tokens::READ),
            TokenKind::Content => viewer.may(content_tokens::ACCESS) && viewer.may(content_tokens::READ),
            TokenKind::Session => false,
        };
        let events: &[AuditAction] = match target {
            AuditTarget::Owner(id) if !self.people.contains_key(&id) => &[AuditAction::OwnerDeleted],
            AuditTarget::Role(id) if !self.roles.contains_key(&id) => &[AuditAction::RoleDeleted],
            AuditTarget::Token(id, kind @ (TokenKind::Admin | TokenKind::Content)) => {
                let tokens = pages.tokens.clone().only(kind).acting_as(&viewer.actor).from_address(viewer.address);
                let token = if opens(kind) { tokens.read(id).await } else { Err(ServiceError::NotFound("token")) };
                match token {
                    Ok(described) => {
                        self.tokens.insert(id, described.token.name);
                        return Ok(());
                    }
                    Err(ServiceError::NotFound(_)) => &[AuditAction::TokenRevoked, AuditAction::TokenIssued],
                    Err(error) => return Err(error.into()),
                }
            }
            _ => return Ok(()),
        };
        for what in events {
            let latest = Paging { page: 1, page_size: 1 };
            let query = EventQuery { actions: Some(vec![*what]), target: Some(target), ..EventQuery::all(latest) };
            let found = pages.events.clone().acting_as(&viewer.actor).list(&query).await?.items.pop();
            if let Some((_, event)) = found {
                let gone = *what != AuditAction::TokenIssued;
                self.remembered.insert(target, Remembered { name: called(&event.details), gone });
                break;
            }
        }
        Ok(())
    }

    /// What happened, and why.
    pub(super) fn said(&self, event: &AuditEvent, fact: &str) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut rest = [sentence(event), reason(event.cause)].concat();
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else { break };
            pieces.push(Piece::plain(before));
            match name {
                "who" => self.actor(event.origin.actor, &mut pieces),
                "it" => self.name(event.target, &mut pieces),
                "cause" => of_cause(event.cause).into_iter().for_each(|cause| self.name(cause, &mut pieces)),
                _ => pieces.push(Piece::named(fact, None)),
            }
            rest = after.to_owned();
        }
        pieces.push(Piece::plain(rest));
        pieces.retain(|piece| !piece.text.is_empty());
        if matches!(event.what, AuditAction::OwnerDeleted | AuditAction::RoleDeleted | AuditAction::TokenRevoked) {
            // The sentence says so itself.
            pieces.iter_mut().for_each(|piece| piece.gone = false);
        }
        if let Some(first) = pieces.first_mut().filter(|first| !first.name) {
            first.text = capital(&first.text);
        }
        pieces
    }

    fn actor(&self, actor: Actor, pieces: &mut Vec<Piece>) {
        match actor {
            Actor::Service => pieces.push(Piece::plain("the program")),
            Actor::Visitor => pieces.push(Piece::plain("somebody who was not signed in")),
            Actor::Withheld => pieces.push(Piece::plain("another user or token")),
            Actor::Person(id) => self.name(AuditTarget::Owner(id), pieces),
            Actor::Token(id) => self.name(AuditTarget::Token(id, TokenKind::Admin), pieces),
        }
    }

    fn name(&self, target: AuditTarget, pieces: &mut Vec<Piece>) {
        let (noun, known, href) = match target {
            AuditTarget::Owner(id) => {
                let href = self.people_open.then(|| format!("/admin/settings/users/{id}"));
                ("", self.people.get(&id).map(Owner::display_name), href)
            }
            AuditTarget::Role(id) => {
                let href = self.roles_open.then(|| format!("/admin/settings/roles/{id}"));
                ("the role ", self.roles.get(&id).cloned(), href)
            }
            AuditTarget::Token(id, TokenKind::Admin) => {
                ("the admin token ", self.tokens.get(&id).cloned(), Some(format!("{}/{id}", admin_tokens::LIST)))
            }
            AuditTarget::Token(id, TokenKind::Content) => {
                ("the API token ", self.tokens.get(&id).cloned(), Some(format!("{}/{id}", content_tokens::LIST)))
            }
            AuditTarget::Token(id, TokenKind::Session) => return pieces.push(Piece::plain(format!("session #{id}"))),
            AuditTarget::Installation => return pieces.push(Piece::plain("the installation")),
            AuditTarget::Withheld(kind) => return pieces.push(Piece::plain(withheld(kind))),
        };
        pieces.push(Piece::plain(noun));
        pieces.push(match known {
            Some(name) => Piece::named(name, href),
            None => self.of_gone(target),
        });
    }

    fn of_gone(&self, target: AuditTarget) -> Piece {
        match (self.remembered.get(&target), target) {
            (Some(Remembered { name, gone }), _) => Piece { gone: *gone, ..Piece::named(name, None) },
            (None, AuditTarget::Owner(id)) => Piece::plain(gone_person(id)),
            (None, AuditTarget::Role(RoleId(id)) | AuditTarget::Token(TokenId(id), _)) => {
                Piece::named(format!("#{id}"), None)
            }
            (None, AuditTarget::Installation | AuditTarget::Withheld(_)) => Piece::plain(""),
        }
    }

    /// What a person is called now.
    pub(super) fn of_person(&self, id: OwnerId) -> String {
        let gone = || self.remembered.get(&AuditTarget::Owner(id)).map(|gone| gone.name.clone());
        self.people.get(&id).map(Owner::display_name).or_else(gone).unwrap_or_else(|| gone_person(id))
    }

    /// What a role is called now.
    pub(super) fn of_role(&self, id: RoleId) -> String {
        let gone = || self.remembered.get(&AuditTarget::Role(id)).map(|gone| gone.name.clone());
        self.roles.get(&id).cloned().or_else(gone).unwrap_or_else(|| format!("#{id}"))
    }
}

/// What to call that of which the reader may know nothing.
fn withheld(kind: AuditTargetKind) -> &'static str {
    match kind {
        AuditTargetKind::User => "another user",
        AuditTargetKind::Role => "a role",
        AuditTargetKind::AdminToken => "an admin token of another user",
        AuditTargetKind::ApiToken => "an API token",
        AuditTargetKind::Session => "a session of another user",
        AuditTargetKind::Installation => "the installation",
    }
}

/// All that an event names.
fn named(event: &AuditEvent) -> Vec<AuditTarget> {
    let actor = match event.origin.actor {
        Actor::Person(id) => Some(AuditTarget::Owner(id)),
        Actor::Token(id) => Some(AuditTarget::Token(id, TokenKind::Admin)),
        Actor::Service | Actor::Visitor | Actor::Withheld => None,
    };
    let owner = event.details.get("owner").and_then(Value::as_i64).map(|id| AuditTarget::Owner(OwnerId(id)));
    actor.into_iter().chain([event.target]).chain(of_cause(event.cause)).chain(owner).collect()
}

fn of_cause(cause: Option<AuditCause>) -> Option<AuditTarget> {
    match cause {
        Some(AuditCause::RolePermissions(id)) => Some(AuditTarget::Role(id)),
        Some(AuditCause::OwnerRoles(id) | AuditCause::OwnerDeleted(id)) => Some(AuditTarget::Owner(id)),
        Some(AuditCause::Catalogue | AuditCause::Renamed) | None => None,
    }
}

/// What somebody or something was called when these details were written.
fn called(details: &Value) -> String {
    let text = |name: &str| details.get(name).and_then(Value::as_str).unwrap_or_default();
    let full = format!("{} {}", text("firstname"), text("lastname"));
    let all = [text("name"), full.trim(), text("username"), text("email")];
    all.into_iter().find(|name| !name.is_empty()).unwrap_or_default().to_owned()
}

fn gone_person(id: OwnerId) -> String {
    format!("somebody who is gone (#{id})")
}
