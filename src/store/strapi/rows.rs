//! Conversion of Strapi's rows to domain types. Rows with an unsupported meaning allow nothing.

use super::data::{SealedKey, StrapiAuthority, StrapiData, StrapiRole, StrapiToken, StrapiUser, UnsupportedRow};
use crate::domain::{
    Action, Ceiling, ConditionClause, ContentAccess, Digest, Fields, Grant, Owner, OwnerId, OwnerState, PasswordHash,
    Permission, RoleId, Scope, Timestamp, Token, TokenAuthority, TokenId, TokenLimits, date,
};
use crate::store::{Record, StoreError};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::time::Duration;

/// Strapi's code of the role without a ceiling.
const SUPER_ADMIN: &str = "strapi-super-admin";

/// The tokens with a digest.
#[derive(Deserialize)]
pub(super) struct FoundTokens {
    /// The database's time in milliseconds; 0 if it has none.
    pub(super) now: i64,
    localised: Vec<String>,
    tokens: Vec<TokenRow>,
}

/// All rows. References to other rows contain only their ids.
#[derive(Deserialize)]
pub(super) struct AllRows {
    localised: Vec<String>,
    roles: Vec<RoleRow>,
    users: Vec<UserRow>,
    tokens: Vec<TokenRow>,
}

#[derive(Deserialize)]
struct PermissionRow {
    id: i64,
    action: Option<String>,
    #[serde(rename = "subject")]
    resource: Option<String>,
    parameters: Option<String>,
    properties: Option<String>,
    conditions: Option<String>,
    /// The resource has locales.
    #[serde(skip)]
    localised: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RoleRow {
    id: i64,
    document_id: Option<String>,
    name: Option<String>,
    code: Option<String>,
    description: Option<String>,
    permissions: Vec<PermissionRow>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct UserRow {
    id: i64,
    document_id: Option<String>,
    firstname: Option<String>,
    lastname: Option<String>,
    username: Option<String>,
    email: Option<String>,
    password: Option<String>,
    active: u8,
    blocked: u8,
    invited: u8,
    created_at: Value,
    roles: Vec<RoleRow>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenRow {
    id: i64,
    document_id: Option<String>,
    name: Option<String>,
    description: Option<String>,
    kind: Option<String>,
    r#type: Option<String>,
    access_key: Option<String>,
    sealed: Option<String>,
    lifespan: Value,
    expires_at: Value,
    created_at: Value,
    last_used_at: Value,
    permissions: Vec<PermissionRow>,
    actions: Vec<Option<String>>,
    owners: Vec<UserRow>,
}

pub(super) fn parse<'t, T: Deserialize<'t>>(text: &'t str) -> Result<T, StoreError> {
    // serde's message may contain a value, which may be a hash.
    serde_json::from_str(text).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        StoreError::Corrupt(format!("unexpected form of a row in Strapi's tables ({place})"))
    })
}

impl FoundTokens {
    pub(super) fn any(&self) -> bool {
        !self.tokens.is_empty()
    }

