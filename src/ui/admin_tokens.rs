//! Settings > Administration Panel > Admin Tokens.

use super::failure::Failure;
use super::form::FormFields;
use super::frame::Frame;
use super::grants::Selection;
use super::lifespan::{Expiry, parse_lifespan};
use super::matrix::{Matrix, MatrixKind};
use super::page::render;
use super::paths::{ADMIN_TOKENS, OWN_TOKENS};
use super::state::Pages;
use super::time::RelativeTime;
use super::tokens::{PageActions, Row, TokenForm, TokenOwner, TokenPages, TokenTexts};
use super::viewer::Viewer;
use crate::admin::{DescribedToken, IssuedToken, NewAdminToken, ServiceError, TokenUpdate, Tokens};
use crate::domain::{
    AuditAction, AuditCause, Ceiling, Grant, Owner, OwnerId, OwnerState, Permission, Resource, Timestamp, Token,
    TokenId, TokenKind, TokenLimits,
};
use crate::store::{EventQuery, Paging};
use askama::Template;
use axum::response::Response;

/// Pages of admin tokens: of all that the viewer may see, or only of those that belong to the viewer.
pub(super) struct OwnedTokens<const ONLY_OWN: bool>;

pub(super) type AdminTokens = OwnedTokens<false>;
pub(super) type OwnTokens = OwnedTokens<true>;

#[derive(Template)]
#[template(path = "admin_token.html")]
struct TokenPage<'a> {
    frame: Frame,
    form: TokenForm<'a>,
    owner: TokenOwner,
    is_own: bool,
    matrix: Matrix,
    clamped: Vec<ClampedGrant>,
    /// Grants that the form does not show.
    hidden: Vec<String>,
}

/// A grant that was taken away because the owner lost the permission.
struct ClampedGrant {
    grant: String,
    at: RelativeTime,
    reason: String,
}

const ACTIONS: PageActions = PageActions {
    access: "admin::admin-tokens.access",
    create: "admin::admin-tokens.create",
    read: "admin::admin-tokens.read",
    update: "admin::admin-tokens.update",
    regenerate: "admin::admin-tokens.regenerate",
    delete: "admin::admin-tokens.delete",
};

const TEXTS: TokenTexts = TokenTexts {
    title: "Admin Tokens",
    intro: "Keys for agents, CI/CD jobs and scripts. A token can never do more than its owner.",
    create: "Create new Admin Token",
    new_title: "Create Admin Token",
    empty_title: "No admin tokens yet",
    empty_text: "Create one for each agent, job or script, with only the permissions that it needs. You can revoke it at any time.",
    searched: "name, description or owner",
    kept_key: "Copy it now. Only you can view it here again.",
    shown_key: "Only you can view it. Each view is recorded in the audit log.",
};

const OWN_TEXTS: TokenTexts = TokenTexts {
    title: "My tokens",
    intro: "Keys for your agents, jobs and scripts. A token can never do more than you can.",
    create: "Create new token",
    new_title: "Create token",
    empty_title: "No tokens yet",
    searched: "name or description",
    ..TEXTS
};

type Column = (&'static str, Option<&'static str>);

const COLUMNS: [Column; 6] = [
    ("Name", Some("name")),
    ("Description", None),
    ("Created", Some("created")),
    ("Last used", Some("used")),
    ("Owner", Some("owner")),
    ("Expires", Some("expires")),
];

const OWN_COLUMNS: [Column; 5] = [COLUMNS[0], COLUMNS[1], COLUMNS[2], COLUMNS[3], COLUMNS[5]];

/// Returns the state of an account in which tokens do not work.
fn inactive_state(state: OwnerState) -> Option<&'static str> {
    match state {
        OwnerState::Active => None,
        OwnerState::Invited => Some("not registered yet"),
        OwnerState::Deactivated => Some("deactivated"),
        OwnerState::Blocked => Some("blocked"),
        OwnerState::DeactivatedAndBlocked => Some("deactivated and blocked"),
    }
}

