//! Sign-in, sign-out and registration.

use super::base::{base, redirect, request_base};
use super::failure::Failure;
use super::form::{FormFields, Query};
use super::form_errors::FormErrors;
use super::frame::Frame;
use super::list::address;
use super::page::render;
use super::paths::{ME, REGISTER, REGISTER_FIRST, SESSION, SIGN_IN, SIGN_OUT};
use super::state::Pages;
use super::viewer::Viewer;
use crate::admin::{FirstAdmin, Password, Registration, ServiceError, Sessions, SignedIn};
use crate::domain::{Actor, authenticated, is_loopback_host};
use crate::guard::{Caller, GuardedRouter, Mount, SessionCheck};
use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use http::StatusCode;
use http::header::{CACHE_CONTROL, SET_COOKIE};
use http::request::Parts;
use serde::Deserialize;

pub(super) fn session_routes() -> GuardedRouter<Pages> {
    GuardedRouter::new().public(SESSION, get(session_status))
}

pub(super) fn sign_in_routes() -> GuardedRouter<Pages> {
    GuardedRouter::new().public(SIGN_IN, get(show).post(sign_in)).route(SIGN_OUT, authenticated(), post(sign_out))
}

pub(super) fn registration_routes() -> GuardedRouter<Pages> {
    GuardedRouter::new()
        .public(REGISTER_FIRST, get(show_register_first).post(register_first))
        .public(REGISTER, get(show_register).post(register))
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    frame: Frame,
    notice: Option<&'static str>,
    errors: &'a FormErrors,
    redirect_to: &'a str,
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
    errors: &'a FormErrors,
    email: &'a str,
    firstname: &'a str,
    lastname: &'a str,
    invitation: Option<&'a str>,
    needs_code: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SignInQuery {
    #[serde(default)]
    redirect_to: String,
    /// The change that ended the session.
    #[serde(default)]
    done: String,
    /// Not empty right after a sign-in: the page checks that the browser kept the cookie.
    #[serde(default)]
    check: String,
    /// Not empty if the page loaded itself again.
    #[serde(default)]
    again: String,
}

/// Loads an address again. The request then comes from the same site, and the browser sends the cookie with it.
#[derive(Template)]
#[template(path = "again.html")]
struct AgainPage {
    address: String,
}

#[derive(Template)]
#[template(path = "no_cookie.html")]
struct NoCookiePage {
    frame: Frame,
    /// Whether the cookie requires HTTPS.
    is_secure: bool,
}

/// Explains that a header of the request overrides the cookie.
#[derive(Template)]
#[template(path = "overridden.html")]
struct OverriddenPage {
    frame: Frame,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InvitationQuery {
    #[serde(default)]
    registration_token: String,
}

async fn show(State(pages): State<Pages>, Query(query): Query<SignInQuery>, parts: Parts) -> Result<Response, Failure> {
    if pages.mount.is_whole() && pages.keyward.sessions().setup_code().await?.is_some() {
        return Ok(redirect(REGISTER_FIRST).into_response());
    }
    let session = pages.check_session(&parts).await;
    match session {
        SessionCheck::Valid => return Ok(Redirect::to(&safe_redirect(&pages, &query.redirect_to)).into_response()),
        // Other pages would redirect back here, whatever the cookie is.
        SessionCheck::Overridden => {
            let page = OverriddenPage { frame: Frame::signed_out("Not signed in") };
            return Ok(render(StatusCode::OK, &page));
        }
        // The browser sent no cookie, or only invalid ones.
        SessionCheck::NoCookie | SessionCheck::Invalid if !query.check.is_empty() => {
            tracing::debug!("a browser did not send the session's cookie back right after signing in");
            let is_secure = pages.cookie.is_secure();
            let page = NoCookiePage { frame: Frame::signed_out("Not signed in yet"), is_secure };
            return Ok(render(StatusCode::OK, &page));
        }
        SessionCheck::NoCookie if query.again.is_empty() && is_cross_site(&parts) => {
            let parameters = [("redirectTo", query.redirect_to.as_str()), ("done", &query.done), ("again", "1")];
            return Ok(render(StatusCode::OK, &AgainPage { address: address(SIGN_IN, &parameters) }));
        }
        SessionCheck::NoCookie | SessionCheck::Invalid | SessionCheck::Unknown => {}
    }
    let notice = match query.done.as_str() {
        "email" => {
            Some("Your e-mail address was changed and all your sessions have ended. Sign in with the new address.")
        }
        "password" => {
            Some("Your password was changed and all your sessions have ended. Sign in with the new password.")
        }
        _ if session == SessionCheck::Invalid => Some("Your session has ended. Sign in to continue."),
        _ => None,
    };
    Ok(render_sign_in(StatusCode::OK, notice, &FormErrors::default(), &query.redirect_to, ""))
}

/// Returns whether a page of another site led here. Browsers that support the cookie send this header.
fn is_cross_site(parts: &Parts) -> bool {
    parts.headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site")
}

/// Answers 204 with a valid session, else 401. If the store is unavailable, 204: scripts then send the form, and the
/// server decides.
async fn session_status(State(pages): State<Pages>, parts: Parts) -> Response {
    let status = match pages.check_session(&parts).await {
        SessionCheck::Valid | SessionCheck::Overridden | SessionCheck::Unknown => StatusCode::NO_CONTENT,
        SessionCheck::Invalid | SessionCheck::NoCookie => StatusCode::UNAUTHORIZED,
    };
    (status, [(CACHE_CONTROL, "no-store")]).into_response()
}

fn render_sign_in(
    status: StatusCode,
    notice: Option<&'static str>,
    errors: &FormErrors,
    redirect_to: &str,
    email: &str,
) -> Response {
    render(status, &LoginPage { frame: Frame::signed_out("Sign in"), notice, errors, redirect_to, email })
}

async fn sign_in(State(pages): State<Pages>, caller: Caller, form: FormFields) -> Result<Response, Failure> {
    let (email, redirect_to) = (form.text("email"), form.text("redirectTo"));
    let sessions = visitor_sessions(&pages, &caller);
    match sessions.sign_in(email, &Password::new(form.text("password"))).await {
        Ok(signed_in) => Ok(start_session(&pages, &signed_in, redirect_to)),
        Err(error) => {
            let status = match error {
                ServiceError::TooManyAttempts(_) => StatusCode::TOO_MANY_REQUESTS,
                _ => StatusCode::BAD_REQUEST,
            };
            Ok(render_sign_in(status, None, &FormErrors::from_service(error)?, redirect_to, email))
        }
    }
}

fn visitor_sessions(pages: &Pages, caller: &Caller) -> Sessions {
    let sessions = pages.keyward.sessions().acting_as(Actor::Visitor);
    sessions.from_address(caller.address).on_device(&caller.device)
}

/// Sets the cookie of a new session, and redirects to the sign-in page, which checks that the browser kept it and
/// redirects further.
fn start_session(pages: &Pages, signed_in: &SignedIn, redirect_to: &str) -> Response {
    let cookie = pages.cookie.set_at(&request_base(), &signed_in.session.secret);
    let next = address(SIGN_IN, &[("check", "1"), ("redirectTo", &safe_redirect(pages, redirect_to))]);
    ([(SET_COOKIE, cookie)], redirect(&next)).into_response()
}

/// Returns the address if it is one of the pages, else that of the page where people start. Both are as the browser sees
/// them.
fn safe_redirect(pages: &Pages, address: &str) -> String {
    match is_page(&pages.mount, address) {
        true => address.to_owned(),
        false => base() + pages.home(),
    }
}

fn is_page(mount: &Mount, address: &str) -> bool {
    let path = address.split_once('?').map_or(address, |(path, _)| path);
    // Paths of the pages contain no characters to encode, and browsers read `%2e%2e` as `..`.
    let is_plain = address.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
        && !["//", "..", "%", "#"].iter().any(|part| path.contains(part));
    is_plain
        && path.strip_prefix(&base()).is_some_and(|below| match mount.is_whole() {
            true => below.starts_with("/settings/") || below == ME,
            false => {
                below.is_empty()
                    || (below.starts_with('/') && !["/auth/", "/assets/"].iter().any(|p| below.starts_with(p)))
            }
        })
}

async fn sign_out(State(pages): State<Pages>, viewer: Viewer) -> Result<Response, Failure> {
    let session = viewer.session.ok_or_else(Failure::not_found)?;
    viewer.sessions().sign_out(session).await?;
    Ok(clear_session(&pages, SIGN_IN))
}

/// Clears the session cookie and redirects.
pub(super) fn clear_session(pages: &Pages, to: &str) -> Response {
    ([(SET_COOKIE, pages.cookie.cleared_at(&request_base()))], redirect(to)).into_response()
}

async fn show_register_first(State(pages): State<Pages>, caller: Caller) -> Result<Response, Failure> {
    if pages.keyward.sessions().setup_code().await?.is_none() {
        return Ok(redirect(SIGN_IN).into_response());
    }
    Ok(render_register_first(&pages, &caller, StatusCode::OK, &FormErrors::default(), None))
}

fn render_register_first(
    pages: &Pages,
    caller: &Caller,
    status: StatusCode,
    errors: &FormErrors,
    form: Option<&FormFields>,
) -> Response {
    let text = |name| form.map_or("", |form| form.text(name));
    let is_open = pages.keyward.settings().open_setup && caller.host.as_deref().is_some_and(is_loopback_host);
    let page = RegisterPage {
        frame: Frame::signed_out("Welcome"),
        title: "Welcome",
        text: "Create the first account. It is a super admin: it can do everything and invite other people.",
        button: "Create account",
        action: REGISTER_FIRST,
        errors,
        email: text("email"),
        firstname: text("firstname"),
        lastname: text("lastname"),
        invitation: None,
        needs_code: !is_open,
    };
    render(status, &page)
}

async fn register_first(State(pages): State<Pages>, caller: Caller, form: FormFields) -> Result<Response, Failure> {
    let text = |name| form.text(name).to_owned();
    let admin = FirstAdmin {
        email: text("email"),
        firstname: text("firstname"),
        lastname: text("lastname"),
        username: None,
        password: Password::new(form.text("password")),
    };
    let code = Some(form.text("setupCode").trim()).filter(|code| !code.is_empty());
    match visitor_sessions(&pages, &caller).register_first_at(caller.host.as_deref(), admin, code).await {
        Ok(signed_in) => Ok(start_session(&pages, &signed_in, "")),
        Err(error) => {
            let errors = FormErrors::from_service(error)?;
            Ok(render_register_first(&pages, &caller, StatusCode::BAD_REQUEST, &errors, Some(&form)))
        }
    }
}

async fn show_register(
    State(pages): State<Pages>,
    caller: Caller,
    Query(InvitationQuery { registration_token }): Query<InvitationQuery>,
) -> Result<Response, Failure> {
    render_register(&pages, &caller, StatusCode::OK, &FormErrors::default(), &registration_token, None).await
}

async fn render_register(
    pages: &Pages,
    caller: &Caller,
    status: StatusCode,
    errors: &FormErrors,
    invitation: &str,
    form: Option<&FormFields>,
) -> Result<Response, Failure> {
    let owner = match visitor_sessions(pages, caller).invited(invitation).await {
        Ok(owner) => owner,
        Err(ServiceError::Invalid(_)) => return Err(Failure::invalid_invitation()),
        Err(error) => return Err(error.into()),
    };
    let text = |name, saved: &str| form.map_or(saved, |form| form.text(name)).to_owned();
    let page = RegisterPage {
        frame: Frame::signed_out("You are invited"),
        title: "You are invited",
        text: "Choose a password to create your account.",
        button: "Join",
        action: REGISTER,
        errors,
        email: &owner.email,
        firstname: &text("firstname", &owner.firstname),
        lastname: &text("lastname", &owner.lastname),
        invitation: Some(invitation),
        needs_code: false,
    };
    Ok(render(status, &page))
}

async fn register(State(pages): State<Pages>, caller: Caller, form: FormFields) -> Result<Response, Failure> {
    let invitation = form.text("registrationToken");
    let registration = Registration {
        invitation: invitation.to_owned(),
        firstname: form.text("firstname").to_owned(),
        lastname: form.text("lastname").to_owned(),
        username: None,
        password: Password::new(form.text("password")),
    };
    match visitor_sessions(&pages, &caller).register(registration).await {
        Ok(signed_in) => Ok(start_session(&pages, &signed_in, "")),
        Err(error) => {
            let errors = FormErrors::from_service(error)?;
            render_register(&pages, &caller, StatusCode::BAD_REQUEST, &errors, invitation, Some(&form)).await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::base::scoped;
    use super::*;

    #[test]
    fn redirects_lead_to_pages_only() {
        let is_page = |address: &str| {
            let mount = Mount::whole("/admin");
            let at = |base: &str, address: &str| scoped(base, &mount, || super::is_page(&mount, address));
            assert_eq!(at("", address), at("/keys", &format!("/keys{address}")), "{address}");
            at("", address)
        };
        for page in [
            "/admin/settings/roles/7",
            "/admin/settings/users?q=a&page=2",
            "/admin/settings/audit-logs?by=a%40b..c",
            "/admin/me",
        ] {
            assert!(is_page(page), "{page}");
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
            "/settings/roles",
        ] {
            assert!(!is_page(other), "{other:?}");
        }
    }

    #[test]
    fn redirects_of_own_tokens_stay_below_their_path() {
        let mount = Mount::own_tokens("/settings/keys");
        let is_page = |address: &str| scoped("/app", &mount, || super::is_page(&mount, address));
        for page in
            ["/app/settings/keys", "/app/settings/keys?page=2", "/app/settings/keys/create", "/app/settings/keys/7"]
        {
            assert!(is_page(page), "{page}");
        }
        for other in [
            "",
            "/app",
            "/settings/keys",
            "/app/settings",
            "/app/settings/keysx",
            "/app/settings/keys/../x",
            "/app/settings/keys//evil.test",
            "/app/settings/keys/auth/logout",
            "/app/settings/keys/assets/keyward.js",
            "https://evil.test/app/settings/keys",
        ] {
            assert!(!is_page(other), "{other:?}");
        }
    }
}
