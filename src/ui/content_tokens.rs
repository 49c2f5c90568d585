//! Settings > Administration Panel > API Tokens: content tokens, which have no owner.

use super::access::{AccessSelection, AccessType, ContentActionGroup, access_errors, is_same_access, summarize};
use super::failure::Failure;
use super::form::FormFields;
use super::frame::Frame;
use super::lifespan::{Expiry, parse_lifespan};
use super::page::render;
use super::paths::CONTENT_TOKENS;
use super::state::Pages;
use super::tokens::{PageActions, Row, TokenForm, TokenPages, TokenTexts};
use super::viewer::Viewer;
use crate::admin::{DescribedToken, IssuedToken, NewContentToken, ServiceError, TokenUpdate, Tokens};
use crate::domain::{ContentAccess, TokenKind, TokenLimits};
use askama::Template;
use axum::response::Response;

pub(super) struct ContentTokens;

#[derive(Template)]
#[template(path = "content_token.html")]
struct TokenPage<'a> {
    frame: Frame,
    form: TokenForm<'a>,
    /// The errors of the access, with the names of actions.
    access_errors: Vec<String>,
    types: Vec<AccessType>,
    groups: Vec<ContentActionGroup>,
    selected: usize,
}

fn render_page(pages: &Pages, frame: Frame, form: TokenForm<'_>, selection: AccessSelection) -> Response {
    let groups = selection.groups(pages);
    let page = TokenPage {
        frame,
        access_errors: access_errors(form.errors),
        form,
        types: selection.types(!groups.is_empty()),
        selected: selection.count(),
        groups,
    };
    render(page.form.status, &page)
}

impl TokenPages for ContentTokens {
    const KIND: TokenKind = TokenKind::Content;
    const LIST: &'static str = CONTENT_TOKENS;
    const ACTIONS: Option<PageActions> = Some(PageActions {
        access: "admin::api-tokens.access",
        create: "admin::api-tokens.create",
        read: "admin::api-tokens.read",
        update: "admin::api-tokens.update",
        regenerate: "admin::api-tokens.regenerate",
        delete: "admin::api-tokens.delete",
    });
    const TEXTS: &'static TokenTexts = &TokenTexts {
        title: "API Tokens",
        intro: "Keys for sites, apps and imports that read or write content. They have no owner and give no access to the administration.",
        create: "Create new API Token",
        new_title: "Create API Token",
        empty_title: "No API tokens yet",
        empty_text: "Create one for each site or app. Read-only is enough for a site that only shows content.",
        searched: "name or description",
        kept_key: "Copy it now. Everyone with access to API tokens here can also view it later.",
        shown_key: "Each view is recorded in the audit log.",
    };
    const COLUMNS: &'static [(&'static str, Option<&'static str>)] = &[
        ("Name", Some("name")),
        ("Description", None),
        ("Type", Some("type")),
        ("Created", Some("created")),
        ("Last used", Some("used")),
        ("Expires", Some("expires")),
    ];

    fn complete_row(_: &Viewer, row: Row, described: &DescribedToken) -> Row {
        Row { access: Some(summarize(&described.token)), ..row }
    }

    async fn render_new(
        pages: &Pages,
        _: &Viewer,
        frame: Frame,
        token_form: TokenForm<'_>,
        form: Option<&FormFields>,
    ) -> Result<Response, Failure> {
        let selection = form.map_or(AccessSelection::new(&ContentAccess::ReadOnly), AccessSelection::parse);
        Ok(render_page(pages, frame, token_form, selection))
    }

    async fn render_existing(
        pages: &Pages,
        _: &Viewer,
        frame: Frame,
        token_form: TokenForm<'_>,
        described: &DescribedToken,
        form: Option<&FormFields>,
    ) -> Result<Response, Failure> {
        let saved = || AccessSelection::new(described.token.access().unwrap_or(&ContentAccess::ReadOnly));
        Ok(render_page(pages, frame, token_form, form.map_or_else(saved, AccessSelection::parse)))
    }

    async fn issue(
        tokens: &Tokens,
        _: &Viewer,
        form: &FormFields,
    ) -> Result<Result<IssuedToken, ServiceError>, Failure> {
        let new = NewContentToken {
            name: form.text("name").to_owned(),
            description: form.text("description").to_owned(),
            metadata: None,
            access: AccessSelection::parse(form).into_access()?,
            lifespan: parse_lifespan(form),
            limits: TokenLimits::none(),
        };
        Ok(tokens.issue_content(new).await)
    }

    fn parse_update(_: &Pages, before: &DescribedToken, form: &FormFields) -> Result<TokenUpdate, Failure> {
        let access = AccessSelection::parse(form).into_access()?;
        let access = Some(access).filter(|access| !is_same_access(before.token.access(), access));
        Ok(TokenUpdate { access, ..TokenUpdate::default() })
    }

    fn example_request(pages: &Pages) -> (&'static str, String) {
        ("Try it with a path of your content API:", pages.keyward.content_path().unwrap_or_default().to_owned())
    }
}