fn describe_owner(owner: Option<&Owner>) -> TokenOwner {
    TokenOwner {
        name: owner.map(Owner::display_name).unwrap_or_default(),
        inactive_state: owner.and_then(|owner| inactive_state(owner.state)),
    }
}

/// Returns whether the viewer may manage a token: as its owner, or as a super admin.
fn can_manage(viewer: &Viewer, token: &Token) -> bool {
    token.owner() == Some(viewer.id) || viewer.is_super_admin()
}

impl<const ONLY_OWN: bool> TokenPages for OwnedTokens<ONLY_OWN> {
    const KIND: TokenKind = TokenKind::Admin;
    const LIST: &'static str = if ONLY_OWN { OWN_TOKENS } else { ADMIN_TOKENS };
    const ACTIONS: Option<PageActions> = if ONLY_OWN { None } else { Some(ACTIONS) };
    const TEXTS: &'static TokenTexts = if ONLY_OWN { &OWN_TEXTS } else { &TEXTS };
    const COLUMNS: &'static [(&'static str, Option<&'static str>)] = if ONLY_OWN { &OWN_COLUMNS } else { &COLUMNS };

    fn only_owner(viewer: &Viewer) -> Option<OwnerId> {
        ONLY_OWN.then_some(viewer.id)
    }

    fn complete_row(viewer: &Viewer, row: Row, described: &DescribedToken) -> Row {
        let can_manage = can_manage(viewer, &described.token);
        Row {
            owner: (!ONLY_OWN).then(|| describe_owner(described.owner.as_ref())),
            can_update: row.can_update && can_manage,
            can_delete: row.can_delete && can_manage,
            ..row
        }
    }

    async fn render_new(
        pages: &Pages,
        viewer: &Viewer,
        frame: Frame,
        token_form: TokenForm<'_>,
        form: Option<&FormFields>,
    ) -> Result<Response, Failure> {
        let ceiling = viewer.ceiling().await?;
        let selection = form.map(Selection::parse).transpose()?.unwrap_or_default();
        let page = TokenPage {
            frame,
            form: token_form,
            owner: describe_owner(Some(&viewer.owner)),
            is_own: true,
            matrix: Matrix::new(&pages.registry, MatrixKind::Token, &ceiling, &selection, false),
            clamped: Vec::new(),
            hidden: Vec::new(),
        };
        Ok(render(page.form.status, &page))
    }

    async fn render_existing(
        pages: &Pages,
        viewer: &Viewer,
        frame: Frame,
        mut token_form: TokenForm<'_>,
        described: &DescribedToken,
        form: Option<&FormFields>,
    ) -> Result<Response, Failure> {
        let DescribedToken { token, owner, .. } = described;
        let is_own = token.owner() == Some(viewer.id);
        let can_manage = can_manage(viewer, token);
        token_form.readonly |= !can_manage;
        if let Some(existing) = &mut token_form.existing {
            existing.can_view &= is_own;
            existing.can_regenerate &= is_own;
            existing.can_delete &= can_manage;
        }
        // No other response shows a new key, so a failure of the rest of the page must not lose it.
        let shows_key = token_form.key.is_some();
        let ceiling = match owner {
            Some(owner) if owner.is_super_admin() => Ceiling::Unlimited,
            _ => match viewer.tokens(TokenKind::Admin).owner_permissions(token.id).await {
                Ok(permissions) => Ceiling::Of(permissions),
                Err(ServiceError::Store(_)) if shows_key => ceiling_from_grants(token),
                Err(error) => return Err(error.into()),
            },
        };
        let clamped = match load_clamped(pages, viewer, token.id, pages.now()).await {
            Err(_) if shows_key => Vec::new(),
            clamped => clamped?,
        };
        let (shown, hidden) = pages.registry.split_grants(token.grants());
        let selection = match form {
            Some(form) => Selection::parse(form)?,
            None => Selection::from_grants(&shown),
        };
        let page = TokenPage {
            frame,
            owner: describe_owner(owner.as_ref()),
            is_own,
            matrix: Matrix::new(&pages.registry, MatrixKind::Token, &ceiling, &selection, token_form.readonly),
            clamped,
            hidden: hidden.iter().map(|grant| pages.registry.scope_label(&grant.scope)).collect(),
            form: token_form,
        };
        Ok(render(page.form.status, &page))
    }

