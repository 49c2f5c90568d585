//! My profile: names, e-mail address, password and sessions.

use super::base::{base, redirect};
use super::failure::Failure;
use super::form::{FormFields, Id, Query};
use super::form_errors::FormErrors;
use super::frame::Frame;
use super::list::{PageQuery, address};
use super::page::render;
use super::paths::{ME, SIGN_IN};
use super::sign_in::clear_session;
use super::state::Pages;
use super::time::RelativeTime;
use super::viewer::Viewer;
use crate::admin::{Password, ProfileUpdate, ServiceError};
use crate::domain::{AuditAction, AuditTarget, Timestamp, TokenId, authenticated};
use crate::guard::GuardedRouter;
use crate::store::{EventQuery, Paging};
use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::StatusCode;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

pub(super) fn routes() -> GuardedRouter<Pages> {
    GuardedRouter::new()
        .route(ME, authenticated(), get(show).post(save_names))
        .route(&format!("{ME}/email"), authenticated(), post(save_email))
        .route(&format!("{ME}/password"), authenticated(), post(save_password))
        .route(&format!("{ME}/sessions/{{id}}/end"), authenticated(), post(end_session))
}

#[derive(Template)]
#[template(path = "me.html")]
struct MePage<'a> {
    frame: Frame,
    notice: Option<&'static str>,
    errors: &'a ProfileErrors,
    version: String,
    email: String,
    firstname: String,
    lastname: String,
    username: String,
    /// The saved address, which tells password managers the account.
    account: String,
    roles: String,
    created: RelativeTime,
    sessions: Vec<Session>,
}

/// The errors of each form.
#[derive(Default)]
struct ProfileErrors {
    names: FormErrors,
    email: FormErrors,
    password: FormErrors,
}

impl ProfileErrors {
    fn is_empty(&self) -> bool {
        self.names.is_empty() && self.email.is_empty() && self.password.is_empty()
    }
}

struct Session {
    device: String,
    id: TokenId,
    created: RelativeTime,
    used: RelativeTime,
    address: Option<IpAddr>,
    is_current: bool,
}

async fn show(State(pages): State<Pages>, viewer: Viewer, Query(query): Query<PageQuery>) -> Result<Response, Failure> {
    let notice = match query.done.as_str() {
        "saved" => Some("Saved."),
        "ended" => Some("The session has ended. That browser has to sign in again."),
        _ => None,
    };
    render_profile(&pages, &viewer, StatusCode::OK, notice, &ProfileErrors::default(), None).await
}

async fn render_profile(
    pages: &Pages,
    viewer: &Viewer,
    status: StatusCode,
    notice: Option<&'static str>,
    errors: &ProfileErrors,
    form: Option<&FormFields>,
) -> Result<Response, Failure> {
    let now = pages.now();
    let (owner, roles) = viewer.sessions().me().await?;
    let text = |name, saved: &str| match form.filter(|form| form.has(name)) {
        Some(form) => form.text(name).to_owned(),
        None => saved.to_owned(),
    };
    let page = MePage {
        frame: viewer.frame(ME, "My profile").with_address(ME.to_owned()),
        notice,
        errors,
        version: owner.version().to_string(),
        email: text("email", &owner.email),
        firstname: text("firstname", &owner.firstname),
        lastname: text("lastname", &owner.lastname),
        username: text("username", owner.username.as_deref().unwrap_or_default()),
        account: owner.email.clone(),
        roles: roles.into_iter().map(|role| role.name).collect::<Vec<_>>().join(", "),
        created: RelativeTime::past(owner.created_at, now),
        sessions: load_sessions(viewer, now).await?,
    };
    Ok(render(status, &page))
}

/// Loads the sessions: the current one first, then by last use.
async fn load_sessions(viewer: &Viewer, now: Timestamp) -> Result<Vec<Session>, Failure> {
    let mut all = viewer.sessions().list().await?;
    let used = |session: &crate::domain::Token| session.last_used_at.unwrap_or(session.created_at);
    all.sort_by_key(|session| (Some(session.id) != viewer.session, std::cmp::Reverse(used(session))));
    let oldest = all.iter().map(|session| session.created_at).min();
    let addresses = load_addresses(viewer, oldest.unwrap_or(now), all.len()).await?;
    let session = |session: crate::domain::Token| Session {
        device: session.description.clone(),
        created: RelativeTime::past(session.created_at, now),
        used: RelativeTime::past(used(&session), now),
        address: addresses.get(&session.id).copied(),
        is_current: Some(session.id) == viewer.session,
        id: session.id,
    };
    Ok(all.into_iter().map(session).collect())
}