    /// Returns the token with its owner; `None` if there is none that can be judged.
    pub(super) fn record(mut self, digest: &Digest, now: Timestamp) -> Option<Record> {
        let mut token = self.tokens.pop()?;
        if !self.tokens.is_empty() {
            tracing::warn!(token = token.id, "several tokens have the same digest: none of them is admitted");
            return None;
        }
        localise(&mut token.permissions, &self.localised);
        for role in token.owners.iter_mut().flat_map(|owner| &mut owner.roles) {
            localise(&mut role.permissions, &self.localised);
        }
        token.record(digest, now).map_err(|UnsupportedRow { what, why }| tracing::warn!(what, why, "not admitted")).ok()
    }
}

impl AllRows {
    pub(super) fn into_data(self) -> StrapiData {
        let mut tokens = Vec::new();
        let mut unsupported_rows = Vec::new();
        for mut row in self.tokens {
            localise(&mut row.permissions, &self.localised);
            match row.into_token() {
                Ok(token) => tokens.push(token),
                Err(what) => unsupported_rows.push(what),
            }
        }
        let mut roles = self.roles;
        roles.iter_mut().for_each(|role| localise(&mut role.permissions, &self.localised));
        let mut roles: Vec<StrapiRole> = roles.into_iter().map(RoleRow::into_role).collect();
        let mut users: Vec<StrapiUser> = self.users.into_iter().map(UserRow::into_user).collect();
        make_unique(roles.iter_mut().map(|role| (role.id, &mut role.key)));
        make_unique(users.iter_mut().map(|user| (user.id, &mut user.key)));
        make_unique(tokens.iter_mut().map(|token| (token.id, &mut token.key)));
        StrapiData { roles, users, tokens, unsupported_rows }
    }
}

impl TokenRow {
    fn record(mut self, digest: &Digest, now: Timestamp) -> Result<Record, UnsupportedRow> {
        let owner = self.owners.first_mut().map(UserRow::owner);
        let converted = self.into_token()?;
        let (authority, owner) = match converted.authority {
            StrapiAuthority::Content { access } => (TokenAuthority::Content { access }, None),
            StrapiAuthority::Admin { owner: id, grants } => {
                // No id is 0.
                (TokenAuthority::Admin { owner: OwnerId(id.unwrap_or(0)), grants }, owner)
            }
        };
        let token = Token {
            id: TokenId(converted.id),
            name: converted.name,
            description: converted.description,
            metadata: None,
            digest: *digest,
            hint: String::new(),
            lifespan: converted.lifespan,
            expires_at: converted.expires_at,
            created_at: converted.created_at,
            updated_at: converted.created_at,
            last_used_at: converted.last_used_at,
            last_used_tool: None,
            limits: TokenLimits::none(),
            secret_used: None,
            previous: None,
            ancestors: Vec::new(),
            parent_secret: None,
            authority,
        };
        Ok(Record { token, owner, now })
    }

    fn into_token(self) -> Result<StrapiToken, UnsupportedRow> {
        let name = self.name.unwrap_or_default();
        let itself = format!("token {} {name:?}", self.id);
        let unclear = |why: &'static str| UnsupportedRow { what: itself.clone(), why: why.to_owned() };
        // Look-ups compare text, so a digest in upper case is never found.
        let hex = self.access_key.as_deref().filter(|hex| !hex.bytes().any(|b| b.is_ascii_uppercase()));
        let digest = match hex.map(Digest::from_hex) {
            Some(Ok(digest @ Digest::Strapi(_))) => digest,
            _ => return Err(unclear("its access_key is no HMAC-SHA-512 in hex of small letters")),
        };
        let expires_at = time(&self.expires_at).ok_or_else(|| unclear("its expires_at is no time"))?;
        let mut unsupported_rows = Vec::new();
        let authority = match self.kind.as_deref() {
            Some("admin") => {
                if let Some(row) = self.permissions.iter().find(|row| row.fails_in_strapi()) {
                    let why =
                        format!("its permission {} has no properties or conditions, at which Strapi fails", row.id);
                    return Err(UnsupportedRow { what: itself, why });
                }
                let (permissions, left) = read(self.permissions, &itself);
                unsupported_rows = left;
                let owner = match &*self.owners {
                    [] => None,
                    [owner] => Some(owner.id),
                    _ => return Err(unclear("it has several owners")),
                };
                StrapiAuthority::Admin { owner, grants: permissions.into_iter().map(grant).collect() }
            }
            // Content tokens are older than the column.
            None | Some("content-api") => {
                let access = match self.r#type.as_deref() {
                    Some("read-only") => ContentAccess::ReadOnly,
                    Some("full-access") => ContentAccess::FullAccess,
                    Some("custom") => {
                        ContentAccess::Custom(self.actions.into_iter().flatten().map(Action::new).collect())
                    }
                    _ => {
                        unsupported_rows.push(unclear("its type is none of read-only, full-access and custom"));
                        ContentAccess::Custom([].into())
                    }
                };
                StrapiAuthority::Content { access }
            }
            Some(_) => return Err(unclear("its kind is neither admin nor content-api")),
        };
        Ok(StrapiToken {
            id: self.id,
            key: key(self.id, self.document_id),
            name,
            description: self.description.unwrap_or_default(),
            digest,
            sealed: self.sealed.map(SealedKey),
            // Only descriptive; `expires_at` ends a token.
            lifespan: self.lifespan.as_u64().map(Duration::from_millis),
            expires_at,
            created_at: valid_time(&self.created_at).unwrap_or(Timestamp(0)),
            last_used_at: valid_time(&self.last_used_at),
            authority,
            unsupported_rows,
        })
    }
}

