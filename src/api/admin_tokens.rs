//! `/admin-tokens`: tokens that belong to the account that created them.

use super::answer::{Answer, Data, List, created, ok};
use super::body::{Body, NoBody, OptionalBody};
use super::failure::Failure;
use super::json::{non_null, nullable, text_or_null};
use super::limits::{
    self, GraceToEnd, Regeneration, SentLimits, SentRate, ShownSecret, show_idle, show_networks, show_rate,
    show_secrets,
};
use super::permission::{Permission, SentPermission, SentPermissions, show_grants, show_permissions};
use super::query::{FieldType, LargePages, Params};
use super::request::Id;
use super::state::Api;
use super::token::{Lifespan, RegeneratedKey, expose, format_lifespan, key_fields, token_query};
use super::unchanged::{Comparison, Unchanged, is_not_later, is_same_lifespan, is_same_object};
use crate::admin::{self, Actor, DescribedToken, GRANTS, ServiceError, TokenUpdate, TokenViolations};
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
    /// Whether it is admitted.
    enabled: bool,
    /// The networks of the clients from which it is admitted; empty: from everywhere.
    networks: Vec<String>,
    rate_limit: Option<SentRate>,
    /// It ends after this long without use, in milliseconds; null: never.
    idle_expiry: Option<u64>,
    /// The keys that are admitted: the present one, and the one before until its grace period ends. A token that reads itself gets
    /// the key that it has presented.
    secrets: Vec<ShownSecret>,
    /// The token that made it.
    parent: Option<i64>,
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
            enabled: token.limits.enabled,
            networks: show_networks(&token),
            rate_limit: show_rate(&token),
            idle_expiry: show_idle(&token),
            secrets: show_secrets(&token),
            parent: token.parent().map(|id| id.0),
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

/// Describes a token for a caller. The caller's own token has the secret that was presented, and no other: the bearer of a previous
/// secret learns nothing of the present one.
fn shown_to(caller: &Caller, described: DescribedToken) -> AdminToken {
    let token = &described.token;
    let presented = caller.actor.admission().map(|admission| admission.digest);
    let Some(digest) = presented.filter(|_| caller.token == Some(token.id)) else { return described.into() };
    let (secret, is_present) = (token.secret(&digest), token.digest == digest);
    let mut shown = AdminToken::from(described);
    if !is_present {
        shown.last_used_at = secret.as_ref().and_then(|secret| secret.used).map(|used| used.at.to_string());
        shown.last_used_tool = None;
    }
    shown.secrets = secret.into_iter().map(ShownSecret::from).collect();
    shown
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
    #[expect(dead_code, reason = "accepted and ignored in an object that is sent back as it was read")]
    parent: Unchanged,
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
    Ok(List::new(page.items.into_iter().map(|token| shown_to(caller, token)).collect(), query.paging, page.total))
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
    let NewAdminToken {
        name, description, metadata, lifespan, expires_at, admin_permissions, admin_user_owner, ..
    } = &new;
    let tokens = api.tokens(caller, TokenKind::Admin);
    tokens.may_change()?;
    let lifespan = limits::lifespan(lifespan.map(admin::Lifespan::from), expires_at.as_deref())?;
    let limits = SentLimits {
        enabled: new.enabled,
        networks: new.networks.as_deref(),
        rate: Some(new.rate_limit),
        idle_expiry: Some(new.idle_expiry),
    };
    let limits = limits.parse()?.into();
    let owner = admin_user_owner.map_or_else(|| owner_of(caller), OwnerId);
    let super_admin = api.is_super_admin(owner).await?;
    let sent =
        SentPermissions { under: GRANTS_FIELD, list: admin_permissions.as_deref().unwrap_or_default(), most: GRANTS };
    let grants = sent.grants(super_admin, api.keyward.conditions())?;
    let token = admin::NewAdminToken {
        name: name.clone(),
        description: description.clone().unwrap_or_default(),
        metadata: metadata.clone(),
        owner: owner.into(),
        grants,
        lifespan: lifespan.unwrap_or(default_lifespan),
        limits,
    };
    let issued = tokens.issue_admin(token).await.map_err(|e| Failure::of(e, &|p| sent.path(p)))?;
    let access_key = Some(expose(&issued.secret));
    Ok(created(AdminToken { access_key, ..AdminToken::from(issued.described()) }))
}

