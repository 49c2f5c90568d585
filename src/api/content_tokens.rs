//! `/api-tokens`: tokens for the content API. They have no owner.

use super::answer::{Answer, Data, List, created, ok};
use super::body::{Body, NoBody, OptionalBody};
use super::failure::{Failure, Problem, wire_path, wire_segment};
use super::json::{non_null, nullable, text_or_null};
use super::limits::{
    self, GraceToEnd, Regeneration, SentLimits, SentRate, ShownSecret, show_idle, show_networks, show_rate,
    show_secrets,
};
use super::query::{FieldType, LargePages, Params};
use super::request::Id;
use super::state::Api;
use super::token::{Lifespan, RegeneratedKey, expose, format_lifespan, key_fields, token_query};
use super::unchanged::{Comparison, Unchanged, is_not_later, is_same_lifespan};
use crate::admin::{self, ACTIONS, ServiceError, TokenUpdate};
use crate::domain::{
    Action, ContentAccess, FieldName, Metadata, PathSegment, Token, TokenAuthority, TokenId, TokenKind,
};
use crate::guard::Caller;
use crate::store::{TokenField, TokenSort};
use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

const KIND: &str = "content-api";

/// A content token.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ContentToken {
    id: i64,
    /// Always `content-api`.
    kind: &'static str,
    name: String,
    description: String,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Metadata>,
    /// `read-only`, `full-access` or `custom`.
    r#type: &'static str,
    /// The actions of a custom token; empty for the other types.
    permissions: Vec<String>,
    last_used_at: Option<String>,
    /// The tool of an MCP server that the last use called.
    last_used_tool: Option<String>,
    /// Whether it is admitted.
    enabled: bool,
    /// The networks of the clients from which it is admitted; empty: from everywhere.
    networks: Vec<String>,
    rate_limit: Option<SentRate>,
    /// It ends after this long without use, in milliseconds; null: never.
    idle_expiry: Option<u64>,
    /// The keys that are admitted: the present one, and the one before until its grace period ends.
    secrets: Vec<ShownSecret>,
    /// Milliseconds; null: unlimited.
    lifespan: Option<String>,
    expires_at: Option<String>,
    created_at: String,
    updated_at: String,
    /// The key: in the response that creates the token, and for sessions if an encryption key is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    access_key: Option<String>,
    /// The reason why a kept key cannot be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    access_key_error: Option<String>,
}

impl From<Token> for ContentToken {
    fn from(token: Token) -> Self {
        let (r#type, permissions) = match &token.authority {
            TokenAuthority::Content { access: ContentAccess::Custom(actions) } => {
                ("custom", actions.iter().map(ToString::to_string).collect())
            }
            TokenAuthority::Content { access } => (access.as_str(), Vec::new()),
            // Unreachable: the service returns content tokens only.
            TokenAuthority::Admin { .. } | TokenAuthority::Session { .. } => ("", Vec::new()),
        };
        Self {
            id: token.id.0,
            kind: KIND,
            r#type,
            permissions,
            last_used_at: token.last_used_at.map(|at| at.to_string()),
            last_used_tool: token.last_used_tool.as_deref().map(str::to_owned),
            enabled: token.limits.enabled,
            networks: show_networks(&token),
            rate_limit: show_rate(&token),
            idle_expiry: show_idle(&token),
            secrets: show_secrets(&token),
            lifespan: format_lifespan(&token),
            expires_at: token.expires_at.map(|at| at.to_string()),
            created_at: token.created_at.to_string(),
            updated_at: token.updated_at.to_string(),
            name: token.name,
            description: token.description,
            metadata: token.metadata,
            access_key: None,
            access_key_error: None,
        }
    }
}

/// The type of access that a content token has.
#[derive(Deserialize, ToSchema, Clone, Copy, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum AccessType {
    ReadOnly,
    FullAccess,
    Custom,
}

#[derive(Deserialize, ToSchema)]
enum ContentKind {
    #[serde(rename = "content-api")]
    Content,
}