/// Loads the addresses from which sessions were opened, out of the audit log.
async fn load_addresses(viewer: &Viewer, since: Timestamp, wanted: usize) -> Result<HashMap<TokenId, IpAddr>, Failure> {
    const PAGE: u32 = 200;
    let mut addresses = HashMap::new();
    let mut query = EventQuery {
        actions: Some(vec![AuditAction::SignedIn]),
        person: Some(viewer.id),
        since: Some(Timestamp(since.0.saturating_sub(Duration::from_secs(60).as_millis() as i64))),
        ..EventQuery::all(Paging { page: 1, page_size: PAGE })
    };
    // Ended sessions have events too. After ten pages the remaining addresses stay unknown.
    while addresses.len() < wanted && query.paging.page <= 10 {
        let events = viewer.audit().list(&query).await?.items;
        let is_last = events.len() < PAGE as usize;
        for (_, event) in events {
            if let (AuditTarget::Token(id, _), Some(address)) = (event.target, event.origin.address) {
                addresses.insert(id, address);
            }
        }
        if is_last {
            break;
        }
        query.paging.page += 1;
    }
    Ok(addresses)
}

async fn save_names(State(pages): State<Pages>, viewer: Viewer, form: FormFields) -> Result<Response, Failure> {
    let text = |name| Some(form.text(name).to_owned());
    let update = ProfileUpdate {
        firstname: text("firstname"),
        lastname: text("lastname"),
        username: Some(text("username").filter(|name| !name.trim().is_empty())),
        ..ProfileUpdate::default()
    };
    match viewer.sessions().if_version(form.version()?).update_me(update).await {
        Ok(_) => Ok(redirect(&format!("{ME}?done=saved")).into_response()),
        Err(error) => {
            let (status, names) = form_errors(error)?;
            let errors = ProfileErrors { names, ..ProfileErrors::default() };
            render_profile(&pages, &viewer, status, None, &errors, Some(&form)).await
        }
    }
}

async fn save_email(State(pages): State<Pages>, viewer: Viewer, form: FormFields) -> Result<Response, Failure> {
    let update = ProfileUpdate {
        email: Some(form.text("email").to_owned()),
        current_password: Some(Password::new(form.text("currentPassword"))),
        ..ProfileUpdate::default()
    };
    match viewer.sessions().if_version(form.version()?).update_me(update).await {
        // Sessions continue if the address stays the same.
        Ok(owner) if owner.email == viewer.owner.email => Ok(redirect(&format!("{ME}?done=saved")).into_response()),
        Ok(_) => Ok(sign_in_again(&pages, "email")),
        Err(error) => {
            let (status, email) = form_errors(error)?;
            let errors = ProfileErrors { email, ..ProfileErrors::default() };
            render_profile(&pages, &viewer, status, None, &errors, Some(&form)).await
        }
    }
}

async fn save_password(State(pages): State<Pages>, viewer: Viewer, form: FormFields) -> Result<Response, Failure> {
    let update = ProfileUpdate {
        password: Some(Password::new(form.text("password"))),
        current_password: Some(Password::new(form.text("currentPassword"))),
        ..ProfileUpdate::default()
    };
    match viewer.sessions().if_version(form.version()?).update_me(update).await {
        Ok(_) => Ok(sign_in_again(&pages, "password")),
        Err(error) => {
            let (status, password) = form_errors(error)?;
            let errors = ProfileErrors { password, ..ProfileErrors::default() };
            render_profile(&pages, &viewer, status, None, &errors, None).await
        }
    }
}

/// Redirects to the sign-in, which confirms that the e-mail address or the password changed.
fn sign_in_again(pages: &Pages, changed: &str) -> Response {
    let back = base() + ME;
    clear_session(pages, &address(SIGN_IN, &[("redirectTo", &back), ("done", changed)]))
}

fn form_errors(error: ServiceError) -> Result<(StatusCode, FormErrors), Failure> {
    let status = match error {
        ServiceError::TooManyAttempts(_) => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::BAD_REQUEST,
    };
    Ok((status, FormErrors::from_service(error)?))
}

async fn end_session(State(pages): State<Pages>, viewer: Viewer, Id(id): Id) -> Result<Response, Failure> {
    viewer.sessions().revoke(TokenId(id)).await?;
    Ok(match viewer.session == Some(TokenId(id)) {
        true => clear_session(&pages, SIGN_IN),
        false => redirect(&format!("{ME}?done=ended")).into_response(),
    })
}