/// Returns the calling admin token: its id, name, expiry, permissions and last use. No permission is required. A
/// session gets 403.
#[utoipa::path(get, path = "/admin-tokens/self", tag = "Admin tokens", responses((status = 200, body = Data<AdminToken>)))]
pub(super) async fn read_self(State(api): State<Api>, caller: Caller) -> Result<Answer<AdminToken>, Failure> {
    Ok(ok(shown_to(&caller, api.tokens(&caller, TokenKind::Admin).read_own().await?)))
}

/// Reads an admin token. Sessions of its owner get the key too, if it was kept.
#[utoipa::path(get, path = "/admin-tokens/{id}", tag = "Admin tokens", params(("id" = i64, Path)), responses((status = 200, body = Data<AdminToken>)))]
pub(super) async fn read(State(api): State<Api>, Id(id): Id, caller: Caller) -> Result<Answer<AdminToken>, Failure> {
    let token = api.tokens(&caller, TokenKind::Admin).open(TokenId(id)).await?;
    let (access_key, access_key_error) = key_fields(&token.secret);
    Ok(ok(AdminToken { access_key, access_key_error, ..shown_to(&caller, token.described) }))
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
        grants: update.admin_permissions.is_some().then_some(grants),
        access: None,
        enabled: limits.enabled,
        networks: limits.networks,
        rate: limits.rate,
        idle_expiry: limits.idle_expiry,
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

/// Issues a new key for an admin token. The old one is valid until its grace period ends, if one is given. Only the owner and the token itself may do this.
#[utoipa::path(post, path = "/admin-tokens/{id}/regenerate", tag = "Admin tokens", params(("id" = i64, Path)), request_body = Option<Regeneration>, responses((status = 201, body = Data<RegeneratedKey>)))]
pub(super) async fn regenerate(
    State(api): State<Api>,
    Id(id): Id,
    caller: Caller,
    OptionalBody(sent): OptionalBody<Regeneration>,
) -> Result<(StatusCode, Answer<RegeneratedKey>), Failure> {
    let issued = api.tokens(&caller, TokenKind::Admin).regenerate_with_grace(TokenId(id), sent.grace()).await?;
    Ok(created(RegeneratedKey::new(&issued, "admin")))
}

/// Issues a new key for the calling admin token, which must have presented its present key. No permission is required.
#[utoipa::path(post, path = "/admin-tokens/self/regenerate", tag = "Admin tokens", request_body = Option<Regeneration>, responses((status = 201, body = Data<RegeneratedKey>)))]
pub(super) async fn regenerate_self(
    api: State<Api>,
    caller: Caller,
    body: OptionalBody<Regeneration>,
) -> Result<(StatusCode, Answer<RegeneratedKey>), Failure> {
    let id = calling_token(&caller)?;
    regenerate(api, id, caller, body).await
}

/// Ends the key that an admin token had before, if its grace period is not over. Only the owner and the token itself may do this.
#[utoipa::path(post, path = "/admin-tokens/{id}/end-grace", tag = "Admin tokens", params(("id" = i64, Path)), request_body = Option<GraceToEnd>, responses((status = 200, body = Data<AdminToken>)))]
pub(super) async fn end_grace(
    State(api): State<Api>,
    Id(id): Id,
    caller: Caller,
    OptionalBody(sent): OptionalBody<GraceToEnd>,
) -> Result<Answer<AdminToken>, Failure> {
    let token = api.tokens(&caller, TokenKind::Admin).end_grace_of(TokenId(id), sent.hint).await?;
    Ok(ok(shown_to(&caller, token)))
}

/// Ends the key that the calling admin token had before. No permission is required.
#[utoipa::path(post, path = "/admin-tokens/self/end-grace", tag = "Admin tokens", request_body = Option<GraceToEnd>, responses((status = 200, body = Data<AdminToken>)))]
pub(super) async fn end_own_grace(
    api: State<Api>,
    caller: Caller,
    body: OptionalBody<GraceToEnd>,
) -> Result<Answer<AdminToken>, Failure> {
    let id = calling_token(&caller)?;
    end_grace(api, id, caller, body).await
}

/// A token that an admin token makes for itself.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub(super) struct NewChildToken {
    name: String,
    description: Option<String>,
    /// An object for the host's use, of at most 2048 bytes as JSON without spaces; null or left out: none.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
    /// Milliseconds. Left out: an hour, or until the calling token expires.
    #[serde(default, deserialize_with = "non_null")]
    #[schema(value_type = Lifespan, required = false)]
    lifespan: Option<Lifespan>,
    /// The expiry instead of a lifespan: an ISO 8601 time in UTC.
    expires_at: Option<String>,
    /// The grants: a subset of those that the calling token may delegate.
    #[serde(default, deserialize_with = "non_null")]
    #[schema(nullable = false)]
    admin_permissions: Option<Vec<SentPermission>>,
    #[serde(default, deserialize_with = "non_null")]
    #[schema(nullable = false)]
    enabled: Option<bool>,
    /// Networks in addition to those of the calling token.
    networks: Option<Vec<String>>,
    rate_limit: Option<SentRate>,
    idle_expiry: Option<u64>,
}

