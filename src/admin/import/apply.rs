//! Applies an import in one transaction: roles and owners here, tokens and grants in the modules beside.

use super::keys::Keys;
use super::report::{Outcome, Report};
use crate::admin::ServiceError;
use crate::admin::password::is_bcrypt;
use crate::admin::profile::checked_email;
use crate::admin::unit_of_work::{ImportKey, UnitOfWork};
use crate::domain::{
    AllowedHidden, FieldName, OwnerId, PasswordHash, RoleId, comparable, compose, is_hidden, without_hidden,
};
use crate::store::strapi::{StrapiData, StrapiRole, StrapiUser, UnsupportedRow};
use crate::store::{Imported, NameScope, NewOwner, NewRole};
use std::collections::{HashMap, HashSet};

const NAME_LENGTH: usize = 255;
pub(super) const TEXT_LENGTH: usize = 2_000;

/// The import of one source.
pub(super) struct Importer<'u, 't> {
    pub(super) unit: &'u mut UnitOfWork<'t>,
    pub(super) report: Report,
    /// The records that were imported before, by their keys in the source.
    roles_before: HashMap<String, RoleId>,
    owners_before: HashMap<String, OwnerId>,
    pub(super) tokens_before: HashSet<String>,
    /// The name of the source that a record was imported from, by its kind and its document id, which no other database has.
    other_sources: HashMap<(&'static str, String), String>,
    /// The records of the source that were read so far, by kind and key.
    seen: HashSet<(&'static str, String)>,
}

impl<'u, 't> Importer<'u, 't> {
    pub(super) async fn new(unit: &'u mut UnitOfWork<'t>, source: String, dry_run: bool) -> Result<Self, ServiceError> {
        let before = unit.view().imported().await?;
        let (roles_before, owners_before, tokens_before, other_sources) = <_>::default();
        let report = Report::new(source, dry_run);
        let seen = HashSet::new();
        let mut importer = Self { unit, report, roles_before, owners_before, tokens_before, other_sources, seen };
        for (source, key, what) in before {
            match what {
                _ if source != importer.report.source => {
                    if !key.bytes().all(|b| b.is_ascii_digit()) {
                        importer.other_sources.insert((what.parts().0, key), source);
                    }
                }
                Imported::Role(id) => drop(importer.roles_before.insert(key, id)),
                Imported::Owner(id) => drop(importer.owners_before.insert(key, id)),
                Imported::Token(_) => drop(importer.tokens_before.insert(key)),
            }
        }
        Ok(importer)
    }

    pub(super) async fn import_all(mut self, data: StrapiData, keys: Keys) -> Result<Report, ServiceError> {
        let StrapiData { roles, users, tokens, unsupported_rows } = data;
        let records = roles.iter().filter(|role| !role.super_admin).map(|role| ("role", role.key.clone()));
        let records = records.chain(users.iter().map(|user| ("owner", user.key.clone())));
        let mut records = records.chain(tokens.iter().map(|token| ("token", token.key.clone())));
        // Under another source name everything would be imported again, including records that were deleted here.
        if let Some(source) = records.find_map(|record| self.other_sources.get(&record)) {
            return Err(ServiceError::invalid(
                FieldName::Source,
                format!("must be {source:?}: by this name it came before"),
            ));
        }
        self.leave(unsupported_rows);
        let roles = self.import_roles(roles).await?;
        let owners = self.import_owners(users, &roles).await?;
        self.import_tokens(tokens, &owners, &keys).await?;
        let came = self.report.came;
        if came.is_empty() {
            self.unit.skip_commit();
        } else {
            self.unit.record_import(&self.report.source, came.roles, came.owners, came.tokens()).await?;
        }
        Ok(self.report)
    }

    /// Imports the roles. Returns their ids here, by those in the source.
    async fn import_roles(&mut self, roles: Vec<StrapiRole>) -> Result<HashMap<i64, RoleId>, ServiceError> {
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
                self.import_role(role).await?
            };
            here.insert(there, id);
        }
        Ok(here)
    }

    async fn import_role(&mut self, role: StrapiRole) -> Result<RoleId, ServiceError> {
        let what = format!("role {} {:?}", role.id, role.name);
        let name = self.available_name(RecordKind::Role, &what, &role.name).await?;
        let description = self.text(&what, "description", &role.description, TEXT_LENGTH);
        self.leave(role.unsupported_rows);
        let mut permissions = Vec::with_capacity(role.permissions.len());
        for mut p in role.permissions {
            let itself = format!("permission {} of {what}", p.scope);
            p.when = self.without_unknown_conditions(&itself, p.when);
            match self.rejection((&p.scope, p.when.as_slice())) {
                None => permissions.push(p),
                Some(why) => self.report.add(Outcome::Left, itself, why),
            }
        }
        let from = ImportKey { source: &self.report.source, key: &role.key };
        let id = self.unit.import_role(from, NewRole { name, description, permissions }).await?;
        self.report.came.roles += 1;
        Ok(id)
    }

