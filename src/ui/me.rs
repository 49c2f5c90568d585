//! My profile: names, e-mail address, password, sessions.

use super::base::redirect;
use super::failure::{Complaints, Failure};
use super::form::{Id, Query, Sent};
use super::frame::{Frame, Viewer};
use super::list::Asked;
use super::sign_in::{ended_by_email, ended_by_password, signed_out};
use super::state::Pages;
use super::time::ConditionClause;
use super::{ME, render};
use crate::admin::{Password, ProfileUpdate, ServiceError, Sessions};
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
    said: Option<&'static str>,
    found: &'a Found,
    version: String,
    email: String,
    firstname: String,
    lastname: String,
    username: String,
    /// As it is, for the browser to know whose password this is.
    account: String,
    roles: String,
    since: ConditionClause,
    sessions: Vec<Session>,
}

/// What is wrong with each of the forms.
#[derive(Default)]
struct Found {
    names: Complaints,
    email: Complaints,
    password: Complaints,
}

struct Session {
    device: String,
    id: TokenId,
    created: ConditionClause,
    used: ConditionClause,
    address: Option<IpAddr>,
    this: bool,
}

fn sessions(pages: &Pages, viewer: &Viewer) -> Sessions {
    pages.sessions.clone().acting_as(&viewer.actor).from_address(viewer.address)
}

async fn show(State(pages): State<Pages>, viewer: Viewer, Query(asked): Query<Asked>) -> Result<Response, Failure> {
    let said = match asked.done.as_str() {
        "saved" => Some("Saved."),
        "ended" => Some("The session has ended. Whoever had it is asked to sign in."),
        _ => None,
    };
    page(&pages, &viewer, StatusCode::OK, said, &Found::default(), None).await
}

async fn page(
    pages: &Pages,
    viewer: &Viewer,
    status: StatusCode,
    said: Option<&'static str>,
    found: &Found,
    sent: Option<&Sent>,
) -> Result<Response, Failure> {
    let now = pages.now();
    let (owner, roles) = sessions(pages, viewer).me().await?;
    let text = |name, kept: &str| match sent.filter(|sent| sent.has(name)) {
        Some(sent) => sent.text(name).to_owned(),
        None => kept.to_owned(),
    };
    let page = MePage {
        frame: Frame { address: Some(ME.to_owned()), ..viewer.frame(ME, "My profile") },
        said,
        found,
        version: owner.version().to_string(),
        email: text("email", &owner.email),
        firstname: text("firstname", &owner.firstname),
        lastname: text("lastname", &owner.lastname),
        username: text("username", owner.username.as_deref().unwrap_or_default()),
        account: owner.email.clone(),
        roles: roles.into_iter().map(|role| role.name).collect::<Vec<_>>().join(", "),
        since: ConditionClause::past(owner.created_at, now),
        sessions: my_sessions(pages, viewer, now).await?,
    };
    Ok(render(status, &page))
}

/// This one first, then by use.
async fn my_sessions(pages: &Pages, viewer: &Viewer, now: Timestamp) -> Result<Vec<Session>, Failure> {
    let mut all = sessions(pages, viewer).list().await?;
    let used = |session: &crate::domain::Token| session.last_used_at.unwrap_or(session.created_at);
    all.sort_by_key(|session| (Some(session.id) != viewer.session, std::cmp::Reverse(used(session))));
    let oldest = all.iter().map(|session| session.created_at).min();
    let addresses = addresses(pages, viewer, oldest.unwrap_or(now), all.len()).await?;
    let one = |session: crate::domain::Token| Session {
        device: session.description.clone(),
        created: ConditionClause::past(session.created_at, now),
        used: ConditionClause::past(used(&session), now),
        address: addresses.get(&session.id).copied(),
        this: Some(session.id) == viewer.session,
        id: session.id,
    };
    Ok(all.into_iter().map(one).collect())
}

