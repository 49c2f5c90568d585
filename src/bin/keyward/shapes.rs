//! The JSON of records: the members of the management API, in its order.

use keyward::RoleId;
use keyward::accounts::AccountKind;
use keyward::admin::{Actor, AuditCause, AuditEvent, AuditTarget, DescribedToken, Owner, Role};
use keyward::authz::{ConditionClause, ConditionId, Fields, Grant, Permission, Scope};
use keyward::token::{ContentAccess, Metadata, OwnerId, Token, TokenAuthority, TokenId, TokenSecret};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashMap;
use std::time::Duration;

/// An admin token or a content token.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TokenShape {
    pub(crate) id: i64,
    kind: &'static str,
    pub(crate) name: String,
    description: String,
    metadata: Option<Metadata>,
    #[serde(flatten)]
    authority: AuthorityShape,
    last_used_at: Option<String>,
    last_used_tool: Option<String>,
    enabled: bool,
    networks: Vec<String>,
    rate_limit: Option<RateShape>,
    idle_expiry: Option<u64>,
    secrets: Vec<SecretShape>,
    lifespan: Option<String>,
    expires_at: Option<String>,
    created_at: String,
    updated_at: String,
    /// The secret, where it was just made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) access_key: Option<String>,
}

/// The members in which the kinds differ.
#[derive(Serialize)]
#[serde(untagged)]
enum AuthorityShape {
    #[serde(rename_all = "camelCase")]
    Admin {
        admin_permissions: Vec<PermissionShape>,
        admin_user_owner: Option<TokenOwnerShape>,
        parent: Option<i64>,
    },
    Content {
        r#type: &'static str,
        permissions: Vec<String>,
    },
}

#[derive(Serialize)]
struct RateShape {
    limit: u32,
    window: u64,
}

/// A secret that is admitted.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SecretShape {
    hint: String,
    ends_at: Option<String>,
    last_used_at: Option<String>,
    last_used_from: Option<String>,
}

impl From<TokenSecret> for SecretShape {
    fn from(TokenSecret { hint, ends_at, used }: TokenSecret) -> Self {
        Self {
            hint,
            ends_at: ends_at.map(|at| at.to_string()),
            last_used_at: used.map(|used| used.at.to_string()),
            last_used_from: used.and_then(|used| used.address).map(|address| address.to_string()),
        }
    }
}

#[derive(Serialize)]
struct TokenOwnerShape {
    id: i64,
    firstname: String,
    lastname: String,
    username: Option<String>,
    email: String,
}

impl From<&DescribedToken> for TokenShape {
    fn from(described: &DescribedToken) -> Self {
        let DescribedToken { token, owner, conditions, .. } = described;
        let conditions = |i: usize| conditions.get(i).map(Vec::as_slice).unwrap_or_default();
        let grants = token.grants().iter().enumerate();
        let authority = match &token.authority {
            TokenAuthority::Content { access } => AuthorityShape::Content {
                r#type: access.as_str(),
                permissions: match access {
                    ContentAccess::Custom(actions) => actions.iter().map(ToString::to_string).collect(),
                    _ => Vec::new(),
                },
            },
            TokenAuthority::Admin { .. } | TokenAuthority::Session { .. } => AuthorityShape::Admin {
                admin_permissions: grants.map(|(i, g)| PermissionShape::of_grant(i, g, conditions(i))).collect(),
                admin_user_owner: owner.as_ref().map(|owner| TokenOwnerShape {
                    id: owner.id.0,
                    firstname: owner.firstname.clone(),
                    lastname: owner.lastname.clone(),
                    username: owner.username.clone(),
                    email: owner.email.clone(),
                }),
                parent: token.parent().map(|id| id.0),
            },
        };
        let kind = if token.owner().is_some() { "admin" } else { "content-api" };
        let Token { id, name, description, metadata, limits, created_at, updated_at, .. } = token;
        Self {
            id: id.0,
            kind,
            name: name.clone(),
            description: description.clone(),
            metadata: metadata.clone(),
            authority,
            last_used_at: token.last_used_at.map(|at| at.to_string()),
            last_used_tool: token.last_used_tool.as_deref().map(str::to_owned),
            enabled: limits.enabled,
            networks: limits.networks.iter().map(ToString::to_string).collect(),
            rate_limit: limits.rate.map(|rate| RateShape { limit: rate.limit(), window: millis(rate.window()) }),
            idle_expiry: limits.idle_expiry.map(millis),
            secrets: token.secrets().into_iter().map(SecretShape::from).collect(),
            lifespan: token.lifespan.map(|span| span.as_millis().to_string()),
            expires_at: token.expires_at.map(|at| at.to_string()),
            created_at: created_at.to_string(),
            updated_at: updated_at.to_string(),
            access_key: None,
        }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// A permission of a role, or a grant of a token.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PermissionShape {
    id: usize,
    action: String,
    subject: Option<String>,
    properties: PropertiesShape,
    conditions: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    may_delegate: bool,
    action_parameters: Nothing,
}

#[derive(Serialize)]
struct PropertiesShape {
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<Vec<String>>,
}

/// An object without members.
#[derive(Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl PermissionShape {
    fn of_grant(place: usize, grant: &Grant, conditions: &[ConditionId]) -> Self {
        Self { may_delegate: grant.may_delegate, ..Self::new(place, &grant.scope, conditions) }
    }

