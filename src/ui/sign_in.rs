//! Signing in and out, and registering.

use super::base::{of_request, redirect};
use super::failure::{Complaints, Failure};
use super::form::{Query, Sent};
use super::frame::{Frame, Viewer};
use super::list::address;
use super::state::Pages;
use super::{HOME, ME, SIGN_IN, render};
use crate::admin::{FirstAdmin, Password, Registration, ServiceError, Sessions, SignedIn};
use crate::domain::{authenticated, is_loopback_host};
use crate::guard::{Caller, GuardedRouter, SessionCheck};
use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::StatusCode;
use http::header::{CACHE_CONTROL, SET_COOKIE};
use http::request::Parts;
use serde::Deserialize;

pub(super) const FIRST: &str = "/admin/auth/register-admin";
pub(super) const INVITED: &str = "/admin/auth/register";
pub(super) const SIGN_OUT: &str = "/admin/auth/logout";
/// Where a page asks whether its session still lives.
pub(super) const SESSION: &str = "/admin/auth/session";

pub(super) fn routes() -> GuardedRouter<Pages> {
    GuardedRouter::new()
        .public(SIGN_IN, get(show).post(sign_in))
        .public(SESSION, get(lives))
        .public(FIRST, get(show_first).post(register_first))
        .public(INVITED, get(show_invited).post(register))
        .route(SIGN_OUT, authenticated(), post(sign_out))
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    frame: Frame,
    said: Option<&'static str>,
    found: &'a Complaints,
    back: &'a str,
    email: &'a str,
}

#[derive(Template)]
#[template(path = "register.html")]
struct RegisterPage<'a> {
    frame: Frame,
    title: &'static str,
    text: &'static str,
    button: &'static str,
    action: &'static str,
    found: &'a Complaints,
    email: &'a str,
    firstname: &'a str,
    lastname: &'a str,
    invitation: Option<&'a str>,
    needs_code: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Back {
    #[serde(default)]
    redirect_to: String,
    /// Why they are here, by a word.
    #[serde(default)]
    done: String,
    /// Not empty right after signing in: whether the browser has kept the cookie is to be seen.
    #[serde(default)]
    check: String,
    /// Not empty if this was asked for once more, from here.
    #[serde(default)]
    again: String,
}

/// Asks for an address once more. The browser then comes from a page of ours, and sends the cookie that it sends to no other site.
#[derive(Template)]
#[template(path = "again.html")]
struct AgainPage {
    address: String,
}

#[derive(Template)]
#[template(path = "no_cookie.html")]
struct NoCookiePage {
    frame: Frame,
    /// The cookie needs HTTPS.
    secure: bool,
}

