//! Paths of the pages, without the base path.

/// Redirects to [`HOME`].
pub(super) const ENTRANCE: &str = "/admin";
pub(super) const SIGN_IN: &str = "/admin/auth/login";
pub(super) const SIGN_OUT: &str = "/admin/auth/logout";
/// Tells scripts whether the session is valid.
pub(super) const SESSION: &str = "/admin/auth/session";
pub(super) const REGISTER_FIRST: &str = "/admin/auth/register-admin";
pub(super) const REGISTER: &str = "/admin/auth/register";
/// The viewer's own account.
pub(super) const ME: &str = "/admin/me";
/// Redirects to the first section that the viewer may open.
pub(super) const HOME: &str = "/admin/settings";
pub(super) const ADMIN_TOKENS: &str = "/admin/settings/admin-tokens";
pub(super) const CONTENT_TOKENS: &str = "/admin/settings/api-tokens";
pub(super) const ROLES: &str = "/admin/settings/roles";
pub(super) const USERS: &str = "/admin/settings/users";
pub(super) const AUDIT_LOG: &str = "/admin/settings/audit-logs";
