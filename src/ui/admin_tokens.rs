//! Settings > Administration Panel > Admin Tokens.

use super::failure::{Complaints, Failure};
use super::form::{Id, Sent};
use super::frame::{Frame, Viewer};
use super::grants::Chosen;
use super::list::{Asked, Head, PAGE_SIZE, Paging, Sort, address, heads};
use super::matrix::{For, Matrix};
use super::state::Pages;
use super::time::When;
use super::token::{Choice, Expiry, Extra, KEY_LOST, ShownKey, durations, lifespan, lives, never_last};
use super::{may, render};
use crate::domain::{Cause, Ceiling, Grant, Kind, OwnerState, Subject, Timestamp, TokenId, What};
use crate::gate::GuardedRouter;
use crate::service::{AdminToken, DescribedToken, IssuedToken, Key, ServiceError, TokenUpdate, Tokens};
use crate::store::{EventQuery, Paging as Page};
use askama::Template;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode};

pub(super) const LIST: &str = "/admin/settings/admin-tokens";
/// What every admin token can ask for.
const TRY: &str = "/admin/users/me/permissions";

pub(super) const ACCESS: &str = "admin::admin-tokens.access";
const CREATE: &str = "admin::admin-tokens.create";
pub(super) const READ: &str = "admin::admin-tokens.read";
const UPDATE: &str = "admin::admin-tokens.update";
const REGENERATE: &str = "admin::admin-tokens.regenerate";
const DELETE: &str = "admin::admin-tokens.delete";

pub(super) fn routes() -> GuardedRouter<Pages> {
    let one = format!("{LIST}/{{id}}");
    let create = format!("{LIST}/create");
    GuardedRouter::new()
        .route(LIST, may(&[ACCESS, READ]), get(list))
        .route(&create, may(&[ACCESS, READ, CREATE]), get(new).post(save_new))
        .route(&one, may(&[ACCESS, READ]), get(show))
        .route(&one, may(&[ACCESS, READ, UPDATE]), post(save))
        .route(&format!("{one}/view"), may(&[ACCESS, READ]), post(view))
        .route(&format!("{one}/regenerate"), may(&[ACCESS, READ, REGENERATE]), post(regenerate))
        .route(&format!("{one}/delete"), may(&[ACCESS, READ, DELETE]), post(delete))
}

#[derive(Template)]
#[template(path = "admin_tokens.html")]
struct ListPage {
    frame: Frame,
    said: Option<&'static str>,
    can_create: bool,
    total: usize,
    query: String,
    sort: Sort,
    columns: Vec<Head>,
    rows: Vec<Row>,
    paging: Paging,
}

struct Row {
    id: TokenId,
    version: String,
    name: String,
    description: String,
    created: When,
    used: Option<When>,
    owner: String,
    owner_state: Option<&'static str>,
    expiry: Expiry,
    can_update: bool,
    can_delete: bool,
}

#[derive(Template)]
#[template(path = "admin_token.html")]
struct TokenPage<'a> {
    frame: Frame,
    said: Option<&'static str>,
    key: Option<ShownKey>,
    found: &'a Complaints,
    /// What it is called now, whatever the form says.
    title: &'a str,
    existing: Option<Existing>,
    name: &'a str,
    description: &'a str,
    durations: Vec<Choice>,
    owner: String,
    yours: bool,
    readonly: bool,
    matrix: Matrix,
}

/// What only a token that is there has.
struct Existing {
    id: TokenId,
    version: String,
    created: When,
    used: Option<When>,
    expiry: Expiry,
    duration: String,
    hint: String,
    owner_state: Option<&'static str>,
    can_view: bool,
    can_regenerate: bool,
    can_delete: bool,
    lost: Vec<Lost>,
    hidden: Vec<String>,
}

/// A grant that went with what its owner held.
struct Lost {
    what: String,
    at: When,
    why: String,
}

fn tokens(pages: &Pages, viewer: &Viewer) -> Tokens {
    pages.tokens.clone().only(Kind::Admin).by(viewer.doer).from(viewer.address)
}