    fn new(place: usize, scope: &Scope, conditions: &[ConditionId]) -> Self {
        let fields = match &scope.fields {
            Fields::All => None,
            Fields::Only(set) => Some(set.as_slice().iter().map(ToString::to_string).collect()),
        };
        Self {
            id: place + 1,
            action: scope.action.to_string(),
            subject: scope.resource.as_ref().map(ToString::to_string),
            properties: PropertiesShape { fields },
            conditions: conditions.iter().map(ToString::to_string).collect(),
            may_delegate: false,
            action_parameters: Nothing {},
        }
    }
}

/// A permission, as a file has it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SentPermission {
    action: String,
    subject: Option<String>,
    properties: Option<SentProperties>,
    conditions: Option<Vec<String>>,
    #[serde(default, rename = "id")]
    _id: Option<u64>,
    #[serde(default, rename = "actionParameters")]
    _action_parameters: Option<Nothing>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SentProperties {
    fields: Option<Vec<String>>,
}

impl SentPermission {
    pub(crate) fn permission(self) -> Result<Permission, String> {
        if self.action.is_empty() {
            return Err("action must not be empty".to_owned());
        }
        let fields = match self.properties.and_then(|properties| properties.fields) {
            None => Fields::All,
            Some(fields) => Fields::only(fields.iter().map(String::as_str))
                .map_err(|error| format!("properties.fields: {error}"))?,
        };
        Ok(Permission {
            scope: Scope { action: self.action.into(), resource: self.subject.map(Into::into), fields },
            when: ConditionClause::from_list(self.conditions.unwrap_or_default()),
        })
    }
}

/// A person, or a service that owns tokens.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OwnerShape {
    pub(crate) id: i64,
    firstname: String,
    lastname: String,
    username: Option<String>,
    pub(crate) email: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    is_active: bool,
    blocked: bool,
    #[serde(rename = "preferedLanguage")]
    preferred_language: Option<String>,
    created_at: String,
    updated_at: String,
    roles: Vec<RoleOfOwner>,
    /// The secret of an invitation, where it was just made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) registration_token: Option<String>,
}

#[derive(Serialize)]
struct RoleOfOwner {
    id: i64,
    name: String,
    code: Option<String>,
    description: String,
}

impl OwnerShape {
    pub(crate) fn new(owner: &Owner, roles: &HashMap<RoleId, Role>) -> Self {
        let role = |Role { id, name, code, description, .. }: &Role| RoleOfOwner {
            id: id.0,
            name: name.clone(),
            code: code.clone(),
            description: description.clone(),
        };
        Self {
            id: owner.id.0,
            firstname: owner.firstname.clone(),
            lastname: owner.lastname.clone(),
            username: owner.username.clone(),
            email: owner.email.clone(),
            kind: Some(owner.kind).filter(|kind| *kind != AccountKind::Person).map(AccountKind::as_str),
            is_active: owner.state.is_switched_on(),
            blocked: owner.state.is_blocked(),
            preferred_language: None,
            created_at: owner.created_at.to_string(),
            updated_at: owner.updated_at.to_string(),
            roles: owner.roles.iter().filter_map(|id| roles.get(id)).map(role).collect(),
            registration_token: None,
        }
    }
}

