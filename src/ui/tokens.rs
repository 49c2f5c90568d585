//! The pages that admin tokens and API tokens share.

use super::base::{public_origin, redirect, request_base};
use super::failure::Failure;
use super::form::{FormFields, Id, Query};
use super::form_errors::FormErrors;
use super::frame::Frame;
use super::lifespan::{Expiry, SelectOption, format_lifespan, lifespan_options};
use super::list::{ColumnHead, PAGE_SIZE, PageQuery, Pager, Sort, address, column_heads};
use super::page::{render, require};
use super::state::Pages;
use super::time::RelativeTime;
use super::token_limits::{PreviousKey, describe_limits};
use super::viewer::Viewer;
use crate::admin::{DescribedToken, IssuedToken, SecretAccess, ServiceError, TokenUpdate, Tokens};
use crate::domain::{OwnerId, Requirement, Secret, Token, TokenId, TokenKind, authenticated};
use crate::guard::GuardedRouter;
use crate::store::{Paging, TokenQuery, TokenSort};
use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode};

/// The differences between the pages of the two kinds.
pub(super) trait TokenPages: Send + Sync + 'static {
    const KIND: TokenKind;
    /// The path of the list. All other pages are below it.
    const LIST: &'static str;
    /// The required actions. Without any, every person may manage the tokens that these pages list.
    const ACTIONS: Option<PageActions>;
    const TEXTS: &'static TokenTexts;
    /// The title and the name of each column. A column with a name can be sorted by; the first one is the default.
    const COLUMNS: &'static [(&'static str, Option<&'static str>)];

    /// Returns the owner without whose tokens there are none on these pages.
    fn only_owner(_: &Viewer) -> Option<OwnerId> {
        None
    }

    /// Adds the columns that only this kind has.
    fn complete_row(viewer: &Viewer, row: Row, described: &DescribedToken) -> Row;

    /// Renders the form for a new token.
    fn render_new(
        pages: &Pages,
        viewer: &Viewer,
        frame: Frame,
        token_form: TokenForm<'_>,
        form: Option<&FormFields>,
    ) -> impl Future<Output = Result<Response, Failure>> + Send;

    /// Renders the form of an existing token.
    fn render_existing(
        pages: &Pages,
        viewer: &Viewer,
        frame: Frame,
        token_form: TokenForm<'_>,
        described: &DescribedToken,
        form: Option<&FormFields>,
    ) -> impl Future<Output = Result<Response, Failure>> + Send;

    fn issue(
        tokens: &Tokens,
        viewer: &Viewer,
        form: &FormFields,
    ) -> impl Future<Output = Result<Result<IssuedToken, ServiceError>, Failure>> + Send;

    /// Parses the changes besides name and description.
    fn parse_update(pages: &Pages, before: &DescribedToken, form: &FormFields) -> Result<TokenUpdate, Failure>;

    /// Returns a label for an example request, and its path.
    fn example_request(pages: &Pages) -> (&'static str, String);
}

/// The actions that the pages require.
#[derive(Clone, Copy)]
pub(super) struct PageActions {
    pub(super) access: &'static str,
    pub(super) create: &'static str,
    pub(super) read: &'static str,
    pub(super) update: &'static str,
    pub(super) regenerate: &'static str,
    pub(super) delete: &'static str,
}

/// Selects one of the actions.
type Select = fn(&PageActions) -> &'static str;

/// Returns the requirement of a page: to see tokens, and more.
fn requires<P: TokenPages>(more: Option<Select>) -> Requirement {
    let Some(actions) = P::ACTIONS else { return authenticated() };
    let more = more.map(|select| select(&actions));
    require(&[actions.access, actions.read].into_iter().chain(more).collect::<Vec<_>>())
}

/// Returns whether the viewer may do this with the tokens of these pages.
fn may<P: TokenPages>(viewer: &Viewer, select: Select) -> bool {
    P::ACTIONS.is_none_or(|actions| viewer.holds(select(&actions)))
}

