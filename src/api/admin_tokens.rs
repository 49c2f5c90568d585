//! `/admin/admin-tokens`: tokens that belong to whoever made them.

use super::answer::{Answer, Data, List, created, ok};
use super::body::{Body, NoBody};
use super::failure::Failure;
use super::json::{given, text_or_null};
use super::permission::{Permission, Sent, SentPermission, show_grants, show_permissions};
use super::query::{Params, Values};
use super::request::{Caller, Id};
use super::state::Api;
use super::token::{Lifespan, Regenerated, exposed, shown_key, shown_lifespan, token_query};
use super::unchanged::{Comparison, Unchanged, not_later, same_lifespan, same_object};
use crate::admin::{self, DescribedToken, GRANTS, ServiceError, TokenUpdate, Tokens};
use crate::domain::{Owner, OwnerId, TokenId, TokenKind};
use crate::store::{TokenField, TokenSort};
use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const UNDER: &str = "adminPermissions";

const SORTS: [(&str, TokenSort); 6] = [
    ("id", TokenSort::Id),
    ("name", TokenSort::Name),
    ("createdAt", TokenSort::CreatedAt),
    ("lastUsedAt", TokenSort::LastUsedAt),
    ("expiresAt", TokenSort::ExpiresAt),
    ("adminUserOwner", TokenSort::Owner),
];

const FIELDS: [(&str, TokenField, Values); 4] = [
    ("id", TokenField::Id, Values::Ids),
    ("name", TokenField::Name, Values::Texts),
    ("description", TokenField::Description, Values::Texts),
    ("adminUserOwner", TokenField::Owner, Values::Ids),
];

/// An admin token.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AdminToken {
    id: i64,
    /// Always `admin`.
    kind: &'static str,
    name: String,
    description: String,
    last_used_at: Option<String>,
    /// Milliseconds; null: for ever.
    lifespan: Option<String>,
    expires_at: Option<String>,
    created_at: String,
    updated_at: String,
    admin_permissions: Vec<Permission>,
    /// Whom it belongs to.
    admin_user_owner: Option<TokenOwner>,
    /// Its key: when it is made, and to its owner's sessions where an encryption key is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    access_key: Option<String>,
    /// Why the key cannot be shown although it was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    access_key_error: Option<String>,
}

/// Whom a token belongs to.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TokenOwner {
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
            lifespan: shown_lifespan(&token),
            expires_at: token.expires_at.map(|at| at.to_string()),
            created_at: token.created_at.to_string(),
            updated_at: token.updated_at.to_string(),
            admin_permissions: show_grants(token.grants(), &conditions),
            admin_user_owner: owner.map(TokenOwner::from),
            name: token.name,
            description: token.description,
            access_key: None,
            access_key_error: None,
        }
    }
}

/// An admin token to be.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub(super) struct NewAdminToken {
    name: String,
    description: Option<String>,
    #[serde(default)]
    lifespan: Lifespan,
    /// What it carries: a subset of what its owner may do.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    admin_permissions: Option<Vec<SentPermission>>,
    /// `admin`, or left out.
    #[expect(dead_code, reason = "there is but one")]
    kind: Option<AdminKind>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum AdminKind {
    Admin,
}

/// What is to change of an admin token. What is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub(super) struct AdminTokenUpdate {
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    name: Option<String>,
    #[serde(default, deserialize_with = "text_or_null")]
    description: Option<String>,
    /// Other permissions, as a whole.
    #[serde(default, deserialize_with = "given")]
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
    #[serde(default)]
    admin_user_owner: Unchanged,
    #[expect(dead_code, reason = "it was read, and is put back")]
    access_key: Option<String>,
    #[expect(dead_code, reason = "it was read, and is put back")]
    access_key_error: Option<String>,
}

