//! The details of an audit event as a table of labels and values.

use super::event::describe_cause;
use super::names::{Label, Names};
use super::registry::{Registry, condition_label};
use super::time::Span;
use crate::admin::capitalize;
use crate::domain::{AuditAction, AuditEvent, AuditTarget, ConditionId, OwnerId, Resource, RoleId};
use serde_json::{Map, Value};
use std::time::Duration;

/// A row of the table.
pub(super) struct Detail {
    pub(super) label: String,
    pub(super) value: DetailValue,
}

pub(super) enum DetailValue {
    Text(String),
    List(Vec<String>),
    /// A text and the object that it is about.
    Link(&'static str, Option<Label>),
    Changed(String, String),
    ListChanged {
        removed: Vec<String>,
        added: Vec<String>,
        unchanged: usize,
    },
}

/// Renders details with labels and names.
pub(super) struct DetailRenderer<'a> {
    pub(super) registry: &'a Registry,
    pub(super) names: &'a Names,
}

impl DetailRenderer<'_> {
    pub(super) fn render(&self, event: &AuditEvent) -> Vec<Detail> {
        let cause = event.cause.map(|cause| {
            let (text, target) = describe_cause(cause);
            let value = DetailValue::Link(text, target.map(|target| self.names.target_label(target)));
            Detail { label: "Cause".to_owned(), value }
        });
        let Some(details) = event.details.as_object() else {
            let text = "You do not have permission to see the details.";
            return vec![Detail { label: "Not shown".to_owned(), value: DetailValue::Text(text.to_owned()) }];
        };
        // For these actions the details are one value, without a name.
        let name = match event.what {
            AuditAction::OwnerStateSet => "state",
            AuditAction::OwnerRolesSet => "roles",
            AuditAction::RolePermissionsSet => "permissions",
            AuditAction::GrantClamped | AuditAction::PermissionClamped => "permission",
            _ => {
                let details = details.iter().filter_map(|(name, value)| match name.as_str() {
                    // Metadata is neither a change nor a permission, even if its members are named like one.
                    "metadata" if event.what != AuditAction::TokenUpdated => {
                        Some(Detail { label: label(name), value: DetailValue::Text(value.to_string()) })
                    }
                    _ => self.detail(name, value),
                });
                return details.chain(cause).collect();
            }
        };
        self.detail(name, &event.details).into_iter().chain(cause).collect()
    }

    fn detail(&self, name: &str, value: &Value) -> Option<Detail> {
        let value = match value {
            Value::Object(change) if change.contains_key("after") => {
                self.change(name, change.get("before")?, &change["after"])
            }
            Value::Array(list) if list.is_empty() => return None,
            Value::String(text) if text.is_empty() => return None,
            // A missing value means something only for these.
            Value::Null if !matches!(name, "lifespan" | "days") => return None,
            Value::Array(list) => DetailValue::List(self.list(name, list)),
            value => DetailValue::Text(self.text(name, value)),
        };
        Some(Detail { label: label(name), value })
    }

    fn change(&self, name: &str, before: &Value, after: &Value) -> DetailValue {
        let (Value::Array(before), Value::Array(after)) = (before, after) else {
            return DetailValue::Changed(self.joined(name, before), self.joined(name, after));
        };
        let (before, after) = (self.list(name, before), self.list(name, after));
        let subtract = |these: &[String], others: &[String]| -> Vec<String> {
            these.iter().filter(|this| !others.contains(this)).cloned().collect()
        };
        let (removed, added) = (subtract(&before, &after), subtract(&after, &before));
        DetailValue::ListChanged { unchanged: before.len() - removed.len(), removed, added }
    }

    fn joined(&self, name: &str, value: &Value) -> String {
        match value {
            Value::Array(list) => self.list(name, list).join(", "),
            value => self.text(name, value),
        }
    }

    fn list(&self, name: &str, list: &[Value]) -> Vec<String> {
        let text = |value: &Value| match (name, value.as_i64()) {
            ("roles", Some(id)) => self.names.target_label(AuditTarget::Role(RoleId(id))).text,
            _ => self.text(name, value),
        };
        list.iter().map(text).collect()
    }

    fn text(&self, name: &str, value: &Value) -> String {
        match (name, value) {
            ("lifespan" | "days", Value::Null) => "unlimited".to_owned(),
            ("lifespan" | "leadTime", value) => match value.as_u64() {
                Some(millis) => Span(Duration::from_millis(millis)).to_string(),
                None => value.to_string(),
            },
            ("days", value) => format!("{value} days"),
            (_, Value::Null) => "nothing".to_owned(),
            (_, Value::Bool(true)) => "yes".to_owned(),
            (_, Value::Bool(false)) => "no".to_owned(),
            (_, Value::String(text)) if text.is_empty() => "nothing".to_owned(),
            ("metadata", value) => value.to_string(),
            ("state", Value::String(word)) => word.replace('-', " "),
            ("access", Value::String(word)) if matches!(word.as_str(), "read-only" | "full-access") => {
                word.replace('-', " ")
            }
            (_, Value::String(text)) => text.clone(),
            ("owner", Value::Number(id)) => self.person(id.as_i64()),
            ("users", Value::Object(failed)) => {
                format!("{}: {}", self.person(failed.get("id").and_then(Value::as_i64)), count_failures(failed))
            }
            ("addresses", Value::Object(failed)) => {
                let address = failed.get("address").and_then(Value::as_str).unwrap_or_default();
                format!("{address}: {}", count_failures(failed))
            }
            (_, Value::Object(scope)) if scope.contains_key("action") => self.permission(scope),
            (_, value) => value.to_string(),
        }
    }

    fn person(&self, id: Option<i64>) -> String {
        self.names.target_label(AuditTarget::Owner(OwnerId(id.unwrap_or_default()))).text
    }

    /// Renders a grant or a permission.
    fn permission(&self, scope: &Map<String, Value>) -> String {
        let text = |name: &str| scope.get(name).and_then(Value::as_str);
        let list = |name: &str| match scope.get(name).and_then(Value::as_array) {
            Some(list) => list.iter().filter_map(Value::as_str).collect(),
            None => Vec::new(),
        };
        let resource = text("subject").map(Resource::from);
        let mut label = self.registry.action_label(&text("action").unwrap_or_default().into(), resource.as_ref());
        let (fields, conditions) = (list("fields"), list("conditions"));
        if !fields.is_empty() {
            label = format!("{label} ({})", fields.join(", "));
        }
        if !conditions.is_empty() {
            let name = |id: &&str| condition_label(&ConditionId::from(*id));
            label = format!("{label}, {}", conditions.iter().map(name).collect::<Vec<_>>().join(" or "));
        }
        label
    }
}

fn count_failures(failed: &Map<String, Value>) -> String {
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
        "days" => "Kept for".to_owned(),
        "first" => "First user".to_owned(),
        "owners" => "Users".to_owned(),
        "expiresAt" => "Expires".to_owned(),
        "leadTime" => "Notice before expiry".to_owned(),
        "lastUsedAt" => "Last used".to_owned(),
        "createdAt" => "Created".to_owned(),
        "imported" => "Imported from".to_owned(),
        "adopted" => "Adopted key, digest by".to_owned(),
        "passwordHash" => "Password hash".to_owned(),
        other => capitalize(other),
    }
}
