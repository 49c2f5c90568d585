//! The users: their table, their roles, their sign-in by axum-login, and their administration.

use super::errors::{Failure, Reply};
use super::tokens::account;
use super::{App, BoxError};
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum_login::{AuthSession, AuthUser, AuthnBackend};
use keyward::accounts::AccountKey;
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqlitePool};
use std::fmt;
use uuid::Uuid;

const TABLE: &str = "
CREATE TABLE IF NOT EXISTS user (
    id TEXT PRIMARY KEY, -- a UUID
    email TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    active BOOLEAN NOT NULL,
    password TEXT NOT NULL
)";

/// The roles, and the actions that each allows.
const ROLES: [(&str, &[&str]); 3] = [
    ("reader", &["article.read"]),
    ("editor", &["article.read", "article.write"]),
    ("admin", &["article.read", "article.write", "article.delete", "user.read", "user.change"]),
];

/// E-mail address, name and role of the users in a new database.
pub(crate) const DEMO_USERS: [(&str, &str, &str); 2] =
    [("ada@example.test", "Ada", "admin"), ("edda@example.test", "Edda", "editor")];
pub(crate) const DEMO_PASSWORD: &str = "Passw0rd!";

/// The session of a request, in which a user may be signed in.
pub(crate) type Session = AuthSession<Users>;

#[derive(Clone, Debug, Serialize)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) name: String,
    pub(crate) role: String,
    pub(crate) active: bool,
    #[serde(skip)]
    password: Hash,
}

/// The hash of a password, which no log shows.
#[derive(Clone)]
pub(crate) struct Hash(String);

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hash(..)")
    }
}

impl User {
    fn of_row(row: SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            email: row.try_get("email")?,
            name: row.try_get("name")?,
            role: row.try_get("role")?,
            active: row.try_get("active")?,
            password: Hash(row.try_get("password")?),
        })
    }

    /// Returns the actions that the role allows.
    pub(crate) fn actions(&self) -> &'static [&'static str] {
        ROLES.iter().find(|(role, _)| *role == self.role).map_or(&[], |(_, actions)| actions)
    }
}

impl AuthUser for User {
    type Id = String;

    fn id(&self) -> String {
        self.id.clone()
    }

    /// With another password, the sessions of the user end.
    fn session_auth_hash(&self) -> &[u8] {
        self.password.0.as_bytes()
    }
}

/// The table of users.
#[derive(Clone, Debug)]
pub(crate) struct Users {
    pub(crate) pool: SqlitePool,
    /// A hash that is verified where there is no user, so that the answer takes as long.
    dummy: Hash,
}

impl Users {
    /// Creates the table, and the demo users in a new one.
    pub(crate) async fn new(pool: SqlitePool) -> Result<Self, BoxError> {
        let password = Argon2::default().hash_password(DEMO_PASSWORD.as_bytes())?.to_string();
        sqlx::raw_sql(TABLE).execute(&pool).await?;
        let mut change = pool.begin_with("BEGIN IMMEDIATE").await?;
        let users: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM user").fetch_one(&mut *change).await?;
        let missing = if users == 0 { &DEMO_USERS[..] } else { &[] };
        for (email, name, role) in missing {
            let insert = "INSERT INTO user (id, email, name, role, active, password) VALUES ($1, $2, $3, $4, TRUE, $5)";
            let insert = sqlx::query(insert).bind(Uuid::new_v4().to_string()).bind(email).bind(name).bind(role);
            insert.bind(&password).execute(&mut *change).await?;
        }
        change.commit().await?;
        Ok(Self { pool, dummy: Hash(password) })
    }

    /// Returns the user with this id, active or not.
    pub(crate) async fn by_id(&self, id: &str) -> sqlx::Result<Option<User>> {
        let user = sqlx::query("SELECT * FROM user WHERE id = $1").bind(id).try_map(User::of_row);
        user.fetch_optional(&self.pool).await
    }
}

#[derive(Deserialize)]
pub(crate) struct Credentials {
    email: String,
    password: String,
}

impl AuthnBackend for Users {
    type User = User;
    type Credentials = Credentials;
    type Error = sqlx::Error;

    async fn authenticate(&self, credentials: Credentials) -> sqlx::Result<Option<User>> {
        let user = sqlx::query("SELECT * FROM user WHERE email = $1 AND active").bind(credentials.email);
        let user = user.try_map(User::of_row).fetch_optional(&self.pool).await?;
        let hash = user.as_ref().map_or(&self.dummy, |user| &user.password).clone();
        let verify = move || {
            let hash = PasswordHash::new(&hash.0)?;
            Argon2::default().verify_password(credentials.password.as_bytes(), &hash)
        };
        let is_right = matches!(tokio::task::spawn_blocking(verify).await, Ok(Ok(())));
        Ok(user.filter(|_| is_right))
    }

    async fn get_user(&self, id: &String) -> sqlx::Result<Option<User>> {
        Ok(self.by_id(id).await?.filter(|user| user.active))
    }
}

pub(crate) async fn sign_in(mut session: Session, Json(credentials): Json<Credentials>) -> Reply<User> {
    let user = session.authenticate(credentials).await?;
    let user = user.ok_or_else(|| Failure(StatusCode::UNAUTHORIZED, "wrong e-mail address or password".to_owned()))?;
    session.login(&user).await?;
    Ok(Json(user))
}

pub(crate) async fn sign_out(mut session: Session) -> Result<StatusCode, Failure> {
    session.logout().await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn me(session: Session) -> Json<Option<User>> {
    Json(session.user)
}

pub(crate) async fn list(State(app): State<App>) -> Reply<Vec<User>> {
    let users = sqlx::query("SELECT * FROM user ORDER BY email").try_map(User::of_row);
    Ok(Json(users.fetch_all(&app.pool).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    role: Option<String>,
    active: Option<bool>,
}

/// Changes the role of a user, or deactivates it.
pub(crate) async fn change(State(app): State<App>, Path(id): Path<String>, Json(new): Json<Change>) -> Reply<User> {
    if let Some(role) = new.role.as_ref().filter(|new| !ROLES.iter().any(|(role, _)| role == new)) {
        return Err(Failure(StatusCode::BAD_REQUEST, format!("there is no role {role:?}")));
    }
    let mut change = app.pool.begin_with("BEGIN IMMEDIATE").await?;
    let update = "UPDATE user SET role = COALESCE($2, role), active = COALESCE($3, active) WHERE id = $1 RETURNING *";
    let update = sqlx::query(update).bind(&id).bind(new.role).bind(new.active).try_map(User::of_row);
    let user = update.fetch_optional(&mut *change).await?;
    let user = user.ok_or_else(|| Failure(StatusCode::NOT_FOUND, "there is no such user".to_owned()))?;
    // keyward: begin
    let report = app.keyward.accounts().within(&mut change);
    let report = report.changed(&AccountKey::new(&user.id)?, Some(account(&user))).await?;
    // keyward: end
    change.commit().await?;
    // keyward: begin
    report.committed();
    // keyward: end
    Ok(Json(user))
}
