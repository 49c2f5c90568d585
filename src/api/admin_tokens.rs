//! `/admin-tokens`: tokens that belong to the account that created them.

use super::answer::{Answer, Data, List, created, ok};
use super::body::{Body, NoBody};
use super::failure::Failure;
use super::json::{non_null, nullable, text_or_null};
use super::permission::{Permission, SentPermission, SentPermissions, show_grants, show_permissions};
use super::query::{FieldType, LargePages, Params};
use super::request::Id;
use super::state::Api;
use super::token::{Lifespan, RegeneratedKey, expose, format_lifespan, key_fields, token_query};
use super::unchanged::{Comparison, Unchanged, is_not_later, is_same_lifespan, is_same_object};
use crate::admin::{self, DescribedToken, GRANTS, ServiceError, TokenUpdate};
use crate::domain::{Metadata, Owner, OwnerId, TokenId, TokenKind};
use crate::guard::Caller;
use crate::store::{TokenField, TokenQuery, TokenSort};
use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// The field of a body that holds grants.
const GRANTS_FIELD: &str = "adminPermissions";

/// An admin token.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AdminToken {
    id: i64,
    /// Always `admin`.
    kind: &'static str,
    name: String,
    description: String,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Metadata>,
    last_used_at: Option<String>,
    /// The tool of an MCP server that the last use called.
    last_used_tool: Option<String>,
    /// Milliseconds; null: unlimited.
    lifespan: Option<String>,
    expires_at: Option<String>,
    created_at: String,
    updated_at: String,
    admin_permissions: Vec<Permission>,
    admin_user_owner: Option<TokenOwner>,
    /// The key: in the response that creates the token, and for its owner's sessions if an encryption key is
    /// configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    access_key: Option<String>,
    /// The reason why a kept key cannot be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    access_key_error: Option<String>,
}

/// The owner of a token.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenOwner {
    id: i64,
    firstname: String,
    lastname: String,
    username: Option<String>,
    email: String,
}

impl From<Owner> for TokenOwner {
    fn from(Owner { id, firstname, lastname, username, email, .. }: Owner) -> Self {
        Self { id: id.0, firstname, lastname, username, email }
    }
}

impl From<DescribedToken> for AdminToken {
    fn from(DescribedToken { token, owner, conditions }: DescribedToken) -> Self {
        Self {
            id: token.id.0,
            kind: "admin",
            last_used_at: token.last_used_at.map(|at| at.to_string()),
            last_used_tool: token.last_used_tool.as_deref().map(str::to_owned),
            lifespan: format_lifespan(&token),
            expires_at: token.expires_at.map(|at| at.to_string()),
            created_at: token.created_at.to_string(),
            updated_at: token.updated_at.to_string(),
            admin_permissions: show_grants(token.grants(), &conditions),
            admin_user_owner: owner.map(TokenOwner::from),
            name: token.name,
            description: token.description,
            metadata: token.metadata,
            access_key: None,
            access_key_error: None,
        }
    }
}

/// An admin token to create.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub(super) struct NewAdminToken {
    name: String,
    description: Option<String>,
    /// An object for the host's use, of at most 2048 bytes as JSON without spaces; null or left out: none.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
    /// Left out: unlimited in the management API; 30 days, or another default of the installation, at a mount of own tokens.
    #[serde(default, deserialize_with = "non_null")]
    #[schema(value_type = Lifespan, required = false)]
    lifespan: Option<Lifespan>,
    /// The grants: a subset of the owner's permissions.
    #[serde(default, deserialize_with = "non_null")]
    #[schema(nullable = false)]
    admin_permissions: Option<Vec<SentPermission>>,
    /// The owner: a service account that the caller manages. If left out, the caller.
    admin_user_owner: Option<i64>,
    /// `admin`, or left out.
    #[expect(dead_code, reason = "parsed only to reject other values")]
    kind: Option<AdminKind>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum AdminKind {
    Admin,
}

/// Changes to an admin token. Fields that are left out stay.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub(super) struct AdminTokenUpdate {
    #[serde(default, deserialize_with = "non_null")]
    #[schema(nullable = false)]
    name: Option<String>,
    #[serde(default, deserialize_with = "text_or_null")]
    description: Option<String>,
    /// The new metadata, as a whole; null: none.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<Object>)]
    metadata: Option<Option<Value>>,
    /// The new permissions, as a whole list.
    #[serde(default, deserialize_with = "non_null")]
    #[schema(nullable = false)]
    admin_permissions: Option<Vec<SentPermission>>,
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
    #[serde(default)]
    admin_user_owner: Unchanged,
    #[expect(dead_code, reason = "accepted and ignored in an object that is sent back as it was read")]
    access_key: Option<String>,
    #[expect(dead_code, reason = "accepted and ignored in an object that is sent back as it was read")]
    access_key_error: Option<String>,
}