/// Returns the id of a token, unless it does not belong on these pages. A token never changes its owner.
async fn listed<P: TokenPages>(viewer: &Viewer, id: i64) -> Result<TokenId, Failure> {
    let id = TokenId(id);
    if let Some(owner) = P::only_owner(viewer)
        && viewer.tokens(P::KIND).read(id).await?.token.owner() != Some(owner)
    {
        return Err(Failure::not_found());
    }
    Ok(id)
}

/// The texts of the pages.
pub(super) struct TokenTexts {
    pub(super) title: &'static str,
    pub(super) intro: &'static str,
    pub(super) create: &'static str,
    pub(super) new_title: &'static str,
    pub(super) empty_title: &'static str,
    pub(super) empty_text: &'static str,
    /// The fields that a search covers, after "Search by".
    pub(super) searched: &'static str,
    /// Shown with a new key that is kept.
    pub(super) kept_key: &'static str,
    /// Shown with a key that is shown again.
    pub(super) shown_key: &'static str,
}

#[derive(Template)]
#[template(path = "tokens.html")]
struct ListPage {
    frame: Frame,
    list: &'static str,
    texts: &'static TokenTexts,
    notice: Option<&'static str>,
    can_create: bool,
    query: String,
    sort: String,
    columns: Vec<ColumnHead>,
    rows: Vec<Row>,
    pager: Pager,
}

pub(super) struct Row {
    pub(super) id: TokenId,
    pub(super) version: String,
    pub(super) name: String,
    pub(super) description: String,
    /// The type of a content token.
    pub(super) access: Option<String>,
    pub(super) created: RelativeTime,
    pub(super) used: Option<RelativeTime>,
    /// The owner of an admin token.
    pub(super) owner: Option<TokenOwner>,
    pub(super) expiry: Expiry,
    pub(super) enabled: bool,
    pub(super) can_update: bool,
    pub(super) can_delete: bool,
}

/// The owner of a token.
pub(super) struct TokenOwner {
    pub(super) name: String,
    /// The state of the account, if tokens do not work in it.
    pub(super) inactive_state: Option<&'static str>,
}

/// The part of a token's form that both kinds share.
pub(super) struct TokenForm<'a> {
    pub(super) status: StatusCode,
    pub(super) list: &'static str,
    pub(super) texts: &'static TokenTexts,
    pub(super) notice: Option<&'static str>,
    pub(super) key: Option<ShownKey>,
    pub(super) errors: &'a FormErrors,
    /// The saved name, whatever the form contains.
    pub(super) title: String,
    pub(super) existing: Option<ExistingToken>,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) lifespans: Vec<SelectOption>,
    pub(super) readonly: bool,
}

/// Properties of a token that exists.
pub(super) struct ExistingToken {
    pub(super) id: TokenId,
    pub(super) version: String,
    pub(super) created: RelativeTime,
    pub(super) used: Option<RelativeTime>,
    pub(super) expiry: Expiry,
    pub(super) lifespan: String,
    pub(super) hint: String,
    pub(super) enabled: bool,
    pub(super) limits: Vec<(&'static str, String)>,
    pub(super) previous: Option<PreviousKey>,
    pub(super) can_view: bool,
    pub(super) can_regenerate: bool,
    pub(super) can_delete: bool,
}

/// A key. Only one response shows it.
pub(super) struct ShownKey {
    pub(super) title: &'static str,
    pub(super) text: &'static str,
    pub(super) secret: String,
    pub(super) example: &'static str,
    pub(super) url: String,
}

/// The state of a response besides the token.
#[derive(Default)]
struct PageState<'a> {
    notice: Option<&'static str>,
    key: Option<ShownKey>,
    errors: FormErrors,
    /// The form that was sent and is shown again.
    form: Option<&'a FormFields>,
}

const KEY_UNAVAILABLE: &str =
    "This key cannot be shown: it was not kept, or it cannot be decrypted. Regenerate it to get a new one";

