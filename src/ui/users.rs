//! Settings > Administration Panel > Users.

use super::affected_tokens::AffectedTokens;
use super::base::{base, public_origin, redirect};
use super::confirmation::{Confirmation, cancel_path};
use super::failure::Failure;
use super::form::{FormFields, Id, Query};
use super::form_errors::FormErrors;
use super::frame::Frame;
use super::list::PageQuery;
use super::page::{render, require};
use super::paths::{REGISTER, USERS};
use super::state::Pages;
use super::time::RelativeTime;
use super::user_list::{Badge, CREATE, UPDATE, list, load_roles, readonly_reason};
use super::viewer::Viewer;
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

const READ: &str = "admin::users.read";
const DELETE: &str = "admin::users.delete";

pub(super) fn routes() -> GuardedRouter<Pages> {
    let one = format!("{USERS}/{{id}}");
    GuardedRouter::new()
        .route(USERS, require(&[READ]), get(list))
        .route(&format!("{USERS}/create"), require(&[READ, CREATE]), get(show_new).post(invite))
        .route(&one, require(&[READ]), get(show))
        .route(&one, require(&[READ, UPDATE]), post(save))
        .route(&format!("{one}/state"), require(&[READ, UPDATE]), post(set_state))
        .route(&format!("{one}/invitation"), require(&[READ, CREATE]), post(invite_again))
        .route(&format!("{one}/delete"), require(&[READ, DELETE]), post(delete))
}

#[derive(Template)]
#[template(path = "user.html")]
struct UserPage<'a> {
    frame: Frame,
    notice: Option<&'static str>,
    invitation: Option<InvitationNotice>,
    errors: &'a FormErrors,
    existing: Option<ExistingUser>,
    email: &'a str,
    firstname: &'a str,
    lastname: &'a str,
    roles: Vec<RoleOption>,
    /// The reason why the viewer cannot change the account.
    readonly: Option<&'static str>,
    confirmation: Option<Confirmation>,
}

impl UserPage<'_> {
    fn button(&self) -> &'static str {
        if self.existing.is_some() { "Save" } else { "Invite" }
    }

    fn cancel(&self) -> String {
        cancel_path(USERS, self.confirmation.as_ref(), self.existing.as_ref().map(|existing| existing.id))
    }

    fn is_viewer(&self) -> bool {
        self.existing.as_ref().is_some_and(|existing| existing.is_viewer)
    }

    /// Returns whether only super admins and the user can change the e-mail address.
    fn has_fixed_email(&self) -> bool {
        self.existing.as_ref().is_some_and(|existing| existing.has_fixed_email)
    }

    /// Returns the effect of deactivating or blocking on tokens: none, if the account is not active.
    fn effect_of_shutting(&self) -> &'static str {
        if self.existing.as_ref().is_some_and(|existing| existing.state.is_active()) { "off" } else { "" }
    }

    /// Returns the effect of activating or unblocking on tokens. An account that is both deactivated and blocked needs
    /// both.
    fn effect_of_opening(&self, unblocks: bool) -> &'static str {
        let Some(ExistingUser { state, .. }) = &self.existing else { return "" };
        match unblocks {
            true if !state.is_switched_on() => "deactivated",
            false if state.is_blocked() => "blocked",
            _ => "back",
        }
    }
}

/// The link of an invitation. Only one response shows it.
struct InvitationNotice {
    link: String,
    email: String,
    ends: RelativeTime,
}

/// Properties of a user who exists.
struct ExistingUser {
    id: OwnerId,
    version: String,
    name: String,
    badge: Badge,
    state: OwnerState,
    is_viewer: bool,
    has_fixed_email: bool,
    can_update: bool,
    can_invite: bool,
    can_delete: bool,
    created: RelativeTime,
    updated: RelativeTime,
    tokens: AffectedTokens,
}

struct RoleOption {
    id: RoleId,
    name: String,
    description: String,
    checked: bool,
    /// The reason why the viewer cannot assign it.
    denied: Option<&'static str>,
}

