//! Settings > Administration Panel > Users.

use super::affected_tokens::Affected;
use super::base::{base, redirect};
use super::failure::{Complaints, Failure};
use super::form::{Id, Query, Sent};
use super::frame::{Frame, Viewer, origin};
use super::list::Asked;
use super::roles::Taken;
use super::sign_in::INVITED;
use super::state::Pages;
use super::time::ConditionClause;
use super::user_list::{Badge, all_roles, list, out_of_reach, owners};
use super::{may, render};
use crate::admin::{Invitation, OwnerUpdate, Owners, ServiceError};
use crate::domain::{Ceiling, Owner, OwnerId, OwnerState, Role, RoleId, Timestamp};
use crate::guard::GuardedRouter;
use crate::store::NewOwner;
use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode};
use std::collections::BTreeMap;

pub(super) const LIST: &str = "/admin/settings/users";

pub(super) const CREATE: &str = "admin::users.create";
const READ: &str = "admin::users.read";
pub(super) const UPDATE: &str = "admin::users.update";
const DELETE: &str = "admin::users.delete";

pub(super) fn routes() -> GuardedRouter<Pages> {
    let one = format!("{LIST}/{{id}}");
    GuardedRouter::new()
        .route(LIST, may(&[READ]), get(list))
        .route(&format!("{LIST}/create"), may(&[READ, CREATE]), get(new).post(invite))
        .route(&one, may(&[READ]), get(show))
        .route(&one, may(&[READ, UPDATE]), post(save))
        .route(&format!("{one}/state"), may(&[READ, UPDATE]), post(set_state))
        .route(&format!("{one}/invitation"), may(&[READ, CREATE]), post(invite_again))
        .route(&format!("{one}/delete"), may(&[READ, DELETE]), post(delete))
}

#[derive(Template)]
#[template(path = "user.html")]
struct UserPage<'a> {
    frame: Frame,
    said: Option<&'static str>,
    invitation: Option<InvitationNotice>,
    found: &'a Complaints,
    existing: Option<Existing>,
    email: &'a str,
    firstname: &'a str,
    lastname: &'a str,
    roles: Vec<Choice>,
    /// Why nothing can be changed here.
    readonly: Option<&'static str>,
    taken: Option<Taken>,
}

impl UserPage<'_> {
    fn button(&self) -> &'static str {
        if self.existing.is_some() { "Save" } else { "Invite" }
    }

    /// Where to go instead: while a question stands, back to what is there.
    fn cancel(&self) -> String {
        match (&self.taken, &self.existing) {
            (Some(_), Some(existing)) => format!("{LIST}/{}", existing.id),
            _ => LIST.to_owned(),
        }
    }

    fn is_you(&self) -> bool {
        self.existing.as_ref().is_some_and(|existing| existing.yours)
    }

    /// Whether the e-mail address is for super admins and the account itself to change.
    fn keeps_address(&self) -> bool {
        self.existing.as_ref().is_some_and(|existing| existing.keeps_address)
    }

    /// What becomes of tokens when the account is shut: nothing new, if it is not active.
    fn going(&self) -> &'static str {
        if self.existing.as_ref().is_some_and(|existing| existing.state.is_active()) { "off" } else { "" }
    }

    /// What becomes of tokens when the account is activated, or unblocked: the other may still keep them from working.
    fn coming_back(&self, unblocked: bool) -> &'static str {
        let Some(Existing { state, .. }) = &self.existing else { return "" };
        match unblocked {
            true if !state.is_switched_on() => "deactivated",
            false if state.is_blocked() => "blocked",
            _ => "back",
        }
    }
}

/// What to hand over to somebody, for this one answer.
struct InvitationNotice {
    link: String,
    email: String,
    ends: ConditionClause,
}

/// What only somebody who is there has.
struct Existing {
    id: OwnerId,
    version: String,
    name: String,
    badge: Badge,
    state: OwnerState,
    yours: bool,
    keeps_address: bool,
    can_update: bool,
    can_invite: bool,
    can_delete: bool,
    created: ConditionClause,
    updated: ConditionClause,
    tokens: Affected,
}