    /// Imports the owners. Returns the ids here of those that were imported, by their ids in the source.
    async fn import_owners(
        &mut self,
        users: Vec<StrapiUser>,
        roles: &HashMap<i64, RoleId>,
    ) -> Result<HashMap<i64, OwnerId>, ServiceError> {
        let existing: HashSet<RoleId> = self.unit.view().roles().await?.iter().map(|(role, _)| role.id).collect();
        let mut here = HashMap::new();
        for user in users {
            let there = user.id;
            if self.is_ambiguous("owner", user.id, &user.key) {
                continue;
            }
            if let Some(id) = known(&self.owners_before, &user.key, user.id) {
                self.report.before.owners += 1;
                here.insert(there, *id);
            } else if let Some(id) = self.import_owner(user, roles, &existing).await? {
                here.insert(there, id);
            }
        }
        Ok(here)
    }

    async fn import_owner(
        &mut self,
        user: StrapiUser,
        roles: &HashMap<i64, RoleId>,
        existing: &HashSet<RoleId>,
    ) -> Result<Option<OwnerId>, ServiceError> {
        let what = format!("owner {} {:?}", user.id, user.email);
        let Ok(email) = checked_email(&user.email) else {
            self.report.add(Outcome::Left, what, "this e-mail address is refused here");
            return Ok(None);
        };
        if self.unit.view().owner_with_email(&email).await?.is_some() {
            let why = "the e-mail address has an account here already, whose owner would get their tokens";
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
            state: user.state,
            roles: has,
            ..NewOwner::new(email)
        };
        let new = NewOwner { username: new.username.filter(|n| !n.is_empty()), ..new };
        let password = user.password.filter(|hash| self.is_importable(hash, &what));
        let from = ImportKey { source: &self.report.source, key: &user.key };
        let id = self.unit.import_owner(from, new, password.as_ref(), user.created_at).await?;
        self.report.came.owners += 1;
        // No owner has the id of a dry run.
        let here = if self.report.dry_run { String::new() } else { format!("here owner {id}") };
        self.report.add(Outcome::Came, what, here);
        Ok(Some(id))
    }

    /// Returns whether a password hash can be imported, and reports one that cannot.
    fn is_importable(&mut self, hash: &PasswordHash, what: &str) -> bool {
        if is_bcrypt(&hash.0) {
            return true;
        }
        let why = "its hash is none of bcrypt with a cost of 4 to 14: they need a new password";
        self.report.add(Outcome::Left, format!("password of {what}"), why);
        false
    }

    /// Returns whether a record cannot be distinguished from another one, and reports it. Such a record is not imported.
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

    /// Reports parts of the source that the import does not understand.
    pub(super) fn leave(&mut self, unsupported_rows: Vec<UnsupportedRow>) {
        for UnsupportedRow { what, why } in unsupported_rows {
            self.report.add(Outcome::Left, what, why);
        }
    }

    /// Returns an available name for a record, as close as possible to its name in the source, and reports the record.
    pub(super) async fn available_name(
        &mut self,
        kind: RecordKind,
        what: &str,
        there: &str,
    ) -> Result<String, ServiceError> {
        let mut base = cleaned(there, NAME_LENGTH, false);
        if base.is_empty() {
            base = "unnamed".to_owned();
        }
        let mut name = base.clone();
        for n in 1.. {
            let is_taken = match kind {
                RecordKind::Role => self.unit.view().role_with_name(&name).await?.is_some(),
                RecordKind::Token => self.unit.view().token_with_name(&name, NameScope::Installation).await?.is_some(),
            };
            if !is_taken {
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

    /// Returns a text in a form that can be stored, and reports it if that is shorter.
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

/// Returns the record that was imported before under this key, or under this id when it had no document id yet.
fn known<'b, T>(before: &'b HashMap<String, T>, key: &str, id: i64) -> Option<&'b T> {
    before.get(key).or_else(|| before.get(&id.to_string()))
}

/// A kind of record with unique names.
#[derive(Clone, Copy)]
pub(super) enum RecordKind {
    Role,
    Token,
}

pub(super) fn is_strange(name: &str) -> bool {
    name.chars().any(is_hidden)
}

/// Returns a text trimmed, composed (NFC), without invisible characters (except those that free texts may have), and with at most `most`
/// characters; for a name also in its comparable form.
fn cleaned(text: &str, most: usize, lines: bool) -> String {
    let extra = if lines { AllowedHidden::Lines } else { AllowedHidden::Emoji };
    let kept = without_hidden(&compose(text), extra);
    let mut cut: String = kept.trim().chars().take(most).collect();
    while !lines && comparable(&cut).chars().count() > most {
        cut.pop();
    }
    cut.trim_end().to_owned()
}
