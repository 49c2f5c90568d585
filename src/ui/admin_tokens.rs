//! Settings > Administration Panel > Admin Tokens.

use super::failure::{Complaints, Failure};
use super::form::Sent;
use super::frame::{Frame, Viewer};
use super::grants::Chosen;
use super::lifespan::{Choice, Expiry, durations, lifespan};
use super::list::{Head, Paging, Sort};
use super::matrix::{For, Matrix};
use super::render;
use super::state::Pages;
use super::time::ConditionClause;
use super::tokens::{Actions, Existing, Extra, Listed, ShownKey, Side, tokens};
use crate::admin::{DescribedToken, IssuedToken, NewAdminToken, ServiceError, TokenUpdate, Tokens};
use crate::domain::{
    AuditAction, AuditCause, Ceiling, Grant, OwnerState, Permission, Resource, Timestamp, Token, TokenId, TokenKind,
};
use crate::store::{EventQuery, Paging as Page};
use askama::Template;
use axum::response::Response;
use http::StatusCode;

pub(super) const LIST: &str = "/admin/settings/admin-tokens";
pub(super) const ACCESS: &str = "admin::admin-tokens.access";
pub(super) const READ: &str = "admin::admin-tokens.read";
const UPDATE: &str = "admin::admin-tokens.update";
const DELETE: &str = "admin::admin-tokens.delete";

pub(super) struct AdminTokens;

#[derive(Template)]
#[template(path = "admin_tokens.html")]
struct ListPage {
    frame: Frame,
    said: Option<&'static str>,
    can_create: bool,
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
    created: ConditionClause,
    used: Option<ConditionClause>,
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
    owner: String,
    owner_state: Option<&'static str>,
    yours: bool,
    matrix: Matrix,
    lost: Vec<Lost>,
    /// Grants that the form does not offer.
    hidden: Vec<String>,
}

/// A grant that went with what its owner held.
struct Lost {
    what: String,
    at: ConditionClause,
    why: String,
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

fn owner_of(described: &DescribedToken) -> String {
    described.owner.as_ref().map(|owner| owner.display_name()).unwrap_or_default()
}

impl Side for AdminTokens {
    const KIND: TokenKind = TokenKind::Admin;
    const LIST: &'static str = LIST;
    const ACTIONS: Actions = Actions {
        access: ACCESS,
        create: "admin::admin-tokens.create",
        read: READ,
        update: UPDATE,
        regenerate: "admin::admin-tokens.regenerate",
        delete: DELETE,
    };
    const COLUMNS: [(&'static str, Option<&'static str>); 6] = [
        ("Name", Some("name")),
        ("Description", None),
        ("Created", Some("created")),
        ("Last used", Some("used")),
        ("Owner", Some("owner")),
        ("Expires", Some("expires")),
    ];
    const KEPT: &'static str = "Copy it now. You, and nobody else, can also look at it here later.";
    const SHOWN_AGAIN: &'static str = "Only you can look at it, and each look is in the audit log.";

    fn list_page(pages: &Pages, viewer: &Viewer, listed: Listed) -> Response {
        let now = pages.now();
        let row = |described: DescribedToken| {
            let mine = described.token.owner() == Some(viewer.id) || viewer.is_super_admin();
            Row {
                owner: owner_of(&described),
                owner_state: described.owner.as_ref().and_then(|owner| shut(owner.state)),
                created: ConditionClause::of(described.token.created_at, now),
                used: described.token.last_used_at.map(|at| ConditionClause::past(at, now)),
                expiry: Expiry::of(&described.token, now),
                can_update: viewer.may(UPDATE) && mine,
                can_delete: viewer.may(DELETE) && mine,
                version: described.token.version().to_string(),
                id: described.token.id,
                name: described.token.name,
                description: described.token.description,
            }
        };
        let Listed { frame, said, can_create, query, sort, columns, tokens, paging } = listed;
        let rows = tokens.into_iter().map(row).collect();
        render(StatusCode::OK, &ListPage { frame, said, can_create, query, sort, columns, rows, paging })
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
            list: LIST,
            said: None,
            key: None,
            found,
            title: "",
            existing: None,
            name: text("name"),
            description: text("description"),
            durations: durations(pages, sent),
            readonly: false,
            owner: viewer.owner.display_name(),
            owner_state: None,
            yours: true,
            matrix: pages.words.matrix(For::Token, &ceiling, &chosen, false),
            lost: Vec::new(),
            hidden: Vec::new(),
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
        let DescribedToken { token, owner, .. } = described;
        let yours = token.owner() == Some(viewer.id);
        let mine = yours || viewer.is_super_admin();
        let readonly = !(viewer.may(UPDATE) && mine);
        let ceiling = match owner {
            Some(owner) if owner.is_super_admin() => Ceiling::Unlimited,
            _ => match tokens::<Self>(pages, viewer).owner_permissions(token.id).await {
                Ok(held) => Ceiling::Of(held),
                // A key shows this once, whether or not what is beside it can be read.
                Err(ServiceError::Store(_)) if extra.key.is_some() => granted(token),
                Err(error) => return Err(error.into()),
            },
        };
        let lost = match lost(pages, viewer, token.id, pages.now()).await {
            Err(_) if extra.key.is_some() => Vec::new(),
            lost => lost?,
        };
        let (shown, hidden) = pages.words.split_grants(token.grants());
        let chosen = match extra.sent {
            Some(sent) => Chosen::sent(sent)?,
            None => Chosen::of_grants(&shown),
        };
        let said = |grant: &Grant| {
            pages.words.said_of(&grant.scope.action, grant.scope.resource.as_ref(), &grant.scope.fields)
        };
        let anybodys = Existing::of::<Self>(pages, viewer, token, extra.sent);
        let existing = Existing {
            can_view: yours && anybodys.can_view,
            can_regenerate: yours && anybodys.can_regenerate,
            can_delete: mine && anybodys.can_delete,
            ..anybodys
        };
        let text = |name, kept: &str| extra.sent.map_or(kept.to_owned(), |sent| sent.text(name).to_owned());
        let (name, description) = (text("name", &token.name), text("description", &token.description));
        let page = TokenPage {
            frame: Frame { address: Some(format!("{LIST}/{}", token.id)), ..viewer.frame(LIST, &token.name) },
            list: LIST,
            said: extra.said,
            key: extra.key,
            found,
            title: &token.name,
            existing: Some(existing),
            name: &name,
            description: &description,
            durations: Vec::new(),
            readonly,
            owner: owner_of(described),
            owner_state: owner.as_ref().and_then(|owner| shut(owner.state)),
            yours,
            matrix: pages.words.matrix(For::Token, &ceiling, &chosen, readonly),
            lost,
            hidden: hidden.iter().map(said).collect(),
        };
        Ok(render(status, &page))
    }