impl AdminTokenUpdate {
    /// Refuses what would change of a token and cannot.
    fn keeps(&self, shown: DescribedToken) -> Result<(), Failure> {
        Comparison::with(&AdminToken::from(shown))
            .fields([
                ("id", &self.id),
                ("kind", &self.kind),
                ("expiresAt", &self.expires_at),
                ("createdAt", &self.created_at),
                ("updatedAt", &self.updated_at),
            ])
            .field("lifespan", &self.lifespan, same_lifespan)
            .field("lastUsedAt", &self.last_used_at, not_later)
            .field("adminUserOwner", &self.admin_user_owner, same_object)
            .done()
    }
}

fn tokens(api: &Api, caller: &Caller) -> Tokens {
    api.tokens.clone().only(TokenKind::Admin).acting_as(&caller.actor).from_address(caller.address)
}

/// Lists admin tokens by name, page by page: one's own, and for super admins everybody's. Never with keys.
#[utoipa::path(get, path = "/admin/admin-tokens", tag = "Admin tokens", params(
    ("page" = Option<u32>, Query, description = "From 1"),
    ("pageSize" = Option<u32>, Query, description = "From 1 to 1000; 100 if left out"),
    ("sort" = Option<String>, Query, description = "A field, and `:ASC` or `:DESC`: `createdAt:DESC`; `name` if left out"),
    ("_q" = Option<String>, Query, description = "A text that is in the name, the description or the owner's name"),
    ("filters" = Option<String>, Query, description = "`filters[name][$eq]=..`, `[$contains]` or `[$in][0]`, of `id`, `name`, `description`, `adminUserOwner`; all have to pass"),
), responses((status = 200, body = List<AdminToken>)))]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    params: Params,
) -> Result<Json<List<AdminToken>>, Failure> {
    let query = token_query(params, TokenKind::Admin, &SORTS, &FIELDS)?;
    let page = tokens(&api, &caller).list(&query).await?;
    Ok(List::of(page.items.into_iter().map(AdminToken::from).collect(), query.paging, page.total))
}

/// Makes an admin token that belongs to whoever asks, and shows its key.
#[utoipa::path(post, path = "/admin/admin-tokens", tag = "Admin tokens", request_body = NewAdminToken, responses((status = 201, body = Data<AdminToken>)))]
pub(super) async fn create(
    State(api): State<Api>,
    caller: Caller,
    Body(new): Body<NewAdminToken>,
) -> Result<(StatusCode, Answer<AdminToken>), Failure> {
    let NewAdminToken { name, description, lifespan, admin_permissions, .. } = new;
    let tokens = tokens(&api, &caller);
    tokens.may_change()?;
    // Every caller of an admin group has one.
    let owner = caller.owner.unwrap_or(OwnerId(0));
    let super_admin = api.is_super_admin(owner).await?;
    let sent = Sent { under: UNDER, list: admin_permissions.as_deref().unwrap_or_default(), most: GRANTS };
    let grants = sent.grants(super_admin, &api.conditions)?;
    let new = admin::NewAdminToken {
        name,
        description: description.unwrap_or_default(),
        owner,
        grants,
        lifespan: lifespan.into(),
    };
    let issued = tokens.issue_admin(new).await.map_err(|e| Failure::of(e, &|p| sent.path(p)))?;
    let access_key = Some(exposed(&issued.secret));
    Ok(created(AdminToken { access_key, ..AdminToken::from(issued.described()) }))
}

/// Shows an admin token to itself: its id, name, expiry, permissions and last use. It needs no permission. A session gets 403.
#[utoipa::path(get, path = "/admin/admin-tokens/self", tag = "Admin tokens", responses((status = 200, body = Data<AdminToken>)))]
pub(super) async fn read_self(State(api): State<Api>, caller: Caller) -> Result<Answer<AdminToken>, Failure> {
    Ok(ok(AdminToken::from(tokens(&api, &caller).read_own().await?)))
}

