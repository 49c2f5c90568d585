//! Signing in and out, and registering.

use super::answer::{Answer, Data, ok, uncached};
use super::body::{Body, NoBody};
use super::failure::{Failure, wire_path};
use super::permission::Nothing;
use super::state::Api;
use super::token::expose;
use super::user::User;
use crate::admin::{self, FieldName, FieldPath, FirstAdmin, Password, PathSegment, ServiceError, SignedIn};
use crate::guard::Caller;
use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An e-mail address and a password.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub(super) struct Login {
    email: String,
    password: String,
    /// Accepted from Strapi's panel and ignored: the policy sets how long sessions last.
    #[expect(dead_code, reason = "accepted and ignored: the policy sets how long sessions last")]
    remember_me: Option<bool>,
    /// Accepted from Strapi's panel and ignored: a session has its own id.
    #[expect(dead_code, reason = "accepted and ignored: a session has its own id")]
    device_id: Option<String>,
}

/// The first super admin.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub(super) struct NewFirstAdmin {
    email: String,
    firstname: Option<String>,
    lastname: Option<String>,
    username: Option<String>,
    password: String,
    /// The code that the server printed. Not needed with open setup, by `localhost` or a loopback address, without a
    /// proxy.
    setup_code: Option<String>,
}

/// The acceptance of an invitation.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub(super) struct NewRegistration {
    /// The secret of the invitation.
    registration_token: String,
    user_info: UserInfo,
}

/// Names and password of the new user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct UserInfo {
    firstname: Option<String>,
    lastname: Option<String>,
    username: Option<String>,
    password: String,
}

/// A new session.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Session {
    /// The secret of the session, to be sent as a bearer token.
    token: String,
    user: User,
}

/// Signs in.
#[utoipa::path(post, path = "/login", tag = "Sessions", security(()), request_body = Login, responses((status = 200, body = Data<Session>)))]
pub(super) async fn login(
    State(api): State<Api>,
    caller: Caller,
    Body(login): Body<Login>,
) -> Result<Response, Failure> {
    let Login { email, password, .. } = login;
    Ok(show_session(api.sessions(&caller).sign_in(&email, &Password::new(password)).await?))
}

/// Registers the first super admin and signs them in.
#[utoipa::path(post, path = "/register-admin", tag = "Sessions", security(()), request_body = NewFirstAdmin, responses((status = 200, body = Data<Session>)))]
pub(super) async fn register_admin(
    State(api): State<Api>,
    caller: Caller,
    Body(new): Body<NewFirstAdmin>,
) -> Result<Response, Failure> {
    let NewFirstAdmin { email, firstname, lastname, username, password, setup_code } = new;
    let first = FirstAdmin {
        email,
        firstname: firstname.unwrap_or_default(),
        lastname: lastname.unwrap_or_default(),
        username,
        password: Password::new(password),
    };
    let sessions = api.sessions(&caller);
    Ok(show_session(sessions.register_first_at(caller.host.as_deref(), first, setup_code.as_deref()).await?))
}

/// Accepts an invitation and signs the new user in.
#[utoipa::path(post, path = "/register", tag = "Sessions", security(()), request_body = NewRegistration, responses((status = 200, body = Data<Session>)))]
pub(super) async fn register(
    State(api): State<Api>,
    caller: Caller,
    Body(new): Body<NewRegistration>,
) -> Result<Response, Failure> {
    let NewRegistration { registration_token, user_info } = new;
    let registration = admin::Registration {
        invitation: registration_token,
        firstname: user_info.firstname.unwrap_or_default(),
        lastname: user_info.lastname.unwrap_or_default(),
        username: user_info.username,
        password: Password::new(user_info.password),
    };
    // All fields but the invitation are sent in `userInfo`.
    let wire = |path: &FieldPath| match path.segments() {
        [PathSegment::Field(FieldName::Invitation)] => wire_path(path),
        _ => [vec!["userInfo".to_owned()], wire_path(path)].concat(),
    };
    let signed_in = api.sessions(&caller).register(registration).await;
    Ok(show_session(signed_in.map_err(|error| Failure::of(error, &wire))?))
}

fn show_session(SignedIn { owner, roles, session }: SignedIn) -> Response {
    let user = User::new(owner, &roles.into_iter().map(|role| (role.id, role)).collect());
    uncached(Session { token: expose(&session.secret), user })
}

/// Signs out.
#[utoipa::path(post, path = "/logout", tag = "Sessions", responses((status = 200, body = Data<Nothing>)))]
pub(super) async fn logout(State(api): State<Api>, caller: Caller, _: NoBody) -> Result<Answer<Nothing>, Failure> {
    let session = caller.token.ok_or(ServiceError::Forbidden("sign in first"))?;
    api.sessions(&caller).sign_out(session).await?;
    Ok(ok(Nothing {}))
}
