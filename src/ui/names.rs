//! The names of the people, roles and tokens in audit events.

use super::admin_tokens::AdminTokens;
use super::content_tokens::ContentTokens;
use super::event::describe_cause;
use super::failure::Failure;
use super::paths::{ADMIN_TOKENS, CONTENT_TOKENS, ROLES, USERS};
use super::state::Pages;
use super::tokens::{PageActions, TokenPages};
use super::viewer::Viewer;
use crate::admin::ServiceError;
use crate::domain::{
    Actor, AuditAction, AuditEvent, AuditTarget, AuditTargetKind, Owner, OwnerId, RoleId, TokenId, TokenKind,
};
use crate::store::{EventQuery, Paging};
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// The name of an actor or a target, with a link if the viewer may open it.
pub(super) struct Label {
    /// The kind of object, before the name.
    pub(super) kind: &'static str,
    pub(super) text: String,
    pub(super) href: Option<String>,
    pub(super) is_deleted: bool,
}

impl Label {
    fn plain(text: impl Into<String>) -> Self {
        Self { kind: "", text: text.into(), href: None, is_deleted: false }
    }
}

/// A name from the audit log.
struct LoggedName {
    name: String,
    is_deleted: bool,
}

/// The names that the viewer may see.
pub(super) struct Names {
    people: HashMap<OwnerId, Owner>,
    roles: HashMap<RoleId, String>,
    tokens: HashMap<TokenId, String>,
    /// Names from the log, of objects that are deleted or that the viewer may not open.
    logged: HashMap<AuditTarget, LoggedName>,
    links_users: bool,
    links_roles: bool,
}

impl Names {
    /// Loads the names of everything that events mention.
    pub(super) async fn load(pages: &Pages, viewer: &Viewer, events: &[(i64, AuditEvent)]) -> Result<Self, Failure> {
        let mentioned: HashSet<AuditTarget> = events.iter().flat_map(|(_, event)| list_mentions(event)).collect();
        let ids = mentioned.iter().filter_map(|target| match target {
            AuditTarget::Owner(id) => Some(*id),
            _ => None,
        });
        let people = pages.keyward.owners().among(ids.collect()).await?;
        let roles = pages.keyward.roles().list().await?;
        let mut names = Self {
            people: people.into_iter().map(|owner| (owner.id, owner)).collect(),
            roles: roles.into_iter().map(|(role, _)| (role.id, role.name)).collect(),
            tokens: HashMap::new(),
            logged: HashMap::new(),
            links_users: viewer.holds("admin::users.read"),
            links_roles: viewer.holds("admin::roles.read"),
        };
        for target in mentioned {
            names.load_one(viewer, target).await?;
        }
        Ok(names)
    }