/// How an account stands, where that keeps its tokens from working.
pub(super) fn shut(state: OwnerState) -> Option<&'static str> {
    match state {
        OwnerState::Active => None,
        OwnerState::Invited => Some("not registered yet"),
        OwnerState::Deactivated => Some("deactivated"),
        OwnerState::Blocked => Some("blocked"),
        OwnerState::DeactivatedAndBlocked => Some("deactivated and blocked"),
    }
}

async fn list(State(pages): State<Pages>, viewer: Viewer, Query(asked): Query<Asked>) -> Result<Response, Failure> {
    const COLUMNS: [(&str, Option<&str>); 6] = [
        ("Name", Some("name")),
        ("Description", None),
        ("Created", Some("created")),
        ("Last used", Some("used")),
        ("Owner", Some("owner")),
        ("Expires", Some("expires")),
    ];
    let sort = Sort::asked(&asked.sort, &["name", "created", "used", "owner", "expires"]);
    let now = pages.now();
    let mut all = tokens(&pages, &viewer).list(Kind::Admin).await?;
    let total = all.len();
    let wanted = asked.q.trim().to_lowercase();
    let owner = |described: &DescribedToken| described.owner.as_ref().map(|o| o.display_name()).unwrap_or_default();
    all.retain(|described| {
        let token = &described.token;
        [&token.name, &token.description, &owner(described)].iter().any(|text| text.to_lowercase().contains(&wanted))
    });
    all.sort_by(|a, b| {
        let (one, other) = (&a.token, &b.token);
        let by = match sort.by {
            "created" => one.created_at.cmp(&other.created_at),
            "used" => one.last_used_at.cmp(&other.last_used_at),
            "owner" => owner(a).to_lowercase().cmp(&owner(b).to_lowercase()),
            "expires" => never_last(one, other),
            _ => one.name.to_lowercase().cmp(&other.name.to_lowercase()),
        };
        (if sort.descending { by.reverse() } else { by }).then(one.id.cmp(&other.id))
    });
    let href = |page: &str| address(LIST, &[("q", &asked.q), ("sort", &asked.sort), ("page", page)]);
    let paging = Paging::of(all.len(), PAGE_SIZE, &asked.page, href);
    let row = |described: DescribedToken| {
        let yours = described.token.owner() == Some(viewer.id);
        Row {
            owner: owner(&described),
            owner_state: described.owner.as_ref().and_then(|owner| shut(owner.state)),
            created: When::of(described.token.created_at, now),
            used: described.token.last_used_at.map(|at| When::past(at, now)),
            expiry: Expiry::of(&described.token, now),
            can_update: viewer.may(UPDATE) && (yours || viewer.is_super_admin()),
            can_delete: viewer.may(DELETE) && (yours || viewer.is_super_admin()),
            version: described.token.version().to_string(),
            id: described.token.id,
            name: described.token.name,
            description: described.token.description,
        }
    };
    let page = ListPage {
        frame: viewer.frame(LIST, "Admin Tokens"),
        said: (asked.done == "deleted")
            .then_some("The token is deleted. Whatever used it is answered 401 from now on."),
        can_create: viewer.may(CREATE),
        total,
        columns: heads(LIST, &asked, sort, &COLUMNS),
        rows: paging.part(all).into_iter().map(row).collect(),
        query: asked.q,
        sort,
        paging,
    };
    Ok(render(StatusCode::OK, &page))
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
    let ceiling = pages.ceiling(viewer).await?;
    let chosen = sent.map(Chosen::sent).transpose()?.unwrap_or_default();
    let page = TokenPage {
        frame: viewer.frame(LIST, "Create Admin Token"),
        said: None,
        key: None,
        found,
        title: "",
        existing: None,
        name: text("name"),
        description: text("description"),
        durations: durations(pages, sent),
        owner: viewer.owner.display_name(),
        yours: true,
        readonly: false,
        matrix: pages.words.matrix(For::Token, &ceiling, &chosen, false),
    };
    Ok(render(status, &page))
}

