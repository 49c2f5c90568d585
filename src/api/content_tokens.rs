//! `/admin/api-tokens`: tokens for the content API, which belong to nobody.

use super::answer::{Answer, Data, List, created, ok};
use super::body::{Body, NoBody};
use super::failure::{Failure, Problem, wire_path, wire_segment};
use super::json::{given, text_or_null};
use super::query::{Params, Values};
use super::request::{Caller, Id};
use super::state::Api;
use super::token::{Lifespan, Regenerated, exposed, shown_key, shown_lifespan, token_query};
use super::unchanged::{Comparison, Unchanged, not_later, same_lifespan};
use crate::admin::{self, ACTIONS, ServiceError, TokenUpdate, Tokens};
use crate::domain::{Action, ContentAccess, FieldName, PathSegment, Token, TokenAuthority, TokenId, TokenKind};
use crate::store::{TokenField, TokenSort};
use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const KIND: &str = "content-api";

const SORTS: [(&str, TokenSort); 6] = [
    ("id", TokenSort::Id),
    ("name", TokenSort::Name),
    ("createdAt", TokenSort::CreatedAt),
    ("lastUsedAt", TokenSort::LastUsedAt),
    ("expiresAt", TokenSort::ExpiresAt),
    ("type", TokenSort::Access),
];

const FIELDS: [(&str, TokenField, Values); 4] = [
    ("id", TokenField::Id, Values::Ids),
    ("name", TokenField::Name, Values::Texts),
    ("description", TokenField::Description, Values::Texts),
    ("type", TokenField::Access, Values::Words(&["read-only", "full-access", "custom"])),
];

/// A content token.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ContentToken {
    id: i64,
    /// Always `content-api`.
    kind: &'static str,
    name: String,
    description: String,
    /// `read-only`, `full-access` or `custom`.
    r#type: &'static str,
    /// What a custom token may do; empty for the other types.
    permissions: Vec<String>,
    last_used_at: Option<String>,
    /// Milliseconds; null: for ever.
    lifespan: Option<String>,
    expires_at: Option<String>,
    created_at: String,
    updated_at: String,
    /// Its key: when it is made, and to sessions where an encryption key is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    access_key: Option<String>,
    /// Why the key cannot be shown although it was kept.
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
            // No other token comes this way.
            TokenAuthority::Admin { .. } | TokenAuthority::Session { .. } => ("", Vec::new()),
        };
        Self {
            id: token.id.0,
            kind: KIND,
            r#type,
            permissions,
            last_used_at: token.last_used_at.map(|at| at.to_string()),
            lifespan: shown_lifespan(&token),
            expires_at: token.expires_at.map(|at| at.to_string()),
            created_at: token.created_at.to_string(),
            updated_at: token.updated_at.to_string(),
            name: token.name,
            description: token.description,
            access_key: None,
            access_key_error: None,
        }
    }
}

/// What a content token may do.
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

/// A content token to be.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub(super) struct NewContentToken {
    name: String,
    description: Option<String>,
    #[serde(default)]
    lifespan: Lifespan,
    r#type: AccessType,
    /// What a custom token may do. Other types have none.
    permissions: Option<Vec<String>>,
    /// `content-api`, or left out.
    #[expect(dead_code, reason = "there is but one")]
    kind: Option<ContentKind>,
}

/// What is to change of a content token. What is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub(super) struct ContentTokenUpdate {
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    name: Option<String>,
    #[serde(default, deserialize_with = "text_or_null")]
    description: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    r#type: Option<AccessType>,
    /// Other actions of a custom token, as a whole.
    permissions: Option<Vec<String>>,
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
    #[expect(dead_code, reason = "it was read, and is put back")]
    access_key: Option<String>,
    #[expect(dead_code, reason = "it was read, and is put back")]
    access_key_error: Option<String>,
}

