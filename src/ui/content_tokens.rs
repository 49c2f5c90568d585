//! Settings > Administration Panel > API Tokens: content tokens, which belong to nobody.

use super::access::{Chosen, Part, Type, access_of, same, told, wrong};
use super::failure::{Complaints, Failure};
use super::form::{Id, Sent};
use super::frame::{Frame, Viewer};
use super::list::{Asked, Head, PAGE_SIZE, Paging, Sort, address, heads};
use super::state::Pages;
use super::time::When;
use super::token::{Choice, Expiry, Extra, KEY_LOST, ShownKey, durations, lifespan, lives, never_last};
use super::{may, render};
use crate::domain::{ContentAccess, Kind, Secret, Token, TokenId};
use crate::gate::GuardedRouter;
use crate::service::{ContentToken, IssuedToken, Key, TokenUpdate, Tokens};
use askama::Template;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode};

pub(super) const LIST: &str = "/admin/settings/api-tokens";

pub(super) const ACCESS: &str = "admin::api-tokens.access";
const CREATE: &str = "admin::api-tokens.create";
pub(super) const READ: &str = "admin::api-tokens.read";
const UPDATE: &str = "admin::api-tokens.update";
const REGENERATE: &str = "admin::api-tokens.regenerate";
const DELETE: &str = "admin::api-tokens.delete";

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
#[template(path = "content_tokens.html")]
struct ListPage {
    frame: Frame,
    said: Option<&'static str>,
    can_create: bool,
    can_update: bool,
    can_delete: bool,
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
    access: String,
    created: When,
    used: Option<When>,
    expiry: Expiry,
}

#[derive(Template)]
#[template(path = "content_token.html")]
struct TokenPage<'a> {
    frame: Frame,
    said: Option<&'static str>,
    key: Option<ShownKey>,
    found: &'a Complaints,
    /// What it is called now, whatever the form says.
    title: &'a str,
    /// What is wrong with the access, with names.
    wrong: Vec<String>,
    existing: Option<Existing>,
    name: &'a str,
    description: &'a str,
    durations: Vec<Choice>,
    readonly: bool,
    types: Vec<Type>,
    parts: Vec<Part>,
    chosen: usize,
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
    can_view: bool,
    can_regenerate: bool,
    can_delete: bool,
}

fn tokens(pages: &Pages, viewer: &Viewer) -> Tokens {
    pages.tokens.clone().only(Kind::Content).by(viewer.doer).from(viewer.address)
}

async fn list(State(pages): State<Pages>, viewer: Viewer, Query(asked): Query<Asked>) -> Result<Response, Failure> {
    const COLUMNS: [(&str, Option<&str>); 6] = [
        ("Name", Some("name")),
        ("Description", None),
        ("Type", Some("type")),
        ("Created", Some("created")),
        ("Last used", Some("used")),
        ("Expires", Some("expires")),
    ];
    let sort = Sort::asked(&asked.sort, &["name", "type", "created", "used", "expires"]);
    let now = pages.now();
    let all = tokens(&pages, &viewer).list(Kind::Content).await?;
    let mut all: Vec<Token> = all.into_iter().map(|described| described.token).collect();
    let total = all.len();
    let wanted = asked.q.trim().to_lowercase();
    all.retain(|token| [&token.name, &token.description].iter().any(|text| text.to_lowercase().contains(&wanted)));
    all.sort_by(|one, other| {
        let by = match sort.by {
            "type" => told(one).cmp(&told(other)),
            "created" => one.created_at.cmp(&other.created_at),
            "used" => one.last_used_at.cmp(&other.last_used_at),
            "expires" => never_last(one, other),
            _ => one.name.to_lowercase().cmp(&other.name.to_lowercase()),
        };
        (if sort.descending { by.reverse() } else { by }).then(one.id.cmp(&other.id))
    });
    let href = |page: &str| address(LIST, &[("q", &asked.q), ("sort", &asked.sort), ("page", page)]);
    let paging = Paging::of(all.len(), PAGE_SIZE, &asked.page, href);
    let row = |token: Token| Row {
        access: told(&token),
        created: When::past(token.created_at, now),
        used: token.last_used_at.map(|at| When::past(at, now)),
        expiry: Expiry::of(&token, now),
        version: token.version().to_string(),
        id: token.id,
        name: token.name,
        description: token.description,
    };
    let page = ListPage {
        frame: viewer.frame(LIST, "API Tokens"),
        said: (asked.done == "deleted")
            .then_some("The token is deleted. Whatever used it is answered 401 from now on."),
        can_create: viewer.may(CREATE),
        can_update: viewer.may(UPDATE),
        can_delete: viewer.may(DELETE),
        total,
        columns: heads(LIST, &asked, sort, &COLUMNS),
        rows: paging.part(all).into_iter().map(row).collect(),
        query: asked.q,
        sort,
        paging,
    };
    Ok(render(StatusCode::OK, &page))
}