/// Everything that the page of an account shows besides the account. It is loaded before an invitation is made: only
/// one response shows the link, so nothing may fail after.
struct UserContext {
    roles: BTreeMap<RoleId, Role>,
    /// The ceiling of the viewer.
    ceiling: Ceiling,
    tokens: AffectedTokens,
}

impl UserContext {
    async fn load(pages: &Pages, viewer: &Viewer, owner: Option<OwnerId>) -> Result<Self, Failure> {
        let tokens = match owner {
            Some(owner) => AffectedTokens::load(viewer, owner, pages.now()).await?,
            None => AffectedTokens::default(),
        };
        Ok(Self { roles: load_roles(pages).await?, ceiling: viewer.ceiling().await?, tokens })
    }
}

fn role_options(context: &UserContext, viewer: &Viewer, owner: Option<&Owner>, selected: &[RoleId]) -> Vec<RoleOption> {
    let denied = |role: &Role| {
        let is_assigned = owner.is_some_and(|owner| owner.roles.contains(&role.id));
        let is_covered = match role.id {
            RoleId::SUPER_ADMIN => viewer.is_super_admin(),
            _ => context.ceiling.covers(&Ceiling::Of(role.permissions.clone())),
        };
        (!is_assigned && !is_covered).then_some("has permissions that you don’t have: you cannot assign it")
    };
    let option = |role: &Role| RoleOption {
        id: role.id,
        checked: selected.contains(&role.id),
        denied: denied(role),
        name: role.name.clone(),
        description: role.description.clone(),
    };
    context.roles.values().map(option).collect()
}

