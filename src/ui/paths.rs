//! Paths of the pages, without the path where they are mounted.

pub(super) const SIGN_IN: &str = "/auth/login";
pub(super) const SIGN_OUT: &str = "/auth/logout";
/// Tells scripts whether the session is valid.
pub(super) const SESSION: &str = "/auth/session";
pub(super) const REGISTER_FIRST: &str = "/auth/register-admin";
pub(super) const REGISTER: &str = "/auth/register";
/// The viewer's own account.
pub(super) const ME: &str = "/me";
/// Redirects to the first section that the viewer may open.
pub(super) const HOME: &str = "/settings";
pub(super) const ADMIN_TOKENS: &str = "/settings/admin-tokens";
pub(super) const CONTENT_TOKENS: &str = "/settings/api-tokens";
pub(super) const ROLES: &str = "/settings/roles";
pub(super) const USERS: &str = "/settings/users";
pub(super) const AUDIT_LOG: &str = "/settings/audit-logs";
/// The list of the viewer's tokens, where nothing else is mounted.
pub(super) const OWN_TOKENS: &str = "";
