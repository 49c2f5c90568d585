//! The wire format of users and their roles.

use super::unchanged::is_same_object;
use crate::domain::{AccountKind, Owner, OwnerState, Role, RoleId};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::HashMap;
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// An admin user.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct User {
    pub(super) id: i64,
    firstname: String,
    lastname: String,
    username: Option<String>,
    email: String,
    /// `service` or `organisation`; left out for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    /// Whether the user has registered and is not deactivated.
    pub(super) is_active: bool,
    pub(super) blocked: bool,
    /// Always null.
    #[serde(rename = "preferedLanguage")]
    preferred_language: Option<String>,
    created_at: String,
    updated_at: String,
    roles: Vec<RoleOfUser>,
    /// The secret that lets the user register. Only the response to an invitation has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) registration_token: Option<String>,
    #[serde(skip)]
    pub(super) state: OwnerState,
}

/// A role of a user.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RoleOfUser {
    id: i64,
    name: String,
    code: Option<String>,
    description: String,
}

impl From<&Role> for RoleOfUser {
    fn from(role: &Role) -> Self {
        let Role { id, name, code, description, .. } = role;
        Self { id: id.0, name: name.clone(), code: code.clone(), description: description.clone() }
    }
}

impl User {
    pub(super) fn new(owner: Owner, roles: &HashMap<RoleId, Role>) -> Self {
        let Owner {
            id,
            kind,
            email,
            firstname,
            lastname,
            username,
            state,
            roles: role_ids,
            created_at,
            updated_at,
            ..
        } = owner;
        Self {
            id: id.0,
            firstname,
            lastname,
            username,
            email,
            kind: Some(kind).filter(|kind| *kind != AccountKind::Person).map(AccountKind::as_str),
            is_active: state.is_switched_on(),
            blocked: state.is_blocked(),
            preferred_language: None,
            created_at: created_at.to_string(),
            updated_at: updated_at.to_string(),
            roles: role_ids.iter().filter_map(|id| roles.get(id)).map(RoleOfUser::from).collect(),
            registration_token: None,
            state,
        }
    }
}

/// A role in an update: its id, or the object as it was read.
pub(super) struct RoleChoice {
    pub(super) id: RoleId,
    sent: Value,
}

impl RoleChoice {
    /// Returns whether the client sent the role as it is. The service rejects roles that do not exist.
    pub(super) fn is_unchanged(&self, roles: &HashMap<RoleId, Role>) -> bool {
        let Some(role) = roles.get(&self.id) else { return true };
        let current = serde_json::to_value(RoleOfUser::from(role)).unwrap_or_default();
        !self.sent.is_object() || is_same_object(&self.sent, &current)
    }
}

impl<'de> Deserialize<'de> for RoleChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let sent = Value::deserialize(deserializer)?;
        let id = match &sent {
            Value::Object(members) => members.get("id").and_then(Value::as_i64),
            Value::String(text) => crate::domain::parse_id(text),
            other => other.as_i64(),
        };
        let id = id.filter(|id| *id > 0).ok_or_else(|| D::Error::custom("must be the id of a role"))?;
        Ok(Self { id: RoleId(id), sent })
    }
}

impl PartialSchema for RoleChoice {
    fn schema() -> RefOr<Schema> {
        let description = "The id of a role, or the role as it was read.";
        let types = SchemaType::from_iter([Type::Integer, Type::String, Type::Object]);
        ObjectBuilder::new().schema_type(types).description(Some(description)).into()
    }
}

impl ToSchema for RoleChoice {
    fn name() -> Cow<'static, str> {
        "RoleChoice".into()
    }
}