impl AdminTokenUpdate {
    /// Rejects changes of read-only fields.
    fn check_read_only(&self, current: DescribedToken) -> Result<(), Failure> {
        Comparison::new(&AdminToken::from(current))
            .fields([
                ("id", &self.id),
                ("kind", &self.kind),
                ("expiresAt", &self.expires_at),
                ("createdAt", &self.created_at),
                ("updatedAt", &self.updated_at),
            ])
            .field("lifespan", &self.lifespan, is_same_lifespan)
            .field("lastUsedAt", &self.last_used_at, is_not_later)
            .field("adminUserOwner", &self.admin_user_owner, is_same_object)
            .finish()
    }
}

/// Lists admin tokens by name, page by page: the caller's own; for super admins all. Keys are never included.
#[utoipa::path(get, path = "/admin-tokens", tag = "Admin tokens", params(
    LargePages,
    ("sort" = Option<String>, Query, description = "A field, and `:ASC` or `:DESC`: `createdAt:DESC`; `name` if left out"),
    ("_q" = Option<String>, Query, description = "A part of the name, the description or the owner's name"),
    ("filters" = Option<String>, Query, description = "`filters[name][$eq]=..`, `[$contains]` or `[$in][0]`, of `id`, `name`, `description`, `adminUserOwner`, and `filters[metadata][team][$eq]=ci` of one text member; all have to pass"),
), responses((status = 200, body = List<AdminToken>)))]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    params: Params,
) -> Result<Json<List<AdminToken>>, Failure> {
    list_of(&api, &caller, params, None).await
}

/// Lists the admin tokens that the caller sees: of this owner, or all.
pub(super) async fn list_of(
    api: &Api,
    caller: &Caller,
    params: Params,
    owner: Option<OwnerId>,
) -> Result<Json<List<AdminToken>>, Failure> {
    let of_owner = ("adminUserOwner", TokenSort::Owner, TokenField::Owner, FieldType::Id);
    let query = TokenQuery { owner, ..token_query(params, TokenKind::Admin, of_owner)? };
    let page = api.tokens(caller, TokenKind::Admin).list(&query).await?;
    Ok(List::new(page.items.into_iter().map(AdminToken::from).collect(), query.paging, page.total))
}

/// Returns the owner of the session or token that calls.
pub(super) fn owner_of(caller: &Caller) -> OwnerId {
    // Every caller of an admin group has an owner; no owner has the id 0.
    caller.owner.unwrap_or(OwnerId(0))
}

/// Creates an admin token of the caller, or of a service account that the caller manages, and returns its key.
#[utoipa::path(post, path = "/admin-tokens", tag = "Admin tokens", request_body = NewAdminToken, responses((status = 201, body = Data<AdminToken>)))]
pub(super) async fn create(
    State(api): State<Api>,
    caller: Caller,
    Body(new): Body<NewAdminToken>,
) -> Result<(StatusCode, Answer<AdminToken>), Failure> {
    issue(&api, &caller, new, admin::Lifespan::Unlimited).await
}

/// Creates a token, with this lifespan if the body has none.
pub(super) async fn issue(
    api: &Api,
    caller: &Caller,
    new: NewAdminToken,
    default_lifespan: admin::Lifespan,
) -> Result<(StatusCode, Answer<AdminToken>), Failure> {
    let NewAdminToken { name, description, metadata, lifespan, admin_permissions, admin_user_owner, .. } = new;
    let tokens = api.tokens(caller, TokenKind::Admin);
    tokens.may_change()?;
    let owner = admin_user_owner.map_or_else(|| owner_of(caller), OwnerId);
    let super_admin = api.is_super_admin(owner).await?;
    let sent =
        SentPermissions { under: GRANTS_FIELD, list: admin_permissions.as_deref().unwrap_or_default(), most: GRANTS };
    let grants = sent.grants(super_admin, api.keyward.conditions())?;
    let new = admin::NewAdminToken {
        name,
        description: description.unwrap_or_default(),
        metadata,
        owner: owner.into(),
        grants,
        lifespan: lifespan.map_or(default_lifespan, admin::Lifespan::from),
    };
    let issued = tokens.issue_admin(new).await.map_err(|e| Failure::of(e, &|p| sent.path(p)))?;
    let access_key = Some(expose(&issued.secret));
    Ok(created(AdminToken { access_key, ..AdminToken::from(issued.described()) }))
}

/// Returns the calling admin token: its id, name, expiry, permissions and last use. No permission is required. A
/// session gets 403.
#[utoipa::path(get, path = "/admin-tokens/self", tag = "Admin tokens", responses((status = 200, body = Data<AdminToken>)))]
pub(super) async fn read_self(State(api): State<Api>, caller: Caller) -> Result<Answer<AdminToken>, Failure> {
    Ok(ok(AdminToken::from(api.tokens(&caller, TokenKind::Admin).read_own().await?)))
}