/// From where one's sessions were opened, as the audit log has it.
async fn addresses(
    pages: &Pages,
    viewer: &Viewer,
    since: Timestamp,
    wanted: usize,
) -> Result<HashMap<TokenId, IpAddr>, Failure> {
    const PAGE: u32 = 200;
    let mut found = HashMap::new();
    let mut query = EventQuery {
        actions: Some(vec![AuditAction::SignedIn]),
        person: Some(viewer.id),
        since: Some(Timestamp(since.0.saturating_sub(Duration::from_secs(60).as_millis() as i64))),
        ..EventQuery::all(Paging { page: 1, page_size: PAGE })
    };
    // Sessions that are over have events too, but nobody signs in that often.
    while found.len() < wanted && query.paging.page <= 10 {
        let events = pages.events.clone().acting_as(&viewer.actor).list(&query).await?.items;
        let last = events.len() < PAGE as usize;
        for (_, event) in events {
            if let (AuditTarget::Token(id, _), Some(address)) = (event.target, event.origin.address) {
                found.insert(id, address);
            }
        }
        if last {
            break;
        }
        query.paging.page += 1;
    }
    Ok(found)
}

async fn save_names(State(pages): State<Pages>, viewer: Viewer, sent: Sent) -> Result<Response, Failure> {
    let text = |name| Some(sent.text(name).to_owned());
    let update = ProfileUpdate {
        firstname: text("firstname"),
        lastname: text("lastname"),
        username: Some(text("username").filter(|name| !name.trim().is_empty())),
        ..ProfileUpdate::default()
    };
    match sessions(&pages, &viewer).if_version(sent.version()?).update_me(update).await {
        Ok(_) => Ok(redirect(&format!("{ME}?done=saved")).into_response()),
        Err(error) => {
            let (status, names) = complaints(error)?;
            page(&pages, &viewer, status, None, &Found { names, ..Found::default() }, Some(&sent)).await
        }
    }
}

async fn save_email(State(pages): State<Pages>, viewer: Viewer, sent: Sent) -> Result<Response, Failure> {
    let update = ProfileUpdate {
        email: Some(sent.text("email").to_owned()),
        current_password: Some(Password::new(sent.text("currentPassword"))),
        ..ProfileUpdate::default()
    };
    match sessions(&pages, &viewer).if_version(sent.version()?).update_me(update).await {
        // The same address again changes nothing, and ends nothing.
        Ok(owner) if owner.email == viewer.owner.email => Ok(redirect(&format!("{ME}?done=saved")).into_response()),
        Ok(_) => Ok(ended_by_email(&pages)),
        Err(error) => {
            let (status, email) = complaints(error)?;
            page(&pages, &viewer, status, None, &Found { email, ..Found::default() }, Some(&sent)).await
        }
    }
}

async fn save_password(State(pages): State<Pages>, viewer: Viewer, sent: Sent) -> Result<Response, Failure> {
    let update = ProfileUpdate {
        password: Some(Password::new(sent.text("password"))),
        current_password: Some(Password::new(sent.text("currentPassword"))),
        ..ProfileUpdate::default()
    };
    match sessions(&pages, &viewer).if_version(sent.version()?).update_me(update).await {
        Ok(_) => Ok(ended_by_password(&pages)),
        Err(error) => {
            let (status, password) = complaints(error)?;
            page(&pages, &viewer, status, None, &Found { password, ..Found::default() }, None).await
        }
    }
}

fn complaints(error: ServiceError) -> Result<(StatusCode, Complaints), Failure> {
    let status = match error {
        ServiceError::TooManyAttempts(_) => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::BAD_REQUEST,
    };
    Ok((status, Complaints::from(error)?))
}

async fn end_session(State(pages): State<Pages>, viewer: Viewer, Id(id): Id) -> Result<Response, Failure> {
    sessions(&pages, &viewer).revoke(TokenId(id)).await?;
    Ok(match viewer.session == Some(TokenId(id)) {
        true => signed_out(&pages),
        false => redirect(&format!("{ME}?done=ended")).into_response(),
    })
}