/// A content token to create.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub(super) struct NewContentToken {
    name: String,
    description: Option<String>,
    /// An object for the host's use, of at most 2048 bytes as JSON without spaces; null or left out: none.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
    #[serde(default)]
    lifespan: Lifespan,
    /// The expiry instead of a lifespan: an ISO 8601 time in UTC.
    expires_at: Option<String>,
    /// Whether it is admitted. Left out: it is.
    #[serde(default, deserialize_with = "non_null")]
    #[schema(nullable = false)]
    enabled: Option<bool>,
    /// The networks of the clients from which it is admitted, like `10.0.0.0/8`. Left out: from everywhere.
    networks: Option<Vec<String>>,
    rate_limit: Option<SentRate>,
    /// It ends after this long without use, in milliseconds. Null or left out: never.
    idle_expiry: Option<u64>,
    r#type: AccessType,
    /// The actions of a custom token. Other types have none.
    permissions: Option<Vec<String>>,
    /// `content-api`, or left out.
    #[expect(dead_code, reason = "parsed only to reject other values")]
    kind: Option<ContentKind>,
}

/// Changes to a content token. Fields that are left out stay.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub(super) struct ContentTokenUpdate {
    #[serde(default, deserialize_with = "non_null")]
    #[schema(nullable = false)]
    name: Option<String>,
    #[serde(default, deserialize_with = "text_or_null")]
    description: Option<String>,
    /// The new metadata, as a whole; null: none.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<Object>)]
    metadata: Option<Option<Value>>,
    #[serde(default, deserialize_with = "non_null")]
    #[schema(nullable = false)]
    r#type: Option<AccessType>,
    /// The new actions of a custom token, as a whole list.
    permissions: Option<Vec<String>>,
    #[serde(default, deserialize_with = "non_null")]
    #[schema(nullable = false)]
    enabled: Option<bool>,
    /// The new networks, as a whole list; empty: it is admitted from everywhere.
    #[serde(default, deserialize_with = "non_null")]
    #[schema(nullable = false)]
    networks: Option<Vec<String>>,
    /// The new rate limit; null: none.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<SentRate>)]
    rate_limit: Option<Option<SentRate>>,
    /// The new idle expiry in milliseconds; null: none.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<u64>)]
    idle_expiry: Option<Option<u64>>,
    #[serde(default)]
    #[expect(dead_code, reason = "accepted and ignored in an object that is sent back as it was read")]
    secrets: Unchanged,
    #[serde(default)]
    id: Unchanged,
    #[serde(default)]
    kind: Unchanged,
    #[serde(default)]
    lifespan: Unchanged,
    #[serde(default)]
    expires_at: Unchanged,
    #[serde(default)]
    created_at: Unchanged,
    #[serde(default)]
    updated_at: Unchanged,
    #[serde(default)]
    last_used_at: Unchanged,
    #[expect(dead_code, reason = "accepted and ignored in an object that is sent back as it was read")]
    last_used_tool: Option<String>,
    #[expect(dead_code, reason = "accepted and ignored in an object that is sent back as it was read")]
    access_key: Option<String>,
    #[expect(dead_code, reason = "accepted and ignored in an object that is sent back as it was read")]
    access_key_error: Option<String>,
}

impl ContentTokenUpdate {
    /// Rejects changes of read-only fields.
    fn check_read_only(&self, current: &ContentToken) -> Result<(), Failure> {
        Comparison::new(current)
            .fields([
                ("id", &self.id),
                ("kind", &self.kind),
                ("expiresAt", &self.expires_at),
                ("createdAt", &self.created_at),
                ("updatedAt", &self.updated_at),
            ])
            .field("lifespan", &self.lifespan, is_same_lifespan)
            .field("lastUsedAt", &self.last_used_at, is_not_later)
            .finish()
    }

