//! The person who looks at a page, and the services on their behalf.

use super::failure::Failure;
use super::frame::{Frame, Link, Profile};
use super::paths::{ADMIN_TOKENS, AUDIT_LOG, CONTENT_TOKENS, ME, ROLES, USERS};
use super::state::Pages;
use crate::admin::{AuditLog, Owners, Roles, Sessions, Tokens};
use crate::domain::{AdmittedActor, Ceiling, Owner, OwnerId, TokenId, TokenKind, Verdict, action};
use crate::guard::{AuthContext, Caller};
use axum::extract::FromRequestParts;
use http::request::Parts;
use std::net::IpAddr;

/// A section of the navigation: path, name, icon, and the actions that its page requires.
type Section = (&'static str, &'static str, &'static str, &'static [&'static str]);

const SECTIONS: [Section; 5] = [
    (ADMIN_TOKENS, "Admin Tokens", "key", &["admin::admin-tokens.access", "admin::admin-tokens.read"]),
    (CONTENT_TOKENS, "API Tokens", "plug", &["admin::api-tokens.access", "admin::api-tokens.read"]),
    (ROLES, "Roles", "shield", &["admin::roles.read"]),
    (USERS, "Users", "people", &["admin::users.read"]),
    (AUDIT_LOG, "Audit Log", "list", &["admin::audit-logs.read"]),
];

/// The person who looks at a page.
pub(super) struct Viewer {
    pub(super) id: OwnerId,
    pub(super) owner: Owner,
    pub(super) session: Option<TokenId>,
    actor: AdmittedActor,
    address: Option<IpAddr>,
    auth: AuthContext,
    pages: Pages,
}

impl Viewer {
    pub(super) fn frame(&self, section: &str, title: &str) -> Frame {
        let name = self.owner.display_name();
        let initials = name.split_whitespace().filter_map(|word| word.chars().next()).take(2).collect::<String>();
        let is_whole = self.pages.mount.is_whole();
        let email = self.owner.email.clone();
        let profile = Profile {
            name,
            email,
            initials: initials.to_uppercase(),
            href: is_whole.then_some(ME),
            can_sign_out: self.pages.mount.sign_in_page().is_none(),
        };
        if !is_whole {
            return Frame::signed_in(title, profile, Vec::new());
        }
        let nav = self.sections().map(|(href, name, icon, _)| Link { href, name, icon, is_current: section == href });
        Frame::signed_in(title, profile, nav.collect())
    }

    fn sections(&self) -> impl Iterator<Item = Section> {
        SECTIONS.into_iter().filter(|(.., actions)| actions.iter().all(|name| self.holds(name)))
    }

    /// Returns the path of the first section that the viewer may open.
    pub(super) fn home(&self) -> &'static str {
        self.sections().next().map_or(ME, |(href, ..)| href)
    }

    /// Returns whether the viewer holds an action without conditions. Routes require the same again.
    pub(super) fn holds(&self, name: &str) -> bool {
        self.auth.decide(&action(name).whole()).verdict() == Verdict::Allowed
    }

    pub(super) fn is_super_admin(&self) -> bool {
        self.owner.is_super_admin()
    }

    /// Returns everything that the viewer may grant.
    pub(super) async fn ceiling(&self) -> Result<Ceiling, Failure> {
        if self.is_super_admin() {
            return Ok(Ceiling::Unlimited);
        }
        Ok(Ceiling::Of(self.sessions().permissions().await?))
    }

    pub(super) fn owners(&self) -> Owners {
        self.pages.keyward.owners().acting_as(&self.actor).from_address(self.address)
    }

    pub(super) fn roles(&self) -> Roles {
        self.pages.keyward.roles().acting_as(&self.actor).from_address(self.address)
    }

    pub(super) fn sessions(&self) -> Sessions {
        self.pages.keyward.sessions().acting_as(&self.actor).from_address(self.address)
    }

    pub(super) fn tokens(&self, kind: TokenKind) -> Tokens {
        self.pages.keyward.tokens().only(kind).acting_as(&self.actor).from_address(self.address)
    }

    pub(super) fn audit(&self) -> AuditLog {
        self.pages.keyward.audit().acting_as(&self.actor).from_address(self.address)
    }
}

impl FromRequestParts<Pages> for Viewer {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, pages: &Pages) -> Result<Self, Failure> {
        let auth = parts.extensions.get::<AuthContext>().cloned().ok_or_else(Failure::not_found)?;
        let Ok(Caller { actor, address, token: session, owner: id, .. }) =
            Caller::from_request_parts(parts, pages).await;
        let id = id.ok_or_else(Failure::not_found)?;
        // Databases store no NUL, so no page links to such an address.
        if parts.uri.query().is_some_and(|query| query.contains("%00")) {
            return Err(Failure::invalid_address());
        }
        let (owner, _) = pages.keyward.sessions().acting_as(&actor).me().await?;
        Ok(Self { id, owner, session, actor, address, auth, pages: pages.clone() })
    }
}
