//! What events tell besides, readable: what was before and what is after, one by one.

use super::failure::capital;
use super::matrix::{Words, condition_name};
use super::names::Names;
use super::time::Span;
use crate::domain::{AuditAction, AuditEvent, ConditionId, OwnerId, Resource, RoleId};
use serde_json::{Map, Value};
use std::time::Duration;

/// One thing that an event tells.
pub(super) struct Fact {
    pub(super) label: String,
    pub(super) shown: Shown,
}

pub(super) enum Shown {
    /// It is this.
    Is(String),
    /// It is these.
    Are(Vec<String>),
    /// It was one thing and is another.
    Became(String, String),
    /// Of several, some went, some came, and so many stayed.
    Changed { gone: Vec<String>, new: Vec<String>, kept: usize },
}

/// Turns details into words.
pub(super) struct Teller<'a> {
    pub(super) words: &'a Words,
    pub(super) names: &'a Names,
}

impl Teller<'_> {
    /// The one thing that the sentence about an event says of its details; empty if that says none.
    pub(super) fn fact(&self, event: &AuditEvent) -> String {
        let many = |count: &Value, one: &str| match count.as_u64() {
            Some(1) => format!("1 {one}"),
            count => format!("{} {one}s", count.unwrap_or_default()),
        };
        let of = |name: &str| event.details.get(name).unwrap_or(&Value::Null);
        match event.what {
            AuditAction::OwnerStateSet => self.one("state", of("after")),
            AuditAction::GrantClamped | AuditAction::PermissionClamped => match event.details.as_object() {
                Some(grant) => self.grant(grant),
                None => "a permission".to_owned(),
            },
            AuditAction::SignInsFailed => {
                format!("{} failed, for {}", many(of("count"), "sign-in"), many(of("accounts"), "account"))
            }
            AuditAction::RetentionSet => match of("days") {
                Value::Null => "for ever".to_owned(),
                days => format!("for {days} days"),
            },
            AuditAction::EventsDeleted => {
                format!("{} events from before {} were deleted", of("deleted"), self.one("before", of("before")))
            }
            AuditAction::Imported => {
                let (roles, users) = (many(of("roles"), "role"), many(of("owners"), "user"));
                let source = self.one("imported", of("imported"));
                format!("{roles}, {users} and {} from {source}", many(of("tokens"), "token"))
            }
            _ => String::new(),
        }
    }

    /// All that an event tells.
    pub(super) fn facts(&self, event: &AuditEvent) -> Vec<Fact> {
        if event.details.is_null() {
            let text = "You may not see this. It takes the permission to see what was changed.";
            return vec![Fact { label: "Not shown".to_owned(), shown: Shown::Is(text.to_owned()) }];
        }
        let Some(details) = event.details.as_object() else { return Vec::new() };
        match event.what {
            AuditAction::OwnerStateSet => self.change("state", details).into_iter().collect(),
            AuditAction::OwnerRolesSet => self.change("roles", details).into_iter().collect(),
            AuditAction::RolePermissionsSet => self.change("permissions", details).into_iter().collect(),
            // The sentence says all of it.
            AuditAction::SignInsFailed => {
                let told = |name: &str| details.get(name).and_then(|list| self.told(name, list));
                ["users", "addresses"].into_iter().filter_map(told).collect()
            }
            AuditAction::RetentionSet | AuditAction::EventsDeleted | AuditAction::Imported => Vec::new(),
            AuditAction::GrantClamped | AuditAction::PermissionClamped => {
                let id = |name: &str| details.get(name).and_then(Value::as_str).unwrap_or_default();
                let text = [id("action"), id("subject")].join(" ");
                vec![Fact { label: "Action".to_owned(), shown: Shown::Is(text.trim().to_owned()) }]
            }
            _ => details.iter().filter_map(|(name, value)| self.told(name, value)).collect(),
        }
    }

    fn told(&self, name: &str, value: &Value) -> Option<Fact> {
        match value {
            Value::Object(change) if change.contains_key("after") => self.change(name, change),
            Value::Array(list) if list.is_empty() => None,
            Value::String(text) if text.is_empty() => None,
            // Of all that can be missing, only this means something.
            Value::Null if name != "lifespan" => None,
            Value::Array(list) => Some(Fact { label: label(name), shown: Shown::Are(self.several(name, list)) }),
            value => Some(Fact { label: label(name), shown: Shown::Is(self.one(name, value)) }),
        }
    }

    fn change(&self, name: &str, change: &Map<String, Value>) -> Option<Fact> {
        let (before, after) = (change.get("before")?, change.get("after")?);
        let shown = match (before, after) {
            (Value::Array(before), Value::Array(after)) => {
                let (before, after) = (self.several(name, before), self.several(name, after));
                let not_in = |these: &[String], others: &[String]| -> Vec<String> {
                    these.iter().filter(|this| !others.contains(this)).cloned().collect()
                };
                let (gone, new) = (not_in(&before, &after), not_in(&after, &before));
                Shown::Changed { kept: before.len() - gone.len(), gone, new }
            }
            (before, after) => Shown::Became(self.whole(name, before), self.whole(name, after)),
        };
        Some(Fact { label: label(name), shown })
    }

    fn whole(&self, name: &str, value: &Value) -> String {
        match value {
            Value::Array(list) => self.several(name, list).join(", "),
            value => self.one(name, value),
        }
    }

    fn several(&self, name: &str, list: &[Value]) -> Vec<String> {
        list.iter().map(|value| self.one(name, value)).collect()
    }

    fn one(&self, name: &str, value: &Value) -> String {
        match (name, value) {
            ("lifespan", Value::Null) => "unlimited".to_owned(),
            ("lifespan", value) => match value.as_u64() {
                Some(millis) => Span(Duration::from_millis(millis)).to_string(),
                None => value.to_string(),
            },
            (_, Value::Null) => "nothing".to_owned(),
            (_, Value::Bool(true)) => "yes".to_owned(),
            (_, Value::Bool(false)) => "no".to_owned(),
            (_, Value::String(text)) if text.is_empty() => "nothing".to_owned(),
            ("state", Value::String(word)) => word.replace('-', " "),
            ("access", Value::String(word)) if matches!(word.as_str(), "read-only" | "full-access") => {
                word.replace('-', " ")
            }
            (_, Value::String(text)) => text.clone(),
            ("owner", Value::Number(id)) => self.names.of_person(OwnerId(id.as_i64().unwrap_or_default())),
            ("roles", Value::Number(id)) => self.names.of_role(RoleId(id.as_i64().unwrap_or_default())),
            ("users", Value::Object(failed)) => {
                let id = failed.get("id").and_then(Value::as_i64).unwrap_or_default();
                format!("{}: {}", self.names.of_person(OwnerId(id)), times(failed))
            }
            ("addresses", Value::Object(failed)) => {
                let address = failed.get("address").and_then(Value::as_str).unwrap_or_default();
                format!("{address}: {}", times(failed))
            }
            (_, Value::Object(grant)) if grant.contains_key("action") => self.grant(grant),
            (_, value) => value.to_string(),
        }
    }

    /// A grant or a permission.
    fn grant(&self, grant: &Map<String, Value>) -> String {
        let text = |name: &str| grant.get(name).and_then(Value::as_str);
        let list = |name: &str| match grant.get(name).and_then(Value::as_array) {
            Some(list) => list.iter().filter_map(Value::as_str).collect(),
            None => Vec::new(),
        };
        let resource = text("subject").map(Resource::from);
        let mut said = self.words.said(&text("action").unwrap_or_default().into(), resource.as_ref());
        let (fields, conditions) = (list("fields"), list("conditions"));
        if !fields.is_empty() {
            said = format!("{said} ({})", fields.join(", "));
        }
        if !conditions.is_empty() {
            let name = |id: &&str| condition_name(&ConditionId::from(*id));
            said = format!("{said}, {}", conditions.iter().map(name).collect::<Vec<_>>().join(" or "));
        }
        said
    }
}

/// How often something failed.
fn times(failed: &Map<String, Value>) -> String {
    match failed.get("count").and_then(Value::as_u64).unwrap_or_default() {
        1 => "1 failure".to_owned(),
        count => format!("{count} failures"),
    }
}

fn label(name: &str) -> String {
    match name {
        "email" => "E-mail".to_owned(),
        "firstname" => "First name".to_owned(),
        "lastname" => "Last name".to_owned(),
        "access" => "Type".to_owned(),
        "lifespan" => "Duration".to_owned(),
        "first" => "First user".to_owned(),
        "expiresAt" => "Expires".to_owned(),
        "imported" => "Taken over from".to_owned(),
        "passwordHash" => "Password hash".to_owned(),
        other => capital(other),
    }
}