impl ContentTokenUpdate {
    /// Refuses what would change of a token and cannot.
    fn keeps(&self, shown: &ContentToken) -> Result<(), Failure> {
        Comparison::with(shown)
            .fields([
                ("id", &self.id),
                ("kind", &self.kind),
                ("expiresAt", &self.expires_at),
                ("createdAt", &self.created_at),
                ("updatedAt", &self.updated_at),
            ])
            .field("lifespan", &self.lifespan, same_lifespan)
            .field("lastUsedAt", &self.last_used_at, not_later)
            .done()
    }

    /// The access that is to replace this one, if any is.
    fn access(&self, shown: &ContentToken) -> Result<Option<ContentAccess>, Failure> {
        let was_custom = shown.r#type == "custom";
        match (self.r#type, &self.permissions) {
            (None, None) => Ok(None),
            (Some(AccessType::Custom), None) if was_custom => Ok(None),
            (None, Some(list)) if was_custom => access(AccessType::Custom, Some(list)).map(Some),
            (None, Some(list)) if list.is_empty() => Ok(None),
            (None, Some(_)) => Err(of_custom().into()),
            (Some(r#type), list) => access(r#type, list.as_deref()).map(Some),
        }
    }
}

fn access(r#type: AccessType, permissions: Option<&[String]>) -> Result<ContentAccess, Failure> {
    let list = permissions.unwrap_or_default();
    match r#type {
        AccessType::Custom if list.is_empty() => {
            Err(Problem::at(["permissions"], "a custom token names at least one action").into())
        }
        AccessType::Custom if list.len() > ACTIONS => {
            Err(Problem::at(["permissions"], format!("must have at most {ACTIONS} entries")).into())
        }
        AccessType::Custom => {
            let wrong = |text: &str| text.is_empty() || text.chars().count() > 255;
            if let Some(i) = list.iter().position(|text| wrong(text)) {
                let path = ["permissions".to_owned(), i.to_string()];
                return Err(Problem::at(path, "must have from 1 to 255 characters").into());
            }
            Ok(ContentAccess::Custom(list.iter().map(|text| Action::new(text.as_str())).collect()))
        }
        _ if !list.is_empty() => Err(of_custom().into()),
        AccessType::ReadOnly => Ok(ContentAccess::ReadOnly),
        AccessType::FullAccess => Ok(ContentAccess::FullAccess),
    }
}

fn of_custom() -> Problem {
    Problem::at(["permissions"], "only a custom token has permissions")
}

fn tokens(api: &Api, caller: &Caller) -> Tokens {
    api.tokens.clone().only(TokenKind::Content).acting_as(&caller.actor).from_address(caller.address)
}

/// Converts an error of the service. The access is sent as `permissions`.
fn failed(error: ServiceError) -> Failure {
    Failure::of(error, &|path| match path.segments() {
        [PathSegment::Field(FieldName::Access), rest @ ..] => {
            let rest = rest.iter().map(wire_segment);
            std::iter::once("permissions".to_owned()).chain(rest).collect()
        }
        _ => wire_path(path),
    })
}

/// Lists content tokens by name, page by page. Never with keys.
#[utoipa::path(get, path = "/admin/api-tokens", tag = "Content tokens", params(
    ("page" = Option<u32>, Query, description = "From 1"),
    ("pageSize" = Option<u32>, Query, description = "From 1 to 1000; 100 if left out"),
    ("sort" = Option<String>, Query, description = "A field, and `:ASC` or `:DESC`: `createdAt:DESC`; `name` if left out"),
    ("_q" = Option<String>, Query, description = "A text that is in the name or the description"),
    ("filters" = Option<String>, Query, description = "`filters[name][$eq]=..`, `[$contains]` or `[$in][0]`, of `id`, `name`, `description`, `type`; all have to pass"),
), responses((status = 200, body = List<ContentToken>)))]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    params: Params,
) -> Result<Json<List<ContentToken>>, Failure> {
    let query = token_query(params, TokenKind::Content, &SORTS, &FIELDS)?;
    let page = tokens(&api, &caller).list(&query).await?;
    let listed = page.items.into_iter().map(|described| described.token.into()).collect();
    Ok(List::of(listed, query.paging, page.total))
}