/// Says that a header of the request counts instead of the cookie.
#[derive(Template)]
#[template(path = "overridden.html")]
struct OverriddenPage {
    frame: Frame,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Invitation {
    #[serde(default)]
    registration_token: String,
}

async fn show(State(pages): State<Pages>, Query(back): Query<Back>, parts: Parts) -> Result<Response, Failure> {
    if pages.sessions.setup_code().await?.is_some() {
        return Ok(redirect(FIRST).into_response());
    }
    let session = pages.session(&parts).await;
    match session {
        SessionCheck::Valid => return Ok(redirect(inside(&back.redirect_to)).into_response()),
        // Pages would send the reader back here, whatever is in the cookie.
        SessionCheck::Overridden => {
            let page = OverriddenPage { frame: Frame::outside("Not signed in") };
            return Ok(render(StatusCode::OK, &page));
        }
        // Either none came back, or there are several of which none counts.
        SessionCheck::NoCookie | SessionCheck::Invalid if !back.check.is_empty() => {
            tracing::debug!("a browser did not send the session's cookie back right after signing in");
            let page = NoCookiePage { frame: Frame::outside("Not signed in yet"), secure: pages.cookie.is_secure() };
            return Ok(render(StatusCode::OK, &page));
        }
        SessionCheck::NoCookie if back.again.is_empty() && comes_from_elsewhere(&parts) => {
            let address = [("redirectTo", back.redirect_to.as_str()), ("done", &back.done), ("again", "1")];
            return Ok(render(StatusCode::OK, &AgainPage { address: address_of(&address) }));
        }
        SessionCheck::NoCookie | SessionCheck::Invalid | SessionCheck::Unknown => {}
    }
    let said = match back.done.as_str() {
        "email" => {
            Some("Your e-mail address is changed, and all of your sessions have ended. Sign in with the new one.")
        }
        "password" => Some("Your password is changed, and all of your sessions have ended. Sign in with the new one."),
        _ if session == SessionCheck::Invalid => Some("Your session has ended. Sign in to go on."),
        _ => None,
    };
    Ok(login(StatusCode::OK, said, &Complaints::default(), &back.redirect_to, ""))
}

fn address_of(parameters: &[(&str, &str)]) -> String {
    address(SIGN_IN, parameters)
}

/// Whether a page of another site has led here, which browsers tell where the cookie works at all.
fn comes_from_elsewhere(parts: &Parts) -> bool {
    parts.headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site")
}

/// Whether there is a session: 204, or 401. Where that is not known, a form is to be sent all the same.
async fn lives(State(pages): State<Pages>, parts: Parts) -> Response {
    let status = match pages.session(&parts).await {
        SessionCheck::Valid | SessionCheck::Overridden | SessionCheck::Unknown => StatusCode::NO_CONTENT,
        SessionCheck::Invalid | SessionCheck::NoCookie => StatusCode::UNAUTHORIZED,
    };
    (status, [(CACHE_CONTROL, "no-store")]).into_response()
}

fn login(status: StatusCode, said: Option<&'static str>, found: &Complaints, back: &str, email: &str) -> Response {
    render(status, &LoginPage { frame: Frame::outside("Sign in"), said, found, back, email })
}

async fn sign_in(State(pages): State<Pages>, caller: Caller, sent: Sent) -> Result<Response, Failure> {
    let (email, back) = (sent.text("email"), sent.text("redirectTo"));
    let sessions = visitor(&pages, &caller);
    match sessions.sign_in(email, &Password::new(sent.text("password"))).await {
        Ok(signed_in) => Ok(enter(&pages, &signed_in, back)),
        Err(error) => {
            let status = match error {
                ServiceError::TooManyAttempts(_) => StatusCode::TOO_MANY_REQUESTS,
                _ => StatusCode::BAD_REQUEST,
            };
            Ok(login(status, None, &Complaints::from(error)?, back, email))
        }
    }
}

fn visitor(pages: &Pages, caller: &Caller) -> Sessions {
    pages
        .sessions
        .clone()
        .acting_as(crate::domain::Actor::Visitor)
        .from_address(caller.address)
        .on_device(&caller.device)
}

/// Hands over a session: always a new one, whatever cookie came. The way on leads past the sign-in page, which sees whether the cookie
/// came back.
fn enter(pages: &Pages, signed_in: &SignedIn, back: &str) -> Response {
    let cookie = pages.cookie.set_at(&of_request(), &signed_in.session.secret);
    let on = address_of(&[("check", "1"), ("redirectTo", inside(back))]);
    ([(SET_COOKIE, cookie)], redirect(&on)).into_response()
}

/// Where to go after signing in: to a page of ours, and nowhere else.
fn inside(back: &str) -> &str {
    // Most likely it is as the browser saw it.
    let base = of_request();
    let back = base.inward(back);
    let path = back.split_once('?').map_or(back, |(path, _)| path);
    // Our paths have nothing to encode, and a browser takes `%2e%2e` for `..`.
    let plain = back.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
        && !["//", "..", "%", "#"].iter().any(|odd| path.contains(odd));
    let ours = path.starts_with("/admin/settings/") || path == ME;
    if plain && ours { back } else { HOME }
}

async fn sign_out(State(pages): State<Pages>, viewer: Viewer) -> Result<Response, Failure> {
    let session = viewer.session.ok_or_else(Failure::not_found)?;
    pages.sessions.clone().acting_as(&viewer.actor).from_address(viewer.address).sign_out(session).await?;
    Ok(signed_out(&pages))
}

/// To whose session is over: without its cookie, to the sign-in.
pub(super) fn signed_out(pages: &Pages) -> Response {
    leave(pages, SIGN_IN)
}

/// The same to whose sessions ended with their e-mail address.
pub(super) fn ended_by_email(pages: &Pages) -> Response {
    leave(pages, &address(SIGN_IN, &[("redirectTo", ME), ("done", "email")]))
}

/// The same to whose sessions ended with their password.
pub(super) fn ended_by_password(pages: &Pages) -> Response {
    leave(pages, &address(SIGN_IN, &[("redirectTo", ME), ("done", "password")]))
}

fn leave(pages: &Pages, to: &str) -> Response {
    ([(SET_COOKIE, pages.cookie.cleared_at(&of_request()))], redirect(to)).into_response()
}

async fn show_first(State(pages): State<Pages>, caller: Caller) -> Result<Response, Failure> {
    if pages.sessions.setup_code().await?.is_none() {
        return Ok(redirect(SIGN_IN).into_response());
    }
    Ok(first(&pages, &caller, StatusCode::OK, &Complaints::default(), None))
}

fn first(pages: &Pages, caller: &Caller, status: StatusCode, found: &Complaints, sent: Option<&Sent>) -> Response {
    let text = |name| sent.map_or("", |sent| sent.text(name));
    let page = RegisterPage {
        frame: Frame::outside("Welcome"),
        title: "Welcome",
        text: "Nobody is here yet. You will be the first super admin, who may do everything and invites everybody else.",
        button: "Start",
        action: FIRST,
        found,
        email: text("email"),
        firstname: text("firstname"),
        lastname: text("lastname"),
        invitation: None,
        needs_code: !(pages.open_setup && caller.host.as_deref().is_some_and(is_loopback_host)),
    };
    render(status, &page)
}

async fn register_first(State(pages): State<Pages>, caller: Caller, sent: Sent) -> Result<Response, Failure> {
    let text = |name| sent.text(name).to_owned();
    let admin = FirstAdmin {
        email: text("email"),
        firstname: text("firstname"),
        lastname: text("lastname"),
        username: None,
        password: Password::new(sent.text("password")),
    };
    let code = Some(sent.text("setupCode").trim()).filter(|code| !code.is_empty());
    match visitor(&pages, &caller).register_first_at(caller.host.as_deref(), admin, code).await {
        Ok(signed_in) => Ok(enter(&pages, &signed_in, "")),
        Err(error) => Ok(first(&pages, &caller, StatusCode::BAD_REQUEST, &Complaints::from(error)?, Some(&sent))),
    }
}

async fn show_invited(
    State(pages): State<Pages>,
    caller: Caller,
    Query(Invitation { registration_token }): Query<Invitation>,
) -> Result<Response, Failure> {
    invited(&pages, &caller, StatusCode::OK, &Complaints::default(), &registration_token, None).await
}

async fn invited(
    pages: &Pages,
    caller: &Caller,
    status: StatusCode,
    found: &Complaints,
    invitation: &str,
    sent: Option<&Sent>,
) -> Result<Response, Failure> {
    let owner = match visitor(pages, caller).invited(invitation).await {
        Ok(owner) => owner,
        Err(ServiceError::Invalid(_)) => return Err(Failure::dead_invitation()),
        Err(error) => return Err(error.into()),
    };
    let text = |name, kept: &str| sent.map_or(kept.to_owned(), |sent| sent.text(name).to_owned());
    let page = RegisterPage {
        frame: Frame::outside("You are invited"),
        title: "You are invited",
        text: "Choose a password, and you are in.",
        button: "Join",
        action: INVITED,
        found,
        email: &owner.email,
        firstname: &text("firstname", &owner.firstname),
        lastname: &text("lastname", &owner.lastname),
        invitation: Some(invitation),
        needs_code: false,
    };
    Ok(render(status, &page))
}

async fn register(State(pages): State<Pages>, caller: Caller, sent: Sent) -> Result<Response, Failure> {
    let invitation = sent.text("registrationToken");
    let registration = Registration {
        invitation: invitation.to_owned(),
        firstname: sent.text("firstname").to_owned(),
        lastname: sent.text("lastname").to_owned(),
        username: None,
        password: Password::new(sent.text("password")),
    };
    match visitor(&pages, &caller).register(registration).await {
        Ok(signed_in) => Ok(enter(&pages, &signed_in, "")),
        Err(error) => {
            let found = Complaints::from(error)?;
            invited(&pages, &caller, StatusCode::BAD_REQUEST, &found, invitation, Some(&sent)).await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_come_back_to_pages_of_ours_only() {
        for ours in [
            "/admin/settings/roles/7",
            "/admin/settings/users?q=a&page=2",
            "/admin/settings/audit-logs?by=a%40b..c",
            "/admin/me",
        ] {
            assert_eq!(inside(ours), ours);
        }
        for other in [
            "",
            "/",
            "//evil.test/admin/settings/",
            "https://evil.test",
            "/\\evil.test",
            "/admin/settings/\\x",
            "/admin/settings//evil.test",
            "/admin/settings/../../x",
            "/admin/settings/%2e%2e/%2e%2e/go?to=x",
            "/admin/settings/%2E./x",
            "/admin/me#//evil.test",
            "/admin/settings/\r\nx",
            "/admin/auth/logout",
            "admin/settings/",
            "/admin/settingsx",
        ] {
            assert_eq!(inside(other), HOME, "{other:?}");
        }
    }
}