    async fn issue(
        tokens: &Tokens,
        viewer: &Viewer,
        form: &FormFields,
    ) -> Result<Result<IssuedToken, ServiceError>, Failure> {
        let new = NewAdminToken {
            name: form.text("name").to_owned(),
            description: form.text("description").to_owned(),
            metadata: None,
            owner: viewer.id.into(),
            grants: Selection::parse(form)?.into_grants(),
            lifespan: parse_lifespan(form),
            limits: TokenLimits::none(),
        };
        Ok(tokens.issue_admin(new).await)
    }

    fn parse_update(pages: &Pages, before: &DescribedToken, form: &FormFields) -> Result<TokenUpdate, Failure> {
        let grants = Selection::parse(form)?.update_grants(before.token.grants(), &pages.registry);
        Ok(TokenUpdate { grants, ..TokenUpdate::default() })
    }

    /// Returns a request that every admin token may send, if there is a management API.
    fn example_request(pages: &Pages) -> (&'static str, String) {
        match pages.keyward.mounts().api_path() {
            Some(api) => ("Try it:", format!("{api}/users/me/permissions")),
            None => ("Try it with a path of your service:", "/".to_owned()),
        }
    }
}

/// Returns the least that the owner holds, in place of a ceiling that cannot be loaded.
fn ceiling_from_grants(token: &Token) -> Ceiling {
    let permission = |grant: &Grant| Permission { scope: grant.scope.clone(), when: grant.chosen.clone() };
    Ceiling::Of(token.grants().iter().map(permission).collect())
}

/// Loads the grants that were taken away from a token, the latest first.
async fn load_clamped(
    pages: &Pages,
    viewer: &Viewer,
    id: TokenId,
    now: Timestamp,
) -> Result<Vec<ClampedGrant>, Failure> {
    let query = EventQuery {
        actions: Some(vec![AuditAction::GrantClamped]),
        ..EventQuery::all(Paging { page: 1, page_size: 20 })
    };
    let events = viewer.audit().of_token(id, &query).await?;
    let mut clamped = Vec::new();
    for (_, event) in events.items {
        let text = |name: &str| event.details.get(name).and_then(|value| value.as_str());
        let action = text("action").unwrap_or_default().into();
        let resource = text("subject").map(Resource::from);
        let fields = event
            .details
            .get("fields")
            .and_then(|fields| fields.as_array())
            .map(|fields| fields.iter().filter_map(|field| field.as_str()).collect::<Vec<_>>().join(", "));
        let mut grant = pages.registry.action_label(&action, resource.as_ref());
        if let Some(fields) = fields {
            grant = format!("{grant} ({fields})");
        }
        let reason = match event.cause {
            Some(AuditCause::RolePermissions(role)) => match pages.keyward.roles().read(role).await {
                Ok(role) => format!("when the role “{}” was changed", role.name),
                Err(ServiceError::NotFound(_)) => "when a role was changed that is now deleted".to_owned(),
                Err(error) => return Err(error.into()),
            },
            Some(AuditCause::OwnerRoles(_)) => "when the owner's roles were changed".to_owned(),
            Some(AuditCause::AccountChanged(_)) => "when the owner's account was changed".to_owned(),
            Some(AuditCause::Catalogue) => "when the service removed the action".to_owned(),
            Some(AuditCause::Renamed) => "when the service renamed it".to_owned(),
            _ => "by another change".to_owned(),
        };
        clamped.push(ClampedGrant { grant, at: RelativeTime::new(event.at, now), reason });
    }
    Ok(clamped)
}