struct Choice {
    id: RoleId,
    name: String,
    description: String,
    checked: bool,
    /// Why it cannot be given.
    denied: Option<&'static str>,
}

/// What the page of an account is made of besides the account. It is read before an invitation is made, which shows but once.
struct Beside {
    roles: BTreeMap<RoleId, Role>,
    /// The viewer's.
    ceiling: Ceiling,
    tokens: Affected,
}

impl Beside {
    async fn read(pages: &Pages, viewer: &Viewer, owner: Option<OwnerId>) -> Result<Self, Failure> {
        let tokens = match owner {
            Some(owner) => Affected::of(pages, viewer, owner).await?,
            None => Affected::default(),
        };
        Ok(Self { roles: all_roles(pages).await?, ceiling: pages.ceiling(viewer).await?, tokens })
    }
}

fn choices(beside: &Beside, viewer: &Viewer, owner: Option<&Owner>, chosen: &[RoleId]) -> Vec<Choice> {
    let denied = |role: &Role| {
        let held = owner.is_some_and(|owner| owner.roles.contains(&role.id));
        let within = match role.id {
            RoleId::SUPER_ADMIN => viewer.is_super_admin(),
            _ => beside.ceiling.covers(&Ceiling::Of(role.permissions.clone())),
        };
        (!held && !within).then_some("may more than you: not yours to give")
    };
    let choice = |role: &Role| Choice {
        id: role.id,
        checked: chosen.contains(&role.id),
        denied: denied(role),
        name: role.name.clone(),
        description: role.description.clone(),
    };
    beside.roles.values().map(choice).collect()
}

