//! Signing in and out, and registering.

use super::answer::{Answer, Data, ok, secret};
use super::body::{Body, NoBody};
use super::failure::{Failure, wire_path};
use super::permission::Nothing;
use super::request::Caller;
use super::state::Api;
use super::token::exposed;
use super::user::User;
use crate::admin::{self, FieldName, FieldPath, FirstAdmin, Password, PathSegment, ServiceError, Sessions, SignedIn};
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
    /// Strapi's panel sends it. A session lasts as long as the policy says, either way.
    #[expect(dead_code, reason = "sessions last as long as the policy says")]
    remember_me: Option<bool>,
    /// Strapi's panel sends it. A session is known by its own id.
    #[expect(dead_code, reason = "sessions are known by their own id")]
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
    /// What the server has printed. Not needed where it trusts the first visitor, was reached as `localhost` or by a loopback address, and no
    /// proxy is in between.
    setup_code: Option<String>,
}

/// Somebody who accepts an invitation.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub(super) struct NewRegistration {
    /// What they were handed.
    registration_token: String,
    user_info: UserInfo,
}

/// Who they are.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct UserInfo {
    firstname: Option<String>,
    lastname: Option<String>,
    username: Option<String>,
    password: String,
}

/// Somebody who has signed in.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Session {
    /// What to send from now on, as a bearer token.
    token: String,
    user: User,
}

fn sessions(api: &Api, caller: &Caller) -> Sessions {
    api.sessions.clone().acting_as(&caller.actor).from_address(caller.address).on_device(&caller.device)
}

/// Signs somebody in.
#[utoipa::path(post, path = "/admin/login", tag = "Sessions", security(()), request_body = Login, responses((status = 200, body = Data<Session>)))]
pub(super) async fn login(
    State(api): State<Api>,
    caller: Caller,
    Body(login): Body<Login>,
) -> Result<Response, Failure> {
    let Login { email, password, .. } = login;
    Ok(signed_in(sessions(&api, &caller).sign_in(&email, &Password::new(password)).await?))
}

/// Registers the first super admin and signs them in.
#[utoipa::path(post, path = "/admin/register-admin", tag = "Sessions", security(()), request_body = NewFirstAdmin, responses((status = 200, body = Data<Session>)))]
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
    let signed =
        sessions(&api, &caller).register_first_at(caller.host.as_deref(), first, setup_code.as_deref()).await?;
    Ok(signed_in(signed))
}

/// Accepts an invitation, and signs in whoever does.
#[utoipa::path(post, path = "/admin/register", tag = "Sessions", security(()), request_body = NewRegistration, responses((status = 200, body = Data<Session>)))]
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
    let signed = sessions(&api, &caller).register(registration).await;
    Ok(signed_in(signed.map_err(|error| Failure::of(error, &wire))?))
}

fn signed_in(SignedIn { owner, roles, session }: SignedIn) -> Response {
    let user = User::of(owner, &roles.into_iter().map(|role| (role.id, role)).collect());
    secret(Session { token: exposed(&session.secret), user })
}

/// Signs out.
#[utoipa::path(post, path = "/admin/logout", tag = "Sessions", responses((status = 200, body = Data<Nothing>)))]
pub(super) async fn logout(State(api): State<Api>, caller: Caller, _: NoBody) -> Result<Answer<Nothing>, Failure> {
    let session = caller.token.ok_or(ServiceError::Forbidden("sign in first"))?;
    sessions(&api, &caller).sign_out(session).await?;
    Ok(ok(Nothing {}))
}
