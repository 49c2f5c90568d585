//! The pages of tokens, as far as both kinds have them alike.

use super::base::{base, redirect};
use super::failure::{Complaints, Failure};
use super::form::{Id, Query, Sent};
use super::frame::{Frame, Viewer, origin};
use super::lifespan::{Expiry, lives};
use super::list::{Asked, Head, PAGE_SIZE, Paging, Sort, address, heads};
use super::may;
use super::state::Pages;
use super::time::ConditionClause;
use crate::admin::{DescribedToken, IssuedToken, SecretAccess, ServiceError, TokenUpdate, Tokens};
use crate::domain::{Secret, Token, TokenId, TokenKind};
use crate::guard::GuardedRouter;
use crate::store::{Paging as Page, TokenQuery, TokenSort};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode};

/// What the pages of one kind have of their own.
pub(super) trait Side: Send + Sync + 'static {
    const KIND: TokenKind;
    /// Where the list is; everything else is below it.
    const LIST: &'static str;
    const ACTIONS: Actions;
    /// Title and name of each column of the list; those with a name can be sorted by, first of all the first.
    const COLUMNS: [(&'static str, Option<&'static str>); 6];
    /// Who can look at a new key later, where keys are kept.
    const KEPT: &'static str;
    /// Who looks at a key that is shown again.
    const SHOWN_AGAIN: &'static str;

    fn list_page(pages: &Pages, viewer: &Viewer, listed: Listed) -> Response;
    fn new_page(
        pages: &Pages,
        viewer: &Viewer,
        status: StatusCode,
        found: &Complaints,
        sent: Option<&Sent>,
    ) -> impl Future<Output = Result<Response, Failure>> + Send;
    fn one_page(
        pages: &Pages,
        viewer: &Viewer,
        status: StatusCode,
        found: &Complaints,
        described: &DescribedToken,
        extra: Extra<'_>,
    ) -> impl Future<Output = Result<Response, Failure>> + Send;
    fn issue(
        tokens: &Tokens,
        viewer: &Viewer,
        sent: &Sent,
    ) -> impl Future<Output = Result<Result<IssuedToken, ServiceError>, Failure>> + Send;
    /// What a form changes besides name and description.
    fn update(pages: &Pages, before: &DescribedToken, sent: &Sent) -> Result<TokenUpdate, Failure>;
    /// What to say beside a request to try, and the path that it is for.
    fn to_try(pages: &Pages) -> (&'static str, &str);
}

/// What each page asks for.
pub(super) struct Actions {
    pub(super) access: &'static str,
    pub(super) create: &'static str,
    pub(super) read: &'static str,
    pub(super) update: &'static str,
    pub(super) regenerate: &'static str,
    pub(super) delete: &'static str,
}

/// The part of a list that is shown.
pub(super) struct Listed {
    pub(super) frame: Frame,
    pub(super) said: Option<&'static str>,
    pub(super) can_create: bool,
    pub(super) query: String,
    pub(super) sort: Sort,
    pub(super) columns: Vec<Head>,
    pub(super) tokens: Vec<DescribedToken>,
    pub(super) paging: Paging,
}

/// What only a token that is there has.
pub(super) struct Existing {
    pub(super) id: TokenId,
    pub(super) version: String,
    pub(super) created: ConditionClause,
    pub(super) used: Option<ConditionClause>,
    pub(super) expiry: Expiry,
    pub(super) duration: String,
    pub(super) hint: String,
    pub(super) can_view: bool,
    pub(super) can_regenerate: bool,
    pub(super) can_delete: bool,
}

impl Existing {
    /// As whoever may do all to it sees it.
    pub(super) fn of<S: Side>(pages: &Pages, viewer: &Viewer, token: &Token, sent: Option<&Sent>) -> Self {
        let now = pages.now();
        Self {
            id: token.id,
            // What is sent again was made from what the form was made from.
            version: sent.map_or_else(|| token.version().to_string(), |sent| sent.text("version").to_owned()),
            created: ConditionClause::past(token.created_at, now),
            used: token.last_used_at.map(|at| ConditionClause::past(at, now)),
            expiry: Expiry::of(token, now),
            duration: lives(token.lifespan),
            hint: token.hint.clone(),
            can_view: pages.seals,
            can_regenerate: viewer.may(S::ACTIONS.regenerate),
            can_delete: viewer.may(S::ACTIONS.delete),
        }
    }
}