async fn save_new(
    State(pages): State<Pages>,
    viewer: Viewer,
    headers: HeaderMap,
    sent: Sent,
) -> Result<Response, Failure> {
    let new = AdminToken {
        name: sent.text("name").to_owned(),
        description: sent.text("description").to_owned(),
        owner: viewer.id,
        grants: Chosen::sent(&sent)?.into_grants(),
        lifespan: lifespan(&sent),
    };
    match tokens(&pages, &viewer).issue_admin(new).await {
        Ok(issued) => shown_once(&pages, &viewer, &headers, issued, "Your new token").await,
        Err(error) => {
            let found = Complaints::from(error)?;
            new_page(&pages, &viewer, StatusCode::BAD_REQUEST, &found, Some(&sent)).await
        }
    }
}

/// The one answer that shows a new key.
async fn shown_once(
    pages: &Pages,
    viewer: &Viewer,
    headers: &HeaderMap,
    issued: IssuedToken,
    title: &'static str,
) -> Result<Response, Failure> {
    let kept = pages.seals;
    let text = match kept {
        true => "Copy it now. You, and nobody else, can also look at it here later.",
        false => "Copy it now: it is shown this once, and never again.",
    };
    let described = tokens(pages, viewer).describe(issued.token).await?;
    let key = ShownKey::of(headers, title, text, &issued.secret, TRY);
    one_page(
        pages,
        viewer,
        StatusCode::OK,
        &Complaints::default(),
        described,
        Extra { key: Some(key), ..Extra::default() },
    )
    .await
}

async fn show(
    State(pages): State<Pages>,
    viewer: Viewer,
    Id(id): Id,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    let described = tokens(&pages, &viewer).read(TokenId(id)).await?;
    let said = (asked.done == "saved").then_some("Saved. It counts from the next request on.");
    one_page(&pages, &viewer, StatusCode::OK, &Complaints::default(), described, Extra { said, ..Extra::default() })
        .await
}

async fn one_page(
    pages: &Pages,
    viewer: &Viewer,
    status: StatusCode,
    found: &Complaints,
    described: DescribedToken,
    extra: Extra<'_>,
) -> Result<Response, Failure> {
    let now = pages.now();
    let DescribedToken { token, owner, .. } = &described;
    let yours = token.owner() == Some(viewer.id);
    let mine = yours || viewer.is_super_admin();
    let readonly = !(viewer.may(UPDATE) && mine);
    let ceiling = match owner {
        Some(owner) if owner.is_super_admin() => Ceiling::Unlimited,
        _ => Ceiling::Of(tokens(pages, viewer).owner_permissions(token.id).await?),
    };
    let (shown, hidden) = pages.words.split_grants(token.grants());
    let chosen = match extra.sent {
        Some(sent) => Chosen::sent(sent)?,
        None => Chosen::of_grants(&shown),
    };
    let address = format!("{LIST}/{}", token.id);
    let said = |grant: &Grant| pages.words.said_of(&grant.action, grant.subject.as_ref(), &grant.fields);
    let existing = Existing {
        id: token.id,
        // What is sent again was made from what the form was made from.
        version: extra.sent.map_or_else(|| token.version().to_string(), |sent| sent.text("version").to_owned()),
        created: When::past(token.created_at, now),
        used: token.last_used_at.map(|at| When::past(at, now)),
        expiry: Expiry::of(token, now),
        duration: lives(token.lifespan),
        hint: token.hint.clone(),
        owner_state: owner.as_ref().and_then(|owner| shut(owner.state)),
        can_view: yours && pages.seals,
        can_regenerate: yours && viewer.may(REGENERATE),
        can_delete: mine && viewer.may(DELETE),
        lost: lost(pages, viewer, token.id, now).await?,
        hidden: hidden.iter().map(said).collect(),
    };
    let text = |name, kept: &str| extra.sent.map_or(kept.to_owned(), |sent| sent.text(name).to_owned());
    let (name, description) = (text("name", &token.name), text("description", &token.description));
    let page = TokenPage {
        frame: Frame { address: Some(address), ..viewer.frame(LIST, &token.name) },
        said: extra.said,
        key: extra.key,
        found,
        title: &token.name,
        existing: Some(existing),
        name: &name,
        description: &description,
        durations: Vec::new(),
        owner: owner.as_ref().map(|owner| owner.display_name()).unwrap_or_default(),
        yours,
        readonly,
        matrix: pages.words.matrix(For::Token, &ceiling, &chosen, readonly),
    };
    Ok(render(status, &page))
}

