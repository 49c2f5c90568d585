//! `/whoami`: what a caller is told about its own credential. Possession suffices.

use super::answer::{Answer, Data, ok};
use super::failure::Failure;
use crate::domain::{PermissionList, authenticated};
use crate::guard::{Auth, GuardedRouter};
use crate::keyward::Keyward;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

/// The credential of a request.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WhoAmI {
    /// The id of the token or session; null without a credential.
    id: Option<i64>,
    /// `admin`, `content` or `session`; `public` without a credential.
    kind: &'static str,
    /// Empty for a session.
    name: String,
    /// The last characters of the secret that was presented.
    hint: String,
    /// The owner; null for a content token.
    owner: Option<WhoAmIOwner>,
    created_at: Option<String>,
    /// The earlier of the expiry of the token and the end of the grace period of the secret. Null: it does not expire.
    expires_at: Option<String>,
    /// The actions that it may do as a whole: without a resource, for every row and field.
    scopes: Vec<String>,
    /// All permissions, with their resources, fields and conditions.
    permissions: PermissionList,
}

/// The owner of a token or session.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WhoAmIOwner {
    id: i64,
    /// The display name.
    name: String,
}

/// Returns the calling token or session: its name, kind, owner and expiry, and what it may do. No permission is required.
#[utoipa::path(get, path = "/whoami", tag = "Tokens", responses((status = 200, body = Data<WhoAmI>)))]
pub(super) async fn read(State(keyward): State<Keyward>, Auth(auth): Auth) -> Result<Answer<WhoAmI>, Failure> {
    let authority = auth.principal().authority();
    let mut who = WhoAmI {
        id: None,
        kind: auth.kind().map_or("public", |kind| kind.as_str()),
        name: String::new(),
        hint: String::new(),
        owner: None,
        created_at: None,
        expires_at: None,
        scopes: authority.scopes().into_iter().map(str::to_owned).collect(),
        permissions: authority.permission_list(),
    };
    if let Some(id) = auth.token() {
        let (token, owner) = keyward.tokens().read_presented(id).await?;
        // The bearer of a secret learns about this secret alone.
        let secret = auth.presented().and_then(|digest| token.secret(&digest));
        let grace_end = secret.as_ref().and_then(|secret| secret.ends_at);
        who.id = Some(token.id.0);
        (who.name, who.hint) = (token.name, secret.map(|secret| secret.hint).unwrap_or_default());
        who.owner = owner.map(|owner| WhoAmIOwner { id: owner.id.0, name: owner.display_name() });
        who.created_at = Some(token.created_at.to_string());
        who.expires_at = [token.expires_at, grace_end].into_iter().flatten().min().map(|at| at.to_string());
    }
    Ok(ok(who))
}

/// Returns a route at this path, by which a caller learns about its own credential: name, kind, owner, expiry and
/// permissions. For tokens that do not open the management API, which has the same at `/whoami`.
///
/// It answers every credential that opens the group of the path.
///
/// ```
/// # tokio_test::block_on(async {
/// use keyward::{HashKey, Keyward, MemoryStore, api};
/// let (hash_key, _) = HashKey::generate()?;
/// let keyward = Keyward::builder(MemoryStore::default()).hash_key(hash_key).service_keys("/v1").build()?;
/// let app = keyward.guard(api::whoami(&keyward, "/v1/whoami"));
/// # let _ = app;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
///
/// # Panics
/// If the path is invalid, as [`Router::route`](axum::Router::route).
pub fn whoami(keyward: &Keyward, path: &str) -> GuardedRouter {
    GuardedRouter::new().get(path, authenticated(), read).with_state(keyward.clone())
}