    /// Returns the new access, unless it stays.
    fn parse_access(&self, current: &ContentToken) -> Result<Option<ContentAccess>, Failure> {
        let was_custom = current.r#type == "custom";
        match (self.r#type, &self.permissions) {
            (None, None) => Ok(None),
            (Some(AccessType::Custom), None) if was_custom => Ok(None),
            (None, Some(list)) if was_custom => parse_access(AccessType::Custom, Some(list)).map(Some),
            (None, Some(list)) if list.is_empty() => Ok(None),
            (None, Some(_)) => Err(unexpected_permissions().into()),
            (Some(r#type), list) => parse_access(r#type, list.as_deref()).map(Some),
        }
    }
}

fn parse_access(r#type: AccessType, permissions: Option<&[String]>) -> Result<ContentAccess, Failure> {
    let list = permissions.unwrap_or_default();
    match r#type {
        AccessType::Custom if list.is_empty() => {
            Err(Problem::at(["permissions"], "a custom token names at least one action").into())
        }
        AccessType::Custom if list.len() > ACTIONS => {
            Err(Problem::at(["permissions"], format!("must have at most {ACTIONS} entries")).into())
        }
        AccessType::Custom => {
            let is_invalid = |text: &str| text.is_empty() || text.chars().count() > 255;
            if let Some(i) = list.iter().position(|text| is_invalid(text)) {
                let path = ["permissions".to_owned(), i.to_string()];
                return Err(Problem::at(path, "must have from 1 to 255 characters").into());
            }
            Ok(ContentAccess::Custom(list.iter().map(|text| Action::new(text.as_str())).collect()))
        }
        _ if !list.is_empty() => Err(unexpected_permissions().into()),
        AccessType::ReadOnly => Ok(ContentAccess::ReadOnly),
        AccessType::FullAccess => Ok(ContentAccess::FullAccess),
    }
}

fn unexpected_permissions() -> Problem {
    Problem::at(["permissions"], "only a custom token has permissions")
}

/// Reports problems of the service's field `access` at `permissions`, as clients call it.
fn token_failure(error: ServiceError) -> Failure {
    Failure::of(error, &|path| match path.segments() {
        [PathSegment::Field(FieldName::Access), rest @ ..] => {
            let rest = rest.iter().map(wire_segment);
            std::iter::once("permissions".to_owned()).chain(rest).collect()
        }
        _ => wire_path(path),
    })
}

/// Lists content tokens by name, page by page. Keys are never included.
#[utoipa::path(get, path = "/api-tokens", tag = "Content tokens", params(
    LargePages,
    ("sort" = Option<String>, Query, description = "A field, and `:ASC` or `:DESC`: `createdAt:DESC`; `name` if left out"),
    ("_q" = Option<String>, Query, description = "A part of the name or the description"),
    ("filters" = Option<String>, Query, description = "`filters[name][$eq]=..`, `[$contains]` or `[$in][0]`, of `id`, `name`, `description`, `type`, and `filters[metadata][team][$eq]=ci` of one text member; all have to pass"),
), responses((status = 200, body = List<ContentToken>)))]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    params: Params,
) -> Result<Json<List<ContentToken>>, Failure> {
    let types = FieldType::OneOf(&["read-only", "full-access", "custom"]);
    let query = token_query(params, TokenKind::Content, ("type", TokenSort::Access, TokenField::Access, types))?;
    let page = api.tokens(&caller, TokenKind::Content).list(&query).await?;
    let tokens = page.items.into_iter().map(|described| described.token.into()).collect();
    Ok(List::new(tokens, query.paging, page.total))
}

