//! Settings > Administration Panel > API Tokens: content tokens, which belong to nobody.

use super::access::{Chosen, Part, Type, same, told, wrong};
use super::failure::{Complaints, Failure};
use super::form::Sent;
use super::frame::{Frame, Viewer};
use super::lifespan::{Choice, Expiry, durations, lifespan};
use super::list::{Head, Paging, Sort};
use super::render;
use super::state::Pages;
use super::time::ConditionClause;
use super::tokens::{Actions, Existing, Extra, Listed, ShownKey, Side};
use crate::admin::{DescribedToken, IssuedToken, NewContentToken, ServiceError, TokenUpdate, Tokens};
use crate::domain::{ContentAccess, TokenId, TokenKind};
use askama::Template;
use axum::response::Response;
use http::StatusCode;

pub(super) const LIST: &str = "/admin/settings/api-tokens";
pub(super) const ACCESS: &str = "admin::api-tokens.access";
pub(super) const READ: &str = "admin::api-tokens.read";
const UPDATE: &str = "admin::api-tokens.update";
const DELETE: &str = "admin::api-tokens.delete";

pub(super) struct ContentTokens;

#[derive(Template)]
#[template(path = "content_tokens.html")]
struct ListPage {
    frame: Frame,
    said: Option<&'static str>,
    can_create: bool,
    can_update: bool,
    can_delete: bool,
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
    created: ConditionClause,
    used: Option<ConditionClause>,
    expiry: Expiry,
}

#[derive(Template)]
#[template(path = "content_token.html")]
struct TokenPage<'a> {
    frame: Frame,
    list: &'static str,
    said: Option<&'static str>,
    key: Option<ShownKey>,
    found: &'a Complaints,
    /// What it is called now, whatever the form says.
    title: &'a str,
    existing: Option<Existing>,
    name: &'a str,
    description: &'a str,
    durations: Vec<Choice>,
    readonly: bool,
    /// What is wrong with the access, with names.
    wrong: Vec<String>,
    types: Vec<Type>,
    parts: Vec<Part>,
    chosen: usize,
}

impl Side for ContentTokens {
    const KIND: TokenKind = TokenKind::Content;
    const LIST: &'static str = LIST;
    const ACTIONS: Actions = Actions {
        access: ACCESS,
        create: "admin::api-tokens.create",
        read: READ,
        update: UPDATE,
        regenerate: "admin::api-tokens.regenerate",
        delete: DELETE,
    };
    const COLUMNS: [(&'static str, Option<&'static str>); 6] = [
        ("Name", Some("name")),
        ("Description", None),
        ("Type", Some("type")),
        ("Created", Some("created")),
        ("Last used", Some("used")),
        ("Expires", Some("expires")),
    ];
    const KEPT: &'static str = "Copy it now. Whoever may read API tokens here can also look at it later.";
    const SHOWN_AGAIN: &'static str = "Each look at it is in the audit log.";

    fn list_page(pages: &Pages, viewer: &Viewer, listed: Listed) -> Response {
        let now = pages.now();
        let row = |DescribedToken { token, .. }: DescribedToken| Row {
            access: told(&token),
            created: ConditionClause::past(token.created_at, now),
            used: token.last_used_at.map(|at| ConditionClause::past(at, now)),
            expiry: Expiry::of(&token, now),
            version: token.version().to_string(),
            id: token.id,
            name: token.name,
            description: token.description,
        };
        let Listed { frame, said, can_create, query, sort, columns, tokens, paging } = listed;
        let rows = tokens.into_iter().map(row).collect();
        let (can_update, can_delete) = (viewer.may(UPDATE), viewer.may(DELETE));
        let page = ListPage { frame, said, can_create, can_update, can_delete, query, sort, columns, rows, paging };
        render(StatusCode::OK, &page)
    }

    async fn new_page(
        pages: &Pages,
        viewer: &Viewer,
        status: StatusCode,
        found: &Complaints,
        sent: Option<&Sent>,
    ) -> Result<Response, Failure> {
        let text = |name| sent.map_or("", |sent| sent.text(name));
        let chosen = sent.map_or(Chosen::of(&ContentAccess::ReadOnly), Chosen::sent);
        let parts = chosen.parts(pages);
        let page = TokenPage {
            frame: viewer.frame(LIST, "Create API Token"),
            list: LIST,
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
        Ok(render(status, &page))
    }

    async fn one_page(
        pages: &Pages,
        viewer: &Viewer,
        status: StatusCode,
        found: &Complaints,
        described: &DescribedToken,
        extra: Extra<'_>,
    ) -> Result<Response, Failure> {
        let token = &described.token;
        let kept = || token.access().map_or(Chosen::of(&ContentAccess::ReadOnly), Chosen::of);
        let chosen = extra.sent.map_or_else(kept, Chosen::sent);
        let parts = chosen.parts(pages);
        let text = |name, kept: &str| extra.sent.map_or(kept.to_owned(), |sent| sent.text(name).to_owned());
        let (name, description) = (text("name", &token.name), text("description", &token.description));
        let page = TokenPage {
            frame: Frame { address: Some(format!("{LIST}/{}", token.id)), ..viewer.frame(LIST, &token.name) },
            list: LIST,
            said: extra.said,
            key: extra.key,
            wrong: wrong(found),
            found,
            title: &token.name,
            existing: Some(Existing::of::<Self>(pages, viewer, token, extra.sent)),
            name: &name,
            description: &description,
            durations: Vec::new(),
            readonly: !viewer.may(UPDATE),
            types: chosen.types(!parts.is_empty()),
            chosen: chosen.count(),
            parts,
        };
        Ok(render(status, &page))
    }

    async fn issue(tokens: &Tokens, _: &Viewer, sent: &Sent) -> Result<Result<IssuedToken, ServiceError>, Failure> {
        let new = NewContentToken {
            name: sent.text("name").to_owned(),
            description: sent.text("description").to_owned(),
            access: Chosen::sent(sent).access()?,
            lifespan: lifespan(sent),
        };
        Ok(tokens.issue_content(new).await)
    }

    fn update(_: &Pages, before: &DescribedToken, sent: &Sent) -> Result<TokenUpdate, Failure> {
        let access = Chosen::sent(sent).access()?;
        // In another order it is no other choice.
        let access = Some(access).filter(|access| !same(before.token.access(), access));
        Ok(TokenUpdate { access, ..TokenUpdate::default() })
    }

    fn to_try(pages: &Pages) -> (&'static str, &str) {
        ("Try it, with a path of your content API:", &pages.content_path)
    }
}