async fn new(State(pages): State<Pages>, viewer: Viewer) -> Response {
    new_page(&pages, &viewer, StatusCode::OK, &Complaints::default(), None)
}

fn new_page(pages: &Pages, viewer: &Viewer, status: StatusCode, found: &Complaints, sent: Option<&Sent>) -> Response {
    let text = |name| sent.map_or("", |sent| sent.text(name));
    let chosen = sent.map_or(Chosen::of(&ContentAccess::ReadOnly), Chosen::sent);
    let parts = chosen.parts(pages);
    let page = TokenPage {
        frame: viewer.frame(LIST, "Create API Token"),
        said: None,
        key: None,
        wrong: wrong(found),
        found,
        title: "",
        existing: None,
        name: text("name"),
        description: text("description"),
        durations: durations(pages, sent),
        readonly: false,
        types: chosen.types(!parts.is_empty()),
        chosen: chosen.count(),
        parts,
    };
    render(status, &page)
}

async fn save_new(
    State(pages): State<Pages>,
    viewer: Viewer,
    headers: HeaderMap,
    sent: Sent,
) -> Result<Response, Failure> {
    let new = ContentToken {
        name: sent.text("name").to_owned(),
        description: sent.text("description").to_owned(),
        access: Chosen::sent(&sent).access()?,
        lifespan: lifespan(&sent),
    };
    match tokens(&pages, &viewer).issue_content(new).await {
        Ok(issued) => Ok(shown_once(&pages, &viewer, &headers, &issued, "Your new token")),
        Err(error) => {
            let found = Complaints::from(error)?;
            Ok(new_page(&pages, &viewer, StatusCode::BAD_REQUEST, &found, Some(&sent)))
        }
    }
}

/// The one answer that shows a new key.
fn shown_once(
    pages: &Pages,
    viewer: &Viewer,
    headers: &HeaderMap,
    issued: &IssuedToken,
    title: &'static str,
) -> Response {
    let text = match pages.seals {
        true => "Copy it now. Whoever may read API tokens here can also look at it later.",
        false => "Copy it now: it is shown this once, and never again.",
    };
    let key = Some(shown_key(pages, headers, title, text, &issued.secret));
    one_page(pages, viewer, StatusCode::OK, &Complaints::default(), &issued.token, Extra { key, ..Extra::default() })
}

fn shown_key(pages: &Pages, headers: &HeaderMap, title: &'static str, text: &'static str, secret: &Secret) -> ShownKey {
    let key = ShownKey::of(headers, title, text, secret, &pages.content_path);
    ShownKey { try_it: "Try it, with a path of your content API:", ..key }
}

async fn show(
    State(pages): State<Pages>,
    viewer: Viewer,
    Id(id): Id,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    let described = tokens(&pages, &viewer).read(TokenId(id)).await?;
    let said = (asked.done == "saved").then_some("Saved. It counts from the next request on.");
    let extra = Extra { said, ..Extra::default() };
    Ok(one_page(&pages, &viewer, StatusCode::OK, &Complaints::default(), &described.token, extra))
}