pub(super) fn routes<P: TokenPages>() -> GuardedRouter<Pages> {
    let list = P::LIST;
    let one = format!("{list}/{{id}}");
    // A nested router has its own path at `/`.
    let root = if list.is_empty() { "/" } else { list };
    let read = || requires::<P>(None);
    let action = |select: Select| requires::<P>(Some(select));
    let (create, update) = (action(|actions| actions.create), action(|actions| actions.update));
    let (regenerate, delete) = (action(|actions| actions.regenerate), action(|actions| actions.delete));
    GuardedRouter::new()
        .route(root, read(), get(show_list::<P>))
        .route(&format!("{list}/create"), create, get(show_new::<P>).post(create_token::<P>))
        .route(&one, read(), get(show::<P>))
        .route(&one, update, post(save::<P>))
        .route(&format!("{one}/view"), read(), post(reveal::<P>))
        .route(&format!("{one}/regenerate"), regenerate.clone(), post(regenerate_key::<P>))
        .route(&format!("{one}/end-grace"), regenerate, post(end_previous_key::<P>))
        .route(&format!("{one}/delete"), delete, post(delete_token::<P>))
}

async fn show_list<P: TokenPages>(
    State(pages): State<Pages>,
    viewer: Viewer,
    Query(page_query): Query<PageQuery>,
) -> Result<Response, Failure> {
    let names: Vec<&str> = P::COLUMNS.iter().filter_map(|(_, name)| *name).collect();
    let sort = Sort::parse(&page_query.sort, &names);
    let tokens = viewer.tokens(P::KIND);
    let query = |page: usize| TokenQuery {
        paging: Paging { page: u32::try_from(page).unwrap_or(u32::MAX), page_size: PAGE_SIZE as u32 },
        search: page_query.search_text(),
        sort: match sort.column {
            "created" => TokenSort::CreatedAt,
            "used" => TokenSort::LastUsedAt,
            "expires" => TokenSort::ExpiresAt,
            "owner" => TokenSort::Owner,
            "type" => TokenSort::Access,
            _ => TokenSort::Name,
        },
        descending: sort.descending,
        owner: P::only_owner(&viewer),
        ..TokenQuery::of(P::KIND)
    };
    let mut listed = tokens.list(&query(page_query.page.parse().unwrap_or(1).max(1))).await?;
    let href = |page: &str| address(P::LIST, &[("q", &page_query.q), ("sort", &page_query.sort), ("page", page)]);
    let total = usize::try_from(listed.total).unwrap_or(usize::MAX);
    let pager = Pager::new(total, PAGE_SIZE, &page_query.page, href);
    if listed.items.is_empty() && listed.total > 0 {
        listed = tokens.list(&query(pager.last)).await?;
    }
    let now = pages.now();
    let row = |described: DescribedToken| {
        let token = &described.token;
        let row = Row {
            id: token.id,
            version: token.version().to_string(),
            name: token.name.clone(),
            description: token.description.clone(),
            access: None,
            created: RelativeTime::past(token.created_at, now),
            used: token.last_used_at.map(|at| RelativeTime::past(at, now)),
            owner: None,
            expiry: Expiry::new(token, now),
            enabled: token.limits.enabled,
            can_update: may::<P>(&viewer, |actions| actions.update),
            can_delete: may::<P>(&viewer, |actions| actions.delete),
        };
        P::complete_row(&viewer, row, &described)
    };
    let page = ListPage {
        frame: viewer.frame(P::LIST, P::TEXTS.title),
        list: P::LIST,
        texts: P::TEXTS,
        notice: (page_query.done == "deleted").then_some("The token is deleted. Requests with it get 401 from now on."),
        can_create: may::<P>(&viewer, |actions| actions.create),
        columns: column_heads(P::LIST, &page_query, sort, P::COLUMNS),
        rows: listed.items.into_iter().map(row).collect(),
        query: page_query.q,
        sort: sort.to_param(),
        pager,
    };
    Ok(render(StatusCode::OK, &page))
}

async fn show_new<P: TokenPages>(State(pages): State<Pages>, viewer: Viewer) -> Result<Response, Failure> {
    render_new::<P>(&pages, &viewer, StatusCode::OK, &FormErrors::default(), None).await
}