/// Parses the selected roles. The service rejects ids that are not roles.
fn parse_roles(form: &FormFields) -> Vec<RoleId> {
    let mut ids: Vec<RoleId> = form.all("role").map(|id| RoleId(id.parse().unwrap_or_default())).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Parses the roles for the service, which checks each. One more than there are roles is enough for it to reject the
/// form.
async fn parse_limited_roles(pages: &Pages, form: &FormFields) -> Result<Vec<RoleId>, Failure> {
    let mut ids = parse_roles(form);
    ids.truncate(pages.keyward.roles().list().await?.len() + 1);
    Ok(ids)
}

async fn show_new(State(pages): State<Pages>, viewer: Viewer) -> Result<Response, Failure> {
    render_new(&pages, &viewer, StatusCode::OK, &FormErrors::default(), None).await
}

async fn render_new(
    pages: &Pages,
    viewer: &Viewer,
    status: StatusCode,
    errors: &FormErrors,
    form: Option<&FormFields>,
) -> Result<Response, Failure> {
    let text = |name| form.map_or("", |form| form.text(name));
    let context = UserContext::load(pages, viewer, None).await?;
    let page = UserPage {
        frame: viewer.frame(USERS, "Invite user"),
        notice: None,
        invitation: None,
        errors,
        existing: None,
        email: text("email"),
        firstname: text("firstname"),
        lastname: text("lastname"),
        roles: role_options(&context, viewer, None, &form.map(parse_roles).unwrap_or_default()),
        readonly: None,
        confirmation: None,
    };
    Ok(render(status, &page))
}

async fn invite(
    State(pages): State<Pages>,
    viewer: Viewer,
    headers: HeaderMap,
    form: FormFields,
) -> Result<Response, Failure> {
    let new = NewOwner::new(form.text("email")).named(form.text("firstname"), form.text("lastname"));
    let new = new.roles(parse_limited_roles(&pages, &form).await?);
    let (now, context) = (pages.now(), UserContext::load(&pages, &viewer, None).await?);
    match viewer.owners().invite(new).await {
        Ok(invitation) => Ok(show_invitation(&viewer, &headers, invitation, now, context)),
        Err(error) => {
            let errors = FormErrors::from_service(error)?;
            render_new(&pages, &viewer, StatusCode::BAD_REQUEST, &errors, Some(&form)).await
        }
    }
}

async fn invite_again(
    State(pages): State<Pages>,
    viewer: Viewer,
    headers: HeaderMap,
    Id(id): Id,
    form: FormFields,
) -> Result<Response, Failure> {
    let (now, context) = (pages.now(), UserContext::load(&pages, &viewer, Some(OwnerId(id))).await?);
    match viewer.owners().if_version(form.version()?).invite_again(OwnerId(id)).await {
        Ok(invitation) => Ok(show_invitation(&viewer, &headers, invitation, now, context)),
        Err(error) => show_error(&pages, &viewer, OwnerId(id), error).await,
    }
}

/// Renders the only response that shows an invitation. `before` is a time before it was made, so that it ends "in 7
/// days", not in 6.
fn show_invitation(
    viewer: &Viewer,
    headers: &HeaderMap,
    invitation: Invitation,
    before: Timestamp,
    context: UserContext,
) -> Response {
    let Invitation { owner, secret, ends } = invitation;
    // The secret needs no encoding: it consists of letters, digits and underscores.
    let link = format!("{}{}{REGISTER}?registrationToken={}", public_origin(headers), base(), secret.expose());
    let notice = InvitationNotice { link, email: owner.email.clone(), ends: RelativeTime::new(ends, before) };
    let state = PageState { invitation: Some(notice), ..PageState::default() };
    render_user(viewer, StatusCode::OK, before, &owner, context, state)
}

async fn show(
    State(pages): State<Pages>,
    viewer: Viewer,
    Id(id): Id,
    Query(query): Query<PageQuery>,
) -> Result<Response, Failure> {
    let notice = match query.done.as_str() {
        "saved" => Some("Saved. The change applies from the next request on."),
        "deactivate" => {
            Some("Deactivated: the user is signed out, and requests with their tokens get 401 from now on.")
        }
        "activate" => Some("Activated."),
        "block" => Some("Blocked: the user is signed out, and requests with their tokens get 401 from now on."),
        "unblock" => Some("Unblocked."),
        "withdraw" => Some("The invitation is withdrawn. Its link no longer works."),
        _ => None,
    };
    load_and_render(&pages, &viewer, StatusCode::OK, OwnerId(id), PageState { notice, ..PageState::default() }).await
}

/// The state of a response besides the user.
#[derive(Default)]
struct PageState<'a> {
    notice: Option<&'static str>,
    invitation: Option<InvitationNotice>,
    errors: FormErrors,
    /// The form that was sent and is shown again.
    form: Option<&'a FormFields>,
    confirmation: Option<Confirmation>,
}

async fn load_and_render(
    pages: &Pages,
    viewer: &Viewer,
    status: StatusCode,
    id: OwnerId,
    state: PageState<'_>,
) -> Result<Response, Failure> {
    let owner = viewer.owners().read(id).await?;
    let context = UserContext::load(pages, viewer, Some(id)).await?;
    Ok(render_user(viewer, status, pages.now(), &owner, context, state))
}

fn render_user(
    viewer: &Viewer,
    status: StatusCode,
    now: Timestamp,
    owner: &Owner,
    context: UserContext,
    state: PageState<'_>,
) -> Response {
    let PageState { notice, invitation, errors, form, confirmation } = state;
    let id = owner.id;
    let account_reason = readonly_reason(owner, &context.roles, &context.ceiling);
    let selected = form.map_or_else(|| owner.roles.clone(), parse_roles);
    let roles = role_options(&context, viewer, Some(owner), &selected);
    let viewer_reason = "You can view users but not change them.";
    let readonly = account_reason.or((!viewer.holds(UPDATE)).then_some(viewer_reason));
    let name = owner.display_name();
    let existing = ExistingUser {
        id,
        // A form that is shown again keeps its version, so that a second attempt still detects changes.
        version: form.map_or_else(|| owner.version().to_string(), |form| form.text("version").to_owned()),
        badge: Badge::new(owner.state),
        state: owner.state,
        is_viewer: id == viewer.id,
        has_fixed_email: owner.state != OwnerState::Invited && !viewer.is_super_admin(),
        can_update: readonly.is_none(),
        can_invite: account_reason.is_none() && viewer.holds(CREATE) && owner.state == OwnerState::Invited,
        can_delete: account_reason.is_none() && viewer.holds(DELETE),
        created: RelativeTime::new(owner.created_at, now),
        updated: RelativeTime::new(owner.updated_at, now),
        tokens: context.tokens,
        name: name.clone(),
    };
    let text = |name, saved: &str| form.map_or(saved, |form| form.text(name)).to_owned();
    let page = UserPage {
        frame: viewer.frame(USERS, &name).with_address(format!("{USERS}/{id}")),
        notice,
        invitation,
        errors: &errors,
        existing: Some(existing),
        email: &text("email", &owner.email),
        firstname: &text("firstname", &owner.firstname),
        lastname: &text("lastname", &owner.lastname),
        roles,
        readonly,
        confirmation,
    };
    render(status, &page)
}