/// What was taken away from a token, the latest first.
async fn lost(pages: &Pages, viewer: &Viewer, id: TokenId, now: Timestamp) -> Result<Vec<Lost>, Failure> {
    let query = EventQuery { what: Some(What::GrantClamped), ..EventQuery::all(Page { page: 1, page_size: 20 }) };
    let events = pages.events.clone().by(viewer.doer).of_token(id, &query).await?;
    let mut all = Vec::new();
    for (_, event) in events.items {
        let text = |name: &str| event.details.get(name).and_then(|value| value.as_str());
        let action = text("action").unwrap_or_default().into();
        let subject = text("subject").map(Subject::from);
        let fields = event
            .details
            .get("fields")
            .and_then(|fields| fields.as_array())
            .map(|fields| fields.iter().filter_map(|field| field.as_str()).collect::<Vec<_>>().join(", "));
        let mut what = pages.words.said(&action, subject.as_ref());
        if let Some(fields) = fields {
            what = format!("{what} ({fields})");
        }
        let why = match event.cause {
            Some(Cause::RolePermissions(role)) => match pages.roles.read(role).await {
                Ok(role) => format!("when the role “{}” was changed", role.name),
                Err(ServiceError::NotFound(_)) => "when a role was changed that is gone now".to_owned(),
                Err(error) => return Err(error.into()),
            },
            Some(Cause::OwnerRoles(_)) => "when the owner's roles were changed".to_owned(),
            Some(Cause::Catalogue) => "when the action went from the service".to_owned(),
            _ => "with another change".to_owned(),
        };
        all.push(Lost { what, at: When::of(event.at, now), why });
    }
    Ok(all)
}

async fn save(State(pages): State<Pages>, viewer: Viewer, Id(id): Id, sent: Sent) -> Result<Response, Failure> {
    let tokens = tokens(&pages, &viewer);
    let described = tokens.read(TokenId(id)).await?;
    let update = TokenUpdate {
        name: Some(sent.text("name").to_owned()),
        description: Some(sent.text("description").to_owned()),
        grants: Chosen::sent(&sent)?.onto(described.token.grants(), &pages.words),
        access: None,
    };
    match tokens.only_if(sent.version()?).update(TokenId(id), update).await {
        Ok(_) => Ok(Redirect::to(&format!("{LIST}/{id}?done=saved")).into_response()),
        Err(error) => {
            let found = Complaints::from(error)?;
            let extra = Extra { sent: Some(&sent), ..Extra::default() };
            one_page(&pages, &viewer, StatusCode::BAD_REQUEST, &found, described, extra).await
        }
    }
}

async fn view(State(pages): State<Pages>, viewer: Viewer, headers: HeaderMap, Id(id): Id) -> Result<Response, Failure> {
    let opened = tokens(&pages, &viewer).open(TokenId(id)).await?;
    let text = "Only you can look at it, and each look is in the audit log.";
    let extra = match &opened.key {
        Key::Shown(secret) => {
            let key = ShownKey::of(&headers, "The key of this token", text, secret, TRY);
            Extra { key: Some(key), ..Extra::default() }
        }
        Key::NotForYou => return Err(ServiceError::Forbidden("only its owner looks at a key").into()),
        Key::NotKept | Key::Lost(_) => {
            let found = Complaints::whole(KEY_LOST);
            return one_page(&pages, &viewer, StatusCode::OK, &found, opened.described, Extra::default()).await;
        }
    };
    one_page(&pages, &viewer, StatusCode::OK, &Complaints::default(), opened.described, extra).await
}

async fn regenerate(
    State(pages): State<Pages>,
    viewer: Viewer,
    headers: HeaderMap,
    Id(id): Id,
    sent: Sent,
) -> Result<Response, Failure> {
    let issued = tokens(&pages, &viewer).only_if(sent.version()?).regenerate(TokenId(id)).await?;
    shown_once(&pages, &viewer, &headers, issued, "The new key. The old one no longer works").await
}

async fn delete(State(pages): State<Pages>, viewer: Viewer, Id(id): Id, sent: Sent) -> Result<Response, Failure> {
    tokens(&pages, &viewer).only_if(sent.version()?).revoke(TokenId(id)).await?;
    Ok(Redirect::to(&format!("{LIST}?done=deleted")).into_response())
}