async fn create_token<P: TokenPages>(
    State(pages): State<Pages>,
    viewer: Viewer,
    headers: HeaderMap,
    form: FormFields,
) -> Result<Response, Failure> {
    match P::issue(&viewer.tokens(P::KIND), &viewer, &form).await? {
        Ok(issued) => show_new_key::<P>(&pages, &viewer, &headers, issued, "Your new token").await,
        Err(error) => {
            let errors = FormErrors::from_service(error)?;
            render_new::<P>(&pages, &viewer, StatusCode::BAD_REQUEST, &errors, Some(&form)).await
        }
    }
}

async fn render_new<P: TokenPages>(
    pages: &Pages,
    viewer: &Viewer,
    status: StatusCode,
    errors: &FormErrors,
    form: Option<&FormFields>,
) -> Result<Response, Failure> {
    let text = |name| form.map_or("", |form| form.text(name)).to_owned();
    let token_form = TokenForm {
        status,
        list: P::LIST,
        texts: P::TEXTS,
        notice: None,
        key: None,
        errors,
        title: String::new(),
        existing: None,
        name: text("name"),
        description: text("description"),
        lifespans: lifespan_options(pages, form),
        readonly: false,
    };
    let frame = viewer.frame(P::LIST, P::TEXTS.new_title);
    P::render_new(pages, viewer, frame, token_form, form).await
}

/// Renders the only response that shows a new key.
async fn show_new_key<P: TokenPages>(
    pages: &Pages,
    viewer: &Viewer,
    headers: &HeaderMap,
    issued: IssuedToken,
    title: &'static str,
) -> Result<Response, Failure> {
    let text = if pages.keeps_keys() { P::TEXTS.kept_key } else { "Copy it now. You won’t be able to see it again." };
    let key = Some(show_key::<P>(pages, headers, title, text, &issued.secret));
    render_existing::<P>(pages, viewer, &issued.described(), PageState { key, ..PageState::default() }).await
}

fn show_key<P: TokenPages>(
    pages: &Pages,
    headers: &HeaderMap,
    title: &'static str,
    text: &'static str,
    secret: &Secret,
) -> ShownKey {
    let (example, path) = P::example_request(pages);
    let url = format!("{}{}{path}", public_origin(headers), request_base().as_str());
    ShownKey { title, text, secret: secret.expose().to_owned(), example, url }
}

async fn show<P: TokenPages>(
    State(pages): State<Pages>,
    viewer: Viewer,
    Id(id): Id,
    Query(query): Query<PageQuery>,
) -> Result<Response, Failure> {
    let described = viewer.tokens(P::KIND).read(listed::<P>(&viewer, id).await?).await?;
    let notice = (query.done == "saved").then_some("Saved. The change applies from the next request on.");
    render_existing::<P>(&pages, &viewer, &described, PageState { notice, ..PageState::default() }).await
}

async fn render_existing<P: TokenPages>(
    pages: &Pages,
    viewer: &Viewer,
    described: &DescribedToken,
    state: PageState<'_>,
) -> Result<Response, Failure> {
    let PageState { notice, key, errors, form } = state;
    let token = &described.token;
    let text = |name, saved: &str| form.map_or(saved, |form| form.text(name)).to_owned();
    let token_form = TokenForm {
        // Only a form that failed to save is shown again.
        status: if form.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK },
        list: P::LIST,
        texts: P::TEXTS,
        notice,
        key,
        errors: &errors,
        title: token.name.clone(),
        existing: Some(describe_existing::<P>(pages, viewer, token, form)),
        name: text("name", &token.name),
        description: text("description", &token.description),
        lifespans: Vec::new(),
        readonly: !may::<P>(viewer, |actions| actions.update),
    };
    let frame = viewer.frame(P::LIST, &token.name).with_address(format!("{}/{}", P::LIST, token.id));
    P::render_existing(pages, viewer, frame, token_form, described, form).await
}