async fn save(State(pages): State<Pages>, viewer: Viewer, Id(id): Id, form: FormFields) -> Result<Response, Failure> {
    let id = OwnerId(id);
    let owners = viewer.owners().if_version(form.version()?);
    let (status, state) = match update(&owners, id, parse_limited_roles(&pages, &form).await?, &form).await {
        Ok(None) => return Ok(redirect(&format!("{USERS}/{id}?done=saved")).into_response()),
        Ok(confirmation) => (StatusCode::OK, PageState { confirmation, ..PageState::default() }),
        Err(error) => {
            let errors = FormErrors::from_service(error)?;
            (StatusCode::BAD_REQUEST, PageState { errors, ..PageState::default() })
        }
    };
    load_and_render(&pages, &viewer, status, id, PageState { form: Some(&form), ..state }).await
}

/// Saves the account, unless a confirmation is required first.
async fn update(
    owners: &Owners,
    id: OwnerId,
    roles: Vec<RoleId>,
    form: &FormFields,
) -> Result<Option<Confirmation>, ServiceError> {
    let clamped = owners.preview_clamp(id, roles.clone()).await?;
    let change = roles.iter().map(|role| role.0).collect();
    if let Some(confirmation) = Confirmation::required(clamped, &change, form) {
        return Ok(Some(confirmation));
    }
    let text = |name| Some(form.text(name).to_owned());
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

async fn set_state(
    State(pages): State<Pages>,
    viewer: Viewer,
    Id(id): Id,
    form: FormFields,
) -> Result<Response, Failure> {
    let change = form.text("deed");
    let (active, blocked) = match change {
        "deactivate" | "withdraw" => (Some(false), None),
        "activate" => (Some(true), None),
        "block" => (None, Some(true)),
        "unblock" => (None, Some(false)),
        _ => return Err(Failure::incomplete_form()),
    };
    let update = OwnerUpdate { active, blocked, ..OwnerUpdate::default() };
    match viewer.owners().if_version(form.version()?).update(OwnerId(id), update).await {
        Ok(_) => Ok(redirect(&format!("{USERS}/{id}?done={change}")).into_response()),
        Err(error) => show_error(&pages, &viewer, OwnerId(id), error).await,
    }
}

async fn delete(State(pages): State<Pages>, viewer: Viewer, Id(id): Id, form: FormFields) -> Result<Response, Failure> {
    match viewer.owners().if_version(form.version()?).delete(OwnerId(id)).await {
        Ok(_) => Ok(redirect(&format!("{USERS}?done=deleted")).into_response()),
        Err(error) => show_error(&pages, &viewer, OwnerId(id), error).await,
    }
}

/// Renders the page again with an error.
async fn show_error(pages: &Pages, viewer: &Viewer, id: OwnerId, error: ServiceError) -> Result<Response, Failure> {
    let state = PageState { errors: FormErrors::from_service(error)?, ..PageState::default() };
    load_and_render(pages, viewer, StatusCode::BAD_REQUEST, id, state).await
}
