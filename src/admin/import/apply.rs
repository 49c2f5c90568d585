//! Carrying it over, in one transaction: roles and owners here, tokens and grants beside.

use super::keys::Keys;
use super::report::{Outcome, Report};
use crate::admin::account::address;
use crate::admin::password::is_old;
use crate::admin::write::UnitOfWork;
use crate::admin::{ServiceError, roles};
use crate::domain::{
    AllowedHidden, AuditAction, AuditTarget, OwnerId, PasswordHash, RoleId, Tag, comparable, compose, is_hidden,
    without_hidden,
};
use crate::store::strapi::{Foreign, ForeignRole, ForeignUser, NotUnderstood};
use crate::store::{Imported, NewOwner, NewRole};
use serde_json::json;
use std::collections::{HashMap, HashSet};

const NAME_LENGTH: usize = 255;
pub(super) const TEXT_LENGTH: usize = 2_000;

/// Carries one source over.
pub(super) struct Carrier<'d> {
    pub(super) draft: &'d mut UnitOfWork,
    pub(super) report: Report,
    /// What came before, by what it is called there.
    roles_before: HashMap<String, RoleId>,
    owners_before: HashMap<String, OwnerId>,
    pub(super) tokens_before: HashSet<String>,
    /// By which name of a source something came, by its kind and its document id, which no other database has.
    elsewhere: HashMap<(&'static str, String), String>,
    /// What was seen of the source so far, by kind and by what it is called there.
    seen: HashSet<(&'static str, String)>,
}

impl<'d> Carrier<'d> {
    pub(super) async fn new(draft: &'d mut UnitOfWork, source: String, dry_run: bool) -> Result<Self, ServiceError> {
        let before = draft.tx.imported().await?;
        let (roles_before, owners_before, tokens_before, elsewhere) = <_>::default();
        let report = Report::new(source, dry_run);
        let seen = HashSet::new();
        let mut carrier = Self { draft, report, roles_before, owners_before, tokens_before, elsewhere, seen };
        for (source, key, what) in before {
            match what {
                _ if source != carrier.report.source => {
                    if !key.bytes().all(|b| b.is_ascii_digit()) {
                        carrier.elsewhere.insert((what.parts().0, key), source);
                    }
                }
                Imported::Role(id) => drop(carrier.roles_before.insert(key, id)),
                Imported::Owner(id) => drop(carrier.owners_before.insert(key, id)),
                Imported::Token(_) => drop(carrier.tokens_before.insert(key)),
            }
        }
        Ok(carrier)
    }

    pub(super) async fn everything(mut self, foreign: Foreign, keys: Keys) -> Result<Report, ServiceError> {
        let Foreign { roles, users, tokens, not_understood } = foreign;
        let named = roles.iter().filter(|role| !role.super_admin).map(|role| ("role", role.key.clone()));
        let named = named.chain(users.iter().map(|user| ("owner", user.key.clone())));
        let mut named = named.chain(tokens.iter().map(|token| ("token", token.key.clone())));
        // By another name all would come anew, also what went here.
        if let Some(source) = named.find_map(|named| self.elsewhere.get(&named)) {
            return Err(ServiceError::invalid("source", format!("must be {source:?}: by this name it came before")));
        }
        self.leave(not_understood);
        let roles = self.roles(roles).await?;
        let owners = self.owners(users, &roles).await?;
        self.tokens(tokens, &owners, &keys).await?;
        let came = self.report.came;
        if came.is_empty() {
            self.draft.nothing_to_do();
        } else {
            let (roles, owners, tokens) = (came.roles, came.owners, came.tokens());
            let details = json!({"imported": self.report.source, "roles": roles, "owners": owners, "tokens": tokens});
            self.draft.audit(AuditAction::Imported, AuditTarget::Installation, details).await?;
        }
        Ok(self.report)
    }

    /// The roles, by their ids there.
    async fn roles(&mut self, roles: Vec<ForeignRole>) -> Result<HashMap<i64, RoleId>, ServiceError> {
        let mut here = HashMap::new();
        for role in roles {
            let there = role.id;
            let id = if role.super_admin {
                RoleId::SUPER_ADMIN
            } else if self.is_ambiguous("role", role.id, &role.key) {
                continue;
            } else if let Some(id) = known(&self.roles_before, &role.key, role.id) {
                self.report.before.roles += 1;
                *id
            } else {
                self.role(role).await?
            };
            here.insert(there, id);
        }
        Ok(here)
    }

    async fn role(&mut self, role: ForeignRole) -> Result<RoleId, ServiceError> {
        let what = format!("role {} {:?}", role.id, role.name);
        let name = self.name(Named::Role, &what, &role.name).await?;
        let description = self.text(&what, "description", &role.description, TEXT_LENGTH);
        self.leave(role.not_understood);
        let mut permissions = Vec::with_capacity(role.permissions.len());
        for mut p in role.permissions {
            let itself = format!("permission {} of {what}", p.scope);
            p.when = self.registered(&itself, p.when);
            match self.refused((&p.scope, p.when.as_slice())) {
                None => permissions.push(p),
                Some(why) => self.report.add(Outcome::Left, itself, why),
            }
        }
        let told = roles::audit_json(&permissions);
        let details = json!({"name": name, "permissions": told, "imported": self.report.source});
        let id = self.draft.tx.insert_role(NewRole { name, description, permissions }).await?;
        self.remember(&role.key, Imported::Role(id)).await?;
        self.draft.touch(Tag::role(id));
        self.draft.audit(AuditAction::RoleCreated, AuditTarget::Role(id), details).await?;
        self.report.came.roles += 1;
        Ok(id)
    }

    /// The owners, by their ids there; without those who did not come.
    async fn owners(
        &mut self,
        users: Vec<ForeignUser>,
        roles: &HashMap<i64, RoleId>,
    ) -> Result<HashMap<i64, OwnerId>, ServiceError> {
        let existing: HashSet<RoleId> = self.draft.tx.roles().await?.iter().map(|(role, _)| role.id).collect();
        let mut here = HashMap::new();
        for user in users {
            let there = user.id;
            if self.is_ambiguous("owner", user.id, &user.key) {
                continue;
            }
            if let Some(id) = known(&self.owners_before, &user.key, user.id) {
                self.report.before.owners += 1;
                here.insert(there, *id);
            } else if let Some(id) = self.owner(user, roles, &existing).await? {
                here.insert(there, id);
            }
        }
        Ok(here)
    }

    async fn owner(
        &mut self,
        user: ForeignUser,
        roles: &HashMap<i64, RoleId>,
        existing: &HashSet<RoleId>,
    ) -> Result<Option<OwnerId>, ServiceError> {
        let what = format!("owner {} {:?}", user.id, user.email);
        let Ok(email) = address("email", &user.email) else {
            self.report.add(Outcome::Left, what, "this e-mail address is refused here");
            return Ok(None);
        };
        if self.draft.tx.owner_with_email(&email).await?.is_some() {
            let why = "the e-mail address has an account here already, and whoever made it would get their tokens";
            self.report.add(Outcome::Left, what, why);
            return Ok(None);
        }
        let mut has = Vec::new();
        for role in user.roles {
            match roles.get(&role) {
                Some(id) if existing.contains(id) => has.push(*id),
                Some(_) => self.report.add(Outcome::Left, format!("role {role} of {what}"), "it was deleted here"),
                None => self.report.add(Outcome::Left, format!("role {role} of {what}"), "there is no such role"),
            }
        }
        has.sort_unstable();
        has.dedup();
        let new = NewOwner {
            firstname: self.text(&what, "first name", &user.firstname, NAME_LENGTH),
            lastname: self.text(&what, "last name", &user.lastname, NAME_LENGTH),
            username: user.username.map(|name| self.text(&what, "username", &name, NAME_LENGTH)),
            email,
            state: user.state,
            roles: has,
        };
        let details = json!({
            "email": new.email, "roles": new.roles, "state": new.state, "imported": self.report.source,
        });
        let id =
            self.draft.tx.insert_owner(NewOwner { username: new.username.filter(|n| !n.is_empty()), ..new }).await?;
        if let Some(hash) = user.password {
            self.password(id, &hash, &what).await?;
        }
        self.draft.tx.backdate_owner(id, user.created_at).await?;
        self.remember(&user.key, Imported::Owner(id)).await?;
        self.draft.touch(Tag::owner(id));
        self.draft.audit(AuditAction::OwnerCreated, AuditTarget::Owner(id), details).await?;
        self.report.came.owners += 1;
        // An id of a dry run is nobody's.
        let here = if self.report.dry_run { String::new() } else { format!("here owner {id}") };
        self.report.add(Outcome::Came, what, here);
        Ok(Some(id))
    }

    async fn password(&mut self, id: OwnerId, hash: &PasswordHash, what: &str) -> Result<(), ServiceError> {
        if is_old(&hash.0) {
            return Ok(self.draft.tx.set_password(id, hash).await?);
        }
        let why = "its hash is none of bcrypt with a cost of 4 to 14: they need a new password";
        self.report.add(Outcome::Left, format!("password of {what}"), why);
        Ok(())
    }

    /// Whether something cannot be told from another: it is left, or one would pass for the other.
    pub(super) fn is_ambiguous(&mut self, kind: &'static str, id: i64, key: &str) -> bool {
        let why = if is_strange(key) {
            "its document id has control or invisible characters"
        } else if !self.seen.insert((kind, key.to_owned())) {
            "another one has the same document id"
        } else {
            return false;
        };
        self.report.add(Outcome::Left, format!("{kind} {id}"), why);
        true
    }

    pub(super) async fn remember(&mut self, key: &str, what: Imported) -> Result<(), ServiceError> {
        Ok(self.draft.tx.remember_imported(&self.report.source, key, what).await?)
    }

    pub(super) fn leave(&mut self, not_understood: Vec<NotUnderstood>) {
        for NotUnderstood { what, why } in not_understood {
            self.report.add(Outcome::Left, what, why);
        }
    }

    /// A free name for what comes, as near as can be to what it is called there.
    pub(super) async fn name(&mut self, named: Named, what: &str, there: &str) -> Result<String, ServiceError> {
        let mut base = cleaned(there, NAME_LENGTH, false);
        if base.is_empty() {
            base = "unnamed".to_owned();
        }
        let mut name = base.clone();
        for n in 1.. {
            let taken = match named {
                Named::Role => self.draft.tx.role_named(&name).await?.is_some(),
                Named::Token => self.draft.tx.token_named(&name).await?.is_some(),
            };
            if !taken {
                break;
            }
            let source = &self.report.source;
            let suffix = if n == 1 { format!(" ({source})") } else { format!(" ({source} {n})") };
            let room = NAME_LENGTH - suffix.chars().count();
            name = cleaned(&base, room, false) + &suffix;
        }
        match (name == there, name == base) {
            (true, _) => self.report.add(Outcome::Came, what, ""),
            (_, true) => self.report.add(Outcome::Renamed, what, format!("here {name:?}, as names are written here")),
            (_, false) => self.report.add(Outcome::Renamed, what, format!("here {name:?}, as that name is taken")),
        }
        Ok(name)
    }

    /// A text as it can be written here.
    pub(super) fn text(&mut self, what: &str, which: &str, there: &str, most: usize) -> String {
        let text = cleaned(there, most, most > NAME_LENGTH);
        if text != there.trim() {
            let why = format!(
                "here it has at most {most} characters, and no control, invisible or direction-changing characters"
            );
            self.report.add(Outcome::Left, format!("a part of the {which} of {what}"), why);
        }
        text
    }
}

/// What came before as this, or when it had no document id yet.
fn known<'b, T>(before: &'b HashMap<String, T>, key: &str, id: i64) -> Option<&'b T> {
    before.get(key).or_else(|| before.get(&id.to_string()))
}

#[derive(Clone, Copy)]
pub(super) enum Named {
    Role,
    Token,
}

pub(super) fn is_strange(name: &str) -> bool {
    name.chars().any(is_hidden)
}

/// Trimmed, composed, without invisible characters (but for those that a text with lines may have), and at most so long; a name also
/// where it is compared.
fn cleaned(text: &str, most: usize, lines: bool) -> String {
    let extra = if lines { AllowedHidden::Lines } else { AllowedHidden::Emoji };
    let kept = without_hidden(&compose(text), extra);
    let mut cut: String = kept.trim().chars().take(most).collect();
    while !lines && comparable(&cut).chars().count() > most {
        cut.pop();
    }
    cut.trim_end().to_owned()
}