    async fn issue(
        tokens: &Tokens,
        viewer: &Viewer,
        sent: &Sent,
    ) -> Result<Result<IssuedToken, ServiceError>, Failure> {
        let new = NewAdminToken {
            name: sent.text("name").to_owned(),
            description: sent.text("description").to_owned(),
            owner: viewer.id,
            grants: Chosen::sent(sent)?.into_grants(),
            lifespan: lifespan(sent),
        };
        Ok(tokens.issue_admin(new).await)
    }

    fn update(pages: &Pages, before: &DescribedToken, sent: &Sent) -> Result<TokenUpdate, Failure> {
        let grants = Chosen::sent(sent)?.onto(before.token.grants(), &pages.words);
        Ok(TokenUpdate { grants, ..TokenUpdate::default() })
    }

    /// What every admin token can ask for.
    fn to_try(_: &Pages) -> (&'static str, &str) {
        ("Try it:", "/admin/users/me/permissions")
    }
}

/// As much as its owner surely holds.
fn granted(token: &Token) -> Ceiling {
    let held = |grant: &Grant| Permission { scope: grant.scope.clone(), when: grant.chosen.clone() };
    Ceiling::Of(token.grants().iter().map(held).collect())
}

/// What was taken away from a token, the latest first.
async fn lost(pages: &Pages, viewer: &Viewer, id: TokenId, now: Timestamp) -> Result<Vec<Lost>, Failure> {
    let query = EventQuery {
        actions: Some(vec![AuditAction::GrantClamped]),
        ..EventQuery::all(Page { page: 1, page_size: 20 })
    };
    let events = pages.events.clone().acting_as(&viewer.actor).of_token(id, &query).await?;
    let mut all = Vec::new();
    for (_, event) in events.items {
        let text = |name: &str| event.details.get(name).and_then(|value| value.as_str());
        let action = text("action").unwrap_or_default().into();
        let resource = text("subject").map(Resource::from);
        let fields = event
            .details
            .get("fields")
            .and_then(|fields| fields.as_array())
            .map(|fields| fields.iter().filter_map(|field| field.as_str()).collect::<Vec<_>>().join(", "));
        let mut what = pages.words.said(&action, resource.as_ref());
        if let Some(fields) = fields {
            what = format!("{what} ({fields})");
        }
        let why = match event.cause {
            Some(AuditCause::RolePermissions(role)) => match pages.roles.read(role).await {
                Ok(role) => format!("when the role “{}” was changed", role.name),
                Err(ServiceError::NotFound(_)) => "when a role was changed that is gone now".to_owned(),
                Err(error) => return Err(error.into()),
            },
            Some(AuditCause::OwnerRoles(_)) => "when the owner's roles were changed".to_owned(),
            Some(AuditCause::Catalogue) => "when the action went from the service".to_owned(),
            Some(AuditCause::Renamed) => "when the service renamed it".to_owned(),
            _ => "with another change".to_owned(),
        };
        all.push(Lost { what, at: ConditionClause::of(event.at, now), why });
    }
    Ok(all)
}