    /// Loads the name of a token, or a name from the log if the object is deleted.
    async fn load_one(&mut self, viewer: &Viewer, target: AuditTarget) -> Result<(), Failure> {
        let can_open = |actions: Option<PageActions>| {
            actions.is_none_or(|actions| viewer.holds(actions.access) && viewer.holds(actions.read))
        };
        // The latest of these events has the name in its details.
        let sources: &[AuditAction] = match target {
            AuditTarget::Owner(id) if !self.people.contains_key(&id) => &[AuditAction::OwnerDeleted],
            AuditTarget::Role(id) if !self.roles.contains_key(&id) => &[AuditAction::RoleDeleted],
            AuditTarget::Token(id, kind @ (TokenKind::Admin | TokenKind::Content)) => {
                let opens = match kind {
                    TokenKind::Admin => can_open(AdminTokens::ACTIONS),
                    _ => can_open(ContentTokens::ACTIONS),
                };
                let token =
                    if opens { viewer.tokens(kind).read(id).await } else { Err(ServiceError::NotFound("token")) };
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
        for action in sources {
            let latest = Paging { page: 1, page_size: 1 };
            let query = EventQuery { actions: Some(vec![*action]), target: Some(target), ..EventQuery::all(latest) };
            if let Some((_, event)) = viewer.audit().list(&query).await?.items.pop() {
                let is_deleted = *action != AuditAction::TokenIssued;
                self.logged.insert(target, LoggedName { name: name_in_details(&event.details), is_deleted });
                break;
            }
        }
        Ok(())
    }

    pub(super) fn actor_label(&self, actor: Actor) -> Label {
        match actor {
            Actor::Service => Label::plain("the program"),
            Actor::Visitor => Label::plain("a visitor who was not signed in"),
            Actor::Withheld => Label::plain("another user or token"),
            Actor::Person(id) => self.target_label(AuditTarget::Owner(id)),
            Actor::Token(id) => self.target_label(AuditTarget::Token(id, TokenKind::Admin)),
        }
    }

    pub(super) fn target_label(&self, target: AuditTarget) -> Label {
        let (kind, name, href) = match target {
            AuditTarget::Owner(id) => {
                let href = self.links_users.then(|| format!("{USERS}/{id}"));
                ("", self.people.get(&id).map(Owner::display_name), href)
            }
            AuditTarget::Role(id) => {
                let href = self.links_roles.then(|| format!("{ROLES}/{id}"));
                ("", self.roles.get(&id).cloned(), href)
            }
            AuditTarget::Token(id, TokenKind::Admin) => {
                ("admin token ", self.tokens.get(&id).cloned(), Some(format!("{ADMIN_TOKENS}/{id}")))
            }
            AuditTarget::Token(id, TokenKind::Content) => {
                ("API token ", self.tokens.get(&id).cloned(), Some(format!("{CONTENT_TOKENS}/{id}")))
            }
            AuditTarget::Token(id, TokenKind::Session) => return Label::plain(format!("session #{id}")),
            AuditTarget::Installation => return Label::plain(""),
            AuditTarget::Withheld(kind) => return Label::plain(withheld_label(kind)),
        };
        match (name, self.logged.get(&target), target) {
            (Some(text), ..) => Label { kind, text, href, is_deleted: false },
            (None, Some(LoggedName { name, is_deleted }), _) => {
                Label { kind, text: name.clone(), href: None, is_deleted: *is_deleted }
            }
            (None, None, AuditTarget::Owner(id)) => Label::plain(format!("a deleted user (#{id})")),
            (None, None, AuditTarget::Role(RoleId(id)) | AuditTarget::Token(TokenId(id), _)) => {
                Label { kind, ..Label::plain(format!("#{id}")) }
            }
            (None, None, AuditTarget::Installation | AuditTarget::Withheld(_)) => Label::plain(""),
        }
    }
}

fn withheld_label(kind: AuditTargetKind) -> &'static str {
    match kind {
        AuditTargetKind::User => "another user",
        AuditTargetKind::Role => "a role",
        AuditTargetKind::AdminToken => "an admin token of another user",
        AuditTargetKind::ApiToken => "an API token",
        AuditTargetKind::Session => "a session of another user",
        AuditTargetKind::Installation => "",
    }
}

/// Returns everything that an event mentions.
fn list_mentions(event: &AuditEvent) -> Vec<AuditTarget> {
    let actor = match event.origin.actor {
        Actor::Person(id) => Some(AuditTarget::Owner(id)),
        Actor::Token(id) => Some(AuditTarget::Token(id, TokenKind::Admin)),
        Actor::Service | Actor::Visitor | Actor::Withheld => None,
    };
    let cause = event.cause.and_then(|cause| describe_cause(cause).1);
    let owner = event.details.get("owner").and_then(Value::as_i64).map(|id| AuditTarget::Owner(OwnerId(id)));
    [Some(event.target), actor, cause, owner].into_iter().flatten().collect()
}

/// Returns the name of an object from the details of an event about it.
fn name_in_details(details: &Value) -> String {
    let text = |name: &str| details.get(name).and_then(Value::as_str).unwrap_or_default();
    let full = format!("{} {}", text("firstname"), text("lastname"));
    let all = [text("name"), full.trim(), text("username"), text("email")];
    all.into_iter().find(|name| !name.is_empty()).unwrap_or_default().to_owned()
}