/// A key, for this one answer.
pub(super) struct ShownKey {
    pub(super) title: &'static str,
    pub(super) text: &'static str,
    pub(super) secret: String,
    pub(super) try_it: &'static str,
    pub(super) url: String,
}

impl ShownKey {
    fn of<S: Side>(
        pages: &Pages,
        headers: &HeaderMap,
        title: &'static str,
        text: &'static str,
        secret: &Secret,
    ) -> Self {
        let (try_it, path) = S::to_try(pages);
        // As the browser names us; what it sends is escaped like any other text.
        let url = format!("{}{}{path}", origin(headers), base());
        Self { title, text, secret: secret.expose().to_owned(), try_it, url }
    }
}

/// What one answer shows besides the token.
#[derive(Default)]
pub(super) struct Extra<'a> {
    pub(super) said: Option<&'static str>,
    pub(super) key: Option<ShownKey>,
    pub(super) sent: Option<&'a Sent>,
}

/// What is said where a key cannot be shown again.
const KEY_LOST: &str = "This key cannot be shown: it was not kept, or not in a way that can be read now. Regenerate it to have one that works";

pub(super) fn routes<S: Side>() -> GuardedRouter<Pages> {
    let Actions { access, create, read, update, regenerate, delete } = S::ACTIONS;
    let list = S::LIST;
    let one = format!("{list}/{{id}}");
    GuardedRouter::new()
        .route(list, may(&[access, read]), get(show_list::<S>))
        .route(&format!("{list}/create"), may(&[access, read, create]), get(new::<S>).post(save_new::<S>))
        .route(&one, may(&[access, read]), get(show::<S>))
        .route(&one, may(&[access, read, update]), post(save::<S>))
        .route(&format!("{one}/view"), may(&[access, read]), post(view::<S>))
        .route(&format!("{one}/regenerate"), may(&[access, read, regenerate]), post(renew::<S>))
        .route(&format!("{one}/delete"), may(&[access, read, delete]), post(remove::<S>))
}

/// The tokens of this kind, for whoever looks.
pub(super) fn tokens<S: Side>(pages: &Pages, viewer: &Viewer) -> Tokens {
    pages.tokens.clone().only(S::KIND).acting_as(&viewer.actor).from_address(viewer.address)
}

async fn show_list<S: Side>(
    State(pages): State<Pages>,
    viewer: Viewer,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    let names: Vec<&str> = S::COLUMNS.iter().filter_map(|(_, name)| *name).collect();
    let sort = Sort::asked(&asked.sort, &names);
    let tokens = tokens::<S>(&pages, &viewer);
    let query = |page: usize| TokenQuery {
        paging: Page { page: u32::try_from(page).unwrap_or(u32::MAX), page_size: PAGE_SIZE as u32 },
        search: asked.searched(),
        sort: match sort.by {
            "created" => TokenSort::CreatedAt,
            "used" => TokenSort::LastUsedAt,
            "expires" => TokenSort::ExpiresAt,
            "owner" => TokenSort::Owner,
            "type" => TokenSort::Access,
            _ => TokenSort::Name,
        },
        descending: sort.descending,
        ..TokenQuery::of(S::KIND)
    };
    let first = asked.page.parse().unwrap_or(1).max(1);
    let mut found = tokens.list(&query(first)).await?;
    let href = |page: &str| address(S::LIST, &[("q", &asked.q), ("sort", &asked.sort), ("page", page)]);
    let paging = Paging::of(usize::try_from(found.total).unwrap_or(usize::MAX), PAGE_SIZE, &asked.page, href);
    if found.items.is_empty() && found.total > 0 {
        found = tokens.list(&query(paging.last)).await?;
    }
    let listed = Listed {
        frame: viewer.frame(S::LIST, title::<S>()),
        said: (asked.done == "deleted")
            .then_some("The token is deleted. Whatever used it is answered 401 from now on."),
        can_create: viewer.may(S::ACTIONS.create),
        columns: heads(S::LIST, &asked, sort, &S::COLUMNS),
        tokens: found.items,
        query: asked.q,
        sort,
        paging,
    };
    Ok(S::list_page(&pages, &viewer, listed))
}

fn title<S: Side>() -> &'static str {
    if S::KIND == TokenKind::Admin { "Admin Tokens" } else { "API Tokens" }
}

async fn new<S: Side>(State(pages): State<Pages>, viewer: Viewer) -> Result<Response, Failure> {
    S::new_page(&pages, &viewer, StatusCode::OK, &Complaints::default(), None).await
}