/// The roles that a form sent. What is no id of a role is for the service to refuse.
fn sent_roles(sent: &Sent) -> Vec<RoleId> {
    let mut ids: Vec<RoleId> = sent.all("role").map(|id| RoleId(id.parse().unwrap_or_default())).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The same for the service, which looks at each: of more than there are, one more says that they are not all there.
async fn given_roles(pages: &Pages, sent: &Sent) -> Result<Vec<RoleId>, Failure> {
    let mut ids = sent_roles(sent);
    ids.truncate(pages.roles.list().await?.len() + 1);
    Ok(ids)
}

async fn new(State(pages): State<Pages>, viewer: Viewer) -> Result<Response, Failure> {
    new_page(&pages, &viewer, StatusCode::OK, &Complaints::default(), None).await
}

async fn new_page(
    pages: &Pages,
    viewer: &Viewer,
    status: StatusCode,
    found: &Complaints,
    sent: Option<&Sent>,
) -> Result<Response, Failure> {
    let text = |name| sent.map_or("", |sent| sent.text(name));
    let beside = Beside::read(pages, viewer, None).await?;
    let page = UserPage {
        frame: viewer.frame(LIST, "Invite user"),
        said: None,
        invitation: None,
        found,
        existing: None,
        email: text("email"),
        firstname: text("firstname"),
        lastname: text("lastname"),
        roles: choices(&beside, viewer, None, &sent.map(sent_roles).unwrap_or_default()),
        readonly: None,
        taken: None,
    };
    Ok(render(status, &page))
}

async fn invite(
    State(pages): State<Pages>,
    viewer: Viewer,
    headers: HeaderMap,
    sent: Sent,
) -> Result<Response, Failure> {
    let new = NewOwner::new(sent.text("email")).named(sent.text("firstname"), sent.text("lastname"));
    let new = new.roles(given_roles(&pages, &sent).await?);
    let (now, beside) = (pages.now(), Beside::read(&pages, &viewer, None).await?);
    match owners(&pages, &viewer).invite(new).await {
        Ok(invited) => Ok(shown_once(&viewer, &headers, invited, now, beside)),
        Err(error) => {
            let found = Complaints::from(error)?;
            new_page(&pages, &viewer, StatusCode::BAD_REQUEST, &found, Some(&sent)).await
        }
    }
}

async fn invite_again(
    State(pages): State<Pages>,
    viewer: Viewer,
    headers: HeaderMap,
    Id(id): Id,
    sent: Sent,
) -> Result<Response, Failure> {
    let (now, beside) = (pages.now(), Beside::read(&pages, &viewer, Some(OwnerId(id))).await?);
    match owners(&pages, &viewer).if_version(sent.version()?).invite_again(OwnerId(id)).await {
        Ok(invited) => Ok(shown_once(&viewer, &headers, invited, now, beside)),
        Err(error) => refused(&pages, &viewer, OwnerId(id), error).await,
    }
}

/// The one answer that shows an invitation. `before` it was made, so that seven days are not told as six and a bit.
fn shown_once(
    viewer: &Viewer,
    headers: &HeaderMap,
    invited: Invitation,
    before: Timestamp,
    beside: Beside,
) -> Response {
    let Invitation { owner, secret, ends } = invited;
    // Letters, digits and underscores: nothing to encode.
    let link = format!("{}{}{INVITED}?registrationToken={}", origin(headers), base(), secret.expose());
    let invitation = InvitationNotice { link, email: owner.email.clone(), ends: ConditionClause::of(ends, before) };
    let extra = Extra { invitation: Some(invitation), ..Extra::default() };
    page_of(viewer, StatusCode::OK, before, &owner, beside, extra)
}

async fn show(
    State(pages): State<Pages>,
    viewer: Viewer,
    Id(id): Id,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    let said = match asked.done.as_str() {
        "saved" => Some("Saved. It counts from the next request on."),
        "deactivate" => Some("Deactivated: they are signed out, and their tokens are answered 401 from now on."),
        "activate" => Some("Activated."),
        "block" => Some("Blocked: they are signed out, and their tokens are answered 401 from now on."),
        "unblock" => Some("No longer blocked."),
        "withdraw" => Some("The invitation is withdrawn: its link no longer works."),
        _ => None,
    };
    one_page(&pages, &viewer, StatusCode::OK, OwnerId(id), Extra { said, ..Extra::default() }).await
}

/// What one answer shows besides.
#[derive(Default)]
struct Extra<'a> {
    said: Option<&'static str>,
    invitation: Option<InvitationNotice>,
    found: Complaints,
    sent: Option<&'a Sent>,
    taken: Option<Taken>,
}

async fn one_page(
    pages: &Pages,
    viewer: &Viewer,
    status: StatusCode,
    id: OwnerId,
    extra: Extra<'_>,
) -> Result<Response, Failure> {
    let owner = owners(pages, viewer).read(id).await?;
    let beside = Beside::read(pages, viewer, Some(id)).await?;
    Ok(page_of(viewer, status, pages.now(), &owner, beside, extra))
}

fn page_of(
    viewer: &Viewer,
    status: StatusCode,
    now: Timestamp,
    owner: &Owner,
    beside: Beside,
    extra: Extra<'_>,
) -> Response {
    let id = owner.id;
    let reach = out_of_reach(owner, &beside.roles, &beside.ceiling);
    let chosen = extra.sent.map_or_else(|| owner.roles.clone(), sent_roles);
    let roles = choices(&beside, viewer, Some(owner), &chosen);
    let looks = "You may look at users, but not change them.";
    let readonly = reach.or((!viewer.may(UPDATE)).then_some(looks));
    let name = owner.display_name();
    let existing = Existing {
        id,
        version: extra.sent.map_or_else(|| owner.version().to_string(), |sent| sent.text("version").to_owned()),
        badge: Badge::of(owner.state),
        state: owner.state,
        yours: id == viewer.id,
        keeps_address: owner.state != OwnerState::Invited && !viewer.is_super_admin(),
        can_update: readonly.is_none(),
        can_invite: reach.is_none() && viewer.may(CREATE) && owner.state == OwnerState::Invited,
        can_delete: reach.is_none() && viewer.may(DELETE),
        created: ConditionClause::of(owner.created_at, now),
        updated: ConditionClause::of(owner.updated_at, now),
        tokens: beside.tokens,
        name: name.clone(),
    };
    let text = |name, kept: &str| extra.sent.map_or(kept.to_owned(), |sent| sent.text(name).to_owned());
    let page = UserPage {
        frame: Frame { address: Some(format!("{LIST}/{id}")), ..viewer.frame(LIST, &name) },
        said: extra.said,
        invitation: extra.invitation,
        found: &extra.found,
        existing: Some(existing),
        email: &text("email", &owner.email),
        firstname: &text("firstname", &owner.firstname),
        lastname: &text("lastname", &owner.lastname),
        roles,
        readonly,
        taken: extra.taken,
    };
    render(status, &page)
}