/// Lists the tokens that the calling admin token has made, and those that they have made. No permission is required.
#[utoipa::path(get, path = "/admin-tokens/self/children", tag = "Admin tokens", responses((status = 200, body = Data<Vec<AdminToken>>)))]
pub(super) async fn children(State(api): State<Api>, caller: Caller) -> Result<Answer<Vec<AdminToken>>, Failure> {
    let tokens = api.tokens(&caller, TokenKind::Admin).children().await?;
    Ok(ok(tokens.into_iter().map(|token| DescribedToken::new(token).into()).collect()))
}

/// Creates a token for the calling admin token, narrower and no longer-lived than it, and returns its key. No permission is required, but grants that may be delegated.
#[utoipa::path(post, path = "/admin-tokens/self/children", tag = "Admin tokens", request_body = NewChildToken, responses((status = 201, body = Data<AdminToken>)))]
pub(super) async fn create_child(
    State(api): State<Api>,
    caller: Caller,
    Body(new): Body<NewChildToken>,
) -> Result<(StatusCode, Answer<AdminToken>), Failure> {
    let lifespan = limits::lifespan(new.lifespan.map(admin::Lifespan::from), new.expires_at.as_deref())?;
    let limits = SentLimits {
        enabled: new.enabled,
        networks: new.networks.as_deref(),
        rate: Some(new.rate_limit),
        idle_expiry: Some(new.idle_expiry),
    };
    let limits = limits.parse()?.into();
    let list = new.admin_permissions.as_deref().unwrap_or_default();
    let sent = SentPermissions { under: GRANTS_FIELD, list, most: GRANTS };
    let grants = sent.grants(false, api.keyward.conditions())?;
    let description = new.description.unwrap_or_default();
    let child = admin::NewChildToken { name: new.name, description, metadata: new.metadata, grants, lifespan, limits };
    let issued = api.tokens(&caller, TokenKind::Admin).issue_child(child).await;
    let issued = issued.map_err(|e| Failure::of(e, &|p| sent.path(p)))?;
    let access_key = Some(expose(&issued.secret));
    Ok(created(AdminToken { access_key, ..AdminToken::from(issued.described()) }))
}

/// An admin token that violates the rules of today.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ViolatingToken {
    id: i64,
    /// `admin` or `content-api`.
    kind: &'static str,
    name: String,
    violations: Vec<RuleViolation>,
}

/// What a token violates.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RuleViolation {
    /// `no-expiry`, `lifespan-too-long`, `no-network`, `too-many-tokens` or `name`.
    rule: &'static str,
    message: String,
}

/// Lists the tokens that violate the rules of today, which were issued before: the caller's own; for super admins all. They stay valid.
#[utoipa::path(get, path = "/admin-tokens/violations", tag = "Admin tokens", responses((status = 200, body = Data<Vec<ViolatingToken>>)))]
pub(super) async fn violations(State(api): State<Api>, caller: Caller) -> Result<Answer<Vec<ViolatingToken>>, Failure> {
    let found = api.tokens(&caller, TokenKind::Admin).violations().await?;
    let shown = found.into_iter().map(|TokenViolations { token, violations }| ViolatingToken {
        id: token.id.0,
        kind: if token.kind() == TokenKind::Admin { "admin" } else { "content-api" },
        name: token.name,
        violations: violations
            .into_iter()
            .map(|violation| RuleViolation { rule: violation.as_str(), message: violation.to_string() })
            .collect(),
    });
    Ok(ok(shown.collect()))
}

/// Returns the id of the calling token.
fn calling_token(caller: &Caller) -> Result<Id, Failure> {
    match caller.actor.actor() {
        Actor::Token(TokenId(id)) => Ok(Id(id)),
        _ => Err(ServiceError::Forbidden("only a token does this for itself").into()),
    }
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