impl UserRow {
    fn state(&self) -> OwnerState {
        match (self.active, self.blocked, self.invited) {
            (0, 0, 1) => OwnerState::Invited,
            (active, blocked, _) => OwnerState::of(active == 1, blocked == 1),
        }
    }

    /// Converts the user to an owner with a ceiling. Takes the roles.
    fn owner(&mut self) -> (Owner, Ceiling) {
        let roles = std::mem::take(&mut self.roles);
        let owner = Owner {
            account: None,
            kind: crate::domain::AccountKind::Person,
            id: OwnerId(self.id),
            email: self.email.clone().unwrap_or_default(),
            firstname: self.firstname.clone().unwrap_or_default(),
            lastname: self.lastname.clone().unwrap_or_default(),
            username: self.username.clone(),
            state: self.state(),
            roles: roles.iter().map(|role| RoleId(role.id)).collect(),
            created_at: valid_time(&self.created_at).unwrap_or(Timestamp(0)),
            updated_at: valid_time(&self.created_at).unwrap_or(Timestamp(0)),
        };
        if roles.iter().any(RoleRow::is_super_admin) {
            return (owner, Ceiling::Unlimited);
        }
        let held = roles.into_iter().flat_map(|role| role.into_role().permissions).collect();
        (owner, Ceiling::Of(held))
    }

    fn into_user(self) -> StrapiUser {
        let state = self.state();
        StrapiUser {
            id: self.id,
            key: key(self.id, self.document_id),
            email: self.email.unwrap_or_default(),
            firstname: self.firstname.unwrap_or_default(),
            lastname: self.lastname.unwrap_or_default(),
            username: self.username,
            password: self.password.map(PasswordHash),
            state,
            roles: self.roles.into_iter().map(|role| role.id).collect(),
            created_at: valid_time(&self.created_at).unwrap_or(Timestamp(0)),
        }
    }
}

impl RoleRow {
    fn is_super_admin(&self) -> bool {
        self.code.as_deref() == Some(SUPER_ADMIN)
    }

    fn into_role(self) -> StrapiRole {
        let super_admin = self.is_super_admin();
        let name = self.name.unwrap_or_default();
        let (permissions, unsupported_rows) = read(self.permissions, &format!("role {} {name:?}", self.id));
        StrapiRole {
            id: self.id,
            key: key(self.id, self.document_id),
            name,
            description: self.description.unwrap_or_default(),
            super_admin,
            permissions,
            unsupported_rows,
        }
    }
}

/// Marks permissions whose resource has locales.
fn localise(rows: &mut [PermissionRow], resources: &[String]) {
    for row in rows {
        row.localised = row.resource.as_ref().is_some_and(|resource| resources.contains(resource));
    }
}

/// Returns the supported permissions, and the rows that are not supported.
fn read(rows: Vec<PermissionRow>, of: &str) -> (Vec<Permission>, Vec<UnsupportedRow>) {
    let (mut permissions, mut left) = (Vec::new(), Vec::new());
    for row in rows {
        let id = row.id;
        let action = row.action.clone().unwrap_or_default();
        match row.permission() {
            Ok(permission) => permissions.push(permission),
            Err(why) => left.push(UnsupportedRow { what: format!("permission {id} ({action}) of {of}"), why }),
        }
    }
    (permissions, left)
}

