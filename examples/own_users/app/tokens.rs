//! Tokens for the users of the application.

use super::errors::{Failure, Reply};
use super::users::{Session, User, Users};
use super::{App, BoxError};
use async_trait::async_trait;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use keyward::accounts::{Account, AccountKey, Accounts, AccountsError};
use keyward::store::TokenQuery;
use keyward::token::{HashKeyRing, Token, TokenId, TokenKind};
use keyward::{Auth, Grant, Group, Keyward, NewAdminToken, SqliteStore};
use serde::Deserialize;
use serde_json::{Value, json};

// keyward: begin
#[async_trait]
impl Accounts for Users {
    async fn account(&self, key: &AccountKey) -> Result<Option<Account>, AccountsError> {
        Ok(self.by_id(key.as_str()).await?.as_ref().map(account))
    }
}

/// Returns the user as an owner of tokens, which may do what the role allows.
pub(super) fn account(user: &User) -> Account {
    Account::new(&user.name).email(&user.email).active(user.active).permissions(user.actions().iter().copied())
}

/// Adds keyward to the database of the application.
pub(super) async fn install(users: &Users, hash_keys: HashKeyRing) -> Result<Keyward, BoxError> {
    Ok(Keyward::builder(SqliteStore::from_pool(users.pool.clone()).await?)
        .hash_key(hash_keys)
        .accounts(users.clone())
        .signed_in(|_, extensions| AccountKey::new(&extensions.get::<Session>()?.user.as_ref()?.id).ok())
        .public("/sign-in")
        .group(Group::sessions("/app")) // people only
        .group(Group::admin("/api").or_signed_in()) // people, and programs with a token of theirs
        .build()?)
}

/// Lists the tokens of the user who is signed in.
pub(super) async fn list(State(app): State<App>, auth: Auth) -> Reply<Vec<Value>> {
    let own = TokenQuery { owner: auth.owner(), ..TokenQuery::of(TokenKind::Admin) };
    let page = app.keyward.tokens().acting_as(auth.actor()).list(&own).await?;
    let actions = |token: &Token| token.grants().iter().map(|grant| grant.scope.action.to_string()).collect::<Vec<_>>();
    let describe = |token: &Token| json!({ "id": token.id, "name": token.name, "grants": actions(token) });
    Ok(Json(page.items.iter().map(|described| describe(&described.token)).collect()))
}

#[derive(Deserialize)]
pub(super) struct NewToken {
    name: String,
    grants: Vec<String>,
}

/// Issues a token to the user who is signed in. The response is the only one with its secret.
pub(super) async fn issue(State(app): State<App>, auth: Auth, Json(new): Json<NewToken>) -> Reply<Value> {
    let owner = auth.account().ok_or("a session without an account")?;
    let new = NewAdminToken::new(new.name, owner).grants(new.grants.into_iter().map(Grant::new));
    let issued = app.keyward.tokens().acting_as(auth.actor()).issue_admin(new).await?;
    Ok(Json(json!({ "id": issued.token.id, "secret": issued.secret.expose() })))
}

/// Replaces the secret of a token.
pub(super) async fn regenerate(State(app): State<App>, auth: Auth, Path(id): Path<TokenId>) -> Reply<Value> {
    let issued = app.keyward.tokens().only(TokenKind::Admin).acting_as(auth.actor()).regenerate(id).await?;
    Ok(Json(json!({ "id": issued.token.id, "secret": issued.secret.expose() })))
}

/// Revokes a token. Without `only`, the service revokes sessions and content tokens too.
pub(super) async fn revoke(State(app): State<App>, auth: Auth, Path(id): Path<TokenId>) -> Result<StatusCode, Failure> {
    app.keyward.tokens().only(TokenKind::Admin).acting_as(auth.actor()).revoke(id).await?;
    Ok(StatusCode::NO_CONTENT)
}
// keyward: end