/// A role, with its permissions where one role is shown.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RoleShape {
    pub(crate) id: i64,
    name: String,
    description: String,
    code: Option<String>,
    created_at: String,
    updated_at: String,
    users_count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    permissions: Option<Vec<PermissionShape>>,
}

impl RoleShape {
    pub(crate) fn new(role: &Role, users_count: u64) -> Self {
        Self {
            id: role.id.0,
            name: role.name.clone(),
            description: role.description.clone(),
            code: role.code.clone(),
            created_at: role.created_at.to_string(),
            updated_at: role.updated_at.to_string(),
            users_count,
            permissions: None,
        }
    }

    pub(crate) fn with_permissions(self, role: &Role) -> Self {
        let shape = |(i, p): (usize, &Permission)| PermissionShape::new(i, &p.scope, p.when.as_slice());
        Self { permissions: Some(role.permissions.iter().enumerate().map(shape).collect()), ..self }
    }
}

/// An audit event.
#[derive(Serialize)]
pub(crate) struct EventShape {
    pub(crate) id: i64,
    action: Value,
    date: String,
    user: Option<EventUser>,
    token: Option<i64>,
    target: EventObject,
    address: Option<String>,
    origin: Option<&'static str>,
    tool: Option<String>,
    cause: Option<EventObject>,
    payload: Value,
    withheld: bool,
}

/// A person, with their present name; of a deleted one only the id is left.
#[derive(Serialize, Clone)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventUser {
    pub(crate) id: i64,
    pub(crate) email: Option<String>,
    pub(crate) display_name: Option<String>,
}

/// The target or the cause of an event.
#[derive(Serialize)]
struct EventObject {
    kind: String,
    id: Option<i64>,
}

impl EventShape {
    pub(crate) fn new(id: i64, event: AuditEvent, user: Option<EventUser>) -> Self {
        let AuditEvent { at, origin, what, target, cause, details } = event;
        let token = match origin.actor {
            Actor::Token(TokenId(id)) => Some(id),
            _ => None,
        };
        let channel = match (origin.actor, &origin.tool) {
            (_, Some(_)) => Some("mcp"),
            (Actor::Person(_) | Actor::Token(_) | Actor::Visitor, None) => Some("http"),
            _ => None,
        };
        Self {
            id,
            action: serde_json::to_value(what).unwrap_or_default(),
            date: at.to_string(),
            user,
            token,
            target: target.into(),
            address: origin.address.map(|address| address.to_string()),
            origin: channel,
            tool: origin.tool.as_deref().map(str::to_owned),
            cause: cause.map(EventObject::from),
            payload: details,
            withheld: false,
        }
    }
}

impl From<AuditTarget> for EventObject {
    fn from(target: AuditTarget) -> Self {
        let id = match target {
            AuditTarget::Owner(OwnerId(id)) | AuditTarget::Role(RoleId(id)) | AuditTarget::Token(TokenId(id), _) => {
                Some(id)
            }
            _ => None,
        };
        Self { kind: target.kind().as_str().to_owned(), id }
    }
}

impl From<AuditCause> for EventObject {
    fn from(cause: AuditCause) -> Self {
        // A word, or an object whose only member is the word with an id.
        let (word, id) = match serde_json::to_value(cause).unwrap_or_default() {
            Value::String(word) => (word, None),
            Value::Object(members) => {
                let member = members.into_iter().next();
                member.map_or((String::new(), None), |(word, id)| (word, id.as_i64()))
            }
            _ => (String::new(), None),
        };
        // The API calls owners users.
        let kind = word.strip_prefix("owner-").map_or(word.clone(), |rest| format!("user-{rest}"));
        Self { kind, id }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_have_the_words_of_the_api() {
        for (cause, kind, id) in [
            (AuditCause::RolePermissions(RoleId(3)), "role-permissions", Some(3)),
            (AuditCause::OwnerRoles(OwnerId(4)), "user-roles", Some(4)),
            (AuditCause::OwnerDeleted(OwnerId(5)), "user-deleted", Some(5)),
            (AuditCause::AccountChanged(OwnerId(6)), "account-changed", Some(6)),
            (AuditCause::Catalogue, "catalogue", None),
        ] {
            let object = EventObject::from(cause);
            assert_eq!((object.kind.as_str(), object.id), (kind, id));
        }
    }
}