async fn save(State(pages): State<Pages>, viewer: Viewer, Id(id): Id, sent: Sent) -> Result<Response, Failure> {
    let id = OwnerId(id);
    let owners = owners(&pages, &viewer).if_version(sent.version()?);
    let (status, extra) = match update(&owners, id, given_roles(&pages, &sent).await?, &sent).await {
        Ok(None) => return Ok(redirect(&format!("{LIST}/{id}?done=saved")).into_response()),
        Ok(taken) => (StatusCode::OK, Extra { taken, ..Extra::default() }),
        Err(error) => (StatusCode::BAD_REQUEST, Extra { found: Complaints::from(error)?, ..Extra::default() }),
    };
    one_page(&pages, &viewer, status, id, Extra { sent: Some(&sent), ..extra }).await
}

/// Saves, or answers what has to be confirmed first.
async fn update(owners: &Owners, id: OwnerId, roles: Vec<RoleId>, sent: &Sent) -> Result<Option<Taken>, ServiceError> {
    let clamped = owners.preview_clamp(id, roles.clone()).await?;
    let proposed = roles.iter().map(|role| role.0).collect();
    if let Some(taken) = Taken::unconfirmed(clamped, &proposed, sent) {
        return Ok(Some(taken));
    }
    let text = |name| Some(sent.text(name).to_owned());
    let update = OwnerUpdate {
        email: text("email"),
        firstname: text("firstname"),
        lastname: text("lastname"),
        roles: Some(roles),
        ..OwnerUpdate::default()
    };
    owners.update(id, update).await?;
    Ok(None)
}

async fn set_state(State(pages): State<Pages>, viewer: Viewer, Id(id): Id, sent: Sent) -> Result<Response, Failure> {
    let deed = sent.text("deed");
    let (active, blocked) = match deed {
        "deactivate" | "withdraw" => (Some(false), None),
        "activate" => (Some(true), None),
        "block" => (None, Some(true)),
        "unblock" => (None, Some(false)),
        _ => return Err(Failure::bad_request("This form is not whole. Load the page again.")),
    };
    let update = OwnerUpdate { active, blocked, ..OwnerUpdate::default() };
    match owners(&pages, &viewer).if_version(sent.version()?).update(OwnerId(id), update).await {
        Ok(_) => Ok(redirect(&format!("{LIST}/{id}?done={deed}")).into_response()),
        Err(error) => refused(&pages, &viewer, OwnerId(id), error).await,
    }
}

async fn delete(State(pages): State<Pages>, viewer: Viewer, Id(id): Id, sent: Sent) -> Result<Response, Failure> {
    match owners(&pages, &viewer).if_version(sent.version()?).delete(OwnerId(id)).await {
        Ok(_) => Ok(redirect(&format!("{LIST}?done=deleted")).into_response()),
        Err(error) => refused(&pages, &viewer, OwnerId(id), error).await,
    }
}

/// The page again, with why something was not done.
async fn refused(pages: &Pages, viewer: &Viewer, id: OwnerId, error: ServiceError) -> Result<Response, Failure> {
    let extra = Extra { found: Complaints::from(error)?, ..Extra::default() };
    one_page(pages, viewer, StatusCode::BAD_REQUEST, id, extra).await
}