/// Reads an admin token; with its key, for a session of its owner.
#[utoipa::path(get, path = "/admin/admin-tokens/{id}", tag = "Admin tokens", params(("id" = i64, Path)), responses((status = 200, body = Data<AdminToken>)))]
pub(super) async fn read(State(api): State<Api>, Id(id): Id, caller: Caller) -> Result<Answer<AdminToken>, Failure> {
    let opened = tokens(&api, &caller).open(TokenId(id)).await?;
    let (access_key, access_key_error) = shown_key(&opened.secret);
    Ok(ok(AdminToken { access_key, access_key_error, ..AdminToken::from(opened.described) }))
}

/// Changes an admin token: its name, description and permissions. What is left out stays.
#[utoipa::path(put, path = "/admin/admin-tokens/{id}", tag = "Admin tokens", params(("id" = i64, Path)), request_body = AdminTokenUpdate, responses((status = 200, body = Data<AdminToken>)))]
pub(super) async fn update(
    State(api): State<Api>,
    Id(id): Id,
    caller: Caller,
    Body(update): Body<AdminTokenUpdate>,
) -> Result<Answer<AdminToken>, Failure> {
    let tokens = tokens(&api, &caller);
    tokens.may_change()?;
    // Of a token that they do not see, the service says what that means for changing it.
    let super_admin = match tokens.read(TokenId(id)).await {
        Ok(shown) => {
            let super_admin = shown.owner.as_ref().is_some_and(Owner::is_super_admin);
            update.keeps(shown)?;
            super_admin
        }
        Err(ServiceError::NotFound(_) | ServiceError::Forbidden(_)) => false,
        Err(error) => return Err(error.into()),
    };
    let sent = Sent { under: UNDER, list: update.admin_permissions.as_deref().unwrap_or_default(), most: GRANTS };
    let grants = sent.grants(super_admin, &api.conditions)?;
    let change = TokenUpdate {
        name: update.name,
        description: update.description,
        grants: update.admin_permissions.is_some().then_some(grants),
        access: None,
    };
    let token = tokens.update(TokenId(id), change).await.map_err(|e| Failure::of(e, &|p| sent.path(p)))?;
    Ok(ok(token.into()))
}

/// Revokes an admin token.
#[utoipa::path(delete, path = "/admin/admin-tokens/{id}", tag = "Admin tokens", params(("id" = i64, Path)), responses((status = 200, body = Data<AdminToken>)))]
pub(super) async fn delete(
    State(api): State<Api>,
    Id(id): Id,
    caller: Caller,
    _: NoBody,
) -> Result<Answer<AdminToken>, Failure> {
    let tokens = tokens(&api, &caller);
    // Read before, as nothing may be there to be asked afterwards. That it cannot be read is no reason not to revoke it.
    let shown = tokens.read(TokenId(id)).await;
    let revoked = tokens.revoke(TokenId(id)).await?;
    let shown = shown.ok().filter(|shown| shown.token.version() == revoked.version());
    Ok(ok(shown.unwrap_or_else(|| DescribedToken::new(revoked)).into()))
}

/// Gives an admin token a new key: for its owner, and for itself.
#[utoipa::path(post, path = "/admin/admin-tokens/{id}/regenerate", tag = "Admin tokens", params(("id" = i64, Path)), responses((status = 201, body = Data<Regenerated>)))]
pub(super) async fn regenerate(
    State(api): State<Api>,
    Id(id): Id,
    caller: Caller,
    _: NoBody,
) -> Result<(StatusCode, Answer<Regenerated>), Failure> {
    let issued = tokens(&api, &caller).regenerate(TokenId(id)).await?;
    Ok(created(Regenerated::of(&issued, "admin")))
}

/// Lists all that the owner of an admin token may grant: for the owner and super admins.
#[utoipa::path(get, path = "/admin/admin-tokens/{id}/owner-permissions", tag = "Admin tokens", params(("id" = i64, Path)), responses((status = 200, body = Data<Vec<Permission>>)))]
pub(super) async fn owner_permissions(
    State(api): State<Api>,
    Id(id): Id,
    caller: Caller,
) -> Result<Answer<Vec<Permission>>, Failure> {
    let held = tokens(&api, &caller).owner_permissions(TokenId(id)).await?;
    Ok(ok(show_permissions(&held)))
}