fn one_page(
    pages: &Pages,
    viewer: &Viewer,
    status: StatusCode,
    found: &Complaints,
    token: &Token,
    extra: Extra<'_>,
) -> Response {
    let now = pages.now();
    let readonly = !viewer.may(UPDATE);
    let kept = || access_of(token).map_or(Chosen::of(&ContentAccess::ReadOnly), Chosen::of);
    let chosen = extra.sent.map_or_else(kept, Chosen::sent);
    let parts = chosen.parts(pages);
    let existing = Existing {
        id: token.id,
        // What is sent again was made from what the form was made from.
        version: extra.sent.map_or_else(|| token.version().to_string(), |sent| sent.text("version").to_owned()),
        created: When::past(token.created_at, now),
        used: token.last_used_at.map(|at| When::past(at, now)),
        expiry: Expiry::of(token, now),
        duration: lives(token.lifespan),
        hint: token.hint.clone(),
        can_view: pages.seals,
        can_regenerate: viewer.may(REGENERATE),
        can_delete: viewer.may(DELETE),
    };
    let text = |name, kept: &str| extra.sent.map_or(kept.to_owned(), |sent| sent.text(name).to_owned());
    let (name, description) = (text("name", &token.name), text("description", &token.description));
    let page = TokenPage {
        frame: Frame { address: Some(format!("{LIST}/{}", token.id)), ..viewer.frame(LIST, &token.name) },
        said: extra.said,
        key: extra.key,
        wrong: wrong(found),
        found,
        title: &token.name,
        existing: Some(existing),
        name: &name,
        description: &description,
        durations: Vec::new(),
        readonly,
        types: chosen.types(!parts.is_empty()),
        chosen: chosen.count(),
        parts,
    };
    render(status, &page)
}

async fn save(State(pages): State<Pages>, viewer: Viewer, Id(id): Id, sent: Sent) -> Result<Response, Failure> {
    let tokens = tokens(&pages, &viewer);
    let before = tokens.read(TokenId(id)).await?.token;
    let access = Chosen::sent(&sent).access()?;
    let update = TokenUpdate {
        name: Some(sent.text("name").to_owned()),
        description: Some(sent.text("description").to_owned()),
        grants: None,
        // What is listed and not registered any more is no new choice.
        access: Some(access).filter(|access| !same(access_of(&before), access)),
    };
    match tokens.only_if(sent.version()?).update(TokenId(id), update).await {
        Ok(_) => Ok(Redirect::to(&format!("{LIST}/{id}?done=saved")).into_response()),
        Err(error) => {
            let found = Complaints::from(error)?;
            let extra = Extra { sent: Some(&sent), ..Extra::default() };
            Ok(one_page(&pages, &viewer, StatusCode::BAD_REQUEST, &found, &before, extra))
        }
    }
}

async fn view(State(pages): State<Pages>, viewer: Viewer, headers: HeaderMap, Id(id): Id) -> Result<Response, Failure> {
    let opened = tokens(&pages, &viewer).open(TokenId(id)).await?;
    let text = "Each look at it is in the audit log.";
    let token = &opened.described.token;
    let (found, key) = match &opened.key {
        Key::Shown(secret) => {
            let key = shown_key(&pages, &headers, "The key of this token", text, secret);
            (Complaints::default(), Some(key))
        }
        Key::NotForYou | Key::NotKept | Key::Lost(_) => (Complaints::whole(KEY_LOST), None),
    };
    Ok(one_page(&pages, &viewer, StatusCode::OK, &found, token, Extra { key, ..Extra::default() }))
}

async fn regenerate(
    State(pages): State<Pages>,
    viewer: Viewer,
    headers: HeaderMap,
    Id(id): Id,
    sent: Sent,
) -> Result<Response, Failure> {
    let issued = tokens(&pages, &viewer).only_if(sent.version()?).regenerate(TokenId(id)).await?;
    Ok(shown_once(&pages, &viewer, &headers, &issued, "The new key. The old one no longer works"))
}

async fn delete(State(pages): State<Pages>, viewer: Viewer, Id(id): Id, sent: Sent) -> Result<Response, Failure> {
    tokens(&pages, &viewer).only_if(sent.version()?).revoke(TokenId(id)).await?;
    Ok(Redirect::to(&format!("{LIST}?done=deleted")).into_response())
}