impl PermissionRow {
    /// Returns true if Strapi answers 500 to every request of a token with this permission: it requires a value in
    /// `properties`, and a list in `conditions`. It treats invalid JSON as missing.
    fn fails_in_strapi(&self) -> bool {
        let value = |text: &Option<String>| match text {
            None => Some(Value::Null),
            Some(text) => serde_json::from_str(text).ok(),
        };
        value(&self.properties) == Some(Value::Null) || value(&self.conditions).is_some_and(|value| !value.is_array())
    }

    fn permission(self) -> Result<Permission, String> {
        let action = self.action.filter(|action| !action.is_empty()).ok_or("it has no action")?;
        if !object("action_parameters", self.parameters.as_deref())?.is_empty() {
            return Err("it is for some parameters of the action only".into());
        }
        let mut fields = Fields::All;
        let properties = object("properties", self.properties.as_deref())?;
        if self.localised && !properties.contains_key("locales") {
            return Err("its subject has locales and it names none, which allows nothing".into());
        }
        for (name, value) in properties {
            match (name.as_str(), value) {
                (_, Value::Null) => {}
                ("fields", value) => {
                    let names = texts("properties.fields", value)?;
                    fields = Fields::only(names).map_err(|_| "its list of fields is empty, which allows nothing")?;
                }
                (name, _) => return Err(format!("its property {name} is not known here")),
            }
        }
        let conditions = match self.conditions.as_deref() {
            None => Vec::new(),
            Some(text) => match json("conditions", text)? {
                Value::Null => Vec::new(),
                list => texts("conditions", list)?,
            },
        };
        // Strapi treats an empty resource as none.
        let resource = self.resource.filter(|resource| !resource.is_empty()).map(Into::into);
        let scope = Scope { action: action.into(), resource, fields };
        Ok(Permission { scope, when: ConditionClause::from_list(conditions) })
    }
}

fn grant(permission: Permission) -> Grant {
    let Permission { scope, when } = permission;
    Grant { scope, chosen: when, may_delegate: false }
}

/// Parses an object in a column; NULL is an empty one.
fn object(column: &str, text: Option<&str>) -> Result<Map<String, Value>, String> {
    match text.map(|text| json(column, text)).transpose()? {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(object)) => Ok(object),
        Some(_) => Err(format!("its {column} are no JSON object")),
    }
}

fn texts(column: &str, value: Value) -> Result<Vec<String>, String> {
    serde_json::from_value(value).map_err(|_| format!("its {column} are no list of texts"))
}

fn json(column: &str, text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|_| format!("its {column} are no JSON"))
}

/// Rows that were copied by hand share a document id: those are identified by their ids.
fn make_unique<'r>(keys: impl Iterator<Item = (i64, &'r mut String)>) {
    let keys: Vec<_> = keys.collect();
    let mut counts: HashMap<String, u32> = HashMap::new();
    for (_, key) in &keys {
        *counts.entry((*key).clone()).or_default() += 1;
    }
    for (id, key) in keys {
        if counts.get(key).is_some_and(|count| *count > 1) {
            *key = id.to_string();
        }
    }
}

/// Returns the key that identifies a row across databases.
fn key(id: i64, document_id: Option<String>) -> String {
    document_id.unwrap_or_else(|| id.to_string())
}

/// Parses a time in milliseconds: `Some(None)` is no time, `None` is an invalid one.
#[expect(clippy::option_option, reason = "a missing time and an invalid one differ")]
fn time(value: &Value) -> Option<Option<Timestamp>> {
    match value {
        Value::Null => Some(None),
        Value::Number(n) => n.as_i64().map(|ms| Some(Timestamp(ms))),
        // SQLite stores any value, also the text of a time. Times without a zone are ambiguous.
        Value::String(text) => date::parse(text).map(Some),
        _ => None,
    }
}

fn valid_time(value: &Value) -> Option<Timestamp> {
    time(value).flatten()
}