async fn save_new<S: Side>(
    State(pages): State<Pages>,
    viewer: Viewer,
    headers: HeaderMap,
    sent: Sent,
) -> Result<Response, Failure> {
    match S::issue(&tokens::<S>(&pages, &viewer), &viewer, &sent).await? {
        Ok(issued) => shown_once::<S>(&pages, &viewer, &headers, issued, "Your new token").await,
        Err(error) => {
            let found = Complaints::from(error)?;
            S::new_page(&pages, &viewer, StatusCode::BAD_REQUEST, &found, Some(&sent)).await
        }
    }
}

/// The one answer that shows a new key.
async fn shown_once<S: Side>(
    pages: &Pages,
    viewer: &Viewer,
    headers: &HeaderMap,
    issued: IssuedToken,
    title: &'static str,
) -> Result<Response, Failure> {
    let text = if pages.seals { S::KEPT } else { "Copy it now: it is shown this once, and never again." };
    let key = Some(ShownKey::of::<S>(pages, headers, title, text, &issued.secret));
    let extra = Extra { key, ..Extra::default() };
    S::one_page(pages, viewer, StatusCode::OK, &Complaints::default(), &issued.described(), extra).await
}

async fn show<S: Side>(
    State(pages): State<Pages>,
    viewer: Viewer,
    Id(id): Id,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    let described = tokens::<S>(&pages, &viewer).read(TokenId(id)).await?;
    let said = (asked.done == "saved").then_some("Saved. It counts from the next request on.");
    let extra = Extra { said, ..Extra::default() };
    S::one_page(&pages, &viewer, StatusCode::OK, &Complaints::default(), &described, extra).await
}

async fn save<S: Side>(
    State(pages): State<Pages>,
    viewer: Viewer,
    Id(id): Id,
    sent: Sent,
) -> Result<Response, Failure> {
    let tokens = tokens::<S>(&pages, &viewer);
    let before = tokens.read(TokenId(id)).await?;
    let update = TokenUpdate {
        name: Some(sent.text("name").to_owned()),
        description: Some(sent.text("description").to_owned()),
        ..S::update(&pages, &before, &sent)?
    };
    match tokens.if_version(sent.version()?).update(TokenId(id), update).await {
        Ok(_) => Ok(redirect(&format!("{}/{id}?done=saved", S::LIST)).into_response()),
        Err(error) => {
            let found = Complaints::from(error)?;
            let extra = Extra { sent: Some(&sent), ..Extra::default() };
            S::one_page(&pages, &viewer, StatusCode::BAD_REQUEST, &found, &before, extra).await
        }
    }
}

async fn view<S: Side>(
    State(pages): State<Pages>,
    viewer: Viewer,
    headers: HeaderMap,
    Id(id): Id,
) -> Result<Response, Failure> {
    let opened = tokens::<S>(&pages, &viewer).open(TokenId(id)).await?;
    let (found, key) = match &opened.secret {
        SecretAccess::Shown(secret) => {
            let key = ShownKey::of::<S>(&pages, &headers, "The key of this token", S::SHOWN_AGAIN, secret);
            (Complaints::default(), Some(key))
        }
        SecretAccess::NotForYou => return Err(ServiceError::Forbidden("only its owner looks at a key").into()),
        SecretAccess::NotKept => (Complaints::whole(KEY_LOST), None),
        SecretAccess::Lost(why) => (Complaints::whole(format!("{KEY_LOST}. Reason: {why}")), None),
    };
    let extra = Extra { key, ..Extra::default() };
    S::one_page(&pages, &viewer, StatusCode::OK, &found, &opened.described, extra).await
}

async fn renew<S: Side>(
    State(pages): State<Pages>,
    viewer: Viewer,
    headers: HeaderMap,
    Id(id): Id,
    sent: Sent,
) -> Result<Response, Failure> {
    let issued = tokens::<S>(&pages, &viewer).if_version(sent.version()?).regenerate(TokenId(id)).await?;
    shown_once::<S>(&pages, &viewer, &headers, issued, "The new key. The old one no longer works").await
}

async fn remove<S: Side>(
    State(pages): State<Pages>,
    viewer: Viewer,
    Id(id): Id,
    sent: Sent,
) -> Result<Response, Failure> {
    tokens::<S>(&pages, &viewer).if_version(sent.version()?).revoke(TokenId(id)).await?;
    Ok(redirect(&format!("{}?done=deleted", S::LIST)).into_response())
}