/// Makes a content token and shows its key.
#[utoipa::path(post, path = "/admin/api-tokens", tag = "Content tokens", request_body = NewContentToken, responses((status = 201, body = Data<ContentToken>)))]
pub(super) async fn create(
    State(api): State<Api>,
    caller: Caller,
    Body(new): Body<NewContentToken>,
) -> Result<(StatusCode, Answer<ContentToken>), Failure> {
    let NewContentToken { name, description, lifespan, r#type, permissions, .. } = new;
    let tokens = tokens(&api, &caller);
    tokens.may_change()?;
    let access = access(r#type, permissions.as_deref())?;
    let description = description.unwrap_or_default();
    let new = admin::NewContentToken { name, description, access, lifespan: lifespan.into() };
    let issued = tokens.issue_content(new).await.map_err(failed)?;
    let access_key = Some(exposed(&issued.secret));
    Ok(created(ContentToken { access_key, ..ContentToken::from(issued.token) }))
}

/// Reads a content token; with its key, for a session.
#[utoipa::path(get, path = "/admin/api-tokens/{id}", tag = "Content tokens", params(("id" = i64, Path)), responses((status = 200, body = Data<ContentToken>)))]
pub(super) async fn read(State(api): State<Api>, Id(id): Id, caller: Caller) -> Result<Answer<ContentToken>, Failure> {
    let opened = tokens(&api, &caller).open(TokenId(id)).await?;
    let (access_key, access_key_error) = shown_key(&opened.secret);
    Ok(ok(ContentToken { access_key, access_key_error, ..ContentToken::from(opened.described.token) }))
}

/// Changes a content token: its name, description and access. What is left out stays.
#[utoipa::path(put, path = "/admin/api-tokens/{id}", tag = "Content tokens", params(("id" = i64, Path)), request_body = ContentTokenUpdate, responses((status = 200, body = Data<ContentToken>)))]
pub(super) async fn update(
    State(api): State<Api>,
    Id(id): Id,
    caller: Caller,
    Body(update): Body<ContentTokenUpdate>,
) -> Result<Answer<ContentToken>, Failure> {
    let tokens = tokens(&api, &caller);
    tokens.may_change()?;
    let shown = ContentToken::from(tokens.read(TokenId(id)).await?.token);
    update.keeps(&shown)?;
    let access = update.access(&shown)?;
    let change = TokenUpdate { name: update.name, description: update.description, grants: None, access };
    let token = tokens.update(TokenId(id), change).await.map_err(failed)?;
    Ok(ok(token.token.into()))
}

/// Revokes a content token.
#[utoipa::path(delete, path = "/admin/api-tokens/{id}", tag = "Content tokens", params(("id" = i64, Path)), responses((status = 200, body = Data<ContentToken>)))]
pub(super) async fn delete(
    State(api): State<Api>,
    Id(id): Id,
    caller: Caller,
    _: NoBody,
) -> Result<Answer<ContentToken>, Failure> {
    Ok(ok(tokens(&api, &caller).revoke(TokenId(id)).await?.into()))
}

/// Gives a content token a new key.
#[utoipa::path(post, path = "/admin/api-tokens/{id}/regenerate", tag = "Content tokens", params(("id" = i64, Path)), responses((status = 201, body = Data<Regenerated>)))]
pub(super) async fn regenerate(
    State(api): State<Api>,
    Id(id): Id,
    caller: Caller,
    _: NoBody,
) -> Result<(StatusCode, Answer<Regenerated>), Failure> {
    let issued = tokens(&api, &caller).regenerate(TokenId(id)).await?;
    Ok(created(Regenerated::of(&issued, KIND)))
}