fn describe_existing<P: TokenPages>(
    pages: &Pages,
    viewer: &Viewer,
    token: &Token,
    form: Option<&FormFields>,
) -> ExistingToken {
    let now = pages.now();
    ExistingToken {
        id: token.id,
        // A form that is shown again keeps its version, so that a second attempt still detects changes.
        version: form.map_or_else(|| token.version().to_string(), |form| form.text("version").to_owned()),
        created: RelativeTime::past(token.created_at, now),
        used: token.last_used_at.map(|at| RelativeTime::past(at, now)),
        expiry: Expiry::new(token, now),
        lifespan: format_lifespan(token.lifespan),
        hint: token.hint.clone(),
        enabled: token.limits.enabled,
        limits: describe_limits(&token.limits),
        previous: PreviousKey::of(token, now),
        can_view: pages.keeps_keys(),
        can_regenerate: may::<P>(viewer, |actions| actions.regenerate),
        can_delete: may::<P>(viewer, |actions| actions.delete),
    }
}

async fn save<P: TokenPages>(
    State(pages): State<Pages>,
    viewer: Viewer,
    Id(id): Id,
    form: FormFields,
) -> Result<Response, Failure> {
    let tokens = viewer.tokens(P::KIND);
    let id = listed::<P>(&viewer, id).await?;
    let before = tokens.read(id).await?;
    let update = TokenUpdate {
        name: Some(form.text("name").to_owned()),
        description: Some(form.text("description").to_owned()),
        ..P::parse_update(&pages, &before, &form)?
    };
    match tokens.if_version(form.version()?).update(id, update).await {
        Ok(_) => Ok(redirect(&format!("{}/{id}?done=saved", P::LIST)).into_response()),
        Err(error) => {
            let errors = FormErrors::from_service(error)?;
            let state = PageState { errors, form: Some(&form), ..PageState::default() };
            render_existing::<P>(&pages, &viewer, &before, state).await
        }
    }
}

async fn reveal<P: TokenPages>(
    State(pages): State<Pages>,
    viewer: Viewer,
    headers: HeaderMap,
    Id(id): Id,
) -> Result<Response, Failure> {
    let id = listed::<P>(&viewer, id).await?;
    let token = viewer.tokens(P::KIND).open(id).await?;
    let (errors, key) = match &token.secret {
        SecretAccess::Shown(secret) => {
            let key = show_key::<P>(&pages, &headers, "The key of this token", P::TEXTS.shown_key, secret);
            (FormErrors::default(), Some(key))
        }
        SecretAccess::NotForYou => return Err(ServiceError::Forbidden("only the owner can view a key").into()),
        SecretAccess::NotKept => (FormErrors::with_message(KEY_UNAVAILABLE), None),
        SecretAccess::Lost(reason) => (FormErrors::with_message(format!("{KEY_UNAVAILABLE}. Reason: {reason}")), None),
    };
    render_existing::<P>(&pages, &viewer, &token.described, PageState { errors, key, ..PageState::default() }).await
}

async fn regenerate_key<P: TokenPages>(
    State(pages): State<Pages>,
    viewer: Viewer,
    headers: HeaderMap,
    Id(id): Id,
    form: FormFields,
) -> Result<Response, Failure> {
    let id = listed::<P>(&viewer, id).await?;
    let issued = viewer.tokens(P::KIND).if_version(form.version()?).regenerate(id).await?;
    show_new_key::<P>(&pages, &viewer, &headers, issued, "The new key. The old one no longer works").await
}

async fn end_previous_key<P: TokenPages>(viewer: Viewer, Id(id): Id, form: FormFields) -> Result<Response, Failure> {
    let id = listed::<P>(&viewer, id).await?;
    viewer.tokens(P::KIND).if_version(form.version()?).end_grace(id).await?;
    Ok(redirect(&format!("{}/{id}?done=saved", P::LIST)).into_response())
}

async fn delete_token<P: TokenPages>(viewer: Viewer, Id(id): Id, form: FormFields) -> Result<Response, Failure> {
    let id = listed::<P>(&viewer, id).await?;
    viewer.tokens(P::KIND).if_version(form.version()?).revoke(id).await?;
    Ok(redirect(&format!("{}?done=deleted", P::LIST)).into_response())
}