/// Creates a content token and returns its key.
#[utoipa::path(post, path = "/api-tokens", tag = "Content tokens", request_body = NewContentToken, responses((status = 201, body = Data<ContentToken>)))]
pub(super) async fn create(
    State(api): State<Api>,
    caller: Caller,
    Body(new): Body<NewContentToken>,
) -> Result<(StatusCode, Answer<ContentToken>), Failure> {
    let NewContentToken { name, description, metadata, lifespan, r#type, permissions, expires_at, .. } = &new;
    let tokens = api.tokens(&caller, TokenKind::Content);
    tokens.may_change()?;
    let access = parse_access(*r#type, permissions.as_deref())?;
    let lifespan = limits::lifespan(Some((*lifespan).into()), expires_at.as_deref())?;
    let limits = SentLimits {
        enabled: new.enabled,
        networks: new.networks.as_deref(),
        rate: Some(new.rate_limit),
        idle_expiry: Some(new.idle_expiry),
    };
    let token = admin::NewContentToken {
        name: name.clone(),
        description: description.clone().unwrap_or_default(),
        metadata: metadata.clone(),
        access,
        lifespan: lifespan.unwrap_or(admin::Lifespan::Unlimited),
        limits: limits.parse()?.into(),
    };
    let issued = tokens.issue_content(token).await.map_err(token_failure)?;
    let access_key = Some(expose(&issued.secret));
    Ok(created(ContentToken { access_key, ..ContentToken::from(issued.token) }))
}

/// Reads a content token. Sessions get the key too, if it was kept.
#[utoipa::path(get, path = "/api-tokens/{id}", tag = "Content tokens", params(("id" = i64, Path)), responses((status = 200, body = Data<ContentToken>)))]
pub(super) async fn read(State(api): State<Api>, Id(id): Id, caller: Caller) -> Result<Answer<ContentToken>, Failure> {
    let token = api.tokens(&caller, TokenKind::Content).open(TokenId(id)).await?;
    let (access_key, access_key_error) = key_fields(&token.secret);
    Ok(ok(ContentToken { access_key, access_key_error, ..ContentToken::from(token.described.token) }))
}

/// Changes a content token: its name, description, metadata and access. Fields that are left out stay.
#[utoipa::path(put, path = "/api-tokens/{id}", tag = "Content tokens", params(("id" = i64, Path)), request_body = ContentTokenUpdate, responses((status = 200, body = Data<ContentToken>)))]
pub(super) async fn update(
    State(api): State<Api>,
    Id(id): Id,
    caller: Caller,
    Body(update): Body<ContentTokenUpdate>,
) -> Result<Answer<ContentToken>, Failure> {
    let tokens = api.tokens(&caller, TokenKind::Content);
    tokens.may_change()?;
    let current = ContentToken::from(tokens.read(TokenId(id)).await?.token);
    update.check_read_only(&current)?;
    let access = update.parse_access(&current)?;
    let limits = SentLimits {
        enabled: update.enabled,
        networks: update.networks.as_deref(),
        rate: update.rate_limit,
        idle_expiry: update.idle_expiry,
    };
    let limits = limits.parse()?;
    let change = TokenUpdate {
        name: update.name,
        description: update.description,
        metadata: update.metadata.map(Option::unwrap_or_default),
        grants: None,
        access,
        enabled: limits.enabled,
        networks: limits.networks,
        rate: limits.rate,
        idle_expiry: limits.idle_expiry,
    };
    let token = tokens.update(TokenId(id), change).await.map_err(token_failure)?;
    Ok(ok(token.token.into()))
}

/// Revokes a content token.
#[utoipa::path(delete, path = "/api-tokens/{id}", tag = "Content tokens", params(("id" = i64, Path)), responses((status = 200, body = Data<ContentToken>)))]
pub(super) async fn delete(
    State(api): State<Api>,
    Id(id): Id,
    caller: Caller,
    _: NoBody,
) -> Result<Answer<ContentToken>, Failure> {
    Ok(ok(api.tokens(&caller, TokenKind::Content).revoke(TokenId(id)).await?.into()))
}

/// Issues a new key for a content token. The old one is valid until its grace period ends, if one is given.
#[utoipa::path(post, path = "/api-tokens/{id}/regenerate", tag = "Content tokens", params(("id" = i64, Path)), request_body = Option<Regeneration>, responses((status = 201, body = Data<RegeneratedKey>)))]
pub(super) async fn regenerate(
    State(api): State<Api>,
    Id(id): Id,
    caller: Caller,
    OptionalBody(sent): OptionalBody<Regeneration>,
) -> Result<(StatusCode, Answer<RegeneratedKey>), Failure> {
    let issued = api.tokens(&caller, TokenKind::Content).regenerate_with_grace(TokenId(id), sent.grace()).await?;
    Ok(created(RegeneratedKey::new(&issued, KIND)))
}

/// Ends the key that a content token had before, if its grace period is not over.
#[utoipa::path(post, path = "/api-tokens/{id}/end-grace", tag = "Content tokens", params(("id" = i64, Path)), request_body = Option<GraceToEnd>, responses((status = 200, body = Data<ContentToken>)))]
pub(super) async fn end_grace(
    State(api): State<Api>,
    Id(id): Id,
    caller: Caller,
    OptionalBody(sent): OptionalBody<GraceToEnd>,
) -> Result<Answer<ContentToken>, Failure> {
    Ok(ok(api.tokens(&caller, TokenKind::Content).end_grace_of(TokenId(id), sent.hint).await?.token.into()))
}