/// Reads an admin token. Sessions of its owner get the key too, if it was kept.
#[utoipa::path(get, path = "/admin-tokens/{id}", tag = "Admin tokens", params(("id" = i64, Path)), responses((status = 200, body = Data<AdminToken>)))]
pub(super) async fn read(State(api): State<Api>, Id(id): Id, caller: Caller) -> Result<Answer<AdminToken>, Failure> {
    let token = api.tokens(&caller, TokenKind::Admin).open(TokenId(id)).await?;
    let (access_key, access_key_error) = key_fields(&token.secret);
    Ok(ok(AdminToken { access_key, access_key_error, ..AdminToken::from(token.described) }))
}

/// Changes an admin token: its name, description, metadata and permissions. Fields that are left out stay.
#[utoipa::path(put, path = "/admin-tokens/{id}", tag = "Admin tokens", params(("id" = i64, Path)), request_body = AdminTokenUpdate, responses((status = 200, body = Data<AdminToken>)))]
pub(super) async fn update(
    State(api): State<Api>,
    Id(id): Id,
    caller: Caller,
    Body(update): Body<AdminTokenUpdate>,
) -> Result<Answer<AdminToken>, Failure> {
    let tokens = api.tokens(&caller, TokenKind::Admin);
    tokens.may_change()?;
    // If the caller may not read the token, the update below fails with the right error.
    let super_admin = match tokens.read(TokenId(id)).await {
        Ok(current) => {
            let super_admin = current.owner.as_ref().is_some_and(Owner::is_super_admin);
            update.check_read_only(current)?;
            super_admin
        }
        Err(ServiceError::NotFound(_) | ServiceError::Forbidden(_)) => false,
        Err(error) => return Err(error.into()),
    };
    let list = update.admin_permissions.as_deref().unwrap_or_default();
    let sent = SentPermissions { under: GRANTS_FIELD, list, most: GRANTS };
    let grants = sent.grants(super_admin, api.keyward.conditions())?;
    let change = TokenUpdate {
        name: update.name,
        description: update.description,
        metadata: update.metadata.map(Option::unwrap_or_default),
        grants: update.admin_permissions.is_some().then_some(grants),
        access: None,
    };
    let token = tokens.update(TokenId(id), change).await.map_err(|e| Failure::of(e, &|p| sent.path(p)))?;
    Ok(ok(token.into()))
}

/// Revokes an admin token.
#[utoipa::path(delete, path = "/admin-tokens/{id}", tag = "Admin tokens", params(("id" = i64, Path)), responses((status = 200, body = Data<AdminToken>)))]
pub(super) async fn delete(
    State(api): State<Api>,
    Id(id): Id,
    caller: Caller,
    _: NoBody,
) -> Result<Answer<AdminToken>, Failure> {
    let tokens = api.tokens(&caller, TokenKind::Admin);
    // Loaded first, because it is gone afterwards. A failure here must not prevent the revocation.
    let loaded = tokens.read(TokenId(id)).await;
    let revoked = tokens.revoke(TokenId(id)).await?;
    let described = loaded.ok().filter(|described| described.token.version() == revoked.version());
    Ok(ok(described.unwrap_or_else(|| DescribedToken::new(revoked)).into()))
}

/// Issues a new key for an admin token. Only its owner and the token itself may do this.
#[utoipa::path(post, path = "/admin-tokens/{id}/regenerate", tag = "Admin tokens", params(("id" = i64, Path)), responses((status = 201, body = Data<RegeneratedKey>)))]
pub(super) async fn regenerate(
    State(api): State<Api>,
    Id(id): Id,
    caller: Caller,
    _: NoBody,
) -> Result<(StatusCode, Answer<RegeneratedKey>), Failure> {
    let issued = api.tokens(&caller, TokenKind::Admin).regenerate(TokenId(id)).await?;
    Ok(created(RegeneratedKey::new(&issued, "admin")))
}

/// Lists the permissions that the owner of an admin token may grant. For the owner and super admins.
#[utoipa::path(get, path = "/admin-tokens/{id}/owner-permissions", tag = "Admin tokens", params(("id" = i64, Path)), responses((status = 200, body = Data<Vec<Permission>>)))]
pub(super) async fn owner_permissions(
    State(api): State<Api>,
    Id(id): Id,
    caller: Caller,
) -> Result<Answer<Vec<Permission>>, Failure> {
    let permissions = api.tokens(&caller, TokenKind::Admin).owner_permissions(TokenId(id)).await?;
    Ok(ok(show_permissions(&permissions)))
}
